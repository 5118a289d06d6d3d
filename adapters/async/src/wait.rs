//! Waiting for one verification.

use crate::builder::{Builder, StartError};
use crate::client::Client;
use crate::driver::DriverError;
use futures_util::future::{Either, select};
use idv_core::engine::{Account, Event, Revision};
use idv_core::session::End;
use idv_host::Runtime;
use std::fmt;
use std::pin::pin;

/// Waits until one verification has a settling verdict: accepted, declined, cancelled, timed out or deleted; at most until the account's
/// deadline and grace. Dropping the future ends it, its calls included.
///
/// # Errors
/// There is none; says why.
pub async fn wait<R: Runtime>(account: Account, id: &str, client: &Client<R>) -> Result<Revision, WaitError> {
    let (sender, told) = async_channel::unbounded();
    let mut builder = Builder::on(client.runtime().clone());
    let account = builder.account(account);
    let revisions = sender.clone();
    builder
        .transport(client.clone())
        .on_revision(move |revision| {
            let _ = revisions.try_send(Told::Revision(revision));
            std::future::ready(Ok(()))
        })
        .on_event(move |event| {
            if let Event::Ended { end, reached, diagnosis, .. } = event {
                let _ = sender.try_send(Told::Ended {
                    end: *end,
                    reached: *reached,
                    diagnosis: diagnosis.clone(),
                });
            }
        });
    let (driver, task) = builder.prepare().await.map_err(WaitError::Start)?;
    let verdict = async {
        driver.open(account, id).await.map_err(WaitError::Open)?;
        while let Ok(told) = told.recv().await {
            match told {
                Told::Revision(revision) if revision.verdict.settles() => return Ok(revision),
                Told::Revision(_) => {}
                // The revision that says so is on its way.
                Told::Ended { end: End::Deleted | End::Watched, .. } => {}
                Told::Ended { end: End::Refused, diagnosis, .. } => {
                    return Err(WaitError::Refused { diagnosis });
                }
                Told::Ended { reached: false, diagnosis, .. } => {
                    return Err(WaitError::Unreachable { diagnosis });
                }
                Told::Ended { end: End::Expired | End::Cancelled, diagnosis, .. } => {
                    return Err(WaitError::Expired { diagnosis });
                }
            }
        }
        Err(WaitError::Open(DriverError::Stopped))
    };
    match select(pin!(verdict), pin!(task)).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(((), verdict)) => verdict.await,
    }
}

enum Told {
    Revision(Revision),
    Ended { end: End, reached: bool, diagnosis: Option<String> },
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
