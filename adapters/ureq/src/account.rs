//! One account at one provider, with the rules its verifications run under.

use idv_core::fleet::{AccountPolicy, DoorPolicy};
use idv_core::provider::Provider;
use idv_core::receipt;
use idv_core::rules::{Rules, RulesError};
use std::fmt;
use std::sync::Arc;

/// One account at one provider, with the rules its verifications run under; checked.
#[derive(Clone, Debug)]
pub struct Account {
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) policy: AccountPolicy,
    pub(crate) door: DoorPolicy,
    pub(crate) receipt: receipt::Policy,
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
        Ok(Self {
            policy: rules.account(provider.name()).map_err(AccountError::Rules)?,
            door: rules.door().map_err(AccountError::Rules)?,
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
}

/// An account that cannot work as it is set up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccountError {
    /// Nothing could be pulled, or nothing could end.
    Rules(RulesError),
    /// No callback could be answered.
    Receipt(receipt::PolicyError),
}

impl fmt::Display for AccountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rules(error) => error.fmt(f),
            Self::Receipt(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AccountError {}
