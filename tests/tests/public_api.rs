//! The public API of every published crate, as rustdoc tells it, so that a change shows in review.
//!
//! rustdoc's JSON is not stable yet: it is made with the stable compiler that the workspace is built with, told to allow it for rustdoc
//! alone, and its format is that compiler's own. `UPDATE_SNAPSHOTS=1` rewrites what is compared here.
#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use idv_tests::snapshot::assert_unchanged;
use idv_tests::source::root;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const PUBLISHED: [&str; 9] = [
    "idv-core",
    "idv-host",
    "idv-listener",
    "idv-async",
    "idv-smol",
    "idv-async-std",
    "idv-tokio",
    "idv-ureq",
    "idv-sandbox",
];

/// The first segments of paths that belong to nobody else.
const OF_THE_LANGUAGE: [&str; 3] = ["core", "alloc", "std"];

/// Has rustdoc describe the crates; where the descriptions are.
fn describe() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // Only rustdoc is told to allow what is unstable: another word to the compiler would have it build everything anew.
    let rustdoc = folder.join("rustdoc-that-allows-json");
    std::fs::write(&rustdoc, "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc \"$@\"\n").unwrap();
    std::fs::set_permissions(&rustdoc, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()).args(["doc", "--quiet", "--offline", "--no-deps", "--lib"]);
    for name in PUBLISHED {
        cargo.args(["--package", name]);
    }
    // What was told to this test about itself would look like a change to build scripts.
    for (name, _) in std::env::vars_os() {
        let shown = name.to_string_lossy();
        if ["CARGO_MANIFEST", "CARGO_PKG_", "CARGO_BIN_", "CARGO_CRATE_NAME"]
            .iter()
            .any(|it| shown.starts_with(it))
        {
            cargo.env_remove(&name);
        }
    }
    let target = folder.parent().unwrap();
    cargo.env("RUSTDOC", &rustdoc).env("CARGO_TARGET_DIR", target);
    cargo.env("RUSTDOCFLAGS", "-Z unstable-options --output-format json --cap-lints allow");
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "rustdoc failed:\n{}", String::from_utf8_lossy(&output.stderr));
    target.join("doc")
}

/// The public items, and before them the types of other people's crates that they mention.
fn listing(name: &str, description: &Path) -> String {
    let api = public_api::Builder::from_rustdoc_json(description)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()
        .unwrap_or_else(|error| {
            panic!(
                "{name}: {error}\nThe crate `public-api` in Cargo.toml reads the JSON of one release of rustdoc: that of `rust-version` \
                 there. Run this test with that toolchain, or raise both."
            )
        });
    let items: Vec<String> = api.items().map(ToString::to_string).collect();
    let own = name.replace('-', "_");
    let foreign: BTreeSet<String> = items.iter().flat_map(|item| foreign(&own, item)).collect();
    let mut text = format!("# {name}: mentions of other crates\n");
    for path in foreign {
        writeln!(text, "#   {path}").unwrap();
    }
    for item in items {
        writeln!(text, "{item}").unwrap();
    }
    text
}

/// The paths in an item that lead into crates of other people.
fn foreign(own: &str, item: &str) -> Vec<String> {
    let is_path = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    let paths = item.split(|letter| !is_path(letter)).map(|path| path.trim_matches(':'));
    let foreign = paths.filter(|path| {
        let Some((first, _)) = path.split_once("::") else { return false };
        let is_crate = first.starts_with(|letter: char| letter.is_ascii_lowercase());
        is_crate && first != own && !first.starts_with("idv_") && !OF_THE_LANGUAGE.contains(&first)
    });
    foreign.map(str::to_owned).collect()
}

#[test]
fn the_public_apis_are_those_that_were_reviewed() {
    let descriptions = describe();
    let listing = |name: &str| {
        let description = descriptions.join(name.replace('-', "_")).with_extension("json");
        (format!("{name}.txt"), listing(name, &description))
    };
    assert_unchanged("tests/public_api", &PUBLISHED.map(listing));
}

#[test]
fn the_listing_finds_the_types_of_others() {
    let item = "pub fn idv_x::Config::tls(&self, alloc::sync::Arc<rustls::server::ServerConfig>) -> core::result::Result<T::Ok, http::Error>";
    assert_eq!(foreign("idv_x", item), ["rustls::server::ServerConfig", "http::Error"]);
}
