//! What a body says about a verification, and how far it may be believed; the same words for every provider.

use core::fmt;
use serde::{Deserialize, Serialize};

/// What a verification came to, in words that do not depend on the provider. The provider's own word and reasons are kept beside it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The person passed. May be revised later.
    Accepted,
    /// The person did not pass. May be revised later.
    Declined,
    /// The person, or a newer request, called it off.
    Cancelled,
    /// The person did not finish in the provider's time.
    TimedOut,
    /// The documents are in; somebody must decide by hand. Does not settle.
    ReviewPending,
    /// The provider deleted it. Nothing follows.
    Deleted,
}

impl Verdict {
    /// Whether routine pulls stop here (R7): a decision, a cancellation or a time-out, which may still be revised, and a deletion, which
    /// ends the session as well.
    #[must_use]
    pub const fn settles(self) -> bool {
        match self {
            Self::Accepted | Self::Declined | Self::Cancelled | Self::TimedOut | Self::Deleted => true,
            Self::ReviewPending => false,
        }
    }

    /// The word used in output: `accepted`, `timed_out`, ….
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Declined => "declined",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::ReviewPending => "review_pending",
            Self::Deleted => "deleted",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How we learned something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The answer to a pull: the provider's truth at some moment between sending and answering.
    Pulled,
    /// A callback whose signature verified: authentic, but perhaps old.
    Signed,
    /// A callback that anybody could have sent: a claim.
    Unsigned,
}

impl Evidence {
    /// The word used in output: `pulled`, `signed`, `unsigned`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pulled => "pulled",
            Self::Signed => "signed",
            Self::Unsigned => "unsigned",
        }
    }
}

/// A digest of what a revision is made of (R5): event, result, data, sorted codes and reasons. The first 64 bits of SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContentDigest(pub u64);

impl fmt::Debug for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:016x}", self.0)
    }
}

/// What one body says: the provider's state at the time the body was made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The verdict, or `None` while the provider is still at work (pending, received, or an event we do not know).
    pub verdict: Option<Verdict>,
    /// The digest of the content; equal verdicts with unequal content are a change of data.
    pub content: ContentDigest,
}

/// Why the provider has nothing to say yet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotReady {
    /// The provider says so in its documented words (ShareID: 200 with `applicant not found`).
    Documented,
    /// 404: the provider does not know the id, or not yet.
    NotFound,
    /// The provider calls the question invalid (Shufti: `request.invalid`).
    Invalid,
}

/// What an answer to a pull, or its absence, means. Decided by the provider's codec, once, for every runtime.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The provider stated something.
    Report(Report),
    /// The provider has nothing yet.
    NotReady(NotReady),
    /// The credential was refused (401, 403, or Shufti's `request.unauthorized` at any status).
    Refused,
    /// No usable answer.
    Failed(Fault),
}

impl Outcome {
    /// Why there is no settling verdict although the provider answered, for whoever waited in vain. `None` for a settling verdict, and
    /// for refusals and faults: their diagnosis says more.
    #[must_use]
    pub const fn why_not_settled(self) -> Option<&'static str> {
        match self {
            Self::Report(Report { verdict: None, .. }) => {
                Some("the provider is still at work, or the person has not finished; allow a longer deadline")
            }
            Self::Report(Report { verdict: Some(verdict), .. }) if !verdict.settles() => {
                Some("somebody at the provider has yet to decide by hand; allow a longer deadline")
            }
            Self::NotReady(NotReady::Documented) => Some(
                "the provider has no result yet, or never issued this id, for it says the same of both; check the id, or allow a \
                 longer deadline",
            ),
            Self::NotReady(NotReady::NotFound) => Some("the provider does not know this id; check it"),
            Self::NotReady(NotReady::Invalid) => {
                Some("the provider calls the question invalid; check the id")
            }
            Self::Report(_) | Self::Refused | Self::Failed(_) => None,
        }
    }
}

/// A failure of the environment or the peer. An input like any other, never an `Err`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// What went wrong.
    pub kind: FaultKind,
    /// How long the provider asked us to stay away, bounded by the codec's caller.
    pub retry_after: Option<crate::time::Span>,
}

/// What went wrong with a call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// No connection: name resolution, connecting, reset before an answer.
    Unreachable,
    /// TLS failed: certificate or handshake.
    Tls,
    /// No answer in time.
    TimedOut,
    /// 429: too many calls.
    RateLimited,
    /// 5xx, 524 with HTML among them.
    ServerError,
    /// A redirect; never followed.
    Redirect,
    /// Another status that has no meaning here.
    UnexpectedStatus,
    /// The body ended early or was larger than the cap.
    Truncated,
    /// The body is not what the provider's documents describe.
    Malformed,
    /// The answer's signature is wrong, or missing where it is required (R16).
    BadSignature,
}

impl FaultKind {
    /// The word used in output: `unreachable`, `rate_limited`, ….
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::TimedOut => "timed_out",
            Self::RateLimited => "rate_limited",
            Self::ServerError => "server_error",
            Self::Redirect => "redirect",
            Self::UnexpectedStatus => "unexpected_status",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::BadSignature => "bad_signature",
        }
    }
}

/// What a callback means to the session it names. The codec and the signature decide; the session never sees bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Callback {
    /// The signature verified and the body states something.
    Signed(Report),
    /// The signature verified and the body states something; what it states was not digested, or is no longer at hand. A hint that somebody
    /// vouches for, never evidence.
    SignedHint,
    /// The signature verified and the body says only that something changed (R9).
    SignedSignal,
    /// Nobody vouches for it.
    Unsigned,
    /// The signature was wrong or missing where the provider signs (R16): a hint of the lowest class.
    WrongSignature,
}

impl Callback {
    /// What it is without the body: a report becomes a hint.
    #[must_use]
    pub const fn hint(self) -> Self {
        match self {
            Self::Signed(_) | Self::SignedHint => Self::SignedHint,
            Self::SignedSignal => Self::SignedSignal,
            Self::Unsigned => Self::Unsigned,
            Self::WrongSignature => Self::WrongSignature,
        }
    }

    /// How far it may be believed.
    #[must_use]
    pub const fn evidence(self) -> Evidence {
        match self {
            Self::Signed(_) | Self::SignedHint | Self::SignedSignal => Evidence::Signed,
            Self::Unsigned | Self::WrongSignature => Evidence::Unsigned,
        }
    }
}
