//! What it costs to receive a callback: the whole of it, verified, recorded in memory and answered, beside a handler of the same server, at
//! another path, that reads the body and answers 200. It must be one server: of two in one process, the thread of one waits for both
//! sockets and wakes the other's, as chance has it. Counted is the processor time of all threads, the sender's included: on a machine that others use,
//! it alone says how many callbacks a second a core can answer.
//!
//! `cargo bench -p idv-tests --bench receive`

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a benchmark may fail by a panic")]

mod ratio;

use futures_util::future::Either;
use http::StatusCode;
use idv_core::engine::Account;
use idv_core::secret::Secret;
use idv_core::shufti::{self, signature};
use idv_core::store::MemoryStore;
use idv_host::{AnyStore, Delivered, Intake, IntakeBounds, SharedMemory, SystemClock};
use idv_listener::{Callbacks, Config, Handler, Reply, Request, Server};
use ratio::{Candidate, compare};
use rustix::time::{ClockId, clock_gettime};
use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// A declined verification as Shufti writes it. The person is made up.
const BODY: &str = include_str!("callback.json");
const PATH: &str = "/callbacks/shufti";
const BARE: &str = "/callbacks/nobody";
const SECRET: &str = "a-secret-key-of-sixty-four-characters-as-the-back-office-gives-it";

/// So many connections, each with one request under way.
const CONNECTIONS: usize = 16;

/// So many different callbacks; the store keeps all of them. After that they come again, as duplicates.
const CALLBACKS: usize = 16 << 10;

fn main() -> Result<(), Box<dyn Error>> {
    let thorough = std::env::args().any(|argument| argument == "--bench");
    let requests = |path| -> Vec<Vec<u8>> {
        (0..if thorough { CALLBACKS } else { CONNECTIONS }).map(|number| request(path, number)).collect()
    };
    let (for_bare, for_whole) = (requests(BARE), requests(PATH));

    let account = Account::new(shufti::Account::builder("client", Secret::from(SECRET)).build()?)?;
    let store = SharedMemory::new(MemoryStore::new(2 * CALLBACKS as u32, 1 << 30));
    let intake = Intake::new(
        Arc::new(SystemClock::new()),
        AnyStore::new(store.clone()),
        IntakeBounds::default(),
        |delivered: Delivered| drop(delivered),
        |_| {},
    );
    let callbacks = Callbacks::new(intake, vec![(PATH.to_owned(), account.endpoint())]);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = Server::bind(address, callbacks.bounds(Config::default()))?.spawn(Both(callbacks))?;
    let mut to_bare = Peers::connect(server.local_addr(), &for_bare)?;
    let mut to_whole = Peers::connect(server.local_addr(), &for_whole)?;
    compare(
        &format!(
            "{CONNECTIONS} callbacks of {} bytes at once over loopback (target: 0.8 × as many a second, so ≤ 1.25 ×)",
            BODY.len()
        ),
        &mut [
            Candidate::timed("the same server, answering 200", |bursts| to_bare.send(bursts)),
            Candidate::timed("verified, recorded in memory, answered", |bursts| to_whole.send(bursts)),
        ],
    );
    println!("  recorded: {}", store.with(MemoryStore::len));
    Ok(())
}

/// Callbacks, and beside them what does nothing with a request.
struct Both(Callbacks);

impl Handler for Both {
    fn handle(&self, request: Request) -> impl Future<Output = Reply> + Send + 'static {
        if request.head.path() == BARE {
            Either::Left(bare(request))
        } else {
            Either::Right(self.0.handle(request))
        }
    }
}

async fn bare(mut request: Request) -> Reply {
    match request.body.collect().await {
        Ok(_) => Reply::new(StatusCode::OK),
        Err(_) => Reply::new(StatusCode::BAD_REQUEST),
    }
}

/// A callback of its own, signed.
fn request(path: &str, number: usize) -> Vec<u8> {
    let body = BODY.replacen("\"reference\":\"", &format!("\"reference\":\"{number}-"), 1);
    assert_ne!(body, BODY, "the body has no reference");
    let signature = signature::sign(signature::Rule::After, &Secret::from(SECRET), body.as_bytes());
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nsignature: {signature}\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

/// A sender with some connections that stay open.
struct Peers<'a> {
    streams: Vec<TcpStream>,
    requests: std::iter::Cycle<std::slice::Iter<'a, Vec<u8>>>,
}

impl<'a> Peers<'a> {
    fn connect(address: SocketAddr, requests: &'a [Vec<u8>]) -> Result<Self, Box<dyn Error>> {
        let stream = |_| {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        let streams = (0..CONNECTIONS).map(stream).collect::<std::io::Result<_>>()?;
        Ok(Self { streams, requests: requests.iter().cycle() })
    }

    /// So many times one callback on each connection, and all the answers; the processor time that it took.
    fn send(&mut self, bursts: u32) -> Duration {
        let before = processor_time();
        for _ in 0..bursts {
            self.burst();
        }
        processor_time() - before
    }

    fn burst(&mut self) {
        for (mut stream, request) in self.streams.iter().zip(&mut self.requests) {
            stream.write_all(request).expect("the server takes a request");
        }
        for mut stream in &self.streams {
            let mut answer = [0; 1024];
            let mut read = 0;
            while !answer[..read].windows(4).any(|end| end == b"\r\n\r\n") {
                read += stream.read(&mut answer[read..]).expect("the server answers");
            }
            assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer[..read]));
        }
    }
}

/// What all threads of this process have used.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
