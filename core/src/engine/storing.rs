//! Saving sessions before their actions are performed, and asking the store about what the fleet does not know (G9, R8, R10).
//!
//! ```text
//!   step ─▶ save number n wanted ─▶ SaveTask ──▶ saved ──▶ what waits for numbers ≤ n is started
//!                                      │  └────▶ failed ─▶ again after a while
//!                                      └───────▶ conflict ─▶ whose is it? ─▶ ours after all · ended long ago · another process'
//! ```

use super::beside::{Beside, Keeping};
use super::callbacks::Named;
use super::report::{Event, Opened, Opening};
use super::restore::Envelope;
use super::task::{Completion, Done, Task};
use super::{Engine, Moment, Timer};
use crate::fleet::{Key, MOST_SHARING};
use crate::machine::Disposition;
use crate::session::{Session, Snapshot};
use crate::store::{Journal, Save, Saved, SavedSession, Sessions};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

/// One question to the store, or one change of it.
#[must_use = "perform it and complete the engine with what came of it"]
pub struct StoreTask(pub(super) Job);

pub(super) enum Job {
    Save(Box<SaveJob>),
    Confirm { key: Key, provider: &'static str, id: Arc<str>, number: u32 },
    MarkApplied(Vec<u64>),
    Find { lookup: Lookup, provider: &'static str, ids: [Option<Arc<str>>; 2] },
}

pub(super) struct SaveJob {
    key: Key,
    number: u32,
    provider: &'static str,
    id: Arc<str>,
    alias: Option<Arc<str>>,
    expected: u64,
    snapshot: Vec<u8>,
    issued: Keeping,
    latest: Keeping,
    applied: Vec<u64>,
}

/// Why the store is asked for a session.
pub(super) enum Lookup {
    /// It has another version of this session than expected.
    Contested(Key),
    /// A recorded callback names a session that the fleet does not know.
    Named(Named),
}

impl StoreTask {
    /// Does it, with a store that blocks.
    pub fn perform<S: Journal + Sessions + ?Sized>(self, store: &mut S) -> Completion {
        Completion(match self.0 {
            Job::Save(job) => {
                let save = Save {
                    provider: job.provider,
                    id: &job.id,
                    alias: job.alias.as_deref(),
                    expected: job.expected,
                    snapshot: &job.snapshot,
                    issued: job.issued.lend(),
                    latest: job.latest.lend(),
                    applied: &job.applied,
                };
                let result = store.save(&save).map_err(|error| error.to_string());
                Done::Saved { key: job.key, number: job.number, result }
            }
            Job::Confirm { key, provider, id, number } => {
                let result =
                    store.confirm(provider, &id, number).map(|_| ()).map_err(|error| error.to_string());
                Done::Confirmed { key, number, result }
            }
            Job::MarkApplied(positions) => {
                Done::Marked { result: store.mark_applied(&positions).map_err(|error| error.to_string()) }
            }
            Job::Find { lookup, provider, ids } => {
                let most = u32::try_from(MOST_SHARING).unwrap_or(u32::MAX);
                let mut found: Vec<SavedSession> = Vec::new();
                let mut result = Ok(());
                for id in ids.iter().flatten() {
                    match store.find(provider, id, most) {
                        Ok(sessions) => {
                            for session in sessions {
                                if found.iter().all(|known| known.id != session.id) {
                                    found.push(session);
                                }
                            }
                        }
                        Err(error) => result = Err(error.to_string()),
                    }
                }
                Done::Looked { lookup, result: result.map(|()| found) }
            }
        })
    }

    /// The completion of a task that could not be performed; says why.
    pub fn failed(self, error: String) -> Completion {
        Completion(match self.0 {
            Job::Save(job) => Done::Saved { key: job.key, number: job.number, result: Err(error) },
            Job::Confirm { key, number, .. } => Done::Confirmed { key, number, result: Err(error) },
            Job::MarkApplied(_) => Done::Marked { result: Err(error) },
            Job::Find { lookup, .. } => Done::Looked { lookup, result: Err(error) },
        })
    }
}

impl fmt::Debug for StoreTask {
    /// Without snapshots and bodies.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Job::Save(job) => write!(f, "Save({} {}, expects {})", job.provider, job.id, job.expected),
            Job::Confirm { provider, id, number, .. } => write!(f, "Confirm({provider} {id} #{number})"),
            Job::MarkApplied(positions) => write!(f, "MarkApplied({positions:?})"),
            Job::Find { provider, ids: [id, _], .. } => write!(f, "Find({provider} {id:?})"),
        }
    }
}

impl Engine {
    /// The session as it stands must be saved, before anything that it asks for from now on is started.
    pub(super) fn want_save(&mut self, key: Key) {
        if let Some(beside) = self.sessions.get_mut(&key) {
            if !beside.saving.is_owed() {
                self.fleet.hold(key);
            }
            beside.saving.wanted = beside.saving.wanted.wrapping_add(1);
        }
    }

    /// Starts the save that a session owes, unless one is under way or has just failed.
    pub(super) fn save_owed(&mut self, m: &mut Moment, key: Key, out: &mut dyn FnMut(Task)) {
        let (Some(state), Some(beside)) = (self.fleet.session(key), self.sessions.get_mut(&key)) else {
            return;
        };
        let saving = &beside.saving;
        let free = saving.under_way.is_none() && saving.retry.is_none() && !saving.contested;
        if !saving.is_owed() || !free {
            return;
        }
        let Some(account) = self.accounts.get(&beside.account) else { return };
        let envelope = Envelope {
            account: account.label.clone(),
            snapshot: Snapshot::new(*state, m.now, m.unix_ms),
            lifecycle: beside.lifecycle,
            writer: beside.writer,
        };
        let Ok(snapshot) = serde_json::to_vec(&envelope) else { return };
        let number = beside.saving.wanted;
        let (applied, issued, latest) = beside.begin_save();
        let job = SaveJob {
            key,
            number,
            provider: account.provider.name(),
            id: Arc::clone(&beside.id),
            alias: beside.alias.clone(),
            expected: beside.version,
            snapshot,
            issued,
            latest,
            applied,
        };
        self.ask_store(Job::Save(Box::new(job)), out);
    }

    pub(super) fn ask_store(&mut self, job: Job, out: &mut dyn FnMut(Task)) {
        self.awaited += 1;
        out(Task::Store(StoreTask(job)));
    }

    pub(super) fn saved(
        &mut self,
        m: &mut Moment,
        key: Key,
        number: u32,
        result: Result<Saved, String>,
        out: &mut dyn FnMut(Task),
    ) {
        let Some(beside) = self.sessions.get_mut(&key) else { return };
        let Some(under_way) = beside.saving.under_way.take_if(|under_way| under_way.number == number) else {
            return;
        };
        match result {
            Ok(Saved::Stored { version }) => {
                beside.saved(number, version);
                if !beside.saving.is_owed() {
                    self.fleet.release(key);
                }
                self.opened(key, Opening::Saved, out);
                self.start_released(m, key, out);
                self.save_owed(m, key, out);
            }
            Ok(Saved::Conflict { .. }) => {
                beside.save_failed(*under_way);
                beside.saving.contested = true;
                self.ask_whose(key, out);
            }
            Err(error) => {
                beside.save_failed(*under_way);
                self.save_later(m, key);
                self.opened(key, Opening::NotSavedYet, out);
                out(Task::Tell(Event::StoreFailed { error }));
            }
        }
    }

    fn ask_whose(&mut self, key: Key, out: &mut dyn FnMut(Task)) {
        let Some(beside) = self.sessions.get(&key) else { return };
        let Some(account) = self.accounts.get(&beside.account) else { return };
        let ids = [Some(Arc::clone(&beside.id)), None];
        let job = Job::Find { lookup: Lookup::Contested(key), provider: account.provider.name(), ids };
        self.ask_store(job, out);
    }

    fn save_later(&mut self, m: &Moment, key: Key) {
        let at = m.now.after(self.policy.store_retry);
        if let Some(beside) = self.sessions.get_mut(&key) {
            beside.saving.retry = Some(at);
            self.timers.insert((at, key, Timer::Save));
        }
    }

    /// Tries a failed save again.
    pub(super) fn save_again(&mut self, m: &mut Moment, key: Key, out: &mut dyn FnMut(Task)) {
        let Some(beside) = self.sessions.get_mut(&key) else { return };
        beside.saving.retry = None;
        if beside.saving.contested {
            self.ask_whose(key, out);
        } else {
            self.save_owed(m, key, out);
        }
    }

    pub(super) fn looked(
        &mut self,
        m: &mut Moment,
        lookup: Lookup,
        result: Result<Vec<SavedSession>, String>,
        out: &mut dyn FnMut(Task),
    ) {
        let found = match result {
            Ok(found) => Some(found),
            Err(error) => {
                out(Task::Tell(Event::StoreFailed { error }));
                None
            }
        };
        match (lookup, found) {
            (Lookup::Contested(key), None) => self.save_later(m, key),
            (Lookup::Contested(key), Some(found)) => self.contested(m, key, found, out),
            (Lookup::Named(arrived), found) => self.looked_up(m, arrived, found, out),
        }
    }

    /// The store has another version of this session than the last save expected.
    fn contested(&mut self, m: &mut Moment, key: Key, found: Vec<SavedSession>, out: &mut dyn FnMut(Task)) {
        let Some(beside) = self.sessions.get_mut(&key) else { return };
        beside.saving.contested = false;
        let Some(saved) = found.into_iter().find(|saved| *saved.id == *beside.id) else {
            // Somebody removed it from the store: it is saved anew.
            beside.version = 0;
            return self.save_owed(m, key, out);
        };
        let envelope = Envelope::read(&saved.snapshot);
        if envelope.as_ref().is_ok_and(|envelope| envelope.writer == beside.writer) {
            // Ours: a save that was reported as failed was not.
            beside.version = saved.version;
            return self.save_owed(m, key, out);
        }
        let (is_new, taken_over) = (beside.version == 0, beside.taken_over);
        match self.read_saved(m, &saved) {
            Ok(taken) if is_new && taken.session.is_over() => {
                self.tell_brought_back(key, out);
                self.opened(key, Opening::BroughtBack, out);
                self.replace(m, key, saved, taken, out);
            }
            // A save that the process before had under way when it died: whoever took over later goes on from there.
            Ok(taken) if taken_over => self.replace(m, key, saved, taken, out),
            Ok(_) | Err(_) => self.give_up(m, key, out),
        }
    }

    /// Another process drives this verification now: nothing more is done for it here.
    fn give_up(&mut self, m: &mut Moment, key: Key, out: &mut dyn FnMut(Task)) {
        let at = m.at();
        self.fleet.cancel(at, key, &mut |_| ());
        // What is awaited goes first, and it may free another revision that waited behind it.
        while let Some(revision) = self.fleet.session(key).and_then(Session::awaiting_hand_over)
            && self.fleet.dead_lettered(at, key, revision.number, &mut |_| ()) == Disposition::Applied
        {
        }
        self.fleet.forget(key);
        self.opened(key, Opening::Elsewhere, out);
        let Some(beside) = self.remove(key) else { return };
        let provider = self.provider_name(beside.account);
        out(Task::Tell(Event::TakenOver { provider, id: beside.id }));
    }

    /// Tells whoever opened it what became of that, once.
    pub(super) fn opened(&mut self, key: Key, opening: Opening, out: &mut dyn FnMut(Task)) {
        if let Some(beside) = self.sessions.get_mut(&key)
            && core::mem::take(&mut beside.opening)
        {
            out(Task::Opened(Opened { key, opening }));
        }
    }

    /// Removes what stands beside a session, with its timers.
    pub(super) fn remove(&mut self, key: Key) -> Option<Box<Beside>> {
        let beside = self.sessions.remove(&key)?;
        if let Some(at) = beside.saving.retry {
            self.timers.remove(&(at, key, Timer::Save));
        }
        if let Some(at) = beside.hand_over.as_ref().and_then(|hand_over| hand_over.due) {
            self.timers.remove(&(at, key, Timer::HandOver));
        }
        Some(beside)
    }
}
