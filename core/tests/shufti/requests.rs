//! What is sent, and accounts that could send nothing.

use super::{
    DECLINE_REASONS, DELETE_REQUEST, SECRET, STATUS_REQUEST, UNAUTHORIZED, UNAUTHORIZED_2019, VERIFY_REQUEST,
    account, answer,
};
use idv_core::evidence::FaultKind;
use idv_core::http::Request;
use idv_core::json::Body;
use idv_core::provider::{Provider, TokenAnswer};
use idv_core::secret::Secret;
use idv_core::shufti::requests::{self, Reference};
use idv_core::shufti::{Account, AuthMode, contract};
use idv_core::time::Span;
use idv_core::token::Mode;
use proptest::prelude::*;

#[test]
fn requests_are_complete() {
    let account = Account::builder("client", Secret::from(SECRET))
        .base_url("http://localhost:8080/api/")
        .build()
        .unwrap();
    let mut request = Request::new();
    assert!(!account.token_request(&mut request));
    account.pull_request("17374217", None, &mut request);
    assert_eq!((request.method, request.url.as_str()), ("POST", "http://localhost:8080/api/status"));
    let basic = ("authorization", "Basic Y2xpZW50OnRlc3Qtc2VjcmV0".to_owned());
    for header in [
        basic.clone(),
        ("accept-encoding", "identity".to_owned()),
        ("content-type", "application/json".to_owned()),
        ("accept", "application/json".to_owned()),
    ] {
        assert!(request.headers.contains(&header), "{header:?}");
    }
    let json = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap();
    assert_eq!(json(&request.body), json(STATUS_REQUEST.as_bytes()));
    // Any id can be asked for, whatever its length and letters.
    for id in ["", "a", "\"\\\n\u{1}é/", &"x".repeat(1000)] {
        account.pull_request(id, None, &mut request);
        assert_eq!(json(&request.body)["reference"], id);
    }

    let base = account.base_url();
    let reference = Reference::new("17374217").unwrap();
    let credentials = account.credentials(None);
    requests::delete(base, credentials, reference, "Customer asked to delete his/her data", &mut request)
        .unwrap();
    assert_eq!(request.url, "http://localhost:8080/api/delete");
    assert_eq!(json(&request.body), json(DELETE_REQUEST.as_bytes()));
    let error = requests::delete(base, credentials, reference, "why", &mut request).unwrap_err();
    assert_eq!(error.to_string(), "`comment` has 3 characters, expected 5 to 200");
    requests::verify(base, credentials, VERIFY_REQUEST.as_bytes(), &mut request);
    assert_eq!(
        (request.url.as_str(), &request.body[..]),
        ("http://localhost:8080/api/", VERIFY_REQUEST.as_bytes())
    );
    requests::account_info(base, credentials, &mut request);
    assert_eq!((request.method, request.url.as_str()), ("GET", "http://localhost:8080/api/account/info/"));
    assert!(request.body.is_empty() && request.headers.contains(&basic));
    requests::decline_reasons(base, credentials, &mut request);
    assert_eq!(request.url, "http://localhost:8080/api/decline/reasons/");
    let reasons = Body::new(DECLINE_REASONS.as_bytes());
    assert_eq!(reasons.object(&[]).complete().unwrap().get("decline_reasons").unwrap().elements().count(), 2);

    assert_eq!(
        Reference::new("12345").unwrap_err().to_string(),
        "`reference` has 5 characters, expected 6 to 250"
    );
    assert!(Reference::new(&"é".repeat(250)).is_ok() && Reference::new(&"é".repeat(251)).is_err());
}

#[test]
fn an_access_token_is_asked_for_with_basic_and_used_as_a_bearer() {
    let account =
        Account::builder("client", Secret::from(SECRET)).auth(AuthMode::AccessToken).build().unwrap();
    let mut request = Request::new();
    assert!(account.token_request(&mut request));
    assert_eq!(
        (request.method, request.url.as_str()),
        ("POST", "https://api.shuftipro.com/get/access/token")
    );
    assert!(request.headers.contains(&("authorization", "Basic Y2xpZW50OnRlc3Qtc2VjcmV0".to_owned())));
    let token = |status: u16, body: &str| account.read_token(&answer(status, &[], body), None);
    let TokenAnswer::Received { token: received, ttl: None } = token(200, r#"{"access_token":"abc"}"#) else {
        panic!()
    };
    account.pull_request("17374217", Some(&received), &mut request);
    assert!(request.headers.contains(&("authorization", "Bearer abc".to_owned())));
    // Without a token no credential is sent at all.
    account.pull_request("17374217", None, &mut request);
    assert!(request.headers.iter().all(|(name, _)| *name != "authorization"));

    for (status, body) in [(401, ""), (403, "{}"), (200, UNAUTHORIZED), (401, UNAUTHORIZED_2019)] {
        assert!(matches!(token(status, body), TokenAnswer::Refused { .. }), "{status}");
    }
    for (status, body, expected, words) in [
        (200, "{}", FaultKind::Malformed, "no `access_token`"),
        (200, r#"{"access_token":""}"#, FaultKind::Malformed, "no `access_token`"),
        (200, r#"{"access_token":{"hush":1}}"#, FaultKind::Malformed, "no `access_token`"),
        (200, r#"{"access_token":"hush\r\nx: y"}"#, FaultKind::Malformed, "no header field can carry"),
        (200, r#"{"access_token":"hush"#, FaultKind::Malformed, "at line 1"),
        (404, "", FaultKind::UnexpectedStatus, "check the base URL"),
        (524, "<html>", FaultKind::ServerError, "status 524"),
        (429, "", FaultKind::RateLimited, "status 429"),
    ] {
        let TokenAnswer::Failed { fault, diagnosis } = token(status, body) else { panic!("{status} {body}") };
        let diagnosis = diagnosis.unwrap();
        assert_eq!(fault.kind, expected);
        assert!(diagnosis.contains(words) && !diagnosis.contains("hush"), "{diagnosis}");
    }
}

#[test]
fn unusable_accounts_are_refused_with_a_reason() {
    let builder = || Account::builder("client", Secret::from(SECRET));
    for (builder, words) in [
        (Account::builder("", Secret::from("s")), "client id"),
        (Account::builder("a:b", Secret::from("s")), "colon"),
        (Account::builder("client", Secret::from("")), "secret key 1 is empty"),
        (builder().also_accept(Secret::from("")), "secret key 2 is empty"),
        (builder().base_url("ftp://h"), "https://"),
        (builder().callback_body_cap(0), "cap"),
    ] {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let shown = format!("{:?} {:?}", builder(), account());
    assert!(!shown.contains(SECRET) && !shown.contains("client"), "{shown}");
    assert_eq!(account().callback_body_cap(), 4 * 1024 * 1024);
    assert_eq!(contract::CALLBACK_WINDOW, Span::secs(150));
}

proptest! {
    /// A buffer that grows leaves a copy of what it held in freed memory: a comment may name a person. So as much is asked for beforehand
    /// as could be needed, and not much more (G6).
    #[test]
    fn g10_a_body_of_any_content_is_written_into_a_buffer_that_never_grows(
        letter in prop::sample::select(&["a", "\"", "\u{1}", "é"][..]), long in 0_usize..2_000, named in 6_usize..=250, said in 5_usize..=200,
    ) {
        let account = account();
        let written = |write: &dyn Fn(&mut Request)| {
            // What is done once for all is done before it is measured.
            write(&mut Request::new());
            let mut request = Request::new();
            let measured = allocation_counter::measure(|| write(&mut request));
            assert!(serde_json::from_slice::<serde_json::Value>(&request.body).is_ok());
            (measured.count_total, request.body.capacity())
        };
        let pull = |id: String| written(&|request| account.pull_request(&id, None, request));
        let (wanted, found) = (pull("r-1".to_owned()), pull(letter.repeat(long)));
        prop_assert_eq!(found.0, wanted.0);
        prop_assert!(found.1 <= 6 * letter.len() * long + 64, "{}", found.1);

        let delete = |reference: String, comment: String| written(&|request| {
            let reference = Reference::new(&reference).unwrap();
            requests::delete(account.base_url(), account.credentials(None), reference, &comment, request).unwrap();
        });
        let (wanted, found) = (delete("r".repeat(6), "because".to_owned()), delete(letter.repeat(named), letter.repeat(said)));
        prop_assert_eq!(found.0, wanted.0);
        prop_assert!(found.1 <= 6 * letter.len() * (named + said) + 64, "{}", found.1);
    }
}

/// What Shufti's pages promise, in numbers.
#[test]
fn the_contract_in_numbers() {
    let schedule = contract::CALLBACK_DELIVERY.schedule;
    assert_eq!((contract::CALLBACK_ATTEMPTS, schedule.attempts()), (10, 10));
    assert!(schedule.waits().all(|wait| wait == Span::secs(15)));
    assert_eq!(contract::CALLBACK_BODY_CAP, 4_194_304);
    let token_mode = |auth| {
        Account::builder("client", Secret::from(SECRET)).auth(auth).build().unwrap().rules().token_mode
    };
    assert_eq!(token_mode(AuthMode::Basic), Mode::NotNeeded);
    assert_eq!(token_mode(AuthMode::AccessToken), Mode::SingleUse);
}
