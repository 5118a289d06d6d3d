//! What happened, drawn from a trace: for each verification, when, what came in and what was done.

use crate::output::printable;
use idv_core::evidence::{Callback, Fault, NotReady, Outcome, Report};
use idv_core::fleet::trace::{Entry, Input, Known, Output};
use idv_core::fleet::{AccountId, Action, At, Key, Routed};
use idv_core::machine::Disposition;
use idv_core::poller::Class;
use idv_core::session::{End, Revision};
use idv_core::time::Instant;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The shortest time without anything that is drawn, in milliseconds.
const GAP: u64 = 1_000;

/// How much of an id is shown that is a digest.
const SHOWN_OF_DIGEST: usize = 12;

/// With whom something is exchanged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Application,
    Store,
    Provider,
    /// Nobody: it concerns idv alone.
    Own,
}

/// What came in, or was done, in words.
struct Said {
    side: Side,
    words: String,
}

const fn said(side: Side, words: String) -> Said {
    Said { side, words }
}

/// One thing that happened.
struct Row {
    at: Instant,
    came: Said,
    done: Vec<Said>,
}

/// What is drawn together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    /// What all verifications of an account share.
    Account(AccountId),
    /// Callbacks whose verification nobody had opened.
    Nobody,
    Verification(Key),
}

/// What happened, by verification.
#[derive(Default)]
pub(crate) struct Timeline {
    lanes: BTreeMap<Lane, Vec<Row>>,
    providers: BTreeMap<AccountId, String>,
    names: BTreeMap<Key, (String, String)>,
    start: Option<Instant>,
    last: Option<Instant>,
}

/// `1.250 s`, `2 min 5 s`, `3 h 0 min`.
pub(crate) fn words(millis: u64) -> String {
    match millis {
        0..60_000 => format!("{}.{:03} s", millis / 1_000, millis % 1_000),
        60_000..3_600_000 => format!("{} min {} s", millis / 60_000, millis / 1_000 % 60),
        _ => format!("{} h {} min", millis / 3_600_000, millis / 60_000 % 60),
    }
}

impl Timeline {
    /// Takes in the next entry.
    pub(crate) fn add(&mut self, entry: &Entry<'_>) {
        if let (Input::AddAccount { provider, .. }, Output::Account(account)) = (&entry.input, entry.output) {
            self.providers.insert(account, provider.to_string());
        }
        if let (
            Input::Open { account, id, .. } | Input::Restore { account, stored: Known { id, .. }, .. },
            Output::Opened(key),
        ) = (&entry.input, entry.output)
        {
            let provider = self.providers.get(account).cloned().unwrap_or_default();
            self.names.insert(key, (provider, id.to_string()));
        }
        let Some(At { now, .. }) = entry.input.at() else { return };
        self.start.get_or_insert(now);
        self.last = Some(now);
        let came = came(entry);
        let mut done: BTreeMap<Lane, Vec<Said>> = BTreeMap::new();
        for action in &entry.actions {
            let (lane, what) = action_words(action);
            done.entry(lane).or_default().extend(what);
        }
        // What came in stands where it belongs, and what else it had done where that belongs.
        if let Some((lane, came)) = came {
            let done = done.remove(&lane).unwrap_or_default();
            self.lanes.entry(lane).or_default().push(Row { at: now, came, done });
        }
        for (lane, done) in done.into_iter().filter(|(_, done)| !done.is_empty()) {
            let came = said(Side::Own, elsewhere(&entry.input).to_owned());
            self.lanes.entry(lane).or_default().push(Row { at: now, came, done });
        }
    }

    /// Milliseconds from the first entry to `now`.
    pub(crate) fn since_start(&self, now: Instant) -> u64 {
        self.start.map_or(0, |start| now.since(start))
    }

    /// Milliseconds from the first entry to the last.
    pub(crate) fn span_ms(&self) -> u64 {
        self.last.map_or(0, |last| self.since_start(last))
    }

    fn name(&self, lane: Lane, redacted: bool) -> String {
        match lane {
            Lane::Account(account) => {
                let provider = self.providers.get(&account).map_or("?", String::as_str);
                format!("{provider}: tokens and limits")
            }
            Lane::Nobody => "callbacks that named no open verification".to_owned(),
            Lane::Verification(key) => match self.names.get(&key) {
                Some((provider, id)) if redacted => {
                    format!("{provider} {}…", id.get(..SHOWN_OF_DIGEST).unwrap_or(id))
                }
                Some((provider, id)) => format!("{provider} {id}"),
                None => "a verification that was not opened here".to_owned(),
            },
        }
    }

    /// In lines: a heading for each verification, then time, what came in, what was done.
    pub(crate) fn text(&self, redacted: bool) -> String {
        let mut text = String::new();
        for (lane, rows) in &self.lanes {
            let _ = writeln!(text, "{}", printable(&self.name(*lane, redacted)));
            let width = rows.iter().map(|row| row.came.words.chars().count()).max().unwrap_or(0).min(48);
            let mut before: Option<Instant> = None;
            for Row { at, came, done } in rows {
                if let Some(gap) = before.map(|before| at.since(before)).filter(|gap| *gap >= GAP) {
                    let _ = writeln!(text, "{:>12}  ┊ {} later", "", words(gap));
                }
                before = Some(*at);
                let since = self.since_start(*at);
                let time = format!("{}.{:03} s", since / 1_000, since % 1_000);
                let done = done.iter().map(|said| &*said.words).collect::<Vec<_>>().join(", ");
                let arrow = if done.is_empty() { "" } else { " → " };
                let padding = if done.is_empty() { 0 } else { width };
                let line = format!("{time:>12}  {:<padding$}{arrow}{done}", came.words);
                let _ = writeln!(text, "{}", printable(&line));
            }
            text.push('\n');
        }
        text
    }

    /// A Mermaid sequence diagram for each verification, in Markdown.
    pub(crate) fn mermaid(&self, redacted: bool) -> String {
        let mut text = String::new();
        for (lane, rows) in &self.lanes {
            let name = self.name(*lane, redacted);
            let _ = writeln!(text, "## {}\n\n```mermaid\nsequenceDiagram", quoted(&name));
            text.push_str("    participant A as application\n    participant I as idv\n    participant S as store\n    participant P as provider\n");
            let mut before: Option<Instant> = None;
            for Row { at, came, done } in rows {
                if let Some(gap) = before.map(|before| at.since(before)).filter(|gap| *gap >= GAP) {
                    let _ = writeln!(text, "    Note over A,P: {} later", words(gap));
                }
                before = Some(*at);
                let arrow = |side, into: bool| match (side, into) {
                    (Side::Application, true) => "A->>I",
                    (Side::Application, false) => "I->>A",
                    (Side::Store, true) => "S->>I",
                    (Side::Store, false) => "I->>S",
                    (Side::Provider, true) => "P->>I",
                    (Side::Provider, false) => "I->>P",
                    (Side::Own, _) => "Note over I",
                };
                let _ = writeln!(text, "    {}: {}", arrow(came.side, true), quoted(&came.words));
                for Said { side, words } in done {
                    let _ = writeln!(text, "    {}: {}", arrow(*side, false), quoted(words));
                }
            }
            text.push_str("```\n\n");
        }
        text
    }
}

/// The text as Mermaid and Markdown take it for nothing but text.
fn quoted(text: &str) -> String {
    let plain = |character: char| match character {
        ';' | '#' | '`' | '<' | '>' | '\\' | '%' => ' ',
        other => other,
    };
    printable(text).chars().map(plain).collect()
}

/// What came in, and to whom; `None` where it is nothing but the time.
fn came(entry: &Entry<'_>) -> Option<(Lane, Said)> {
    use Side::{Application, Own, Provider, Store};
    let ignored = if let Output::Disposition(Disposition::Stale) = entry.output {
        " (no longer awaited)"
    } else if let Output::Disposition(Disposition::Illegal) = entry.output {
        " (not possible now)"
    } else {
        ""
    };
    let verification =
        |key: Key, side, words: String| Some((Lane::Verification(key), said(side, words + ignored)));
    let account =
        |account: AccountId, side, words: String| Some((Lane::Account(account), said(side, words + ignored)));
    match &entry.input {
        Input::Open { created, account: of, .. } => {
            if let Output::Opened(key) = entry.output {
                let stated = created.map(|report| format!(", created as {}", state(report)));
                return verification(key, Application, format!("opened{}", stated.unwrap_or_default()));
            }
            account(*of, Application, format!("not opened{}", why_not(entry.output)))
        }
        Input::Restore { account: of, stored, .. } => {
            if let Output::Opened(key) = entry.output {
                return verification(key, Store, format!("restored as saved {} time(s)", stored.version));
            }
            account(*of, Store, format!("not restored{}", why_not(entry.output)))
        }
        Input::Replace { key, stored, .. } => {
            verification(*key, Store, format!("the store knew it, saved {} time(s)", stored.version))
        }
        Input::Pulled { key, op, outcome, .. } => {
            verification(*key, Provider, format!("pull {op}: {}", outcome_words(*outcome)))
        }
        Input::Heed { account: of, outcome, .. } => {
            account(*of, Provider, format!("a pull of nobody's any more: {}", outcome_words(*outcome)))
        }
        Input::TokenReceived { account: of, op, ttl, .. } => {
            let life = ttl.map(|ttl| format!(" for {}", words(ttl.as_millis().into()))).unwrap_or_default();
            account(*of, Provider, format!("token {op} received{life}"))
        }
        Input::TokenFailed { account: of, op, fault, .. } => {
            account(*of, Provider, format!("token {op}: {}", fault_words(*fault)))
        }
        Input::TokenRefused { account: of, op, .. } => account(*of, Provider, format!("token {op}: refused")),
        Input::CredentialsReplaced { account: of, .. } => {
            account(*of, Application, "credentials replaced".to_owned())
        }
        Input::Callback { callback, .. } => {
            let what = format!("callback, {}", callback_words(*callback));
            if let Output::Routed(Routed::Known(key)) = entry.output {
                return verification(key, Provider, what);
            }
            Some((Lane::Nobody, said(Provider, what)))
        }
        Input::HandedOver { key, revision, .. } => {
            verification(*key, Application, format!("revision {revision} confirmed"))
        }
        Input::DeadLettered { key, revision, .. } => {
            verification(*key, Application, format!("revision {revision} given up"))
        }
        Input::Hint { key, class, .. } => {
            let class = match class {
                Class::Confirming => "confirming",
                Class::Routine => "routine",
                Class::Audit => "audit",
            };
            verification(*key, Application, format!("a {class} pull is wanted"))
        }
        Input::Cancel { key, .. } => verification(*key, Application, "cancelled".to_owned()),
        Input::LearnAlias { key, .. } => verification(*key, Own, "its other id is known".to_owned()),
        Input::AddDoor { .. }
        | Input::AddAccount { .. }
        | Input::ListeningHadAGap
        | Input::Take { .. }
        | Input::Hold { .. }
        | Input::Release { .. }
        | Input::Forget { .. }
        | Input::Run { .. } => None,
    }
}

fn why_not(output: Output) -> String {
    if let Output::NotOpened(error) = output { format!(": {error}") } else { String::new() }
}

/// What something was done for that came in about another, or about nobody.
const fn elsewhere(input: &Input<'_>) -> &'static str {
    match input {
        Input::Run { .. } => "its turn has come",
        Input::Callback { .. } => "callback for an id that it shares",
        Input::Open { .. }
        | Input::Restore { .. }
        | Input::Replace { .. }
        | Input::Pulled { .. }
        | Input::Heed { .. }
        | Input::TokenReceived { .. }
        | Input::TokenFailed { .. }
        | Input::TokenRefused { .. }
        | Input::CredentialsReplaced { .. }
        | Input::HandedOver { .. }
        | Input::DeadLettered { .. }
        | Input::Hint { .. }
        | Input::Cancel { .. }
        | Input::LearnAlias { .. }
        | Input::AddDoor { .. }
        | Input::AddAccount { .. }
        | Input::ListeningHadAGap
        | Input::Take { .. }
        | Input::Hold { .. }
        | Input::Release { .. }
        | Input::Forget { .. } => "because of another",
    }
}

/// What was done, and for whom; `None` where it goes without saying.
fn action_words(action: &Action) -> (Lane, Option<Said>) {
    match action {
        Action::Save { key, version } => {
            (Lane::Verification(*key), Some(said(Side::Store, format!("save {version}"))))
        }
        Action::RequestToken { account, op, .. } => {
            (Lane::Account(*account), Some(said(Side::Provider, format!("ask for token {op}"))))
        }
        Action::Pull { key, op, .. } => {
            (Lane::Verification(*key), Some(said(Side::Provider, format!("pull {op}"))))
        }
        Action::Keep { key, .. } => (Lane::Verification(*key), None),
        Action::HandOver { key, revision } => {
            (Lane::Verification(*key), Some(said(Side::Application, revision_words(*revision))))
        }
        Action::Ended { key, end, unconfirmed } => {
            let end = match end {
                End::Expired => "ended: the deadline passed",
                End::Refused => "ended: credentials refused",
                End::Deleted => "ended: deleted",
                End::Cancelled => "ended: cancelled",
                End::Watched => "ended: watched long enough",
            };
            let unconfirmed = if *unconfirmed { ", a callback is unconfirmed" } else { "" };
            (Lane::Verification(*key), Some(said(Side::Application, format!("{end}{unconfirmed}"))))
        }
        Action::CredentialsRefused { account } => (
            Lane::Account(*account),
            Some(said(Side::Application, "credentials refused for good".to_owned())),
        ),
        Action::Crowded { account, expected, .. } => {
            let apart = words(expected.as_millis().into());
            let words = format!("too many are open: pulls come {apart} apart");
            (Lane::Account(*account), Some(said(Side::Application, words)))
        }
    }
}

fn revision_words(revision: Revision) -> String {
    let changed = if revision.data_changed { ", data changed" } else { "" };
    format!("revision {}: {}, {}{changed}", revision.number, revision.verdict, revision.evidence.as_str())
}

fn state(report: Report) -> &'static str {
    report.verdict.map_or("no verdict yet", |verdict| verdict.as_str())
}

fn outcome_words(outcome: Outcome) -> String {
    match outcome {
        Outcome::Report(report) => state(report).to_owned(),
        Outcome::NotReady(NotReady::Documented) => "not ready".to_owned(),
        Outcome::NotReady(NotReady::NotFound) => "not found".to_owned(),
        Outcome::NotReady(NotReady::Invalid) => "called invalid".to_owned(),
        Outcome::Refused => "refused".to_owned(),
        Outcome::Failed(fault) => fault_words(fault),
    }
}

fn fault_words(fault: Fault) -> String {
    let wait = fault.retry_after.map(|span| format!(", retry after {}", words(span.as_millis().into())));
    format!("{}{}", fault.kind.as_str().replace('_', " "), wait.unwrap_or_default())
}

fn callback_words(callback: Callback) -> String {
    match callback {
        Callback::Signed(report) => format!("signed: {}", state(report)),
        Callback::SignedHint => "signed".to_owned(),
        Callback::SignedSignal => "signed: something changed".to_owned(),
        Callback::Unsigned => "unsigned".to_owned(),
        Callback::WrongSignature => "wrong signature".to_owned(),
    }
}
