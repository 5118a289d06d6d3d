//! What a driver is made of.

use crate::client::{Client, Transport};
use crate::driver::{Driver, Inner};
use crate::receiving::{Outbox, Receiving};
use crate::run::{Handler, Message, Parts, Run, Storing};
use futures_util::FutureExt;
use idv_core::delivery;
use idv_core::engine::{Account, Engine, Event, Moment, Policy, Revision};
use idv_core::fleet::FleetPolicy;
use idv_core::fleet::trace::Recording;
use idv_core::store::{Journal, Sessions};
use idv_host::{
    AccountRef, AnyStore, Clock, DRAIN, Entropy, HandOverError, INBOX, Intake, IntakeBounds, Observer,
    Observers, Pool, Runtime, STORING, SharedMemory, StartError, SystemClock,
};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Prepares a [`Driver`].
pub struct Builder<R: Runtime> {
    runtime: R,
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
    handlers_at_once: usize,
    intake: IntakeBounds,
    drain: Duration,
}

impl<R: Runtime> Builder<R> {
    /// Prepares a driver on this runtime.
    #[must_use]
    pub fn on(runtime: R) -> Self {
        Self {
            runtime,
            accounts: Vec::new(),
            policy: Policy::default(),
            recording: None,
            transport: None,
            clock: None,
            entropy: None,
            store: AnyStore::new(SharedMemory::default()),
            handler: None,
            observer: None,
            calls_at_once: 64,
            handlers_at_once: 1,
            intake: IntakeBounds::default(),
            drain: DRAIN,
        }
    }

    /// Adds an account. Accounts at the same provider and host share one budget, that of the first added (R13).
    pub fn account(&mut self, account: Account) -> AccountRef {
        self.accounts.push(account);
        AccountRef::new(self.accounts.len() - 1)
    }

    /// Who takes revisions. `Ok` confirms one, `Err` has it offered again and at last dead-lettered. Runs in the driver's task: it must not
    /// block. A driver that is dropped drops it where it stands; the revision is then offered again by the next driver on the store.
    /// Default: nobody, and every revision counts as taken.
    pub fn on_revision<F>(&mut self, handler: impl Fn(Revision) -> F + Send + Sync + 'static) -> &mut Self
    where
        F: Future<Output = Result<(), HandOverError>> + Send + 'static,
    {
        self.handler = Some(Arc::new(move |revision| handler(revision).boxed()));
        self
    }

    /// Who is told what happens. Called in the driver's task: it must return at once. See also [`Driver::events`].
    pub fn on_event(&mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> &mut Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Where callbacks, sessions and hand-overs are kept. It may block: it is asked on threads of its own. Default: in memory, gone with
    /// the process.
    pub fn store(&mut self, store: impl Journal + Sessions + Clone + Send + 'static) -> &mut Self {
        self.store = AnyStore::new(store);
        self
    }

    /// What sends the requests. Default: [`Client::on`] this runtime.
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

    /// The most calls to providers at the same time, each on a connection. Default 64.
    pub fn calls_at_once(&mut self, most: usize) -> &mut Self {
        self.calls_at_once = most;
        self
    }

    /// The most revisions that are handed over at the same time. Default 1.
    pub fn handlers_at_once(&mut self, most: usize) -> &mut Self {
        self.handlers_at_once = most;
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

    /// Takes over what the store holds, and starts: the driver's task runs on the runtime.
    ///
    /// # Errors
    /// The store cannot be read, holds something that cannot be taken over, or no thread could be started for it.
    pub async fn start(self) -> Result<Driver<R>, StartError> {
        let runtime = self.runtime.clone();
        let (driver, task) = self.prepare().await?;
        runtime.spawn(task);
        Ok(driver)
    }

    /// As [`Builder::start`], but the driver's task is yours to run. Dropping it ends everything the driver is at, as a crash would: what
    /// the store has is taken over by the next driver on it, and nothing that it does not have was promised.
    ///
    /// # Errors
    /// As for [`Builder::start`].
    pub async fn prepare(self) -> Result<(Driver<R>, impl Future<Output = ()> + Send + 'static), StartError> {
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        let mut entropy = self.entropy.unwrap_or_else(Entropy::from_system);
        let transport = self.transport.unwrap_or_else(|| Arc::new(Client::on(self.runtime.clone())));
        let observers = Observers::new(self.observer);
        let (outbox, inbox) = async_channel::bounded::<Message>(INBOX);

        let mut engine = match self.recording {
            Some(recording) => Engine::recorded(self.policy, recording),
            None => Engine::new(self.policy),
        };
        let accounts = self.accounts.into_iter().map(|account| {
            let endpoint = account.endpoint();
            (engine.add_account(account), endpoint)
        });
        let accounts = accounts.collect();

        // The fleet bounds how much the store can be asked at the same time.
        let storing = Storing(Pool::new("store", STORING, usize::MAX));
        let moment = Moment::new(clock.now(), clock.unix_ms(), entropy.draw());
        let mut store = self.store.clone();
        let (restored, restoring) = async_channel::bounded(1);
        let restore = move |mut engine: Engine| {
            let mut asked = Vec::new();
            let result = engine.restore(moment, &mut store, &mut |task| asked.push(task));
            let _ = restored.try_send(result.map(|()| (engine, asked)));
        };
        storing.0.submit(engine, restore).map_err(|_| no_thread())?;
        let (engine, asked) =
            restoring.recv().await.map_err(|_| no_thread())?.map_err(StartError::Restore)?;

        let receiving = {
            let observers = observers.clone();
            let observe = move |event| observers.tell(&Event::Callback(event));
            Arc::new(Receiving::new(Intake::new(
                Arc::clone(&clock),
                self.store.clone(),
                self.intake,
                Outbox(outbox.clone()),
                observe,
            )))
        };
        let (ending, ended) = async_channel::bounded(1);
        let inner = Inner {
            runtime: self.runtime.clone(),
            outbox,
            accounts,
            receiving: Arc::clone(&receiving),
            clock: Arc::clone(&clock),
            observers: observers.clone(),
            ended,
        };
        let parts = Parts {
            runtime: self.runtime,
            engine,
            clock,
            entropy,
            transport,
            store: self.store,
            handler: self.handler.unwrap_or_else(|| Arc::new(|_| std::future::ready(Ok(())).boxed())),
            observers,
            inbox,
            receiving,
            calls_at_once: self.calls_at_once,
            handlers_at_once: self.handlers_at_once,
            drain: self.drain,
            _ending: ending,
        };
        let run = Run::new(parts, storing, asked);
        Ok((Driver::new(inner), run.run()))
    }
}

impl<R: Runtime> fmt::Debug for Builder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("accounts", &self.accounts).finish_non_exhaustive()
    }
}

fn no_thread() -> StartError {
    StartError::Thread(io::Error::other("there is none for the store"))
}
