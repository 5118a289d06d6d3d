//! The driver on every runtime, end to end over loopback, with a provider made up for the purpose and stores that fail or stall.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::wildcard_enum_match_arm)]

mod common;

use common::fake::Fake;
use common::support::{self, Server, answer};
use common::{ACCEPTED, Script, World, on_every_runtime, provider, soon, within};
use futures_util::StreamExt;
use idv_async::{Account, Client, Driver, DriverError, Event, HAND_OVER, Runtime, SharedMemory, WaitError};
use idv_core::delivery::{self, Schedule};
use idv_core::evidence::{Evidence, Verdict};
use idv_core::provider::Provider;
use idv_core::rules::Rules;
use idv_core::session::End;
use idv_core::store::{Commit, Journal, Record, Recorded, Save, Saved, SavedSession, Sessions, TooLarge};
use idv_core::time::Span;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

on_every_runtime! {
    g1_one_verification_is_waited_for_in_five_lines
    waiting_ends_with_the_reason_when_there_is_no_verdict
    r14_tokens_are_asked_for_once_and_renewed_after_a_401
    g7_no_more_calls_than_allowed_and_never_two_pulls_of_one_at_once
    g2_a_revision_that_was_not_taken_is_offered_again_under_the_same_key
    g2_g9_after_a_crash_an_unconfirmed_revision_is_repeated_and_a_confirmed_one_is_not
    g9_nothing_is_started_before_the_step_that_asked_for_it_is_saved
    g9_a_store_that_stalls_holds_up_its_own_session_and_nothing_else
    stopping_breaks_off_pulls_and_finishes_a_hand_over_under_way
    stopping_offers_nothing_that_has_not_been_offered
    cancelling_ends_a_verification_and_its_pulls
    r17_the_reply_to_the_creation_is_the_first_evidence
    opening_twice_or_with_anothers_account_is_refused
    a_driver_whose_last_handle_is_dropped_ends
    events_come_as_a_stream_that_ends_with_the_driver
    whoever_shares_the_thread_has_a_turn_however_much_is_asked
}

async fn g1_one_verification_is_waited_for_in_five_lines<R: Runtime + Default>() {
    let server = Script::new(&[("ab-1", &["", "", ACCEPTED])]).serve();
    let account = Account::new(provider(&server)).unwrap();
    let revision = soon::<R, _>(idv_async::wait(account, "ab-1", &Client::<R>::new())).await.unwrap();
    assert_eq!(revision.key(), ("fake", "ab-1", 1));
    assert_eq!((revision.verdict, revision.evidence), (Verdict::Accepted, Evidence::Pulled));
    assert_eq!(&revision.body[..], ACCEPTED.as_bytes());
    assert_eq!(revision.statement.unwrap().event.as_deref(), Some("accepted"));
    assert_eq!(server.requests.lock().unwrap().len(), 3);
}

async fn waiting_ends_with_the_reason_when_there_is_no_verdict<R: Runtime + Default>() {
    async fn wait<R: Runtime + Default>(fake: Fake) -> WaitError {
        let rules = Rules { ..fake.rules() }.with_deadline(Span::millis(200));
        let account = Account::with_rules(fake, &rules).unwrap();
        soon::<R, _>(idv_async::wait(account, "ab-1", &Client::<R>::new())).await.unwrap_err()
    }
    let never = Script::default().serve();
    assert!(matches!(wait::<R>(provider(&never)).await, WaitError::Expired { .. }));

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let unreachable = wait::<R>(Fake { base: format!("http://{closed}"), tokens: false, signs: true }).await;
    assert!(matches!(unreachable, WaitError::Unreachable { .. }));
    assert!(unreachable.to_string().contains("connection refused"), "{unreachable}");

    let refusing = Server::new(|_, stream| {
        answer(stream, "401 Unauthorized", "", b"");
        true
    });
    assert!(matches!(wait::<R>(provider(&refusing)).await, WaitError::Refused { .. }));
}

async fn r14_tokens_are_asked_for_once_and_renewed_after_a_401<R: Runtime + Default>() {
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
    let fake = Fake { base: server.url(""), tokens: true, signs: true };
    let world = World::<R>::with(fake, |_| ()).await;
    for id in ["ab-1", "ab-2", "ab-3"] {
        world.driver.open(world.account, id).await.unwrap();
    }
    for _ in 0..3 {
        assert_eq!(world.revision().await.verdict, Verdict::Accepted);
    }
    let requests = server.requests.lock().unwrap();
    let tokens = requests.iter().filter(|request| request.starts_with(b"POST /token")).count();
    assert_eq!(tokens, 2);
}

async fn g7_no_more_calls_than_allowed_and_never_two_pulls_of_one_at_once<R: Runtime + Default>() {
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
    let world = World::<R>::with(provider(&server), |builder| {
        builder.calls_at_once(4);
    })
    .await;
    for number in 0..MANY {
        world.driver.open(world.account, &format!("ab-{number}")).await.unwrap();
    }
    let mut ids = Vec::new();
    for _ in 0..MANY {
        ids.push(world.revision().await.id);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), MANY);
    assert!((1..=4).contains(&most.load(Ordering::SeqCst)));
    assert!(server.connections() <= 4, "connections are kept");
}

/// Offered again at once, three times in all.
fn quick() -> delivery::Policy {
    delivery::Policy { schedule: Schedule::every(Span::MIN, 3).unwrap(), jitter_percent: 0, ..HAND_OVER }
}

async fn g2_a_revision_that_was_not_taken_is_offered_again_under_the_same_key<R: Runtime + Default>() {
    let server = Script::new(&[("ab-1", &[ACCEPTED])]).serve();
    let attempts = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&attempts);
    let (done, taken) = async_channel::unbounded();
    let world = World::<R>::with(provider(&server), |builder| {
        builder.hand_over(quick()).on_revision(move |revision| {
            let attempt = {
                let mut seen = seen.lock().unwrap();
                seen.push((revision.id.clone(), revision.number, revision.body.to_vec()));
                seen.len()
            };
            let done = done.clone();
            async move {
                match attempt {
                    1 => Err("the database is away".into()),
                    2 => panic!("a bug of the application"),
                    _ => {
                        done.send(()).await.unwrap();
                        Ok(())
                    }
                }
            }
        });
    })
    .await;
    world.driver.open(world.account, "ab-1").await.unwrap();
    soon::<R, _>(taken.recv()).await.unwrap();
    soon::<R, _>(world.driver.stop()).await;
    let error = world
        .event(|event| match event {
            Event::HandOverFailed { attempt: 1, error, .. } => Some(error.clone()),
            _ => None,
        })
        .await;
    assert_eq!(error, "the database is away");
    let attempts = attempts.lock().unwrap();
    assert_eq!(attempts.len(), 3);
    assert!(attempts.iter().all(|attempt| *attempt == attempts[0]));
}

async fn g2_g9_after_a_crash_an_unconfirmed_revision_is_repeated_and_a_confirmed_one_is_not<
    R: Runtime + Default,
>() {
    let server = Script::new(&[("ab-1", &[ACCEPTED]), ("ab-2", &["id=ab-2 verdict=declined"])]).serve();
    let store = SharedMemory::default();
    // The first process hands both over; one is confirmed, the other never.
    let first = World::<R>::with(provider(&server), |builder| {
        builder.store(store.clone()).on_revision(|revision| async move {
            match &*revision.id {
                "ab-1" => Ok(()),
                _ => Err("not now".into()),
            }
        });
    })
    .await;
    first.driver.open(first.account, "ab-1").await.unwrap();
    first.driver.open(first.account, "ab-2").await.unwrap();
    let (mut taken, mut refused) = (false, false);
    first
        .event(|event| {
            match event {
                Event::HandedOver { .. } => taken = true,
                Event::HandOverFailed { .. } => refused = true,
                _ => {}
            }
            (taken && refused).then_some(())
        })
        .await;
    drop(first);

    let second = World::<R>::with(provider(&server), |builder| {
        builder.store(store.clone());
    })
    .await;
    let repeated = second.revision().await;
    assert_eq!(repeated.key(), ("fake", "ab-2", 1));
    assert_eq!(&repeated.body[..], b"id=ab-2 verdict=declined");
    assert!(repeated.statement.is_ok());
    // Both are known: opening them again is refused.
    let again = second.driver.open(second.account, "ab-1").await.unwrap_err();
    assert!(matches!(again, DriverError::Open(_)), "{again}");
}

fn confirmed(store: &SharedMemory, id: &str) -> Option<u32> {
    let sessions = store.clone().load(None, 10).unwrap();
    sessions.into_iter().find(|session| &*session.id == id).and_then(|session| session.confirmed)
}

/// A store that can be told to fail, or to stall for one id.
#[derive(Clone, Default)]
struct Unwilling {
    memory: SharedMemory,
    fails: Arc<AtomicBool>,
    refused: Arc<AtomicUsize>,
    stalls: Arc<Mutex<Option<&'static str>>>,
}

impl Journal for Unwilling {
    type Error = TooLarge;

    fn commit(&mut self, record: &Record<'_>) -> Result<Commit, TooLarge> {
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
        while *self.stalls.lock().unwrap() == Some(save.id) {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.memory.save(save)
    }

    fn confirm(&mut self, provider: &str, id: &str, revision: u32) -> Result<bool, TooLarge> {
        self.memory.confirm(provider, id, revision)
    }

    fn load(&mut self, after: Option<(&str, &str)>, at_most: u32) -> Result<Vec<SavedSession>, TooLarge> {
        self.memory.load(after, at_most)
    }

    fn find(&mut self, provider: &str, id: &str, at_most: u32) -> Result<Vec<SavedSession>, TooLarge> {
        self.memory.find(provider, id, at_most)
    }
}

async fn g9_nothing_is_started_before_the_step_that_asked_for_it_is_saved<R: Runtime + Default>() {
    let server = Script::new(&[("ab-1", &[ACCEPTED])]).serve();
    let store = Unwilling::default();
    store.fails.store(true, Ordering::SeqCst);
    let world = World::<R>::with(provider(&server), |builder| {
        builder.store(store.clone());
    })
    .await;
    world.driver.open(world.account, "ab-1").await.unwrap();
    // Tried again at least once more, and still nothing was sent.
    soon::<R, _>(async {
        while store.refused.load(Ordering::SeqCst) < 2 {
            R::default().sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(server.connections(), 0);
    store.fails.store(false, Ordering::SeqCst);
    assert_eq!(world.revision().await.verdict, Verdict::Accepted);
}

async fn g9_a_store_that_stalls_holds_up_its_own_session_and_nothing_else<R: Runtime + Default>() {
    let server = Script::new(&[("ab-1", &[ACCEPTED]), ("ab-2", &["id=ab-2 verdict=declined"])]).serve();
    let store = Unwilling::default();
    *store.stalls.lock().unwrap() = Some("ab-1");
    let world = World::<R>::with(provider(&server), |builder| {
        builder.store(store.clone());
    })
    .await;
    let opening = world.driver.open(world.account, "ab-1");
    assert!(within::<R, _>(Duration::from_millis(20), opening).await.is_none(), "it is not saved yet");
    world.driver.open(world.account, "ab-2").await.unwrap();
    assert_eq!(&*world.revision().await.id, "ab-2");
    // The future was dropped, what it had asked for was not.
    *store.stalls.lock().unwrap() = None;
    assert_eq!(&*world.revision().await.id, "ab-1");
}

async fn stopping_breaks_off_pulls_and_finishes_a_hand_over_under_way<R: Runtime + Default>() {
    let silent = Server::new(|request, stream| {
        if request.ends_with(b"slow") {
            // Until the client hangs up.
            while stream.write_all(b"").is_ok() && stream.read(&mut [0]).is_ok_and(|count| count > 0) {}
            return false;
        }
        answer(stream, "200 OK", "", ACCEPTED.as_bytes());
        true
    });
    let store = SharedMemory::default();
    let (began, begins) = async_channel::unbounded();
    let (release, held) = async_channel::unbounded::<()>();
    let world = World::<R>::with(provider(&silent), |builder| {
        builder.store(store.clone()).on_revision(move |_| {
            let (began, held) = (began.clone(), held.clone());
            async move {
                began.send(()).await.unwrap();
                let _ = held.recv().await;
                Ok(())
            }
        });
    })
    .await;
    world.driver.open(world.account, "slow").await.unwrap();
    world.driver.open(world.account, "ab-1").await.unwrap();
    soon::<R, _>(begins.recv()).await.unwrap();
    let start = Instant::now();
    let stopper = world.driver.clone();
    let (stopped, stops) = async_channel::bounded(1);
    R::default().spawn(async move {
        stopper.stop().await;
        let _ = stopped.send(()).await;
    });
    assert!(within::<R, _>(Duration::from_millis(30), stops.recv()).await.is_none(), "the handler is at it");
    drop(release);
    soon::<R, _>(stops.recv()).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert_eq!(confirmed(&store, "ab-1"), Some(1));
    assert!(matches!(world.driver.open(world.account, "ab-3").await, Err(DriverError::Stopped)));
    // What was confirmed while stopping is saved: the next process does not repeat it.
    let next = World::<R>::with(provider(&silent), |builder| {
        builder.store(store);
    })
    .await;
    assert!(within::<R, _>(Duration::from_millis(100), next.revisions.recv()).await.is_none());
}

async fn stopping_offers_nothing_that_has_not_been_offered<R: Runtime + Default>() {
    let server = Script::new(&[("ab-1", &[ACCEPTED]), ("ab-2", &["id=ab-2 verdict=declined"])]).serve();
    let store = SharedMemory::default();
    let (began, begins) = async_channel::unbounded();
    let (release, held) = async_channel::unbounded::<()>();
    let world = World::<R>::with(provider(&server), |builder| {
        builder.store(store.clone()).on_revision(move |revision| {
            let (began, held) = (began.clone(), held.clone());
            async move {
                began.send(revision.id).await.unwrap();
                let _ = held.recv().await;
                Ok(())
            }
        });
    })
    .await;
    let first = world.driver.open(world.account, "ab-1").await.unwrap();
    let second = world.driver.open(world.account, "ab-2").await.unwrap();
    let handed = soon::<R, _>(begins.recv()).await.unwrap();
    // Both have their verdict; one is with the handler, the other waits for its turn.
    soon::<R, _>(async {
        for verification in [first, second] {
            while world.driver.status(verification).await.unwrap().unwrap().verdict.is_none() {
                R::default().sleep(Duration::from_millis(1)).await;
            }
        }
    })
    .await;
    R::default().sleep(Duration::from_millis(50)).await;
    drop(release);
    soon::<R, _>(world.driver.stop()).await;
    let other = if &*handed == "ab-1" { "ab-2" } else { "ab-1" };
    assert_eq!(confirmed(&store, &handed), Some(1));
    let taken = begins.try_recv().ok();
    assert_eq!(confirmed(&store, other), taken.as_ref().map(|_| 1));
    if taken.is_none() {
        let next = World::<R>::with(provider(&server), |builder| {
            builder.store(store);
        })
        .await;
        assert_eq!(&*next.revision().await.id, other);
    }
}

async fn cancelling_ends_a_verification_and_its_pulls<R: Runtime + Default>() {
    let server = Script::default().serve();
    let world = World::<R>::new(&server).await;
    let verification = world.driver.open(world.account, "ab-1").await.unwrap();
    world.event(|event| matches!(event, Event::Pulled { op: 2, .. }).then_some(())).await;
    let status = world.driver.status(verification).await.unwrap().unwrap();
    assert_eq!((status.state, status.verdict, status.end), ("Open", None, None));
    assert!(status.attempts >= 2 && status.reached);
    assert!(status.time_left.unwrap() > Duration::from_secs(10));

    world.driver.cancel(verification).await.unwrap();
    let end = world
        .event(|event| match event {
            Event::Ended { end, .. } => Some(*end),
            _ => None,
        })
        .await;
    assert_eq!(end, End::Cancelled);
    let status = world.driver.status(verification).await.unwrap().unwrap();
    assert_eq!((status.end, status.pulling, status.next_pull), (Some(End::Cancelled), false, None));
}

async fn r17_the_reply_to_the_creation_is_the_first_evidence<R: Runtime + Default>() {
    let server = Server::new(|_, stream| {
        answer(stream, "200 OK", "", ACCEPTED.as_bytes());
        true
    });
    let world = World::<R>::new(&server).await;
    let create = support::post(&server.url("/create"), b"ab-1");
    let created = Client::<R>::new().send(&create, support::AMPLE).await.unwrap();
    world.driver.open_created(world.account, "ab-1", created).await.unwrap();
    let revision = world.revision().await;
    assert_eq!((revision.number, revision.verdict), (1, Verdict::Accepted));
    assert_eq!(&revision.body[..], ACCEPTED.as_bytes());
}

async fn opening_twice_or_with_anothers_account_is_refused<R: Runtime + Default>() {
    let server = Script::default().serve();
    let world = World::<R>::new(&server).await;
    world.driver.open(world.account, "ab-1").await.unwrap();
    let twice = world.driver.open(world.account, "ab-1").await.unwrap_err();
    assert!(twice.to_string().contains("open already"), "{twice}");
    assert!(matches!(world.driver.open(world.account, "").await, Err(DriverError::Open(_))));

    let mut other = Driver::<R>::builder();
    other.account(Account::new(provider(&server)).unwrap());
    let second = other.account(Account::new(provider(&server)).unwrap());
    assert!(matches!(world.driver.open(second, "ab-2").await, Err(DriverError::NoAccount)));
}

async fn a_driver_whose_last_handle_is_dropped_ends<R: Runtime + Default>() {
    let server = Script::default().serve();
    let world = World::<R>::new(&server).await;
    world.driver.open(world.account, "ab-1").await.unwrap();
    let World { driver, events, revisions, .. } = world;
    let clone = driver.clone();
    drop(driver);
    assert!(!revisions.is_closed());
    drop(clone);
    // The handler and the observer went with the task.
    soon::<R, _>(async { while revisions.recv().await.is_ok() {} }).await;
    soon::<R, _>(async { while events.recv().await.is_ok() {} }).await;
}

async fn events_come_as_a_stream_that_ends_with_the_driver<R: Runtime + Default>() {
    let server = Script::new(&[("ab-1", &["", ACCEPTED])]).serve();
    let world = World::<R>::new(&server).await;
    let mut events = world.driver.events();
    let unread = world.driver.events();
    world.driver.open(world.account, "ab-1").await.unwrap();
    let mut seen = Vec::new();
    soon::<R, _>(async {
        while let Some(event) = events.next().await {
            let name = format!("{event:?}").split([' ', '{', '(']).next().unwrap().to_owned();
            let last = name == "HandedOver";
            seen.push(name);
            if last {
                break;
            }
        }
    })
    .await;
    assert_eq!(seen, ["Pulled", "Pulled", "HandedOver"]);
    soon::<R, _>(world.driver.stop()).await;
    assert!(soon::<R, _>(events.next()).await.is_none());
    assert_eq!(unread.missed(), 0);
    assert_eq!(soon::<R, _>(unread.collect::<Vec<_>>()).await.len(), 3);
    assert!(soon::<R, _>(world.driver.events().next()).await.is_none(), "nothing happens any more");
}

async fn whoever_shares_the_thread_has_a_turn_however_much_is_asked<R: Runtime + Default>() {
    let server = Script::default().serve();
    let world = World::<R>::new(&server).await;
    let verification = world.driver.open(world.account, "ab-1").await.unwrap();
    let enough = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    let asking: Vec<_> = (0..2)
        .map(|_| {
            let (driver, enough) = (world.driver.clone(), Arc::clone(&enough));
            std::thread::spawn(move || {
                // Until the others had their turn; they must not have to wait for this end.
                while !enough.load(Ordering::SeqCst) && began.elapsed() < common::PATIENCE / 2 {
                    ::smol::block_on(driver.hint(verification)).unwrap();
                }
                enough.load(Ordering::SeqCst)
            })
        })
        .collect();
    for _ in 0..20 {
        R::default().sleep(Duration::from_millis(5)).await;
    }
    enough.store(true, Ordering::SeqCst);
    // Not by joining them: what they wait for runs on this thread.
    soon::<R, _>(async {
        while !asking.iter().all(std::thread::JoinHandle::is_finished) {
            R::default().sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    for asking in asking {
        assert!(
            asking.join().unwrap(),
            "whoever shares the thread had no turn for as long as there were questions"
        );
    }
}
