//! What ShareID's documents promise, as constants, each with its source.
//!
//! "Fetch page" is doc.shareid.ai, shareid-sdk-v2/fetch-result/fetch-result-authenticate. The other pages are named by their last part
//! (`get-result-onboarding`, `get-a-token-onboarding`, …) below the same site. The base URL is nowhere spelled out: ShareID hands it over with
//! the credentials. What the documents leave open and we had to choose says so.

use crate::delivery::{self, Schedule, Success};
use crate::rules::Rules;
use crate::session::EvidencePolicy;
use crate::time::Span;
use crate::token::Mode;

/// How long a fetch token lives (fetch page: "TTL of 10 minutes"). The token may be used for many fetches.
pub const FETCH_TOKEN_TTL: Span = Span::mins(10);

/// The advised wait between two fetches (fetch page). More calls in a short window may be rejected; how many is not documented.
pub const CADENCE: Span = Span::secs(5);

/// Our own caution, since no number is documented: at most this many calls per [`DEFAULT_BUDGET_WINDOW`], for all sessions of an account
/// together, token requests included.
pub const DEFAULT_BUDGET_CALLS: u32 = 120;

/// The window of [`DEFAULT_BUDGET_CALLS`]; our own choice.
pub const DEFAULT_BUDGET_WINDOW: Span = Span::mins(1);

/// What a callback must be answered: exactly this (fetch page); 202 or 204 start the retries.
pub const CALLBACK_STATUS: u16 = 200;

/// How long ShareID waits for the answer to a callback (fetch page).
pub const CALLBACK_TIMEOUT: Span = Span::millis(3_000);

/// The waits before the second, third and fourth delivery of a callback; then it is given up (`get-result-onboarding`,
/// `get-result-authenticate`). What each wait is counted from is not documented; we take the attempt before.
pub const CALLBACK_RETRIES: [Span; 3] = [Span::mins(5), Span::hours(1), Span::hours(24)];

/// How ShareID delivers a callback: 4 attempts (`get-result-onboarding`, `get-result-authenticate`).
pub const CALLBACK_DELIVERY: delivery::Policy = delivery::Policy {
    timeout: CALLBACK_TIMEOUT,
    success: Success::Exactly200,
    schedule: Schedule::of(CALLBACK_RETRIES),
    jitter_percent: 0,
};

/// From a callback's first delivery to its last, if every answer comes at once: 25 h 05 min.
pub const CALLBACK_RETRY_WINDOW: Span = {
    let [first, second, third] = CALLBACK_RETRIES;
    first.plus(second).plus(third)
};

/// The largest callback body we read, and the default cap of answers: 16 MiB, our own choice. Up to four base64 images may be inside
/// ([`Image`](super::Image)); no limit is documented.
pub const CALLBACK_BODY_CAP: u64 = 16 * 1024 * 1024;

/// The shortest user session that may be asked for (`get-a-token-onboarding`, `session_duration`).
pub const SESSION_DURATION_LEAST: Span = Span::secs(300);

/// The longest user session that may be asked for (`get-a-token-onboarding`, `session_duration`).
pub const SESSION_DURATION_MOST: Span = Span::secs(3_600);

/// How long a user session lasts when nothing is asked for (`get-a-token-onboarding`, `session_duration`). The result can come no sooner
/// than the person finishes: a deadline below this plus the time of the analysis may end a session too early.
pub const SESSION_DURATION_DEFAULT: Span = Span::secs(600);

/// The `detail` of the 200 that means *not ready* (fetch page). An id that ShareID never issued very probably looks the same.
pub const NOT_READY_DETAIL: &str = "applicant not found";

/// The members of a result on which its meaning hangs: a body that repeats one could be read in two ways, and is not read (R19).
pub const UNREPEATABLE: [&str; 3] = ["applicant_id", "flow_id", "reasons"];

/// How long a session waits for its first settling verdict, unless told otherwise; our own choice: the longest user session and a quarter
/// of an hour for the analysis.
pub const DEFAULT_DEADLINE: Span = Span::mins(75);

/// The contract as the machines take it.
pub const RULES: Rules = Rules {
    token_mode: Mode::Reusable,
    token_ttl: FETCH_TOKEN_TTL,
    cadence: CADENCE,
    interval: CADENCE,
    deadline: DEFAULT_DEADLINE,
    call_timeout: Span::secs(10),
    calls: DEFAULT_BUDGET_CALLS,
    window: DEFAULT_BUDGET_WINDOW,
    burst: 20,
    evidence: EvidencePolicy::ConfirmByPull,
    watch: None,
    audit: Some(Span::hours(24)),
    callback_timeout: CALLBACK_TIMEOUT,
    callback_window: CALLBACK_RETRY_WINDOW,
};

/// The two kinds of verification.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Flow {
    /// A person and a document are checked for the first time; known by `applicant_id`.
    Onboarding,
    /// A person who was onboarded comes again; known by `flow_id`.
    Authenticate,
}

impl Flow {
    /// The word in paths: `onboarding`, `authenticate`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Onboarding => "onboarding",
            Self::Authenticate => "authenticate",
        }
    }

    /// The member that names a verification of this flow in the start reply, in a fetch and in a result.
    ///
    /// For authenticate this is documented (fetch page); for onboarding the start reply is (`get-a-token-onboarding`), and the
    /// body of the fetch is its analogue.
    #[must_use]
    pub const fn id_member(self) -> &'static str {
        match self {
            Self::Onboarding => "applicant_id",
            Self::Authenticate => "flow_id",
        }
    }

    /// Where the start token of one user session is asked for (`get-a-token-onboarding`, `get-a-token-authenticate`). The onboarding page
    /// writes `/flow/onboarding/auth_business` in its example and this in its text.
    #[must_use]
    pub const fn start_path(self) -> &'static str {
        match self {
            Self::Onboarding => "/flow/onboarding/auth/business",
            Self::Authenticate => "/flow/authenticate/auth/business",
        }
    }

    /// Where the fetch token is asked for: documented for authenticate (fetch page), its analogue for onboarding.
    #[must_use]
    pub const fn fetch_token_path(self) -> &'static str {
        match self {
            Self::Onboarding => "/flow/onboarding/fetch/auth/business",
            Self::Authenticate => "/flow/authenticate/fetch/auth/business",
        }
    }

    /// Where results are fetched (fetch page).
    #[must_use]
    pub const fn fetch_path(self) -> &'static str {
        match self {
            Self::Onboarding => "/flow/onboarding/fetch",
            Self::Authenticate => "/flow/authenticate/fetch",
        }
    }
}

/// A reason that ShareID's documents list.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct KnownReason {
    /// The code as it stands in `reasons`.
    pub code: &'static str,
    /// What it means, in our words.
    pub meaning: &'static str,
    /// Whether it speaks of a failure on ShareID's side and not of the person (R18).
    pub technical: bool,
}

/// The documented reasons (`analysis-result-onboarding`; the last four stand in its later versions only). The list has grown from page to
/// page: a code that is not here is kept like any other.
pub const REASONS: [KnownReason; 17] = [
    person("doc_expired", "the document has expired"),
    person("no_doc", "no document was seen"),
    person("doc_spoof", "the document was shown on a screen or printed"),
    person("doc_inject", "the document's images were injected"),
    person("doc_mismatch", "front and back do not belong together"),
    person("doc_fraud", "the document is not authentic"),
    person("no_face", "no face was seen"),
    person("face_spoof", "the face was shown on a screen, printed or a mask"),
    person("face_inject", "the face's images were injected or generated"),
    person("face_fraud", "the face is not that of the document's owner"),
    person("multiple_faces", "more than one face was seen"),
    technical("analysis_failed", "the analysis failed"),
    technical("operator_failed", "the operator could not decide"),
    person("name_not_extracted", "the given name could not be read"),
    person("surname_not_extracted", "the surname could not be read"),
    person("date_not_extracted", "a date could not be read"),
    person("face_insufficient_quality", "the face's images are not good enough"),
];

const fn person(code: &'static str, meaning: &'static str) -> KnownReason {
    KnownReason { code, meaning, technical: false }
}

const fn technical(code: &'static str, meaning: &'static str) -> KnownReason {
    KnownReason { code, meaning, technical: true }
}

/// Whether a reason speaks of a failure on ShareID's side and not of the person (R18): `analysis_failed`, `operator_failed`. Unknown
/// reasons are taken to speak of the person.
#[must_use]
pub fn is_technical(code: &str) -> bool {
    REASONS.iter().any(|reason| reason.technical && reason.code == code)
}
