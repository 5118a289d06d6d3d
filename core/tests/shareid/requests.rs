//! What is sent, and what cannot be sent.

use super::{BEARER, HASH, KEY, account};
use idv_core::http::{BaseUrlError, Request};
use idv_core::provider::Provider;
use idv_core::secret::Secret;
use idv_core::shareid::{
    Account, AccountError, Flow, Methods, Start, StartAuthenticate, StartError, StartOnboarding, contract,
};
use idv_core::time::Span;
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

/// Texts of all lengths, of characters that are written as they are, as two, or as six; without those that a credential must not hold.
fn text(letters: &'static [&'static str]) -> impl Strategy<Value = String> {
    (prop::sample::select(letters), 1_usize..1_200).prop_map(|(letter, times)| letter.repeat(times))
}

/// How often memory is asked for while a request is written, and the most that its body may hold.
fn written(write: impl Fn(&mut Request)) -> (u64, usize) {
    // What is done once for all is done before it is measured.
    write(&mut Request::new());
    let mut request = Request::new();
    let measured = allocation_counter::measure(|| write(&mut request));
    assert!(serde_json::from_slice::<Value>(&request.body).is_ok());
    (measured.count_total, request.body.capacity())
}

proptest! {
    /// A buffer that grows leaves a copy of what it held in freed memory: credentials, and what the application says of a person. So as
    /// much is asked for beforehand as could be needed, and not much more (G6).
    #[test]
    fn g10_a_body_of_any_content_is_written_into_a_buffer_that_never_grows(
        hash in text(&["a", "\"", "\\", "é"]), key in text(&["a", "\"", "/", "é"]), id in text(&["a", "\"", "\u{1}", "😀"]),
        query in text(&["a", "\"", "\\"]), customer in text(&["a", "é", "\\u0000"]), scopes in 0_usize..1_000,
    ) {
        let account = |hash: &str, key: &str| {
            Account::new("https://a.example", Flow::Authenticate, Secret::from(hash), Secret::from(key)).unwrap()
        };
        let (small, large) = (account("h", "k"), account(&hash, &key));
        let credentials = 6 * (hash.len() + key.len());

        let wanted = written(|request| { small.token_request(request); });
        let found = written(|request| { large.token_request(request); });
        prop_assert_eq!(found.0, wanted.0);
        prop_assert!(found.1 <= credentials + 1_024, "{}", found.1);

        let wanted = written(|request| small.pull_request("f", None, request));
        let found = written(|request| small.pull_request(&id, None, request));
        prop_assert_eq!(found.0, wanted.0);
        prop_assert!(found.1 <= 6 * id.len() + 1_024, "{}", found.1);

        let callback = format!("https://a.example/?{}", query.replace(['"', '\\'], "%22"));
        let (customer_data, restricted) = (format!("{{\"who\":\"{customer}\"}}"), format!("[0{}]", ",0".repeat(scopes)));
        let onboarding = |callback, customer_data, restricted| Start::Onboarding(StartOnboarding {
            customer_data: Some(customer_data),
            callback: Some(callback),
            restricted_business_scopes: Some(restricted),
            methods: Some(Methods::Both),
            callback_with_document_capture: true,
            advanced_verification: true,
            session_duration_secs: Some(3_600),
        });
        let authenticate = |applicant_id, callback| Start::Authenticate(StartAuthenticate { applicant_id, callback: Some(callback) });
        for (few, many, most) in [
            (
                onboarding("https://a", "{}", "[]"),
                onboarding(&callback, &customer_data, &restricted),
                6 * callback.len() + customer_data.len() + restricted.len(),
            ),
            (authenticate("a", "https://a"), authenticate(&id, &callback), 6 * (callback.len() + id.len())),
        ] {
            let wanted = written(|request| small.start_request(&few, request).unwrap());
            for account in [&small, &large] {
                let found = written(|request| account.start_request(&many, request).unwrap());
                prop_assert_eq!(found.0, wanted.0, "{:?}", many);
                prop_assert!(found.1 <= credentials + most + 1_024, "{}", found.1);
            }
        }
    }
}

/// What ShareID's pages promise, in numbers.
#[test]
fn the_contract_in_numbers() {
    assert_eq!(contract::CALLBACK_BODY_CAP, 16_777_216);
    let account = account(Flow::Onboarding);
    assert_eq!(account.callback_body_cap(), contract::CALLBACK_BODY_CAP);
    assert_eq!(account.with_callback_body_cap(1_000).callback_body_cap(), 1_000);
    let waits: Vec<u32> = contract::CALLBACK_DELIVERY.schedule.waits().map(Span::as_millis).collect();
    assert_eq!(waits, [300_000, 3_600_000, 86_400_000]);
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
