//! One test for each rule of the sessions in a fleet.

use crate::scene::{
    NOT_READY, Pull, a_call_a_second, basic, handed, keys, one_account, pulls, requests, terms, two_accounts,
    verdict,
};
use crate::world::{Event, TokenAnswer, World};
use idv_core::evidence::{Callback, ContentDigest, Report, Verdict};
use idv_core::fleet::{Action, At, Fleet, FleetPolicy, Key, OpenError, Stored, UnknownPolicy};
use idv_core::machine::Disposition;
use idv_core::session::{self, Snapshot};
use idv_core::time::{Instant, Span};
use idv_core::token;

#[test]
fn r15_opening_pulls_at_once_and_takes_in_what_came_before() {
    let (mut world, [account, _]) = two_accounts();
    world.callback("shufti", "a", Callback::Unsigned);
    world.callback("shufti", "b", Callback::SignedSignal);
    world.callback("shufti", "c", Callback::WrongSignature);
    world.callback("shareid", "c", Callback::Unsigned);
    assert_eq!(world.fleet.unknown_callbacks(), 3, "a wrong signature for nobody is not kept");
    for (id, demanded) in [("a", true), ("b", true), ("c", false)] {
        let key = world.open(account, id);
        let session = world.fleet.session(key).unwrap();
        assert!(session.wants().is_some(), "pulls at once");
        assert_eq!(session.poller().is_demanded(), demanded, "{id}");
    }
    assert_eq!(world.fleet.unknown_callbacks(), 1, "another provider's id is another id");
}

#[test]
fn r15_what_was_vouched_for_before_the_opening_is_a_hint_no_more() {
    let mut trusting = basic("shufti");
    trusting.session = session::Policy::trust_signed(trusting.session.poller);
    let (mut world, _, account) = one_account(a_call_a_second(1), trusting);
    let report = Report { verdict: Some(Verdict::Accepted), content: ContentDigest(1) };
    world.callback("shufti", "a", Callback::Signed(report));
    world.open(account, "a");
    let done: Vec<Action> = world.log.iter().map(|(_, action)| *action).collect();
    assert_eq!(handed(&done), [], "its body is no longer at hand");
    let [pull] = pulls(&world.run())[..] else { panic!("no pull") };
    assert_eq!(handed(&world.answer(pull, verdict(Verdict::Accepted, 1))).len(), 1);
}

#[test]
fn r15_the_ring_of_unknowns_is_bounded() {
    let unknown = UnknownPolicy { count: 2, bytes: 1_000, age: Span::mins(1) };
    let mut world = World::new(FleetPolicy { unknown, ..FleetPolicy::default() });
    for id in ["a", "b", "c"] {
        world.callback("shufti", id, Callback::Unsigned);
    }
    assert_eq!(world.fleet.unknown_callbacks(), 2);
}

#[test]
fn r15_what_is_kept_of_the_unknown_goes_on_ageing_on_another_clock() {
    let unknown = UnknownPolicy { count: 9, bytes: 1_000, age: Span::mins(1) };
    for shift in [-500_000, 3_600_000] {
        let mut fleet = Fleet::new(FleetPolicy { unknown, ..FleetPolicy::default() });
        let keep = |fleet: &mut Fleet, now: Instant, id: &str| {
            fleet.callback(At::new(now, 7), "shufti", id, Callback::Unsigned, 100, &mut |_| {});
            fleet.unknown_callbacks()
        };
        let received = Instant::from_millis(1_000_000);
        keep(&mut fleet, received, "a");
        fleet.map_times(|at| at.shifted(shift));
        for (later, kept) in [(59_999, 2), (60_000, 1)] {
            assert_eq!(
                keep(&mut fleet.clone(), received.shifted(shift + later), "b"),
                kept,
                "{later} ms later"
            );
        }
    }
}

#[test]
fn callbacks_match_the_alias_too_and_those_that_came_before_it_was_known() {
    let (mut world, [account, _]) = two_accounts();
    let key = world.settled(account, "flow");
    world.callback("shufti", "person", Callback::Unsigned);
    assert!(!world.fleet.session(key).unwrap().poller().is_demanded());
    assert_eq!(world.learn_alias(key, "person").0, Disposition::Applied);
    assert!(world.fleet.session(key).unwrap().poller().is_demanded());
    assert_eq!(world.fleet.find("shufti", "person"), Some(key));
    assert_eq!(world.fleet.alias(key), Some("person"));
    assert_eq!(world.learn_alias(key, "person").0, Disposition::NoOp);
    assert_eq!(world.learn_alias(key, "somebody else").0, Disposition::Illegal, "one alias at most");
}

#[test]
fn a_callback_is_a_hint_to_every_verification_that_shares_the_alias_it_names() {
    let (mut world, [account, _]) = two_accounts();
    let keys = ["flow 1", "flow 2"].map(|flow| world.settled(account, flow));
    for key in keys {
        assert_eq!(world.learn_alias(key, "person").0, Disposition::Applied);
    }
    world.callback("shufti", "person", Callback::Unsigned);
    for key in keys {
        assert!(world.fleet.session(key).unwrap().poller().is_demanded());
    }
    let person = world.open(account, "person");
    assert_eq!(world.fleet.find("shufti", "person"), Some(person), "the id itself comes before an alias");
    assert_eq!(world.try_open(account, "person", None), Err(OpenError::Exists(person)));
}

#[test]
fn g9_an_alias_is_saved() {
    let (mut world, [account, _]) = two_accounts();
    let key = world.open(account, "flow");
    let (_, actions) = world.learn_alias(key, "person");
    assert!(matches!(actions[..], [Action::Save { version: 2, .. }]), "{actions:?}");
}

#[test]
fn g9_an_opened_session_is_saved_before_anything_is_done_for_it() {
    let (mut world, [account, _]) = two_accounts();
    let key = world.open(account, "a");
    assert_eq!(world.log[0].1, Action::Save { key, version: 1 });
}

#[test]
fn g9_every_hand_over_and_end_comes_after_its_save_and_every_body_before_it() {
    let (mut world, [account, _]) = two_accounts();
    let key = world.open(account, "a");
    let [pull] = pulls(&world.run())[..] else { panic!("no pull") };
    let done = world.answer(pull, verdict(Verdict::Deleted, 1));
    assert!(
        matches!(
            done[..],
            [
                Action::Keep { .. },
                Action::Save { version: 2, .. },
                Action::HandOver { .. },
                Action::Ended { .. }
            ]
        ),
        "{done:?}"
    );
    let done = world.feed(Event::HandedOver { key, revision: 1 });
    assert_eq!(done, [Action::Save { key, version: 3 }]);
}

#[test]
fn g9_pulls_that_show_nothing_are_not_saved() {
    let (mut world, _, account) = one_account(a_call_a_second(10), basic("shufti"));
    world.open(account, "a");
    world.pass_answering(Span::mins(20), |_| NOT_READY);
    let saves = world.log.iter().filter(|(_, action)| matches!(action, Action::Save { .. })).count();
    assert_eq!(saves, 1, "the opening");
}

#[test]
fn r9_a_gap_in_listening_pulls_every_settled_session_once_behind_all_others() {
    let (mut world, [account, _]) = two_accounts();
    let settled = ["a", "b", "c"].map(|id| world.settled(account, id));
    let gone = world.settled(account, "gone");
    world.feed(Event::Cancel { account, id: "gone" });
    world.now = world.now.after(Span::mins(1));
    let open = world.open(account, "open");
    world.feed(Event::Gap);
    let order = keys(&world.pass(Span::secs(15)));
    let times = |key: Key| order.iter().filter(|pulled| **pulled == key).count();
    assert_eq!(settled.map(times), [1, 1, 1]);
    assert_eq!((times(gone), times(open)), (0, 1));
    assert_eq!(order[0], open, "routine pulls do not wait for the gap");
    assert!(!world.fleet.session(open).unwrap().poller().is_demanded(), "an open session pulls anyway");
}

/// Everything that a store would have, taken over by a new fleet `downtime` later.
fn crash(world: &World, downtime: Span, tombstones: u32) -> (World, Vec<(Key, Vec<Action>)>) {
    let mut next = World::new(FleetPolicy { tombstones, ..FleetPolicy::default() });
    for policy in world.doors.values() {
        next.door(*policy);
    }
    for (door, policy) in world.accounts.values() {
        next.account(*door, *policy);
    }
    next.now = Instant::from_millis(77);
    let mut restored = Vec::new();
    for (key, version) in world.stored() {
        let snapshot = Snapshot::new(*world.fleet.session(key).unwrap(), world.now, 1_000_000);
        let text = serde_json::to_string(&snapshot).unwrap();
        let snapshot: Snapshot = serde_json::from_str(&text).unwrap();
        let unix_ms = 1_000_000 + u64::from(downtime.as_millis());
        let stored = Stored {
            id: world.fleet.id(key).unwrap(),
            alias: world.fleet.alias(key),
            session: snapshot.restore(next.now, unix_ms).unwrap(),
            version,
        };
        restored.push(next.restore(world.fleet.account(key).unwrap(), stored));
    }
    (next, restored)
}

#[test]
fn r11_a_restored_fleet_goes_on_with_the_next_numbers_after_the_cadence_and_without_tokens() {
    let policy = token::Policy::reusable(Span::mins(10)).build().unwrap();
    let (mut world, _, account) = one_account(a_call_a_second(10), terms("shareid", policy));
    let waiting = world.open(account, "in flight");
    let telling = world.open(account, "telling");
    world.learn_alias(telling, "person");
    world.run();
    world.feed(Event::Token { account, op: 1, answer: TokenAnswer::Received(None) });
    let in_flight = pulls(&world.run());
    assert_eq!(in_flight.iter().map(|pull| pull.key).collect::<Vec<_>>(), [waiting, telling]);
    world.answer(in_flight[1], verdict(Verdict::Declined, 3));

    let (mut next, restored) = crash(&world, Span::secs(1), 10);
    let again: Vec<_> = restored.iter().flat_map(|(_, actions)| handed(actions)).collect();
    assert_eq!(again, [(restored[1].0, 1, Verdict::Declined)], "G2: under the same number");
    assert_eq!(next.fleet.find("shareid", "person"), Some(restored[1].0));
    let done = next.pass(Span::millis(4_999));
    assert_eq!((requests(&done), keys(&done)), (vec![], vec![]), "not before the cadence");
    assert_eq!(requests(&next.pass(Span::secs(5))), [1], "no token is restored");
    next.feed(Event::Token { account, op: 1, answer: TokenAnswer::Received(None) });
    let pulled = pulls(&next.run());
    assert_eq!(pulled, [Pull { key: restored[0].0, op: 2, generation: 1 }]);
    let saved = next.answer(pulled[0], verdict(Verdict::Accepted, 1));
    let version = |action: &Action| match action {
        Action::Save { version, .. } => Some(*version),
        _ => None,
    };
    assert!(saved.iter().find_map(version) > Some(1), "versions go on: {saved:?}");
}

#[test]
fn r11_a_token_lives_as_long_as_its_account_and_no_longer_in_a_snapshot() {
    let policy = token::Policy::reusable(Span::mins(10)).build().unwrap();
    let (mut world, _, account) = one_account(a_call_a_second(10), terms("shareid", policy));
    world.open(account, "a");
    world.pass_answering(Span::mins(9), |_| NOT_READY);
    let before = requests(&world.log.iter().map(|(_, action)| *action).collect::<Vec<_>>()).len();
    assert_eq!(before, 1);
    world.pass_answering(Span::mins(9), |_| NOT_READY);
    let after = requests(&world.log.iter().map(|(_, action)| *action).collect::<Vec<_>>()).len();
    assert_eq!(after, 2, "one renewal, when its life less the margin was over");
}

#[test]
fn r8_tombstones_are_capped_the_oldest_forgotten_first_restored_ones_too() {
    let mut world = World::new(FleetPolicy { tombstones: 2, ..FleetPolicy::default() });
    let door = world.door(a_call_a_second(10));
    let account = world.account(door, basic("shufti"));
    for id in ["a", "b"] {
        world.open(account, id);
        world.feed(Event::Cancel { account, id });
    }
    // "a" is woken and ends again: "b" is the oldest now.
    world.callback("shufti", "a", Callback::Unsigned);
    world.feed(Event::Cancel { account, id: "a" });
    world.open(account, "c");
    world.feed(Event::Cancel { account, id: "c" });
    let there = |world: &World| ["a", "b", "c"].map(|id| world.fleet.find("shufti", id).is_some());
    assert_eq!(there(&world), [true, false, true]);
    let (next, _) = crash(&world, Span::secs(1), 1);
    assert_eq!(next.fleet.len(), 1);
}

#[test]
fn r8_a_tombstone_waits_for_its_hand_over_and_a_callback_reopens_it() {
    let mut world = World::new(FleetPolicy { tombstones: 0, ..FleetPolicy::default() });
    let door = world.door(a_call_a_second(10));
    let account = world.account(door, basic("shufti"));
    let key = world.open(account, "a");
    let [pull] = pulls(&world.run())[..] else { panic!("no pull") };
    world.answer(pull, verdict(Verdict::Accepted, 1));
    world.feed(Event::Cancel { account, id: "a" });
    assert_eq!(world.fleet.forget(key), Disposition::Illegal, "revision 1 is still owed");
    world.callback("shufti", "a", Callback::Unsigned);
    assert_eq!(world.fleet.session(key).unwrap().end(), None);
    world.feed(Event::HandedOver { key, revision: 1 });
    world.feed(Event::Cancel { account, id: "a" });
    assert!(world.fleet.is_empty(), "no tombstone is kept here");
}

#[test]
fn forgetting_frees_the_place_and_the_id_and_never_reuses_the_key() {
    let mut world = World::new(FleetPolicy { sessions: 1, ..FleetPolicy::default() });
    let door = world.door(a_call_a_second(10));
    let account = world.account(door, basic("shufti"));
    let key = world.open(account, "a");
    assert_eq!(world.fleet.forget(key), Disposition::Illegal, "it is at work");
    assert_eq!(world.try_open(account, "b", None), Err(OpenError::Full));
    assert_eq!(world.try_open(account, "a", None), Err(OpenError::Exists(key)));
    assert_eq!(world.try_open(account, "", None), Err(OpenError::EmptyId));
    world.feed(Event::Cancel { account, id: "a" });
    assert_eq!(world.fleet.forget(key), Disposition::Applied);
    let next = world.open(account, "a");
    assert_ne!(next, key);
    assert_eq!((world.fleet.forget(key), world.fleet.session(key)), (Disposition::Stale, None));
    assert_eq!(keys(&world.run()), [next]);
}

#[test]
fn a_bound_on_the_work_never_hides_the_rest_of_it() {
    let (mut world, _, account) = one_account(a_call_a_second(10), basic("shufti"));
    let opened = ["a", "b", "c"].map(|id| world.open(account, id));
    world.work = 1;
    assert_eq!(keys(&world.run()), opened);
}

#[test]
fn a_call_of_run_does_no_more_than_its_bound() {
    let (mut world, _, account) = one_account(a_call_a_second(59), basic("shufti"));
    for nth in 0..50 {
        world.open(account, &nth.to_string());
    }
    for _ in 0..10 {
        let mut done = 0;
        let at = idv_core::fleet::At::new(world.now, 0);
        assert_eq!(world.fleet.run(at, 3, &mut |_| done += 1), idv_core::fleet::Wake::More);
        assert!(done <= 3);
    }
}
