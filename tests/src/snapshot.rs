//! Texts that a reviewer has read and that are compared from then on: a change shows in the diff of the commit that makes it.
#![allow(clippy::unwrap_used, reason = "a helper that cannot work fails its test")]

use crate::source::root;
use std::collections::BTreeSet;
use std::fmt::Write;

/// Whether the files are to be rewritten instead of compared.
fn rewrites() -> bool {
    std::env::var_os("UPDATE_SNAPSHOTS").is_some()
}

/// The lines in which `is` differs from the file `path`, seen from the root of the workspace; none when the two are the same.
#[must_use]
pub fn changes(path: &str, is: &str) -> Option<String> {
    let file = root().join(path);
    if rewrites() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, is).unwrap();
    }
    let was = std::fs::read_to_string(&file).unwrap_or_default();
    if is == was {
        return None;
    }
    let (before, after): (BTreeSet<_>, BTreeSet<_>) = (was.lines().collect(), is.lines().collect());
    let mut changed = format!("{path}:\n");
    before.difference(&after).for_each(|line| writeln!(changed, "  - {line}").unwrap());
    after.difference(&before).for_each(|line| writeln!(changed, "  + {line}").unwrap());
    Some(changed)
}

/// Holds texts against the files of the same names below `folder`, and the folder against the texts.
///
/// # Panics
/// They differ, or the folder holds a file that nothing writes.
pub fn assert_unchanged(folder: &str, texts: &[(String, String)]) {
    let changed: String =
        texts.iter().filter_map(|(name, is)| changes(&format!("{folder}/{name}"), is)).collect();
    assert!(changed.is_empty(), "where this is meant, UPDATE_SNAPSHOTS=1 rewrites {folder}:\n{changed}");
    for entry in std::fs::read_dir(root().join(folder)).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        assert!(
            texts.iter().any(|(written, _)| *written == name),
            "nothing writes {folder}/{name} any more: delete it"
        );
    }
}
