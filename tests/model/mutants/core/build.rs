//! Copies the core's sources and edits the deliberate bugs into the copy.

use std::path::{Path, PathBuf};
use std::{env, fs};

#[allow(dead_code)] // The table serves the library too.
#[path = "src/mutants/table.rs"]
mod table;

fn main() {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../core/src");
    let to = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where")).join("core");
    println!("cargo::rerun-if-changed={}", from.display());
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/mutants/table.rs");
    if to.exists() {
        fs::remove_dir_all(&to).expect("the copy from before");
    }
    copy(&from, &to);
    for (number, mutant) in table::MUTANTS.iter().enumerate() {
        for edit in mutant.edits {
            apply(&to.join(edit.file), number, mutant.name, edit);
        }
    }
    // What stands at the head of a crate cannot be included into another one.
    let lib = fs::read_to_string(to.join("lib.rs")).expect("the core has a lib.rs");
    let body: Vec<&str> =
        lib.lines().filter(|line| !line.starts_with("//!") && !line.starts_with("#![")).collect();
    fs::write(to.join("lib.rs"), body.join("\n")).expect("the copy can be written");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the copy can be written");
    for entry in fs::read_dir(from).expect("the core's sources").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("the copy can be written");
        }
    }
}

/// Every edit must fit exactly once: whoever rewrites the place has to say what the bug would look like there now.
fn apply(file: &Path, number: usize, name: &str, edit: &table::Edit) {
    let text = fs::read_to_string(file).unwrap_or_default();
    let times = text.matches(edit.from).count();
    assert!(
        times == 1,
        "the deliberate bug `{name}` no longer fits: its text occurs {times} times, not once, in core/src/{}:\n\n{}\n\n\
         say in tests/model/mutants/core/src/mutants/table.rs what it would look like now",
        edit.file,
        edit.from
    );
    let guarded = edit.to.replace("MUTANT", &format!("crate::mutants::on({number})"));
    fs::write(file, text.replace(edit.from, &guarded)).expect("the copy can be written");
}
