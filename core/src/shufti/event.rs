//! The events of Shufti Pro: what a verification, or a call, came to.

use super::lifecycle::{self, SHUFTI};
use crate::evidence::Verdict;
use crate::lifecycle::Meaning;
use core::fmt;

/// An event we know: a row of [`SHUFTI`]. Others are kept as the word they came with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Event {
    /// The request is valid, and the person has not finished.
    RequestPending,
    /// A parameter of the request is invalid.
    RequestInvalid,
    /// The request's credentials are missing or invalid.
    RequestUnauthorized,
    /// The person did not finish in time.
    RequestTimeout,
    /// The documents are in and being looked at.
    RequestReceived,
    /// The verification and its data were deleted.
    RequestDeleted,
    /// Somebody changed the extracted data by hand. A signal: the state must be asked for.
    RequestDataChanged,
    /// The client must decide by hand.
    ReviewPending,
    /// The person passed; may be revised.
    VerificationAccepted,
    /// The person did not pass; may be revised.
    VerificationDeclined,
    /// The person called it off. The documents of 2019 also write `request.cancelled`.
    VerificationCancelled,
    /// Something changed. A signal: the state must be asked for.
    VerificationStatusChanged,
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 12] = [
        Self::RequestPending,
        Self::RequestInvalid,
        Self::RequestUnauthorized,
        Self::RequestTimeout,
        Self::RequestReceived,
        Self::RequestDeleted,
        Self::RequestDataChanged,
        Self::ReviewPending,
        Self::VerificationAccepted,
        Self::VerificationDeclined,
        Self::VerificationCancelled,
        Self::VerificationStatusChanged,
    ];

    /// The event's row in [`SHUFTI`].
    #[must_use]
    pub const fn row(self) -> crate::lifecycle::Event {
        match self {
            Self::RequestPending => lifecycle::REQUEST_PENDING,
            Self::RequestInvalid => lifecycle::REQUEST_INVALID,
            Self::RequestUnauthorized => lifecycle::REQUEST_UNAUTHORIZED,
            Self::RequestTimeout => lifecycle::REQUEST_TIMEOUT,
            Self::RequestReceived => lifecycle::REQUEST_RECEIVED,
            Self::RequestDeleted => lifecycle::REQUEST_DELETED,
            Self::RequestDataChanged => lifecycle::REQUEST_DATA_CHANGED,
            Self::ReviewPending => lifecycle::REVIEW_PENDING,
            Self::VerificationAccepted => lifecycle::VERIFICATION_ACCEPTED,
            Self::VerificationDeclined => lifecycle::VERIFICATION_DECLINED,
            Self::VerificationCancelled => lifecycle::VERIFICATION_CANCELLED,
            Self::VerificationStatusChanged => lifecycle::VERIFICATION_STATUS_CHANGED,
        }
    }

    /// The provider's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        SHUFTI.row(self.row()).map_or("", |row| row.name)
    }

    /// The event that `word` names exactly; `None` for words we do not know.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let row = match word {
            "request.cancelled" => lifecycle::VERIFICATION_CANCELLED,
            word => SHUFTI.find(word),
        };
        Self::ALL.into_iter().find(|event| event.row() == row)
    }

    /// What the event says.
    #[must_use]
    pub fn meaning(self) -> Meaning {
        SHUFTI.row(self.row()).map_or(Meaning::Progress, |row| row.meaning)
    }

    /// What the event says about the verification; `None` while the provider is still at work, for signals, and for answers that speak
    /// of a call and not of a verification.
    #[must_use]
    pub fn verdict(self) -> Option<Verdict> {
        match self.meaning() {
            Meaning::Verdict(verdict) => Some(verdict),
            Meaning::Progress | Meaning::NotReady | Meaning::Refused | Meaning::Signal => None,
        }
    }

    /// Whether it says only that something changed (R9).
    #[must_use]
    pub fn is_signal(self) -> bool {
        self.meaning() == Meaning::Signal
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
