//! What is wrong with an answer, in words for the log that hold no secret and no personal datum.

use super::contract::UNREPEATABLE;
use super::document::Document;
use crate::http::{Answer, describe};
use crate::json::{Body, Kind, Object, Value};
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::Write;

/// An error answer in one line: its status and, where it has one, its `detail`.
pub(super) fn diagnose(answer: &Answer<'_>, hidden: Hidden<'_>) -> String {
    let body = Body::new(answer.body);
    let detail = body.object(&UNREPEATABLE).complete().ok().and_then(|object| Document::new(object).detail());
    match detail {
        Some(detail) => format!("{}; `detail`: {}", describe(answer), words(detail, hidden)),
        None => describe(answer),
    }
}

/// Texts that must not be shown where an answer repeats them.
#[derive(Clone, Copy)]
pub(super) struct Hidden<'a>(pub(super) &'a [&'a str]);

impl Hidden<'_> {
    /// Whether nothing of these stands in `text`.
    fn spares(self, text: &str) -> bool {
        !self.0.iter().any(|hidden| !hidden.is_empty() && text.contains(hidden))
    }
}

/// A `detail` in words that can be logged. Such answers may repeat what was sent, credentials included: shown are texts that consist of
/// ordinary words and hold nothing of `hidden`, and of a list the place and kind of each complaint.
pub(super) fn words(detail: Value<'_>, hidden: Hidden<'_>) -> String {
    match detail.kind() {
        Kind::String => match detail.text().filter(|text| is_prose(text) && hidden.spares(text)) {
            Some(text) => format!("\"{text}\""),
            None => {
                format!("a text of {} bytes, not shown since it may repeat what was sent", detail.raw().len())
            }
        },
        Kind::Array | Kind::Object => {
            let complaints = detail.elements().take(4).filter_map(|value| complaint(value, hidden));
            let listed = complaints.fold(String::new(), |mut line, complaint| {
                let separator = if line.is_empty() { "" } else { ", " };
                // Writing to a String cannot fail.
                let _ = write!(line, "{separator}{complaint}");
                line
            });
            if listed.is_empty() { "a list or an object in a form of its own".to_string() } else { listed }
        }
        Kind::Null | Kind::Bool | Kind::Number => "neither a text nor a list".to_string(),
    }
}

/// `body.flow_id missing`: the place and the kind of one complaint, never what was found there.
fn complaint(value: Value<'_>, hidden: Hidden<'_>) -> Option<String> {
    let kind = value.get("type")?.text().filter(|text| is_name(text) && hidden.spares(text))?;
    let place = value
        .get("loc")
        .into_iter()
        .flat_map(Value::elements)
        .filter_map(Value::text)
        .filter(|text| is_name(text) && hidden.spares(text));
    let place = place.take(6).fold(String::new(), |mut path, step| {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(&step);
        path
    });
    Some(format!("{place} {kind}"))
}

/// Which members there are, for whoever must find out what the answer is. Names only, and only those that look like names.
pub(super) fn members(object: &Object<'_>, hidden: Hidden<'_>) -> String {
    let mut list = String::from("its members:");
    let names = object.iter().map(|(name, _)| name).filter(|name| is_name(name) && hidden.spares(name));
    for name in names.take(12) {
        list.push(' ');
        list.push_str(&name);
    }
    if list.ends_with(':') {
        list.push_str(" none");
    }
    list
}

/// A short identifier.
fn is_name(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte == b'.')
}

/// A few ordinary words: no digits, nothing long enough to be a credential.
fn is_prose(text: &str) -> bool {
    let is_word = |word: &str| {
        let word = word.trim_end_matches(['.', ',', ':', ';', '!', '?']);
        word.len() <= 16
            && word.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'\'' | b'-' | b'_'))
    };
    text.len() <= 80 && text.split(' ').all(is_word)
}
