//! Doors and accounts: who may call next (R13), and with which token (R14).

use super::Key;
use crate::budget::{self, Budget};
use crate::machine::{Cx, Machine, Next};
use crate::poller::Class;
use crate::session;
use crate::time::{Instant, Span};
use crate::token::{self, Mode, Token};
use alloc::collections::VecDeque;

/// A provider's limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DoorPolicy {
    /// The most calls per window.
    pub budget: budget::Policy,
    /// How long the door stays closed after a 429 that does not say for how long.
    pub after_refusal: Span,
}

impl DoorPolicy {
    /// This budget; ten seconds of silence after a 429 without `Retry-After`.
    #[must_use]
    pub const fn new(budget: budget::Policy) -> Self {
        Self { budget, after_refusal: Span::secs(10) }
    }
}

/// The rules of an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccountPolicy {
    /// The provider's name; with an id it names a verification.
    pub provider: &'static str,
    /// How the credentials work.
    pub token: token::Policy,
    /// The rules of its sessions.
    pub session: session::Policy,
}

#[derive(Debug)]
pub(super) struct Door {
    policy: DoorPolicy,
    budget: Budget,
    /// The class of the last grant that alternates.
    last: Class,
}

impl Door {
    pub(super) const fn new(policy: DoorPolicy) -> Self {
        Self { policy, budget: Budget::new(), last: Class::Routine }
    }

    const fn cx(&self, now: Instant) -> Cx<'_, budget::Policy> {
        Cx::new(now, &self.policy.budget, 0)
    }

    pub(super) fn admits(&self, now: Instant) -> bool {
        self.budget.admits(now)
    }

    pub(super) fn take(&mut self, now: Instant) -> bool {
        let mut budget = self.budget;
        let step = budget.step(self.cx(now), budget::Input::Take);
        self.budget = budget;
        !step.actions.is_empty()
    }

    pub(super) fn close(&mut self, now: Instant, span: Span) {
        let mut budget = self.budget;
        let _: crate::machine::Step<_> = budget.step(self.cx(now), budget::Input::Close { span });
        self.budget = budget;
    }

    pub(super) fn close_after_refusal(&mut self, now: Instant) {
        self.close(now, self.policy.after_refusal);
    }

    /// When it admits the next call, while that is in the future.
    pub(super) fn opens(&self) -> Option<Instant> {
        match self.budget.next(&self.policy.budget) {
            Next::At(at) => Some(at),
            Next::Input | Next::Over => None,
        }
    }

    pub(super) const fn interval(&self) -> Span {
        self.policy.budget.interval()
    }

    /// The order in which classes are looked at: confirming and routine in turn, audits when neither waits.
    pub(super) const fn turn(&self) -> [Class; 3] {
        match self.last {
            Class::Confirming => [Class::Routine, Class::Confirming, Class::Audit],
            Class::Routine | Class::Audit => [Class::Confirming, Class::Routine, Class::Audit],
        }
    }

    pub(super) const fn granted(&mut self, class: Class) {
        match class {
            Class::Confirming | Class::Routine => self.last = class,
            Class::Audit => {}
        }
    }
}

#[derive(Debug)]
pub(super) struct Account {
    pub(super) policy: AccountPolicy,
    pub(super) door: u32,
    pub(super) token: Token,
    /// How many of its sessions are open.
    pub(super) open: u32,
    pub(super) crowded: bool,
    /// Who waits, by class, each with its place in the order of asking.
    queues: [VecDeque<(u64, Key)>; 3],
}

impl Account {
    pub(super) const fn new(door: u32, policy: AccountPolicy) -> Self {
        let queues = [VecDeque::new(), VecDeque::new(), VecDeque::new()];
        Self { policy, door, token: Token::new(), open: 0, crowded: false, queues }
    }

    pub(super) fn usable(&self, now: Instant) -> Option<u32> {
        self.token.usable(&self.policy.token, now)
    }

    pub(super) const fn is_single_use(&self) -> bool {
        matches!(self.policy.token.mode(), Mode::SingleUse)
    }

    pub(super) fn has_work(&self) -> bool {
        self.queues.iter().any(|queue| !queue.is_empty())
    }

    /// Whether a waiting session can be served now: with a token, or with the news that there will be none.
    pub(super) fn can_send(&self, now: Instant) -> bool {
        self.usable(now).is_some() || self.token.is_refused()
    }

    pub(super) fn wants_token(&self, now: Instant) -> bool {
        !self.can_send(now)
    }

    /// Whether its waiting sessions wait for the token, not for the budget.
    pub(super) const fn waits_for_token(&self) -> bool {
        self.token.is_coming()
    }

    pub(super) fn asks_for_token(&self) -> bool {
        self.token.outstanding(&self.policy.token).into_iter().any(|action| action == token::Action::Ask)
    }

    pub(super) fn waiting_since(&self, class: Class) -> Option<u64> {
        self.queues.get(class as usize)?.front().map(|(since, _)| *since)
    }

    pub(super) fn enqueue(&mut self, class: Class, key: Key, since: u64) {
        if let Some(queue) = self.queues.get_mut(class as usize) {
            queue.push_back((since, key));
        }
    }

    pub(super) fn dequeue(&mut self, class: Class) -> Option<Key> {
        self.queues.get_mut(class as usize)?.pop_front().map(|(_, key)| key)
    }
}
