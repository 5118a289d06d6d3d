//! The driver as an application holds it: built once, told what to open, asked how things stand.

use crate::events::Events;
use crate::inside::Inside;
use crate::run::{Ask, Handler, Message, Run};
use crate::transport::{Client, Transport};
use idv_core::delivery;
use idv_core::engine::{Account, Created, Endpoint, Engine, Event, Moment, Policy, Revision, Status, Task};
use idv_core::fleet::trace::Recording;
use idv_core::fleet::{AccountId, FleetPolicy};
use idv_core::http::Received;
use idv_core::machine::Disposition;
use idv_core::provider::Provider;
use idv_core::receipt::Answer;
use idv_core::store::{Journal, Sessions};
use idv_host::{
    AccountRef, AnyStore, CallbackRequest, Clock, DRAIN, Delivered, DriverError, Entropy, HandOverError,
    INBOX, Inbox, Intake, IntakeBounds, Observer, Observers, Pool, STORING, SharedMemory, StartError,
    SystemClock, Verification, until_granted,
};
use idv_listener::Callbacks;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Prepares a [`Driver`].
pub struct Builder {
    accounts: Vec<Account>,
    policy: Policy,
    recording: Option<Recording>,
    transport: Option<Arc<dyn Transport>>,
    clock: Option<Arc<dyn Clock>>,
    entropy: Option<Entropy>,
    store: AnyStore,
    handler: Option<Handler>,
    observer: Option<Observer>,
    calls_at_once: usize,
    intake: IntakeBounds,
    handlers: usize,
    drain: Duration,
    on_end: Option<Box<dyn FnOnce() + Send>>,
}

impl Builder {
    fn new() -> Self {
        Self {
            accounts: Vec::new(),
            policy: Policy::default(),
            recording: None,
            transport: None,
            clock: None,
            entropy: None,
            store: AnyStore::new(SharedMemory::default()),
            handler: None,
            observer: None,
            calls_at_once: 8,
            intake: IntakeBounds::default(),
            handlers: 1,
            drain: DRAIN,
            on_end: None,
        }
    }

    /// Adds an account. Accounts at the same provider and host share one budget, that of the first added (R13).
    pub fn account(&mut self, account: Account) -> AccountRef {
        self.accounts.push(account);
        AccountRef::new(self.accounts.len() - 1)
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
    /// wait for itself. See also [`Driver::events`].
    pub fn on_event(&mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> &mut Self {
        self.observer = Some(Arc::new(move |event| {
            let _inside = Inside::enter();
            observer(event);
        }));
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

    /// How a revision that was not taken is offered again. Default: [`HAND_OVER`](crate::HAND_OVER).
    pub fn hand_over(&mut self, policy: delivery::Policy) -> &mut Self {
        self.policy.hand_over = policy;
        self
    }

    /// The bounds of the fleet. Default: a million verifications.
    pub fn fleet(&mut self, policy: FleetPolicy) -> &mut Self {
        self.policy.fleet = policy;
        self
    }

    /// Has everything recorded that the driver's machines are told, and what they do then, as a trace that `idv replay` reads: see
    /// [`record_to`](crate::record_to). Default: nothing is.
    pub fn record(&mut self, recording: Recording) -> &mut Self {
        self.recording = Some(recording);
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

    /// Called when the driver's thread has ended, however it did.
    pub(crate) fn on_end(&mut self, told: impl FnOnce() + Send + 'static) -> &mut Self {
        self.on_end = Some(Box::new(told));
        self
    }

    /// Takes over what the store holds, and starts.
    ///
    /// # Errors
    /// The store cannot be read, holds something that cannot be taken over, or no thread could be started.
    pub fn start(self) -> Result<Driver, StartError> {
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        let mut entropy = self.entropy.unwrap_or_else(Entropy::from_system);
        let transport = self.transport.unwrap_or_else(|| Arc::new(Client::new()));
        let observers = Observers::new(self.observer);
        let (outbox, inbox) = sync_channel(INBOX);

        let mut engine = match self.recording {
            Some(recording) => Engine::recorded(self.policy, recording),
            None => Engine::new(self.policy),
        };
        let accounts: Vec<(AccountId, Endpoint)> = self
            .accounts
            .into_iter()
            .map(|account| {
                let endpoint = account.endpoint();
                (engine.add_account(account), endpoint)
            })
            .collect();
        let mut tasks = Vec::new();
        let moment = Moment::new(clock.now(), clock.unix_ms(), entropy.draw());
        engine
            .restore(moment, &mut self.store.clone(), &mut |task| tasks.push(task))
            .map_err(StartError::Restore)?;

        let intake =
            Intake::new(Arc::clone(&clock), self.store.clone(), self.intake, Outbox(outbox.clone()), {
                let observers = observers.clone();
                move |event| observers.tell(&Event::Callback(event))
            });
        let run = Run {
            engine,
            clock: Arc::clone(&clock),
            entropy,
            transport,
            store: self.store,
            handler: self.handler.unwrap_or_else(|| Arc::new(|_| Ok(()))),
            observers: observers.clone(),
            // The engine bounds how much there can be to do: one call, one save and one hand-over for each session.
            calls: Pool::new("call", self.calls_at_once, usize::MAX),
            handlers: Pool::new("handler", self.handlers, usize::MAX),
            storing: Pool::new("store", STORING, usize::MAX),
            outbox: outbox.clone(),
            drain: self.drain,
            opening: BTreeMap::new(),
            stopping: Arc::new(AtomicBool::new(false)),
            tasks,
            at_once: VecDeque::new(),
        };
        let told = Told { observers: observers.clone(), on_end: self.on_end };
        let thread = std::thread::Builder::new()
            .name("idv-driver".to_owned())
            .spawn(move || {
                let _told = told;
                run.run(&inbox);
            })
            .map_err(StartError::Thread)?;
        let running = Mutex::new(Running { thread: Some(thread), listeners: Vec::new() });
        let ending = Ending { outbox, intake, drain: self.drain, running };
        Ok(Driver { inner: Arc::new(Inner { accounts, clock, observers, ending: Arc::new(ending) }) })
    }
}

/// Says that the thread has ended, also where it panicked.
struct Told {
    observers: Observers,
    on_end: Option<Box<dyn FnOnce() + Send>>,
}

impl Drop for Told {
    fn drop(&mut self) {
        self.observers.close();
        if let Some(on_end) = self.on_end.take() {
            on_end();
        }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("accounts", &self.accounts).finish_non_exhaustive()
    }
}

/// The inbox of the driver's thread, for the intake.
struct Outbox(SyncSender<Message>);

impl Inbox for Outbox {
    fn send(&self, delivered: Delivered) {
        let _ = self.0.send(Message::Callback(delivered));
    }

    fn try_send(&self, delivered: Delivered) -> bool {
        self.0.try_send(Message::Callback(delivered)).is_ok()
    }
}

/// Drives verifications over shared tokens and budgets, from one thread. Clones are the same driver; it stops when the last one is
/// dropped, or when told to.
#[derive(Clone)]
pub struct Driver {
    inner: Arc<Inner>,
}

struct Inner {
    accounts: Vec<(AccountId, Endpoint)>,
    clock: Arc<dyn Clock>,
    observers: Observers,
    ending: Arc<Ending>,
}

/// What must be brought to an end.
struct Ending {
    outbox: SyncSender<Message>,
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
        let (account, endpoint) = self.account(account)?;
        let unix_ms = self.inner.clock.unix_ms();
        let created = created.map(|received| Created::read(&*endpoint.provider, id, received, unix_ms));
        let (reply, answer) = sync_channel(1);
        self.tell(Message::Open { account: *account, id: id.to_owned(), created, reply })?;
        Verification::opened(answer.recv().map_err(|_| DriverError::Stopped)?)
    }

    /// The verification with this id at the account's provider, or else the first that has it as its alias; `None` when the driver does
    /// not know it. Ended ones are there until they are forgotten.
    ///
    /// # Errors
    /// The account is not this driver's, or the driver has stopped.
    pub fn find(&self, account: AccountRef, id: &str) -> Result<Option<Verification>, DriverError> {
        let (_, endpoint) = self.account(account)?;
        let (provider, id) = (endpoint.provider.name(), id.to_owned());
        let found = self.ask(move |engine, _, _| engine.find(provider, &id))?;
        Ok(found.map(Verification::new))
    }

    /// Where a verification stands; `None` when the driver does not know it any more.
    ///
    /// # Errors
    /// The driver has stopped.
    pub fn status(&self, verification: Verification) -> Result<Option<Status>, DriverError> {
        self.ask(move |engine, moment, _| engine.status(verification.key(), moment.now))
    }

    /// Has a verification pulled as soon as its cadence allows. One that has ended stays so.
    ///
    /// # Errors
    /// The driver has stopped.
    pub fn hint(&self, verification: Verification) -> Result<(), DriverError> {
        self.command(move |engine, moment, out| {
            let _: Disposition = engine.hint(moment, verification.key(), out);
        })
    }

    /// Ends a verification: no more pulls. A revision that was handed over already is still confirmed or repeated.
    ///
    /// # Errors
    /// The driver has stopped.
    pub fn cancel(&self, verification: Verification) -> Result<(), DriverError> {
        self.command(move |engine, moment, out| {
            let _: Disposition = engine.cancel(moment, verification.key(), out);
        })
    }

    /// Forgets a verification that has ended and awaits no hand-over; says whether it did. A store keeps it, and its revision numbers go
    /// on when it is opened again or a callback names it.
    ///
    /// # Errors
    /// The driver has stopped.
    pub fn forget(&self, verification: Verification) -> Result<bool, DriverError> {
        self.ask(move |engine, _, _| engine.forget(verification.key()) == Disposition::Applied)
    }

    /// Takes one call of the account's budget for a request of your own, such as creating a verification: every call counts (R13). `None`
    /// when it is granted; otherwise how long to wait before asking again.
    ///
    /// # Errors
    /// The account is not this driver's, or the driver has stopped.
    pub fn take(&self, account: AccountRef) -> Result<Option<Duration>, DriverError> {
        let (account, _) = *self.account(account)?;
        self.ask(move |engine, moment, _| until_granted(engine.take(moment, account), moment.now))
    }

    /// Uses other credentials for the calls of this account from now on. Callbacks are still checked by those that it was built with: give
    /// both secrets there while they change.
    ///
    /// # Errors
    /// They cannot take the place of the account's, the account is not this driver's, or the driver has stopped.
    pub fn credentials_replaced(
        &self,
        account: AccountRef,
        provider: impl Provider + 'static,
    ) -> Result<(), DriverError> {
        let (account, _) = *self.account(account)?;
        let provider = Arc::new(provider);
        let replaced =
            self.ask(move |engine, moment, out| engine.credentials_replaced(moment, account, provider, out))?;
        replaced.map_err(DriverError::Credentials)
    }

    /// Says that a server of your own could not receive callbacks for longer than the provider repeats them: every settled verification
    /// is pulled once, spread by the budget (R9). The driver notices by itself when it was started anew or the computer slept.
    ///
    /// # Errors
    /// The driver has stopped.
    pub fn listening_had_a_gap(&self) -> Result<(), DriverError> {
        self.command(|engine, _, out| engine.listening_had_a_gap(out))
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
        Ok(self.inner.ending.intake.receive(endpoint, request))
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
        let callbacks = Callbacks::new(self.inner.ending.intake.clone(), routes);
        let config = callbacks.bounds(config);
        let server =
            idv_listener::Server::bind(address, config).map_err(|error| DriverError::Listen(error.into()))?;
        let handle = server.spawn(callbacks).map_err(DriverError::Thread)?;
        let address = handle.local_addr();
        let mut running = self.inner.ending.lock();
        if running.thread.is_none() {
            return Err(DriverError::Stopped);
        }
        running.listeners.push(handle);
        Ok(address)
    }

    /// What happens from now on, to be read as it comes, by a thread that waits for it.
    #[must_use]
    pub fn events(&self) -> Events {
        Events(self.inner.observers.stream())
    }

    /// Stops: first the listeners, whose running callbacks are answered, then the calls, which are interrupted, last the hand-overs,
    /// which are finished and saved. Returns when all of it ended, whoever began it, or after about the time given to
    /// [`Builder::drain`] for each. Inside a handler or an observer it returns at once, for the end would wait for them.
    pub fn stop(&self) {
        self.inner.end();
    }

    fn account(&self, account: AccountRef) -> Result<&(AccountId, Endpoint), DriverError> {
        self.inner.accounts.get(account.index()).ok_or(DriverError::NoAccount)
    }

    /// Has the engine answer a question.
    fn ask<R: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Engine, Moment, &mut dyn FnMut(Task)) -> R + Send + 'static,
    ) -> Result<R, DriverError> {
        let (reply, answer) = sync_channel(1);
        self.command(move |engine, moment, out| {
            let _ = reply.try_send(question(engine, moment, out));
        })?;
        answer.recv().map_err(|_| DriverError::Stopped)
    }

    fn command(
        &self,
        command: impl FnOnce(&mut Engine, Moment, &mut dyn FnMut(Task)) + Send + 'static,
    ) -> Result<(), DriverError> {
        let ask: Ask = Box::new(command);
        self.tell(Message::Ask(ask))
    }

    fn tell(&self, message: Message) -> Result<(), DriverError> {
        self.inner.ending.outbox.send(message).map_err(|_| DriverError::Stopped)
    }
}

impl Inner {
    fn end(&self) {
        let ending = Arc::clone(&self.ending);
        if !Inside::is_here() {
            return ending.stop();
        }
        let elsewhere = std::thread::Builder::new().name("idv-stop".to_owned()).spawn(move || ending.stop());
        if let Err(error) = elsewhere {
            tracing::error!(%error, "no thread could be started to stop the driver");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.end();
    }
}

impl Ending {
    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever comes second waits for whoever came first.
    fn stop(&self) {
        let mut running = self.lock();
        for listener in std::mem::take(&mut running.listeners) {
            listener.shutdown();
        }
        let Some(thread) = running.thread.take() else { return };
        self.intake.close(self.drain);
        let _ = self.outbox.send(Message::Stop);
        if thread.join().is_err() {
            tracing::error!("the driver's thread panicked");
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("accounts", &self.inner.accounts.len()).finish_non_exhaustive()
    }
}
