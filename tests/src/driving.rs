//! An application around the blocking driver: its clock leaps, its revisions and events come out of channels, its store fails when told to.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that cannot work fails its test")]

use idv_core::provider::Provider;
use idv_core::rules::Rules;
use idv_core::shareid::{self, Flow};
use idv_core::shufti;
use idv_core::store::{Commit, Journal, Record, Recorded, Save, Saved, SavedSession, Sessions, TooLarge};
use idv_core::time::{Instant, Span};
use idv_ureq::{
    Account, Builder, CallbackEvent, Clock, Driver, Event, Revision, SharedMemory, SystemClock, Verification,
};
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long a test waits for what must come; never waited in full unless the test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The secret key of the tests' Shufti account.
pub const SECRET: &str = "secret-key-of-the-tests";

/// The client id of the tests' Shufti account.
pub const CLIENT_ID: &str = "client-id-of-the-tests";

/// A Shufti account at this address.
#[must_use]
pub fn shufti_at(url: &str) -> shufti::Account {
    shufti::Account::builder(CLIENT_ID, SECRET.into()).base_url(url).build().unwrap()
}

/// A ShareID account at this address.
#[must_use]
pub fn shareid_at(url: &str, flow: Flow) -> shareid::Account {
    shareid::Account::new(url, flow, "hash-of-the-tests".into(), "key-of-the-tests".into()).unwrap()
}

/// The provider's rules without its limit of calls, and with a cadence that a test can bear.
#[must_use]
pub fn quick(provider: &impl Provider) -> Rules {
    Rules { calls: 100_000, burst: 10_000, ..provider.rules() }.with_cadence(Span::millis(10))
}

/// As [`quick`], but without routine pulls after the first: another one is made only for a reason.
#[must_use]
pub fn only_for_a_reason(provider: &impl Provider) -> Rules {
    rarely(quick(provider))
}

/// The same rules with an hour between routine pulls.
#[must_use]
pub const fn rarely(rules: Rules) -> Rules {
    Rules { interval: Span::hours(1), deadline: Span::hours(20), ..rules }
}

/// An account under these rules.
#[must_use]
pub fn account(provider: impl Provider + 'static, rules: &Rules) -> Account {
    Account::with_rules(provider, rules).unwrap()
}

/// The computer's clocks, that leap when told to. Clones leap together.
#[derive(Clone)]
pub struct LeapingClock {
    clock: SystemClock,
    leapt: Arc<AtomicU64>,
    calendar: Arc<AtomicI64>,
}

impl LeapingClock {
    /// The computer's clocks as they are.
    #[must_use]
    pub fn new() -> Self {
        Self { clock: SystemClock::new(), leapt: Arc::default(), calendar: Arc::default() }
    }

    /// So much time passes at once.
    pub fn leap(&self, span: Span) {
        self.leapt.fetch_add(span.as_millis().into(), Ordering::SeqCst);
    }

    /// The calendar jumps by so many milliseconds; the clock that measures time does not.
    pub fn set_calendar(&self, millis: i64) {
        self.calendar.fetch_add(millis, Ordering::SeqCst);
    }

    /// The clock that measures time goes back, which it never should.
    pub fn go_back(&self, span: Span) {
        self.leapt.fetch_sub(span.as_millis().into(), Ordering::SeqCst);
    }
}

impl Default for LeapingClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LeapingClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeapingClock")
    }
}

impl Clock for LeapingClock {
    fn now(&self) -> Instant {
        Instant::from_millis(self.clock.now().as_millis() + self.leapt.load(Ordering::SeqCst))
    }

    fn unix_ms(&self) -> u64 {
        let now = self.clock.unix_ms() + self.leapt.load(Ordering::SeqCst);
        now.saturating_add_signed(self.calendar.load(Ordering::SeqCst))
    }
}

/// A driver and what it tells.
pub struct Application {
    /// The driver.
    pub driver: Driver,
    /// Its clock.
    pub clock: LeapingClock,
    revisions: Receiver<Revision>,
    events: Receiver<Event>,
    seen: Mutex<Vec<Revision>>,
}

impl Application {
    /// Starts a driver whose revisions are all taken.
    pub fn start<T>(setup: impl FnOnce(&mut Builder) -> T) -> (Self, T) {
        Self::start_by(LeapingClock::new(), setup)
    }

    /// The same by this clock.
    pub fn start_by<T>(clock: LeapingClock, setup: impl FnOnce(&mut Builder) -> T) -> (Self, T) {
        let (to_revisions, revisions) = channel();
        let (to_events, events) = channel();
        let mut builder = Driver::builder();
        builder
            .clock(clock.clone())
            .on_revision(move |revision| {
                let _ = to_revisions.send(revision.clone());
                Ok(())
            })
            .on_event(move |event| {
                let _ = to_events.send(event.clone());
            });
        let made = setup(&mut builder);
        (Self { driver: builder.start().unwrap(), clock, revisions, events, seen: Mutex::default() }, made)
    }

    /// The next revision.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revisions.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            panic!("no revision came; last: {:?}", self.events.try_iter().collect::<Vec<_>>())
        })
    }

    /// The revisions that are there by now.
    #[must_use]
    pub fn revisions(&self) -> Vec<Revision> {
        self.revisions.try_iter().collect()
    }

    /// All revisions that came so far, for tests that take none one by one.
    #[must_use]
    pub fn revisions_so_far(&self) -> Vec<Revision> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.extend(self.revisions.try_iter());
        seen.clone()
    }

    /// The next event that is wanted; others are dropped.
    pub fn event<R>(&self, mut wanted: impl FnMut(Event) -> Option<R>) -> R {
        let began = std::time::Instant::now();
        let mut last = None;
        loop {
            let left = PATIENCE.saturating_sub(began.elapsed());
            let Ok(event) = self.events.recv_timeout(left) else { panic!("in vain; last: {last:?}") };
            last = Some(event.clone());
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    }

    /// What became of the next callback.
    #[must_use]
    pub fn callback(&self) -> CallbackEvent {
        self.event(|event| if let Event::Callback(callback) = event { Some(callback) } else { None })
    }

    /// The next pull's diagnosis, the error of a pull that went wrong.
    #[must_use]
    pub fn pull_diagnosis(&self) -> Option<String> {
        self.event(|event| if let Event::Pulled { diagnosis, .. } = event { Some(diagnosis) } else { None })
    }

    /// Lets time pass at once, and has the driver notice. When this returns the driver has done what became due.
    pub fn leap(&self, span: Span, verification: Verification) {
        // What is under way is finished before, so that its waits are counted from before.
        let _ = self.driver.status(verification).unwrap();
        self.clock.leap(span);
        // The first look finds the driver still waiting, the second what it did when it was woken.
        let _ = self.driver.status(verification).unwrap();
        let _ = self.driver.status(verification).unwrap();
    }
}

/// A store in memory that fails, stalls or dies when told to. Clones are the same store.
#[derive(Clone, Default)]
pub struct FaultyStore {
    /// What is behind it, and outlives it.
    pub memory: SharedMemory,
    state: Arc<(Mutex<Faults>, Condvar)>,
}

#[derive(Default)]
struct Faults {
    commits_fail: bool,
    commits_stall: bool,
    stalled: usize,
    /// How many more writes succeed before it dies.
    life: Option<u64>,
    writes: u64,
}

impl FaultyStore {
    /// One over what another one left.
    #[must_use]
    pub fn over(memory: &SharedMemory) -> Self {
        Self { memory: memory.clone(), state: Arc::default() }
    }

    /// Commits of callbacks fail from now on, or no more.
    pub fn fail_commits(&self, fail: bool) {
        self.change(|faults| faults.commits_fail = fail);
    }

    /// Commits of callbacks stall from now on, or go on.
    pub fn stall_commits(&self, stall: bool) {
        self.change(|faults| faults.commits_stall = stall);
    }

    /// Whether commits of callbacks stall.
    #[must_use]
    pub fn stalls_commits(&self) -> bool {
        self.change(|faults| faults.commits_stall)
    }

    /// Dies after so many more writes: nothing is written or read any more, as if the process were gone.
    pub fn die_after(&self, writes: u64) {
        self.change(|faults| faults.life = Some(writes));
    }

    /// Whether it has died.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.change(|faults| faults.life == Some(0))
    }

    /// How many writes there were.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.change(|faults| faults.writes)
    }

    /// Waits until so many commits stall.
    pub fn wait_for_stalled(&self, commits: usize) {
        let (faults, changed) = &*self.state;
        let faults = faults.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(faults, PATIENCE, |faults| faults.stalled < commits);
        assert!(waited.unwrap().0.stalled >= commits, "no commit stalls");
    }

    /// Waits until it is dead, or holds what is wanted.
    pub fn wait_until(&self, wanted: impl Fn(&SharedMemory) -> bool) {
        let (faults, changed) = &*self.state;
        let began = std::time::Instant::now();
        while !self.is_dead() && !wanted(&self.memory) {
            assert!(began.elapsed() < PATIENCE, "in vain");
            let held = faults.lock().unwrap_or_else(PoisonError::into_inner);
            // A write is announced before it is made, so look again soon.
            let _ = changed.wait_timeout(held, Duration::from_millis(2));
        }
    }

    fn change<R>(&self, change: impl FnOnce(&mut Faults) -> R) -> R {
        let (faults, changed) = &*self.state;
        let result = change(&mut faults.lock().unwrap_or_else(PoisonError::into_inner));
        changed.notify_all();
        result
    }

    fn read(&self) -> Result<(), TooLarge> {
        if self.is_dead() { Err(FAULT) } else { Ok(()) }
    }

    /// Whether the next write may be made.
    fn write(&self) -> Result<(), TooLarge> {
        self.change(|faults| {
            match &mut faults.life {
                Some(0) => return Err(FAULT),
                Some(left) => *left -= 1,
                None => {}
            }
            faults.writes += 1;
            Ok(())
        })
    }
}

/// What every fault is reported as.
const FAULT: TooLarge = TooLarge { record: 1, most_bytes: 0 };

impl Journal for FaultyStore {
    type Error = TooLarge;

    fn commit(&mut self, record: &Record<'_>) -> Result<Commit, TooLarge> {
        let (faults, changed) = &*self.state;
        let mut held = faults.lock().unwrap_or_else(PoisonError::into_inner);
        held.stalled += 1;
        changed.notify_all();
        held =
            changed.wait_while(held, |faults| faults.commits_stall).unwrap_or_else(PoisonError::into_inner);
        held.stalled -= 1;
        let fails = held.commits_fail;
        drop(held);
        if fails {
            return Err(FAULT);
        }
        self.write()?;
        self.memory.commit(record)
    }

    fn mark_applied(&mut self, positions: &[u64]) -> Result<(), TooLarge> {
        self.write()?;
        self.memory.mark_applied(positions)
    }

    fn unapplied(&mut self, after: u64, at_most: u32) -> Result<Vec<Recorded>, TooLarge> {
        self.read()?;
        self.memory.unapplied(after, at_most)
    }
}

impl Sessions for FaultyStore {
    type Error = TooLarge;

    fn save(&mut self, save: &Save<'_>) -> Result<Saved, TooLarge> {
        self.write()?;
        self.memory.save(save)
    }

    fn confirm(&mut self, provider: &str, id: &str, revision: u32) -> Result<bool, TooLarge> {
        self.write()?;
        self.memory.confirm(provider, id, revision)
    }

    fn load(&mut self, after: Option<(&str, &str)>, at_most: u32) -> Result<Vec<SavedSession>, TooLarge> {
        self.read()?;
        self.memory.load(after, at_most)
    }
}
