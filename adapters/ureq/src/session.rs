//! What the driver keeps beside each session of the fleet: ids, bodies, and what waits for the store.

use idv_core::delivery::Delivery;
use idv_core::evidence::{ContentDigest, Evidence, Outcome, Verdict};
use idv_core::fleet::{AccountId, Action};
use idv_core::session;
use idv_core::store::{Keep, KeptBody, KeptBodyBuf};
use idv_core::time::Instant;
use std::collections::VecDeque;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A body, shared between the driver and whoever it is handed to.
pub(crate) type Body = Arc<Zeroizing<Vec<u8>>>;

/// The body behind a verdict.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) content: ContentDigest,
    pub(crate) evidence: Evidence,
    /// See [`KeptBody::unsigned_answer`].
    pub(crate) unsigned_answer: bool,
    pub(crate) body: Body,
}

impl Kept {
    pub(crate) fn restored(kept: KeptBodyBuf, content: ContentDigest) -> Self {
        Self {
            content,
            evidence: kept.evidence,
            unsigned_answer: kept.unsigned_answer,
            body: Arc::new(Zeroizing::new(kept.body.into_vec())),
        }
    }
}

/// One of the two kept bodies, and whether the store knows it.
#[derive(Default)]
pub(crate) struct Slot {
    kept: Option<Kept>,
    dirty: bool,
}

impl Slot {
    pub(crate) fn restored(kept: Option<Kept>) -> Self {
        Self { kept, dirty: false }
    }

    pub(crate) fn put(&mut self, kept: Option<Kept>) {
        self.dirty = self.dirty || kept.is_some() || self.kept.is_some();
        self.kept = kept;
    }

    fn holding(&self, content: ContentDigest) -> Option<&Kept> {
        self.kept.as_ref().filter(|kept| kept.content == content)
    }

    pub(crate) fn for_store(&self) -> Keep<'_> {
        match (&self.kept, self.dirty) {
            (_, false) => Keep::Unchanged,
            (Some(kept), true) => Keep::Put(KeptBody {
                evidence: kept.evidence,
                unsigned_answer: kept.unsigned_answer,
                body: &kept.body,
            }),
            (None, true) => Keep::Drop,
        }
    }

    pub(crate) const fn saved(&mut self) {
        self.dirty = false;
    }
}

/// A revision on its way to the application.
pub(crate) struct HandOver {
    pub(crate) revision: session::Revision,
    pub(crate) delivery: Delivery,
    /// When the delivery wants to be told the time.
    pub(crate) due: Option<Instant>,
}

/// How many callbacks are remembered: ShareID sends one and repeats it at most three times.
const MOST_CALLBACKS: usize = 4;

/// One session, beside the fleet's own state of it.
pub(crate) struct Session {
    pub(crate) account: AccountId,
    pub(crate) id: Arc<str>,
    /// The version that the store has; 0 before the first save.
    pub(crate) version: u64,
    /// The body of the revision that awaits its confirmation.
    pub(crate) issued: Slot,
    /// The body of the newest verdict, while it is not the issued one's.
    pub(crate) latest: Slot,
    /// Records taken in since the last save.
    pub(crate) applied: Vec<u64>,
    /// Recorded callbacks and what they claim, for revisions to refer to.
    callbacks: VecDeque<(u64, Option<Verdict>)>,
    /// Recorded callbacks that no counted pull followed yet.
    unconfirmed: VecDeque<u64>,
    /// Actions that wait for a save that failed, with the moments they were asked for.
    pub(crate) held: Option<Vec<(Action, Instant)>>,
    pub(crate) hand_over: Option<HandOver>,
    pub(crate) reached: bool,
    pub(crate) diagnosis: Option<String>,
    /// What came of the last pull.
    pub(crate) outcome: Option<Outcome>,
}

impl Session {
    pub(crate) fn new(account: AccountId, id: Arc<str>) -> Self {
        Self {
            account,
            id,
            version: 0,
            issued: Slot::default(),
            latest: Slot::default(),
            applied: Vec::new(),
            callbacks: VecDeque::new(),
            unconfirmed: VecDeque::new(),
            held: None,
            hand_over: None,
            reached: false,
            diagnosis: None,
            outcome: None,
        }
    }

    /// This revision is handed over now: its body is the issued one, from now until it is confirmed or dead.
    pub(crate) fn issue(&mut self, content: ContentDigest) {
        if let Some(kept) = self.latest.holding(content).cloned() {
            self.issued.put(Some(kept));
            self.latest.put(None);
        }
    }

    /// What stands behind the issued revision.
    pub(crate) fn issued_kept(&self, content: ContentDigest) -> Option<&Kept> {
        self.issued.holding(content)
    }

    /// A recorded callback is taken in: applied with the next save, and referred to by revisions.
    pub(crate) fn recorded_callback(&mut self, position: u64, verdict: Option<Verdict>) {
        self.applied.push(position);
        if self.callbacks.iter().all(|(known, _)| *known != position) {
            self.callbacks.truncate(MOST_CALLBACKS - 1);
            self.callbacks.push_front((position, verdict));
        }
        if !self.unconfirmed.contains(&position) {
            self.unconfirmed.truncate(MOST_CALLBACKS - 1);
            self.unconfirmed.push_front(position);
        }
    }

    /// The fleet awaits no confirmation any more.
    pub(crate) fn confirmed(&mut self) {
        self.unconfirmed.clear();
    }

    pub(crate) fn unconfirmed(&self) -> Vec<u64> {
        self.unconfirmed.iter().copied().collect()
    }

    pub(crate) fn callbacks_of(&self, verdict: Verdict) -> Vec<u64> {
        self.callbacks
            .iter()
            .filter(|(_, claimed)| *claimed == Some(verdict))
            .map(|(position, _)| *position)
            .collect()
    }
}
