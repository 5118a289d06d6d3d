//! What the adapters trace: a span for each call, callback and hand-over, by the same names on every runtime, and never a secret, a token
//! or a body (G10). What each holds is listed in `docs/adapters.md`.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use idv_core::http::{Failure, Received, Request};
use idv_core::shareid::Flow;
use idv_core::time::Span;
use idv_tests::conformance::documents::SECRETS;
use idv_tests::conformance::{Adapter, Asynchronous, Ureq, play_all, scenario::Scenario, scenarios};
use idv_tests::driving::{shareid_at, shufti_at};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use tower_service::Service;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber, span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

/// What must not be shown beside credentials: pieces of bodies, what a body says of a person, and what the application says of its error.
const PRIVATE: [&str; 7] =
    ["Lovelace", "the database", "guessed", "verification_result", "declined_codes", "{\"", "{\\\""];

/// Longer than all that a span or an event shows, in bytes, whoever decides about its length.
const LONGEST: usize = 1_000;

/// A span or an event, with everything that its fields showed.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Noted {
    /// The span's name, or the event's message.
    what: String,
    fields: BTreeMap<&'static str, String>,
    /// The name of the span around it.
    parent: Option<&'static str>,
    target: String,
}

impl Noted {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }
}

/// Everything that was noted so far.
#[derive(Default, Debug)]
struct Ledger {
    /// In the order in which they began.
    spans: Vec<Noted>,
    /// Where those stand that have not ended.
    open: BTreeMap<u64, usize>,
    events: Vec<Noted>,
    leaks: Vec<String>,
}

impl Ledger {
    fn spans(&self, name: &str) -> Vec<&Noted> {
        self.spans.iter().filter(|span| span.what == name).collect()
    }

    /// The fields of the spans of this name, in order.
    fn fields(&self, name: &str, fields: &[&str]) -> Vec<String> {
        let shown = |span: &Noted| {
            let shown: Vec<&str> = fields.iter().map(|field| span.field(field).unwrap_or("-")).collect();
            shown.join(" ")
        };
        self.spans(name).into_iter().map(shown).collect()
    }

    fn events_within(&self, name: &str) -> Vec<&str> {
        let within = |event: &&Noted| event.parent == Some(name) && event.target.starts_with("idv_");
        self.events.iter().filter(within).map(|event| &*event.what).collect()
    }
}

static LEDGER: Mutex<Option<Ledger>> = Mutex::new(None);

fn ledger() -> MutexGuard<'static, Option<Ledger>> {
    LEDGER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hears everything in this process, at every level: threads of the adapters' own are no exception.
struct Hearing;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Hearing {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let parent = context.span(id).unwrap().parent().map(|parent| parent.name());
        let metadata = attributes.metadata();
        let mut noted = Noted {
            what: metadata.name().to_owned(),
            fields: BTreeMap::new(),
            parent,
            target: metadata.target().to_owned(),
        };
        attributes.record(&mut Reading(&mut noted.fields));
        note(|ledger| {
            ledger.check(&noted);
            ledger.open.insert(id.into_u64(), ledger.spans.len());
            ledger.spans.push(noted);
        });
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, _: Context<'_, S>) {
        note(|ledger| {
            // A span that began before the ledger was opened is another test's.
            if let Some(index) = ledger.open.get(&id.into_u64()).copied() {
                values.record(&mut Reading(&mut ledger.spans[index].fields));
                ledger.check(&ledger.spans[index].clone());
            }
        });
    }

    fn on_close(&self, id: span::Id, _: Context<'_, S>) {
        note(|ledger| {
            ledger.open.remove(&id.into_u64());
        });
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = BTreeMap::new();
        event.record(&mut Reading(&mut fields));
        let noted = Noted {
            what: fields.remove("message").unwrap_or_default(),
            fields,
            parent: context.event_span(event).map(|span| span.name()),
            target: event.metadata().target().to_owned(),
        };
        note(|ledger| {
            ledger.check(&noted);
            ledger.events.push(noted);
        });
    }
}

fn note(note: impl FnOnce(&mut Ledger)) {
    if let Some(ledger) = &mut *ledger() {
        note(ledger);
    }
}

impl Ledger {
    fn check(&mut self, noted: &Noted) {
        let values: Vec<&str> = noted.fields.values().map(String::as_str).collect();
        let shown = format!("{} {}", noted.what, values.join(" "));
        if shown.len() > LONGEST {
            self.leaks.push(format!("{}: {} bytes", noted.what, shown.len()));
        }
        if SECRETS.iter().chain(&PRIVATE).any(|private| shown.contains(private)) {
            self.leaks.push(format!("{}: {noted:?}", noted.target));
        }
    }
}

/// Reads fields as a log would show them.
struct Reading<'a>(&'a mut BTreeMap<&'static str, String>);

impl Visit for Reading<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

/// Hears what is traced meanwhile. One test at a time: they share the process.
fn heard(work: impl FnOnce()) -> Ledger {
    static HEARING: LazyLock<Mutex<()>> = LazyLock::new(|| {
        tracing::subscriber::set_global_default(Registry::default().with(Hearing)).unwrap();
        Mutex::new(())
    });
    let _alone = HEARING.lock().unwrap_or_else(PoisonError::into_inner);
    *ledger() = Some(Ledger::default());
    work();
    ledger().take().unwrap()
}

/// Every road, and an application that refuses once.
const STORY: &str = r##"
    what = "A forged and a genuine callback, single-use tokens, and an application that wants to be asked twice."
    shows = ["G10"]
    over = "plain"
    account = { provider = "shufti", access_token = true, hand_over = ["30ms"] }
    story = [
      { open = "order-1" },
      { request = "token", answer = "access-1" },
      { request = "pull order-1", with = "access-1", answer = "pending" },
      { callback = "order-1 accepted", signed = "forged", answered = 401 },
      { request = "token", answer = "access-2" },
      { request = "pull order-1", with = "access-2", answer = "pending" },
      { callback = "order-1 accepted", answered = 200, body = '{"reference":"order-1","event":"verification.accepted","verification_data":{"name":"Lovelace"}}' },
      { request = "token", answer = "access-3" },
      { request = "pull order-1", with = "access-3", answer = "accepted", body = '{"reference":"order-1","event":"verification.accepted","verification_data":{"name":"Lovelace"}}' },
      { revision = "order-1 #1 accepted", refused = "the database knows no Lovelace" },
      { revision = "order-1 #1 accepted" },
    ]
"##;

fn every_call_callback_and_hand_over_has_its_span(adapter: &dyn Adapter) {
    let story = Scenario::parse("a story", STORY).unwrap();
    let heard = heard(|| assert_eq!(play_all(adapter, &[story]), Ok(1)));

    assert_eq!(heard.leaks, Vec::<String>::new());
    // A token request is nobody's.
    let token_and_pull = ["shufti -", "shufti order-1"];
    assert_eq!(heard.fields("call", &["provider", "id"]), [token_and_pull; 3].concat());
    let mut exchanged = heard.events_within("call");
    exchanged.retain(|event| *event == "answered");
    assert_eq!(exchanged.len(), 6);
    assert!(heard.events_within("call").contains(&"connected"), "what a client tells belongs to its call");

    let callbacks = heard.fields("callback", &["provider", "id", "status"]);
    assert_eq!(callbacks, ["shufti order-1 401", "shufti order-1 200"]);
    assert_eq!(heard.fields("callback", &["op"]), ["1", "2"]);
    assert_eq!(heard.events_within("callback"), ["refused", "recorded"]);
    assert!(heard.spans("callback").iter().all(|span| span.parent == Some("request")));
    let requests = heard.fields("request", &["method", "path", "status"]);
    assert_eq!(requests, ["POST /callbacks 401", "POST /callbacks 200"]);
    assert_eq!(heard.fields("record", &[]).len(), 1);
    assert!(heard.spans("record").iter().all(|span| span.parent == Some("callback")));

    let hand_overs = heard.fields("hand_over", &["provider", "id", "number", "attempt"]);
    assert_eq!(hand_overs, ["shufti order-1 1 1", "shufti order-1 1 2"]);
    assert_eq!(heard.events_within("hand_over"), ["not taken", "taken"]);
    assert!(heard.fields("store", &["task"]).iter().any(|task| task.starts_with("Save(shufti order-1")));
}

fn g10_no_story_shows_a_secret_a_token_or_a_body(adapter: &dyn Adapter) {
    let stories = scenarios().unwrap();
    let heard = heard(|| {
        play_all(adapter, &stories).unwrap();
    });
    assert_eq!(heard.leaks, Vec::<String>::new());
    // It was listened to, whatever a story is about.
    for name in ["call", "callback", "request", "record", "hand_over", "store"] {
        assert!(heard.spans(name).len() > 20, "{name}");
    }
}

fn on_tokio<T>(work: impl FnOnce(&tokio::runtime::Runtime) -> T) -> T {
    static TOKIO: LazyLock<tokio::runtime::Runtime> =
        LazyLock::new(|| tokio::runtime::Runtime::new().unwrap());
    work(&TOKIO)
}

fn tokio() -> Asynchronous<idv_tokio::Tokio> {
    Asynchronous::new("idv-tokio", idv_tokio::Tokio, |future| on_tokio(|tokio| tokio.block_on(future)))
}

#[test]
fn every_call_callback_and_hand_over_has_its_span_on_the_blocking_adapter() {
    every_call_callback_and_hand_over_has_its_span(&Ureq);
}

#[test]
fn every_call_callback_and_hand_over_has_its_span_on_tokio() {
    every_call_callback_and_hand_over_has_its_span(&tokio());
}

#[test]
fn g10_no_story_shows_a_secret_a_token_or_a_body_on_the_blocking_adapter() {
    g10_no_story_shows_a_secret_a_token_or_a_body(&Ureq);
}

#[test]
fn g10_no_story_shows_a_secret_a_token_or_a_body_on_tokio() {
    g10_no_story_shows_a_secret_a_token_or_a_body(&tokio());
}

/// Nobody is called here.
#[derive(Debug)]
struct Nobody;

impl idv_tokio::Transport for Nobody {
    fn send<'a>(
        &'a self,
        _: &'a Request,
        _: Span,
    ) -> futures_util::future::BoxFuture<'a, Result<Received, Failure>> {
        Box::pin(std::future::pending())
    }
}

#[test]
fn a_callback_that_comes_through_tower_has_its_span_within_the_servers() {
    let heard = heard(|| {
        on_tokio(|tokio| {
            tokio.block_on(async {
                let mut builder = idv_tokio::Driver::builder();
                let account =
                    builder.account(idv_tokio::Account::new(shufti_at("https://provider.example")).unwrap());
                builder.transport(Nobody);
                let driver = builder.start().await.unwrap();
                let mut service = driver.service(account).unwrap();
                let request =
                    http::Request::post("/secret-path").body("{\"name\":\"Lovelace\"}".to_owned()).unwrap();
                let answering = tracing::info_span!("of_the_server").in_scope(|| service.call(request));
                assert_eq!(answering.await.unwrap().status(), 401);
                driver.stop().await;
            });
        });
    });
    assert_eq!(heard.leaks, Vec::<String>::new());
    let [callback] = heard.spans("callback")[..] else { panic!("{:?}", heard.spans) };
    assert_eq!((callback.field("status"), callback.parent), (Some("401"), Some("of_the_server")));
}

#[test]
fn g6_what_anybody_may_claim_in_a_callback_is_shown_within_bounds() {
    let heard = heard(|| {
        on_tokio(|tokio| {
            tokio.block_on(async {
                let mut builder = idv_tokio::Driver::builder();
                let shareid = shareid_at("https://provider.example", Flow::Authenticate);
                let account = builder.account(idv_tokio::Account::new(shareid).unwrap());
                builder.transport(Nobody);
                let driver = builder.start().await.unwrap();
                let body = format!("{{\"flow_id\":\"a{}\",\"reasons\":[]}}", "é".repeat(100_000));
                let request = http::Request::post("/").header("content-type", "application/json");
                let answer =
                    driver.service(account).unwrap().call(request.body(body).unwrap()).await.unwrap();
                assert_eq!(answer.status(), 200);
                driver.stop().await;
            });
        });
    });
    assert_eq!(heard.leaks, Vec::<String>::new());
    let [callback] = heard.spans("callback")[..] else { panic!("{:?}", heard.spans) };
    assert!(callback.field("id").is_some_and(|id| id.starts_with("aé")), "{callback:?}");
}

#[test]
fn g10_the_check_hears_what_would_be_a_leak() {
    let heard = heard(|| {
        let span = tracing::trace_span!("one", token = "tok-1", later = tracing::field::Empty);
        span.record("later", "id: {\"name\"");
        std::thread::spawn(|| tracing::trace!("of Lovelace")).join().unwrap();
        tracing::debug!(value = ?Some("key-1"), "harmless");
        tracing::debug!(value = "harmless");
    });
    assert_eq!(heard.leaks.len(), 4, "{:?}", heard.leaks);
}
