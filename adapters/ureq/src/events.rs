//! What happens, for a thread that waits for it.

use idv_core::engine::Event;

/// What happens from the moment of the call on, waited for on the thread that iterates. Ends when the driver stops.
///
/// Holds the newest 1024 events for a reader that is slower than they come.
#[derive(Debug)]
pub struct Events(pub(crate) idv_host::Events);

impl Events {
    /// How many events were lost so far because they were not read in time.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.0.missed()
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.0.wait()
    }
}
