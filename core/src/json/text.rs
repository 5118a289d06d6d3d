//! Finding the parts of well-formed JSON text, and what its strings say.

use alloc::borrow::Cow;
use alloc::string::String;

/// The parts of an array or object known to be well formed, each with its raw key (`""` in an array). Nothing for other values.
pub(super) fn parts(raw: &str) -> Parts<'_> {
    let keyed = raw.starts_with('{');
    let rest = if keyed || raw.starts_with('[') { raw.get(1..) } else { None };
    Parts { rest: rest.unwrap_or_default(), keyed }
}

pub(super) struct Parts<'a> {
    rest: &'a str,
    keyed: bool,
}

impl<'a> Parts<'a> {
    /// Takes the next value, after white space and separators.
    fn take(&mut self) -> Option<&'a str> {
        let start = after_separators(self.rest);
        let (value, rest) = start.split_at_checked(value_len(start))?;
        self.rest = rest;
        Some(value).filter(|value| !value.is_empty())
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let key = if self.keyed { self.take()? } else { "" };
        Some((key, self.take()?))
    }
}

/// How long the well-formed value at the start of `text` is; 0 at a closing bracket.
pub(super) fn value_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    match bytes.first() {
        Some(b'"') => string_len(bytes),
        Some(b'{' | b'[') => {
            let (mut depth, mut at) = (0_usize, 0_usize);
            while let Some(byte) = bytes.get(at) {
                match byte {
                    b'"' => {
                        at += string_len(bytes.get(at..).unwrap_or_default());
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    break;
                }
            }
            at
        }
        _ => {
            let is_end = |byte: &u8| matches!(byte, b',' | b':' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
            bytes.iter().position(is_end).unwrap_or(bytes.len())
        }
    }
}

/// How long the string at the start of `bytes` is, quotes included.
fn string_len(bytes: &[u8]) -> usize {
    let mut at = 1;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        match rest.iter().position(|byte| *byte == b'"' || *byte == b'\\') {
            None => return bytes.len(),
            Some(found) if rest.get(found) == Some(&b'"') => return at + found + 1,
            Some(found) => at += found + 2,
        }
    }
}

/// A run of plain text, or one escaped character.
pub(super) enum Piece<'a> {
    Run(&'a str),
    Escaped(char),
}

/// The contents of a string, piece by piece; any other value is one run.
pub(super) struct Pieces<'a>(pub(super) &'a str);

pub(super) fn pieces(raw: &str) -> Pieces<'_> {
    Pieces(raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(raw))
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let Some(escape) = self.0.strip_prefix('\\') else {
            let end = self.0.find('\\').unwrap_or(self.0.len());
            let (run, rest) = self.0.split_at_checked(end)?;
            self.0 = rest;
            return Some(Piece::Run(run)).filter(|_| !run.is_empty());
        };
        let mut chars = escape.chars();
        let letter = chars.next()?;
        self.0 = chars.as_str();
        let escaped = match letter {
            'u' => self.unicode(),
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            other => other,
        };
        Some(Piece::Escaped(escaped))
    }
}

impl Pieces<'_> {
    fn chars(self) -> impl Iterator<Item = char> {
        self.flat_map(|piece| {
            let (run, escaped) = match piece {
                Piece::Run(run) => (run, None),
                Piece::Escaped(char) => ("", Some(char)),
            };
            run.chars().chain(escaped)
        })
    }

    /// The character whose four digits come next, with its second half where it has one.
    fn unicode(&mut self) -> char {
        let first = self.unit();
        let mut code = first;
        if (0xD800..0xDC00).contains(&first)
            && let Some(rest) = self.0.strip_prefix("\\u")
        {
            let mut ahead = Pieces(rest);
            let second = ahead.unit();
            if (0xDC00..0xE000).contains(&second) {
                code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                self.0 = ahead.0;
            }
        }
        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    fn unit(&mut self) -> u32 {
        let Some((digits, rest)) = self.0.split_at_checked(4) else { return 0xFFFD };
        self.0 = rest;
        u32::from_str_radix(digits, 16).unwrap_or(0xFFFD)
    }
}

/// The text of a raw string, borrowed where nothing is escaped.
pub(super) fn decode(raw: &str) -> Cow<'_, str> {
    let whole = pieces(raw);
    if !whole.0.contains('\\') {
        return Cow::Borrowed(whole.0);
    }
    let mut text = String::with_capacity(whole.0.len());
    for piece in whole {
        match piece {
            Piece::Run(run) => text.push_str(run),
            Piece::Escaped(char) => text.push(char),
        }
    }
    Cow::Owned(text)
}

/// Whether the raw string says `text`.
#[inline]
pub(super) fn is_text(raw: &str, text: &str) -> bool {
    let raw = pieces(raw);
    // Most names differ in their first byte already.
    if raw.0.as_bytes().first() != text.as_bytes().first() && !raw.0.starts_with('\\') {
        return false;
    }
    if raw.0.contains('\\') { raw.chars().eq(text.chars()) } else { raw.0 == text }
}

pub(super) fn after_separators(text: &str) -> &str {
    let is_separator = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':');
    let len = text.as_bytes().iter().take_while(|byte| is_separator(byte)).count();
    text.get(len..).unwrap_or_default()
}
