//! Verifications on their way to a verdict, and what a driver is asked about them.

use crate::fake::Fake;
use crate::support::{Server, answer};
use crate::world::{ACCEPTED, Script, World, provider};
use idv_core::evidence::{Evidence, Verdict};
use idv_core::provider::Provider;
use idv_core::rules::Rules;
use idv_core::session::End;
use idv_core::time::Span;
use idv_ureq::{Account, Client, Driver, DriverError, Event, WaitError};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[test]
fn g1_one_verification_is_waited_for_in_five_lines() {
    let server = Script::new(&[("ab-1", &["", "", ACCEPTED])]).serve();
    let account = Account::new(provider(&server)).unwrap();
    let revision = idv_ureq::wait(account, "ab-1", &Client::new()).unwrap();
    assert_eq!(revision.key(), ("fake", "ab-1", 1));
    assert_eq!((revision.verdict, revision.evidence), (Verdict::Accepted, Evidence::Pulled));
    assert_eq!(&revision.body[..], ACCEPTED.as_bytes());
    assert_eq!(revision.statement.unwrap().event.as_deref(), Some("accepted"));
    assert_eq!(server.requests.lock().unwrap().len(), 3);
}

#[test]
fn waiting_ends_with_the_reason_when_there_is_no_verdict() {
    let rules = |fake: &Fake| Rules { ..fake.rules() }.with_deadline(Span::millis(200));
    let wait = |fake: Fake| {
        let rules = rules(&fake);
        idv_ureq::wait(Account::with_rules(fake, &rules).unwrap(), "ab-1", &Client::new()).unwrap_err()
    };
    let never = Script::default().serve();
    assert!(matches!(wait(provider(&never)), WaitError::Expired { .. }));

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let unreachable = wait(Fake { base: format!("http://{closed}"), tokens: false, signs: true });
    assert!(matches!(unreachable, WaitError::Unreachable { .. }));
    assert!(unreachable.to_string().contains("connection refused"), "{unreachable}");

    let refusing = Server::new(|_, stream| {
        answer(stream, "401 Unauthorized", "", b"");
        true
    });
    assert!(matches!(wait(provider(&refusing)), WaitError::Refused { .. }));
}

#[test]
fn r14_tokens_are_asked_for_once_and_renewed_after_a_401() {
    let issued = Arc::new(AtomicUsize::new(0));
    let server = Server::new(move |request, stream| {
        let text = String::from_utf8_lossy(request).to_ascii_lowercase();
        if text.starts_with("post /token") {
            let number = issued.fetch_add(1, Ordering::SeqCst) + 1;
            answer(stream, "200 OK", "", format!("token-{number}").as_bytes());
        } else if text.contains("authorization: bearer token-1\r\n") {
            answer(stream, "401 Unauthorized", "", b"");
        } else {
            let body = text.split("\r\n\r\n").nth(1).unwrap();
            answer(stream, "200 OK", "", format!("id={body} verdict=accepted").as_bytes());
        }
        true
    });
    let world = World::with(Fake { base: server.url(""), tokens: true, signs: true }, |_| ());
    for id in ["ab-1", "ab-2", "ab-3"] {
        world.driver.open(world.account, id).unwrap();
    }
    for _ in 0..3 {
        assert_eq!(world.revision().verdict, Verdict::Accepted);
    }
    let requests = server.requests.lock().unwrap();
    let tokens = requests.iter().filter(|request| request.starts_with(b"POST /token")).count();
    assert_eq!(tokens, 2);
}

#[test]
fn g7_many_verifications_run_on_few_threads_and_never_two_pulls_of_one_at_once() {
    const MANY: usize = 120;
    let under_way: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let most = Arc::new(AtomicUsize::new(0));
    let (seen, peak) = (Arc::clone(&under_way), Arc::clone(&most));
    let server = Server::new(move |request, stream| {
        let text = String::from_utf8_lossy(request).into_owned();
        let id = text.split("\r\n\r\n").nth(1).unwrap().to_owned();
        {
            let mut seen = seen.lock().unwrap();
            *seen.entry(id.clone()).or_default() += 1;
            assert_eq!(seen[&id], 1, "two pulls of {id} at once");
            peak.fetch_max(seen.values().sum(), Ordering::SeqCst);
        }
        std::thread::sleep(Duration::from_millis(2));
        *seen.lock().unwrap().get_mut(&id).unwrap() -= 1;
        answer(stream, "200 OK", "", format!("id={id} verdict=accepted").as_bytes());
        true
    });
    let world = World::with(provider(&server), |builder| {
        builder.calls_at_once(4);
    });
    for number in 0..MANY {
        world.driver.open(world.account, &format!("ab-{number}")).unwrap();
    }
    let mut ids: Vec<_> = (0..MANY).map(|_| world.revision().id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), MANY);
    assert!((1..=4).contains(&most.load(Ordering::SeqCst)));
}

#[test]
fn cancelling_ends_a_verification_and_its_pulls() {
    let server = Script::default().serve();
    let world = World::new(&server);
    let verification = world.driver.open(world.account, "ab-1").unwrap();
    world.event(|event| matches!(event, Event::Pulled { op: 2, .. }).then_some(()));
    let status = world.driver.status(verification).unwrap().unwrap();
    assert_eq!((status.state, status.verdict, status.end), ("Open", None, None));
    assert!(status.attempts >= 2 && status.reached);
    assert!(status.time_left.unwrap() > Duration::from_secs(10));

    world.driver.cancel(verification).unwrap();
    let end = world.event(|event| match event {
        Event::Ended { end, .. } => Some(*end),
        _ => None,
    });
    assert_eq!(end, End::Cancelled);
    let status = world.driver.status(verification).unwrap().unwrap();
    assert_eq!((status.end, status.pulling, status.next_pull), (Some(End::Cancelled), false, None));
}

#[test]
fn opening_twice_or_with_anothers_account_is_refused() {
    let server = Script::default().serve();
    let world = World::new(&server);
    world.driver.open(world.account, "ab-1").unwrap();
    let twice = world.driver.open(world.account, "ab-1").unwrap_err();
    assert!(twice.to_string().contains("open already"), "{twice}");
    assert!(matches!(world.driver.open(world.account, ""), Err(DriverError::Open(_))));

    let mut other = Driver::builder();
    other.account(Account::new(provider(&server)).unwrap());
    let second = other.account(Account::new(provider(&server)).unwrap());
    assert!(matches!(world.driver.open(second, "ab-2"), Err(DriverError::NoAccount)));
}

#[test]
fn events_come_to_a_thread_that_waits_for_them_and_end_with_the_driver() {
    let server = Script::new(&[("ab-1", &["", ACCEPTED])]).serve();
    let world = World::new(&server);
    let (mut events, unread) = (world.driver.events(), world.driver.events());
    world.driver.open(world.account, "ab-1").unwrap();
    let name = |event: Event| format!("{event:?}").split([' ', '{', '(']).next().unwrap().to_owned();
    let mut seen: Vec<String> = Vec::new();
    while seen.last().is_none_or(|last| last != "HandedOver") {
        seen.push(name(events.next().unwrap()));
    }
    assert_eq!(seen, ["Pulled", "Pulled", "HandedOver"]);
    let ended = std::thread::spawn(move || events.next().is_none());
    world.driver.stop();
    assert!(ended.join().unwrap());
    assert_eq!(unread.missed(), 0);
    assert_eq!(unread.count(), 3);
    assert!(world.driver.events().next().is_none(), "nothing happens any more");
}
