//! ShareID: fetch tokens, fetched results, unsigned callbacks.
//!
//! ```text
//!   business_hash, api_key ──▶ POST /flow/{flow}/fetch/auth/business ──▶ fetch token, 10 minutes, reusable
//!   token, id              ──▶ POST /flow/{flow}/fetch               ──▶ not ready, or the result document
//!   ShareID                ──▶ POST our callback                     ──▶ the result document, by anybody
//! ```
//!
//! A result has no verdict of its own: `reasons` empty means accepted, anything in it declined. There is no time, event or number in it
//! either, and nobody signs the callback; so every verdict comes from a fetch, and a callback is a reason to fetch.
//!
//! The numbers and paths are in [`contract`], with their sources. This is the second generation of the API (2023 to 2025), the one with
//! `business_hash` and `api_key` at the top of a request.

mod answers;
mod callbacks;
pub mod contract;
mod diagnosis;
mod document;
pub mod lifecycle;
mod requests;

pub use answers::{NotStarted, Started};
pub use contract::Flow;
pub use document::{Document, DocumentData, Image, OcrField, Reasons};
pub use requests::{Methods, Start, StartAuthenticate, StartError, StartOnboarding};

use crate::http::{Answer, BaseUrl, BaseUrlError, Headers, Request, is_field_text};
use crate::lifecycle::Table;
use crate::provider::{
    CallbackCheck, CallbackReading, Checked, Provider, PullAnswer, Statement, TokenAnswer, Unreadable,
};
use crate::rules::Rules;
use crate::secret::Secret;
use alloc::boxed::Box;
use core::fmt;
use requests::Credentials;

/// An account at ShareID, for one flow.
#[derive(Clone, Debug)]
pub struct Account {
    base: BaseUrl,
    flow: Flow,
    business_hash: Secret,
    api_key: Secret,
    callback_bearer: Option<Secret>,
    callback_body_cap: u64,
}

impl Account {
    /// An account with the base URL, the business hash and the API key that ShareID handed over.
    ///
    /// # Errors
    /// The URL cannot be used, or a credential is empty or holds a control character.
    pub fn new(
        api_url: &str,
        flow: Flow,
        business_hash: Secret,
        api_key: Secret,
    ) -> Result<Self, AccountError> {
        let base = BaseUrl::parse(api_url).map_err(AccountError::ApiUrl)?;
        for (secret, name) in [(&business_hash, "business hash"), (&api_key, "API key")] {
            if secret.is_empty() {
                return Err(AccountError::EmptyCredential(name));
            }
            if secret.reveal().chars().any(char::is_control) {
                return Err(AccountError::ControlCharacter(name));
            }
        }
        let callback_body_cap = contract::CALLBACK_BODY_CAP;
        Ok(Self { base, flow, business_hash, api_key, callback_bearer: None, callback_body_cap })
    }

    /// Demands `Authorization: Bearer …` of every callback. ShareID sends such a header by arrangement (`get-result-onboarding`).
    ///
    /// # Errors
    /// The bearer is empty, or holds something that no header field can carry.
    pub fn with_callback_bearer(mut self, bearer: Secret) -> Result<Self, AccountError> {
        if !is_field_text(bearer.reveal()) {
            return Err(AccountError::CallbackBearer);
        }
        self.callback_bearer = Some(bearer);
        Ok(self)
    }

    /// Reads callback bodies of up to `bytes` instead of [`contract::CALLBACK_BODY_CAP`].
    #[must_use]
    pub const fn with_callback_body_cap(mut self, bytes: u64) -> Self {
        self.callback_body_cap = bytes;
        self
    }

    /// Which flow's verifications this account pulls.
    #[must_use]
    pub const fn flow(&self) -> Flow {
        self.flow
    }

    /// Where the API lives.
    #[must_use]
    pub const fn api_url(&self) -> &BaseUrl {
        &self.base
    }

    /// Fills in the request that starts one user session, of either flow.
    ///
    /// # Errors
    /// Says which member cannot be sent; then the request is as it was.
    pub fn start_request(&self, start: &Start<'_>, request: &mut Request) -> Result<(), StartError> {
        requests::start(&self.base, start, self.credentials(), request)
    }

    /// Reads the answer to a start of `flow`. `unix_now` is the time in seconds, as in [`Provider::read_token`].
    ///
    /// # Errors
    /// No session was started; says why.
    pub fn read_start(
        &self,
        flow: Flow,
        answer: &Answer<'_>,
        unix_now: Option<u64>,
    ) -> Result<Started, NotStarted> {
        answers::started(flow, self.credentials(), answer, unix_now)
    }

    const fn credentials(&self) -> Credentials<'_> {
        Credentials { business_hash: &self.business_hash, api_key: &self.api_key }
    }
}

impl Provider for Account {
    fn name(&self) -> &'static str {
        "shareid"
    }

    fn rules(&self) -> Rules {
        contract::RULES
    }

    fn lifecycle(&self) -> &'static Table {
        &lifecycle::SHAREID
    }

    fn token_request(&self, request: &mut Request) -> bool {
        requests::fetch_token(&self.base, self.flow, self.credentials(), request);
        true
    }

    fn read_token(&self, answer: &Answer<'_>, unix_now: Option<u64>) -> TokenAnswer {
        answers::token(self.credentials(), answer, unix_now)
    }

    fn pull_request(&self, id: &str, token: Option<&Secret>, request: &mut Request) {
        requests::fetch(&self.base, self.flow, id, token, request);
    }

    fn read_pull(&self, id: &str, answer: &Answer<'_>, unix_now: Option<u64>) -> PullAnswer {
        answers::pull(self.flow, id, answer, unix_now)
    }

    fn callback_body_cap(&self) -> u64 {
        self.callback_body_cap
    }

    fn check_callback(&self, headers: Headers<'_>) -> Box<dyn CallbackCheck> {
        Box::new(callbacks::Check::new(self.callback_bearer.as_ref(), headers))
    }

    fn read_callback(&self, body: &[u8], checked: &Checked) -> CallbackReading {
        callbacks::read(body, checked)
    }

    fn statement(&self, body: &[u8]) -> Result<Statement, Unreadable> {
        answers::statement(body)
    }
}

/// Why an account was refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum AccountError {
    /// The base URL cannot be used.
    ApiUrl(BaseUrlError),
    /// This credential is empty.
    EmptyCredential(&'static str),
    /// This credential holds a control character, often the line break of the file it was read from.
    ControlCharacter(&'static str),
    /// The bearer of callbacks cannot stand in a header field.
    CallbackBearer,
}

impl fmt::Display for AccountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApiUrl(reason) => reason.fmt(f),
            Self::EmptyCredential(name) => write!(f, "the ShareID {name} is empty; use the one that ShareID issued"),
            Self::ControlCharacter(name) => {
                write!(f, "the ShareID {name} holds a control character; was a line break read with it?")
            }
            Self::CallbackBearer => f.write_str(
                "the ShareID callback bearer is empty or holds blanks, control characters or characters outside ASCII; \
                 give the token alone, without the word Bearer",
            ),
        }
    }
}

impl core::error::Error for AccountError {}
