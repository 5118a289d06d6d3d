//! The bearer credential for pulls.

use crate::laws::{Draw, Seen, Subject};
use idv_core::backoff::Backoff;
use idv_core::machine::Describe as _;
use idv_core::time::{Instant, Span};
use idv_core::token::{Action, Input, Policy, Token};
use proptest::prelude::*;

/// See [`Token`].
#[derive(Debug)]
pub struct Subjected;

impl Subject for Subjected {
    type Machine = Token;

    fn policies() -> BoxedStrategy<Policy> {
        let spans =
            (super::spans(1, 20_000), super::spans(1, 2_000), super::spans(1, 2_000), super::spans(1, 500));
        let waits = (super::spans(1, 1_000), super::spans(1, 60_000), super::spans(1, 40_000), 0..60_u8);
        (0..5_u8, spans, waits, 1..4_u8)
            .prop_filter_map("a policy that the builder accepts", |(mode, spans, waits, refusals)| {
                let (ttl, margin, call_timeout, lateness) = spans;
                let (first, most, renewal_gap, jitter_percent) = waits;
                let builder = match mode {
                    0 => return Some(Policy::not_needed()),
                    1 | 2 => Policy::single_use(ttl),
                    _ => Policy::reusable(ttl),
                };
                builder
                    .margin(margin)
                    .call_timeout(call_timeout)
                    .lateness(lateness)
                    .backoff(Backoff { first, most, jitter_percent })
                    .renewal_gap(renewal_gap)
                    .refusals(refusals)
                    .build()
                    .ok()
            })
            .boxed()
    }

    fn start(_: &Policy, _: Instant, _: &mut Draw) -> Token {
        Token::new()
    }

    fn input(seen: &Seen<'_, Self>, draw: &mut Draw) -> Input {
        let op = seen.op(draw, |action| match action {
            Action::Request { op, .. } => Some(*op),
            Action::Ask | Action::Ready { .. } | Action::Refused => None,
        });
        // Half of the inputs fit the state, so that runs get somewhere.
        let kind = match seen.machine.state() {
            "Absent" if draw.chance(1, 2) => 1,
            "Asking" if draw.chance(1, 2) => 2,
            "Requesting" | "Draining" if draw.chance(1, 2) => 3,
            "Valid" if draw.chance(1, 2) => 6,
            _ => draw.below(9),
        };
        match kind {
            0 => Input::Tick,
            1 => Input::Wanted,
            2 => Input::Granted,
            3 => {
                let ttl = draw.chance(1, 3).then(|| Span::millis(draw.below(30_000)));
                Input::Received { op, ttl }
            }
            4 => Input::Failed { op, retry_after: super::retry_after(draw) },
            5 => Input::Refused { op },
            6 => Input::Rejected { generation: op },
            7 => Input::Taken { generation: op },
            _ => Input::Reset,
        }
    }

    fn through_serde(machine: &Token) -> Result<Token, serde_json::Error> {
        super::json(machine)
    }
}
