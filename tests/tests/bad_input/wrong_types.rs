//! Wrong types anywhere: every value of a document, at every depth, replaced by every other kind of value. Straight to the codecs: a
//! socket adds nothing.

use crate::{discreet, signature};
use idv_core::evidence::{Callback, FaultKind, Outcome, Verdict};
use idv_core::http::{Answer, Headers};
use idv_core::provider::{Authenticity, Provider};
use idv_core::shareid::Flow;
use idv_tests::driving::{shareid_at, shufti_at};
use serde_json::{Value, json};

/// Every place of a value: the way to it by members and positions.
fn places(value: &Value) -> Vec<String> {
    let mut all = vec![String::new()];
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(elements) => {
            elements.iter().enumerate().map(|(n, value)| (n.to_string(), value)).collect()
        }
        _ => Vec::new(),
    };
    for (step, value) in inner {
        all.extend(places(value).into_iter().map(|place| format!("/{step}{place}")));
    }
    all
}

fn replacements() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(7),
        json!(-1.5e300),
        json!(""),
        json!("x"),
        json!([]),
        json!([null]),
        json!([1, ["x", {}]]),
        json!({}),
        json!({"a": {"b": [1]}}),
    ]
}

/// The document with each of its values replaced by each kind of value.
fn each_wrong_type(document: &str, mut check: impl FnMut(&str, &Value, &[u8])) {
    let document: Value = serde_json::from_str(document).unwrap();
    let places = places(&document);
    assert!(places.len() > 10);
    for place in places {
        for wrong in replacements() {
            let mut body = document.clone();
            *body.pointer_mut(&place).unwrap() = wrong.clone();
            check(&place, &wrong, &serde_json::to_vec(&body).unwrap());
        }
    }
}

fn read_pull(provider: &impl Provider, id: &str, body: &[u8]) -> (Outcome, String) {
    let signature = signature(body);
    let fields = [("content-type", &b"application/json"[..]), ("signature", signature.as_bytes())];
    let read = provider.read_pull(id, &Answer { status: 200, headers: Headers(&fields), body }, None);
    let diagnosis = read.diagnosis.unwrap_or_default();
    discreet(&diagnosis);
    (read.outcome, diagnosis)
}

fn is_malformed(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Failed(fault) if fault.kind == FaultKind::Malformed)
}

fn verdict(outcome: Outcome) -> Option<Verdict> {
    if let Outcome::Report(report) = outcome { report.verdict } else { None }
}

#[test]
fn r19_no_wrong_type_hides_what_a_shufti_document_says() {
    for (document, reference, truth) in [
        (
            include_str!("../../../core/tests/fixtures/shufti-verification.declined-seed.json"),
            "95156124",
            Verdict::Declined,
        ),
        (
            include_str!(
                "../../../core/tests/fixtures/shufti-callback.verification.accepted-address-trakx.json"
            ),
            "",
            Verdict::Accepted,
        ),
    ] {
        let parsed: Value = serde_json::from_str(document).unwrap();
        let reference = if reference.is_empty() { parsed["reference"].as_str().unwrap() } else { reference };
        let provider = shufti_at("http://127.0.0.1:1");
        each_wrong_type(document, |place, wrong, body| {
            let (outcome, diagnosis) = read_pull(&provider, reference, body);
            let signature = signature(body);
            let fields = [("signature", signature.as_bytes())];
            let mut check = provider.check_callback(Headers(&fields));
            check.update(body);
            let checked = check.finish();
            assert_eq!(checked.authenticity, Authenticity::Signed);
            let read = provider.read_callback(body, &checked);
            match place {
                "" => {
                    assert!(is_malformed(outcome), "{wrong}: {outcome:?}");
                    assert!(diagnosis.contains("expected") || diagnosis.contains("has no"), "{diagnosis}");
                    assert!(read.unreadable.is_some() && read.callback == Callback::SignedSignal);
                }
                "/reference" => {
                    assert!(is_malformed(outcome), "{wrong}: {outcome:?}");
                    assert!(diagnosis.contains("`reference`"), "{diagnosis}");
                    // A number or a text names somebody, though not the one asked for.
                    assert_eq!(read.unreadable.is_some(), read.id.is_none());
                    assert_ne!(read.id.as_deref(), Some(reference));
                }
                "/event" => {
                    assert_eq!(verdict(outcome), None, "{wrong}");
                    assert!(is_malformed(outcome) == diagnosis.contains("`event`"), "{wrong}: {diagnosis}");
                    assert_eq!((read.id.as_deref(), read.unreadable), (Some(reference), None));
                    assert!(!matches!(read.callback, Callback::Signed(report) if report.verdict.is_some()));
                }
                _ => {
                    assert_eq!(verdict(outcome), Some(truth), "{place} {wrong}: {diagnosis}");
                    assert_eq!((read.id.as_deref(), read.unreadable), (Some(reference), None));
                    assert!(
                        matches!(read.callback, Callback::Signed(report) if report.verdict == Some(truth))
                    );
                    assert_eq!(provider.statement(body).unwrap().verdict, Some(truth));
                }
            }
        });
    }
}

#[test]
fn r19_no_wrong_type_turns_a_shareid_decline_into_an_acceptance() {
    let accepted =
        include_str!("../../../core/tests/fixtures/shareid/result.onboarding-accepted-synthetic.json");
    let declined = accepted.replacen("\"reasons\": []", "\"reasons\": [\"doc_spoof\", \"no_face\"]", 1);
    assert_ne!(accepted, declined);
    let parsed: Value = serde_json::from_str(accepted).unwrap();
    let id = parsed["applicant_id"].as_str().unwrap();
    let provider = shareid_at("http://127.0.0.1:1", Flow::Onboarding);
    for (document, truth) in [(accepted, Verdict::Accepted), (&declined, Verdict::Declined)] {
        each_wrong_type(document, |place, wrong, body| {
            let (outcome, diagnosis) = read_pull(&provider, id, body);
            let read = provider.read_callback(body, &checked(&provider, body));
            assert_eq!(read.callback, Callback::Unsigned);
            match place {
                "" => {
                    assert!(is_malformed(outcome) && diagnosis.contains("expected"), "{wrong}: {diagnosis}")
                }
                "/reasons" => {
                    // Only what the documents write for "none" is none.
                    let none = wrong.is_null() || *wrong == json!([]);
                    assert_eq!(verdict(outcome) == Some(Verdict::Accepted), none, "{wrong}");
                    assert!(
                        verdict(outcome).is_some() || diagnosis.contains("`reasons` is"),
                        "{wrong}: {diagnosis}"
                    );
                }
                "/applicant_id" => {
                    // Missing, as far as can be told, or another one.
                    assert!(verdict(outcome) == Some(truth) || diagnosis.contains("another `applicant_id`"));
                    assert_ne!(read.id.as_deref(), Some(id));
                }
                _ => {
                    assert_eq!(verdict(outcome), Some(truth), "{place} {wrong}: {diagnosis}");
                    assert_eq!((read.id.as_deref(), read.unreadable), (Some(id), None));
                    assert_eq!(provider.statement(body).unwrap().verdict, Some(truth));
                }
            }
        });
    }
}

fn checked(provider: &impl Provider, body: &[u8]) -> idv_core::provider::Checked {
    let mut check = provider.check_callback(Headers(&[]));
    check.update(body);
    check.finish()
}
