//! Bytes received and not read yet. Nothing is left behind in freed memory: tokens and personal data come this way.

use zeroize::Zeroizing;

/// The buffer begins this large and doubles when one piece needs more.
const FIRST: usize = 16 << 10;

#[derive(Default)]
pub(super) struct Buffer {
    bytes: Zeroizing<Vec<u8>>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// What is there and not consumed.
    pub(super) fn filled(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Room for more, never empty.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.bytes.len() {
            let more = self.bytes.len().max(FIRST);
            room_for(&mut self.bytes, more);
            let len = self.end.saturating_add(more);
            self.bytes.resize(len, 0);
        }
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// `count` bytes were put into the room.
    pub(super) fn filled_by(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(self.bytes.len());
    }
}

/// Makes room for `more` bytes at the end; where that takes another allocation, the old one is overwritten.
pub(super) fn room_for(bytes: &mut Zeroizing<Vec<u8>>, more: usize) {
    let wanted = bytes.len().saturating_add(more);
    if wanted > bytes.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(wanted.max(bytes.capacity().saturating_mul(2))));
        larger.extend_from_slice(bytes);
        *bytes = larger;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_come_out_in_order_whatever_is_put_in_and_taken_when(
            steps in vec((0_usize..40_000, 0_usize..40_000), 0..20),
        ) {
            let mut buffer = Buffer::default();
            let (mut put, mut taken) = (0_usize, 0_usize);
            for (arriving, consuming) in steps {
                let room = buffer.room();
                prop_assert!(!room.is_empty());
                let count = arriving.min(room.len());
                for byte in &mut room[..count] {
                    *byte = (put % 251) as u8;
                    put += 1;
                }
                buffer.filled_by(count);
                let expected: Vec<u8> = (taken..put).map(|at| (at % 251) as u8).collect();
                prop_assert_eq!(buffer.filled(), &expected[..]);
                let count = consuming.min(put - taken);
                buffer.consume(count);
                taken += count;
            }
        }
    }
}
