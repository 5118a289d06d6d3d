//! What happens besides revisions and callbacks, for the log.

use idv_ureq::Event;
use std::sync::{Mutex, PoisonError};

/// Logs events. A trouble that goes on is a warning once; its repetitions show under `debug`.
#[derive(Default)]
pub(crate) struct Log(Mutex<Option<String>>);

impl Log {
    /// Whether this is no repetition of what was said last.
    fn is_new(&self, said: Option<String>) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = *last != said;
        *last = said;
        is_new
    }

    pub(crate) fn event(&self, event: &Event) {
        match event {
            Event::Pulled { provider, id, op, outcome, diagnosis, unsigned_answer, .. } => {
                let unsigned = unsigned_answer
                    .then_some("the answer carries no signature; it was believed all the same");
                let said = diagnosis.as_deref().or(unsigned);
                let is_new = self.is_new(said.map(|said| format!("{provider} {id}: {said}")));
                // As text, not as Display: an id comes from outside.
                let id = &**id;
                match said {
                    Some(said) if is_new => tracing::warn!(provider, id, op, "{said}"),
                    Some(said) => tracing::debug!(provider, id, op, ?outcome, "again: {said}"),
                    None => tracing::debug!(provider, id, op, ?outcome, "pulled"),
                }
            }
            Event::NoToken { provider, refused, diagnosis } => {
                let why = diagnosis.as_deref().unwrap_or("no reason given");
                if self.is_new(Some(format!("{provider}: {why}"))) {
                    tracing::warn!(provider, refused, "no token: {why}");
                } else {
                    tracing::debug!(provider, refused, "again no token: {why}");
                }
            }
            Event::CredentialsRefused { provider } => {
                tracing::error!(provider, "the credentials were refused for good");
            }
            Event::Crowded { provider, expected, deadline } => tracing::warn!(
                provider,
                "by the cadence and the limit of calls each verification is pulled only every {expected:?}, and the deadline is \
                 {deadline:?}; raise --deadline, or lower --cadence and raise --calls-per-minute as far as the account allows"
            ),
            Event::HandOverFailed { provider, id, number, attempt, error } => {
                tracing::warn!(provider, id = &**id, number, attempt, "a revision was not taken: {error}");
            }
            Event::DeadLettered { provider, id, number } => {
                tracing::error!(provider, id = &**id, number, "a revision was given up");
            }
            Event::StoreFailed { error } => tracing::error!("the store failed: {error}"),
            Event::TakenOver { provider, id } => {
                tracing::warn!(provider, id = &**id, "another process drives this verification");
            }
            Event::Ended { provider, id, end, unconfirmed, .. } => {
                tracing::info!(provider, id = &**id, ?end, unconfirmed, "ended");
            }
            Event::Deviation { provider, id, remark, .. } => {
                tracing::info!(provider, id = &**id, "departs from the provider's documents: {remark}");
            }
            Event::HandedOver { provider, id, number } => {
                tracing::debug!(provider, id = &**id, number, "handed over");
            }
            Event::BroughtBack { provider, id } => {
                tracing::info!(provider, id = &**id, "known from before; its revision numbers go on");
            }
            Event::ListeningGap { millis } => {
                tracing::info!(millis, "callbacks may have been missed; what is settled is pulled once");
            }
            Event::LeftInStore { provider, id, problem } => {
                tracing::warn!(provider, id = id.as_deref(), "left in the store: {problem}");
            }
            Event::Callback(_) => {}
            // The enum is open: what a later release adds is shown as it is.
            #[allow(clippy::wildcard_enum_match_arm)]
            other => tracing::debug!("{other:?}"),
        }
    }
}
