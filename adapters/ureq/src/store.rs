//! Where a driver keeps callbacks and sessions: the traits of `idv_core::store`, shared between threads.

use idv_core::store::{
    Commit, CommitReceipt, Journal, MemoryStore, Record, Recorded, Save, Saved, SavedSession, Sessions,
    TooLarge,
};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A [`MemoryStore`] that threads share. **Nothing in it survives the process.**
#[derive(Clone, Debug)]
pub struct SharedMemory(Arc<Mutex<MemoryStore>>);

impl SharedMemory {
    /// Shares `store`.
    #[must_use]
    pub fn new(store: MemoryStore) -> Self {
        Self(Arc::new(Mutex::new(store)))
    }

    /// Looks into the store.
    pub fn with<R>(&self, look: impl FnOnce(&MemoryStore) -> R) -> R {
        look(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, MemoryStore> {
        // The store's own steps do not panic half-way; a poisoned lock comes from a closure that only looked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for SharedMemory {
    /// At most 10 000 callbacks with 64 MiB of bodies.
    fn default() -> Self {
        Self::new(MemoryStore::new(10_000, 64 << 20))
    }
}

impl Journal for SharedMemory {
    type Error = TooLarge;

    fn commit(&mut self, record: &Record<'_>) -> Result<Commit, TooLarge> {
        self.lock().commit(record)
    }

    fn mark_applied(&mut self, positions: &[u64]) -> Result<(), TooLarge> {
        self.lock().mark_applied(positions)
    }

    fn unapplied(&mut self, after: u64, at_most: u32) -> Result<Vec<Recorded>, TooLarge> {
        self.lock().unapplied(after, at_most)
    }
}

impl Sessions for SharedMemory {
    type Error = TooLarge;

    fn save(&mut self, save: &Save<'_>) -> Result<Saved, TooLarge> {
        self.lock().save(save)
    }

    fn confirm(&mut self, provider: &str, id: &str, revision: u32) -> Result<bool, TooLarge> {
        self.lock().confirm(provider, id, revision)
    }

    fn load(&mut self, after: Option<(&str, &str)>, at_most: u32) -> Result<Vec<SavedSession>, TooLarge> {
        self.lock().load(after, at_most)
    }
}

/// What the store said when it failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreError(String);

impl StoreError {
    pub(crate) fn of(error: &impl std::error::Error) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StoreError {}

/// Any store, its type and its errors' types forgotten, so that the driver has no type parameter.
pub(crate) trait AnyStore: Send {
    fn commit(&mut self, op: u64, record: &Record<'_>) -> Result<CommitReceipt, StoreError>;
    fn mark_applied(&mut self, positions: &[u64]) -> Result<(), StoreError>;
    fn unapplied(&mut self, after: u64, at_most: u32) -> Result<Vec<Recorded>, StoreError>;
    fn save(&mut self, save: &Save<'_>) -> Result<Saved, StoreError>;
    fn confirm(&mut self, provider: &str, id: &str, revision: u32) -> Result<bool, StoreError>;
    fn load(&mut self, after: Option<(&str, &str)>, at_most: u32) -> Result<Vec<SavedSession>, StoreError>;
    fn another(&self) -> Box<dyn AnyStore>;
}

impl<S: Journal + Sessions + Clone + Send + 'static> AnyStore for S {
    fn commit(&mut self, op: u64, record: &Record<'_>) -> Result<CommitReceipt, StoreError> {
        guarded(|| CommitReceipt::obtain(self, op, record))
    }

    fn mark_applied(&mut self, positions: &[u64]) -> Result<(), StoreError> {
        guarded(|| Journal::mark_applied(self, positions))
    }

    fn unapplied(&mut self, after: u64, at_most: u32) -> Result<Vec<Recorded>, StoreError> {
        guarded(|| Journal::unapplied(self, after, at_most))
    }

    fn save(&mut self, save: &Save<'_>) -> Result<Saved, StoreError> {
        guarded(|| Sessions::save(self, save))
    }

    fn confirm(&mut self, provider: &str, id: &str, revision: u32) -> Result<bool, StoreError> {
        guarded(|| Sessions::confirm(self, provider, id, revision))
    }

    fn load(&mut self, after: Option<(&str, &str)>, at_most: u32) -> Result<Vec<SavedSession>, StoreError> {
        guarded(|| Sessions::load(self, after, at_most))
    }

    fn another(&self) -> Box<dyn AnyStore> {
        Box::new(self.clone())
    }
}

/// A store that panics has failed like any other.
fn guarded<T, E: std::error::Error>(call: impl FnOnce() -> Result<T, E>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|error| StoreError::of(&error)),
        Err(_) => Err(StoreError("the store panicked".to_owned())),
    }
}
