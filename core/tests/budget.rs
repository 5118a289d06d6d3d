//! The budget against what it promises, and against a leaky bucket written the plain way.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use idv_core::budget::{Action, Budget, Input, Policy, PolicyError};
use idv_core::machine::{Cx, Disposition, Machine, Next};
use idv_core::time::{Instant, Span};
use proptest::prelude::*;

fn policy() -> impl Strategy<Value = (u32, Span, Policy)> {
    (1..40_u32, 1..3_000_u32, 0..39_u32).prop_map(|(calls, window, burst)| {
        let burst = 1 + burst % calls.saturating_sub(1).max(1);
        let window = Span::millis(window);
        (calls, window, Policy::per_window(calls, window, burst).unwrap().with_close_cap(Span::millis(500)))
    })
}

/// How far the clock moves, and what comes then.
fn inputs(back: i64) -> impl Strategy<Value = Vec<(i64, Input)>> {
    let ahead = prop_oneof![4 => Just(0), 4 => 0..20_i64, 2 => 0..600_i64, 1 => back..=0];
    let input = prop_oneof![
        8 => Just(Input::Take),
        1 => Just(Input::Tick),
        1 => (1..900_u32).prop_map(|span| Input::Close { span: Span::millis(span) }),
    ];
    prop::collection::vec((ahead, input), 0..400)
}

fn granted(budget: &mut Budget, policy: &Policy, now: Instant, input: Input) -> bool {
    let step = budget.step(Cx::new(now, policy, 0), input);
    step.actions.into_iter().any(|action| action == Action::Granted)
}

proptest! {
    /// Whatever the callers do, and however the clock goes back, no closed window holds more calls than allowed, and none falls into a
    /// closed door's time. Real time is what the clock counted while it went forward.
    #[test]
    fn g7_r13_no_closed_window_holds_more_than_the_calls(
        (calls, window, policy) in policy(),
        inputs in inputs(-5_000),
    ) {
        let mut budget = Budget::new();
        let (mut now, mut real) = (Instant::from_millis(100_000), 0_u64);
        let mut grants = Vec::new();
        let mut closed_until = 0_u64;
        for (ahead, input) in inputs {
            let later = now.shifted(ahead);
            real += later.since(now);
            now = later;
            prop_assert_eq!(
                budget.admits(now),
                granted(&mut budget.clone(), &policy, now, Input::Take)
            );
            let took = granted(&mut budget, &policy, now, input);
            prop_assert!(!matches!(budget.next(&policy), Next::At(at) if at <= now), "a timer in the past");
            if took {
                prop_assert!(real >= closed_until);
                grants.push(real);
            }
            if let Input::Close { span } = input {
                closed_until = closed_until.max(real + u64::from(span.min(policy.close_cap()).as_millis()));
            }
        }
        for pair in grants.windows(calls as usize + 1) {
            prop_assert!(pair[calls as usize] - pair[0] > u64::from(window.as_millis()));
        }
    }

    /// Callers that ask every millisecond get no more than the calls of any closed window, and all that the steady rate allows.
    #[test]
    fn g7_r13_greedy_callers_get_the_calls_and_no_more((calls, _, _) in policy(), window in 1..120_u32, burst in 1..39_u32) {
        let burst = 1 + burst % calls.saturating_sub(1).max(1);
        let policy = Policy::per_window(calls, Span::millis(window), burst).unwrap();
        let (mut budget, mut grants) = (Budget::new(), Vec::new());
        let end = 4 * u64::from(window);
        for now in 1..=end {
            while granted(&mut budget, &policy, Instant::from_millis(now), Input::Take) {
                grants.push(now);
            }
        }
        for pair in grants.windows(calls as usize + 1) {
            prop_assert!(pair[calls as usize] - pair[0] > u64::from(window));
        }
        let steady = (end - 1) / u64::from(policy.interval().as_millis());
        prop_assert_eq!(grants.len() as u64, u64::from(burst) + steady);
    }

    /// On a clock that goes forward it grants exactly what a leaky bucket does, and a refusal names the first moment that is not refused.
    #[test]
    fn r13_grants_exactly_what_a_leaky_bucket_does(
        calls in 2..40_u32,
        window in 1..3_000_u32,
        burst in 1..39_u32,
        inputs in inputs(0),
    ) {
        let burst = 1 + burst % (calls - 1);
        let policy = Policy::per_window(calls, Span::millis(window), burst).unwrap().with_close_cap(Span::millis(500));
        let interval = u64::from(policy.interval().as_millis());
        let mut budget = Budget::new();
        let mut now = Instant::from_millis(1);
        let (mut level, mut closed_until) = (0_u64, Instant::EARLIEST);
        for (ahead, input) in inputs {
            let later = now.shifted(ahead);
            level = level.saturating_sub(later.since(now));
            now = later;
            let room = now >= closed_until && level + interval <= u64::from(burst) * interval;
            let step = budget.step(Cx::new(now, &policy, 0), input);
            let got = !step.actions.is_empty();
            prop_assert_eq!(got, input == Input::Take && room);
            if got {
                level += interval;
            }
            if let Input::Close { span } = input {
                closed_until = closed_until.max(now.after(span.min(policy.close_cap())));
            }
            if input == Input::Take && !room {
                prop_assert_eq!(step.disposition, Disposition::NoOp);
                let Next::At(at) = step.next else { panic!("a refusal without a moment to ask again") };
                prop_assert!(!budget.admits(at.before(Span::MIN)));
                prop_assert!(granted(&mut budget.clone(), &policy, at, Input::Take));
            }
        }
    }

    #[test]
    fn a_close_never_shortens_an_earlier_one_and_is_capped(
        (_, _, policy) in policy(),
        spans in prop::collection::vec((0..300_u64, 1..2_000_u32), 1..20),
    ) {
        let mut budget = Budget::new();
        let (mut now, mut last) = (1_000, Instant::EARLIEST);
        for (ahead, span) in spans {
            now += ahead;
            let at = Instant::from_millis(now);
            let step = budget.step(Cx::new(at, &policy, 0), Input::Close { span: Span::millis(span) });
            let Next::At(until) = step.next else { panic!("closed without an end") };
            prop_assert!(until >= last && until > at && until <= last.max(at.after(policy.close_cap())));
            last = until;
        }
    }
}

#[test]
fn a_policy_that_cannot_be_kept_is_refused_and_says_what_to_do() {
    let minute = Span::mins(1);
    assert_eq!(Policy::per_window(0, minute, 1), Err(PolicyError::NoCalls));
    assert_eq!(Policy::per_window(20, minute, 0), Err(PolicyError::NoBurst));
    let error = Policy::per_window(20, minute, 20).unwrap_err();
    assert_eq!(
        error.to_string(),
        "budget of 20 calls per window with a burst of 20: nothing is left for the rest of the window; choose a burst of at most 19"
    );
    assert!(Policy::per_window(3, Span::MAX, 2).is_ok());
    assert!(matches!(Policy::per_window(4, Span::MAX, 3), Err(PolicyError::TooLong { .. })));
    assert!(matches!(Policy::per_window(1, Span::MAX, 1), Err(PolicyError::TooLong { .. })));
    assert_eq!(Policy::per_window(60, minute, 10).map(|policy| policy.interval()), Ok(Span::millis(1_200)));
}
