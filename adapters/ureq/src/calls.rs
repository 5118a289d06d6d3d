//! The calls to a provider, made on threads of their own: fills in the request, sends it, lets the codec read the answer.

use crate::session::Body;
use crate::transport::{Failure, Transport};
use idv_core::evidence::{Fault, FaultKind, Outcome};
use idv_core::http::Request;
use idv_core::provider::{Provider, PullAnswer, TokenAnswer};
use idv_core::secret::Secret;
use idv_core::time::{Instant, Span};
use idv_host::Clock;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Makes calls. Clones share the connections.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// What came of a pull.
pub(crate) struct Pulled {
    pub(crate) answer: PullAnswer,
    /// The raw body of the answer; empty where there was no answer.
    pub(crate) body: Body,
    /// An HTTP answer arrived, whatever it says.
    pub(crate) reached: bool,
}

impl Caller {
    /// Asks for the present state of the verification `id`, before `until`.
    pub(crate) fn pull(
        &self,
        provider: &dyn Provider,
        id: &str,
        token: Option<&Secret>,
        until: Instant,
    ) -> Pulled {
        let mut request = Request::new();
        provider.pull_request(id, token, &mut request);
        match self.send(&request, until) {
            Ok(mut received) => {
                let answer =
                    received.lend(|answer| provider.read_pull(id, answer, Some(self.unix_seconds())));
                Pulled {
                    answer,
                    body: Arc::new(Zeroizing::new(std::mem::take(&mut received.body))),
                    reached: true,
                }
            }
            Err(failure) => Pulled::failed(failure),
        }
    }

    /// Asks for a token, before `until`.
    pub(crate) fn token(&self, provider: &dyn Provider, until: Instant) -> TokenAnswer {
        let mut request = Request::new();
        if !provider.token_request(&mut request) {
            // The machine was told to want a token where the account has none to give.
            let fault = Fault { kind: FaultKind::Malformed, retry_after: None };
            return TokenAnswer::Failed { fault, diagnosis: Some("this account needs no token".to_owned()) };
        }
        match self.send(&request, until) {
            Ok(received) => received.lend(|answer| provider.read_token(answer, Some(self.unix_seconds()))),
            Err(failure) => {
                TokenAnswer::Failed { fault: failure.fault(), diagnosis: Some(failure.diagnosis) }
            }
        }
    }

    fn send(&self, request: &Request, until: Instant) -> Result<crate::Received, Failure> {
        // Time spent waiting for a free thread is part of the call's time: the machine stops waiting at `until`, and from then on
        // another call may be on its way.
        let within: Span = self.clock.now().until(until).ok_or_else(no_thread)?;
        self.transport.send(request, within)
    }

    fn unix_seconds(&self) -> u64 {
        self.clock.unix_ms() / 1_000
    }
}

impl Pulled {
    pub(crate) fn failed(failure: Failure) -> Self {
        let answer = PullAnswer {
            outcome: Outcome::Failed(failure.fault()),
            alias: None,
            event: None,
            unsigned_answer: false,
            diagnosis: Some(failure.diagnosis),
        };
        Self { answer, body: Body::default(), reached: false }
    }
}

/// All threads for calls were busy for as long as the call might have taken.
pub(crate) fn no_thread() -> Failure {
    let diagnosis = "not sent: every thread for calls is busy; allow more of them".to_owned();
    Failure { kind: FaultKind::TimedOut, diagnosis }
}
