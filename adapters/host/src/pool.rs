//! A bounded pool of threads behind a bounded queue, for work that blocks.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

type Job = Box<dyn FnOnce() + Send>;

/// Threads are started when work comes and nobody is idle, never more than allowed, and stay until the pool is closed.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    name: &'static str,
    most_threads: usize,
    most_queued: usize,
    state: Mutex<State>,
    /// Work came, or the pool was closed.
    wake: Condvar,
    /// A thread ended.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    idle: usize,
    threads: usize,
    closed: bool,
}

impl Pool {
    /// A pool whose threads are called after `name`. At least one thread is allowed.
    #[must_use]
    pub fn new(name: &'static str, most_threads: usize, most_queued: usize) -> Self {
        let shared = Shared {
            name,
            most_threads: most_threads.max(1),
            most_queued,
            state: Mutex::default(),
            wake: Condvar::new(),
            ended: Condvar::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Queues `work`, to be done with `task` on a thread; returns at once.
    ///
    /// # Errors
    /// The queue is full, the pool is closed, or its first thread could not be started. The task comes back: nothing was done with it.
    pub fn submit<T: Send + 'static>(&self, task: T, work: impl FnOnce(T) + Send + 'static) -> Result<(), T> {
        let mut state = self.shared.lock();
        // An idle thread that was woken but has not taken its work yet still counts as idle: compare with what is queued.
        let wants_thread = state.queue.len() >= state.idle && state.threads < self.shared.most_threads;
        if state.closed || (!wants_thread && state.queue.len() >= self.shared.most_queued.max(state.idle)) {
            return Err(task);
        }
        if wants_thread {
            let shared = Arc::clone(&self.shared);
            let started = std::thread::Builder::new()
                .name(format!("idv-{}-{}", shared.name, state.threads))
                .spawn(move || shared.work());
            match started {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    tracing::error!(%error, pool = self.shared.name, "no thread could be started");
                    return Err(task);
                }
                Err(error) => {
                    tracing::warn!(%error, pool = self.shared.name, "no further thread could be started")
                }
            }
        }
        state.queue.push_back(Box::new(move || work(task)));
        self.shared.wake.notify_one();
        Ok(())
    }

    /// Takes no more work, drops what is queued unless `finish_queue`, and waits up to `within` for what runs. Returns whether all
    /// of it ended; threads that did not are left to themselves.
    pub fn close(&self, finish_queue: bool, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let mut state = self.shared.lock();
        state.closed = true;
        let dropped = if finish_queue { VecDeque::new() } else { std::mem::take(&mut state.queue) };
        self.shared.wake.notify_all();
        while state.threads > 0 {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { break };
            state = self.shared.ended.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let all_ended = state.threads == 0;
        drop(state);
        drop(dropped);
        all_ended
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                drop(state);
                // A panic in the caller's code (a store, a handler) costs that piece of work, not the thread.
                if catch_unwind(AssertUnwindSafe(job)).is_err() {
                    tracing::error!(pool = self.name, "a piece of work panicked");
                }
                state = self.lock();
            } else if state.closed {
                break;
            } else {
                state.idle += 1;
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
        state.threads -= 1;
        drop(state);
        self.ended.notify_all();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    #[test]
    fn g7_no_more_threads_run_than_allowed() {
        let pool = Pool::new("test", 3, 100);
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (done, all) = mpsc::channel();
        for _ in 0..50 {
            let (running, most, done) = (Arc::clone(&running), Arc::clone(&most), done.clone());
            pool.submit((), move |()| {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::yield_now();
                running.fetch_sub(1, Ordering::SeqCst);
                done.send(()).unwrap();
            })
            .unwrap();
        }
        drop(done);
        assert_eq!(all.iter().count(), 50);
        assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
        assert!(pool.close(true, Duration::from_secs(10)));
    }

    #[test]
    fn a_full_queue_refuses_and_a_closed_pool_too_and_the_task_comes_back() {
        let pool = Pool::new("test", 1, 2);
        let (release, held) = mpsc::channel::<()>();
        let (started, starts) = mpsc::channel();
        pool.submit((), move |()| {
            started.send(()).unwrap();
            let _ = held.recv();
        })
        .unwrap();
        starts.recv().unwrap();
        assert_eq!(pool.submit(7, drop), Ok(()));
        assert_eq!(pool.submit(7, drop), Ok(()));
        assert_eq!(pool.submit(7, drop), Err(7));
        assert!(!pool.close(false, Duration::from_millis(1)), "one piece of work still runs");
        assert_eq!(pool.submit(7, drop), Err(7));
        drop(release);
        assert!(pool.close(false, Duration::from_secs(10)));
    }

    #[test]
    fn closing_finishes_the_queue_where_asked() {
        for finish in [true, false] {
            let pool = Pool::new("test", 1, 10);
            let count = Arc::new(AtomicUsize::new(0));
            let (release, held) = mpsc::channel::<()>();
            pool.submit((), move |()| {
                let _ = held.recv();
            })
            .unwrap();
            for _ in 0..5 {
                let count = Arc::clone(&count);
                pool.submit((), move |()| {
                    count.fetch_add(1, Ordering::SeqCst);
                })
                .unwrap();
            }
            pool.close(finish, Duration::ZERO);
            drop(release);
            assert!(pool.close(finish, Duration::from_secs(10)));
            assert_eq!(count.load(Ordering::SeqCst), if finish { 5 } else { 0 });
        }
    }

    #[test]
    fn a_panic_costs_one_piece_of_work() {
        let pool = Pool::new("test", 1, 10);
        pool.submit((), |()| panic!("on purpose")).unwrap();
        let (done, all) = mpsc::channel();
        pool.submit(done, |done| done.send(7).unwrap()).unwrap();
        assert_eq!(all.recv(), Ok(7));
    }
}
