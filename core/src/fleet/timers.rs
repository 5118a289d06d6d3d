//! Deadlines of many machines: an indexed 4-ary heap. The order is total, by moment and then by index, so that runs repeat exactly;
//! the earliest deadline is always exact.

use crate::time::Instant;
use alloc::vec::Vec;

const ABSENT: u32 = u32::MAX;

/// At most one deadline for each index.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Timers {
    heap: Vec<(Instant, u32)>,
    /// Where each index stands in the heap.
    places: Vec<u32>,
}

impl Timers {
    pub(crate) const fn new() -> Self {
        Self { heap: Vec::new(), places: Vec::new() }
    }

    /// Sets, moves or removes the deadline of `index`.
    pub(crate) fn set(&mut self, index: u32, at: Option<Instant>) {
        let slot = index as usize;
        if self.places.len() <= slot {
            if at.is_none() {
                return;
            }
            self.places.resize(slot + 1, ABSENT);
        }
        let place = self.places.get(slot).copied().unwrap_or(ABSENT);
        match (place, at) {
            (ABSENT, None) => {}
            (ABSENT, Some(at)) => {
                self.heap.push((at, index));
                self.put(self.heap.len() - 1, (at, index));
                self.up(self.heap.len() - 1);
            }
            (place, Some(at)) => {
                self.put(place as usize, (at, index));
                self.settle(place as usize);
            }
            (place, None) => self.remove(place as usize),
        }
    }

    /// The earliest deadline and whose it is.
    pub(crate) fn first(&self) -> Option<(Instant, u32)> {
        self.heap.first().copied()
    }

    /// Builds the heap anew: moments that `f` makes one are ordered by their indexes.
    pub(crate) fn map_times(&mut self, mut f: impl FnMut(Instant) -> Instant) {
        let mut deadlines: Vec<_> =
            core::mem::take(&mut self.heap).into_iter().map(|(at, index)| (f(at), index)).collect();
        deadlines.sort_unstable();
        for (at, index) in deadlines {
            self.note(index, ABSENT);
            self.set(index, Some(at));
        }
    }

    fn remove(&mut self, place: usize) {
        if let Some((_, index)) = self.heap.get(place).copied() {
            self.note(index, ABSENT);
        }
        if let Some(last) = self.heap.pop() {
            // Where it was the last itself there is no such place any more, and these do nothing.
            self.put(place, last);
            self.settle(place);
        }
    }

    fn note(&mut self, index: u32, place: u32) {
        if let Some(slot) = self.places.get_mut(index as usize) {
            *slot = place;
        }
    }

    fn put(&mut self, place: usize, entry: (Instant, u32)) {
        if let Some(slot) = self.heap.get_mut(place) {
            *slot = entry;
            self.note(entry.1, u32::try_from(place).unwrap_or(ABSENT));
        }
    }

    fn settle(&mut self, place: usize) {
        self.up(place);
        self.down(place);
    }

    fn up(&mut self, mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / 4;
            match (self.heap.get(parent).copied(), self.heap.get(place).copied()) {
                (Some(above), Some(here)) if here < above => {
                    self.put(parent, here);
                    self.put(place, above);
                    place = parent;
                }
                _ => return,
            }
        }
    }

    fn down(&mut self, mut place: usize) {
        loop {
            let first = place * 4 + 1;
            let least = (first..first + 4)
                .filter_map(|child| self.heap.get(child).map(|entry| (*entry, child)))
                .min();
            match (least, self.heap.get(place).copied()) {
                (Some((below, child)), Some(here)) if below < here => {
                    self.put(place, below);
                    self.put(child, here);
                    place = child;
                }
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// No deadline stands behind a later one of its way to the first place, and each index knows where its own stands.
    fn is_in_order(timers: &Timers) -> bool {
        (0_u32..).zip(&timers.heap).all(|(place, entry)| {
            let above = place.checked_sub(1).and_then(|before| timers.heap.get(before as usize / 4));
            above.is_none_or(|above| above < entry) && timers.places.get(entry.1 as usize) == Some(&place)
        })
    }

    proptest! {
        #[test]
        fn the_first_deadline_is_that_of_a_sorted_map(
            script in proptest::collection::vec((0u32..40, proptest::option::of(1u64..50)), 1..300)
        ) {
            let mut timers = Timers::default();
            let mut reference = BTreeMap::new();
            for (index, at) in script {
                let at = at.map(Instant::from_millis);
                timers.set(index, at);
                match at {
                    Some(at) => { reference.insert(index, at); }
                    None => { reference.remove(&index); }
                }
                let first = reference.iter().map(|(index, at)| (*at, *index)).min();
                prop_assert_eq!(timers.first(), first);
                prop_assert!(is_in_order(&timers));
            }
        }

        #[test]
        fn g8_moved_to_another_clock_they_stay_in_order_even_where_moments_become_one(
            script in proptest::collection::vec((0u32..40, proptest::option::of(1u64..50)), 1..100),
            earliest in 1u64..50,
        ) {
            let mut timers = Timers::default();
            for (index, at) in script {
                timers.set(index, at.map(Instant::from_millis));
            }
            let moved = |at: Instant| at.max(Instant::from_millis(earliest)).shifted(1_000);
            let mut expected: Vec<_> = timers.heap.iter().map(|(at, index)| (moved(*at), *index)).collect();
            expected.sort_unstable();
            timers.map_times(moved);
            prop_assert!(is_in_order(&timers));
            let mut fired = Vec::new();
            while let Some((at, index)) = timers.first() {
                fired.push((at, index));
                timers.set(index, None);
            }
            prop_assert_eq!(fired, expected);
        }
    }
}
