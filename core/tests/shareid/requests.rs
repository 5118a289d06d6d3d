//! What is sent, and what cannot be sent.

use super::{BEARER, HASH, KEY, account};
use idv_core::http::{BaseUrlError, Request};
use idv_core::provider::Provider;
use idv_core::secret::Secret;
use idv_core::shareid::{Account, AccountError, Flow, Start, StartAuthenticate, StartError, StartOnboarding};
use proptest::prelude::*;
use serde_json::{Value, json};

fn field<'r>(request: &'r Request, name: &str) -> Option<&'r str> {
    request.headers.iter().find(|(field, _)| *field == name).map(|(_, value)| value.as_str())
}

proptest! {
    #[test]
    fn a_fetch_says_who_asks_for_what(id in any::<String>(), token in "[!-~]{1,40}") {
        for (flow, member) in [(Flow::Onboarding, "applicant_id"), (Flow::Authenticate, "flow_id")] {
            let mut request = Request::new();
            account(flow).pull_request(&id, Some(&Secret::from(token.as_str())), &mut request);
            prop_assert_eq!(request.method, "POST");
            prop_assert_eq!(&request.url, &format!("https://api.example/v2/flow/{}/fetch", flow.as_str()));
            let authorization = format!("Bearer {token}");
            prop_assert_eq!(field(&request, "authorization"), Some(authorization.as_str()));
            prop_assert_eq!(serde_json::from_slice::<Value>(&request.body).unwrap(), json!({ member: id }));
            prop_assert_eq!(format!("{request:?}"), format!("POST {}", request.url), "G10");
        }
    }

    #[test]
    fn g10_credentials_are_written_without_growing_the_buffer(hash in "[^\\p{Cc}]{1,60}", key in "[\"\\\\/é]{1,60}") {
        let account = Account::new("http://127.0.0.1:1", Flow::Authenticate, Secret::from(&*hash), Secret::from(&*key)).unwrap();
        let mut request = Request::new();
        prop_assert!(account.token_request(&mut request));
        prop_assert_eq!(&request.url, "http://127.0.0.1:1/flow/authenticate/fetch/auth/business");
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        prop_assert_eq!(&body, &json!({"business_hash": hash, "api_key": key}));
        // Cleared and used again: nothing of the last request is left, and the memory is the same.
        let buffer = request.body.as_ptr();
        request.clear();
        account.token_request(&mut request);
        prop_assert_eq!(request.body.as_ptr(), buffer);
        prop_assert_eq!(serde_json::from_slice::<Value>(&request.body).unwrap(), body);
    }
}

#[test]
fn requests_carry_what_proxies_and_servers_expect() {
    let mut request = Request::new();
    account(Flow::Onboarding).token_request(&mut request);
    assert_eq!(request.url, "https://api.example/v2/flow/onboarding/fetch/auth/business");
    assert_eq!(field(&request, "content-type"), Some("application/json"));
    assert_eq!(field(&request, "accept"), Some("application/json"));
    assert_eq!(field(&request, "accept-encoding"), Some("identity"));
    assert!(field(&request, "user-agent").unwrap().starts_with("idv/"));
    assert_eq!(field(&request, "authorization"), None);
    account(Flow::Onboarding).pull_request("ap-1", None, &mut request);
    assert_eq!(field(&request, "authorization"), None);
    assert_eq!(request.body, br#"{"applicant_id":"ap-1"}"#);
}

#[test]
fn a_start_sends_every_documented_member() {
    let mut request = Request::new();
    let start = Start::Onboarding(StartOnboarding {
        callback: Some("http://a.example/cb?transaction_id=9JD2XNU5"),
        callback_with_document_capture: true,
        advanced_verification: true,
        session_duration_secs: Some(300),
        restricted_business_scopes: Some("[1,\n2]"),
        ..StartOnboarding::default()
    });
    account(Flow::Authenticate).start_request(&start, &mut request).unwrap();
    let wanted = json!({
        "business_hash": HASH, "api_key": KEY, "customer_data": {}, "callback": "http://a.example/cb?transaction_id=9JD2XNU5",
        "callback_with_document_capture": true, "advanced_verification": true, "session_duration": 300,
        "restricted_business_scopes": [1, 2],
    });
    assert_eq!(serde_json::from_slice::<Value>(&request.body).unwrap(), wanted);
}

#[test]
fn a_start_that_cannot_be_sent_says_why_and_sends_nothing() {
    let plain = StartOnboarding::default();
    let onboarding = |start| Start::Onboarding(start);
    let callback = |callback| onboarding(StartOnboarding { callback: Some(callback), ..plain });
    for (start, wanted) in [
        (callback("ftp://a"), StartError::Callback(BaseUrlError::Scheme)),
        (callback("https://a/ b"), StartError::Callback(BaseUrlError::Character)),
        (callback("https://a/?x= b"), StartError::Callback(BaseUrlError::Character)),
        (callback("https://a/?x#y"), StartError::Callback(BaseUrlError::Fragment)),
        (callback("https://u:p@a/"), StartError::Callback(BaseUrlError::UserInfo)),
        (onboarding(StartOnboarding { customer_data: Some("[]"), ..plain }), StartError::CustomerData),
        (
            onboarding(StartOnboarding { customer_data: Some("{}, \"api_key\": 1"), ..plain }),
            StartError::CustomerData,
        ),
        (onboarding(StartOnboarding { restricted_business_scopes: Some("{}"), ..plain }), StartError::Scopes),
        (
            onboarding(StartOnboarding { session_duration_secs: Some(299), ..plain }),
            StartError::SessionDuration,
        ),
        (
            onboarding(StartOnboarding { session_duration_secs: Some(3_601), ..plain }),
            StartError::SessionDuration,
        ),
        (
            onboarding(StartOnboarding { session_duration_secs: Some(u32::MAX), ..plain }),
            StartError::SessionDuration,
        ),
        (
            Start::Authenticate(StartAuthenticate { applicant_id: "", callback: None }),
            StartError::ApplicantId,
        ),
    ] {
        let mut request = Request::new();
        assert_eq!(account(Flow::Onboarding).start_request(&start, &mut request), Err(wanted), "{start:?}");
        assert!(request.url.is_empty() && request.body.is_empty());
        assert!(!wanted.to_string().is_empty());
    }
}

#[test]
fn an_account_that_cannot_work_is_refused_with_the_reason() {
    let new = |url, hash, key| {
        Account::new(url, Flow::Onboarding, Secret::from(hash), Secret::from(key)).map(|_| ())
    };
    assert_eq!(new("api.example", "h", "k"), Err(AccountError::ApiUrl(BaseUrlError::Scheme)));
    assert_eq!(new("https://a", "", "k"), Err(AccountError::EmptyCredential("business hash")));
    assert_eq!(new("https://a", "h", ""), Err(AccountError::EmptyCredential("API key")));
    assert_eq!(new("https://a", "h", "k\n"), Err(AccountError::ControlCharacter("API key")));
    assert_eq!(new("https://a", "h", "k"), Ok(()));
    for bearer in ["", "two words", "a\r\nb", "é"] {
        let refused = account(Flow::Onboarding).with_callback_bearer(Secret::from(bearer)).map(|_| ());
        assert_eq!(refused, Err(AccountError::CallbackBearer));
    }
}

#[test]
fn g10_no_secret_in_any_debug_or_error() {
    let account = account(Flow::Onboarding).with_callback_bearer(Secret::from(BEARER)).unwrap();
    let mut request = Request::new();
    let secret_callback = "https://a.example/?hidden=1";
    let onboarding = StartOnboarding {
        customer_data: Some(r#"{"hidden": "hidden"}"#),
        callback: Some(secret_callback),
        ..StartOnboarding::default()
    };
    let authenticate = StartAuthenticate { applicant_id: "hidden", callback: Some(secret_callback) };
    account.start_request(&Start::Onboarding(onboarding), &mut request).unwrap();
    let started = br#"{"token": "hidden", "applicant_id": "ap-1"}"#;
    let started = account.read_start(Flow::Onboarding, &super::answer(200, started), None).unwrap();
    let received = account.read_token(&super::answer(200, br#"{"token": "hidden"}"#), None);
    let refusals = [
        Account::new("https://hidden:hidden@a", Flow::Onboarding, HASH.into(), KEY.into()).unwrap_err(),
        Account::new("https://a", Flow::Onboarding, "hidden\n".into(), KEY.into()).unwrap_err(),
        account.clone().with_callback_bearer("hidden hidden".into()).unwrap_err(),
    ];
    let refusals: Vec<String> = refusals.iter().map(|refusal| format!("{refusal:?} {refusal}")).collect();
    let shown = format!(
        "{account:?} {request:?} {onboarding:?} {authenticate:?} {started:?} {received:?} {refusals:?} {:?} {:?}",
        Start::Onboarding(onboarding),
        Start::Authenticate(authenticate),
    );
    assert!(!shown.contains("hidden"), "{shown}");
}
