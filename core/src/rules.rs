//! The settings of an account in one place: what the provider's contract says, to be changed where an account differs.

use crate::budget;
use crate::fleet::{AccountPolicy, DoorPolicy};
use crate::poller;
use crate::receipt;
use crate::session::{self, EvidencePolicy};
use crate::time::Span;
use crate::token::{self, Mode};
use core::fmt;

/// What an account runs under. Start from [`crate::provider::Provider::rules`] and change what differs; [`Rules::account`] and
/// [`Rules::door`] check it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// How the credentials work.
    pub token_mode: Mode,
    /// How long a token lives, counted from when it was asked for.
    pub token_ttl: Span,
    /// The least time between two pulls of one session, from the end of the first.
    pub cadence: Span,
    /// The routine wait between two pulls; at least the cadence.
    pub interval: Span,
    /// How long a session waits for its first settling verdict.
    pub deadline: Span,
    /// How long one call may take.
    pub call_timeout: Span,
    /// The most calls per [`Rules::window`], for all sessions together, token requests included.
    pub calls: u32,
    /// The window of [`Rules::calls`].
    pub window: Span,
    /// How many of them may come back to back.
    pub burst: u32,
    /// Whether a signed callback may be evidence.
    pub evidence: EvidencePolicy,
    /// How long a settled session is watched for revisions; `None` is for ever.
    pub watch: Option<Span>,
    /// How often a settled session is pulled without any reason; `None` is never.
    pub audit: Option<Span>,
    /// How long the provider waits for the answer to a callback.
    pub callback_timeout: Span,
    /// How long the provider repeats a callback that nobody takes: listening may pause for less than this without anything being lost
    /// (R9).
    pub callback_window: Span,
}

impl Rules {
    /// The same with another cadence; the routine wait becomes the cadence.
    #[must_use]
    pub const fn with_cadence(self, cadence: Span) -> Self {
        Self { cadence, interval: cadence, ..self }
    }

    /// The same with another deadline.
    #[must_use]
    pub const fn with_deadline(self, deadline: Span) -> Self {
        Self { deadline, ..self }
    }

    /// The account's rules, checked.
    ///
    /// # Errors
    /// Says which setting is wrong and what to do.
    pub const fn account(&self, provider: &'static str) -> Result<AccountPolicy, RulesError> {
        let poller = poller::Policy::builder(self.cadence, self.deadline)
            .interval(self.interval)
            .call_timeout(self.call_timeout)
            .watch(self.watch)
            .audit(self.audit);
        let poller = match poller.build() {
            Ok(poller) => poller,
            Err(error) => return Err(RulesError::Poller(error)),
        };
        // Thirty seconds, or a tenth of a life that is short.
        let tenth = self.token_ttl.as_millis() / 10;
        let margin = Span::millis(if tenth < 30_000 { tenth } else { 30_000 });
        let token = match self.token_mode {
            Mode::NotNeeded => Ok(token::Policy::not_needed()),
            Mode::Reusable => {
                token::Policy::reusable(self.token_ttl).margin(margin).call_timeout(self.call_timeout).build()
            }
            Mode::SingleUse => token::Policy::single_use(self.token_ttl)
                .margin(margin)
                .call_timeout(self.call_timeout)
                .build(),
        };
        let interval = match self.door() {
            Ok(door) => door.budget.interval(),
            Err(error) => return Err(error),
        };
        match token {
            Ok(token)
                if !matches!(self.token_mode, Mode::NotNeeded)
                    && interval.as_millis() >= token.ttl().as_millis() - token.margin().as_millis() =>
            {
                Err(RulesError::TokenTooShort { ttl: token.ttl(), margin: token.margin(), interval })
            }
            Ok(token) => Ok(AccountPolicy {
                provider,
                token,
                session: session::Policy { poller, evidence: self.evidence },
            }),
            Err(error) => Err(RulesError::Token(error)),
        }
    }

    /// How callbacks with bodies of up to `body_cap` bytes are answered, checked; [`crate::provider::Provider::callback_body_cap`] says how
    /// large they come.
    ///
    /// # Errors
    /// Says which setting is wrong and what to do.
    pub const fn receipt(&self, body_cap: u64) -> Result<receipt::Policy, receipt::PolicyError> {
        receipt::Policy::builder(body_cap).provider_waits(self.callback_timeout).build()
    }

    /// The provider's limit, checked.
    ///
    /// # Errors
    /// Says which setting is wrong and what to do.
    pub const fn door(&self) -> Result<DoorPolicy, RulesError> {
        match budget::Policy::per_window(self.calls, self.window, self.burst) {
            Ok(budget) => Ok(DoorPolicy::new(budget)),
            Err(error) => Err(RulesError::Budget(error)),
        }
    }
}

/// Why rules were refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RulesError {
    /// When to pull.
    Poller(poller::PolicyError),
    /// The token.
    Token(token::PolicyError),
    /// The provider's limit.
    Budget(budget::PolicyError),
    /// A token could end before the limit allows the pull that it was asked for.
    TokenTooShort {
        /// The life of a token asked for.
        ttl: Span,
        /// How long before its end it is no longer used.
        margin: Span,
        /// The time between two calls once the burst is used up.
        interval: Span,
    },
}

impl fmt::Display for RulesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poller(error) => error.fmt(f),
            Self::Token(error) => error.fmt(f),
            Self::Budget(error) => error.fmt(f),
            Self::TokenTooShort { ttl, margin, interval } => write!(
                f,
                "tokens live {ttl:?} and are not used in the last {margin:?}, with {interval:?} between two calls: one could end \
                 before the pull that it was asked for; choose a longer life, or more calls per window"
            ),
        }
    }
}

impl core::error::Error for RulesError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{shareid, shufti};

    const SHUFTI_TOKEN: Rules = Rules { token_mode: Mode::SingleUse, ..shufti::contract::RULES };

    #[test]
    fn g6_the_contracts_as_published_pass_the_builders() {
        for rules in [shareid::contract::RULES, shufti::contract::RULES, SHUFTI_TOKEN] {
            rules.account("any").expect("a policy that can end a session");
            rules.door().expect("a budget");
        }
    }

    #[test]
    fn g6_a_configuration_that_could_pull_only_once_is_refused_with_the_reason() {
        let rules = shareid::contract::RULES.with_cadence(Span::mins(5)).with_deadline(Span::mins(1));
        let error = rules.account("shareid").expect_err("one pull before the deadline");
        assert!(std::format!("{error}").contains("only one pull would ever be made"));
    }

    #[test]
    fn g6_a_token_that_could_end_before_its_pull_is_refused_with_the_reason() {
        let rules = Rules { calls: 2, window: Span::hours(1), burst: 1, ..shareid::contract::RULES };
        let error = rules.account("shareid").expect_err("a token for ten minutes, a call an hour");
        assert!(std::format!("{error}").contains("before the pull"));
        let basic = Rules { token_mode: Mode::NotNeeded, ..rules };
        assert!(basic.account("shufti").is_ok());
    }

    #[test]
    fn g6_a_token_must_outlive_the_wait_for_its_pull_by_the_margin() {
        // Ten minutes, of which the last thirty seconds are not used.
        let usable = Span::mins(10).as_millis() - 30_000;
        let rules = |window| Rules { calls: 2, window, burst: 1, ..shareid::contract::RULES };
        assert!(rules(Span::millis(usable - 1)).account("shareid").is_ok());
        assert!(rules(Span::millis(usable)).account("shareid").is_err());
    }

    #[test]
    fn g7_another_cadence_is_the_routine_too() {
        let rules = shareid::contract::RULES.with_cadence(Span::secs(7));
        let poller = rules.account("shareid").map(|policy| policy.session.poller);
        let said = poller.map(|poller| (poller.cadence(), poller.interval()));
        assert_eq!(said, Ok((Span::secs(7), Span::secs(7))));
    }

    #[test]
    fn a_token_with_a_short_life_still_has_a_usable_one() {
        let rules = Rules { token_ttl: Span::mins(1), ..shareid::contract::RULES };
        assert_eq!(rules.account("shareid").map(|policy| policy.token.margin()), Ok(Span::secs(6)));
    }
}
