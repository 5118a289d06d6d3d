//! When the provider posts a callback again: by its contract's schedule, as the core's `delivery` has it.

use super::scenario::{Callback, Provider};
use idv_core::delivery::{Action, Delivery, Input, Policy};
use idv_core::machine::{Cx, Machine, Next};
use idv_core::time::Instant;
use idv_core::{shareid, shufti};
use std::collections::BTreeMap;

/// The provider's deliveries, on a clock of its own: that of the stage and all that was skipped.
#[derive(Debug)]
pub(super) struct Sender {
    policy: Policy,
    /// By verification and word.
    deliveries: BTreeMap<(String, String), Underway>,
    skipped: u64,
}

#[derive(Debug)]
struct Underway {
    delivery: Delivery,
    attempt: u8,
    /// When the last attempt was answered.
    answered: Instant,
}

impl Sender {
    pub(super) fn new(provider: Provider) -> Self {
        let policy = match provider {
            Provider::Shufti => shufti::contract::CALLBACK_DELIVERY,
            Provider::Shareid => shareid::contract::CALLBACK_DELIVERY,
        };
        Self { policy, deliveries: BTreeMap::new(), skipped: 0 }
    }

    fn at(&self, now: u64) -> Instant {
        Instant::from_millis(1 + now + self.skipped)
    }

    /// How long it takes from `now` until this callback comes again, and how long that is after the answer to the attempt before.
    ///
    /// # Errors
    /// It was never posted, or it does not come again.
    pub(super) fn wait(&self, callback: &Callback, now: u64) -> Result<(u64, u64), String> {
        let underway = self.deliveries.get(&key(callback)).ok_or("the provider has not posted it yet")?;
        match underway.delivery.next(&self.policy) {
            Next::At(at) => Ok((at.since(self.at(now)), at.since(underway.answered))),
            Next::Input | Next::Over => Err("the provider does not post it again".to_owned()),
        }
    }

    /// So much time passes at the provider, and not on the stage.
    pub(super) fn skip(&mut self, millis: u64) {
        self.skipped += millis;
    }

    /// An attempt: the first one, or, where it `comes_again`, the next of the same delivery.
    ///
    /// # Errors
    /// It is not due.
    pub(super) fn post(&mut self, callback: &Callback, comes_again: bool, now: u64) -> Result<(), String> {
        let now = self.at(now);
        let fresh = Underway { delivery: Delivery::new(), attempt: 0, answered: now };
        let mut underway = self.deliveries.remove(&key(callback)).filter(|_| comes_again).unwrap_or(fresh);
        let step = underway.delivery.step(Cx::new(now, &self.policy, 0), Input::Tick);
        let posted = step.actions.into_iter().find_map(|action| match action {
            Action::Post { attempt, .. } => Some(attempt),
            Action::Delivered { .. } | Action::Dead => None,
        });
        underway.attempt = posted.ok_or("the provider posts it later")?;
        self.deliveries.insert(key(callback), underway);
        Ok(())
    }

    /// The attempt was answered.
    pub(super) fn answered(&mut self, callback: &Callback, status: u16, now: u64) {
        let now = self.at(now);
        if let Some(underway) = self.deliveries.get_mut(&key(callback)) {
            let input = Input::Answered { attempt: underway.attempt, status };
            let _ = underway.delivery.step(Cx::new(now, &self.policy, 0), input);
            underway.answered = now;
        }
    }
}

fn key(callback: &Callback) -> (String, String) {
    (callback.id.clone(), callback.says.clone())
}
