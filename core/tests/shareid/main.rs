//! ShareID's codec: what is sent, and what every answer and callback means.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic, reason = "a test may fail by a panic")]

mod answers;
mod callbacks;
mod fixtures;
mod requests;
mod told;

use idv_core::http::{Answer, Headers};
use idv_core::secret::Secret;
use idv_core::shareid::{Account, Flow};
use proptest::prelude::*;
use serde_json::Value;

/// Credentials that must never be seen.
const HASH: &str = "hidden-hash-2915ac99";
const KEY: &str = "hidden-key-fl00ea";
const BEARER: &str = "hidden-bearer";

fn account(flow: Flow) -> Account {
    Account::new("https://api.example/v2/", flow, Secret::from(HASH), Secret::from(KEY)).unwrap()
}

fn answer(status: u16, body: &[u8]) -> Answer<'_> {
    Answer { status, headers: Headers(&[]), body }
}

/// Any JSON.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(serde_json::json!(1.5)),
        "[ -~é/]{0,8}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(Value::from("")),
        Just(Value::from("applicant not found")),
        Just(Value::from("doc_expired")),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Names, mostly those that matter.
fn name() -> impl Strategy<Value = String> {
    let known = [
        "reasons",
        "detail",
        "applicant_id",
        "flow_id",
        "document",
        "customer_data",
        "type",
        "ocr",
        "doc_front",
        "token",
        "expires_in",
        "loc",
        "doc_type",
        "surname",
        "result",
    ];
    prop_oneof![4 => prop::sample::select(known.to_vec()).prop_map(String::from), 1 => any::<String>()]
}

/// An object that often is a result.
fn result() -> impl Strategy<Value = Value> {
    let reasons = prop_oneof![
        Just(Some(Value::Null)),
        Just(Some(Value::from(Vec::<Value>::new()))),
        prop::collection::vec("[a-z_]{1,12}", 1..4).prop_map(|codes| Some(Value::from(codes))),
        json().prop_map(Some),
        Just(None),
    ];
    let id = prop_oneof![3 => Just(Some(Value::from("f-1"))), 1 => json().prop_map(Some), 2 => Just(None)];
    let detail = prop_oneof![4 => Just(None), 1 => json().prop_map(Some)];
    (reasons, id.clone(), id, detail, prop::collection::vec((name(), json()), 0..4)).prop_map(
        |(reasons, flow, applicant, detail, others)| {
            let mut members: serde_json::Map<String, Value> = others.into_iter().collect();
            for (name, value) in
                [("reasons", reasons), ("flow_id", flow), ("applicant_id", applicant), ("detail", detail)]
            {
                match value {
                    Some(value) => members.insert(name.into(), value),
                    None => members.remove(name),
                };
            }
            Value::Object(members)
        },
    )
}

/// The same JSON, written in another way: members in the opposite order, blanks, every character of every string escaped.
fn rewritten(value: &Value) -> String {
    let string = |text: &str| {
        let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
        format!("\"{escaped}\"")
    };
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => string(text),
        Value::Array(list) => {
            let list: Vec<String> = list.iter().map(rewritten).collect();
            format!("[ {}\r\n]", list.join("\t,\n"))
        }
        Value::Object(members) => {
            let mut list: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{} : {}", string(name), rewritten(value)))
                .collect();
            list.reverse();
            format!("{{\n{} }}", list.join(" , "))
        }
    }
}
