//! ShareID's callbacks: unsigned, perhaps with an agreed bearer.
//!
//! A bearer proves who calls, not what the bytes are or when they were made; so even with it a callback is a reason to fetch and never
//! evidence (G4). Without it anybody may post.

use super::answers::claimed;
use super::contract::UNREPEATABLE;
use super::document::Document;
use super::lifecycle::of_verdict;
use crate::evidence::Callback;
use crate::http::Headers;
use crate::json::Body;
use crate::provider::{Authenticity, CallbackCheck, CallbackReading, Checked};
use crate::secret::Secret;
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// Judges a callback's head; the body is only hashed.
pub(super) struct Check {
    authenticity: Authenticity,
    remark: Option<&'static str>,
    body: Sha256,
}

impl Check {
    pub(super) fn new(bearer: Option<&Secret>, headers: Headers<'_>) -> Self {
        let (authenticity, remark) = match bearer {
            None => (Authenticity::Unsigned, None),
            Some(bearer) => match presented(bearer, headers) {
                None => (Authenticity::Missing, Some("the agreed bearer is missing")),
                Some(matches) if bool::from(matches) => {
                    (Authenticity::Unsigned, Some("the agreed bearer is right"))
                }
                Some(_) => (Authenticity::Wrong, Some("the bearer is not the agreed one")),
            },
        };
        Self { authenticity, remark, body: Sha256::new() }
    }
}

/// Whether one of the `Authorization` fields holds the bearer; `None` if there is none that could. Every candidate is compared, in
/// constant time.
fn presented(bearer: &Secret, headers: Headers<'_>) -> Option<Choice> {
    let candidates = headers.all("authorization").filter_map(|value| {
        let (scheme, rest) = value.trim_ascii().split_first_chunk::<7>()?;
        scheme.eq_ignore_ascii_case(b"bearer ").then(|| rest.trim_ascii())
    });
    candidates.map(|candidate| candidate.ct_eq(bearer.reveal().as_bytes())).reduce(|one, other| one | other)
}

impl CallbackCheck for Check {
    fn update(&mut self, chunk: &[u8]) {
        self.body.update(chunk);
    }

    fn finish(self: Box<Self>) -> Checked {
        Checked {
            authenticity: self.authenticity,
            digest: self.body.finalize().into(),
            remark: self.remark.map(String::from),
        }
    }
}

/// Reads which verification a callback names. An authentication's result may name its person too (`applicant_id`): the flow comes first.
pub(super) fn read(bytes: &[u8], checked: &Checked) -> CallbackReading {
    let body = Body::new(bytes);
    let reading = body.object(&UNREPEATABLE);
    let document = Document::new(reading.object);
    let claims = if reading.unreadable.is_none() { claimed(&document) } else { None };
    let flow = document.flow_id().map(Cow::into_owned);
    let applicant = document.applicant_id().map(Cow::into_owned);
    let (id, alias, id_member) = match (flow, applicant) {
        (Some(flow), applicant) => (Some(flow), applicant, Some("flow_id")),
        (None, Some(applicant)) => (Some(applicant), None, Some("applicant_id")),
        (None, None) => (None, None, None),
    };
    let callback = match checked.authenticity {
        // ShareID signs nothing: no caller can vouch for these bytes.
        Authenticity::Signed | Authenticity::Unsigned => Callback::Unsigned,
        Authenticity::Wrong | Authenticity::Missing => Callback::WrongSignature,
    };
    CallbackReading {
        id,
        id_member,
        alias,
        event: None,
        stated: claims.and_then(of_verdict),
        deviation: None,
        callback,
        claims,
        unreadable: reading.unreadable,
    }
}
