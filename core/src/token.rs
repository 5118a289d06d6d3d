//! The bearer credential for pulls: when to ask for one, how long to use it, when to stop (R14, G7). It holds no secret; the bytes stay
//! with the adapter, under the token's *generation*.
//!
//! ```text
//!              Wanted                  Granted                     Received
//!   Absent ───────────────▶ Asking ───────────────▶ Requesting ───────────────▶ Valid
//!    ▲ │                     ▲ ▲                    │ │ │                       │ │
//!    │ │ Wanted, too soon    │ │        Failed,     │ │ └─ Reset ─▶ Draining    │ │
//!    │ │ after a renewal     │ │        give up,    │ │               │         │ │
//!    │ │ caused by a 401     │ │ until  Refused     │ │ the last      │         │ │
//!    │ └──────────▶ BackingOff ◀────────────────────┘ │ Refused       │         │ │
//!    │                       ▲                        ▼               │         │ │
//!    │                       │         Reset ◀── Refused              │         │ │
//!    │                       └── its answer, or give up: Asking ◀─────┘         │ │
//!    └──────── Rejected (a 401), Taken (single use), Reset ─────────────────────┘ │
//!                            ▲                                                    │
//!                            └── Asking: Wanted, within the safety margin ◀───────┘
//! ```
//!
//! A token is asked for only when somebody wants one; while it is valid nothing is timed. Whoever is handed an [`Action::Ask`] may leave
//! it unanswered while nobody waits any more: the machine stays where it is.
//!
//! An answer that comes after its request was given up is `Stale`, even if it carries a good token: the moment its request was sent, from
//! which its life counts, is no longer known, and the request that replaces it costs one call.
//!
//! [`Token`] is our side. [`Issued`] is the provider's, which the sandbox plays. The two agree: a token that is usable here is refused
//! there only if it was revoked, as long as a call's way and the difference of the two clocks over the token's life add up to no more
//! than the margin ([`Builder::margin`]).

use crate::machine::{Actions, Cx, Describe, Disposition, Machine, Next, Step, Transition, row};
use crate::time::{Instant, Span};
use serde::{Deserialize, Serialize};

mod issued;
mod policy;

pub use issued::{Issued, Standing};
pub use policy::{Builder, Mode, Policy, PolicyError};

/// The state of one token, keyed by provider, base URL, flow kind and credential.
///
/// It belongs to an account of a running fleet and is in no session's snapshot: whoever takes sessions over begins without one (R11).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Token {
    phase: Phase,
    /// The number of the newest request, zero before the first. Never used twice.
    op: u32,
    /// Requests in a row that brought no usable token.
    failures: u8,
    /// Refusals since the last token.
    refusals: u8,
    /// The last token ended by a 401 and no request has been sent since.
    rejected: bool,
    /// The earliest moment of the next request that a 401 causes.
    renewal_from: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
enum Phase {
    /// No token, and nobody wants one.
    Absent,
    /// Wanted; waiting for the budget.
    Asking,
    /// The request `op` is under way.
    Requesting { sent: Instant, give_up: Instant },
    /// The request `op` is under way with credentials that were replaced; only its end is awaited, so that there are never two.
    Draining { give_up: Instant },
    /// The token of request `op`, usable from `sent` until `until`.
    Valid { sent: Instant, until: Instant },
    /// Wanted, but not to be asked for before `until`.
    BackingOff { until: Instant },
    /// The credentials were refused.
    Refused,
}

/// What a token is told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// A pull needs a token. Remembered until there is one.
    Wanted,
    /// The budget permits the token request; the request is sent now, and the token's life counts from now.
    Granted,
    /// The answer to request `op` carried a token.
    Received {
        /// The request's number.
        op: u32,
        /// How long the token lives, where the answer says so; otherwise [`Policy::ttl`].
        ttl: Option<Span>,
    },
    /// Request `op` brought no usable answer.
    Failed {
        /// The request's number.
        op: u32,
        /// How long the provider asked us to stay away.
        retry_after: Option<Span>,
    },
    /// Request `op` was answered that the credentials are wrong.
    Refused {
        /// The request's number.
        op: u32,
    },
    /// A pull with the token of this generation was answered 401 or 403.
    Rejected {
        /// The generation of the token that the pull was sent with.
        generation: u32,
    },
    /// A pull was sent with the token of this generation; a single-use token is spent by it.
    Taken {
        /// The generation of the token.
        generation: u32,
    },
    /// The credentials were replaced.
    Reset,
}

/// What a token asks for and announces.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Ask the budget for one call; [`Input::Granted`] is its permission.
    Ask,
    /// Send the token request.
    Request {
        /// Its number, to be repeated by its completion.
        op: u32,
        /// How long it may take.
        within: Span,
    },
    /// A token can be used: [`Token::usable`] says the same.
    Ready {
        /// The number of the request that brought it.
        generation: u32,
    },
    /// The credentials were refused as often as the policy bears. Only [`Input::Reset`] helps.
    Refused,
}

impl Token {
    /// No token yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { phase: Phase::Absent, op: 0, failures: 0, refusals: 0, rejected: false, renewal_from: None }
    }

    /// The generation of the token that a pull sent at `now` may carry. None before its request was sent: then the clock went back,
    /// and how much of its life is left cannot be known.
    #[must_use]
    pub fn usable(&self, policy: &Policy, now: Instant) -> Option<u32> {
        match (policy.mode, self.phase) {
            (Mode::NotNeeded, _) => Some(0),
            (Mode::Reusable | Mode::SingleUse, Phase::Valid { sent, until }) => {
                (sent <= now && now < until).then_some(self.op)
            }
            (
                Mode::Reusable | Mode::SingleUse,
                Phase::Absent
                | Phase::Asking
                | Phase::Requesting { .. }
                | Phase::Draining { .. }
                | Phase::BackingOff { .. }
                | Phase::Refused,
            ) => None,
        }
    }

    /// Whether the credentials were refused for good.
    #[must_use]
    pub const fn is_refused(&self) -> bool {
        matches!(self.phase, Phase::Refused)
    }

    /// Whether nothing can be done for a token but to wait: its request is under way, or backing off.
    #[must_use]
    pub const fn is_coming(&self) -> bool {
        match self.phase {
            Phase::Requesting { .. } | Phase::Draining { .. } | Phase::BackingOff { .. } => true,
            Phase::Absent | Phase::Asking | Phase::Valid { .. } | Phase::Refused => false,
        }
    }

    fn ask(&mut self) -> Option<Action> {
        self.phase = Phase::Asking;
        Some(Action::Ask)
    }

    fn wanted(&mut self, cx: Cx<'_, Policy>) -> (Disposition, Option<Action>) {
        if let Some(generation) = self.usable(cx.policy, cx.now) {
            return (Disposition::Applied, Some(Action::Ready { generation }));
        }
        match self.phase {
            Phase::Absent | Phase::Valid { .. } => {
                let until = self.renewal_from.filter(|from| self.rejected && *from > cx.now);
                let action = match until {
                    Some(until) => {
                        self.phase = Phase::BackingOff { until };
                        None
                    }
                    None => self.ask(),
                };
                (Disposition::Applied, action)
            }
            Phase::Asking | Phase::Requesting { .. } | Phase::Draining { .. } | Phase::BackingOff { .. } => {
                (Disposition::NoOp, None)
            }
            Phase::Refused => (Disposition::Applied, Some(Action::Refused)),
        }
    }

    fn granted(&mut self, cx: Cx<'_, Policy>) -> (Disposition, Option<Action>) {
        if self.phase != Phase::Asking {
            return (Disposition::Illegal, None);
        }
        // Four thousand million requests: a request a second for 136 years.
        self.op = self.op.saturating_add(1);
        if self.rejected {
            self.rejected = false;
            self.renewal_from = Some(cx.now.after(cx.policy.renewal_gap));
        }
        self.phase = Phase::Requesting { sent: cx.now, give_up: cx.now.after(cx.policy.patience()) };
        (Disposition::Applied, Some(Action::Request { op: self.op, within: cx.policy.call_timeout }))
    }

    /// The completion of request `op`: awaited (`Ok`, with the moment it was sent), or what else it is.
    fn completed(&mut self, op: u32) -> Result<Instant, (Disposition, Option<Action>)> {
        if op == 0 || op > self.op {
            return Err((Disposition::Illegal, None));
        }
        match self.phase {
            Phase::Requesting { sent, .. } if op == self.op => Ok(sent),
            Phase::Draining { .. } if op == self.op => Err((Disposition::Applied, self.ask())),
            Phase::Absent
            | Phase::Asking
            | Phase::Requesting { .. }
            | Phase::Draining { .. }
            | Phase::Valid { .. }
            | Phase::BackingOff { .. }
            | Phase::Refused => Err((Disposition::Stale, None)),
        }
    }

    fn received(&mut self, cx: Cx<'_, Policy>, op: u32, ttl: Option<Span>) -> (Disposition, Option<Action>) {
        let sent = match self.completed(op) {
            Ok(sent) => sent,
            Err(other) => return other,
        };
        let until = cx.policy.usable_until(sent, ttl.unwrap_or(cx.policy.ttl));
        let usable = until.filter(|until| sent <= cx.now && cx.now < *until);
        let action = match usable {
            Some(until) => {
                self.phase = Phase::Valid { sent, until };
                self.failures = 0;
                self.refusals = 0;
                Some(Action::Ready { generation: op })
            }
            // Shorter-lived than the margin, or older than its life: asking again at once would only repeat it.
            None => {
                self.back_off(cx, None);
                None
            }
        };
        (Disposition::Applied, action)
    }

    fn failed(
        &mut self,
        cx: Cx<'_, Policy>,
        op: u32,
        retry_after: Option<Span>,
    ) -> (Disposition, Option<Action>) {
        match self.completed(op) {
            Ok(_) => {
                self.back_off(cx, retry_after);
                (Disposition::Applied, None)
            }
            Err(other) => other,
        }
    }

    fn refused(&mut self, cx: Cx<'_, Policy>, op: u32) -> (Disposition, Option<Action>) {
        if let Err(other) = self.completed(op) {
            return other;
        }
        self.refusals = self.refusals.saturating_add(1);
        if self.refusals >= cx.policy.refusals {
            self.phase = Phase::Refused;
            return (Disposition::Applied, Some(Action::Refused));
        }
        self.back_off(cx, None);
        (Disposition::Applied, None)
    }

    fn back_off(&mut self, cx: Cx<'_, Policy>, retry_after: Option<Span>) {
        self.failures = self.failures.saturating_add(1);
        let delay = cx.policy.backoff.delay(self.failures, cx.entropy);
        let least = retry_after.map_or(Span::MIN, |span| span.min(cx.policy.retry_after_cap));
        self.phase = Phase::BackingOff { until: cx.now.after(delay.max(least)) };
    }

    fn rejected(&mut self, generation: u32) -> Disposition {
        let dropped = self.dropped(generation);
        self.rejected |= dropped == Disposition::Applied;
        dropped
    }

    /// The token of this generation is of no more use. One that is no longer held changes nothing: it was replaced, or is being.
    fn dropped(&mut self, generation: u32) -> Disposition {
        if generation == 0 || generation > self.op {
            return Disposition::Illegal;
        }
        match self.phase {
            Phase::Valid { .. } if generation == self.op => {
                self.phase = Phase::Absent;
                Disposition::Applied
            }
            Phase::Absent
            | Phase::Asking
            | Phase::Requesting { .. }
            | Phase::Draining { .. }
            | Phase::Valid { .. }
            | Phase::BackingOff { .. }
            | Phase::Refused => Disposition::Stale,
        }
    }

    /// Forgets what was learned about the old credentials. The wish for a token stays; a request under way is waited out.
    fn reset(&mut self) -> (Disposition, Option<Action>) {
        *self = Self { phase: self.phase, op: self.op, ..Self::new() };
        let action = match self.phase {
            Phase::Absent | Phase::Asking | Phase::Draining { .. } => None,
            Phase::Valid { .. } | Phase::Refused => {
                self.phase = Phase::Absent;
                None
            }
            Phase::Requesting { give_up, .. } => {
                self.phase = Phase::Draining { give_up };
                None
            }
            Phase::BackingOff { .. } => self.ask(),
        };
        (Disposition::Applied, action)
    }

    fn take_in(&mut self, cx: Cx<'_, Policy>, input: Input) -> (Disposition, Option<Action>) {
        match input {
            Input::Tick => (Disposition::NoOp, None),
            Input::Wanted => self.wanted(cx),
            Input::Granted => self.granted(cx),
            Input::Received { op, ttl } => self.received(cx, op, ttl),
            Input::Failed { op, retry_after } => self.failed(cx, op, retry_after),
            Input::Refused { op } => self.refused(cx, op),
            // No token, no generation: a refusal of the credentials themselves is the session's own affair.
            Input::Rejected { .. } | Input::Taken { .. } if cx.policy.mode == Mode::NotNeeded => {
                (Disposition::NoOp, None)
            }
            Input::Rejected { generation } => (self.rejected(generation), None),
            Input::Taken { .. } if cx.policy.mode == Mode::Reusable => (Disposition::NoOp, None),
            Input::Taken { generation } => (self.dropped(generation), None),
            Input::Reset => self.reset(),
        }
    }
}

impl Default for Token {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine for Token {
    type Policy = Policy;
    type Input = Input;
    type Action = Action;
    type Actions = Actions<Action, 1>;

    const TICK: Input = Input::Tick;

    fn step(&mut self, cx: Cx<'_, Policy>, input: Input) -> Step<Self::Actions> {
        let before = *self;
        if let Phase::Requesting { give_up, .. } = self.phase
            && cx.now >= give_up
        {
            self.back_off(cx, None);
        }
        let (mut disposition, mut action) = self.take_in(cx, input);
        if let Phase::BackingOff { until } | Phase::Draining { give_up: until } = self.phase
            && cx.now >= until
        {
            action = self.ask();
        }
        if matches!(input, Input::Tick) && *self != before {
            disposition = Disposition::Applied;
        }
        let actions = action.map_or(Actions::NONE, Actions::one);
        Step { actions, next: self.next(cx.policy), disposition }
    }

    fn next(&self, _: &Policy) -> Next {
        match self.phase {
            Phase::Requesting { give_up: at, .. }
            | Phase::Draining { give_up: at }
            | Phase::BackingOff { until: at } => Next::At(at),
            Phase::Absent | Phase::Asking | Phase::Valid { .. } | Phase::Refused => Next::Input,
        }
    }

    fn outstanding(&self, policy: &Policy) -> Self::Actions {
        match self.phase {
            Phase::Asking => Actions::one(Action::Ask),
            Phase::Requesting { .. } => {
                Actions::one(Action::Request { op: self.op, within: policy.call_timeout })
            }
            Phase::Absent
            | Phase::Draining { .. }
            | Phase::Valid { .. }
            | Phase::BackingOff { .. }
            | Phase::Refused => Actions::NONE,
        }
    }

    fn map_times(&mut self, mut f: impl FnMut(Instant) -> Instant) {
        self.renewal_from = self.renewal_from.map(&mut f);
        match &mut self.phase {
            Phase::Requesting { sent, give_up } => {
                *sent = f(*sent);
                *give_up = f(*give_up);
            }
            Phase::Valid { sent, until } => {
                *sent = f(*sent);
                *until = f(*until);
            }
            Phase::Draining { give_up: at } | Phase::BackingOff { until: at } => *at = f(*at),
            Phase::Absent | Phase::Asking | Phase::Refused => {}
        }
    }
}

impl Describe for Token {
    const NAME: &'static str = "token";

    const TRANSITIONS: &'static [Transition] = &[
        row("Absent", "Wanted", "Asking"),
        row("Absent", "Wanted", "BackingOff"),
        row("Asking", "Granted", "Requesting"),
        row("Requesting", "Received", "Valid"),
        row("Requesting", "Received", "BackingOff"),
        row("Requesting", "Failed", "BackingOff"),
        row("Requesting", "Refused", "BackingOff"),
        row("Requesting", "Refused", "Refused"),
        row("Requesting", "Tick", "BackingOff"),
        row("Requesting", "Reset", "Draining"),
        row("Draining", "Received", "Asking"),
        row("Draining", "Failed", "Asking"),
        row("Draining", "Refused", "Asking"),
        row("Draining", "Tick", "Asking"),
        row("Valid", "Wanted", "Asking"),
        row("Valid", "Rejected", "Absent"),
        row("Valid", "Taken", "Absent"),
        row("Valid", "Reset", "Absent"),
        row("BackingOff", "Tick", "Asking"),
        row("BackingOff", "Reset", "Asking"),
        row("Refused", "Reset", "Absent"),
    ];

    fn state(&self) -> &'static str {
        match self.phase {
            Phase::Absent => "Absent",
            Phase::Asking => "Asking",
            Phase::Requesting { .. } => "Requesting",
            Phase::Draining { .. } => "Draining",
            Phase::Valid { .. } => "Valid",
            Phase::BackingOff { .. } => "BackingOff",
            Phase::Refused => "Refused",
        }
    }

    fn input_name(input: &Input) -> &'static str {
        match input {
            Input::Tick => "Tick",
            Input::Wanted => "Wanted",
            Input::Granted => "Granted",
            Input::Received { .. } => "Received",
            Input::Failed { .. } => "Failed",
            Input::Refused { .. } => "Refused",
            Input::Rejected { .. } => "Rejected",
            Input::Taken { .. } => "Taken",
            Input::Reset => "Reset",
        }
    }
}
