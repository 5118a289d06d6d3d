//! The driver as an application holds it: built once, told what to open, asked how things stand.

use crate::account::Account;
use crate::calls::Caller;
use crate::engine::{AccountEntry, Engine, HandOverError, Handler, Message, Observer, Parts, RestoreError};
use crate::report::{Event, Revision, Status};
use crate::transport::{Client, Received, Transport};
use idv_core::delivery::{self, Schedule, Success};
use idv_core::engine::Endpoint;
use idv_core::fleet::{AccountId, DoorId, Fleet, FleetPolicy, Key, OpenError};
use idv_core::http::Request;
use idv_core::provider::Provider;
use idv_core::receipt::Answer;
use idv_core::store::{Journal, Sessions};
use idv_core::time::Span;
use idv_host::{
    AnyStore, CallbackRequest, Clock, Delivered, Entropy, Intake, IntakeBounds, Pool, SharedMemory,
    SystemClock,
};
use idv_listener::Callbacks;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How a revision that the application did not take is offered again, unless chosen otherwise: eight attempts over about three hours.
pub const HAND_OVER: delivery::Policy = delivery::Policy {
    // The handler is code of this process: it is waited for.
    timeout: Span::MAX,
    success: Success::Exactly200,
    schedule: Schedule::of([
        Span::secs(1),
        Span::secs(5),
        Span::secs(30),
        Span::mins(2),
        Span::mins(10),
        Span::mins(45),
        Span::hours(2),
    ]),
    jitter_percent: 20,
};

/// The most messages that wait for the driver; past it, whoever has one more waits.
const INBOX: usize = 4_096;

/// Prepares a [`Driver`].
pub struct Builder {
    accounts: Vec<Account>,
    fleet: FleetPolicy,
    transport: Option<Arc<dyn Transport>>,
    clock: Option<Arc<dyn Clock>>,
    entropy: Option<Entropy>,
    store: AnyStore,
    handler: Option<Handler>,
    observer: Option<Observer>,
    hand_over: delivery::Policy,
    calls_at_once: usize,
    intake: IntakeBounds,
    handlers: usize,
    drain: Duration,
}

impl Builder {
    fn new() -> Self {
        Self {
            accounts: Vec::new(),
            fleet: FleetPolicy::default(),
            transport: None,
            clock: None,
            entropy: None,
            store: AnyStore::new(SharedMemory::default()),
            handler: None,
            observer: None,
            hand_over: HAND_OVER,
            calls_at_once: 8,
            intake: IntakeBounds::default(),
            handlers: 1,
            drain: Duration::from_secs(5),
        }
    }

    /// Adds an account. Accounts at the same provider and host share one budget, that of the first added (R13).
    pub fn account(&mut self, account: Account) -> AccountRef {
        self.accounts.push(account);
        AccountRef(self.accounts.len() - 1)
    }

    /// Who takes revisions. `Ok` confirms one, `Err` has it offered again and at last dead-lettered. Runs on a thread of its own and
    /// may block. Default: nobody, and every revision counts as taken.
    pub fn on_revision(
        &mut self,
        handler: impl Fn(&Revision) -> Result<(), HandOverError> + Send + Sync + 'static,
    ) -> &mut Self {
        self.handler = Some(Arc::new(handler));
        self
    }

    /// Who is told what happens. Called on the driver's own threads: it must return at once and must not call the driver, which would
    /// wait for itself.
    pub fn on_event(&mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> &mut Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Where callbacks, sessions and hand-overs are kept. Default: in memory, gone with the process.
    pub fn store(&mut self, store: impl Journal + Sessions + Clone + Send + 'static) -> &mut Self {
        self.store = AnyStore::new(store);
        self
    }

    /// What sends the requests. The driver shuts it down when it stops; see [`Client::separate`]. Default: [`Client::new`].
    pub fn transport(&mut self, transport: impl Transport + 'static) -> &mut Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// Where the time is read. Default: [`SystemClock`].
    pub fn clock(&mut self, clock: impl Clock + 'static) -> &mut Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Where jitter comes from. Default: [`Entropy::from_system`].
    pub fn entropy(&mut self, entropy: Entropy) -> &mut Self {
        self.entropy = Some(entropy);
        self
    }

    /// How a revision that was not taken is offered again. Default: [`HAND_OVER`].
    pub fn hand_over(&mut self, policy: delivery::Policy) -> &mut Self {
        self.hand_over = policy;
        self
    }

    /// The bounds of the fleet. Default: a million verifications.
    pub fn fleet(&mut self, policy: FleetPolicy) -> &mut Self {
        self.fleet = policy;
        self
    }

    /// The most calls to providers at the same time, each on a thread. Default 8.
    pub fn calls_at_once(&mut self, threads: usize) -> &mut Self {
        self.calls_at_once = threads;
        self
    }

    /// The most revisions that are handed over at the same time. Default 1.
    pub fn handlers_at_once(&mut self, threads: usize) -> &mut Self {
        self.handlers = threads;
        self
    }

    /// How many callbacks are recorded and held at the same time. Default: [`IntakeBounds::default`].
    pub fn intake(&mut self, bounds: IntakeBounds) -> &mut Self {
        self.intake = bounds;
        self
    }

    /// How long stopping waits for what the application and the store are at. Default 5 s.
    pub fn drain(&mut self, within: Duration) -> &mut Self {
        self.drain = within;
        self
    }

    /// Takes over what the store holds, and starts.
    ///
    /// # Errors
    /// The store cannot be read, holds something that cannot be taken over, or no thread could be started.
    pub fn start(self) -> Result<Driver, StartError> {
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        let transport = self.transport.unwrap_or_else(|| Arc::new(Client::new()));
        let observer = undisturbed(self.observer);
        let (outbox, inbox) = sync_channel(INBOX);

        let mut fleet = Fleet::new(self.fleet);
        let mut doors: BTreeMap<String, DoorId> = BTreeMap::new();
        let mut entries = BTreeMap::new();
        let mut accounts = Vec::new();
        for Account { provider, policy, door: limit, receipt } in self.accounts {
            let label = label(&*provider);
            let door =
                *doors.entry(door_of(provider.name(), &label)).or_insert_with(|| fleet.add_door(limit));
            let id = fleet.add_account(door, policy);
            let endpoint = Endpoint { provider: Arc::clone(&provider), policy: receipt };
            accounts.push((id, endpoint));
            entries.insert(id, AccountEntry { provider, label, tokens: BTreeMap::new(), trouble: None });
        }

        let intake =
            Intake::new(Arc::clone(&clock), self.store.clone(), self.intake, forward(outbox.clone()), {
                let observer = Arc::clone(&observer);
                move |event| observer(&Event::Callback(event))
            });
        let mut engine = Engine::new(Parts {
            fleet,
            accounts: entries,
            store: self.store,
            caller: Caller { transport, clock: Arc::clone(&clock) },
            clock,
            entropy: self.entropy.unwrap_or_else(Entropy::from_system),
            // The fleet bounds how much there can be to do: one call and one hand-over for each session.
            calls: Pool::new("call", self.calls_at_once, usize::MAX),
            handlers: Pool::new("handler", self.handlers, usize::MAX),
            handler: self.handler.unwrap_or_else(|| Arc::new(|_| Ok(()))),
            hand_over: self.hand_over,
            observer,
            outbox: outbox.clone(),
            drain: self.drain,
        });
        engine.restore().map_err(StartError::Restore)?;
        let thread = std::thread::Builder::new()
            .name("idv-driver".to_owned())
            .spawn(move || engine.run(&inbox))
            .map_err(StartError::Thread)?;
        let inner = Inner {
            outbox,
            accounts,
            intake,
            drain: self.drain,
            running: Mutex::new(Running { thread: Some(thread), listeners: Vec::new() }),
        };
        Ok(Driver { inner: Arc::new(inner) })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("accounts", &self.accounts).finish_non_exhaustive()
    }
}

/// An observer that panics has missed an event; the driver goes on.
fn undisturbed(observer: Option<Observer>) -> Observer {
    Arc::new(move |event| {
        let Some(observer) = &observer else { return };
        if catch_unwind(AssertUnwindSafe(|| observer(event))).is_err() {
            tracing::error!("the observer panicked");
        }
    })
}

/// Where the account pulls, without query: tells the accounts of one provider apart.
fn label(provider: &dyn Provider) -> String {
    let mut request = Request::new();
    provider.pull_request("", None, &mut request);
    request.url.split(['?', '#']).next().unwrap_or_default().to_owned()
}

/// The provider and the host that it pulls from: what a budget is for.
fn door_of(provider: &str, label: &str) -> String {
    let host = label.split_once("://").map_or(label, |(_, rest)| rest).split('/').next().unwrap_or_default();
    format!("{provider} {host}")
}

/// Moves callbacks from the threads that record them into the inbox.
fn forward(outbox: SyncSender<Message>) -> impl Fn(Delivered) + Send + Sync {
    move |delivered| {
        if delivered.arrived.position().is_some() {
            // On a recorder's thread: it may wait, and then new callbacks are answered 503 instead of piling up here.
            let _ = outbox.send(Message::Callback(delivered));
        } else if outbox.try_send(Message::Callback(delivered)).is_err() {
            // A hint that gets lost costs latency, never a verdict.
            tracing::debug!("a hint was dropped: the driver is busy or has stopped");
        }
    }
}

/// An account of a driver. Belongs to the builder, and the driver started from it, that it came from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AccountRef(usize);

/// A verification that a driver drives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Verification(Key);

/// Drives verifications over shared tokens and budgets, from one thread. Clones are the same driver; it stops when the last one is
/// dropped, or when told to.
#[derive(Clone)]
pub struct Driver {
    inner: Arc<Inner>,
}

struct Inner {
    outbox: SyncSender<Message>,
    accounts: Vec<(AccountId, Endpoint)>,
    intake: Intake,
    drain: Duration,
    running: Mutex<Running>,
}

struct Running {
    thread: Option<JoinHandle<()>>,
    listeners: Vec<idv_listener::Handle>,
}

impl Driver {
    /// Prepares a driver.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Opens a verification; it is pulled at once. Its revisions go to [`Builder::on_revision`].
    ///
    /// # Errors
    /// It is open already, the id is empty, the driver is full or has stopped.
    pub fn open(&self, account: AccountRef, id: &str) -> Result<Verification, DriverError> {
        self.open_with(account, id, None)
    }

    /// Opens a verification with the answer to the request that created it, which may state a first verdict (R17).
    ///
    /// # Errors
    /// As for [`Driver::open`].
    pub fn open_created(
        &self,
        account: AccountRef,
        id: &str,
        created: Received,
    ) -> Result<Verification, DriverError> {
        self.open_with(account, id, Some(created))
    }

    fn open_with(
        &self,
        account: AccountRef,
        id: &str,
        created: Option<Received>,
    ) -> Result<Verification, DriverError> {
        let (account, _) = self.account(account)?;
        let (reply, answer) = sync_channel(1);
        self.tell(Message::Open { account: *account, id: id.to_owned(), created, reply })?;
        match answer.recv() {
            Ok(Ok(key)) => key.map(Verification).ok_or(DriverError::Stored),
            Ok(Err(error)) => Err(DriverError::Open(error)),
            Err(_) => Err(DriverError::Stopped),
        }
    }

    /// Where a verification stands; `None` when the driver does not know it any more.
    ///
    /// # Errors
    /// The driver has stopped.
    pub fn status(&self, verification: Verification) -> Result<Option<Status>, DriverError> {
        let (reply, answer) = sync_channel(1);
        self.tell(Message::Look { key: verification.0, reply })?;
        answer.recv().map_err(|_| DriverError::Stopped)
    }

    /// Ends a verification: no more pulls. A revision that was handed over already is still confirmed or repeated.
    ///
    /// # Errors
    /// The driver has stopped.
    pub fn cancel(&self, verification: Verification) -> Result<(), DriverError> {
        self.tell(Message::Cancel { key: verification.0 })
    }

    /// Takes a callback that a server of your own received whole, and says what to answer. Blocks until that is known, at most until
    /// the receipt's deadline; a 200 means that it is recorded (G5).
    ///
    /// # Errors
    /// The account is not this driver's.
    pub fn callback(
        &self,
        account: AccountRef,
        request: &CallbackRequest<'_>,
    ) -> Result<Answer, DriverError> {
        let (_, endpoint) = self.account(account)?;
        Ok(self.inner.intake.receive(endpoint, request))
    }

    /// Starts a server that receives callbacks at these paths, each for one account. Port 0 picks a free port; the address it listens
    /// on is returned.
    ///
    /// # Errors
    /// The address cannot be had, or an account is not this driver's.
    pub fn listen(
        &self,
        address: SocketAddr,
        paths: &[(&str, AccountRef)],
    ) -> Result<SocketAddr, DriverError> {
        self.listen_with(address, paths, idv_listener::Config::default())
    }

    /// As [`Driver::listen`], with other bounds or with TLS. The deadline of an answer is the account's; the server's own is set so
    /// that it never comes first.
    ///
    /// # Errors
    /// As for [`Driver::listen`], and where the bounds cannot work.
    pub fn listen_with(
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
        let callbacks = Callbacks::new(self.inner.intake.clone(), routes);
        let config = callbacks.bounds(config);
        let server = idv_listener::Server::bind(address, config).map_err(DriverError::Listen)?;
        let handle = server.spawn(callbacks).map_err(DriverError::Thread)?;
        let address = handle.local_addr();
        let mut running = self.inner.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.thread.is_none() {
            return Err(DriverError::Stopped);
        }
        running.listeners.push(handle);
        Ok(address)
    }

    /// Stops: first the listeners, whose running callbacks are answered, then the calls, which are interrupted, last the hand-overs,
    /// which are finished and saved. Returns when all of it ended, or after about the time given to [`Builder::drain`] for each.
    pub fn stop(&self) {
        self.inner.stop();
    }

    fn account(&self, account: AccountRef) -> Result<&(AccountId, Endpoint), DriverError> {
        self.inner.accounts.get(account.0).ok_or(DriverError::NoAccount)
    }

    fn tell(&self, message: Message) -> Result<(), DriverError> {
        self.inner.outbox.send(message).map_err(|_| DriverError::Stopped)
    }
}

impl Inner {
    fn stop(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let (thread, listeners) = (running.thread.take(), std::mem::take(&mut running.listeners));
        drop(running);
        for listener in listeners {
            listener.shutdown();
        }
        self.intake.close(self.drain);
        let Some(thread) = thread else { return };
        let _ = self.outbox.send(Message::Stop);
        if thread.join().is_err() {
            tracing::error!("the driver's thread panicked");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("accounts", &self.inner.accounts.len()).finish_non_exhaustive()
    }
}

/// Why a driver could not be started.
#[derive(Debug)]
pub enum StartError {
    /// What the store holds could not be taken over.
    Restore(RestoreError),
    /// No thread could be started.
    Thread(std::io::Error),
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
    /// The store has this verification already: another process drives it, or it ended and this driver forgot it since.
    Stored,
    /// The account belongs to another driver.
    NoAccount,
    /// The driver has stopped.
    Stopped,
    /// The listener could not be started.
    Listen(idv_listener::BindError),
    /// No thread could be started.
    Thread(std::io::Error),
}

impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::Stored => f.write_str(
                "the store has this verification already, and this driver does not know it: leave it to the process that drives it, \
                 or, where it ended long ago, start a new driver on the store, which takes it over",
            ),
            Self::NoAccount => {
                f.write_str("this account belongs to another driver: add it to this one's builder")
            }
            Self::Stopped => f.write_str("the driver has stopped"),
            Self::Listen(error) => error.fmt(f),
            Self::Thread(error) => write!(f, "no thread could be started for the listener: {error}"),
        }
    }
}

impl std::error::Error for DriverError {}
