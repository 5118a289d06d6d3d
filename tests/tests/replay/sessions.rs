//! Saved sessions: every state that a session can be saved in, what it means, and what comes of it.

use crate::random;
use crate::world::World;
use idv_core::evidence::{ContentDigest, Report, Verdict};
use idv_core::fleet::FleetPolicy;
use idv_core::fleet::trace::{Input, Known, Output};
use idv_core::machine::Describe;
use idv_core::session::{Session, Snapshot};
use idv_core::shufti::contract::RULES;
use idv_core::time::{Instant, Span};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const SAVED_UNIX_MS: u64 = 1_700_000_000_000;

/// What tells one state from another: the names of its parts' states, without times and numbers.
fn shape(session: &Value) -> String {
    let name = |value: &Value| match value.as_object() {
        Some(members) => members.keys().cloned().collect::<Vec<_>>().join(" "),
        None => value.to_string(),
    };
    let poller = &session["poller"];
    let words =
        [&session["phase"], &session["hand_over"], &poller["drive"], &poller["demand"]].map(Value::to_string);
    format!("{} {}", name(&poller["phase"]), words.join(" ")).replace(['"', '{', '}'], "")
}

/// One line for each state that random traces reach.
pub(crate) fn written() -> String {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for seed in 0..2_000 {
        random::each_state(seed, &mut |world: &World| {
            for kept in world.stored.values() {
                let snapshot = Snapshot::new(kept.session, world.now, SAVED_UNIX_MS);
                let snapshot = serde_json::to_value(snapshot).unwrap();
                let shape = shape(&snapshot["session"]);
                found.entry(shape.clone()).or_insert_with(|| {
                    let mut saved = json!({ "state": shape, "now": world.now, "snapshot": snapshot });
                    saved["means"] = means(&saved).unwrap();
                    saved.to_string() + "\n"
                });
            }
        });
    }
    found.into_values().collect()
}

fn read(saved: &Value) -> Option<(Instant, Session)> {
    let now: Instant = serde_json::from_value(saved["now"].clone()).unwrap();
    let snapshot: Snapshot = serde_json::from_value(saved["snapshot"].clone()).ok()?;
    Some((now, snapshot.restore(now, SAVED_UNIX_MS)?))
}

/// The same session as this release saves it.
pub(crate) fn saved_again(saved: &Value) -> Option<Value> {
    let (now, session) = read(saved)?;
    Some(serde_json::to_value(Snapshot::new(session, now, SAVED_UNIX_MS)).unwrap())
}

/// What a saved session means: all that can be asked of it, and what is handed over when everybody behaves from then on. `None` where this
/// release cannot read it.
pub(crate) fn means(saved: &Value) -> Option<Value> {
    let (now, session) = read(saved)?;
    let poller = session.poller();
    Some(json!({
        "state": session.state(),
        "open": session.is_open(),
        "settled": session.is_settled(),
        "reopened": session.is_reopened(),
        "over": session.is_over(),
        "end": session.end(),
        "verdict": session.verdict(),
        "content": session.content(),
        "last_revision": session.last_revision(),
        "awaited": session.awaiting_hand_over(),
        "wants": session.wants(),
        "last_op": poller.last_op(),
        "in_flight": poller.in_flight(),
        "next_pull": poller.next_pull(),
        "bound": poller.bound(),
        "demanded": poller.is_demanded(),
        "rest": rest(session, now),
    }))
}

/// The revisions that come of it once the provider says *accepted* and nobody fails.
fn rest(session: Session, now: Instant) -> Value {
    let mut world = World::new(FleetPolicy::default(), &[("shufti", RULES)], 7);
    world.now = now.after(Span::secs(1));
    world.entries = None;
    let report = Report { verdict: Some(Verdict::Accepted), content: ContentDigest(9) };
    world.truth.insert("golden".to_owned(), report);
    let (at, account) = (world.at(), world.account(0));
    let stored = Known { id: "golden".into(), alias: None, session, version: 1 };
    let Output::Opened(key) = world.feed(Input::Restore { at, account, stored }) else { panic!("restored") };
    world.feed(Input::ListeningHadAGap);
    let end = world.now.after(Span::hours(2));
    world.go(end);
    json!(world.logs.remove(&key).unwrap_or_default())
}
