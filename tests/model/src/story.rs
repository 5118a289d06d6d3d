//! A way through a world, told so that a person can follow it.

use crate::law::Breach;
use std::fmt::Debug;

/// Who does something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    /// The provider.
    Provider,
    /// The network between.
    Network,
    /// Our process: the session and its host.
    Session,
    /// Our store.
    Store,
    /// The application that wants the verdict.
    Application,
}

impl Who {
    const fn name(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Network => "network",
            Self::Session => "idv",
            Self::Store => "store",
            Self::Application => "application",
        }
    }
}

/// One thing that was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// By whom.
    pub from: Who,
    /// To whom.
    pub to: Who,
    /// What.
    pub text: String,
}

/// One line per thing done, with the milliseconds that passed.
#[must_use]
pub fn sequence(lines: &[Line]) -> String {
    let mut text = String::new();
    for (time, line) in timed(lines) {
        let (from, to) = (line.from.name(), line.to.name());
        let who = if from == to { from.to_string() } else { format!("{from} -> {to}") };
        text.push_str(&format!("  {time:>3} ms  {who:<24} {}\n", line.text));
    }
    text
}

/// The same as a Mermaid sequence diagram.
#[must_use]
pub fn mermaid(title: &str, lines: &[Line]) -> String {
    let mut text = format!("---\ntitle: {title}\n---\nsequenceDiagram\n");
    for who in [Who::Provider, Who::Network, Who::Session, Who::Store, Who::Application] {
        text.push_str(&format!("    participant {}\n", who.name()));
    }
    let mut before = 0;
    for (time, line) in timed(lines) {
        if time > before {
            text.push_str(&format!("    Note over idv: {time} ms\n"));
            before = time;
        }
        // A semicolon ends a statement, and a hash begins an entity.
        let said = line.text.replace(';', ",").replace('#', "");
        text.push_str(&format!("    {}->>{}: {said}\n", line.from.name(), line.to.name()));
    }
    text
}

/// The same as a test that can be put into `tests/traces.rs` as it stands.
pub(crate) fn test(kind: &str, world: &str, breach: Breach, beginning: &str, way: &[impl Debug]) -> String {
    let plain = |text: &str| text.to_lowercase().replace(|letter: char| !letter.is_ascii_alphanumeric(), "_");
    let moves: String = way.iter().map(|next| format!("            {next:?},\n")).collect();
    let name = plain(&format!("{:?} in {world} {}", breach.law, breach.what));
    format!(
        "#[test]\nfn {name}() {{\n    use idv_model::names::{kind}::*;\n    holds(\n        worlds::{kind}({world:?}),\n        {beginning:?},\n        &[\n{moves}        ],\n    );\n}}\n"
    )
}

/// What passing time is called, as a line of its own that is not shown.
pub(crate) const PASSES: &str = "a millisecond passes";

fn timed(lines: &[Line]) -> impl Iterator<Item = (u32, &Line)> {
    let mut time = 0;
    lines.iter().filter_map(move |line| {
        if line.text == PASSES {
            time += 1;
            return None;
        }
        Some((time, line))
    })
}
