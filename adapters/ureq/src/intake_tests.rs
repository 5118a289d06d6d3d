//! The intake behind the listener, over real sockets, with stores that stall and fail.

#[path = "../tests/support/fake.rs"]
#[allow(unreachable_pub, missing_docs)]
mod fake;

use crate::intake::{Arrived, CallbackEvent, CallbackOutcome, CallbackRequest, Endpoint, Intake};
use crate::listen::Callbacks;
use crate::transport::Client;
use fake::{BODY_CAP, Fake};
use idv_core::evidence::Callback;
use idv_core::http::{Headers, Request};
use idv_core::provider::Authenticity;
use idv_core::receipt::Policy;
use idv_core::store::{Commit, Journal, Record, Recorded, Save, Saved, SavedSession, Sessions, TooLarge};
use idv_core::time::Span;
use idv_host::{AnyStore, Pool, SharedMemory, SystemClock};
use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A store whose commits say that they started, wait for the test's word, and fail when it says so.
#[derive(Clone)]
struct Gate {
    memory: SharedMemory,
    started: Sender<()>,
    words: Arc<Mutex<Receiver<bool>>>,
}

impl Journal for Gate {
    type Error = TooLarge;

    fn commit(&mut self, record: &Record<'_>) -> Result<Commit, TooLarge> {
        let _ = self.started.send(());
        match self.words.lock().unwrap().recv() {
            Ok(true) => self.memory.commit(record),
            Ok(false) | Err(_) => Err(TooLarge { record: 0, most_bytes: 0 }),
        }
    }

    fn mark_applied(&mut self, positions: &[u64]) -> Result<(), TooLarge> {
        Journal::mark_applied(&mut self.memory, positions)
    }

    fn unapplied(&mut self, after: u64, at_most: u32) -> Result<Vec<Recorded>, TooLarge> {
        Journal::unapplied(&mut self.memory, after, at_most)
    }
}

impl Sessions for Gate {
    type Error = TooLarge;

    fn save(&mut self, save: &Save<'_>) -> Result<Saved, TooLarge> {
        Sessions::save(&mut self.memory, save)
    }

    fn confirm(&mut self, provider: &str, id: &str, revision: u32) -> Result<bool, TooLarge> {
        Sessions::confirm(&mut self.memory, provider, id, revision)
    }

    fn load(&mut self, after: Option<(&str, &str)>, at_most: u32) -> Result<Vec<SavedSession>, TooLarge> {
        Sessions::load(&mut self.memory, after, at_most)
    }
}

/// An intake behind a listener, and both ends of what it reports.
struct World {
    intake: Intake,
    endpoint: Endpoint,
    url: String,
    server: Option<idv_listener::Handle>,
    words: Sender<bool>,
    started: Receiver<()>,
    memory: SharedMemory,
    arrived: Receiver<Arrived>,
    events: Receiver<CallbackEvent>,
}

impl World {
    fn new(signs: bool, answer_within: Span, most_queued: usize) -> Self {
        let ((words, held), (starts, started)) = (channel(), channel());
        let memory = SharedMemory::default();
        let store = Gate { memory: memory.clone(), started: starts, words: Arc::new(Mutex::new(held)) };
        let (to_driver, arrived) = channel();
        let (seen, events) = channel();
        let (to_driver, seen) = (Mutex::new(to_driver), Mutex::new(seen));
        let intake = Intake::new(
            Arc::new(SystemClock::new()),
            Pool::new("record", 1, most_queued),
            AnyStore::new(store),
            Arc::new(move |arrived| to_driver.lock().unwrap().send(arrived).unwrap()),
            Arc::new(move |event: &CallbackEvent| seen.lock().unwrap().send(event.clone()).unwrap()),
        );
        let provider = Arc::new(Fake { base: String::new(), tokens: false, signs });
        let policy = Policy::builder(BODY_CAP)
            .answer_within(answer_within)
            .provider_waits(answer_within.plus(Span::millis(500)))
            .build()
            .unwrap();
        let endpoint = Endpoint { provider, policy };
        let routes = vec![("/callbacks/fake".to_owned(), Arc::new(endpoint.clone()))];
        let config = idv_listener::Config { request_deadline: Duration::from_secs(30), ..Default::default() };
        let server = idv_listener::Server::bind("127.0.0.1:0".parse().unwrap(), config)
            .unwrap()
            .spawn(Callbacks { intake: intake.clone(), routes })
            .unwrap();
        let url = format!("http://{}/callbacks/fake", server.local_addr());
        Self { intake, endpoint, url, server: Some(server), words, started, memory, arrived, events }
    }

    fn post(&self, signature: Option<&str>, body: &[u8]) -> u16 {
        post(&self.url, signature, body)
    }

    /// Until a commit is under way.
    fn committing(&self) {
        self.started.recv_timeout(Duration::from_secs(20)).unwrap();
    }

    fn wait(&self) -> Arrived {
        self.arrived.recv_timeout(Duration::from_secs(20)).unwrap()
    }

    fn event(&self) -> CallbackEvent {
        self.events.recv_timeout(Duration::from_secs(20)).unwrap()
    }

    fn recorded(&self) -> usize {
        self.memory.with(idv_core::store::MemoryStore::len)
    }
}

/// Long enough never to pass on a busy machine.
const AMPLE: Span = Span::secs(60);
const ACCEPTED: &[u8] = b"id=ab-1 verdict=accepted";

fn post(url: &str, signature: Option<&str>, body: &[u8]) -> u16 {
    let mut request = Request::new();
    request.method = "POST";
    request.url.push_str(url);
    request.headers.push(("content-type", "application/json".to_owned()));
    if let Some(signature) = signature {
        request.headers.push(("signature", signature.to_owned()));
    }
    request.body.extend_from_slice(body);
    Client::new().send(&request, AMPLE).unwrap().status
}

#[test]
fn g5_a_callback_is_answered_200_only_once_it_is_committed() {
    let world = World::new(true, AMPLE, 10);
    let url = world.url.clone();
    let answer = std::thread::spawn(move || post(&url, Some("good"), ACCEPTED));
    world.committing();
    // The commit waits for its word: nothing may be answered, and nothing applied.
    assert!(world.events.recv_timeout(Duration::from_millis(50)).is_err());
    assert!(!answer.is_finished());
    assert_eq!(world.recorded(), 0);

    world.words.send(true).unwrap();
    assert_eq!(answer.join().unwrap(), 200);
    assert_eq!(world.recorded(), 1);
    assert_eq!(world.event().outcome, CallbackOutcome::Recorded { position: 1, duplicate: false });
    let arrived = world.wait();
    assert_eq!((arrived.provider, arrived.position), ("fake", Some(1)));
    assert!(matches!(arrived.callback, Callback::Signed(_)));
    assert_eq!(&arrived.payload.body[..], ACCEPTED);

    // R4: the same bytes again are a duplicate, answered 200, and still arrive.
    world.words.send(true).unwrap();
    assert_eq!(world.post(Some("good"), ACCEPTED), 200);
    assert_eq!(world.event().outcome, CallbackOutcome::Recorded { position: 1, duplicate: true });
    assert_eq!(world.wait().position, Some(1));
}

#[test]
fn g5_a_store_that_stalls_is_answered_503_in_time_and_its_late_commit_still_applies() {
    let world = World::new(true, Span::millis(400), 10);
    let began = Instant::now();
    assert_eq!(world.post(Some("good"), ACCEPTED), 503);
    assert!(began.elapsed() >= Duration::from_millis(390), "{:?}", began.elapsed());
    let hint = world.wait();
    assert_eq!((hint.position, hint.callback), (None, Callback::Unsigned));
    assert!(matches!(world.event().outcome, CallbackOutcome::Refused { status: 503, .. }));

    // R10: the commit completes after the 503 and still steps the session.
    world.words.send(true).unwrap();
    let late = world.wait();
    assert_eq!(late.position, Some(1));
    assert!(matches!(late.callback, Callback::Signed(_)));
}

#[test]
fn g5_a_store_that_fails_is_answered_503() {
    let world = World::new(true, AMPLE, 10);
    world.words.send(false).unwrap();
    assert_eq!(world.post(Some("good"), ACCEPTED), 503);
    assert_eq!(world.recorded(), 0);
    assert_eq!(world.wait().position, None);
}

#[test]
fn g6_a_full_recording_queue_is_answered_503_at_once() {
    let world = World::new(true, AMPLE, 1);
    let url = world.url.clone();
    let mut posts = vec![std::thread::spawn(move || post(&url, Some("good"), ACCEPTED))];
    world.committing();
    // The store is busy: of two more, one waits in the queue and the other finds no room.
    for _ in 0..2 {
        let url = world.url.clone();
        posts.push(std::thread::spawn(move || post(&url, Some("good"), b"id=ab-2 verdict=declined")));
    }
    assert!(matches!(world.event().outcome, CallbackOutcome::Refused { status: 503, .. }));
    assert!(world.events.recv_timeout(Duration::from_millis(50)).is_err(), "the others wait");
    drop(world.words);
    for answer in posts {
        assert_eq!(answer.join().unwrap(), 503);
    }
}

#[test]
fn r16_a_wrong_or_missing_signature_is_answered_401_not_recorded_and_hints() {
    let world = World::new(true, AMPLE, 10);
    for signature in [Some("bad"), None] {
        assert_eq!(world.post(signature, ACCEPTED), 401);
        let hint = world.wait();
        assert_eq!((hint.position, hint.callback), (None, Callback::WrongSignature));
        let event = world.event();
        assert!(matches!(event.authenticity, Some(Authenticity::Wrong | Authenticity::Missing)));
        assert!(matches!(event.outcome, CallbackOutcome::Refused { status: 401, .. }));
    }
    assert_eq!(world.recorded(), 0);
}

#[test]
fn r19_a_signed_body_that_cannot_be_read_is_recorded_and_an_unsigned_one_refused() {
    let signed = World::new(true, AMPLE, 10);
    signed.words.send(true).unwrap();
    assert_eq!(signed.post(Some("good"), b"\xff\xff"), 200);
    assert!(signed.event().unreadable.is_some());
    assert_eq!(signed.recorded(), 1);

    let unsigned = World::new(false, AMPLE, 10);
    assert_eq!(unsigned.post(None, b"\xff\xff"), 400);
    assert_eq!(unsigned.recorded(), 0);
    unsigned.words.send(true).unwrap();
    assert_eq!(unsigned.post(None, ACCEPTED), 200);
    assert_eq!(unsigned.wait().callback, Callback::Unsigned);
}

#[test]
fn bodies_over_the_cap_are_answered_413_whatever_their_framing() {
    let world = World::new(true, AMPLE, 10);
    let large = vec![b'x'; usize::try_from(BODY_CAP).unwrap() + 1];
    assert_eq!(world.post(Some("good"), &large), 413);
    let event = world.event();
    assert!(matches!(event.outcome, CallbackOutcome::Refused { status: 413, .. }));
    assert_eq!(event.digest, None);

    let chunked = format!(
        "POST /callbacks/fake HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n",
        large.len()
    );
    let answer = raw(&world, &[chunked.as_bytes(), &large, b"\r\n0\r\n\r\n"].concat());
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");

    world.words.send(true).unwrap();
    let mut fits = ACCEPTED.to_vec();
    fits.resize(large.len() - 1, b' ');
    assert_eq!(world.post(Some("good"), &fits), 200);
}

#[test]
fn other_methods_paths_and_media_types_are_refused() {
    let world = World::new(false, AMPLE, 10);
    let answer = raw(&world, b"GET /callbacks/fake?transaction_id=7 HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("allow: post\r\n"), "{answer}");
    assert_eq!(post(&world.url.replace("fake", "other"), None, ACCEPTED), 404);
    let text =
        b"POST /callbacks/fake HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 24\r\n\r\n";
    assert!(raw(&world, &[text, ACCEPTED].concat()).starts_with("HTTP/1.1 415 "));
    world.words.send(true).unwrap();
    assert_eq!(post(&format!("{}?transaction_id=7", world.url), None, ACCEPTED), 200);
}

#[test]
fn g5_a_dripping_body_is_answered_503_at_the_deadline() {
    let world = World::new(true, Span::millis(400), 10);
    let answer = raw(&world, b"POST /callbacks/fake HTTP/1.1\r\nhost: x\r\ncontent-length: 24\r\n\r\nid=ab");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(world.recorded(), 0);
}

#[test]
fn r10_a_peer_that_hangs_up_while_the_store_works_leaves_a_hint_and_then_the_record() {
    let world = World::new(true, AMPLE, 10);
    let head = format!(
        "POST /callbacks/fake HTTP/1.1\r\nhost: x\r\nsignature: good\r\ncontent-length: {}\r\n\r\n",
        ACCEPTED.len()
    );
    let mut stream = connect(&world);
    stream.write_all(&[head.as_bytes(), ACCEPTED].concat()).unwrap();
    world.committing();
    drop(stream);
    assert_eq!(world.wait().position, None);
    world.words.send(true).unwrap();
    assert_eq!(world.wait().position, Some(1));
}

#[test]
fn a_server_of_ones_own_gets_the_same_answers() {
    let world = World::new(true, Span::millis(400), 10);
    let receive = |signature: &[u8], body: &[u8], received_at| {
        let fields = [("Content-Type", &b"application/json"[..]), ("Signature", signature)];
        let request = CallbackRequest { method: "POST", headers: Headers(&fields), body, received_at };
        world.intake.receive(&world.endpoint, &request).status()
    };
    world.words.send(true).unwrap();
    assert_eq!(receive(b"good", ACCEPTED, None), 200);
    assert_eq!(receive(b"bad", ACCEPTED, None), 401);
    assert_eq!(receive(b"good", b"", None), 400);
    assert_eq!(receive(b"good", &[b'x'; 2_000], None), 413);
    // The store stalls from here on.
    assert_eq!(receive(b"good", b"id=ab-2", None), 503);
    let long_ago = Instant::now().checked_sub(Duration::from_secs(3)).unwrap();
    assert_eq!(receive(b"good", b"id=ab-3", Some(long_ago)), 503);
}

#[test]
fn stopping_the_listener_lets_a_running_commit_answer() {
    let mut world = World::new(true, AMPLE, 10);
    let url = world.url.clone();
    let answer = std::thread::spawn(move || post(&url, Some("good"), ACCEPTED));
    world.committing();
    let server = world.server.take().unwrap();
    let stopping = std::thread::spawn(move || server.shutdown());
    world.words.send(true).unwrap();
    assert_eq!(answer.join().unwrap(), 200);
    stopping.join().unwrap();
}

fn connect(world: &World) -> std::net::TcpStream {
    std::net::TcpStream::connect(world.server.as_ref().unwrap().local_addr()).unwrap()
}

/// Sends these bytes and reads the answer's head.
fn raw(world: &World, request: &[u8]) -> String {
    use std::io::Read;
    let mut stream = connect(world);
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        answer.push(byte[0]);
    }
    String::from_utf8(answer).unwrap()
}

#[test]
fn g5_the_deadline_counts_from_the_first_byte_of_the_head() {
    let world = World::new(true, AMPLE, 10);
    let before = world.intake.clock().now();
    assert!(world.intake.first_byte(None) >= before);
    let ago = Instant::now().checked_sub(Duration::from_millis(500)).unwrap();
    let first_byte = world.intake.first_byte(Some(ago));
    assert!(first_byte.since(before) == 0 && first_byte <= world.intake.clock().now());
}
