//! The rules of the session, one test each.

use crate::{Driver, TIMED_OUT, ended, handed, poller_policy, report, revisions};
use idv_core::evidence::{
    Callback, ContentDigest, Evidence, Fault, FaultKind, NotReady, Outcome, Report, Verdict,
};
use idv_core::machine::{Cx, Disposition, Machine, Next};
use idv_core::poller::{self, Class};
use idv_core::session::{Action, End, Input, Policy, Session, Snapshot};
use idv_core::time::{Instant, Span};
use proptest::prelude::*;

#[test]
fn r1_a_late_answer_counts_while_nothing_was_adopted_since() {
    let mut driver = Driver::confirming();
    let first = driver.pull();
    driver.answer(first, TIMED_OUT);
    assert_eq!(handed(&driver.answer_report(first, Verdict::Accepted, 1)), [(1, Verdict::Accepted)]);
}

#[test]
fn r1_a_late_answer_never_rolls_back_and_hints() {
    let mut driver = Driver::confirming();
    let first = driver.pull();
    driver.pass(Span::secs(12));
    let second = driver.pull();
    assert_eq!(handed(&driver.answer_report(second, Verdict::Declined, 2)), [(1, Verdict::Declined)]);
    driver.step(Input::HandedOver { revision: 1 });
    let (disposition, actions) =
        driver.step(Input::Pulled { op: first, outcome: Outcome::Report(report(Verdict::Accepted, 1)) });
    assert_eq!((disposition, handed(&actions)), (Disposition::Applied, vec![]));
    let third = driver.pull();
    assert!(third > second);
    assert_eq!(handed(&driver.answer_report(third, Verdict::Declined, 2)), []);
}

#[test]
fn r2_confirm_by_pull_never_believes_a_callback() {
    let mut driver = Driver::confirming();
    for callback in [
        Callback::Signed(report(Verdict::Accepted, 1)),
        Callback::SignedHint,
        Callback::Unsigned,
        Callback::WrongSignature,
    ] {
        assert_eq!(handed(&driver.callback(callback)), []);
    }
}

proptest! {
    /// So that whoever reads callbacks for such a session need not look at what they state.
    #[test]
    fn r2_confirm_by_pull_takes_a_report_for_the_hint_that_is_left_without_it(
        script in prop::collection::vec((0..9_u8, 0..400_u32), 1..60),
    ) {
        let (mut told, mut hinted) = (Driver::confirming(), Driver::confirming());
        let signed = |number: u32| {
            let verdict = [Verdict::Accepted, Verdict::Declined, Verdict::ReviewPending, Verdict::Deleted][number as usize % 4];
            let verdict = Some(verdict).filter(|_| number > 50);
            Callback::Signed(Report { verdict, content: ContentDigest(u64::from(number % 3)) })
        };
        for (what, number) in script {
            let op = told.session.poller().last_op();
            let both = match what {
                0..=2 => {
                    let callback = signed(number);
                    prop_assert_eq!(told.step(Input::Callback(callback)), hinted.step(Input::Callback(callback.hint())));
                    continue;
                }
                3 => Input::Granted,
                4 => Input::Pulled { op, outcome: Outcome::Report(report([Verdict::Accepted, Verdict::Declined][number as usize % 2], u64::from(number % 3))) },
                5 => Input::Pulled { op, outcome: TIMED_OUT },
                6 => Input::HandedOver { revision: 1 + number % 3 },
                7 if number % 8 == 0 => Input::Cancel,
                _ => {
                    let span = Span::secs(number + 1);
                    prop_assert_eq!(told.pass(span), hinted.pass(span));
                    continue;
                }
            };
            prop_assert_eq!(told.step(both), hinted.step(both));
        }
        prop_assert_eq!(told.session, hinted.session);
    }
}

#[test]
fn r2_trust_signed_hands_the_first_verdict_over_at_once_and_confirms_it() {
    let mut driver = Driver::trusting();
    let actions = driver.callback(Callback::Signed(report(Verdict::Accepted, 1)));
    assert_eq!(revisions(&actions)[0].evidence, Evidence::Signed);
    driver.step(Input::HandedOver { revision: 1 });
    assert_eq!(
        handed(&driver.callback(Callback::Signed(report(Verdict::Declined, 2)))),
        [],
        "from then on a hint"
    );
    let op = driver.pull();
    assert_eq!(handed(&driver.answer_report(op, Verdict::Declined, 3)), [(2, Verdict::Declined)]);
}

#[test]
fn r3_only_a_counted_answer_sent_after_the_hint_satisfies_it() {
    let mut driver = Driver::settled(Verdict::Accepted, 1);
    driver.callback(Callback::Unsigned);
    let op = driver.pull();
    driver.callback(Callback::Unsigned);
    driver.answer_report(op, Verdict::Accepted, 1);
    assert!(driver.session.poller().is_demanded(), "the second hint came after this pull was sent");
    let op = driver.pull();
    driver.answer(op, TIMED_OUT);
    assert!(driver.session.poller().is_demanded(), "a settled session retries too");
    let op = driver.pull();
    driver.answer_report(op, Verdict::Accepted, 1);
    assert!(!driver.session.poller().is_demanded());
}

#[test]
fn r5_r6_revisions_differ_from_the_latest_only_and_come_one_at_a_time() {
    let mut driver = Driver::confirming();
    let op = driver.pull();
    assert_eq!(handed(&driver.answer_report(op, Verdict::Accepted, 1)), [(1, Verdict::Accepted)]);
    driver.callback(Callback::SignedSignal);
    let op = driver.pull();
    assert_eq!(handed(&driver.answer_report(op, Verdict::Declined, 2)), [], "1 is not confirmed");
    driver.callback(Callback::SignedSignal);
    let op = driver.pull();
    driver.answer_report(op, Verdict::Accepted, 1);
    assert_eq!(
        handed(&driver.step(Input::HandedOver { revision: 1 }).1),
        [],
        "a change and its reversal is none"
    );
    driver.callback(Callback::SignedSignal);
    let op = driver.pull();
    assert_eq!(handed(&driver.answer_report(op, Verdict::Declined, 2)), [(2, Verdict::Declined)]);
    driver.callback(Callback::SignedSignal);
    let op = driver.pull();
    driver.answer_report(op, Verdict::Accepted, 1);
    assert_eq!(
        handed(&driver.step(Input::DeadLettered { revision: 2 }).1),
        [(3, Verdict::Accepted)],
        "identical to 1 byte for byte, and 2 is dead"
    );
}

#[test]
fn r5_the_same_verdict_with_other_content_is_a_change_of_data() {
    let mut driver = Driver::settled(Verdict::Accepted, 1);
    driver.callback(Callback::Unsigned);
    let op = driver.pull();
    let made = revisions(&driver.answer_report(op, Verdict::Accepted, 2));
    assert_eq!((made[0].number, made[0].data_changed), (2, true));
}

#[test]
fn r6_a_confirmation_carries_its_number() {
    let mut driver = Driver::confirming();
    let op = driver.pull();
    assert_eq!(driver.step(Input::HandedOver { revision: 1 }).0, Disposition::Illegal, "too early");
    driver.answer_report(op, Verdict::Accepted, 1);
    assert_eq!(driver.step(Input::HandedOver { revision: 1 }).0, Disposition::Applied);
    assert_eq!(driver.step(Input::HandedOver { revision: 1 }).0, Disposition::NoOp, "twice");
}

#[test]
fn r7_review_pending_and_progress_do_not_settle() {
    let mut driver = Driver::confirming();
    let op = driver.pull();
    driver.answer(op, Outcome::Report(Report { verdict: None, content: ContentDigest(9) }));
    let op = driver.pull();
    assert_eq!(handed(&driver.answer_report(op, Verdict::ReviewPending, 1)), [(1, Verdict::ReviewPending)]);
    assert!(!driver.session.is_settled());
    driver.step(Input::HandedOver { revision: 1 });
    assert_eq!(ended(&driver.pass(Span::hours(1))), Some((End::Expired, false)));
}

#[test]
fn r8_deleted_is_handed_over_and_ends() {
    let mut driver = Driver::settled(Verdict::Accepted, 1);
    driver.callback(Callback::Unsigned);
    let op = driver.pull();
    let actions = driver.answer_report(op, Verdict::Deleted, 3);
    assert_eq!(
        (handed(&actions), ended(&actions)),
        (vec![(2, Verdict::Deleted)], Some((End::Deleted, false)))
    );
    assert_eq!(driver.session.next(&driver.policy), Next::Input, "its hand-over is still owed");
    driver.step(Input::HandedOver { revision: 2 });
    assert_eq!(driver.session.next(&driver.policy), Next::Over);
}

#[test]
fn r9_a_signed_signal_that_shows_nothing_new_demands_further_pulls() {
    let mut driver = Driver::settled(Verdict::Accepted, 1);
    driver.now = driver.now.after(Span::mins(1));
    driver.callback(Callback::SignedSignal);
    let mut waits = Vec::new();
    for _ in 0..4 {
        let op = driver.pull();
        let answered = driver.now;
        driver.answer_report(op, Verdict::Accepted, 1);
        if let Some(at) = driver.session.poller().next_pull() {
            waits.push(at.since(answered));
        }
    }
    assert_eq!(waits[..3], [10_000, 60_000, 600_000]);
    assert!(waits[3] >= 24 * 3_600_000, "then only the daily audit");
    driver.callback(Callback::SignedSignal);
    let op = driver.pull();
    assert_eq!(handed(&driver.answer_report(op, Verdict::Declined, 2)), [(2, Verdict::Declined)]);
    assert!(!driver.session.poller().is_demanded(), "something new: no further pull");
}

#[test]
fn r9_a_forgery_brings_a_further_pull_forward_and_does_not_use_it_up() {
    let mut driver = Driver::settled(Verdict::Accepted, 1);
    driver.now = driver.now.after(Span::mins(1));
    driver.callback(Callback::SignedSignal);
    let op = driver.pull();
    driver.answer_report(op, Verdict::Accepted, 1);
    for _ in 0..5 {
        driver.callback(Callback::WrongSignature);
        let op = driver.pull();
        driver.answer_report(op, Verdict::Accepted, 1);
        let due = driver.session.poller().next_pull().unwrap();
        assert_eq!(due.since(driver.now), 10_000, "the first further pull is still owed");
    }
    let op = driver.pull();
    driver.answer_report(op, Verdict::Accepted, 1);
    assert_eq!(driver.session.poller().next_pull().unwrap().since(driver.now), 60_000);
}

#[test]
fn g7_no_pull_within_the_cadence_of_a_late_answer() {
    let mut driver = Driver::confirming();
    let first = driver.pull();
    driver.answer(first, TIMED_OUT);
    driver.pass(Span::secs(12));
    assert_eq!(driver.session.wants(), Some(Class::Routine));
    driver.answer(first, Outcome::NotReady(NotReady::Documented));
    assert_eq!(driver.session.wants(), None, "its call ended only now");
    driver.callback(Callback::Unsigned);
    assert_eq!(driver.session.poller().next_pull(), Some(driver.now.after(Span::secs(5))));
}

#[test]
fn r11_a_pull_that_the_snapshot_does_not_know_keeps_the_next_one_away_too() {
    let mut driver = Driver::confirming();
    let stored = driver.session;
    driver.pull();
    driver.session = stored;
    driver.step(Input::Restored);
    assert_eq!(driver.session.wants(), None);
    assert_eq!(driver.session.poller().next_pull(), Some(driver.now.after(Span::secs(5))));
}

#[test]
fn g9_another_hint_while_one_is_open_need_not_be_saved() {
    let mut driver = Driver::confirming();
    let op = driver.pull();
    driver.callback(Callback::Unsigned);
    driver.answer(op, Outcome::NotReady(NotReady::Documented));
    driver.pull();
    let before = driver.session;
    driver.callback(Callback::Unsigned);
    assert_ne!(driver.session, before, "it waits for a later pull");
    assert!(driver.session.same_knowledge(&before), "a restored one would pull anew anyway");
}

#[test]
fn r11_a_retry_after_outlives_a_crash() {
    let mut driver = Driver::confirming();
    let before = driver.session;
    let op = driver.pull();
    assert!(driver.session.same_knowledge(&before), "the schedule alone need not be saved");
    let retry_after = Some(Span::mins(3));
    driver.answer(op, Outcome::Failed(Fault { kind: FaultKind::RateLimited, retry_after }));
    assert!(!driver.session.same_knowledge(&before));
    let due = driver.now.after(Span::mins(3));
    driver.step(Input::Restored);
    assert_eq!(driver.session.poller().next_pull(), Some(due));
}

#[test]
fn r2_a_trusted_callback_asks_once_whatever_the_poller_was_at() {
    let mut driver = Driver::trusting();
    let actions = driver.callback(Callback::Signed(report(Verdict::Accepted, 1)));
    let asks = actions.iter().filter(|action| matches!(action, Action::Ask { .. }));
    assert_eq!(asks.copied().collect::<Vec<_>>(), [Action::Ask { class: Class::Confirming }]);
}

#[test]
fn r11_a_restored_pull_counts_as_failed_and_the_next_number_waits_for_the_cadence() {
    let mut driver = Driver::confirming();
    let first = driver.pull();
    let stored = Snapshot::new(driver.session, driver.now, 1_000_000);
    let text = serde_json::to_string(&stored).unwrap();
    let stored: Snapshot = serde_json::from_str(&text).unwrap();
    driver.now = Instant::from_millis(50);
    driver.session = stored.restore(driver.now, 1_003_000).unwrap();
    let (_, actions) = driver.step(Input::Restored);
    assert_eq!(actions, []);
    let Next::At(at) = driver.session.next(&driver.policy) else { panic!() };
    assert!(at.since(driver.now) >= 5_000);
    assert_eq!(driver.pull(), first + 1);
}

#[test]
fn r11_an_unconfirmed_hand_over_is_repeated_with_the_same_number() {
    let mut driver = Driver::confirming();
    let op = driver.pull();
    let made = revisions(&driver.answer_report(op, Verdict::Accepted, 1));
    let (_, actions) = driver.step(Input::Restored);
    assert_eq!(revisions(&actions), made);
}

#[test]
fn r12_a_pull_demanded_before_the_deadline_is_finished_within_the_grace() {
    let mut driver = Driver::confirming();
    let deadline = driver.session.poller().bound().unwrap();
    let op = driver.pull();
    driver.now = deadline.before(Span::millis(1));
    driver.answer(op, TIMED_OUT);
    driver.callback(Callback::Unsigned);
    let op = driver.pull();
    assert!(driver.now >= deadline);
    assert_eq!(handed(&driver.answer_report(op, Verdict::Accepted, 1)), [(1, Verdict::Accepted)]);
    assert_eq!(driver.session.end(), None);
}

#[test]
fn r12_an_expired_session_names_the_callback_it_could_not_confirm() {
    let mut driver = Driver::confirming();
    driver.callback(Callback::Unsigned);
    let bound = driver.session.poller().bound().unwrap().after(driver.policy.poller.grace());
    driver.now = bound.before(Span::millis(1));
    assert_eq!(ended(&driver.step(Input::Tick).1), None);
    driver.now = bound;
    assert_eq!(ended(&driver.step(Input::Tick).1), Some((End::Expired, true)));
}

#[test]
fn r12_a_change_signal_whose_pull_showed_nothing_new_is_not_confirmed() {
    let mut driver = Driver::confirming();
    let deadline = driver.session.poller().bound().unwrap();
    driver.now = deadline.before(Span::secs(1));
    driver.callback(Callback::SignedSignal);
    let op = driver.pull();
    driver.answer(op, Outcome::NotReady(NotReady::Documented));
    assert!(driver.session.poller().is_demanded(), "a further pull is owed");
    assert_eq!(ended(&driver.pass(Span::mins(1))), Some((End::Expired, true)));
}

#[test]
fn r13_a_hint_shortens_the_routine_wait_only() {
    let poller =
        poller::Policy::builder(Span::secs(5), Span::mins(30)).interval(Span::secs(20)).build().unwrap();
    let mut driver = Driver::new(Policy::confirm_by_pull(poller));
    let op = driver.pull();
    driver.answer(op, Outcome::NotReady(NotReady::Documented));
    let answered = driver.now;
    assert_eq!(driver.session.poller().next_pull(), Some(answered.after(Span::secs(20))));
    driver.callback(Callback::Unsigned);
    assert_eq!(
        driver.session.poller().next_pull(),
        Some(answered.after(Span::secs(5))),
        "never below the cadence"
    );
    let op = driver.pull();
    let retry_after = Some(Span::secs(90));
    driver.answer(op, Outcome::Failed(Fault { kind: FaultKind::RateLimited, retry_after }));
    let answered = driver.now;
    driver.callback(Callback::Unsigned);
    assert_eq!(
        driver.session.poller().next_pull(),
        Some(answered.after(Span::secs(90))),
        "nor a Retry-After"
    );
}

#[test]
fn r13_a_fruitless_confirming_pull_ranks_the_next_as_routine() {
    let mut driver = Driver::settled(Verdict::Accepted, 1);
    for expected in [Class::Confirming, Class::Routine, Class::Routine] {
        driver.callback(Callback::Unsigned);
        driver.pass(Span::secs(6));
        assert_eq!(driver.session.wants(), Some(expected));
        let op = driver.pull();
        driver.answer_report(op, Verdict::Accepted, 1);
    }
    driver.callback(Callback::Unsigned);
    let op = driver.pull();
    driver.callback(Callback::Unsigned);
    driver.answer_report(op, Verdict::Declined, 2);
    driver.pass(Span::secs(6));
    assert_eq!(
        driver.session.wants(),
        Some(Class::Confirming),
        "one showed something new, and a hint is open still"
    );
}

#[test]
fn r14_the_second_refusal_in_a_row_ends_the_session_alone() {
    let mut driver = Driver::confirming();
    let op = driver.pull();
    assert_eq!(ended(&driver.answer(op, Outcome::Refused)), None);
    let op = driver.pull();
    assert_eq!(ended(&driver.answer(op, Outcome::Refused)), Some((End::Refused, false)));
}

#[test]
fn r14_an_answer_between_two_refusals_forgives_the_first() {
    let mut driver = Driver::confirming();
    for _ in 0..5 {
        let op = driver.pull();
        assert_eq!(ended(&driver.answer(op, Outcome::Refused)), None);
        let op = driver.pull();
        driver.answer(op, Outcome::NotReady(NotReady::Documented));
    }
}

#[test]
fn r14_a_failure_between_two_refusals_breaks_the_row() {
    // Refused, unreachable, refused: a replica without the new token, a restart of the provider, and the replica again.
    let mut driver = Driver::confirming();
    let trace = [Outcome::Refused, TIMED_OUT, Outcome::Refused, TIMED_OUT, Outcome::Refused];
    for outcome in trace {
        let op = driver.pull();
        assert_eq!(ended(&driver.answer(op, outcome)), None);
    }
    driver.pull();
    assert_eq!(
        ended(&driver.pass(driver.policy.poller.patience())),
        None,
        "given up, which is a failure too"
    );
    for end in [None, Some((End::Refused, false))] {
        let op = driver.pull();
        assert_eq!(ended(&driver.answer(op, Outcome::Refused)), end);
    }
}

#[test]
fn r16_a_wrong_signature_for_a_known_id_is_a_hint_of_the_lowest_class() {
    let mut driver = Driver::settled(Verdict::Accepted, 1);
    driver.callback(Callback::WrongSignature);
    driver.pass(Span::secs(6));
    assert_eq!(driver.session.wants(), Some(Class::Audit));
    driver.callback(Callback::Unsigned);
    driver.callback(Callback::WrongSignature);
    assert_eq!(driver.session.wants(), Some(Class::Confirming), "a forgery takes nothing away");
}

#[test]
fn r17_the_reply_to_create_is_first_evidence() {
    let policy = Policy::confirm_by_pull(poller_policy());
    let now = Instant::from_millis(1);
    let mut driver = Driver { session: Session::new(Cx::new(now, &policy, 0)), policy, now };
    let (_, actions) = driver.step(Input::Created(report(Verdict::Declined, 4)));
    assert_eq!(handed(&actions), [(1, Verdict::Declined)]);
    assert!(driver.session.is_settled());
}

#[test]
fn g6_a_session_without_a_verdict_ends_whatever_the_provider_does() {
    for outcome in [TIMED_OUT, Outcome::NotReady(NotReady::NotFound)] {
        let mut driver = Driver::confirming();
        let limit = driver.now.after(Span::mins(30)).after(driver.policy.poller.grace());
        while driver.session.end().is_none() {
            match driver.session.next(&driver.policy) {
                Next::At(at) => driver.now = at,
                Next::Input | Next::Over => panic!("an open session always has a timer"),
            }
            driver.step(Input::Tick);
            if driver.session.wants().is_some()
                && let [Action::Pull { op, .. }] = driver.step(Input::Granted).1[..]
            {
                driver.answer(op, outcome);
            }
            assert!(driver.now <= limit);
        }
        assert_eq!(driver.session.end(), Some(End::Expired));
    }
}
