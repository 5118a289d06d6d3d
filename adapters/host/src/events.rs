//! What happens, told to a function of the application and to streams.

use async_channel::{Receiver, Sender};
use futures_core::Stream;
use idv_core::engine::Event;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// How many events a stream keeps for a reader that is slower than they come.
const KEPT: usize = 1_024;

/// Who is told what happens, and returns at once.
pub type Observer = Arc<dyn Fn(&Event) + Send + Sync>;

/// Everybody whom a driver tells what happens. Clones are the same.
#[derive(Clone)]
pub struct Observers {
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
    /// This function of the application's, and no stream yet.
    #[must_use]
    pub fn new(observer: Option<Observer>) -> Self {
        Self { observer, streams: Arc::default() }
    }

    /// Tells everybody. A function that panics has missed an event; a stream that nobody reads loses its oldest.
    pub fn tell(&self, event: &Event) {
        if let Some(observer) = &self.observer
            && catch_unwind(AssertUnwindSafe(|| observer(event))).is_err()
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

    /// What happens from now on.
    #[must_use]
    pub fn stream(&self) -> Events {
        let (sender, events) = async_channel::bounded(KEPT);
        let missed = Arc::new(AtomicU64::new(0));
        let mut streams = self.lock();
        if !streams.closed {
            streams.open.push(Subscriber { events: sender, missed: Arc::clone(&missed) });
        }
        Events { events: Box::pin(events), missed }
    }

    /// The streams end once what they hold is read.
    pub fn close(&self) {
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

    /// The next event, waited for on this thread; `None` at the end. A task reads the stream instead, for this blocks.
    #[must_use]
    pub fn wait(&mut self) -> Option<Event> {
        self.events.recv_blocking().ok()
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

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observers").field("streams", &self.lock().open.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn gap(millis: u64) -> Event {
        Event::ListeningGap { millis: Some(millis) }
    }

    fn millis(event: &Event) -> u64 {
        if let Event::ListeningGap { millis: Some(millis) } = event { *millis } else { 0 }
    }

    #[test]
    fn g6_a_stream_that_nobody_reads_keeps_the_newest_and_counts_what_it_lost() {
        let (told, tells) = mpsc::channel();
        let observer: Observer = Arc::new(move |event| {
            assert_ne!(millis(event), 3, "on purpose");
            told.send(millis(event)).unwrap();
        });
        let observers = Observers::new(Some(observer));
        let (mut unread, dropped) = (observers.stream(), observers.stream());
        drop(dropped);
        let all = KEPT as u64 + 6;
        for number in 1..=all {
            observers.tell(&gap(number));
        }
        let mut late = observers.stream();
        observers.tell(&gap(all + 1));
        observers.close();
        assert_eq!(unread.missed(), 7);
        let read: Vec<u64> = std::iter::from_fn(|| unread.wait()).map(|event| millis(&event)).collect();
        assert_eq!(read, (8..=all + 1).collect::<Vec<_>>());
        assert_eq!(late.wait().as_ref().map(millis), Some(all + 1));
        assert!(late.wait().is_none() && observers.stream().wait().is_none(), "nothing happens any more");
        // Panicking over one event, it missed that one alone.
        assert_eq!(tells.try_iter().count() as u64, all);
    }
}
