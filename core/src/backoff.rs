//! How long to wait after failures in a row: doubling, bounded, with seeded jitter.

use crate::time::Span;
use serde::{Deserialize, Serialize};

/// Waits of `first`, twice that, four times that, … up to `most`, each lengthened by up to `jitter_percent`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Backoff {
    /// The wait after the first failure.
    pub first: Span,
    /// The longest wait, before jitter.
    pub most: Span,
    /// How much longer a wait may become, in per cent of itself.
    pub jitter_percent: u8,
}

impl Backoff {
    /// The wait after `failures` failures in a row; none and one give the same.
    #[must_use]
    pub const fn delay(&self, failures: u8, entropy: u32) -> Span {
        let doublings = failures.saturating_sub(1);
        let factor = if doublings >= 31 { u32::MAX } else { 1 << doublings };
        let plain = self.first.times(factor);
        let capped = if plain.as_millis() > self.most.as_millis() { self.most } else { plain };
        capped.jittered(self.jitter_percent, entropy)
    }

    /// The longest wait this can give, jitter included.
    #[must_use]
    pub const fn longest(&self) -> Span {
        self.most.jittered(self.jitter_percent, u32::MAX)
    }
}
