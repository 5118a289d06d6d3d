//! Giving revisions to the application: when, and how often, is the delivery machine's.

use super::{Engine, Message};
use crate::report::{Event, Revision};
use idv_core::delivery;
use idv_core::fleet::Key;
use idv_core::machine::{Cx, Machine, Next};
use idv_core::provider::Unreadable;
use idv_core::store::Sessions;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

impl Engine {
    pub(super) fn step_hand_over(&mut self, key: Key, input: delivery::Input) {
        let now = self.now();
        let entropy = self.parts.entropy.draw();
        let Some(hand_over) = self.sessions.get_mut(&key).and_then(|session| session.hand_over.as_mut())
        else {
            return;
        };
        let number = hand_over.revision.number;
        let step = hand_over.delivery.step(Cx::new(now, &self.parts.hand_over, entropy), input);
        if let Some(due) = hand_over.due.take() {
            self.hand_overs.remove(&(due, key));
        }
        if let Next::At(due) = step.next {
            hand_over.due = Some(due);
            self.hand_overs.insert((due, key));
        }
        for action in step.actions {
            match action {
                delivery::Action::Post { attempt, .. } => self.start_handler(key, attempt),
                delivery::Action::Delivered { .. } => self.confirm(key, number, true),
                delivery::Action::Dead => self.confirm(key, number, false),
            }
        }
    }

    fn start_handler(&mut self, key: Key, attempt: u8) {
        let Some(session) = self.sessions.get(&key) else { return };
        let (Some(hand_over), Some(account)) =
            (session.hand_over.as_ref(), self.parts.accounts.get(&session.account))
        else {
            return;
        };
        let made = hand_over.revision;
        let number = made.number;
        let kept = session.issued_kept(made.content);
        let unsigned_answer = kept.is_some_and(|kept| kept.unsigned_answer);
        let body = kept.map(|kept| Arc::clone(&kept.body));
        let id = Arc::clone(&session.id);
        let callbacks = session.callbacks_of(made.verdict);
        let provider = Arc::clone(&account.provider);
        let (handler, outbox) = (Arc::clone(&self.parts.handler), self.parts.outbox.clone());
        let mut store = self.parts.store.clone();
        let taken = self.parts.handlers.submit(move || {
            let statement = match &body {
                Some(body) => provider.statement(body),
                None => Err(Unreadable {
                    line: 0,
                    column: 0,
                    problem: "the body behind this revision is no longer stored".to_owned(),
                }),
            };
            let revision = Revision {
                provider: provider.name(),
                id,
                number,
                verdict: made.verdict,
                evidence: made.evidence,
                unsigned_answer,
                data_changed: made.data_changed,
                statement,
                body: body.unwrap_or_default(),
                callbacks,
            };
            let result = match catch_unwind(AssertUnwindSafe(|| handler(&revision))) {
                Ok(Ok(())) => match store.confirm(revision.provider, &revision.id, number) {
                    Ok(_) => Ok(()),
                    Err(error) => Err(format!("the confirmation could not be saved: {error}")),
                },
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("the handler panicked".to_owned()),
            };
            let _ = outbox.send(Message::Handled { key, number, attempt, result });
        });
        if taken.is_err() {
            let result = Err("no thread for the handler".to_owned());
            self.at_once.push_back(Message::Handled { key, number, attempt, result });
        }
    }

    pub(super) fn handled(&mut self, key: Key, number: u32, attempt: u8, result: Result<(), String>) {
        let Some(session) = self.sessions.get(&key) else { return };
        if session.hand_over.as_ref().is_none_or(|hand_over| hand_over.revision.number != number) {
            return;
        }
        // The application's word in the terms of a delivery.
        let status = if result.is_ok() { 200 } else { 500 };
        if let Err(error) = result {
            (self.parts.observer)(&Event::HandOverFailed {
                provider: self.provider_name(session.account),
                id: Arc::clone(&session.id),
                number,
                attempt,
                error,
            });
        }
        self.step_hand_over(key, delivery::Input::Answered { attempt, status });
    }

    /// The application has this revision, or will not be offered it again.
    fn confirm(&mut self, key: Key, number: u32, delivered: bool) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        session.hand_over = None;
        session.issued.put(None);
        let at = self.at();
        let mut actions = Vec::new();
        let mut out = |action| actions.push(action);
        if delivered {
            self.parts.fleet.handed_over(at, key, number, &mut out);
        } else {
            if let Some(session) = self.sessions.get(&key) {
                (self.parts.observer)(&Event::DeadLettered {
                    provider: self.provider_name(session.account),
                    id: Arc::clone(&session.id),
                    number,
                });
            }
            self.parts.fleet.dead_lettered(at, key, number, &mut out);
        }
        self.perform(actions, None);
    }
}
