//! Every seed, and every input of the corpus, satisfies its property: on stable too.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// What stands in a folder, in order.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

#[track_caller]
fn each_input(target: &str) {
    let (_, property) = idv_fuzz::TARGETS.into_iter().find(|(name, _)| *name == target).unwrap();
    for kind in ["seeds", "corpus"] {
        let inputs = entries(&folder(kind).join(target));
        assert!(!inputs.is_empty(), "no {kind} for {target}");
        for input in inputs {
            // Shown when the property is broken: which input it was.
            println!("{}", input.display());
            property(&fs::read(&input).unwrap());
        }
    }
}

macro_rules! hold {
    ($($test:ident: $target:literal,)*) => {
        $(
            #[test]
            fn $test() {
                each_input($target);
            }
        )*

        #[test]
        fn every_target_is_tested_here_and_built_there() {
            let tested = BTreeSet::from([$($target.to_owned()),*]);
            let known: BTreeSet<_> = idv_fuzz::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
            assert_eq!(tested, known);
            for place in ["fuzz_targets", "seeds", "corpus"] {
                let stem = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
                let there: BTreeSet<_> = entries(&folder(place)).iter().map(stem).collect();
                assert_eq!(there, known, "{place}");
            }
        }
    };
}

hold! {
    g4_g5_callbacks_hold: "callback",
    r5_r19_bodies_of_shufti_hold: "shufti",
    r5_r19_bodies_of_shareid_hold: "shareid",
    g7_retry_after_holds: "retry_after",
    g1_g2_g3_g6_g7_sessions_hold: "session",
    g4_signatures_hold: "signature",
    g9_snapshots_hold: "snapshot",
    g8_traces_hold: "trace",
}

#[test]
fn the_corpus_stays_small() {
    let bytes: u64 = idv_fuzz::TARGETS
        .iter()
        .flat_map(|(target, _)| entries(&folder("corpus").join(target)))
        .map(|input| fs::metadata(input).unwrap().len())
        .sum();
    assert!(bytes < 2 << 20, "{bytes} bytes: minimise it with `fuzz/run --minimise`");
}
