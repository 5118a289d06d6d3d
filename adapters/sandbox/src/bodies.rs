//! The bodies that the providers send, member by member as their documents and recordings show them. The person in them is invented; addresses
//! are those reserved for documentation.

use crate::php;
use crate::scenario::{Provider, meaning};
use idv_core::evidence::Verdict;
use idv_core::lifecycle::{Channel, Meaning};
use idv_core::shareid::contract::NOT_READY_DETAIL;
use serde_json::{Map, Value, json};

/// What a Shufti body says about its verification beside the event.
#[derive(Clone, Copy, Default)]
pub(crate) struct Request<'a> {
    pub(crate) reference: &'a str,
    pub(crate) email: Option<&'a str>,
    pub(crate) country: Option<&'a str>,
    /// The base URL of the sandbox's Shufti, for the URLs in bodies.
    pub(crate) base: &'a str,
}

/// An event of Shufti's as a body.
///
/// Callbacks and answers to the verify call have `email` and no `proofs`, answers to status calls the other way round (recorded in
/// `trakx/ShuftiPro.Net`).
pub(crate) fn shufti(
    request: Request<'_>,
    event: &str,
    codes: &[String],
    fields: &Map<String, Value>,
    channel: Channel,
) -> Vec<u8> {
    let Request { reference, email, country, base } = request;
    let mut body = object(json!({"reference": reference, "event": event}));
    let people = match channel {
        Channel::Http | Channel::Callback => json!({"email": email, "country": country}),
        Channel::Status => json!({"country": country, "proofs": {}}),
    };
    match meaning(Provider::Shufti, event) {
        Some(Meaning::Progress) => {
            if event == "request.pending" {
                let url = format!("{base}/process/verification/{reference}");
                body.insert("verification_url".to_owned(), Value::String(url));
            }
            body.extend(object(people));
        }
        Some(Meaning::Verdict(Verdict::Cancelled | Verdict::TimedOut)) => {
            body.extend(object(json!({"country": country, "proofs": {}})));
        }
        Some(Meaning::Verdict(Verdict::Accepted | Verdict::Declined | Verdict::ReviewPending)) => {
            body.extend(object(people));
            if channel == Channel::Status {
                let file = |name: &str| format!("{base}/proofs/{reference}/{name}");
                let proofs = json!({
                    "face": {"proof": file("face.png")},
                    "document": {"proof": file("document.png")},
                    "access_token": "sandbox",
                });
                body.insert("proofs".to_owned(), proofs);
            }
            body.extend(object(findings(country, codes)));
        }
        Some(Meaning::NotReady | Meaning::Refused) => {
            body.extend(object(json!({
                "error": {"service": "", "key": "", "message": "Sent by hand."}, "email": null, "country": null,
            })));
        }
        Some(Meaning::Verdict(Verdict::Deleted) | Meaning::Signal) | None => {}
    }
    body.extend(fields.clone());
    php::encode(&Value::Object(body))
}

/// What was checked and found. Without codes everything was right.
fn findings(country: Option<&str>, codes: &[String]) -> Value {
    let passed = u8::from(codes.is_empty());
    let mut findings = object(json!({
        "verification_result": {
            "face": {"face": passed},
            "document": {"name": 1, "dob": 1, "expiry_date": 1, "issue_date": 1, "document_number": 1, "document": passed, "gender": ""},
        },
        "verification_data": {
            "face": {"duplicate_account_detected": "0"},
            "document": {
                "name": {"first_name": "Zoé", "middle_name": null, "last_name": "Doe"},
                "dob": "1978-03-13",
                "issue_date": "2020-10-10",
                "expiry_date": "2035-12-31",
                "document_number": "1456-0989-5567-0909",
                "country": country,
                "selected_type": ["id_card"],
                "supported_types": ["id_card", "driving_license", "passport"],
            },
        },
        "info": {
            "agent": {
                "is_desktop": true, "is_phone": false, "useragent": "Unrecognized", "device_name": "0", "browser_name": "",
                "platform_name": "",
            },
            "geolocation": {
                "host": "host.example.net", "ip": "203.0.113.67", "rdns": "203.0.113.67", "asn": "64496", "isp": "Example",
                "country_name": "Germany", "country_code": "DE", "region_name": "Hesse", "region_code": "HE",
                "city": "Frankfurt am Main", "postal_code": "60326", "continent_name": "Europe", "continent_code": "EU",
                "latitude": "50.1049", "longitude": "8.6295", "metro_code": "", "timezone": "Europe/Berlin",
            },
        },
        "additional_data": {"document": {"proof": {"first_name": "Zoé", "last_name": "Doe", "age": 47}}},
    }));
    if !codes.is_empty() {
        findings.extend(object(json!({
            "declined_reason": "Originality of the document could not be verified",
            "declined_codes": codes,
            "services_declined_codes": {"document": codes},
        })));
    }
    Value::Object(findings)
}

/// A refusal of Shufti's: an answer to a call, never a callback.
pub(crate) fn shufti_refusal(event: &str, reference: &str, key: &str, message: &str) -> Vec<u8> {
    php::encode(&json!({
        "reference": reference,
        "event": event,
        "error": {"service": "", "key": key, "message": message},
        "email": null,
        "country": null,
    }))
}

/// What a ShareID result says beside its reasons.
#[derive(Clone, Copy, Default)]
pub(crate) struct Applicant<'a> {
    pub(crate) applicant_id: &'a str,
    pub(crate) flow_id: Option<&'a str>,
    pub(crate) customer_data: Option<&'a Value>,
    pub(crate) images: bool,
}

/// A result of ShareID's. `customer_data` and images come in callbacks only (`doc.shareid.ai`, analysis-result-onboarding). The fields of an
/// authentication's result are documented nowhere that we could read; its ids and reasons are what every result must have.
pub(crate) fn shareid(
    applicant: Applicant<'_>,
    event: &str,
    codes: &[String],
    fields: &Map<String, Value>,
    channel: Channel,
) -> Vec<u8> {
    let mut body = object(json!({"applicant_id": applicant.applicant_id, "reasons": reasons(event, codes)}));
    match applicant.flow_id {
        Some(flow_id) => {
            body.insert("flow_id".to_owned(), flow_id.into());
        }
        None => {
            // One transparent pixel.
            let image = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
            let image = (applicant.images && channel == Channel::Callback).then_some(image);
            let document = json!({
                "type": {"doc_type": "passport", "doc_model": "2006", "country_code": "fr"},
                "ocr": {
                    "doc_num": "00AA00000", "surname": "DOE", "alternate_name": "", "widow_of": "", "mariage_name": "",
                    "name": "ZOÉ", "height": "", "birth_place": "", "birth_date": "01.01.1990", "address": "",
                    "expiration_date": "", "issuance_date": "", "issuance_place": "",
                },
                "doc_front": image, "doc_back": image, "face_face": image, "face_doc": image,
            });
            body.insert("document".to_owned(), document);
            if channel == Channel::Callback {
                let empty = json!({});
                body.insert("customer_data".to_owned(), applicant.customer_data.unwrap_or(&empty).clone());
            }
        }
    }
    body.extend(fields.clone());
    compact(&Value::Object(body))
}

fn reasons(event: &str, codes: &[String]) -> Value {
    match (event, codes.is_empty()) {
        ("ready.declined", true) => json!(["doc_spoof"]),
        ("ready.accepted", _) => json!([]),
        _ => json!(codes),
    }
}

/// ShareID's answer to a fetch that is too early, or that names no verification it knows.
pub(crate) fn shareid_not_ready() -> Vec<u8> {
    compact(&json!({"detail": NOT_READY_DETAIL}))
}

/// JSON without blanks, as ShareID's side writes it.
pub(crate) fn compact(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// The body of a callback that belongs to no verification of a sandbox.
pub(crate) fn one_off(provider: Provider, id: &str, event: &str, codes: &[String]) -> Vec<u8> {
    let fields = Map::new();
    match provider {
        Provider::Shufti => {
            let request = Request {
                reference: id,
                country: Some("GB"),
                base: "https://app.shuftipro.com",
                ..Request::default()
            };
            let sample = ["SPDR06".to_owned()];
            let codes = if codes.is_empty() && event == "verification.declined" { &sample } else { codes };
            shufti(request, event, codes, &fields, Channel::Callback)
        }
        Provider::Shareid => {
            let applicant = Applicant { applicant_id: id, ..Applicant::default() };
            shareid(applicant, event, codes, &fields, Channel::Callback)
        }
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}
