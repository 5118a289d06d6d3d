//! Shufti: requests, answers and callbacks, from recorded and documented bodies.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use idv_core::evidence::{Callback, ContentDigest, Fault, FaultKind, NotReady, Outcome, Report, Verdict};
use idv_core::http::{Answer, Headers, Request};
use idv_core::json::Body;
use idv_core::provider::{Authenticity, CallbackReading, Provider, PullAnswer, Reason, TokenAnswer};
use idv_core::secret::Secret;
use idv_core::shufti::answers::{Document, Mark};
use idv_core::shufti::lifecycle::SHUFTI;
use idv_core::shufti::requests::{self, Reference};
use idv_core::shufti::signature::{Rule, sign};
use idv_core::shufti::{Account, AuthMode, Event, contract};
use idv_core::time::Span;
use proptest::prelude::*;

macro_rules! fixtures {
    ($($name:ident = $file:literal;)*) => { $(const $name: &str = include_str!(concat!("fixtures/shufti-", $file, ".json"));)* };
}

fixtures! {
    ACCEPTED = "verification.accepted-seed";
    ACCEPTED_2019 = "verification.accepted-docs2019";
    ACCEPTED_CALLBACK = "callback.verification.accepted-address-trakx";
    STATUS_2019 = "status.verification.accepted-docs2019";
    STATUS_EMPTY = "status.verification.accepted-emptyarray-trakx";
    DECLINED = "verification.declined-seed";
    DECLINED_2019 = "verification.declined-docs2019";
    REVIEW = "review.pending-seed";
    CANCELLED = "verification.cancelled-seed";
    CANCELLED_2019 = "request.cancelled-docs2019";
    TIMEOUT = "request.timeout-seed";
    TIMEOUT_2019 = "request.timeout-docs2019";
    PENDING = "request.pending-seed";
    PENDING_EIDV = "request.pending-eidv-seed";
    PENDING_2019 = "request.pending-docs2019";
    PENDING_HTTP = "http.request.pending-trakx";
    RECEIVED = "request.received-seed";
    RECEIVED_2019 = "request.received-docs2019";
    DELETED = "request.deleted-seed";
    DELETED_2019 = "request.deleted-docs2019";
    CHANGED = "verification.status.changed-seed";
    CHANGED_2019 = "verification.status.changed-docs2019";
    INVALID = "request.invalid-seed";
    INVALID_2019 = "request.invalid-docs2019";
    UNAUTHORIZED = "request.unauthorized-seed";
    UNAUTHORIZED_2019 = "request.unauthorized-docs2019";
    STATUS_REQUEST = "request.status-docs";
    DELETE_REQUEST = "request.delete-docs";
    VERIFY_REQUEST = "request.verify-docs";
    DECLINE_REASONS = "decline.reasons-docs";
}

const SECRET: &str = "test-secret";

fn account() -> Account {
    Account::builder("client", Secret::from(SECRET)).build().unwrap()
}

fn answer<'a>(status: u16, headers: &'a [(&'a str, &'a [u8])], body: &'a str) -> Answer<'a> {
    Answer { status, headers: Headers(headers), body: body.as_bytes() }
}

/// Pulls `reference` and is answered with `body`, signed.
fn pull(account: &Account, reference: &str, status: u16, body: &str) -> PullAnswer {
    let signature = sign(Rule::After, &Secret::from(SECRET), body.as_bytes());
    account.read_pull(reference, &answer(status, &[("Signature", signature.as_bytes())], body), None)
}

fn callback(body: &str, signature: Option<&str>) -> CallbackReading {
    let account = account();
    let headers: Vec<(&str, &[u8])> = signature.iter().map(|value| ("signature", value.as_bytes())).collect();
    let mut check = account.check_callback(Headers(&headers));
    check.update(body.as_bytes());
    account.read_callback(body.as_bytes(), &check.finish())
}

#[test]
fn r19_a_callback_that_departs_from_the_documents_is_read_and_the_departure_told() {
    for (event, told) in [
        ("verification.accepted", None),
        ("request.invalid", Some("this event is not documented for callbacks")),
        ("verification.promoted", Some("this event stands in none of the provider's documents")),
    ] {
        let reading = signed_callback(&format!("{{\"reference\":\"r-1\",\"event\":\"{event}\"}}"));
        assert_eq!((reading.deviation, reading.event.as_deref()), (told, Some(event)));
    }
}

fn signed_callback(body: &str) -> CallbackReading {
    callback(body, Some(&sign(Rule::Before, &Secret::from(SECRET), body.as_bytes())))
}

fn content(body: &str) -> ContentDigest {
    let body = Body::new(body.as_bytes());
    let document = Document::read(&body);
    assert_eq!(document.unreadable(), None);
    document.content()
}

/// What must become of a readable sample.
const SAMPLES: [(&str, &str, Event); 22] = [
    (ACCEPTED_2019, "17374217", Event::VerificationAccepted),
    (ACCEPTED_CALLBACK, "18c13b42af1c422fa6ef2a8e7eba1133", Event::VerificationAccepted),
    (STATUS_2019, "17374217", Event::VerificationAccepted),
    (STATUS_EMPTY, "1wMAAAAAAADIsIafcgEAAAilWX5S", Event::VerificationAccepted),
    (DECLINED, "95156124", Event::VerificationDeclined),
    (DECLINED_2019, "95156124", Event::VerificationDeclined),
    (CANCELLED, "17374217", Event::VerificationCancelled),
    (CANCELLED_2019, "17374217", Event::VerificationCancelled),
    (TIMEOUT, "17374217", Event::RequestTimeout),
    (TIMEOUT_2019, "17374217", Event::RequestTimeout),
    (PENDING, "17374217", Event::RequestPending),
    (PENDING_EIDV, "67275051", Event::RequestPending),
    (PENDING_2019, "17374217", Event::RequestPending),
    (PENDING_HTTP, "4cc966fd133141d2a66b02f1b6467e7b", Event::RequestPending),
    (RECEIVED, "17374217", Event::RequestReceived),
    (RECEIVED_2019, "17374217", Event::RequestReceived),
    (DELETED, "17374217", Event::RequestDeleted),
    (DELETED_2019, "17374217", Event::RequestDeleted),
    (CHANGED, "17374217", Event::VerificationStatusChanged),
    (CHANGED_2019, "17374217", Event::VerificationStatusChanged),
    (INVALID, "17374217", Event::RequestInvalid),
    (INVALID_2019, "17374217", Event::RequestInvalid),
];

#[test]
fn every_sample_is_read_as_answer_and_as_callback() {
    for (body, reference, event) in SAMPLES {
        let read = signed_callback(body);
        assert_eq!(read.id.as_deref(), Some(reference));
        assert_eq!(Event::parse(read.event.as_deref().unwrap()), Some(event));
        assert_eq!(read.unreadable, None);
        let report = Report { verdict: event.verdict(), content: content(body) };
        let expected = if event.is_signal() { Callback::SignedSignal } else { Callback::Signed(report) };
        assert_eq!(read.callback, expected, "{event}");

        let pulled = pull(&account(), reference, 200, body);
        let is_invalid = event == Event::RequestInvalid;
        let expected =
            if is_invalid { Outcome::NotReady(NotReady::Invalid) } else { Outcome::Report(report) };
        assert_eq!(pulled.outcome, expected, "{event}");
        assert!(!pulled.unsigned_answer && pulled.alias.is_none());
        assert_eq!(pulled.diagnosis.is_some(), is_invalid, "{:?}", pulled.diagnosis);
        let statement = account().statement(body.as_bytes()).unwrap();
        assert_eq!((statement.verdict, statement.event), (event.verdict(), read.event));
    }
}

#[test]
fn r19_the_malformed_samples_say_line_column_and_what_was_expected() {
    for (body, line, column, words, event) in [
        (ACCEPTED, 85, 1, "expected a member name", Some(Event::VerificationAccepted)),
        (REVIEW, 31, 1, "expected `,` or `}`", Some(Event::ReviewPending)),
        (UNAUTHORIZED, 10, 16, "expected `,` or `}`", Some(Event::RequestUnauthorized)),
    ] {
        let document = Body::new(body.as_bytes());
        let document = Document::read(&document);
        let unreadable = document.unreadable().unwrap();
        assert_eq!((unreadable.line, unreadable.column), (line, column), "{unreadable}");
        assert!(unreadable.problem.contains(words), "{unreadable}");
        assert_eq!(document.event(), event);
        assert_eq!(account().statement(body.as_bytes()).unwrap_err(), *unreadable);
        let read = signed_callback(body);
        assert_eq!(read.unreadable.as_ref(), Some(unreadable));
        assert_eq!(read.event.as_deref(), event.map(Event::as_str));
        assert_eq!(read.callback, Callback::SignedSignal);
    }
    let pulled = pull(&account(), "17374217", 200, ACCEPTED);
    assert!(matches!(pulled.outcome, Outcome::Failed(Fault { kind: FaultKind::Malformed, .. })));
    assert!(pulled.diagnosis.unwrap().contains("at line 85, column 1"));
}

#[test]
fn events_are_read_and_written_as_the_provider_spells_them() {
    assert_eq!(Event::ALL.len(), SHUFTI.events.len());
    for event in Event::ALL {
        assert_eq!(SHUFTI.find(event.as_str()), event.row());
        assert_eq!(Event::parse(event.as_str()), Some(event));
    }
    for (word, verdict) in [
        ("verification.accepted", Some(Verdict::Accepted)),
        ("verification.declined", Some(Verdict::Declined)),
        ("verification.cancelled", Some(Verdict::Cancelled)),
        ("request.timeout", Some(Verdict::TimedOut)),
        ("review.pending", Some(Verdict::ReviewPending)),
        ("request.deleted", Some(Verdict::Deleted)),
        ("request.pending", None),
        ("request.received", None),
        ("request.invalid", None),
        ("request.unauthorized", None),
        ("verification.status.changed", None),
        ("request.data.changed", None),
    ] {
        let event = Event::parse(word).unwrap();
        assert_eq!((event.as_str(), event.verdict()), (word, verdict));
        assert_eq!(event.is_signal(), word.ends_with(".changed"));
    }
    assert_eq!(Event::parse("request.cancelled"), Some(Event::VerificationCancelled));
    assert_eq!(Event::parse("Verification.Accepted"), None);
    let read = signed_callback(r#"{"reference":"r","event":"verification.approved"}"#);
    assert_eq!(read.event.as_deref(), Some("verification.approved"));
    assert!(matches!(read.callback, Callback::Signed(Report { verdict: None, .. })));
}

#[test]
fn every_response_parameter_is_reachable() {
    let body = Body::new(DECLINED.as_bytes());
    let document = Document::read(&body);
    let marks: Vec<_> =
        document.verification_result().map(|r| (r.service.clone(), r.check.clone(), r.mark())).collect();
    assert_eq!(marks.len(), 9);
    assert_eq!(marks[0], ("document".into(), "name".into(), Some(Mark::Declined)));
    assert_eq!(marks[1], ("document".into(), "dob".into(), Some(Mark::Accepted)));
    assert_eq!(marks[6], ("document".into(), "document".into(), Some(Mark::NotProcessed)));
    let (service, data) = document.verification_data().next().unwrap();
    assert_eq!(service, "document");
    assert_eq!(data.get("name").unwrap().get("middle_name").unwrap().text().unwrap(), "Carter");
    assert_eq!(document.verification_data().count(), 3);
    let agent = document.agent().unwrap();
    assert_eq!((agent.is_desktop(), agent.is_phone()), (Some(true), Some(false)));
    assert_eq!(agent.device_name().unwrap(), "Macintosh");
    assert_eq!(agent.browser_name(), None);
    let place = document.geolocation().unwrap();
    assert_eq!(place.city().unwrap(), "Frankfurt am Main");
    assert_eq!(place.members().count(), 17);
    assert_eq!(
        document
            .additional_data()
            .next()
            .unwrap()
            .1
            .get("proof")
            .unwrap()
            .get("age")
            .unwrap()
            .text()
            .unwrap(),
        "18"
    );
    assert_eq!(document.declined_reason().unwrap(), "Name on the document doesn't match");
    assert_eq!(document.declined_codes().collect::<Vec<_>>(), ["SPDR07", "SPDR06", "SPDR23"]);
    assert_eq!(document.services_declined_codes().count(), 5);
    assert_eq!(document.others().count(), 0);

    let body = Body::new(PENDING.as_bytes());
    let document = Document::read(&body);
    assert!(document.verification_url().unwrap().starts_with("https://app.shuftipro.com/process/"));
    assert_eq!(document.country().unwrap(), "GB");
    assert!(document.email().is_some() && document.error().is_none() && document.token().is_none());

    let body = Body::new(INVALID.as_bytes());
    let document = Document::read(&body);
    let error = document.error().unwrap();
    assert_eq!((error.service().unwrap(), error.key().unwrap()), ("document".into(), "dob".into()));
    assert_eq!(error.message().unwrap(), "The dob does not match the format Y-m-d.");
    assert_eq!(document.email(), None);

    let body = Body::new(STATUS_2019.as_bytes());
    let document = Document::read(&body);
    assert_eq!(document.proofs().count(), 4);
    let face = document.verification_result().find(|result| result.service == "face").unwrap();
    assert_eq!((face.check.as_ref(), face.mark()), ("face", Some(Mark::Accepted)));

    let odd = r#"{"error":"x","token":7,"customer_unique_id":"c","warnings":{"face":{"k":"w"}},"aml_data":{"hits":[]},"info":"","verification_data":[],"verification_result":[],"declined_codes":"SPDR01","services_declined_codes":{"face":"SPDR02","document":{"1":"SPDR03"}},"proofs":[]}"#;
    let body = Body::new(odd.as_bytes());
    let document = Document::read(&body);
    assert_eq!(document.error().unwrap().message().unwrap(), "x");
    assert_eq!(document.token().unwrap(), "7");
    assert_eq!(document.customer_unique_id().unwrap(), "c");
    assert_eq!(document.warnings().count(), 1);
    assert_eq!(document.others().map(|(name, _)| name).collect::<Vec<_>>(), ["aml_data"]);
    assert!(document.agent().is_none() && document.geolocation().is_none());
    assert_eq!(document.verification_result().count() + document.verification_data().count(), 0);
    assert_eq!(document.reasons().len(), 4);
}

#[test]
fn r18_reasons_are_kept_verbatim_and_technical_ones_marked() {
    let code = |code: &str, service: Option<&str>| Reason {
        code: code.into(),
        text: None,
        service: service.map(Into::into),
        technical: false,
    };
    let words = Reason { text: Some("Name on the document doesn't match".into()), ..code("", None) };
    assert_eq!(
        account().statement(DECLINED.as_bytes()).unwrap().reasons,
        [
            code("SPDR07", None),
            code("SPDR06", None),
            code("SPDR23", None),
            code("SPDR13", Some("document")),
            code("SPDR12", Some("document")),
            code("SPDR22", Some("address")),
            code("SPDR26", Some("address")),
            code("SPDR01", Some("face")),
            words,
        ]
    );
    for technical in ["SPDR241", "SPDR242", "SPDR243", "SPDR247"] {
        let body = format!(
            r#"{{"reference":"r","event":"verification.declined","declined_codes":["{technical}"],"services_declined_codes":{{"face":["{technical}"]}},"declined_reason":"w"}}"#
        );
        let only = Reason { text: Some("w".into()), technical: true, ..code(technical, Some("face")) };
        assert_eq!(account().statement(body.as_bytes()).unwrap().reasons, [only]);
    }
}

#[test]
fn r7_statuses_and_bodies_mean_what_the_table_says() {
    let account = account();
    let failed = |kind| Outcome::Failed(Fault { kind, retry_after: None });
    let declined = Outcome::Report(Report { verdict: Some(Verdict::Declined), content: content(DECLINED) });
    let invalid = INVALID.replace("17374217", "95156124");
    let invalid = invalid.as_str();
    for (status, body, expected) in [
        (200, DECLINED, declined),
        (201, DECLINED, declined),
        (200, invalid, Outcome::NotReady(NotReady::Invalid)),
        (400, invalid, Outcome::NotReady(NotReady::Invalid)),
        (400, INVALID, failed(FaultKind::Malformed)),
        (409, r#"{"event":"request.invalid","error":""}"#, Outcome::NotReady(NotReady::Invalid)),
        (400, DECLINED, failed(FaultKind::UnexpectedStatus)),
        (404, "", Outcome::NotReady(NotReady::NotFound)),
        (404, INVALID, Outcome::NotReady(NotReady::NotFound)),
        (401, "", Outcome::Refused),
        (403, "{}", Outcome::Refused),
        (200, UNAUTHORIZED_2019, Outcome::Refused),
        (500, UNAUTHORIZED, Outcome::Refused),
        (500, DECLINED, failed(FaultKind::ServerError)),
        (504, "", failed(FaultKind::ServerError)),
        (524, "<html>524: A timeout occurred</html>", failed(FaultKind::ServerError)),
        (302, DECLINED, failed(FaultKind::Redirect)),
        (402, "{}", failed(FaultKind::UnexpectedStatus)),
        (200, "", failed(FaultKind::Malformed)),
        (200, "<html>", failed(FaultKind::Malformed)),
        (200, "{}", failed(FaultKind::Malformed)),
        (200, r#"{"event":"verification.accepted"}"#, failed(FaultKind::Malformed)),
        (200, r#"{"reference":"95156124"}"#, failed(FaultKind::Malformed)),
        (200, r#"{"reference":"other","event":"verification.accepted"}"#, failed(FaultKind::Malformed)),
        (200, r#"{"reference":"95156124","event":"a","event":"b"}"#, failed(FaultKind::Malformed)),
    ] {
        // A signature over nothing is no signature: an empty answer cannot have one.
        let headers: &[(&str, &[u8])] = &[];
        let read = if body.is_empty() {
            account.read_pull("95156124", &answer(status, headers, body), None)
        } else {
            pull(&account, "95156124", status, body)
        };
        assert_eq!(read.outcome, expected, "{status} {body:.60}");
        assert_eq!(read.diagnosis.is_some(), expected != declined, "{status} {body:.60}");
    }
    let retry = account.read_pull("r", &answer(429, &[("retry-after", b"7")], ""), None);
    let expected = Fault { kind: FaultKind::RateLimited, retry_after: Some(Span::secs(7)) };
    assert_eq!(retry.outcome, Outcome::Failed(expected));
}

#[test]
fn r16_answers_are_believed_by_their_signature() {
    let bad = Outcome::Failed(Fault { kind: FaultKind::BadSignature, retry_after: None });
    let lenient = account();
    let strict =
        Account::builder("client", Secret::from(SECRET)).require_signed_answers(true).build().unwrap();
    let wrong = "0".repeat(64);
    let wrong: &[(&str, &[u8])] = &[("sp_signature", wrong.as_bytes())];
    for account in [&lenient, &strict] {
        assert_eq!(account.read_pull("95156124", &answer(200, wrong, DECLINED), None).outcome, bad);
        assert_eq!(account.read_pull("17374217", &answer(400, wrong, INVALID), None).outcome, bad);
        for (status, body, outcome) in [
            (401, UNAUTHORIZED_2019, Outcome::Refused),
            (404, "", Outcome::NotReady(NotReady::NotFound)),
            (400, INVALID, Outcome::NotReady(NotReady::Invalid)),
        ] {
            let read = account.read_pull("17374217", &answer(status, &[], body), None);
            assert_eq!((read.outcome, read.unsigned_answer), (outcome, false), "{status}");
        }
    }
    let unsigned = lenient.read_pull("95156124", &answer(200, &[], DECLINED), None);
    assert!(unsigned.unsigned_answer && matches!(unsigned.outcome, Outcome::Report(_)));
    assert_eq!(strict.read_pull("95156124", &answer(200, &[], DECLINED), None).outcome, bad);
    let rotated =
        Account::builder("client", Secret::from("new")).also_accept(Secret::from(SECRET)).build().unwrap();
    assert!(matches!(pull(&rotated, "95156124", 200, DECLINED).outcome, Outcome::Report(_)));
}

#[test]
fn g4_a_callback_without_a_right_signature_is_never_evidence() {
    for signature in [None, Some("00"), Some(&*"0".repeat(64))] {
        let read = callback(DECLINED, signature);
        assert_eq!(read.callback, Callback::WrongSignature);
        assert_eq!(read.id.as_deref(), Some("95156124"));
    }
    let missing = signed_callback(r#"{"event":"verification.accepted"}"#);
    assert_eq!((missing.id, missing.callback), (None, Callback::SignedSignal));
    assert!(missing.unreadable.unwrap().problem.contains("`reference` is missing"));
    let twice = signed_callback(r#"{"reference":"a","reference":"b","event":"verification.accepted"}"#);
    assert_eq!((twice.id, twice.callback), (None, Callback::SignedSignal));
    let no_event = signed_callback(r#"{"reference":"a"}"#);
    assert_eq!((no_event.callback, no_event.unreadable), (Callback::SignedSignal, None));
}

#[test]
fn r19_the_signature_covers_the_byte_order_mark_that_reading_removes() {
    let body = format!("\u{feff}{DECLINED}");
    let read = signed_callback(&body);
    assert_eq!(read.id.as_deref(), Some("95156124"));
    assert_eq!(
        read.callback,
        Callback::Signed(Report { verdict: Some(Verdict::Declined), content: content(DECLINED) })
    );
    let without = callback(DECLINED, Some(&sign(Rule::After, &Secret::from(SECRET), body.as_bytes())));
    assert_eq!(without.callback, Callback::WrongSignature);
}

#[test]
fn r5_both_roads_give_one_content() {
    let callback = r#"{"reference":"r","event":"verification.declined","email":"a@b.c","country":null,"verification_result":{"face":{"face":1},"document":{"name":0,"gender":""}},"verification_data":{"document":{"name":{"first_name":"C\u00f4t\u00fa"},"file":"https:\/\/h\/x?access_token=1"}},"declined_reason":"words","declined_codes":["SPDR07","SPDR06"],"additional_data":{"document":{}},"info":{"agent":{}}}"#;
    let status = r#"{"event":"verification.declined","reference":"r","proofs":{"access_token":"t"},"declined_codes":["SPDR06","SPDR07"],"verification_data":{"document":{"file":"https://h/x?access_token=2","name":{"first_name":"Côtú"}},"consent":[]},"verification_result":{"document":{"gender":null,"name":"0"},"face":1}}"#;
    assert_eq!(content(callback), content(status));
    for (old, new) in [
        ("verification.declined", "verification.accepted"),
        ("\"face\":1", "\"face\":0"),
        ("SPDR06", "SPDR08"),
        ("Côtú", "Cote"),
        ("\"name\":\"0\"", "\"age\":\"0\""),
    ] {
        assert_ne!(content(status), content(&status.replace(old, new)), "{old}");
    }
    assert_eq!(content(CANCELLED), content(CANCELLED_2019));
    let declined = |reason: &str| {
        content(&format!(r#"{{"event":"verification.declined","declined_reason":"{reason}"}}"#))
    };
    assert_ne!(declined("one"), declined("two"));
}

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
    assert_eq!(reasons.object().complete().unwrap().get("decline_reasons").unwrap().elements().count(), 2);

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

/// A declined body of about 4 kB as the provider writes it, after PHP's manner.
fn declined_4k() -> String {
    let mut value: serde_json::Value = serde_json::from_str(DECLINED).unwrap();
    value["proofs"] =
        serde_json::json!({"document": {"proof": format!("https://ns.shuftipro.com/{}", "p/".repeat(620))}});
    value.to_string().replace('/', "\\/")
}

#[test]
fn verifying_and_reading_4_kb_takes_a_handful_of_allocations() {
    let body = declined_4k();
    assert!((4000..4500).contains(&body.len()), "{}", body.len());
    let account = account();
    let signature = sign(Rule::After, &Secret::from(SECRET), body.as_bytes());
    let headers: [(&str, &[u8]); 1] = [("Signature", signature.as_bytes())];
    let measured = allocation_counter::measure(|| {
        let mut check = account.check_callback(Headers(&headers));
        check.update(body.as_bytes());
        let checked = check.finish();
        assert_eq!(checked.authenticity, Authenticity::Signed);
        let read = account.read_callback(body.as_bytes(), &checked);
        assert!(matches!(read.callback, Callback::Signed(_)));
    });
    println!("{} allocations, {} bytes", measured.count_total, measured.bytes_total);
    assert!(measured.count_total <= 12, "{measured:?}");
}

/// Any JSON value, written out.
fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        "[a-zA-Z0-9. é]{0,12}".prop_map(|text| format!("\"{text}\"")),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|parts| format!("[{}]", parts.join(","))),
            prop::collection::vec(("[a-z]{0,3}", inner), 0..4).prop_map(|parts| {
                let parts: Vec<String> =
                    parts.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", parts.join(","))
            }),
        ]
    })
}

const MEMBERS: [&str; 17] = [
    "error",
    "token",
    "verification_url",
    "email",
    "country",
    "customer_unique_id",
    "declined_reason",
    "verification_result",
    "verification_data",
    "info",
    "additional_data",
    "declined_codes",
    "services_declined_codes",
    "proofs",
    "proof",
    "warnings",
    "unheard_of",
];

proptest! {
    #[test]
    fn r19_wrong_types_anywhere_keep_id_and_event(values in prop::collection::vec(any_json(), MEMBERS.len())) {
        let mut body = String::from(r#"{"reference":"r-1","event":"verification.accepted""#);
        for (name, value) in MEMBERS.iter().zip(&values) {
            body.push_str(&format!(",\"{name}\":{value}"));
        }
        body.push('}');
        let read = signed_callback(&body);
        prop_assert_eq!(read.id.as_deref(), Some("r-1"));
        prop_assert_eq!(read.event.as_deref(), Some("verification.accepted"));
        prop_assert_eq!(read.unreadable, None);
        let is_accepted = matches!(read.callback, Callback::Signed(Report { verdict: Some(Verdict::Accepted), .. }));
        prop_assert!(is_accepted);
        let pulled = pull(&account(), "r-1", 200, &body).outcome;
        prop_assert_eq!(pulled, Outcome::Report(Report { verdict: Some(Verdict::Accepted), content: content(&body) }));
        let text = Body::new(body.as_bytes());
        let document = Document::read(&text);
        document.verification_result().for_each(|result| { let _ = result.mark(); });
        let _ = (document.error().map(|e| (e.message(), e.key(), e.service())), document.reasons(), document.agent(), document.geolocation());
        let _ = (document.proofs().count(), document.warnings().count(), document.additional_data().count());
        prop_assert_eq!(document.others().count(), 1);
    }

    #[test]
    fn r19_any_bytes_are_answered_without_panic(
        status: u16, body in prop::collection::vec(any::<u8>(), 0..120), header in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let account = account();
        let headers: [(&str, &[u8]); 3] = [("signature", &header), ("sp_signature", &header), ("retry-after", &header)];
        let answer = Answer { status, headers: Headers(&headers), body: &body };
        let _ = (account.read_pull("r", &answer, Some(1)), account.read_token(&answer, None), account.statement(&body));
        let mut check = account.check_callback(Headers(&headers));
        check.update(&body);
        let read = account.read_callback(&body, &check.finish());
        prop_assert_eq!(read.callback, Callback::WrongSignature);
    }
}
