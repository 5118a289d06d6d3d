//! What is done for a callback away from its reception, and what comes of it.

use super::Endpoint;
use crate::evidence::{Callback, Verdict};
use crate::lifecycle;
use crate::provider::{Authenticity, CallbackCheck, CallbackReading, Checked, Unreadable};
use crate::session::EvidencePolicy;
use crate::store::{AsyncJournal, CommitReceipt, Journal, Record};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use zeroize::Zeroizing;

/// A body to be hashed and read.
pub struct Examine {
    pub(super) op: u64,
    pub(super) endpoint: Endpoint,
    pub(super) check: Box<dyn CallbackCheck>,
    pub(super) body: Zeroizing<Vec<u8>>,
    pub(super) received_unix_ms: u64,
}

impl Examine {
    /// The length of the body, in bytes: what [`Examine::perform`] takes grows with it, some milliseconds for the largest.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.body.len()
    }

    /// Finds out who vouches for the body and what it says.
    #[must_use]
    pub fn perform(self) -> Examined {
        let Self { op, endpoint: Endpoint { provider, evidence, .. }, mut check, body, received_unix_ms } =
            self;
        check.update(&body);
        let mut checked = check.finish();
        let reading = match evidence {
            EvidencePolicy::ConfirmByPull => provider.read_hint(&body, &checked),
            EvidencePolicy::TrustSigned => provider.read_callback(&body, &checked),
        };
        let remark = remark(checked.remark.take(), reading.deviation);
        let (provider, body) = (provider.name(), Arc::new(body));
        let payload = Payload { provider, body, checked, reading, remark, received_unix_ms };
        Examined { op, payload: Arc::new(payload) }
    }
}

impl fmt::Debug for Examine {
    /// Without the body: it is about a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Examine({}, {} bytes)", self.op, self.body.len())
    }
}

/// What checking it and reading it had to remark.
fn remark(checked: Option<String>, deviation: Option<&str>) -> Option<String> {
    match (checked, deviation) {
        (Some(checked), Some(deviation)) => Some(checked + "; " + deviation),
        (checked, deviation) => checked.or_else(|| deviation.map(Into::into)),
    }
}

/// A body that was examined.
#[derive(Debug)]
pub struct Examined {
    pub(super) op: u64,
    pub(super) payload: Arc<Payload>,
}

/// What was read from one callback.
pub(super) struct Payload {
    pub(super) provider: &'static str,
    pub(super) body: Arc<Zeroizing<Vec<u8>>>,
    pub(super) checked: Checked,
    pub(super) reading: CallbackReading,
    pub(super) remark: Option<String>,
    pub(super) received_unix_ms: u64,
}

impl fmt::Debug for Payload {
    /// Without what the body says: it is about a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload")
            .field("provider", &self.provider)
            .field("authenticity", &self.checked.authenticity)
            .field("id", &self.reading.id)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// A callback to be recorded.
#[derive(Debug)]
pub struct Recording {
    pub(super) op: u64,
    pub(super) payload: Arc<Payload>,
}

impl Recording {
    /// The number that the proof must carry: that of the [`Reception`](super::Reception).
    #[must_use]
    pub const fn op(&self) -> u64 {
        self.op
    }

    /// What is to be committed.
    #[must_use]
    pub fn record(&self) -> Record<'_> {
        let Payload { provider, body, checked, reading, remark, received_unix_ms } = &*self.payload;
        Record {
            provider,
            digest: checked.digest,
            authenticity: checked.authenticity,
            id: reading.id.as_deref(),
            event: reading.event.as_deref(),
            remark: remark.as_deref(),
            received_unix_ms: *received_unix_ms,
            body,
        }
    }

    /// Commits it. May block for as long as the journal does.
    ///
    /// # Errors
    /// What the journal says: [`Reception::not_recorded`](super::Reception::not_recorded).
    pub fn perform<J: Journal + ?Sized>(&self, journal: &mut J) -> Result<CommitReceipt, J::Error> {
        CommitReceipt::obtain(journal, self.op, &self.record())
    }

    /// As [`Recording::perform`], with a journal that does not block.
    ///
    /// # Errors
    /// As [`Recording::perform`].
    pub async fn perform_async<J: AsyncJournal>(&self, journal: &mut J) -> Result<CommitReceipt, J::Error> {
        CommitReceipt::obtain_async(journal, self.op, &self.record()).await
    }
}

/// A callback on its way to the engine, which steps the session that it names.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub(super) position: Option<u64>,
    pub(super) callback: Callback,
    pub(super) payload: Arc<Payload>,
}

impl Arrived {
    /// The provider's name.
    #[must_use]
    pub fn provider(&self) -> &'static str {
        self.payload.provider
    }

    /// The verification that the body names, as the provider spells it.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.payload.reading.id.as_deref()
    }

    /// A second id of the same verification.
    #[must_use]
    pub fn alias(&self) -> Option<&str> {
        self.payload.reading.alias.as_deref()
    }

    /// Where the record stands in the journal; `None` for what is only a hint, and no record or not yet one.
    #[must_use]
    pub const fn position(&self) -> Option<u64> {
        self.position
    }

    /// What it means to the session.
    #[must_use]
    pub const fn callback(&self) -> Callback {
        self.callback
    }

    /// The verdict that the body states, whoever vouches for it.
    #[must_use]
    pub fn claims(&self) -> Option<Verdict> {
        self.payload.reading.claims
    }

    /// The documented event that the body states.
    pub(in crate::engine) fn stated(&self) -> Option<lifecycle::Event> {
        self.payload.reading.stated
    }

    /// The raw body. Personal data: overwritten when the last copy is dropped.
    #[must_use]
    pub fn body(&self) -> &Arc<Zeroizing<Vec<u8>>> {
        &self.payload.body
    }
}

/// What became of one callback, for logs and listeners; without its contents.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CallbackEvent {
    /// The provider's name.
    pub provider: &'static str,
    /// The verification that the body names. Of a body that nobody vouches for this is a claim.
    pub id: Option<String>,
    /// The member of the body that the id stood in (ShareID: `flow_id`, `applicant_id`).
    pub id_member: Option<&'static str>,
    /// The provider's own event word, as the body gives it.
    pub event: Option<String>,
    /// Who vouches for the bytes; `None` when the body did not arrive whole.
    pub authenticity: Option<Authenticity>,
    /// SHA-256 of the raw body; `None` when it did not arrive whole.
    pub digest: Option<[u8; 32]>,
    /// What checking and reading it had to remark: which rule and which secret matched, that it departs from the documents, ….
    pub remark: Option<String>,
    /// Why it could not be read.
    pub unreadable: Option<Unreadable>,
    /// What became of it.
    pub outcome: CallbackOutcome,
}

/// What became of one callback.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallbackOutcome {
    /// It is recorded.
    Recorded {
        /// Where it stands in the journal.
        position: u64,
        /// The same bytes had been recorded before.
        duplicate: bool,
    },
    /// It was answered with something other than 200. An event [`CallbackOutcome::Recorded`] may still follow a 503.
    Refused {
        /// The status of the answer.
        status: u16,
        /// Why, in one line.
        explanation: &'static str,
    },
}
