//! What every driver shares beside the core's engine: its bounds, what an application holds of it, and its errors.

use idv_core::engine::{self, Completion, CredentialsError, HandOver, Opened, Opening, Permit, RestoreError};
use idv_core::fleet::{Key, OpenError, Wake};
use idv_core::time::Instant;
use std::fmt;
use std::io;
use std::time::Duration;

/// The most steps of the engine before a driver looks at what came in.
pub const WORK: u32 = 256;

/// The longest that a driver waits without looking at the clock: timers may stand still while the computer sleeps, our clock does not.
const LONGEST_WAIT: Duration = engine::LONGEST_WAIT.as_duration();

/// The most messages that wait for a driver; past it, whoever has one more waits.
pub const INBOX: usize = 4_096;

/// The most questions to the store at the same time, beside the callbacks that it records.
pub const STORING: usize = 4;

/// How long stopping waits for what the application and the store are at, unless chosen otherwise.
pub const DRAIN: Duration = engine::DRAIN.as_duration();

/// Why the application did not take a revision.
pub type HandOverError = Box<dyn std::error::Error + Send + Sync>;

/// An account of a driver. Belongs to the builder, and the driver started from it, that it came from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AccountRef(usize);

impl AccountRef {
    /// The account that was added as the `index`-th, counted from 0; for drivers.
    #[must_use]
    pub const fn new(index: usize) -> Self {
        Self(index)
    }

    /// Which one it was.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }
}

/// A verification that a driver drives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Verification(Key);

impl Verification {
    /// The session of this key; for drivers.
    #[must_use]
    pub const fn new(key: Key) -> Self {
        Self(key)
    }

    /// The engine's key of it.
    #[must_use]
    pub const fn key(self) -> Key {
        self.0
    }

    /// What became of an opening, in the application's terms.
    ///
    /// # Errors
    /// It was refused, or another process drives it.
    pub fn opened(opened: Result<Opened, OpenError>) -> Result<Self, DriverError> {
        match opened.map_err(DriverError::Open)? {
            Opened { opening: Opening::Elsewhere, .. } => Err(DriverError::Stored),
            Opened { key, opening: Opening::Saved | Opening::NotSavedYet | Opening::BroughtBack } => {
                Ok(Self(key))
            }
        }
    }
}

/// The completion of a hand-over by the application's word. A handler that panicked has not taken the revision.
pub fn word_given(hand_over: HandOver, word: std::thread::Result<Result<(), HandOverError>>) -> Completion {
    match word {
        Ok(Ok(())) => {
            tracing::debug!("taken");
            hand_over.taken()
        }
        Ok(Err(error)) => {
            // What the application says may be about a person: it is for the application's own log.
            tracing::debug!("not taken");
            hand_over.not_taken(error.to_string())
        }
        Err(_) => {
            tracing::error!("the handler panicked");
            hand_over.not_taken("the handler panicked".to_owned())
        }
    }
}

/// How long a driver may sleep, unless something comes in. Never too short for what is due: clocks are read rounded down.
#[must_use]
pub fn until_wake(wake: Wake, now: Instant) -> Duration {
    match wake {
        Wake::More => Duration::ZERO,
        Wake::At(at) => Duration::from_millis(at.since(now)).min(LONGEST_WAIT),
        Wake::Input => LONGEST_WAIT,
    }
}

/// Whether a call of one's own may be sent, in the application's terms: `None` now, or how long to wait before asking again.
#[must_use]
pub fn until_granted(permit: Permit, now: Instant) -> Option<Duration> {
    match permit {
        Permit::Granted => None,
        Permit::After(at) => Some(Duration::from_millis(at.since(now))),
    }
}

/// Why a driver could not be started.
#[derive(Debug)]
pub enum StartError {
    /// What the store holds could not be taken over.
    Restore(RestoreError),
    /// No thread could be started.
    Thread(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Restore(error) => error.fmt(f),
            Self::Thread(error) => write!(f, "no thread could be started for the driver: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// Why a driver did not do what it was asked.
#[derive(Debug)]
pub enum DriverError {
    /// The verification could not be opened.
    Open(OpenError),
    /// The store has this verification already, and another process drives it.
    Stored,
    /// The account belongs to another driver.
    NoAccount,
    /// Other credentials cannot take the place of the account's.
    Credentials(CredentialsError),
    /// The driver has stopped.
    Stopped,
    /// The listener could not be started; says why, and what to do.
    Listen(Box<dyn std::error::Error + Send + Sync>),
    /// No thread could be started.
    Thread(io::Error),
}

impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::Stored => f.write_str(
                "another process drives this verification: leave it to that one, or stop it and start a new driver on the store",
            ),
            Self::NoAccount => {
                f.write_str("this account belongs to another driver: add it to this one's builder")
            }
            Self::Credentials(error) => error.fmt(f),
            Self::Stopped => f.write_str("the driver has stopped"),
            Self::Listen(error) => error.fmt(f),
            Self::Thread(error) => write!(f, "no thread could be started for the listener: {error}"),
        }
    }
}

impl std::error::Error for DriverError {}
