//! What the fleet asks for, put into effect: at once, or once the step that asked for it is saved (G9).
//!
//! Pulls do not wait here: a session whose save is owed is permitted none ([`crate::fleet::Fleet::hold`]).

use super::beside::{Held, Kept};
use super::report::{Body, Event};
use super::task::Task;
use super::{Engine, Moment};
use crate::evidence::{Evidence, Outcome};
use crate::fleet::{Action, Key};
use alloc::borrow::ToOwned;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The body that is fed in with an input, should the fleet want it kept.
pub(super) struct Fed<'a> {
    pub(super) evidence: Evidence,
    pub(super) unsigned_answer: bool,
    pub(super) body: &'a Body,
}

impl Engine {
    /// Performs what the fleet asked for, in order; what belongs to a session that is not saved yet is held back (G9).
    pub(super) fn perform(
        &mut self,
        m: &mut Moment,
        actions: Vec<Action>,
        fed: Option<Fed<'_>>,
        out: &mut dyn FnMut(Task),
    ) {
        // Bodies first, so that a save of the same step contains them.
        for action in &actions {
            match action {
                Action::Keep { key, content } => {
                    if let (Some(beside), Some(fed)) = (self.sessions.get_mut(key), &fed) {
                        let &Fed { evidence, unsigned_answer, body } = fed;
                        let body = Arc::clone(body);
                        beside.latest.put(Some(Kept { content: *content, evidence, unsigned_answer, body }));
                    }
                }
                Action::HandOver { key, revision } => {
                    if let Some(beside) = self.sessions.get_mut(key) {
                        beside.issue(revision.content);
                    }
                }
                Action::Save { .. }
                | Action::RequestToken { .. }
                | Action::Pull { .. }
                | Action::Ended { .. }
                | Action::CredentialsRefused { .. }
                | Action::Crowded { .. } => {}
            }
        }
        let mut to_save = Vec::new();
        for action in actions {
            if let Action::Save { key, .. } = action {
                self.want_save(key);
                if !to_save.contains(&key) {
                    to_save.push(key);
                }
                continue;
            }
            let waits = session_of(&action)
                .and_then(|key| self.sessions.get_mut(&key))
                .filter(|beside| beside.saving.is_owed());
            match waits {
                Some(beside) => {
                    let number = beside.saving.wanted;
                    beside.held.push_back(Held { number, action });
                }
                None => self.start(m, action, out),
            }
        }
        for key in to_save {
            self.save_owed(m, key, out);
        }
    }

    /// Starts what waited for a save that is done.
    pub(super) fn start_released(&mut self, m: &mut Moment, key: Key, out: &mut dyn FnMut(Task)) {
        while let Some(Held { action, .. }) = self.sessions.get_mut(&key).and_then(|beside| beside.release())
        {
            self.start(m, action, out);
        }
    }

    /// Starts one action; its completion comes as an input.
    fn start(&mut self, m: &mut Moment, action: Action, out: &mut dyn FnMut(Task)) {
        match action {
            Action::Save { .. } | Action::Keep { .. } => {}
            Action::RequestToken { account, op, within } => {
                self.ask_token(account, op, m.now.after(within), out)
            }
            Action::Pull { key, op, account, generation, within } => {
                self.pull(m, (key, op, generation), account, m.now.after(within), out);
            }
            Action::HandOver { key, revision } => self.begin_hand_over(m, key, revision, out),
            Action::Ended { key, end, unconfirmed } => {
                let Some(beside) = self.sessions.get(&key) else { return };
                out(Task::Tell(Event::Ended {
                    provider: self.provider_name(beside.account),
                    id: Arc::clone(&beside.id),
                    end,
                    unconfirmed,
                    unconfirmed_callbacks: beside.unconfirmed(),
                    reached: beside.reached,
                    diagnosis: self
                        .diagnosis(beside)
                        .or_else(|| beside.outcome.and_then(Outcome::why_not_settled).map(str::to_owned)),
                }));
            }
            Action::CredentialsRefused { account } => {
                let provider = self.provider_name(account);
                out(Task::Tell(Event::CredentialsRefused { provider }));
            }
            Action::Crowded { account, expected, deadline } => {
                let provider = self.provider_name(account);
                out(Task::Tell(Event::Crowded { provider, expected, deadline }));
            }
        }
    }
}

const fn session_of(action: &Action) -> Option<Key> {
    match action {
        Action::Save { key, .. }
        | Action::Pull { key, .. }
        | Action::Keep { key, .. }
        | Action::HandOver { key, .. }
        | Action::Ended { key, .. } => Some(*key),
        Action::RequestToken { .. } | Action::CredentialsRefused { .. } | Action::Crowded { .. } => None,
    }
}
