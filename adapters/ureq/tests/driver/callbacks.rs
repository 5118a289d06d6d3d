//! Callbacks, from their arrival to the verdict.

use crate::support;
use crate::world::{ACCEPTED, DECLINED, Script, Unwilling, World, provider};
use idv_core::evidence::{Evidence, Verdict};
use idv_core::store::Journal;
use idv_ureq::{CallbackOutcome, Client, Event, SharedMemory};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

#[test]
fn g3_a_signed_callback_brings_the_next_revision_by_pull() {
    let script = Script::new(&[("ab-1", &[ACCEPTED])]);
    let server = script.serve();
    let world = World::new(&server);
    world.driver.open(world.account, "ab-1").unwrap();
    assert_eq!(world.revision().verdict, Verdict::Accepted);

    script.set("ab-1", &[DECLINED]);
    let address = world.driver.listen("127.0.0.1:0".parse().unwrap(), &[("/cb", world.account)]).unwrap();
    let mut request = support::post(&format!("http://{address}/cb?transaction=1"), DECLINED.as_bytes());
    request.headers.push(("signature", "good".to_owned()));
    assert_eq!(Client::new().send(&request, support::AMPLE).unwrap().status, 200);
    let second = world.revision();
    assert_eq!((second.number, second.verdict, second.evidence), (2, Verdict::Declined, Evidence::Pulled));
    assert_eq!(second.callbacks, [1]);
}

#[test]
fn g4_forged_callbacks_never_become_verdicts() {
    let server = Script::new(&[("ab-1", &[ACCEPTED])]).serve();
    let world = World::new(&server);
    world.driver.open(world.account, "ab-1").unwrap();
    world.revision();
    let pulls = server.requests.lock().unwrap().len();
    assert_eq!(world.callback("forged", DECLINED), 401);
    // It hints: the pull that follows finds nothing new.
    world.event(|event| match event {
        Event::Pulled { op, .. } if *op as usize > pulls => Some(()),
        _ => None,
    });
    world.driver.stop();
    assert!(world.revisions.try_recv().is_err());
}

#[test]
fn r15_a_callback_before_the_opening_is_recorded_and_applied_when_it_opens() {
    let server = Script::new(&[("ab-1", &[ACCEPTED])]).serve();
    let store = SharedMemory::default();
    let world = World::with(provider(&server), |builder| {
        builder.store(store.clone());
    });
    assert_eq!(world.callback("good", ACCEPTED), 200);
    let recorded = world.event(|event| match event {
        Event::Callback(callback) => Some(callback.outcome),
        _ => None,
    });
    assert_eq!(recorded, CallbackOutcome::Recorded { position: 1, duplicate: false });
    assert_eq!(store.clone().unapplied(0, 10).unwrap().len(), 1);
    world.driver.open(world.account, "ab-1").unwrap();
    assert_eq!(world.revision().verdict, Verdict::Accepted);
    // The record may have reached the driver after the opening did: stopping waits for its save.
    world.driver.stop();
    assert_eq!(store.clone().unapplied(0, 10).unwrap().len(), 0);
}

#[test]
fn g5_by_default_a_stalled_store_is_answered_503_after_2500_ms_and_its_late_commit_applies() {
    let script = Script::new(&[("ab-1", &["id=ab-1 verdict=review"])]);
    let server = script.serve();
    let store = Unwilling::default();
    let world = World::with(provider(&server), |builder| {
        builder.store(store.clone());
    });
    world.driver.open(world.account, "ab-1").unwrap();
    assert_eq!(world.revision().verdict, Verdict::ReviewPending);
    let address = world.driver.listen("127.0.0.1:0".parse().unwrap(), &[("/cb", world.account)]).unwrap();
    let mut request = support::post(&format!("http://{address}/cb"), ACCEPTED.as_bytes());
    request.headers.push(("signature", "good".to_owned()));

    store.stalls.store(true, Ordering::SeqCst);
    let began = Instant::now();
    assert_eq!(Client::new().send(&request, support::AMPLE).unwrap().status, 503);
    let took = began.elapsed();
    assert!((Duration::from_millis(2_480)..Duration::from_millis(3_000)).contains(&took), "{took:?}");

    store.stalls.store(false, Ordering::SeqCst);
    world.event(|event| match event {
        Event::Callback(callback) => {
            matches!(callback.outcome, CallbackOutcome::Recorded { .. }).then_some(())
        }
        _ => None,
    });
    assert_eq!(Client::new().send(&request, support::AMPLE).unwrap().status, 200);
    script.set("ab-1", &[ACCEPTED]);
    assert_eq!(world.callback("good", ACCEPTED), 200);
    assert_eq!(world.revision().verdict, Verdict::Accepted);
}

#[test]
fn callbacks_are_received_over_tls() {
    let server = Script::new(&[("ab-1", &[ACCEPTED])]).serve();
    let world = World::new(&server);
    let identity = support::Identity::new(&["localhost"], false);
    let (pem, key) = (identity.pem.as_bytes(), identity.key_pem.as_bytes());
    let tls = idv_listener::tls::config_from_pem(pem, key).unwrap();
    let config = idv_listener::Config { tls: Some(tls), ..idv_listener::Config::default() };
    let paths = [("/cb", world.account)];
    let address = world.driver.listen_with("127.0.0.1:0".parse().unwrap(), &paths, config).unwrap();
    let trusting = idv_ureq::transport::Options { roots_pem: Some(pem.to_vec()), ..Default::default() };
    let client = Client::with_options(&trusting).unwrap();
    for (signature, status) in [("good", 200), ("forged", 401)] {
        let mut request =
            support::post(&format!("https://localhost:{}/cb", address.port()), ACCEPTED.as_bytes());
        request.headers.push(("signature", signature.to_owned()));
        assert_eq!(client.send(&request, support::AMPLE).unwrap().status, status);
    }
}
