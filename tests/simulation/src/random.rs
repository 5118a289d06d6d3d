//! The one source of chance: SplitMix64 (Steele, Lea, Flood, 2014), in integers, the same on every platform.

use idv_core::time::Span;

/// A stream of numbers that its seed determines.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The stream of this seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub(crate) const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Fresh entropy for one input of the client.
    pub(crate) const fn entropy(&mut self) -> u32 {
        (self.bits() >> 32) as u32
    }

    /// A number below `end`; 0 where there is none.
    pub(crate) const fn below(&mut self, end: u64) -> u64 {
        ((self.bits() as u128 * end as u128) >> 64) as u64
    }

    /// A number from `least` to `most`.
    pub(crate) const fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// Whether something happens that happens so often in a thousand times.
    pub(crate) const fn happens(&mut self, per_thousand: u64) -> bool {
        self.below(1_000) < per_thousand
    }

    /// Milliseconds from `least` to `most`, short ones as likely as long ones: each doubling has the same chance.
    pub(crate) fn spread(&mut self, least: Span, most: Span) -> u64 {
        let (least, most) = (u64::from(least.as_millis()), u64::from(most.as_millis()));
        let doublings = u64::from((most / least).max(1).ilog2());
        let from = least << self.below(doublings + 1);
        self.between(from, (2 * from).clamp(from, most.max(from)))
    }
}

/// The finishing rounds of SplitMix64: spreads a number over all bits.
pub(crate) const fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
