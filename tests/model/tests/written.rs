//! What `prove --test` writes is a test: it stands in `written/` as it was printed, is compiled into `traces.rs`, and holds there, while the
//! same way breaks a law in a core with a bug. `UPDATE_SNAPSHOTS=1` writes it anew.

use idv_core_mutants::mutants::{MUTANTS, switch_on};
use idv_model_mutants::worlds;
use std::path::Path;

/// Hunts this bug in this world, and compares the way to it with what was written down.
fn is_as_written(mutant: &str, world: &str, file: &str) {
    let number = MUTANTS.iter().position(|known| known.name == mutant);
    switch_on(Some(number.unwrap_or_else(|| panic!("there is no mutant {mutant:?}"))));
    let found = worlds::find(world).unwrap_or_else(|| panic!("there is no world {world:?}")).search();
    switch_on(None);
    let way = found.broken.unwrap_or_else(|| panic!("{mutant} is not caught in {world}"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/written").join(file);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &way.test).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let written =
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(written, way.test, "if the change is meant, run this with UPDATE_SNAPSHOTS=1");
}

/// One after the other: only one bug can be on at a time.
#[test]
fn a_counterexample_is_written_as_the_test_that_is_compiled_here() {
    is_as_written("demand_is_not_saved", "crash", "session.rs");
    is_as_written("late_token_answer_counts", "slow", "fleet.rs");
}
