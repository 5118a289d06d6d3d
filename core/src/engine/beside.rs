//! What the engine keeps beside each session of the fleet: ids, bodies, and what waits for the store.

use super::report::Body;
use crate::delivery::Delivery;
use crate::evidence::{ContentDigest, Evidence, Outcome, Verdict};
use crate::fleet::{AccountId, Action};
use crate::lifecycle::Lifecycle;
use crate::session;
use crate::store::{Keep, KeptBody, KeptBodyBuf};
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use zeroize::Zeroizing;

/// The body behind a verdict.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) content: ContentDigest,
    pub(super) evidence: Evidence,
    /// See [`KeptBody::unsigned_answer`].
    pub(super) unsigned_answer: bool,
    pub(super) body: Body,
}

impl Kept {
    pub(super) fn restored(kept: KeptBodyBuf, content: ContentDigest) -> Self {
        Self {
            content,
            evidence: kept.evidence,
            unsigned_answer: kept.unsigned_answer,
            body: Arc::new(Zeroizing::new(kept.body.into_vec())),
        }
    }
}

/// What a save does to a kept body; as [`Keep`], owned.
#[derive(Clone)]
pub(super) enum Keeping {
    Unchanged,
    Put(Kept),
    Drop,
}

impl Keeping {
    pub(super) fn lend(&self) -> Keep<'_> {
        match self {
            Self::Unchanged => Keep::Unchanged,
            Self::Put(kept) => Keep::Put(KeptBody {
                evidence: kept.evidence,
                unsigned_answer: kept.unsigned_answer,
                body: &kept.body,
            }),
            Self::Drop => Keep::Drop,
        }
    }
}

/// One of the two kept bodies, and whether the store knows it.
#[derive(Default)]
pub(super) struct Slot {
    kept: Option<Box<Kept>>,
    dirty: bool,
}

impl Slot {
    pub(super) fn restored(kept: Option<Kept>) -> Self {
        Self { kept: kept.map(Box::new), dirty: false }
    }

    pub(super) fn put(&mut self, kept: Option<Kept>) {
        self.dirty = self.dirty || kept.is_some() || self.kept.is_some();
        self.kept = kept.map(Box::new);
    }

    fn holding(&self, content: ContentDigest) -> Option<&Kept> {
        self.kept.as_deref().filter(|kept| kept.content == content)
    }

    /// What the save that begins now does to it.
    fn begin_save(&mut self) -> Keeping {
        let dirty = core::mem::take(&mut self.dirty);
        match (&self.kept, dirty) {
            (_, false) => Keeping::Unchanged,
            (Some(kept), true) => Keeping::Put(Kept::clone(kept)),
            (None, true) => Keeping::Drop,
        }
    }
}

/// A revision on its way to the application.
pub(super) struct HandingOver {
    pub(super) revision: session::Revision,
    pub(super) delivery: Delivery,
    /// When the delivery wants to be told the time.
    pub(super) due: Option<Instant>,
    /// The application took it; the store has yet to keep that word.
    pub(super) taken: bool,
}

/// Something that waits for a save.
pub(super) struct Held {
    /// The save.
    pub(super) number: u32,
    pub(super) action: Action,
}

/// The saves of one session. Numbers say which steps a save covers; at most one is under way.
#[derive(Default)]
pub(super) struct Saving {
    /// The newest step that must be saved.
    pub(super) wanted: u32,
    /// The newest step that is saved.
    pub(super) done: u32,
    pub(super) under_way: Option<Box<UnderWay>>,
    /// When a save that failed is tried again.
    pub(super) retry: Option<Instant>,
    /// The store has another version than expected, and is being asked whose it is.
    pub(super) contested: bool,
}

impl Saving {
    pub(super) const fn is_owed(&self) -> bool {
        self.wanted != self.done
    }
}

/// What one save takes to the store.
pub(super) struct UnderWay {
    pub(super) number: u32,
    applied: Vec<u64>,
}

/// How many callbacks are remembered: ShareID sends one and repeats it at most three times.
const MOST_CALLBACKS: usize = 4;

/// The recorded callbacks of one session. Most sessions have none at any moment.
#[derive(Default)]
struct Callbacks {
    /// Taken in since the last save.
    applied: Vec<u64>,
    /// What they claim, for revisions to refer to.
    claims: VecDeque<(u64, Option<Verdict>)>,
    /// No counted pull followed them yet.
    unconfirmed: VecDeque<u64>,
}

/// One session, beside the fleet's own state of it. There are as many as verifications: what few of them need is in a box.
pub(super) struct Beside {
    pub(super) account: AccountId,
    pub(super) id: Arc<str>,
    pub(super) alias: Option<Arc<str>>,
    /// Stands in what is saved of it: whether a stored version is its own.
    pub(super) writer: u64,
    /// The version that the store has; 0 before the first save.
    pub(super) version: u64,
    /// It came from the store, and was not saved since.
    pub(super) taken_over: bool,
    /// The body of the revision that awaits its confirmation.
    pub(super) issued: Slot,
    /// The body of the newest verdict, while it is not the issued one's.
    pub(super) latest: Slot,
    callbacks: Option<Box<Callbacks>>,
    pub(super) saving: Saving,
    /// Actions that wait for a save, in order.
    pub(super) held: VecDeque<Held>,
    pub(super) hand_over: Option<Box<HandingOver>>,
    pub(super) lifecycle: Lifecycle,
    /// Whoever opened it has yet to be told what became of it.
    pub(super) opening: bool,
    pub(super) reached: bool,
    pub(super) diagnosis: Option<String>,
    /// What came of the last pull.
    pub(super) outcome: Option<Outcome>,
}

impl Beside {
    pub(super) fn new(account: AccountId, id: Arc<str>, writer: u64) -> Self {
        Self {
            account,
            id,
            alias: None,
            writer,
            version: 0,
            taken_over: false,
            issued: Slot::default(),
            latest: Slot::default(),
            callbacks: None,
            saving: Saving::default(),
            held: VecDeque::new(),
            hand_over: None,
            lifecycle: Lifecycle::new(),
            opening: false,
            reached: false,
            diagnosis: None,
            outcome: None,
        }
    }

    /// This revision is handed over now: its body is the issued one, from now until it is confirmed or dead.
    pub(super) fn issue(&mut self, content: ContentDigest) {
        if let Some(kept) = self.latest.holding(content).cloned() {
            self.issued.put(Some(kept));
            self.latest.put(None);
        }
    }

    /// What stands behind the issued revision.
    pub(super) fn issued_kept(&self, content: ContentDigest) -> Option<&Kept> {
        self.issued.holding(content)
    }

    /// A recorded callback is taken in: applied with the next save, and referred to by revisions.
    pub(super) fn recorded_callback(&mut self, position: u64, verdict: Option<Verdict>) {
        let Callbacks { applied, claims, unconfirmed } = &mut **self.callbacks.get_or_insert_default();
        applied.push(position);
        if claims.iter().all(|(known, _)| *known != position) {
            claims.truncate(MOST_CALLBACKS - 1);
            claims.push_front((position, verdict));
        }
        if !unconfirmed.contains(&position) {
            unconfirmed.truncate(MOST_CALLBACKS - 1);
            unconfirmed.push_front(position);
        }
    }

    pub(super) fn has_records_to_apply(&self) -> bool {
        self.callbacks.as_ref().is_some_and(|callbacks| !callbacks.applied.is_empty())
    }

    /// The fleet awaits no confirmation any more.
    pub(super) fn confirmed(&mut self) {
        if let Some(callbacks) = &mut self.callbacks {
            callbacks.unconfirmed.clear();
        }
    }

    pub(super) fn unconfirmed(&self) -> Vec<u64> {
        self.callbacks.iter().flat_map(|callbacks| &callbacks.unconfirmed).copied().collect()
    }

    pub(super) fn callbacks_of(&self, verdict: Verdict) -> Vec<u64> {
        let claims = self.callbacks.iter().flat_map(|callbacks| &callbacks.claims);
        claims.filter(|(_, claimed)| *claimed == Some(verdict)).map(|(position, _)| *position).collect()
    }

    /// A save of everything up to now begins: what it takes to the store.
    pub(super) fn begin_save(&mut self) -> (Vec<u64>, Keeping, Keeping) {
        let applied = self.callbacks.as_mut().map(|callbacks| core::mem::take(&mut callbacks.applied));
        let applied = applied.unwrap_or_default();
        let (issued, latest) = (self.issued.begin_save(), self.latest.begin_save());
        self.saving.under_way =
            Some(Box::new(UnderWay { number: self.saving.wanted, applied: applied.clone() }));
        (applied, issued, latest)
    }

    /// That save did not happen, or may not have: the next one takes everything along.
    pub(super) fn save_failed(&mut self, under_way: UnderWay) {
        let UnderWay { mut applied, .. } = under_way;
        if !applied.is_empty() {
            let callbacks = self.callbacks.get_or_insert_default();
            applied.append(&mut callbacks.applied);
            callbacks.applied = applied;
        }
        self.issued.dirty = true;
        self.latest.dirty = true;
    }

    /// Everything up to this step is saved, as this version.
    pub(super) fn saved(&mut self, number: u32, version: u64) {
        self.version = version;
        self.taken_over = false;
        self.saving.done = number;
        self.saving.contested = false;
    }

    /// The next action whose save is done.
    pub(super) fn release(&mut self) -> Option<Held> {
        let done = self.saving.done;
        // Numbers wrap after four thousand million saves of one session; it holds nothing across so many.
        let is_free = |held: &Held| done.wrapping_sub(held.number) <= u32::MAX / 2;
        let released = if self.held.front().is_some_and(is_free) { self.held.pop_front() } else { None };
        if self.held.is_empty() {
            // It is, most of the time: its memory is worth more than the time to ask for it again.
            self.held = VecDeque::new();
        }
        released
    }
}
