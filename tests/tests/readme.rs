//! What the README says of the tests is true.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test may fail by a panic")]

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

/// Each of these rows of a document names tests, and every test that it names exists.
fn rows_name_tests(document: &str, rows: impl Iterator<Item = String>, found: &BTreeSet<String>) {
    let text = fs::read_to_string(root().join(document)).unwrap();
    for name in rows {
        let row = text.lines().find(|line| {
            let bold = line.strip_prefix("| **").and_then(|line| line.strip_prefix(&name));
            bold.is_some_and(|rest| rest.starts_with([' ', '*']))
        });
        let row = row.unwrap_or_else(|| panic!("{document} has no row for {name}"));
        let named: Vec<&str> = row.split('`').filter(|word| is_test_name(word)).collect();
        assert!(!named.is_empty(), "{document} names no test for {name}");
        for test in named {
            assert!(found.contains(test), "{document} names `{test}`, which is no test");
        }
    }
}

#[test]
fn every_guarantee_and_rule_names_tests_and_every_test_named_exists() {
    let mut found = BTreeSet::new();
    functions(&root(), &mut found);
    let guarantees = || (1..=10).map(|number| format!("G{number}"));
    rows_name_tests("README.md", guarantees(), &found);
    rows_name_tests("docs/guarantees.md", guarantees(), &found);
    rows_name_tests("docs/guarantees.md", (1..=19).map(|number| format!("R{number}")), &found);
}

#[test]
fn every_file_that_a_document_links_exists() {
    for document in ["README.md", "docs/guarantees.md"] {
        let path = root().join(document);
        let text = fs::read_to_string(&path).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(link, _)| link)) {
            assert!(
                path.parent().unwrap().join(link).exists(),
                "{document} links {link}, which does not exist"
            );
        }
    }
}
