//! A provider made up for tests: bodies are words, `id=ab-1 verdict=accepted`, and the signature is the word `good`.

use idv_core::evidence::{Callback, ContentDigest, Fault, FaultKind, NotReady, Outcome, Report, Verdict};
use idv_core::http::{Answer, Headers, Request};
use idv_core::lifecycle::{Event, EventRow, Meaning, Table};
use idv_core::provider::{
    Authenticity, CallbackCheck, CallbackReading, Checked, Provider, PullAnswer, Statement, TokenAnswer,
    Unreadable,
};
use idv_core::rules::Rules;
use idv_core::secret::Secret;
use idv_core::shufti;
use idv_core::time::Span;
use idv_core::token::Mode;

/// Asks `{base}/pull`, with a token from `{base}/token` where it is told to need one.
#[derive(Clone, Debug)]
pub struct Fake {
    pub base: String,
    pub tokens: bool,
    pub signs: bool,
}

pub const BODY_CAP: u64 = 1_000;

/// A verdict may follow a review, and a declined an accepted one, never the other way.
pub const EVENTS: Table = Table {
    provider: "fake",
    events: &[
        row("review", Verdict::ReviewPending),
        row("accepted", Verdict::Accepted),
        row("declined", Verdict::Declined),
        row("deleted", Verdict::Deleted),
    ],
    transitions: &[
        (None, Event(0)),
        (None, Event(1)),
        (None, Event(2)),
        (None, Event(3)),
        (Some(Event(0)), Event(1)),
        (Some(Event(0)), Event(2)),
        (Some(Event(1)), Event(2)),
        (Some(Event(1)), Event(3)),
        (Some(Event(2)), Event(3)),
    ],
};

const fn row(name: &'static str, verdict: Verdict) -> EventRow {
    EventRow { name, http: true, callback: true, status: true, meaning: Meaning::Verdict(verdict) }
}

fn stated(body: &str) -> Option<Event> {
    Some(EVENTS.find(word(body, "verdict")?)).filter(|event| *event != Event::UNKNOWN)
}

fn word<'a>(body: &'a str, key: &str) -> Option<&'a str> {
    body.split_ascii_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

fn verdict(body: &str) -> Option<Verdict> {
    match word(body, "verdict")? {
        "accepted" => Some(Verdict::Accepted),
        "declined" => Some(Verdict::Declined),
        "review" => Some(Verdict::ReviewPending),
        "deleted" => Some(Verdict::Deleted),
        _ => None,
    }
}

fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn report(body: &str) -> Report {
    Report { verdict: verdict(body), content: ContentDigest(digest(body.as_bytes())) }
}

fn text(body: &[u8]) -> Result<&str, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|_| Unreadable {
        line: 0,
        column: 0,
        problem: "no text".to_owned(),
    })?;
    match word(text, "id") {
        Some(_) => Ok(text),
        None => Err(Unreadable { line: 1, column: 1, problem: "expected `id=…`".to_owned() }),
    }
}

impl Provider for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn rules(&self) -> Rules {
        let token_mode = if self.tokens { Mode::Reusable } else { Mode::NotNeeded };
        let rules = Rules { token_mode, calls: 1_000, burst: 500, ..shufti::contract::RULES };
        rules.with_cadence(Span::millis(20)).with_deadline(Span::secs(60))
    }

    fn lifecycle(&self) -> &'static Table {
        &EVENTS
    }

    fn token_request(&self, request: &mut Request) -> bool {
        request.clear();
        request.method = "POST";
        request.url = format!("{}/token", self.base);
        self.tokens
    }

    fn read_token(&self, answer: &Answer<'_>, _: Option<u64>) -> TokenAnswer {
        match answer.status {
            200 => TokenAnswer::Received {
                token: Secret::new(String::from_utf8_lossy(answer.body).into_owned()),
                ttl: None,
            },
            401 => TokenAnswer::Refused { diagnosis: None },
            _ => TokenAnswer::Failed {
                fault: Fault { kind: FaultKind::ServerError, retry_after: None },
                diagnosis: None,
            },
        }
    }

    fn pull_request(&self, id: &str, token: Option<&Secret>, request: &mut Request) {
        request.clear();
        request.method = "POST";
        request.url = format!("{}/pull", self.base);
        if let Some(token) = token {
            request.headers.push(("authorization", format!("Bearer {}", token.reveal())));
        }
        request.body.extend_from_slice(id.as_bytes());
    }

    fn read_pull(&self, _: &str, answer: &Answer<'_>, _: Option<u64>) -> PullAnswer {
        let outcome = match answer.status {
            200 => match text(answer.body) {
                Ok(body) => Outcome::Report(report(body)),
                Err(_) => Outcome::NotReady(NotReady::Documented),
            },
            401 => Outcome::Refused,
            404 => Outcome::NotReady(NotReady::NotFound),
            _ => Outcome::Failed(Fault { kind: FaultKind::ServerError, retry_after: None }),
        };
        let alias = text(answer.body).ok().and_then(|body| word(body, "alias")).map(str::to_owned);
        let unsigned_answer = text(answer.body).is_ok_and(|body| word(body, "unsigned").is_some());
        let event = text(answer.body).ok().and_then(stated).filter(|_| answer.status == 200);
        PullAnswer { outcome, alias, event, unsigned_answer, diagnosis: None }
    }

    fn callback_body_cap(&self) -> u64 {
        BODY_CAP
    }

    fn check_callback(&self, headers: Headers<'_>) -> Box<dyn CallbackCheck> {
        let authenticity = match headers.first("signature") {
            _ if !self.signs => Authenticity::Unsigned,
            Some(b"good") => Authenticity::Signed,
            Some(_) => Authenticity::Wrong,
            None => Authenticity::Missing,
        };
        Box::new(Check { authenticity, body: Vec::new() })
    }

    fn read_callback(&self, body: &[u8], checked: &Checked) -> CallbackReading {
        let (id, event, unreadable) = match text(body) {
            Ok(body) => (word(body, "id").map(str::to_owned), word(body, "verdict").map(str::to_owned), None),
            Err(unreadable) => (None, None, Some(unreadable)),
        };
        let callback = match checked.authenticity {
            Authenticity::Signed => match text(body) {
                Ok(body) => Callback::Signed(report(body)),
                Err(_) => Callback::SignedSignal,
            },
            Authenticity::Unsigned => Callback::Unsigned,
            Authenticity::Wrong | Authenticity::Missing => Callback::WrongSignature,
        };
        let claims = text(body).ok().and_then(verdict);
        let stated = text(body).ok().and_then(stated);
        CallbackReading {
            id,
            id_member: None,
            alias: None,
            deviation: None,
            event,
            stated,
            callback,
            claims,
            unreadable,
        }
    }

    fn statement(&self, body: &[u8]) -> Result<Statement, Unreadable> {
        let body = text(body)?;
        Ok(Statement {
            verdict: verdict(body),
            event: word(body, "verdict").map(str::to_owned),
            reasons: Vec::new(),
        })
    }
}

struct Check {
    authenticity: Authenticity,
    body: Vec<u8>,
}

impl CallbackCheck for Check {
    fn update(&mut self, chunk: &[u8]) {
        self.body.extend_from_slice(chunk);
    }

    fn finish(self: Box<Self>) -> Checked {
        let mut sum = [0; 32];
        sum[..8].copy_from_slice(&digest(&self.body).to_be_bytes());
        Checked { authenticity: self.authenticity, digest: sum, remark: None }
    }
}
