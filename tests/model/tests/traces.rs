//! Ways on which something was broken once, or could be, gone again. What `prove --test` writes stands here as it was written.

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

/// The application knows both verdicts; then the genuine callback about the first one comes again, is recorded, and leads to a pull.
#[test]
fn g3_g4_a_superseded_truth_is_replayed_and_changes_nothing() {
    use idv_model::names::session::*;
    for evidence in ["ConfirmByPull", "TrustSigned"] {
        holds(
            worlds::session("replay"),
            evidence,
            &[
                (Change(Accepted), Lives),
                (Grant, Lives),
                (Answer(1, 1), Lives),
                (HandedOver(1), Lives),
                (Change(Declined), Lives),
                (Attack(Replay(1)), Lives),
                (Commit(1), Lives),
                (Elapse, Lives),
                (Elapse, Lives),
                (Tick, Lives),
                (Grant, Lives),
                (Answer(2, 2), Lives),
                (HandedOver(2), Lives),
            ],
        );
    }
}

// Of deliberate bugs, as they were printed.
include!("written/session.rs");
include!("written/fleet.rs");
