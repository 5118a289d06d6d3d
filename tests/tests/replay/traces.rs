//! The scenes of which every release records a trace.

use crate::world::{PROVIDERS, Pull, World};
use idv_core::evidence::{Callback, ContentDigest, Fault, FaultKind, Outcome, Report, Verdict};
use idv_core::fleet::trace::{Input, Output, Recording, Redaction};
use idv_core::fleet::{FleetPolicy, Key};
use idv_core::poller::Class;
use idv_core::rules::Rules;
use idv_core::shareid::contract::RULES as SHAREID;
use idv_core::shufti::contract::RULES as SHUFTI;
use idv_core::time::Span;
use std::sync::{Arc, Mutex};

mod more;

/// Something happens to a fleet.
pub(crate) type Scene = fn() -> World;

/// The scenes, and what they are called.
pub(crate) const SCENES: [(&str, Scene); 12] = [
    ("flip", flip),
    ("crash", crash),
    ("callbacks", callbacks),
    ("limits", limits),
    ("tokens", tokens),
    ("endings", endings),
    ("restart", more::restart),
    ("owed", more::owed),
    ("beside", more::beside),
    ("crowd", more::crowd),
    ("credentials", more::credentials),
    ("verdicts", more::verdicts),
];

/// A scene as this release records it.
pub(crate) fn recorded(scene: Scene) -> String {
    text(&scene())
}

fn text(world: &World) -> String {
    let text = Arc::new(Mutex::new(String::new()));
    let written = Arc::clone(&text);
    let mut recording = Recording::new(Redaction::plain_ids(), 1_700_000_000_000, move |line| {
        written.lock().unwrap().push_str(line);
    });
    recording.head(world.policy);
    for entry in world.entries.iter().flatten() {
        recording.entry(entry.clone());
    }
    drop(recording);
    Arc::into_inner(text).unwrap().into_inner().unwrap()
}

fn world(accounts: &[(&'static str, Rules)]) -> World {
    World::new(FleetPolicy::default(), accounts, 42)
}

fn says(world: &mut World, id: &str, verdict: Option<Verdict>, content: u64) {
    world.truth.insert(id.to_owned(), Report { verdict, content: ContentDigest(content) });
}

fn open(world: &mut World, id: &'static str) -> Key {
    let (at, account) = (world.at(), world.account(0));
    let output = world.feed(Input::Open { at, account, id: id.into(), created: None });
    let Output::Opened(key) = output else { panic!("{output:?}") };
    key
}

fn callback(world: &mut World, id: &'static str, callback: Callback) {
    let (at, provider) = (world.at(), world.accounts[0].0.into());
    world.feed(Input::Callback { at, provider, id: id.into(), callback, bytes: 500 });
}

fn pass(world: &mut World, span: Span) {
    let end = world.now.after(span);
    world.go(end);
    world.now = end;
}

/// Pending, accepted, declined, accepted once more; each told of by a callback.
fn flip() -> World {
    let mut world = world(&[("shufti", SHUFTI)]);
    open(&mut world, "flip-1");
    says(&mut world, "flip-1", None, 0);
    pass(&mut world, Span::secs(20));
    let signed = |verdict, content| {
        Callback::Signed(Report { verdict: Some(verdict), content: ContentDigest(content) })
    };
    for (verdict, content, told) in [
        (Verdict::Accepted, 1, signed(Verdict::Accepted, 1)),
        (Verdict::Declined, 2, Callback::SignedSignal),
        (Verdict::Accepted, 1, Callback::Unsigned),
    ] {
        says(&mut world, "flip-1", Some(verdict), content);
        callback(&mut world, "flip-1", told);
        pass(&mut world, Span::mins(15));
    }
    world
}

/// A process takes over what one before left: waiting, in flight, handed over and not confirmed, ended.
fn crash() -> World {
    let mut before = world(&[("shareid", SHAREID)]);
    for id in ["settled-1", "unconfirmed-1", "waiting-1", "flying-1"] {
        open(&mut before, id);
    }
    says(&mut before, "settled-1", Some(Verdict::Accepted), 1);
    pass(&mut before, Span::secs(1));
    says(&mut before, "unconfirmed-1", Some(Verdict::Declined), 2);
    before.now = before.now.after(Span::secs(10));
    before.run();
    before.tokens.clear();
    for Pull { key, op, generation, .. } in std::mem::take(&mut before.pulls) {
        let id = before.replay.fleet().id(key).unwrap();
        if let Some(report) = before.truth.get(id).copied() {
            let at = before.at();
            before.feed(Input::Pulled { at, key, op, generation, outcome: Outcome::Report(report) });
        }
    }
    let mut after = before.crashed(Span::mins(3));
    // The restoring itself belongs to the trace: it is done once more by a fleet that is recorded.
    let mut recorded = world(&[("shareid", SHAREID)]);
    recorded.now = after.now;
    recorded.truth = std::mem::take(&mut after.truth);
    for kept in before.stored.into_values() {
        let snapshot = idv_core::session::Snapshot::new(kept.session, before.now, 0);
        let session = snapshot.restore(recorded.now, 180_000).unwrap();
        let (at, account) = (recorded.at(), recorded.account(0));
        let stored =
            idv_core::fleet::trace::Known { id: kept.id.into(), alias: None, session, version: kept.version };
        recorded.feed(Input::Restore { at, account, stored });
    }
    recorded.feed(Input::ListeningHadAGap);
    for id in ["waiting-1", "flying-1"] {
        says(&mut recorded, id, Some(Verdict::Accepted), 3);
    }
    pass(&mut recorded, Span::mins(2));
    recorded
}

/// Callbacks before anybody opened what they name, after it, twice, forged, and under another id.
fn callbacks() -> World {
    let mut world = world(&[("shareid", SHAREID)]);
    for told in [Callback::Unsigned, Callback::SignedHint, Callback::SignedSignal, Callback::WrongSignature] {
        callback(&mut world, "early-1", told);
    }
    callback(&mut world, "never-1", Callback::Unsigned);
    pass(&mut world, Span::secs(30));
    let key = open(&mut world, "early-1");
    pass(&mut world, Span::secs(2));
    says(&mut world, "early-1", Some(Verdict::Accepted), 1);
    let at = world.at();
    world.feed(Input::LearnAlias { at, key, alias: "person-1".into() });
    for told in [Callback::Unsigned, Callback::Unsigned, Callback::WrongSignature] {
        callback(&mut world, "person-1", told);
        pass(&mut world, Span::secs(7));
    }
    world
}

/// 429 with and without `Retry-After`, faults, and a caller beside.
fn limits() -> World {
    let mut world = world(&[("shufti", Rules { calls: 12, burst: 2, ..SHUFTI })]);
    for id in ["limit-1", "limit-2", "limit-3"] {
        open(&mut world, id);
    }
    let door = serde_json::from_str("0").unwrap();
    let fault = |kind, retry_after| Outcome::Failed(Fault { kind, retry_after });
    for outcome in [
        fault(FaultKind::RateLimited, Some(Span::secs(30))),
        fault(FaultKind::RateLimited, None),
        fault(FaultKind::ServerError, None),
        fault(FaultKind::TimedOut, Some(Span::secs(5))),
    ] {
        world.run();
        let at = world.at();
        world.feed(Input::Take { at, door });
        for Pull { key, op, generation, .. } in std::mem::take(&mut world.pulls) {
            let at = world.at();
            world.feed(Input::Pulled { at, key, op, generation, outcome });
        }
        world.now = world.now.after(Span::secs(40));
    }
    for id in ["limit-1", "limit-2", "limit-3"] {
        says(&mut world, id, Some(Verdict::Declined), 1);
    }
    pass(&mut world, Span::mins(5));
    world
}

/// A token that expires, one that is refused, one that cannot be had, and other credentials.
fn tokens() -> World {
    let mut world = world(&[("shareid", Rules { token_ttl: Span::mins(2), ..SHAREID })]);
    open(&mut world, "token-1");
    // It expires, and another is asked for.
    pass(&mut world, Span::mins(5));
    let refuse = |world: &mut World| {
        world.now = world.now.after(Span::secs(6));
        world.run();
        for Pull { key, op, generation, .. } in std::mem::take(&mut world.pulls) {
            let at = world.at();
            world.feed(Input::Pulled { at, key, op, generation, outcome: Outcome::Refused });
        }
    };
    refuse(&mut world);
    world.now = world.now.after(Span::mins(1));
    world.run();
    for (account, op) in std::mem::take(&mut world.tokens) {
        let at = world.at();
        let fault = Fault { kind: FaultKind::Unreachable, retry_after: None };
        world.feed(Input::TokenFailed { at, account, op, fault });
    }
    pass(&mut world, Span::mins(2));
    for _ in 0..4 {
        refuse(&mut world);
        world.now = world.now.after(Span::mins(1));
        world.run();
        for (account, op) in std::mem::take(&mut world.tokens) {
            let at = world.at();
            world.feed(Input::TokenRefused { at, account, op });
        }
    }
    let (at, account) = (world.at(), world.account(0));
    world.feed(Input::CredentialsReplaced { at, account });
    let key = open(&mut world, "token-2");
    says(&mut world, "token-2", Some(Verdict::Cancelled), 1);
    let at = world.at();
    world.feed(Input::Hint { at, key, class: Class::Confirming });
    pass(&mut world, Span::mins(1));
    world
}

/// A revision that nobody takes, a deadline, a deletion, a cancellation, and a callback to what has ended.
fn endings() -> World {
    let rules = Rules { deadline: Span::mins(1), watch: Some(Span::mins(10)), ..SHUFTI };
    let mut world = world(&[("shufti", rules)]);
    let refused = open(&mut world, "refused-1");
    open(&mut world, "expired-1");
    open(&mut world, "deleted-1");
    let cancelled = open(&mut world, "cancelled-1");
    says(&mut world, "refused-1", Some(Verdict::Declined), 1);
    says(&mut world, "deleted-1", Some(Verdict::Deleted), 2);
    world.run();
    world.hand_overs.clear();
    for Pull { key, op, generation, .. } in std::mem::take(&mut world.pulls) {
        let id = world.replay.fleet().id(key).unwrap();
        if let Some(report) = world.truth.get(id).copied() {
            let at = world.at();
            world.feed(Input::Pulled { at, key, op, generation, outcome: Outcome::Report(report) });
        }
    }
    for (key, revision) in std::mem::take(&mut world.hand_overs) {
        let at = world.at();
        world.feed(if key == refused {
            Input::DeadLettered { at, key, revision }
        } else {
            Input::HandedOver { at, key, revision }
        });
    }
    let at = world.at();
    world.feed(Input::Cancel { at, key: cancelled });
    pass(&mut world, Span::mins(20));
    callback(&mut world, "refused-1", Callback::SignedSignal);
    says(&mut world, "refused-1", Some(Verdict::Accepted), 3);
    pass(&mut world, Span::mins(2));
    world.feed(Input::Forget { key: cancelled });
    assert!(PROVIDERS.contains(&world.accounts[0].0));
    world
}
