//! What people are told about an answer that is no result: what was wrong, where, what to do, and nothing of anybody.

use super::{account, answer};
use idv_core::evidence::Verdict;
use idv_core::http::{Answer, Headers, describe};
use idv_core::provider::{Provider, PullAnswer, TokenAnswer};
use idv_core::shareid::lifecycle::SHAREID;
use idv_core::shareid::{Account, Flow};
use proptest::prelude::*;
use serde_json::{Value, json};

fn pull(status: u16, body: &str) -> PullAnswer {
    account(Flow::Authenticate).read_pull("flow.id", &answer(status, body.as_bytes()), None)
}

/// What is told of an answer beside its status, type and size.
fn told(status: u16, body: &str) -> String {
    let diagnosis = pull(status, body).diagnosis.unwrap();
    let described = describe(&answer(status, body.as_bytes()));
    diagnosis.replace(&format!("{described}; "), "").replace(&format!(" ({described})"), "")
}

/// `detail` is the provider's own word on what is wrong. Ordinary words are shown, for they help; all else may be what was sent.
#[test]
fn g10_a_detail_is_shown_where_it_consists_of_a_few_ordinary_words() {
    let words = |letters: usize| ["a".repeat(16), "b".repeat(letters)].join(" ");
    let (longest, too_long) =
        ([12, 13].map(|letters| [words(16), words(16), "c".repeat(letters)].join(" "))).into();
    assert_eq!((longest.len(), too_long.len()), (80, 81));
    for text in [
        "Not authenticated",
        "Please wait, then ask again!",
        "It's a well-known error_code; really: it is?",
        "UPPER CASE.",
        &words(16),
        &longest,
    ] {
        assert_eq!(told(400, &json!({ "detail": text }).to_string()), format!("`detail`: \"{text}\""));
    }
    for text in [
        "Not authenticated: a1",
        "ask jane@example.org",
        "Renée",
        "call +33",
        "a=b",
        "a\tb",
        "flow.id",
        "no flow.id here",
        &words(17),
        &too_long,
    ] {
        let body = json!({ "detail": text });
        let hidden = format!(
            "`detail`: a text of {} bytes, not shown since it may repeat what was sent",
            body["detail"].to_string().len()
        );
        assert_eq!(told(400, &body.to_string()), hidden, "{text}");
    }
}

/// A list is how web frameworks say what is wrong with a request: each complaint's place and kind are shown, never what was found there.
#[test]
fn g10_of_complaints_their_place_and_kind_are_shown() {
    let missing = |place: Value| json!({"type": "missing", "loc": place, "msg": "Jane", "input": "Jane"});
    let name_of_32 = "a".repeat(32);
    for (detail, shown) in [
        (json!([missing(json!(["body", "flow_id"]))]), "body.flow_id missing"),
        (
            json!([missing(json!(["body"])), {"type": "value_error.jsondecode"}]),
            "body missing,  value_error.jsondecode",
        ),
        (json!([missing(json!(["body", 17, "Jane", "x-y", ""]))]), "body missing"),
        (
            json!([missing(json!(["body", "flow.id", name_of_32, "a".repeat(33)]))]),
            &format!("body.{name_of_32} missing"),
        ),
        (json!([missing(json!(["a", "b", "c", "d", "e", "f", "g"]))]), "a.b.c.d.e.f missing"),
        (json!(vec![missing(json!(["body"])); 5]), "body missing, body missing, body missing, body missing"),
        (json!({"first": missing(json!("body"))}), "body missing"),
        (
            json!([{"type": "Jane", "loc": ["body"]}, {"loc": ["body"]}]),
            "a list or an object in a form of its own",
        ),
        (json!([{"type": "flow.id", "loc": ["body"]}]), "a list or an object in a form of its own"),
        (json!({"code": 7}), "a list or an object in a form of its own"),
        (json!([]), "a list or an object in a form of its own"),
        (json!(17), "neither a text nor a list"),
        (json!(true), "neither a text nor a list"),
    ] {
        assert_eq!(told(422, &json!({ "detail": detail }).to_string()), format!("`detail`: {shown}"));
    }
    // No detail: the status says all there is.
    for body in ["", "{}", r#"{"detail":null}"#, r#"{"message":"Jane"}"#, r#"{"detail":"Jane""#] {
        assert_eq!(pull(400, body).diagnosis.unwrap(), describe(&answer(400, body.as_bytes())), "{body}");
    }
}

/// An answer that could be a result and is none: what stands in place of `reasons`, and which members there are.
#[test]
fn an_answer_without_readable_reasons_is_told_by_what_it_has_instead() {
    let expected = "expected a list of reasons, an empty list or null; its members: reasons";
    let (shown, hidden) = ("a".repeat(32), "a".repeat(33));
    let alphabet: String = ('a'..='z').map(|letter| format!("\"{letter}\":1,")).collect();
    for (body, wanted) in [
        ("{}", "`reasons` is missing, expected a list or null; its members: none".into()),
        (
            &format!(
                r#"{{"status":"ok","{shown}":1,"{hidden}":2,"Jane":3,"a1":4,"":5,"flow.id":6,"a.b_c":7}}"#
            ),
            format!("`reasons` is missing, expected a list or null; its members: status {shown} a.b_c"),
        ),
        (
            &format!("{{{alphabet}\"z\":1}}"),
            "`reasons` is missing, expected a list or null; its members: a b c d e f g h i j k l".into(),
        ),
        (r#"{"reasons":false}"#, format!("`reasons` is a boolean, {expected}")),
        (r#"{"reasons":0}"#, format!("`reasons` is a number, {expected}")),
        (r#"{"reasons":""}"#, format!("`reasons` is an empty string, {expected}")),
        (r#"{"reasons":[null]}"#, format!("`reasons` is a list without any text in it, {expected}")),
        (r#"{"reasons":{}}"#, format!("`reasons` is an object without any text in it, {expected}")),
        (r#"{"detail":"queued"}"#, "no result but a `detail`: \"queued\"".into()),
        (
            r#"{"reasons":[],"detail":"queued"}"#,
            "the answer holds both `reasons` and `detail`, expected one of them".into(),
        ),
        ("[]", "expected a JSON object, found an array at line 1, column 1".into()),
    ] {
        let told = told(200, body);
        assert!(
            told == wanted || body == "[]" && told.starts_with("expected a JSON object, found an array"),
            "{told}"
        );
    }
}

/// What is recorded of a verification are rows of the lifecycle's table, from either road.
#[test]
fn a_result_states_its_event_on_either_road_and_an_answer_without_one_says_not_ready() {
    for (status, body, event) in [
        (200, r#"{"reasons":[]}"#, Some("ready.accepted")),
        (200, r#"{"reasons":["no_doc"]}"#, Some("ready.declined")),
        (200, r#"{"detail":"applicant not found"}"#, Some("not_ready")),
        // These say nothing of the verification: the path or the id may be wrong, the credentials, the network.
        (200, r#"{"detail":"flow not found"}"#, None),
        (404, "", None),
        (401, "", None),
        (500, "", None),
        (200, "", None),
    ] {
        let event = event.map(|name| SHAREID.find(name));
        assert_eq!(pull(status, body).event, event, "{status} {body}");
    }
    for (body, verdict, event) in [
        (r#"{"flow_id":"f","reasons":[]}"#, Some(Verdict::Accepted), Some("ready.accepted")),
        (r#"{"flow_id":"f","reasons":["no_doc"]}"#, Some(Verdict::Declined), Some("ready.declined")),
        (r#"{"flow_id":"f"}"#, None, None),
        (r#"{"flow_id":"f","reasons":["no_doc"]"#, None, None),
    ] {
        let account = account(Flow::Authenticate);
        let mut check = account.check_callback(Headers(&[]));
        check.update(body.as_bytes());
        let read = account.read_callback(body.as_bytes(), &check.finish());
        assert_eq!((read.claims, read.stated), (verdict, event.map(|name| SHAREID.find(name))), "{body}");
    }
}

/// What a person could be known by, or let in with; none of it was sent by us, so that only its form gives it away.
fn personal() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{2,8}\\.[a-z]{2,8}@[a-z]{2,8}\\.org",
        "\\+[0-9]{9,12}",
        "(19|20)[0-9]{2}-[01][0-9]-[0-3][0-9]",
        "[A-Za-z]{33,80}",
        "[A-Z]{2}[0-9]{7}",
        "[a-f0-9]{7}[0-9][a-f0-9]{8}",
        "[A-Za-z0-9_-]{8}\\.[A-Za-z0-9_-]{8}[0-9]\\.[A-Za-z0-9_-]{8}",
        "[A-Z][a-z]{2,8}é[a-z]{1,5}",
    ]
}

proptest! {
    #[test]
    fn g10_no_diagnosis_shows_what_could_be_personal_and_none_is_long(
        status in prop_oneof![Just(200_u16), Just(400), Just(401), Just(404), Just(422), any::<u16>()],
        who in personal(), before in "[a-z ]{0,12}", times in 1_usize..40,
    ) {
        let sentence = format!("{before} {who}");
        let many: serde_json::Map<String, Value> = (0..times).map(|nth| (format!("{who}{nth}"), json!({"type": "missing"}))).collect();
        for body in [
            json!({"detail": who}),
            json!({"detail": sentence}),
            json!({"detail": [who, sentence]}),
            json!({"detail": vec![json!({"loc": vec![json!(who), json!("body")], "type": "missing", "msg": who}); times]}),
            json!({"detail": {"type": who, "loc": ["body"]}}),
            json!({"detail": {&who: {"type": sentence, "loc": who}}}),
            json!({"detail": many}),
            json!({"reasons": {&who: null}, &who: who}),
            json!(many),
            json!([who]),
            json!(who),
        ] {
            let bytes = body.to_string();
            let answer = Answer { status, headers: Headers(&[("content-type", who.as_bytes())]), body: bytes.as_bytes() };
            let account: Account = account(Flow::Onboarding);
            let token = match account.read_token(&answer, None) {
                TokenAnswer::Refused { diagnosis } | TokenAnswer::Failed { diagnosis, .. } => diagnosis,
                TokenAnswer::Received { .. } => None,
            };
            let start = account.read_start(Flow::Onboarding, &answer, None).unwrap_err().diagnosis;
            for told in [account.read_pull("ap-1", &answer, None).diagnosis, token, Some(start)].into_iter().flatten() {
                prop_assert!(!told.contains(&who), "{}", told);
                prop_assert!(told.len() <= 1_200 && !told.contains(char::is_control), "{}", told);
            }
        }
    }
}
