//! Stores that fail or stall.

use crate::{ACCEPTED, World, config, now, signed};
use idv_core::evidence::Verdict;
use idv_core::store::Journal;
use idv_sandbox::{Fate, Provider};
use idv_tests::driving::{FaultyStore, rarely};
use idv_tests::wire;
use idv_ureq::{CallbackOutcome, Event};
use std::time::{Duration, Instant};

fn world(store: &FaultyStore) -> World {
    let store = store.clone();
    World::with(config(1), rarely, move |builder| {
        builder.store(store);
    })
}

fn body(event: &str) -> String {
    format!(r#"{{"reference":"order-1","event":"{event}"}}"#)
}

#[test]
fn g5_a_store_that_fails_answers_503_and_the_verdict_arrives_all_the_same() {
    let store = FaultyStore::default();
    let world = world(&store);
    let verification = world.shufti("quiet", "order-1");
    world.pulled("order-1", 1);
    store.fail_commits(true);
    world.happen(Provider::Shufti, "order-1", &now(ACCEPTED).lost());
    let reply = world.post_shufti(&body(ACCEPTED));
    assert_eq!((reply.status, reply.body.as_str()), (503, "not recorded; send it again\n"));
    assert_eq!(
        world.application.revision().verdict,
        Verdict::Accepted,
        "what arrived was a hint all the same"
    );
    assert!(store.memory.with(idv_core::store::MemoryStore::is_empty));
    world.quiet(verification);

    store.fail_commits(false);
    assert_eq!(world.post_shufti(&body(ACCEPTED)).status, 200);
    assert_eq!(store.memory.with(idv_core::store::MemoryStore::len), 1);
    world.quiet(verification);
    world.application.driver.stop();
    assert!(world.application.revisions().is_empty(), "the retry is no new revision");
    assert_eq!(store.memory.clone().unapplied(0, 10).unwrap(), []);
}

#[test]
fn r10_g5_a_commit_that_comes_after_the_503_steps_the_session() {
    let store = FaultyStore::default();
    let world = world(&store);
    let verification = world.shufti("quiet", "order-1");
    world.pulled("order-1", 1);
    store.stall_commits(true);
    let began = Instant::now();
    let address = world.address;
    let posting = std::thread::spawn(move || wire::send(address, &signed(&body(ACCEPTED))));
    store.wait_for_stalled(1);
    // A twin waits for the first commit, and is late too.
    let twin = std::thread::spawn(move || wire::send(address, &signed(&body(ACCEPTED))));
    let (reply, twin) = (posting.join().unwrap(), twin.join().unwrap());
    let took = began.elapsed();
    assert_eq!((reply.status, reply.body.as_str()), (503, "not recorded in time; send it again\n"));
    assert_eq!(twin.status, 503);
    assert!(took >= Duration::from_millis(2_490), "{took:?}");
    assert!(took < Duration::from_millis(3_000), "{took:?}: the provider has given up");
    // The hint of the 503 found nothing yet.
    world.pulled("order-1", 2);
    while world.application.driver.status(verification).unwrap().unwrap().pulling {
        world.pulled("order-1", 3);
    }
    world.happen(Provider::Shufti, "order-1", &now(ACCEPTED).lost());
    store.stall_commits(false);
    assert_eq!(world.application.revision().verdict, Verdict::Accepted);
    world.application.event(|event| match event {
        Event::Callback(told) => matches!(told.outcome, CallbackOutcome::Recorded { .. }).then_some(()),
        _ => None,
    });
    world.application.driver.stop();
    assert_eq!(store.memory.with(idv_core::store::MemoryStore::len), 1);
    assert_eq!(store.memory.clone().unapplied(0, 10).unwrap(), []);
}

#[test]
fn g5_the_provider_comes_again_until_the_store_works() {
    let store = FaultyStore::default();
    store.fail_commits(true);
    let kept = store.clone();
    // Shufti's fifteen seconds are thirty milliseconds.
    let world = World::with(config(500), rarely, move |builder| {
        builder.store(kept);
    });
    let told = world.sandbox.listen();
    world.shufti("quiet", "order-1");
    world.pulled("order-1", 1);
    world.happen(Provider::Shufti, "order-1", &now(ACCEPTED));
    let first = world.application.callback();
    assert!(matches!(first.outcome, CallbackOutcome::Refused { status: 503, .. }), "{first:?}");
    store.fail_commits(false);
    while world.sandbox.deliveries().iter().any(|delivery| delivery.fate == Fate::Waiting) {
        told.recv_timeout(Duration::from_secs(20)).unwrap();
    }
    let delivery = world.sandbox.deliveries().pop().unwrap();
    assert_eq!(delivery.fate, Fate::Delivered);
    assert_eq!(delivery.attempts.first().and_then(|attempt| attempt.status), Some(503));
    assert_eq!(delivery.attempts.last().and_then(|attempt| attempt.status), Some(200));
    assert_eq!(world.application.revision().verdict, Verdict::Accepted);
    assert_eq!(store.memory.with(idv_core::store::MemoryStore::len), 1);
}
