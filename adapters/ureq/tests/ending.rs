//! How a driver ends, whoever ends it and wherever; and what else it can be asked for.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::wildcard_enum_match_arm)]

#[path = "support/fake.rs"]
#[allow(unreachable_pub, dead_code)]
mod fake;
mod support;

use fake::Fake;
use idv_core::evidence::Verdict;
use idv_core::http::{Answer, Headers, Request};
use idv_core::lifecycle::Table;
use idv_core::provider::{
    CallbackCheck, CallbackReading, Checked, Provider, PullAnswer, Statement, TokenAnswer, Unreadable,
};
use idv_core::rules::Rules;
use idv_core::secret::Secret;
use idv_core::time::Span;
use idv_ureq::{
    Account, AccountRef, Builder, Client, CredentialsError, Driver, DriverError, Event, SharedMemory,
    WaitError,
};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::{Server, answer};

const PATIENCE: Duration = Duration::from_secs(20);

/// Says accepted about every id, to whoever has the right token where it is told to look.
fn server() -> Server {
    Server::new(|request, stream| {
        let text = String::from_utf8_lossy(request);
        let id = text.split("\r\n\r\n").nth(1).unwrap();
        answer(stream, "200 OK", "", format!("id={id} verdict=accepted").as_bytes());
        true
    })
}

fn provider(server: &Server) -> Fake {
    Fake { base: server.url(""), tokens: false, signs: true }
}

fn start(server: &Server, change: impl FnOnce(&mut Builder)) -> (Driver, AccountRef) {
    let mut builder = Driver::builder();
    let account = builder.account(Account::new(provider(server)).unwrap());
    change(&mut builder);
    (builder.start().unwrap(), account)
}

/// A codec that panics on the driver's own thread, where nothing of it ought to run.
#[derive(Debug)]
struct Deadly(Fake);

impl Provider for Deadly {
    fn name(&self) -> &'static str {
        assert_ne!(std::thread::current().name(), Some("idv-driver"), "on purpose");
        self.0.name()
    }
    fn rules(&self) -> Rules {
        self.0.rules()
    }
    fn lifecycle(&self) -> &'static Table {
        self.0.lifecycle()
    }
    fn token_request(&self, request: &mut Request) -> bool {
        self.0.token_request(request)
    }
    fn read_token(&self, answer: &Answer<'_>, unix_now: Option<u64>) -> TokenAnswer {
        self.0.read_token(answer, unix_now)
    }
    fn pull_request(&self, id: &str, token: Option<&Secret>, request: &mut Request) {
        self.0.pull_request(id, token, request);
    }
    fn read_pull(&self, id: &str, answer: &Answer<'_>, unix_now: Option<u64>) -> PullAnswer {
        self.0.read_pull(id, answer, unix_now)
    }
    fn callback_body_cap(&self) -> u64 {
        self.0.callback_body_cap()
    }
    fn check_callback(&self, headers: Headers<'_>) -> Box<dyn CallbackCheck> {
        self.0.check_callback(headers)
    }
    fn read_callback(&self, body: &[u8], checked: &Checked) -> CallbackReading {
        self.0.read_callback(body, checked)
    }
    fn statement(&self, body: &[u8]) -> Result<Statement, Unreadable> {
        self.0.statement(body)
    }
}

#[test]
fn g6_waiting_ends_where_the_drivers_thread_panicked() {
    let server = server();
    let account = Account::new(Deadly(provider(&server))).unwrap();
    let (told, ended) = channel();
    std::thread::spawn(move || {
        let _ = told.send(idv_ureq::wait(account, "ab-1", &Client::new()));
    });
    let error = ended.recv_timeout(PATIENCE).unwrap().unwrap_err();
    assert!(matches!(error, WaitError::Open(DriverError::Stopped)), "{error}");
}

#[test]
fn g6_a_transport_that_panics_costs_a_call() {
    #[derive(Debug)]
    struct Panicking;
    impl idv_ureq::Transport for Panicking {
        fn send(&self, _: &Request, _: Span) -> Result<idv_ureq::Received, idv_ureq::Failure> {
            panic!("on purpose")
        }
    }
    let (told, events) = channel();
    let mut builder = Driver::builder();
    let account = builder.account(Account::new(provider(&server())).unwrap());
    builder.transport(Panicking).on_event(move |event| {
        let _ = told.send(event.clone());
    });
    let driver = builder.start().unwrap();
    driver.open(account, "ab-1").unwrap();
    for _ in 0..2 {
        let why = loop {
            if let Event::Pulled { diagnosis, .. } = events.recv_timeout(PATIENCE).unwrap() {
                break diagnosis;
            }
        };
        assert_eq!(why.as_deref(), Some("the call panicked"));
    }
}

#[test]
fn g2_whoever_stops_second_waits_for_the_first() {
    let server = server();
    let store = SharedMemory::default();
    let (began, begins) = channel();
    let (release, held) = channel::<()>();
    let held = Mutex::new(held);
    let (driver, account) = start(&server, |builder| {
        builder.store(store.clone()).on_revision(move |_| {
            began.send(()).unwrap();
            let _ = held.lock().unwrap().recv_timeout(PATIENCE);
            Ok(())
        });
    });
    driver.open(account, "ab-1").unwrap();
    begins.recv_timeout(PATIENCE).unwrap();
    let confirmed = || {
        use idv_core::store::Sessions;
        store.clone().load(None, 1).unwrap().pop().and_then(|session| session.confirmed)
    };
    std::thread::scope(|scope| {
        let stops: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    driver.stop();
                    // Whoever returns, what was handed over is finished and saved.
                    assert_eq!(confirmed(), Some(1));
                })
            })
            .collect();
        drop(release);
        for stop in stops {
            stop.join().unwrap();
        }
    });
    assert!(matches!(driver.open(account, "ab-2"), Err(DriverError::Stopped)));
}

/// Waits until nobody is left who could tell anything: the driver's threads have let go of all that they had.
fn ends(events: &Receiver<()>) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(()) => {}
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => panic!("it still runs"),
        }
    }
}

#[test]
fn g6_a_driver_dropped_by_its_own_observer_ends() {
    let server = server();
    let owner: Arc<Mutex<Option<Driver>>> = Arc::default();
    let (alive, events) = channel();
    let drops = Arc::clone(&owner);
    let (driver, account) = start(&server, |builder| {
        builder.on_event(move |event| {
            let _ = alive.send(());
            if matches!(event, Event::Pulled { .. }) {
                drop(drops.lock().unwrap().take());
            }
        });
    });
    *owner.lock().unwrap() = Some(driver.clone());
    driver.open(account, "ab-1").unwrap();
    drop(driver);
    ends(&events);
}

#[test]
fn g6_a_driver_stopped_and_dropped_by_its_own_handler_ends_at_once_and_keeps_its_word() {
    let server = server();
    let store = SharedMemory::default();
    let owner: Arc<Mutex<Option<Driver>>> = Arc::default();
    let (alive, events) = channel();
    let drops = Arc::clone(&owner);
    let began = Instant::now();
    let (driver, account) = start(&server, |builder| {
        builder.store(store.clone()).drain(Duration::from_secs(60)).on_revision(move |_| {
            let _ = alive.send(());
            let driver = drops.lock().unwrap().take();
            driver.as_ref().unwrap().stop();
            drop(driver);
            Ok(())
        });
    });
    *owner.lock().unwrap() = Some(driver.clone());
    driver.open(account, "ab-1").unwrap();
    drop(driver);
    ends(&events);
    assert!(began.elapsed() < PATIENCE, "it waited for itself");
    use idv_core::store::Sessions;
    assert_eq!(store.clone().load(None, 1).unwrap().pop().unwrap().confirmed, Some(1));
}

#[test]
fn a_verification_is_found_hinted_at_and_forgotten() {
    let server = server();
    let (told, revisions) = channel();
    let (driver, account) = start(&server, |builder| {
        builder.on_revision(move |revision| {
            told.send(revision.verdict)?;
            Ok(())
        });
    });
    assert_eq!(driver.find(account, "ab-1").unwrap(), None);
    let verification = driver.open(account, "ab-1").unwrap();
    assert_eq!(driver.find(account, "ab-1").unwrap(), Some(verification));
    assert_eq!(revisions.recv_timeout(PATIENCE), Ok(Verdict::Accepted));
    let pulls = driver.status(verification).unwrap().unwrap().attempts;
    driver.hint(verification).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while driver.status(verification).unwrap().unwrap().attempts == pulls {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    assert!(!driver.forget(verification).unwrap(), "it has not ended");
    driver.cancel(verification).unwrap();
    while !driver.forget(verification).unwrap() {
        assert!(Instant::now() < deadline, "its end is saved soon");
        std::thread::yield_now();
    }
    assert_eq!(driver.find(account, "ab-1").unwrap(), None);
    assert_eq!(driver.status(verification).unwrap(), None);
    driver.listening_had_a_gap().unwrap();
}

#[test]
fn r13_r14_calls_of_ones_own_are_counted_and_credentials_replaced() {
    let server = Server::new(|request, stream| {
        let text = String::from_utf8_lossy(request).to_ascii_lowercase();
        let body = text.split("\r\n\r\n").nth(1).unwrap();
        if text.starts_with("post /old/") {
            answer(stream, "401 Unauthorized", "", b"");
        } else {
            answer(stream, "200 OK", "", format!("id={body} verdict=accepted").as_bytes());
        }
        true
    });
    let old = Fake { base: server.url("/old"), ..provider(&server) };
    let (told, revisions) = channel();
    let mut builder = Driver::builder();
    let account = builder.account(Account::new(old).unwrap());
    builder.on_revision(move |revision| {
        told.send(revision.verdict)?;
        Ok(())
    });
    let driver = builder.start().unwrap();
    assert_eq!(driver.take(account).unwrap(), None);
    let new = Fake { base: server.url("/new"), ..provider(&server) };
    driver.credentials_replaced(account, new).unwrap();
    driver.open(account, "ab-1").unwrap();
    assert_eq!(revisions.recv_timeout(PATIENCE), Ok(Verdict::Accepted));
    let others = idv_core::shufti::Account::builder("client", "secret".into()).build().unwrap();
    assert!(matches!(
        driver.credentials_replaced(account, others),
        Err(DriverError::Credentials(CredentialsError::OtherProvider))
    ));
    while driver.take(account).unwrap().is_none() {}
    assert!(driver.take(account).unwrap().is_some_and(|wait| wait < PATIENCE));
}
