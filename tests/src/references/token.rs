//! The token as a handful of facts: what was issued, what is in flight, what is wanted and from when on.

use crate::laws::{Around, Reference};
use crate::subjects::token::{Rules, Subjected, rules};
use idv_core::machine::{Cx, Disposition};
use idv_core::time::{Instant, Span};
use idv_core::token::{Action, Input, Mode, Policy};
use proptest::prelude::*;

/// What is known of the token.
#[derive(Debug, Default)]
pub struct Facts {
    /// How many requests were sent; the number of the newest.
    requests: u32,
    /// The token that the newest of them brought, good from its sending to this moment.
    issued: Option<(Instant, Instant)>,
    in_flight: Option<InFlight>,
    /// The budget was asked for a call.
    asked: bool,
    /// A token is wanted, but not to be asked for before this moment.
    from: Option<Instant>,
    /// The credentials are refused for good.
    refused: bool,
    /// Requests in a row without a token.
    failures: u32,
    /// Refusals since the last token.
    refusals: u8,
    /// A 401 ended the last token, and no request was sent since.
    rejected: bool,
    /// The next request after a 401 is sent no sooner.
    renewal_from: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    sent: Instant,
    until: Instant,
    /// The credentials were replaced since: its answer is of no use.
    void: bool,
}

impl Facts {
    fn usable(&self, rules: &Rules, now: Instant) -> Option<u32> {
        if rules.mode == Mode::NotNeeded {
            return Some(0);
        }
        self.issued.filter(|(from, until)| *from <= now && now < *until).map(|_| self.requests)
    }

    fn ask(&mut self) -> Option<Action> {
        *self = Self { asked: true, issued: None, from: None, in_flight: None, ..*self };
        Some(Action::Ask)
    }

    fn fail(&mut self, rules: &Rules, cx: Cx<'_, Policy>, retry_after: Option<Span>) {
        self.failures += 1;
        let wait = super::wait_after(self.failures, rules.backoff, cx.entropy);
        let asked_for = retry_after.map(|span| span.min(rules.retry_after_cap));
        self.in_flight = None;
        self.from = Some(cx.now.after(asked_for.map_or(wait, |asked_for| asked_for.max(wait))));
    }

    /// The call in flight, if this is its completion; what else it is.
    fn completed(&mut self, op: u32) -> Result<InFlight, (Disposition, Option<Action>)> {
        match self.in_flight {
            _ if op == 0 || op > self.requests => Err((Disposition::Illegal, None)),
            Some(call) if op == self.requests && call.void => Err((Disposition::Applied, self.ask())),
            Some(call) if op == self.requests => Ok(call),
            Some(_) | None => Err((Disposition::Stale, None)),
        }
    }

    fn dropped(&mut self, generation: u32) -> Disposition {
        if generation == 0 || generation > self.requests {
            return Disposition::Illegal;
        }
        if generation < self.requests || self.issued.is_none() {
            return Disposition::Stale;
        }
        self.issued = None;
        Disposition::Applied
    }

    fn take_in(
        &mut self,
        rules: &Rules,
        cx: Cx<'_, Policy>,
        input: Input,
    ) -> Result<(Disposition, Option<Action>), (Disposition, Option<Action>)> {
        let done = match input {
            Input::Tick => (Disposition::NoOp, None),
            Input::Wanted => {
                if let Some(generation) = self.usable(rules, cx.now) {
                    (Disposition::Applied, Some(Action::Ready { generation }))
                } else if self.refused {
                    (Disposition::Applied, Some(Action::Refused))
                } else if self.asked || self.in_flight.is_some() || self.from.is_some() {
                    (Disposition::NoOp, None)
                } else if self.rejected && self.renewal_from.is_some_and(|from| from > cx.now) {
                    (self.issued, self.from) = (None, self.renewal_from);
                    (Disposition::Applied, None)
                } else {
                    (Disposition::Applied, self.ask())
                }
            }
            Input::Granted if !self.asked => (Disposition::Illegal, None),
            Input::Granted => {
                self.asked = false;
                self.requests += 1;
                if self.rejected {
                    (self.rejected, self.renewal_from) = (false, Some(cx.now.after(rules.renewal_gap)));
                }
                let until = cx.now.after(rules.call_timeout.plus(rules.lateness));
                self.in_flight = Some(InFlight { sent: cx.now, until, void: false });
                let request = Action::Request { op: self.requests, within: rules.call_timeout };
                (Disposition::Applied, Some(request))
            }
            Input::Received { op, ttl } => {
                let sent = self.completed(op)?.sent;
                let life = ttl.unwrap_or(rules.ttl).as_millis().saturating_sub(rules.margin.as_millis());
                let until = Instant::from_millis(sent.as_millis() + u64::from(life));
                if sent <= cx.now && cx.now < until {
                    *self =
                        Self { requests: self.requests, renewal_from: self.renewal_from, ..Self::default() };
                    self.issued = Some((sent, until));
                    (Disposition::Applied, Some(Action::Ready { generation: op }))
                } else {
                    self.fail(rules, cx, None);
                    (Disposition::Applied, None)
                }
            }
            Input::Failed { op, retry_after } => {
                self.completed(op)?;
                self.fail(rules, cx, retry_after);
                (Disposition::Applied, None)
            }
            Input::Refused { op } => {
                self.completed(op)?;
                self.refusals += 1;
                if self.refusals == rules.refusals {
                    (self.in_flight, self.refused) = (None, true);
                    (Disposition::Applied, Some(Action::Refused))
                } else {
                    self.fail(rules, cx, None);
                    (Disposition::Applied, None)
                }
            }
            Input::Rejected { .. } if rules.mode == Mode::NotNeeded => (Disposition::NoOp, None),
            Input::Rejected { generation } => {
                let disposition = self.dropped(generation);
                self.rejected |= disposition == Disposition::Applied;
                (disposition, None)
            }
            Input::Taken { generation } if rules.mode == Mode::SingleUse => (self.dropped(generation), None),
            Input::Taken { .. } => (Disposition::NoOp, None),
            Input::Reset => {
                *self = Self {
                    requests: self.requests,
                    asked: self.asked,
                    in_flight: self.in_flight.map(|call| InFlight { void: true, ..call }),
                    from: self.from,
                    ..Self::default()
                };
                (Disposition::Applied, if self.from.is_some() { self.ask() } else { None })
            }
        };
        Ok(done)
    }
}

impl Reference<Subjected> for Facts {
    type Rules = Rules;

    fn rules() -> BoxedStrategy<(Rules, Policy)> {
        rules()
            .prop_filter_map("a policy that the builder accepts", |rules| Some((rules, rules.policy()?)))
            .boxed()
    }

    fn start(_: &Rules, _: Instant) -> Self {
        Self::default()
    }

    fn follow(
        &mut self,
        rules: &Rules,
        cx: Cx<'_, Policy>,
        input: Input,
        machines: Around<'_, Subjected>,
    ) -> Result<(), TestCaseError> {
        let given_up = self.in_flight.is_some_and(|call| call.until <= cx.now && !call.void);
        if given_up {
            self.fail(rules, cx, None);
        }
        let (mut disposition, mut action) = self.take_in(rules, cx, input).unwrap_or_else(|other| other);
        let drained = self.in_flight.is_some_and(|call| call.until <= cx.now && call.void);
        let waited = self.from.is_some_and(|from| from <= cx.now);
        if drained || waited {
            action = self.ask();
        }
        if input == Input::Tick && (given_up || drained || waited) {
            disposition = Disposition::Applied;
        }
        let actions: Vec<Action> = action.into_iter().collect();
        let until = self.in_flight.map(|call| call.until).or(self.from);
        machines.was(&actions, super::at(until), disposition)?;
        prop_assert_eq!(machines.after.usable(cx.policy, cx.now), self.usable(rules, cx.now));
        prop_assert_eq!(machines.after.is_refused(), self.refused);
        prop_assert_eq!(machines.after.is_coming(), self.in_flight.is_some() || self.from.is_some());
        Ok(())
    }
}
