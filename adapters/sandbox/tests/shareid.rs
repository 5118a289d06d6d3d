//! The sandbox's ShareID, from outside.
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
use idv_core::http::{Request, bearer_authorization};
use idv_core::provider::{Provider as _, TokenAnswer};
use idv_core::secret::Secret;
use idv_core::shareid::{Account, Flow, Start, StartAuthenticate, StartOnboarding};
use idv_core::time::Span;
use idv_sandbox::{Create, Key, Product, Provider, Sandbox, Step};
use idv_ureq::Client;
use std::time::Duration;

const CREDENTIALS: &str = r#"{"business_hash":"sandbox-business-hash","api_key":"sandbox-api-key"}"#;

fn account(sandbox: &Sandbox, flow: Flow) -> Account {
    Account::new(sandbox.shareid_url(), flow, "sandbox-business-hash".into(), "sandbox-api-key".into())
        .unwrap()
}

fn token(account: &Account) -> Secret {
    let mut request = Request::new();
    assert!(account.token_request(&mut request));
    let received = Client::new().send(&request, Span::secs(10)).unwrap();
    match received.lend(|answer| account.read_token(answer, None)) {
        TokenAnswer::Received { token, .. } => token,
        other => panic!("{other:?}"),
    }
}

fn fetch(sandbox: &Sandbox, flow: Flow, token: &Secret, body: &str) -> idv_ureq::Received {
    let url = format!("{}{}", sandbox.shareid_url(), flow.fetch_path());
    call("POST", &url, &[("authorization", &bearer_authorization(token))], body)
}

#[test]
fn an_onboarding_goes_from_start_to_result_by_the_core_s_own_codec() {
    let sandbox = sandbox(100);
    let account = account(&sandbox, Flow::Onboarding);
    let inbox = Inbox::new();
    let mut request = Request::new();
    let url = inbox.url();
    let start = StartOnboarding {
        customer_data: Some(r#"{"internal_id":"2c2/é"}"#),
        callback: Some(&url),
        callback_with_document_capture: true,
        ..StartOnboarding::default()
    };
    account.start_request(&Start::Onboarding(start), &mut request).unwrap();
    let received = Client::new().send(&request, Span::secs(10)).unwrap();
    let started = received.lend(|answer| account.read_start(Flow::Onboarding, answer, None)).unwrap();
    let token = token(&account);
    assert_eq!(pull(&account, &started.id, Some(&token)).outcome, Outcome::NotReady(NotReady::Documented));
    // The token is reusable.
    let report = until("a result", || match pull(&account, &started.id, Some(&token)).outcome {
        Outcome::Report(report) => Some(report),
        Outcome::NotReady(NotReady::Documented) => None,
        other => panic!("{other:?}"),
    });
    assert_eq!(report.verdict, Some(Verdict::Accepted));
    let came = inbox.next();
    assert_eq!(came.path, "/callbacks?tx=1");
    assert_eq!(came.field("content-type"), Some("application/json"));
    assert_eq!((came.field("authorization"), came.field("signature")), (None, None));
    let body: serde_json::Value = serde_json::from_slice(&came.body).unwrap();
    assert_eq!(body["customer_data"]["internal_id"], "2c2/é");
    assert!(body["document"]["doc_front"].is_string());
    let fetched =
        json(&fetch(&sandbox, Flow::Onboarding, &token, &format!("{{\"applicant_id\":\"{}\"}}", started.id)));
    assert!(fetched.get("customer_data").is_none(), "only the callback has it");
    assert!(fetched["document"]["doc_front"].is_null());
    assert_eq!(fetched["reasons"], body["reasons"]);
}

#[test]
fn an_authentication_is_known_by_its_flow_and_names_its_applicant() {
    let sandbox = sandbox(100);
    let account = account(&sandbox, Flow::Authenticate);
    let mut request = Request::new();
    let start = Start::Authenticate(StartAuthenticate { applicant_id: "declined-jane", callback: None });
    account.start_request(&start, &mut request).unwrap();
    let received = Client::new().send(&request, Span::secs(10)).unwrap();
    let started = received.lend(|answer| account.read_start(Flow::Authenticate, answer, None)).unwrap();
    let token = token(&account);
    let answer = until("a result", || {
        let answer = pull(&account, &started.id, Some(&token));
        matches!(answer.outcome, Outcome::Report(_)).then_some(answer)
    });
    let Outcome::Report(report) = answer.outcome else { panic!() };
    assert_eq!(report.verdict, Some(Verdict::Declined), "the applicant's id chose the scenario");
    assert_eq!(answer.alias.as_deref(), Some("declined-jane"));
}

#[test]
fn not_ready_and_unknown_ids_are_200_in_the_documented_words() {
    let sandbox = sandbox(1_000);
    let id = sandbox.create(Create::new(Product::Authenticate).scenario("not-ready")).unwrap();
    until("the truth", || sandbox.truth(Provider::Shareid, &id).unwrap());
    let token = token(&account(&sandbox, Flow::Authenticate));
    let body = format!("{{\"flow_id\":\"{id}\"}}");
    for _ in 0..3 {
        let received = fetch(&sandbox, Flow::Authenticate, &token, &body);
        assert_eq!(received.status, 200);
        assert_eq!(received.body, br#"{"detail":"applicant not found"}"#);
    }
    assert_eq!(json(&fetch(&sandbox, Flow::Authenticate, &token, &body))["reasons"], serde_json::json!([]));
    let unknown = fetch(&sandbox, Flow::Authenticate, &token, r#"{"flow_id":"nobody"}"#);
    assert_eq!((unknown.status, json(&unknown)["detail"].as_str()), (200, Some("applicant not found")));
}

#[test]
fn a_token_lives_ten_minutes_for_one_flow_and_may_be_used_again_and_again() {
    // Ten minutes take 600 ms.
    let sandbox = sandbox(1_000);
    let token = token(&account(&sandbox, Flow::Onboarding));
    let body = r#"{"applicant_id":"nobody"}"#;
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_millis(400) {
        let received = fetch(&sandbox, Flow::Onboarding, &token, body);
        if begun.elapsed() < Duration::from_millis(400) {
            assert_eq!(received.status, 200);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(fetch(&sandbox, Flow::Authenticate, &token, r#"{"flow_id":"nobody"}"#).status, 401);
    std::thread::sleep(Duration::from_millis(601).saturating_sub(begun.elapsed()));
    assert_eq!(fetch(&sandbox, Flow::Onboarding, &token, body).status, 401);
    assert_eq!(sandbox.statistics().shareid.tokens, 1);
}

#[test]
fn r14_a_revoked_token_and_a_made_up_one_are_refused() {
    let sandbox = sandbox(1);
    let account = account(&sandbox, Flow::Onboarding);
    let token = token(&account);
    assert_eq!(pull(&account, "nobody", Some(&token)).outcome, Outcome::NotReady(NotReady::Documented));
    sandbox.revoke_tokens();
    assert_eq!(pull(&account, "nobody", Some(&token)).outcome, Outcome::Refused);
    assert_eq!(pull(&account, "nobody", Some(&"made-up".into())).outcome, Outcome::Refused);
    assert_eq!(sandbox.statistics().shareid.unauthorized, 2);
    assert_eq!(refusals(&sandbox), ["revoked token", "unknown token"]);
}

#[test]
fn calls_that_make_no_sense_say_so() {
    let sandbox = sandbox(1);
    let url = |path: &str| format!("{}{path}", sandbox.shareid_url());
    let post = |path: &str, body: &str| call("POST", &url(path), &[], body).status;
    assert_eq!(post("/flow/onboarding/fetch/auth/business", "{"), 422);
    assert_eq!(post("/flow/onboarding/fetch/auth/business", "[]"), 422);
    assert_eq!(post("/flow/onboarding/fetch/auth/business", "{}"), 422);
    assert_eq!(post("/flow/onboarding/fetch/auth/business", &CREDENTIALS.replace("api-key", "other")), 401);
    assert_eq!(post("/flow/onboarding/auth/business", CREDENTIALS), 422, "customer_data is mandatory");
    assert_eq!(post("/flow/authenticate/auth/business", CREDENTIALS), 422, "applicant_id is mandatory");
    let elsewhere = CREDENTIALS.replace('}', r#","customer_data":{},"callback":"https://example.com/"}"#);
    assert_eq!(post("/flow/onboarding/auth/business", &elsewhere), 422, "beyond this computer");
    assert_eq!(post("/flow/nothing", CREDENTIALS), 404);
    assert_eq!(call("GET", &url("/flow/onboarding/fetch"), &[], "").status, 405);
    assert_eq!(sandbox.statistics().shareid.created, 0);
}

#[test]
fn r13_over_the_limit_is_429_with_retry_after_until_the_window_has_passed() {
    // The window of 60 s takes 300 ms.
    let sandbox = Sandbox::start(idv_sandbox::Config { shareid_limit: limit(3, 60), ..config(200) }).unwrap();
    let url = format!("{}/flow/onboarding/fetch/auth/business", sandbox.shareid_url());
    let ask = || call("POST", &url, &[], CREDENTIALS);
    let begun = std::time::Instant::now();
    for _ in 0..3 {
        assert_eq!(ask().status, 200);
    }
    let refused = ask();
    assert_eq!((refused.status, header(&refused, "retry-after")), (429, Some("1")));
    until("an open door", || (ask().status == 200).then_some(()));
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[test]
fn g7_fetches_closer_together_than_the_cadence_are_counted() {
    // The cadence of 5 s takes 250 ms.
    let sandbox = sandbox(20);
    let id = sandbox.create(Create::new(Product::Onboarding).scenario("pending")).unwrap();
    let account = account(&sandbox, Flow::Onboarding);
    let token = token(&account);
    for wait in [0, 260, 0, 260] {
        std::thread::sleep(Duration::from_millis(wait));
        let _ = pull(&account, &id, Some(&token));
    }
    assert_eq!(sandbox.statistics().shareid.pulls_too_soon, 1);
}

#[test]
fn the_agreed_bearer_comes_with_callbacks_and_a_forger_has_another() {
    let mut config = config(1_000);
    config.credentials.shareid_callback_bearer = Some("agreed-bearer".into());
    let sandbox = Sandbox::start(config).unwrap();
    let inbox = Inbox::new();
    let id =
        sandbox.create(Create::new(Product::Onboarding).scenario("pending").callback(inbox.url())).unwrap();
    let mut step = Step::new(Duration::ZERO, "ready.accepted");
    sandbox.happen(Provider::Shareid, &id, &step).unwrap();
    assert_eq!(inbox.next().field("authorization"), Some("Bearer agreed-bearer"));
    for (key, sent) in [(Key::Wrong, true), (Key::None, false)] {
        step.callbacks[0].key = key;
        sandbox.happen(Provider::Shareid, &id, &step).unwrap();
        let came = inbox.next();
        assert_eq!(came.field("authorization").is_some(), sent);
        assert_ne!(came.field("authorization"), Some("Bearer agreed-bearer"));
    }
}

#[test]
fn a_caller_chooses_the_scenario_in_its_own_data() {
    let sandbox = sandbox(1_000);
    let url = format!("{}/flow/onboarding/auth/business", sandbox.shareid_url());
    let start = |scenario: &str| {
        let data = format!(r#","customer_data":{{"scenario":"{scenario}"}}}}"#);
        call("POST", &url, &[], &CREDENTIALS.replace('}', &data))
    };
    let id = json(&start("technical"))["applicant_id"].as_str().unwrap().to_owned();
    assert_eq!(start("no-such-scenario").status, 422);
    let token = token(&account(&sandbox, Flow::Onboarding));
    let body = format!(r#"{{"applicant_id":"{id}"}}"#);
    until("the result", || {
        let reasons = json(&fetch(&sandbox, Flow::Onboarding, &token, &body))["reasons"].clone();
        (reasons == serde_json::json!(["analysis_failed"])).then_some(())
    });
}
