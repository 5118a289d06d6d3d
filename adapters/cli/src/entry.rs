//! What the sandbox tells, in words.

use idv_sandbox::{Entry, Fate, Key, What};

/// An entry in a line with its time.
pub(crate) fn timed(entry: &Entry) -> String {
    format!("{:>8.1} s  {}", entry.at_ms as f64 / 1_000.0, what(entry))
}

/// The same without the time.
pub(crate) fn what(entry: &Entry) -> String {
    let provider = entry.provider.as_str();
    match &entry.what {
        What::Happened { id, event } => format!("{provider} {id}: {event}"),
        What::Call { method, path, id, status, said, fault } => {
            let about = id.as_deref().map(|id| format!(" about {id}")).unwrap_or_default();
            let fault = fault.map(|fault| format!(", struck by {fault:?}")).unwrap_or_default();
            let status = status.map(|status| format!("{status} ")).unwrap_or_default();
            format!("{provider} {method} {path}{about}: {status}{said}{fault}")
        }
        What::Callback { id, event, attempt, key, status, failed, then, .. } => {
            let key = match key {
                Key::Right => "",
                Key::Wrong => " with a wrong key",
                Key::None => " without a key",
            };
            let answer = match (status, failed) {
                (Some(status), None) => format!("answered {status}"),
                (Some(status), Some(cause)) => format!("answered {status}, counts as {cause:?}"),
                (None, Some(cause)) => format!("not answered: {cause:?}"),
                (None, None) => "not answered".to_owned(),
            };
            let then = match then {
                Fate::Waiting => ", comes again",
                Fate::Delivered => "",
                Fate::Dead => ", given up",
            };
            format!("{provider} callback {id}: {event}{key}, attempt {attempt} {answer}{then}")
        }
    }
}
