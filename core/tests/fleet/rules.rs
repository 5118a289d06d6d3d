//! One test for each rule of the fleet.

use crate::world::{Event, TokenAnswer, World};
use idv_core::budget;
use idv_core::evidence::{Callback, ContentDigest, Fault, FaultKind, NotReady, Outcome, Report, Verdict};
use idv_core::fleet::{
    AccountId, AccountPolicy, Action, DoorId, DoorPolicy, FleetPolicy, Key, OpenError, Stored, UnknownPolicy,
};
use idv_core::machine::Disposition;
use idv_core::poller::{self, Class};
use idv_core::session::{self, End, Snapshot};
use idv_core::time::{Instant, Span};
use idv_core::token;

const NOT_READY: Outcome = Outcome::NotReady(NotReady::Documented);

fn verdict(verdict: Verdict, content: u64) -> Outcome {
    Outcome::Report(Report { verdict: Some(verdict), content: ContentDigest(content) })
}

fn fault(kind: FaultKind, retry_after: Option<Span>) -> Outcome {
    Outcome::Failed(Fault { kind, retry_after })
}

fn terms(provider: &'static str, token: token::Policy) -> AccountPolicy {
    let poller =
        poller::Policy::builder(Span::secs(5), Span::mins(30)).interval(Span::secs(20)).build().unwrap();
    AccountPolicy { provider, token, session: session::Policy::confirm_by_pull(poller) }
}

fn basic(provider: &'static str) -> AccountPolicy {
    terms(provider, token::Policy::not_needed())
}

/// One call a second, back to back at most `burst`.
fn a_call_a_second(burst: u32) -> DoorPolicy {
    DoorPolicy::new(budget::Policy::per_window(60 + burst, Span::mins(1), burst).unwrap())
}

/// Two accounts behind one door, with one call a second.
fn two_accounts() -> (World, [AccountId; 2]) {
    let mut world = World::new(FleetPolicy::default());
    let door = world.door(a_call_a_second(1));
    let accounts = [world.account(door, basic("shufti")), world.account(door, basic("shareid"))];
    (world, accounts)
}

fn one_account(door: DoorPolicy, account: AccountPolicy) -> (World, DoorId, AccountId) {
    let mut world = World::new(FleetPolicy::default());
    let door = world.door(door);
    let account = world.account(door, account);
    (world, door, account)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Pull {
    key: Key,
    op: u32,
    generation: u32,
}

fn pulls(actions: &[Action]) -> Vec<Pull> {
    let pull = |action: &Action| match *action {
        Action::Pull { key, op, generation, .. } => Some(Pull { key, op, generation }),
        _ => None,
    };
    actions.iter().filter_map(pull).collect()
}

fn keys(actions: &[Action]) -> Vec<Key> {
    pulls(actions).iter().map(|pull| pull.key).collect()
}

fn requests(actions: &[Action]) -> Vec<u32> {
    let request = |action: &Action| match *action {
        Action::RequestToken { op, .. } => Some(op),
        _ => None,
    };
    actions.iter().filter_map(request).collect()
}

fn handed(actions: &[Action]) -> Vec<(Key, u32, Verdict)> {
    let handed = |action: &Action| match *action {
        Action::HandOver { key, revision } => Some((key, revision.number, revision.verdict)),
        _ => None,
    };
    actions.iter().filter_map(handed).collect()
}

fn ended(actions: &[Action]) -> Vec<(Key, End)> {
    let ended = |action: &Action| match *action {
        Action::Ended { key, end, .. } => Some((key, end)),
        _ => None,
    };
    actions.iter().filter_map(ended).collect()
}

impl World {
    fn answer(&mut self, pull: Pull, outcome: Outcome) -> Vec<Action> {
        let Pull { key, op, generation } = pull;
        self.feed(Event::Pulled { key, op, generation, outcome })
    }

    /// Opens it, and answers its first pull with a verdict that the application takes.
    fn settled(&mut self, account: AccountId, id: &str) -> Key {
        let key = self.open(account, id);
        let pull = loop {
            let done = self.pass(Span::secs(1));
            match pulls(&done)[..] {
                [pull] => break pull,
                ref other => assert!(other.is_empty(), "{other:?}"),
            }
        };
        self.answer(pull, verdict(Verdict::Accepted, 1));
        self.feed(Event::HandedOver { key, revision: 1 });
        assert!(self.fleet.session(key).unwrap().is_settled());
        key
    }

    fn callback(&mut self, provider: &'static str, id: &'static str, callback: Callback) -> Vec<Action> {
        self.feed(Event::Callback { provider, id, callback })
    }

    /// Lets so much time pass; every pull is answered with this after a second.
    fn pass_answering(&mut self, span: Span, outcome: impl Fn(&str) -> Outcome) {
        let end = self.now.after(span);
        self.go(end, None, |world, action| match action {
            Action::Pull { key, op, generation, .. } => {
                let outcome = outcome(world.fleet.id(key).unwrap());
                Some((world.now.after(Span::secs(1)), Event::Pulled { key, op, generation, outcome }))
            }
            Action::RequestToken { account, op, .. } => {
                let answer = TokenAnswer::Received(None);
                Some((world.now.after(Span::secs(1)), Event::Token { account, op, answer }))
            }
            Action::HandOver { key, revision } => {
                Some((world.now.after(Span::secs(1)), Event::HandedOver { key, revision: revision.number }))
            }
            _ => None,
        });
    }
}

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
    world.open(one, "one too many");
    assert_eq!(crowded(&world), [one, two]);
    world.open(one, "and another");
    assert_eq!(crowded(&world), [one, two]);
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
