//! The delivery as a table: how each attempt failed, and when the next one is due.

use crate::laws::{Around, Reference, Subject as _};
use crate::subjects::delivery::Subjected;
use idv_core::delivery::{Action, Cause, Input, Policy, Success};
use idv_core::machine::{Cx, Disposition, Next};
use idv_core::time::Instant;
use proptest::prelude::*;

/// What became of the attempts.
#[derive(Debug)]
pub struct Timetable {
    failed: Vec<Cause>,
    /// The attempt after those that failed is sent at this moment,
    due: Option<Instant>,
    /// or has been sent, and is too late from this moment on,
    in_flight: Option<Instant>,
    /// or was answered as wished.
    delivered: bool,
}

impl Timetable {
    /// Attempts are counted from 1.
    fn attempt(&self) -> u8 {
        u8::try_from(self.failed.len() + 1).unwrap_or(u8::MAX)
    }

    /// The attempt in flight failed at `end`; whether that was the last.
    fn fail(&mut self, policy: &Policy, cause: Cause, end: Instant, entropy: u32) -> bool {
        let waits: Vec<_> = policy.schedule.waits().collect();
        let wait = waits.get(self.failed.len());
        self.failed.push(cause);
        self.in_flight = None;
        self.due = wait.map(|wait| end.after(super::jittered(*wait, policy.jitter_percent, entropy)));
        self.due.is_none()
    }
}

impl Reference<Subjected> for Timetable {
    type Rules = Policy;

    fn rules() -> BoxedStrategy<(Policy, Policy)> {
        Subjected::policies().prop_map(|policy| (policy, policy)).boxed()
    }

    fn start(_: &Policy, _: Instant) -> Self {
        Self { failed: Vec::new(), due: Some(Instant::EARLIEST), in_flight: None, delivered: false }
    }

    fn follow(
        &mut self,
        policy: &Policy,
        cx: Cx<'_, Policy>,
        input: Input,
        machines: Around<'_, Subjected>,
    ) -> Result<(), TestCaseError> {
        let mut actions = Vec::new();
        let too_late = self.in_flight.filter(|limit| *limit <= cx.now);
        if let Some(limit) = too_late
            && self.fail(policy, Cause::TimedOut, limit, cx.entropy)
        {
            actions.push(Action::Dead);
        }
        let mut disposition = Disposition::NoOp;
        match input {
            Input::Tick => {}
            Input::Answered { attempt, .. } | Input::Failed { attempt, .. }
                if self.in_flight.is_none() || attempt != self.attempt() =>
            {
                let made = self.failed.len() + usize::from(self.delivered);
                let known = (1..=made).contains(&usize::from(attempt));
                disposition = if known { Disposition::Stale } else { Disposition::Illegal };
            }
            Input::Answered { attempt, status } => {
                let wished = match policy.success {
                    Success::Exactly200 => status == 200,
                    Success::Any2xx => (200..300).contains(&status),
                };
                if wished {
                    (self.in_flight, self.delivered) = (None, true);
                    actions.push(Action::Delivered { attempt });
                } else if self.fail(policy, Cause::Status(status), cx.now, cx.entropy) {
                    actions.push(Action::Dead);
                }
                disposition = Disposition::Applied;
            }
            Input::Failed { cause, .. } => {
                if self.fail(policy, cause, cx.now, cx.entropy) {
                    actions.push(Action::Dead);
                }
                disposition = Disposition::Applied;
            }
            Input::Cancel => {
                if self.in_flight.is_some() {
                    self.failed.push(Cause::Cancelled);
                }
                if self.in_flight.is_some() || self.due.is_some() {
                    actions.push(Action::Dead);
                    disposition = Disposition::Applied;
                }
                (self.in_flight, self.due) = (None, None);
            }
        }
        let sent = self.due.is_some_and(|due| due <= cx.now);
        if sent {
            (self.due, self.in_flight) = (None, Some(cx.now.after(policy.timeout)));
            actions.push(Action::Post { attempt: self.attempt(), within: policy.timeout });
        }
        if input == Input::Tick && (too_late.is_some() || sent) {
            disposition = Disposition::Applied;
        }
        machines.was(&actions, self.in_flight.or(self.due).map_or(Next::Over, Next::At), disposition)?;
        let causes: Vec<Cause> = machines.after.causes().collect();
        prop_assert_eq!(&causes, &self.failed);
        Ok(())
    }
}
