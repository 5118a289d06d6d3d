//! Shufti Pro's events: where each may come, what it means, what may follow it.
//!
//! The channels are those of the table of events in `developers.shuftipro.com/docs/questionnaire/responses`, which leaves status calls out; for them
//! `docs/verification_endpoints/responses` and the Web SDK's `docs/websdk/fetching_request_status`.

use crate::evidence::Verdict;
use crate::lifecycle::{Event, EventRow, Meaning, Table};

/// The verification URL is made, the person has yet to come. Waits for the person at most 60 minutes, or the request's `ttl`.
pub const REQUEST_PENDING: Event = Event(0);
/// The request's parameters are invalid. As the answer to a status or delete call: the reference is not known, or not valid.
pub const REQUEST_INVALID: Event = Event(1);
/// The person disagreed to the terms, or called it off midway.
pub const VERIFICATION_CANCELLED: Event = Event(2);
/// The person did not finish in time.
pub const REQUEST_TIMEOUT: Event = Event(3);
/// The credentials of the call are wrong.
pub const REQUEST_UNAUTHORIZED: Event = Event(4);
/// Accepted. The back office and ongoing screening can still turn it.
pub const VERIFICATION_ACCEPTED: Event = Event(5);
/// Declined. The back office can still turn it.
pub const VERIFICATION_DECLINED: Event = Event(6);
/// The status was updated; carries the reference and nothing else.
pub const VERIFICATION_STATUS_CHANGED: Event = Event(7);
/// Deleted, by a call or in the back office.
pub const REQUEST_DELETED: Event = Event(8);
/// The request, or the person's part, was received and is being worked on.
pub const REQUEST_RECEIVED: Event = Event(9);
/// The documents are in; the client decides in the back office.
pub const REVIEW_PENDING: Event = Event(10);
/// Extracted data were edited by hand. Not in the table of events; integrators receive it as a callback.
pub const REQUEST_DATA_CHANGED: Event = Event(11);

/// Shufti Pro's events.
///
/// Repeatedly revised verdicts are documented in the help centre (`shuftipro.com/help-center/response-events`): the back office turns
/// accepted and declined either way, announced by `verification.status.changed`. That a cancelled or timed-out request may be accepted
/// later is stated nowhere, and excluded nowhere.
pub const SHUFTI: Table = Table {
    provider: "shufti",
    events: &[
        row("request.pending", [true, true, true], Meaning::Progress),
        row("request.invalid", [true, false, true], Meaning::NotReady),
        row("verification.cancelled", [true, true, true], Meaning::Verdict(Verdict::Cancelled)),
        row("request.timeout", [false, true, true], Meaning::Verdict(Verdict::TimedOut)),
        row("request.unauthorized", [true, false, true], Meaning::Refused),
        row("verification.accepted", [true, true, true], Meaning::Verdict(Verdict::Accepted)),
        row("verification.declined", [true, true, true], Meaning::Verdict(Verdict::Declined)),
        row("verification.status.changed", [false, true, false], Meaning::Signal),
        row("request.deleted", [true, true, true], Meaning::Verdict(Verdict::Deleted)),
        row("request.received", [true, true, true], Meaning::Progress),
        row("review.pending", [true, true, true], Meaning::Verdict(Verdict::ReviewPending)),
        row("request.data.changed", [false, true, false], Meaning::Signal),
    ],
    transitions: &[
        (None, REQUEST_PENDING),
        (None, REQUEST_RECEIVED),
        (None, VERIFICATION_ACCEPTED),
        (None, VERIFICATION_DECLINED),
        (None, REQUEST_INVALID),
        (None, REQUEST_UNAUTHORIZED),
        (Some(REQUEST_PENDING), VERIFICATION_CANCELLED),
        (Some(REQUEST_PENDING), REQUEST_TIMEOUT),
        (Some(REQUEST_PENDING), REQUEST_RECEIVED),
        (Some(REQUEST_PENDING), VERIFICATION_ACCEPTED),
        (Some(REQUEST_PENDING), VERIFICATION_DECLINED),
        (Some(REQUEST_PENDING), REVIEW_PENDING),
        (Some(REQUEST_RECEIVED), VERIFICATION_ACCEPTED),
        (Some(REQUEST_RECEIVED), VERIFICATION_DECLINED),
        (Some(REQUEST_RECEIVED), REVIEW_PENDING),
        (Some(REVIEW_PENDING), VERIFICATION_ACCEPTED),
        (Some(REVIEW_PENDING), VERIFICATION_DECLINED),
        (Some(VERIFICATION_ACCEPTED), VERIFICATION_DECLINED),
        (Some(VERIFICATION_DECLINED), VERIFICATION_ACCEPTED),
        (Some(VERIFICATION_CANCELLED), VERIFICATION_ACCEPTED),
        (Some(REQUEST_TIMEOUT), VERIFICATION_ACCEPTED),
        (Some(REQUEST_PENDING), REQUEST_DELETED),
        (Some(REQUEST_RECEIVED), REQUEST_DELETED),
        (Some(REVIEW_PENDING), REQUEST_DELETED),
        (Some(VERIFICATION_ACCEPTED), REQUEST_DELETED),
        (Some(VERIFICATION_DECLINED), REQUEST_DELETED),
        (Some(VERIFICATION_CANCELLED), REQUEST_DELETED),
        (Some(REQUEST_TIMEOUT), REQUEST_DELETED),
    ],
};

/// One event: its name, whether it comes by HTTP, callback and status call, its meaning.
const fn row(name: &'static str, [http, callback, status]: [bool; 3], meaning: Meaning) -> EventRow {
    EventRow { name, http, callback, status, meaning }
}
