//! Traces: every call comes back from its text, what differs is found, and what is left out or replaced changes nothing (G8, G10).

use crate::scene::{a_call_a_second, basic, terms};
use idv_core::evidence::{Callback, ContentDigest, Fault, FaultKind, Outcome, Report, Verdict};
use idv_core::fleet::trace::{Entry, Head, Input, Known, Output, Recording, Redaction, Replay};
use idv_core::fleet::{Action, At, FleetPolicy, Key, OpenError, Wake};
use idv_core::machine::Disposition;
use idv_core::poller::Class;
use idv_core::time::{Instant, Span};
use idv_core::token;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// Every kind of call, as the text form names it.
const CALLS: [&str; 23] = [
    "add_account",
    "add_door",
    "callback",
    "cancel",
    "credentials_replaced",
    "dead_lettered",
    "forget",
    "handed_over",
    "heed",
    "hint",
    "hold",
    "learn_alias",
    "listening_had_a_gap",
    "open",
    "pulled",
    "release",
    "replace",
    "restore",
    "run",
    "take",
    "token_failed",
    "token_received",
    "token_refused",
];

/// What is done, one call after another, each with entropy of its own.
struct Story {
    replay: Replay,
    entries: Vec<Entry<'static>>,
    millis: u64,
}

impl Story {
    fn at(&mut self) -> At {
        self.millis += 1_000;
        At::new(Instant::from_millis(self.millis), self.entries.len() as u32)
    }

    fn call(&mut self, input: Input<'static>) -> Output {
        let mut actions = Vec::new();
        let output = self.replay.apply(&input, &mut |action| actions.push(action)).unwrap();
        self.entries.push(Entry { input, output, actions });
        output
    }

    fn opened(&mut self, input: Input<'static>) -> Key {
        let output = self.call(input);
        let Output::Opened(key) = output else { panic!("{output:?}") };
        key
    }

    fn run(&mut self) -> Vec<Action> {
        loop {
            let at = self.at();
            let output = self.call(Input::Run { at, work: 9 });
            if output != Output::Wake(Wake::More) {
                let ran = self.entries.iter().rev();
                let ran = ran.take_while(|entry| matches!(entry.input, Input::Run { .. }));
                return ran.flat_map(|entry| entry.actions.clone()).collect();
            }
        }
    }
}

/// One that makes every kind of call.
fn story() -> Story {
    let replay = Replay::of(FleetPolicy::default(), &["shufti", "shareid"]);
    let mut story = Story { replay, entries: Vec::new(), millis: 0 };
    let Output::Door(door) = story.call(Input::AddDoor { policy: a_call_a_second(20) }) else { panic!() };
    let mut accounts = Vec::new();
    let policy = token::Policy::reusable(Span::mins(10)).build().unwrap();
    for account in [basic("shufti"), terms("shareid", policy)] {
        let (provider, token, session) = (account.provider.into(), account.token, account.session);
        let output = story.call(Input::AddAccount { door, provider, token, session });
        let Output::Account(account) = output else { panic!("{output:?}") };
        accounts.push(account);
    }
    let [plain, tokens] = accounts[..] else { panic!() };
    let report = Report { verdict: Some(Verdict::Accepted), content: ContentDigest(7) };
    let fault = Fault { kind: FaultKind::RateLimited, retry_after: Some(Span::secs(2)) };

    let at = story.at();
    let first = story.opened(Input::Open { at, account: plain, id: "ab-1".into(), created: None });
    let at = story.at();
    let created = Some(report);
    let second = story.opened(Input::Open { at, account: plain, id: "ab-2".into(), created });
    story.call(Input::Hold { key: first });
    let pulled = story.run();
    assert!(!pulled.iter().any(|action| matches!(action, Action::Pull { key, .. } if *key == first)));
    story.call(Input::Release { key: first });
    story.run();
    let at = story.at();
    let outcome = Outcome::Report(report);
    story.call(Input::Pulled { at, key: first, op: 1, generation: 0, outcome });
    let at = story.at();
    story.call(Input::HandedOver { at, key: first, revision: 1 });
    let at = story.at();
    story.call(Input::DeadLettered { at, key: second, revision: 1 });
    let at = story.at();
    story.call(Input::LearnAlias { at, key: first, alias: "person-7".into() });
    let at = story.at();
    let callback = Callback::SignedSignal;
    let (provider, id) = ("shufti".into(), "person-7".into());
    story.call(Input::Callback { at, provider, id, callback, bytes: 9 });
    let at = story.at();
    story.call(Input::Hint { at, key: second, class: Class::Confirming });
    story.call(Input::ListeningHadAGap);
    let at = story.at();
    story.call(Input::Take { at, door });

    let session = *story.replay.fleet().session(first).unwrap();
    let alias = Some("person-7".into());
    let known = Known { id: "ab-3".into(), alias, session, version: 3 };
    let at = story.at();
    let known_key = story.opened(Input::Restore { at, account: tokens, stored: known.clone() });
    let at = story.at();
    let anew = story.opened(Input::Open { at, account: tokens, id: "ab-4".into(), created: None });
    let at = story.at();
    let stored = Known { id: "ab-4".into(), ..known };
    story.call(Input::Replace { at, key: anew, stored });
    for (nth, op) in (1..=3).enumerate() {
        story.millis += 60_000;
        let asked = story.run();
        assert!(
            asked.iter().any(|action| matches!(action, Action::RequestToken { .. })),
            "token request {op}: {asked:?}"
        );
        let at = story.at();
        story.call(match nth {
            0 => Input::TokenFailed { at, account: tokens, op, fault },
            1 => Input::TokenRefused { at, account: tokens, op },
            _ => Input::TokenReceived { at, account: tokens, op, ttl: Some(Span::mins(5)) },
        });
    }
    story.run();
    let at = story.at();
    story.call(Input::Heed { at, account: tokens, generation: 3, outcome: Outcome::Failed(fault) });
    let at = story.at();
    story.call(Input::CredentialsReplaced { at, account: tokens });
    let at = story.at();
    story.call(Input::Cancel { at, key: known_key });
    assert_eq!(story.call(Input::Forget { key: known_key }), Output::Disposition(Disposition::Applied));
    story.run();
    story
}

/// The lines of a trace: its head, and what is written of each entry.
fn written(redaction: Redaction, entries: &[Entry<'static>]) -> (String, Vec<String>) {
    let text = Arc::new(Mutex::new(String::new()));
    let lines = Arc::clone(&text);
    let mut recording =
        Recording::new(redaction, 1_700_000_000_123, move |line| lines.lock().unwrap().push_str(line));
    recording.head(FleetPolicy { sessions: 1, ..FleetPolicy::default() });
    let take = || {
        let line = core::mem::take(&mut *text.lock().unwrap());
        assert!(line.is_empty() || line.ends_with('\n') && line.lines().count() == 1, "{line}");
        line
    };
    let head = take();
    let lines = entries.iter().map(|entry| {
        recording.entry(entry.clone());
        take()
    });
    (head, lines.collect())
}

#[test]
fn g8_every_call_comes_back_from_its_text_and_does_the_same_again() {
    let story = story();
    let (_, lines) = written(Redaction::plain_ids(), &story.entries);
    let names: BTreeSet<String> = lines
        .iter()
        .map(|line| {
            let entry: serde_json::Value = serde_json::from_str(line).unwrap();
            let input = &entry["input"];
            let name = input.as_str().or_else(|| input.as_object()?.keys().next().map(String::as_str));
            name.unwrap().to_owned()
        })
        .collect();
    assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), CALLS);

    let mut again = Replay::of(FleetPolicy::default(), &["shareid", "shufti"]);
    for (entry, line) in story.entries.iter().zip(&lines) {
        let read = Entry::read(line).unwrap();
        assert_eq!(read, *entry);
        assert_eq!(again.step(&read), Ok(None), "{line}");
    }
    assert_eq!(again.fleet(), story.replay.fleet());
}

#[test]
fn g8_what_came_out_otherwise_is_found_wherever_it_differs() {
    let mut replay = Replay::of(FleetPolicy::default(), &["shufti", "shareid"]);
    for entry in story().entries {
        let otherwise = match entry.output {
            Output::Disposition(Disposition::Stale) => Output::Nothing,
            _ => Output::Disposition(Disposition::Stale),
        };
        let was = Some((entry.output, entry.actions.clone()));
        assert_eq!(replay.clone().step(&Entry { output: otherwise, ..entry.clone() }), Ok(was.clone()));
        let mut more = entry.actions.clone();
        more.extend([Action::CredentialsRefused { account: first_account() }]);
        assert_eq!(replay.clone().step(&Entry { actions: more, ..entry.clone() }), Ok(was.clone()));
        if let [_, rest @ ..] = &entry.actions[..] {
            assert_eq!(replay.clone().step(&Entry { actions: rest.into(), ..entry.clone() }), Ok(was));
        }
        assert_eq!(replay.step(&entry), Ok(None));
    }
}

fn first_account() -> idv_core::fleet::AccountId {
    let mut fleet = idv_core::fleet::Fleet::new(FleetPolicy::default());
    let door = fleet.add_door(a_call_a_second(1));
    fleet.add_account(door, basic("shufti"))
}

#[test]
fn g8_a_call_says_when_it_came_if_it_takes_a_moment() {
    let timeless = ["add_account", "add_door", "forget", "hold", "listening_had_a_gap", "release"];
    let entries = story().entries;
    let (_, lines) = written(Redaction::plain_ids(), &entries);
    for (nth, (entry, line)) in entries.iter().zip(&lines).enumerate() {
        let is_timeless = timeless.iter().any(|name| {
            line.starts_with(&format!("{{\"input\":{{\"{name}\""))
                || line.starts_with(&format!("{{\"input\":\"{name}\""))
        });
        let drawn = entry.input.at().map(|at| at.entropy);
        assert_eq!(drawn, (!is_timeless).then_some(nth as u32), "{line}");
    }
}

/// The digests of contents in a line, but for the one of nothing.
fn contents(line: &str) -> Vec<u64> {
    let digits =
        |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0);
    line.split("content\":").skip(1).map(digits).filter(|content| *content != 0).collect()
}

#[test]
fn g8_g10_ids_and_digests_are_replaced_wherever_they_stand_and_the_trace_replays_all_the_same() {
    let entries = story().entries;
    let ids = ["ab-1", "ab-2", "person-7", "ab-3", "ab-4"];
    let (_, plain) = written(Redaction::plain_ids(), &entries);
    let [(head, one), (_, same), (_, other)] =
        [3, 3, 4].map(|key| written(Redaction::keyed_digests([key; 32]), &entries));
    assert!(Head::read(&head).unwrap().is_redacted());
    assert_eq!(one, same);
    let mut replay = Replay::of(FleetPolicy::default(), &["shareid", "shufti"]);
    let mut named = BTreeMap::new();
    for ((entry, plain), (one, other)) in entries.iter().zip(plain).zip(one.iter().zip(other)) {
        let held =
            ids.iter().filter(|id| plain.contains(&format!("\"{id}\""))).count() + contents(&plain).len();
        assert!(!ids.iter().any(|id| one.contains(id)), "g10: {one}");
        // Another key, another digest; and everything else stays as it is.
        assert_eq!(*one != other, held > 0);
        assert_eq!(*one != plain, held > 0);
        assert_eq!(contents(one).len(), contents(&plain).len());
        for (content, said) in contents(&plain).into_iter().zip(contents(one)) {
            assert!(*named.entry(content).or_insert(said) == said, "the same content is the same everywhere");
        }
        let read = Entry::read(one).unwrap();
        assert_eq!(read.output, entry.output);
        if contents(&plain).is_empty() {
            assert_eq!(read.actions, entry.actions);
        }
        assert_eq!(replay.step(&read), Ok(None), "{one}");
        if let Input::Open { id, .. } = read.input {
            assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "128 bits: {id}");
        }
    }
    assert!(!named.is_empty() && named.iter().all(|(content, said)| content != said), "g10: {named:?}");
    assert_eq!(named.values().collect::<BTreeSet<_>>().len(), named.len());
    // An id that is missing is told from one that is there.
    let at = At::new(Instant::from_millis(1), 0);
    let input = Input::Open { at, account: first_account(), id: "".into(), created: None };
    let empty = Entry { input, output: Output::NotOpened(OpenError::EmptyId), actions: Vec::new() };
    let (_, lines) = written(Redaction::keyed_digests([3; 32]), core::slice::from_ref(&empty));
    assert_eq!(Entry::read(&lines[0]).unwrap(), empty);
    let shown = format!("{:?} {:?}", Redaction::keyed_digests([77; 32]), Redaction::plain_ids());
    assert_eq!(shown, "keyed digests plain ids");
}

/// A driver looks at its clock far more often than something is due.
#[test]
fn only_runs_that_came_early_and_changed_nothing_are_left_out() {
    use Wake::{Input as OnInput, More};
    let due = |millis| Wake::At(Instant::from_millis(millis));
    let key = story().entries.iter().find_map(|entry| match entry.output {
        Output::Opened(key) => Some(key),
        _ => None,
    });
    let acts = [Action::Save { key: key.unwrap(), version: 1 }];
    // When it came, what it gave back and asked for, and whether it is written.
    let script: [(u64, Wake, &[Action], bool); 17] = [
        (10, due(20), &[], true),
        (10, due(20), &[], false),
        (19, due(20), &[], false),
        (19, due(20), &acts, true),
        (20, due(20), &[], true),
        (20, due(30), &[], true),
        (25, due(40), &[], true),
        (24, due(40), &[], true),
        (39, due(40), &[], false),
        (40, OnInput, &[], true),
        (9_000, OnInput, &[], false),
        (8_999, OnInput, &[], true),
        (9_000, due(9_001), &[], true),
        (9_000, More, &[], true),
        (9_000, More, &[], true),
        (9_000, OnInput, &acts, true),
        (9_000, OnInput, &[], false),
    ];
    let run = |(millis, wake, actions, _): &(u64, Wake, &[Action], bool)| Entry {
        input: Input::Run { at: At::new(Instant::from_millis(*millis), 0), work: 1 },
        output: Output::Wake(*wake),
        actions: actions.to_vec(),
    };
    let (_, lines) = written(Redaction::plain_ids(), &script.map(|entry| run(&entry)));
    let kept: Vec<bool> = lines.iter().map(|line| !line.is_empty()).collect();
    assert_eq!(kept, script.map(|(.., kept)| kept));
    // After any other call the next one is looked at anew.
    let gap = Entry { input: Input::ListeningHadAGap, output: Output::Nothing, actions: Vec::new() };
    let idle = run(&(50, OnInput, &[], false));
    let (_, lines) = written(Redaction::plain_ids(), &[idle.clone(), idle.clone(), gap, idle.clone(), idle]);
    assert_eq!(lines.iter().map(String::is_empty).collect::<Vec<_>>(), [false, true, false, false, true]);
}

#[test]
fn g8_a_trace_says_what_it_is_and_a_replay_has_the_bounds_of_its_head() {
    let (line, _) = written(Redaction::plain_ids(), &[]);
    let head = Head::read(&line).unwrap();
    assert_eq!(head.build(), env!("CARGO_PKG_VERSION"));
    assert_eq!((head.is_redacted(), head.started_unix_ms()), (false, 1_700_000_000_123));
    let mut replay = Replay::new(&head, &["shufti", "shareid"]);
    let full = Output::NotOpened(OpenError::Full);
    let opened = story().entries.into_iter().filter(|entry| {
        matches!(entry.input, Input::AddDoor { .. } | Input::AddAccount { .. } | Input::Open { .. })
    });
    let outputs: Vec<Output> = opened.map(|entry| replay.apply(&entry.input, &mut |_| {}).unwrap()).collect();
    assert_eq!(outputs.iter().filter(|output| **output == full).count(), 2, "one fits: {outputs:?}");

    // What cannot be read is said, and where.
    let other_version = line.replace("\"version\":1", "\"version\":2");
    for (text, column, problem) in [
        ("", 1, "a trace of `idv trace` is expected"),
        ("{]", 2, "a trace of `idv trace` is expected"),
        (&*line.replace("idv trace", "another"), 1, "this is not a trace"),
        (&*other_version, 1, "of version 2, written by release"),
    ] {
        let error = Head::read(text).unwrap_err();
        assert_eq!(error.column, column, "{text}");
        assert!(error.problem.contains(problem), "{error}");
        assert_eq!(error.to_string(), format!("column {column}: {}", error.problem));
    }
    let error = Entry::read("{\"input\":\"no_such_call\"}").unwrap_err();
    assert!(error.problem.contains("no_such_call") && !error.problem.contains("line"), "{error}");
    assert_eq!(error.column, 23);
}

#[test]
fn g8_a_provider_that_this_release_does_not_know_is_named() {
    let story = story();
    let mut replay = Replay::of(FleetPolicy::default(), &["shareid"]);
    let told: BTreeSet<String> = story
        .entries
        .iter()
        .filter_map(|entry| replay.step(entry).err().map(|unknown| unknown.to_string()))
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told.first().unwrap().contains("`shufti` is not known to this release"), "{told:?}");
}
