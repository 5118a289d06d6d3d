//! Reading the providers' JSON as it really comes (R19).
//!
//! A body is read once from end to end, so that a syntax error has a line and a column. Its members are then kept as text and looked at
//! only when asked for, by methods that never fail: `""` or `[]` where an object was expected is simply empty, `"1"` is as good a flag
//! as `1`, a number is as good as its digits. What nobody asks for costs nothing and cannot hurt.
//!
//! Nothing here shows content: errors name places and expectations, `Debug` kinds and lengths.

mod content;
mod scan;
mod text;

pub use content::Content;

use crate::provider::Unreadable;
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use text::{decode, is_text, parts};
use zeroize::Zeroizing;

/// The deepest nesting that is read, the body itself included. The providers' own bodies reach 8.
pub const MAX_DEPTH: usize = 127;

/// A body as text: without its byte order mark, and with U+FFFD in place of bytes that are not UTF-8. Lines and columns are counted in
/// this text.
pub struct Body<'a> {
    /// As it was given, or else repaired.
    given: Result<&'a str, Zeroizing<String>>,
}

impl<'a> Body<'a> {
    /// Takes the raw bytes, borrowing them where they are UTF-8. Signatures are checked over the bytes, before.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        Self { given: str::from_utf8(bytes).map_err(|_| repaired(bytes)) }
    }

    /// Whether bytes that were not UTF-8 had to be replaced.
    #[must_use]
    pub fn is_repaired(&self) -> bool {
        self.given.is_err()
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        match &self.given {
            Ok(text) => text,
            Err(repaired) => repaired,
        }
    }

    /// Reads the body as a JSON object. The members `unrepeatable` are those on which its meaning hangs: a body that repeats one of them at
    /// its top level could be read in two ways, and is not read at all.
    #[must_use]
    pub fn object(&self, unrepeatable: &[&str]) -> Reading<'_> {
        read_object(self.text(), unrepeatable)
    }
}

/// The text with U+FFFD in place of what is not UTF-8: a copy, which may hold a token. So it never grows, and is overwritten.
fn repaired(bytes: &[u8]) -> Zeroizing<String> {
    let mark = |invalid: &[u8]| if invalid.is_empty() { "" } else { "\u{FFFD}" };
    let parts = || bytes.utf8_chunks().flat_map(|part| [part.valid(), mark(part.invalid())]);
    let mut text = Zeroizing::new(String::with_capacity(parts().map(str::len).sum()));
    parts().for_each(|part| text.push_str(part));
    text
}

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.text().len())
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
    /// The body is no JSON object, repeats a member that it must not, or is nested deeper than [`MAX_DEPTH`].
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
    /// Names and values as they stand in the text.
    members: Vec<(&'a str, &'a str)>,
}

impl<'a> Object<'a> {
    /// The member `name`; of a repeated one the last, as PHP and JavaScript read it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        let found = self.members.iter().rev().find(|(key, _)| is_text(key, name));
        found.map(|(_, value)| Value(value))
    }

    /// The member `name` if it is there exactly once.
    #[must_use]
    pub fn get_unrepeated(&self, name: &str) -> Option<Value<'a>> {
        let mut found = self.members.iter().filter(|(key, _)| is_text(key, name));
        let (_, value) = found.next()?;
        found.next().is_none().then_some(Value(value))
    }

    /// The object as one value.
    #[must_use]
    pub(crate) fn whole(&self) -> Value<'a> {
        Value(self.text)
    }

    /// Every member, with its name.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'a, str>, Value<'a>)> + '_ {
        self.members.iter().map(|(key, value)| (decode(key), Value(value)))
    }
}

impl fmt::Debug for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({} members)", self.members.len())
    }
}

fn read_object<'a>(text: &'a str, unrepeatable: &[&str]) -> Reading<'a> {
    let mut object = Object { text: text.trim(), members: Vec::with_capacity(16) };
    let unreadable = if scan::members(text, &mut object.members).is_some() {
        repeated(text, &object, unrepeatable)
    } else {
        object.members.clear();
        match parse(text, &mut object.members) {
            Err(error) => Some(explain(&error, text)),
            Ok(()) => repeated(text, &object, unrepeatable).or_else(|| too_deep(text)),
        }
    };
    Reading { object, unreadable }
}

/// Reads the members with a parser that says where and why it stopped. Slower than [`scan::members`], which takes everything that can be
/// read.
#[cold]
fn parse<'a>(text: &'a str, members: &mut Vec<(&'a str, &'a str)>) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    Collect(members).deserialize(&mut reader).and_then(|()| reader.end())
}

/// Gathers members into a list that outlives a failure.
struct Collect<'m, 'a>(&'m mut Vec<(&'a str, &'a str)>);

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
        while let Some(key) = map.next_key::<&RawValue>()? {
            let value: &RawValue = map.next_value()?;
            self.0.push((key.get(), value.get()));
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
fn repeated(text: &str, object: &Object<'_>, unrepeatable: &[&str]) -> Option<Unreadable> {
    unrepeatable.iter().find_map(|name| {
        let mut keys = object.members.iter().map(|(key, _)| *key).filter(|key| is_text(key, name));
        let (_, second) = (keys.next()?, keys.next()?);
        let offset = (second.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        Some(at(text, offset, format!("`{name}` appears twice, expected it once")))
    })
}

/// Finds the place where the text is nested too deep. The reader above does not recurse; whoever looks inside a member may.
fn too_deep(text: &str) -> Option<Unreadable> {
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
