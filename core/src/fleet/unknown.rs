//! Callbacks for ids that nobody has opened yet (R15): a bounded ring, signed ones evicted last.

use super::IdKey;
use crate::evidence::{Callback, Evidence};
use crate::time::{Instant, Span};
use alloc::collections::VecDeque;
use serde::{Deserialize, Serialize};

/// How much of what nobody knows is kept, for each provider.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct UnknownPolicy {
    /// The most callbacks.
    pub count: u32,
    /// The most bytes of their bodies together.
    pub bytes: u64,
    /// How long one is kept.
    pub age: Span,
}

impl Default for UnknownPolicy {
    /// A thousand callbacks of 64 MiB together, for 26 hours: longer than ShareID's last retry.
    fn default() -> Self {
        Self { count: 1_000, bytes: 64 << 20, age: Span::hours(26) }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Entry {
    id: IdKey,
    callback: Callback,
    received: Instant,
    bytes: u32,
}

impl Entry {
    const fn is_signed(&self) -> bool {
        match self.callback.evidence() {
            Evidence::Signed | Evidence::Pulled => true,
            Evidence::Unsigned => false,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Unknown {
    entries: VecDeque<Entry>,
    bytes: u64,
}

impl Unknown {
    /// Keeps one more, at the price of others: the oldest unsigned first, then the oldest. One that is larger than the whole ring is
    /// not kept; opening its session pulls at once, so that costs latency and never a verdict.
    pub(crate) fn keep(
        &mut self,
        policy: &UnknownPolicy,
        now: Instant,
        id: IdKey,
        callback: Callback,
        bytes: u32,
    ) {
        if policy.count == 0 || u64::from(bytes) > policy.bytes {
            return;
        }
        while self.entries.front().is_some_and(|entry| now >= entry.received.after(policy.age)) {
            self.remove(0);
        }
        let count = usize::try_from(policy.count).unwrap_or(usize::MAX);
        while self.entries.len() >= count || self.bytes + u64::from(bytes) > policy.bytes {
            let oldest_unsigned = self.entries.iter().position(|entry| !entry.is_signed());
            self.remove(oldest_unsigned.unwrap_or(0));
        }
        self.bytes += u64::from(bytes);
        self.entries.push_back(Entry { id, callback, received: now, bytes });
    }

    /// Takes all that is kept for `id`. What is left of it is a hint: the bodies are no longer at hand, so nothing that a signature
    /// vouched for can be handed over. An authentic change signal is the strongest.
    pub(crate) fn take(&mut self, id: IdKey) -> Option<Callback> {
        let mut hint = None;
        while let Some(place) = self.entries.iter().position(|entry| entry.id == id) {
            let taken = self.remove(place)?;
            hint = Some(match (taken.callback.hint(), hint) {
                (Callback::SignedSignal, _) | (_, Some(Callback::SignedSignal)) => Callback::SignedSignal,
                (Callback::Signed(_) | Callback::SignedHint, _)
                | (_, Some(Callback::Signed(_) | Callback::SignedHint)) => Callback::SignedHint,
                (Callback::Unsigned | Callback::WrongSignature, _) => Callback::Unsigned,
            });
        }
        hint
    }

    pub(crate) fn map_times(&mut self, mut f: impl FnMut(Instant) -> Instant) {
        for entry in &mut self.entries {
            entry.received = f(entry.received);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn remove(&mut self, place: usize) -> Option<Entry> {
        let entry = self.entries.remove(place)?;
        self.bytes = self.bytes.saturating_sub(u64::from(entry.bytes));
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is kept, as a list: signed or not, bytes, when it came, and which it was.
    type Kept = (bool, u32, Instant, usize);

    proptest! {
        #[test]
        fn r15_the_ring_is_bounded_and_evicts_signed_callbacks_last(
            script in proptest::collection::vec((any::<bool>(), 0..103_u32, 0..20_i64), 1..200),
            count in 0..9_u32,
        ) {
            let policy = UnknownPolicy { count, bytes: 100, age: Span::millis(50) };
            let (mut ring, mut list) = (Unknown::default(), std::vec::Vec::<Kept>::new());
            let mut now = Instant::from_millis(1);
            for (nth, (signed, bytes, passed)) in script.into_iter().enumerate() {
                now = now.shifted(passed);
                let callback = if signed { Callback::SignedSignal } else { Callback::Unsigned };
                ring.keep(&policy, now, IdKey::new("shufti", &std::format!("{nth}")), callback, bytes);
                if count > 0 && bytes <= 100 {
                    let expired = list.iter().take_while(|kept| now.since(kept.2) >= 50).count();
                    list.drain(..expired);
                    while list.len() == count as usize || list.iter().map(|kept| kept.1).sum::<u32>() + bytes > 100 {
                        list.remove(list.iter().position(|kept| !kept.0).unwrap_or(0));
                    }
                    list.push((signed, bytes, now, nth));
                }
                let is: std::vec::Vec<_> = ring.entries.iter().map(|entry| (entry.id, entry.received, entry.bytes)).collect();
                let id = |nth: usize| IdKey::new("shufti", &std::format!("{nth}"));
                let was: std::vec::Vec<_> = list.iter().map(|kept| (id(kept.3), kept.2, kept.1)).collect();
                prop_assert!(is == was, "it keeps others than the list");
                prop_assert_eq!(ring.bytes, list.iter().map(|kept| u64::from(kept.1)).sum::<u64>());
            }
        }
    }
}
