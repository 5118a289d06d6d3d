//! The intake, from blocking code and as a future, with stores that stall and fail.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail by a panic"
)]

mod support;

use idv_core::engine::{CallbackOutcome, Endpoint};
use idv_core::evidence::Callback;
use idv_core::http::{Answer, Headers, Request};
use idv_core::lifecycle::Table;
use idv_core::provider::{
    Authenticity, CallbackCheck, CallbackReading, Checked, Provider, PullAnswer, Statement, TokenAnswer,
    Unreadable,
};
use idv_core::rules::Rules;
use idv_core::secret::Secret;
use idv_core::shufti;
use idv_core::store::MemoryStore;
use idv_core::time::Span;
use idv_host::{
    AnyStore, CallbackRequest, Clock as _, Delivered, Inbox, Intake, IntakeBounds, SharedMemory, SystemClock,
};
use std::future::Future;
use std::pin::pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread, ThreadId};
use std::time::{Duration, Instant};
use support::{ACCEPTED, AMPLE, BOUNDS, CAP, DECLINED, World, endpoint, gate, signature, signed, unsigned};

/// Gives the fields of a callback whose signature is `value`.
fn with_request<R>(signature: &str, body: &[u8], then: impl FnOnce(&CallbackRequest<'_>) -> R) -> R {
    let fields = [("Content-Type", &b"application/json"[..]), ("Signature", signature.as_bytes())];
    then(&CallbackRequest { method: "POST", headers: Headers(&fields), body, received_at: None })
}

fn receive(world: &World, endpoint: &Endpoint, signature: &str, body: &[u8]) -> u16 {
    with_request(signature, body, |request| world.intake.receive(endpoint, request).status())
}

/// Receives on a thread of its own.
fn receiving(world: &World, endpoint: &Endpoint, body: &'static [u8]) -> thread::JoinHandle<u16> {
    let (intake, endpoint) = (world.intake.clone(), endpoint.clone());
    thread::spawn(move || {
        with_request(&signature(body), body, |request| intake.receive(&endpoint, request).status())
    })
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The smallest runtime: no timers, no reactor.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park_timeout(Duration::from_secs(20)),
        }
    }
}

#[test]
fn g5_a_callback_is_answered_200_only_once_it_is_committed() {
    let (world, endpoint) = (World::new(BOUNDS), endpoint(signed(), AMPLE));
    let answer = receiving(&world, &endpoint, ACCEPTED);
    world.committing();
    // The commit waits for its word: nothing may be answered, and nothing applied.
    assert!(world.is_quiet() && !answer.is_finished());
    assert_eq!(world.recorded(), 0);

    world.words.send(true).unwrap();
    assert_eq!(answer.join().unwrap(), 200);
    assert_eq!(world.recorded(), 1);
    assert_eq!(world.event().outcome, CallbackOutcome::Recorded { position: 1, duplicate: false });
    let arrived = world.arrival().arrived;
    assert_eq!((arrived.provider(), arrived.position()), ("shufti", Some(1)));
    assert!(matches!(arrived.callback(), Callback::Signed(_)));
    assert_eq!(&arrived.body()[..], ACCEPTED);

    // R4: the same bytes again are a duplicate, answered 200, and still arrive.
    world.words.send(true).unwrap();
    assert_eq!(receive(&world, &endpoint, &signature(ACCEPTED), ACCEPTED), 200);
    assert_eq!(world.event().outcome, CallbackOutcome::Recorded { position: 1, duplicate: true });
    assert_eq!(world.meaning().0, Some(1));
}

#[test]
fn g5_a_store_that_stalls_is_answered_503_in_time_and_its_late_commit_still_applies() {
    let (world, endpoint) = (World::new(BOUNDS), endpoint(signed(), Span::millis(400)));
    let began = Instant::now();
    assert_eq!(receive(&world, &endpoint, &signature(ACCEPTED), ACCEPTED), 503);
    assert!(began.elapsed() >= Duration::from_millis(390), "{:?}", began.elapsed());
    assert_eq!(world.meaning(), (None, Callback::Unsigned));
    assert_eq!(world.refused(), 503);

    // R10: the commit completes after the 503 and still steps the session.
    world.words.send(true).unwrap();
    assert!(matches!(world.meaning(), (Some(1), Callback::Signed(_))));
}

#[test]
fn g5_the_deadline_holds_for_a_future_on_a_runtime_without_timers() {
    let (world, endpoint) = (World::new(BOUNDS), endpoint(signed(), Span::millis(200)));
    let answer = with_request(&signature(ACCEPTED), ACCEPTED, |it| world.intake.receive_async(&endpoint, it));
    assert_eq!(block_on(answer).status(), 503);
    assert_eq!(world.meaning(), (None, Callback::Unsigned));
    world.words.send(true).unwrap();
    assert_eq!(world.meaning().0, Some(1));

    let answer = with_request(&signature(ACCEPTED), ACCEPTED, |it| world.intake.receive_async(&endpoint, it));
    world.words.send(true).unwrap();
    assert_eq!(block_on(answer).status(), 200);
}

#[test]
fn g5_a_body_that_never_ends_is_answered_503_at_the_deadline() {
    let (world, endpoint) = (World::new(BOUNDS), endpoint(signed(), Span::millis(200)));
    let mut incoming = world.intake.begin(&endpoint, "POST", Headers(&[]), None);
    incoming.chunk(&ACCEPTED[..5]);
    assert_eq!(block_on(incoming.answered()).status(), 503);
    assert_eq!(world.recorded(), 0);
}

#[test]
fn r10_a_future_that_is_dropped_leaves_a_hint_and_then_the_record() {
    let (world, endpoint) = (World::new(BOUNDS), endpoint(signed(), AMPLE));
    let answer = with_request(&signature(ACCEPTED), ACCEPTED, |it| world.intake.receive_async(&endpoint, it));
    world.committing();
    drop(answer);
    assert_eq!(world.meaning(), (None, Callback::Unsigned));
    world.words.send(true).unwrap();
    assert_eq!(world.meaning().0, Some(1));
    assert_eq!(world.recorded(), 1);
}

#[test]
fn g5_a_store_that_fails_is_answered_503() {
    let (world, endpoint) = (World::new(BOUNDS), endpoint(signed(), AMPLE));
    world.words.send(false).unwrap();
    assert_eq!(receive(&world, &endpoint, &signature(ACCEPTED), ACCEPTED), 503);
    assert_eq!((world.recorded(), world.meaning()), (0, (None, Callback::Unsigned)));
}

#[test]
fn g6_a_full_queue_is_answered_503_at_once() {
    let (world, endpoint) =
        (World::new(IntakeBounds { most_waiting: 1, ..BOUNDS }), endpoint(signed(), AMPLE));
    let mut answers = vec![receiving(&world, &endpoint, ACCEPTED)];
    world.committing();
    // The store is busy: of two more, one waits in the queue and the other finds no room.
    answers.extend([(); 2].map(|()| receiving(&world, &endpoint, DECLINED)));
    assert_eq!(world.refused(), 503);
    assert_eq!(world.meaning(), (None, Callback::Unsigned));
    assert!(world.is_quiet(), "the others wait");
    drop(world.words);
    for answer in answers {
        assert_eq!(answer.join().unwrap(), 503);
    }
}

#[test]
fn g6_bodies_past_the_memory_that_they_may_take_are_answered_503_at_once() {
    let most_bytes = 100;
    let (world, endpoint) = (World::new(IntakeBounds { most_bytes, ..BOUNDS }), endpoint(signed(), AMPLE));
    let first = receiving(&world, &endpoint, ACCEPTED);
    world.committing();
    // The first body is held while the store works, and while the driver has not taken it.
    assert_eq!(receive(&world, &endpoint, &signature(DECLINED), DECLINED), 503);
    assert_eq!(world.refused(), 503);
    world.words.send(true).unwrap();
    assert_eq!(first.join().unwrap(), 200);
    let held = world.arrival();
    assert_eq!(receive(&world, &endpoint, &signature(DECLINED), DECLINED), 503);
    drop(held);

    // The recorder's thread lets go of the body as well, a moment after it answered.
    let recorded_soon = |body: &[u8]| {
        world.words.send(true).unwrap();
        let began = Instant::now();
        while receive(&world, &endpoint, &signature(body), body) != 200 {
            assert!(began.elapsed() < Duration::from_secs(20), "the room is not given back");
            thread::yield_now();
        }
    };
    recorded_soon(DECLINED);
    drop(world.arrival());
    // One that is alone is taken whatever its size.
    recorded_soon(&[ACCEPTED, &[b' '; 200]].concat());
}

#[test]
fn r16_a_wrong_or_missing_signature_is_answered_401_not_recorded_and_hints() {
    let (world, endpoint) = (World::new(BOUNDS), endpoint(signed(), AMPLE));
    let missing =
        CallbackRequest { method: "POST", headers: Headers(&[]), body: ACCEPTED, received_at: None };
    let statuses = [
        receive(&world, &endpoint, &signature(DECLINED), ACCEPTED),
        world.intake.receive(&endpoint, &missing).status(),
    ];
    assert_eq!(statuses, [401, 401]);
    for authenticity in [Authenticity::Wrong, Authenticity::Missing] {
        assert_eq!(world.meaning(), (None, Callback::WrongSignature));
        let event = world.event();
        assert_eq!(event.authenticity, Some(authenticity));
        assert!(matches!(event.outcome, CallbackOutcome::Refused { status: 401, .. }));
    }
    assert_eq!(world.recorded(), 0);
}

#[test]
fn r19_a_signed_body_that_cannot_be_read_is_recorded_and_an_unsigned_one_refused() {
    let world = World::new(BOUNDS);
    let (signs, does_not) = (endpoint(signed(), AMPLE), endpoint(unsigned(), AMPLE));
    world.words.send(true).unwrap();
    assert_eq!(receive(&world, &signs, &signature(b"\xff\xff"), b"\xff\xff"), 200);
    assert!(world.event().unreadable.is_some());
    assert_eq!((world.recorded(), world.meaning()), (1, (Some(1), Callback::SignedSignal)));

    assert_eq!(receive(&world, &does_not, "", b"\xff\xff"), 400);
    assert_eq!(world.recorded(), 1);
    world.words.send(true).unwrap();
    assert_eq!(receive(&world, &does_not, "", br#"{"flow_id":"ab-1","reasons":[]}"#), 200);
    assert_eq!(world.meaning(), (Some(2), Callback::Unsigned));
}

#[test]
fn empty_and_overlong_bodies_are_refused_and_what_comes_too_late_too() {
    let (world, endpoint) = (World::new(BOUNDS), endpoint(signed(), Span::millis(400)));
    assert_eq!(receive(&world, &endpoint, &signature(b"x"), b""), 400);
    let large = vec![b'x'; usize::try_from(CAP).unwrap() + 1];
    assert_eq!(receive(&world, &endpoint, "", &large), 413);
    let received_at = Instant::now().checked_sub(Duration::from_secs(3));
    let status = with_request(&signature(ACCEPTED), ACCEPTED, |request| {
        world.intake.receive(&endpoint, &CallbackRequest { received_at, ..*request }).status()
    });
    assert_eq!(status, 503);
    assert_eq!(world.recorded(), 0);
}

#[test]
fn g5_the_deadline_counts_from_the_first_byte_of_the_head() {
    let world = World::new(BOUNDS);
    let before = world.intake.first_byte(None);
    let ago = Instant::now().checked_sub(Duration::from_millis(500)).unwrap();
    let first_byte = world.intake.first_byte(Some(ago));
    assert!(first_byte.since(before) == 0 && first_byte <= world.intake.first_byte(None));
    let clock = SystemClock::new();
    assert!(clock.now().since(idv_core::time::Instant::EARLIEST) < 20_000);
}

#[test]
fn closing_waits_for_what_is_being_recorded_and_refuses_what_comes_after() {
    let (world, endpoint) = (World::new(BOUNDS), endpoint(signed(), AMPLE));
    let answer = receiving(&world, &endpoint, ACCEPTED);
    world.committing();
    assert!(!world.intake.close(Duration::ZERO));
    assert_eq!(receive(&world, &endpoint, &signature(DECLINED), DECLINED), 503);
    world.words.send(true).unwrap();
    assert_eq!(answer.join().unwrap(), 200);
    assert!(world.intake.close(Duration::from_secs(20)));
}

/// An account that says on which thread a body is read, and panics over one that tells it to.
#[derive(Debug)]
struct Watched(shufti::Account, Sender<ThreadId>);

impl Provider for Watched {
    fn name(&self) -> &'static str {
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
        self.1.send(thread::current().id()).unwrap();
        assert!(!body.starts_with(b"panic"), "on purpose");
        self.0.read_callback(body, checked)
    }
    fn statement(&self, body: &[u8]) -> Result<Statement, Unreadable> {
        self.0.statement(body)
    }
}

#[test]
fn a_large_body_is_read_off_the_servers_thread_and_a_panic_over_it_is_answered_503() {
    let world = World::new(BOUNDS);
    let (says, threads) = channel();
    let endpoint = endpoint(Watched(signed(), says), AMPLE);
    let (here, large) = (thread::current().id(), vec![b' '; 1 << 20]);
    for (start, is_large, status) in [(ACCEPTED, false, 200), (DECLINED, true, 200), (b"panic", true, 503)] {
        let body = if is_large { [start, &large].concat() } else { start.to_vec() };
        let answer = with_request(&signature(&body), &body, |it| world.intake.receive_async(&endpoint, it));
        if status == 200 {
            world.words.send(true).unwrap();
        }
        assert_eq!(block_on(answer).status(), status);
        assert_eq!(threads.recv().unwrap() != here, is_large);
    }
    // Whose handler may block is not helped by another thread.
    let body = [ACCEPTED, &large].concat();
    world.words.send(true).unwrap();
    assert_eq!(receive(&world, &endpoint, &signature(&body), &body), 200);
    assert_eq!(threads.recv().unwrap(), here);
}

/// An inbox without room. Who may wait waits until the test makes some.
struct Full {
    room: Mutex<Receiver<()>>,
    taken: Sender<Option<u64>>,
    refused: Sender<Option<u64>>,
}

impl Inbox for Full {
    fn send(&self, delivered: Delivered) {
        let _ = self.room.lock().unwrap().recv();
        self.taken.send(delivered.arrived.position()).unwrap();
    }

    fn try_send(&self, delivered: Delivered) -> bool {
        self.refused.send(delivered.arrived.position()).unwrap();
        false
    }
}

/// An intake before an inbox without room: what makes some, and the positions of what was taken and of what was refused.
struct Crowded {
    intake: Intake,
    make_room: Sender<()>,
    takes: Receiver<Option<u64>>,
    refuses: Receiver<Option<u64>>,
}

fn without_room(store: AnyStore) -> Crowded {
    let ((make_room, room), (taken, takes), (refused, refuses)) = (channel(), channel(), channel());
    let inbox = Full { room: Mutex::new(room), taken, refused };
    let intake = Intake::new(Arc::new(SystemClock::new()), store, BOUNDS, inbox, |_| ());
    Crowded { intake, make_room, takes, refuses }
}

#[test]
fn r10_g5_what_is_recorded_waits_for_a_full_inbox_and_a_hint_does_not() {
    let memory = SharedMemory::default();
    let (gate, words, _started) = gate(&memory);
    words.send(true).unwrap();
    for (store, waits_at_once) in [(gate, true), (AnyStore::new(memory), false)] {
        let Crowded { intake, make_room, takes, refuses } = without_room(store);
        let endpoint = endpoint(signed(), AMPLE);
        let receive = |signature: &str| {
            with_request(signature, ACCEPTED, |request| intake.receive(&endpoint, request).status())
        };
        // Neither answer waits for the driver.
        assert_eq!(receive(&signature(ACCEPTED)), 200);
        assert_eq!(receive("forged"), 401);
        if !waits_at_once {
            assert_eq!(refuses.recv(), Ok(Some(1)), "not on the server's thread");
        }
        assert_eq!(refuses.recv(), Ok(None), "the hint is let go");
        assert!(takes.try_recv().is_err(), "what is recorded waits");
        make_room.send(()).unwrap();
        assert_eq!(takes.recv(), Ok(Some(1)));
        assert!(refuses.try_recv().is_err());
    }
}

/// What a future says when it is asked once.
fn at_once<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn g5_a_store_that_never_blocks_is_asked_where_the_callback_came_in() {
    let memory = SharedMemory::default();
    let (seen, arrived) = channel();
    let intake = Intake::new(
        Arc::new(SystemClock::new()),
        AnyStore::new(memory.clone()),
        BOUNDS,
        move |delivered: Delivered| {
            seen.send((thread::current().id(), delivered.arrived.position())).unwrap()
        },
        |_| {},
    );
    let endpoint = endpoint(signed(), AMPLE);
    let asked = with_request(&signature(ACCEPTED), ACCEPTED, |it| intake.receive_async(&endpoint, it));
    let Poll::Ready(answer) = at_once(asked) else { panic!("it went to another thread") };
    assert_eq!((answer.status(), memory.with(MemoryStore::len)), (200, 1));
    assert_eq!(arrived.try_recv(), Ok((thread::current().id(), Some(1))));

    // One that is closed takes nothing more, here as elsewhere.
    assert!(intake.close(Duration::ZERO), "nothing is left to wait for");
    let asked = with_request(&signature(DECLINED), DECLINED, |it| intake.receive_async(&endpoint, it));
    assert!(matches!(at_once(asked), Poll::Ready(answer) if answer.status() == 503));
    assert_eq!(memory.with(MemoryStore::len), 1);
}

/// A driver that takes nothing in holds callbacks up by way of the recorders, however quick the store: what waits is bounded.
#[test]
fn g6_a_store_that_never_blocks_does_not_pile_callbacks_up_before_a_full_inbox() {
    let memory = SharedMemory::default();
    let Crowded { intake, make_room, takes, refuses: _refuses } = without_room(AnyStore::new(memory.clone()));
    let endpoint = endpoint(signed(), AMPLE);
    let bodies: Vec<_> =
        (0..20).map(|n| format!(r#"{{"reference":"{n}","event":"request.pending"}}"#)).collect();
    let asked: Vec<_> = bodies
        .iter()
        .map(|body| {
            with_request(&signature(body.as_bytes()), body.as_bytes(), |it| {
                intake.receive_async(&endpoint, it)
            })
        })
        .collect();
    assert_eq!(memory.with(MemoryStore::len), 1, "the first, whose delivery waits on the only recorder");
    drop(make_room);
    let answers: Vec<_> = asked.into_iter().map(|answer| block_on(answer).status()).collect();
    assert!(answers.iter().all(|status| [200, 503].contains(status)), "{answers:?}");
    // Whether the recorder has the first or it still waits, too, is up to chance.
    let recorded = answers.iter().filter(|status| **status == 200).count();
    assert!((BOUNDS.most_waiting..=1 + BOUNDS.most_waiting).contains(&recorded), "{answers:?}");
    let mut positions: Vec<_> = (0..recorded).map(|_| takes.recv().unwrap()).collect();
    positions.sort_unstable();
    assert_eq!(positions, (1..=recorded as u64).map(Some).collect::<Vec<_>>(), "nothing recorded was lost");
}
