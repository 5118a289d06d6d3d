//! Reading the providers' JSON as it really comes (R19).
//!
//! A body is read once from end to end, so that a syntax error has a line and a column. Its members are then kept as text and looked at
//! only when asked for, by methods that never fail: `""` or `[]` where an object was expected is simply empty, `"1"` is as good a flag
//! as `1`, a number is as good as its digits. What nobody asks for costs nothing and cannot hurt.
//!
//! Nothing here shows content: errors name places and expectations, `Debug` kinds and lengths.

use crate::evidence::ContentDigest;
use crate::provider::Unreadable;
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// The deepest nesting that is read, the body itself included. The providers' own bodies reach 8.
pub const MAX_DEPTH: usize = 127;

/// Members on which a verdict hangs: a body that repeats one of them at its top level could be read in two ways, and is not read at all.
pub const UNREPEATABLE: [&str; 5] = ["reference", "event", "applicant_id", "flow_id", "reasons"];

/// A body as text: without its byte order mark, and with U+FFFD in place of bytes that are not UTF-8. Lines and columns are counted in
/// this text.
pub struct Body<'a> {
    text: Cow<'a, str>,
}

impl<'a> Body<'a> {
    /// Takes the raw bytes, borrowing them where they are UTF-8. Signatures are checked over the bytes, before.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        // The strict check passes ASCII word by word; the repairing one, byte by byte.
        let text = str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed);
        Self { text }
    }

    /// Whether bytes that were not UTF-8 had to be replaced.
    #[must_use]
    pub fn is_repaired(&self) -> bool {
        matches!(self.text, Cow::Owned(_))
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Reads the body as a JSON object.
    #[must_use]
    pub fn object(&self) -> Reading<'_> {
        read_object(&self.text)
    }
}

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.text.len())
    }
}

/// What came of reading a body.
#[derive(Clone, Debug)]
pub struct Reading<'a> {
    /// The members; where the body is unreadable, those that stand before the fault.
    pub object: Object<'a>,
    /// Why the body cannot be read.
    pub unreadable: Option<Unreadable>,
}

impl<'a> Reading<'a> {
    /// The members, if the body could be read.
    ///
    /// # Errors
    /// The body is no JSON object, repeats one of [`UNREPEATABLE`], or is nested deeper than [`MAX_DEPTH`].
    pub fn complete(self) -> Result<Object<'a>, Unreadable> {
        match self.unreadable {
            None => Ok(self.object),
            Some(unreadable) => Err(unreadable),
        }
    }
}

/// The members of a body, in its order, repeated ones repeated.
#[derive(Clone, Default)]
pub struct Object<'a> {
    text: &'a str,
    members: Vec<(&'a RawValue, &'a RawValue)>,
}

impl<'a> Object<'a> {
    /// The member `name`; of a repeated one the last, as PHP and JavaScript read it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        let found = self.members.iter().rev().find(|(key, _)| is_text(key.get(), name));
        found.map(|(_, value)| Value(value.get()))
    }

    /// The member `name` if it is there exactly once.
    #[must_use]
    pub fn get_unrepeated(&self, name: &str) -> Option<Value<'a>> {
        let mut found = self.members.iter().filter(|(key, _)| is_text(key.get(), name));
        let (_, value) = found.next()?;
        found.next().is_none().then_some(Value(value.get()))
    }

    /// The object as one value.
    #[must_use]
    pub(crate) fn whole(&self) -> Value<'a> {
        Value(self.text)
    }

    /// Every member, with its name.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'a, str>, Value<'a>)> + '_ {
        self.members.iter().map(|(key, value)| (decode(key.get()), Value(value.get())))
    }
}

impl fmt::Debug for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({} members)", self.members.len())
    }
}

fn read_object(text: &str) -> Reading<'_> {
    let mut object = Object { text: text.trim(), members: Vec::with_capacity(16) };
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = Collect(&mut object.members).deserialize(&mut reader).and_then(|()| reader.end());
    let unreadable = match read {
        Err(error) => Some(explain(&error, text)),
        Ok(()) => repeated(text, &object).or_else(|| too_deep(text)),
    };
    Reading { object, unreadable }
}

/// Gathers members into a list that outlives a failure.
struct Collect<'m, 'a>(&'m mut Vec<(&'a RawValue, &'a RawValue)>);

impl<'a> DeserializeSeed<'a> for Collect<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Collect<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key()? {
            self.0.push((key, map.next_value()?));
        }
        Ok(())
    }
}

/// Puts a parser's error into words that show no content.
fn explain(error: &serde_json::Error, text: &str) -> Unreadable {
    let problem = match error.classify() {
        // Messages of this kind quote what was found.
        Category::Data | Category::Io => {
            let found = Value(text.trim_start()).kind().article();
            format!("expected a JSON object, found {found}")
        }
        Category::Eof if text.trim_start().is_empty() => {
            "the body is empty, expected a JSON object".to_string()
        }
        Category::Eof | Category::Syntax => {
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            match message {
                "key must be a string" | "trailing comma" => {
                    "expected a member name in double quotes; is there a comma too many?".to_string()
                }
                "expected value" => "expected a JSON value".to_string(),
                message => format!("not JSON: {message}"),
            }
        }
    };
    Unreadable { line: error.line(), column: error.column().max(1), problem }
}

/// Finds a repeated member that must not be.
fn repeated(text: &str, object: &Object<'_>) -> Option<Unreadable> {
    UNREPEATABLE.iter().find_map(|name| {
        let mut keys = object.members.iter().map(|(key, _)| key.get()).filter(|key| is_text(key, name));
        let (_, second) = (keys.next()?, keys.next()?);
        let offset = (second.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        Some(at(text, offset, format!("`{name}` appears twice, expected it once")))
    })
}

/// Finds the place where the text is nested too deep. The reader above does not recurse; whoever looks inside a member may.
fn too_deep(text: &str) -> Option<Unreadable> {
    let is_open = |byte: u8| byte == b'{' || byte == b'[';
    // Nesting needs that many brackets, and few bodies have them: counting is far cheaper than following.
    // In sums of one byte, so that it goes many bytes at a time: images make bodies of megabytes.
    let opened = |part: &[u8]| part.iter().map(|byte| u8::from(is_open(*byte))).sum::<u8>();
    if text.as_bytes().chunks(255).map(|part| usize::from(opened(part))).sum::<usize>() <= MAX_DEPTH {
        return None;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (offset, byte) in text.bytes().enumerate() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Some(at(
                text,
                offset,
                format!("nested deeper than the {MAX_DEPTH} levels that are read"),
            ));
        }
    }
    None
}

fn at(text: &str, offset: usize, problem: String) -> Unreadable {
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    Unreadable { line, column, problem }
}

/// What a value is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl Kind {
    const fn article(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

/// A JSON value inside a body that was read. Every question has an answer, whatever the value is.
#[derive(Clone, Copy)]
pub struct Value<'a>(&'a str);

impl<'a> Value<'a> {
    /// The value's JSON text, as sent.
    #[must_use]
    pub const fn raw(self) -> &'a str {
        self.0
    }

    /// What it is.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self.0.as_bytes().first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') | None => Kind::Null,
            Some(_) => Kind::Number,
        }
    }

    /// Whether it says nothing: `null`, `""`, `[]` or `{}`. PHP writes one for the other.
    #[must_use]
    pub fn is_empty(self) -> bool {
        match self.kind() {
            Kind::Null => true,
            Kind::Bool | Kind::Number => false,
            Kind::String => self.0.len() <= 2,
            Kind::Array | Kind::Object => parts(self.0).next().is_none(),
        }
    }

    /// The text of a string, or the digits of a number, or `true` or `false`; `None` for anything else. Lone surrogates become U+FFFD.
    #[must_use]
    pub fn text(self) -> Option<Cow<'a, str>> {
        match self.kind() {
            Kind::String => Some(decode(self.0)),
            Kind::Number | Kind::Bool => Some(Cow::Borrowed(self.0)),
            Kind::Null | Kind::Array | Kind::Object => None,
        }
    }

    /// [`Value::text`], with `""` as `None` too.
    #[must_use]
    pub fn nonempty_text(self) -> Option<Cow<'a, str>> {
        self.text().filter(|text| !text.is_empty())
    }

    /// A yes or no: `true`, `1`, `"1"`, `"true"` and their opposites; `None` for anything else.
    #[must_use]
    pub fn flag(self) -> Option<bool> {
        match self.text()?.as_ref() {
            "1" | "true" => Some(true),
            "0" | "false" => Some(false),
            _ => None,
        }
    }

    /// The members of an object, decoded names first; nothing for anything else.
    pub fn members(self) -> impl Iterator<Item = (Cow<'a, str>, Self)> {
        let inside = if self.kind() == Kind::Object { self.0 } else { "" };
        parts(inside).map(|(key, value)| (decode(key), Self(value)))
    }

    /// The elements of an array. An object counts as the list of its values (PHP writes a list with gaps that way), `null` and `""` as
    /// an empty list, any other value as a list of itself.
    pub fn elements(self) -> impl Iterator<Item = Self> {
        let (inside, alone) = match self.kind() {
            Kind::Array | Kind::Object => (self.0, None),
            Kind::Null => ("", None),
            Kind::Bool | Kind::Number | Kind::String => ("", Some(self).filter(|value| !value.is_empty())),
        };
        parts(inside).map(|(_, value)| Self(value)).chain(alone)
    }

    /// The member `name` of an object; of a repeated one the last.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Self> {
        let inside = if self.kind() == Kind::Object { self.0 } else { "" };
        parts(inside).filter(|(key, _)| is_text(key, name)).last().map(|(_, value)| Self(value))
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes", self.kind().article(), self.0.len())
    }
}

/// The parts of an array or object known to be well formed, each with its raw key (`""` in an array). Nothing for other values.
fn parts(raw: &str) -> Parts<'_> {
    let keyed = raw.starts_with('{');
    let rest = if keyed || raw.starts_with('[') { raw.get(1..) } else { None };
    Parts { rest: rest.unwrap_or_default(), keyed }
}

struct Parts<'a> {
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
fn value_len(text: &str) -> usize {
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
enum Piece<'a> {
    Run(&'a str),
    Escaped(char),
}

/// The contents of a string, piece by piece; any other value is one run.
struct Pieces<'a>(&'a str);

fn pieces(raw: &str) -> Pieces<'_> {
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
fn decode(raw: &str) -> Cow<'_, str> {
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

/// Whether the raw string says `text`. An escape is longer than what it stands for, so that most strings differ by their lengths.
fn is_text(raw: &str, text: &str) -> bool {
    let raw = pieces(raw);
    if raw.0.len() < text.len() || (raw.0.len() > text.len() && !raw.0.as_bytes().contains(&b'\\')) {
        return false;
    }
    if raw.0.contains('\\') { raw.chars().eq(text.chars()) } else { raw.0 == text }
}

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
                    // A value of no length would be taken for ever.
                    rest = if after.len() < rest.len() { after_separators(after) } else { "" };
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
        ContentDigest(digest.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte)))
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Content(…)")
    }
}

fn after_separators(text: &str) -> &str {
    let is_separator = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':');
    let len = text.as_bytes().iter().take_while(|byte| is_separator(byte)).count();
    text.get(len..).unwrap_or_default()
}

fn is_url(text: &[u8]) -> bool {
    [&b"https://"[..], b"http://"]
        .iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
}
