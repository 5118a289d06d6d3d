//! The answer to a callback. A module of its own, so that not even the machine can make a 200 without a commit receipt (G5).

use crate::store::CommitReceipt;

/// What a callback is answered: a status, at most one header field, and an empty or explanatory body.
///
/// 200 is built by [`Answer::recorded`] alone; 202 and 204 do not exist here, for the providers count them as failures
/// (`doc.shareid.ai` get-result-onboarding: exactly 200 within 3000 ms).
///
/// ```compile_fail,E0423
/// use idv_core::receipt::Answer;
/// let early = Answer(200); // no public constructor takes a status
/// ```
///
/// ```compile_fail,E0451
/// use idv_core::receipt::Answer;
/// let early = Answer { status: 200, explanation: "" }; // and no field is public
/// ```
///
/// How a 200 is made is shown at [`CommitReceipt`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Answer {
    status: u16,
    explanation: &'static str,
}

impl Answer {
    /// 200, exactly: the callback is durable, and here is the proof.
    #[must_use]
    pub const fn recorded(_proof: &CommitReceipt) -> Self {
        Self { status: 200, explanation: "" }
    }

    /// Anything but 200, for the machine's use.
    pub(super) const fn refused(refusal: Refusal) -> Self {
        let (status, explanation) = match refusal {
            Refusal::Empty => (400, "the body is empty; a callback carries a JSON object"),
            Refusal::Unreadable => (400, "the body is not a readable callback"),
            Refusal::Unauthenticated => (401, "the signature or bearer is wrong or missing"),
            Refusal::Method => (405, "callbacks are sent with POST"),
            Refusal::TooLarge => (413, "the body is larger than this receiver takes"),
            Refusal::MediaType => (415, "an unsigned callback must be application/json"),
            Refusal::Late => (503, "not recorded in time; send it again"),
            Refusal::Storage => (503, "not recorded; send it again"),
        };
        Self { status, explanation }
    }

    /// The status code: 200, 400, 401, 405, 413, 415 or 503.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The header field that goes with the status, name in lower case: `allow` with 405 and `www-authenticate` with 401, as RFC
    /// 9110 (15.5.6, 15.5.2) demands.
    #[must_use]
    pub const fn field(&self) -> Option<(&'static str, &'static str)> {
        match self.status {
            401 => Some(("www-authenticate", "Signature, Bearer")),
            405 => Some(("allow", "POST")),
            _ => None,
        }
    }

    /// Why, in one line without personal data, for the log and the body of the answer; empty for 200.
    #[must_use]
    pub const fn explanation(&self) -> &'static str {
        self.explanation
    }
}

/// Why a callback is not answered 200.
#[derive(Clone, Copy)]
pub(super) enum Refusal {
    Empty,
    Unreadable,
    Unauthenticated,
    Method,
    TooLarge,
    MediaType,
    Late,
    Storage,
}
