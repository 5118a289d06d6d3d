//! What an engine asks of whoever drives it, and what comes back.

use super::Moment;
use super::hand_over::HandOver;
use super::report::{Body, Event, Opened};
use super::storing::{Lookup, StoreTask};
use crate::evidence::{Fault, FaultKind, Outcome};
use crate::fleet::{AccountId, Key};
use crate::http::{Failure, Received, Request};
use crate::provider::{Provider, PullAnswer, TokenAnswer};
use crate::secret::Secret;
use crate::store::{Saved, SavedSession};
use crate::time::{Instant, Span};
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use zeroize::Zeroizing;

/// Something to be done. Start it, never wait for it inside the sink; its completion goes to [`super::Engine::complete`], in any order and
/// at any time.
#[must_use = "start it, and complete the engine with what came of it"]
#[derive(Debug)]
pub enum Task {
    /// Make one HTTP exchange.
    Call(Call),
    /// Ask the store. Store tasks may run at the same time; the engine never has two saves of one session under way.
    Store(StoreTask),
    /// Give a revision to the application.
    HandOver(HandOver),
    /// What became of an opening; there is nothing to complete.
    Opened(Opened),
    /// Tell whoever wants to know; there is nothing to complete.
    Tell(Event),
}

/// One HTTP exchange with a provider.
///
/// Send [`Call::request`] as it stands, and complete with [`Call::answered`], both on any thread: the provider's codec writes the one and reads
/// the other, which takes its time where the answer is long. A call that is dropped without a completion counts as timed out in the end.
#[must_use = "send it and complete the engine with what came of it"]
pub struct Call {
    pub(super) purpose: Purpose,
    pub(super) provider: Arc<dyn Provider>,
    /// The token that it carries.
    pub(super) token: Option<Secret>,
    pub(super) until: Instant,
}

/// What a call is for.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    Pull { key: Key, op: u32, account: AccountId, generation: u32, id: Arc<str> },
    Token { account: AccountId, op: u32 },
}

impl Call {
    /// The request, complete: nothing is added but framing.
    #[must_use]
    pub fn request(&self) -> Request {
        let mut request = Request::new();
        match &self.purpose {
            Purpose::Pull { id, .. } => self.provider.pull_request(id, self.token.as_ref(), &mut request),
            Purpose::Token { .. } => {
                // An account that has none is refused when it is made.
                self.provider.token_request(&mut request);
            }
        }
        request
    }

    /// When nobody waits for the answer any more; from then on another call may be on its way.
    #[must_use]
    pub const fn until(&self) -> Instant {
        self.until
    }

    /// How long it may take from now on.
    ///
    /// # Errors
    /// Its time is over: it waited too long for its turn, and must not be sent. Complete with this failure.
    pub fn within(&self, now: Instant) -> Result<Span, Failure> {
        now.until(self.until).ok_or_else(|| {
            let diagnosis =
                "not sent: its time was over before its turn came; allow more calls at the same time";
            Failure { kind: FaultKind::TimedOut, diagnosis: diagnosis.to_owned() }
        })
    }

    /// Does it where an exchange may be waited for: `exchange` sends the request and takes no longer than it is told. It is not called where the
    /// call's time is over. A `Retry-After` that is a date is counted from `moment`, so from before the exchange.
    pub fn perform(
        self,
        moment: Moment,
        exchange: impl FnOnce(&Request, Span) -> Result<Received, Failure>,
    ) -> Completion {
        let result = self.within(moment.now).and_then(|within| exchange(&self.request(), within));
        self.answered(result, moment.unix_ms)
    }

    /// The provider's name.
    #[must_use]
    pub fn provider_name(&self) -> &'static str {
        self.provider.name()
    }

    /// The verification that is pulled; `None` for a token request.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        match &self.purpose {
            Purpose::Pull { id, .. } => Some(id),
            Purpose::Token { .. } => None,
        }
    }

    /// Completes this call with a failure, also where the call itself is gone: its codec or its transport panicked, or was dropped.
    pub fn ticket(&self) -> Ticket {
        Ticket(self.purpose.clone())
    }

    /// The completion: reads the answer as the provider means it. `unix_ms`, the wall clock in milliseconds since 1970, serves only
    /// `Retry-After` dates.
    pub fn answered(self, result: Result<Received, Failure>, unix_ms: u64) -> Completion {
        let mut received = match result {
            Ok(received) => received,
            Err(failure) => return self.ticket().failed(failure),
        };
        let unix_seconds = Some(unix_ms / 1_000);
        match self.purpose {
            Purpose::Pull { key, op, account, generation, id } => {
                let answer = received.lend(|answer| self.provider.read_pull(&id, answer, unix_seconds));
                let body = match answer.outcome {
                    Outcome::Report(_) => Arc::new(Zeroizing::new(core::mem::take(&mut received.body))),
                    Outcome::NotReady(_) | Outcome::Refused | Outcome::Failed(_) => Body::default(),
                };
                Completion(Done::Pulled { key, op, account, generation, answer, body, reached: true })
            }
            Purpose::Token { account, op } => {
                let answer = received.lend(|answer| self.provider.read_token(answer, unix_seconds));
                Completion(Done::Token { account, op, answer })
            }
        }
    }
}

impl fmt::Debug for Call {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("purpose", &self.purpose)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

/// Names a call; see [`Call::ticket`].
#[derive(Clone, Debug)]
pub struct Ticket(pub(super) Purpose);

impl Ticket {
    /// The completion of a call that brought no answer.
    pub fn failed(self, failure: Failure) -> Completion {
        let fault = failure.fault();
        match self.0 {
            Purpose::Pull { key, op, account, generation, .. } => {
                let answer = PullAnswer {
                    outcome: Outcome::Failed(fault),
                    alias: None,
                    event: None,
                    unsigned_answer: false,
                    diagnosis: Some(failure.diagnosis),
                };
                Completion(Done::Pulled {
                    key,
                    op,
                    account,
                    generation,
                    answer,
                    body: Body::default(),
                    reached: false,
                })
            }
            Purpose::Token { account, op } => {
                let answer = TokenAnswer::Failed { fault, diagnosis: Some(failure.diagnosis) };
                Completion(Done::Token { account, op, answer })
            }
        }
    }

    /// The completion of a call whose codec or transport panicked: it failed like any other.
    pub fn panicked(self) -> Completion {
        let Fault { kind, .. } = Fault { kind: FaultKind::Malformed, retry_after: None };
        self.failed(Failure { kind, diagnosis: "the call panicked".to_owned() })
    }
}

/// What came of a task, for [`super::Engine::complete`].
#[must_use = "the engine waits for it"]
pub struct Completion(pub(super) Done);

impl fmt::Debug for Completion {
    /// Without bodies and tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match &self.0 {
            Done::Pulled { .. } => "Pulled",
            Done::Token { .. } => "Token",
            Done::Handled { .. } => "Handled",
            Done::Withdrawn => "Withdrawn",
            Done::Saved { .. } => "Saved",
            Done::Confirmed { .. } => "Confirmed",
            Done::Marked { .. } => "Marked",
            Done::Looked { .. } => "Looked",
        };
        write!(f, "Completion({name})")
    }
}

pub(super) enum Done {
    Pulled {
        key: Key,
        op: u32,
        /// The session may be gone by then, the account is not.
        account: AccountId,
        generation: u32,
        answer: PullAnswer,
        /// The raw body of an answer that states something; empty for others.
        body: Body,
        /// An HTTP answer arrived, whatever it says.
        reached: bool,
    },
    Token {
        account: AccountId,
        op: u32,
        answer: TokenAnswer,
    },
    Handled {
        key: Key,
        number: u32,
        attempt: u8,
        result: Result<(), String>,
    },
    /// A hand-over that was never begun.
    Withdrawn,
    Saved {
        key: Key,
        number: u32,
        result: Result<Saved, String>,
    },
    Confirmed {
        key: Key,
        number: u32,
        result: Result<(), String>,
    },
    Marked {
        result: Result<(), String>,
    },
    Looked {
        lookup: Lookup,
        result: Result<Vec<SavedSession>, String>,
    },
}
