//! Shufti: requests, answers and callbacks, from recorded and documented bodies.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod documents;
mod meanings;
mod properties;
mod requests;
mod told;

use idv_core::evidence::ContentDigest;
use idv_core::http::{Answer, Headers};
use idv_core::json::Body;
use idv_core::provider::{CallbackReading, Provider, PullAnswer};
use idv_core::secret::Secret;
use idv_core::shufti::Account;
use idv_core::shufti::answers::Document;
use idv_core::shufti::signature::{Rule, sign};

macro_rules! fixtures {
    ($($name:ident = $file:literal;)*) => { $(const $name: &str = include_str!(concat!("../fixtures/shufti-", $file, ".json"));)* };
}

fixtures! {
    ACCEPTED = "verification.accepted-seed";
    ACCEPTED_2019 = "verification.accepted-docs2019";
    ACCEPTED_CALLBACK = "callback.verification.accepted-address-trakx";
    STATUS_2019 = "status.verification.accepted-docs2019";
    STATUS_EMPTY = "status.verification.accepted-emptyarray-trakx";
    DECLINED = "verification.declined-seed";
    DECLINED_2019 = "verification.declined-docs2019";
    REVIEW = "review.pending-seed";
    CANCELLED = "verification.cancelled-seed";
    CANCELLED_2019 = "request.cancelled-docs2019";
    TIMEOUT = "request.timeout-seed";
    TIMEOUT_2019 = "request.timeout-docs2019";
    PENDING = "request.pending-seed";
    PENDING_EIDV = "request.pending-eidv-seed";
    PENDING_2019 = "request.pending-docs2019";
    PENDING_HTTP = "http.request.pending-trakx";
    RECEIVED = "request.received-seed";
    RECEIVED_2019 = "request.received-docs2019";
    DELETED = "request.deleted-seed";
    DELETED_2019 = "request.deleted-docs2019";
    CHANGED = "verification.status.changed-seed";
    CHANGED_2019 = "verification.status.changed-docs2019";
    INVALID = "request.invalid-seed";
    INVALID_2019 = "request.invalid-docs2019";
    UNAUTHORIZED = "request.unauthorized-seed";
    UNAUTHORIZED_2019 = "request.unauthorized-docs2019";
    STATUS_REQUEST = "request.status-docs";
    DELETE_REQUEST = "request.delete-docs";
    VERIFY_REQUEST = "request.verify-docs";
    DECLINE_REASONS = "decline.reasons-docs";
}

const SECRET: &str = "test-secret";

fn account() -> Account {
    Account::builder("client", Secret::from(SECRET)).build().unwrap()
}

fn answer<'a>(status: u16, headers: &'a [(&'a str, &'a [u8])], body: &'a str) -> Answer<'a> {
    Answer { status, headers: Headers(headers), body: body.as_bytes() }
}

/// Pulls `reference` and is answered with `body`, signed.
fn pull(account: &Account, reference: &str, status: u16, body: &str) -> PullAnswer {
    let signature = sign(Rule::After, &Secret::from(SECRET), body.as_bytes());
    account.read_pull(reference, &answer(status, &[("Signature", signature.as_bytes())], body), None)
}

fn callback(body: &str, signature: Option<&str>) -> CallbackReading {
    let account = account();
    let headers: Vec<(&str, &[u8])> = signature.iter().map(|value| ("signature", value.as_bytes())).collect();
    let mut check = account.check_callback(Headers(&headers));
    check.update(body.as_bytes());
    account.read_callback(body.as_bytes(), &check.finish())
}

fn signed_callback(body: &str) -> CallbackReading {
    callback(body, Some(&sign(Rule::Before, &Secret::from(SECRET), body.as_bytes())))
}

fn content(body: &str) -> ContentDigest {
    let body = Body::new(body.as_bytes());
    let document = Document::read(&body);
    assert_eq!(document.unreadable(), None);
    document.content()
}
