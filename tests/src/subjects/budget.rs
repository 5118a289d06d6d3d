//! The provider's budget.

use crate::laws::{Draw, Seen, Subject};
use idv_core::budget::{Budget, Input, Policy};
use idv_core::time::{Instant, Span};
use proptest::prelude::*;

/// See [`Budget`].
#[derive(Debug)]
pub struct Subjected;

impl Subject for Subjected {
    type Machine = Budget;

    fn policies() -> BoxedStrategy<Policy> {
        (1..8_u32, 1..8_u32, 1..20_000_u32)
            .prop_filter_map("a policy that the builder accepts", |(calls, burst, window)| {
                Policy::per_window(calls, Span::millis(window), burst).ok()
            })
            .boxed()
    }

    fn start(_: &Policy, _: Instant, _: &mut Draw) -> Budget {
        Budget::new()
    }

    fn input(_: &Seen<'_, Self>, draw: &mut Draw) -> Input {
        match draw.below(8) {
            0 => Input::Tick,
            1 => Input::Close { span: Span::millis(draw.below(10_000)) },
            2 => Input::Close { span: Span::MAX },
            _ => Input::Take,
        }
    }

    fn through_serde(machine: &Budget) -> Result<Budget, serde_json::Error> {
        super::json(machine)
    }
}
