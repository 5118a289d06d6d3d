//! What must outlive a crash, behind traits: callbacks as received, sessions, kept bodies and confirmed hand-overs.
//!
//! ```text
//!                  Journal (blocking) or AsyncJournal
//!   callback ──▶ commit ──▶ CommitReceipt ──▶ the 200        (G5: no other way leads there)
//!                  │ position, not yet applied
//!                  ▼
//!   session ──▶ Sessions::save { snapshot, kept bodies, applied positions }   one commit (R10)
//! ```
//!
//! Records drive and answers do not (R10): a record is applied when the session it names was stepped with it and that session's
//! snapshot was saved, in one commit, and no twin of it has arrived since. After a crash every record that is not applied is stepped again.
//!
//! [`MemoryStore`] implements all of it without durability.

mod commit;
mod memory;

pub use commit::CommitReceipt;
pub use memory::{MemoryStore, TooLarge};

use crate::evidence::Evidence;
use crate::provider::Authenticity;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

/// A callback to be recorded: its bytes exactly as received, and what was learned about them on the way in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The provider's name, as [`crate::provider::Provider::name`] gives it.
    pub provider: &'a str,
    /// SHA-256 of `body`. Together with `provider` it tells twins.
    pub digest: [u8; 32],
    /// Who vouches for the bytes. A callback with a wrong or missing signature is not recorded (R16).
    pub authenticity: Authenticity,
    /// The verification that the body names, where it could be read.
    pub id: Option<&'a str>,
    /// The provider's own event word, where it could be read.
    pub event: Option<&'a str>,
    /// What checking and reading it had to remark, without personal data: which rule and which secret matched, that two signature headers
    /// differed, that it departs from the provider's documents. For people; nothing is decided by it.
    pub remark: Option<&'a str>,
    /// When it arrived, in milliseconds since 1970-01-01 UTC. For people; nothing is decided by it.
    pub received_unix_ms: u64,
    /// The raw body.
    pub body: &'a [u8],
}

impl fmt::Debug for Record<'_> {
    /// Without the body: it is about a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("provider", &self.provider)
            .field("authenticity", &self.authenticity)
            .field("id", &self.id)
            .field("event", &self.event)
            .field("remark", &self.remark)
            .field("received_unix_ms", &self.received_unix_ms)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// A [`Record`] read back.
#[derive(Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Where it stands in the journal.
    pub position: u64,
    /// See [`Record::provider`].
    pub provider: Box<str>,
    /// See [`Record::digest`].
    pub digest: [u8; 32],
    /// See [`Record::authenticity`].
    pub authenticity: Authenticity,
    /// See [`Record::id`].
    pub id: Option<Box<str>>,
    /// See [`Record::event`].
    pub event: Option<Box<str>>,
    /// See [`Record::remark`].
    pub remark: Option<Box<str>>,
    /// See [`Record::received_unix_ms`].
    pub received_unix_ms: u64,
    /// See [`Record::body`].
    pub body: Box<[u8]>,
}

impl Recorded {
    /// The same, borrowed.
    #[must_use]
    pub fn as_record(&self) -> Record<'_> {
        Record {
            provider: &self.provider,
            digest: self.digest,
            authenticity: self.authenticity,
            id: self.id.as_deref(),
            event: self.event.as_deref(),
            remark: self.remark.as_deref(),
            received_unix_ms: self.received_unix_ms,
            body: &self.body,
        }
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recorded").field(&self.position).field(&self.as_record()).finish()
    }
}

/// What a journal answers once a record is durable.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Commit {
    /// Where the record stands; positions only grow. A twin has the position of the first.
    pub position: u64,
    /// Whether the same bytes from the same provider were recorded before. They are not stored again, but they still hint (R4).
    pub duplicate: bool,
}

/// Callbacks, recorded before they are answered. For stores that block; see [`AsyncJournal`] for the others.
///
/// A store that many threads or tasks share implements this for a handle to itself; group commit belongs behind it.
pub trait Journal {
    /// Why a record could not be made durable, or could not be read.
    type Error: core::error::Error;

    /// Makes `record` durable and returns only then.
    ///
    /// Two records are twins when provider and digest are equal. Of twins only the first is stored; the second returns the
    /// position of the first, after the first is durable, even when both arrive at the same time. In the same commit the first counts
    /// as not applied again: what the twin hints at may be newer than what the session took in (accepted, declined, accepted), and
    /// must survive a crash after the 200 like any other callback (R4, R10).
    ///
    /// # Errors
    /// The record is not known to be durable: the callback is answered 503 and the provider comes again.
    fn commit(&mut self, record: &Record<'_>) -> Result<Commit, Self::Error>;

    /// Marks records that no session's snapshot is saved for (those that name nobody) as applied. Unknown positions are ignored.
    ///
    /// # Errors
    /// The marks are not known to be durable; the records will be stepped again, which is harmless.
    fn mark_applied(&mut self, positions: &[u64]) -> Result<(), Self::Error>;

    /// The first `at_most` records after the position `after` that are not applied, in order; start with 0.
    ///
    /// # Errors
    /// The journal could not be read.
    fn unapplied(&mut self, after: u64, at_most: u32) -> Result<Vec<Recorded>, Self::Error>;

    /// Whether [`Journal::commit`] is sure to return at once: it waits for no disk, no network and no thread but one that is as quick. As
    /// written here: no.
    ///
    /// Where it says so, an adapter may commit on the thread that serves the provider's connections, and saves the way to another one
    /// and back. A journal that says so and waits nevertheless keeps every connection of that thread waiting, and with them the
    /// answers' deadlines (G5).
    fn never_blocks(&self) -> bool {
        false
    }
}

/// The part of [`Journal`] that stands between a callback and its 200, for stores that do not block.
pub trait AsyncJournal {
    /// Why a record could not be made durable.
    type Error: core::error::Error;

    /// As [`Journal::commit`]. Dropping the future does not undo a commit that has begun.
    ///
    /// # Errors
    /// As [`Journal::commit`].
    fn commit(&mut self, record: &Record<'_>) -> impl Future<Output = Result<Commit, Self::Error>> + Send;
}

/// The body that stands behind a revision, kept so that the provider's own words can be handed over, after a crash too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeptBody<'a> {
    /// How we learned it.
    pub evidence: Evidence,
    /// It came in a pull answer without a signature where the provider signs (R16).
    pub unsigned_answer: bool,
    /// The raw body.
    pub body: &'a [u8],
}

impl fmt::Debug for KeptBody<'_> {
    /// Without the body: it is about a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeptBody({}, {} bytes)", self.evidence.as_str(), self.body.len())
    }
}

/// A [`KeptBody`] read back.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptBodyBuf {
    /// See [`KeptBody::evidence`].
    pub evidence: Evidence,
    /// See [`KeptBody::unsigned_answer`].
    pub unsigned_answer: bool,
    /// See [`KeptBody::body`].
    pub body: Box<[u8]>,
}

impl KeptBodyBuf {
    /// The same, borrowed.
    #[must_use]
    pub fn as_kept(&self) -> KeptBody<'_> {
        KeptBody { evidence: self.evidence, unsigned_answer: self.unsigned_answer, body: &self.body }
    }
}

impl fmt::Debug for KeptBodyBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_kept().fmt(f)
    }
}

/// What a save does to one of a session's two kept bodies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep<'a> {
    /// Leaves it as it is.
    Unchanged,
    /// Replaces it.
    Put(KeptBody<'a>),
    /// Forgets it.
    Drop,
}

/// A session after a step, to be saved before the step's actions are performed (G9).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Save<'a> {
    /// The provider's name.
    pub provider: &'a str,
    /// The session's primary id.
    pub id: &'a str,
    /// Another id of the same verification, once it is known.
    pub alias: Option<&'a str>,
    /// The version that was read or written last; 0 for a session that was never saved.
    pub expected: u64,
    /// The session, serialised. The store does not look inside.
    pub snapshot: &'a [u8],
    /// The body of the revision that was issued and waits for its confirmation (R6).
    pub issued: Keep<'a>,
    /// The body of the evidence that waits to become a revision (R6).
    pub latest: Keep<'a>,
    /// Journal positions that this snapshot has taken in: marked applied in the same commit (R10). Unknown ones are ignored.
    pub applied: &'a [u64],
}

impl fmt::Debug for Save<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Save")
            .field("provider", &self.provider)
            .field("id", &self.id)
            .field("expected", &self.expected)
            .field("snapshot_bytes", &self.snapshot.len())
            .field("issued", &self.issued)
            .field("latest", &self.latest)
            .field("applied", &self.applied)
            .finish_non_exhaustive()
    }
}

/// What became of a [`Save`].
#[must_use = "after a conflict nothing was saved, and the step's actions must not be performed"]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Saved {
    /// Durable, all of it. The next save expects this version.
    Stored {
        /// The version now stored; never 0.
        version: u64,
    },
    /// Somebody else saved this session in between. Nothing was changed.
    Conflict {
        /// The version that is stored; 0 when the session is not there.
        found: u64,
    },
}

/// A session read back.
#[derive(Clone, PartialEq, Eq)]
pub struct SavedSession {
    /// See [`Save::provider`].
    pub provider: Box<str>,
    /// See [`Save::id`].
    pub id: Box<str>,
    /// See [`Save::alias`].
    pub alias: Option<Box<str>>,
    /// What the next save expects.
    pub version: u64,
    /// See [`Save::snapshot`].
    pub snapshot: Box<[u8]>,
    /// See [`Save::issued`].
    pub issued: Option<KeptBodyBuf>,
    /// See [`Save::latest`].
    pub latest: Option<KeptBodyBuf>,
    /// The highest revision whose hand-over was confirmed. It may be ahead of the snapshot: step the session with it.
    pub confirmed: Option<u32>,
}

impl fmt::Debug for SavedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SavedSession")
            .field("provider", &self.provider)
            .field("id", &self.id)
            .field("version", &self.version)
            .field("snapshot_bytes", &self.snapshot.len())
            .field("issued", &self.issued)
            .field("latest", &self.latest)
            .field("confirmed", &self.confirmed)
            .finish_non_exhaustive()
    }
}

/// Sessions, their kept bodies and their confirmed hand-overs.
pub trait Sessions {
    /// Why something could not be saved or read.
    type Error: core::error::Error;

    /// Saves a session if the stored version is the expected one: snapshot, alias, kept bodies and applied records in one commit.
    ///
    /// # Errors
    /// Nothing of it is known to be durable; the step's actions must not be performed.
    fn save(&mut self, save: &Save<'_>) -> Result<Saved, Self::Error>;

    /// Records that the application has `revision` (G2). Returns whether that is news; an application that commits this key
    /// together with its own change has each revision's effect exactly once.
    ///
    /// # Errors
    /// The confirmation is not known to be durable; the revision will be handed over again under the same key.
    fn confirm(&mut self, provider: &str, id: &str, revision: u32) -> Result<bool, Self::Error>;

    /// The first `at_most` sessions after the key `after` (provider, id), in the order of their keys; start with `None`.
    ///
    /// # Errors
    /// The store could not be read.
    fn load(&mut self, after: Option<(&str, &str)>, at_most: u32) -> Result<Vec<SavedSession>, Self::Error>;

    /// The sessions of this provider that the id leads to, at most `at_most`: the one saved under it first, then those that have it as
    /// their alias. As written here it reads the whole store; one with an index does better.
    ///
    /// # Errors
    /// The store could not be read.
    fn find(&mut self, provider: &str, id: &str, at_most: u32) -> Result<Vec<SavedSession>, Self::Error> {
        const PAGE: u32 = 256;
        let mut found = Vec::new();
        let mut after: Option<SavedSession> = None;
        loop {
            let from = after.as_ref().map(|last| (&*last.provider, &*last.id));
            let page = self.load(from, PAGE)?;
            let Some(last) = page.last().cloned() else { break };
            after = Some(last);
            found.extend(page.into_iter().filter(|session| {
                &*session.provider == provider && (&*session.id == id || session.alias.as_deref() == Some(id))
            }));
        }
        found.sort_by_key(|session| &*session.id != id);
        found.truncate(usize::try_from(at_most).unwrap_or(usize::MAX));
        Ok(found)
    }
}
