//! What a callback to an ended session buys (R8, R16): an answer, and no new deadline.

use crate::{Driver, TIMED_OUT, ended, handed, report};
use idv_core::evidence::{
    Callback, ContentDigest, Evidence, Fault, FaultKind, NotReady, Outcome, Report, Verdict,
};
use idv_core::machine::{Disposition, Machine, Next};
use idv_core::poller::Class;
use idv_core::session::{Action, End, Input, Revision};
use idv_core::time::Span;

#[test]
fn r8_a_callback_reopens_an_ended_session_and_no_number_is_used_twice() {
    let mut driver = Driver::settled(Verdict::Accepted, 1);
    assert_eq!(ended(&driver.step(Input::Cancel).1), Some((End::Cancelled, false)));
    assert_eq!(driver.session.next(&driver.policy), Next::Over);
    driver.now = driver.now.after(Span::hours(24));
    driver.callback(Callback::Unsigned);
    assert!(driver.session.is_reopened());
    let op = driver.pull();
    assert_eq!(op, 2);
    assert_eq!(handed(&driver.answer_report(op, Verdict::Declined, 2)), [(2, Verdict::Declined)]);
    assert!(driver.session.is_settled(), "the provider has changed its mind: it is watched again");
    assert_eq!(driver.session.poller().bound(), None, "the deadline was for the first verdict");
}

#[test]
fn r8_a_trusted_callback_at_the_deadline_ends_and_reopens_in_one_step_and_asks_once() {
    let mut driver = Driver::trusting();
    driver.now = driver.now.after(Span::mins(30));
    let (disposition, actions) = driver.step(Input::Callback(Callback::Signed(report(Verdict::Accepted, 1))));
    assert_eq!(disposition, Disposition::Applied);
    assert_eq!(actions[0], Action::Ended { end: End::Expired, unconfirmed: false });
    assert_eq!(actions[1], Action::Keep { content: ContentDigest(1) });
    assert!(matches!(actions[2], Action::HandOver(Revision { number: 1, evidence: Evidence::Signed, .. })));
    assert_eq!(actions[3..], [Action::Ask { class: Class::Confirming }]);
}

#[test]
fn g7_a_session_that_expired_while_nobody_ran_keeps_the_cadence_when_it_is_reopened() {
    let mut driver = Driver::confirming();
    let before = driver.session;
    driver.pull();
    driver.session = before;
    driver.now = driver.session.poller().bound().unwrap();
    driver.step(Input::Restored);
    assert_eq!(driver.session.end(), Some(End::Expired));
    let restored = driver.now;
    driver.callback(Callback::Unsigned);
    driver.pull();
    assert!(driver.now.since(restored) >= 5_000);
}

/// Everything that may name an ended session, with the class in which it asks.
const HINTS: [(Callback, Class); 4] = [
    (
        Callback::Signed(Report { verdict: Some(Verdict::Accepted), content: ContentDigest(9) }),
        Class::Confirming,
    ),
    (Callback::SignedSignal, Class::Confirming),
    (Callback::Unsigned, Class::Confirming),
    (Callback::WrongSignature, Class::Audit),
];

fn expired() -> Driver {
    let mut driver = Driver::confirming();
    assert_eq!(ended(&driver.pass(Span::hours(1))), Some((End::Expired, false)));
    driver
}

#[test]
fn r16_after_a_botched_rotation_the_verdict_of_an_ended_session_still_arrives() {
    for (hint, class) in HINTS {
        let mut driver = expired();
        driver.callback(hint);
        assert_eq!(driver.session.wants(), Some(class), "{hint:?}");
        let op = driver.pull();
        assert_eq!(handed(&driver.answer_report(op, Verdict::Accepted, 9)), [(1, Verdict::Accepted)]);
        assert!(driver.session.is_settled());
    }
}

#[test]
fn r16_r8_a_claim_buys_an_answer_and_no_new_deadline() {
    for (hint, _) in &HINTS[2..] {
        let mut driver = expired();
        // Whoever it is comes for a day, and the provider has nothing to say.
        let (mut pulls, mut alive) = (0_u64, 0);
        for minute in 0..24 * 60_u64 {
            driver.callback(*hint);
            let began = driver.now;
            let op = driver.pull();
            let answered = driver.answer(op, Outcome::NotReady(NotReady::Documented));
            assert_eq!(ended(&answered), Some((End::Expired, false)), "answered, and it ends at once");
            (pulls, alive) = (pulls + 1, alive + driver.now.since(began));
            assert_eq!(driver.session.next(&driver.policy), Next::Over, "nothing more is pulled");
            driver.now = driver.now.after(Span::mins(1));
            assert_eq!(pulls, minute + 1);
        }
        assert!(alive <= pulls * 5_000, "no longer than the cadence");
    }
}

#[test]
fn r8_r12_a_claim_that_no_answer_meets_ends_with_the_grace() {
    let mut driver = expired();
    let grace = driver.policy.poller.grace();
    driver.callback(Callback::WrongSignature);
    let limit = driver.now.after(grace);
    while driver.session.end().is_none() {
        // Coming again does not prolong it.
        driver.callback(Callback::Unsigned);
        if driver.session.wants().is_some()
            && let [Action::Pull { op, .. }] = driver.step(Input::Granted).1[..]
        {
            driver.answer(op, TIMED_OUT);
        }
        let Next::At(at) = driver.session.next(&driver.policy) else { panic!("nothing is due") };
        driver.now = at;
        driver.step(Input::Tick);
    }
    assert_eq!((driver.now, driver.session.end()), (limit, Some(End::Expired)));
}

#[test]
fn r8_a_claim_waits_for_a_retry_after_before_its_time_begins() {
    let mut driver = Driver::settled(Verdict::Accepted, 1);
    driver.callback(Callback::Unsigned);
    let op = driver.pull();
    let away = Outcome::Failed(Fault { kind: FaultKind::RateLimited, retry_after: Some(Span::mins(10)) });
    driver.answer(op, away);
    driver.step(Input::Cancel);
    let asked = driver.now;
    driver.callback(Callback::WrongSignature);
    let op = driver.pull();
    assert_eq!(driver.now.since(asked), 600_000);
    assert_eq!(handed(&driver.answer_report(op, Verdict::Declined, 2)), [(2, Verdict::Declined)]);
}

#[test]
fn r8_what_is_vouched_for_is_confirmed_through_an_outage_and_asks_again_when_nothing_shows() {
    for (hint, _) in &HINTS[..2] {
        let mut driver = expired();
        driver.callback(*hint);
        let began = driver.now;
        while driver.now.since(began) < 15 * 60_000 {
            let op = driver.pull();
            driver.answer(op, TIMED_OUT);
        }
        let mut distances = Vec::new();
        loop {
            let op = driver.pull();
            let answered = driver.now;
            let actions = driver.answer(op, Outcome::NotReady(NotReady::Documented));
            match (ended(&actions), driver.session.next(&driver.policy)) {
                (None, Next::At(at)) => distances.push(at.since(answered) / 1_000),
                (end, _) => break assert_eq!(end, Some((End::Expired, false))),
            }
        }
        // A replica that lags: 10 s, 1 min, 10 min (R9), and not for ever.
        assert_eq!(distances, [10, 60, 600]);
    }
}

#[test]
fn r8_a_reopened_session_ends_as_it_had_ended_or_as_it_is_told() {
    let not_ready = Outcome::NotReady(NotReady::Documented);
    let mut driver = Driver::settled(Verdict::Accepted, 1);
    driver.step(Input::Cancel);
    driver.callback(Callback::Unsigned);
    let op = driver.pull();
    let same = driver.answer_report(op, Verdict::Accepted, 1);
    assert_eq!((handed(&same), ended(&same)), (vec![], Some((End::Cancelled, false))));
    driver.callback(Callback::Unsigned);
    assert_eq!(ended(&driver.step(Input::CredentialsRefused).1), Some((End::Refused, true)));
    driver.callback(Callback::Unsigned);
    let op = driver.pull();
    assert_eq!(ended(&driver.answer(op, not_ready)), Some((End::Refused, false)));
    driver.callback(Callback::Unsigned);
    assert_eq!(ended(&driver.step(Input::Cancel).1), Some((End::Cancelled, true)));
}

#[test]
fn r8_the_application_opens_it_again_for_a_whole_deadline() {
    let mut driver = expired();
    assert_eq!(driver.step(Input::OpenedAgain).1, [Action::Ask { class: Class::Confirming }]);
    assert!(driver.session.is_open());
    let op = driver.pull();
    assert_eq!(ended(&driver.answer(op, Outcome::NotReady(NotReady::Documented))), None);
    assert_eq!(ended(&driver.pass(Span::mins(29))), None);
    let op = driver.pull();
    driver.answer_report(op, Verdict::Accepted, 1);
    driver.step(Input::Cancel);
    driver.step(Input::OpenedAgain);
    assert!(driver.session.is_settled() && driver.session.poller().is_demanded());
}
