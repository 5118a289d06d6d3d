//! Shufti's signatures: both rules, several secrets, both headers, streaming, and why one does not verify.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use idv_core::http::Headers;
use idv_core::secret::Secret;
use idv_core::shufti::explain::{Change, Finding, Spacing, Style, explain};
use idv_core::shufti::signature::{Match, Outcome, Rule, UnusableSecret, Verification, Verifier, sign};
use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};

fn verifier(rule: Rule, secrets: &[&str]) -> Verifier {
    Verifier::new(rule, secrets.iter().map(|text| Secret::from(*text)).collect()).unwrap()
}

fn check(verifier: &Verifier, headers: &[(&str, &str)], body: &[u8]) -> Verification {
    let headers: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    verifier.check(Headers(&headers), body)
}

fn is_valid(verifier: &Verifier, signature: &str, body: &[u8]) -> bool {
    matches!(check(verifier, &[("Signature", signature)], body).outcome, Outcome::Valid(_))
}

fn hex(digest: impl AsRef<[u8]>) -> String {
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The documented formula, by concatenating and hashing.
fn naive(rule: Rule, secret: &str, body: &[u8]) -> String {
    let tail = match rule {
        Rule::Before => secret.to_owned(),
        Rule::After | Rule::Either => hex(Sha256::digest(secret)),
    };
    hex(Sha256::digest([body, tail.as_bytes()].concat()))
}

#[test]
fn g4_every_published_vector_verifies_under_its_rule_only() {
    let file: Value = serde_json::from_str(include_str!("fixtures/signatures.json")).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 8);
    for vector in vectors {
        let text = |name: &str| vector[name].as_str().unwrap();
        let (name, secret, body) = (text("name"), text("secret"), text("body_utf8").as_bytes());
        for (rule, other, key) in [
            (Rule::Before, Rule::After, "signature_before_2023_03_15"),
            (Rule::After, Rule::Before, "signature_after_2023_03_15"),
        ] {
            let signature = text(key);
            assert_eq!(sign(rule, &Secret::from(secret), body), signature, "{name}");
            let expected = !body.is_empty();
            assert_eq!(is_valid(&verifier(rule, &[secret]), signature, body), expected, "{name}");
            assert_eq!(is_valid(&verifier(Rule::Either, &[secret]), signature, body), expected, "{name}");
            assert!(!is_valid(&verifier(other, &[secret]), signature, body), "{name}");
            assert!(!is_valid(&verifier(Rule::Either, &["wrong"]), signature, body), "{name}");
        }
        // No signature fits the body of another vector, the twins with the same JSON value included.
        for twin in vectors.iter().filter(|twin| twin["name"] != vector["name"]) {
            let signature = twin["signature_after_2023_03_15"].as_str().unwrap();
            assert!(!is_valid(&verifier(Rule::Either, &[secret, "secret"]), signature, body), "{name}");
        }
    }
}

#[test]
fn g4_empty_secrets_and_empty_bodies_are_refused() {
    let new = |secrets: &[&str]| {
        Verifier::new(Rule::Either, secrets.iter().map(|text| Secret::from(*text)).collect()).map(|_| ())
    };
    assert_eq!(new(&[]), Err(UnusableSecret::None));
    assert_eq!(new(&["a", ""]), Err(UnusableSecret::Empty { index: 1 }));
    let signature = sign(Rule::After, &Secret::from("s"), b"");
    let checked = check(&verifier(Rule::Either, &["s"]), &[("signature", &signature)], b"");
    assert_eq!(checked.outcome, Outcome::Wrong);
    assert!(checked.remark.contains("empty body"), "{}", checked.remark);
}

#[test]
fn r16_the_match_names_rule_secret_and_header() {
    let verifier = verifier(Rule::Either, &["new", "old"]);
    for (rule, secret, index, sent, header) in [
        (Rule::After, "new", 0, "SIGNATURE", "signature"),
        (Rule::Before, "new", 0, "signature", "signature"),
        (Rule::After, "old", 1, "Sp_Signature", "sp_signature"),
        (Rule::Before, "old", 1, "sp_signature", "sp_signature"),
    ] {
        let signature = sign(rule, &Secret::from(secret), b"body");
        let checked = check(&verifier, &[("x", "y"), (sent, &signature)], b"body");
        assert_eq!(checked.outcome, Outcome::Valid(Match { rule, secret: index, header }));
        assert!(
            checked.remark.contains(&format!("rule {rule} with secret {}", index + 1)),
            "{}",
            checked.remark
        );
        assert!(!checked.is_odd);
        assert_eq!(checked.digest, <[u8; 32]>::from(Sha256::digest(b"body")));
    }
}

#[test]
fn r16_of_two_headers_either_may_verify_and_a_difference_is_remarked() {
    let verifier = verifier(Rule::After, &["s"]);
    let (right, wrong) = (sign(Rule::After, &Secret::from("s"), b"b"), "0".repeat(64));
    let joined = format!("{wrong}, {right}");
    for headers in [
        &[("signature", right.as_str()), ("sp_signature", wrong.as_str())][..],
        &[("signature", &wrong), ("sp_signature", &right)],
        &[("signature", &wrong), ("signature", &right)],
        &[("signature", &joined)],
    ] {
        let checked = check(&verifier, headers, b"b");
        assert!(matches!(checked.outcome, Outcome::Valid(_)), "{headers:?}");
        assert!(checked.is_odd && checked.remark.contains("differ"), "{}", checked.remark);
    }
    let same = check(&verifier, &[("signature", &right), ("sp_signature", &right)], b"b");
    assert!(matches!(same.outcome, Outcome::Valid(_)) && !same.is_odd);
}

#[test]
fn r16_none_malformed_and_wrong_signatures_are_told_apart() {
    let either = verifier(Rule::Either, &["s"]);
    let right = sign(Rule::Before, &Secret::from("s"), b"b");
    assert_eq!(check(&either, &[], b"b").outcome, Outcome::Missing);
    for malformed in ["", "zz", &right[1..], &format!("{right}0"), &right.replace(|_| true, "é")] {
        let checked = check(&either, &[("signature", malformed)], b"b");
        assert_eq!(checked.outcome, Outcome::Wrong);
        assert!(checked.remark.contains("64 hexadecimal digits"), "{}", checked.remark);
    }
    let beside = check(&either, &[("signature", "zz"), ("sp_signature", &right)], b"b");
    assert!(matches!(beside.outcome, Outcome::Valid(_)) && beside.is_odd);
    let upper = check(&either, &[("signature", &right.to_uppercase())], b"b");
    assert!(matches!(upper.outcome, Outcome::Valid(_)));
    assert!(upper.is_odd && upper.remark.contains("upper case"), "{}", upper.remark);
    let other_rule = check(&verifier(Rule::After, &["s"]), &[("signature", &right)], b"b");
    assert_eq!(other_rule.outcome, Outcome::Wrong);
    assert!(
        other_rule.remark.contains("rule before while the account is set to rule after"),
        "{}",
        other_rule.remark
    );
    // A flood of values is not hashed against every secret.
    let flood = vec![("signature", "00".repeat(32)); 100];
    let mut flood: Vec<(&str, &str)> = flood.iter().map(|(name, value)| (*name, value.as_str())).collect();
    flood.push(("signature", &right));
    assert_eq!(check(&either, &flood, b"b").outcome, Outcome::Wrong);
}

#[test]
fn g10_debug_and_remarks_show_no_secret() {
    let verifier = verifier(Rule::Either, &["hush-hush"]);
    let hashed = hex(Sha256::digest("hush-hush"));
    let signature = sign(Rule::After, &Secret::from("hush-hush"), b"b");
    let checked = check(&verifier, &[("signature", &signature)], b"b");
    let shown = format!("{verifier:?} {:?} {checked:?}", verifier.begin(Headers(&[])));
    assert!(!shown.contains("hush") && !shown.contains(&hashed) && !shown.contains(&signature), "{shown}");
}

const BODY: &str = r#"{"reference":"r-1","event":"verification.accepted","url":"https:\/\/h\/p","list":[1,{}],"name":"C\u00f4t\u00fa \ud83d\ude00"}"#;

fn changes(rule: Rule, secret: &str, signature: &str, body: &[u8]) -> Vec<Change> {
    match explain(&verifier(rule, &["other", secret]), signature, body) {
        Finding::Valid { .. } => Vec::new(),
        Finding::Fits { changes, .. } => changes,
        finding @ (Finding::Malformed { .. } | Finding::EmptyBody | Finding::Nothing) => {
            panic!("{finding:?}")
        }
    }
}

#[test]
fn an_explanation_names_what_went_wrong() {
    let signature = sign(Rule::After, &Secret::from("s"), BODY.as_bytes());
    let with = |end: &str| [BODY, end].concat();
    assert_eq!(changes(Rule::Either, "s", &signature, BODY.as_bytes()), []);
    assert_eq!(changes(Rule::Before, "s", &signature, BODY.as_bytes()), [Change::Rule]);
    assert_eq!(changes(Rule::After, "s\n", &signature, BODY.as_bytes()), [Change::SecretTrimmed]);
    let alone = explain(&verifier(Rule::After, &[" s\n"]), &signature, BODY.as_bytes());
    assert!(
        matches!(&alone, Finding::Fits { changes, .. } if changes == &[Change::SecretTrimmed]),
        "{alone:?}"
    );
    assert_eq!(changes(Rule::After, "s", &format!("sha256={signature}"), BODY.as_bytes()), [Change::Prefix]);
    assert_eq!(changes(Rule::After, "s", &signature, with("\n").as_bytes()), [Change::EndTrimmed]);
    assert_eq!(
        changes(Rule::After, "s", &signature, format!("\u{feff}{BODY}").as_bytes()),
        [Change::MarkRemoved]
    );
    for (end, change) in [("\n", Change::NewlineAdded), ("\r\n", Change::CrLfAdded)] {
        let signature = sign(Rule::After, &Secret::from("s"), with(end).as_bytes());
        assert_eq!(changes(Rule::After, "s", &signature, BODY.as_bytes()), [change]);
    }
    let lines = "{\n\"a\": 1\n}\n";
    let (lf, crlf) = (lines.to_owned(), lines.replace('\n', "\r\n"));
    let signed = |body: &str| sign(Rule::Before, &Secret::from("s"), body.as_bytes());
    assert_eq!(changes(Rule::Either, "s", &signed(&lf), crlf.as_bytes()), [Change::ToLf]);
    assert_eq!(changes(Rule::Either, "s", &signed(&crlf), lf.as_bytes()), [Change::ToCrLf]);
    assert_eq!(
        explain(&verifier(Rule::Either, &["s"]), &signature.to_uppercase(), BODY.as_bytes()),
        Finding::Valid {
            matched: Match { rule: Rule::After, secret: 0, header: "signature" },
            upper_case: true
        }
    );
    let finding =
        |signature: &str, body: &[u8]| explain(&verifier(Rule::Either, &["wrong"]), signature, body);
    assert_eq!(finding(&signature, BODY.as_bytes()), Finding::Nothing);
    assert_eq!(finding(&signature, b""), Finding::EmptyBody);
    assert_eq!(finding("abc", b"{}"), Finding::Malformed { length: 3, wrong_at: None });
    assert_eq!(finding("abx", b"{}"), Finding::Malformed { length: 3, wrong_at: Some(3) });
}

#[test]
fn an_explanation_recognises_json_that_was_written_again() {
    let php = Style { slashes_escaped: true, unicode_escaped: true, spacing: Spacing::Compact };
    let value: Value = serde_json::from_str(BODY).unwrap();
    let signature = sign(Rule::After, &Secret::from("s"), BODY.as_bytes());
    for rewritten in [
        BODY.replace("\\/", "/"),
        "{\"reference\": \"r-1\", \"event\":\n\"verification.accepted\", \"url\": \"https://h/p\", \"list\": [1, {}], \"name\": \"Côtú 😀\"}\n".to_owned(),
    ] {
        assert_ne!(rewritten, BODY);
        assert_eq!(serde_json::from_str::<Value>(&rewritten).unwrap(), value);
        assert_eq!(changes(Rule::Either, "s", &signature, rewritten.as_bytes()), [Change::Rewritten(php)]);
    }
    // What others sign is recognised too: one proxy wrote it again before signing.
    let signed_pretty = "{\n    \"a\": [\n        1,\n        {}\n    ]\n}";
    let signature = sign(Rule::After, &Secret::from("s"), signed_pretty.as_bytes());
    let found = changes(Rule::Either, "s", &signature, b"{\"a\":[1,{}]}");
    assert!(
        matches!(found[..], [Change::Rewritten(Style { spacing: Spacing::Indented(4), .. })]),
        "{found:?}"
    );
}

/// Writes JSON in a style, another way than the one under test: what stands at a place is decided by where it stands.
fn written(value: &Value, style: Style, level: usize) -> String {
    let string = |text: &str| {
        let plain = Value::from(text).to_string();
        let plain = if style.slashes_escaped { plain.replace('/', "\\/") } else { plain };
        if !style.unicode_escaped {
            return plain;
        }
        let units = plain.encode_utf16().map(|unit| match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => String::from(char::from(byte)),
            Ok(_) | Err(_) => format!("\\u{unit:04x}"),
        });
        units.collect()
    };
    let line = |level: usize| match style.spacing {
        Spacing::Indented(blanks) => format!("\n{}", " ".repeat(level * usize::from(blanks))),
        Spacing::Compact | Spacing::Spaced => String::new(),
    };
    let colon = if style.spacing == Spacing::Compact { ":" } else { ": " };
    let comma = if style.spacing == Spacing::Spaced { ", " } else { "," };
    let (brackets, parts): (_, Vec<String>) = match value {
        Value::String(text) => return string(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => return value.to_string(),
        Value::Array(parts) => ("[]", parts.iter().map(|part| written(part, style, level + 1)).collect()),
        Value::Object(members) => {
            let member =
                |name: &str, part| format!("{}{colon}{}", string(name), written(part, style, level + 1));
            ("{}", members.iter().map(|(name, part)| member(name, part)).collect())
        }
    };
    if parts.is_empty() {
        return brackets.to_owned();
    }
    let parts = parts.join(&format!("{comma}{}", line(level + 1)));
    format!("{}{}{parts}{}{}", &brackets[..1], line(level + 1), line(level), &brackets[1..])
}

#[test]
fn an_explanation_recognises_json_that_was_written_in_any_style() {
    let value = serde_json::json!({"a": ["1/2", {}, [], {"é": "😀 \"\\\u{8}\u{c}\n\r\t\u{1}"}], "b": {"c": null, "d": [true, 1.5]}});
    let spacings = [Spacing::Compact, Spacing::Spaced, Spacing::Indented(2), Spacing::Indented(4)];
    let styles: Vec<Style> = spacings
        .into_iter()
        .flat_map(|spacing| {
            [(true, true), (true, false), (false, true), (false, false)].map(|flags| (spacing, flags))
        })
        .map(|(spacing, (slashes_escaped, unicode_escaped))| Style {
            slashes_escaped,
            unicode_escaped,
            spacing,
        })
        .collect();
    for signed in &styles {
        let signature = sign(Rule::After, &Secret::from("s"), written(&value, *signed, 0).as_bytes());
        for sent in &styles {
            let wanted = if sent == signed { vec![] } else { vec![Change::Rewritten(*signed)] };
            let found = changes(Rule::After, "s", &signature, written(&value, *sent, 0).as_bytes());
            assert_eq!(found, wanted, "sent {sent}, signed {signed}");
        }
    }
}

proptest! {
    #[test]
    fn streaming_in_any_chunks_equals_concatenating_and_hashing(
        body in prop::collection::vec(any::<u8>(), 1..600),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        secret in "\\PC{1,80}",
        before: bool,
    ) {
        let rule = if before { Rule::Before } else { Rule::After };
        let signature = naive(rule, &secret, &body);
        prop_assert_eq!(sign(rule, &Secret::from(secret.as_str()), &body), signature.clone());
        let headers = [("Signature", signature.as_bytes())];
        let mut check = verifier(Rule::Either, &[&secret]).begin(Headers(&headers));
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        cuts.windows(2).for_each(|cut| check.update(&body[cut[0]..cut[1]]));
        let checked = check.finish();
        prop_assert_eq!(checked.outcome, Outcome::Valid(Match { rule, secret: 0, header: "signature" }));
        prop_assert_eq!(checked.digest, <[u8; 32]>::from(Sha256::digest(&body)));
    }

    #[test]
    fn g4_any_change_of_one_bit_breaks_the_signature(
        body in prop::collection::vec(any::<u8>(), 1..200), at in any::<prop::sample::Index>(), bit in 0..8_u8,
    ) {
        let signature = sign(Rule::After, &Secret::from("s"), &body);
        let mut changed = body.clone();
        changed[at.index(body.len())] ^= 1 << bit;
        prop_assert!(!is_valid(&verifier(Rule::Either, &["s"]), &signature, &changed));
    }

    #[test]
    fn any_header_and_body_are_checked_and_explained_without_panic(
        value in prop::collection::vec(any::<u8>(), 0..80), body in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let verifier = verifier(Rule::Either, &["s"]);
        let outcome = verifier.check(Headers(&[("signature", &value)]), &body).outcome;
        prop_assert!(!matches!(outcome, Outcome::Valid(_)));
        let _ = explain(&verifier, &String::from_utf8_lossy(&value), &body).to_string();
        let _ = explain(&verifier, &"0".repeat(64), &body).to_string();
    }
}
