//! ShareID's answers, told apart. ShareID has no event words and no verdict field: a result is there or not, and its list of
//! `reasons` is empty or not (`doc.shareid.ai`, fetch-result-authenticate, analysis-result-onboarding). The words below are ours and
//! never shown as the provider's.

use crate::evidence::{NotReady, Outcome, Verdict};
use crate::lifecycle::{Event, EventRow, Meaning, Table};

/// There is no result yet, or the id is not known: the documents give one answer for both.
pub const NOT_READY: Event = Event(0);
/// A result without reasons.
pub const READY_ACCEPTED: Event = Event(1);
/// A result with reasons.
pub const READY_DECLINED: Event = Event(2);

/// ShareID's answers. Nothing is documented about a result that changes later, so such a change is a deviation; it counts all the same.
pub const SHAREID: Table = Table {
    provider: "shareid",
    events: &[
        EventRow {
            name: "not_ready",
            http: false,
            callback: false,
            status: true,
            meaning: Meaning::NotReady,
        },
        EventRow {
            name: "ready.accepted",
            http: false,
            callback: true,
            status: true,
            meaning: Meaning::Verdict(Verdict::Accepted),
        },
        EventRow {
            name: "ready.declined",
            http: false,
            callback: true,
            status: true,
            meaning: Meaning::Verdict(Verdict::Declined),
        },
    ],
    transitions: &[
        (None, NOT_READY),
        (None, READY_ACCEPTED),
        (None, READY_DECLINED),
        (Some(NOT_READY), READY_ACCEPTED),
        (Some(NOT_READY), READY_DECLINED),
    ],
};

/// What an answer to a fetch states.
pub(super) const fn stated(outcome: Outcome) -> Option<Event> {
    match outcome {
        Outcome::Report(report) => match report.verdict {
            Some(verdict) => of_verdict(verdict),
            None => None,
        },
        Outcome::NotReady(NotReady::Documented) => Some(NOT_READY),
        Outcome::NotReady(NotReady::NotFound | NotReady::Invalid) | Outcome::Refused | Outcome::Failed(_) => {
            None
        }
    }
}

/// What a result with this verdict states.
pub(super) const fn of_verdict(verdict: Verdict) -> Option<Event> {
    match verdict {
        Verdict::Accepted => Some(READY_ACCEPTED),
        Verdict::Declined => Some(READY_DECLINED),
        Verdict::Cancelled | Verdict::TimedOut | Verdict::ReviewPending | Verdict::Deleted => None,
    }
}
