//! Saving sessions before their actions are performed, and taking them over from a store at the start (G9, R10, R11).

use super::{Engine, STORE_RETRY};
use crate::report::Event;
use crate::session::{Kept, Session, Slot};
use idv_core::fleet::{AccountId, Action, Key, OpenError, Stored};
use idv_core::machine::Disposition;
use idv_core::provider::Checked;
use idv_core::session::Snapshot;
use idv_core::store::{Journal, Recorded, Save, Saved, SavedSession, Sessions};
use idv_host::StoreError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// How many sessions or records are read at a time.
const PAGE: u32 = 256;

/// A session as the store keeps it.
#[derive(Serialize, Deserialize)]
struct Envelope {
    /// Which of the provider's accounts drives it.
    account: String,
    snapshot: Snapshot,
}

/// Whose session it is after a save.
enum Owner {
    We,
    /// Another process saved it in between.
    Others,
}

impl Engine {
    /// Saves the session; where that fails, what it asks for is held back until a later save succeeds.
    pub(super) fn save_or_hold(&mut self, key: Key) {
        match self.save(key) {
            Ok(Owner::We) => {}
            Ok(Owner::Others) => self.give_up(key),
            Err(error) => {
                if let Some(session) = self.sessions.get_mut(&key) {
                    session.held.get_or_insert_default();
                }
                self.unsaved.insert(key);
                self.retry_saves.get_or_insert(self.parts.clock.now().after(STORE_RETRY));
                (self.parts.observer)(&Event::StoreFailed { error: error.to_string() });
            }
        }
    }

    /// Tries a failed save again, and performs what waited for it.
    pub(super) fn save_again(&mut self, key: Key) {
        let held = self.sessions.get_mut(&key).and_then(|session| session.held.take());
        self.save_or_hold(key);
        let Some(session) = self.sessions.get_mut(&key) else { return };
        match (&mut session.held, held) {
            (still @ Some(_), held) => *still = held,
            (None, held) => {
                for (action, asked) in held.unwrap_or_default() {
                    self.start(action, asked);
                }
            }
        }
    }

    fn save(&mut self, key: Key) -> Result<Owner, StoreError> {
        let (Some(snapshot), Some(session)) = (self.parts.fleet.session(key), self.sessions.get_mut(&key))
        else {
            return Ok(Owner::We);
        };
        let Some(account) = self.parts.accounts.get(&session.account) else { return Ok(Owner::We) };
        let envelope = Envelope {
            account: account.label.clone(),
            snapshot: Snapshot::new(*snapshot, self.parts.clock.now(), self.parts.clock.unix_ms()),
        };
        let bytes = serde_json::to_vec(&envelope).map_err(|error| StoreError::of(&error))?;
        let save = Save {
            provider: account.provider.name(),
            id: &session.id,
            alias: self.parts.fleet.alias(key),
            expected: session.version,
            snapshot: &bytes,
            issued: session.issued.for_store(),
            latest: session.latest.for_store(),
            applied: &session.applied,
        };
        match self.parts.store.save(&save)? {
            Saved::Stored { version } => {
                session.version = version;
                session.issued.saved();
                session.latest.saved();
                session.applied.clear();
                Ok(Owner::We)
            }
            Saved::Conflict { .. } => Ok(Owner::Others),
        }
    }

    /// Another process drives this verification now: nothing more is done for it here.
    fn give_up(&mut self, key: Key) {
        let at = self.at();
        self.parts.fleet.cancel(at, key, &mut |_| ());
        // What is awaited goes first, and it may free another revision that waited behind it.
        while let Some(revision) =
            self.parts.fleet.session(key).and_then(idv_core::session::Session::awaiting_hand_over)
            && self.parts.fleet.dead_lettered(at, key, revision.number, &mut |_| ()) == Disposition::Applied
        {
        }
        self.parts.fleet.forget(key);
        self.unsaved.remove(&key);
        let Some(session) = self.sessions.remove(&key) else { return };
        if let Some(due) = session.hand_over.and_then(|hand_over| hand_over.due) {
            self.hand_overs.remove(&(due, key));
        }
        let provider = self.provider_name(session.account);
        (self.parts.observer)(&Event::TakenOver { provider, id: session.id });
    }

    /// Takes over what an earlier process left in the store.
    pub(crate) fn restore(&mut self) -> Result<(), RestoreError> {
        let mut after: Option<(Box<str>, Box<str>)> = None;
        let mut any = false;
        loop {
            let from = after.as_ref().map(|(provider, id)| (&**provider, &**id));
            let page = self.parts.store.load(from, PAGE).map_err(RestoreError::Store)?;
            let Some(last) = page.last() else { break };
            after = Some((last.provider.clone(), last.id.clone()));
            any = true;
            for saved in page {
                self.restore_session(saved)?;
            }
        }
        if any {
            // Whatever was sent while no process listened may be lost (R9).
            self.parts.fleet.listening_had_a_gap();
        }
        let mut position = 0;
        loop {
            let page = self.parts.store.unapplied(position, PAGE).map_err(RestoreError::Store)?;
            let Some(last) = page.last() else { return Ok(()) };
            position = last.position;
            for record in page {
                self.restore_record(record);
            }
        }
    }

    fn restore_session(&mut self, saved: SavedSession) -> Result<(), RestoreError> {
        let unreadable = |problem: String| RestoreError::Session {
            provider: saved.provider.to_string(),
            id: saved.id.to_string(),
            problem,
        };
        let envelope: Envelope = serde_json::from_slice(&saved.snapshot)
            .map_err(|error| unreadable(format!("its snapshot cannot be read: {error}")))?;
        let account = self.account_of(&saved.provider, &envelope.account).ok_or_else(|| {
            unreadable(format!(
                "it was driven with an account at {}, which is not configured",
                envelope.account
            ))
        })?;
        let (now, unix_ms) = (self.parts.clock.now(), self.parts.clock.unix_ms());
        let restored = envelope
            .snapshot
            .restore(now, unix_ms)
            .ok_or_else(|| unreadable("a later release wrote its snapshot: use that one".to_owned()))?;
        let mut session = Session::new(account, (&*saved.id).into());
        session.version = saved.version;
        let confirmed = saved.confirmed.unwrap_or(0);
        if let (Some(issued), Some(content)) =
            (saved.issued, restored.awaiting_hand_over().map(|issued| issued.content))
        {
            session.issued = Slot::restored(Some(Kept::restored(issued, content)));
        }
        if let (Some(latest), Some(content)) = (saved.latest, restored.content()) {
            session.latest = Slot::restored(Some(Kept::restored(latest, content)));
        }
        let at = self.at();
        let mut actions = Vec::new();
        let mut out = |action| actions.push(action);
        let stored = Stored {
            id: &saved.id,
            alias: saved.alias.as_deref(),
            session: restored,
            version: u32::try_from(saved.version).unwrap_or(u32::MAX),
        };
        let key = self.parts.fleet.restore(at, account, stored, &mut out).map_err(RestoreError::Open)?;
        if confirmed > 0 {
            // The application's word was saved, the step that followed it was not.
            self.parts.fleet.handed_over(at, key, confirmed, &mut out);
            if restored.awaiting_hand_over().is_some_and(|issued| issued.number <= confirmed) {
                session.issued.put(None);
            }
            actions.retain(|action| match action {
                Action::HandOver { revision, .. } => revision.number > confirmed,
                Action::Save { .. }
                | Action::RequestToken { .. }
                | Action::Pull { .. }
                | Action::Keep { .. }
                | Action::Ended { .. }
                | Action::CredentialsRefused { .. }
                | Action::Forgotten { .. }
                | Action::Crowded { .. } => true,
            });
        }
        self.insert(key, session);
        self.perform(actions, None);
        Ok(())
    }

    fn account_of(&self, provider: &str, label: &str) -> Option<AccountId> {
        let of_provider =
            || self.parts.accounts.iter().filter(|(_, account)| account.provider.name() == provider);
        let exact = of_provider().find(|(_, account)| account.label == label);
        // Its address may have changed; where there is no choice, there is no doubt.
        let only = || of_provider().next().filter(|_| of_provider().count() == 1);
        exact.or_else(only).map(|(id, _)| *id)
    }

    fn restore_record(&mut self, record: Recorded) {
        let Some(provider) = self
            .parts
            .accounts
            .values()
            .map(|account| &account.provider)
            .find(|p| p.name() == &*record.provider)
        else {
            tracing::warn!(provider = &*record.provider, "a recorded callback's provider is not configured");
            return;
        };
        let provider = Arc::clone(provider);
        let checked = Checked { authenticity: record.authenticity, digest: record.digest, remark: None };
        let reading = provider.read_callback(&record.body, &checked);
        let body = Arc::new(Zeroizing::new(record.body.into_vec()));
        let ids = (reading.id.as_deref(), reading.alias.as_deref());
        let claims = provider.statement(&body).ok().and_then(|statement| statement.verdict);
        let recorded = super::callbacks::Recorded { position: record.position, claims };
        self.callback(provider.name(), ids, reading.callback, Some(recorded), &body);
    }
}

/// Why a driver could not take over what is in the store.
#[derive(Debug)]
pub enum RestoreError {
    /// The store could not be read.
    Store(StoreError),
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

impl std::error::Error for RestoreError {}
