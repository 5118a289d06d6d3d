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
    /// A thread ended, or what was done on a thread of somebody else's.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    idle: usize,
    threads: usize,
    /// Pieces of work that are done on threads of others.
    elsewhere: usize,
    closed: bool,
}

impl State {
    /// Nothing is done and nothing waits on the pool's own threads.
    fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.idle == self.threads
    }

    /// Once it is closed: something is still being done.
    fn is_working(&self) -> bool {
        self.threads > 0 || self.elsewhere > 0
    }
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
        self.queue(task, self.shared.most_queued, work)
    }

    /// As [`Pool::submit`], even where the queue is full: for what is left of work that a thread of somebody else's has begun, and may not
    /// wait to finish. Whoever uses it sees to it that there is little of that.
    ///
    /// # Errors
    /// The pool is closed, or its first thread could not be started.
    pub(crate) fn submit_the_rest<T: Send + 'static>(
        &self,
        task: T,
        work: impl FnOnce(T) + Send + 'static,
    ) -> Result<(), T> {
        self.queue(task, usize::MAX, work)
    }

    /// Does `work` with `task` on this very thread, if the pool's own have nothing to do: so nothing is overtaken, and who is to wait
    /// because they are busy still waits. For work that does not block. [`Pool::close`] waits for it like for any other.
    ///
    /// # Errors
    /// The pool is busy or closed. The task comes back: nothing was done with it.
    pub(crate) fn do_here<T>(&self, task: T, work: impl FnOnce(T)) -> Result<(), T> {
        let mut state = self.shared.lock();
        if state.closed || !state.is_idle() {
            return Err(task);
        }
        state.elsewhere += 1;
        drop(state);
        self.shared.guarded(|| work(task));
        let mut state = self.shared.lock();
        state.elsewhere -= 1;
        if state.closed {
            self.shared.ended.notify_all();
        }
        Ok(())
    }

    fn queue<T: Send + 'static>(
        &self,
        task: T,
        most_queued: usize,
        work: impl FnOnce(T) + Send + 'static,
    ) -> Result<(), T> {
        let mut state = self.shared.lock();
        // An idle thread that was woken but has not taken its work yet still counts as idle: compare with what is queued.
        let wants_thread = state.queue.len() >= state.idle && state.threads < self.shared.most_threads;
        if state.closed || (!wants_thread && state.queue.len() >= most_queued.max(state.idle)) {
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
        while state.is_working() {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { break };
            state = self.shared.ended.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let all_ended = !state.is_working();
        drop(state);
        drop(dropped);
        all_ended
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A panic in the caller's code (a store, a handler) costs that piece of work, not the thread.
    fn guarded(&self, work: impl FnOnce()) {
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            tracing::error!(pool = self.name, "a piece of work panicked");
        }
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                drop(state);
                self.guarded(job);
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
    fn work_is_done_here_while_the_threads_are_idle_and_closing_waits_for_it() {
        let pool = Pool::new("test", 1, 0);
        let here = std::thread::current().id();
        assert_eq!(pool.do_here(here, |here| assert_eq!(std::thread::current().id(), here)), Ok(()));
        assert_eq!(pool.do_here((), |()| panic!("on purpose")), Ok(()));

        let (release, held) = mpsc::channel::<()>();
        let (started, starts) = mpsc::channel();
        pool.submit((), move |()| {
            started.send(()).unwrap();
            let _ = held.recv();
        })
        .unwrap();
        starts.recv().unwrap();
        assert_eq!(pool.do_here(7, drop), Err(7), "what waits is not overtaken");
        assert_eq!(pool.submit(7, drop), Err(7), "the queue holds nothing");
        let (done, all) = mpsc::channel();
        pool.submit_the_rest(done, |done| done.send(7).unwrap()).unwrap();
        drop(release);
        assert_eq!(all.recv(), Ok(7));

        let pool = Pool::new("test", 1, 0);
        let ended =
            pool.do_here((), |()| assert!(!pool.close(true, Duration::ZERO), "it is still under way"));
        assert_eq!(ended, Ok(()));
        assert!(pool.close(true, Duration::ZERO));
        assert_eq!((pool.do_here(7, drop), pool.submit_the_rest(7, drop)), (Err(7), Err(7)));
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
