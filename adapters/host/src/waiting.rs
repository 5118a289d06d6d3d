//! When waiting for one verification is over, and why there is no verdict.

use crate::{DriverError, StartError};
use idv_core::engine::{Event, Revision};
use idv_core::session::End;
use std::fmt;

/// What a driver tells whoever waits for one verification.
#[derive(Debug)]
pub enum Told {
    /// A revision.
    Revision(Revision),
    /// Its end.
    Ended {
        /// How.
        end: End,
        /// Some pull was answered.
        reached: bool,
        /// What went wrong last.
        diagnosis: Option<String>,
    },
    /// The driver's own end.
    Stopped,
}

impl Told {
    /// What an event tells, if anything.
    #[must_use]
    pub fn by(event: &Event) -> Option<Self> {
        if let Event::Ended { end, reached, diagnosis, .. } = event {
            Some(Self::Ended { end: *end, reached: *reached, diagnosis: diagnosis.clone() })
        } else {
            None
        }
    }

    /// Whether that ends the waiting, and with what.
    #[must_use]
    pub fn verdict(self) -> Option<Result<Revision, WaitError>> {
        match self {
            Self::Revision(revision) => revision.verdict.settles().then_some(Ok(revision)),
            Self::Stopped => Some(Err(WaitError::Open(DriverError::Stopped))),
            // The revision that says so is on its way.
            Self::Ended { end: End::Deleted | End::Watched, .. } => None,
            Self::Ended { end: End::Refused, diagnosis, .. } => Some(Err(WaitError::Refused { diagnosis })),
            Self::Ended { reached: false, diagnosis, .. } => Some(Err(WaitError::Unreachable { diagnosis })),
            Self::Ended { end: End::Expired | End::Cancelled, diagnosis, .. } => {
                Some(Err(WaitError::Expired { diagnosis }))
            }
        }
    }
}

/// Why there is no verdict.
#[derive(Debug)]
pub enum WaitError {
    /// The deadline passed.
    Expired {
        /// What went wrong last.
        diagnosis: Option<String>,
    },
    /// The provider refused the credentials.
    Refused {
        /// What it said.
        diagnosis: Option<String>,
    },
    /// The deadline passed, and no pull was ever answered.
    Unreachable {
        /// What went wrong last.
        diagnosis: Option<String>,
    },
    /// The driver could not be started.
    Start(StartError),
    /// The verification could not be opened.
    Open(DriverError),
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, diagnosis) = match self {
            Self::Expired { diagnosis } => ("the deadline passed without a verdict", diagnosis),
            Self::Refused { diagnosis } => ("the provider refused the credentials", diagnosis),
            Self::Unreachable { diagnosis } => ("the provider was never reached", diagnosis),
            Self::Start(error) => return error.fmt(f),
            Self::Open(error) => return error.fmt(f),
        };
        f.write_str(what)?;
        match diagnosis {
            Some(diagnosis) => write!(f, ": {diagnosis}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for WaitError {}
