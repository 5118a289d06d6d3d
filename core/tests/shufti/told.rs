//! What people are told about an answer that settles nothing: what was wrong, where, what to do, and nothing of anybody.

use super::{SECRET, account, answer};
use idv_core::evidence::{NotReady, Outcome};
use idv_core::http::{Answer, Headers, describe};
use idv_core::json::Body;
use idv_core::provider::{Provider, PullAnswer, TokenAnswer};
use idv_core::secret::Secret;
use idv_core::shufti::Event;
use idv_core::shufti::answers::{Document, Mark};
use idv_core::shufti::signature::{Rule, sign};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A pull of `r-1`, answered with these bytes and their signature.
fn pull(status: u16, body: &[u8]) -> PullAnswer {
    let signature = sign(Rule::After, &Secret::from(SECRET), body);
    let fields = [("signature", signature.as_bytes())];
    account().read_pull("r-1", &Answer { status, headers: Headers(&fields), body }, None)
}

/// What is told of an answer beside its status, type and size.
fn told(status: u16, body: &str) -> String {
    let described = format!(" ({})", describe(&answer(status, &[], body)));
    let diagnosis = pull(status, body.as_bytes()).diagnosis.unwrap();
    diagnosis.strip_suffix(&described).unwrap().to_owned()
}

/// The provider names the parameter that it does not take, and its service: that helps, and says nothing of anybody. Its words may
/// repeat what was sent, and stay out.
#[test]
fn g10_of_an_invalid_request_the_parameter_and_its_service_are_told() {
    let (longest, too_long) = ("a".repeat(64), "a".repeat(65));
    let says = "the provider says request.invalid";
    for (error, wanted) in [
        (
            json!({"service": "document", "key": "dob", "message": "Jane"}),
            format!("{says}: `dob` of `document`"),
        ),
        (json!({"key": "issue_date", "message": "Jane"}), format!("{says}: `issue_date`")),
        (json!({"service": "face", "message": "Jane"}), format!("{says}: `face`")),
        (json!({"service": "face", "key": ""}), format!("{says}: `face`")),
        (json!({"key": longest}), format!("{says}: `{longest}`")),
        (json!({"key": too_long}), says.to_owned()),
        (json!({"key": "Jane", "service": "jane@example.org"}), says.to_owned()),
        (json!({"key": "a.b", "service": "born 1985"}), says.to_owned()),
        (json!("Jane"), says.to_owned()),
        (json!(""), says.to_owned()),
    ] {
        let body = json!({"reference": "r-1", "event": "request.invalid", "error": error});
        assert_eq!(told(400, &body.to_string()), wanted);
    }
}

/// R19: an event that stands in no document settles nothing, and is told by its name if it has one.
#[test]
fn r19_an_event_that_nobody_knows_is_told_by_its_name() {
    let (longest, too_long) = ("a".repeat(64), "a".repeat(65));
    for (event, is_shown) in [
        ("verification.promoted", true),
        ("data_checked", true),
        (&longest, true),
        (&too_long, false),
        ("Jane", false),
        ("jane@example.org", false),
        ("born 1985", false),
    ] {
        let body = json!({"reference": "r-1", "event": event}).to_string();
        let named = if is_shown { format!("the event `{event}`") } else { "the event".to_owned() };
        assert_eq!(told(200, &body), format!("{named} is none that we know; it settles nothing"));
        let Outcome::Report(report) = pull(200, body.as_bytes()).outcome else { panic!("{event}") };
        assert_eq!(report.verdict, None);
    }
}

/// What is wrong with an answer is told although it counts: somebody on the way, or the provider, does what it should not.
#[test]
fn an_answer_that_counts_and_is_odd_says_so() {
    let repaired =
        pull(200, b"{\"reference\":\"r-1\",\"event\":\"verification.accepted\",\"name\":\"Ren\xE9\"}");
    assert!(matches!(repaired.outcome, Outcome::Report(_)));
    assert!(repaired.diagnosis.unwrap().starts_with("bytes that are not UTF-8 were replaced (status 200,"));
    let plain = pull(200, br#"{"reference":"r-1","event":"verification.accepted"}"#);
    assert_eq!(plain.diagnosis, None);
}

#[test]
fn an_answer_states_the_event_that_is_recorded_only_where_it_counts() {
    for (status, body, event) in [
        (200, r#"{"reference":"r-1","event":"verification.accepted"}"#, Some(Event::VerificationAccepted)),
        (200, r#"{"reference":"r-1","event":"request.pending"}"#, Some(Event::RequestPending)),
        (400, r#"{"reference":"r-1","event":"request.invalid"}"#, Some(Event::RequestInvalid)),
        (200, r#"{"reference":"r-2","event":"verification.accepted"}"#, None),
        (500, r#"{"reference":"r-1","event":"verification.accepted"}"#, None),
        (200, r#"{"reference":"r-1","event":"verification.promoted"}"#, None),
    ] {
        assert_eq!(pull(status, body.as_bytes()).event, event.map(Event::row), "{status} {body}");
    }
    let invalid = pull(400, br#"{"reference":"r-1","event":"request.invalid"}"#);
    assert_eq!(invalid.outcome, Outcome::NotReady(NotReady::Invalid));
}

/// R19: the provider's words come as a text, in a list, or in an object from parameter to words; the first of them is given.
#[test]
fn r19_the_words_of_an_error_are_found_in_whatever_they_come() {
    for (error, wanted) in [
        (json!({"message": "too short", "key": "dob"}), Some("too short")),
        (json!({"message": ["", "too short", "too long"]}), Some("too short")),
        (json!({"message": {"dob": "too short"}, "key": "x"}), Some("too short")),
        (json!({"message": []}), None),
        (json!({"message": ""}), None),
        (json!({"key": "dob"}), None),
        (json!(["", "too short", "too long"]), Some("too short")),
        (json!("too short"), Some("too short")),
    ] {
        let text = json!({ "error": error }).to_string();
        let body = Body::new(text.as_bytes());
        let document = Document::read(&body);
        assert_eq!(document.error().unwrap().message().as_deref(), wanted, "{text}");
    }
}

/// R19: a result is what the documents say it is, in whatever it comes; of any other nothing is guessed.
#[test]
fn r19_the_result_of_a_check_and_the_kind_of_a_device_are_not_guessed() {
    for (value, mark, flag) in [
        (json!(1), Some(Mark::Accepted), Some(true)),
        (json!("1"), Some(Mark::Accepted), Some(true)),
        (json!(true), Some(Mark::Accepted), Some(true)),
        (json!(0), Some(Mark::Declined), Some(false)),
        (json!("0"), Some(Mark::Declined), Some(false)),
        (json!(false), Some(Mark::Declined), Some(false)),
        (json!(null), Some(Mark::NotProcessed), None),
        (json!(""), Some(Mark::NotProcessed), None),
        (json!(2), None, None),
        (json!("yes"), None, None),
        (json!([1]), None, None),
    ] {
        let text = json!({
            "verification_result": {"document": {"name": value}},
            "info": {"agent": {"is_desktop": value, "is_phone": value, "platform_name": "x"}},
        })
        .to_string();
        let body = Body::new(text.as_bytes());
        let document = Document::read(&body);
        let marks: Vec<_> = document.verification_result().map(|result| result.mark()).collect();
        assert_eq!(marks, [mark], "{text}");
        let agent = document.agent().unwrap();
        assert_eq!((agent.is_desktop(), agent.is_phone()), (flag, flag), "{text}");
    }
}

/// What a person could be known by; only its form gives it away.
fn personal() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{2,8}\\.[a-z]{2,8}@[a-z]{2,8}\\.org",
        "\\+[0-9]{9,12}",
        "(19|20)[0-9]{2}-[01][0-9]-[0-3][0-9]",
        "[A-Z]{2}[0-9]{7}",
        "[A-Z][a-z]{2,8} [A-Z][a-zé]{2,8}",
        "[A-Za-z0-9_-]{20}[0-9]",
    ]
}

proptest! {
    #[test]
    fn g10_no_diagnosis_shows_what_could_be_personal_and_none_is_long(
        status in prop_oneof![Just(200_u16), Just(400), Just(401), Just(404), any::<u16>()],
        who in personal(), times in 1_usize..40,
    ) {
        let long: serde_json::Map<String, Value> = (0..times).map(|nth| (format!("{who}{nth}"), json!(who))).collect();
        for body in [
            json!({"reference": "r-1", "event": "request.invalid", "error": {"service": who, "key": who, "message": who}}),
            json!({"reference": "r-1", "event": "request.invalid", "error": long}),
            json!({"reference": who, "event": "request.invalid"}),
            json!({"reference": "r-1", "event": who, "email": who}),
            json!({"reference": who, "event": "verification.accepted"}),
            json!({"reference": "r-1", &who: who, "access_token": format!("{who}\n")}),
            json!(long),
            json!([who]),
            json!(who),
        ] {
            let bytes = body.to_string();
            let signature = sign(Rule::After, &Secret::from(SECRET), bytes.as_bytes());
            for signature in [signature.as_str(), &who] {
                let fields = [("content-type", who.as_bytes()), ("signature", signature.as_bytes())];
                let answer = Answer { status, headers: Headers(&fields), body: bytes.as_bytes() };
                let token = match account().read_token(&answer, None) {
                    TokenAnswer::Refused { diagnosis } | TokenAnswer::Failed { diagnosis, .. } => diagnosis,
                    TokenAnswer::Received { .. } => None,
                };
                for told in [account().read_pull("r-1", &answer, None).diagnosis, token].into_iter().flatten() {
                    prop_assert!(!told.contains(&who), "{}", told);
                    prop_assert!(told.len() <= 600 && !told.contains(char::is_control), "{}", told);
                }
            }
        }
    }
}
