//! Giving revisions to the application: when, and how often, is the delivery machine's.

use super::beside::{HandingOver, Kept};
use super::report::{Body, Event, Revision};
use super::storing::Job;
use super::task::{Completion, Done, Task};
use super::{Engine, Moment, Timer};
use crate::delivery::{self, Delivery};
use crate::evidence::Verdict;
use crate::fleet::Key;
use crate::machine::{Cx, Machine, Next};
use crate::provider::{Provider, Unreadable};
use crate::session;
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

/// A revision to be given to the application. Every one must be completed: what the application did not say, it is not asked again.
#[must_use = "give it to the application and complete the engine with its word"]
pub struct HandOver {
    key: Key,
    attempt: u8,
    provider: Arc<dyn Provider>,
    id: Arc<str>,
    made: session::Revision,
    unsigned_answer: bool,
    body: Option<Body>,
    callbacks: Vec<u64>,
}

impl HandOver {
    /// The revision. Reads the provider's words out of the body, which takes its time where the body is long.
    #[must_use]
    pub fn revision(&self) -> Revision {
        let statement = match &self.body {
            Some(body) => self.provider.statement(body),
            None => Err(Unreadable {
                line: 0,
                column: 0,
                problem: "the body behind this revision is no longer stored".to_owned(),
            }),
        };
        Revision {
            provider: self.provider.name(),
            id: Arc::clone(&self.id),
            number: self.made.number,
            verdict: self.made.verdict,
            evidence: self.made.evidence,
            unsigned_answer: self.unsigned_answer,
            data_changed: self.made.data_changed,
            statement,
            body: self.body.clone().unwrap_or_default(),
            callbacks: self.callbacks.clone(),
        }
    }

    /// The idempotency key: provider, id, number.
    #[must_use]
    pub fn key(&self) -> (&'static str, &str, u32) {
        (self.provider.name(), &self.id, self.made.number)
    }

    /// What the revision comes to.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.made.verdict
    }

    /// Which attempt it is, from 1.
    #[must_use]
    pub const fn attempt(&self) -> u8 {
        self.attempt
    }

    /// The application has it; its word is saved next.
    pub fn taken(self) -> Completion {
        self.completed(Ok(()))
    }

    /// The application did not take it, or its handler panicked: it is offered again, and at last dead-lettered.
    pub fn not_taken(self, error: String) -> Completion {
        self.completed(Err(error))
    }

    /// The application was not given it: the driver stops before its turn came. It counts as no attempt, and whoever takes over the store
    /// offers it again.
    pub fn withdrawn(self) -> Completion {
        Completion(Done::Withdrawn)
    }

    fn completed(self, result: Result<(), String>) -> Completion {
        let Self { key, attempt, made, .. } = self;
        Completion(Done::Handled { key, number: made.number, attempt, result })
    }
}

impl fmt::Debug for HandOver {
    /// Without the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandOver")
            .field("key", &self.key())
            .field("verdict", &self.made.verdict)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

impl Engine {
    pub(super) fn begin_hand_over(
        &mut self,
        m: &mut Moment,
        key: Key,
        revision: session::Revision,
        out: &mut dyn FnMut(Task),
    ) {
        self.drop_other_hand_over(key);
        // It waited for a save. Where the session was read from the store again, the application may have had it since (G2).
        let awaited = self.fleet.session(key).and_then(session::Session::awaiting_hand_over);
        if awaited.map(|awaited| awaited.number) != Some(revision.number) {
            return;
        }
        // One under way is of this revision: the session was read from the store again meanwhile.
        if let Some(beside) = self.sessions.get_mut(&key)
            && beside.hand_over.is_none()
        {
            let delivery = Delivery::new();
            beside.hand_over = Some(Box::new(HandingOver { revision, delivery, due: None, taken: false }));
            self.step_hand_over(m, key, delivery::Input::Tick, out);
        }
    }

    /// Lets go of a hand-over of another revision than the session awaits now.
    pub(super) fn drop_other_hand_over(&mut self, key: Key) {
        let awaited = self.fleet.session(key).and_then(session::Session::awaiting_hand_over);
        if let Some(beside) = self.sessions.get_mut(&key)
            && let Some(other) = beside
                .hand_over
                .take_if(|under_way| awaited.map(|it| it.number) != Some(under_way.revision.number))
            && let Some(due) = other.due
        {
            self.timers.remove(&(due, key, Timer::HandOver));
        }
    }

    pub(super) fn step_hand_over(
        &mut self,
        m: &mut Moment,
        key: Key,
        input: delivery::Input,
        out: &mut dyn FnMut(Task),
    ) {
        let entropy = m.at().entropy;
        let Some(hand_over) = self.sessions.get_mut(&key).and_then(|beside| beside.hand_over.as_mut()) else {
            return;
        };
        let number = hand_over.revision.number;
        let step = hand_over.delivery.step(Cx::new(m.now, &self.policy.hand_over, entropy), input);
        if let Some(due) = hand_over.due.take() {
            self.timers.remove(&(due, key, Timer::HandOver));
        }
        if let Next::At(due) = step.next {
            hand_over.due = Some(due);
            self.timers.insert((due, key, Timer::HandOver));
        }
        for action in step.actions {
            match action {
                delivery::Action::Post { attempt, .. } => self.offer(key, attempt, out),
                delivery::Action::Delivered { .. } => self.confirm(m, key, number, true, out),
                delivery::Action::Dead => self.confirm(m, key, number, false, out),
            }
        }
    }

    fn offer(&mut self, key: Key, attempt: u8, out: &mut dyn FnMut(Task)) {
        let Some(beside) = self.sessions.get(&key) else { return };
        let (Some(hand_over), Some(account)) = (&beside.hand_over, self.accounts.get(&beside.account)) else {
            return;
        };
        if self.stopping {
            return;
        }
        let made = hand_over.revision;
        let kept = beside.issued_kept(made.content);
        self.awaited += 1;
        out(Task::HandOver(HandOver {
            key,
            attempt,
            provider: Arc::clone(&account.provider),
            id: Arc::clone(&beside.id),
            made,
            unsigned_answer: kept.is_some_and(|kept| kept.unsigned_answer),
            body: kept.map(|Kept { body, .. }| Arc::clone(body)),
            callbacks: beside.callbacks_of(made.verdict),
        }));
    }

    /// The application has spoken about a revision.
    pub(super) fn handled(
        &mut self,
        m: &mut Moment,
        (key, number, attempt): (Key, u32, u8),
        result: Result<(), String>,
        out: &mut dyn FnMut(Task),
    ) {
        let Some(beside) = self.sessions.get_mut(&key) else { return };
        let Some(hand_over) =
            beside.hand_over.as_mut().filter(|hand_over| hand_over.revision.number == number)
        else {
            return;
        };
        if hand_over.taken {
            return;
        }
        match result {
            // Also where a later attempt is under way: what the application has, it has.
            Ok(()) => {
                hand_over.taken = true;
                if let Some(due) = hand_over.due.take() {
                    self.timers.remove(&(due, key, Timer::HandOver));
                }
                self.save_word(key, out);
            }
            Err(error) => {
                out(Task::Tell(Event::HandOverFailed {
                    provider: self.provider_name_of(key),
                    id: self.id_of(key),
                    number,
                    attempt,
                    error,
                }));
                // The application's word in the terms of a delivery.
                self.step_hand_over(m, key, delivery::Input::Answered { attempt, status: 500 }, out);
            }
        }
    }

    /// Has the store keep the application's word.
    pub(super) fn save_word(&mut self, key: Key, out: &mut dyn FnMut(Task)) {
        let Some(beside) = self.sessions.get_mut(&key) else { return };
        let (Some(hand_over), Some(account)) = (&mut beside.hand_over, self.accounts.get(&beside.account))
        else {
            return;
        };
        hand_over.due = None;
        let (number, id) = (hand_over.revision.number, Arc::clone(&beside.id));
        self.ask_store(Job::Confirm { key, provider: account.provider.name(), id, number }, out);
    }

    pub(super) fn word_saved(
        &mut self,
        m: &mut Moment,
        key: Key,
        number: u32,
        result: Result<(), String>,
        out: &mut dyn FnMut(Task),
    ) {
        let Some(beside) = self.sessions.get_mut(&key) else { return };
        let Some(hand_over) =
            beside.hand_over.as_mut().filter(|hand_over| hand_over.revision.number == number)
        else {
            return;
        };
        match result {
            Ok(()) => self.confirm(m, key, number, true, out),
            Err(error) => {
                // The application is not asked again for what only the store failed at.
                let at = m.now.after(self.policy.store_retry);
                hand_over.due = Some(at);
                self.timers.insert((at, key, Timer::HandOver));
                out(Task::Tell(Event::StoreFailed { error }));
            }
        }
    }

    /// A hand-over wants to be told the time.
    pub(super) fn hand_over_due(&mut self, m: &mut Moment, key: Key, out: &mut dyn FnMut(Task)) {
        let taken = self
            .sessions
            .get(&key)
            .and_then(|beside| beside.hand_over.as_ref())
            .map(|hand_over| hand_over.taken);
        match taken {
            Some(true) => self.save_word(key, out),
            Some(false) => self.step_hand_over(m, key, delivery::Input::Tick, out),
            None => {}
        }
    }

    /// The application has this revision, or will not be offered it again.
    fn confirm(&mut self, m: &mut Moment, key: Key, number: u32, delivered: bool, out: &mut dyn FnMut(Task)) {
        let Some(beside) = self.sessions.get_mut(&key) else { return };
        beside.hand_over = None;
        beside.issued.put(None);
        let (provider, id) = (self.provider_name_of(key), self.id_of(key));
        let mut actions = Vec::new();
        let at = m.at();
        if delivered {
            out(Task::Tell(Event::HandedOver { provider, id, number }));
            let _ = self.fleet.handed_over(at, key, number, &mut |action| actions.push(action));
        } else {
            out(Task::Tell(Event::DeadLettered { provider, id, number }));
            let _ = self.fleet.dead_lettered(at, key, number, &mut |action| actions.push(action));
        }
        self.perform(m, actions, None, out);
    }
}
