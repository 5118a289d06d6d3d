//! Bodies of wrong types, and any bytes at all.

use super::{account, content, pull, signed_callback};
use idv_core::evidence::{Callback, Outcome, Report, Verdict};
use idv_core::http::{Answer, Headers};
use idv_core::json::Body;
use idv_core::provider::Provider;
use idv_core::shufti::answers::Document;
use proptest::prelude::*;

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
