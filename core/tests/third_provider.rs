//! A third provider is one more implementation of `Provider` and no change to a machine: this one has a contract unlike either of the
//! others, and its verdicts reach the application through the same fleet, receipt and delivery.
#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing)] // A helper of a test fails like a test.

use idv_core::delivery::{self, Delivery, Schedule, Success};
use idv_core::evidence::{Callback, Fault, FaultKind, NotReady, Outcome, Report, Verdict};
use idv_core::fleet::{Action, At, Fleet, FleetPolicy, Key, Wake};
use idv_core::http::{Answer, Headers, Request, bearer_authorization, classify};
use idv_core::json::{Body, Content, Object};
use idv_core::lifecycle::{Event, EventRow, Meaning, Table};
use idv_core::machine::{Cx, Machine};
use idv_core::provider::{
    Authenticity, CallbackCheck, CallbackReading, Checked, Provider, PullAnswer, Reason, Statement,
    TokenAnswer, Unreadable,
};
use idv_core::receipt::{self, Receipt};
use idv_core::rules::Rules;
use idv_core::secret::Secret;
use idv_core::session::{EvidencePolicy, Revision};
use idv_core::store::{CommitReceipt, MemoryStore, Record};
use idv_core::time::{Instant, Span};
use idv_core::token::Mode;

/// What its documents would say: checks are named by number, tokens are used once and live a minute, a callback carries a word agreed
/// upon, is given 600 ms and any 2xx, and comes a second time after two seconds.
mod contract {
    use super::*;

    pub(super) const WORD: &[u8] = b"swordfish";
    pub(super) const UNREPEATABLE: [&str; 2] = ["check", "state"];
    pub(super) const CALLBACK_DELIVERY: delivery::Policy = delivery::Policy {
        timeout: Span::millis(600),
        success: Success::Any2xx,
        schedule: Schedule::of([Span::secs(2)]),
        jitter_percent: 0,
    };
    pub(super) const RULES: Rules = Rules {
        token_mode: Mode::SingleUse,
        token_ttl: Span::mins(1),
        cadence: Span::secs(30),
        interval: Span::mins(2),
        deadline: Span::mins(20),
        call_timeout: Span::secs(4),
        calls: 30,
        window: Span::mins(1),
        burst: 2,
        evidence: EvidencePolicy::TrustSigned,
        watch: Some(Span::hours(1)),
        audit: None,
        callback_timeout: CALLBACK_DELIVERY.timeout,
        callback_window: Span::secs(2),
    };
    pub(super) const EVENTS: Table = Table {
        provider: "third",
        events: &[
            event("open", Meaning::NotReady),
            event("passed", Meaning::Verdict(Verdict::Accepted)),
            event("failed", Meaning::Verdict(Verdict::Declined)),
        ],
        transitions: &[(None, Event(1)), (None, Event(2)), (Some(Event(1)), Event(2))],
    };

    const fn event(name: &'static str, meaning: Meaning) -> EventRow {
        EventRow { name, http: false, callback: true, status: true, meaning }
    }
}

/// One account.
#[derive(Debug)]
struct Account;

/// What a body says: `{"check":17,"state":"open"|"passed"|"failed","why":"…"}`.
struct Document<'a>(Object<'a>);

impl Document<'_> {
    fn id(&self) -> Option<String> {
        Some(self.0.get_unrepeated("check")?.nonempty_text()?.into_owned())
    }

    fn state(&self) -> Option<String> {
        Some(self.0.get_unrepeated("state")?.nonempty_text()?.into_owned())
    }

    fn event(&self) -> Option<Event> {
        Some(contract::EVENTS.find(&self.state()?)).filter(|event| *event != Event::UNKNOWN)
    }

    fn report(&self) -> Report {
        let mut content = Content::new("third");
        content.value(self.0.get("state"));
        content.value(self.0.get("why"));
        let verdict = match self.state().as_deref() {
            Some("passed") => Some(Verdict::Accepted),
            Some("failed") => Some(Verdict::Declined),
            _ => None,
        };
        Report { verdict, content: content.finish() }
    }
}

struct Word {
    authenticity: Authenticity,
    body: Vec<u8>,
}

impl CallbackCheck for Word {
    fn update(&mut self, chunk: &[u8]) {
        self.body.extend_from_slice(chunk);
    }

    fn finish(self: Box<Self>) -> Checked {
        let mut digest = [0; 32];
        for (nth, byte) in self.body.iter().enumerate() {
            digest[nth % 32] ^= byte.wrapping_add(nth as u8);
        }
        Checked { authenticity: self.authenticity, digest, remark: None }
    }
}

impl Provider for Account {
    fn name(&self) -> &'static str {
        "third"
    }

    fn rules(&self) -> Rules {
        contract::RULES
    }

    fn lifecycle(&self) -> &'static Table {
        &contract::EVENTS
    }

    fn token_request(&self, request: &mut Request) -> bool {
        request.clear();
        request.method = "GET";
        request.url.push_str("https://third.example/ticket");
        true
    }

    fn read_token(&self, answer: &Answer<'_>, unix_now: Option<u64>) -> TokenAnswer {
        match classify(answer.status, answer.headers, unix_now) {
            None => TokenAnswer::Received {
                token: Secret::new(String::from_utf8_lossy(answer.body).into_owned()),
                ttl: None,
            },
            Some(Outcome::Refused) => TokenAnswer::Refused { diagnosis: None },
            Some(_) => TokenAnswer::Failed {
                fault: Fault { kind: FaultKind::ServerError, retry_after: None },
                diagnosis: None,
            },
        }
    }

    fn pull_request(&self, id: &str, token: Option<&Secret>, request: &mut Request) {
        request.clear();
        request.method = "GET";
        request.url = format!("https://third.example/checks/{id}");
        request.headers.extend(token.map(|token| ("authorization", bearer_authorization(token))));
    }

    fn read_pull(&self, id: &str, answer: &Answer<'_>, unix_now: Option<u64>) -> PullAnswer {
        let body = Body::new(answer.body);
        let outcome =
            classify(answer.status, answer.headers, unix_now).unwrap_or_else(|| match self.read(&body) {
                Ok(document) if document.id().as_deref() == Some(id) => match document.state().as_deref() {
                    Some("open") => Outcome::NotReady(NotReady::Documented),
                    _ => Outcome::Report(document.report()),
                },
                _ => Outcome::Failed(Fault { kind: FaultKind::Malformed, retry_after: None }),
            });
        let event = self.read(&body).ok().as_ref().and_then(Document::event);
        PullAnswer { outcome, alias: None, event, unsigned_answer: false, diagnosis: None }
    }

    fn callback_body_cap(&self) -> u64 {
        500
    }

    fn check_callback(&self, headers: Headers<'_>) -> Box<dyn CallbackCheck> {
        let authenticity = match headers.first("x-third-word") {
            Some(contract::WORD) => Authenticity::Signed,
            Some(_) => Authenticity::Wrong,
            None => Authenticity::Missing,
        };
        Box::new(Word { authenticity, body: Vec::new() })
    }

    fn read_callback(&self, body: &[u8], checked: &Checked) -> CallbackReading {
        let body = Body::new(body);
        let document = self.read(&body);
        let id = document.as_ref().ok().and_then(Document::id);
        let callback = match (checked.authenticity, &document) {
            (Authenticity::Signed, Ok(document)) => Callback::Signed(document.report()),
            (Authenticity::Signed, Err(_)) => Callback::SignedSignal,
            (Authenticity::Unsigned, _) => Callback::Unsigned,
            (Authenticity::Wrong | Authenticity::Missing, _) => Callback::WrongSignature,
        };
        CallbackReading {
            id_member: id.is_some().then_some("check"),
            event: document.as_ref().ok().and_then(Document::state),
            stated: document.as_ref().ok().and_then(Document::event),
            claims: document.as_ref().ok().and_then(|document| document.report().verdict),
            unreadable: document.err(),
            id,
            alias: None,
            deviation: None,
            callback,
        }
    }

    fn statement(&self, body: &[u8]) -> Result<Statement, Unreadable> {
        let body = Body::new(body);
        let document = self.read(&body)?;
        let why = document.0.get("why").and_then(|why| why.nonempty_text());
        Ok(Statement {
            verdict: document.report().verdict,
            event: document.state(),
            reasons: why
                .map(|why| Reason { code: why.into_owned(), text: None, service: None, technical: false })
                .into_iter()
                .collect(),
        })
    }
}

impl Account {
    fn read<'a>(&self, body: &'a Body<'_>) -> Result<Document<'a>, Unreadable> {
        body.object(&contract::UNREPEATABLE).complete().map(Document)
    }
}

/// The provider's side: tokens that work once, and the truth about check 17.
struct Server {
    tokens: Vec<String>,
    issued: u32,
    truth: &'static str,
    refused: u32,
}

impl Server {
    fn answer(&mut self, request: &Request) -> (u16, String) {
        if request.url.ends_with("/ticket") {
            self.issued += 1;
            let token = format!("ticket-{}", self.issued);
            self.tokens.push(token.clone());
            return (200, token);
        }
        assert_eq!(request.url, "https://third.example/checks/17");
        let carried =
            request.headers.iter().find(|(name, _)| *name == "authorization").map(|(_, value)| value);
        let known = self.tokens.iter().position(|token| carried == Some(&format!("Bearer {token}")));
        match known {
            Some(place) => {
                self.tokens.remove(place);
                (200, self.truth.to_owned())
            }
            None => {
                self.refused += 1;
                (401, String::new())
            }
        }
    }
}

/// A fleet with this one account, and whoever performs its actions.
struct World {
    fleet: Fleet,
    key: Key,
    now: Instant,
    server: Server,
    tokens: Vec<(u32, Secret)>,
    handed: Vec<Revision>,
    pulls: u32,
}

impl World {
    fn new() -> Self {
        let rules = Account.rules();
        let mut fleet = Fleet::new(FleetPolicy::default());
        let door = fleet.add_door(rules.door().unwrap());
        let account = fleet.add_account(door, rules.account(Account.name()).unwrap());
        let now = Instant::from_millis(1);
        let mut actions = Vec::new();
        let key =
            fleet.open(At::new(now, 1), account, "17", None, &mut |action| actions.push(action)).unwrap();
        let server = Server { tokens: Vec::new(), issued: 0, truth: OPEN, refused: 0 };
        let mut world = Self { fleet, key, now, server, tokens: Vec::new(), handed: Vec::new(), pulls: 0 };
        world.perform(actions);
        world
    }

    fn at(&self) -> At {
        At::new(self.now, 7)
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            let (at, mut next) = (self.at(), Vec::new());
            let mut out = |action| next.push(action);
            match action {
                Action::RequestToken { account, op, .. } => {
                    let mut request = Request::new();
                    assert!(Account.token_request(&mut request));
                    let (status, body) = self.server.answer(&request);
                    let answer = Answer { status, headers: Headers(&[]), body: body.as_bytes() };
                    let TokenAnswer::Received { token, ttl } = Account.read_token(&answer, None) else {
                        panic!("no token")
                    };
                    self.tokens.push((op, token));
                    self.fleet.token_received(at, account, op, ttl, &mut out);
                }
                Action::Pull { key, op, generation, .. } => {
                    self.pulls += 1;
                    let token = self.tokens.iter().find(|(number, _)| *number == generation);
                    let mut request = Request::new();
                    Account.pull_request("17", token.map(|(_, token)| token), &mut request);
                    let (status, body) = self.server.answer(&request);
                    let answer = Answer { status, headers: Headers(&[]), body: body.as_bytes() };
                    let outcome = Account.read_pull("17", &answer, None).outcome;
                    self.fleet.pulled(at, key, op, generation, outcome, &mut out);
                }
                Action::HandOver { key, revision } => {
                    self.handed.push(revision);
                    self.fleet.handed_over(at, key, revision.number, &mut out);
                }
                Action::Save { .. }
                | Action::Keep { .. }
                | Action::Ended { .. }
                | Action::CredentialsRefused { .. }
                | Action::Crowded { .. } => {}
            }
            self.perform(next);
        }
    }

    fn pass(&mut self, span: Span) {
        let end = self.now.after(span);
        loop {
            let mut actions = Vec::new();
            let wake = self.fleet.run(self.at(), 64, &mut |action| actions.push(action));
            let idle = actions.is_empty();
            self.perform(actions);
            match wake {
                Wake::At(at) if idle && at <= end => self.now = at,
                Wake::At(_) | Wake::Input if idle => break,
                Wake::More | Wake::At(_) | Wake::Input => {}
            }
        }
        self.now = end;
    }

    /// The provider delivers a callback as its contract says, to a receiver that answers as its rules say; the store takes `first` for the
    /// first attempt. Whether the provider is content, and after how many attempts.
    fn deliver(&mut self, body: &str, word: &[u8], store: &mut MemoryStore, first: Span) -> (bool, u8) {
        let policy = contract::RULES.receipt(Account.callback_body_cap()).unwrap();
        let mut delivery = Delivery::new();
        for attempt in 1..=u8::MAX {
            let posted =
                delivery.step(Cx::new(self.now, &contract::CALLBACK_DELIVERY, 0), delivery::Input::Tick);
            assert!(posted.actions.iter().any(|action| matches!(action, delivery::Action::Post { .. })));
            let takes = if attempt == 1 { first } else { Span::MIN };
            let status = self.receive(&policy, body, word, store, takes);
            let answered = delivery::Input::Answered { attempt, status };
            let step = delivery.step(Cx::new(self.now, &contract::CALLBACK_DELIVERY, 0), answered);
            match step.actions.iter().next() {
                Some(delivery::Action::Delivered { attempt }) => return (true, attempt),
                Some(delivery::Action::Dead) => return (false, attempt),
                Some(delivery::Action::Post { .. }) | None => self.pass(Span::secs(2)),
            }
        }
        (false, u8::MAX)
    }

    fn receive(
        &mut self,
        policy: &receipt::Policy,
        body: &str,
        word: &[u8],
        store: &mut MemoryStore,
        takes: Span,
    ) -> u16 {
        let fields = [("x-third-word", word)];
        let mut check = Account.check_callback(Headers(&fields));
        check.update(body.as_bytes());
        let checked = check.finish();
        let reading = Account.read_callback(body.as_bytes(), &checked);
        let mut receipt = Receipt::start(1, self.now, policy);
        let mut status = 0;
        let inputs = [
            receipt::Input::head("POST", Some(b"application/json"), None),
            receipt::Input::Chunk { len: body.len() as u32 },
            receipt::Input::Complete {
                authenticity: checked.authenticity,
                readable: reading.unreadable.is_none(),
            },
        ];
        let mut todo: Vec<_> = Vec::new();
        for input in inputs {
            todo.extend(receipt.step(Cx::new(self.now, policy, 0), input).actions);
        }
        while let Some(action) = todo.pop() {
            match action {
                receipt::Action::Record { op } => {
                    let record = Record {
                        provider: Account.name(),
                        digest: checked.digest,
                        authenticity: checked.authenticity,
                        id: reading.id.as_deref(),
                        event: None,
                        remark: None,
                        received_unix_ms: 0,
                        body: body.as_bytes(),
                    };
                    let proof = CommitReceipt::obtain(store, op, &record).unwrap();
                    self.now = self.now.after(takes);
                    todo.extend(
                        receipt.step(Cx::new(self.now, policy, 0), receipt::Input::Committed(proof)).actions,
                    );
                }
                receipt::Action::Answer(answer) => status = answer.status(),
                receipt::Action::Apply { .. } => self.callback(reading.id.as_deref(), reading.callback),
                receipt::Action::Hint(callback) => self.callback(reading.id.as_deref(), callback),
            }
        }
        status
    }

    fn callback(&mut self, id: Option<&str>, callback: Callback) {
        let mut actions = Vec::new();
        let at = self.at();
        self.fleet.callback(at, Account.name(), id.unwrap(), callback, 1, &mut |action| actions.push(action));
        self.perform(actions);
    }

    fn handed(&self) -> Vec<(u32, Verdict)> {
        self.handed.iter().map(|revision| (revision.number, revision.verdict)).collect()
    }
}

const OPEN: &str = r#"{"check":17,"state":"open"}"#;
const PASSED: &str = r#"{"check":17,"state":"passed","seen":"12:00"}"#;
const FAILED: &str = r#"{"check":17,"state":"failed","why":"not the holder"}"#;

#[test]
fn a_third_provider_is_polled_to_its_verdict_at_its_own_pace() {
    let mut world = World::new();
    world.pass(Span::secs(119));
    assert_eq!((world.pulls, world.handed().len()), (1, 0), "one pull every two minutes");
    world.server.truth = FAILED;
    world.pass(Span::secs(3));
    assert_eq!(world.handed(), [(1, Verdict::Declined)]);
    let statement = Account.statement(FAILED.as_bytes()).unwrap();
    assert_eq!(statement.reasons[0].code, "not the holder");
    world.pass(Span::hours(2));
    assert!(world.fleet.session(world.key).unwrap().end().is_some(), "its watch is an hour");
    assert_eq!((world.server.refused, world.server.issued), (0, world.pulls), "each token was used once");
}

#[test]
fn a_third_providers_callback_is_answered_within_its_own_time_and_confirmed() {
    let mut world = World::new();
    let mut store = MemoryStore::new(10, 10_000);
    world.pass(Span::secs(1));
    world.server.truth = PASSED;
    // 500 of its 600 ms: a store that takes as long answers 503, and its second attempt finds the record.
    assert_eq!(world.deliver(PASSED, contract::WORD, &mut store, Span::millis(500)), (true, 2));
    assert_eq!(world.handed(), [(1, Verdict::Accepted)]);
    world.pass(Span::mins(1));
    assert_eq!(world.handed(), [(1, Verdict::Accepted)], "confirmed, and nothing new");
    assert!(world.pulls > 1, "a verdict by callback is confirmed by a pull");
}

#[test]
fn g4_a_third_providers_forgery_is_refused_and_no_verdict() {
    let mut world = World::new();
    let mut store = MemoryStore::new(10, 10_000);
    world.pass(Span::secs(1));
    assert_eq!(world.deliver(PASSED, b"sesame", &mut store, Span::MIN), (false, 2));
    world.pass(Span::mins(10));
    assert!(world.handed.is_empty() && store.is_empty());
}

/// A provider that is new here writes `read_callback` alone, and what is only a hint brings no report along (R2).
#[test]
fn r2_what_a_third_provider_signs_is_read_as_a_hint_with_all_else_as_it_is() {
    for word in [contract::WORD, b"sesame"] {
        let fields = [("x-third-word", word)];
        let checked = Account.check_callback(Headers(&fields)).finish();
        let whole = Account.read_callback(PASSED.as_bytes(), &checked);
        let hint = Account.read_hint(PASSED.as_bytes(), &checked);
        assert_eq!(matches!(whole.callback, Callback::Signed(_)), word == contract::WORD);
        assert_eq!(hint.callback, whole.callback.hint());
        assert_eq!((&hint.id, hint.id_member), (&whole.id, whole.id_member));
        assert_eq!((&hint.event, hint.stated, hint.claims), (&whole.event, whole.stated, whole.claims));
    }
}
