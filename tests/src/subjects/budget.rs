//! The provider's budget.

use crate::laws::{Draw, Seen, Subject};
use idv_core::budget::{Budget, Input, Policy};
use idv_core::time::{Instant, Span};
use proptest::prelude::*;

/// See [`Budget`].
#[derive(Debug)]
pub struct Subjected;

/// All that a policy says.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// So many calls at most
    pub calls: u32,
    /// in a window of so many milliseconds,
    pub window: u32,
    /// so many of them back to back.
    pub burst: u32,
}

impl Rules {
    /// The policy that says the same, if the builder accepts it.
    #[must_use]
    pub fn policy(&self) -> Option<Policy> {
        Policy::per_window(self.calls, Span::millis(self.window), self.burst).ok()
    }

    /// The milliseconds between calls that are evenly spread over what the burst leaves of the window.
    #[must_use]
    pub fn interval(&self) -> i64 {
        match self.calls {
            1 => i64::from(self.window) + 1,
            calls => i64::from(self.window.div_ceil(calls - self.burst)),
        }
    }
}

/// Few calls, so that the limit is reached.
pub(crate) fn rules() -> impl Strategy<Value = Rules> {
    (1..8_u32, 1..8_u32, 1..20_000_u32).prop_map(|(calls, burst, window)| Rules { calls, window, burst })
}

impl Subject for Subjected {
    type Machine = Budget;

    fn policies() -> BoxedStrategy<Policy> {
        rules().prop_filter_map("a policy that the builder accepts", |rules| rules.policy()).boxed()
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
