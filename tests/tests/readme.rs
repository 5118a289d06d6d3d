//! What the README says of the tests is true.
#![allow(clippy::unwrap_used, reason = "a test may fail by a panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every function below `folder`, by name.
fn functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target" && name != ".git") {
                functions(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.extend(text.lines().filter_map(|line| {
                let (name, _) = line.trim_start().strip_prefix("fn ")?.split_once('(')?;
                Some(name.to_owned())
            }));
        }
    }
}

fn is_test_name(word: &str) -> bool {
    let rest = word.strip_prefix('g').or_else(|| word.strip_prefix('r'));
    rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) && word.contains('_')
}

#[test]
fn every_guarantee_names_tests_and_every_test_named_exists() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let mut found = BTreeSet::new();
    functions(&root(), &mut found);
    for guarantee in 1..=10 {
        let row = readme.lines().find(|line| line.starts_with(&format!("| **G{guarantee} ")));
        let row = row.unwrap_or_else(|| panic!("the README has no row for G{guarantee}"));
        let named: Vec<&str> = row.split('`').filter(|word| is_test_name(word)).collect();
        assert!(!named.is_empty(), "the README names no test for G{guarantee}");
        for name in named {
            assert!(found.contains(name), "the README names `{name}`, which is no test");
        }
    }
}

#[test]
fn every_file_that_the_readme_links_exists() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for link in readme.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(link, _)| link)) {
        assert!(root().join(link).exists(), "the README links {link}, which does not exist");
    }
}
