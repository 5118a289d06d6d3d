//! What callbacks may and may not do.

use super::{BEARER, account, json, result};
use idv_core::evidence::Callback;
use idv_core::http::Headers;
use idv_core::provider::{Authenticity, CallbackReading, Checked, Provider};
use idv_core::secret::Secret;
use idv_core::shareid::{Account, Flow};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

fn guarded() -> Account {
    account(Flow::Authenticate).with_callback_bearer(Secret::from(BEARER)).unwrap()
}

fn check(account: &Account, fields: &[(&str, &[u8])], body: &[u8]) -> Checked {
    let mut check = account.check_callback(Headers(fields));
    check.update(body);
    check.finish()
}

fn read(account: &Account, fields: &[(&str, &[u8])], body: &[u8]) -> CallbackReading {
    account.read_callback(body, &check(account, fields, body))
}

proptest! {
    #[test]
    fn g4_no_callback_is_evidence_whatever_it_holds(
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..64),
            json().prop_map(|json| json.to_string().into_bytes()),
            result().prop_map(|json| json.to_string().into_bytes()),
        ],
        value in prop::collection::vec(any::<u8>(), 0..24),
        guarded_by_bearer in any::<bool>(),
    ) {
        let account = if guarded_by_bearer { guarded() } else { account(Flow::Authenticate) };
        for fields in [&[("authorization", value.as_slice()), ("signature", &value)][..], &[]] {
            let checked = check(&account, fields, &body);
            prop_assert_ne!(checked.authenticity, Authenticity::Signed);
            prop_assert_eq!(checked.authenticity == Authenticity::Unsigned, !guarded_by_bearer);
            let reading = account.read_callback(&body, &checked);
            prop_assert!(matches!(reading.callback, Callback::Unsigned | Callback::WrongSignature), "{:?}", reading);
            prop_assert_eq!(reading.callback == Callback::Unsigned, !guarded_by_bearer);
            prop_assert_eq!(reading.event, None);
            let stated = account.statement(&body).ok().and_then(|statement| statement.verdict);
            prop_assert_eq!(reading.claims, stated, "a body claims what it states");
            let is_json = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&body).is_ok();
            prop_assert!(!is_json || reading.unreadable.is_none(), "R19: {:?}", reading.unreadable);
        }
    }

    #[test]
    fn the_digest_is_that_of_the_raw_body_however_it_arrives(body in prop::collection::vec(any::<u8>(), 0..200), size in 1_usize..50) {
        let mut checking = account(Flow::Onboarding).check_callback(Headers(&[]));
        for chunk in body.chunks(size) {
            checking.update(chunk);
        }
        let whole: [u8; 32] = Sha256::digest(&body).into();
        prop_assert_eq!(checking.finish().digest, whole);
    }

    #[test]
    fn a_bearer_is_right_only_when_it_is_the_agreed_one(given in "[a-z-]{0,20}", scheme in "(?i)bearer") {
        let value = format!("{scheme} {given}");
        let checked = check(&guarded(), &[("Authorization", value.as_bytes())], b"{}");
        let wanted = match given.as_str() {
            BEARER => Authenticity::Unsigned,
            "" => Authenticity::Missing,
            _ => Authenticity::Wrong,
        };
        prop_assert_eq!(checked.authenticity, wanted);
        let value = format!("{scheme} {BEARER}");
        let checked = check(&guarded(), &[("AUTHORIZATION", value.as_bytes())], b"{}");
        prop_assert_eq!(checked.authenticity, Authenticity::Unsigned);
        let shown = format!("{checked:?}");
        prop_assert!(!shown.contains(BEARER), "G10: {shown}");
    }
}

#[test]
fn r16_the_agreed_bearer_is_demanded_in_its_own_field() {
    let authenticity = |fields: &[(&str, &[u8])]| check(&guarded(), fields, b"{}").authenticity;
    let right: &[u8] = b"Bearer hidden-bearer";
    assert_eq!(authenticity(&[("authorization", right)]), Authenticity::Unsigned);
    assert_eq!(authenticity(&[("authorization", b" bearer   hidden-bearer ")]), Authenticity::Unsigned);
    // A proxy that adds its own credentials does not hide ours.
    assert_eq!(
        authenticity(&[("authorization", b"Basic YTpi"), ("authorization", right)]),
        Authenticity::Unsigned
    );
    assert_eq!(
        authenticity(&[("authorization", b"Bearer other"), ("authorization", right)]),
        Authenticity::Unsigned
    );
    assert_eq!(authenticity(&[("authorization", right), ("authorization", right)]), Authenticity::Unsigned);
    assert_eq!(authenticity(&[("authorization", b"Bearer hidden-bearer2")]), Authenticity::Wrong);
    assert_eq!(authenticity(&[("authorization", b"Bearer hidden-beare")]), Authenticity::Wrong);
    assert_eq!(authenticity(&[("authorization", b"Bearer HIDDEN-BEARER")]), Authenticity::Wrong);
    assert_eq!(authenticity(&[("authorization", b"hidden-bearer")]), Authenticity::Missing);
    assert_eq!(authenticity(&[("x-authorization", right)]), Authenticity::Missing);
    assert_eq!(authenticity(&[]), Authenticity::Missing);

    let body = br#"{"flow_id": "f-1", "reasons": []}"#;
    let wrong = read(&guarded(), &[], body);
    assert_eq!((wrong.callback, wrong.id.as_deref()), (Callback::WrongSignature, Some("f-1")));
}

#[test]
fn a_callback_names_the_flow_first_and_keeps_what_could_be_read() {
    let open = account(Flow::Authenticate);
    let ids = |body: &str| {
        let read = read(&open, &[], body.as_bytes());
        (read.id, read.alias, read.unreadable.is_some())
    };
    let some = |text: &str| Some(String::from(text));
    assert_eq!(ids(r#"{"applicant_id": "a", "flow_id": "f"}"#), (some("f"), some("a"), false));
    assert_eq!(ids(r#"{"flow_id": "f", "applicant_id": ""}"#), (some("f"), None, false));
    assert_eq!(ids(r#"{"applicant_id": "\u0061\/b", "flow_id": null}"#), (some("a/b"), None, false));
    assert_eq!(ids(r#"{"flow_id": 17}"#), (some("17"), None, false));
    assert_eq!(ids(r#"{"reasons": []}"#), (None, None, false));
    assert_eq!(ids("\u{feff}{\"flow_id\": \"f\"}"), (some("f"), None, false));
    assert_eq!(ids(r#"{"flow_id": "f", "reasons": [}"#), (some("f"), None, true));
    assert!(ids(r#"{"flow_id": "f", "flow_id": "g"}"#).2);
    for unreadable in ["", "[]", "null", "hello", "{\"flow_id\""] {
        assert_eq!(ids(unreadable), (None, None, true), "{unreadable}");
    }
}
