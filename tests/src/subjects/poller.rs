//! When to pull one verification.

use crate::laws::{Draw, Seen, Subject};
use idv_core::backoff::Backoff;
use idv_core::machine::{Cx, Describe as _};
use idv_core::poller::{Action, Class, Input, MAX_RECHECKS, Policy, Poller, Then};
use idv_core::time::{Instant, Span};
use proptest::prelude::*;

/// See [`Poller`].
#[derive(Debug)]
pub struct Subjected;

/// Policies with times so close to each other that every order of them comes up.
pub(super) fn policies() -> impl Strategy<Value = Policy> {
    let some = |most| prop::option::of(super::spans(1, most));
    let calls = (super::spans(1, 400), super::spans(1, 100), super::spans(1, 300));
    let waits = (super::spans(1, 200), super::spans(1, 2_000), 0..60_u8, super::spans(1, 5_000));
    let watching = (some(6_000), some(3_000), [some(300), some(600), some(900), some(1_200)]);
    let pace = (super::spans(1, 300), super::spans(0, 300), super::spans(2, 6_000), 0..2_000_u32);
    (pace, calls, waits, watching).prop_filter_map(
        "a policy that the builder accepts",
        |(pace, calls, waits, watching)| {
            let (cadence, more, deadline, longer) = pace;
            let (call_timeout, lateness, budget_wait) = calls;
            let (first, most, jitter_percent, retry_after_cap) = waits;
            let (watch, audit, rechecks): (_, _, [_; MAX_RECHECKS]) = watching;
            let least = call_timeout.plus(lateness).times(2).plus(cadence).plus(budget_wait);
            Policy::builder(cadence, deadline)
                .interval(cadence.plus(more))
                .call_timeout(call_timeout)
                .lateness(lateness)
                .budget_wait(budget_wait)
                .grace(least.plus(Span::millis(longer)))
                .backoff(Backoff { first, most, jitter_percent })
                .retry_after_cap(retry_after_cap)
                .watch(watch)
                .audit(audit)
                .rechecks(rechecks)
                .build()
                .ok()
        },
    )
}

/// Any class.
pub(super) fn class(draw: &mut Draw) -> Class {
    draw.one_of(&[Class::Confirming, Class::Routine, Class::Audit]).unwrap_or(Class::Routine)
}

impl Subject for Subjected {
    type Machine = Poller;

    fn policies() -> BoxedStrategy<Policy> {
        policies().boxed()
    }

    fn start(policy: &Policy, now: Instant, _: &mut Draw) -> Poller {
        Poller::new(Cx::new(now, policy, 0))
    }

    fn input(seen: &Seen<'_, Self>, draw: &mut Draw) -> Input {
        let op = seen.op(draw, |action| match action {
            Action::Pull { op, .. } => Some(*op),
            Action::Ask { .. } | Action::Ended(_) => None,
        });
        // Half of the inputs fit the state, so that runs get somewhere.
        let kind = match seen.machine.state() {
            "Waiting" if draw.chance(1, 3) => 0,
            "Asking" if draw.chance(1, 2) => 1,
            // Past the deadline a pull is in flight for a moment only.
            "InFlight" if seen.machine.bound().is_some_and(|at| at <= seen.now) && draw.chance(1, 4) => 23,
            "InFlight" if draw.chance(1, 2) => 2,
            "Resting" if draw.chance(1, 3) => 3,
            _ => draw.below(24),
        };
        match kind {
            0 | 5..=8 => Input::Tick,
            1 | 9 => Input::Granted,
            2 | 10 | 11 => {
                let news = draw.chance(1, 2);
                let then = [Then::Demand { news }, Then::Rest { news }, Then::Watch { news }];
                Input::Answered { op, then: draw.one_of(&then).unwrap_or(Then::Demand { news }) }
            }
            3 | 12..=15 => Input::Hint { class: class(draw), signal: draw.chance(1, 3) },
            16..=18 => Input::Failed { op, retry_after: super::retry_after(draw) },
            19 | 20 => Input::Refused { op },
            21 => Input::Settled,
            22 if draw.chance(1, 2) => Input::Stop,
            _ => Input::Restored,
        }
    }

    fn through_serde(machine: &Poller) -> Result<Poller, serde_json::Error> {
        super::json(machine)
    }
}
