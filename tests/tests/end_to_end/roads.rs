//! Both roads at once: flips, replays, forgeries, losses, storms.

use crate::{ACCEPTED, CHANGED, DECLINED, World, config, now, signed};
use idv_core::evidence::{Evidence, Verdict};
use idv_core::provider::Authenticity;
use idv_core::rules::Rules;
use idv_core::session::EvidencePolicy;
use idv_core::time::Span;
use idv_sandbox::{Callback, Fate, Key, Product, Provider};
use idv_tests::driving::rarely;
use idv_tests::wire;
use idv_ureq::{CallbackOutcome, SharedMemory};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

#[test]
fn g3_flips_are_revisions_in_the_providers_order_each_confirmed_by_a_pull() {
    let world = World::with(config(1), rarely, |_| ());
    let verification = world.shufti("quiet", "order-1");
    world.pulled("order-1", 1);
    // Accepted, declined, accepted again with the very body of the first time: three revisions.
    for (number, (event, verdict)) in (1..).zip([
        (ACCEPTED, Verdict::Accepted),
        (DECLINED, Verdict::Declined),
        (ACCEPTED, Verdict::Accepted),
    ]) {
        world.happen(Provider::Shufti, "order-1", &now(event));
        let revision = world.application.revision();
        assert_eq!(revision.key(), ("shufti", "order-1", number));
        assert_eq!(
            (revision.verdict, revision.evidence, revision.data_changed),
            (verdict, Evidence::Pulled, false)
        );
        assert_eq!(revision.statement.as_ref().unwrap().event.as_deref(), Some(event));
        world.quiet(verification);
    }
    // The same verdict with other data is a revision that says so.
    let mut corrected = now(ACCEPTED);
    corrected
        .fields
        .insert("verification_data".to_owned(), serde_json::json!({"document": {"dob": "1978-03-14"}}));
    world.happen(Provider::Shufti, "order-1", &corrected);
    let revision = world.application.revision();
    assert_eq!((revision.number, revision.verdict, revision.data_changed), (4, Verdict::Accepted, true));
}

#[test]
fn g3_a_replayed_callback_rolls_nothing_back_and_is_no_new_record() {
    let store = SharedMemory::default();
    let kept = store.clone();
    let world = World::with(config(1), rarely, move |builder| {
        builder.store(kept);
    });
    let verification = world.shufti("quiet", "order-1");
    world.pulled("order-1", 1);
    world.happen(Provider::Shufti, "order-1", &now(ACCEPTED));
    assert_eq!(world.application.revision().verdict, Verdict::Accepted);
    world.quiet(verification);
    let genuine = world.sandbox.deliveries()[0].body.to_vec();
    world.happen(Provider::Shufti, "order-1", &now(DECLINED).lost());
    let pulls = world.sandbox.statistics().shufti.pulls;
    let records = store.with(idv_core::store::MemoryStore::len);
    // The old bytes, byte for byte and rightly signed: they say accepted, and bring the decline to light.
    let reply = wire::send(world.address, &signed(std::str::from_utf8(&genuine).unwrap()));
    assert_eq!(reply.status, 200);
    let revision = world.application.revision();
    assert_eq!((revision.number, revision.verdict), (2, Verdict::Declined));
    assert!(world.sandbox.statistics().shufti.pulls > pulls);
    assert_eq!(store.with(idv_core::store::MemoryStore::len), records, "a duplicate was recorded again");
    world.quiet(verification);
    assert!(world.application.revisions().is_empty());
}

#[test]
fn g4_a_forgery_is_never_a_verdict_whatever_the_evidence_policy() {
    for evidence in [EvidencePolicy::ConfirmByPull, EvidencePolicy::TrustSigned] {
        let world = World::with(config(1), |rules| rarely(Rules { evidence, ..rules }), |_| ());
        let verification = world.shufti("quiet", "order-1");
        world.pulled("order-1", 1);
        let claim = format!(r#"{{"reference":"order-1","event":"{ACCEPTED}"}}"#);
        for key in [Key::Wrong, Key::None] {
            let forged = Callback { event: Some(ACCEPTED.to_owned()), key, ..Callback::default() };
            world.happen(Provider::Shufti, "order-1", &now("request.pending").with_callbacks([forged]));
            let told = world.application.callback();
            assert!(matches!(told.outcome, CallbackOutcome::Refused { status: 401, .. }), "{told:?}");
        }
        let unsigned = [("content-type", "application/json")];
        assert_eq!(wire::post(world.address, "/callbacks/shufti", &unsigned, claim.as_bytes()).status, 401);
        world.pulled("order-1", 2);
        assert!(world.application.revisions().is_empty());

        // Rightly signed: evidence under one policy, a reason to pull under the other, which then shows that it is old.
        assert_eq!(world.post_shufti(&claim).status, 200);
        match evidence {
            EvidencePolicy::TrustSigned => {
                let revision = world.application.revision();
                assert_eq!((revision.verdict, revision.evidence), (Verdict::Accepted, Evidence::Signed));
            }
            EvidencePolicy::ConfirmByPull => {
                world.pulled("order-1", 3);
                assert!(world.application.revisions().is_empty());
            }
        }
        world.happen(Provider::Shufti, "order-1", &now(DECLINED));
        assert_eq!(world.application.revision().verdict, Verdict::Declined);
        world.quiet(verification);
    }
    // ShareID signs nothing: every callback is a claim.
    let world = World::with(config(1), rarely, |_| ());
    world.shareid("pending", "flow-1");
    world.pulled("flow-1", 1);
    let json = [("content-type", "application/json")];
    let claim = br#"{"flow_id":"flow-1","reasons":[]}"#;
    assert_eq!(wire::post(world.address, "/callbacks/shareid", &json, claim).status, 200);
    assert_eq!(world.application.callback().authenticity, Some(Authenticity::Unsigned));
    world.pulled("flow-1", 2);
    assert!(world.application.revisions().is_empty());
}

/// What the provider's history comes to, scenario by scenario.
const HISTORIES: [(Product, &str, &[Verdict]); 22] = {
    use Verdict::{Accepted, Cancelled, Declined, Deleted, ReviewPending, TimedOut};
    const SHUFTI: Product = Product::Shufti;
    const SHAREID: Product = Product::Authenticate;
    [
        (SHUFTI, "accepted", &[Accepted]),
        (SHUFTI, "declined", &[Declined]),
        (SHUFTI, "cancelled", &[Cancelled]),
        (SHUFTI, "received", &[Accepted]),
        (SHUFTI, "review", &[ReviewPending, Accepted]),
        (SHUFTI, "review-declined", &[ReviewPending, Declined]),
        (SHUFTI, "flip", &[Accepted, Declined]),
        (SHUFTI, "flip-flop", &[Accepted, Declined, Accepted]),
        (SHUFTI, "revived", &[TimedOut, Accepted]),
        (SHUFTI, "data-changed", &[Accepted, Accepted]),
        (SHUFTI, "deleted", &[Accepted, Deleted]),
        (SHUFTI, "lost-callback", &[Accepted]),
        (SHUFTI, "twice", &[Accepted]),
        (SHUFTI, "reordered", &[Accepted, Declined]),
        (SHUFTI, "replayed", &[Accepted, Declined]),
        (SHUFTI, "wrong-key", &[Accepted]),
        (SHUFTI, "false-alarm", &[Accepted]),
        (SHUFTI, "unreadable", &[Accepted]),
        (SHUFTI, "forged", &[Declined]),
        (SHAREID, "accepted", &[Accepted]),
        (SHAREID, "flip", &[Accepted, Declined]),
        (SHAREID, "forged", &[Declined]),
    ]
};

fn is_subsequence(part: &[Verdict], whole: &[Verdict]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|verdict| rest.any(|other| other == verdict))
}

#[test]
fn g1_g3_every_scenario_ends_in_its_truth_by_a_subsequence_of_its_history() {
    // The providers' second is five milliseconds.
    let world = World::with(config(200), |rules| rules, |_| ());
    let told = world.sandbox.listen();
    let mut open = BTreeMap::new();
    for (product, scenario, history) in HISTORIES {
        let id = format!("{}-{scenario}-1", product.provider().as_str());
        let verification = world.open(product, scenario, &id);
        open.insert(id, (verification, history));
    }
    let mut handed: BTreeMap<String, Vec<Verdict>> = BTreeMap::new();
    let is_done = |handed: &BTreeMap<String, Vec<Verdict>>| {
        open.iter()
            .all(|(id, (_, history))| handed.get(id).and_then(|verdicts| verdicts.last()) == history.last())
    };
    let mut take = |revision: idv_ureq::Revision| {
        let verdicts = handed.entry(revision.id.to_string()).or_default();
        verdicts.push(revision.verdict);
        assert_eq!(revision.number as usize, verdicts.len(), "numbers go up by one: {revision:?}");
        is_done(&handed)
    };
    while !take(world.application.revision()) {}
    // Until every callback has come, old and forged ones too.
    while world.sandbox.deliveries().iter().any(|delivery| delivery.fate == Fate::Waiting) {
        told.recv_timeout(Duration::from_secs(20)).unwrap();
    }
    let flips = open.iter().filter(|(_, (_, history))| history.len() > 1);
    for (verification, _) in flips.map(|(_, of)| of) {
        if world.application.driver.status(*verification).unwrap().is_some_and(|status| status.end.is_none())
        {
            world.quiet(*verification);
        }
    }
    for revision in world.application.revisions() {
        take(revision);
    }
    for (id, (_, history)) in &open {
        let verdicts = &handed[id];
        assert!(is_subsequence(verdicts, history), "{id}: {verdicts:?} of {history:?}");
        assert_eq!(verdicts.last(), history.last(), "{id}");
    }
    let statistics = world.sandbox.statistics();
    assert_eq!((statistics.shufti.invalid, statistics.shareid.invalid), (0, 0));
}

#[test]
fn r9_a_change_whose_callback_is_lost_is_found_by_the_daily_audit() {
    let world = World::new();
    let verification = world.shufti("quiet", "order-1");
    world.happen(Provider::Shufti, "order-1", &now(ACCEPTED).lost());
    assert_eq!(world.application.revision().verdict, Verdict::Accepted);
    world.quiet(verification);
    world.happen(Provider::Shufti, "order-1", &now(DECLINED).lost());
    world.application.leap(Span::hours(28), verification);
    assert_eq!(world.application.revision().verdict, Verdict::Declined);
}

#[test]
fn r4_g7_a_storm_of_callbacks_is_recorded_once_each_and_costs_few_pulls() {
    const BODIES: usize = 10;
    const THREADS: usize = 16;
    const POSTS: usize = 20;
    let store = SharedMemory::default();
    let kept = store.clone();
    let world = World::with(config(1), rarely, move |builder| {
        builder.store(kept);
    });
    let verification = world.shufti("quiet", "order-1");
    world.pulled("order-1", 1);
    world.happen(Provider::Shufti, "order-1", &now(ACCEPTED).lost());
    let genuine: Vec<Vec<u8>> = (0..BODIES)
        .map(|n| signed(&format!(r#"{{"reference":"order-1","event":"{CHANGED}","number":{n}}}"#)))
        .collect();
    let claim = format!(r#"{{"reference":"order-1","event":"{DECLINED}"}}"#);
    let forged = wire::request("POST", "/callbacks/shufti", &[("signature", "00")], claim.as_bytes());
    let began = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (genuine, forged) = (&genuine, &forged);
            scope.spawn(move || {
                for post in 0..POSTS {
                    assert_eq!(wire::send(world.address, &genuine[(thread + post) % BODIES]).status, 200);
                    assert_eq!(wire::send(world.address, forged).status, 401);
                }
            });
        }
    });
    world.quiet(verification);
    let most = began.elapsed().as_millis() / 10 + 2;
    let revisions = world.application.revisions();
    assert_eq!(revisions.len(), 1, "{revisions:?}");
    assert_eq!(revisions[0].verdict, Verdict::Accepted);
    assert_eq!(store.with(idv_core::store::MemoryStore::len), BODIES);
    let pulls = world.sandbox.statistics().shufti.pulls;
    assert!(u128::from(pulls) <= most, "{pulls} pulls for {} callbacks", THREADS * POSTS * 2);
}
