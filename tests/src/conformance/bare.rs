//! The stage of the bare core: no socket, no thread, no clock. What is sent is seen at once, and time goes on only while a story waits.

use super::documents::Documents;
use super::observed::{Application, Asked, Observed, Posted, Reply, Seen};
use super::play::{Post, Stage};
use super::scenario::{BadConnection, Fault, Scenario};
use super::sockets::hand_over;
use crate::driving::FaultyStore;
use idv_core::engine::reception::{Action, Endpoint, Reception, Recording};
use idv_core::engine::{Call, Completion, Engine, Event, HandOver, Moment, Policy, Task};
use idv_core::evidence::FaultKind;
use idv_core::fleet::{AccountId, Key, Wake};
use idv_core::http::{Failure, Headers, Received};
use idv_core::machine::Next;
use idv_core::time::Instant;
use idv_host::Entropy;
use smol::channel::{Receiver, TryRecvError, bounded};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The base URL of a provider that nobody connects to.
const BASE_URL: &str = "https://provider.example.org";

/// The calendar when a run begins: a moment in 2026.
const BEGAN_UNIX_MS: u64 = 1_780_000_000_000;

/// The most steps of an engine at one moment: more is a loop.
const MOST_STEPS: u32 = 10_000;

/// The bare core on its stage.
pub struct Bare<'a> {
    scenario: &'a Scenario,
    documents: Documents,
    observed: Observed,
    store: FaultyStore,
    bad: VecDeque<BadConnection>,
    entropy: Entropy,
    /// Milliseconds since the run began.
    now: u64,
    process: Option<Process>,
}

struct Process {
    engine: Engine,
    account: AccountId,
    endpoint: Endpoint,
    application: Application,
    /// When its clock began to count: every process has its own.
    began: u64,
    wake: Wake,
    opened: BTreeMap<String, Key>,
    calls: Vec<Pending>,
    offers: Vec<(HandOver, Receiver<Result<(), String>>)>,
    callbacks: Vec<Incoming>,
    last_op: u64,
}

/// A call under way.
enum Pending {
    /// The provider has it.
    Sent(Call, Receiver<Reply>),
    /// The provider will not answer it in time.
    Lost(Call),
}

/// A callback under way.
struct Incoming {
    reception: Reception,
    recording: Option<Recording>,
    /// Nobody waits for the answer.
    gone: bool,
}

/// What an engine asked for, or was told of.
#[derive(Default)]
struct Todo {
    tasks: VecDeque<Task>,
    completions: VecDeque<Completion>,
    actions: VecDeque<(usize, Action)>,
}

impl<'a> Bare<'a> {
    /// Sets the stage for a scenario. The seed is that of the jitter: it changes when things happen, never what.
    ///
    /// # Errors
    /// The account's set-up is none.
    pub fn new(scenario: &'a Scenario, seed: u64) -> Result<Self, String> {
        Ok(Self {
            scenario,
            documents: Documents::of(&scenario.account)?,
            observed: Observed::default(),
            store: FaultyStore::default(),
            bad: VecDeque::new(),
            entropy: Entropy::from_seed(seed),
            now: 0,
            process: None,
        })
    }

    fn process(&mut self) -> Result<&mut Process, String> {
        self.process.as_mut().ok_or_else(|| "no process runs".to_owned())
    }

    fn moment(&mut self) -> Moment {
        let began = self.process.as_ref().map_or(self.now, |process| process.began);
        Moment::new(instant(self.now - began), BEGAN_UNIX_MS + self.now, self.entropy.draw())
    }

    /// Does everything that can be done at this moment.
    fn advance(&mut self) {
        for _ in 0..MOST_STEPS {
            let mut todo = Todo::default();
            self.collect(&mut todo);
            if !self.perform(todo) {
                return;
            }
        }
    }

    /// Everything that came to its end, or became due.
    fn collect(&mut self, todo: &mut Todo) {
        let moment = self.moment();
        let Some(process) = &mut self.process else { return };
        let due = match process.wake {
            Wake::More => true,
            Wake::At(at) => at <= moment.now,
            Wake::Input => false,
        };
        if due {
            process.wake = process.engine.run(moment, 256, &mut |task| todo.tasks.push_back(task));
        }
        for pending in std::mem::take(&mut process.calls) {
            match pending {
                Pending::Sent(call, reply) => match reply.try_recv() {
                    Ok(reply) => match answered(&reply) {
                        Some(result) => todo.completions.push_back(call.answered(result, moment.unix_ms)),
                        None => process.calls.push(Pending::Lost(call)),
                    },
                    Err(TryRecvError::Empty) => process.calls.push(Pending::Sent(call, reply)),
                    Err(TryRecvError::Closed) => process.calls.push(Pending::Lost(call)),
                },
                Pending::Lost(call) if call.until() <= moment.now => {
                    todo.completions.push_back(failed(call, FaultKind::TimedOut, moment.unix_ms));
                }
                Pending::Lost(call) => process.calls.push(Pending::Lost(call)),
            }
        }
        for (offer, word) in std::mem::take(&mut process.offers) {
            match word.try_recv() {
                Ok(Ok(())) => todo.completions.push_back(offer.taken()),
                Ok(Err(why)) => todo.completions.push_back(offer.not_taken(why)),
                Err(_) => process.offers.push((offer, word)),
            }
        }
        let stalls = self.store.stalls_commits();
        for (index, incoming) in process.callbacks.iter_mut().enumerate() {
            let due = matches!(incoming.reception.next(), Next::At(at) if at <= moment.now);
            let mut actions = if due { incoming.reception.tick(moment.now) } else { Vec::new() };
            if !stalls && let Some(recording) = incoming.recording.take() {
                actions.extend(match recording.perform(&mut self.store) {
                    Ok(proof) => incoming.reception.committed(moment.now, proof),
                    Err(_) => incoming.reception.not_recorded(moment.now),
                });
            }
            todo.actions.extend(actions.into_iter().map(|action| (index, action)));
        }
    }

    /// Performs what is to be done; says whether there was anything.
    fn perform(&mut self, mut todo: Todo) -> bool {
        let mut any = false;
        loop {
            let moment = self.moment();
            let Some(process) = &mut self.process else { return false };
            let Todo { tasks, completions, actions } = &mut todo;
            let mut more = |task| tasks.push_back(task);
            if let Some(completion) = completions.pop_front() {
                process.engine.complete(moment, completion, &mut more);
            } else if let Some((index, action)) = actions.pop_front() {
                let Some(incoming) = process.callbacks.get_mut(index) else { continue };
                match action {
                    Action::Examine(task) => {
                        let done = incoming.reception.examined(moment.now, task.perform());
                        actions.extend(done.into_iter().map(|action| (index, action)));
                    }
                    Action::Record(task) => {
                        incoming.recording = Some(task);
                        if incoming.gone {
                            let done = incoming.reception.disconnected(moment.now);
                            actions.extend(done.into_iter().map(|action| (index, action)));
                        }
                    }
                    Action::Answer(_) if incoming.gone => {}
                    Action::Answer(answer) => {
                        let rest = answer.explanation().to_owned();
                        let posted = Posted { status: answer.status(), rest };
                        self.observed.note(|seen| seen.posted.push_back(posted));
                    }
                    Action::Arrived(arrived) => process.engine.callback(moment, arrived, &mut more),
                    Action::Tell(event) => process.application.tell(&Event::Callback(event)),
                }
            } else if let Some(task) = tasks.pop_front() {
                completions.extend(self.start(task));
            } else {
                return any;
            }
            if let Some(process) = &mut self.process {
                // Whatever it was told, it may want to come back at another time.
                process.wake = Wake::More;
            }
            any = true;
        }
    }

    fn start(&mut self, task: Task) -> Option<Completion> {
        let (now, unix_ms) = (self.now, self.unix_ms());
        let bad = if matches!(task, Task::Call(_)) { self.bad.pop_front() } else { None };
        let process = self.process.as_mut()?;
        match task {
            Task::Call(call) => {
                let kind = match bad {
                    None if self.scenario.account.nowhere => Some(FaultKind::Unreachable),
                    None => None,
                    Some(BadConnection::Reset) => Some(FaultKind::Unreachable),
                    Some(BadConnection::Expired | BadConnection::SelfSigned | BadConnection::WrongHost) => {
                        Some(FaultKind::Tls)
                    }
                };
                if let Some(kind) = kind {
                    return Some(failed(call, kind, unix_ms));
                }
                let (reply, answer) = bounded(1);
                let request = call.request();
                let lower = |(name, value): &(&str, String)| (name.to_ascii_lowercase(), value.clone());
                let asked = Asked {
                    method: request.method.to_owned(),
                    path: request.url.strip_prefix(BASE_URL).unwrap_or(&request.url).to_owned(),
                    fields: request.headers.iter().map(lower).collect(),
                    body: String::from_utf8_lossy(&request.body).into_owned(),
                    at: now,
                    reply,
                };
                self.observed.note(|seen| seen.requests.push_back(asked));
                process.calls.push(Pending::Sent(call, answer));
                None
            }
            Task::Store(task) => Some(task.perform(&mut self.store)),
            Task::HandOver(offer) => {
                let word = process.application.offer(&offer.revision());
                process.offers.push((offer, word));
                None
            }
            Task::Opened(_) => None,
            Task::Tell(event) => {
                process.application.tell(&event);
                None
            }
        }
    }

    /// The next moment at which something is due.
    fn next(&self) -> Option<u64> {
        let process = self.process.as_ref()?;
        let own = match process.wake {
            Wake::More => return Some(self.now),
            Wake::At(at) => Some(at),
            Wake::Input => None,
        };
        let calls = process.calls.iter().filter_map(|pending| match pending {
            Pending::Sent(..) => None,
            Pending::Lost(call) => Some(call.until()),
        });
        let callbacks = process.callbacks.iter().filter_map(|incoming| match incoming.reception.next() {
            Next::At(at) => Some(at),
            Next::Input | Next::Over => None,
        });
        let next = own.into_iter().chain(calls).chain(callbacks).min()?;
        Some(next.since(instant(0)) + process.began)
    }
}

/// The clock of a process, so long after it began.
fn instant(millis: u64) -> Instant {
    Instant::from_millis(1_000 + millis)
}

fn failed(call: Call, kind: FaultKind, unix_ms: u64) -> Completion {
    call.answered(Err(Failure { kind, diagnosis: "as the story wants it".to_owned() }), unix_ms)
}

/// What a client makes of such an answer; nothing where the call's time passes before.
fn answered(reply: &Reply) -> Option<Result<Received, Failure>> {
    let kind = match reply.fault {
        None => {
            let lend = |(name, value): &(String, String)| (name.clone(), value.clone().into_bytes());
            return Some(Ok(Received {
                status: reply.status,
                headers: reply.fields.iter().map(lend).collect(),
                body: reply.body.clone(),
            }));
        }
        Some(Fault::Reset | Fault::Close) => FaultKind::Unreachable,
        Some(Fault::Truncated | Fault::TruncatedChunks) => FaultKind::Truncated,
        Some(Fault::Garbage) => FaultKind::Malformed,
        Some(Fault::Drip | Fault::Silence) => return None,
    };
    Some(Err(Failure { kind, diagnosis: "as the story wants it".to_owned() }))
}

impl Stage for Bare<'_> {
    fn observed(&self) -> &Observed {
        &self.observed
    }

    fn now(&self) -> u64 {
        self.now
    }

    fn unix_ms(&self) -> u64 {
        BEGAN_UNIX_MS + self.now
    }

    fn start(&mut self) -> Result<(), String> {
        let account = self.documents.account(BASE_URL)?;
        let endpoint = account.endpoint();
        let policy = Policy { hand_over: hand_over(self.scenario), ..Policy::default() };
        let mut engine = Engine::new(policy);
        let account = engine.add_account(account);
        let mut todo = Todo::default();
        let mut store = self.store.clone();
        self.process = None;
        let moment = self.moment();
        engine
            .restore(moment, &mut store, &mut |task| todo.tasks.push_back(task))
            .map_err(|error| error.to_string())?;
        self.process = Some(Process {
            engine,
            account,
            endpoint,
            application: self.observed.application(),
            began: self.now,
            wake: Wake::More,
            opened: BTreeMap::new(),
            calls: Vec::new(),
            offers: Vec::new(),
            callbacks: Vec::new(),
            last_op: 0,
        });
        self.perform(todo);
        Ok(())
    }

    fn crash(&mut self) {
        self.store.die_after(0);
        self.store.stall_commits(false);
        self.process = None;
        self.observed.note(Seen::process_died);
        self.store = FaultyStore::over(&self.store.memory);
    }

    fn open(&mut self, id: &str) -> Result<(), String> {
        let (moment, mut todo) = (self.moment(), Todo::default());
        let process = self.process()?;
        let opened =
            process.engine.open(moment, process.account, id, None, &mut |task| todo.tasks.push_back(task));
        process.opened.insert(id.to_owned(), opened.map_err(|error| error.to_string())?);
        self.perform(todo);
        Ok(())
    }

    fn cancel(&mut self, id: &str) -> Result<(), String> {
        let (moment, mut todo) = (self.moment(), Todo::default());
        let process = self.process()?;
        let key = process.opened.get(id).copied().ok_or_else(|| format!("{id} was not opened here"))?;
        let _ = process.engine.cancel(moment, key, &mut |task| todo.tasks.push_back(task));
        self.perform(todo);
        Ok(())
    }

    fn spoil(&mut self, bad: BadConnection) {
        self.bad.push_back(bad);
    }

    fn post(&mut self, post: Post) -> Result<(), String> {
        let moment = self.moment();
        let process = self.process()?;
        process.last_op += 1;
        let mut reception = Reception::begin(process.endpoint.clone(), process.last_op, moment.now);
        let length = post.body.len().to_string();
        let mut fields: Vec<(&str, &[u8])> =
            post.fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        fields.push(("content-length", length.as_bytes()));
        let mut actions = reception.head(moment.now, "POST", Headers(&fields));
        if post.stops {
            let half = post.body.get(..post.body.len() / 2).unwrap_or_default();
            actions.extend(reception.chunk(moment.now, half));
        } else {
            actions.extend(reception.chunk(moment.now, &post.body));
            actions.extend(reception.complete(moment.now, moment.unix_ms));
        }
        process.callbacks.push(Incoming { reception, recording: None, gone: post.hangs_up });
        let index = process.callbacks.len() - 1;
        let actions = actions.into_iter().map(|action| (index, action)).collect();
        self.perform(Todo { actions, ..Todo::default() });
        Ok(())
    }

    fn store(&self) -> &FaultyStore {
        &self.store
    }

    fn let_pass(&mut self, span: Duration) -> bool {
        self.wait(span, &mut |seen| !seen.leftovers().is_empty());
        true
    }

    fn wait(&mut self, patience: Duration, wanted: &mut dyn FnMut(&mut Seen) -> bool) -> bool {
        let until = self.now + u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        loop {
            self.advance();
            if wanted(&mut self.observed.seen()) {
                return true;
            }
            match self.next() {
                Some(next) if next <= until => self.now = next.max(self.now),
                Some(_) | None => {
                    self.now = until;
                    self.advance();
                    return wanted(&mut self.observed.seen());
                }
            }
        }
    }
}
