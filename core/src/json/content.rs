//! Digests of what a body says.

use super::text::{Piece, after_separators, pieces, value_len};
use super::{Kind, MAX_DEPTH, Value};
use crate::evidence::ContentDigest;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use sha2::{Digest, Sha256};

/// Builds a [`ContentDigest`] that depends on what is said, not on how it is written (R5).
///
/// Members are taken in an order of their own, strings decoded, a number as its digits. What says nothing (`null`, `""`, and arrays and
/// objects of nothing else) is left out of objects, and a URL counts only as being one: those the providers send carry tokens that change
/// from answer to answer.
#[derive(Clone)]
pub struct Content {
    /// What was taken in, in its one canonical form.
    form: Vec<u8>,
    /// Where in the form the members of the objects lie that are being taken in, outermost first.
    members: Vec<Range<usize>>,
}

/// Ends a text; no UTF-8 text contains it.
const END: u8 = 0xFF;

impl Content {
    /// Begins a digest. `kind` keeps digests of different kinds of content apart.
    #[must_use]
    pub fn new(kind: &str) -> Self {
        let mut content = Self { form: Vec::with_capacity(2048), members: Vec::with_capacity(32) };
        content.text(kind);
        content
    }

    /// Takes a text in.
    pub fn text(&mut self, text: &str) {
        self.form.push(b's');
        self.form.extend_from_slice(text.as_bytes());
        self.form.push(END);
    }

    /// Takes a value in; `None` counts as one that says nothing.
    pub fn value(&mut self, value: Option<Value<'_>>) {
        self.take(value.map_or("null", |value| value.0), MAX_DEPTH);
    }

    /// Takes in a set: each part as `write` writes it, whatever their order, equal ones once.
    pub fn set<T>(&mut self, parts: impl Iterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        let bottom = self.members.len();
        self.form.push(b'(');
        for part in parts {
            let start = self.form.len();
            write(self, part);
            self.members.push(start..self.form.len());
        }
        self.sort_members(bottom);
        self.form.push(END);
    }

    /// Takes in the well-formed value at the start of `text`. Returns what follows it, and whether it says anything.
    fn take<'t>(&mut self, text: &'t str, depth: usize) -> (&'t str, bool) {
        let start = self.form.len();
        let is_object = text.starts_with('{');
        let (rest, says) = match depth.checked_sub(1) {
            Some(depth) if is_object || text.starts_with('[') => {
                let bottom = self.members.len();
                self.form.extend(text.bytes().take(1));
                let mut rest = after_separators(text.get(1..).unwrap_or_default());
                let mut says_any = false;
                while !rest.is_empty() && !rest.starts_with(['}', ']']) {
                    let member = self.form.len();
                    if is_object {
                        let (key, value) = rest.split_at_checked(value_len(rest)).unwrap_or_default();
                        self.decoded(key);
                        rest = after_separators(value);
                    }
                    let (after, says) = self.take(rest, depth);
                    says_any |= says;
                    if is_object && says {
                        self.members.push(member..self.form.len());
                    } else if is_object {
                        self.form.truncate(member);
                    }
                    // Only before a closing bracket, or at the end, is a value of no length: there the loop ends.
                    rest = after_separators(after);
                }
                self.sort_members(bottom);
                self.form.push(END);
                (rest.get(1..).unwrap_or_default(), says_any)
            }
            // Bodies nested deeper are not read; should one come here all the same, its depths count as they are written.
            _ => {
                let (raw, rest) = text.split_at_checked(value_len(text)).unwrap_or_default();
                match Value(raw).kind() {
                    Kind::Null => {}
                    Kind::Bool => self.form.extend(raw.bytes().take(1)),
                    Kind::String | Kind::Number | Kind::Array | Kind::Object => self.decoded(raw),
                }
                let taken = self.form.get(start + 1..).unwrap_or_default();
                let is_url = raw.starts_with('"') && is_url(taken);
                let says = !matches!(raw, "" | "null" | "\"\"");
                if is_url {
                    self.form.truncate(start);
                    self.form.push(b'u');
                }
                (rest, says)
            }
        };
        if !says {
            self.form.truncate(start);
            self.form.push(b'-');
        }
        (rest, says)
    }

    /// Puts the members from number `bottom` on, which end the form, in order, equal ones once.
    fn sort_members(&mut self, bottom: usize) {
        let Self { form, members } = self;
        let Some(ranges) = members.get_mut(bottom..) else { return };
        let (start, end) = (ranges.first().map_or(0, |range| range.start), form.len());
        let bytes = |range: &Range<usize>| form.get(range.clone()).unwrap_or_default();
        if !ranges.is_sorted_by(|a, b| bytes(a) < bytes(b)) {
            ranges.sort_unstable_by(|a, b| bytes(a).cmp(bytes(b)));
            let mut last = 0..0;
            for range in ranges {
                if form.get(range.clone()) != form.get(last) {
                    form.extend_from_within(range.clone());
                }
                last = range.clone();
            }
            form.drain(start..end);
        }
        members.truncate(bottom);
    }

    /// Takes a raw string in, decoded; of any other value its JSON text.
    fn decoded(&mut self, raw: &str) {
        self.form.push(b's');
        let pieces = pieces(raw);
        if !pieces.0.as_bytes().contains(&b'\\') {
            self.form.extend_from_slice(pieces.0.as_bytes());
            self.form.push(END);
            return;
        }
        for piece in pieces {
            match piece {
                Piece::Run(run) => self.form.extend_from_slice(run.as_bytes()),
                Piece::Escaped(char) => self.form.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        self.form.push(END);
    }

    /// The digest.
    #[must_use]
    pub fn finish(self) -> ContentDigest {
        let digest: [u8; 32] = Sha256::digest(&self.form).into();
        ContentDigest(digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first)))
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Content(…)")
    }
}

fn is_url(text: &[u8]) -> bool {
    [&b"https://"[..], b"http://"]
        .iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use proptest::prelude::*;
    use proptest::sample::select;

    const FRAGMENTS: [&str; 16] =
        ["{", "}", "[", "]", ",", ":", "\"", "\"a\"", "\\", " ", "\n", "1", "null", "x", "é", "{\"a\":[1]}"];

    proptest! {
        /// What is taken in is well formed. Should it once be not, it comes to an end all the same.
        #[test]
        fn g6_any_text_is_taken_in_to_an_end(fragments in prop::collection::vec(select(FRAGMENTS.to_vec()), 0..24), depth in 0..4_usize) {
            let text: String = fragments.concat();
            let mut content = Content::new("test");
            let (rest, _) = content.take(&text, depth);
            prop_assert!(text.ends_with(rest));
            prop_assert!(content.members.is_empty());
        }
    }
}
