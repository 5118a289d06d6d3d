//! A driver in virtual time: keeps what the engine asked for until the test has it done.

use crate::fake::Fake;
use crate::trace::Trace;
use idv_core::engine::reception::Action;
use idv_core::engine::{
    Account, Arrived, Call, Completion, Engine, Event, HandOver, Moment, Opened, Opening, Policy, Reception,
    RestoreError, StoreTask, Task,
};
use idv_core::evidence::{FaultKind, Verdict};
use idv_core::fleet::{AccountId, Key, OpenError, Wake};
use idv_core::http::{Failure, Headers, Received};
use idv_core::session::{Session, Snapshot};
use idv_core::store::{
    Commit, Journal, MemoryStore, Record, Recorded, Save, Saved, SavedSession, Sessions, TooLarge,
};
use idv_core::time::{Instant, Span};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What a store does with writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Mood {
    #[default]
    Willing,
    /// Says no, and does nothing.
    Refusing,
    /// Does it, and says no: the answer is lost.
    Lying,
}

/// A store in memory. Clones are the same.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) memory: Rc<RefCell<MemoryStore>>,
    pub(crate) mood: Rc<RefCell<Mood>>,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self { memory: Rc::new(RefCell::new(MemoryStore::new(1_000, 1 << 20))), mood: Rc::default() }
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.borrow_mut() = mood;
    }

    fn write<R>(&self, write: impl FnOnce(&mut MemoryStore) -> Result<R, TooLarge>) -> Result<R, TooLarge> {
        let refusal = Err(TooLarge { record: 1, most_bytes: 0 });
        let mood = *self.mood.borrow();
        match mood {
            Mood::Willing => write(&mut self.memory.borrow_mut()),
            Mood::Refusing => refusal,
            Mood::Lying => write(&mut self.memory.borrow_mut()).and(refusal),
        }
    }

    /// What is stored of a verification, as a later process would find it.
    pub(crate) fn session(&self, id: &str) -> Option<(SavedSession, Session)> {
        let found = self.memory.borrow_mut().find("fake", id, 1).unwrap().pop()?;
        let envelope: serde_json::Value = serde_json::from_slice(&found.snapshot).unwrap();
        let snapshot: Snapshot = serde_json::from_value(envelope["snapshot"].clone()).unwrap();
        let session = snapshot.restore(Instant::from_millis(1), 0).unwrap();
        Some((found, session))
    }

    pub(crate) fn confirmed(&self, id: &str) -> u32 {
        self.session(id).and_then(|(saved, _)| saved.confirmed).unwrap_or(0)
    }

    pub(crate) fn unapplied(&self) -> Vec<u64> {
        let left = self.memory.borrow_mut().unapplied(0, 100).unwrap();
        left.into_iter().map(|record| record.position).collect()
    }
}

impl Journal for Store {
    type Error = TooLarge;

    fn commit(&mut self, record: &Record<'_>) -> Result<Commit, TooLarge> {
        self.memory.borrow_mut().commit(record)
    }

    fn mark_applied(&mut self, positions: &[u64]) -> Result<(), TooLarge> {
        self.write(|memory| memory.mark_applied(positions))
    }

    fn unapplied(&mut self, after: u64, at_most: u32) -> Result<Vec<Recorded>, TooLarge> {
        self.memory.borrow_mut().unapplied(after, at_most)
    }
}

impl Sessions for Store {
    type Error = TooLarge;

    fn save(&mut self, save: &Save<'_>) -> Result<Saved, TooLarge> {
        self.write(|memory| memory.save(save))
    }

    fn confirm(&mut self, provider: &str, id: &str, revision: u32) -> Result<bool, TooLarge> {
        self.write(|memory| memory.confirm(provider, id, revision))
    }

    fn load(&mut self, after: Option<(&str, &str)>, at_most: u32) -> Result<Vec<SavedSession>, TooLarge> {
        self.memory.borrow_mut().load(after, at_most)
    }

    fn find(&mut self, provider: &str, id: &str, at_most: u32) -> Result<Vec<SavedSession>, TooLarge> {
        let refuses = *self.mood.borrow() != Mood::Willing;
        if refuses {
            return Err(TooLarge { record: 1, most_bytes: 0 });
        }
        self.memory.borrow_mut().find(provider, id, at_most)
    }
}

/// What an engine asked for and has not heard of.
#[derive(Debug)]
pub(crate) enum Asked {
    Call(Call),
    Store(StoreTask),
    HandOver(HandOver),
}

/// One revision that the application was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Given {
    pub(crate) id: String,
    pub(crate) number: u32,
    pub(crate) verdict: Verdict,
    pub(crate) body: Vec<u8>,
    pub(crate) callbacks: Vec<u64>,
    pub(crate) unsigned_answer: bool,
}

pub(crate) struct World {
    pub(crate) engine: Engine,
    trace: Trace,
    policy: Policy,
    fake: Fake,
    /// The accounts beside the first.
    others: Vec<Fake>,
    /// Which account verifications are opened with: the first, unless it is set.
    pub(crate) account: AccountId,
    pub(crate) store: Store,
    /// Milliseconds on the driver's clock, and since 1970.
    pub(crate) now: u64,
    pub(crate) unix_ms: u64,
    pub(crate) entropy: u32,
    pub(crate) asked: Vec<Asked>,
    pub(crate) opened: Vec<Opened>,
    pub(crate) events: Vec<Event>,
    /// What the provider answers about each id; 404 about others.
    pub(crate) truth: BTreeMap<String, String>,
    pub(crate) given: Vec<Given>,
    /// The application takes nothing.
    pub(crate) refuses: bool,
    tokens: u32,
    /// What every request carried.
    pub(crate) requests: Vec<(String, Option<String>)>,
    received: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Fake::PLAIN, Policy::default())
    }

    pub(crate) fn with(fake: Fake, policy: Policy) -> Self {
        let (engine, account, trace) = Self::make(fake, policy);
        Self {
            engine,
            trace,
            policy,
            fake,
            others: Vec::new(),
            account,
            store: Store::new(),
            now: 1_000,
            unix_ms: 1_700_000_000_000,
            entropy: 7,
            asked: Vec::new(),
            opened: Vec::new(),
            events: Vec::new(),
            truth: BTreeMap::new(),
            given: Vec::new(),
            refuses: false,
            tokens: 0,
            requests: Vec::new(),
            received: 0,
        }
    }

    /// Another process with the same store, which it has not read.
    pub(crate) fn beside(&self) -> Self {
        let other = Self::with(self.fake, self.policy);
        Self { store: self.store.clone(), truth: self.truth.clone(), entropy: 77, ..other }
    }

    fn make(fake: Fake, policy: Policy) -> (Engine, AccountId, Trace) {
        let (trace, recording) = Trace::begin();
        let mut engine = Engine::recorded(policy, recording);
        let account = engine.add_account(Account::new(fake).unwrap());
        (engine, account, trace)
    }

    /// One more account, in this process and in those after it.
    pub(crate) fn add(&mut self, fake: Fake) -> AccountId {
        self.others.push(fake);
        self.engine.add_account(Account::new(fake).unwrap())
    }

    pub(crate) fn moment(&mut self) -> Moment {
        self.entropy = self.entropy.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Moment::new(Instant::from_millis(self.now), self.unix_ms, self.entropy)
    }

    /// Has the engine do something, and notes what it asks for.
    pub(crate) fn tell<R>(
        &mut self,
        input: impl FnOnce(&mut Engine, Moment, &mut dyn FnMut(Task)) -> R,
    ) -> R {
        let moment = self.moment();
        let mut tasks = Vec::new();
        let result = input(&mut self.engine, moment, &mut |task| tasks.push(task));
        for task in tasks {
            match task {
                Task::Call(call) => self.asked.push(Asked::Call(call)),
                Task::Store(task) => self.asked.push(Asked::Store(task)),
                Task::HandOver(hand_over) => self.asked.push(Asked::HandOver(hand_over)),
                Task::Opened(opened) => self.opened.push(opened),
                Task::Tell(event) => {
                    assert!(is_about_the_fake(&event), "{event:?}");
                    self.events.push(event);
                }
            }
        }
        result
    }

    pub(crate) fn run(&mut self) -> Wake {
        self.tell(|engine, moment, out| engine.run(moment, 64, out))
    }

    pub(crate) fn complete(&mut self, completion: Completion) {
        self.tell(|engine, moment, out| engine.complete(moment, completion, out));
    }

    pub(crate) fn open(&mut self, id: &str) -> Result<Key, OpenError> {
        let account = self.account;
        let opened = self.tell(|engine, moment, out| engine.open(moment, account, id, None, out));
        if let Ok(key) = opened {
            assert_eq!(self.engine.find("fake", id), Some(key), "what is open is found by its id");
        }
        opened
    }

    pub(crate) fn pass(&mut self, span: Span) {
        self.now += u64::from(span.as_millis());
        self.unix_ms += u64::from(span.as_millis());
    }

    /// Answers the call as the provider would.
    pub(crate) fn answer(&mut self, call: Call) {
        assert_eq!(call.provider_name(), "fake");
        let request = call.request();
        let body = String::from_utf8(request.body.clone()).unwrap();
        let carried = request.headers.iter().find(|(name, _)| *name == "authorization");
        self.requests.push((request.url.clone(), carried.map(|(_, value)| value.clone())));
        let (status, body) = if request.url.ends_with("/token") {
            self.tokens += 1;
            (200, format!("token-{}", self.tokens))
        } else {
            self.truth.get(&body).map_or((404, String::new()), |truth| (200, truth.clone()))
        };
        self.answer_with(call, status, &body);
    }

    pub(crate) fn answer_with(&mut self, call: Call, status: u16, body: &str) {
        let received = Received { status, headers: Vec::new(), body: body.as_bytes().to_vec() };
        let unix_ms = self.unix_ms;
        self.complete(call.answered(Ok(received), unix_ms));
    }

    pub(crate) fn fail(&mut self, call: Call) {
        let failure = Failure { kind: FaultKind::Unreachable, diagnosis: "connection refused".to_owned() };
        let unix_ms = self.unix_ms;
        self.complete(call.answered(Err(failure), unix_ms));
    }

    pub(crate) fn give(&mut self, hand_over: HandOver, takes: bool) {
        let revision = hand_over.revision();
        assert_eq!(revision.key(), hand_over.key(), "G2: the key under which the application takes it");
        self.given.push(Given {
            id: revision.id.to_string(),
            number: revision.number,
            verdict: revision.verdict,
            body: revision.body.to_vec(),
            callbacks: revision.callbacks.clone(),
            unsigned_answer: revision.unsigned_answer,
        });
        let word = if takes { hand_over.taken() } else { hand_over.not_taken("not now".to_owned()) };
        self.complete(word);
    }

    /// Has one thing done that was asked for, as it is wished.
    pub(crate) fn do_one(&mut self, place: usize) {
        match self.asked.remove(place) {
            Asked::Call(call) => self.answer(call),
            Asked::Store(task) => {
                let mut store = self.store.clone();
                self.complete(task.perform(&mut store));
            }
            Asked::HandOver(hand_over) => {
                let takes = !self.refuses;
                self.give(hand_over, takes);
            }
        }
    }

    /// Has everything done that is asked for now, and what follows from it at once.
    pub(crate) fn settle(&mut self) -> Wake {
        loop {
            let wake = self.run();
            if self.asked.is_empty() && wake != Wake::More {
                return wake;
            }
            while !self.asked.is_empty() {
                self.do_one(0);
            }
        }
    }

    /// The same, and lets time pass, at most until then.
    pub(crate) fn settle_for(&mut self, span: Span) {
        let end = self.now + u64::from(span.as_millis());
        loop {
            let wake = self.settle();
            let next = match wake {
                Wake::At(at) => at.as_millis().min(end),
                Wake::Input | Wake::More => end,
            };
            if self.now >= end {
                return;
            }
            let step = u32::try_from(next.max(self.now + 1) - self.now).unwrap();
            self.pass(Span::millis(step));
        }
    }

    /// Everything that was under way is lost; another process takes over what is stored.
    pub(crate) fn crash(&mut self) {
        let fakes = [&[self.fake][..], &self.others].concat();
        self.restart(&fakes).unwrap();
    }

    /// The same, with other accounts.
    pub(crate) fn restart(&mut self, fakes: &[Fake]) -> Result<(), RestoreError> {
        (self.engine, self.account, self.trace) = Self::make(fakes[0], self.policy);
        for fake in &fakes[1..] {
            self.engine.add_account(Account::new(*fake).unwrap());
        }
        self.asked.clear();
        // The other process has another clock.
        self.now = 500 + self.now % 1_000;
        let mut store = self.store.clone();
        self.tell(|engine, moment, out| engine.restore(moment, &mut store, out))
    }

    /// Takes a save that was asked for away: the store does it later, or never.
    pub(crate) fn take_save(&mut self) -> StoreTask {
        let is_save = |asked: &Asked| format!("{asked:?}").starts_with("Store(Save(");
        let place = self.asked.iter().position(is_save).unwrap();
        let Asked::Store(task) = self.asked.remove(place) else { panic!("it was a save") };
        task
    }

    /// A callback comes in by a reception and is recorded, or is not; what arrives is given to the engine.
    pub(crate) fn callback(&mut self, signature: Option<&str>, body: &str) {
        for arrived in self.receive(signature, body) {
            self.tell(|engine, moment, out| engine.callback(moment, arrived, out));
        }
    }

    pub(crate) fn receive(&mut self, signature: Option<&str>, body: &str) -> Vec<Arrived> {
        self.received += 1;
        let now = Instant::from_millis(self.now);
        let endpoint = Account::new(self.fake).unwrap().endpoint();
        let mut fields = vec![("content-type", &b"application/json"[..])];
        fields.extend(signature.map(|signature| ("signature", signature.as_bytes())));
        let mut reception = Reception::begin(endpoint, self.received, now);
        let mut todo = reception.head(now, "POST", Headers(&fields));
        todo.extend(reception.chunk(now, body.as_bytes()));
        todo.extend(reception.complete(now, self.unix_ms));
        let mut arrived = Vec::new();
        while !todo.is_empty() {
            match todo.remove(0) {
                Action::Examine(task) => todo.extend(reception.examined(now, task.perform())),
                Action::Record(task) => match task.perform(&mut self.store) {
                    Ok(proof) => todo.extend(reception.committed(now, proof)),
                    Err(_) => todo.extend(reception.not_recorded(now)),
                },
                Action::Arrived(it) => arrived.push(it),
                Action::Answer(_) | Action::Tell(_) => {}
            }
        }
        arrived
    }

    pub(crate) fn calls(&self) -> usize {
        self.asked.iter().filter(|asked| matches!(asked, Asked::Call(_))).count()
    }

    pub(crate) fn take_call(&mut self) -> Call {
        let place = self.asked.iter().position(|asked| matches!(asked, Asked::Call(_))).unwrap();
        let Asked::Call(call) = self.asked.remove(place) else { panic!("it was a call") };
        call
    }

    pub(crate) fn take_hand_over(&mut self) -> HandOver {
        let place = self.asked.iter().position(|asked| matches!(asked, Asked::HandOver(_))).unwrap();
        let Asked::HandOver(hand_over) = self.asked.remove(place) else { panic!("it was a hand-over") };
        hand_over
    }

    /// Has the store do what it was asked for, and what follows, until nothing more is asked of it.
    pub(crate) fn store_all(&mut self) {
        while let Some(place) = self.asked.iter().position(|asked| matches!(asked, Asked::Store(_))) {
            self.do_one(place);
        }
    }

    pub(crate) fn opening(&self, key: Key) -> Option<Opening> {
        self.opened.iter().find(|opened| opened.key == key).map(|opened| opened.opening)
    }

    pub(crate) fn numbers(&self, id: &str) -> Vec<(u32, Verdict)> {
        self.given.iter().filter(|given| given.id == id).map(|given| (given.number, given.verdict)).collect()
    }

    pub(crate) fn told(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| wanted(event)).count()
    }
}

pub(crate) fn says(id: &str, verdict: &str) -> String {
    format!("id={id} verdict={verdict}")
}

/// Whoever listens to several providers is told whose each event is.
fn is_about_the_fake(event: &Event) -> bool {
    match event {
        Event::StoreFailed { .. } | Event::ListeningGap { .. } | Event::LeftInStore { .. } => true,
        _ => format!("{event:?}").contains("provider: \"fake\""),
    }
}
