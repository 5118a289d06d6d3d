//! What a scenario file holds. The format is described in `tests/conformance/README.md`.

use idv_core::time::Span;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::path::Path;

/// One scenario: an account, and a story that every runner must play to the letter.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The file's name without its ending.
    #[serde(skip)]
    pub name: String,
    /// What happens, in a sentence.
    pub what: String,
    /// The guarantees and rules that it shows.
    pub shows: Vec<String>,
    /// Over which connections it can be played. Default: both.
    #[serde(default)]
    pub over: Over,
    /// How the account is set up.
    pub account: Account,
    /// What happens, in order.
    #[serde(deserialize_with = "steps")]
    pub story: Vec<Step>,
}

/// Over which connections a scenario can be played.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// Plain HTTP and TLS.
    #[default]
    Both,
    /// Plain HTTP: the fault lies before TLS begins.
    Plain,
    /// TLS: the fault lies in it.
    Tls,
}

/// A provider that scenarios know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Pulls with HTTP Basic or a single-use token; signs.
    Shufti,
    /// Pulls with a reusable token; signs nothing.
    Shareid,
}

/// The set-up of the account; numbers that suit real time where nothing is said.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The provider.
    pub provider: Provider,
    /// Shufti only: pulls carry a single-use access token instead of HTTP Basic.
    #[serde(default)]
    pub access_token: bool,
    /// Shufti only: the signature's rule, `before` or `after`. Default `after`.
    pub rule: Option<String>,
    /// ShareID only: the bearer agreed for callbacks.
    pub bearer: Option<String>,
    /// Shufti only: an answer without a signature is a fault.
    #[serde(default)]
    pub require_signed_answers: bool,
    /// Whether a signed callback is evidence while there is no verdict (R2).
    #[serde(default)]
    pub trust_signed: bool,
    /// The provider's host has a name that cannot be resolved.
    #[serde(default)]
    pub nowhere: bool,
    /// The least time between two pulls. Default 40 ms.
    #[serde(default, deserialize_with = "span")]
    pub cadence: Option<Span>,
    /// The routine wait between two pulls. Default: an hour, so that the story alone gives reasons to pull.
    #[serde(default, deserialize_with = "span")]
    pub interval: Option<Span>,
    /// How long to wait for the first settling verdict. Default 20 h.
    #[serde(default, deserialize_with = "span")]
    pub deadline: Option<Span>,
    /// How long a call may take. Default 10 s.
    #[serde(default, deserialize_with = "span")]
    pub call_timeout: Option<Span>,
    /// How long a token lives. Default: the contract's.
    #[serde(default, deserialize_with = "span")]
    pub token_ttl: Option<Span>,
    /// How long a settled verification is watched. Default: for ever.
    #[serde(default, deserialize_with = "span")]
    pub watch: Option<Span>,
    /// The most calls in [`Account::window`]. Default: as good as unlimited.
    pub calls: Option<u32>,
    /// The window of [`Account::calls`]. Default 1 min.
    #[serde(default, deserialize_with = "span")]
    pub window: Option<Span>,
    /// How many calls may come back to back. Default: all of them.
    pub burst: Option<u32>,
    /// When a callback is answered at the latest. Default: the contract's 2500 ms.
    #[serde(default, deserialize_with = "span")]
    pub answer_within: Option<Span>,
    /// The waits before a revision that was not taken is offered again; then it is dead. Default: 20 ms, three times.
    #[serde(default, deserialize_with = "spans")]
    pub hand_over: Option<Vec<Span>>,
}

/// One step of a story.
#[derive(Clone, Debug)]
pub enum Step {
    /// The application opens a verification.
    Open {
        /// Its id.
        id: String,
    },
    /// The application wants no more of it.
    Cancel {
        /// Its id.
        id: String,
    },
    /// The provider gets this request; nothing else came before it.
    Request {
        /// What is asked for.
        asks: Asks,
        /// The token that it carries.
        with: Option<String>,
        /// The answer; without one it is held until [`Step::Answer`].
        answer: Option<Answer>,
        /// It comes any number of times from one on, answered alike, until the next step happens.
        again: bool,
        /// The least time since the answer before.
        not_before: Option<Span>,
    },
    /// The request that is held is answered.
    Answer(Answer),
    /// What the next connection to the provider meets instead of a provider.
    Connection(BadConnection),
    /// A pull came to this without a request that arrived.
    Pulled {
        /// What it came to.
        means: String,
    },
    /// Somebody posts a callback and is answered.
    Callback(Callback),
    /// The store behaves like this from now on.
    Store(Store),
    /// A revision is offered to the application.
    Revision(Revision),
    /// The application takes the revision that it held.
    Take,
    /// A revision is given up.
    Dead {
        /// `order-1 #1`.
        revision: String,
    },
    /// A verification ends.
    Ended {
        /// `order-1 expired`.
        end: String,
        /// A hint was never confirmed.
        unconfirmed: bool,
    },
    /// The credentials of the account are refused for good.
    CredentialsRefused,
    /// The process dies: nothing it does from here on reaches the store.
    Crash,
    /// Another process starts on what the store holds.
    Restart,
    /// For so long nothing happens that a story would tell.
    Quiet(Span),
}

/// What a request asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Asks {
    /// A token.
    Token,
    /// The state of this verification.
    Pull(String),
}

/// What the provider answers.
#[derive(Clone, Debug)]
pub struct Answer {
    /// A word of the provider, see [`super::documents`]; for a token request the token.
    pub says: Option<String>,
    /// The status. Default 200.
    pub status: u16,
    /// Header fields.
    pub headers: BTreeMap<String, String>,
    /// The body, in place of the provider's document.
    pub body: Option<String>,
    /// Shufti only: `no` leaves the signature away, `wrong` makes it so.
    pub signed: Option<String>,
    /// How its transport fails.
    pub fault: Option<Fault>,
    /// How it is sent, where it does not fail.
    pub sent: Sent,
    /// What it means to the adapter, where that does not follow from the word.
    pub means: Option<String>,
}

/// How an answer is sent that arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
pub enum Sent {
    /// At once, with its length announced.
    #[default]
    #[serde(rename = "at once")]
    AtOnce,
    /// A few bytes at a time.
    #[serde(rename = "in pieces")]
    InPieces,
    /// In chunks, its length not announced.
    #[serde(rename = "in chunks")]
    InChunks,
}

/// How an answer fails after the request was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The connection is reset.
    Reset,
    /// The connection is closed without an answer.
    Close,
    /// The connection ends before the announced body does.
    Truncated,
    /// The connection ends within a body sent in chunks.
    TruncatedChunks,
    /// The body comes byte by byte, and never to its end.
    Drip,
    /// No answer comes.
    Silence,
    /// What comes is not HTTP.
    Garbage,
}

/// What a connection meets before any request could be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BadConnection {
    /// It is reset as soon as it stands.
    Reset,
    /// The certificate has expired.
    Expired,
    /// The certificate is signed by nobody who is trusted.
    SelfSigned,
    /// The certificate is for another host.
    WrongHost,
}

/// A callback and what it is answered.
#[derive(Clone, Debug)]
pub struct Callback {
    /// The verification.
    pub id: String,
    /// A word of the provider.
    pub says: String,
    /// The body, in place of the provider's document.
    pub body: Option<String>,
    /// Shufti: `before`, `after`, `forged` or `no`. ShareID: `bearer`, `wrong` or `no`. Default: as the account demands.
    pub signed: Option<String>,
    /// It stops in the middle of its body.
    pub stops: bool,
    /// The sender does not wait for the answer.
    pub hangs_up: bool,
    /// The status of the answer.
    pub answered: Option<u16>,
    /// It is the provider's next attempt at the same callback, so long after the answer to the one before.
    pub after: Option<Span>,
}

/// How the store behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Store {
    /// It does what it is asked.
    Works,
    /// It records no callback.
    Fails,
    /// It takes a callback and does not come back.
    Stalls,
}

/// A revision, and what the application does with it.
#[derive(Clone, Debug)]
pub struct Revision {
    /// `order-1 #1 accepted`.
    pub is: String,
    /// `pulled` or `signed`. Default `pulled`.
    pub evidence: String,
    /// Only the data changed.
    pub data_changed: bool,
    /// Its answer carried no signature.
    pub unsigned_answer: bool,
    /// Where the callbacks of the same verdict stand in the journal, where that matters.
    pub callbacks: Option<Vec<u64>>,
    /// What the application does.
    pub then: Then,
}

/// What the application does with a revision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Then {
    /// Takes it.
    Take,
    /// Does not, for this reason.
    Refuse(String),
    /// Is at it until [`Step::Take`], or until the process dies.
    Hold,
}

/// A step as it is written: one verb, and what goes with it.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Line {
    open: Option<String>,
    cancel: Option<String>,
    request: Option<String>,
    connection: Option<BadConnection>,
    pulled: Option<String>,
    callback: Option<String>,
    store: Option<Store>,
    revision: Option<String>,
    take: Option<bool>,
    dead: Option<String>,
    ended: Option<String>,
    credentials: Option<String>,
    process: Option<String>,
    #[serde(deserialize_with = "span")]
    quiet: Option<Span>,

    answer: Option<WordOrStatus>,
    status: Option<u16>,
    headers: BTreeMap<String, String>,
    body: Option<String>,
    signed: Option<String>,
    fault: Option<Fault>,
    sent: Sent,
    means: Option<String>,
    with: Option<String>,
    again: bool,
    #[serde(deserialize_with = "span")]
    not_before: Option<Span>,

    stops: bool,
    hangs_up: bool,
    answered: Option<u16>,
    #[serde(deserialize_with = "span")]
    after: Option<Span>,

    evidence: Option<String>,
    data_changed: bool,
    unsigned_answer: bool,
    callbacks: Option<Vec<u64>>,
    refused: Option<String>,
    held: bool,
    unconfirmed: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WordOrStatus {
    Status(u16),
    Word(String),
}

impl Line {
    fn step(mut self) -> Result<Step, String> {
        let answer = self.answer();
        let mut steps = Vec::new();
        if let Some(id) = self.open {
            steps.push(Step::Open { id });
        }
        if let Some(id) = self.cancel {
            steps.push(Step::Cancel { id });
        }
        if let Some(request) = self.request {
            let asks = match request.split_once(' ') {
                None if request == "token" => Asks::Token,
                Some(("pull", id)) => Asks::Pull(id.to_owned()),
                _ => return Err(format!("`request = \"{request}\"`: expected `token` or `pull ID`")),
            };
            if self.again && answer.is_none() {
                return Err("`again` needs an `answer`".to_owned());
            }
            let (with, again, not_before) = (self.with, self.again, self.not_before);
            steps.push(Step::Request { asks, with, answer, again, not_before });
        } else if let Some(answer) = answer {
            steps.push(Step::Answer(answer));
        }
        if let Some(bad) = self.connection {
            steps.push(Step::Connection(bad));
        }
        if let Some(means) = self.pulled {
            steps.push(Step::Pulled { means });
        }
        if let Some(callback) = self.callback {
            let (id, says) = callback.split_once(' ').ok_or("`callback`: expected `ID WORD`")?;
            steps.push(Step::Callback(Callback {
                id: id.to_owned(),
                says: says.to_owned(),
                body: self.body.take(),
                signed: self.signed.take(),
                stops: self.stops,
                hangs_up: self.hangs_up,
                answered: self.answered,
                after: self.after,
            }));
            if self.answered.is_some() == self.hangs_up {
                return Err("`callback`: give `answered`, or `hangs_up = true`".to_owned());
            }
        }
        if let Some(store) = self.store {
            steps.push(Step::Store(store));
        }
        if let Some(is) = self.revision {
            let then = match (self.refused, self.held) {
                (None, false) => Then::Take,
                (Some(reason), false) => Then::Refuse(reason),
                (None, true) => Then::Hold,
                (Some(_), true) => return Err("a revision is `refused` or `held`".to_owned()),
            };
            steps.push(Step::Revision(Revision {
                is,
                evidence: self.evidence.unwrap_or_else(|| "pulled".to_owned()),
                data_changed: self.data_changed,
                unsigned_answer: self.unsigned_answer,
                callbacks: self.callbacks,
                then,
            }));
        }
        if self.take == Some(true) {
            steps.push(Step::Take);
        }
        if let Some(revision) = self.dead {
            steps.push(Step::Dead { revision });
        }
        if let Some(end) = self.ended {
            steps.push(Step::Ended { end, unconfirmed: self.unconfirmed });
        }
        if let Some(word) = self.credentials {
            match word.as_str() {
                "refused" => steps.push(Step::CredentialsRefused),
                _ => return Err("`credentials`: expected `refused`".to_owned()),
            }
        }
        if let Some(word) = self.process {
            match word.as_str() {
                "crashes" => steps.push(Step::Crash),
                "restarts" => steps.push(Step::Restart),
                _ => return Err("`process`: expected `crashes` or `restarts`".to_owned()),
            }
        }
        if let Some(span) = self.quiet {
            steps.push(Step::Quiet(span));
        }
        match (steps.pop(), steps.is_empty()) {
            (Some(step), true) => Ok(step),
            (Some(_), false) => Err("more than one thing happens; make it several steps".to_owned()),
            (None, _) => Err("nothing happens in it".to_owned()),
        }
    }

    fn answer(&mut self) -> Option<Answer> {
        let (says, status) = match self.answer.take() {
            Some(WordOrStatus::Word(word)) => (Some(word), self.status.unwrap_or(200)),
            Some(WordOrStatus::Status(status)) => (None, status),
            None if self.fault.is_some() => (None, 200),
            None => return None,
        };
        Some(Answer {
            says,
            status,
            headers: std::mem::take(&mut self.headers),
            body: self.body.take(),
            signed: self.signed.take(),
            fault: self.fault,
            sent: self.sent,
            means: self.means.take(),
        })
    }
}

fn steps<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Step>, D::Error> {
    let lines = Vec::<Line>::deserialize(deserializer)?;
    let steps = lines.into_iter().enumerate().map(|(index, line)| {
        line.step().map_err(|problem| serde::de::Error::custom(format!("step {}: {problem}", index + 1)))
    });
    steps.collect()
}

fn parse_span(text: &str) -> Result<Span, String> {
    let duration = humantime::parse_duration(text).map_err(|error| format!("`{text}`: {error}"))?;
    let millis = u32::try_from(duration.as_millis()).ok().filter(|millis| *millis > 0);
    millis.map(Span::millis).ok_or_else(|| format!("`{text}` is no span of at least 1 ms"))
}

fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Span>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| parse_span(&text)).transpose().map_err(serde::de::Error::custom)
}

fn spans<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Span>>, D::Error> {
    let texts = Option::<Vec<String>>::deserialize(deserializer)?;
    let spans = texts.map(|texts| texts.iter().map(|text| parse_span(text)).collect());
    spans.transpose().map_err(serde::de::Error::custom)
}

impl Scenario {
    /// Reads one.
    ///
    /// # Errors
    /// It is not as the format wants it; says where.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let scenario: Self = toml::from_str(text).map_err(|error| format!("{name}: {error}"))?;
        let is_one = |word: &String| {
            let number = |letter| word.strip_prefix(letter)?.parse::<u8>().ok();
            number('G').is_some_and(|n| (1..=10).contains(&n))
                || number('R').is_some_and(|n| (1..=19).contains(&n))
        };
        if let Some(word) = scenario.shows.iter().find(|word| !is_one(word)) {
            return Err(format!("{name}: `{word}` is no guarantee and no rule"));
        }
        Ok(Self { name: name.to_owned(), ..scenario })
    }

    /// Reads every scenario of a folder, in the order of their names.
    ///
    /// # Errors
    /// The folder or a file cannot be read; says which and why.
    pub fn load_all(folder: &Path) -> Result<Vec<Self>, String> {
        let problem = |error: std::io::Error| format!("{}: {error}", folder.display());
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(problem)? {
            let path = entry.map_err(problem)?.path();
            if path.extension().is_some_and(|ending| ending == "toml") {
                paths.push(path);
            }
        }
        paths.sort();
        let read = |path: &std::path::PathBuf| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Self::parse(&name, &std::fs::read_to_string(path).map_err(problem)?)
        };
        paths.iter().map(read).collect()
    }
}
