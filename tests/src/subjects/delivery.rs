//! The sender's side of one callback.

use crate::laws::{Draw, Seen, Subject};
use idv_core::delivery::{Action, Cause, Delivery, Input, MOST_ATTEMPTS, Policy, Schedule, Success};
use idv_core::machine::Describe as _;
use idv_core::time::Instant;
use proptest::prelude::*;

/// See [`Delivery`].
#[derive(Debug)]
pub struct Subjected;

impl Subject for Subjected {
    type Machine = Delivery;

    fn policies() -> BoxedStrategy<Policy> {
        let waits = prop::collection::vec(super::spans(1, 20_000), 0..usize::from(MOST_ATTEMPTS));
        let success = prop_oneof![Just(Success::Exactly200), Just(Success::Any2xx)];
        (super::spans(1, 4_000), success, waits, 0..60_u8)
            .prop_filter_map("a schedule that is accepted", |(timeout, success, waits, jitter_percent)| {
                let schedule = Schedule::own(&waits).ok()?;
                Some(Policy { timeout, success, schedule, jitter_percent })
            })
            .boxed()
    }

    fn start(_: &Policy, _: Instant, _: &mut Draw) -> Delivery {
        Delivery::new()
    }

    fn input(seen: &Seen<'_, Self>, draw: &mut Draw) -> Input {
        let op = seen.op(draw, |action| match action {
            Action::Post { attempt, .. } => Some(u32::from(*attempt)),
            Action::Delivered { .. } | Action::Dead => None,
        });
        let attempt = u8::try_from(op).unwrap_or(u8::MAX);
        let kind = match seen.machine.state() {
            "Due" | "Waiting" if draw.chance(7, 8) => 0,
            _ => draw.below(20),
        };
        match kind {
            0..=6 => Input::Tick,
            7..=11 => {
                let status = draw.one_of(&[200, 201, 204, 302, 400, 500, 503, 503, 503]).unwrap_or(200);
                Input::Answered { attempt, status }
            }
            12..=18 => {
                let causes = [Cause::TimedOut, Cause::Unreachable, Cause::Tls, Cause::Malformed];
                Input::Failed { attempt, cause: draw.one_of(&causes).unwrap_or(Cause::TimedOut) }
            }
            _ => Input::Cancel,
        }
    }

    fn through_serde(machine: &Delivery) -> Result<Delivery, serde_json::Error> {
        super::json(machine)
    }
}
