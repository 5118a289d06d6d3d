//! Bad input, each with a clear error and nothing lost: what was wrong is said with its place and what to do, without content or
//! secrets; what can be kept is kept; the verdict arrives all the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(missing_docs, clippy::wildcard_enum_match_arm, clippy::type_complexity)]

mod answers;
mod callbacks;
mod configuration;
mod connections;
mod wrong_types;

use idv_core::secret::Secret;
use idv_core::shufti::signature::{Rule, sign};
use idv_tests::driving::{CLIENT_ID, SECRET};
use idv_tests::wire::Said;

/// The three samples of the provider's documents that are no JSON, with the reference and the place of the fault.
const MALFORMED: [(&str, &str, usize, usize, &str); 3] = [
    (
        "17374217",
        include_str!("../../../core/tests/fixtures/shufti-verification.accepted-seed.json"),
        85,
        1,
        "expected a member name in double quotes; is there a comma too many?",
    ),
    (
        "95156124",
        include_str!("../../../core/tests/fixtures/shufti-review.pending-seed.json"),
        31,
        1,
        "expected `,` or `}`",
    ),
    (
        "",
        include_str!("../../../core/tests/fixtures/shufti-request.unauthorized-seed.json"),
        10,
        16,
        "expected `,` or `}`",
    ),
];

/// Stands in every body that is about a person. No error may show it.
const PERSONAL: &str = "Zaphod-7";

/// What no error may show.
fn discreet(error: &str) {
    for hidden in
        [PERSONAL, SECRET, CLIENT_ID, "hash-of-the-tests", "key-of-the-tests", "tok-secret", "John", "Doe"]
    {
        assert!(!error.contains(hidden), "shows {hidden}: {error}");
    }
}

fn signature(body: &[u8]) -> String {
    sign(Rule::After, &Secret::from(SECRET), body)
}

/// A Shufti document about this verification.
fn document(reference: &str, event: &str) -> String {
    format!(r#"{{"reference":"{reference}","event":"{event}","email":"{PERSONAL}@example.org"}}"#)
}

/// An answer of Shufti's, signed.
fn signed(status: u16, body: impl AsRef<[u8]>) -> Said {
    let body = body.as_ref();
    Said::new(status, &[("content-type", "application/json"), ("signature", &signature(body))], body)
}

fn accepted(reference: &str) -> Said {
    signed(200, document(reference, "verification.accepted"))
}

/// A body nested a hundred thousand levels deep, beside readable members.
fn nested(members: &str) -> String {
    format!("{{{members},\"deep\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000))
}
