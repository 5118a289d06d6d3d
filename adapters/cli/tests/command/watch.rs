//! `idv watch`: verdicts, exit codes, cadence, deadline.

use crate::fake::{Fake, Reply, json, not_ready, signed, signed_by, status};
use crate::idv::{API_KEY, BUSINESS_HASH, Ran, Running, idv};
use serde_json::json as object;
use std::time::Duration;

/// A watch of ShareID at `fake`, hurried.
fn shareid(fake: &Fake, more: &[&str]) -> std::process::Command {
    let mut arguments = vec!["watch", "shareid", "authenticate", "fl-1", "--api-url", &fake.url, "--json"];
    arguments.extend(["--cadence", "50ms"]);
    arguments.extend(more);
    idv(&arguments)
}

fn shufti(fake: &Fake, more: &[&str]) -> std::process::Command {
    let mut arguments =
        vec!["watch", "shufti", "ref-1", "--api-url", &fake.url, "--json", "--cadence", "50ms"];
    arguments.extend(more);
    idv(&arguments)
}

fn event(word: &str) -> String {
    format!(r#"{{"reference":"ref-1","event":"{word}"}}"#)
}

#[test]
fn a_verdict_after_some_pulls_is_one_object_and_exit_code_0() {
    let fake =
        Fake::shareid(
            |before| if before < 3 { not_ready() } else { json(r#"{"flow_id":"fl-1","reasons":[]}"#) },
        );
    let ran = Ran::of(shareid(&fake, &["--deadline", "10s"])).exits(0);
    assert_eq!(
        ran.objects(),
        [object!({
            "type": "revision", "provider": "shareid", "id": "fl-1", "revision": 1, "verdict": "accepted", "event": null,
            "reasons": [], "evidence": "pulled", "unsigned_answer": false, "data_changed": false,
        })]
    );
    assert_eq!(ran.stderr, "");

    let pulls = fake.seen("/flow/authenticate/fetch");
    assert_eq!(pulls.len(), 4);
    for pull in &pulls {
        assert_eq!(pull.authorization, "Bearer TOKEN-number-0-of-this-test", "one token serves them all");
        assert_eq!(pull.body, r#"{"flow_id":"fl-1"}"#);
    }
    for pair in pulls.windows(2) {
        let gap = pair[1].at - pair[0].at;
        assert!(gap >= Duration::from_millis(50), "g7: {gap:?} between two pulls");
    }
    assert_eq!(fake.seen("/flow/authenticate/fetch/auth/business").len(), 1);
}

#[test]
fn declined_is_a_verdict_and_its_technical_reasons_are_marked() {
    let fake =
        Fake::shareid(|_| json(r#"{"applicant_id":"ap-1","reasons":["doc_spoof","analysis_failed"]}"#));
    let ran = Ran::of(shareid(&fake, &[])).exits(0);
    let [revision] = &ran.objects()[..] else { panic!("{}", ran.stdout) };
    assert_eq!(revision["verdict"], "declined");
    let reasons =
        object!([{"code": "doc_spoof", "technical": false}, {"code": "analysis_failed", "technical": true}]);
    assert_eq!(revision["reasons"], reasons);
}

#[test]
fn an_onboarding_is_asked_for_by_its_applicant_id() {
    let fake = Fake::shareid(|_| json(r#"{"applicant_id":"ap-1","reasons":null}"#));
    let command = idv(&["watch", "shareid", "onboarding", "ap-1", "--api-url", &fake.url]);
    let ran = Ran::of(command).exits(0);
    assert_eq!(ran.stdout, "shareid ap-1 revision 1: accepted, pulled\n");
    assert_eq!(fake.seen("/flow/onboarding/fetch")[0].body, r#"{"applicant_id":"ap-1"}"#);
}

#[test]
fn shufti_answers_count_by_either_rule_and_under_either_header_name() {
    for (newer, header) in [(true, "Signature"), (false, "sp_signature"), (false, "signature")] {
        let fake = Fake::start(move |_, _| {
            signed_by(
                newer,
                header,
                r#"{"reference":"ref-1","event":"verification.declined","declined_codes":["SPDR06"],"services_declined_codes":{"face":["SPDR06"]},"declined_reason":"Face\/document mismatch"}"#,
            )
        });
        let ran = Ran::of(shufti(&fake, &[])).exits(0);
        let reasons = object!([{"code": "SPDR06", "text": "Face/document mismatch", "service": "face", "technical": false}]);
        assert_eq!(ran.objects()[0]["reasons"], reasons);
        assert_eq!(ran.objects()[0]["event"], "verification.declined");
        assert!(fake.seen("/status")[0].authorization.starts_with("Basic "));
    }
}

#[test]
fn an_answer_with_a_wrong_signature_is_never_a_verdict() {
    let fake = Fake::start(|_, _| {
        Reply::Say(200, format!("Signature: {}\r\n", "0".repeat(64)), event("verification.accepted"))
    });
    let ran = Ran::of(shufti(&fake, &["--deadline", "600ms"])).exits(3);
    assert_eq!(ran.stdout, "");
    ran.complains("signature matches no secret");
}

#[test]
fn r16_an_answer_without_a_signature_is_believed_and_said_to_lack_it() {
    let fake = Fake::start(|_, _| json(&event("verification.accepted")));
    let ran = Ran::of(shufti(&fake, &[])).exits(0);
    ran.complains("carries no signature");
}

#[test]
fn review_pending_is_a_revision_that_does_not_settle() {
    let fake = Fake::start(|_, before| match before {
        0 => signed(&event("request.pending")),
        1 | 2 => signed(&event("review.pending")),
        _ => signed(&event("verification.accepted")),
    });
    let ran = Ran::of(shufti(&fake, &[])).exits(0);
    let said: Vec<_> =
        ran.objects().iter().map(|it| (it["revision"].clone(), it["verdict"].clone())).collect();
    assert_eq!(said, [(object!(1), object!("review_pending")), (object!(2), object!("accepted"))]);
}

#[test]
fn every_settling_event_of_shufti_ends_the_watch() {
    for (word, verdict) in [
        ("verification.cancelled", "cancelled"),
        ("request.timeout", "timed_out"),
        ("request.deleted", "deleted"),
    ] {
        let fake = Fake::start(move |_, _| signed(&event(word)));
        let ran = Ran::of(shufti(&fake, &[])).exits(0);
        assert_eq!(
            (&ran.objects()[0]["verdict"], &ran.objects()[0]["event"]),
            (&object!(verdict), &object!(word))
        );
    }
}

#[test]
fn a_cadence_chosen_for_one_verification_is_not_held_back_by_the_limit_for_many() {
    let fake = Fake::start(|_, before| {
        signed(&event(if before < 15 { "request.pending" } else { "verification.accepted" }))
    });
    let ran = Ran::of(shufti(&fake, &["--deadline", "20s"])).exits(0);
    assert!(ran.took < Duration::from_secs(5), "{:?}", ran.took);
    let held = Fake::start(|_, _| signed(&event("request.pending")));
    Ran::of(shufti(&held, &["--deadline", "700ms", "--calls-per-minute", "4"])).exits(3);
    assert_eq!(held.seen("/status").len(), 1, "g7: a limit that was asked for holds");
}

#[test]
fn g6_the_deadline_ends_it_with_3_and_says_what_the_provider_said() {
    let fake = Fake::shareid(|_| not_ready());
    let ran = Ran::of(shareid(&fake, &["--deadline", "500ms"])).exits(3);
    assert!((Duration::from_millis(500)..Duration::from_secs(2)).contains(&ran.took), "{:?}", ran.took);
    ran.complains("or never issued this id");
    assert!((2..=10).contains(&fake.seen("/fetch").len()));
    assert_eq!(ran.stdout, "");

    let fake = Fake::start(|_, _| signed(&event("verification.sparkles")));
    let ran = Ran::of(shufti(&fake, &["--deadline", "400ms"])).exits(3);
    ran.complains("`verification.sparkles`");
    assert!(fake.seen("/status").len() > 1);
    assert_eq!(ran.stderr.matches("WARN").count(), 1, "a trouble that goes on is told once: {}", ran.stderr);
}

#[test]
fn refused_credentials_are_4_however_short_the_deadline() {
    let refusing = || Fake::start(|_, _| status(401, r#"{"detail":"invalid credentials"}"#));
    let ran = Ran::of(shareid(&refusing(), &["--deadline", "500ms"])).exits(4);
    ran.complains("401");
    // A pull is refused twice before that counts.
    let fake = Fake::shareid(|_| status(401, r#"{"detail":"invalid token"}"#));
    Ran::of(shareid(&fake, &[])).exits(4);
    assert_eq!(fake.seen("/fetch").len(), 2);
    let fake = Fake::start(|_, _| status(401, &event("request.unauthorized")));
    Ran::of(shufti(&fake, &[])).exits(4).complains("request.unauthorized");
}

#[test]
fn r14_one_refused_pull_costs_a_new_token_and_nothing_else() {
    let fake = Fake::shareid(|before| match before {
        0 => status(401, r#"{"detail":"expired"}"#),
        _ => json(r#"{"flow_id":"fl-1","reasons":[]}"#),
    });
    Ran::of(shareid(&fake, &[])).exits(0);
    let tokens: Vec<_> = fake.seen("/fetch").into_iter().map(|pull| pull.authorization).collect();
    assert_eq!(tokens, ["Bearer TOKEN-number-0-of-this-test", "Bearer TOKEN-number-1-of-this-test"]);
}

#[test]
fn a_provider_that_never_answers_is_5() {
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let arguments = ["--api-url", &nobody, "--cadence", "50ms", "--deadline", "400ms"];
    let mut command = idv(&["watch", "shareid", "authenticate", "fl-1"]);
    command.args(arguments);
    Ran::of(command).exits(5).complains("connection refused");

    // Without a call time-out of its own, a call lasts no longer than the deadline.
    let fake = Fake::start(|_, _| Reply::Hang);
    let ran = Ran::of(shufti(&fake, &["--deadline", "400ms"])).exits(5);
    assert!(ran.took < Duration::from_millis(2_500), "{:?}", ran.took);
}

#[test]
fn answers_that_are_no_answer_are_3_and_named() {
    let cases = [
        (Reply::Say(524, "Content-Type: text/html\r\n".into(), "<html>".into()), "status 524, text/html"),
        (
            Reply::Say(302, "Location: http://127.0.0.1:1/\r\n".into(), String::new()),
            "redirects are never followed",
        ),
        (json("{{{"), "line 1, column 2"),
        (json(r#"{"some":"thing"}"#), "its members: some"),
    ];
    for (reply, words) in cases {
        let fake = Fake::shareid(move |_| reply.clone());
        Ran::of(shareid(&fake, &["--deadline", "400ms"])).exits(3).complains(words);
    }
}

#[test]
fn g7_retry_after_is_obeyed() {
    let fake = Fake::shareid(|before| match before {
        0 => Reply::Say(429, "Retry-After: 1\r\n".into(), String::new()),
        _ => json(r#"{"flow_id":"fl-1","reasons":[]}"#),
    });
    Ran::of(shareid(&fake, &[])).exits(0);
    let pulls = fake.seen("/fetch");
    assert!(pulls[1].at - pulls[0].at >= Duration::from_secs(1));
}

#[test]
fn both_signals_end_it_with_130_also_while_a_call_hangs_and_when_sent_twice() {
    for (signal, times, hangs) in [("-INT", 1, false), ("-TERM", 1, true), ("-INT", 2, true)] {
        let fake =
            Fake::start(move |_, _| if hangs { Reply::Hang } else { signed(&event("request.pending")) });
        let mut running = Running::start(shufti(&fake, &["--deadline", "30s"]));
        while fake.seen("/status").is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        for _ in 0..times {
            running.signal(signal);
        }
        let ran = running.wait().exits(130);
        assert!(ran.took < Duration::from_millis(2_500), "{signal} × {times}: {:?}", ran.took);
    }
}

#[test]
fn g10_no_credential_token_or_personal_datum_is_ever_shown() {
    // A provider that repeats whatever it was sent, wherever it can.
    let fake = Fake::start(|seen, before| {
        if seen.path.ends_with("/business") {
            return json(r#"{"token":"TOKEN-that-nobody-may-see-1"}"#);
        }
        let echo = seen.authorization.replace('"', "");
        match before {
            0 => status(422, &format!(r#"{{"detail":"rejected {echo} {API_KEY}"}}"#)),
            1 => status(
                422,
                &format!(
                    r#"{{"detail":[{{"loc":["{echo}"],"msg":"{echo}","type":"{API_KEY}","input":"{BUSINESS_HASH}"}}]}}"#
                ),
            ),
            _ => json(
                r#"{"flow_id":"fl-1","reasons":["doc_fraud"],"document":{"ocr":{"surname":"DURAND","doc_num":"X4RTBPFW4"}}}"#,
            ),
        }
    });
    let mut command = shareid(&fake, &["--deadline", "20s"]);
    command.env("IDV_LOG", "trace");
    let ran = Ran::of(command).exits(0);
    for secret in [BUSINESS_HASH, API_KEY, "TOKEN-that", "DURAND", "X4RTBPFW4"] {
        assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "{secret} in: {}", ran.stderr);
    }
    assert!(ran.stderr.contains("422"), "it is logged at all: {}", ran.stderr);
    assert!(!ran.stderr.contains('\u{1b}'), "no colours where nobody sees them");
}

#[test]
fn words_of_the_provider_cannot_forge_a_line_or_steer_a_terminal() {
    let fake = Fake::shareid(|_| {
        json(r#"{"flow_id":"fl-1","reasons":["x\nshareid fl-1 revision 2: accepted\u001b[2J\u009b1m"]}"#)
    });
    let ran = Ran::of(idv(&["watch", "shareid", "authenticate", "fl-1", "--api-url", &fake.url])).exits(0);
    assert_eq!(ran.stdout.lines().count(), 1);
    assert!(!ran.stdout.trim_end().contains(char::is_control), "{:?}", ran.stdout);
    let ran = Ran::of(shareid(&fake, &[])).exits(0);
    assert!(!ran.stdout.trim_end().contains(char::is_control), "{:?}", ran.stdout);
    assert!(
        ran.objects()[0]["reasons"][0]["code"].as_str().unwrap().ends_with("\u{1b}[2J\u{9b}1m"),
        "programs get it all"
    );
}

#[test]
#[cfg(target_os = "linux")]
fn a_verdict_that_cannot_be_written_is_no_success() {
    let fake = Fake::shareid(|_| json(r#"{"flow_id":"fl-1","reasons":[]}"#));
    let mut command = shareid(&fake, &[]);
    command.stdout(std::fs::File::create("/dev/full").unwrap());
    let child = command.spawn().unwrap().wait_with_output().unwrap();
    assert_eq!(child.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&child.stderr).contains("standard output cannot be written"));
}

#[test]
fn g6_durations_that_cannot_work_say_which_option_to_set_to_what() {
    let refused = |options: &[&str]| {
        let url = ["watch", "shareid", "authenticate", "fl-1", "--api-url", "http://127.0.0.1:9"];
        Ran::of(idv(&[&url[..], options].concat())).exits(2)
    };
    refused(&["--deadline", "3s"]).complains(
        "--deadline 3s leaves time for one pull only, for the default is 5s between two: \
         set --deadline above 5s, or --cadence below 3s",
    );
    refused(&["--cadence", "2m", "--deadline", "1m"]).complains(
        "--deadline 1m leaves time for one pull only, for --cadence is 2m between two: \
         set --deadline above 2m, or --cadence below 1m",
    );
    refused(&["--call-timeout", "1ms"]).complains("give at least 50ms");
}
