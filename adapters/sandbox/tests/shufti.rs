//! The sandbox's Shufti Pro, from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test may fail by a panic"
)]

mod common;

use common::*;
use idv_core::evidence::{NotReady, Outcome, Verdict};
use idv_core::http::retry_after;
use idv_core::provider::Provider as _;
use idv_core::provider::TokenAnswer;
use idv_core::shufti::signature::{self, Rule, Verifier};
use idv_core::shufti::{Account, AuthMode};
use idv_sandbox::{
    AnswerFault, Config, Create, Faults, Product, Provider, Sandbox, Scenario, SignatureHeader, Step,
};
use idv_ureq::Received;
use serde_json::json;
use std::time::Duration;

fn create(sandbox: &Sandbox, reference: &str) -> Received {
    shufti(sandbox, "/", &json!({"reference": reference, "email": "a@example.com", "country": "GB", "document": {"proof": ""}}).to_string())
}

fn is_signed(received: &Received, rule: Rule) -> bool {
    let verifier = Verifier::new(rule, vec!["sandbox-secret-key".into()]).unwrap();
    let checked = received.lend(|answer| verifier.check(answer.headers, answer.body));
    matches!(checked.outcome, signature::Outcome::Valid(_))
}

#[test]
fn an_onsite_request_goes_from_pending_to_its_verdict_by_the_core_s_own_codec() {
    let sandbox = sandbox(100);
    let created = create(&sandbox, "declined-4711");
    assert_eq!(created.status, 200);
    let body = json(&created);
    assert_eq!(body["event"], "request.pending");
    assert_eq!(body["email"], "a@example.com");
    assert!(body["verification_url"].as_str().unwrap().starts_with(sandbox.shufti_url()));
    let account = account(&sandbox);
    let report = until("a verdict", || match pull(&account, "declined-4711", None).outcome {
        Outcome::Report(report) => report.verdict,
        other => panic!("{other:?}"),
    });
    assert_eq!(report, Verdict::Declined);
    let state = json(&status(&sandbox, "declined-4711"));
    assert_eq!(state["declined_codes"], json!(["SPDR06", "SPDR18"]));
    assert!(state.get("email").is_none() && state.get("proofs").is_some(), "the shape of a status answer");
}

#[test]
fn every_answer_is_signed_by_either_rule_under_either_name_over_bytes_as_php_writes_them() {
    for rule in [Rule::Before, Rule::After] {
        for signature_header in
            [SignatureHeader::Signature, SignatureHeader::SpSignature, SignatureHeader::Both]
        {
            let sandbox = Sandbox::start(Config { rule, signature_header, ..config(1_000) }).unwrap();
            let created = create(&sandbox, "accepted-1");
            until("a verdict", || {
                (sandbox.truth(Provider::Shufti, "accepted-1").unwrap()? != "request.pending").then_some(())
            });
            let state = status(&sandbox, "accepted-1");
            let raw = String::from_utf8(state.body.clone()).unwrap();
            assert!(
                raw.contains(r"Zo\u00e9") && raw.contains(r"http:\/\/127.0.0.1") && raw.is_ascii(),
                "{raw}"
            );
            let refusal = call("POST", &format!("{}/status", sandbox.shufti_url()), &[], "{}");
            for answer in [&created, &state, &refusal, &shufti(&sandbox, "/get/access/token", "")] {
                let other = if rule == Rule::Before { Rule::After } else { Rule::Before };
                assert!(is_signed(answer, rule) && !is_signed(answer, other));
                for name in ["signature", "sp_signature"] {
                    assert_eq!(header(answer, name).is_some(), signature_header.names().contains(&name));
                }
            }
        }
    }
}

#[test]
fn r16_wrong_and_missing_credentials_are_request_unauthorized_with_401() {
    let sandbox = sandbox(1);
    let url = format!("{}/status", sandbox.shufti_url());
    for headers in
        [&[][..], &[("authorization", "Basic bm9ib2R5OnNlY3JldA==")], &[("authorization", "Bearer made-up")]]
    {
        let received = call("POST", &url, headers, r#"{"reference":"whatever"}"#);
        assert_eq!(received.status, 401);
        assert_eq!(json(&received)["event"], "request.unauthorized");
        assert_eq!(json(&received)["reference"], "");
    }
    let wrong =
        Account::builder("sandbox-client-id", "other".into()).base_url(sandbox.shufti_url()).build().unwrap();
    assert_eq!(pull(&wrong, "whatever", None).outcome, Outcome::Refused);
    assert_eq!(sandbox.statistics().shufti.unauthorized, 4);
}

#[test]
fn r14_an_access_token_is_good_for_one_call_and_ten_minutes() {
    // Ten minutes take 300 ms.
    let sandbox = sandbox(2_000);
    let account = Account::builder("sandbox-client-id", "sandbox-secret-key".into())
        .base_url(sandbox.shufti_url())
        .auth(AuthMode::AccessToken)
        .build()
        .unwrap();
    sandbox.create(Create::new(Product::Shufti).id("kyc-0001")).unwrap();
    let token = || {
        let mut request = idv_core::http::Request::new();
        assert!(account.token_request(&mut request));
        let received = idv_ureq::Client::new().send(&request, idv_core::time::Span::secs(10)).unwrap();
        match received.lend(|answer| account.read_token(answer, None)) {
            TokenAnswer::Received { token, .. } => token,
            other => panic!("{other:?}"),
        }
    };
    let first = token();
    assert!(matches!(pull(&account, "kyc-0001", Some(&first)).outcome, Outcome::Report(_)));
    assert_eq!(pull(&account, "kyc-0001", Some(&first)).outcome, Outcome::Refused, "used up");
    let old = token();
    std::thread::sleep(Duration::from_millis(301));
    assert_eq!(pull(&account, "kyc-0001", Some(&old)).outcome, Outcome::Refused, "too old");
    let bearer = idv_core::http::bearer_authorization(&token());
    let url = format!("{}/get/access/token", sandbox.shufti_url());
    assert_eq!(
        call("POST", &url, &[("authorization", &bearer)], "").status,
        401,
        "tokens are issued for HTTP Basic"
    );
    let why = ["used token", "expired token", "wrong credentials"]
        .map(|why| format!("request.unauthorized: {why}"));
    assert_eq!(refusals(&sandbox), why);
}

#[test]
fn r17_an_offsite_request_brings_its_verdict_in_the_reply_or_by_callback() {
    let sandbox = sandbox(1);
    let offsite = |reference: &str, show_results: &str| {
        let body = json!({"reference": reference, "show_results": show_results, "document": {"proof": "data:image/png;base64,AAAA"}});
        json(&shufti(&sandbox, "/", &body.to_string()))["event"].clone()
    };
    assert_eq!(offsite("declined-offsite", "1"), "verification.declined");
    assert_eq!(offsite("accepted-offsite", "0"), "request.received");
    assert_eq!(offsite("pending-offsite", "1"), "request.received", "nothing is decided in this scenario");
    assert_eq!(json(&status(&sandbox, "declined-offsite"))["event"], "verification.declined");
}

#[test]
fn requests_that_make_no_sense_are_request_invalid_with_400() {
    let sandbox = sandbox(1);
    let refused = |path: &str, body: serde_json::Value| {
        let received = shufti(&sandbox, path, &body.to_string());
        assert_eq!((received.status, &json(&received)["event"]), (400, &json!("request.invalid")));
        json(&received)["error"]["key"].as_str().unwrap().to_owned()
    };
    assert_eq!(refused("/", json!({})), "reference");
    assert_eq!(refused("/", json!({"reference": "short"})), "reference");
    assert_eq!(refused("/", json!({"reference": "x".repeat(251)})), "reference");
    assert_eq!(
        refused("/", json!({"reference": "kyc-0001", "callback_url": "https://example.com/"})),
        "callback_url"
    );
    assert_eq!(refused("/", json!([])), "");
    create(&sandbox, "kyc-0001");
    assert_eq!(refused("/", json!({"reference": "kyc-0001"})), "reference");
    assert_eq!(refused("/status", json!({"reference": "unknown-1"})), "reference");
    assert_eq!(refused("/delete", json!({"reference": "kyc-0001", "comment": "no"})), "comment");
    assert_eq!(refused("/delete", json!({"reference": "unknown-1", "comment": "asked to"})), "reference");
    let account = account(&sandbox);
    assert_eq!(pull(&account, "unknown-1", None).outcome, Outcome::NotReady(NotReady::Invalid));
    assert_eq!(shufti(&sandbox, "/nothing/here", "{}").status, 404);
}

#[test]
fn a_deleted_verification_stays_deleted() {
    let sandbox = sandbox(1_000);
    let inbox = Inbox::new();
    sandbox
        .create(Create::new(Product::Shufti).id("flip-1").scenario("pending").callback(inbox.url()))
        .unwrap();
    assert_eq!(inbox.next().event(), "request.pending");
    let delete = || shufti(&sandbox, "/delete", r#"{"reference":"flip-1","comment":"asked to"}"#);
    assert_eq!(json(&delete())["event"], "request.deleted");
    assert_eq!(inbox.next().event(), "request.deleted");
    assert_eq!(delete().status, 400);
    sandbox.happen(Provider::Shufti, "flip-1", &Step::new(Duration::ZERO, "verification.accepted")).unwrap();
    assert_eq!(json(&status(&sandbox, "flip-1"))["event"], "request.deleted");
    inbox.nothing_for(Duration::from_millis(50));
}

#[test]
fn an_unfinished_request_times_out_after_an_hour_or_its_own_ttl() {
    // An hour takes 3.6 s, a minute 60 ms.
    let sandbox = sandbox(1_000);
    let begun = std::time::Instant::now();
    let body = r#"{"reference":"pending-1","ttl":5}"#;
    assert_eq!(json(&shufti(&sandbox, "/", body))["event"], "request.pending");
    until("the time-out", || {
        (json(&status(&sandbox, "pending-1"))["event"] == "request.timeout").then_some(())
    });
    assert!((Duration::from_millis(295)..Duration::from_millis(3_000)).contains(&begun.elapsed()));
}

#[test]
fn r13_over_the_limit_is_429_with_retry_after() {
    let sandbox = Sandbox::start(Config { shufti_limit: limit(5, 60), ..config(1) }).unwrap();
    for _ in 0..5 {
        assert_eq!(status(&sandbox, "unknown-1").status, 400);
    }
    let refused = status(&sandbox, "unknown-1");
    assert_eq!(refused.status, 429);
    let wait: u32 = header(&refused, "retry-after").unwrap().parse().unwrap();
    assert!((55..=60).contains(&wait), "{wait}");
    assert!(is_signed(&refused, Rule::After));
    assert_eq!(sandbox.statistics().shufti.limited, 1);
}

#[test]
fn account_reasons_and_the_page_behind_the_verification_url_answer() {
    let sandbox = sandbox(1);
    let get = |path: &str| {
        call("GET", &format!("{}{path}", sandbox.shufti_url()), &[("authorization", &basic())], "")
    };
    assert_eq!(json(&get("/account/info/"))["account"]["status"], "trial");
    assert!(json(&get("/decline/reasons/"))["decline_reasons"][0]["status_code"].is_string());
    let url = json(&create(&sandbox, "kyc-0001"))["verification_url"].as_str().unwrap().to_owned();
    assert_eq!(call("GET", &url, &[], "").status, 200);
}

#[test]
fn answers_go_wrong_in_the_order_that_the_scenario_says() {
    let mut scenario = Scenario::new(Provider::Shufti, "broken", vec![]);
    scenario.pull_faults = [
        Some(AnswerFault::Html524),
        Some(AnswerFault::ServerError),
        None,
        Some(AnswerFault::RateLimited),
        Some(AnswerFault::RateLimitedUntil),
        Some(AnswerFault::Redirect),
        Some(AnswerFault::Malformed),
        Some(AnswerFault::WrongKey),
        Some(AnswerFault::Unsigned),
    ]
    .to_vec();
    let mut truncated = Scenario::new(Provider::Shufti, "cut", vec![]);
    truncated.pull_faults = [
        AnswerFault::Truncated,
        AnswerFault::Lost,
        AnswerFault::Reset,
        AnswerFault::Unread,
        AnswerFault::SlowBody,
    ]
    .map(Some)
    .to_vec();
    let mut config = Config { scenarios: vec![scenario, truncated], ..config(1) };
    config.faults.slow_body = Duration::from_millis(80);
    let sandbox = Sandbox::start(config).unwrap();
    sandbox.create(Create::new(Product::Shufti).id("broken-1").scenario("broken")).unwrap();
    sandbox.create(Create::new(Product::Shufti).id("cut-1").scenario("cut")).unwrap();
    let statuses: Vec<_> = (0..10).map(|_| status(&sandbox, "broken-1")).collect();
    let codes: Vec<_> = statuses.iter().map(|received| received.status).collect();
    assert_eq!(codes, [524, 500, 200, 429, 429, 302, 200, 200, 200, 200]);
    assert!(statuses[0].body.starts_with(b"<html>") && header(&statuses[0], "signature").is_none());
    assert_eq!(header(&statuses[3], "retry-after"), Some("1"));
    assert!(header(&statuses[4], "retry-after").unwrap().ends_with(" GMT"));
    for limited in &statuses[3..=4] {
        let wait = limited.lend(|answer| retry_after(answer.headers, None)).unwrap();
        assert!((1_000..=3_000).contains(&wait.as_millis()), "{wait:?}");
    }
    assert!(serde_json::from_slice::<serde_json::Value>(&statuses[6].body).is_err());
    let signed: Vec<_> = statuses.iter().map(|received| is_signed(received, Rule::After)).collect();
    assert_eq!(signed, [false, false, true, false, false, false, false, false, false, true]);
    let url = format!("{}/status", sandbox.shufti_url());
    let ask = || try_call("POST", &url, &[("authorization", &basic())], r#"{"reference":"cut-1"}"#);
    assert_eq!(ask().unwrap_err().kind, idv_core::evidence::FaultKind::Truncated);
    assert_eq!(ask().unwrap_err().kind, idv_core::evidence::FaultKind::Unreachable);
    let pulls = || sandbox.statistics().shufti.pulls;
    for (fault, effect) in [("reset", 1), ("unread", 0)] {
        let before = pulls();
        let failure = ask().unwrap_err();
        assert_eq!(failure.kind, idv_core::evidence::FaultKind::Unreachable, "{fault}");
        assert!(failure.to_string().contains("reset"), "{fault}: {failure}");
        assert_eq!(pulls() - before, effect, "{fault}");
    }
    let begun = std::time::Instant::now();
    assert_eq!(ask().unwrap().status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(80));
    assert_eq!(sandbox.statistics().shufti.faults, 13);
}

#[test]
fn over_tls_it_answers_clients_that_trust_it() {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let tls =
        idv_sandbox::Tls { chain: cert.pem().into_bytes(), key: signing_key.serialize_pem().as_str().into() };
    let sandbox = Sandbox::start(Config { tls: Some(tls), ..config(1) }).unwrap();
    assert!(sandbox.shufti_url().starts_with("https://"));
    let account = account(&sandbox);
    sandbox.create(Create::new(Product::Shufti).id("kyc-0001")).unwrap();
    let mut request = idv_core::http::Request::new();
    account.pull_request("kyc-0001", None, &mut request);
    let options =
        idv_ureq::transport::Options { roots_pem: Some(cert.pem().into_bytes()), ..Default::default() };
    let client = idv_ureq::Client::with_options(&options).unwrap();
    let received = client.send(&request, idv_core::time::Span::secs(10)).unwrap();
    assert!(is_signed(&received, Rule::After));
    let stranger = idv_ureq::Client::new().send(&request, idv_core::time::Span::secs(10)).unwrap_err();
    assert_eq!(stranger.kind, idv_core::evidence::FaultKind::Tls);
}

#[test]
fn a_caller_chooses_the_scenario_by_a_header_field() {
    let sandbox = sandbox(1_000);
    let url = format!("{}/", sandbox.shufti_url());
    let basic = basic();
    let open = |reference: &str, scenario: &str| {
        let headers = [("authorization", basic.as_str()), ("idv-scenario", scenario)];
        call("POST", &url, &headers, &json!({ "reference": reference }).to_string()).status
    };
    assert_eq!(open("accepted-1", "cancelled"), 200);
    assert_eq!(open("accepted-2", "no-such-scenario"), 400);
    until("the cancellation", || {
        (json(&status(&sandbox, "accepted-1"))["event"] == "verification.cancelled").then_some(())
    });
}

#[test]
fn random_faults_strike_answers_and_tokens_as_often_as_asked() {
    let faults = Faults { answer_percent: 100, slow_body: Duration::from_millis(1), ..Faults::default() };
    let sandbox = Sandbox::start(Config { faults, ..config(1) }).unwrap();
    sandbox.create(Create::new(Product::Shufti).id("kyc-0001")).unwrap();
    let url = format!("{}/status", sandbox.shufti_url());
    for _ in 0..20 {
        let _ = try_call("POST", &url, &[("authorization", &basic())], r#"{"reference":"kyc-0001"}"#);
    }
    assert_eq!(sandbox.statistics().shufti.faults, 20);
    drop(sandbox);
    // Ten minutes take 600 ms; a token that dies early lives at most nine tenths of that.
    let faults = Faults { token_percent: 100, ..Faults::default() };
    let sandbox = Sandbox::start(Config { faults, ..config(1_000) }).unwrap();
    let token = json(&shufti(&sandbox, "/get/access/token", ""))["access_token"].as_str().unwrap().to_owned();
    std::thread::sleep(Duration::from_millis(545));
    let bearer = format!("Bearer {token}");
    assert_eq!(
        call("POST", &format!("{}/status", sandbox.shufti_url()), &[("authorization", &bearer)], "{}").status,
        401
    );
}
