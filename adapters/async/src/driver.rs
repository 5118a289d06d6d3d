//! The driver as an application holds it: asked to open, told to stop.

use crate::builder::Builder;
use crate::receiving::Receiving;
use crate::run::Message;
use async_channel::{Receiver, Sender};
use idv_core::engine::{Created, Endpoint, Engine, Moment, Status, Task};
use idv_core::fleet::AccountId;
use idv_core::http::Received;
use idv_core::machine::Disposition;
use idv_core::provider::Provider;
use idv_core::receipt::Answer;
#[cfg(feature = "tower")]
use idv_host::Intake;
use idv_host::{
    AccountRef, CallbackRequest, Clock, DriverError, Events, Observers, Runtime, Verification, until_granted,
};
use idv_listener::Callbacks;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Drives verifications over shared tokens and budgets, in one task. Clones are the same driver; it stops when the last one is dropped, or
/// when told to.
///
/// Every future may be dropped at any point: what was asked for is then done or was never asked for, and nothing of it is lost.
pub struct Driver<R: Runtime> {
    inner: Arc<Inner<R>>,
}

pub(crate) struct Inner<R> {
    pub(crate) runtime: R,
    pub(crate) outbox: Sender<Message>,
    pub(crate) accounts: Vec<(AccountId, Endpoint)>,
    pub(crate) receiving: Arc<Receiving>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observers: Observers,
    /// Closed when the task has ended.
    pub(crate) ended: Receiver<()>,
}

impl<R: Runtime + Default> Driver<R> {
    /// Prepares a driver.
    #[must_use]
    pub fn builder() -> Builder<R> {
        Builder::on(R::default())
    }
}

impl<R: Runtime> Driver<R> {
    pub(crate) fn new(inner: Inner<R>) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// Opens a verification; it is pulled at once. Its revisions go to [`Builder::on_revision`].
    ///
    /// # Errors
    /// It is open already, the id is empty, the driver is full or has stopped.
    pub async fn open(&self, account: AccountRef, id: &str) -> Result<Verification, DriverError> {
        self.open_with(account, id, None).await
    }

    /// Opens a verification with the answer to the request that created it, which may state a first verdict (R17).
    ///
    /// # Errors
    /// As for [`Driver::open`].
    pub async fn open_created(
        &self,
        account: AccountRef,
        id: &str,
        created: Received,
    ) -> Result<Verification, DriverError> {
        let (_, endpoint) = self.account(account)?;
        let created = Created::read(&*endpoint.provider, id, created, self.inner.clock.unix_ms());
        self.open_with(account, id, Some(created)).await
    }

    async fn open_with(
        &self,
        account: AccountRef,
        id: &str,
        created: Option<Created>,
    ) -> Result<Verification, DriverError> {
        let (account, _) = self.account(account)?;
        let (reply, answer) = async_channel::bounded(1);
        self.tell(Message::Open { account: *account, id: id.to_owned(), created, reply }).await?;
        Verification::opened(answer.recv().await.map_err(|_| DriverError::Stopped)?)
    }

    /// The verification with this id at the account's provider, or else the first that has it as its alias; `None` when the driver does not
    /// know it. Ended ones are there until they are forgotten.
    ///
    /// # Errors
    /// The account is not this driver's, or the driver has stopped.
    pub async fn find(&self, account: AccountRef, id: &str) -> Result<Option<Verification>, DriverError> {
        let (_, endpoint) = self.account(account)?;
        let (provider, id) = (endpoint.provider.name(), id.to_owned());
        let found = self.ask(move |engine, _, _| engine.find(provider, &id)).await?;
        Ok(found.map(Verification::new))
    }

    /// Where a verification stands; `None` when the driver does not know it any more.
    ///
    /// # Errors
    /// The driver has stopped.
    pub async fn status(&self, verification: Verification) -> Result<Option<Status>, DriverError> {
        self.ask(move |engine, moment, _| engine.status(verification.key(), moment.now)).await
    }

    /// Has a verification pulled as soon as its cadence allows. One that has ended stays so.
    ///
    /// # Errors
    /// The driver has stopped.
    pub async fn hint(&self, verification: Verification) -> Result<(), DriverError> {
        self.command(move |engine, moment, out| {
            let _: Disposition = engine.hint(moment, verification.key(), out);
        })
        .await
    }

    /// Ends a verification: no more pulls. A revision that was handed over already is still confirmed or repeated.
    ///
    /// # Errors
    /// The driver has stopped.
    pub async fn cancel(&self, verification: Verification) -> Result<(), DriverError> {
        self.command(move |engine, moment, out| {
            let _: Disposition = engine.cancel(moment, verification.key(), out);
        })
        .await
    }

    /// Forgets a verification that has ended and awaits no hand-over; says whether it did. A store keeps it, and its revision numbers go
    /// on when it is opened again or a callback names it.
    ///
    /// # Errors
    /// The driver has stopped.
    pub async fn forget(&self, verification: Verification) -> Result<bool, DriverError> {
        self.ask(move |engine, _, _| engine.forget(verification.key()) == Disposition::Applied).await
    }

    /// Takes one call of the account's budget for a request of your own, such as creating a verification: every call counts (R13). `None`
    /// when it is granted; otherwise how long to wait before asking again.
    ///
    /// # Errors
    /// The account is not this driver's, or the driver has stopped.
    pub async fn take(&self, account: AccountRef) -> Result<Option<Duration>, DriverError> {
        let (account, _) = *self.account(account)?;
        self.ask(move |engine, moment, _| until_granted(engine.take(moment, account), moment.now)).await
    }

    /// Uses other credentials for the calls of this account from now on. Callbacks are still checked by those that it was built with: give
    /// both secrets there while they change.
    ///
    /// # Errors
    /// They cannot take the place of the account's, the account is not this driver's, or the driver has stopped.
    pub async fn credentials_replaced(
        &self,
        account: AccountRef,
        provider: impl Provider + 'static,
    ) -> Result<(), DriverError> {
        let (account, _) = *self.account(account)?;
        let provider = Arc::new(provider);
        let replaced = self
            .ask(move |engine, moment, out| engine.credentials_replaced(moment, account, provider, out))
            .await?;
        replaced.map_err(DriverError::Credentials)
    }

    /// Says that a server of your own could not receive callbacks for longer than the provider repeats them: every settled verification is
    /// pulled once, spread by the budget (R9). The driver notices by itself when it was started anew or the computer slept.
    ///
    /// # Errors
    /// The driver has stopped.
    pub async fn listening_had_a_gap(&self) -> Result<(), DriverError> {
        self.command(|engine, _, out| engine.listening_had_a_gap(out)).await
    }

    /// Takes a callback that a server of your own received whole, and says what to answer, at the receipt's deadline at the latest; a 200
    /// means that it is recorded (G5). Dropping the future says that the peer is gone; what is being recorded goes on.
    ///
    /// # Errors
    /// The account is not this driver's.
    pub async fn callback(
        &self,
        account: AccountRef,
        request: &CallbackRequest<'_>,
    ) -> Result<Answer, DriverError> {
        let (_, endpoint) = self.account(account)?;
        Ok(self.inner.receiving.intake.receive_async(endpoint, request).await)
    }

    /// Starts a server that receives callbacks at these paths, each for one account. Port 0 picks a free port; the address it listens on
    /// is returned.
    ///
    /// # Errors
    /// The address cannot be had, an account is not this driver's, or the driver has stopped.
    pub async fn listen(
        &self,
        address: SocketAddr,
        paths: &[(&str, AccountRef)],
    ) -> Result<SocketAddr, DriverError> {
        self.listen_with(address, paths, idv_listener::Config::default()).await
    }

    /// As [`Driver::listen`], with other bounds or with TLS. The deadline of an answer is the account's; the server's own is set so that
    /// it never comes first.
    ///
    /// # Errors
    /// As for [`Driver::listen`], and where the bounds cannot work.
    pub async fn listen_with(
        &self,
        address: SocketAddr,
        paths: &[(&str, AccountRef)],
        config: idv_listener::Config,
    ) -> Result<SocketAddr, DriverError> {
        let mut routes = Vec::new();
        for (path, account) in paths {
            let (_, endpoint) = self.account(*account)?;
            routes.push(((*path).to_owned(), endpoint.clone()));
        }
        let callbacks = Callbacks::new(self.inner.receiving.intake.clone(), routes);
        let config = callbacks.bounds(config);
        let server =
            idv_listener::Server::bind(address, config).map_err(|error| DriverError::Listen(error.into()))?;
        let address = server.local_addr();
        let (stopped, serving) = self.inner.receiving.begin().ok_or(DriverError::Stopped)?;
        let runtime = self.inner.runtime.clone();
        self.inner.runtime.spawn(async move {
            let until = async {
                let _ = stopped.recv().await;
            };
            if let Err(error) = server.serve(runtime, callbacks, until).await {
                tracing::error!(%error, %address, "the listener's socket cannot be used");
            }
            drop(serving);
        });
        Ok(address)
    }

    /// What happens from now on, to be read as it comes.
    #[must_use]
    pub fn events(&self) -> Events {
        self.inner.observers.stream()
    }

    /// Stops: first the listeners, whose running callbacks are answered, then the calls, which are broken off, last the hand-overs, which
    /// are finished and saved. Ends when all of it ended, or after about the time given to [`Builder::drain`] for each. Dropping the
    /// future does not take back the stop. A handler that waits for it waits for itself, until that time is over.
    pub async fn stop(&self) {
        let _ = self.inner.outbox.send(Message::Stop).await;
        // Nothing is ever sent: the channel is closed when the task has ended.
        let _ = self.inner.ended.recv().await;
    }

    #[cfg(feature = "tower")]
    pub(crate) fn entrance(&self, account: AccountRef) -> Result<(Intake, Endpoint), DriverError> {
        let (_, endpoint) = self.account(account)?;
        Ok((self.inner.receiving.intake.clone(), endpoint.clone()))
    }

    fn account(&self, account: AccountRef) -> Result<&(AccountId, Endpoint), DriverError> {
        self.inner.accounts.get(account.index()).ok_or(DriverError::NoAccount)
    }

    /// Has the engine answer a question.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Engine, Moment, &mut dyn FnMut(Task)) -> T + Send + 'static,
    ) -> Result<T, DriverError> {
        let (reply, answer) = async_channel::bounded(1);
        self.command(move |engine, moment, out| {
            let _ = reply.try_send(question(engine, moment, out));
        })
        .await?;
        answer.recv().await.map_err(|_| DriverError::Stopped)
    }

    async fn command(
        &self,
        command: impl FnOnce(&mut Engine, Moment, &mut dyn FnMut(Task)) + Send + 'static,
    ) -> Result<(), DriverError> {
        self.tell(Message::Ask(Box::new(command))).await
    }

    async fn tell(&self, message: Message) -> Result<(), DriverError> {
        self.inner.outbox.send(message).await.map_err(|_| DriverError::Stopped)
    }
}

impl<R> Drop for Inner<R> {
    fn drop(&mut self) {
        self.outbox.close();
    }
}

impl<R: Runtime> Clone for Driver<R> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<R: Runtime> fmt::Debug for Driver<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("accounts", &self.inner.accounts.len()).finish_non_exhaustive()
    }
}
