//! Taking sessions and records over from a store: all of them at the start, single ones when they are named (R8, R10, R11).

use super::beside::{Beside, Kept, Slot};
use super::callbacks::Named;
use super::report::Event;
use super::task::Task;
use super::{Engine, Moment};
use crate::fleet::{AccountId, Action, Key, OpenError, Stored};
use crate::lifecycle::Lifecycle;
use crate::provider::Checked;
use crate::session::{End, Session, Snapshot};
use crate::store::{Journal, Recorded, SavedSession, Sessions};
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// How many sessions or records are read at a time.
const PAGE: u32 = 256;

/// A session as the store keeps it.
#[derive(Serialize, Deserialize)]
pub(super) struct Envelope {
    /// Which of the provider's accounts drives it.
    pub(super) account: String,
    pub(super) snapshot: Snapshot,
    #[serde(default)]
    pub(super) lifecycle: Lifecycle,
    /// Who wrote it: tells a save whose answer was lost from one of another process, or of another opening.
    #[serde(default)]
    pub(super) writer: u64,
}

impl Envelope {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| format!("its snapshot cannot be read: {error}"))
    }
}

/// A stored session, understood.
pub(super) struct Taken {
    pub(super) account: AccountId,
    pub(super) session: Session,
    pub(super) lifecycle: Lifecycle,
}

impl Engine {
    /// Takes over what an earlier process left in the store. Call it once, before anything else; it reads the whole store and may take
    /// its time.
    ///
    /// # Errors
    /// The store cannot be read, or holds something that cannot be taken over. The engine is of no use then.
    pub fn restore<S: Journal + Sessions + ?Sized>(
        &mut self,
        mut moment: Moment,
        store: &mut S,
        out: &mut dyn FnMut(Task),
    ) -> Result<(), RestoreError> {
        let m = &mut moment;
        let mut after: Option<(Box<str>, Box<str>)> = None;
        loop {
            let from = after.as_ref().map(|(provider, id)| (&**provider, &**id));
            let page = store.load(from, PAGE).map_err(|error| RestoreError::Store(error.to_string()))?;
            let Some(last) = page.last() else { break };
            after = Some((last.provider.clone(), last.id.clone()));
            for saved in page {
                let unreadable = |problem: String| RestoreError::Session {
                    provider: saved.provider.to_string(),
                    id: saved.id.to_string(),
                    problem,
                };
                let taken = self.read_saved(m, &saved).map_err(unreadable)?;
                self.take_over(m, saved, taken, out).map_err(RestoreError::Open)?;
                // There may be more of them than the fleet has room for.
                self.forget_oldest();
            }
        }
        if after.is_some() {
            // Whatever was sent while no process listened may be lost (R9).
            self.gap(None, out);
        }
        let mut position = 0;
        loop {
            let page =
                store.unapplied(position, PAGE).map_err(|error| RestoreError::Store(error.to_string()))?;
            let Some(last) = page.last() else { break };
            position = last.position;
            for record in page {
                self.restore_record(m, record, out);
            }
        }
        self.settle(m);
        Ok(())
    }

    /// Understands a stored session, or says what is wrong with it.
    pub(super) fn read_saved(&self, m: &Moment, saved: &SavedSession) -> Result<Taken, String> {
        let envelope = Envelope::read(&saved.snapshot)?;
        let account = self.account_of(&saved.provider, &envelope.account).ok_or_else(|| {
            format!("it was driven with an account at {}, which is not configured", envelope.account)
        })?;
        let session = envelope
            .snapshot
            .restore(m.now, m.unix_ms)
            .ok_or_else(|| "a later release wrote its snapshot: use that one".to_owned())?;
        Ok(Taken { account, session, lifecycle: envelope.lifecycle })
    }

    fn account_of(&self, provider: &str, label: &str) -> Option<AccountId> {
        let of_provider = || self.accounts.iter().filter(|(_, account)| account.provider.name() == provider);
        let exact = of_provider().find(|(_, account)| account.label == label);
        // Its address may have changed; where there is no choice, there is no doubt.
        let only = || of_provider().next().filter(|_| of_provider().count() == 1);
        exact.or_else(only).map(|(id, _)| *id)
    }

    fn take_over(
        &mut self,
        m: &mut Moment,
        saved: SavedSession,
        taken: Taken,
        out: &mut dyn FnMut(Task),
    ) -> Result<Key, OpenError> {
        let mut actions = Vec::new();
        let stored = stored(&saved, &taken);
        let key = self.fleet.restore(m.at(), taken.account, stored, &mut |action| actions.push(action))?;
        let writer = self.new_writer(m);
        self.sessions.insert(key, Box::new(Beside::new(taken.account, (&*saved.id).into(), writer)));
        self.go_on(m, key, saved, &taken, actions, out);
        Ok(key)
    }

    /// Puts a stored session in the place of the one that was just opened, or that was taken over before the store had this of it.
    pub(super) fn replace(
        &mut self,
        m: &mut Moment,
        key: Key,
        saved: SavedSession,
        taken: Taken,
        out: &mut dyn FnMut(Task),
    ) {
        let mut actions = Vec::new();
        let cancelled = self.fleet.session(key).and_then(Session::end) == Some(End::Cancelled);
        let _ = self.fleet.replace(m.at(), key, stored(&saved, &taken), &mut |action| actions.push(action));
        if let Some(beside) = self.sessions.get_mut(&key) {
            // What the other session asked for is not awaited any more.
            beside.held.clear();
            beside.saving.done = beside.saving.wanted;
            self.fleet.release(key);
        }
        if cancelled {
            self.fleet.cancel(m.at(), key, &mut |action| actions.push(action));
        }
        self.go_on(m, key, saved, &taken, actions, out);
        self.drop_other_hand_over(key);
    }

    /// A session that was named is driven again, if it ended and nobody else drives it.
    pub(super) fn bring_back(&mut self, m: &mut Moment, saved: SavedSession, out: &mut dyn FnMut(Task)) {
        let problem = match self.read_saved(m, &saved) {
            // Whoever drives it will restore its record, or pull.
            Ok(taken) if !taken.session.is_over() => return,
            Ok(taken) => match self.take_over(m, saved.clone(), taken, out) {
                Ok(key) => return self.tell_brought_back(key, out),
                // Opened or brought back meanwhile.
                Err(OpenError::Exists(_)) => return,
                Err(error) => error.to_string(),
            },
            Err(problem) => problem,
        };
        let (provider, id) = (saved.provider.to_string(), Some(saved.id.to_string()));
        out(Task::Tell(Event::LeftInStore { provider, id, problem }));
    }

    pub(super) fn tell_brought_back(&self, key: Key, out: &mut dyn FnMut(Task)) {
        if let Some(beside) = self.sessions.get(&key) {
            let provider = self.provider_name(beside.account);
            out(Task::Tell(Event::BroughtBack { provider, id: Arc::clone(&beside.id) }));
        }
    }

    /// Goes on with a session whose state came from the store.
    fn go_on(
        &mut self,
        m: &mut Moment,
        key: Key,
        saved: SavedSession,
        taken: &Taken,
        mut actions: Vec<Action>,
        out: &mut dyn FnMut(Task),
    ) {
        let awaited = taken.session.awaiting_hand_over();
        if let Some(beside) = self.sessions.get_mut(&key) {
            beside.version = saved.version;
            beside.taken_over = true;
            beside.alias = saved.alias.as_deref().map(Into::into);
            beside.lifecycle = taken.lifecycle;
            let kept = |kept, content| Some(Kept::restored(kept, content));
            beside.issued = match (saved.issued, awaited) {
                (Some(issued), Some(revision)) => Slot::restored(kept(issued, revision.content)),
                (Some(_) | None, _) => Slot::default(),
            };
            beside.latest = match (saved.latest, taken.session.content()) {
                (Some(latest), Some(content)) => Slot::restored(kept(latest, content)),
                (Some(_) | None, _) => Slot::default(),
            };
        }
        if let Some(confirmed) = saved.confirmed {
            // The application's word was saved, the step that followed it was not. Its hand-over is not awaited any more, so it is not begun.
            let at = m.at();
            let _ = self.fleet.handed_over(at, key, confirmed, &mut |action| actions.push(action));
            if awaited.is_some_and(|issued| issued.number <= confirmed)
                && let Some(beside) = self.sessions.get_mut(&key)
            {
                beside.issued.put(None);
            }
        }
        // What was recorded for it while it was not known here.
        let provider = self.provider_name(taken.account);
        for id in [Some(&saved.id), saved.alias.as_ref()].into_iter().flatten() {
            self.take_unknown(key, provider, id);
        }
        if self.sessions.get(&key).is_some_and(|beside| beside.has_records_to_apply()) {
            self.want_save(key);
        }
        self.perform(m, actions, None, out);
        self.save_owed(m, key, out);
    }

    fn restore_record(&mut self, m: &mut Moment, record: Recorded, out: &mut dyn FnMut(Task)) {
        let account = self.accounts.values().find(|account| account.provider.name() == &*record.provider);
        let Some(account) = account else {
            let problem = "a recorded callback's provider is not configured: add an account".to_owned();
            let (provider, id) = (record.provider.to_string(), record.id.map(String::from));
            return out(Task::Tell(Event::LeftInStore { provider, id, problem }));
        };
        let provider = Arc::clone(&account.provider);
        let checked = Checked { authenticity: record.authenticity, digest: record.digest, remark: None };
        let reading = provider.read_callback(&record.body, &checked);
        let body = Arc::new(Zeroizing::new(record.body.into_vec()));
        self.route(m, Named::recorded(&*provider, &reading, body, record.position), out);
    }
}

fn stored<'a>(saved: &'a SavedSession, taken: &Taken) -> Stored<'a> {
    Stored {
        id: &saved.id,
        alias: saved.alias.as_deref(),
        session: taken.session,
        version: u32::try_from(saved.version).unwrap_or(u32::MAX),
    }
}

/// Why an engine could not take over what is in the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RestoreError {
    /// The store could not be read.
    Store(String),
    /// A session could not be taken over.
    Session {
        /// The provider's name.
        provider: String,
        /// The verification.
        id: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The fleet does not take it.
    Open(OpenError),
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => write!(f, "the store cannot be read: {error}"),
            Self::Session { provider, id, problem } => {
                write!(f, "the stored verification {id} of {provider} cannot be taken over: {problem}")
            }
            Self::Open(error) => write!(f, "a stored verification cannot be taken over: {error}"),
        }
    }
}

impl core::error::Error for RestoreError {}
