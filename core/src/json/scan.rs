//! Telling well-formed JSON from the rest in one pass, without recursion and without looking at a byte twice.
//!
//! Everything taken here is JSON (RFC 8259), and the members of the outermost object come out as text. What is not taken is read once more,
//! slowly, by a parser that can say where and why.

use super::MAX_DEPTH;
use alloc::vec::Vec;

/// Where quotes, backslashes and control characters stand. They are looked for 64 bytes at a time.
struct Specials<'a> {
    text: &'a [u8],
    /// Where the 64 bytes begin that were looked at last, and which of them are special.
    block: usize,
    marks: u64,
}

impl<'a> Specials<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self { text, block: 0, marks: Self::marks(text) }
    }

    /// Those of the first 64 bytes.
    fn marks(rest: &[u8]) -> u64 {
        match rest.first_chunk() {
            Some(block) => marks(block),
            None => {
                let mut last = [b' '; 64];
                last.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
                marks(&last)
            }
        }
    }

    /// The first of them at `from` or after it. What was asked before never lies further on.
    #[inline(always)]
    fn next(&mut self, mut from: usize) -> Option<usize> {
        loop {
            if from - self.block >= 64 {
                self.block = from / 64 * 64;
                self.marks = Self::marks(self.text.get(self.block..)?);
            }
            let marks = self.marks >> (from % 64);
            if marks != 0 {
                return Some(from + marks.trailing_zeros() as usize);
            }
            from = self.block + 64;
        }
    }
}

/// One bit for each byte, the first lowest: whether it is a quote, a backslash or a control character.
#[inline]
fn marks(block: &[u8; 64]) -> u64 {
    // Written so that compilers make vector instructions of it.
    let mut is_special = [0; 64];
    for (is_special, byte) in is_special.iter_mut().zip(block) {
        *is_special = u8::from((*byte == b'"') | (*byte == b'\\') | (*byte < b' '));
    }
    let (words, _) = is_special.as_chunks::<8>();
    // Brings the lowest bits of eight bytes together.
    let eight_bits = |word: &[u8; 8]| u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    words.iter().rev().fold(0, |marks, word| marks << 8 | eight_bits(word))
}

/// Reads the members of the object that `text` is, as they stand, into `members`. `None` where the text is no object, or nested deeper than
/// [`MAX_DEPTH`]; what was read by then is in `members`.
pub(super) fn members<'a>(text: &'a str, members: &mut Vec<(&'a str, &'a str)>) -> Option<()> {
    let bytes = text.as_bytes();
    let specials = &mut Specials::new(bytes);
    let mut at = space(bytes, after(bytes, 0, b'{')?);
    if bytes.get(at) == Some(&b'}') {
        at += 1;
    } else {
        at = loop {
            let key = space(bytes, at);
            let end = string(bytes, key, specials)?;
            let from = space(bytes, after(bytes, end, b':')?);
            let to = value(bytes, from, specials)?;
            members.push((text.get(key..end)?, text.get(from..to)?));
            at = space(bytes, to);
            match bytes.get(at)? {
                b',' => at += 1,
                b'}' => break at + 1,
                _ => return None,
            }
        };
    }
    (space(bytes, at) == bytes.len()).then_some(())
}

// Each of these takes where something is expected to begin, and returns where it ends.

/// White space.
fn space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\t' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

/// This byte, and white space before it, which programs rarely write.
#[inline(always)]
fn after(text: &[u8], at: usize, byte: u8) -> Option<usize> {
    if text.get(at) == Some(&byte) {
        return Some(at + 1);
    }
    let at = space(text, at);
    (text.get(at) == Some(&byte)).then_some(at + 1)
}

/// A string, and white space before it.
#[inline(always)]
fn string(text: &[u8], at: usize, specials: &mut Specials<'_>) -> Option<usize> {
    let mut at = after(text, at, b'"')?;
    loop {
        at = specials.next(at)?;
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at = escape(text, at)?,
            _ => return None,
        }
    }
}

/// A member's name and the colon after it, and white space before each.
#[inline(always)]
fn name(text: &[u8], at: usize, specials: &mut Specials<'_>) -> Option<usize> {
    after(text, string(text, at, specials)?, b':')
}

fn escape(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at + 1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 2),
        b'u' if text.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit) => Some(at + 6),
        _ => None,
    }
}

fn digits(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(b'0'..=b'9') = text.get(at) {
        at += 1;
    }
    (at > from).then_some(at)
}

fn number(text: &[u8], at: usize) -> Option<usize> {
    let at = if let Some(b'-') = text.get(at) { at + 1 } else { at };
    let mut at = match text.get(at)? {
        b'0' => at + 1,
        _ => digits(text, at)?,
    };
    if let Some(b'.') = text.get(at) {
        at = digits(text, at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at = match text.get(at + 1) {
            Some(b'+' | b'-') => digits(text, at + 2)?,
            _ => digits(text, at + 1)?,
        };
    }
    Some(at)
}

fn word(text: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    text.get(at..)?.starts_with(word).then_some(at + word.len())
}

/// A whole value, and white space before it. It stands in the outermost object.
fn value(text: &[u8], mut at: usize, specials: &mut Specials<'_>) -> Option<usize> {
    let mut open = Open { depth: 1, is_object: true, around: 0 };
    loop {
        at = match text.get(at)? {
            b'"' => string(text, at, specials)?,
            b'{' => {
                open.enter(true)?;
                at = space(text, at + 1);
                if text.get(at) != Some(&b'}') {
                    at = name(text, at, specials)?;
                    continue;
                }
                open.leave();
                at + 1
            }
            b'[' => {
                open.enter(false)?;
                at = space(text, at + 1);
                if text.get(at) != Some(&b']') {
                    continue;
                }
                open.leave();
                at + 1
            }
            b't' => word(text, at, b"true")?,
            b'f' => word(text, at, b"false")?,
            b'n' => word(text, at, b"null")?,
            b' ' | b'\n' | b'\t' | b'\r' => {
                at += 1;
                continue;
            }
            _ => number(text, at)?,
        };
        // After a value: what is open ends, or goes on.
        at = loop {
            if open.depth == 1 {
                return Some(at);
            }
            match text.get(at)? {
                b',' if open.is_object => break name(text, at + 1, specials)?,
                b',' => break at + 1,
                b'}' if open.is_object => open.leave(),
                b']' if !open.is_object => open.leave(),
                b' ' | b'\n' | b'\t' | b'\r' => {}
                _ => return None,
            }
            at += 1;
        };
    }
}

/// The levels that are open.
struct Open {
    /// How many, the outermost object included.
    depth: usize,
    /// Whether the innermost is an object; otherwise it is an array.
    is_object: bool,
    /// The same of those around it, the nearest in the lowest bit.
    around: u128,
}

impl Open {
    /// One more; `None` where it is one too many.
    #[inline(always)]
    fn enter(&mut self, is_object: bool) -> Option<()> {
        const { assert!(MAX_DEPTH <= 128, "one bit for each level around the innermost") };
        self.depth += 1;
        self.around = self.around << 1 | u128::from(self.is_object);
        self.is_object = is_object;
        (self.depth <= MAX_DEPTH).then_some(())
    }

    #[inline(always)]
    const fn leave(&mut self) {
        self.depth -= 1;
        self.is_object = self.around & 1 == 1;
        self.around >>= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{parse, too_deep};
    use super::*;
    use alloc::format;
    use alloc::string::String;
    use alloc::vec;
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    /// What the scan takes, and what the parser takes: the same members of the same texts, or neither.
    fn agree(text: &str) -> Result<bool, TestCaseError> {
        let (mut scanned, mut parsed) = (Vec::new(), Vec::new());
        let takes = members(text, &mut scanned).is_some();
        let is_readable = parse(text, &mut parsed).is_ok() && too_deep(text).is_none();
        prop_assert_eq!(takes, is_readable, "{}", text);
        if takes {
            prop_assert_eq!(scanned, parsed, "{}", text);
        }
        Ok(takes)
    }

    const SPACES: [&str; 6] = ["", "", "", " ", "\n\t", " \r\n  "];

    /// Strings long enough to lie across the 64 bytes that are looked at together.
    fn string() -> impl Strategy<Value = String> {
        r#""([^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}){0,90}""#
    }

    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            select(vec!["null", "true", "false", "[]", "{}", "[ ]", "{\n}"]).prop_map(String::from),
            r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?",
            string(),
        ];
        leaf.prop_recursive(6, 64, 8, |inner| {
            let part = (string(), select(SPACES.to_vec()), select(SPACES.to_vec()), inner);
            (prop::collection::vec(part, 1..8), any::<bool>()).prop_map(|(parts, is_object)| {
                let parts: Vec<String> = parts
                    .into_iter()
                    .map(|(name, before, after, value)| {
                        if is_object {
                            format!("{before}{name}{after}:{before}{value}{after}")
                        } else {
                            format!("{before}{value}{after}")
                        }
                    })
                    .collect();
                let parts = parts.join(",");
                if is_object { format!("{{{parts}}}") } else { format!("[{parts}]") }
            })
        })
    }

    const FRAGMENTS: [&str; 32] = [
        "{", "}", "[", "]", ",", ":", "\"", "\\", "\\\\", "\\\"", "\\u00e", "\\ud83d", "\\x", "0", "-", "1.",
        ".5", "e5", "E+", "01", " ", "\n", "\u{0}", "\u{1f}", "\u{7f}", "\u{a0}", "tru", "null", "NaN",
        "\"a\":1", "é", "\u{feff}",
    ];

    proptest! {
        #[test]
        fn r19_the_scan_takes_well_formed_objects(value in json(), space in select(SPACES.to_vec())) {
            let text = format!("{space}{{{space}\"it\"{space}:{value}{space}}}{space}");
            prop_assert!(agree(&text)?, "{}", text);
        }

        #[test]
        fn r19_the_scan_takes_of_damaged_objects_what_the_parser_takes(
            value in json(), at: Index, fragment in select(FRAGMENTS.to_vec()), taken_out in 0..3_usize, cut in prop::option::weighted(0.3, any::<Index>()),
        ) {
            let mut chars: Vec<char> = format!("{{\"a\":{value},\"b\" : [1, {value}]}}").chars().collect();
            let at = at.index(chars.len());
            chars.splice(at..chars.len().min(at + taken_out), fragment.chars());
            if let Some(cut) = cut {
                chars.truncate(cut.index(chars.len() + 1));
            }
            agree(&chars.into_iter().collect::<String>())?;
        }

        #[test]
        fn r19_the_scan_takes_of_any_fragments_what_the_parser_takes(fragments in prop::collection::vec(select(FRAGMENTS.to_vec()), 0..12)) {
            let fragments = fragments.concat();
            agree(&fragments)?;
            agree(&format!("{{\"a\":{fragments}}}"))?;
            agree(&format!("{{\"a\":\"{fragments}\"}}"))?;
        }

        #[test]
        fn r19_the_scan_takes_no_more_levels_than_are_read(levels in prop::collection::vec(any::<bool>(), MAX_DEPTH - 4..MAX_DEPTH + 4)) {
            let open: String = levels.iter().map(|is_object| if *is_object { "{\"a\":" } else { "[" }).collect();
            let close: String = levels.iter().rev().map(|is_object| if *is_object { '}' } else { ']' }).collect();
            for inside in ["0", "[]", "{}"] {
                let depth = 1 + levels.len() + usize::from(inside != "0");
                prop_assert_eq!(agree(&format!("{{\"a\":{open}{inside}{close}}}"))?, depth <= MAX_DEPTH);
            }
        }
    }

    /// Every text of so many of these eight tokens, and how many of them are taken.
    fn all_of(tokens: [&str; 8], count: usize, before: &str, after: &str) -> usize {
        let texts = (0..8_usize.pow(u32::try_from(count).unwrap())).map(|number| {
            let inside: String = (0..count).map(|nth| tokens[number >> (3 * nth) & 7]).collect();
            format!("{before}{inside}{after}")
        });
        texts.filter(|text| agree(text).unwrap()).count()
    }

    #[test]
    fn r19_the_scan_takes_of_all_short_texts_what_the_parser_takes() {
        assert!(all_of(["{", "}", "[", "]", ",", ":", "\"a\"", "1"], 5, "{\"a\":", "}") > 10);
        // One object of one member or another, and one without any but with three blanks.
        assert_eq!(all_of(["{", "}", ",", ":", "\"\"", " ", "0", "\u{a0}"], 5, "", ""), 2 + 10);
    }

    #[test]
    fn r19_the_scan_takes_all_short_numbers_words_and_escapes_that_the_parser_takes() {
        assert!(all_of(["0", "1", "-", ".", "e", "E", "+", " "], 5, "{\"a\":", "}") > 100);
        assert_eq!(all_of(["t", "rue", "f", "alse", "n", "ull", " ", "e"], 3, "{\"a\":", "}"), 6);
        assert!(all_of(["\\", "\"", "u", "00", "eF", "g", "\u{1f}", "\u{7f}"], 4, "{\"a\":\"", "\"}") > 10);
        for byte in 0..=u8::MAX {
            let char = char::from(byte);
            agree(&format!("{{\"a\":\"{char}\"}}")).unwrap();
            agree(&format!("{{\"a\":\"\\{char}\"}}")).unwrap();
            agree(&format!("{{\"a\":\"\\u00{char}0\"}}")).unwrap();
            agree(&format!("{{{char}\"a\"{char}:{char}[1{char}]{char}}}{char}")).unwrap();
        }
    }

    /// What is looked for 64 bytes at a time is found wherever it lies.
    #[test]
    fn r19_the_scan_takes_strings_of_any_length_at_any_place() {
        for before in [0, 1, 31, 61, 62, 63, 64] {
            for length in 0..140 {
                let (blanks, text) = (" ".repeat(before), "x".repeat(length));
                assert!(agree(&format!("{blanks}{{\"{text}\":\"{text}\\n{text}\"}}")).unwrap());
                for special in ["\"", "\n", "\\"] {
                    assert!(!agree(&format!("{blanks}{{\"a\":\"{text}{special}\"}}")).unwrap());
                }
            }
        }
    }
}
