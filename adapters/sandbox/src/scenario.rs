//! What happens to a verification, when, and which callbacks tell of it: written down, named, read from JSON.
//!
//! ```json
//! {
//!   "name": "flip-with-echo",
//!   "provider": "shufti",
//!   "timeline": [
//!     { "at": "2s", "event": "verification.accepted", "callbacks": [{}, { "after": "9s", "copies": 2 }] },
//!     { "at": "6s", "event": "verification.declined", "codes": ["SPDR06"], "callbacks": [] },
//!     { "at": "8s", "event": "verification.status.changed" }
//!   ]
//! }
//! ```
//!
//! Here the first callback is sent at once and twice more nine seconds later, as old bytes; the decline itself is not announced,
//! only later, by a callback that names no verdict. All durations are the provider's: the sandbox's time factor divides them.

use idv_core::lifecycle::{Channel, Event, Meaning, Table};
use idv_core::shareid::lifecycle::SHAREID;
use idv_core::shufti::lifecycle::SHUFTI;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;
use std::time::Duration;

/// One of the two providers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// ShareID.
    Shareid,
    /// Shufti Pro.
    Shufti,
}

impl Provider {
    /// The word used in output: `shareid`, `shufti`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shareid => "shareid",
            Self::Shufti => "shufti",
        }
    }

    /// The provider's events and which may follow which.
    #[must_use]
    pub const fn table(self) -> &'static Table {
        match self {
            Self::Shareid => &SHAREID,
            Self::Shufti => &SHUFTI,
        }
    }
}

/// What happens to a verification.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name, by which callers choose it: letters, digits and hyphens.
    pub name: String,
    /// Whose verifications it is for.
    pub provider: Provider,
    /// What it is for, in a line.
    #[serde(default)]
    pub about: String,
    /// What happens, in order of time. A Shufti verification begins with `request.pending`, unless a step at `0s` says otherwise.
    #[serde(default)]
    pub timeline: Vec<Step>,
    /// How many fetches ShareID answers *not ready* although there is a result.
    #[serde(default)]
    pub not_ready: u32,
    /// What goes wrong with the answer to the first pull, the second, …; `null` for nothing.
    #[serde(default)]
    pub pull_faults: Vec<Option<AnswerFault>>,
    /// Whether the timeline may leave the provider's documents: unknown events, changes that are not described.
    #[serde(default)]
    pub undocumented: bool,
}

/// Something that happens at the provider.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// When, counted from the creation of the verification.
    #[serde(with = "text_duration")]
    pub at: Duration,
    /// The event: a word of Shufti's, or `ready.accepted` and `ready.declined` for ShareID. An event that only signals a change leaves
    /// the state as it is.
    pub event: String,
    /// Shufti: the declined codes. ShareID: the reasons.
    #[serde(default)]
    pub codes: Vec<String>,
    /// Members of the body that replace the sandbox's own.
    #[serde(default)]
    pub fields: Map<String, Value>,
    /// The callbacks that tell of it; none is a lost callback.
    #[serde(default = "Callback::ordinary")]
    pub callbacks: Vec<Callback>,
}

/// A callback that a step sends.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Callback {
    /// How long after the step the first attempt is made. The body is that of the step's own time.
    #[serde(default, with = "text_duration")]
    pub after: Duration,
    /// The event it names, where not the step's own. As it stands, a Shufti verdict that replaces another is announced by
    /// `verification.status.changed`.
    #[serde(default)]
    pub event: Option<String>,
    /// Which key signs it (Shufti), or which bearer it carries (ShareID).
    #[serde(default)]
    pub key: Key,
    /// How many deliveries of the same bytes are started.
    #[serde(default = "one")]
    pub copies: u32,
    /// How many answers are lost on their way back: each counts as none, and the callback is tried again.
    #[serde(default)]
    pub answers_lost: u32,
    /// The body itself, in place of the sandbox's own.
    #[serde(default)]
    pub body: Option<String>,
}

const fn one() -> u32 {
    1
}

impl Default for Callback {
    fn default() -> Self {
        Self { after: Duration::ZERO, event: None, key: Key::Right, copies: 1, answers_lost: 0, body: None }
    }
}

impl Callback {
    /// One callback, at once, properly signed.
    fn ordinary() -> Vec<Self> {
        vec![Self::default()]
    }
}

/// What vouches for a callback.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// The key of the account.
    #[default]
    Right,
    /// Another key.
    Wrong,
    /// None: the header is missing.
    None,
}

/// What goes wrong with an answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerFault {
    /// The second half of the body comes late.
    SlowBody,
    /// 524 with HTML, as the proxy before Shufti writes it.
    #[serde(rename = "html_524")]
    Html524,
    /// 500.
    ServerError,
    /// The connection ends in the middle of the body.
    Truncated,
    /// The connection ends before an answer: the call took effect, the answer is lost.
    Lost,
    /// The same, but the connection ends by a reset.
    Reset,
    /// A reset before the call was taken in: it has no effect. Only what a scenario says, never by chance.
    Unread,
    /// 429 with `Retry-After` in seconds.
    RateLimited,
    /// 429 with `Retry-After` as a date.
    RateLimitedUntil,
    /// A redirect.
    Redirect,
    /// 200 with a body that is no JSON.
    Malformed,
    /// Signed with another key (Shufti).
    WrongKey,
    /// Not signed (Shufti).
    Unsigned,
}

impl Step {
    /// An event `at` this time, announced by one ordinary callback.
    #[must_use]
    pub fn new(at: Duration, event: &str) -> Self {
        Self {
            at,
            event: event.to_owned(),
            codes: Vec::new(),
            fields: Map::new(),
            callbacks: Callback::ordinary(),
        }
    }

    /// The same with these codes or reasons.
    #[must_use]
    pub fn with_codes(mut self, codes: &[&str]) -> Self {
        self.codes = codes.iter().map(|code| (*code).to_owned()).collect();
        self
    }

    /// The same with these callbacks and no other.
    #[must_use]
    pub fn with_callbacks(mut self, callbacks: impl IntoIterator<Item = Callback>) -> Self {
        self.callbacks = callbacks.into_iter().collect();
        self
    }

    /// The same without a callback: it gets lost before anybody sees it.
    #[must_use]
    pub fn lost(self) -> Self {
        self.with_callbacks([])
    }
}

/// The most copies or lost answers that make sense.
const MOST_COPIES: u32 = 1_000;

impl Scenario {
    /// A scenario of this timeline.
    #[must_use]
    pub fn new(provider: Provider, name: &str, timeline: Vec<Step>) -> Self {
        Self {
            name: name.to_owned(),
            provider,
            about: String::new(),
            timeline,
            not_ready: 0,
            pull_faults: Vec::new(),
            undocumented: false,
        }
    }

    /// Reads one scenario, or a list of them, and checks each.
    ///
    /// # Errors
    /// The text is not JSON of this shape (says where), or a scenario makes no sense (says which and why).
    pub fn read(json: &str) -> Result<Vec<Self>, ScenarioError> {
        #[derive(Deserialize)]
        #[serde(transparent)]
        struct List(Vec<Scenario>);

        let problem = |error: serde_json::Error| ScenarioError { scenario: None, problem: error.to_string() };
        // Not one untagged enum: its errors would say neither where nor what.
        let scenarios = if json.trim_start().starts_with('[') {
            serde_json::from_str::<List>(json).map_err(problem)?.0
        } else {
            vec![serde_json::from_str(json).map_err(problem)?]
        };
        scenarios.iter().try_for_each(Self::check)?;
        Ok(scenarios)
    }

    /// Looks for what cannot happen.
    ///
    /// # Errors
    /// The name is not usable, times go back, or, unless [`Scenario::undocumented`], an event is unknown, may not come by callback, or may
    /// not follow the one before it.
    pub fn check(&self) -> Result<(), ScenarioError> {
        let wrong = |problem: String| Err(ScenarioError { scenario: Some(self.name.clone()), problem });
        if self.name.is_empty() || !self.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        {
            return wrong("the name must be made of letters, digits and hyphens".to_owned());
        }
        let mut before = Duration::ZERO;
        for step in &self.timeline {
            if step.at < before {
                return wrong(format!("`{}` is out of order: put the steps in order of `at`", step.event));
            }
            before = step.at;
            for callback in &step.callbacks {
                if callback.copies > MOST_COPIES || callback.answers_lost > MOST_COPIES {
                    return wrong(format!(
                        "`{}`: `copies` and `answers_lost` are at most {MOST_COPIES}",
                        step.event
                    ));
                }
            }
        }
        if self.undocumented { Ok(()) } else { self.check_against_the_documents() }
    }

    fn check_against_the_documents(&self) -> Result<(), ScenarioError> {
        let wrong = |problem: String| Err(ScenarioError { scenario: Some(self.name.clone()), problem });
        let table = self.provider.table();
        let mut state = self.first_event().map(|name| table.find(name));
        for step in &self.timeline {
            let event = table.find(&step.event);
            let named = step.callbacks.iter().filter_map(|callback| callback.event.as_deref());
            for name in named.chain([step.event.as_str()]) {
                if table.row(table.find(name)).is_none() {
                    let provider = self.provider.as_str();
                    return wrong(format!(
                        "`{name}` is no event of {provider}; correct it, or set `undocumented` to send it nevertheless"
                    ));
                }
            }
            let meaning = table.row(event).map(|row| row.meaning);
            if !table.row(event).is_some_and(|row| row.allows(Channel::Callback)) {
                return wrong(format!("`{}` answers a call and does not happen by itself", step.event));
            }
            if meaning.is_some_and(Meaning::states) {
                if !table.follows(state, event) {
                    return wrong(format!(
                        "`{}` does not follow `{}`; correct it, or set `undocumented`",
                        step.event,
                        state.and_then(|state| table.row(state)).map_or("the beginning", |row| row.name)
                    ));
                }
                state = Some(event);
            }
        }
        Ok(())
    }

    /// What a verification of this scenario begins with, unless its timeline begins at once.
    pub(crate) fn first_event(&self) -> Option<&'static str> {
        match self.provider {
            Provider::Shareid => None,
            Provider::Shufti if self.timeline.first().is_some_and(|step| step.at.is_zero()) => None,
            Provider::Shufti => Some("request.pending"),
        }
    }
}

/// What an event is to its provider: `None` where the documents do not know it.
pub(crate) fn meaning(provider: Provider, event: &str) -> Option<Meaning> {
    let table = provider.table();
    let event: Event = table.find(event);
    table.row(event).map(|row| row.meaning)
}

/// Why a scenario cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScenarioError {
    /// The scenario's name, once it could be read.
    pub scenario: Option<String>,
    /// What is wrong and what to do.
    pub problem: String,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scenario {
            Some(scenario) => write!(f, "scenario `{scenario}`: {}", self.problem),
            None => write!(f, "the scenarios cannot be read: {}", self.problem),
        }
    }
}

impl std::error::Error for ScenarioError {}

/// Durations as people write them: `200ms`, `5s`, `2m`, `1h`.
mod text_duration {
    use serde::{Deserialize, Deserializer, Serializer, de};
    use std::borrow::Cow;
    use std::time::Duration;

    /// The units, the longest first, in milliseconds.
    const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let fits = |(_, unit): &&(&str, u64)| millis > 0 && millis.is_multiple_of(*unit);
        match UNITS.iter().find(fits) {
            Some((name, unit)) => serializer.collect_str(&format_args!("{}{name}", millis / unit)),
            None => serializer.serialize_str("0s"),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| {
            de::Error::invalid_value(
                de::Unexpected::Str(&text),
                &"a duration like `200ms`, `5s`, `2m` or `1h`, at most 30 days",
            )
        })
    }

    fn parse(text: &str) -> Option<Duration> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let given = text.strip_prefix(digits)?;
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == given)?;
        let millis = digits.parse::<u64>().ok()?.checked_mul(*unit)?;
        (millis <= 30 * 24 * 3_600_000).then(|| Duration::from_millis(millis))
    }
}
