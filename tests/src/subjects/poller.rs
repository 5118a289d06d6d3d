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

/// All that a policy says.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "as in the builder of the policy")]
pub struct Rules {
    pub cadence: Span,
    pub interval: Span,
    pub call_timeout: Span,
    pub lateness: Span,
    pub backoff: Backoff,
    pub retry_after_cap: Span,
    pub deadline: Span,
    pub grace: Span,
    pub budget_wait: Span,
    pub watch: Option<Span>,
    pub audit: Option<Span>,
    pub rechecks: [Option<Span>; MAX_RECHECKS],
}

impl Rules {
    /// The policy that says the same, if the builder accepts it.
    #[must_use]
    pub fn policy(&self) -> Option<Policy> {
        Policy::builder(self.cadence, self.deadline)
            .interval(self.interval)
            .call_timeout(self.call_timeout)
            .lateness(self.lateness)
            .budget_wait(self.budget_wait)
            .grace(self.grace)
            .backoff(self.backoff)
            .retry_after_cap(self.retry_after_cap)
            .watch(self.watch)
            .audit(self.audit)
            .rechecks(self.rechecks)
            .build()
            .ok()
    }
}

/// Times so close to each other that every order of them comes up.
pub(crate) fn rules() -> impl Strategy<Value = Rules> {
    let some = |most| prop::option::of(super::spans(1, most));
    let calls = (super::spans(1, 400), super::spans(1, 100), super::spans(1, 300));
    let waits = (super::spans(1, 200), super::spans(1, 2_000), 0..60_u8, super::spans(1, 5_000));
    let watching = (some(6_000), some(3_000), [some(300), some(600), some(900), some(1_200)]);
    let pace = (super::spans(1, 300), super::spans(0, 300), super::spans(2, 6_000), 0..2_000_u32);
    (pace, calls, waits, watching).prop_map(|(pace, calls, waits, watching)| {
        let (cadence, more, deadline, longer) = pace;
        let (call_timeout, lateness, budget_wait) = calls;
        let (first, most, jitter_percent, retry_after_cap) = waits;
        let (watch, audit, rechecks) = watching;
        let least = call_timeout.plus(lateness).times(2).plus(cadence).plus(budget_wait);
        Rules {
            cadence,
            interval: cadence.plus(more),
            call_timeout,
            lateness,
            backoff: Backoff { first, most, jitter_percent },
            retry_after_cap,
            deadline,
            grace: least.plus(Span::millis(longer)),
            budget_wait,
            watch,
            audit,
            rechecks,
        }
    })
}

/// Policies with times so close to each other that every order of them comes up.
pub(super) fn policies() -> impl Strategy<Value = Policy> {
    rules().prop_filter_map("a policy that the builder accepts", |rules| rules.policy())
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
