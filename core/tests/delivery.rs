//! The delivery against its timetable, computed beforehand by plain arithmetic.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use idv_core::delivery::{
    Action, Cause, Delivery, Input, MOST_ATTEMPTS, Policy, Schedule, ScheduleError, Success,
};
use idv_core::machine::{Cx, Disposition, Machine, Next};
use idv_core::shareid::contract as shareid;
use idv_core::shufti::contract as shufti;
use idv_core::time::{Instant, Span};
use proptest::prelude::*;

/// What the receiver does with one attempt: answers or fails after so many milliseconds.
#[derive(Clone, Copy, Debug)]
enum Receiver {
    Answers(u32, u16),
    Fails(u32, Cause),
}

fn receiver() -> impl Strategy<Value = Receiver> {
    let after = prop_oneof![0..50_u32, 45..55_u32, 50..400_u32];
    let status = prop_oneof![Just(200), Just(202), Just(204), Just(500), 100..600_u16];
    let cause = prop_oneof![Just(Cause::Unreachable), Just(Cause::Tls), Just(Cause::Malformed)];
    prop_oneof![
        3 => (after.clone(), status).prop_map(|(after, status)| Receiver::Answers(after, status)),
        1 => (after, cause).prop_map(|(after, cause)| Receiver::Fails(after, cause)),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    let waits = prop::collection::vec((1..200_u32).prop_map(Span::millis), 0..16);
    let success = prop_oneof![Just(Success::Exactly200), Just(Success::Any2xx)];
    (waits, success).prop_map(|(waits, success)| Policy {
        timeout: Span::millis(50),
        success,
        schedule: Schedule::own(&waits).unwrap(),
        jitter_percent: 0,
    })
}

/// When each attempt is posted, why it fails, and when what is announced.
#[derive(Debug, Default, PartialEq)]
struct Timetable {
    actions: Vec<(u64, Action)>,
    causes: Vec<Cause>,
}

fn expected(policy: &Policy, receivers: &[Receiver], start: u64) -> Timetable {
    let timeout = u64::from(policy.timeout.as_millis());
    let waits: Vec<u64> = policy.schedule.waits().map(|wait| u64::from(wait.as_millis())).collect();
    let mut table = Timetable::default();
    let mut now = start;
    for (attempt, receiver) in receivers.iter().enumerate().take(waits.len() + 1) {
        let number = attempt as u8 + 1;
        table.actions.push((now, Action::Post { attempt: number, within: policy.timeout }));
        let (after, cause) = match *receiver {
            Receiver::Answers(after, _) | Receiver::Fails(after, _) if u64::from(after) >= timeout => {
                (timeout, Cause::TimedOut)
            }
            Receiver::Answers(after, status) if policy.success.is(status) => {
                table.actions.push((now + u64::from(after), Action::Delivered { attempt: number }));
                return table;
            }
            Receiver::Answers(after, status) => (u64::from(after), Cause::Status(status)),
            Receiver::Fails(after, cause) => (u64::from(after), cause),
        };
        table.causes.push(cause);
        now += after;
        match waits.get(attempt) {
            Some(wait) => now += wait,
            None => table.actions.push((now, Action::Dead)),
        }
    }
    table
}

/// Runs it millisecond by millisecond; a late or repeated answer is handed in all the same and must change nothing.
fn observed(policy: &Policy, receivers: &[Receiver], start: u64) -> Timetable {
    let mut delivery = Delivery::new();
    let mut table = Timetable::default();
    let mut answers: Vec<(u64, Input)> = Vec::new();
    for now in start.. {
        let cx = Cx::new(Instant::from_millis(now), policy, 0);
        let due: Vec<Input> = answers.iter().filter(|(at, _)| *at == now).map(|(_, input)| *input).collect();
        for input in due.into_iter().chain([Input::Tick]) {
            let step = delivery.step(cx, input);
            for action in step.actions {
                table.actions.push((now, action));
                if let Action::Post { attempt, .. } = action {
                    let (after, input) = match receivers[usize::from(attempt) - 1] {
                        Receiver::Answers(after, status) => (after, Input::Answered { attempt, status }),
                        Receiver::Fails(after, cause) => (after, Input::Failed { attempt, cause }),
                    };
                    answers.extend([
                        (now + u64::from(after).max(1), input),
                        (now + u64::from(after) + 1, input),
                    ]);
                }
            }
            if step.next == Next::Over {
                table.causes = delivery.causes().collect();
                return table;
            }
        }
    }
    table
}

proptest! {
    #[test]
    fn every_attempt_comes_on_schedule_and_its_cause_is_kept(
        policy in policy(),
        receivers in prop::collection::vec(receiver(), MOST_ATTEMPTS as usize),
        start in 1..1_000_u64,
    ) {
        let receivers: Vec<Receiver> = receivers.into_iter().map(|receiver| match receiver {
            // An answer is an event of its own: never in the very millisecond of its request.
            Receiver::Answers(after, status) => Receiver::Answers(after.max(1), status),
            Receiver::Fails(after, cause) => Receiver::Fails(after.max(1), cause),
        }).collect();
        prop_assert_eq!(observed(&policy, &receivers, start), expected(&policy, &receivers, start));
    }

    /// A driver that comes late finds the next attempt due from when the last one was given up, not from when it looked.
    #[test]
    fn waits_count_from_the_end_of_the_attempt(late in 0..2_000_u32, wait in 1..2_000_u32) {
        let policy = Policy { schedule: Schedule::own(&[Span::millis(wait)]).unwrap(), ..shareid::CALLBACK_DELIVERY };
        let at = |after: u32| Cx::new(Instant::from_millis(1_000 + u64::from(after)), &policy, 0);
        let mut delivery = Delivery::new();
        let _ = delivery.step(at(0), Input::Tick);
        let step = delivery.step(at(3_000 + late), Input::Tick);
        let again = step.actions.into_iter().any(|action| matches!(action, Action::Post { attempt: 2, .. }));
        prop_assert_eq!(again, late >= wait);
        if !again {
            prop_assert_eq!(step.next, Next::At(Instant::from_millis(4_000 + u64::from(wait))));
        }
    }

    #[test]
    fn jitter_lengthens_a_wait_by_no_more_than_its_share(entropy: u32, percent in 0..=100_u8) {
        let policy = Policy { jitter_percent: percent, ..shufti::CALLBACK_DELIVERY };
        let mut delivery = Delivery::new();
        let now = Instant::from_millis(10);
        let _ = delivery.step(Cx::new(now, &policy, entropy), Input::Tick);
        let step = delivery.step(Cx::new(now, &policy, entropy), Input::Answered { attempt: 1, status: 500 });
        let Next::At(until) = step.next else { panic!("no second attempt") };
        let waited = until.since(now);
        prop_assert!((15_000..=15_000 + 150 * u64::from(percent)).contains(&waited));
    }
}

#[test]
fn exactly_200_within_3000_ms_and_no_other_status_delivers() {
    let now = Instant::from_millis(1);
    for status in 100..600 {
        let mut delivery = Delivery::new();
        let _ = delivery.step(Cx::new(now, &shareid::CALLBACK_DELIVERY, 0), Input::Tick);
        let step = delivery.step(
            Cx::new(now.after(Span::millis(2_999)), &shareid::CALLBACK_DELIVERY, 0),
            Input::Answered { attempt: 1, status },
        );
        let delivered = step.actions.into_iter().any(|action| action == Action::Delivered { attempt: 1 });
        assert_eq!(delivered, status == 200);
    }
    assert!((0..1_000).all(|status| Success::Any2xx.is(status) == (200..300).contains(&status)));
    let mut delivery = Delivery::new();
    let _ = delivery.step(Cx::new(now, &shareid::CALLBACK_DELIVERY, 0), Input::Tick);
    let late = Cx::new(now.after(Span::millis(3_000)), &shareid::CALLBACK_DELIVERY, 0);
    let step = delivery.step(late, Input::Answered { attempt: 1, status: 200 });
    assert_eq!(step.disposition, Disposition::Stale);
    assert_eq!(delivery.causes().collect::<Vec<_>>(), [Cause::TimedOut]);
}

#[test]
fn the_providers_schedules_are_those_of_their_documents() {
    let shareid: Vec<Span> = shareid::CALLBACK_DELIVERY.schedule.waits().collect();
    assert_eq!(shareid, [Span::mins(5), Span::mins(60), Span::mins(24 * 60)]);
    assert_eq!(shareid::CALLBACK_DELIVERY.schedule.attempts(), 4);
    assert_eq!(shufti::CALLBACK_DELIVERY.schedule.attempts(), 10);
    assert!(shufti::CALLBACK_DELIVERY.schedule.waits().all(|wait| wait == Span::secs(15)));
    assert_eq!(Schedule::every(Span::secs(15), 10).unwrap().waits().collect::<Vec<_>>(), [Span::secs(15); 9]);
    assert_eq!(Schedule::every(Span::MIN, 0), Err(ScheduleError::NoAttempt));
    assert_eq!(Schedule::every(Span::MIN, 17), Err(ScheduleError::TooMany { attempts: 17 }));
    assert_eq!(Schedule::own(&[Span::MIN; 16]), Err(ScheduleError::TooMany { attempts: 17 }));
    assert_eq!(Schedule::own(&[]).unwrap().attempts(), 1);
}

#[test]
fn cancelling_ends_it_from_every_state_without_another_post() {
    let policy = shufti::CALLBACK_DELIVERY;
    let at = |millis| Cx::new(Instant::from_millis(millis), &policy, 0);
    for (steps, cause) in [(0, None), (1, Some(Cause::Cancelled)), (2, Some(Cause::Status(500)))] {
        let mut delivery = Delivery::new();
        for input in [Input::Tick, Input::Answered { attempt: 1, status: 500 }].into_iter().take(steps) {
            let _ = delivery.step(at(10), input);
        }
        // In the last case the second attempt is due at this very moment.
        let step = delivery.step(at(15_010 - if steps == 1 { 14_000 } else { 0 }), Input::Cancel);
        assert_eq!(step.actions.into_iter().collect::<Vec<_>>(), [Action::Dead]);
        assert_eq!(step.next, Next::Over);
        assert_eq!(delivery.causes().next(), cause);
        assert_eq!(delivery.step(at(20_000), Input::Cancel).disposition, Disposition::NoOp);
    }
}
