//! What every answer means.

use super::{HASH, KEY, account, answer, json, result, rewritten};
use idv_core::evidence::{ContentDigest, FaultKind, NotReady, Outcome, Report, Verdict};
use idv_core::http::{Answer, Headers};
use idv_core::json::Body;
use idv_core::provider::{Provider, PullAnswer, TokenAnswer};
use idv_core::shareid::contract::{REASONS, is_technical};
use idv_core::shareid::{Document, Flow};
use idv_core::time::Span;
use proptest::prelude::*;
use serde_json::{Value, json};

fn pull(status: u16, body: &[u8]) -> PullAnswer {
    account(Flow::Authenticate).read_pull("f-1", &answer(status, body), None)
}

fn verdict(read: &PullAnswer) -> Option<Verdict> {
    match read.outcome {
        Outcome::Report(report) => report.verdict,
        Outcome::NotReady(_) | Outcome::Refused | Outcome::Failed(_) => None,
    }
}

fn content(body: &str) -> ContentDigest {
    match pull(200, body.as_bytes()).outcome {
        Outcome::Report(Report { content, .. }) => content,
        other @ (Outcome::NotReady(_) | Outcome::Refused | Outcome::Failed(_)) => panic!("{other:?}: {body}"),
    }
}

fn is_failure(read: &PullAnswer, kind: FaultKind) -> bool {
    matches!(read.outcome, Outcome::Failed(fault) if fault.kind == kind)
}

/// Whether these are reasons in the strict sense: a list in which something stands.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => list.iter().any(|item| !is_blank(item)),
        Value::Object(members) => members.values().any(|item| !is_blank(item)),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn is_blank(value: &Value) -> bool {
    [json!(null), json!(""), json!([]), json!({})].contains(value)
}

/// What the id member of a body names: text, or a number or boolean as its text.
fn named(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        number @ (Value::Number(_) | Value::Bool(_)) => Some(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer_and_none_is_a_verdict_by_accident(
        status in prop_oneof![Just(200_u16), any::<u16>()],
        body in prop_oneof![prop::collection::vec(any::<u8>(), 0..80), "[\\[{\\]}\",:a-z]{0,40}".prop_map(String::into_bytes)],
    ) {
        let read = pull(status, &body);
        prop_assert!(verdict(&read).is_none(), "{:?}", read);
        let _ = account(Flow::Onboarding).read_token(&answer(status, &body), None);
        let _ = account(Flow::Onboarding).read_start(Flow::Onboarding, &answer(status, &body), None);
        let _ = account(Flow::Onboarding).statement(&body);
    }

    #[test]
    fn accepted_only_where_reasons_are_explicitly_empty(
        body in prop_oneof![1 => json(), 3 => result()], status in prop_oneof![3 => Just(200_u16), 1 => any::<u16>()],
    ) {
        let read = pull(status, body.to_string().as_bytes());
        let success = (200..=299).contains(&status);
        let about_this = named(body.get("flow_id")).is_none_or(|id| id == "f-1");
        let no_detail = body.get("detail").is_none_or(Value::is_null);
        let wanted = match body.get("reasons") {
            Some(reasons) if success && about_this && no_detail => match reasons {
                Value::Null => Some(Verdict::Accepted),
                Value::Array(list) if list.is_empty() => Some(Verdict::Accepted),
                Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => says_something(reasons).then_some(Verdict::Declined),
            },
            _ => None,
        };
        prop_assert_eq!(verdict(&read), wanted, "{} {:?}", &body, &read);
        if wanted.is_some() {
            prop_assert_eq!(read.alias, named(body.get("applicant_id")));
        } else {
            prop_assert_eq!(read.alias, None);
        }
        if success {
            let said = account(Flow::Authenticate).statement(body.to_string().as_bytes());
            prop_assert!(wanted.is_none() || said.unwrap().verdict == wanted);
        }
    }

    #[test]
    fn r5_the_digest_does_not_depend_on_how_it_is_written(
        codes in prop::collection::vec(any::<String>().prop_filter("no reason", |code| !code.is_empty()), 0..4), document in json(), customer in json(),
    ) {
        let body = json!({"flow_id": "f-1", "reasons": &codes, "document": &document, "customer_data": customer});
        let written = content(&body.to_string());
        prop_assert_eq!(content(&rewritten(&body)), written);
        let mut reordered = codes.clone();
        reordered.reverse();
        let other = json!({"applicant_id": "a-1", "reasons": reordered, "document": document, "surprise": 1});
        prop_assert_eq!(content(&other.to_string()), written, "ids, customer data and order say nothing");
    }

    #[test]
    fn r5_the_digest_depends_on_reasons_and_document_and_r17_not_on_images(one in "[a-z]{1,6}", other in "[a-z]{1,6}") {
        let of = |code: &str, surname: &str, later: &str, image: &str| content(&json!({
            "reasons": [code],
            "document": {
                "type": {"doc_type": "passport"}, "ocr": {"surname": surname, "name": ""}, "later": later,
                "doc_front": image, "doc_back": image, "face_face": image, "face_doc": image,
            },
        }).to_string());
        let base = of(&one, &one, &one, "");
        prop_assert_eq!(of(&one, &one, &one, &other), base);
        let same = one == other;
        prop_assert_eq!(of(&other, &one, &one, "") == base, same);
        prop_assert_eq!(of(&one, &other, &one, "") == base, same);
        prop_assert_eq!(of(&one, &one, &other, "") == base, same);
    }

    #[test]
    fn r18_reasons_are_kept_verbatim_and_in_order(codes in prop::collection::vec(prop_oneof![
        prop::sample::select(&REASONS[..]).prop_map(|reason| String::from(reason.code)),
        any::<String>().prop_filter("no reason", |code| !code.is_empty()),
    ], 1..6)) {
        let body = rewritten(&json!({"flow_id": "f-1", "reasons": &codes}));
        let said = account(Flow::Authenticate).statement(body.as_bytes()).unwrap();
        prop_assert_eq!(said.verdict, Some(Verdict::Declined));
        prop_assert_eq!(said.event, None);
        let kept: Vec<String> = said.reasons.iter().map(|reason| reason.code.clone()).collect();
        prop_assert_eq!(kept, codes);
        for reason in said.reasons {
            prop_assert_eq!(reason.technical, ["analysis_failed", "operator_failed"].contains(&reason.code.as_str()));
        }
    }

    #[test]
    fn r19_a_document_of_any_shape_can_be_looked_at(body in result()) {
        let text = body.to_string();
        let body = Body::new(text.as_bytes());
        let document = Document::new(body.object(&[]).complete().unwrap());
        let data = document.data();
        let _ = (data.doc_type(), data.doc_model(), data.country_code(), data.value(), data.ocr_fields().count());
        for field in idv_core::shareid::OcrField::ALL {
            let _ = data.ocr(field);
        }
        for image in idv_core::shareid::Image::ALL {
            let _ = data.image(image);
        }
        let _ = (document.content(), document.customer_data(), document.members().count(), document.reasons().to_vec());
    }

    #[test]
    fn g10_no_diagnosis_repeats_what_was_sent_or_found(
        status in prop_oneof![Just(200_u16), Just(401), Just(403), Just(422), Just(400), Just(500), any::<u16>()],
        wrap in 0_usize..9,
        secret in prop_oneof![Just(HASH), Just(KEY), Just("hidden")],
    ) {
        let detail = match wrap {
            0 => json!(secret),
            1 => json!(format!("Invalid api key {secret}")),
            2 => json!([{"loc": ["body", secret], "msg": format!("{secret} wrong"), "type": secret, "input": {"api_key": secret}}]),
            3 => json!([{"loc": ["body", "api_key"], "msg": secret, "type": "missing", "input": secret}]),
            4 => json!({"code": 7, "message": secret}),
            5 => json!([secret]),
            6 => json!({secret: {"type": "missing", "loc": [secret, "x"]}}),
            7 => json!({"type": "missing", "loc": secret}),
            _ => json!([{"loc": 5, "type": ["x"], "ctx": secret}]),
        };
        let account = idv_core::shareid::Account::new(
            "https://api.example", Flow::Authenticate, "hidden".into(), if secret == "hidden" { KEY.into() } else { secret.into() },
        ).unwrap();
        for body in [json!({"detail": &detail}), json!({"detail": &detail, "reasons": []}), json!({"reasons": true, secret: 1})] {
            let body = body.to_string();
            let refused = answer(status, body.as_bytes());
            let shown = format!(
                "{:?} {:?} {:?}",
                account.read_token(&refused, None), account.read_start(Flow::Authenticate, &refused, None), account.read_pull("hidden", &refused, None),
            );
            for secret in [HASH, KEY, "hidden", "wrong"] {
                prop_assert!(!shown.contains(secret), "{shown}");
            }
        }
    }

    #[test]
    fn a_token_is_taken_only_if_a_header_field_can_carry_it(token in prop_oneof!["[!-~]{1,40}", any::<String>()]) {
        let body = rewritten(&json!({"token": &token}));
        let sendable = !token.is_empty() && token.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
        match account(Flow::Onboarding).read_token(&answer(200, body.as_bytes()), None) {
            TokenAnswer::Received { token: received, ttl } => {
                prop_assert!(sendable);
                prop_assert_eq!((received.reveal(), ttl), (token.as_str(), None));
            }
            TokenAnswer::Failed { fault, diagnosis } => {
                prop_assert!(!sendable);
                prop_assert_eq!(fault.kind, FaultKind::Malformed);
                prop_assert!(diagnosis.unwrap().contains("`token`"));
            }
            TokenAnswer::Refused { .. } => prop_assert!(false),
        }
    }
}

#[test]
fn r5_reasons_that_are_no_texts_count_for_what_they_say_and_not_for_how_it_is_written() {
    let compact = content(r#"{"reasons":["no_doc",{"code":"x","at":[1]},["é/"]]}"#);
    let spaced = r#"{ "reasons" : [ { "at" : [ 1 ], "code" : "\u0078" }, "no_doc", [ "\u00e9\/" ] ] }"#;
    assert_eq!(content(spaced), compact);
    assert_ne!(content(r#"{"reasons":["no_doc",{"code":"y","at":[1]},["é/"]]}"#), compact);
    assert_ne!(content(r#"{"reasons":["no_doc"]}"#), compact);
}

#[test]
fn a_result_is_accepted_declined_or_not_guessed_at() {
    for (body, wanted) in [
        (r#"{"flow_id": "f-1", "reasons": []}"#, Some(Verdict::Accepted)),
        (r#"{"flow_id": "f-1", "reasons": null}"#, Some(Verdict::Accepted)),
        (r#"{"applicant_id": "a", "reasons": [ ], "detail": null}"#, Some(Verdict::Accepted)),
        // Asked for over TLS by its id: no need to repeat the id.
        (r#"{"reasons": []}"#, Some(Verdict::Accepted)),
        (r#"{"flow_id": "f-1", "reasons": ["doc_expired"]}"#, Some(Verdict::Declined)),
        (r#"{"flow_id": "f-1", "reasons": "doc_expired"}"#, Some(Verdict::Declined)),
        (r#"{"flow_id": "f-1", "reasons": {"1": "doc_expired"}}"#, Some(Verdict::Declined)),
        (r#"{"flow_id": "f-1", "reasons": [null, {"code": "doc_expired"}]}"#, Some(Verdict::Declined)),
        // Nobody passes by a missing or broken member.
        ("{}", None),
        (r#"{"flow_id": "f-1"}"#, None),
        (r#"{"flow_id": "f-1", "document": {"ocr": {}}}"#, None),
        (r#"{"flow_id": "f-1", "result": "success"}"#, None),
        (r#"{"flow_id": "f-1", "reasons": {}}"#, None),
        (r#"{"flow_id": "f-1", "reasons": ""}"#, None),
        (r#"{"flow_id": "f-1", "reasons": 0}"#, None),
        (r#"{"flow_id": "f-1", "reasons": false}"#, None),
        (r#"{"flow_id": "f-1", "reasons": [null]}"#, None),
        (r#"{"flow_id": "f-1", "reasons": [], "reasons": ["doc_expired"]}"#, None),
        (r#"{"flow_id": "f-1", "reasons": [], "detail": "queued"}"#, None),
        (r#"{"flow_id": "f-1", "reasons": ["doc_expired"], "detail": "applicant not found"}"#, None),
        (r#"[{"flow_id": "f-1", "reasons": []}]"#, None),
        (r#"{"flow_id": "f-2", "reasons": []}"#, None),
    ] {
        let read = pull(200, body.as_bytes());
        assert_eq!(verdict(&read), wanted, "{body}");
        assert_eq!(read.diagnosis.is_some(), wanted.is_none(), "{body}");
        assert!(wanted.is_some() || is_failure(&read, FaultKind::Malformed), "{body}");
    }
}

#[test]
fn an_answer_about_another_verification_is_not_used() {
    let body = br#"{"applicant_id": "a-1", "flow_id": "f-1", "reasons": []}"#;
    let read = |flow, id| account(flow).read_pull(id, &answer(200, body), None);
    assert_eq!(read(Flow::Authenticate, "f-1").alias.as_deref(), Some("a-1"));
    assert_eq!(read(Flow::Onboarding, "a-1").alias.as_deref(), Some("f-1"));
    for (flow, id) in [
        (Flow::Authenticate, "a-1"),
        (Flow::Authenticate, "f-2"),
        (Flow::Onboarding, "f-1"),
        (Flow::Onboarding, "A-1"),
    ] {
        let read = read(flow, id);
        assert!(is_failure(&read, FaultKind::Malformed) && read.alias.is_none());
        let diagnosis = read.diagnosis.unwrap();
        assert!(diagnosis.contains(flow.id_member()) && !diagnosis.contains("a-1"), "{diagnosis}");
    }
}

#[test]
fn an_absent_result_is_not_ready_in_the_documented_words_or_like_ones() {
    for (status, body, wanted) in [
        (200, r#"{"detail": "applicant not found"}"#, Some(NotReady::Documented)),
        (200, r#"{"detail": " Applicant Not Found\n"}"#, Some(NotReady::Documented)),
        (
            200,
            r#"{"detail": "applicant not found", "applicant_id": null, "reasons": null}"#,
            Some(NotReady::Documented),
        ),
        (
            200,
            r#"{"detail": "applicant not found", "flow_id": "f-1", "reasons": []}"#,
            Some(NotReady::Documented),
        ),
        (200, r#"{"detail": "flow not found"}"#, Some(NotReady::NotFound)),
        (200, r#"{"detail": "Not Found"}"#, Some(NotReady::NotFound)),
        // R7: a 404 is *not ready*, but for the words of a framework that does not have the path.
        (404, r#"{"detail": "Not Found"}"#, None),
        (404, r#"{"detail": "applicant not found"}"#, Some(NotReady::Documented)),
        (404, r#"{"detail": "Applicant Not Found"}"#, Some(NotReady::Documented)),
        (404, r#"{"detail": "not found"}"#, Some(NotReady::NotFound)),
        (404, r#"{"detail": "Not Found", "flow_id": "f-1"}"#, Some(NotReady::NotFound)),
        (422, r#"{"detail": "flow not found"}"#, Some(NotReady::NotFound)),
        (404, "", Some(NotReady::NotFound)),
        (404, r#"{"detail": "é"}"#, Some(NotReady::NotFound)),
        (200, r#"{"detail": "not found: é"}"#, None),
        (200, r#"{"detail": "token expired"}"#, None),
        (200, r#"{"detail": ["applicant not found"]}"#, None),
        (200, r#"{"detail": {"message": "applicant not found"}}"#, None),
        (200, r#"{"detail": ""}"#, None),
        (500, r#"{"detail": "applicant not found"}"#, None),
        (401, r#"{"detail": "applicant not found"}"#, None),
        (429, r#"{"detail": "applicant not found"}"#, None),
    ] {
        let read = pull(status, body.as_bytes());
        let cause = match read.outcome {
            Outcome::NotReady(cause) => Some(cause),
            Outcome::Report(_) | Outcome::Refused | Outcome::Failed(_) => None,
        };
        assert_eq!(cause, wanted, "{status} {body}");
        assert_eq!(
            read.diagnosis.is_none(),
            (status, wanted) == (200, Some(NotReady::Documented)),
            "{status} {body}"
        );
    }
}

/// What servers, frameworks and proxies really send, and what becomes of it.
#[test]
fn answers_seen_in_the_wild() {
    use FaultKind::{Malformed, RateLimited, Redirect, ServerError, TimedOut, UnexpectedStatus};
    let html = "<!DOCTYPE html><html><title>524: A timeout occurred</title></html>";
    let failed = |kind, secs: Option<u32>| {
        Outcome::Failed(idv_core::evidence::Fault { kind, retry_after: secs.map(Span::secs) })
    };
    let json = "content-type: application/json";
    let ready = r#"{"flow_id":"f-1","reasons":[]}"#;
    type Case<'c> = (u16, &'c [&'c str], &'c str, Outcome, &'c str);
    let cases: [Case<'_>; 25] = [
        (401, &[json], r#"{"detail":"Not authenticated"}"#, Outcome::Refused, "\"Not authenticated\""),
        (403, &[json], r#"{"detail":"Not authenticated"}"#, Outcome::Refused, "\"Not authenticated\""),
        (401, &["www-authenticate: Bearer"], "", Outcome::Refused, "credentials were refused"),
        (
            403,
            &["cf-mitigated: challenge", "content-type: text/html; charset=UTF-8"],
            html,
            failed(UnexpectedStatus, None),
            "network before the provider",
        ),
        (
            404,
            &[json],
            r#"{"detail":"Not Found"}"#,
            failed(UnexpectedStatus, None),
            "the API URL is not ShareID's",
        ),
        (
            404,
            &[json],
            r#"{"detail":"flow not found"}"#,
            Outcome::NotReady(NotReady::NotFound),
            "check the API URL",
        ),
        (
            404,
            &[json],
            r#"{"detail":"applicant not found"}"#,
            Outcome::NotReady(NotReady::Documented),
            "applicant not found",
        ),
        (
            400,
            &[json],
            r#"{"detail":"Applicant not found "}"#,
            Outcome::NotReady(NotReady::Documented),
            "status 400",
        ),
        (
            400,
            &[json],
            r#"{"detail":"There was an error parsing the body"}"#,
            failed(UnexpectedStatus, None),
            "error parsing",
        ),
        (
            405,
            &["allow: GET"],
            r#"{"detail":"Method Not Allowed"}"#,
            failed(UnexpectedStatus, None),
            "takes no POST",
        ),
        (
            422,
            &[json],
            r#"{"detail":[{"type":"missing","loc":["body","flow_id"],"msg":"Field required","input":{"flow":"f-1"}}]}"#,
            failed(UnexpectedStatus, None),
            "body.flow_id missing",
        ),
        (
            422,
            &[json],
            r#"{"detail":[{"loc":["body",0],"msg":"x","type":"value_error.missing"}]}"#,
            failed(UnexpectedStatus, None),
            "value_error.missing",
        ),
        (
            307,
            &["location: https://api.example/v2/flow/authenticate/fetch/"],
            "",
            failed(Redirect, None),
            "redirects are never followed",
        ),
        (
            301,
            &["location: https://api.example/", "server: cloudflare"],
            html,
            failed(Redirect, None),
            "check scheme",
        ),
        (408, &[json], r#"{"detail":"timeout"}"#, failed(TimedOut, None), "status 408"),
        (
            429,
            &["retry-after: 30", json],
            r#"{"detail":"Too many requests"}"#,
            failed(RateLimited, Some(30)),
            "too many calls",
        ),
        (
            429,
            &["retry-after: Sun, 06 Nov 1994 08:50:37 GMT", "date: Sun, 06 Nov 1994 08:49:37 GMT"],
            "error code: 1015",
            failed(RateLimited, Some(60)),
            "no media type",
        ),
        (
            500,
            &["content-type: text/plain; charset=utf-8"],
            "Internal Server Error",
            failed(ServerError, None),
            "text/plain",
        ),
        (502, &["content-type: text/html"], html, failed(ServerError, None), "text/html"),
        (503, &["retry-after: 120", "retry-after: 5"], "", failed(ServerError, Some(120)), "status 503"),
        (
            524,
            &["content-type: text/html; charset=UTF-8", "cf-ray: 1-CDG"],
            html,
            failed(ServerError, None),
            "status 524, text/html",
        ),
        (200, &["content-type: text/html"], html, failed(Malformed, None), "text/html"),
        (
            200,
            &[json, "content-encoding: gzip"],
            "\u{1f}\u{fffd}",
            failed(Malformed, None),
            "compressed with gzip",
        ),
        (204, &[], "", failed(Malformed, None), "empty"),
        (200, &[json], &ready[..20], failed(Malformed, None), "line 1"),
    ];
    for (status, fields, body, wanted, hint) in cases {
        let fields: Vec<(&str, &[u8])> = fields
            .iter()
            .map(|line| line.split_once(": ").map(|(name, value)| (name, value.as_bytes())).unwrap())
            .collect();
        let answer = Answer { status, headers: Headers(&fields), body: body.as_bytes() };
        let read = account(Flow::Authenticate).read_pull("f-1", &answer, None);
        assert_eq!(read.outcome, wanted, "{status} {body}");
        let diagnosis = read.diagnosis.unwrap();
        assert!(diagnosis.contains(hint), "{diagnosis}");
        assert!(!diagnosis.contains("f-1"), "{diagnosis}");
    }
    // A proxy that mislabels a good answer, a byte order mark, blanks around it.
    for body in [String::from(ready), format!("\u{feff}{ready}"), format!("\r\n {ready}\n")] {
        let answer = Answer {
            status: 200,
            headers: Headers(&[("content-type", b"text/html")]),
            body: body.as_bytes(),
        };
        assert_eq!(
            verdict(&account(Flow::Authenticate).read_pull("f-1", &answer, None)),
            Some(Verdict::Accepted)
        );
    }
}

#[test]
fn a_token_answer_without_a_token_says_so() {
    let read =
        |status, body: &str| account(Flow::Onboarding).read_token(&answer(status, body.as_bytes()), None);
    for (body, hint) in [
        ("{}", "no `token`; its members: none"),
        (r#"{"access_token": "hidden", "expires": 1}"#, "no `token`; its members: access_token expires"),
        (r#"{"token": null}"#, "not a text"),
        (r#"{"token": ""}"#, "empty"),
        (r#"{"token": 17}"#, "not a text"),
        (r#"{"token": "a\r\nb"}"#, "no header field"),
        ("", "empty"),
        ("[]", "expected a JSON object"),
    ] {
        let TokenAnswer::Failed { fault, diagnosis } = read(200, body) else { panic!("{body}") };
        let diagnosis = diagnosis.unwrap();
        assert!(fault.kind == FaultKind::Malformed && diagnosis.contains(hint), "{diagnosis}");
        assert!(!diagnosis.contains("hidden"), "{diagnosis}");
    }
    for status in [401, 403] {
        let refused = read(status, r#"{"detail": "Invalid credentials"}"#);
        assert!(
            matches!(&refused, TokenAnswer::Refused { diagnosis: Some(text) } if text.contains("Invalid credentials")),
            "{refused:?}"
        );
    }
    for (status, kind) in
        [(404, FaultKind::UnexpectedStatus), (500, FaultKind::ServerError), (302, FaultKind::Redirect)]
    {
        let failed = read(status, r#"{"token": "t", "detail": "applicant not found"}"#);
        assert!(
            matches!(&failed, TokenAnswer::Failed { fault, diagnosis: Some(_) } if fault.kind == kind),
            "{failed:?}"
        );
    }
    // Only seconds, and only where they cannot be minutes.
    for (member, wanted) in [
        (r#""expires_in": 600"#, Some(Span::mins(10))),
        (r#""expires_in": 60"#, Some(Span::mins(1))),
        (r#""expires_in": 59"#, None),
        (r#""expires_in": 10"#, None),
        (r#""expiresIn": 600"#, None),
        (r#""expires_in": "600""#, None),
        (r#""expires_in": 600.5"#, None),
        (r#""expires_in": -600"#, None),
        (r#""expires_in": 1e9"#, None),
        (r#""expires_in": 86401"#, None),
    ] {
        let received = read(200, &format!("{{\"token\": \"t\", {member}}}"));
        assert!(matches!(received, TokenAnswer::Received { ttl, .. } if ttl == wanted), "{member}");
    }
}

#[test]
fn r18_technical_reasons_are_those_of_the_documents() {
    let technical: Vec<&str> =
        REASONS.iter().filter(|reason| reason.technical).map(|reason| reason.code).collect();
    assert_eq!(technical, ["analysis_failed", "operator_failed"]);
    assert!(!is_technical("doc_fraud") && !is_technical("something_new"));
}
