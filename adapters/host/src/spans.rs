//! The spans in which every adapter does its work: the same names, levels and fields in each. `docs/adapters.md` lists them.
//!
//! None holds a token, a header field, a body, or what an application says of its own error (G10).

use idv_core::engine::{Call, CallbackEvent, CallbackOutcome, HandOver, StoreTask};
use idv_core::http::{Failure, Received};
use tracing::Span;
use tracing::field::Empty;

/// One exchange with a provider, from the moment its turn comes until its answer is read. A token request has no `id`.
#[must_use]
pub fn call(call: &Call) -> Span {
    tracing::debug_span!("call", provider = call.provider_name(), id = call.id())
}

/// What came of an exchange, told within its span.
pub fn exchanged(result: &Result<Received, Failure>) {
    match result {
        Ok(answer) => tracing::debug!(status = answer.status, bytes = answer.body.len(), "answered"),
        Err(failure) => tracing::debug!(fault = failure.kind.as_str(), "no answer: {}", failure.diagnosis),
    }
}

/// One attempt at giving a revision to the application.
#[must_use]
pub fn hand_over(hand_over: &HandOver) -> Span {
    let (provider, id, number) = hand_over.key();
    tracing::debug_span!("hand_over", provider, id, number, attempt = hand_over.attempt())
}

/// One question to the store, or one change of it; see [`StoreTask`].
pub(crate) fn store(task: &StoreTask) -> Span {
    tracing::debug_span!("store", task = cut(&format!("{task:?}")))
}

/// The most that is shown of an id, in bytes: anybody may post a callback, and name in it whatever they like at whatever length.
const MOST_SHOWN: usize = 256;

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MOST_SHOWN)).unwrap_or_default()
}

/// One callback, from its head until nothing more is done about it. `op` tells it from the others of this process.
pub(crate) fn callback(provider: &'static str, op: u64) -> Span {
    tracing::debug_span!("callback", provider, op, id = Empty, status = Empty)
}

/// The store's part of recording a callback.
pub(crate) fn record(callback: &Span) -> Span {
    tracing::debug_span!(parent: callback, "record")
}

/// What became of a callback.
pub(crate) fn became(callback: &Span, event: &CallbackEvent) {
    if let Some(id) = &event.id {
        callback.record("id", cut(id));
    }
    match event.outcome {
        CallbackOutcome::Recorded { position, duplicate } => {
            tracing::debug!(position, duplicate, "recorded");
        }
        CallbackOutcome::Refused { status, explanation } => tracing::debug!(status, explanation, "refused"),
    }
}
