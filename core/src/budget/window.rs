//! The limit on calls as the provider counts it.

use crate::time::{Instant, Span};

/// The limit on calls as the provider counts it: the other side of [`Budget`](super::Budget), for whoever plays a provider.
///
/// A plain count, on purpose not made of the machine that it checks: a window begins with the first call after the one before it has
/// ended, lasts the documented time, and admits the documented number of calls. Refused calls are not counted. That is the plainest
/// reading of "so many calls per minute"; whether a provider's windows slide instead is not documented.
///
/// ```
/// use idv_core::budget::Window;
/// use idv_core::time::{Instant, Span};
///
/// let mut window = Window::new();
/// let at = Instant::from_millis;
/// assert_eq!(window.admit(1, Span::mins(1), at(500)), Ok(()));
/// assert_eq!(window.admit(1, Span::mins(1), at(10_500)), Err(Span::secs(50)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Window {
    /// When the present window began.
    since: Option<Instant>,
    calls: u32,
}

impl Window {
    /// No call yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { since: None, calls: 0 }
    }

    /// A call arrives at `now`, where `calls` are allowed in a window of length `window`.
    ///
    /// # Errors
    /// The call is over the limit; the next is not before the span returned has passed.
    pub fn admit(&mut self, calls: u32, window: Span, now: Instant) -> Result<(), Span> {
        let ends = self.since.map(|since| since.after(window));
        let rest = ends.and_then(|ends| now.until(ends));
        match rest {
            None => *self = Self { since: Some(now), calls: 0 },
            // A clock that went back makes no wait longer than a window.
            Some(rest) if self.calls >= calls => return Err(rest.min(window)),
            Some(_) => {}
        }
        if calls == 0 {
            return Err(window);
        }
        self.calls += 1;
        Ok(())
    }
}
