//! The rules of a session, what it is told, and what it asks for.

use crate::evidence::{Callback, ContentDigest, Evidence, Outcome, Report, Verdict};
use crate::poller::{self, Class};
use crate::time::Span;
use serde::{Deserialize, Serialize};

/// How a session ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The deadline and its grace passed without a settling verdict.
    Expired,
    /// The credential was refused twice in a row, or the token request for good (R14).
    Refused,
    /// The provider deleted the verification.
    Deleted,
    /// The application cancelled it.
    Cancelled,
    /// It was settled, and the watch for revisions is over.
    Watched,
}

/// Whether a signed callback may be evidence (R2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidencePolicy {
    /// Only answers to pulls are evidence; a callback, signed or not, is a hint.
    ConfirmByPull,
    /// A signed verdict is handed over at once while the session has no verdict; from then on a signed callback is a hint.
    TrustSigned,
}

/// The rules of a session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Policy {
    /// When to pull.
    pub poller: poller::Policy,
    /// Whether a signed callback may be evidence.
    pub evidence: EvidencePolicy,
}

impl Policy {
    /// Confirms by pull, the default for both providers.
    #[must_use]
    pub const fn confirm_by_pull(poller: poller::Policy) -> Self {
        Self { poller, evidence: EvidencePolicy::ConfirmByPull }
    }

    /// Trusts a signed verdict while it is the first.
    #[must_use]
    pub const fn trust_signed(poller: poller::Policy) -> Self {
        Self { poller, evidence: EvidencePolicy::TrustSigned }
    }
}

/// What a session is told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// The pull that was asked for may be sent now.
    Granted,
    /// Pull `op` came to this.
    Pulled {
        /// The pull's number.
        op: u32,
        /// What its answer, or the lack of one, means.
        outcome: Outcome,
    },
    /// The reply to the request that created the verification already stated something (R17). Counts only before any pull.
    Created(Report),
    /// A callback named this verification.
    Callback(Callback),
    /// A reason to pull that is not a callback: the user asked, or listening had a gap (R9).
    Hint(Class),
    /// The application has the revision, and said so.
    HandedOver {
        /// The revision's number.
        revision: u32,
    },
    /// The application did not take the revision, and it will not be offered again.
    DeadLettered {
        /// The revision's number.
        revision: u32,
    },
    /// The token request was refused for good.
    CredentialsRefused,
    /// The application opens it once more: after the end, it waits for a verdict, or watches, anew (R8).
    OpenedAgain,
    /// The application wants no more.
    Cancel,
    /// The state comes from a snapshot: a pull in flight counts as failed, what was asked for is asked for again (R11).
    Restored,
}

/// What a session asks for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Permission for one pull; asked again when its class changes.
    Ask {
        /// How urgently.
        class: Class,
    },
    /// Send the pull.
    Pull {
        /// Its number, to be repeated by its completion.
        op: u32,
        /// How long it may take.
        within: Span,
    },
    /// Keep the body just fed in: it carries the newest verdict, and a revision may be made of it.
    Keep {
        /// Its content digest.
        content: ContentDigest,
    },
    /// Give this revision to the application, under the key (provider, id, number), until it is confirmed.
    HandOver(Revision),
    /// Finished, but for a hand-over that is still awaited.
    Ended {
        /// How.
        end: End,
        /// A callback, or another hint, was never confirmed by a pull (R12).
        unconfirmed: bool,
    },
}

/// The n-th verdict that a session hands over.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Revision {
    /// 1, 2, 3, …; with provider and id, the idempotency key.
    pub number: u32,
    /// What the verification came to.
    pub verdict: Verdict,
    /// The digest of its content; names the kept body.
    pub content: ContentDigest,
    /// How we learned it.
    pub evidence: Evidence,
    /// The verdict is that of the revision before; only its content changed.
    pub data_changed: bool,
}
