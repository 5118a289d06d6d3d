//! The budget as a list of calls: the n-th last of them must lie so far back that all of them fit when evenly spread.

use crate::laws::{Around, Reference};
use crate::subjects::budget::{Rules, Subjected, rules};
use idv_core::budget::{Action, Input, Policy};
use idv_core::machine::{Cx, Disposition};
use idv_core::time::{Instant, Span};
use proptest::prelude::*;

/// Every call that was granted, and the provider's door.
#[derive(Debug)]
pub struct Calls {
    granted: Vec<Instant>,
    /// Those since the clock went back last.
    on_this_clock: Vec<Instant>,
    /// The calls let one more be made, and have not let one be made since.
    spaced: bool,
    /// Until when the provider wants to be left alone, while that is not over.
    closed: Option<Instant>,
    last: Instant,
}

impl Calls {
    /// When the calls made let another one be made: the n-th last, as many intervals after it as there are calls since, its own among
    /// them, that the burst does not cover.
    fn spaced_at(&self, rules: &Rules) -> Instant {
        let behind = |(nth, call): (usize, &Instant)| {
            let not_covered = nth as i64 + 1 - (i64::from(rules.burst) - 1);
            call.shifted(not_covered * rules.interval())
        };
        self.granted.iter().rev().enumerate().map(behind).max().unwrap_or(Instant::EARLIEST)
    }
}

impl Reference<Subjected> for Calls {
    type Rules = Rules;

    fn rules() -> BoxedStrategy<(Rules, Policy)> {
        rules()
            .prop_filter_map("a policy that the builder accepts", |rules| Some((rules, rules.policy()?)))
            .boxed()
    }

    fn start(_: &Rules, now: Instant) -> Self {
        Self { granted: Vec::new(), on_this_clock: Vec::new(), spaced: true, closed: None, last: now }
    }

    fn follow(
        &mut self,
        rules: &Rules,
        cx: Cx<'_, Policy>,
        input: Input,
        machines: Around<'_, Subjected>,
    ) -> Result<(), TestCaseError> {
        let now = cx.now;
        if now < self.last {
            self.on_this_clock.clear();
        }
        self.last = now;
        let waited = !self.spaced || self.closed.is_some();
        self.spaced |= now >= self.spaced_at(rules);
        self.closed = self.closed.filter(|until| now < *until);
        let mut open = self.spaced && self.closed.is_none();
        let (mut actions, mut disposition) = (Vec::new(), Disposition::NoOp);
        match input {
            Input::Tick if waited && open => disposition = Disposition::Applied,
            Input::Tick => {}
            Input::Take if open => {
                self.granted.push(now);
                self.on_this_clock.push(now);
                self.spaced = now >= self.spaced_at(rules);
                open = self.spaced;
                actions.push(Action::Granted);
                disposition = Disposition::Applied;
            }
            Input::Take => {}
            Input::Close { span } => {
                let opens = now.after(span.min(Policy::DEFAULT_CLOSE_CAP));
                if self.waits(rules, open).is_none_or(|until| until < opens) {
                    self.closed = Some(opens);
                    open = false;
                    disposition = Disposition::Applied;
                }
            }
        }
        machines.was(&actions, super::at(self.waits(rules, open)), disposition)?;
        prop_assert_eq!(machines.after.admits(now), open);

        let window = Span::millis(rules.window);
        for first in &self.on_this_clock {
            let within =
                self.on_this_clock.iter().filter(|call| *first <= **call && **call <= first.after(window));
            prop_assert!(within.count() <= rules.calls as usize, "G7: more calls in a window than allowed");
        }
        Ok(())
    }
}

impl Calls {
    fn waits(&self, rules: &Rules, open: bool) -> Option<Instant> {
        let spaced_at = (!self.spaced).then(|| self.spaced_at(rules));
        if open { None } else { spaced_at.max(self.closed) }
    }
}
