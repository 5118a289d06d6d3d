//! Waiting for one verification.

use crate::driver::Driver;
use crate::transport::Client;
use idv_core::engine::{Account, Revision};
use idv_host::{DriverError, Told, WaitError};
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
            if let Some(told) = Told::by(event) {
                let _ = sender.send(told);
            }
        });
    let driver = builder.start().map_err(WaitError::Start)?;
    driver.open(account, id).map_err(WaitError::Open)?;
    told.iter().find_map(Told::verdict).unwrap_or(Err(WaitError::Open(DriverError::Stopped)))
}
