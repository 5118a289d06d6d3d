//! Sockets, threads and the clock around the [`World`].

use crate::api::{self, Answer, Call};
use crate::callback;
use crate::log::What;
use crate::scenario::{AnswerFault, Key, Provider};
use crate::world::{Job, World};
use idv_core::time::Instant;
use idv_listener::header::{LOCATION, RETRY_AFTER};
use idv_listener::{Bytes, HeaderName, HeaderValue, Piece, Reply, Request, StatusCode};
use idv_ureq::{Client, Transport};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

/// The most callbacks in flight at once; more wait their turn.
const MOST_WORKERS: usize = 64;

/// How far ahead the date of [`AnswerFault::RateLimitedUntil`] lies. It has no fractions of a second, so that at least one is left.
const UNTIL: Duration = Duration::from_secs(2);

/// What the threads share.
pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    begun: std::time::Instant,
    pub(crate) client: Client,
}

struct State {
    world: World,
    stopping: bool,
    posts: Option<Sender<Job>>,
    queue: Arc<Mutex<Receiver<Job>>>,
    /// Posts handed out and not yet done.
    busy: usize,
    workers: Vec<JoinHandle<()>>,
}

impl Shared {
    pub(crate) fn new(world: World, client: Client) -> Self {
        let (posts, queue) = mpsc::channel();
        let state = State {
            world,
            stopping: false,
            posts: Some(posts),
            queue: Arc::new(Mutex::new(queue)),
            busy: 0,
            workers: Vec::new(),
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), begun: std::time::Instant::now(), client }
    }

    /// Milliseconds since the start, rounded down.
    fn now(&self) -> Instant {
        Instant::from_millis(u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets everything happen that is due, does `change`, and hands out the posts that came of it.
    pub(crate) fn with<R>(self: &Arc<Self>, change: impl FnOnce(&mut World) -> R) -> R {
        let mut state = self.state();
        state.world.advance(self.now());
        let result = change(&mut state.world);
        // What was asked for may itself be due at once.
        let now = state.world.now();
        state.world.advance(now);
        self.hand_out(&mut state);
        drop(state);
        self.changed.notify_all();
        result
    }

    fn hand_out(self: &Arc<Self>, state: &mut State) {
        for job in std::mem::take(&mut state.world.jobs) {
            let Some(posts) = &state.posts else { return };
            if posts.send(job).is_err() {
                return;
            }
            state.busy += 1;
            if state.busy > state.workers.len() && state.workers.len() < MOST_WORKERS {
                let (shared, queue) = (Arc::clone(self), Arc::clone(&state.queue));
                let worker = std::thread::Builder::new().name("idv-sandbox-post".to_owned());
                match worker.spawn(move || shared.post_all(&queue)) {
                    Ok(worker) => state.workers.push(worker),
                    Err(error) => tracing::warn!(%error, "no thread for posting callbacks"),
                }
            }
        }
    }

    /// Drives the timers until the sandbox stops.
    pub(crate) fn run(self: &Arc<Self>) {
        let mut state = self.state();
        while !state.stopping {
            state.world.advance(self.now());
            self.hand_out(&mut state);
            let wait = state.world.next().map(|at| Duration::from_millis(at.since(self.now()).max(1)));
            state = match wait {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(wait) => {
                    self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn post_all(self: &Arc<Self>, queue: &Mutex<Receiver<Job>>) {
        loop {
            let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(Job { delivery, attempt, within, request }) = job else { return };
            let answer = match self.client.send(&request, within) {
                Ok(received) => Ok(received.status),
                Err(failure) => {
                    tracing::debug!(delivery, attempt, %failure, "a callback was not answered");
                    Err(callback::cause(&failure))
                }
            };
            drop(request);
            self.state().busy -= 1;
            self.with(|world| world.posted(delivery, attempt, answer));
        }
    }

    /// Ends the threads that run [`Shared::run`] and post callbacks.
    pub(crate) fn stop(&self) {
        let mut state = self.state();
        state.stopping = true;
        state.posts = None;
        let workers = std::mem::take(&mut state.workers);
        drop(state);
        self.changed.notify_all();
        // Interrupts posts whose receiver takes its time.
        self.client.shutdown();
        for worker in workers {
            if worker.join().is_err() {
                tracing::error!("a thread that posts callbacks panicked");
            }
        }
    }

    /// Answers one request to a provider.
    pub(crate) async fn serve(self: Arc<Self>, provider: Provider, mut request: Request) -> Reply {
        let body = match request.body.collect().await {
            Ok(body) => body,
            Err(problem) => return problem.into(),
        };
        let head = &request.head;
        let call = Call { method: &head.method, path: head.path(), headers: &head.headers, body: &body };
        self.with(|world| {
            let answer = match provider {
                Provider::Shareid => api::shareid::answer(world, call),
                Provider::Shufti => api::shufti::answer(world, call),
            };
            if answer.fault.is_some() {
                world.statistics.of_mut(provider).faults += 1;
            }
            world.note(
                provider,
                What::Call {
                    method: head.method.as_str().to_owned(),
                    path: head.path().to_owned(),
                    id: answer.id.clone(),
                    status: (answer.fault != Some(AnswerFault::Unread)).then_some(answer.status),
                    said: answer.said.clone(),
                    fault: answer.fault,
                },
            );
            reply(world, provider, answer)
        })
    }
}

/// The answer as it goes out: signed, and struck by its fault.
fn reply(world: &World, provider: Provider, answer: Answer) -> Reply {
    let plain = |status: u16, media_type, body: Vec<u8>| {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Reply::new(status).with_body(media_type, body)
    };
    let voucher = world.voucher(provider);
    let signed = |key: Key| {
        let mut reply = plain(answer.status, answer.media_type, answer.body.clone());
        for (name, value) in voucher.answer_headers(key, &answer.body) {
            if let Ok(value) = HeaderValue::from_str(&value) {
                reply = reply.with_header(HeaderName::from_static(name), value);
            }
        }
        reply
    };
    let half = answer.body.len() / 2;
    let (first, second) = answer.body.split_at(half);
    let (first, second) = (Bytes::copy_from_slice(first), Bytes::copy_from_slice(second));
    let mut reply = match answer.fault {
        None => signed(Key::Right),
        Some(AnswerFault::WrongKey) => signed(Key::Wrong),
        Some(AnswerFault::Unsigned) => signed(Key::None),
        Some(AnswerFault::SlowBody) => {
            let pause = Piece::Pause(world.config.faults.slow_body);
            signed(Key::Right).with_pieces([Piece::Bytes(first), pause, Piece::Bytes(second)])
        }
        Some(AnswerFault::Truncated) => signed(Key::Right).with_pieces([Piece::Bytes(first), Piece::Cut]),
        Some(AnswerFault::Lost) => Reply::hang_up(),
        Some(AnswerFault::Reset | AnswerFault::Unread) => Reply::reset(),
        Some(AnswerFault::Html524) => {
            plain(524, "text/html", b"<html><body><h1>524: a timeout occurred</h1></body></html>".to_vec())
        }
        Some(AnswerFault::ServerError) => plain(500, "text/plain", b"Internal Server Error".to_vec()),
        Some(AnswerFault::RateLimited) => plain(429, "text/plain", b"Too Many Requests".to_vec())
            .with_header(RETRY_AFTER, HeaderValue::from_static("1")),
        Some(AnswerFault::RateLimitedUntil) => {
            let limited = plain(429, "text/plain", b"Too Many Requests".to_vec());
            match HeaderValue::from_str(&httpdate::fmt_http_date(SystemTime::now() + UNTIL)) {
                Ok(date) => limited.with_header(RETRY_AFTER, date),
                Err(_) => limited,
            }
        }
        Some(AnswerFault::Redirect) => {
            plain(302, "text/plain", Vec::new()).with_header(LOCATION, HeaderValue::from_static("/elsewhere"))
        }
        Some(AnswerFault::Malformed) => plain(200, "application/json", b"{\"reference\":".to_vec()),
    };
    if let Some(wait) = answer.retry_after {
        // Whole seconds, and not one too few.
        let secs = u64::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX).max(1);
        reply = reply.with_header(RETRY_AFTER, HeaderValue::from(secs));
    }
    reply
}
