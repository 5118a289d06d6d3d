//! One account at one provider, with the rules its verifications run under.

use super::reception::Endpoint;
use crate::fleet::{AccountPolicy, DoorId, DoorPolicy};
use crate::http::Request;
use crate::provider::Provider;
use crate::receipt;
use crate::rules::{Rules, RulesError};
use crate::secret::Secret;
use crate::time::Span;
use crate::token::Mode;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

/// One account at one provider, with the rules its verifications run under; checked.
#[derive(Clone, Debug)]
pub struct Account {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) policy: AccountPolicy,
    pub(super) door: DoorPolicy,
    pub(super) callback_window: Span,
    receipt: receipt::Policy,
}

impl Account {
    /// An account under the rules of the provider's contract.
    ///
    /// # Errors
    /// The account cannot work as it is set up; says what to change.
    pub fn new(provider: impl Provider + 'static) -> Result<Self, AccountError> {
        let rules = provider.rules();
        Self::with_rules(provider, &rules)
    }

    /// An account under other rules; start from [`Provider::rules`].
    ///
    /// # Errors
    /// Under these rules nothing could work, or nothing could end; says what to change.
    pub fn with_rules(provider: impl Provider + 'static, rules: &Rules) -> Result<Self, AccountError> {
        if !can_ask_for_token(&provider, rules.token_mode) {
            return Err(AccountError::NoTokenRequest);
        }
        Ok(Self {
            policy: rules.account(provider.name()).map_err(AccountError::Rules)?,
            door: rules.door().map_err(AccountError::Rules)?,
            callback_window: rules.callback_window,
            receipt: rules.receipt(provider.callback_body_cap()).map_err(AccountError::Receipt)?,
            provider: Arc::new(provider),
        })
    }

    /// The same account with callbacks answered by other rules.
    #[must_use]
    pub fn with_receipt(self, receipt: receipt::Policy) -> Self {
        Self { receipt, ..self }
    }

    /// The provider's name: `shareid`, `shufti`.
    #[must_use]
    pub fn provider_name(&self) -> &'static str {
        self.provider.name()
    }

    /// Where this account's callbacks arrive.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        let evidence = self.policy.session.evidence;
        Endpoint { provider: Arc::clone(&self.provider), policy: self.receipt, evidence }
    }
}

/// An account that cannot work as it is set up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccountError {
    /// Nothing could be pulled, or nothing could end.
    Rules(RulesError),
    /// No callback could be answered.
    Receipt(receipt::PolicyError),
    /// Pulls would wait for a token that cannot be asked for.
    NoTokenRequest,
}

impl fmt::Display for AccountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rules(error) => error.fmt(f),
            Self::Receipt(error) => error.fmt(f),
            Self::NoTokenRequest => f.write_str(
                "the rules want a token with each pull, and this account has none to ask for: set the token mode to not needed, or give the \
                 account its credentials for tokens",
            ),
        }
    }
}

impl core::error::Error for AccountError {}

/// Whether the tokens that pulls wait for, if any, can be asked for.
fn can_ask_for_token(provider: &dyn Provider, mode: Mode) -> bool {
    mode == Mode::NotNeeded || provider.token_request(&mut Request::new())
}

/// Other credentials that cannot take the place of an account's; it goes on with those that it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CredentialsError {
    /// The account is not this engine's.
    NoAccount,
    /// They are for another provider.
    OtherProvider,
    /// Pulls would wait for a token that cannot be asked for.
    NoTokenRequest,
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAccount => f.write_str("there is no such account"),
            Self::OtherProvider => f.write_str(
                "these credentials are for another provider than the account's: give those of the same provider, or add an account",
            ),
            Self::NoTokenRequest => f.write_str(
                "pulls of this account carry a token, and these credentials have none to ask for: give them those for tokens, as the                  account had",
            ),
        }
    }
}

impl core::error::Error for CredentialsError {}

/// An account as the engine keeps it.
pub(super) struct Entry {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) token_mode: Mode,
    /// Tells the accounts of one provider apart in the store: where it pulls.
    pub(super) label: String,
    pub(super) door: DoorId,
    /// The token that pulls may carry, with the number of the request that brought it.
    pub(super) token: Option<(u32, Secret)>,
    /// Why there is no token, while there is none.
    pub(super) trouble: Option<String>,
}

impl Entry {
    /// Uses other credentials from now on.
    pub(super) fn replace(&mut self, provider: Arc<dyn Provider>) -> Result<(), CredentialsError> {
        if self.provider.name() != provider.name() {
            return Err(CredentialsError::OtherProvider);
        }
        if !can_ask_for_token(&*provider, self.token_mode) {
            return Err(CredentialsError::NoTokenRequest);
        }
        self.label = label(&*provider);
        self.provider = provider;
        self.trouble = None;
        Ok(())
    }
}

/// Where the account pulls, without query: tells the accounts of one provider apart.
pub(super) fn label(provider: &dyn Provider) -> String {
    let mut request = Request::new();
    provider.pull_request("", None, &mut request);
    request.url.split(['?', '#']).next().unwrap_or_default().to_owned()
}

/// The provider and the host that it pulls from: what a budget is for.
pub(super) fn door_of(provider: &str, label: &str) -> String {
    let host = label.split_once("://").map_or(label, |(_, rest)| rest).split('/').next().unwrap_or_default();
    format!("{provider} {host}")
}
