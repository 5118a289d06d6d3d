//! Where a driver keeps callbacks and sessions: the traits of `idv_core::store`, shared between threads.

use crate::spans;
use idv_core::engine::{Completion, StoreTask};
use idv_core::store::{
    Commit, Journal, MemoryStore, Record, Recorded, Save, Saved, SavedSession, Sessions, TooLarge,
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

    /// Looks into the store, which everybody else waits for meanwhile.
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

    /// Its lock is held while a [`MemoryStore`] does its work, which waits for nothing, and while somebody looks.
    fn never_blocks(&self) -> bool {
        true
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

    fn find(&mut self, provider: &str, id: &str, at_most: u32) -> Result<Vec<SavedSession>, TooLarge> {
        self.lock().find(provider, id, at_most)
    }
}

/// What the store said when it failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreError(String);

impl StoreError {
    /// What `error` says.
    pub fn of(error: &impl std::error::Error) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StoreError {}

/// Any store, its type and its errors' types forgotten, so that drivers have no type parameter. Clones are handles to the same store.
/// A store that panics has failed like any other.
pub struct AnyStore(Box<dyn Erased>);

impl AnyStore {
    /// Forgets the type of `store`.
    #[must_use]
    pub fn new(store: impl Journal + Sessions + Clone + Send + 'static) -> Self {
        Self(Box::new(store))
    }

    /// Does what an engine asks of its store. May block for as long as the store does.
    pub fn perform(&mut self, task: StoreTask) -> Completion {
        spans::store(&task).in_scope(|| task.perform(self))
    }
}

impl Clone for AnyStore {
    fn clone(&self) -> Self {
        Self(self.0.another())
    }
}

impl fmt::Debug for AnyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyStore")
    }
}

impl Journal for AnyStore {
    type Error = StoreError;

    fn commit(&mut self, record: &Record<'_>) -> Result<Commit, StoreError> {
        self.0.commit(record)
    }

    fn mark_applied(&mut self, positions: &[u64]) -> Result<(), StoreError> {
        self.0.mark_applied(positions)
    }

    fn unapplied(&mut self, after: u64, at_most: u32) -> Result<Vec<Recorded>, StoreError> {
        self.0.unapplied(after, at_most)
    }

    fn never_blocks(&self) -> bool {
        self.0.never_blocks()
    }
}

impl Sessions for AnyStore {
    type Error = StoreError;

    fn save(&mut self, save: &Save<'_>) -> Result<Saved, StoreError> {
        self.0.save(save)
    }

    fn confirm(&mut self, provider: &str, id: &str, revision: u32) -> Result<bool, StoreError> {
        self.0.confirm(provider, id, revision)
    }

    fn load(&mut self, after: Option<(&str, &str)>, at_most: u32) -> Result<Vec<SavedSession>, StoreError> {
        self.0.load(after, at_most)
    }

    fn find(&mut self, provider: &str, id: &str, at_most: u32) -> Result<Vec<SavedSession>, StoreError> {
        self.0.find(provider, id, at_most)
    }
}

/// The methods of both traits, with one type of error.
trait Erased: Send {
    fn commit(&mut self, record: &Record<'_>) -> Result<Commit, StoreError>;
    fn mark_applied(&mut self, positions: &[u64]) -> Result<(), StoreError>;
    fn unapplied(&mut self, after: u64, at_most: u32) -> Result<Vec<Recorded>, StoreError>;
    fn save(&mut self, save: &Save<'_>) -> Result<Saved, StoreError>;
    fn confirm(&mut self, provider: &str, id: &str, revision: u32) -> Result<bool, StoreError>;
    fn load(&mut self, after: Option<(&str, &str)>, at_most: u32) -> Result<Vec<SavedSession>, StoreError>;
    fn find(&mut self, provider: &str, id: &str, at_most: u32) -> Result<Vec<SavedSession>, StoreError>;
    fn never_blocks(&self) -> bool;
    fn another(&self) -> Box<dyn Erased>;
}

impl<S: Journal + Sessions + Clone + Send + 'static> Erased for S {
    fn commit(&mut self, record: &Record<'_>) -> Result<Commit, StoreError> {
        guarded(|| Journal::commit(self, record))
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

    fn find(&mut self, provider: &str, id: &str, at_most: u32) -> Result<Vec<SavedSession>, StoreError> {
        guarded(|| Sessions::find(self, provider, id, at_most))
    }

    fn never_blocks(&self) -> bool {
        Journal::never_blocks(self)
    }

    fn another(&self) -> Box<dyn Erased> {
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
