//! Traces of any bytes: read or refused, and what is read is done again without a panic (G8).
//!
//! An input is a trace as it is written down: a head, then a call and what came of it in each line. The fleet has an account at each
//! provider already, so that short inputs reach far.

use idv_core::fleet::FleetPolicy;
use idv_core::fleet::trace::{Entry, Head, Input, Output, Replay, Unreadable};
use idv_core::{shareid, shufti};
use serde::Serialize;

/// More lines than this say nothing new.
const MOST_LINES: usize = 200;

/// More steps in one call take their time, as the trace asks.
const MOST_WORK: u32 = 1_000;

/// Reads the trace, and does again what it says was done.
///
/// # Panics
/// A property is broken.
pub fn holds(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.split('\n').take(MOST_LINES);
    let first = lines.next().unwrap_or_default();
    let replay = |head: &Head| Replay::new(head, &["shareid", "shufti"]);
    let mut replay = match Head::read(first) {
        Ok(head) => {
            assert_eq!(Head::read(&written(&head)), Ok(head.clone()), "written and read again");
            replay(&head)
        }
        Err(unreadable) => {
            is_told(first, &unreadable);
            Replay::of(FleetPolicy::default(), &["shareid", "shufti"])
        }
    };
    let contracts = [("shareid", shareid::contract::RULES), ("shufti", shufti::contract::RULES)];
    for (name, rules) in contracts {
        let policy = rules.door().expect("the contract is in order");
        let Ok(Output::Door(door)) = replay.apply(&Input::AddDoor { policy }, &mut |_| ()) else {
            panic!("a door is added");
        };
        let policy = rules.account(name).expect("the contract is in order");
        let (token, session) = (policy.token, policy.session);
        let account = Input::AddAccount { door, provider: name.into(), token, session };
        replay.apply(&account, &mut |_| ()).expect("it is known");
    }
    let mut again = replay.clone();
    for line in lines {
        match Entry::read(line) {
            Ok(entry) => done_again(&mut replay, &mut again, entry),
            Err(unreadable) => is_told(line, &unreadable),
        }
    }
}

fn written(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("what was read can be written")
}

/// What came of the call replays as the same, after it was written down and read.
fn done_again(replay: &mut Replay, again: &mut Replay, entry: Entry<'static>) {
    assert_eq!(Entry::read(&written(&entry)).as_ref(), Ok(&entry), "written and read again");
    if matches!(entry.input, Input::Run { work, .. } if work > MOST_WORK) {
        return;
    }
    let mut actions = Vec::new();
    let Ok(output) = replay.apply(&entry.input, &mut |action| actions.push(action)) else { return };
    let entry = Entry { output, actions, ..entry };
    let entry = Entry::read(&written(&entry)).expect("what was written can be read");
    assert_eq!(again.step(&entry), Ok(None), "G8: the same call comes to something else");
    assert_eq!(replay.fleet().len(), again.fleet().len());
}

fn is_told(line: &str, unreadable: &Unreadable) {
    assert!(!unreadable.problem.is_empty(), "says what was wrong");
    assert!((1..=line.len() + 1).contains(&unreadable.column), "{unreadable} of {} bytes", line.len());
}
