//! Every body that ShareID's documents publish.

use super::{account, answer};
use idv_core::evidence::{NotReady, Outcome, Report, Verdict};
use idv_core::http::Request;
use idv_core::json::Body;
use idv_core::provider::{Checked, Provider, PullAnswer, TokenAnswer};
use idv_core::shareid::{
    Document, Flow, Image, Methods, OcrField, Start, StartAuthenticate, StartOnboarding,
};
use serde_json::{Value, json};

fn pulled(body: &[u8], id: &str) -> PullAnswer {
    account(Flow::Onboarding).read_pull(id, &answer(200, body), None)
}

#[test]
fn the_documented_not_ready_is_not_ready() {
    let body = include_bytes!("../fixtures/shareid/fetch.not-ready-docv2.json");
    for flow in [Flow::Onboarding, Flow::Authenticate] {
        let read = account(flow).read_pull("f-1", &answer(200, body), None);
        assert_eq!(read.outcome, Outcome::NotReady(NotReady::Documented));
        assert_eq!((read.alias, read.diagnosis), (None, None));
    }
    let said = account(Flow::Authenticate).statement(body).unwrap();
    assert_eq!((said.verdict, said.reasons.len()), (None, 0));
}

#[test]
fn the_documented_start_requests_are_what_we_send() {
    let sent = |start: Start<'_>| {
        let mut request = Request::new();
        account(Flow::Onboarding).start_request(&start, &mut request).unwrap();
        let mut body: Value = serde_json::from_slice(&request.body).unwrap();
        body["business_hash"] = json!("2915ac99");
        body["api_key"] = json!("fl-00ea000defabc");
        (request.url.clone(), body)
    };
    let callback = Some("https://mycompany.com/api/shareid_result.php");

    let (url, body) = sent(Start::Onboarding(StartOnboarding {
        customer_data: Some(r#"{"internal_id": "2c2-2c8a-4a19"}"#),
        methods: Some(Methods::Face),
        callback,
        ..StartOnboarding::default()
    }));
    let mut documented: Value =
        serde_json::from_slice(include_bytes!("../fixtures/shareid/request.onboarding-token-docv2.json"))
            .unwrap();
    // What is false by default is left out.
    assert_eq!(
        documented.as_object_mut().unwrap().remove("callback_with_document_capture"),
        Some(json!(false))
    );
    assert_eq!((url.as_str(), body), ("https://api.example/v2/flow/onboarding/auth/business", documented));

    let applicant_id = "ap-20231029101303909-dev0-24fa8d9e36";
    let (url, body) = sent(Start::Authenticate(StartAuthenticate { applicant_id, callback }));
    let documented: Value =
        serde_json::from_slice(include_bytes!("../fixtures/shareid/request.authenticate-token-docv2.json"))
            .unwrap();
    assert_eq!((url.as_str(), body), ("https://api.example/v2/flow/authenticate/auth/business", documented));
}

#[test]
fn the_documented_start_replies_hold_token_and_id() {
    for (flow, body, id) in [
        (
            Flow::Onboarding,
            &include_bytes!("../fixtures/shareid/response.onboarding-token-docv2.json")[..],
            "ap-...",
        ),
        (
            Flow::Authenticate,
            &include_bytes!("../fixtures/shareid/response.authenticate-token-docv2.json")[..],
            "...",
        ),
    ] {
        let started = account(flow).read_start(flow, &answer(200, body), None).unwrap();
        assert_eq!((started.token.reveal(), started.id.as_str()), ("...", id));
        // A fetch token comes in the same member.
        let TokenAnswer::Received { token, ttl } = account(flow).read_token(&answer(200, body), None) else {
            panic!()
        };
        assert_eq!((token.reveal(), ttl), ("...", None));
    }
}

#[test]
fn the_skeleton_without_reasons_in_its_list_is_accepted() {
    let body = include_bytes!("../fixtures/shareid/result.onboarding-skeleton-doc.json");
    let read = pulled(body, "ap-...");
    assert!(
        matches!(read.outcome, Outcome::Report(Report { verdict: Some(Verdict::Accepted), .. })),
        "{read:?}"
    );
    assert_eq!((read.alias, read.unsigned_answer, read.diagnosis), (None, false, None));
}

#[test]
fn every_documented_member_is_reachable() {
    let bytes = include_bytes!("../fixtures/shareid/result.onboarding-accepted-synthetic.json");
    let id = "ap-20231029101303909-dev0-24fa8d9e36";
    assert!(matches!(
        pulled(bytes, id).outcome,
        Outcome::Report(Report { verdict: Some(Verdict::Accepted), .. })
    ));

    let body = Body::new(bytes);
    let document = Document::new(body.object(&[]).complete().unwrap());
    assert_eq!(document.applicant_id().unwrap(), id);
    assert_eq!(document.flow_id(), None);
    assert!(document.detail().is_none());
    assert_eq!(
        document.customer_data().unwrap().get("internal_id").unwrap().text().unwrap(),
        "2c2-2c8a-4a19"
    );
    assert_eq!(document.reasons().to_vec(), []);
    let data = document.data();
    assert_eq!(data.doc_type().unwrap(), "passport");
    assert_eq!(data.doc_model().unwrap(), "2006");
    assert_eq!(data.country_code().unwrap(), "fr");
    let read: Vec<_> =
        OcrField::ALL.into_iter().filter_map(|field| Some((field, data.ocr(field)?.into_owned()))).collect();
    let wanted = [
        (OcrField::DocumentNumber, "00AA00000"),
        (OcrField::Surname, "DOE"),
        (OcrField::Name, "JANE"),
        (OcrField::BirthDate, "01.01.1990"),
    ];
    assert_eq!(read, wanted.map(|(field, text)| (field, String::from(text))));
    assert_eq!(data.ocr_fields().count(), 4);
    assert!(Image::ALL.into_iter().all(|image| data.image(image).is_none()));
    // What this view has no name for is there all the same.
    assert_eq!(
        data.value().unwrap().get("type").unwrap().get("doc_type").unwrap().text().unwrap(),
        "passport"
    );
    assert_eq!(document.members().count(), 4);
}

/// The published `document` has commas too many, so it is no JSON; with those removed every name in it is one that we know.
#[test]
fn the_published_document_is_refused_with_its_place_and_names_what_we_read() {
    let published = include_str!("../fixtures/shareid/result.document-doc.json");
    let unreadable = account(Flow::Onboarding).statement(published.as_bytes()).unwrap_err();
    assert_eq!(unreadable.line, 6, "{unreadable}");
    assert!(unreadable.problem.contains("comma"), "{unreadable}");

    let corrected: String =
        published.split_inclusive('\n').collect::<String>().replace("\",\n    }", "\"\n    }");
    let mut document: Value = serde_json::from_str(&corrected).unwrap();
    let mut place = 0;
    let mut fill = |member: &mut Value| {
        place += 1;
        *member = Value::from(format!("value {place}"));
    };
    for part in ["type", "ocr"] {
        document[part].as_object_mut().unwrap().values_mut().for_each(&mut fill);
    }
    for image in Image::ALL {
        fill(&mut document[image.as_str()]);
    }
    let bytes = json!({"applicant_id": "ap-1", "reasons": null, "document": document}).to_string();
    let body = Body::new(bytes.as_bytes());
    let view = Document::new(body.object(&[]).complete().unwrap()).data();
    let mut seen: Vec<String> = [view.doc_type(), view.doc_model(), view.country_code()]
        .into_iter()
        .chain(OcrField::ALL.map(|field| view.ocr(field)))
        .chain(Image::ALL.map(|image| view.image(image)))
        .map(|text| text.unwrap().into_owned())
        .collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), place);
}

#[test]
fn a_result_by_callback_names_its_verification() {
    let checked = |body: &[u8]| -> Checked {
        let mut check = account(Flow::Onboarding).check_callback(idv_core::http::Headers(&[]));
        check.update(body);
        check.finish()
    };
    let body = include_bytes!("../fixtures/shareid/result.onboarding-accepted-synthetic.json");
    let read = account(Flow::Onboarding).read_callback(body, &checked(body));
    assert_eq!(read.id.as_deref(), Some("ap-20231029101303909-dev0-24fa8d9e36"));
    assert_eq!((read.alias, read.event, read.unreadable), (None, None, None));
}
