//! One thread that steps callbacks when their time comes, so that an answer's deadline holds on any runtime and on none.

use crate::clock::Clock;
use idv_core::machine::Next;
use idv_core::time::Instant;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// Something that wants to be told the time.
pub(super) trait Timed: Send + Sync {
    /// Time passed. Returns when to call again.
    fn tick(self: Arc<Self>) -> Next;
}

/// The moments that are waited for.
pub(super) struct Deadlines {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: BTreeMap<(Instant, u64), Weak<dyn Timed>>,
    /// When the thread wakes by itself; `None` while it waits for something to come. It may be earlier than the first that is waited
    /// for: a callback is answered long before its deadline as a rule, and waking the thread for each would cost more than receiving it.
    wakes_at: Option<Instant>,
    runs: bool,
    closed: bool,
}

impl Deadlines {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { shared: Arc::new(Shared { clock, state: Mutex::default(), changed: Condvar::new() }) }
    }

    /// Starts the thread, unless it runs.
    ///
    /// # Errors
    /// It could not be started.
    pub(super) fn start(&self) -> io::Result<()> {
        let mut state = self.shared.lock();
        if !state.runs {
            let shared = Arc::clone(&self.shared);
            std::thread::Builder::new().name("idv-deadlines".to_owned()).spawn(move || shared.run())?;
            state.runs = true;
        }
        Ok(())
    }

    /// Ticks `timed` at `at`, unless it is gone by then. `number` tells it from others.
    pub(super) fn set(&self, at: Instant, number: u64, timed: Weak<dyn Timed>) {
        let mut state = self.shared.lock();
        state.waiting.insert((at, number), timed);
        let sleeps_longer = state.wakes_at.is_none_or(|wakes_at| at < wakes_at);
        drop(state);
        if sleeps_longer {
            self.shared.changed.notify_one();
        }
    }

    /// Nothing is to happen at `at` any more.
    pub(super) fn clear(&self, at: Instant, number: u64) {
        self.shared.lock().waiting.remove(&(at, number));
    }
}

impl Drop for Deadlines {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut state = self.lock();
        while !state.closed {
            let Some((&(at, number), _)) = state.waiting.first_key_value() else {
                state.wakes_at = None;
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = at.since(self.clock.now());
            if left > 0 {
                state.wakes_at = Some(at);
                let left = Duration::from_millis(left);
                state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            let timed = state.waiting.remove(&(at, number));
            drop(state);
            let next = timed.and_then(|timed| Some((timed.upgrade()?.tick(), timed)));
            state = self.lock();
            if let Some((Next::At(at), timed)) = next {
                state.waiting.insert((at, number), timed);
            }
        }
    }
}
