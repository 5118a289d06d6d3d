//! What may be asked of a fleet; nothing here changes it.

use super::{AccountId, Fleet, IdKey, Key, Unknown};
use crate::session::Session;

impl Fleet {
    /// The tombstone that has been one for longest, where there are more of them than `most`. Who keeps sessions in a store forgets them
    /// by this, once they are saved, instead of having the fleet do it.
    #[must_use]
    pub fn oldest_tombstone(&self, most: u32) -> Option<Key> {
        self.sessions.supernumerary(most)
    }

    /// The session with this id, or else the first that has it as its alias.
    #[must_use]
    pub fn find(&self, provider: &str, id: &str) -> Option<Key> {
        self.sessions.find(IdKey::new(provider, id)).next()
    }

    /// A session as it stands.
    #[must_use]
    pub fn session(&self, key: Key) -> Option<&Session> {
        self.sessions.get(key).map(|live| &live.session)
    }

    /// The id it was opened with.
    #[must_use]
    pub fn id(&self, key: Key) -> Option<&str> {
        self.sessions.get(key).map(|live| &*live.id)
    }

    /// Its other id, once that is known.
    #[must_use]
    pub fn alias(&self, key: Key) -> Option<&str> {
        self.sessions.get(key).and_then(|live| live.alias.as_deref())
    }

    /// The account it was opened with.
    #[must_use]
    pub fn account(&self, key: Key) -> Option<AccountId> {
        self.sessions.get(key).map(|live| AccountId(live.account))
    }

    /// How many sessions there are, tombstones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is no session.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many callbacks that nobody knows are kept, over all providers.
    #[must_use]
    pub fn unknown_callbacks(&self) -> usize {
        self.unknown.values().map(Unknown::len).sum()
    }
}
