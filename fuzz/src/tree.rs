//! JSON read a second time, by another reader, and written again in another style: what a body means must depend on neither.

use idv_core::json::{Kind, MAX_DEPTH, Value};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// A JSON value. Members keep their order, repeated ones are repeated, numbers are kept as their digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Tree {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// The digits.
    Number(String),
    /// The text, with U+FFFD for each surrogate that stands alone.
    Text(String),
    /// The elements.
    List(Vec<Tree>),
    /// The members.
    Object(Vec<(String, Tree)>),
}

/// How JSON is written.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// `\/` for `/`, `\u00e9` for `é`, and `\u0065` for every seventh letter.
    pub escaped: bool,
    /// White space wherever it may stand.
    pub spaced: bool,
    /// The members of objects in another order; repeated ones keep theirs.
    pub reordered: bool,
}

impl Style {
    /// Every style that differs from compact.
    pub const ALL: [Self; 4] = [
        Self { escaped: false, spaced: false, reordered: false },
        Self { escaped: true, spaced: false, reordered: false },
        Self { escaped: false, spaced: true, reordered: true },
        Self { escaped: true, spaced: true, reordered: true },
    ];
}

impl Tree {
    /// What `text` says, if it is one JSON value nested at most [`MAX_DEPTH`] deep.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let raw: &RawValue = serde_json::from_str(text).ok()?;
        Self::of(raw, MAX_DEPTH)
    }

    fn of(raw: &RawValue, depth: usize) -> Option<Self> {
        let json = raw.get();
        Some(match json.as_bytes()[0] {
            b'n' => Self::Null,
            b't' | b'f' => Self::Bool(json == "true"),
            b'"' => Self::Text(text(json)),
            b'[' => {
                let depth = depth.checked_sub(1)?;
                let elements: Vec<&RawValue> = serde_json::from_str(json).expect("it was read before");
                Self::List(elements.into_iter().map(|raw| Self::of(raw, depth)).collect::<Option<_>>()?)
            }
            b'{' => {
                let depth = depth.checked_sub(1)?;
                let members = serde_json::Deserializer::from_str(json)
                    .deserialize_map(Members)
                    .expect("it was read before");
                let member =
                    |(name, raw): (&RawValue, &RawValue)| Some((text(name.get()), Self::of(raw, depth)?));
                Self::Object(members.into_iter().map(member).collect::<Option<_>>()?)
            }
            _ => Self::Number(json.to_owned()),
        })
    }

    /// The members called `name`.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        let members = if let Self::Object(members) = self { members.as_slice() } else { &[] };
        members.iter().filter(move |(member, _)| member == name).map(|(_, value)| value)
    }

    /// The last member called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().rev().find(|(member, _)| member == name).map(|(_, value)| value)
    }

    /// A text that is not empty, or the digits of a number, or the word of a boolean.
    #[must_use]
    pub fn word(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Number(text) => Some(text.as_str()),
            Self::Bool(true) => Some("true"),
            Self::Bool(false) => Some("false"),
            Self::Null | Self::List(_) | Self::Object(_) => None,
        }
        .filter(|word| !word.is_empty())
    }

    /// Whether it says nothing: `null`, `""`, `[]` or `{}`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(_) | Self::Number(_) => false,
            Self::Text(text) => text.is_empty(),
            Self::List(elements) => elements.is_empty(),
            Self::Object(members) => members.is_empty(),
        }
    }

    /// The values in an array or object; a value that is neither is a list of itself.
    #[must_use]
    pub fn elements(&self) -> Vec<&Self> {
        match self {
            Self::List(elements) => elements.iter().collect(),
            Self::Object(members) => members.iter().map(|(_, value)| value).collect(),
            alone if alone.is_empty() => Vec::new(),
            alone => vec![alone],
        }
    }

    /// Writes it.
    #[must_use]
    pub fn written(&self, style: Style) -> String {
        let mut json = String::new();
        self.write(style, &mut json);
        json
    }

    fn write(&self, style: Style, out: &mut String) {
        let blank = if style.spaced { " \r\n\t" } else { "" };
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(bool) => out.push_str(if *bool { "true" } else { "false" }),
            Self::Number(digits) => out.push_str(digits),
            Self::Text(text) => write_text(text, style, out),
            Self::List(elements) => {
                out.push('[');
                for (at, element) in elements.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    out.push_str(blank);
                    element.write(style, out);
                    out.push_str(blank);
                }
                out.push(']');
            }
            Self::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                if style.reordered {
                    members.sort_by(|one, other| other.0.cmp(&one.0));
                }
                out.push('{');
                for (at, (name, value)) in members.into_iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    out.push_str(blank);
                    write_text(name, style, out);
                    out.push_str(blank);
                    out.push(':');
                    out.push_str(blank);
                    value.write(style, out);
                    out.push_str(blank);
                }
                out.push('}');
            }
        }
    }

    /// Holds the core's view of the same value against this one, all the way down.
    ///
    /// # Panics
    /// They differ.
    pub fn agrees(&self, value: Value<'_>) {
        assert_eq!(value.is_empty(), self.is_empty(), "whether it says anything");
        match self {
            Self::Null => assert_eq!(value.kind(), Kind::Null),
            Self::Bool(bool) => {
                assert_eq!((value.kind(), value.flag()), (Kind::Bool, Some(*bool)));
            }
            Self::Number(digits) => {
                assert_eq!((value.kind(), value.text().as_deref()), (Kind::Number, Some(digits.as_str())));
            }
            Self::Text(text) => {
                assert_eq!((value.kind(), value.text().as_deref()), (Kind::String, Some(text.as_str())));
            }
            Self::List(elements) => {
                assert_eq!((value.kind(), value.elements().count()), (Kind::Array, elements.len()));
                value.elements().zip(elements).for_each(|(value, tree)| tree.agrees(value));
            }
            Self::Object(members) => {
                assert_eq!((value.kind(), value.members().count()), (Kind::Object, members.len()));
                for ((name, value), (known, tree)) in value.members().zip(members) {
                    assert_eq!(name, *known, "the name of a member");
                    tree.agrees(value);
                }
                if let Some((name, _)) = members.first() {
                    let found = value.get(name).expect("a member is found by its name");
                    self.get(name).expect("it is one of them").agrees(found);
                }
            }
        }
    }
}

fn write_text(text: &str, style: Style, out: &mut String) {
    out.push('"');
    for (at, char) in text.chars().enumerate() {
        let is_hidden = style.escaped && (!char.is_ascii() || at % 7 == 1);
        match char {
            '/' if style.escaped => out.push_str("\\/"),
            '"' | '\\' => out.extend(['\\', char]),
            char if char < ' ' || is_hidden => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            char => out.push(char),
        }
    }
    out.push('"');
}

/// What a JSON string says. Surrogates that stand alone come as three bytes that are not UTF-8.
fn text(json: &str) -> String {
    let bytes =
        serde_json::Deserializer::from_str(json).deserialize_bytes(Bytes).expect("it was read before");
    let mut text = String::new();
    let mut rest = bytes.as_slice();
    loop {
        match str::from_utf8(rest) {
            Ok(valid) => {
                text.push_str(valid);
                return text;
            }
            Err(error) => {
                let (valid, surrogate) = rest.split_at(error.valid_up_to());
                text.push_str(str::from_utf8(valid).expect("it is valid up to there"));
                text.push(char::REPLACEMENT_CHARACTER);
                rest = &surrogate[3..];
            }
        }
    }
}

struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }
}

struct Members;

impl<'a> Visitor<'a> for Members {
    type Value = Vec<(&'a RawValue, &'a RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}
