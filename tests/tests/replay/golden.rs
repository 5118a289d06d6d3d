//! What releases wrote: every later one reads it and goes on from it. `tests/golden/README.md` says how a release adds its own.

use crate::held::{self, Store};
use crate::sessions;
use crate::traces;
use crate::variants::Said;
use crate::world::PROVIDERS;
use idv_core::fleet::trace::{Entry, Head, Replay};
use idv_core::lifecycle::Table;
use idv_core::shareid::lifecycle::SHAREID;
use idv_core::shufti::lifecycle::SHUFTI;
use idv_tests::source::root;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;

static WRITTEN: Once = Once::new();

/// The release that this is.
const RELEASE: &str = env!("CARGO_PKG_VERSION");

fn folder() -> PathBuf {
    let folder = root().join("tests/golden");
    WRITTEN.call_once(|| {
        if std::env::var_os("IDV_WRITE_GOLDEN").is_some() {
            write_new(&folder.join(RELEASE));
        }
    });
    assert!(folder.join(RELEASE).is_dir(), "IDV_WRITE_GOLDEN=1 writes what release {RELEASE} writes");
    folder
}

/// What each release wrote.
fn releases() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Writes what this release writes, where it has not done so: nothing that is there is ever rewritten.
fn write_new(folder: &Path) {
    fs::create_dir_all(folder.join("traces")).unwrap();
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        if !path.exists() {
            fs::write(path, text).unwrap();
        }
    };
    write("sessions.jsonl", sessions::written());
    write("store.json", held::written());
    write("events.json", held::written_events());
    for (name, scene) in traces::SCENES {
        write(&format!("traces/{name}.jsonl"), traces::recorded(scene));
    }
}

/// The first difference between two values, as a path into them. A later release may say more.
fn difference(expected: &Value, actual: &Value, path: &str) -> Option<String> {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => expected.iter().find_map(|(name, value)| {
            difference(value, actual.get(name).unwrap_or(&Value::Null), &format!("{path}.{name}"))
        }),
        (Value::Array(expected), Value::Array(actual)) if expected.len() == actual.len() => {
            expected.iter().zip(actual).enumerate().find_map(|(index, (expected, actual))| {
                difference(expected, actual, &format!("{path}[{index}]"))
            })
        }
        _ => (expected != actual).then(|| format!("{path}: expected {expected}, found {actual}")),
    }
}

/// What is made of `is` that `saved` is not; where the layout is still the same, every member of it counts.
fn misread(saved: &Value, is: &Value) -> Option<String> {
    let Some(means) = sessions::means(is) else { return Some("it cannot be read".to_owned()) };
    let again = sessions::saved_again(is)?;
    let layout = |snapshot: &Value| snapshot["format"].clone();
    let same_layout = layout(&saved["snapshot"]) == layout(&again);
    difference(&saved["means"], &means, "means")
        .or_else(|| difference(&saved["snapshot"], &again, "snapshot").filter(|_| same_layout))
}

#[test]
fn g9_every_session_that_a_release_saved_means_the_same_and_goes_on_the_same() {
    for release in releases() {
        let path = release.join("sessions.jsonl");
        let mut read_in_all = 0;
        let (mut verdicts, mut ends) = (BTreeSet::new(), BTreeSet::new());
        for (line, text) in read(&path).lines().enumerate() {
            let saved: Value = serde_json::from_str(text).unwrap();
            assert_eq!(misread(&saved, &saved), None, "{}:{}", path.display(), line + 1);
            let word = |name: &str| saved["means"][name].as_str().map(str::to_owned);
            verdicts.extend(word("verdict"));
            ends.extend(word("end"));
            read_in_all += 1;
        }
        assert!(read_in_all >= 30, "{} holds few states", path.display());
        // All six verdicts, and all five ends.
        assert_eq!((verdicts.len(), ends.len()), (6, 5), "{verdicts:?} {ends:?}");
    }
}

#[test]
fn g9_whatever_a_release_left_in_a_store_is_taken_over_and_handed_over() {
    for path in
        releases().iter().flat_map(|release| ["store.json", "events.json"].map(|name| release.join(name)))
    {
        let held: Value = serde_json::from_str(&read(&path)).unwrap();
        let taken_over = Store::read(&held).taken_over(&held);
        assert_eq!(difference(&held["means"], &taken_over, ""), None, "{}", path.display());
    }
}

/// A session is saved with the number of the event that was stated last: a number never comes to stand for another event.
#[test]
fn g9_the_number_of_an_event_means_the_same_event_for_ever() {
    for release in releases() {
        let path = release.join("events.json");
        let held: Value = serde_json::from_str(&read(&path)).unwrap();
        let mut stated = Vec::new();
        for session in held["sessions"].as_array().unwrap() {
            let event = session["id"].as_str().unwrap().strip_prefix("event-").unwrap();
            assert_eq!(held::stated(session), Some(event), "{}", path.display());
            stated.push(event.to_owned());
        }
        if release.ends_with(RELEASE) {
            for row in [SHUFTI, SHAREID].iter().flat_map(Table::events).map(|(_, row)| row) {
                assert_eq!(
                    stated.iter().any(|event| event == row.name),
                    row.meaning.states(),
                    "{}",
                    row.name
                );
            }
        }
    }
}

/// Where the trace `name` is known to differ since: `differs` of its release says `name line reason`.
fn known_difference(release: &Path, name: &str) -> Option<usize> {
    let known = fs::read_to_string(release.join("differs")).unwrap_or_default();
    let line = known.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    let (number, reason) = line.split_once(' ').expect("name line reason");
    assert!(!reason.is_empty());
    Some(number.parse().unwrap())
}

/// The first line of a trace that comes out otherwise now.
fn first_difference(text: &str) -> Option<usize> {
    let mut lines = text.lines().zip(1..);
    let mut replay = Replay::new(&Head::read(lines.next().unwrap().0).unwrap(), &PROVIDERS);
    lines.find_map(|(line, number)| {
        let entry = Entry::read(line).unwrap_or_else(|error| panic!("line {number}: {error}"));
        replay.step(&entry).unwrap().is_some().then_some(number)
    })
}

#[test]
fn g8_every_trace_that_a_release_recorded_is_read_and_replays_identically() {
    for release in releases() {
        let mut names = Vec::new();
        for file in fs::read_dir(release.join("traces")).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let differs = first_difference(&read(&path));
            assert_eq!(differs, known_difference(&release, &name), "{}", path.display());
            names.push(name);
        }
        for (name, _) in traces::SCENES {
            assert!(names.iter().any(|found| found == name), "{} lacks {name}", release.display());
        }
    }
}

/// Nothing that a trace may say is left to traces that are not compared to their end.
#[test]
fn g8_the_traces_that_replay_to_their_end_say_everything_that_a_trace_may_say() {
    let mut said = Said::default();
    for release in releases() {
        for file in fs::read_dir(release.join("traces")).unwrap() {
            let path = file.unwrap().path();
            if known_difference(&release, path.file_stem().unwrap().to_str().unwrap()).is_none() {
                let text = read(&path);
                text.lines().skip(1).for_each(|line| said.note(&Entry::read(line).unwrap()));
            }
        }
    }
    assert_eq!(said.lacks(), [""; 0], "record a scene with these");
}

/// Every way to change one number, word or truth value in it, with where that is.
fn changes(value: &Value) -> Vec<(String, Value)> {
    let mut changed = Vec::new();
    let mut leaves = vec![(String::new(), value)];
    while let Some((path, leaf)) = leaves.pop() {
        match leaf {
            Value::Object(members) => {
                leaves.extend(members.iter().map(|(name, value)| (format!("{path}/{name}"), value)));
            }
            Value::Array(items) => {
                leaves
                    .extend(items.iter().enumerate().map(|(index, item)| (format!("{path}/{index}"), item)));
            }
            Value::Null => changed.push((path, Value::from(1))),
            Value::Bool(truth) => changed.push((path, Value::from(!truth))),
            Value::Number(number) => {
                changed.push((path, Value::from(number.as_u64().map_or(0, |number| number ^ 1))));
            }
            Value::String(word) => changed.push((path, Value::from(format!("{word}x")))),
        }
    }
    changed
        .into_iter()
        .map(|(path, leaf)| {
            let mut whole = value.clone();
            *whole.pointer_mut(&path).unwrap() = leaf;
            (path, whole)
        })
        .collect()
}

#[test]
fn a_change_of_any_field_of_a_trace_is_noticed() {
    let text = read(&folder().join(RELEASE).join("traces/flip.jsonl"));
    let lines: Vec<&str> = text.lines().collect();
    let mut tried = 0;
    for (index, line) in lines.iter().enumerate().skip(1) {
        let entry: Value = serde_json::from_str(line).unwrap();
        for part in ["output", "actions"] {
            for (path, changed) in changes(&entry[part]) {
                let mut entry = entry.clone();
                entry[part] = changed;
                let Ok(entry) = serde_json::from_value::<Entry<'static>>(entry) else { continue };
                let mut replay = Replay::new(&Head::read(lines[0]).unwrap(), &PROVIDERS);
                for line in &lines[1..index] {
                    assert_eq!(replay.step(&Entry::read(line).unwrap()).unwrap(), None);
                }
                let noticed = replay.step(&entry).unwrap().is_some();
                assert!(noticed, "line {}: {part}{path} was changed, and nobody noticed", index + 1);
                tried += 1;
            }
        }
    }
    assert!(tried > 50, "{tried}");
}

#[test]
fn a_change_of_any_field_of_a_saved_session_is_noticed() {
    let text = read(&folder().join(RELEASE).join("sessions.jsonl"));
    let mut tried = 0;
    for line in text.lines() {
        let saved: Value = serde_json::from_str(line).unwrap();
        for (path, session) in changes(&saved["snapshot"]["session"]) {
            let mut changed = saved.clone();
            changed["snapshot"]["session"] = session;
            assert!(misread(&saved, &changed).is_some(), "{path} of {} is not noticed", saved["state"]);
            tried += 1;
        }
    }
    assert!(tried > 1_000, "{tried}");
}
