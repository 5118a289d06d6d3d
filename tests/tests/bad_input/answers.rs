//! Answers to pulls and token requests. Each row is the first answer about a verification of its own; the second one is in order.

use crate::{MALFORMED, PERSONAL, accepted, discreet, document, nested, signature, signed};
use idv_core::evidence::{Evidence, FaultKind, NotReady, Outcome, Verdict};
use idv_core::rules::Rules;
use idv_core::session::End;
use idv_core::shareid::Flow;
use idv_core::time::Span;
use idv_tests::driving::{Application, account, quick, shareid_at, shufti_at};
use idv_tests::wire::{Peer, Said, Script};
use idv_ureq::transport::Options;
use idv_ureq::{Account, Client, Event};
use std::collections::BTreeMap;

/// What the first answer is to the session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Means {
    /// It is the verdict, and the only answer that is needed.
    Verdict,
    /// It states something, but no verdict.
    NoVerdict,
    NotReady(NotReady),
    Refused,
    Failed(FaultKind),
}

use Means::Failed;

struct Row {
    id: String,
    first: Said,
    means: Means,
    words: Vec<&'static str>,
}

fn row(id: &str, first: Said, means: Means, words: &[&'static str]) -> Row {
    Row { id: id.to_owned(), first, means, words: words.to_vec() }
}

/// The largest answer that the client of these tests reads.
const CAP: u64 = 1 << 20;

fn client() -> Client {
    Client::with_options(&Options { body_cap: CAP, ..Options::default() }).unwrap()
}

/// Opens a verification for every row and waits for all their verdicts.
fn each_is_explained_and_survived(account: Account, rows: &[Row], peer: &Peer) {
    let (application, account) = Application::start(|builder| {
        builder.transport(client());
        builder.account(account)
    });
    let mut any = None;
    for Row { id, .. } in rows {
        any = Some(application.driver.open(account, id).unwrap());
    }
    let mut first = BTreeMap::new();
    while first.len() < rows.len() {
        let (id, told) = application.event(|event| match event {
            Event::Pulled { id, op: 1, outcome, reached, diagnosis, .. } => {
                Some((id.to_string(), (outcome, reached, diagnosis)))
            }
            _ => None,
        });
        first.insert(id, told);
    }
    for Row { id, means, words, .. } in rows {
        let (outcome, reached, diagnosis) = &first[id];
        let found = match outcome {
            Outcome::Report(report) if report.verdict.is_some() => Means::Verdict,
            Outcome::Report(_) => Means::NoVerdict,
            Outcome::NotReady(cause) => Means::NotReady(*cause),
            Outcome::Refused => Means::Refused,
            Outcome::Failed(fault) => Failed(fault.kind),
        };
        assert_eq!(found, *means, "{id}: {diagnosis:?}");
        let broken_off = [FaultKind::Truncated, FaultKind::Unreachable].map(Failed).contains(means);
        let no_http = id == "not-http";
        assert_eq!(*reached, !broken_off && !no_http, "{id}");
        let diagnosis = diagnosis.as_deref().unwrap_or_default();
        assert_eq!(diagnosis.is_empty(), words.is_empty(), "{id}: {diagnosis}");
        for word in words {
            assert!(diagnosis.contains(word), "{id}: `{word}` is not in: {diagnosis}");
        }
        discreet(diagnosis);
    }
    // Past the first back-off, well within the patience for a call.
    application.leap(Span::secs(5), any.unwrap());
    let mut verdicts = BTreeMap::new();
    while verdicts.len() < rows.len() {
        let revision = application.revision();
        assert_eq!((revision.number, revision.verdict), (1, Verdict::Accepted), "{revision:?}");
        assert_eq!(revision.evidence, Evidence::Pulled);
        assert!(verdicts.insert(revision.id.to_string(), ()).is_none(), "twice: {revision:?}");
    }
    for Row { id, means, .. } in rows {
        let asked = if *means == Means::Verdict { 1 } else { 2 };
        assert_eq!(peer.asked_about(id), asked, "{id}");
    }
}

fn large(members: &str) -> Vec<u8> {
    let mut body = format!("{{{members},\"x\":\"").into_bytes();
    body.resize(usize::try_from(CAP).unwrap() - 1, b'x');
    body.extend_from_slice(b"\"}");
    body
}

#[test]
fn g1_every_bad_answer_of_shufti_is_explained_and_the_verdict_arrives() {
    let elsewhere = Script::default().serve();
    let moved = elsewhere.url();
    let html = format!("<html><body>{PERSONAL} 524</body></html>");
    let with_bytes = |id: &str, name: &[u8]| {
        let start = format!(r#"{{"reference":"{id}","event":"verification.accepted","email":""#);
        signed(200, [start.as_bytes(), name, b"\"}"].concat())
    };
    let with_mark = [b"\xef\xbb\xbf", document("mark", "verification.accepted").as_bytes()].concat();
    let after_mark = with_mark.strip_prefix(b"\xef\xbb\xbf").unwrap();
    let forged = [("content-type", "application/json"), ("signature", &signature(b"another body"))];
    let [one, two, _] = MALFORMED;
    let malformed = Failed(FaultKind::Malformed);
    let mut rows = vec![
        row(one.0, signed(200, one.1), malformed, &["at line 85, column 1", one.4]),
        row(two.0, signed(200, two.1), malformed, &["at line 31, column 1", two.4]),
        // Refusals are believed in any form: nothing else explains them better.
        row("refused", signed(401, MALFORMED[2].1), Means::Refused, &["request.unauthorized", "status 401"]),
        row(
            "list",
            signed(200, "[1]"),
            malformed,
            &["expected a JSON object, found an array", "line 1, column"],
        ),
        row("null", signed(200, "null"), malformed, &["expected a JSON object, found null"]),
        row(
            "event-type",
            signed(200, r#"{"reference":"event-type","event":{"Zaphod-7":1}}"#),
            malformed,
            &["no `event`"],
        ),
        row(
            "reference-type",
            signed(200, r#"{"reference":["x"],"event":"verification.accepted"}"#),
            malformed,
            &["no `reference`"],
        ),
        row(
            "no-reference",
            signed(200, r#"{"event":"verification.accepted"}"#),
            malformed,
            &["no `reference`"],
        ),
        row("another", accepted("Zaphod-7"), malformed, &["about another `reference`"]),
        row(
            "event-twice",
            signed(
                200,
                r#"{"reference":"event-twice","event":"verification.declined","event":"verification.accepted"}"#,
            ),
            malformed,
            &["`event` appears twice, expected it once", "at line 1, column 60"],
        ),
        row(
            "reference-twice",
            signed(200, r#"{"reference":"reference-twice","reference":"x","event":"verification.accepted"}"#),
            malformed,
            &["`reference` appears twice"],
        ),
        row(
            "odd-event",
            signed(200, document("odd-event", "Zaphod-7 Beeblebrox")),
            Means::NoVerdict,
            &["event"],
        ),
        row(
            "unknown-event",
            signed(200, document("unknown-event", "verification.pondered")),
            Means::NoVerdict,
            &["the event `verification.pondered` is none that we know", "settles nothing"],
        ),
        row(
            "deep",
            signed(200, nested(r#""reference":"deep","event":"verification.accepted""#)),
            malformed,
            &["nested deeper than the 127 levels", "line 1, column"],
        ),
        row("mark", signed(200, &with_mark), Means::Verdict, &[]),
        row(
            "mark-after",
            Said::new(200, &[("signature", &signature(after_mark))], &with_mark),
            Failed(FaultKind::BadSignature),
            &["matches no secret"],
        ),
        row("bytes", with_bytes("bytes", b"Zaphod-7 \xff\xc3\x28"), Means::Verdict, &["not UTF-8"]),
        row(
            "bytes-outside",
            signed(200, b"\xff\xfe{\"reference\":1}"),
            malformed,
            &["expected a JSON value", "line 1, column 1"],
        ),
        row("empty", signed(200, ""), Failed(FaultKind::BadSignature), &["empty body"]),
        row(
            "empty-unsigned",
            Said::new(200, &[], b""),
            malformed,
            &["the body is empty, expected a JSON object"],
        ),
        row(
            "announced",
            signed(200, large(r#""reference":"announced""#)),
            Failed(FaultKind::Truncated),
            &["larger than the cap of 1048576 bytes"],
        ),
        row(
            "in-chunks",
            Said::chunked(&large(r#""reference":"in-chunks""#)),
            Failed(FaultKind::Truncated),
            &["larger than the cap of 1048576 bytes"],
        ),
        row(
            "html",
            Said::new(524, &[("content-type", "text/html; charset=UTF-8")], html.as_bytes()),
            Failed(FaultKind::ServerError),
            &["status 524, text/html"],
        ),
        row(
            "html-200",
            Said::new(200, &[("content-type", "text/html")], html.as_bytes()),
            malformed,
            &["expected a JSON value", "text/html"],
        ),
        row(
            "moved",
            Said::new(302, &[("location", &moved)], b""),
            Failed(FaultKind::Redirect),
            &["status 302", "redirects are never followed: check scheme, host and path"],
        ),
        row(
            "cut",
            accepted("cut").without_the_last(9),
            Failed(FaultKind::Truncated),
            &["127.0.0.1:", "the connection ended before the answer's body did"],
        ),
        row(
            "cut-head",
            Said::raw(b"HTTP/1.1 200 OK\r\ncontent-le"),
            Failed(FaultKind::Unreachable),
            &["127.0.0.1:", "closed before an answer"],
        ),
        row(
            "not-http",
            Said::raw(b"220 smtp.example.org ready\r\n\r\n"),
            malformed,
            &["127.0.0.1:", "not proper HTTP/1.1"],
        ),
        row(
            "forged",
            Said::new(200, &forged, document("forged", "verification.declined").as_bytes()),
            Failed(FaultKind::BadSignature),
            &["signature matches no secret"],
        ),
        row("unsigned", Said::json(200, document("unsigned", "verification.accepted")), Means::Verdict, &[]),
        row(
            "compressed",
            Said::new(200, &[("content-encoding", "gzip")], b"\x1f\x8b\x08"),
            malformed,
            &["compressed with gzip against our request"],
        ),
        row(
            "invalid",
            signed(
                400,
                r#"{"reference":"invalid","event":"request.invalid","error":{"service":"","key":"reference","message":"Zaphod-7"}}"#,
            ),
            Means::NotReady(NotReady::Invalid),
            &["request.invalid: `reference`"],
        ),
        row(
            "not-found",
            Said::json(404, "{}"),
            Means::NotReady(NotReady::NotFound),
            &["status 404", "check the API URL"],
        ),
        row("teapot", Said::json(418, "{}"), Failed(FaultKind::UnexpectedStatus), &["status 418"]),
    ];
    rows.extend([500, 502, 503].map(|status| {
        row(
            &format!("status-{status}"),
            Said::json(status, &html),
            Failed(FaultKind::ServerError),
            &["no result by its status"],
        )
    }));
    let script = Script::default();
    for Row { id, first, .. } in &rows {
        script.set(id, [first.clone(), accepted(id)]);
    }
    let peer = script.serve();
    let provider = shufti_at(&peer.url());
    let rules = quick(&provider);
    each_is_explained_and_survived(account(provider, &rules), &rows, &peer);
    assert!(elsewhere.asked().is_empty(), "a redirect was followed");
}

fn token() -> Said {
    Said::json(200, r#"{"token":"tok-secret"}"#)
}

fn result(id: &str) -> Said {
    Said::json(200, format!(r#"{{"flow_id":"{id}","reasons":[]}}"#))
}

#[test]
fn g1_every_bad_answer_of_shareid_is_explained_and_the_verdict_arrives() {
    let malformed = Failed(FaultKind::Malformed);
    let says =
        |id: &str, body: &str, means, words: &[&'static str]| row(id, Said::json(200, body), means, words);
    let rows = vec![
        says(
            "cut-off",
            r#"{"flow_id":"cut-off","reasons":["#,
            malformed,
            &["EOF while parsing", "line 1, column"],
        ),
        says("list", r#"["Zaphod-7"]"#, malformed, &["expected a JSON object, found an array"]),
        says(
            "reasons-text",
            r#"{"reasons":""}"#,
            malformed,
            &["`reasons` is an empty string, expected a list"],
        ),
        says("reasons-object", r#"{"reasons":{}}"#, malformed, &["`reasons` is", "expected a list"]),
        says("reasons-number", r#"{"reasons":7}"#, malformed, &["`reasons` is a number, expected a list"]),
        says(
            "reasons-nulls",
            r#"{"reasons":[null]}"#,
            malformed,
            &["`reasons` is a list without any text in it"],
        ),
        says(
            "reasons-twice",
            r#"{"reasons":["doc_spoof"],"reasons":[]}"#,
            malformed,
            &["`reasons` appears twice"],
        ),
        says(
            "no-reasons",
            r#"{"flow_id":"no-reasons","person":"Zaphod-7"}"#,
            malformed,
            &["`reasons`", "its members: flow_id person"],
        ),
        says("another", r#"{"flow_id":"Zaphod-7","reasons":[]}"#, malformed, &["another `flow_id`"]),
        says("both", r#"{"reasons":[],"detail":"Zaphod-7"}"#, malformed, &["both `reasons` and `detail`"]),
        says("deep", &nested(r#""reasons":[]"#), malformed, &["nested deeper than the 127 levels"]),
        says("mark", "\u{feff}{\"reasons\":[]}", Means::Verdict, &[]),
        row("bytes", Said::json(200, b"{\"reasons\":[],\"name\":\"\xff\"}"), Means::Verdict, &[]),
        says("empty", "", malformed, &["the body is empty, expected a JSON object"]),
        row(
            "announced",
            Said::json(200, large(r#""reasons":[]"#)),
            Failed(FaultKind::Truncated),
            &["larger than the cap of 1048576 bytes"],
        ),
        row(
            "html",
            Said::new(524, &[("content-type", "text/html")], b"<html>Zaphod-7"),
            Failed(FaultKind::ServerError),
            &["status 524, text/html"],
        ),
        row(
            "moved",
            Said::new(307, &[("location", "/x")], b""),
            Failed(FaultKind::Redirect),
            &["never followed"],
        ),
        row(
            "cut",
            result("cut").without_the_last(2),
            Failed(FaultKind::Truncated),
            &["ended before the answer's body did"],
        ),
        row(
            "other-words",
            Said::json(200, r#"{"detail":"try later tok-secret9"}"#),
            malformed,
            &["`detail`", "not shown"],
        ),
        row(
            "unprocessable",
            Said::json(422, r#"{"detail":[{"loc":["body","flow_id"],"msg":"Zaphod-7","type":"missing"}]}"#),
            Failed(FaultKind::UnexpectedStatus),
            &["body.flow_id missing", "does not accept our request"],
        ),
    ];
    let script = Script::default();
    script.set("token", [token()]);
    for Row { id, first, .. } in &rows {
        script.set(id, [first.clone(), result(id)]);
    }
    let peer = script.serve();
    let provider = shareid_at(&peer.url(), Flow::Authenticate);
    let rules = quick(&provider);
    each_is_explained_and_survived(account(provider, &rules), &rows, &peer);
}

#[test]
fn g1_token_answers_without_a_token_are_explained_and_the_verdict_arrives() {
    let rows: [(Said, &[&str]); 10] = [
        (
            Said::json(200, r#"{"access":"tok-secret"}"#),
            &["the answer has no `token`; its members: access", "status 200"],
        ),
        (Said::json(200, r#"{"token":["tok-secret"]}"#), &["`token` is not a text, or is empty"]),
        (Said::json(200, r#"{"token":""}"#), &["`token` is not a text, or is empty"]),
        (
            Said::json(200, r#"{"token":"tok-secret\r\nx: y"}"#),
            &["characters that no header field can carry"],
        ),
        (
            Said::json(200, "{\"token\":\n\"tok-secret\",}"),
            &["expected a member name", "at line 2, column 14"],
        ),
        (Said::json(200, "[]"), &["expected a JSON object, found an array"]),
        (Said::new(200, &[], b""), &["the body is empty"]),
        (Said::new(524, &[("content-type", "text/html")], b"<html>tok-secret"), &["status 524, text/html"]),
        (Said::new(301, &[("location", "/x")], b""), &["never followed"]),
        (token().without_the_last(3), &["ended before the answer's body did"]),
    ];
    let script = Script::default();
    script.set("token", rows.iter().map(|(said, _)| said.clone()).chain([token()]));
    script.set("flow-1", [result("flow-1")]);
    let peer = script.serve();
    let provider = shareid_at(&peer.url(), Flow::Authenticate);
    let rules = quick(&provider);
    let (application, account) = Application::start(|builder| builder.account(account(provider, &rules)));
    let verification = application.driver.open(account, "flow-1").unwrap();
    for (_, words) in rows {
        let diagnosis = application.event(|event| match event {
            Event::NoToken { refused, diagnosis, .. } => {
                assert!(!refused, "{diagnosis:?}");
                diagnosis
            }
            _ => None,
        });
        for word in words {
            assert!(diagnosis.contains(word), "`{word}` is not in: {diagnosis}");
        }
        discreet(&diagnosis);
        let status = application.driver.status(verification).unwrap().unwrap();
        assert_eq!(status.diagnosis.as_deref(), Some(diagnosis.as_str()), "the status says why it waits");
        assert!(!status.reached);
        application.leap(Span::mins(3), verification);
    }
    assert_eq!(application.revision().verdict, Verdict::Accepted);
    assert_eq!(application.driver.status(verification).unwrap().unwrap().diagnosis, None);
}

#[test]
fn r14_credentials_that_no_token_is_issued_for_end_the_session_with_the_providers_word() {
    let script = Script::default();
    script.set("token", [Said::json(401, r#"{"detail":"Invalid credentials"}"#)]);
    let peer = script.serve();
    let provider = shareid_at(&peer.url(), Flow::Onboarding);
    let rules = quick(&provider);
    let error = idv_ureq::wait(account(provider, &rules), "ap-1", &Client::new()).unwrap_err().to_string();
    assert!(error.starts_with("the provider refused the credentials: "), "{error}");
    assert!(error.contains("status 401") && error.contains("\"Invalid credentials\""), "{error}");
    discreet(&error);
    assert_eq!(peer.asked().len(), 3, "a refusal that passes is borne twice");
}

#[test]
fn r13_both_forms_of_retry_after_are_obeyed_to_the_second_and_for_all_sessions() {
    let now = 1_748_779_200; // 2025-06-01 12:00:00 UTC
    let [today, later] = ["Sun, 01 Jun 2025 12:00:00 GMT", "Sun, 01 Jun 2025 12:00:40 GMT"];
    assert_eq!(
        idv_core::http::retry_after(idv_core::http::Headers(&[("retry-after", later.as_bytes())]), Some(now)),
        Some(Span::secs(40))
    );
    for fields in [&[("retry-after", "40")][..], &[("retry-after", later), ("date", today)]] {
        let script = Script::default();
        script.set("first", [Said::new(429, fields, b""), accepted("first")]);
        script.set("second", [accepted("second")]);
        let peer = script.serve();
        let provider = shufti_at(&peer.url());
        let rules = quick(&provider);
        let (application, account) = Application::start(|builder| builder.account(account(provider, &rules)));
        let first = application.driver.open(account, "first").unwrap();
        let diagnosis = application.pull_diagnosis().unwrap();
        assert!(diagnosis.contains("status 429") && diagnosis.contains("too many calls"), "{diagnosis}");
        let second = application.driver.open(account, "second").unwrap();
        let waits = application.driver.status(first).unwrap().unwrap().next_pull.unwrap();
        assert!(waits.as_millis() > 35_000, "{waits:?}");
        for _ in 0..4 {
            application.leap(Span::secs(9), first);
            for verification in [first, second] {
                let status = application.driver.status(verification).unwrap().unwrap();
                assert!(!status.pulling, "the door is closed: {status:?}");
            }
        }
        assert_eq!(peer.asked().len(), 1);
        // A session may wait a little longer than asked, so that not all come back at once.
        application.leap(Span::secs(9), first);
        application.leap(Span::secs(9), first);
        for _ in 0..2 {
            assert_eq!(application.revision().verdict, Verdict::Accepted);
        }
    }
}

#[test]
fn g6_an_unknown_id_ends_at_its_deadline_and_says_what_the_provider_says() {
    let script = Script::default();
    script.set("token", [token()]);
    script.set("flow-unknown", [Said::json(200, r#"{"detail":"applicant not found"}"#)]);
    script.set("order-unknown", [signed(400, r#"{"reference":"","event":"request.invalid","error":{"service":"","key":"reference","message":"The selected reference is invalid."}}"#)]);
    let peer = script.serve();
    let (shareid, shufti) = (shareid_at(&peer.url(), Flow::Authenticate), shufti_at(&peer.url()));
    let (application, (shareid, shufti)) = Application::start(|builder| {
        // A leap finds no pull under way, which would be the last and say only that its time was over.
        let slow = |rules: Rules| rules.with_cadence(Span::mins(1));
        let (shareid_rules, shufti_rules) = (slow(quick(&shareid)), slow(quick(&shufti)));
        (builder.account(account(shareid, &shareid_rules)), builder.account(account(shufti, &shufti_rules)))
    });
    for (account, id, words) in [
        (shareid, "flow-unknown", &["never issued this id", "check the id"][..]),
        (shufti, "order-unknown", &["request.invalid: `reference`"]),
    ] {
        let verification = application.driver.open(account, id).unwrap();
        application.event(|event| matches!(event, Event::Pulled { op: 1, .. }).then_some(()));
        application.leap(Span::mins(74), verification);
        application.event(|event| matches!(event, Event::Pulled { op: 2, .. }).then_some(()));
        application.leap(Span::mins(2), verification);
        let (end, unconfirmed, reached, diagnosis) = application.event(|event| match event {
            Event::Ended { end, unconfirmed, reached, diagnosis, .. } => {
                Some((end, unconfirmed, reached, diagnosis))
            }
            _ => None,
        });
        assert_eq!((end, unconfirmed, reached), (End::Expired, false, true));
        let diagnosis = diagnosis.unwrap_or_default();
        for word in words {
            assert!(diagnosis.contains(word), "{id}: `{word}` is not in: {diagnosis}");
        }
    }
    assert!(application.revisions().is_empty());
}
