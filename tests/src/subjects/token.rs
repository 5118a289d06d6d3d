//! The bearer credential for pulls.

use crate::laws::{Draw, Seen, Subject};
use idv_core::backoff::Backoff;
use idv_core::machine::Describe as _;
use idv_core::time::{Instant, Span};
use idv_core::token::{Action, Input, Mode, Policy, Token};
use proptest::prelude::*;

/// See [`Token`].
#[derive(Debug)]
pub struct Subjected;

/// All that a policy says.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "as in the builder of the policy")]
pub struct Rules {
    pub mode: Mode,
    pub ttl: Span,
    pub margin: Span,
    pub call_timeout: Span,
    pub lateness: Span,
    pub backoff: Backoff,
    pub renewal_gap: Span,
    pub refusals: u8,
    pub retry_after_cap: Span,
}

impl Rules {
    /// The policy that says the same, if the builder accepts it.
    #[must_use]
    pub fn policy(&self) -> Option<Policy> {
        let builder = match self.mode {
            Mode::NotNeeded => return Some(Policy::not_needed()),
            Mode::SingleUse => Policy::single_use(self.ttl),
            Mode::Reusable => Policy::reusable(self.ttl),
        };
        builder
            .margin(self.margin)
            .call_timeout(self.call_timeout)
            .lateness(self.lateness)
            .backoff(self.backoff)
            .renewal_gap(self.renewal_gap)
            .refusals(self.refusals)
            .retry_after_cap(self.retry_after_cap)
            .build()
            .ok()
    }
}

/// What the policy says for which there is no token.
const NOT_NEEDED: Rules = Rules {
    mode: Mode::NotNeeded,
    ttl: Span::MAX,
    margin: Span::secs(30),
    call_timeout: Span::secs(10),
    lateness: Span::secs(1),
    backoff: Backoff { first: Span::secs(1), most: Span::mins(1), jitter_percent: 20 },
    renewal_gap: Span::secs(30),
    refusals: 3,
    retry_after_cap: Span::mins(15),
};

/// Lives so short that every order of the moments comes up.
pub(crate) fn rules() -> impl Strategy<Value = Rules> {
    let spans =
        (super::spans(1, 20_000), super::spans(1, 2_000), super::spans(1, 2_000), super::spans(1, 500));
    let waits = (super::spans(1, 1_000), super::spans(1, 60_000), super::spans(1, 40_000), 0..60_u8);
    (0..5_u8, spans, waits, 1..4_u8, super::spans(1, 30_000)).prop_map(
        |(mode, spans, waits, refusals, retry_after_cap)| {
            let (ttl, margin, call_timeout, lateness) = spans;
            let (first, most, renewal_gap, jitter_percent) = waits;
            let mode = match mode {
                0 => return NOT_NEEDED,
                1 | 2 => Mode::SingleUse,
                _ => Mode::Reusable,
            };
            let backoff = Backoff { first, most, jitter_percent };
            Rules {
                mode,
                ttl,
                margin,
                call_timeout,
                lateness,
                backoff,
                renewal_gap,
                refusals,
                retry_after_cap,
            }
        },
    )
}

impl Subject for Subjected {
    type Machine = Token;

    fn policies() -> BoxedStrategy<Policy> {
        rules().prop_filter_map("a policy that the builder accepts", |rules| rules.policy()).boxed()
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
