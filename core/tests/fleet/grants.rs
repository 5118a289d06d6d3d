//! One test for each rule of doors, budgets and tokens.

use crate::scene::{
    NOT_READY, a_call_a_second, basic, ended, fault, handed, keys, one_account, pulls, requests, terms,
    two_accounts, verdict,
};
use crate::world::{Event, TokenAnswer, World};
use idv_core::backoff::Backoff;
use idv_core::budget;
use idv_core::evidence::{Callback, Fault, FaultKind, Outcome, Verdict};
use idv_core::fleet::{AccountId, AccountPolicy, Action, At, DoorPolicy, FleetPolicy, Key, Stored, Wake};
use idv_core::poller::{self, Class};
use idv_core::session::{self, End};
use idv_core::time::{Instant, Span};
use idv_core::token;
use std::collections::BTreeSet;

#[test]
fn r13_grants_alternate_while_confirming_and_routine_pulls_wait() {
    let (mut world, [account, _]) = two_accounts();
    let settled = ["a", "b", "c", "d"].map(|id| world.settled(account, id));
    world.now = world.now.after(Span::mins(1));
    for id in ["a", "b", "c", "d"] {
        world.callback("shufti", id, Callback::Unsigned);
    }
    let open = ["p", "q", "r", "s"].map(|id| world.open(account, id));
    let order = keys(&world.pass(Span::secs(10)));
    let expected = [0, 1, 2, 3].map(|nth| [settled[nth], open[nth]]).concat();
    let alternating =
        |first: usize| order.iter().enumerate().all(|(nth, key)| settled.contains(key) == (nth % 2 == first));
    assert_eq!(order.len(), expected.len());
    assert!(alternating(0) || alternating(1), "{order:?}");
    let of = |group: [Key; 4]| order.iter().copied().filter(|key| group.contains(key)).collect::<Vec<_>>();
    assert_eq!((of(settled), of(open)), (settled.to_vec(), open.to_vec()), "the longest wait first");
}

#[test]
fn r13_the_longest_wait_goes_first_whosesoever_account_it_is() {
    let (mut world, [one, two]) = two_accounts();
    let order: Vec<Key> = ["a", "b", "c", "d", "e"]
        .iter()
        .zip([two, one, two, two, one])
        .map(|(id, account)| world.open(account, id))
        .collect();
    assert_eq!(keys(&world.pass(Span::secs(10))), order);
}

#[test]
fn r13_who_asks_in_another_class_keeps_its_place_and_is_served_once() {
    let (mut world, [account, _]) = two_accounts();
    let order: Vec<Key> = ["a", "b", "c"].iter().map(|id| world.open(account, id)).collect();
    world.callback("shufti", "c", Callback::Unsigned);
    world.callback("shufti", "a", Callback::Unsigned);
    // Confirming goes first after a start; in that class "a" asked before "c".
    assert_eq!(keys(&world.pass(Span::secs(10))), [order[0], order[1], order[2]]);
}

#[test]
fn g7_who_is_held_is_permitted_nothing_and_keeps_its_place() {
    let (mut world, [account, _]) = two_accounts();
    let [first, second, third] = ["a", "b", "c"].map(|id| world.open(account, id));
    world.fleet.hold(first);
    world.fleet.hold(first);
    world.fleet.hold(second);
    // A class that changes meanwhile changes the queue it will stand in, and nothing else.
    world.callback("shufti", "b", Callback::Unsigned);
    assert_eq!(keys(&world.run()), [third]);
    assert_eq!(keys(&world.pass(Span::secs(3))), []);
    let late = world.open(account, "d");
    world.fleet.release(second);
    world.fleet.release(first);
    world.fleet.release(first);
    let order = keys(&world.pass(Span::secs(4)));
    assert_eq!(order, [second, first, late], "a confirming pull in its turn, then the longest wait first");
}

#[test]
fn r13_whose_state_came_from_the_store_while_it_waited_costs_nobody_a_call() {
    let settled = {
        let (mut other, [account, _]) = two_accounts();
        let key = other.settled(account, "known");
        *other.fleet.session(key).unwrap()
    };
    for held in [false, true] {
        let (mut world, [account, _]) = two_accounts();
        let door = world.account_of(account).0;
        world.feed(Event::Take { door });
        let key = world.open(account, "known");
        let waiting = world.open(account, "waiting");
        if held {
            world.fleet.hold(key);
        }
        let stored = Stored { id: "known", alias: None, session: settled, version: 1 };
        world.fleet.replace(At::new(world.now, 7), key, stored, &mut |_| {});
        world.fleet.release(key);
        assert_eq!(
            keys(&world.pass(Span::secs(1))),
            [waiting],
            "the one before it asks again after the cadence"
        );
        assert_eq!(keys(&world.pass(Span::secs(10))), [key]);
    }
}

#[test]
fn g7_who_is_told_of_a_gap_can_be_held_before_it_is_permitted_anything() {
    let (mut world, [account, _]) = two_accounts();
    let settled = ["a", "b"].map(|id| world.settled(account, id));
    world.pass(Span::mins(1));
    world.work = 1_000;
    world.fleet.listening_had_a_gap();
    let at = At::new(world.now, 1);
    let mut actions = Vec::new();
    assert_eq!(world.fleet.run(at, 1_000, &mut |action| actions.push(action)), Wake::More);
    let saved =
        |key| actions.iter().any(|action| matches!(action, Action::Save { key: of, .. } if *of == key));
    assert!(settled.into_iter().all(saved), "{actions:?}");
    assert_eq!(keys(&actions), []);
}

#[test]
fn r13_audits_go_last_and_are_never_starved() {
    let (mut world, [account, _]) = two_accounts();
    let audited = world.settled(account, "audited");
    world.now = world.now.after(Span::mins(1));
    for nth in 0..60 {
        let id = format!("busy {nth}");
        world.open(account, &id);
    }
    world.feed(Event::Hint { account, id: "audited", class: Class::Audit });
    let order = keys(&world.pass(Span::secs(40)));
    let place = order.iter().position(|key| *key == audited).expect("starved");
    assert_eq!(place, 15, "after as many others as its patience");
}

#[test]
fn r13_an_audit_waits_while_anything_else_does() {
    let (mut world, [account, _]) = two_accounts();
    let audited = world.settled(account, "audited");
    world.now = world.now.after(Span::mins(1));
    world.feed(Event::Hint { account, id: "audited", class: Class::Audit });
    let open = ["a", "b", "c"].map(|id| world.open(account, id));
    assert_eq!(keys(&world.pass(Span::secs(10))), [open[0], open[1], open[2], audited]);
}

#[test]
fn r13_a_429_closes_the_door_for_every_session_of_every_account_behind_it() {
    for (kind, retry_after, silence) in [
        (FaultKind::RateLimited, Some(Span::secs(90)), 90),
        (FaultKind::RateLimited, None, 10),
        (FaultKind::ServerError, Some(Span::secs(40)), 40),
        (FaultKind::RateLimited, Some(Span::hours(20)), 15 * 60),
    ] {
        let (mut world, [one, two]) = two_accounts();
        world.open(one, "a");
        let [pull] = pulls(&world.run())[..] else { panic!("no pull") };
        world.now = world.now.after(Span::secs(2));
        world.open(two, "b");
        world.open(one, "c");
        world.answer(pull, fault(kind, retry_after));
        let closed = world.now;
        let first = loop {
            match pulls(&world.run())[..] {
                [] => world.now = world.wakes().expect("the wait ends"),
                [first, ..] => break first,
            }
        };
        assert_eq!(world.now, closed.after(Span::secs(silence)), "{kind:?} {retry_after:?}");
        assert_eq!(world.fleet.id(first.key), Some("b"), "who waited is served in order");
    }
}

#[test]
fn r13_another_door_stays_open() {
    let mut world = World::new(FleetPolicy::default());
    let doors = [world.door(a_call_a_second(1)), world.door(a_call_a_second(1))];
    let accounts = [world.account(doors[0], basic("shufti")), world.account(doors[1], basic("shareid"))];
    world.open(accounts[0], "a");
    let [pull] = pulls(&world.run())[..] else { panic!("no pull") };
    world.answer(pull, fault(FaultKind::RateLimited, None));
    let other = world.open(accounts[1], "a");
    assert_eq!(keys(&world.run()), [other]);
}

#[test]
fn r13_a_token_request_goes_through_its_own_door_only() {
    let mut world = World::new(FleetPolicy::default());
    let doors = [world.door(a_call_a_second(1)), world.door(a_call_a_second(1))];
    let policy = token::Policy::reusable(Span::mins(10)).build().unwrap();
    let account = world.account(doors[0], terms("shareid", policy));
    world.feed(Event::Take { door: doors[0] });
    world.open(account, "a");
    assert!(requests(&world.run()).is_empty(), "the call of this second is somebody else's");
    assert_eq!(requests(&world.sleep()), [1]);
}

/// Calls that failed at the same moment, of many sessions and of many accounts, are not tried again at the same moment.
#[test]
fn g7_what_failed_together_is_not_tried_again_together() {
    let backoff = Backoff { first: Span::mins(1), most: Span::mins(1), jitter_percent: 100 };
    let wide = || DoorPolicy::new(budget::Policy::per_window(1_000, Span::secs(1), 500).unwrap());
    let poller = poller::Policy::builder(Span::secs(5), Span::hours(1)).backoff(backoff).build().unwrap();
    let session = session::Policy::confirm_by_pull(poller);
    let plain = AccountPolicy { session, ..basic("shufti") };
    let (mut world, door, account) = one_account(wide(), plain);
    let failed = fault(FaultKind::ServerError, None);
    let opened: Vec<Key> = (0..64).map(|nth| world.open(account, &format!("{nth}"))).collect();
    for pull in pulls(&world.run()) {
        world.answer(pull, failed);
    }
    let apart = |moments: BTreeSet<Option<Instant>>| moments.len() > 60;
    assert!(apart(
        opened.iter().map(|key| world.fleet.session(*key).unwrap().poller().next_pull()).collect()
    ));

    let token = token::Policy::reusable(Span::mins(10)).backoff(backoff).build().unwrap();
    let accounts: Vec<AccountId> =
        (0..64).map(|_| world.account(door, AccountPolicy { token, ..plain })).collect();
    for (nth, account) in accounts.iter().enumerate() {
        world.open(*account, &format!("with a token {nth}"));
    }
    assert_eq!(requests(&world.run()).len(), 64);
    let fault = Fault { kind: FaultKind::ServerError, retry_after: None };
    for account in accounts {
        world.feed(Event::Token { account, op: 1, answer: TokenAnswer::Failed(fault) });
    }
    let mut moments = BTreeSet::new();
    let end = world.now.after(Span::mins(2));
    while world.wakes().is_some_and(|at| at <= end) {
        if !requests(&world.sleep()).is_empty() {
            moments.insert(Some(world.now));
        }
    }
    assert!(apart(moments));
}

#[test]
fn r13_token_requests_and_strangers_count_against_the_budget_and_tokens_come_first() {
    let policy = token::Policy::reusable(Span::mins(10)).build().unwrap();
    let (mut world, door, tokens) = one_account(a_call_a_second(1), terms("shareid", policy));
    let plain = world.account(door, basic("shufti"));
    let first = world.open(plain, "first in the queue");
    let second = world.open(tokens, "second");
    let started = world.now;
    assert_eq!((requests(&world.run()), keys(&world.pass(Span::millis(999)))), (vec![1], vec![]));
    world.feed(Event::Token { account: tokens, op: 1, answer: TokenAnswer::Received(None) });
    assert_eq!(keys(&world.sleep()), [first]);
    assert_eq!(world.now, started.after(Span::secs(1)));
    world.now = world.now.after(Span::secs(1));
    world.feed(Event::Take { door });
    assert_eq!(keys(&world.run()), [], "the call of this second is somebody else's");
    assert_eq!(keys(&world.sleep()), [second]);
    assert_eq!(world.now, started.after(Span::secs(3)));
}

#[test]
fn r13_more_tokens_than_the_budget_can_renew_do_not_keep_all_pulls_waiting() {
    let mut world = World::new(FleetPolicy::default());
    let door = world.door(a_call_a_second(1));
    let policy = token::Policy::reusable(Span::mins(2)).build().unwrap();
    for nth in 0..200 {
        let account = world.account(door, terms("shareid", policy));
        world.open(account, &nth.to_string());
    }
    world.pass_answering(Span::mins(10), |_| verdict(Verdict::Accepted, 1));
    let log: Vec<Action> = world.log.iter().map(|(_, action)| *action).collect();
    assert_eq!(handed(&log).len(), 200, "one call for the token and one for the pull: 400 seconds");
}

#[test]
fn r13_crowding_is_said_once_to_every_account_behind_the_door() {
    let (mut world, [one, two]) = two_accounts();
    // Nobody of a third one is open: it has nothing to complain of.
    world.account(world.account_of(one).0, basic("shufti"));
    let crowded = |world: &World| {
        let told = |(_, action): &(Instant, Action)| match *action {
            Action::Crowded { account, .. } => Some(account),
            _ => None,
        };
        world.log.iter().filter_map(told).collect::<Vec<_>>()
    };
    world.open(two, "alone");
    for nth in 0..599 {
        world.open(one, &nth.to_string());
    }
    assert_eq!(crowded(&world), [], "600 sessions, each every 10 minutes, three times in 30");
    // One that the store knew as settled is not pulled in the routine: its place is free again.
    let settled = {
        let (mut other, [account, _]) = two_accounts();
        let key = other.settled(account, "known");
        *other.fleet.session(key).unwrap()
    };
    let stored = Stored { id: "known", alias: None, session: settled, version: 3 };
    let at = At::new(world.now, 7);
    for nth in 0..3 {
        let key = world.fleet.open(at, one, &format!("known {nth}"), None, &mut |_| {}).unwrap();
        world.fleet.replace(at, key, stored, &mut |_| {});
        assert!(world.fleet.session(key).unwrap().is_settled());
    }
    let first = world.open(one, "one too many");
    assert_eq!(crowded(&world), [one, two]);
    world.open(one, "and another");
    assert_eq!(crowded(&world), [one, two], "it is said once");
    for key in [first, world.fleet.find("shufti", "17").unwrap()] {
        world.fleet.cancel(at, key, &mut |_| {});
    }
    assert_eq!(crowded(&world), [one, two]);
    world.open(one, "crowded again");
    assert_eq!(crowded(&world), [one, two, one, two], "until it is over");
}

#[test]
fn g7_one_token_request_serves_all_who_wait() {
    let policy = token::Policy::reusable(Span::mins(10)).build().unwrap();
    let (mut world, _, account) = one_account(a_call_a_second(10), terms("shareid", policy));
    for id in ["a", "b", "c"] {
        world.open(account, id);
    }
    assert_eq!(requests(&world.pass(Span::secs(5))), [1]);
    world.feed(Event::Token { account, op: 1, answer: TokenAnswer::Received(None) });
    let done = world.run();
    assert_eq!(pulls(&done).iter().map(|pull| pull.generation).collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!(requests(&done), [0; 0]);
}

/// A token that was refused twice in a row is renewed after 30 s at the earliest; where nobody waits for it, never.
#[test]
fn g7_nobody_is_woken_for_a_token_that_nobody_waits_for() {
    let policy = token::Policy::reusable(Span::mins(10)).build().unwrap();
    let (mut world, door, tokens) = one_account(a_call_a_second(10), terms("shareid", policy));
    let refused = world.open(tokens, "refused");
    for op in 1..=2 {
        assert_eq!(requests(&world.pass(Span::secs(10))), [op]);
        world.feed(Event::Token { account: tokens, op, answer: TokenAnswer::Received(None) });
        let [pull] = pulls(&world.run())[..] else { panic!("no pull") };
        world.answer(pull, Outcome::Refused);
    }
    assert_eq!(world.fleet.session(refused).unwrap().end(), Some(End::Refused));

    let poller =
        poller::Policy::builder(Span::secs(5), Span::hours(2)).interval(Span::mins(10)).build().unwrap();
    let slow = AccountPolicy { session: session::Policy::confirm_by_pull(poller), ..basic("shufti") };
    let slow = world.account(door, slow);
    let key = world.open(slow, "slow");
    let [pull] = pulls(&world.run())[..] else { panic!("no pull") };
    world.answer(pull, NOT_READY);
    world.run();
    assert_eq!(world.wakes(), world.fleet.session(key).unwrap().poller().next_pull());
    assert!(world.wakes() > Some(world.now.after(Span::mins(9))));
}

#[test]
fn g7_no_token_is_requested_for_nobody() {
    let policy = token::Policy::reusable(Span::mins(10)).build().unwrap();
    let (mut world, door, account) = one_account(a_call_a_second(1), terms("shareid", policy));
    world.feed(Event::Take { door });
    world.open(account, "a");
    world.run();
    world.feed(Event::Cancel { account, id: "a" });
    assert_eq!(requests(&world.pass(Span::mins(1))), [0; 0]);
}

#[test]
fn r14_a_single_use_token_is_carried_once() {
    let policy = token::Policy::single_use(Span::mins(10)).build().unwrap();
    let (mut world, _, account) = one_account(a_call_a_second(10), terms("shufti", policy));
    for id in ["a", "b", "c"] {
        world.open(account, id);
    }
    // The world checks every token that is carried.
    world.pass_answering(Span::mins(2), |_| NOT_READY);
    let log: Vec<Action> = world.log.iter().map(|(_, action)| *action).collect();
    let carried: Vec<u32> = pulls(&log).iter().map(|pull| pull.generation).collect();
    assert!(carried.len() > 10);
    assert_eq!(carried, requests(&log)[..carried.len()]);
}

#[test]
fn r14_a_poisoned_id_ends_alone_and_costs_the_others_at_most_one_renewal_in_30_seconds() {
    let policy = token::Policy::reusable(Span::mins(10)).build().unwrap();
    let (mut world, _, account) = one_account(a_call_a_second(10), terms("shareid", policy));
    let minutes = 10;
    let poisons: Vec<Key> =
        (0..40).map(|nth| format!("poison {nth}")).map(|id| world.open(account, &id)).collect();
    let good: Vec<Key> =
        (0..10).map(|nth| format!("good {nth}")).map(|id| world.open(account, &id)).collect();
    world.pass_answering(Span::mins(minutes), |id| {
        if id.starts_with("poison") { Outcome::Refused } else { NOT_READY }
    });
    for key in poisons {
        assert_eq!(world.fleet.session(key).unwrap().end(), Some(End::Refused));
    }
    for key in good {
        let session = world.fleet.session(key).unwrap();
        assert_eq!(session.end(), None);
        assert!(session.poller().last_op() >= 10, "the others go on: {}", session.poller().last_op());
    }
    let renewals: Vec<Instant> = world
        .log
        .iter()
        .filter(|(_, action)| matches!(action, Action::RequestToken { .. }))
        .map(|(at, _)| *at)
        .collect();
    assert!(renewals.len() <= 2 + minutes as usize * 2, "{renewals:?}");
    for pair in renewals[1..].windows(2) {
        assert!(pair[1].since(pair[0]) >= 30_000, "{renewals:?}");
    }
    assert!(!world.log.iter().any(|(_, action)| matches!(action, Action::CredentialsRefused { .. })));
}

#[test]
fn r14_refused_credentials_end_each_session_as_it_asks_even_while_the_door_is_closed() {
    let policy = token::Policy::reusable(Span::mins(10)).refusals(1).build().unwrap();
    let (mut world, door, account) = one_account(a_call_a_second(10), terms("shareid", policy));
    let waiting = ["a", "b"].map(|id| world.open(account, id));
    let other = world.account(door, basic("shufti"));
    let limited = world.open(other, "limited");
    let done = world.run();
    assert_eq!((requests(&done), keys(&done)), (vec![1], vec![limited]));
    world.answer(pulls(&done)[0], fault(FaultKind::RateLimited, Some(Span::mins(5))));
    let told = world.feed(Event::Token { account, op: 1, answer: TokenAnswer::Refused });
    assert_eq!(told, [Action::CredentialsRefused { account }]);
    assert_eq!(ended(&world.run()), waiting.map(|key| (key, End::Refused)));
    let late = world.open(account, "c");
    assert_eq!(ended(&world.run()), [(late, End::Refused)]);
    assert_eq!(world.fleet.session(limited).unwrap().end(), None, "another account's");
    world.feed(Event::CredentialsReplaced { account });
    world.open(account, "d");
    assert_eq!(requests(&world.pass(Span::mins(6)))[0], 2);
}

#[test]
fn g6_every_session_of_an_overloaded_fleet_ends_at_its_deadline() {
    let (mut world, [account, _]) = two_accounts();
    let opened: Vec<Key> = (0..2_000).map(|nth| world.open(account, &nth.to_string())).collect();
    world.work = 1_000_000;
    world.pass_answering(Span::mins(31), |_| fault(FaultKind::ServerError, None));
    for key in opened {
        assert_eq!(world.fleet.session(key).unwrap().end(), Some(End::Expired));
    }
}
