//! Scenes for what the first ones leave out: together they hold every call of a fleet, and everything that it asks for.

use super::{callback, open, pass, says, world};
use crate::world::{Kept, Pull, World};
use idv_core::evidence::{Callback, ContentDigest, Fault, FaultKind, NotReady, Outcome, Report, Verdict};
use idv_core::fleet::trace::{Input, Known, Output};
use idv_core::fleet::{FleetPolicy, Key};
use idv_core::poller::Class;
use idv_core::rules::Rules;
use idv_core::session::{EvidencePolicy, Snapshot};
use idv_core::shareid::contract::RULES as SHAREID;
use idv_core::shufti::contract::RULES as SHUFTI;
use idv_core::time::{Instant, Span};
use idv_core::token::Mode;

/// Answers what was asked for, each verification as `answers` says, or not at all.
fn answer(world: &mut World, answers: &[(&str, Outcome)]) {
    world.run();
    for Pull { key, op, generation, .. } in std::mem::take(&mut world.pulls) {
        let id = world.replay.fleet().id(key).unwrap();
        if let Some((_, outcome)) = answers.iter().find(|(name, _)| *name == id).copied() {
            let at = world.at();
            world.feed(Input::Pulled { at, key, op, generation, outcome });
        }
    }
}

fn give_tokens(world: &mut World) {
    world.run();
    for (account, op) in std::mem::take(&mut world.tokens) {
        let at = world.at();
        world.feed(Input::TokenReceived { at, account, op, ttl: None });
    }
}

fn confirm(world: &mut World) {
    for (key, revision) in std::mem::take(&mut world.hand_overs) {
        let at = world.at();
        world.feed(Input::HandedOver { at, key, revision });
    }
}

const fn report(verdict: Verdict, content: u64) -> Outcome {
    Outcome::Report(Report { verdict: Some(verdict), content: ContentDigest(content) })
}

const fn fault(kind: FaultKind, retry_after: Option<Span>) -> Fault {
    Fault { kind, retry_after }
}

/// What a store has of a session, read by a process whose clock shows `now`, three minutes after it was saved at `saved`.
fn read_back(kept: Kept, saved: Instant, now: Instant) -> Known<'static> {
    let text = serde_json::to_string(&Snapshot::new(kept.session, saved, 0)).unwrap();
    let snapshot: Snapshot = serde_json::from_str(&text).unwrap();
    let session = snapshot.restore(now, 180_000).unwrap();
    Known { id: kept.id.into(), alias: kept.alias.map(Into::into), session, version: kept.version }
}

/// A process takes over what one before left: never asked for, in flight, waiting, under review, handed over and not confirmed, a revision
/// behind another, settled and known by another id too, ended; and one that the application opens again before the store is asked.
pub(super) fn restart() -> World {
    let mut before = world(&[("shareid", SHAREID)]);
    for id in ["settled-1", "unconfirmed-1", "behind-1", "waiting-1", "review-1", "known-1"] {
        open(&mut before, id);
    }
    let cancelled = open(&mut before, "cancelled-1");
    give_tokens(&mut before);
    let settled = before.find(before.account(0), "settled-1").unwrap();
    let at = before.at();
    before.feed(Input::LearnAlias { at, key: settled, alias: "person-1".into() });
    answer(
        &mut before,
        &[
            ("settled-1", report(Verdict::Accepted, 1)),
            ("unconfirmed-1", report(Verdict::Declined, 5)),
            ("behind-1", report(Verdict::Accepted, 2)),
            ("waiting-1", Outcome::NotReady(NotReady::Documented)),
            ("review-1", report(Verdict::ReviewPending, 3)),
            ("known-1", report(Verdict::Declined, 4)),
        ],
    );
    let silent = ["unconfirmed-1", "behind-1"].map(|id| before.find(before.account(0), id).unwrap());
    before.hand_overs.retain(|(key, _)| !silent.contains(key));
    confirm(&mut before);
    let at = before.at();
    before.feed(Input::Cancel { at, key: cancelled });
    callback(&mut before, "behind-1", Callback::Unsigned);
    before.now = before.now.after(Span::secs(12));
    answer(&mut before, &[("behind-1", report(Verdict::Declined, 2))]);
    open(&mut before, "flying-1");
    before.run();
    open(&mut before, "asking-1");
    let in_flight = |id| {
        let fleet = before.replay.fleet();
        fleet.session(before.find(before.account(0), id).unwrap()).unwrap().poller().in_flight().is_some()
    };
    assert_eq!(["flying-1", "asking-1"].map(in_flight), [true, false]);

    let mut after = world(&[("shareid", SHAREID)]);
    after.now = Instant::from_millis(777);
    let (saved, now) = (before.now, after.now);
    let (known, others): (Vec<Kept>, Vec<Kept>) =
        before.stored.into_values().partition(|kept| kept.id == "known-1");
    for kept in others {
        let (at, account) = (after.at(), after.account(0));
        after.feed(Input::Restore { at, account, stored: read_back(kept, saved, now) });
    }
    let awaited: Vec<(Key, u32)> = after
        .stored
        .keys()
        .filter_map(|key| Some((*key, after.replay.fleet().session(*key)?.awaiting_hand_over()?.number)))
        .collect();
    assert_eq!(awaited.len(), 2);
    after.hand_overs = awaited;
    after.feed(Input::ListeningHadAGap);
    let key = open(&mut after, "known-1");
    let at = after.at();
    for kept in known {
        after.feed(Input::Replace { at, key, stored: read_back(kept, saved, now) });
    }
    for id in ["waiting-1", "flying-1", "review-1", "asking-1", "known-1"] {
        says(&mut after, id, Some(Verdict::Accepted), 6);
    }
    for (id, content) in [("unconfirmed-1", 5), ("behind-1", 2)] {
        says(&mut after, id, Some(Verdict::Declined), content);
    }
    says(&mut after, "settled-1", Some(Verdict::Accepted), 1);
    pass(&mut after, Span::mins(2));
    for (id, told) in [("person-1", Callback::Unsigned), ("cancelled-1", Callback::SignedHint)] {
        callback(&mut after, id, told);
    }
    says(&mut after, "settled-1", Some(Verdict::Accepted), 7);
    says(&mut after, "cancelled-1", Some(Verdict::Cancelled), 8);
    pass(&mut after, Span::mins(2));
    after
}

/// Sessions whose save is owed are permitted nothing until they are released (G7), though they are told of callbacks and hints.
pub(super) fn owed() -> World {
    let mut world = world(&[("shufti", Rules { calls: 12, burst: 2, ..SHUFTI })]);
    let keys = ["owed-1", "owed-2", "free-1"].map(|id| open(&mut world, id));
    let [first, second, _] = keys;
    for key in [first, second, second] {
        world.feed(Input::Hold { key });
    }
    answer(&mut world, &[("free-1", Outcome::NotReady(NotReady::Documented))]);
    callback(&mut world, "owed-1", Callback::SignedSignal);
    let at = world.at();
    world.feed(Input::Hint { at, key: second, class: Class::Confirming });
    world.now = world.now.after(Span::secs(30));
    world.run();
    says(&mut world, "owed-1", Some(Verdict::Accepted), 1);
    says(&mut world, "owed-2", Some(Verdict::Declined), 2);
    world.feed(Input::Release { key: second });
    world.feed(Input::Release { key: second });
    pass(&mut world, Span::secs(20));
    world.feed(Input::Release { key: first });
    pass(&mut world, Span::mins(5));
    // One that is held is forgotten, and its key serves nobody else.
    world.feed(Input::Hold { key: first });
    world.feed(Input::Forget { key: first });
    world.feed(Input::Release { key: first });
    world
}

/// What answers to forgotten pulls say to everybody, calls of somebody else until there are no more, and openings that cannot be.
pub(super) fn beside() -> World {
    let policy = FleetPolicy { sessions: 3, ..FleetPolicy::default() };
    let mut world = World::new(policy, &[("shareid", Rules { calls: 12, burst: 2, ..SHAREID })], 42);
    open(&mut world, "beside-1");
    let forgotten = open(&mut world, "beside-2");
    let (at, account) = (world.at(), world.account(0));
    for id in ["beside-1", ""] {
        world.feed(Input::Open { at, account, id: id.into(), created: None });
    }
    let nowhere = world.account(7);
    world.feed(Input::Open { at, account: nowhere, id: "beside-3".into(), created: None });
    open(&mut world, "beside-3");
    world.feed(Input::Open { at, account, id: "beside-4".into(), created: None });
    give_tokens(&mut world);
    pass(&mut world, Span::secs(30));
    world.feed(Input::Forget { key: forgotten });
    let door = serde_json::from_str("0").unwrap();
    for outcome in [
        Outcome::NotReady(NotReady::NotFound),
        Outcome::Refused,
        Outcome::Failed(fault(FaultKind::RateLimited, Some(Span::mins(1)))),
        Outcome::Failed(fault(FaultKind::RateLimited, None)),
        report(Verdict::Accepted, 1),
    ] {
        let at = world.at();
        world.feed(Input::Heed { at, account, generation: 1, outcome });
        world.feed(Input::Take { at, door });
        world.run();
        world.now = world.now.after(Span::mins(2));
        for _ in 0..4 {
            let at = world.at();
            world.feed(Input::Take { at, door });
        }
        pass(&mut world, Span::secs(40));
    }
    let (at, nowhere) = (world.at(), serde_json::from_str("7").unwrap());
    world.feed(Input::Take { at, door: nowhere });
    says(&mut world, "beside-1", Some(Verdict::Accepted), 1);
    pass(&mut world, Span::mins(2));
    world
}

/// More sessions than the limit has pulls for.
pub(super) fn crowd() -> World {
    let rules = Rules {
        token_mode: Mode::SingleUse,
        token_ttl: Span::mins(5),
        calls: 4,
        burst: 1,
        deadline: Span::mins(4),
        ..SHUFTI
    };
    let mut world = world(&[("shufti", rules)]);
    for id in ["crowd-1", "crowd-2", "crowd-3", "crowd-4"] {
        open(&mut world, id);
    }
    says(&mut world, "crowd-1", Some(Verdict::Accepted), 1);
    pass(&mut world, Span::mins(10));
    world
}

/// Credentials that are refused for good and replaced, and a verification that is refused by itself.
pub(super) fn credentials() -> World {
    let mut world = world(&[("shareid", SHAREID)]);
    open(&mut world, "refused-1");
    for _ in 0..5 {
        world.run();
        for (account, op) in std::mem::take(&mut world.tokens) {
            let at = world.at();
            world.feed(Input::TokenRefused { at, account, op });
        }
        world.now = world.now.after(Span::mins(2));
    }
    let (at, account) = (world.at(), world.account(0));
    world.feed(Input::CredentialsReplaced { at, account });
    open(&mut world, "poisoned-1");
    let taken = open(&mut world, "taken-1");
    says(&mut world, "taken-1", Some(Verdict::Accepted), 1);
    for _ in 0..3 {
        give_tokens(&mut world);
        answer(&mut world, &[("poisoned-1", Outcome::Refused), ("taken-1", report(Verdict::Accepted, 1))]);
        confirm(&mut world);
        world.now = world.now.after(Span::mins(1));
    }
    for class in [Class::Routine, Class::Confirming] {
        let at = world.at();
        world.feed(Input::Hint { at, key: taken, class });
    }
    callback(&mut world, "refused-1", Callback::Unsigned);
    for _ in 0..2 {
        let at = world.at();
        world.feed(Input::Cancel { at, key: taken });
    }
    pass(&mut world, Span::mins(8));
    world
}

/// Every verdict, every reason for there being none and every fault; stated at the creation, by trusted signatures and by pulls.
pub(super) fn verdicts() -> World {
    let rules = Rules {
        evidence: EvidencePolicy::TrustSigned,
        calls: 600,
        burst: 20,
        deadline: Span::hours(24),
        watch: Some(Span::hours(1)),
        ..SHUFTI
    };
    let mut world = world(&[("shufti", rules), ("shareid", SHAREID)]);
    let said = |verdict, content| Report { verdict: Some(verdict), content: ContentDigest(content) };
    let (at, account) = (world.at(), world.account(0));
    for (id, created) in [
        ("created-1", said(Verdict::Accepted, 1)),
        ("created-2", Report { verdict: None, content: ContentDigest(2) }),
    ] {
        world.feed(Input::Open { at, account, id: id.into(), created: Some(created) });
    }
    let stories = [
        ("cancelled-1", Verdict::Cancelled),
        ("late-1", Verdict::TimedOut),
        ("review-1", Verdict::ReviewPending),
        ("gone-1", Verdict::Deleted),
        ("accepted-1", Verdict::Accepted),
        ("declined-1", Verdict::Declined),
    ];
    for ((id, verdict), content) in stories.into_iter().zip(10..) {
        open(&mut world, id);
        world.run();
        // One of them is told before its first pull is answered, the others by that answer.
        if verdict == Verdict::Declined {
            callback(&mut world, id, Callback::Signed(said(verdict, content)));
        }
        says(&mut world, id, Some(verdict), content);
        pass(&mut world, Span::secs(3));
    }
    for (id, verdict) in [("review-1", Verdict::Declined), ("cancelled-1", Verdict::Accepted)] {
        says(&mut world, id, Some(verdict), 20);
        callback(&mut world, id, Callback::Signed(said(verdict, 20)));
        pass(&mut world, Span::secs(10));
    }
    let faulty = open(&mut world, "faulty-1");
    let kinds = [
        FaultKind::Unreachable,
        FaultKind::Tls,
        FaultKind::TimedOut,
        FaultKind::RateLimited,
        FaultKind::ServerError,
        FaultKind::Redirect,
        FaultKind::UnexpectedStatus,
        FaultKind::Truncated,
        FaultKind::Malformed,
        FaultKind::BadSignature,
    ];
    let faults = kinds.map(|kind| Outcome::Failed(fault(kind, None)));
    let reasons = [NotReady::Documented, NotReady::NotFound, NotReady::Invalid].map(Outcome::NotReady);
    for outcome in faults.into_iter().chain(reasons).chain([Outcome::Refused]) {
        answer(&mut world, &[("faulty-1", outcome)]);
        world.now = world.now.after(Span::mins(20));
    }
    let at = world.at();
    world.feed(Input::Hint { at, key: faulty, class: Class::Audit });
    says(&mut world, "faulty-1", Some(Verdict::Accepted), 30);
    pass(&mut world, Span::mins(2));
    // Little by little.
    for id in ["accepted-1", "declined-1"] {
        callback(&mut world, id, Callback::SignedSignal);
    }
    let at = world.at();
    let more = world.feed(Input::Run { at, work: 1 });
    assert!(matches!(more, Output::Wake(_)));
    pass(&mut world, Span::mins(70));
    world
}
