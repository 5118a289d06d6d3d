//! The scenarios that are always there. Between them they cover every event of both providers' documents, and every way in which a
//! callback goes astray.

use crate::scenario::{AnswerFault, Callback, Key, Provider, Scenario, Step};
use std::time::Duration;

const ACCEPTED: &str = "verification.accepted";
const DECLINED: &str = "verification.declined";
const CHANGED: &str = "verification.status.changed";
const READY_ACCEPTED: &str = "ready.accepted";
const READY_DECLINED: &str = "ready.declined";

/// The scenarios that are always there.
#[must_use]
pub fn built_in() -> Vec<Scenario> {
    let mut all = shufti();
    all.extend(shareid());
    all
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn at(secs: u64, event: &str) -> Step {
    let step = Step::new(Duration::from_secs(secs), event);
    match event {
        DECLINED => step.with_codes(&["SPDR06", "SPDR18"]),
        READY_DECLINED => step.with_codes(&["doc_spoof"]),
        _ => step,
    }
}

fn late(secs: u64) -> Callback {
    Callback { after: Duration::from_secs(secs), ..Callback::default() }
}

fn forged(event: &str, key: Key) -> Callback {
    Callback { event: Some(event.to_owned()), key, ..Callback::default() }
}

fn shufti() -> Vec<Scenario> {
    let scenario = |name, about: &str, timeline| {
        let mut scenario = Scenario::new(Provider::Shufti, name, timeline);
        about.clone_into(&mut scenario.about);
        scenario
    };
    let mut flaky =
        scenario("flaky-status", "every way in which an answer to /status goes wrong", vec![at(2, ACCEPTED)]);
    flaky.pull_faults = [
        AnswerFault::Html524,
        AnswerFault::ServerError,
        AnswerFault::Truncated,
        AnswerFault::Lost,
        AnswerFault::Reset,
        AnswerFault::Unread,
        AnswerFault::SlowBody,
        AnswerFault::Malformed,
        AnswerFault::Redirect,
        AnswerFault::RateLimited,
        AnswerFault::RateLimitedUntil,
        AnswerFault::WrongKey,
    ]
    .map(Some)
    .to_vec();
    vec![
        scenario("accepted", "accepted after 10 s", vec![at(10, ACCEPTED)]),
        scenario("declined", "declined after 10 s", vec![at(10, DECLINED)]),
        scenario("cancelled", "the person refuses the terms", vec![at(5, "verification.cancelled")]),
        scenario(
            "timeout",
            "the person never comes; times out after an hour",
            vec![at(3_600, "request.timeout")],
        ),
        scenario("pending", "stays pending until its time is over", vec![]),
        scenario(
            "received",
            "sent in whole, worked on, accepted",
            vec![at(0, "request.received"), at(10, ACCEPTED)],
        ),
        scenario(
            "review",
            "waits for a decision by hand, then accepted",
            vec![at(5, "review.pending"), at(20, ACCEPTED)],
        ),
        scenario(
            "review-declined",
            "waits for a decision by hand, then declined",
            vec![at(5, "review.pending"), at(20, DECLINED)],
        ),
        scenario(
            "flip",
            "accepted, then declined in the back office",
            vec![at(5, ACCEPTED), at(25, DECLINED)],
        ),
        scenario(
            "flip-flop",
            "accepted, declined, accepted again with the same body as at first",
            vec![at(5, ACCEPTED), at(25, DECLINED), at(45, ACCEPTED)],
        ),
        scenario(
            "revived",
            "timed out, accepted all the same",
            vec![at(5, "request.timeout"), at(25, ACCEPTED)],
        ),
        scenario(
            "data-changed",
            "accepted, then the data are corrected by hand",
            vec![at(5, ACCEPTED), {
                let mut corrected =
                    at(25, ACCEPTED).with_callbacks([forged("request.data.changed", Key::Right)]);
                corrected.fields.insert(
                    "verification_data".to_owned(),
                    serde_json::json!({"document": {"name": {"first_name": "Zoé", "last_name": "Doe"}, "dob": "1978-03-14"}}),
                );
                corrected
            }],
        ),
        scenario("deleted", "accepted, then deleted", vec![at(5, ACCEPTED), at(25, "request.deleted")]),
        scenario("lost-callback", "the callback never comes", vec![at(10, ACCEPTED).lost()]),
        scenario(
            "lost-change",
            "the callback of the change never comes",
            vec![at(5, ACCEPTED), at(25, DECLINED).lost()],
        ),
        scenario(
            "late-callback",
            "the callback comes an hour late",
            vec![at(10, ACCEPTED).with_callbacks([late(3_600)])],
        ),
        scenario(
            "twice",
            "the callback comes three times",
            vec![at(10, ACCEPTED).with_callbacks([Callback { copies: 2, ..Callback::default() }, late(20)])],
        ),
        scenario(
            "answer-lost",
            "our 200 gets lost twice, so the callback comes again",
            vec![at(10, ACCEPTED).with_callbacks([Callback { answers_lost: 2, ..Callback::default() }])],
        ),
        scenario(
            "reordered",
            "the callback of the change comes before that of the first verdict",
            vec![at(5, ACCEPTED).with_callbacks([late(30)]), at(25, DECLINED)],
        ),
        scenario(
            "replayed",
            "after the change somebody sends the first, genuine callback again",
            vec![at(5, ACCEPTED).with_callbacks([Callback::default(), late(40)]), at(25, DECLINED)],
        ),
        scenario(
            "forged",
            "somebody without the key claims an acceptance; the truth is a decline",
            vec![at(10, DECLINED).with_callbacks([
                forged(ACCEPTED, Key::Wrong),
                forged(ACCEPTED, Key::None),
                late(5),
            ])],
        ),
        scenario(
            "wrong-key",
            "only callbacks signed with another key, as after a botched change of secrets",
            vec![at(10, ACCEPTED).with_callbacks([Callback { key: Key::Wrong, ..Callback::default() }])],
        ),
        scenario(
            "false-alarm",
            "a signal of a change without a change",
            vec![at(5, ACCEPTED), at(25, CHANGED)],
        ),
        scenario(
            "unreadable",
            "a properly signed callback that is no JSON",
            vec![at(10, ACCEPTED).with_callbacks([Callback {
                body: Some("{\"reference\":".to_owned()),
                ..Callback::default()
            }])],
        ),
        flaky,
    ]
}

fn shareid() -> Vec<Scenario> {
    let scenario = |name, about: &str, timeline| {
        let mut scenario = Scenario::new(Provider::Shareid, name, timeline);
        about.clone_into(&mut scenario.about);
        scenario
    };
    let mut slow = scenario(
        "not-ready",
        "three more fetches are not ready after the result is there",
        vec![at(5, READY_ACCEPTED).lost()],
    );
    slow.not_ready = 3;
    let mut flaky = scenario(
        "flaky-fetch",
        "every way in which an answer to a fetch goes wrong",
        vec![at(2, READY_ACCEPTED).lost()],
    );
    flaky.pull_faults = [
        AnswerFault::ServerError,
        AnswerFault::Truncated,
        AnswerFault::Lost,
        AnswerFault::Reset,
        AnswerFault::Unread,
        AnswerFault::SlowBody,
        AnswerFault::Malformed,
        AnswerFault::Redirect,
        AnswerFault::RateLimited,
        AnswerFault::RateLimitedUntil,
    ]
    .map(Some)
    .to_vec();
    let mut flip = scenario(
        "flip",
        "accepted, then declined: not documented, and not excluded",
        vec![at(5, READY_ACCEPTED), at(25, READY_DECLINED)],
    );
    flip.undocumented = true;
    vec![
        scenario("accepted", "a result without reasons after 10 s", vec![at(10, READY_ACCEPTED)]),
        scenario("declined", "a result with reasons after 10 s", vec![at(10, READY_DECLINED)]),
        scenario(
            "technical",
            "a result whose only reason is a failed analysis",
            vec![at(10, READY_DECLINED).with_codes(&["analysis_failed"])],
        ),
        scenario("pending", "there is never a result", vec![]),
        slow,
        flip,
        scenario("lost-callback", "the callback never comes", vec![at(10, READY_ACCEPTED).lost()]),
        scenario(
            "late-callback",
            "the callback comes an hour late",
            vec![at(10, READY_ACCEPTED).with_callbacks([late(3_600)])],
        ),
        scenario(
            "twice",
            "the callback comes three times",
            vec![at(10, READY_ACCEPTED).with_callbacks([
                Callback { copies: 2, ..Callback::default() },
                Callback { after: secs(20), ..Callback::default() },
            ])],
        ),
        scenario(
            "answer-lost",
            "our 200 gets lost, so the callback comes again after five minutes",
            vec![
                at(10, READY_ACCEPTED).with_callbacks([Callback { answers_lost: 1, ..Callback::default() }]),
            ],
        ),
        scenario(
            "forged",
            "somebody claims an acceptance; the truth is a decline",
            vec![at(10, READY_DECLINED).with_callbacks([
                forged(READY_ACCEPTED, Key::Wrong),
                forged(READY_ACCEPTED, Key::None),
                late(5),
            ])],
        ),
        flaky,
    ]
}
