//! Waiting for one verification.

use crate::builder::Builder;
use crate::client::Client;
use futures_util::future::{Either, select};
use idv_core::engine::{Account, Revision};
use idv_host::{DriverError, Runtime, Told, WaitError};
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
            if let Some(told) = Told::by(event) {
                let _ = sender.try_send(told);
            }
        });
    let (driver, task) = builder.prepare().await.map_err(WaitError::Start)?;
    let verdict = async {
        driver.open(account, id).await.map_err(WaitError::Open)?;
        while let Ok(told) = told.recv().await {
            if let Some(verdict) = told.verdict() {
                return verdict;
            }
        }
        Err(WaitError::Open(DriverError::Stopped))
    };
    match select(pin!(verdict), pin!(task)).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(((), verdict)) => verdict.await,
    }
}
