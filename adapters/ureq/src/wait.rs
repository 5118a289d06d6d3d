//! Waiting for one verification.

use crate::driver::{Driver, DriverError, StartError};
use crate::transport::Client;
use idv_core::engine::{Account, Event, Revision};
use idv_core::session::End;
use std::fmt;
use std::sync::mpsc::channel;

/// Waits until one verification has a settling verdict: accepted, declined, cancelled, timed out or deleted. Blocks, at most until
/// the account's deadline and grace.
///
/// # Errors
/// There is none; says why.
pub fn wait(account: Account, id: &str, client: &Client) -> Result<Revision, WaitError> {
    let (sender, told) = channel();
    let mut builder = Driver::builder();
    let account = builder.account(account);
    let (revisions, ended) = (sender.clone(), sender.clone());
    builder
        .transport(client.separate())
        .on_end(move || {
            let _ = ended.send(Told::Stopped);
        })
        .on_revision(move |revision| {
            let _ = revisions.send(Told::Revision(revision.clone()));
            Ok(())
        })
        .on_event(move |event| {
            if let Event::Ended { end, reached, diagnosis, .. } = event {
                let _ =
                    sender.send(Told::Ended { end: *end, reached: *reached, diagnosis: diagnosis.clone() });
            }
        });
    let driver = builder.start().map_err(WaitError::Start)?;
    driver.open(account, id).map_err(WaitError::Open)?;
    for told in told {
        match told {
            Told::Revision(revision) if revision.verdict.settles() => return Ok(revision),
            Told::Revision(_) => {}
            // Its thread panicked.
            Told::Stopped => break,
            // The revision that says so is on its way.
            Told::Ended { end: End::Deleted | End::Watched, .. } => {}
            Told::Ended { end: End::Refused, diagnosis, .. } => return Err(WaitError::Refused { diagnosis }),
            Told::Ended { reached: false, diagnosis, .. } => {
                return Err(WaitError::Unreachable { diagnosis });
            }
            Told::Ended { end: End::Expired | End::Cancelled, diagnosis, .. } => {
                return Err(WaitError::Expired { diagnosis });
            }
        }
    }
    Err(WaitError::Open(DriverError::Stopped))
}

enum Told {
    Revision(Revision),
    Ended { end: End, reached: bool, diagnosis: Option<String> },
    Stopped,
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
