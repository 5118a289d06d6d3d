//! One account at Shufti Pro.

use super::contract;
use super::reading;
use super::requests::{self, Credentials};
use super::signature::{Rule, UnusableSecret, Verifier};
use crate::http::{Answer, BaseUrl, BaseUrlError, Headers, Request};
use crate::lifecycle::Table;
use crate::provider::{
    CallbackCheck, CallbackReading, Checked, Provider, PullAnswer, Statement, TokenAnswer, Unreadable,
};
use crate::rules::Rules;
use crate::secret::Secret;
use crate::token::Mode;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// How calls identify themselves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum AuthMode {
    /// HTTP Basic with client id and secret key, on every call.
    #[default]
    Basic,
    /// A single-use access token for every call; only the call that asks for it carries the secret key.
    AccessToken,
}

/// One account at Shufti Pro: where it is, what it identifies itself with, how its answers and callbacks are signed.
#[derive(Clone)]
pub struct Account {
    base: BaseUrl,
    client_id: String,
    verifier: Verifier,
    auth: AuthMode,
    require_signed_answers: bool,
    callback_body_cap: u64,
}

/// What an [`Account`] is made of. Begin with [`Account::builder`].
#[derive(Clone)]
pub struct Builder {
    base_url: String,
    client_id: String,
    secrets: Vec<Secret>,
    rule: Rule,
    auth: AuthMode,
    require_signed_answers: bool,
    callback_body_cap: u64,
}

impl Account {
    /// An account at Shufti's own URL, with HTTP Basic, either signature rule, and unsigned answers marked but not refused.
    #[must_use]
    pub fn builder(client_id: &str, secret: Secret) -> Builder {
        Builder {
            base_url: String::from(contract::BASE_URL),
            client_id: String::from(client_id),
            secrets: [secret].into(),
            rule: Rule::default(),
            auth: AuthMode::default(),
            require_signed_answers: false,
            callback_body_cap: contract::CALLBACK_BODY_CAP,
        }
    }

    /// Where the API is.
    #[must_use]
    pub const fn base_url(&self) -> &BaseUrl {
        &self.base
    }

    /// What checks signatures: this account's rule and secrets.
    #[must_use]
    pub const fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// How calls identify themselves.
    #[must_use]
    pub const fn auth(&self) -> AuthMode {
        self.auth
    }

    /// What a call carries: HTTP Basic, or `token`. `None` where a token is needed and there is none.
    #[must_use]
    pub fn credentials<'a>(&'a self, token: Option<&'a Secret>) -> Option<Credentials<'a>> {
        match self.auth {
            AuthMode::Basic => {
                self.verifier.secret().map(|secret| Credentials::Basic(&self.client_id, secret))
            }
            AuthMode::AccessToken => token.map(Credentials::AccessToken),
        }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("base", &self.base)
            .field("auth", &self.auth)
            .field("verifier", &self.verifier)
            .field("require_signed_answers", &self.require_signed_answers)
            .field("callback_body_cap", &self.callback_body_cap)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// Another base URL: a sandbox, a proxy.
    #[must_use]
    pub fn base_url(mut self, url: &str) -> Self {
        self.base_url = String::from(url);
        self
    }

    /// One more secret key that signatures may be made with, while a key is being replaced. Calls carry the first one.
    #[must_use]
    pub fn also_accept(mut self, secret: Secret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// The rule that signatures must follow.
    #[must_use]
    pub const fn rule(mut self, rule: Rule) -> Self {
        self.rule = rule;
        self
    }

    /// How calls identify themselves.
    #[must_use]
    pub const fn auth(mut self, auth: AuthMode) -> Self {
        self.auth = auth;
        self
    }

    /// Whether a 2xx answer without a signature is a fault (R16). Else it counts, marked.
    #[must_use]
    pub const fn require_signed_answers(mut self, require: bool) -> Self {
        self.require_signed_answers = require;
        self
    }

    /// The largest callback body that is read, in bytes.
    #[must_use]
    pub const fn callback_body_cap(mut self, bytes: u64) -> Self {
        self.callback_body_cap = bytes;
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    /// Says which part cannot be used and what to do about it.
    pub fn build(self) -> Result<Account, BuildError> {
        let is_user =
            |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
        if !is_user(&self.client_id) {
            return Err(BuildError::ClientId);
        }
        if self.callback_body_cap == 0 {
            return Err(BuildError::CallbackBodyCap);
        }
        Ok(Account {
            base: BaseUrl::parse(&self.base_url).map_err(BuildError::BaseUrl)?,
            client_id: self.client_id,
            verifier: Verifier::new(self.rule, self.secrets).map_err(BuildError::Secret)?,
            auth: self.auth,
            require_signed_answers: self.require_signed_answers,
            callback_body_cap: self.callback_body_cap,
        })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("rule", &self.rule).field("auth", &self.auth).finish_non_exhaustive()
    }
}

/// Why an account cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BuildError {
    /// The base URL.
    BaseUrl(BaseUrlError),
    /// The client id is empty, holds a colon (HTTP Basic ends it there), a blank, or something that is not ASCII.
    ClientId,
    /// A secret key.
    Secret(UnusableSecret),
    /// A cap of 0 bytes would refuse every callback.
    CallbackBodyCap,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BaseUrl(error) => error.fmt(f),
            Self::ClientId => f.write_str(
                "the client id is empty or holds a colon, a blank or a character outside ASCII; copy it from the back office",
            ),
            Self::Secret(error) => error.fmt(f),
            Self::CallbackBodyCap => f.write_str("the cap of callback bodies is 0, which refuses them all; give at least 1 byte"),
        }
    }
}

impl core::error::Error for BuildError {}

impl Provider for Account {
    fn name(&self) -> &'static str {
        "shufti"
    }

    fn rules(&self) -> Rules {
        let token_mode = match self.auth {
            AuthMode::Basic => Mode::NotNeeded,
            AuthMode::AccessToken => Mode::SingleUse,
        };
        Rules { token_mode, ..contract::RULES }
    }

    fn lifecycle(&self) -> &'static Table {
        &super::lifecycle::SHUFTI
    }

    fn token_request(&self, request: &mut Request) -> bool {
        match (self.auth, self.verifier.secret()) {
            (AuthMode::AccessToken, Some(secret)) => {
                requests::access_token(&self.base, &self.client_id, secret, request);
                true
            }
            (AuthMode::AccessToken | AuthMode::Basic, _) => false,
        }
    }

    fn read_token(&self, answer: &Answer<'_>, unix_now: Option<u64>) -> TokenAnswer {
        reading::read_token(&self.verifier, answer, unix_now)
    }

    fn pull_request(&self, id: &str, token: Option<&Secret>, request: &mut Request) {
        requests::status(&self.base, self.credentials(token), id, request);
    }

    fn read_pull(&self, id: &str, answer: &Answer<'_>, unix_now: Option<u64>) -> PullAnswer {
        reading::read_pull(&self.verifier, self.require_signed_answers, id, answer, unix_now)
    }

    fn callback_body_cap(&self) -> u64 {
        self.callback_body_cap
    }

    fn check_callback(&self, headers: Headers<'_>) -> Box<dyn CallbackCheck> {
        Box::new(self.verifier.begin(headers))
    }

    fn read_hint(&self, body: &[u8], checked: &Checked) -> CallbackReading {
        reading::read_hint(body, checked)
    }

    fn read_callback(&self, body: &[u8], checked: &Checked) -> CallbackReading {
        reading::read_callback(body, checked)
    }

    fn statement(&self, body: &[u8]) -> Result<Statement, Unreadable> {
        reading::statement(body)
    }
}
