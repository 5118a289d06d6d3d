//! Doors and accounts: who may call next (R13), and with which token (R14).

use super::Key;
use crate::budget::{self, Budget};
use crate::machine::{Cx, Machine, Next};
use crate::poller::Class;
use crate::session;
use crate::time::{Instant, Span};
use crate::token::{self, Mode, Token};
use alloc::collections::BTreeMap;
use serde::{Deserialize, Serialize};

/// A provider's limit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AccountPolicy {
    /// The provider's name; with an id it names a verification.
    pub provider: &'static str,
    /// How the credentials work.
    pub token: token::Policy,
    /// The rules of its sessions.
    pub session: session::Policy,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Door {
    policy: DoorPolicy,
    budget: Budget,
    /// The class of the last grant that alternates.
    last: Class,
    /// How many grants in a row went past an audit that waited.
    past_audits: u8,
    /// The last grant went to a token request.
    after_token: bool,
}

/// After so many grants to others an audit that waits has its turn: last, but never starved by a budget that is always used up.
const PATIENCE_OF_AUDITS: u8 = 15;

impl Door {
    pub(super) const fn new(policy: DoorPolicy) -> Self {
        Self { policy, budget: Budget::new(), last: Class::Routine, past_audits: 0, after_token: false }
    }

    const fn cx(&self, now: Instant) -> Cx<'_, budget::Policy> {
        Cx::new(now, &self.policy.budget, 0)
    }

    pub(super) fn admits(&self, now: Instant) -> bool {
        self.budget.admits(now)
    }

    /// Counts one call, if it admits one.
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

    pub(super) fn map_times(&mut self, f: impl FnMut(Instant) -> Instant) {
        self.budget.map_times(f);
    }

    pub(super) const fn interval(&self) -> Span {
        self.policy.budget.interval()
    }

    /// The order in which classes are looked at: confirming and routine in turn, audits when neither waits or when they have waited long.
    pub(super) const fn turn(&self) -> [Class; 3] {
        match self.last {
            _ if self.past_audits >= PATIENCE_OF_AUDITS => [Class::Audit, Class::Confirming, Class::Routine],
            Class::Confirming => [Class::Routine, Class::Confirming, Class::Audit],
            Class::Routine | Class::Audit => [Class::Confirming, Class::Routine, Class::Audit],
        }
    }

    /// Whether a token request goes before a pull that could be sent. Never twice in a row: where many tokens live shorter than it takes
    /// to ask for all of them, no pull would ever be sent.
    pub(super) const fn prefers_token(&self) -> bool {
        !self.after_token
    }

    /// A token request was permitted, and is counted.
    pub(super) fn granted_token(&mut self, now: Instant) {
        self.take(now);
        self.after_token = true;
    }

    /// A pull of this class was permitted, and is counted; `audits` says whether one waits.
    pub(super) fn granted(&mut self, now: Instant, class: Class, audits: bool) {
        self.take(now);
        self.after_token = false;
        match class {
            Class::Confirming | Class::Routine => {
                self.last = class;
                self.past_audits = if audits { self.past_audits.saturating_add(1) } else { 0 };
            }
            Class::Audit => self.past_audits = 0,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Account {
    pub(super) policy: AccountPolicy,
    pub(super) door: u32,
    pub(super) token: Token,
    /// How many of its sessions are open.
    pub(super) open: u32,
    pub(super) crowded: bool,
    /// Who waits for permission, by class, in the order of asking.
    queues: [BTreeMap<u64, Key>; 3],
}

impl Account {
    pub(super) const fn new(door: u32, policy: AccountPolicy) -> Self {
        let queues = [BTreeMap::new(), BTreeMap::new(), BTreeMap::new()];
        Self { policy, door, token: Token::new(), open: 0, crowded: false, queues }
    }

    /// The generation of the token that a pull may carry now.
    pub(super) fn usable(&self, now: Instant) -> Option<u32> {
        self.token.usable(&self.policy.token, now)
    }

    pub(super) const fn is_single_use(&self) -> bool {
        matches!(self.policy.token.mode(), Mode::SingleUse)
    }

    pub(super) fn has_work(&self) -> bool {
        self.queues.iter().any(|queue| !queue.is_empty())
    }

    /// Whether its sessions wait for the door, not for a token that is under way.
    pub(super) fn waits_at_the_door(&self) -> bool {
        self.has_work() && !self.token.is_coming()
    }

    pub(super) fn asks_for_token(&self) -> bool {
        self.has_work()
            && self
                .token
                .outstanding(&self.policy.token)
                .into_iter()
                .any(|action| action == token::Action::Ask)
    }

    /// Who has waited longest in this class, and since when.
    pub(super) fn first(&self, class: Class) -> Option<(u64, Key)> {
        self.queues.get(class as usize)?.first_key_value().map(|(since, key)| (*since, *key))
    }

    /// Who has waited longest in any class.
    pub(super) fn longest_waiting(&self) -> Option<(u64, Key)> {
        self.queues.iter().filter_map(BTreeMap::first_key_value).map(|(since, key)| (*since, *key)).min()
    }

    pub(super) fn enqueue(&mut self, class: Class, since: u64, key: Key) {
        if let Some(queue) = self.queues.get_mut(class as usize) {
            queue.insert(since, key);
        }
    }

    pub(super) fn dequeue(&mut self, class: Class, since: u64) {
        if let Some(queue) = self.queues.get_mut(class as usize) {
            queue.remove(&since);
        }
    }

    /// How far apart the pulls of one of its sessions come where the door admits one call per `interval` and `calls` wait for it.
    pub(super) fn expected(&self, interval: Span, calls: u32) -> Span {
        self.policy.session.poller.interval().max(interval.times(calls.max(1)))
    }

    /// How many calls one round of pulls takes: a single-use token costs one of its own.
    pub(super) const fn calls_per_round(&self) -> u32 {
        self.open.saturating_mul(if self.is_single_use() { 2 } else { 1 })
    }
}
