//! What is handed over, what is saved before it, and what another process finds.

use crate::support::{Server, answer};
use crate::world::{ACCEPTED, DECLINED, PATIENCE, Script, Unwilling, World, provider};
use idv_core::delivery::{self, Schedule};
use idv_core::evidence::Verdict;
use idv_core::store::{Save, Saved, Sessions};
use idv_core::time::Span;
use idv_ureq::{DriverError, Event, SharedMemory};
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Offered again at once, three times in all.
fn quick() -> delivery::Policy {
    delivery::Policy {
        schedule: Schedule::every(Span::MIN, 3).unwrap(),
        jitter_percent: 0,
        ..idv_ureq::HAND_OVER
    }
}

#[test]
fn g2_a_revision_that_was_not_taken_is_offered_again_under_the_same_key() {
    let server = Script::new(&[("ab-1", &[ACCEPTED])]).serve();
    let attempts = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&attempts);
    let (done, taken) = channel();
    let world = World::with(provider(&server), |builder| {
        builder.hand_over(quick()).on_revision(move |revision| {
            let attempt = {
                let mut seen = seen.lock().unwrap();
                seen.push((revision.id.clone(), revision.number, revision.body.to_vec()));
                seen.len()
            };
            match attempt {
                1 => Err("the database is away".into()),
                2 => panic!("a bug of the application"),
                _ => {
                    done.send(()).unwrap();
                    Ok(())
                }
            }
        });
    });
    world.driver.open(world.account, "ab-1").unwrap();
    taken.recv_timeout(PATIENCE).unwrap();
    world.driver.stop();
    let attempts = attempts.lock().unwrap();
    assert_eq!(attempts.len(), 3);
    assert!(attempts.iter().all(|attempt| *attempt == attempts[0]));
    let error = world.event(|event| match event {
        Event::HandOverFailed { attempt: 1, error, .. } => Some(error.clone()),
        _ => None,
    });
    assert_eq!(error, "the database is away");
}

#[test]
fn g2_g9_after_a_crash_an_unconfirmed_revision_is_repeated_and_a_confirmed_one_is_not() {
    let script = Script::new(&[("ab-1", &[ACCEPTED]), ("ab-2", &["id=ab-2 verdict=declined"])]);
    let server = script.serve();
    let store = SharedMemory::default();
    // The first process hands both over; one is confirmed, the other never.
    let first = World::with(provider(&server), |builder| {
        builder.store(store.clone()).on_revision(|revision| match &*revision.id {
            "ab-1" => Ok(()),
            _ => Err("not now".into()),
        });
    });
    first.driver.open(first.account, "ab-1").unwrap();
    first.driver.open(first.account, "ab-2").unwrap();
    first.event(|event| match event {
        Event::HandOverFailed { number: 1, .. } => Some(()),
        _ => None,
    });
    let deadline = Instant::now() + PATIENCE;
    while confirmed(&store, "ab-1") != Some(1) {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    drop(first);

    let second = World::with(provider(&server), |builder| {
        builder.store(store.clone());
    });
    let repeated = second.revision();
    assert_eq!(repeated.key(), ("fake", "ab-2", 1));
    assert_eq!(&repeated.body[..], b"id=ab-2 verdict=declined");
    assert!(repeated.statement.is_ok());
    // Both are known: opening them again is refused, and a change becomes the next number.
    let again = second.driver.open(second.account, "ab-1").unwrap_err();
    assert!(matches!(again, DriverError::Open(_)), "{again}");
    script.set("ab-1", &[DECLINED]);
    assert_eq!(second.callback("good", DECLINED), 200);
    assert_eq!(second.revision().key(), ("fake", "ab-1", 2));
}

fn confirmed(store: &SharedMemory, id: &str) -> Option<u32> {
    let sessions = store.clone().load(None, 10).unwrap();
    sessions.into_iter().find(|session| &*session.id == id).and_then(|session| session.confirmed)
}

#[test]
fn g9_nothing_is_started_before_the_step_that_asked_for_it_is_saved() {
    let server = Script::new(&[("ab-1", &[ACCEPTED])]).serve();
    let store = Unwilling::default();
    store.fails.store(true, Ordering::SeqCst);
    let world = World::with(provider(&server), |builder| {
        builder.store(store.clone());
    });
    world.driver.open(world.account, "ab-1").unwrap();
    // Tried again at least once more, and still nothing was sent.
    let deadline = Instant::now() + PATIENCE;
    while store.refused.load(Ordering::SeqCst) < 3 {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(server.connections(), 0);
    store.fails.store(false, Ordering::SeqCst);
    assert_eq!(world.revision().verdict, Verdict::Accepted);
}

#[test]
fn g9_a_verification_that_another_process_saved_is_left_to_it() {
    let script = Script::new(&[("ab-1", &[""])]);
    let server = script.serve();
    let store = SharedMemory::default();
    let world = World::with(provider(&server), |builder| {
        builder.store(store.clone());
    });
    let verification = world.driver.open(world.account, "ab-1").unwrap();
    saved_by_another(&store, "ab-1");
    // Noticed at the first step that has something to save, and before anything comes of it.
    script.set("ab-1", &[ACCEPTED]);
    world.event(|event| matches!(event, Event::TakenOver { .. }).then_some(()));
    assert_eq!(world.driver.status(verification).unwrap(), None);
    let pulls = server.requests.lock().unwrap().len();
    world.driver.stop();
    assert!(server.requests.lock().unwrap().len() <= pulls + 1);
    assert!(world.revisions.try_recv().is_err());
}

/// Saves this session as another process would, whatever version is there.
fn saved_by_another(store: &SharedMemory, id: &str) {
    let mut other = store.clone();
    let mut expected = 0;
    let save = |expected| Save {
        provider: "fake",
        id,
        alias: None,
        expected,
        snapshot: b"{}",
        issued: idv_core::store::Keep::Unchanged,
        latest: idv_core::store::Keep::Unchanged,
        applied: &[],
    };
    while let Saved::Conflict { found } = other.save(&save(expected)).unwrap() {
        expected = found;
    }
}

#[test]
fn r8_a_verification_that_only_the_store_still_knows_is_refused_with_what_happened() {
    let server = Script::default().serve();
    let store = SharedMemory::default();
    let world = World::with(provider(&server), |builder| {
        builder.store(store.clone());
    });
    saved_by_another(&store, "ab-1");
    let refused = world.driver.open(world.account, "ab-1").unwrap_err();
    assert!(matches!(refused, DriverError::Stored), "{refused}");
}

#[test]
fn stopping_interrupts_pulls_and_finishes_a_hand_over_under_way() {
    let silent = Server::new(|request, stream| {
        if request.ends_with(b"slow") {
            std::thread::sleep(Duration::from_secs(60));
        }
        answer(stream, "200 OK", "", ACCEPTED.as_bytes());
        true
    });
    let store = SharedMemory::default();
    let (began, begins) = channel();
    let (release, held) = channel::<()>();
    let held = Mutex::new(held);
    let world = World::with(provider(&silent), |builder| {
        builder.store(store.clone()).on_revision(move |_| {
            began.send(()).unwrap();
            let _ = held.lock().unwrap().recv_timeout(PATIENCE);
            Ok(())
        });
    });
    world.driver.open(world.account, "slow").unwrap();
    world.driver.open(world.account, "ab-1").unwrap();
    begins.recv_timeout(PATIENCE).unwrap();
    let start = Instant::now();
    let stopper = world.driver.clone();
    let stopping = std::thread::spawn(move || stopper.stop());
    drop(release);
    stopping.join().unwrap();
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_eq!(confirmed(&store, "ab-1"), Some(1));
    assert!(matches!(world.driver.open(world.account, "ab-3"), Err(DriverError::Stopped)));
    // What was confirmed while stopping is saved: the next process does not repeat it.
    let next = World::with(provider(&silent), |builder| {
        builder.store(store);
    });
    assert!(next.revisions.recv_timeout(Duration::from_millis(100)).is_err());
}
