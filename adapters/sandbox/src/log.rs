//! What a sandbox saw and did: counted, listed, told as it happens. Nothing in it is secret; the only ids are those of verifications.

use crate::scenario::{AnswerFault, Key, Provider};
use idv_core::delivery::Cause;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};

/// Something that a sandbox saw or did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Entry {
    /// Real milliseconds since the sandbox was started.
    pub at_ms: u64,
    /// Who of the two.
    pub provider: Provider,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// See [`Entry`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// Something happened to a verification.
    Happened {
        /// The verification.
        id: String,
        /// The provider's word.
        event: String,
    },
    /// A call was answered.
    Call {
        /// The method.
        method: String,
        /// The path, without its query.
        path: String,
        /// The verification it was about.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The status that the provider gave, before a fault struck the answer; none to a call that it did not take in.
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// What the answer says, in a word or a few.
        said: String,
        /// What went wrong with the answer.
        #[serde(skip_serializing_if = "Option::is_none")]
        fault: Option<AnswerFault>,
    },
    /// An attempt to deliver a callback ended.
    Callback {
        /// The delivery it belongs to.
        delivery: u64,
        /// The verification.
        id: String,
        /// The event it names.
        event: String,
        /// Which attempt, from 1.
        attempt: u8,
        /// What vouched for it.
        key: Key,
        /// The status of the answer, also of one that the sandbox lost or that came too late.
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// Why the attempt counts as failed.
        #[serde(skip_serializing_if = "Option::is_none")]
        failed: Option<Cause>,
        /// What becomes of the delivery.
        then: Fate,
    },
}

/// What becomes of a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// An attempt is due or under way.
    Waiting,
    /// It was answered as it must be.
    Delivered,
    /// No attempt is left.
    Dead,
}

/// One callback and its attempts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Delivery {
    /// Its number, from 1.
    pub number: u64,
    /// Who sends it.
    pub provider: Provider,
    /// The verification.
    pub id: String,
    /// The event it names.
    pub event: String,
    /// Its body, byte for byte.
    #[serde(skip)]
    pub body: Arc<[u8]>,
    /// The attempts that have ended.
    pub attempts: Vec<Attempt>,
    /// What became of it.
    pub fate: Fate,
}

/// One attempt to deliver a callback.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Attempt {
    /// When it ended: real milliseconds since the sandbox was started.
    pub at_ms: u64,
    /// The status of the answer.
    pub status: Option<u16>,
    /// Why it counts as failed.
    pub failed: Option<Cause>,
}

/// What one provider counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Counts {
    /// Calls, whatever came of them.
    pub calls: u64,
    /// Tokens issued: fetch tokens of ShareID, access tokens of Shufti.
    pub tokens: u64,
    /// Verifications created.
    pub created: u64,
    /// Pulls with a good token: ShareID's fetches, Shufti's status calls.
    pub pulls: u64,
    /// Pulls that brought a result or a state.
    pub answered_pulls: u64,
    /// ShareID's pulls that came sooner after the one before than the advised cadence.
    pub pulls_too_soon: u64,
    /// Calls with credentials or tokens that are wrong, used up or expired.
    pub unauthorized: u64,
    /// Calls over the limit.
    pub limited: u64,
    /// Calls that make no sense.
    pub invalid: u64,
    /// Answers struck by a fault.
    pub faults: u64,
    /// Attempts to deliver a callback.
    pub attempts: u64,
    /// Callbacks delivered.
    pub delivered: u64,
    /// Callbacks given up.
    pub dead: u64,
}

/// What both counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Statistics {
    /// ShareID.
    pub shareid: Counts,
    /// Shufti Pro.
    pub shufti: Counts,
}

impl Statistics {
    /// What this provider counted.
    #[must_use]
    pub const fn of(&self, provider: Provider) -> &Counts {
        match provider {
            Provider::Shareid => &self.shareid,
            Provider::Shufti => &self.shufti,
        }
    }

    pub(crate) fn of_mut(&mut self, provider: Provider) -> &mut Counts {
        match provider {
            Provider::Shareid => &mut self.shareid,
            Provider::Shufti => &mut self.shufti,
        }
    }
}

/// The most entries that are kept; the oldest go first.
const MOST_ENTRIES: usize = 20_000;

/// The most entries that wait for a listener.
pub(crate) const MOST_UNREAD: usize = 4_096;

/// The entries so far, and who listens for more.
#[derive(Default)]
pub(crate) struct Log {
    entries: VecDeque<Entry>,
    listeners: Vec<SyncSender<Entry>>,
}

impl Log {
    pub(crate) fn push(&mut self, entry: Entry) {
        tracing::debug!(provider = entry.provider.as_str(), what = ?entry.what);
        // Nobody who reads slowly holds the providers up.
        self.listeners.retain(|listener| match listener.try_send(entry.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                tracing::warn!("a listener is {MOST_UNREAD} entries behind and misses one");
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        });
        if self.entries.len() >= MOST_ENTRIES {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    pub(crate) fn listen(&mut self, listener: SyncSender<Entry>) {
        self.listeners.push(listener);
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.entries.iter().cloned().collect()
    }
}
