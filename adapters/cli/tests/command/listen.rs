//! `idv listen`: what is answered, what is printed, what is confirmed.

use crate::fake::{Fake, KEY, hex, json, signature};
use crate::idv::{Ran, Running, bare, idv, send};
use serde_json::{Value, json as object};
use sha2::{Digest, Sha256};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const JSON: &str = "Content-Type: application/json\r\n";

/// A listener that listens.
struct Listening {
    running: Running,
    url: String,
}

impl Listening {
    fn start(mut command: Command) -> Self {
        command.args(["--addr", "127.0.0.1:0", "--json"]);
        let mut running = Running::start(command);
        let line = running.line();
        let url = line.strip_prefix("listening on ").expect(&line).to_owned();
        assert!(url.starts_with("http://127.0.0.1:") && !url.ends_with(":0") && !url.contains(' '), "{line}");
        Self { running, url }
    }

    fn shufti(&self, fields: &str, body: &[u8]) -> u16 {
        send(&format!("{}/callbacks/shufti", self.url), "POST", fields, body)
    }

    fn shareid(&self, fields: &str, body: &[u8]) -> u16 {
        send(&format!("{}/callbacks/shareid?transaction_id=1&x=%2F", self.url), "POST", fields, body)
    }

    /// The next object without the members that are beyond the contract.
    fn told(&mut self) -> Value {
        let Value::Object(told) = self.running.object() else { panic!("no object") };
        let promised = ["provider", "id", "event", "evidence", "digest", "duplicate"];
        told.into_iter()
            .filter(|(name, _)| promised.contains(&name.as_str()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

fn digest(body: &[u8]) -> String {
    hex(&Sha256::digest(body))
}

fn with_signature(newer: bool, key: &str, body: &[u8]) -> String {
    format!("{JSON}Signature: {}\r\n", signature(newer, key, body))
}

#[test]
fn signed_callbacks_are_recorded_answered_200_and_told_once_each() {
    let mut command = idv(&["listen"]);
    command.env("IDV_SHUFTI_SECRET_KEY", format!("{KEY},the-key-before"));
    let mut listening = Listening::start(command);
    let cases: [(&str, bool, &str, &str, &str); 4] = [
        ("ref-1", true, KEY, "Signature", "verification.accepted"),
        ("ref-2", false, KEY, "sp_signature", "verification.declined"),
        ("ref-3", true, "the-key-before", "SIGNATURE", "request.timeout"),
        ("ref-4", true, KEY, "Signature", "verification.sparkles"),
    ];
    for (id, newer, key, header, event) in cases {
        let body = format!(r#"{{"reference":"{id}","event":"{event}","url":"https:\/\/x"}}"#);
        let signature = signature(newer, key, body.as_bytes());
        // Upper case and a media type of any kind: the signature decides.
        let fields = format!("{header}: {}\r\nContent-Type: text/plain\r\n", signature.to_uppercase());
        for duplicate in [false, true] {
            assert_eq!(listening.shufti(&fields, body.as_bytes()), 200);
            let expected = object!({
                "provider": "shufti", "id": id, "event": event, "evidence": "signed",
                "digest": digest(body.as_bytes()), "duplicate": duplicate,
            });
            assert_eq!(listening.told(), expected);
        }
    }
    let ran = listening.running.interrupt().exits(130);
    assert_eq!(ran.stdout, "");
    ran.complains("kept in memory");
}

#[test]
fn r16_what_nobody_vouches_for_is_answered_401_and_told_as_refused() {
    let mut listening = Listening::start(idv(&["listen"]));
    let body = br#"{"reference":"ref-1","event":"verification.accepted"}"#;
    for fields in [
        JSON.to_owned(),
        with_signature(true, "another key", body),
        format!("{JSON}Signature: abc\r\n"),
        with_signature(true, KEY, b"{}"),
    ] {
        assert_eq!(listening.shufti(&fields, body), 401, "{fields}");
        let told = listening.told();
        assert_eq!((&told["evidence"], &told["id"]), (&object!("refused"), &object!("ref-1")), "{fields}");
        assert_eq!(told["digest"], digest(body));
    }
    // One of two headers is enough.
    let genuine = signature(true, KEY, body);
    let fields = format!("Signature: {}\r\nsp_signature: {genuine}\r\n", "0".repeat(64));
    assert_eq!(listening.shufti(&fields, body), 200);
    assert_eq!(listening.told()["duplicate"], false, "nothing of the refused ones was recorded");
}

#[test]
fn without_a_key_no_callback_of_shufti_is_genuine() {
    let mut listening = Listening::start(bare(&["listen"]));
    for key in ["", "unused"] {
        let body = br#"{"reference":"ref-1","event":"verification.accepted"}"#;
        assert_eq!(listening.shufti(&with_signature(true, key, body), body), 401);
        assert_eq!(listening.told()["evidence"], "refused");
    }
    let ran = listening.running.interrupt();
    ran.complains("IDV_SHUFTI_SECRET_KEY is not set");
}

#[test]
fn a_rule_that_was_chosen_is_the_only_one() {
    let mut listening = Listening::start(idv(&["listen", "--shufti-rule", "before"]));
    let body = br#"{"reference":"ref-1","event":"request.pending"}"#;
    assert_eq!(listening.shufti(&with_signature(true, KEY, body), body), 401);
    assert_eq!(listening.shufti(&with_signature(false, KEY, body), body), 200);
    assert_eq!([listening.told(), listening.told()].map(|it| it["evidence"].clone()), ["refused", "signed"]);
}

#[test]
fn r19_a_signed_body_that_cannot_be_read_is_recorded_reported_and_answered_200() {
    let mut listening = Listening::start(idv(&["listen"]));
    let cases: [(&[u8], &str); 6] = [
        (br#"{"reference":"ref-1","event":"verification.accepted","#, "line 1, column 53"),
        (b"[1,2]", "found an array at line 1, column 1"),
        (br#"{"event":"verification.accepted"}"#, "`reference` is missing"),
        (br#"{"reference":"a","reference":"b"}"#, "`reference` appears twice"),
        (b"\xff\xfe\x00", "line 1, column 1"),
        (&[b'['; 100_000], "line 1, column 1"),
    ];
    for (body, words) in cases {
        assert_eq!(listening.shufti(&with_signature(true, KEY, body), body), 200);
        let told = listening.running.object();
        assert_eq!((&told["evidence"], &told["digest"]), (&object!("signed"), &object!(digest(body))));
        let why = told["unreadable"].as_str().unwrap();
        assert!(why.contains(words), "{why}");
    }
    // A byte order mark goes after the signature was checked; bytes that are not UTF-8 in a text are no fault.
    for (body, id) in [
        (&b"\xef\xbb\xbf{\"reference\":\"ref-8\",\"event\":\"request.timeout\"}"[..], "ref-8"),
        (b"{\"reference\":\"ref-\xff\",\"event\":\"request.timeout\"}", "ref-\u{fffd}"),
    ] {
        assert_eq!(listening.shufti(&with_signature(true, KEY, body), body), 200);
        let told = listening.running.object();
        assert_eq!((&told["id"], &told["unreadable"]), (&object!(id), &Value::Null));
    }
    // Unsigned, the same is an error of the sender.
    assert_eq!(listening.shareid(JSON, b"{"), 400);
    assert_eq!(listening.told()["evidence"], "refused");
}

#[test]
fn requests_that_are_no_callbacks_are_refused_with_the_status_that_says_why() {
    let mut listening = Listening::start(idv(&["listen"]));
    let large = vec![b' '; 5 << 20];
    let body = br#"{"reasons":[]}"#;
    assert_eq!(send(&format!("{}/callbacks/shufti", listening.url), "GET", "", b""), 405);
    assert_eq!(listening.shufti(&with_signature(true, KEY, b""), b""), 400);
    assert_eq!(listening.shufti(JSON, &large), 413);
    assert_eq!(listening.shareid("Content-Type: text/html\r\n", body), 415);
    for expected in [405, 400, 413, 415] {
        let told = listening.running.object();
        assert_eq!((&told["evidence"], &told["status"]), (&object!("refused"), &object!(expected)));
    }
    assert_eq!(send(&format!("{}/elsewhere", listening.url), "POST", JSON, body), 404);
    assert_eq!(listening.shareid("Content-Type: Application/JSON; charset=utf-8\r\n", body), 200);
    assert_eq!(listening.told()["evidence"], "unsigned");
}

#[test]
fn a_bearer_that_was_agreed_on_is_required_and_never_shown() {
    let mut command = bare(&["listen"]);
    command.env("IDV_SHAREID_CALLBACK_BEARER", "BEARER-that-was-agreed").env("IDV_LOG", "trace");
    let mut listening = Listening::start(command);
    let body = br#"{"flow_id":"fl-1","reasons":[],"customer_data":{"mail":"durand@example.org"}}"#;
    for (field, status, evidence) in [
        ("", 401, "refused"),
        ("Authorization: Bearer something-else\r\n", 401, "refused"),
        ("Authorization: Bearer BEARER-that-was-agreed\r\n", 200, "unsigned"),
    ] {
        assert_eq!(listening.shareid(&format!("{JSON}{field}"), body), status);
        let told = listening.running.object();
        assert_eq!((&told["evidence"], &told["id"]), (&object!(evidence), &object!("fl-1")));
        assert!(!told.to_string().contains("durand"));
    }
    let ran = listening.running.interrupt().exits(130);
    assert!(!ran.stderr.contains("BEARER-that") && !ran.stderr.contains("durand"), "{}", ran.stderr);
}

#[test]
fn with_credentials_what_a_callback_names_is_confirmed_by_pull() {
    let fake = Fake::start(|seen, _| match seen.path.as_str() {
        path if path.ends_with("/business") => json(r#"{"token":"a-token"}"#),
        "/status" => crate::fake::signed(r#"{"reference":"ref-1","event":"verification.declined"}"#),
        _ => json(r#"{"applicant_id":"ap-1","reasons":["doc_spoof"]}"#),
    });
    let mut listening = Listening::start(idv(&["listen", "--api-url", &fake.url, "--cadence", "50ms"]));
    // Both claim an acceptance that the provider does not confirm.
    assert_eq!(listening.shareid(JSON, br#"{"applicant_id":"ap-1","reasons":[]}"#), 200);
    let body = br#"{"reference":"ref-1","event":"verification.accepted"}"#;
    let told = [listening.running.object(), listening.running.object()];
    assert_eq!(told.each_ref().map(|it| it["type"].clone()), ["callback", "revision"]);
    assert_eq!((&told[1]["verdict"], &told[1]["evidence"]), (&object!("declined"), &object!("pulled")));
    assert_eq!(fake.seen("/flow/onboarding/fetch").len(), 1, "an applicant_id names an onboarding");

    assert_eq!(listening.shufti(&with_signature(true, KEY, body), body), 200);
    let told = [listening.running.object(), listening.running.object()];
    assert_eq!(told[1]["verdict"], "declined");
    assert_eq!(told[1]["id"], "ref-1");

    // Nobody vouches for this one: it opens nothing.
    let forged = br#"{"reference":"ref-2","event":"verification.accepted"}"#;
    assert_eq!(listening.shufti(JSON, forged), 401);
    listening.told();
    std::thread::sleep(Duration::from_millis(100));
    assert!(fake.seen("/status").iter().all(|pull| pull.body.contains("ref-1")));
    listening.running.interrupt().exits(130);
}

#[test]
fn an_address_in_use_is_a_clear_error() {
    let listening = Listening::start(idv(&["listen"]));
    let address = listening.url.strip_prefix("http://").unwrap();
    Ran::of(idv(&["listen", "--addr", address])).exits(2).complains("choose another address, or port 0");
}

#[test]
fn triggered_callbacks_arrive_and_say_what_became_of_them() {
    let mut listening = Listening::start(idv(&["listen"]));
    let (shufti, shareid) =
        (format!("{}/callbacks/shufti", listening.url), format!("{}/callbacks/shareid", listening.url));
    let ran = Ran::of(idv(&[
        "trigger",
        "verification.accepted",
        "--to",
        &shufti,
        "--id",
        "ref-1",
        "--times",
        "2",
        "--json",
    ]));
    let ran = ran.exits(0);
    assert_eq!(ran.objects().iter().map(|post| post["status"].clone()).collect::<Vec<_>>(), [200, 200]);
    assert_eq!([listening.told(), listening.told()].map(|it| it["duplicate"].clone()), [false, true]);

    Ran::of(idv(&["trigger", "anything.at.all", "--to", &shufti, "--rule", "before"])).exits(0);
    assert_eq!(listening.told()["event"], "anything.at.all");

    let ran = Ran::of(idv(&["trigger", "verification.declined", "--to", &shufti, "--wrong-key"])).exits(1);
    assert!(ran.stdout.contains("401"), "{}", ran.stdout);
    Ran::of(idv(&["trigger", "verification.declined", "--to", &shufti, "--unsigned"])).exits(1);
    Ran::of(idv(&["trigger", "ready.declined", "--to", &shareid, "--code", "doc_spoof"])).exits(0);
    assert_eq!(
        [listening.told(), listening.told(), listening.told()].map(|it| it["evidence"].clone()),
        ["refused", "refused", "unsigned"]
    );
    listening.running.interrupt().exits(130);
    Ran::of(idv(&["trigger", "verification.accepted", "--to", &shufti])).exits(1);
}

/// Waits until the provider has been asked about this one.
fn pulled(fake: &Fake, id: &str) {
    let begun = Instant::now();
    while !fake.seen("/fetch").iter().any(|pull| pull.body.contains(id)) {
        assert!(begun.elapsed() < Duration::from_secs(10), "{id} was never asked about");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn g4_claims_that_nobody_vouches_for_open_no_more_than_so_many_verifications() {
    let ready = Arc::new(AtomicBool::new(false));
    let is_ready = Arc::clone(&ready);
    let fake = Fake::start(move |seen, _| match seen.path.as_str() {
        path if path.ends_with("/business") => json(r#"{"token":"a-token"}"#),
        _ if seen.body.contains("fl-1\"") && is_ready.load(Ordering::Relaxed) => {
            json(r#"{"flow_id":"fl-1","reasons":[]}"#)
        }
        _ => crate::fake::not_ready(),
    });
    let options = ["--cadence", "50ms", "--calls-per-minute", "10000", "--most-unsigned", "2"];
    let mut listening =
        Listening::start(idv(&[&["listen", "--api-url", &fake.url][..], &options[..]].concat()));
    let mut claim = |id: &str| {
        let body = format!(r#"{{"flow_id":"{id}","reasons":[]}}"#);
        assert_eq!(listening.shareid(JSON, body.as_bytes()), 200, "it is recorded all the same");
        listening.told();
    };
    claim("fl-1");
    claim("fl-2");
    claim("fl-3");
    claim("fl-4");
    pulled(&fake, "fl-1");
    pulled(&fake, "fl-2");
    // The provider's word frees a place.
    ready.store(true, Ordering::Relaxed);
    assert_eq!(listening.told()["id"], "fl-1");
    let body = br#"{"flow_id":"fl-5","reasons":[]}"#;
    assert_eq!(listening.shareid(JSON, body), 200);
    listening.told();
    pulled(&fake, "fl-5");
    for id in ["fl-3", "fl-4"] {
        assert!(!fake.seen("/fetch").iter().any(|pull| pull.body.contains(id)), "{id}");
    }
    let ran = listening.running.interrupt().exits(130);
    assert_eq!(ran.stderr.matches("raise --most-unsigned").count(), 1, "{}", ran.stderr);
}

#[test]
fn claims_that_carry_the_bearer_are_not_counted() {
    let fake = Fake::shareid(|_| crate::fake::not_ready());
    let mut command =
        idv(&["listen", "--api-url", &fake.url, "--calls-per-minute", "10000", "--most-unsigned", "1"]);
    command.env("IDV_SHAREID_CALLBACK_BEARER", "agreed");
    let mut listening = Listening::start(command);
    for id in ["fl-1", "fl-2"] {
        let body = format!(r#"{{"flow_id":"{id}","reasons":[]}}"#);
        let fields = format!("{JSON}Authorization: Bearer agreed\r\n");
        assert_eq!(listening.shareid(&fields, body.as_bytes()), 200);
        listening.told();
        pulled(&fake, id);
    }
    listening.running.interrupt().exits(130);
}
