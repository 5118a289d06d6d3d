//! What a callback of 4 kB costs to verify and read, beside the hash that nobody can do without and beside the obvious parser.
//!
//! `cargo bench -p idv-tests --bench callback`

mod ratio;

use idv_core::http::Headers;
use idv_core::provider::{Authenticity, Provider};
use idv_core::secret::Secret;
use idv_core::shufti::{Account, signature};
use ratio::{Candidate, compare};
use sha2::{Digest, Sha256};

/// A declined verification as Shufti writes it: every `/` and every character beyond ASCII escaped. The person is made up.
const BODY: &[u8] = include_bytes!("callback.json");

fn main() {
    let secret = Secret::from("a-secret-key-of-sixty-four-characters-as-the-back-office-gives-it");
    let value = signature::sign(signature::Rule::After, &secret, BODY);
    let fields = [("content-type", b"application/json".as_slice()), ("signature", value.as_bytes())];
    let headers = Headers(&fields);
    let Ok(account) = Account::builder("client", secret).build() else {
        return eprintln!("the account is not in order");
    };
    let verify = || {
        let mut check = account.check_callback(headers);
        check.update(BODY);
        check.finish()
    };
    let checked = verify();
    assert_eq!(checked.authenticity, Authenticity::Signed);
    assert!(account.read_callback(BODY, &checked).unreadable.is_none());

    compare(
        &format!("a signed callback of {} bytes (target: verify and read ≤ 2 × the hash)", BODY.len()),
        &mut [
            Candidate::new("SHA-256 over the same bytes", || Sha256::digest(BODY)),
            Candidate::new("verify and read as a hint (confirm by pull)", || {
                account.read_hint(BODY, &verify())
            }),
            Candidate::new("verify and read as evidence (trust signed)", || {
                account.read_callback(BODY, &verify())
            }),
            Candidate::new("verify", verify),
            Candidate::new("read as a hint", || account.read_hint(BODY, &checked)),
            Candidate::new("serde_json::Value, unverified", || {
                serde_json::from_slice::<serde_json::Value>(BODY)
            }),
        ],
    );
}
