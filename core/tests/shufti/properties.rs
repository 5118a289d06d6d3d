//! Bodies of wrong types, and any bytes at all.

use super::{account, content, pull, signed_callback};
use idv_core::evidence::{Callback, Outcome, Report, Verdict};
use idv_core::http::{Answer, Headers};
use idv_core::json::Body;
use idv_core::provider::{Authenticity, CallbackReading, Checked, Provider};
use idv_core::shufti::Event;
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

/// Members that a hint is made of, in the many ways they can come, and one that it leaves out.
fn any_member() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "reference",
        "event",
        "ref\\u0065rence",
        "\\u0065vent",
        "verification_data",
        "",
        "\\ud800",
    ]);
    let value = prop_oneof![
        any_json(),
        prop::sample::select(Event::ALL.to_vec()).prop_map(|event| format!("\"{}\"", event.as_str())),
        Just("\"verification\\u002eaccepted\"".to_owned()),
        Just("\"r-1\"".to_owned()),
    ];
    let space = || prop::sample::select(vec!["", " ", "\r\n\t"]);
    (space(), name, space(), value)
        .prop_map(|(before, name, after, value)| format!("{before}\"{name}\"{after}:{before}{value}{after}"))
}

/// A body as it comes: with a byte order mark, cut off, or with any bytes in it.
fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let object =
        prop::collection::vec(any_member(), 0..6).prop_map(|members| format!("{{{}}}", members.join(",")));
    let index = any::<prop::sample::Index>;
    let damage = prop_oneof![
        Just(Vec::new()),
        prop::collection::vec(any::<u8>(), 1..3),
        Just(b"\"".to_vec()),
        Just(b"[".repeat(200))
    ];
    (any::<bool>(), object, index(), 0..3_usize, damage, prop::option::weighted(0.3, index())).prop_map(
        |(marked, object, at, taken_out, put_in, cut)| {
            let mut body = object.into_bytes();
            let at = at.index(body.len());
            if !put_in.is_empty() {
                body.splice(at..body.len().min(at + taken_out), put_in);
            }
            if let Some(cut) = cut {
                body.truncate(cut.index(body.len() + 1));
            }
            if marked { [b"\xEF\xBB\xBF", &body[..]].concat() } else { body }
        },
    )
}

proptest! {
    /// R2: the hint leaves out what a signed body states. R19: whatever cannot be read is the same to both.
    #[test]
    fn r19_the_hint_of_any_body_is_what_is_read_of_it_without_its_report(
        body in any_body(),
        authenticity in prop::sample::select(vec![
            Authenticity::Signed, Authenticity::Signed, Authenticity::Unsigned, Authenticity::Wrong, Authenticity::Missing,
        ]),
    ) {
        let checked = Checked { authenticity, digest: [0; 32], remark: None };
        let (read, hint) = (account().read_callback(&body, &checked), account().read_hint(&body, &checked));
        let is_report = matches!(read.callback, Callback::Signed(_));
        prop_assert_eq!(hint.callback == Callback::SignedHint, is_report);
        prop_assert_eq!(hint, CallbackReading { callback: read.callback.hint(), ..read });
    }

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
