//! Our side of one callback: receive, verify, record, answer. One machine per HTTP request, outside any session.
//!
//! ```text
//!                  Head            Chunk                 Complete                  Committed
//!   AwaitingHead ────────▶ Receiving ◀────┐ ─────────────────────▶ Recording ────────────────▶ Over
//!        │                  │  └──────────┘  signed, or unsigned,    │   200 and Apply           ▲
//!        │                  │                JSON and readable       │ deadline: 503 and Hint    │
//!        │ not POST: 405    │ 400 401 413 415                        │ Disconnected: Hint        │
//!        │ too large: 413   │ deadline: 503                          ▼                           │
//!        │ deadline: 503    │ no room: 503                          Late ────────────────────────┤
//!        │                  │                                            Committed: Apply        │
//!        └──────────────────┴────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! # What the driver does with the actions
//!
//! - [`Action::Record`]: commit these bytes with [`CommitReceipt::obtain`] under the number `op`, then step with
//!   [`Input::Committed`], or with [`Input::StorageFailed`] once it is certain that no commit will come.
//! - [`Action::Answer`]: send it. There is at most one.
//! - [`Action::Apply`]: the record is durable. Step the session that the body names with what the codec read from it
//!   ([`crate::provider::CallbackReading::callback`]), duplicates included (R4), and mark the record applied in the commit that
//!   saves the session's snapshot (R10). A record that names no session is kept for one that opens later (R15); a body that names
//!   nobody is marked applied at once.
//! - [`Action::Hint`]: the record is not durable, or not yet, but what arrived is still a reason to ask. Step the session that the body
//!   names with the callback that the action carries, which is never evidence; forget it when there is no such session.
//!
//! So a callback that is recorded in time gives the session `Apply` alone, and one pull; only a callback that is not answered 200 gives
//! it `Hint`, and `Apply` as well when the commit completes later.

mod answer;

pub use answer::Answer;

use crate::evidence::Callback;
use crate::machine::{Actions, Cx, Describe, Disposition, Machine, Next, Step, Transition, row};
use crate::provider::Authenticity;
use crate::store::CommitReceipt;
use crate::time::{Instant, Span};
use answer::Refusal;
use core::fmt;

/// How long a provider is taken to wait for its 200 where nothing else is said. What each one's documents say stands in its rules
/// ([`crate::rules::Rules::callback_timeout`]).
pub const PROVIDER_WAITS: Span = Span::millis(3_000);

/// The rules one endpoint answers by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Policy {
    body_cap: u64,
    answer_within: Span,
}

impl Policy {
    /// Starts a policy that takes bodies of up to `body_cap` bytes; see [`crate::provider::Provider::callback_body_cap`].
    #[must_use]
    pub const fn builder(body_cap: u64) -> PolicyBuilder {
        PolicyBuilder { body_cap, answer_within: None, provider_waits: PROVIDER_WAITS }
    }

    /// The largest body that is taken, in bytes. A receiver that collects the body needs to hold no more.
    #[must_use]
    pub const fn body_cap(&self) -> u64 {
        self.body_cap
    }

    /// The time from the first byte of the request head to the answer.
    #[must_use]
    pub const fn answer_within(&self) -> Span {
        self.answer_within
    }
}

/// Builds a [`Policy`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PolicyBuilder {
    body_cap: u64,
    answer_within: Option<Span>,
    provider_waits: Span,
}

impl PolicyBuilder {
    /// The time from the first byte of the request head to the answer. Unless set, five sixths of the provider's, 2500 ms of 3000 ms: the
    /// rest is for the network.
    #[must_use]
    pub const fn answer_within(mut self, span: Span) -> Self {
        self.answer_within = Some(span);
        self
    }

    /// How long the provider waits for the answer; [`PROVIDER_WAITS`] unless set.
    #[must_use]
    pub const fn provider_waits(mut self, span: Span) -> Self {
        self.provider_waits = span;
        self
    }

    /// The policy.
    ///
    /// # Errors
    /// No callback could ever be answered 200 in time under these rules.
    pub const fn build(self) -> Result<Policy, PolicyError> {
        if self.body_cap == 0 {
            return Err(PolicyError::NoBody);
        }
        let provider_waits = self.provider_waits;
        let answer_within = match self.answer_within {
            Some(span) => span,
            None => Span::millis(provider_waits.as_millis() - provider_waits.as_millis() / 6),
        };
        if answer_within.as_millis() >= provider_waits.as_millis() {
            return Err(PolicyError::AnswersTooLate { answer_within, provider_waits });
        }
        Ok(Policy { body_cap: self.body_cap, answer_within })
    }
}

/// Why a policy is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PolicyError {
    /// The body cap is 0: every callback would be refused.
    NoBody,
    /// Our deadline does not lie before the provider's.
    AnswersTooLate {
        /// Our deadline.
        answer_within: Span,
        /// The provider's.
        provider_waits: Span,
    },
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBody => {
                f.write_str("body_cap is 0 bytes, so that every callback would be refused: allow at least 1")
            }
            Self::AnswersTooLate { answer_within, provider_waits } => write!(
                f,
                "answer_within is {answer_within:?} but the provider gives up after {provider_waits:?}: answer sooner"
            ),
        }
    }
}

impl core::error::Error for PolicyError {}

/// One callback on its way in.
///
/// It is never stored: when the process dies its connection dies with it. What survives is the record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Receipt {
    op: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum State {
    /// The first byte of the head has arrived.
    AwaitingHead { until: Instant },
    /// The head is in order; the body arrives.
    Receiving { bytes: u64, media_type_is_json: bool, until: Instant },
    /// The body is worth keeping; the store owes a commit.
    Recording { until: Instant },
    /// Answered 503, or nobody is left to answer; the store still owes a commit.
    Late,
    /// Nothing is awaited.
    Over,
}

/// What happened to a callback.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Input {
    /// Time passed.
    Tick,
    /// The request head was read; [`Input::head`] makes this from the header fields.
    Head {
        /// The method is `POST`.
        method_is_post: bool,
        /// The media type is `application/json`, whatever its case and parameters.
        media_type_is_json: bool,
        /// The length that the head announces.
        content_length: Option<u64>,
    },
    /// Bytes of the body arrived. Step before hashing or keeping them: after the answer 413 they are of no use.
    Chunk {
        /// How many.
        len: u32,
    },
    /// The body is complete and was checked.
    Complete {
        /// Whether anybody vouches for the bytes.
        authenticity: Authenticity,
        /// The codec could read the body.
        readable: bool,
    },
    /// The record is durable.
    Committed(CommitReceipt),
    /// The record is not durable, and no commit of it will come; or the body that arrives cannot be kept.
    StorageFailed {
        /// The number that [`Action::Record`] carried.
        op: u64,
    },
    /// The peer went away, or the body broke off.
    Disconnected,
}

impl Input {
    /// [`Input::Head`] from the parts of a request head as received (RFC 9110: methods are case-sensitive, media types are not).
    #[must_use]
    pub fn head(method: &str, content_type: Option<&[u8]>, content_length: Option<u64>) -> Self {
        let media_type = content_type.and_then(|value| value.split(|byte| *byte == b';').next());
        Self::Head {
            method_is_post: method == "POST",
            media_type_is_json: media_type
                .is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(b"application/json")),
            content_length,
        }
    }
}

/// What the driver must do; see the module's documentation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Commit the body.
    Record {
        /// The number that the completion repeats.
        op: u64,
    },
    /// Send this answer.
    Answer(Answer),
    /// The record at `position` is durable: step the session with it.
    Apply {
        /// Where the record stands in the journal.
        position: u64,
        /// Whether the same bytes had been recorded before.
        duplicate: bool,
    },
    /// There is no record (yet): step the session with this callback, which is not evidence.
    Hint(Callback),
}

/// At most three: the answer that the deadline forces, its hint, and what the input itself brings.
pub type ReceiptActions = Actions<Action, 3>;

impl Receipt {
    /// A callback whose request head began to arrive at `first_byte`; where the server does not tell, when its connection was
    /// accepted or became idle. `op` tells it from every other callback in this process and comes back with [`Action::Record`].
    #[must_use]
    pub const fn start(op: u64, first_byte: Instant, policy: &Policy) -> Self {
        Self { op, state: State::AwaitingHead { until: first_byte.after(policy.answer_within) } }
    }

    /// The deadline that decides what is answered, once it has passed.
    fn expire(&mut self, now: Instant, actions: &mut ReceiptActions) -> bool {
        let until = match self.state {
            State::AwaitingHead { until } | State::Receiving { until, .. } | State::Recording { until } => {
                until
            }
            State::Late | State::Over => return false,
        };
        if now < until {
            return false;
        }
        if let State::Recording { .. } = self.state {
            actions.push(Action::Answer(Answer::refused(Refusal::Late)));
            actions.push(Action::Hint(Callback::Unsigned));
            self.state = State::Late;
        } else {
            self.refuse(Refusal::Late, actions);
        }
        true
    }

    fn refuse(&mut self, refusal: Refusal, actions: &mut ReceiptActions) {
        actions.push(Action::Answer(Answer::refused(refusal)));
        self.state = State::Over;
    }

    /// The body is complete: is it worth keeping?
    fn judge(
        &mut self,
        bytes: u64,
        media_type_is_json: bool,
        until: Instant,
        authenticity: Authenticity,
        readable: bool,
        actions: &mut ReceiptActions,
    ) {
        if bytes == 0 {
            return self.refuse(Refusal::Empty, actions);
        }
        match authenticity {
            // A retry would bring the same bytes: a signed body is taken as it is, whatever its media type and form.
            Authenticity::Signed => {}
            Authenticity::Wrong | Authenticity::Missing => {
                if readable {
                    actions.push(Action::Hint(Callback::WrongSignature));
                }
                return self.refuse(Refusal::Unauthenticated, actions);
            }
            Authenticity::Unsigned => {
                if !media_type_is_json {
                    return self.refuse(Refusal::MediaType, actions);
                }
                if !readable {
                    return self.refuse(Refusal::Unreadable, actions);
                }
            }
        }
        actions.push(Action::Record { op: self.op });
        self.state = State::Recording { until };
    }

    fn take(&mut self, policy: &Policy, input: Input, actions: &mut ReceiptActions) -> Disposition {
        match input {
            Input::Tick => Disposition::NoOp,
            Input::Head { method_is_post, media_type_is_json, content_length } => match self.state {
                State::AwaitingHead { until } => {
                    if !method_is_post {
                        self.refuse(Refusal::Method, actions);
                    } else if content_length.is_some_and(|length| length > policy.body_cap) {
                        self.refuse(Refusal::TooLarge, actions);
                    } else {
                        self.state = State::Receiving { bytes: 0, media_type_is_json, until };
                    }
                    Disposition::Applied
                }
                State::Over => Disposition::Stale,
                State::Receiving { .. } | State::Recording { .. } | State::Late => Disposition::Illegal,
            },
            Input::Chunk { len } => match self.state {
                State::Receiving { bytes, media_type_is_json, until } => {
                    let bytes = bytes.saturating_add(u64::from(len));
                    if len == 0 {
                        return Disposition::NoOp;
                    }
                    if bytes > policy.body_cap {
                        self.refuse(Refusal::TooLarge, actions);
                    } else {
                        self.state = State::Receiving { bytes, media_type_is_json, until };
                    }
                    Disposition::Applied
                }
                State::Over => Disposition::Stale,
                State::AwaitingHead { .. } | State::Recording { .. } | State::Late => Disposition::Illegal,
            },
            Input::Complete { authenticity, readable } => match self.state {
                State::Receiving { bytes, media_type_is_json, until } => {
                    self.judge(bytes, media_type_is_json, until, authenticity, readable, actions);
                    Disposition::Applied
                }
                State::Over => Disposition::Stale,
                State::AwaitingHead { .. } | State::Recording { .. } | State::Late => Disposition::Illegal,
            },
            // Another callback's proof: the driver mixed them up.
            Input::Committed(proof) if proof.op() != self.op => Disposition::Illegal,
            Input::Committed(proof) => match self.state {
                State::Recording { .. } => {
                    actions.push(Action::Answer(Answer::recorded(&proof)));
                    self.apply(proof, actions)
                }
                State::Late => self.apply(proof, actions),
                State::Over => Disposition::Stale,
                State::AwaitingHead { .. } | State::Receiving { .. } => Disposition::Illegal,
            },
            Input::StorageFailed { op } if op != self.op => Disposition::Illegal,
            Input::StorageFailed { .. } => match self.state {
                State::Recording { .. } => {
                    actions.push(Action::Hint(Callback::Unsigned));
                    self.refuse(Refusal::Storage, actions);
                    Disposition::Applied
                }
                State::Late => {
                    self.state = State::Over;
                    Disposition::Applied
                }
                State::Receiving { .. } => {
                    self.refuse(Refusal::Storage, actions);
                    Disposition::Applied
                }
                State::Over => Disposition::Stale,
                State::AwaitingHead { .. } => Disposition::Illegal,
            },
            Input::Disconnected => match self.state {
                State::AwaitingHead { .. } | State::Receiving { .. } => {
                    self.state = State::Over;
                    Disposition::Applied
                }
                State::Recording { .. } => {
                    actions.push(Action::Hint(Callback::Unsigned));
                    self.state = State::Late;
                    Disposition::Applied
                }
                State::Late | State::Over => Disposition::NoOp,
            },
        }
    }

    fn apply(&mut self, proof: CommitReceipt, actions: &mut ReceiptActions) -> Disposition {
        actions.push(Action::Apply { position: proof.position(), duplicate: proof.duplicate() });
        self.state = State::Over;
        Disposition::Applied
    }
}

impl Machine for Receipt {
    type Policy = Policy;
    type Input = Input;
    type Action = Action;
    type Actions = ReceiptActions;

    const TICK: Input = Input::Tick;

    fn step(&mut self, cx: Cx<'_, Policy>, input: Input) -> Step<ReceiptActions> {
        let mut actions = Actions::NONE;
        let expired = self.expire(cx.now, &mut actions);
        let taken = self.take(cx.policy, input, &mut actions);
        let disposition = if expired && input == Input::Tick { Disposition::Applied } else { taken };
        Step { actions, next: self.next(cx.policy), disposition }
    }

    fn next(&self, _policy: &Policy) -> Next {
        match self.state {
            State::AwaitingHead { until } | State::Receiving { until, .. } | State::Recording { until } => {
                Next::At(until)
            }
            State::Late => Next::Input,
            State::Over => Next::Over,
        }
    }

    fn outstanding(&self, _policy: &Policy) -> ReceiptActions {
        match self.state {
            State::Recording { .. } | State::Late => Actions::one(Action::Record { op: self.op }),
            State::AwaitingHead { .. } | State::Receiving { .. } | State::Over => Actions::NONE,
        }
    }

    fn map_times(&mut self, mut f: impl FnMut(Instant) -> Instant) {
        match &mut self.state {
            State::AwaitingHead { until } | State::Receiving { until, .. } | State::Recording { until } => {
                *until = f(*until);
            }
            State::Late | State::Over => {}
        }
    }
}

impl Describe for Receipt {
    const NAME: &'static str = "receipt";

    const TRANSITIONS: &'static [Transition] = &[
        row("AwaitingHead", "Head", "Receiving"),
        row("AwaitingHead", "Head", "Over"),
        row("AwaitingHead", "Disconnected", "Over"),
        row("AwaitingHead", "Tick", "Over"),
        row("Receiving", "Chunk", "Over"),
        row("Receiving", "Complete", "Recording"),
        row("Receiving", "Complete", "Over"),
        row("Receiving", "StorageFailed", "Over"),
        row("Receiving", "Disconnected", "Over"),
        row("Receiving", "Tick", "Over"),
        row("Recording", "Committed", "Over"),
        row("Recording", "StorageFailed", "Over"),
        row("Recording", "Disconnected", "Late"),
        row("Recording", "Tick", "Late"),
        row("Late", "Committed", "Over"),
        row("Late", "StorageFailed", "Over"),
    ];

    fn state(&self) -> &'static str {
        match self.state {
            State::AwaitingHead { .. } => "AwaitingHead",
            State::Receiving { .. } => "Receiving",
            State::Recording { .. } => "Recording",
            State::Late => "Late",
            State::Over => "Over",
        }
    }

    fn input_name(input: &Input) -> &'static str {
        match input {
            Input::Tick => "Tick",
            Input::Head { .. } => "Head",
            Input::Chunk { .. } => "Chunk",
            Input::Complete { .. } => "Complete",
            Input::Committed(_) => "Committed",
            Input::StorageFailed { .. } => "StorageFailed",
            Input::Disconnected => "Disconnected",
        }
    }
}

const _: () = assert!(size_of::<Receipt>() <= 40);
