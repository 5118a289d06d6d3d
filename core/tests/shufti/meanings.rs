//! What answers and callbacks mean, whom they are believed, and what that costs.

use super::{
    CANCELLED, CANCELLED_2019, DECLINED, INVALID, SECRET, UNAUTHORIZED, UNAUTHORIZED_2019, account, answer,
    callback, content, pull, signed_callback,
};
use idv_core::evidence::{Callback, Fault, FaultKind, NotReady, Outcome, Report, Verdict};
use idv_core::http::Headers;
use idv_core::provider::{Authenticity, Provider};
use idv_core::secret::Secret;
use idv_core::shufti::Account;
use idv_core::shufti::signature::{Rule, sign};
use idv_core::time::Span;

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
