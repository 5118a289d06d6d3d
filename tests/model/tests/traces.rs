//! Ways on which something was broken once, gone again. What `prove --test` writes stands here as it was written.

use idv_model::search::{Scene, replay};
use idv_model::worlds;

/// Every move is possible where it is made, and nothing is broken on the way.
fn holds<S: Scene>(world: S, beginning: &str, way: &[S::Happening]) {
    assert_eq!(replay(&world, beginning, way), Ok(None));
}

/// Accepted is recorded and applied, then recorded again and answered 200; the process dies before its session is saved.
#[test]
fn r10_records_drive_in_crash() {
    use idv_model::names::session::*;
    holds(
        worlds::session("crash"),
        "TrustSigned",
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

// Of deliberate bugs, as they were printed.
include!("written/session.rs");
include!("written/fleet.rs");
