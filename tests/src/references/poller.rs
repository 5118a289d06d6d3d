//! The poller as two moments: before the one no pull is allowed, at the other the next one is planned.

use crate::laws::{Around, Reference};
use crate::subjects::poller::{Rules, Subjected, rules};
use idv_core::machine::{Cx, Disposition, Next};
use idv_core::poller::{Action, Class, End, Input, Policy, Then};
use idv_core::time::{Instant, Span};
use proptest::prelude::*;

/// Where the pulls of one verification stand.
#[derive(Debug)]
pub struct Plan {
    /// No pull before this: cadence, back-off, `Retry-After`.
    allowed: Instant,
    /// The next pull is asked for here, if any is.
    planned: Option<Instant>,
    /// Permission was asked for.
    asking: bool,
    /// The newest pull awaits its answer until here.
    in_flight: Option<Instant>,
    pulls: u32,
    /// Failures in a row.
    failures: u32,
    /// The newest pull that was answered was refused.
    refused: bool,
    /// The deadline, and later the end of the watch.
    bound: Option<Instant>,
    watching: bool,
    /// The most urgent hint since the last answer that satisfied one.
    demand: Option<Class>,
    /// Further pulls after a change signal that came to nothing: how many were demanded, if the signal is not settled yet.
    rechecks: Option<usize>,
    /// The last pull that was demanded showed nothing new.
    fruitless: bool,
    ended: Option<End>,
}

impl Plan {
    fn wants(&self) -> Option<Class> {
        let idle = if self.watching { Class::Audit } else { Class::Routine };
        let demanded = self.demand.map(|class| match class {
            Class::Confirming if self.fruitless => Class::Routine,
            Class::Confirming | Class::Routine | Class::Audit => class,
        });
        // The more urgent class is the smaller one.
        self.asking.then(|| demanded.map_or(idle, |class| class.min(idle)))
    }

    fn ends(&self, rules: &Rules) -> Option<Instant> {
        let finishing = self.demand.is_some() || self.in_flight.is_some();
        self.bound
            .map(|bound| if finishing { bound.after(rules.grace) } else { bound })
            .filter(|_| self.ended.is_none())
    }

    /// The next pull is planned for the first moment from `from` on that is allowed.
    fn plan(&mut self, from: Instant) {
        (self.asking, self.planned) = (false, Some(from.max(self.allowed)));
    }

    fn end(&mut self, end: End) {
        (self.asking, self.planned, self.in_flight) = (false, None, None);
        (self.demand, self.rechecks, self.ended) = (None, None, Some(end));
    }

    fn fail(&mut self, rules: &Rules, cx: Cx<'_, Policy>, retry_after: Option<Span>) {
        self.failures += 1;
        (self.refused, self.in_flight) = (false, None);
        let backoff = super::wait_after(self.failures, rules.backoff, cx.entropy);
        self.allowed = cx.now.after(silence(rules, retry_after).max(backoff));
        self.plan(self.allowed);
    }

    /// A call ended, or may have, and no pull is to follow it before `earliest`: what is planned waits for that at least.
    fn put_off(&mut self, earliest: Instant) {
        if self.in_flight.is_none() {
            self.allowed = if self.asking { Instant::EARLIEST } else { self.allowed }.max(earliest);
            match self.planned {
                Some(planned) => self.plan(planned),
                None if self.asking => self.plan(self.allowed),
                None => {}
            }
        }
    }

    fn deadlines(&mut self, rules: &Rules, cx: Cx<'_, Policy>) -> bool {
        let gave_up = self.ended.is_none() && self.in_flight.is_some_and(|until| until <= cx.now);
        if self.ends(rules).is_some_and(|end| end <= cx.now) {
            self.end(End::Elapsed);
            return true;
        }
        if gave_up {
            self.fail(rules, cx, None);
            self.deadlines(rules, cx);
        }
        gave_up
    }

    /// No hint is open any more, and something new was seen or not.
    fn satisfied(&mut self, rules: &Rules, cx: Cx<'_, Policy>, news: bool) {
        if news {
            self.fruitless = false;
        } else if self.demand.is_some() {
            self.fruitless = true;
        }
        let further =
            self.rechecks.filter(|_| !news).and_then(|nth| rules.rechecks.get(nth).copied().flatten());
        let routine = if self.watching {
            rules.audit.map(|audit| super::jittered(audit, 10, cx.entropy))
        } else {
            Some(rules.interval)
        };
        if further.is_some() {
            self.rechecks = self.rechecks.map(|made| made + 1);
            self.demand = Some(self.demand.unwrap_or(Class::Confirming));
        } else {
            (self.rechecks, self.demand) = (None, None);
        }
        if self.in_flight.is_none() {
            self.planned = None;
            match further.or(routine) {
                Some(wait) => self.plan(cx.now.after(wait)),
                // At rest nothing is left of what went wrong.
                None => (self.failures, self.refused) = (0, false),
            }
        }
    }

    /// Whether pull `op` is the one in flight, or else what its completion is.
    fn completes(&self, op: u32) -> Result<(), Disposition> {
        match self.in_flight {
            _ if op == 0 || op > self.pulls => Err(Disposition::Illegal),
            Some(_) if op == self.pulls => Ok(()),
            Some(_) | None => Err(Disposition::Stale),
        }
    }

    fn watch(&mut self, rules: &Rules, now: Instant) {
        if !self.watching {
            (self.watching, self.bound) = (true, rules.watch.map(|watch| now.after(watch)));
        }
    }

    fn take_in(
        &mut self,
        rules: &Rules,
        cx: Cx<'_, Policy>,
        input: Input,
        actions: &mut Vec<Action>,
    ) -> Result<(), Disposition> {
        let over = self.ended.map_or(Ok(()), |_| Err(Disposition::NoOp));
        match input {
            Input::Tick => return Err(Disposition::NoOp),
            Input::Granted if !self.asking => return Err(Disposition::NoOp),
            Input::Granted => {
                let patience = rules.call_timeout.plus(rules.lateness);
                (self.asking, self.in_flight) = (false, Some(cx.now.after(patience)));
                self.pulls += 1;
                actions.push(Action::Pull { op: self.pulls, within: rules.call_timeout });
            }
            Input::Hint { class, signal } => {
                over?;
                self.demand = Some(self.demand.map_or(class, |demand| demand.min(class)));
                if self.planned.is_some_and(|planned| self.allowed < planned && cx.now < planned) {
                    // A pull that is brought forward is none of those that the change signal is owed.
                    self.rechecks = self.rechecks.map(|made| made.saturating_sub(1));
                }
                if !self.asking && self.in_flight.is_none() {
                    self.plan(self.allowed);
                }
                if signal {
                    self.rechecks = Some(0);
                }
            }
            Input::Answered { op, then } => {
                match self.completes(op) {
                    Ok(()) => {
                        (self.in_flight, self.failures, self.refused) = (None, 0, false);
                        self.allowed = cx.now.after(rules.cadence);
                        self.plan(self.allowed);
                    }
                    Err(Disposition::Stale) if self.ended.is_none() => {
                        self.put_off(cx.now.after(rules.cadence))
                    }
                    Err(other) => return Err(other),
                }
                match then {
                    Then::Demand { news } => self.fruitless &= !news,
                    Then::Rest { news } => self.satisfied(rules, cx, news),
                    Then::Watch { news } => {
                        self.watch(rules, cx.now);
                        self.satisfied(rules, cx, news);
                    }
                }
            }
            Input::Failed { op, retry_after } => match self.completes(op) {
                Ok(()) => self.fail(rules, cx, retry_after),
                Err(Disposition::Stale) if self.ended.is_none() => {
                    self.put_off(cx.now.after(silence(rules, retry_after)));
                }
                Err(other) => return Err(other),
            },
            Input::Refused { op } => match self.completes(op) {
                Ok(()) if self.refused => self.end(End::Refused),
                Ok(()) => {
                    (self.in_flight, self.refused) = (None, true);
                    self.allowed = cx.now.after(rules.cadence);
                    self.plan(self.allowed);
                }
                Err(Disposition::Stale) if self.ended.is_none() => {
                    self.put_off(cx.now.after(rules.cadence));
                }
                Err(other) => return Err(other),
            },
            Input::Settled => {
                over?;
                self.watch(rules, cx.now);
            }
            Input::Stop => {
                over?;
                self.end(End::Stopped);
            }
            Input::Restored if self.in_flight.is_some() => self.fail(rules, cx, None),
            Input::Restored => self.put_off(cx.now.after(rules.cadence)),
        }
        Ok(())
    }
}

/// How long no pull follows one that brought nothing.
fn silence(rules: &Rules, retry_after: Option<Span>) -> Span {
    retry_after.map_or(rules.cadence, |span| rules.cadence.max(span.min(rules.retry_after_cap)))
}

impl Reference<Subjected> for Plan {
    type Rules = Rules;

    fn rules() -> BoxedStrategy<(Rules, Policy)> {
        rules()
            .prop_filter_map("a policy that the builder accepts", |rules| Some((rules, rules.policy()?)))
            .boxed()
    }

    fn start(rules: &Rules, now: Instant) -> Self {
        Self {
            allowed: now,
            planned: Some(now),
            asking: false,
            in_flight: None,
            pulls: 0,
            failures: 0,
            refused: false,
            bound: Some(now.after(rules.deadline)),
            watching: false,
            demand: None,
            rechecks: None,
            fruitless: false,
            ended: None,
        }
    }

    fn follow(
        &mut self,
        rules: &Rules,
        cx: Cx<'_, Policy>,
        input: Input,
        machines: Around<'_, Subjected>,
    ) -> Result<(), TestCaseError> {
        let (wanted, was_over) = (self.wants(), self.ended.is_some());
        let mut actions = Vec::new();
        let passed = self.deadlines(rules, cx);
        let mut disposition =
            self.take_in(rules, cx, input, &mut actions).err().unwrap_or(Disposition::Applied);
        self.deadlines(rules, cx);
        let due = self.planned.is_some_and(|planned| planned <= cx.now);
        if due {
            (self.planned, self.asking) = (None, true);
        }
        if input == Input::Tick && (passed || due) {
            disposition = Disposition::Applied;
        }
        if let Some(class) = self.wants().filter(|class| wanted != Some(*class)) {
            actions = vec![Action::Ask { class }];
        }
        if let Some(end) = self.ended.filter(|_| !was_over) {
            actions = vec![Action::Ended(end)];
        }
        let next = match self.ended {
            Some(_) => Next::Over,
            None => super::at(self.planned.or(self.in_flight)).sooner(super::at(self.ends(rules))),
        };
        machines.was(&actions, next, disposition)?;
        let after = machines.after;
        prop_assert_eq!(after.wants(), self.wants());
        prop_assert_eq!(after.in_flight(), self.in_flight.map(|_| self.pulls));
        prop_assert_eq!(after.next_pull(), self.planned);
        prop_assert_eq!(after.is_demanded(), self.demand.is_some());
        prop_assert_eq!((after.last_op(), after.next_op()), (self.pulls, self.pulls + 1));
        prop_assert_eq!((after.bound(), after.end()), (self.bound, self.ended));
        Ok(())
    }
}
