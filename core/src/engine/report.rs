//! What the application is told: revisions to take over, events to log, a status to show.

use super::reception::CallbackEvent;
use crate::evidence::{Evidence, Outcome, Verdict};
use crate::fleet::Key;
use crate::lifecycle::Deviation;
use crate::provider::{Statement, Unreadable};
use crate::session::End;
use crate::time::Span;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use zeroize::Zeroizing;

/// A body, shared between the engine and whoever it is handed to. Personal data: overwritten when the last copy is dropped.
pub type Body = Arc<Zeroizing<Vec<u8>>>;

/// The n-th verdict on one verification, handed over.
///
/// It is handed over at least once. An application that commits [`Revision::key`] together with its own change has each revision's
/// effect exactly once.
#[derive(Clone)]
pub struct Revision {
    /// The provider's name.
    pub provider: &'static str,
    /// The verification's id, as it was opened.
    pub id: Arc<str>,
    /// The revision's number, from 1. A number that is missing was dead-lettered.
    pub number: u32,
    /// The verdict.
    pub verdict: Verdict,
    /// How it was learned.
    pub evidence: Evidence,
    /// It came in a pull answer without a signature where the provider signs (R16): only the connection vouches for it.
    pub unsigned_answer: bool,
    /// The verdict is that of the revision before; only its data changed.
    pub data_changed: bool,
    /// The provider's own words and reasons, or why they cannot be read.
    pub statement: Result<Statement, Unreadable>,
    /// The raw body behind it. Personal data: overwritten when the last copy is dropped.
    pub body: Body,
    /// Where recorded callbacks of the same verdict stand in the journal (R17): they carry what pulls lack, such as ShareID's
    /// `customer_data`. Unless they are signed, nobody vouches for them.
    pub callbacks: Vec<u64>,
}

impl Revision {
    /// The idempotency key: provider, id, number.
    #[must_use]
    pub fn key(&self) -> (&'static str, &str, u32) {
        (self.provider, &self.id, self.number)
    }
}

impl fmt::Debug for Revision {
    /// Without the body and the reasons: they are about a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revision")
            .field("provider", &self.provider)
            .field("id", &self.id)
            .field("number", &self.number)
            .field("verdict", &self.verdict)
            .field("evidence", &self.evidence)
            .field("unsigned_answer", &self.unsigned_answer)
            .field("data_changed", &self.data_changed)
            .finish_non_exhaustive()
    }
}

/// What an engine has to tell, for logs and progress. Nothing in it is a secret; ids are the provider's.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A pull came to its end.
    Pulled {
        /// The provider's name.
        provider: &'static str,
        /// The verification.
        id: Arc<str>,
        /// The pull's number.
        op: u32,
        /// What its answer, or the lack of one, means.
        outcome: Outcome,
        /// An HTTP answer arrived, whatever it says.
        reached: bool,
        /// The answer carried no signature where the provider signs (R16).
        unsigned_answer: bool,
        /// What went wrong.
        diagnosis: Option<String>,
    },
    /// A token request brought none.
    NoToken {
        /// The provider's name.
        provider: &'static str,
        /// The credentials were refused.
        refused: bool,
        /// What went wrong.
        diagnosis: Option<String>,
    },
    /// The credentials of an account were refused for good; its verifications end as they ask.
    CredentialsRefused {
        /// The provider's name.
        provider: &'static str,
    },
    /// So many verifications are open, or their cadence is so slow, that each is pulled fewer than three times before its deadline (R13).
    Crowded {
        /// The provider's name.
        provider: &'static str,
        /// How far apart the pulls of one verification are expected to be.
        expected: Span,
        /// The deadline they have.
        deadline: Span,
    },
    /// The provider did something that its documents do not describe (R19). It counts all the same. A callback on a channel that is
    /// not documented for its event is told in [`CallbackEvent::remark`].
    Deviation {
        /// The provider's name.
        provider: &'static str,
        /// The verification.
        id: Arc<str>,
        /// What departs, in the terms of the provider's table of events.
        deviation: Deviation,
        /// The same in words.
        remark: String,
    },
    /// A callback was recorded or refused. Told by whoever received it.
    Callback(CallbackEvent),
    /// The application did not take a revision; it is offered again.
    HandOverFailed {
        /// The provider's name.
        provider: &'static str,
        /// The verification.
        id: Arc<str>,
        /// The revision's number.
        number: u32,
        /// Which attempt, from 1.
        attempt: u8,
        /// What the application said.
        error: String,
    },
    /// The application took a revision, and its word is saved: it is never offered again.
    HandedOver {
        /// The provider's name.
        provider: &'static str,
        /// The verification.
        id: Arc<str>,
        /// The revision's number.
        number: u32,
    },
    /// The application did not take a revision, and it is not offered again.
    DeadLettered {
        /// The provider's name.
        provider: &'static str,
        /// The verification.
        id: Arc<str>,
        /// The revision's number.
        number: u32,
    },
    /// A verification ended. Later callbacks may reopen it.
    Ended {
        /// The provider's name.
        provider: &'static str,
        /// The verification.
        id: Arc<str>,
        /// How.
        end: End,
        /// A callback, or another hint, was never confirmed by a pull (R12).
        unconfirmed: bool,
        /// Where the recorded callbacks stand in the journal that no pull confirmed; the newest four.
        unconfirmed_callbacks: Vec<u64>,
        /// Some pull was answered, whatever the answer said.
        reached: bool,
        /// What went wrong last.
        diagnosis: Option<String>,
    },
    /// The store failed; what depends on it waits.
    StoreFailed {
        /// What the store said.
        error: String,
    },
    /// Another process saved this verification; it is no longer driven here (G9).
    TakenOver {
        /// The provider's name.
        provider: &'static str,
        /// The verification.
        id: Arc<str>,
    },
    /// A verification that only the store still knew is driven here again: it was named, and its revision numbers go on (R8).
    BroughtBack {
        /// The provider's name.
        provider: &'static str,
        /// The verification.
        id: Arc<str>,
    },
    /// Callbacks may have been missed; every settled verification is pulled once, spread by the budget (R9).
    ListeningGap {
        /// How long nobody may have listened, in milliseconds; `None` where that is not known.
        millis: Option<u64>,
    },
    /// A stored verification or recorded callback is left as it is.
    LeftInStore {
        /// The provider's name.
        provider: String,
        /// The verification, where it is known.
        id: Option<String>,
        /// Why, and what to do.
        problem: String,
    },
}

/// What became of an opening, once the store has spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opened {
    /// The session that [`super::Engine::open`] named.
    pub key: Key,
    /// What became of it.
    pub opening: Opening,
}

/// What became of an opening, once the store has spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opening {
    /// It is saved: it outlives this process.
    Saved,
    /// The store failed, so nothing is started yet; it is tried again.
    NotSavedYet,
    /// The store had it, ended: it goes on where it ended, and is pulled anew (R8).
    BroughtBack,
    /// Another process drives it; here it is forgotten (G9).
    Elsewhere,
}

/// Where one verification stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// `Open`, `Settled` or `Ended`.
    pub state: &'static str,
    /// The newest verdict.
    pub verdict: Option<Verdict>,
    /// How it ended, if it did.
    pub end: Option<End>,
    /// How many pulls were sent.
    pub attempts: u32,
    /// A pull is under way.
    pub pulling: bool,
    /// The time until the next pull, where one is planned; zero while it waits for the store or for its turn.
    pub next_pull: Option<Duration>,
    /// The time until the deadline, or until the end of the watch.
    pub time_left: Option<Duration>,
    /// Some pull was answered, whatever the answer said.
    pub reached: bool,
    /// What went wrong last.
    pub diagnosis: Option<String>,
}
