//! Both providers' contracts end to end, over TLS, on every runtime: what goes over the wire, and what the application gets.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::wildcard_enum_match_arm)]

mod common;

use async_channel::Receiver;
use common::support::{self, AMPLE, Identity, Server, answer};
use common::{on_every_runtime, soon};
use idv_async::{Account, AccountRef, Client, Driver, Event, Options, Revision, Runtime};
use idv_core::evidence::{Evidence, Verdict};
use idv_core::provider::Provider;
use idv_core::secret::Secret;
use idv_core::shufti::signature::{Rule, sign};
use idv_core::time::Span;
use idv_core::{shareid, shufti};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

on_every_runtime! {
    shareid_is_polled_with_one_token_until_its_result_is_there
    g4_an_unsigned_shareid_callback_is_a_hint_by_either_id
    shufti_is_polled_with_basic_and_flips_by_a_callback_signed_by_either_rule
    r16_a_shufti_answer_with_a_wrong_signature_is_a_fault_and_the_right_one_still_arrives
    g10_an_untrusted_certificate_gets_no_credentials_and_is_explained
}

/// A TLS server on loopback, and a client that trusts it and nobody else.
fn tls<R: Runtime + Default>(
    answer: impl Fn(&str, &[u8], &mut dyn support::Stream) + Send + Sync + 'static,
) -> (Server, String, Client<R>) {
    let identity = Identity::new(&["localhost"], false);
    let options = Options { roots_pem: Some(identity.pem.clone().into_bytes()), ..Options::default() };
    let server = Server::tls(identity, move |request, stream| {
        let split = request.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8_lossy(&request[..split]).to_ascii_lowercase();
        answer(&head, &request[split..], stream);
        true
    });
    let url = format!("https://localhost:{}", server.addr.port());
    (server, url, Client::<R>::with_options(&options).unwrap())
}

fn fast(provider: impl Provider + 'static) -> Account {
    let rules = provider.rules().with_cadence(Span::millis(20)).with_deadline(Span::secs(60));
    Account::with_rules(provider, &rules).unwrap()
}

async fn driver<R: Runtime + Default>(
    account: Account,
    client: Client<R>,
) -> (Driver<R>, AccountRef, Receiver<Revision>) {
    let (taken, revisions) = async_channel::unbounded();
    let mut builder = Driver::<R>::builder();
    let account = builder.account(account);
    builder.transport(client).on_revision(move |revision| {
        let _ = taken.try_send(revision);
        std::future::ready(Ok(()))
    });
    (builder.start().await.unwrap(), account, revisions)
}

async fn shareid_is_polled_with_one_token_until_its_result_is_there<R: Runtime + Default>() {
    let fetches = Arc::new(AtomicUsize::new(0));
    let (server, url, client) = tls::<R>(move |head, body, stream| {
        if head.starts_with("post /flow/authenticate/fetch/auth/business ") {
            assert_eq!(body, br#"{"business_hash":"hash","api_key":"key"}"#);
            return answer(stream, "200 OK", "content-type: application/json\r\n", br#"{"token":"tok-1"}"#);
        }
        assert!(head.starts_with("post /flow/authenticate/fetch "), "{head}");
        assert!(head.contains("authorization: bearer tok-1\r\n"), "{head}");
        assert_eq!(body, br#"{"flow_id":"flow-1"}"#);
        let result: &[u8] = match fetches.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => br#"{"detail":"applicant not found"}"#,
            _ => br#"{"applicant_id":"ap-1","reasons":["doc_expired","analysis_failed"]}"#,
        };
        answer(stream, "200 OK", "content-type: application/json\r\n", result);
    });
    let account =
        shareid::Account::new(&url, shareid::Flow::Authenticate, "hash".into(), "key".into()).unwrap();
    let revision = soon::<R, _>(idv_async::wait(fast(account), "flow-1", &client)).await.unwrap();
    assert_eq!(revision.key(), ("shareid", "flow-1", 1));
    assert_eq!((revision.verdict, revision.evidence), (Verdict::Declined, Evidence::Pulled));
    let reasons = revision.statement.unwrap().reasons;
    let codes: Vec<_> = reasons.iter().map(|reason| (reason.code.as_str(), reason.technical)).collect();
    assert_eq!(codes, [("doc_expired", false), ("analysis_failed", true)]);
    assert_eq!(server.requests.lock().unwrap().len(), 4);
}

async fn g4_an_unsigned_shareid_callback_is_a_hint_by_either_id<R: Runtime + Default>() {
    let result: Arc<Mutex<&str>> = Arc::new(Mutex::new(r#"{"applicant_id":"ap-1","reasons":[]}"#));
    let served = Arc::clone(&result);
    let (_server, url, client) = tls::<R>(move |head, _, stream| match head.contains("/fetch/auth/") {
        true => answer(stream, "200 OK", "", br#"{"token":"tok-1"}"#),
        false => answer(stream, "200 OK", "", served.lock().unwrap().as_bytes()),
    });
    let account =
        shareid::Account::new(&url, shareid::Flow::Authenticate, "hash".into(), "key".into()).unwrap();
    let (driver, account, revisions) = driver::<R>(fast(account), client).await;
    driver.open(account, "flow-1").await.unwrap();
    assert_eq!(soon::<R, _>(revisions.recv()).await.unwrap().verdict, Verdict::Accepted);

    // The callback lies about the verdict and names the other id; what counts is the pull that it causes.
    *result.lock().unwrap() = r#"{"applicant_id":"ap-1","reasons":["doc_fraud"]}"#;
    let address =
        driver.listen("127.0.0.1:0".parse().unwrap(), &[("/callbacks/shareid", account)]).await.unwrap();
    let lie = br#"{"applicant_id":"ap-1","reasons":[],"customer_data":{"order":7}}"#;
    let post = support::post(&format!("http://{address}/callbacks/shareid?transaction_id=7"), lie);
    assert_eq!(Client::<R>::new().send(&post, AMPLE).await.unwrap().status, 200);
    let second = soon::<R, _>(revisions.recv()).await.unwrap();
    assert_eq!((second.number, second.verdict, second.evidence), (2, Verdict::Declined, Evidence::Pulled));
}

const SECRET: &str = "shufti-secret";

fn shufti_account(url: &str) -> shufti::Account {
    shufti::Account::builder("client", Secret::from(SECRET)).base_url(url).build().unwrap()
}

fn document(event: &str) -> Vec<u8> {
    format!(r#"{{"reference":"order-1","event":"{event}","verification_url":"https:\/\/example.org\/x"}}"#)
        .into_bytes()
}

async fn shufti_is_polled_with_basic_and_flips_by_a_callback_signed_by_either_rule<R: Runtime + Default>() {
    let state = Arc::new(Mutex::new(vec!["verification.accepted", "request.pending"]));
    let served = Arc::clone(&state);
    let (_server, url, client) = tls::<R>(move |head, body, stream| {
        assert!(head.starts_with("post /status "), "{head}");
        // client:shufti-secret
        assert!(head.contains("authorization: basic y2xpzw50onnodwz0as1zzwnyzxq=\r\n"), "{head}");
        assert_eq!(body, br#"{"reference":"order-1"}"#);
        let mut state = served.lock().unwrap();
        let event = if state.len() > 1 { state.pop().unwrap() } else { state[0] };
        let body = document(event);
        let signature = sign(Rule::After, &Secret::from(SECRET), &body);
        answer(stream, "200 OK", &format!("Signature: {signature}\r\n"), &body);
    });
    let (driver, account, revisions) = driver::<R>(fast(shufti_account(&url)), client).await;
    driver.open(account, "order-1").await.unwrap();
    let first = soon::<R, _>(revisions.recv()).await.unwrap();
    assert_eq!(
        (first.verdict, first.statement.unwrap().event.as_deref()),
        (Verdict::Accepted, Some("verification.accepted"))
    );

    let address =
        driver.listen("127.0.0.1:0".parse().unwrap(), &[("/callbacks/shufti", account)]).await.unwrap();
    let verdicts =
        [("verification.declined", Verdict::Declined), ("verification.accepted", Verdict::Accepted)];
    for (number, (rule, (event, verdict))) in (2..).zip([Rule::Before, Rule::After].into_iter().zip(verdicts))
    {
        *state.lock().unwrap() = vec![event];
        let body = document("verification.status.changed");
        let mut post = support::post(&format!("http://{address}/callbacks/shufti"), &body);
        post.headers.push(("signature", sign(rule, &Secret::from(SECRET), &body)));
        assert_eq!(Client::<R>::new().send(&post, AMPLE).await.unwrap().status, 200);
        let next = soon::<R, _>(revisions.recv()).await.unwrap();
        assert_eq!((next.number, next.verdict), (number, verdict));
    }
}

async fn r16_a_shufti_answer_with_a_wrong_signature_is_a_fault_and_the_right_one_still_arrives<
    R: Runtime + Default,
>() {
    let pulls = Arc::new(AtomicUsize::new(0));
    let (_server, url, client) = tls::<R>(move |_, _, stream| {
        let forged = pulls.fetch_add(1, Ordering::SeqCst) == 0;
        let body = document(if forged { "verification.accepted" } else { "verification.declined" });
        let secret = Secret::from(if forged { "another" } else { SECRET });
        answer(stream, "200 OK", &format!("signature: {}\r\n", sign(Rule::After, &secret, &body)), &body);
    });
    let revision =
        soon::<R, _>(idv_async::wait(fast(shufti_account(&url)), "order-1", &client)).await.unwrap();
    assert_eq!((revision.number, revision.verdict), (1, Verdict::Declined));
}

async fn g10_an_untrusted_certificate_gets_no_credentials_and_is_explained<R: Runtime + Default>() {
    let (server, url, _) = tls::<R>(|_, _, stream| answer(stream, "200 OK", "", b"{}"));
    let (told, events) = async_channel::unbounded();
    let mut builder = Driver::<R>::builder();
    let account = builder.account(fast(shufti_account(&url)));
    builder.on_event(move |event| {
        let _ = told.try_send(event.clone());
    });
    let driver = builder.start().await.unwrap();
    driver.open(account, "order-1").await.unwrap();
    match soon::<R, _>(events.recv()).await.unwrap() {
        Event::Pulled { diagnosis: Some(diagnosis), reached: false, .. } => {
            assert!(diagnosis.contains("unknown issuer"), "{diagnosis}");
            assert!(!diagnosis.contains(SECRET), "{diagnosis}");
        }
        other => panic!("{other:?}"),
    }
    assert!(server.requests.lock().unwrap().is_empty());
}
