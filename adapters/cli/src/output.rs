//! Standard output: lines for people, JSON objects for programs.

use crate::exit::Exit;
use crate::progress::aside;
use idv_core::provider::{Authenticity, Reason};
use idv_ureq::{CallbackEvent, CallbackOutcome, Revision};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};

/// One line, whatever the text holds: words of a provider could move the cursor or look like a line of ours.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    block(&printable(&text.to_string()));
}

/// Text of our own, in as many lines as it has.
pub(crate) fn block(text: &str) {
    let written = aside(|| {
        let mut out = io::stdout().lock();
        out.write_fmt(format_args!("{text}\n")).and_then(|()| out.flush())
    });
    let Err(error) = written else { return };
    // A reader that has gone away wants no more, as with any filter. Anything else loses what somebody waits for.
    if error.kind() == io::ErrorKind::BrokenPipe {
        std::process::exit(Exit::Done as i32);
    }
    eprintln!("error: standard output cannot be written: {error}");
    std::process::exit(Exit::Usage as i32);
}

/// The text with control characters, and those that change the direction of writing, spelled out.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    spelled_out(text, |character| character.escape_default().to_string())
}

fn spelled_out(text: &str, spell: impl Fn(char) -> String) -> Cow<'_, str> {
    let is_plain = |character: char| {
        !character.is_control()
            && !matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut spelled = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_plain(character) {
            spelled.push(character);
        } else {
            spelled += &spell(character);
        }
    }
    Cow::Owned(spelled)
}

/// One JSON object on one line.
pub(crate) fn json(value: &Value) {
    let text = value.to_string();
    // JSON itself spells out only the characters below 32.
    block(&spelled_out(&text, |character| format!("\\u{:04x}", u32::from(character))));
}

/// A revision.
pub(crate) fn revision(revision: &Revision, as_json: bool) {
    let statement = revision.statement.as_ref().ok();
    let event = statement.and_then(|statement| statement.event.as_deref());
    let reasons = statement.map(|statement| &statement.reasons[..]).unwrap_or_default();
    if as_json {
        json(&json!({
            "type": "revision",
            "provider": revision.provider,
            "id": &*revision.id,
            "revision": revision.number,
            "verdict": revision.verdict,
            "event": event,
            "reasons": reasons,
            "evidence": revision.evidence,
            "unsigned_answer": revision.unsigned_answer,
            "data_changed": revision.data_changed,
        }));
        return;
    }
    let unsigned = if revision.unsigned_answer { ", the answer carried no signature" } else { "" };
    let changed = if revision.data_changed { ", data changed" } else { "" };
    let said = event.map(|event| format!(" ({event})")).unwrap_or_default();
    line(format_args!(
        "{} {} revision {}: {}{said}, {}{unsigned}{changed}{}",
        revision.provider,
        revision.id,
        revision.number,
        revision.verdict,
        revision.evidence.as_str(),
        reason_list(reasons),
    ));
}

/// `; reasons: SPDR06 …, …`, or nothing.
pub(crate) fn reason_list(reasons: &[Reason]) -> String {
    if reasons.is_empty() {
        return String::new();
    }
    let list: Vec<String> = reasons.iter().map(reason).collect();
    format!("; reasons: {}", list.join(", "))
}

fn reason(reason: &Reason) -> String {
    let mut text = reason.code.clone();
    if let Some(words) = &reason.text {
        text += if text.is_empty() { "" } else { " " };
        text += words;
    }
    if let Some(service) = &reason.service {
        text += &format!(" [{service}]");
    }
    if reason.technical {
        text += " (technical)";
    }
    text
}

/// A callback that was recorded or refused.
pub(crate) fn callback(event: &CallbackEvent, as_json: bool) {
    let evidence = evidence(event);
    let digest = event.digest.map(hex);
    let (duplicate, status, why) = match event.outcome {
        CallbackOutcome::Recorded { duplicate, .. } => (duplicate, 200, None),
        CallbackOutcome::Refused { status, explanation } => (false, status, Some(explanation)),
    };
    if as_json {
        json(&json!({
            "type": "callback",
            "provider": event.provider,
            "id": event.id,
            "event": event.event,
            "evidence": evidence,
            "digest": digest,
            "duplicate": duplicate,
            "status": status,
            "unreadable": event.unreadable.as_ref().map(ToString::to_string),
            "remark": event.remark,
        }));
        return;
    }
    let mut text = format!("{} callback", event.provider);
    if let Some(id) = &event.id {
        text += &format!(" {id}");
    }
    if let Some(word) = &event.event {
        text += &format!(": {word}");
    }
    text += &format!(", {evidence}");
    if duplicate {
        text += ", recorded before";
    }
    if let Some(why) = why {
        text += &format!(", answered {status}: {why}");
    }
    match &event.unreadable {
        Some(unreadable) => text += &format!(", cannot be read: {unreadable}"),
        None if event.id.is_none() && why.is_none() => text += ", names no verification",
        None => {}
    }
    // What a check that passed has to remark is for the log; of one that failed it is the cause.
    if let Some(remark) = event.remark.as_ref().filter(|_| why.is_some()) {
        text += &format!(" ({remark})");
    }
    if let Some(digest) = digest {
        text += &format!(", sha256 {}…", digest.get(..16).unwrap_or(&digest));
    }
    line(format_args!("{text}"));
}

fn evidence(event: &CallbackEvent) -> &'static str {
    match (event.outcome, event.authenticity) {
        (CallbackOutcome::Refused { .. }, _) => "refused",
        (CallbackOutcome::Recorded { .. }, Some(Authenticity::Signed)) => "signed",
        (
            CallbackOutcome::Recorded { .. },
            Some(Authenticity::Unsigned | Authenticity::Wrong | Authenticity::Missing) | None,
        ) => "unsigned",
    }
}

fn hex(digest: [u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_provider_can_neither_move_the_cursor_nor_end_the_line() {
        assert_eq!(printable("a\u{1b}[31mb\nc\u{202e}d"), "a\\u{1b}[31mb\\nc\\u{202e}d");
        assert!(matches!(printable("José 李 \"x\""), Cow::Borrowed(_)));
    }
}
