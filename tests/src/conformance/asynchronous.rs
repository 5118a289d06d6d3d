//! The asynchronous adapters: one implementation, whatever the runtime.

use super::{Adapter, Running, Setup};
use futures_util::future::{BoxFuture, FutureExt, select};
use idv_async::{AccountRef, Builder, Client, Driver, Options, Transport, Verification};
use idv_host::Runtime;
use smol::channel::{Receiver, Sender, bounded};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

/// Runs a future to its end within the runtime.
type BlockOn = fn(BoxFuture<'_, ()>);

/// An adapter over `idv-async`.
pub struct Asynchronous<R: Runtime, T = Client<R>> {
    name: &'static str,
    runtime: R,
    block_on: BlockOn,
    transport: fn(Client<R>) -> T,
}

impl<R: Runtime> Asynchronous<R> {
    /// The adapter of this runtime. `block_on` runs a future to its end within it.
    pub const fn new(name: &'static str, runtime: R, block_on: BlockOn) -> Self {
        Self { name, runtime, block_on, transport: |client| client }
    }

    /// The same with something between it and the provider.
    #[must_use]
    pub fn over<T>(self, transport: fn(Client<R>) -> T) -> Asynchronous<R, T> {
        let Self { name, runtime, block_on, .. } = self;
        Asynchronous { name, runtime, block_on, transport }
    }
}

struct Driving<R: Runtime> {
    block_on: BlockOn,
    driver: Driver<R>,
    account: AccountRef,
    opened: Mutex<BTreeMap<String, Verification>>,
    /// Closed to have the driver's task dropped where it stands.
    alive: Sender<Infallible>,
    /// Closed when it was.
    died: Receiver<Infallible>,
}

/// The outcome of a future that runs within the runtime.
fn within<T: Send>(block_on: BlockOn, future: impl Future<Output = T> + Send) -> Option<T> {
    let mut outcome = None;
    block_on(async { outcome = Some(future.await) }.boxed());
    outcome
}

impl<R: Runtime, T: Transport + 'static> Adapter for Asynchronous<R, T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn start(&self, setup: Setup) -> Result<Box<dyn Running>, String> {
        let options = Options { roots_pem: Some(setup.roots_pem), ..Options::default() };
        let client = Client::on_with_options(self.runtime.clone(), &options);
        let mut builder = Builder::on(self.runtime.clone());
        let account = builder.account(setup.account);
        let (offering, telling) = (setup.application.clone(), setup.application);
        builder
            .transport((self.transport)(client.map_err(|error| error.to_string())?))
            .store(setup.store)
            .hand_over(setup.hand_over)
            .on_revision(move |revision| {
                let word = offering.offer(&revision);
                async move { Ok(word.recv().await??) }
            })
            .on_event(move |event| telling.tell(event));
        let (runtime, (alive, killed), (dying, died)) = (self.runtime.clone(), bounded(1), bounded(1));
        let started = within(self.block_on, async move {
            let (driver, task) = builder.prepare().await?;
            runtime.spawn(async move {
                let killed: Receiver<Infallible> = killed;
                drop(select(Box::pin(task), Box::pin(killed.recv())).await);
                drop(dying);
            });
            Ok::<_, idv_async::StartError>(driver)
        });
        let driver = started.ok_or("the runtime dropped a future")?.map_err(|error| error.to_string())?;
        let block_on = self.block_on;
        Ok(Box::new(Driving { block_on, driver, account, opened: Mutex::default(), alive, died }))
    }
}

impl<R: Runtime> Running for Driving<R> {
    fn open(&self, id: &str) -> Result<(), String> {
        let opened = within(self.block_on, self.driver.open(self.account, id));
        let opened = opened.ok_or("the runtime dropped a future")?.map_err(|error| error.to_string())?;
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), opened);
        Ok(())
    }

    fn cancel(&self, id: &str) -> Result<(), String> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner).get(id).copied();
        let opened = opened.ok_or_else(|| format!("{id} was not opened here"))?;
        let cancelled = within(self.block_on, self.driver.cancel(opened));
        cancelled.ok_or("the runtime dropped a future")?.map_err(|error| error.to_string())
    }

    fn listen(&self, path: &str, config: idv_listener::Config) -> Result<SocketAddr, String> {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let paths = [(path, self.account)];
        let listening = within(self.block_on, self.driver.listen_with(address, &paths, config));
        listening.ok_or("the runtime dropped a future")?.map_err(|error| error.to_string())
    }

    /// As a crash would: drops the driver's task at whatever it is waiting for.
    fn stop(self: Box<Self>) {
        let Self { alive, died, driver, .. } = *self;
        drop(alive);
        let _ = died.recv_blocking();
        drop(driver);
    }
}
