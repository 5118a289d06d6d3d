//! Posting callbacks: how they are signed, and one-off events to any receiver.

use crate::bodies;
use crate::config::SignatureHeader;
use crate::scenario::{Key, Provider};
use idv_core::delivery::Cause;
use idv_core::evidence::FaultKind;
use idv_core::http::{Request, bearer_authorization, is_field_text};
use idv_core::secret::Secret;
use idv_core::shareid::contract::CALLBACK_DELIVERY;
use idv_core::shufti::signature::{Rule, sign};
use idv_core::time::Span;
use idv_ureq::{Client, Failure};
use std::fmt;

/// What signs or vouches for callbacks.
#[derive(Clone, Debug)]
pub enum Voucher {
    /// Shufti's signature.
    Signature {
        /// By which rule.
        rule: Rule,
        /// Under which name.
        header: SignatureHeader,
        /// The secret key.
        secret: Secret,
    },
    /// A bearer, as ShareID can be asked to send.
    Bearer(Secret),
    /// Nothing.
    Nothing,
}

impl Voucher {
    fn headers(&self, key: Key, body: &[u8]) -> Vec<(&'static str, String)> {
        match (self, key) {
            (_, Key::None) | (Self::Nothing, Key::Right | Key::Wrong) => Vec::new(),
            (Self::Bearer(bearer), Key::Right) => vec![("authorization", bearer_authorization(bearer))],
            (Self::Bearer(_), Key::Wrong) => vec![("authorization", bearer_authorization(&WRONG.into()))],
            (Self::Signature { rule, header, secret }, Key::Right) => {
                let signature = sign(*rule, secret, body);
                header.names().iter().map(|name| (*name, signature.clone())).collect()
            }
            (Self::Signature { rule, header, .. }, Key::Wrong) => {
                let signature = sign(*rule, &WRONG.into(), body);
                header.names().iter().map(|name| (*name, signature.clone())).collect()
            }
        }
    }

    /// The signature's header fields for an answer.
    pub(crate) fn answer_headers(&self, key: Key, body: &[u8]) -> Vec<(&'static str, String)> {
        match self {
            Self::Signature { .. } => self.headers(key, body),
            Self::Bearer(_) | Self::Nothing => Vec::new(),
        }
    }
}

/// A key that no account has.
const WRONG: &str = "not-the-key-of-this-account";

/// Fills in the request that posts a callback.
pub(crate) fn request(to: &str, body: &[u8], voucher: &Voucher, key: Key) -> Request {
    let mut request = Request::new();
    request.method = "POST";
    to.clone_into(&mut request.url);
    request.headers.push(("content-type", "application/json".to_owned()));
    request.headers.extend(voucher.headers(key, body));
    request.body.extend_from_slice(body);
    request
}

/// How a failure counts for a delivery.
pub(crate) fn cause(failure: &Failure) -> Cause {
    match failure.kind {
        FaultKind::TimedOut => Cause::TimedOut,
        FaultKind::Tls => Cause::Tls,
        FaultKind::Malformed | FaultKind::Truncated => Cause::Malformed,
        FaultKind::Unreachable
        | FaultKind::RateLimited
        | FaultKind::ServerError
        | FaultKind::Redirect
        | FaultKind::UnexpectedStatus
        | FaultKind::BadSignature => Cause::Unreachable,
    }
}

/// A one-off callback.
#[derive(Clone, Debug)]
pub struct OneOff {
    /// Whose callback.
    pub provider: Provider,
    /// The verification it names.
    pub id: String,
    /// The event it names: any word. ShareID's are `ready.accepted` and `ready.declined`.
    pub event: String,
    /// Declined codes or reasons.
    pub codes: Vec<String>,
    /// Where to.
    pub to: String,
    /// What vouches for it.
    pub voucher: Voucher,
    /// Whether it is vouched for by the right key, a wrong one or none.
    pub key: Key,
    /// How often the same bytes are posted, one after the other.
    pub times: u32,
}

/// What came of one post.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Posted {
    /// The status, where there was an answer.
    pub answer: Result<u16, Failure>,
    /// How long it took.
    pub took: std::time::Duration,
}

impl Posted {
    /// Whether the provider would be content: 200 within 3000 ms.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        self.answer.as_ref().is_ok_and(|status| CALLBACK_DELIVERY.success.is(*status))
            && self.took < WITHIN.as_duration()
    }
}

const WITHIN: Span = CALLBACK_DELIVERY.timeout;

impl OneOff {
    /// Posts it as often as asked, with the providers' patience of 3000 ms each, and without retries.
    ///
    /// # Errors
    /// A secret cannot be used: it is empty, or a bearer that no header field can hold.
    pub fn post(&self, client: &Client) -> Result<Vec<Posted>, UnusableVoucher> {
        match &self.voucher {
            Voucher::Signature { secret, .. } if secret.is_empty() => {
                return Err(UnusableVoucher::EmptySecret);
            }
            Voucher::Bearer(bearer) if !is_field_text(bearer.reveal()) => {
                return Err(UnusableVoucher::Bearer);
            }
            Voucher::Signature { .. } | Voucher::Bearer(_) | Voucher::Nothing => {}
        }
        let body = bodies::one_off(self.provider, &self.id, &self.event, &self.codes);
        let request = request(&self.to, &body, &self.voucher, self.key);
        let post = |_| {
            let begun = std::time::Instant::now();
            let answer = client.send(&request, WITHIN).map(|received| received.status);
            Posted { answer, took: begun.elapsed() }
        };
        Ok((0..self.times).map(post).collect())
    }
}

/// Why a voucher cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnusableVoucher {
    /// The secret key is empty.
    EmptySecret,
    /// The bearer is empty, or holds what a header field cannot.
    Bearer,
}

impl fmt::Display for UnusableVoucher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptySecret => "the secret key is empty: give the one that the receiver verifies with",
            Self::Bearer => "the bearer must be visible ASCII, at least one character",
        })
    }
}

impl std::error::Error for UnusableVoucher {}
