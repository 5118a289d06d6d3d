//! Every recorded and documented body, and every parameter in it.

use super::{
    ACCEPTED, ACCEPTED_2019, ACCEPTED_CALLBACK, CANCELLED, CANCELLED_2019, CHANGED, CHANGED_2019, DECLINED,
    DECLINED_2019, DELETED, DELETED_2019, INVALID, INVALID_2019, PENDING, PENDING_2019, PENDING_EIDV,
    PENDING_HTTP, RECEIVED, RECEIVED_2019, REVIEW, STATUS_2019, STATUS_EMPTY, TIMEOUT, TIMEOUT_2019,
    UNAUTHORIZED, account, content, pull, signed_callback,
};
use idv_core::evidence::{Callback, Fault, FaultKind, NotReady, Outcome, Report, Verdict};
use idv_core::json::Body;
use idv_core::provider::{Provider, Reason};
use idv_core::shufti::Event;
use idv_core::shufti::answers::{Document, Mark};
use idv_core::shufti::lifecycle::SHUFTI;

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
        assert_eq!(read.claims, event.verdict(), "{event}");

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
        assert_eq!((read.callback, read.claims), (Callback::SignedSignal, None));
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
