//! Ways on which something was broken once, gone again.

use idv_core::session::EvidencePolicy::{self, *};
use idv_model::search::replay;
#[allow(unused_imports)] // What `prove --test` writes may need any of them.
use idv_model::world::{Attack::*, Failure::*, Fate::*, Happening, Move::*, Truth::*};
use idv_model::worlds;

/// Every move is possible where it is made, and nothing is broken on the way.
fn holds(world: &str, evidence: EvidencePolicy, way: &[Happening]) {
    let rules = worlds::find(world).unwrap_or_else(|| panic!("there is no world {world:?}"));
    assert_eq!(replay(&rules, evidence, way), Ok(None));
}

/// Accepted is recorded and applied, then recorded again and answered 200; the process dies before its session is saved.
#[test]
fn r10_records_drive_in_crash() {
    holds(
        "crash",
        TrustSigned,
        &[
            (Change(Accepted), Lives),
            (Arrive(0), Lives),
            (Elapse, Lives),
            (Elapse, Lives),
            (CommitUnheard(0), Lives),
            (Grant, Lives),
            (Answer(1, 1), Lives),
            (Arrive(0), Lives),
            (Commit(0), DiesBeforeSave),
        ],
    );
}
