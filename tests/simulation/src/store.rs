//! The client's store: in memory behind the store trait, outlives every process, and fails when told to.

use crate::story::Kind;
use idv_core::store::{
    Commit, Journal, Keep, KeptBodyBuf, MemoryStore, Record, Recorded, Save, Saved, SavedSession, Sessions,
    TooLarge,
};
use std::fmt;

/// What becomes of one operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Mood {
    #[default]
    Willing,
    /// Says no, and does nothing.
    Refusing,
    /// Does it, and says no: the answer is lost.
    Lying,
}

/// What the store says when it says no.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal;

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store does not answer")
    }
}

impl std::error::Error for Refusal {}

impl From<TooLarge> for Refusal {
    fn from(_: TooLarge) -> Self {
        Self
    }
}

/// What was made durable by the operation just done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Durable {
    /// A snapshot of this verification.
    pub(crate) saved: Option<u32>,
    /// This revision of this verification is confirmed.
    pub(crate) confirmed: Option<(u32, u32)>,
    /// A callback.
    pub(crate) recorded: bool,
}

/// See the module.
pub(crate) struct Store {
    memory: MemoryStore,
    pub(crate) mood: Mood,
    durable: Durable,
    /// For [`crate::Defect::SharesSessions`].
    pub(crate) is_shared: bool,
    saves: u64,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self {
            memory: MemoryStore::new(20_000, 64 << 20),
            mood: Mood::Willing,
            durable: Durable::default(),
            is_shared: false,
            saves: 0,
        }
    }

    /// What was made durable since the last look.
    pub(crate) fn take_durable(&mut self) -> Durable {
        std::mem::take(&mut self.durable)
    }

    /// Everything about sessions, as a backup holds it.
    pub(crate) fn backup(&mut self) -> Vec<SavedSession> {
        self.memory.load(None, u32::MAX).unwrap_or_default()
    }

    /// What a backup holds, and nothing else: the past.
    pub(crate) fn restore(&mut self, backup: &[SavedSession]) {
        let mut memory = MemoryStore::new(20_000, 64 << 20);
        for saved in backup {
            let save = Save {
                provider: &saved.provider,
                id: &saved.id,
                alias: saved.alias.as_deref(),
                expected: 0,
                snapshot: &saved.snapshot,
                issued: kept(saved.issued.as_ref()),
                latest: kept(saved.latest.as_ref()),
                applied: &[],
            };
            let _ = memory.save(&save);
            if let Some(revision) = saved.confirmed {
                let _ = memory.confirm(&saved.provider, &saved.id, revision);
            }
        }
        self.memory = memory;
    }

    fn write<R>(
        &mut self,
        write: impl FnOnce(&mut MemoryStore) -> Result<R, TooLarge>,
        durable: impl FnOnce(&R, &mut Durable),
    ) -> Result<R, Refusal> {
        if self.mood == Mood::Refusing {
            return Err(Refusal);
        }
        let done = write(&mut self.memory)?;
        durable(&done, &mut self.durable);
        if self.mood == Mood::Lying { Err(Refusal) } else { Ok(done) }
    }
}

impl Store {
    fn save_here(&mut self, save: &Save<'_>) -> Result<Saved, Refusal> {
        self.write(
            |memory| memory.save(save),
            |saved, durable| {
                if matches!(saved, Saved::Stored { .. }) {
                    durable.saved = Kind::number(save.id);
                }
            },
        )
    }

    /// Another process saves the session as it stands, under its own name.
    fn save_elsewhere(&mut self, provider: &str, id: &str) {
        let found = self.memory.find(provider, id, 16).unwrap_or_default();
        let Some(saved) = found.into_iter().find(|saved| &*saved.id == id) else { return };
        let Ok(mut snapshot) = serde_json::from_slice::<serde_json::Value>(&saved.snapshot) else { return };
        if let Some(writer) = snapshot.get_mut("writer") {
            *writer = 1.into();
        }
        let snapshot = snapshot.to_string();
        let save = Save {
            provider,
            id,
            alias: saved.alias.as_deref(),
            expected: saved.version,
            snapshot: snapshot.as_bytes(),
            issued: Keep::Unchanged,
            latest: Keep::Unchanged,
            applied: &[],
        };
        let _ = self.memory.save(&save);
    }
}

fn kept(body: Option<&KeptBodyBuf>) -> Keep<'_> {
    body.map_or(Keep::Drop, |body| Keep::Put(body.as_kept()))
}

impl Journal for Store {
    type Error = Refusal;

    fn commit(&mut self, record: &Record<'_>) -> Result<Commit, Refusal> {
        self.write(|memory| memory.commit(record), |_, durable| durable.recorded = true)
    }

    fn mark_applied(&mut self, positions: &[u64]) -> Result<(), Refusal> {
        self.write(|memory| memory.mark_applied(positions), |(), _| {})
    }

    fn unapplied(&mut self, after: u64, at_most: u32) -> Result<Vec<Recorded>, Refusal> {
        Ok(self.memory.unapplied(after, at_most)?)
    }
}

impl Sessions for Store {
    type Error = Refusal;

    fn save(&mut self, save: &Save<'_>) -> Result<Saved, Refusal> {
        let saved = self.save_here(save);
        self.saves += 1;
        if self.is_shared && self.saves.is_multiple_of(50) {
            self.save_elsewhere(save.provider, save.id);
        }
        saved
    }

    fn confirm(&mut self, provider: &str, id: &str, revision: u32) -> Result<bool, Refusal> {
        self.write(
            |memory| memory.confirm(provider, id, revision),
            |_, durable| durable.confirmed = Kind::number(id).map(|number| (number, revision)),
        )
    }

    fn load(&mut self, after: Option<(&str, &str)>, at_most: u32) -> Result<Vec<SavedSession>, Refusal> {
        Ok(self.memory.load(after, at_most)?)
    }

    fn find(&mut self, provider: &str, id: &str, at_most: u32) -> Result<Vec<SavedSession>, Refusal> {
        if self.mood == Mood::Refusing {
            return Err(Refusal);
        }
        Ok(self.memory.find(provider, id, at_most)?)
    }
}
