//! What happens, as a callback and as streams.

use async_channel::{Receiver, Sender};
use futures_util::Stream;
use idv_core::engine::Event;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// How many events a stream keeps for a reader that is slower than they come.
const KEPT: usize = 1_024;

pub(crate) type Observer = Arc<dyn Fn(&Event) + Send + Sync>;

/// Everybody who is told what happens. Clones are the same.
#[derive(Clone)]
pub(crate) struct Observers {
    observer: Option<Observer>,
    streams: Arc<Mutex<Streams>>,
}

#[derive(Default)]
struct Streams {
    open: Vec<Subscriber>,
    /// Nothing happens any more.
    closed: bool,
}

struct Subscriber {
    events: Sender<Event>,
    missed: Arc<AtomicU64>,
}

impl Observers {
    pub(crate) fn new(observer: Option<Observer>) -> Self {
        Self { observer, streams: Arc::default() }
    }

    /// An observer that panics has missed an event; a stream that nobody reads loses its oldest.
    pub(crate) fn tell(&self, event: Event) {
        if let Some(observer) = &self.observer
            && catch_unwind(AssertUnwindSafe(|| observer(&event))).is_err()
        {
            tracing::error!("the observer panicked");
        }
        self.lock().open.retain(|Subscriber { events, missed }| match events.force_send(event.clone()) {
            Ok(None) => true,
            Ok(Some(_)) => {
                missed.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(_) => false,
        });
    }

    pub(crate) fn stream(&self) -> Events {
        let (sender, events) = async_channel::bounded(KEPT);
        let missed = Arc::new(AtomicU64::new(0));
        let mut streams = self.lock();
        if !streams.closed {
            streams.open.push(Subscriber { events: sender, missed: Arc::clone(&missed) });
        }
        Events { events: Box::pin(events), missed }
    }

    /// The streams end once what they hold is read.
    pub(crate) fn close(&self) {
        *self.lock() = Streams { open: Vec::new(), closed: true };
    }

    fn lock(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What happens from the moment of the call on. Ends when the driver stops.
///
/// Holds the newest 1024 events for a reader that is slower than they come.
pub struct Events {
    events: Pin<Box<Receiver<Event>>>,
    missed: Arc<AtomicU64>,
}

impl Events {
    /// How many events were lost so far because they were not read in time.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.events.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("waiting", &self.events.len()).field("missed", &self.missed).finish()
    }
}
