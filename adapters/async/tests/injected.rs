//! A runtime made up for tests: names that do not resolve, addresses that do not answer, sleeps that are written down.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::support::{AMPLE, Server, answer, get};
use common::{Script, provider};
use idv_async::{Account, Builder, Client, Event, Failure, Options, Runtime, SystemClock};
use idv_core::evidence::FaultKind;
use idv_core::provider::Provider;
use idv_core::time::Span;
use idv_smol::Smol;
use std::future::pending;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What a name resolves to.
#[derive(Clone)]
enum Names {
    To(Vec<SocketAddr>),
    Unknown,
    Never,
}

/// smol, but for these.
#[derive(Clone)]
struct Injected {
    names: Names,
    /// Connecting to these takes for ever.
    silent: Vec<SocketAddr>,
    sleeps: Arc<Mutex<Vec<Duration>>>,
}

impl Injected {
    fn new(names: Names) -> Self {
        Self { names, silent: Vec::new(), sleeps: Arc::default() }
    }
}

impl Runtime for Injected {
    type Stream = <Smol as Runtime>::Stream;
    type Listener = <Smol as Runtime>::Listener;

    async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        match &self.names {
            Names::To(addresses) => Ok(addresses.clone()),
            Names::Unknown => Err(io::Error::other("no such name")),
            Names::Never => pending().await,
        }
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Self::Stream> {
        if self.silent.contains(&address) {
            return pending().await;
        }
        Smol.connect(address).await
    }

    fn listener(&self, socket: TcpListener) -> io::Result<Self::Listener> {
        Smol.listener(socket)
    }

    async fn accept(&self, listener: &Self::Listener) -> io::Result<(Self::Stream, SocketAddr)> {
        Smol.accept(listener).await
    }

    async fn sleep(&self, duration: Duration) {
        self.sleeps.lock().unwrap().push(duration);
        Smol.sleep(duration).await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        Smol.spawn(task);
    }
}

fn send(runtime: Injected, url: &str, connect: Span, within: Span) -> Result<u16, Failure> {
    let options = Options { connect, ..Options::default() };
    let client = Client::on_with_options(runtime, &options).unwrap();
    smol::block_on(client.send(&get(url), within)).map(|received| received.status)
}

fn server() -> Server {
    Server::new(|_, stream| {
        answer(stream, "200 OK", "", b"{}");
        true
    })
}

/// An address on which nobody listens.
fn refusing() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_name_that_does_not_resolve_is_unreachable_and_said() {
    let failed =
        |names| send(Injected::new(names), "http://api.example.org/x", Span::millis(50), AMPLE).unwrap_err();
    for (names, words) in [
        (Names::Unknown, "api.example.org:80: the connection failed: no such name"),
        (Names::Never, "api.example.org:80: the host's name was not resolved in time"),
        (Names::To(Vec::new()), "api.example.org:80: no address known for this host"),
    ] {
        assert_eq!(failed(names), Failure { kind: FaultKind::Unreachable, diagnosis: words.to_owned() });
    }
}

#[test]
fn the_first_address_that_answers_is_used_and_those_before_leave_it_time() {
    let server = server();
    let mut runtime =
        Injected::new(Names::To(vec![refusing(), "192.0.2.1:80".parse().unwrap(), server.addr]));
    runtime.silent.push("192.0.2.1:80".parse().unwrap());
    assert_eq!(send(runtime.clone(), "http://api.example.org/", Span::millis(400), AMPLE), Ok(200));

    runtime.names = Names::To(vec!["192.0.2.1:80".parse().unwrap(), refusing()]);
    let failure = send(runtime, "http://api.example.org/", Span::millis(400), AMPLE).unwrap_err();
    assert!(failure.diagnosis.contains("connection refused"), "the last one's word: {failure}");
}

#[test]
fn g6_connecting_ends_in_time_with_tls_too() {
    let mut silent = Injected::new(Names::Unknown);
    silent.silent.push("192.0.2.1:80".parse().unwrap());
    let began = Instant::now();
    let failure = send(silent.clone(), "http://192.0.2.1/", Span::millis(50), AMPLE).unwrap_err();
    assert_eq!(failure.diagnosis, "192.0.2.1:80: no connection in time");

    // It accepts, and then says nothing.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", mute.local_addr().unwrap());
    let failure = send(silent.clone(), &url, Span::millis(50), AMPLE).unwrap_err();
    assert!(failure.diagnosis.ends_with("no connection in time"), "{failure}");
    assert_eq!(failure.kind, FaultKind::Unreachable);

    // The whole exchange's limit comes first.
    let failure = send(silent, "http://192.0.2.1/", AMPLE, Span::millis(50)).unwrap_err();
    assert_eq!(failure.kind, FaultKind::TimedOut, "{failure}");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn r9_the_clock_is_looked_at_every_30_seconds_though_there_is_nothing_to_do_for_an_hour() {
    let server = Script::default().serve();
    let fake = provider(&server);
    let rules = fake.rules().with_cadence(Span::hours(1)).with_deadline(Span::hours(24));
    let runtime = Injected::new(Names::Unknown);
    let sleeps = Arc::clone(&runtime.sleeps);
    smol::block_on(async {
        let mut builder = Builder::on(runtime);
        let account = builder.account(Account::with_rules(fake, &rules).unwrap());
        let (told, events) = async_channel::unbounded();
        builder.clock(SystemClock::new()).on_event(move |event| {
            let _ = told.try_send(event.clone());
        });
        let driver = builder.start().await.unwrap();
        let verification = driver.open(account, "ab-1").await.unwrap();
        assert!(matches!(events.recv().await.unwrap(), Event::Pulled { .. }));
        let planned = driver.status(verification).await.unwrap().unwrap().next_pull.unwrap();
        assert!(planned > Duration::from_secs(3_000), "{planned:?}");
    });
    let sleeps = sleeps.lock().unwrap();
    // The call's own limit and the client's are among them.
    let longest = sleeps.iter().max().unwrap();
    assert!(*longest <= Duration::from_secs(30), "{sleeps:?}");
    assert!(sleeps.len() < 50, "the timer is kept while it fits: {}", sleeps.len());
}
