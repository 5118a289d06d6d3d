//! `--record` and `idv replay`: what is written, what is compared, what is refused.

use crate::fake::{Fake, json, not_ready};
use crate::idv::{API_KEY, BUSINESS_HASH, Ran, Running, bare, idv};
use serde_json::{Value, json as object};
use std::fs;
use std::path::PathBuf;

/// A file of one test, removed at its end.
struct Trace(PathBuf);

impl Trace {
    fn new(test: &str) -> Self {
        Self(std::env::temp_dir().join(format!("idv-{test}-{}.jsonl", std::process::id())))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.0).unwrap()
    }

    fn write(&self, text: impl AsRef<[u8]>) {
        fs::write(&self.0, text).unwrap();
    }

    fn replay(&self, more: &[&str]) -> Ran {
        let mut command = bare(&["replay", self.path()]);
        command.args(more);
        Ran::of(command)
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A watch of ShareID that needs three pulls, recorded.
fn recorded(trace: &Trace, more: &[&str]) -> Ran {
    let fake = Fake::shareid(|before| match before {
        0 | 1 => not_ready(),
        _ => json(
            r#"{"flow_id":"fl-of-a-person","applicant_id":"ap-of-a-person","reasons":["doc_fraud"],"document":{"ocr":{"surname":"DURAND"}}}"#,
        ),
    });
    let arguments = ["watch", "shareid", "authenticate", "fl-of-a-person", "--cadence", "50ms", "--record"];
    let mut command = idv(&arguments);
    command.args([trace.path(), "--api-url", &fake.url]).args(more);
    Ran::of(command).exits(0)
}

/// The sandbox with one verification, its URL for Shufti and the verification's id.
fn sandbox(scenario: &str, more: &[&str]) -> (Running, String, String) {
    let mut command = bare(&["sandbox", "--json", "--time-factor", "20", "--create", scenario]);
    command
        .args(more)
        .env("IDV_SHUFTI_CLIENT_ID", "client-of-shufti")
        .env("IDV_SHUFTI_SECRET_KEY", crate::fake::KEY);
    let mut running = Running::start(command);
    let (started, created) = (running.object(), running.object());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (running, text(&started["shufti"]), text(&created["id"]))
}

#[test]
fn g8_a_recorded_watch_replays_identically() {
    let trace = Trace::new("watch");
    let (sandbox, url, id) = sandbox("shufti:review-declined", &[]);
    let arguments = ["watch", "shufti", &id, "--api-url", &url, "--cadence", "50ms", "--json", "--record"];
    let mut watch = idv(&arguments);
    watch.arg(trace.path());
    let revisions = Ran::of(watch).exits(0).objects();
    sandbox.interrupt().exits(130);

    let replayed = trace.replay(&["--json"]).exits(0).objects();
    assert_eq!((&replayed[0]["type"], &replayed[0]["identical"]), (&object!("replay"), &object!(true)));
    assert_eq!(replayed[0]["entries"], object!(trace.text().lines().count() - 1));
    let drawn = trace.replay(&["--timeline"]).exits(0).stdout;
    for revision in &revisions {
        let (number, verdict) = (&revision["revision"], revision["verdict"].as_str().unwrap());
        assert!(drawn.contains(&format!("revision {number}: {verdict}")), "{drawn}");
        assert!(drawn.contains(&format!("revision {number} confirmed")), "{drawn}");
    }
    assert!(drawn.contains("replay identically"));
}

#[test]
fn g8_recorded_callbacks_and_a_flip_replay_identically_though_the_process_was_killed() {
    let trace = Trace::new("listen");
    let address = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().to_string()
    };
    let callbacks = format!("http://{address}/callbacks");
    let (sandbox, url, _) = sandbox("shufti:flip", &["--callback", &callbacks]);
    let arguments =
        ["listen", "--addr", &address, "--api-url", &url, "--cadence", "50ms", "--json", "--record"];
    let mut listen = idv(&arguments);
    listen.arg(trace.path());
    let mut listening = Running::start(listen);
    listening.line();
    let mut revisions = Vec::new();
    while revisions.len() < 2 {
        let told = listening.object();
        if told["type"] == "revision" {
            revisions.push(told["verdict"].clone());
        }
    }
    assert_eq!(revisions, ["accepted", "declined"]);
    listening.signal("-KILL");
    drop(listening);
    sandbox.interrupt().exits(130);

    trace.replay(&[]).exits(0);
    let drawn = trace.replay(&["--mermaid"]).exits(0).stdout;
    for words in ["sequenceDiagram", "P->>I: callback, signed", "I->>A: revision 2: declined"] {
        assert!(drawn.contains(words), "{words} in: {drawn}");
    }
}

#[test]
fn g8_the_first_difference_is_named_with_its_line_and_input() {
    let trace = Trace::new("differs");
    recorded(&trace, &[]);
    let text = trace.text();
    let changed = text.lines().position(|line| line.contains(r#""outcome":{"report""#)).unwrap();
    let tampered: Vec<String> = text
        .lines()
        .enumerate()
        .map(|(index, line)| match index {
            // What was done then stays; what came in was something else.
            _ if index == changed => line.replacen("declined", "accepted", 1),
            _ => line.to_owned(),
        })
        .collect();
    trace.write(tampered.join("\n"));

    let told = trace.replay(&["--json"]).exits(1).objects();
    assert_eq!((&told[0]["type"], &told[0]["line"]), (&object!("difference"), &object!(changed + 1)));
    assert_eq!(told[0]["entries_before"], object!(changed - 1));
    assert_eq!(told[0]["input"]["pulled"]["outcome"]["report"]["verdict"], "accepted");
    let verdict = |of: &Value| of["actions"][2]["hand_over"]["revision"]["verdict"].clone();
    assert_eq!(
        (verdict(&told[0]["expected"]), verdict(&told[0]["actual"])),
        (object!("declined"), object!("accepted"))
    );

    let told = trace.replay(&[]).exits(1).stdout;
    assert!(told.contains(&format!("{}:{} differs, ", trace.path(), changed + 1)), "{told}");
    let marked: Vec<&str> = told.lines().filter(|line| line.starts_with('>')).collect();
    assert!(marked[0].contains("declined") && marked[1].contains("accepted"), "{told}");
}

#[test]
fn g10_a_trace_holds_no_id_credential_token_or_personal_datum() {
    let trace = Trace::new("discreet");
    let ran = recorded(&trace, &[]);
    assert!(ran.stdout.contains("fl-of-a-person"), "the user still sees it");
    let text = trace.text();
    for secret in
        ["fl-of", "ap-of", "DURAND", "TOKEN-number", BUSINESS_HASH, API_KEY, "127.0.0.1", "doc_fraud"]
    {
        assert!(!text.contains(secret), "{secret} in: {text}");
    }
    assert!(text.contains("learn_alias") && text.contains("token_received"), "all of it went in: {text}");

    let plain = Trace::new("plain");
    recorded(&plain, &["--record-ids"]);
    assert!(plain.text().contains(r#""alias":"ap-of-a-person""#));
    assert!(plain.replay(&["--timeline"]).exits(0).stdout.contains("shareid fl-of-a-person\n"));
}

#[test]
fn a_trace_that_was_cut_off_is_replayed_up_to_there() {
    let trace = Trace::new("cut");
    recorded(&trace, &[]);
    let whole = trace.text();
    trace.write(&whole[..whole.len() - 20]);
    let ran = trace.replay(&["--json"]).exits(0);
    assert_eq!(ran.objects()[0]["truncated"], true);
    assert_eq!(ran.objects()[0]["entries"], object!(whole.lines().count() - 2));
    ran.complains("the last line was not written to its end");
}

#[test]
fn what_is_no_trace_of_this_version_is_refused_with_2_and_its_place() {
    let trace = Trace::new("refused");
    recorded(&trace, &[]);
    let whole = trace.text();
    let lines: Vec<&str> = whole.lines().collect();
    let with = |index: usize, line: &str| {
        let mut lines = lines.clone();
        lines[index] = line;
        lines.join("\n") + "\n"
    };
    let cases = [
        (whole.replacen(r#""version":1"#, r#""version":2"#, 1), ":1: column 1: the trace is of version 2"),
        (whole.replacen("idv trace", "idv track", 1), ":1: column 1: this is not a trace"),
        ("{}\n".to_owned(), ":1: column 2: "),
        (String::new(), ":1: there is nothing"),
        (with(3, ""), ":4: an empty line among the entries"),
        (with(3, "{\"input\":}"), ":4: column 10: expected value"),
        (with(3, r#"{"input":{"jump":{}},"output":"nothing","actions":[]}"#), "unknown variant `jump`"),
        (
            with(1, r#"{"input":{"add_door":{"policy":{}}},"output":{"door":0},"actions":[]}"#),
            "missing field `budget`",
        ),
        (with(2, &lines[2].replace("shareid", "nobody")), "the provider `nobody` is not known"),
        // A policy that could not end a session is no policy.
        (
            with(2, &lines[2].replace(r#""deadline":"#, r#""deadline":1,"was":"#)),
            "only one pull would ever be made",
        ),
        (format!("{}\n{}", lines[0], "x".repeat(2 << 20)), "a line of more than"),
    ];
    for (text, words) in cases {
        trace.write(text);
        trace.replay(&[]).exits(2).complains(words);
    }
    trace.write(b"\xff\n");
    trace.replay(&[]).exits(2).complains("invalid utf-8");
    Ran::of(bare(&["replay", "/nowhere/at/all"])).exits(2).complains("/nowhere/at/all cannot be read");
    let folder = std::env::temp_dir();
    let told = format!("{} is a directory: name the file that --record wrote", folder.display());
    Ran::of(bare(&["replay", folder.to_str().unwrap()])).exits(2).complains(&told);
}

#[test]
fn empty_lines_at_the_end_of_a_trace_are_no_entries_and_standard_input_is_read_like_a_file() {
    let trace = Trace::new("empty-lines");
    recorded(&trace, &[]);
    let whole = trace.text();
    trace.write(format!("{whole}\n \r\n\n"));
    let told = trace.replay(&["--json"]).exits(0).objects();
    assert_eq!(told[0]["entries"], object!(whole.lines().count() - 1));
    assert_eq!(told[0]["truncated"], false);

    let replay = |text: &str| {
        trace.write(text);
        let mut command = bare(&["replay", "-"]);
        command.stdin(fs::File::open(&trace.0).unwrap());
        Ran::of(command)
    };
    assert!(replay(&whole).exits(0).stdout.starts_with("standard input: "));
    replay("").exits(2).complains("standard input:1: there is nothing");
}

/// What a trace shows of what the provider stated can be compared within it, and with nothing else.
#[test]
fn g10_the_digest_of_what_was_stated_is_another_in_every_trace() {
    let contents = |test: &str, more: &[&str]| {
        let trace = Trace::new(test);
        recorded(&trace, more);
        let text = trace.text();
        let line = text.lines().find(|line| line.contains(r#""outcome":{"report""#)).unwrap();
        let entry: Value = serde_json::from_str(line).unwrap();
        let stated = entry["input"]["pulled"]["outcome"]["report"]["content"].clone();
        assert_eq!(stated, entry["actions"][2]["hand_over"]["revision"]["content"]);
        trace.replay(&[]).exits(0);
        stated
    };
    let plain = ["plain-1", "plain-2"].map(|test| contents(test, &["--record-ids"]));
    assert_eq!(plain[0], plain[1]);
    let keyed = ["keyed-1", "keyed-2"].map(|test| contents(test, &[]));
    assert!(keyed[0] != keyed[1] && !keyed.contains(&plain[0]), "{keyed:?} {plain:?}");
}

#[test]
fn a_trace_that_is_there_is_not_overwritten() {
    let trace = Trace::new("there");
    recorded(&trace, &[]);
    let evidence = trace.text();
    let fake = Fake::shareid(|_| json(r#"{"flow_id":"fl-1","reasons":[]}"#));
    let watch =
        ["watch", "shareid", "authenticate", "fl-1", "--api-url", &fake.url, "--record", trace.path()];
    let told = format!(
        "--record {} cannot be written: there is something in it already: move it away",
        trace.path()
    );
    Ran::of(idv(&watch)).exits(2).complains(&told);
    assert_eq!(fake.seen("/fetch").len(), 0);
    assert_eq!(trace.text(), evidence);
    // One that is empty was prepared for it.
    trace.write("");
    Ran::of(idv(&watch)).exits(0);
    trace.replay(&[]).exits(0);
}

#[test]
fn a_trace_that_cannot_be_written_stops_nothing_but_itself() {
    let fake = Fake::shareid(|_| json(r#"{"flow_id":"fl-1","reasons":[]}"#));
    let watch = ["watch", "shareid", "authenticate", "fl-1", "--api-url", &fake.url, "--record"];
    let mut nowhere = idv(&watch);
    nowhere.arg("/nowhere/at/all");
    Ran::of(nowhere).exits(2).complains("--record /nowhere/at/all cannot be written");
    assert_eq!(fake.seen("/fetch").len(), 0);
    if cfg!(target_os = "linux") {
        let mut full = idv(&watch);
        full.arg("/dev/full");
        let ran = Ran::of(full).exits(0);
        ran.complains("the trace ends here");
        assert_eq!(ran.stdout, "shareid fl-1 revision 1: accepted, pulled\n");
    }
}
