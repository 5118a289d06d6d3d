//! Many sessions behind shared tokens and budgets (R9, R11, R13-R15, G6, G7, G9), and a wake-up that is never lost.
#![allow(clippy::wildcard_enum_match_arm)] // A test names the actions it is about.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // A helper of a test fails like a test.

use idv_core::budget;
use idv_core::fleet::{AccountPolicy, Action, At, DoorPolicy, Fleet, FleetPolicy, Wake};
use idv_core::time::{Instant, Span};
use idv_core::{poller, session, token};

#[test]
fn a_bound_on_the_work_never_hides_the_rest_of_it() {
    let mut fleet = Fleet::new(FleetPolicy::default());
    let door = fleet.add_door(DoorPolicy::new(budget::Policy::per_window(20, Span::mins(1), 10).unwrap()));
    let poller = poller::Policy::builder(Span::secs(5), Span::mins(30)).build().unwrap();
    let account = fleet.add_account(
        door,
        AccountPolicy {
            provider: "shufti",
            token: token::Policy::not_needed(),
            session: session::Policy::confirm_by_pull(poller),
        },
    );
    let at = At::new(Instant::from_millis(1), 0);
    let mut pulls = 0;
    for id in ["a", "b", "c"] {
        fleet.open(at, account, id, None, &mut |_| ()).unwrap();
    }
    for _ in 0..10 {
        if fleet.run(at, 1, &mut |action| pulls += u32::from(matches!(action, Action::Pull { .. })))
            != Wake::More
        {
            break;
        }
    }
    assert_eq!(pulls, 3);
}
