//! Standard output: lines for people, JSON objects for programs.

use crate::progress::aside;
use idv_core::provider::{Authenticity, Reason};
use idv_ureq::{CallbackEvent, CallbackOutcome, Revision};
use serde_json::{Value, json};
use std::fmt;
use std::io::{self, Write};

/// One line. A reader that has gone away ends the process, quietly, as it does for other filters.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    let written = aside(|| {
        let mut out = io::stdout().lock();
        out.write_fmt(format_args!("{text}\n")).and_then(|()| out.flush())
    });
    if written.is_err() {
        std::process::exit(0);
    }
}

/// One JSON object on one line.
pub(crate) fn json(value: &Value) {
    line(format_args!("{value}"));
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
            "data_changed": revision.data_changed,
        }));
        return;
    }
    let changed = if revision.data_changed { ", data changed" } else { "" };
    let said = event.map(|event| format!(" ({event})")).unwrap_or_default();
    line(format_args!(
        "{} {} revision {}: {}{said}, {}{changed}{}",
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
    if let Some(unreadable) = &event.unreadable {
        text += &format!(", cannot be read: {unreadable}");
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
