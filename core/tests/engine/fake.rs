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
use idv_core::session::EvidencePolicy;
use idv_core::shufti;
use idv_core::time::Span;
use idv_core::token::Mode;

/// One account.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fake {
    pub(crate) tokens: Mode,
    /// Whose it is; accounts at one host share a budget.
    pub(crate) host: &'static str,
    pub(crate) evidence: EvidencePolicy,
}

impl Fake {
    pub(crate) const PLAIN: Self =
        Self { tokens: Mode::NotNeeded, host: "fake.example", evidence: EvidencePolicy::ConfirmByPull };
    pub(crate) const TRUSTED: Self = Self { evidence: EvidencePolicy::TrustSigned, ..Self::PLAIN };
    pub(crate) const REUSING: Self = Self { tokens: Mode::Reusable, ..Self::PLAIN };
    pub(crate) const SPENDING: Self = Self { tokens: Mode::SingleUse, ..Self::PLAIN };
}

/// How long callbacks are repeated.
pub(crate) const CALLBACK_WINDOW: Span = Span::secs(150);

/// A verdict may follow a review, and a declined an accepted one, never the other way. A review is not described for answers.
pub(crate) const EVENTS: Table = Table {
    provider: "fake",
    events: &[
        row("review", false, Verdict::ReviewPending),
        row("accepted", true, Verdict::Accepted),
        row("declined", true, Verdict::Declined),
        row("deleted", true, Verdict::Deleted),
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

const fn row(name: &'static str, status: bool, verdict: Verdict) -> EventRow {
    EventRow { name, http: true, callback: true, status, meaning: Meaning::Verdict(verdict) }
}

fn word<'a>(body: &'a str, key: &str) -> Option<&'a str> {
    body.split_ascii_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

fn stated(body: &str) -> Option<Event> {
    Some(EVENTS.find(word(body, "verdict")?)).filter(|event| *event != Event::UNKNOWN)
}

fn verdict(body: &str) -> Option<Verdict> {
    match EVENTS.row(stated(body)?)?.meaning {
        Meaning::Verdict(verdict) => Some(verdict),
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
    let text = std::str::from_utf8(body).ok().filter(|text| word(text, "id").is_some());
    text.ok_or(Unreadable { line: 1, column: 1, problem: "expected `id=…`".to_owned() })
}

/// An answer may say from when on it counts no more, in seconds since 1970: `until=1700000000`.
fn in_time(body: &str, unix_seconds: Option<u64>) -> Result<&str, Unreadable> {
    match word(body, "until").map(|until| until.parse::<u64>().ok()) {
        Some(until) if until <= unix_seconds => {
            Err(Unreadable { line: 1, column: 1, problem: "it is too old".to_owned() })
        }
        Some(_) | None => Ok(body),
    }
}

impl Provider for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn rules(&self) -> Rules {
        let rules = Rules {
            token_mode: self.tokens,
            calls: 6_000,
            burst: 100,
            evidence: self.evidence,
            callback_window: CALLBACK_WINDOW,
            ..shufti::contract::RULES
        };
        rules.with_cadence(Span::secs(5)).with_deadline(Span::hours(20))
    }

    fn lifecycle(&self) -> &'static Table {
        &EVENTS
    }

    fn token_request(&self, request: &mut Request) -> bool {
        request.clear();
        request.method = "POST";
        request.url = format!("https://{}/token", self.host);
        self.tokens != Mode::NotNeeded
    }

    fn read_token(&self, answer: &Answer<'_>, _: Option<u64>) -> TokenAnswer {
        match answer.status {
            200 => TokenAnswer::Received {
                token: Secret::new(String::from_utf8_lossy(answer.body).into_owned()),
                ttl: None,
            },
            401 => TokenAnswer::Refused { diagnosis: Some("the key is wrong".to_owned()) },
            _ => TokenAnswer::Failed {
                fault: Fault { kind: FaultKind::ServerError, retry_after: None },
                diagnosis: Some("out of order".to_owned()),
            },
        }
    }

    fn pull_request(&self, id: &str, token: Option<&Secret>, request: &mut Request) {
        request.clear();
        request.method = "POST";
        request.url = format!("https://{}/pull", self.host);
        if let Some(token) = token {
            request.headers.push(("authorization", format!("Bearer {}", token.reveal())));
        }
        request.body.extend_from_slice(id.as_bytes());
    }

    fn read_pull(&self, _: &str, answer: &Answer<'_>, unix_seconds: Option<u64>) -> PullAnswer {
        let body = text(answer.body).and_then(|body| in_time(body, unix_seconds));
        let outcome = match (answer.status, &body) {
            (200, Ok(body)) => Outcome::Report(report(body)),
            (200 | 404, _) => Outcome::NotReady(NotReady::NotFound),
            (401, _) => Outcome::Refused,
            (429, _) => Outcome::Failed(Fault { kind: FaultKind::RateLimited, retry_after: None }),
            _ => Outcome::Failed(Fault { kind: FaultKind::ServerError, retry_after: None }),
        };
        let body = body.ok().filter(|_| answer.status == 200);
        PullAnswer {
            outcome,
            alias: body.and_then(|body| word(body, "alias")).map(str::to_owned),
            event: body.and_then(stated),
            unsigned_answer: body.is_some_and(|body| word(body, "unsigned").is_some()),
            diagnosis: (answer.status >= 400).then(|| format!("answered {}", answer.status)),
        }
    }

    fn callback_body_cap(&self) -> u64 {
        1_000
    }

    fn check_callback(&self, headers: Headers<'_>) -> Box<dyn CallbackCheck> {
        Box::new(Check {
            authenticity: match headers.first("signature") {
                Some(b"good") => Authenticity::Signed,
                Some(_) => Authenticity::Wrong,
                None => Authenticity::Unsigned,
            },
            body: Vec::new(),
        })
    }

    fn read_callback(&self, body: &[u8], checked: &Checked) -> CallbackReading {
        let body = text(body);
        let read = body.as_ref().ok();
        CallbackReading {
            id: read.and_then(|body| word(body, "id")).map(str::to_owned),
            id_member: None,
            alias: read.and_then(|body| word(body, "alias")).map(str::to_owned),
            event: read.and_then(|body| word(body, "verdict")).map(str::to_owned),
            stated: read.and_then(|body| stated(body)),
            deviation: None,
            callback: match (checked.authenticity, read) {
                (Authenticity::Signed, Some(body)) => Callback::Signed(report(body)),
                (Authenticity::Signed, None) => Callback::SignedSignal,
                (Authenticity::Unsigned, _) => Callback::Unsigned,
                (Authenticity::Wrong | Authenticity::Missing, _) => Callback::WrongSignature,
            },
            claims: read.and_then(|body| verdict(body)),
            unreadable: body.err(),
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
