//! The driver end to end over loopback, with a provider made up for the purpose and with a store that can be told to fail.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::wildcard_enum_match_arm)]

#[path = "support/fake.rs"]
#[allow(unreachable_pub)]
mod fake;
mod support;

use fake::Fake;
use idv_core::delivery::{self, Schedule};
use idv_core::evidence::{Evidence, Verdict};
use idv_core::http::Headers;
use idv_core::provider::Provider;
use idv_core::rules::Rules;
use idv_core::session::End;
use idv_core::store::{Commit, Journal, Record, Recorded, Save, Saved, SavedSession, Sessions, TooLarge};
use idv_core::time::Span;
use idv_ureq::{
    Account, AccountRef, Builder, CallbackOutcome, CallbackRequest, Client, Driver, DriverError, Event,
    Revision, SharedMemory, WaitError,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::{Server, Stream, answer};

const PATIENCE: Duration = Duration::from_secs(20);

/// Answers pulls from a script for each id, the last line again and again; an empty line is 404.
#[derive(Clone, Default)]
struct Script(Arc<Mutex<BTreeMap<String, Vec<String>>>>);

impl Script {
    fn new(lines: &[(&str, &[&str])]) -> Self {
        let script = Self::default();
        for (id, lines) in lines {
            script.set(id, lines);
        }
        script
    }

    fn set(&self, id: &str, lines: &[&str]) {
        let lines = lines.iter().rev().map(|line| (*line).to_owned()).collect();
        self.0.lock().unwrap().insert(id.to_owned(), lines);
    }

    fn play(&self, request: &[u8], stream: &mut dyn Stream) -> bool {
        let text = String::from_utf8_lossy(request);
        let id = text.split("\r\n\r\n").nth(1).unwrap();
        let line = match self.0.lock().unwrap().get_mut(id) {
            Some(lines) if lines.len() > 1 => lines.pop().unwrap(),
            Some(lines) => lines.last().cloned().unwrap_or_default(),
            None => String::new(),
        };
        let status = if line.is_empty() { "404 Not Found" } else { "200 OK" };
        answer(stream, status, "", line.as_bytes());
        true
    }

    fn serve(&self) -> Server {
        let script = self.clone();
        Server::new(move |request, stream| script.play(request, stream))
    }
}

fn provider(server: &Server) -> Fake {
    Fake { base: server.url(""), tokens: false, signs: true }
}

/// A driver whose revisions and events come out of channels.
struct World {
    driver: Driver,
    account: AccountRef,
    revisions: Receiver<Revision>,
    events: Receiver<Event>,
}

impl World {
    fn new(server: &Server) -> Self {
        Self::with(provider(server), |_| ())
    }

    fn with(fake: Fake, change: impl FnOnce(&mut Builder)) -> Self {
        let (to_revisions, revisions) = channel();
        let (to_events, events) = channel();
        let mut builder = Driver::builder();
        let account = builder.account(Account::new(fake).unwrap());
        builder
            .on_revision(move |revision| {
                let _ = to_revisions.send(revision.clone());
                Ok(())
            })
            .on_event(move |event| {
                let _ = to_events.send(event.clone());
            });
        change(&mut builder);
        Self { driver: builder.start().unwrap(), account, revisions, events }
    }

    fn revision(&self) -> Revision {
        self.revisions.recv_timeout(PATIENCE).unwrap()
    }

    fn event<R>(&self, wanted: impl Fn(&Event) -> Option<R>) -> R {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if let Some(found) = wanted(&self.events.recv_timeout(left).unwrap()) {
                return found;
            }
        }
    }

    fn callback(&self, signature: &str, body: &str) -> u16 {
        let fields = [("content-type", &b"application/json"[..]), ("signature", signature.as_bytes())];
        let request = CallbackRequest {
            method: "POST",
            headers: Headers(&fields),
            body: body.as_bytes(),
            received_at: None,
        };
        self.driver.callback(self.account, &request).unwrap().status()
    }
}

const ACCEPTED: &str = "id=ab-1 verdict=accepted";
const DECLINED: &str = "id=ab-1 verdict=declined";

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

/// A store whose saves fail and whose commits stall while they are told to.
#[derive(Clone, Default)]
struct Unwilling {
    memory: SharedMemory,
    stalls: Arc<AtomicBool>,
    fails: Arc<AtomicBool>,
    refused: Arc<AtomicUsize>,
}

impl Journal for Unwilling {
    type Error = TooLarge;

    fn commit(&mut self, record: &Record<'_>) -> Result<Commit, TooLarge> {
        while self.stalls.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.memory.commit(record)
    }

    fn mark_applied(&mut self, positions: &[u64]) -> Result<(), TooLarge> {
        self.memory.mark_applied(positions)
    }

    fn unapplied(&mut self, after: u64, at_most: u32) -> Result<Vec<Recorded>, TooLarge> {
        self.memory.unapplied(after, at_most)
    }
}

impl Sessions for Unwilling {
    type Error = TooLarge;

    fn save(&mut self, save: &Save<'_>) -> Result<Saved, TooLarge> {
        if self.fails.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Err(TooLarge { record: 1, most_bytes: 0 });
        }
        self.memory.save(save)
    }

    fn confirm(&mut self, provider: &str, id: &str, revision: u32) -> Result<bool, TooLarge> {
        self.memory.confirm(provider, id, revision)
    }

    fn load(&mut self, after: Option<(&str, &str)>, at_most: u32) -> Result<Vec<SavedSession>, TooLarge> {
        self.memory.load(after, at_most)
    }
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
