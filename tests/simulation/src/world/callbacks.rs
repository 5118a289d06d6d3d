//! Callbacks: from the provider's news to the answer of our side, and what forgers post.

use super::{Happening, World, on_clock};
use crate::Defect;
use crate::sender::{Key, Message};
use crate::store::Mood;
use crate::story::{Says, State};
use idv_core::delivery::{Cause, Input};
use idv_core::engine::reception::{Action, Reception, Recording};
use idv_core::evidence::Callback;
use idv_core::http::Headers;
use idv_core::machine::Next;
use idv_core::time::Span;
use std::collections::VecDeque;

/// The longest that our side may take for an answer, in milliseconds.
const ANSWER_WITHIN: u64 = 2_500;

/// A callback under way at our side.
pub(super) struct Incoming {
    reception: Reception,
    sender: Option<(u64, u8)>,
    message: Message,
    began: u64,
    answer_lost: bool,
    rest: Vec<u8>,
    pub(super) recording: Option<Recording>,
    is_durable: bool,
    is_answered: bool,
    /// It was counted as not answered in time.
    is_overdue: bool,
}

impl World<'_> {
    /// The provider has news of a verification, and tells us, or does not.
    pub(super) fn announce(&mut self, number: u32, says: Says) {
        if self.goes_wrong_rarely(2) {
            return;
        }
        let message = Message { number, says, key: Key::Right };
        let soon = self.random.spread(Span::millis(50), Span::secs(2));
        let after = if self.goes_wrong() { self.random.spread(Span::secs(1), Span::mins(20)) } else { soon };
        let first_key_wrong = self.goes_wrong_rarely(4);
        self.after(after, Happening::Send(message, first_key_wrong));
        if self.goes_wrong_rarely(3) {
            self.after(after, Happening::Send(message, false));
        }
        if self.goes_wrong_rarely(2) {
            let later = self.random.spread(Span::mins(1), Span::hours(30));
            self.after(after + later, Happening::Send(message, false));
        }
    }

    /// Somebody else posts about a verification: what he made up, or what he recorded.
    pub(super) fn attack(&mut self, number: u32) {
        if !self.goes_wrong() {
            return;
        }
        for _ in 0..self.random.between(1, 3) {
            let after = self.random.spread(Span::secs(1), Span::hours(4));
            let state = if self.random.happens(500) { State::Accepted } else { State::Declined };
            let key = if self.random.happens(500) { Key::Wrong } else { Key::None };
            let says = if self.random.happens(300) { Says::Turn(1) } else { Says::Forgery(state) };
            // Genuine bytes with their genuine signature.
            let key = if says == Says::Turn(1) { Key::Right } else { key };
            let message = Message { number, says, key };
            self.after(after, Happening::Post { sender: None, message, answer_lost: false, slow: false });
        }
    }

    pub(super) fn step_sender(&mut self, id: u64, input: Input) {
        let Some(sender) = self.senders.get_mut(&id) else { return };
        let mut message = sender.message;
        let Some(verification) = self.verifications.get(message.number as usize) else { return };
        let stepped = sender.step(verification.kind, self.now, input);
        let first_key_wrong = sender.first_key_wrong;
        if let Some(at) = stepped.next {
            self.at(at, Happening::Sender(id));
        }
        if let Some(delivered) = stepped.over {
            self.senders.remove(&id);
            self.tally.undelivered += u64::from(!delivered);
        }
        let Some(attempt) = stepped.post else { return };
        self.tally.retries += u64::from(attempt > 1);
        if attempt == 1 && first_key_wrong {
            message.key = Key::Wrong;
        }
        let takes = self.random.spread(Span::millis(10), Span::millis(300));
        let (mut answer_lost, mut slow) = (false, false);
        if self.goes_wrong() {
            match self.random.below(4) {
                0 => return self.after(takes, Happening::Posted { sender: id, attempt, status: None }),
                // Lost on its way: the sender waits in vain.
                1 => return,
                2 => answer_lost = true,
                _ => slow = true,
            }
        }
        self.after(takes, Happening::Post { sender: Some((id, attempt)), message, answer_lost, slow });
    }

    pub(super) fn posted(&mut self, sender: u64, attempt: u8, status: Option<u16>) {
        let input = match status {
            Some(status) => Input::Answered { attempt, status },
            None => Input::Failed { attempt, cause: Cause::Unreachable },
        };
        self.step_sender(sender, input);
    }

    /// A post reaches our side.
    pub(super) fn post_arrives(
        &mut self,
        sender: Option<(u64, u8)>,
        message: Message,
        answer_lost: bool,
        slow: bool,
    ) {
        let Some(verification) = self.verifications.get(message.number as usize) else { return };
        // Nobody can have recorded what was not sent yet.
        if sender.is_none() && message.tells().is_some_and(|turn| turn > verification.turn) {
            return;
        }
        self.tally.forged += u64::from(sender.is_none());
        let (body, signature) = message.bytes(verification.kind, &verification.turns);
        let kind = verification.kind;
        let (id, now) = (self.new_id(), self.now);
        let Some(process) = &mut self.process else {
            if let Some((sender, attempt)) = sender {
                self.after(10, Happening::Posted { sender, attempt, status: None });
            }
            return;
        };
        self.tally.posts += 1;
        let Some(endpoint) = process.endpoint(kind) else { return };
        let clock = on_clock(now - process.began);
        let mut reception = Reception::begin(endpoint, id, clock);
        let mut fields: Vec<(&str, &[u8])> = vec![("content-type", b"application/json")];
        if let Some(signature) = &signature {
            fields.push(("signature", signature.as_bytes()));
        }
        let mut todo = reception.head(clock, "POST", Headers(&fields));
        let half = if slow { body.len() / 2 } else { body.len() };
        let (first, rest) = body.split_at(half);
        todo.extend(reception.chunk(clock, first));
        process.incoming.insert(
            id,
            Incoming {
                reception,
                sender,
                message,
                began: now,
                answer_lost,
                rest: rest.to_vec(),
                recording: None,
                is_durable: false,
                is_answered: false,
                is_overdue: false,
            },
        );
        self.after(ANSWER_WITHIN + 1, Happening::Overdue(id));
        self.perform(id, todo);
        if slow {
            let later = self.random.spread(Span::millis(100), Span::secs(8));
            self.after(later, Happening::Body(id));
        } else {
            self.rest_of_body(id);
        }
    }

    pub(super) fn rest_of_body(&mut self, id: u64) {
        let (now, unix_ms) = (self.now, self.unix_ms());
        let Some(process) = &mut self.process else { return };
        let clock = on_clock(now - process.began);
        let Some(incoming) = process.incoming.get_mut(&id) else { return };
        let rest = std::mem::take(&mut incoming.rest);
        let mut todo = incoming.reception.chunk(clock, &rest);
        todo.extend(incoming.reception.complete(clock, unix_ms));
        self.perform(id, todo);
    }

    pub(super) fn tick_reception(&mut self, id: u64) {
        let now = self.now;
        let Some(process) = &mut self.process else { return };
        let clock = on_clock(now - process.began);
        let Some(incoming) = process.incoming.get_mut(&id) else { return };
        let todo = incoming.reception.tick(clock);
        self.perform(id, todo);
    }

    /// Does what a reception asks for, and sets its timer.
    fn perform(&mut self, id: u64, todo: Vec<Action>) {
        let mut todo = VecDeque::from(todo);
        while let Some(action) = todo.pop_front() {
            let now = self.now;
            let Some(process) = &mut self.process else { return };
            let clock = on_clock(now - process.began);
            let Some(incoming) = process.incoming.get_mut(&id) else { return };
            match action {
                Action::Examine(task) => todo.extend(incoming.reception.examined(clock, task.perform())),
                Action::Record(task) => {
                    incoming.recording = Some(task);
                    if self.has(Defect::AnswersEarly) {
                        self.answer(id, 200);
                    }
                    let stalls = self.stalls();
                    let (mood, takes) = self.mood(stalls);
                    self.after(takes, Happening::Commit(id, mood));
                }
                Action::Answer(answer) => self.answer(id, answer.status()),
                Action::Arrived(arrived) => {
                    let message = incoming.message;
                    if let Callback::Signed(_) | Callback::SignedSignal = arrived.callback()
                        && let Some(verification) = self.verifications.get_mut(message.number as usize)
                    {
                        verification.fed(self.order);
                    }
                    if self.has(Defect::AppliesUnsigned)
                        && arrived.callback() == Callback::Unsigned
                        && let Says::Forgery(state) = message.says
                    {
                        let body = std::sync::Arc::clone(arrived.body());
                        self.give_unfounded(message.number, state, &body);
                    }
                    let moment = self.moment();
                    let (Some(process), tasks) = (&mut self.process, &mut self.todo) else { return };
                    process.engine.callback(moment, arrived, &mut |task| tasks.push_back(task));
                    self.turn();
                }
                Action::Tell(_) => {}
            }
        }
        let (now, Some(process)) = (self.now, &mut self.process) else { return };
        let Some(incoming) = process.incoming.get(&id) else { return };
        match incoming.reception.next() {
            Next::At(at) => {
                let at = (at.since(on_clock(0)) + process.began).max(now + 1);
                self.at(at, Happening::Reception(id));
            }
            Next::Input => {}
            Next::Over if incoming.recording.is_some() || !incoming.rest.is_empty() => {}
            Next::Over => {
                let is_missing = !incoming.is_answered && !incoming.is_overdue;
                process.incoming.remove(&id);
                self.tally.wrongs.late_answers += u64::from(is_missing);
            }
        }
    }

    /// The time for an answer is over.
    pub(super) fn overdue(&mut self, id: u64) {
        if let Some(incoming) = self.process.as_mut().and_then(|process| process.incoming.get_mut(&id)) {
            incoming.is_overdue = !incoming.is_answered;
            self.tally.wrongs.late_answers += u64::from(incoming.is_overdue);
        }
    }

    /// Our side answers a callback.
    fn answer(&mut self, id: u64, status: u16) {
        let late = if self.has(Defect::AnswersLate) { 4_000 } else { 0 };
        let now = self.now + late;
        let never = self.has(Defect::NeverAnswers) && id.is_multiple_of(8);
        let Some(incoming) = self.process.as_mut().and_then(|process| process.incoming.get_mut(&id)) else {
            return;
        };
        if never || std::mem::replace(&mut incoming.is_answered, true) {
            return;
        }
        let took = now - incoming.began;
        let Incoming { is_durable, is_overdue, message, sender, answer_lost, .. } = *incoming;
        self.tally.slowest_answer_ms = self.tally.slowest_answer_ms.max(took);
        self.tally.wrongs.late_answers += u64::from(took > ANSWER_WITHIN && !is_overdue);
        match status {
            200 => {
                self.tally.answered_200 += 1;
                self.tally.wrongs.early_200 += u64::from(!is_durable);
                if let (Some(turn), Some(verification)) =
                    (message.tells(), self.verifications.get_mut(message.number as usize))
                {
                    verification.told(turn);
                }
            }
            401 => self.tally.answered_401 += 1,
            503 => self.tally.answered_503 += 1,
            _ => {}
        }
        if let Some((sender, attempt)) = sender.filter(|_| !answer_lost) {
            let takes = self.random.spread(Span::millis(10), Span::millis(300));
            self.after(late + takes, Happening::Posted { sender, attempt, status: Some(status) });
        }
    }

    /// The store comes to a record.
    pub(super) fn commit(&mut self, id: u64, mood: Mood) {
        self.store.mood = mood;
        let now = self.now;
        let Some(process) = &mut self.process else { return };
        let clock = on_clock(now - process.began);
        let Some(incoming) = process.incoming.get_mut(&id) else { return };
        let Some(recording) = incoming.recording.take() else { return };
        let todo = match recording.perform(&mut self.store) {
            Ok(proof) => {
                incoming.is_durable = self.store.take_durable().recorded;
                incoming.reception.committed(clock, proof)
            }
            Err(_) => incoming.reception.not_recorded(clock),
        };
        let _ = self.store.take_durable();
        self.perform(id, todo);
    }
}
