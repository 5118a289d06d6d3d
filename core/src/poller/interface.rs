//! What a poller is told, and what it asks for.

use crate::time::Span;
use serde::{Deserialize, Serialize};

/// How urgently permission is asked for. Confirming and routine pulls are served in turn, audits when neither waits (R13).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Class {
    /// A hint waits for its confirmation.
    Confirming,
    /// The next pull of an open session.
    Routine,
    /// An audit of a settled session, a gap in listening, a callback with a wrong signature.
    Audit,
}

/// How a poller ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum End {
    /// The deadline, or the end of the watch, passed.
    Elapsed,
    /// The credential was refused twice in a row (R14).
    Refused,
    /// It was stopped.
    Stopped,
}

/// What a poller is told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// There is a reason to pull again.
    Hint {
        /// How urgent it is.
        class: Class,
        /// It is an authentic change signal: if the pull shows nothing new, further ones follow (R9).
        signal: bool,
    },
    /// The pull that was asked for may be sent now.
    Granted,
    /// Pull `op` was answered.
    Answered {
        /// The pull's number.
        op: u32,
        /// What the answer leaves to do.
        then: Then,
    },
    /// Pull `op` brought no usable answer.
    Failed {
        /// The pull's number.
        op: u32,
        /// How long the provider asked us to stay away.
        retry_after: Option<Span>,
    },
    /// Pull `op` was answered 401 or 403.
    Refused {
        /// The pull's number.
        op: u32,
    },
    /// A settling verdict is known by another road: watch from now on.
    Settled,
    /// Finish.
    Stop,
    /// The state comes from a snapshot: a pull in flight counts as failed, and the next one waits for the cadence (R11).
    Restored,
}

/// What an answer leaves to do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Then {
    /// A hint is still unsatisfied: pull again as soon as the cadence allows.
    Demand {
        /// The answer showed something new.
        news: bool,
    },
    /// No hint is open: back to the routine.
    Rest {
        /// The answer showed something new.
        news: bool,
    },
    /// No hint is open and a settling verdict is known: watch.
    Watch {
        /// The answer showed something new.
        news: bool,
    },
}

/// What a poller asks for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Permission for one pull; asked again when its class changes.
    Ask {
        /// How urgently.
        class: Class,
    },
    /// Send the pull.
    Pull {
        /// Its number, to be repeated by its completion.
        op: u32,
        /// How long it may take.
        within: Span,
    },
    /// Finished.
    Ended(End),
}
