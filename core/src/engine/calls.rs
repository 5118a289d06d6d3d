//! The calls to providers: what a pull and a token request carry, and what their answers come to.

use super::performing::Fed;
use super::report::{Body, Event};
use super::task::{Call, Purpose, Task};
use super::{Engine, Moment};
use crate::evidence::{Evidence, Outcome};
use crate::fleet::{AccountId, Key};
use crate::lifecycle::Channel;
use crate::machine::Disposition;
use crate::provider::{PullAnswer, TokenAnswer};
use crate::time::Instant;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

impl Engine {
    pub(super) fn pulled(
        &mut self,
        m: &mut Moment,
        (key, op, account, generation): (Key, u32, AccountId, u32),
        answer: PullAnswer,
        body: &Body,
        reached: bool,
        out: &mut dyn FnMut(Task),
    ) {
        let PullAnswer { outcome, alias, event, unsigned_answer, diagnosis } = answer;
        let mut actions = Vec::new();
        let Some(beside) = self.sessions.get(&key) else {
            // Forgotten meanwhile; what the provider said of its limit and of the token holds for the others.
            self.fleet.heed(m.at(), account, generation, outcome, &mut |action| actions.push(action));
            return self.perform(m, actions, None, out);
        };
        let id = Arc::clone(&beside.id);
        let provider = self.provider_name(account);
        let told = diagnosis.clone();
        out(Task::Tell(Event::Pulled {
            provider,
            id,
            op,
            outcome,
            reached,
            unsigned_answer,
            diagnosis: told,
        }));
        if let Some(event) = event {
            self.seen(m, key, event, Channel::Status, Evidence::Pulled, out);
        }
        let taken =
            self.fleet.pulled(m.at(), key, op, generation, outcome, &mut |action| actions.push(action));
        if let Some(beside) = self.sessions.get_mut(&key) {
            beside.reached |= reached;
            let newest = self.fleet.session(key).is_some_and(|session| session.poller().last_op() == op);
            match taken {
                Disposition::Applied | Disposition::NoOp if newest => {
                    beside.diagnosis = diagnosis;
                    beside.outcome = Some(outcome);
                }
                // Nobody waits for it any more; what came of the others says more.
                Disposition::Applied | Disposition::NoOp | Disposition::Stale | Disposition::Illegal => {}
            }
        }
        if let Some(alias) = alias {
            let learned = self.fleet.learn_alias(m.at(), key, &alias, &mut |action| actions.push(action));
            if learned == Disposition::Applied {
                if let Some(beside) = self.sessions.get_mut(&key) {
                    beside.alias = Some((&*alias).into());
                }
                self.take_unknown(key, provider, &alias);
            }
        }
        let awaits = self.fleet.session(key).is_some_and(|session| session.poller().is_demanded());
        if !awaits
            && !matches!(outcome, Outcome::Failed(_) | Outcome::Refused)
            && let Some(beside) = self.sessions.get_mut(&key)
        {
            beside.confirmed();
        }
        self.perform(m, actions, Some(Fed { evidence: Evidence::Pulled, unsigned_answer, body }), out);
    }

    pub(super) fn token(
        &mut self,
        m: &mut Moment,
        account: AccountId,
        op: u32,
        answer: TokenAnswer,
        out: &mut dyn FnMut(Task),
    ) {
        let mut actions = Vec::new();
        let mut sink = |action| actions.push(action);
        let at = m.at();
        match answer {
            TokenAnswer::Received { token, ttl } => {
                if self.fleet.token_received(at, account, op, ttl, &mut sink) == Disposition::Applied
                    && let Some(entry) = self.accounts.get_mut(&account)
                {
                    entry.trouble = None;
                    entry.token = Some((op, token));
                }
            }
            TokenAnswer::Refused { diagnosis } => {
                self.no_token(account, true, diagnosis, out);
                let _ = self.fleet.token_refused(at, account, op, &mut sink);
            }
            TokenAnswer::Failed { fault, diagnosis } => {
                self.no_token(account, false, diagnosis, out);
                let _ = self.fleet.token_failed(at, account, op, fault, &mut sink);
            }
        }
        self.perform(m, actions, None, out);
    }

    fn no_token(
        &mut self,
        account: AccountId,
        refused: bool,
        diagnosis: Option<String>,
        out: &mut dyn FnMut(Task),
    ) {
        if let Some(account) = self.accounts.get_mut(&account) {
            account.trouble.clone_from(&diagnosis);
        }
        let provider = self.provider_name(account);
        out(Task::Tell(Event::NoToken { provider, refused, diagnosis }));
    }

    pub(super) fn pull(
        &mut self,
        m: &mut Moment,
        (key, op, generation): (Key, u32, u32),
        account: AccountId,
        until: Instant,
        out: &mut dyn FnMut(Task),
    ) {
        // One that serves once is spent by this, and nobody else carries it.
        let spent = self.fleet.usable_token(m.at(), account) != Some(generation);
        let (Some(beside), Some(entry)) = (self.sessions.get(&key), self.accounts.get_mut(&account)) else {
            return;
        };
        let shared = entry.token.as_ref().filter(|(number, _)| *number == generation);
        let token = shared.map(|(_, token)| token.clone());
        if spent && token.is_some() {
            entry.token = None;
        }
        if self.stopping || (generation != 0 && token.is_none()) {
            return;
        }
        let purpose = Purpose::Pull { key, op, account, generation, id: Arc::clone(&beside.id) };
        out(Task::Call(Call { purpose, provider: Arc::clone(&entry.provider), token, until }));
    }

    pub(super) fn ask_token(
        &mut self,
        account: AccountId,
        op: u32,
        until: Instant,
        out: &mut dyn FnMut(Task),
    ) {
        let Some(entry) = self.accounts.get(&account).filter(|_| !self.stopping) else { return };
        let (purpose, provider) = (Purpose::Token { account, op }, Arc::clone(&entry.provider));
        out(Task::Call(Call { purpose, provider, token: None, until }));
    }
}
