//! `idv replay`: a recorded trace, done again and compared.

use crate::exit::{Exit, Failure};
use crate::output;
use crate::timeline::{self, Timeline};
use idv_core::fleet::Action;
use idv_core::fleet::trace::{Entry, Head, Output, Replay};
use serde::Serialize;
use serde_json::json;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;

/// Whom a trace may name.
const PROVIDERS: [&str; 2] = ["shareid", "shufti"];

/// The longest line that is read: no entry comes near it.
const LONGEST_LINE: u64 = 1 << 20;

#[derive(clap::Args)]
#[command(after_help = "\
Every time, input and random bit of the trace is given to the machines of this build, and everything they do is compared with what they \
did then. At the first difference it stops and says where, on what input, what was expected and what came instead. A line that a dying \
process wrote in part is left out, with a warning; empty lines at the end are left out.

Exit codes: 0 identical, 1 something differs, 2 the file cannot be read.

Examples:
  idv watch shufti REFERENCE --record trace.jsonl
  idv replay trace.jsonl --timeline
  zcat trace.jsonl.gz | idv replay -")]
pub(crate) struct Arguments {
    /// What `--record` of watch or listen wrote; `-` reads standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Draw what happened, for each verification: when, what came in, what was done.
    #[arg(long, conflicts_with = "json")]
    timeline: bool,
    /// Draw it as Mermaid sequence diagrams in Markdown.
    #[arg(long, conflicts_with = "json")]
    mermaid: bool,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Where this build departs from the trace.
struct Difference {
    line: usize,
    entry: Entry<'static>,
    output: Output,
    actions: Vec<Action>,
}

impl Arguments {
    /// What is read, as people call it.
    fn name(&self) -> String {
        if self.file.as_os_str() == "-" {
            "standard input".to_owned()
        } else {
            output::printable(&self.file.display().to_string()).into_owned()
        }
    }

    fn open(&self) -> Result<Box<dyn Read>, Failure> {
        if self.file.as_os_str() == "-" {
            return Ok(Box::new(io::stdin()));
        }
        if self.file.is_dir() {
            let name = self.name();
            return Err(Failure::usage(format!("{name} is a directory: name the file that --record wrote")));
        }
        let opened = File::open(&self.file);
        let file =
            opened.map_err(|error| Failure::usage(format!("{} cannot be read: {error}", self.name())))?;
        Ok(Box::new(file))
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let name = &arguments.name();
    let mut lines = Lines { from: BufReader::new(arguments.open()?), name, number: 0 };
    let Some(line) = lines.next()? else {
        return Err(lines.failure("there is nothing: a trace begins with its head"));
    };
    let head = Head::read(&line.text).map_err(|problem| lines.failure(problem))?;
    let mut replay = Replay::new(&head, &PROVIDERS);
    let mut timeline = Timeline::default();
    let (mut entries, mut truncated, mut difference) = (0u64, false, None);
    let mut empty = None;
    while let Some(line) = lines.next()? {
        if line.text.trim().is_empty() {
            empty.get_or_insert(lines.number);
            continue;
        }
        if let Some(empty) = empty {
            lines.number = empty;
            return Err(lines.failure("an empty line among the entries: what stood here is missing"));
        }
        let entry = match Entry::read(&line.text) {
            Ok(entry) => entry,
            Err(_) if !line.whole => {
                truncated = true;
                break;
            }
            Err(problem) => return Err(lines.failure(problem)),
        };
        timeline.add(&entry);
        // What follows a difference differs because of it.
        if difference.is_none() {
            match replay.step(&entry).map_err(|problem| lines.failure(problem))? {
                None => entries += 1,
                Some((output, actions)) => {
                    difference = Some(Difference { line: lines.number, entry, output, actions });
                }
            }
        }
    }
    if truncated {
        eprintln!(
            "warning: {name}:{}: the last line was not written to its end, and is left out",
            lines.number
        );
    }
    if arguments.timeline {
        output::block(timeline.text(head.is_redacted()).trim_end());
    }
    if arguments.mermaid {
        output::block(timeline.mermaid(head.is_redacted()).trim_end());
    }
    let span = timeline.span_ms();
    match difference {
        None if arguments.json => output::json(&json!({
            "type": "replay", "identical": true, "entries": entries, "span_ms": span, "truncated": truncated,
            "recorded_by": head.build(), "replayed_by": env!("CARGO_PKG_VERSION"),
        })),
        None => output::line(format_args!(
            "{name}: {entries} entries over {} replay identically; recorded by {}, replayed by {}",
            timeline::words(span),
            head.build(),
            env!("CARGO_PKG_VERSION"),
        )),
        Some(difference) => {
            let since = difference.entry.input.at().map(|at| timeline.since_start(at.now));
            tell(arguments, &head, &difference, entries, since);
            return Ok(Exit::Failed);
        }
    }
    Ok(Exit::Done)
}

/// Says what differs: for programs, or for people with the first line that differs marked.
fn tell(arguments: &Arguments, head: &Head, difference: &Difference, entries: u64, since: Option<u64>) {
    let Difference { line, entry, output: given, actions } = difference;
    if arguments.json {
        output::json(&json!({
            "type": "difference", "identical": false, "line": line, "at_ms": since, "entries_before": entries,
            "input": entry.input,
            "expected": { "output": entry.output, "actions": entry.actions },
            "actual": { "output": given, "actions": actions },
            "recorded_by": head.build(), "replayed_by": env!("CARGO_PKG_VERSION"),
        }));
        return;
    }
    let when = since.map(|since| format!(", {} after the start", timeline::words(since))).unwrap_or_default();
    output::line(format_args!(
        "{}:{line} differs{when}; the {entries} entries before it are identical (recorded by {}, replayed by {})",
        arguments.name(),
        head.build(),
        env!("CARGO_PKG_VERSION"),
    ));
    output::line(format_args!("  input     {}", text(&entry.input)));
    let expected = said(&entry.output, &entry.actions);
    let actual = said(given, actions);
    let first = expected.iter().zip(&actual).take_while(|(expected, actual)| expected == actual).count();
    for (title, lines) in [("expected", &expected), ("actual", &actual)] {
        for (index, line) in lines.iter().enumerate() {
            let title = if index == 0 { title } else { "" };
            let mark = if index == first { '>' } else { ' ' };
            output::line(format_args!("{mark} {title:<9} {line}"));
        }
        if lines.len() == first {
            output::line(format_args!("> {:<9} nothing more", ""));
        }
    }
}

/// What was given back, and what was asked for.
fn said(output: &Output, actions: &[Action]) -> Vec<String> {
    std::iter::once(text(output)).chain(actions.iter().map(text)).collect()
}

/// As the trace has it.
fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The lines of a trace.
struct Lines<'a, R> {
    from: R,
    name: &'a str,
    number: usize,
}

struct Line {
    text: String,
    /// Its end was written.
    whole: bool,
}

impl<R: BufRead> Lines<'_, R> {
    fn next(&mut self) -> Result<Option<Line>, Failure> {
        self.number += 1;
        let mut bytes = Vec::new();
        let read = (&mut self.from).take(LONGEST_LINE).read_until(b'\n', &mut bytes);
        let length = read.map_err(|error| self.failure(error))?;
        if length as u64 == LONGEST_LINE {
            return Err(
                self.failure(format_args!("a line of more than {LONGEST_LINE} bytes is no entry of a trace"))
            );
        }
        let whole = bytes.last() == Some(&b'\n');
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            // Cut off within a character: it is no whole entry either.
            Err(error) if !whole => String::from_utf8_lossy(error.as_bytes()).into_owned(),
            Err(error) => return Err(self.failure(format_args!("no text: {}", error.utf8_error()))),
        };
        Ok((length > 0).then_some(Line { text, whole }))
    }

    fn failure(&self, problem: impl std::fmt::Display) -> Failure {
        Failure::usage(format!("{}:{}: {problem}", self.name, self.number))
    }
}
