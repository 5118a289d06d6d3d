//! Callbacks on their way: from a step of a timeline to the end of the last attempt.

use super::{Statement, Timer, World};
use crate::callback::{self, Voucher};
use crate::faults::CallbackFault;
use crate::log::{Attempt, Delivery, Fate, What};
use crate::scenario::{Callback, Key, Provider};
use idv_core::delivery::{self, Action, Cause, Policy, Schedule};
use idv_core::http::Request;
use idv_core::lifecycle::Channel;
use idv_core::machine::{Cx, Machine, Next};
use idv_core::shareid::contract as shareid;
use idv_core::shufti::contract as shufti;
use idv_core::time::{Instant, Span};
use serde_json::Map;
use std::sync::Arc;
use std::time::Duration;

/// How long a callback is held back for another to overtake it, in the provider's time.
const LONGEST_HOLD: Duration = Duration::from_secs(60);

/// A callback ready to be sent.
#[derive(Clone)]
pub(super) struct Prepared {
    verification: usize,
    /// Which of the verification's callbacks it is, from 1.
    ordinal: u64,
    event: String,
    body: Arc<[u8]>,
    key: Key,
    answers_lost: u32,
    first_key: Option<Key>,
}

/// A delivery on its way.
pub(super) struct Outgoing {
    verification: usize,
    ordinal: u64,
    machine: delivery::Delivery,
    record: Delivery,
    to: String,
    key: Key,
    first_key: Option<Key>,
    answers_lost: u32,
    /// The timer that was set last.
    armed: Option<Instant>,
}

/// A post to be made.
pub(crate) struct Job {
    pub(crate) delivery: u64,
    pub(crate) attempt: u8,
    pub(crate) within: Span,
    pub(crate) request: Request,
}

/// The most finished deliveries that are kept; the oldest go first.
const MOST_DELIVERIES: usize = 20_000;

impl World {
    /// Makes a callback's body as it is now, and sends it now or later.
    pub(super) fn prepare(
        &mut self,
        index: usize,
        statement: &Statement,
        announced: &str,
        callback: &Callback,
    ) {
        let Some(verification) = self.verifications.get(index) else { return };
        let event = callback.event.as_deref().unwrap_or(announced);
        let body = match &callback.body {
            Some(body) => body.clone().into_bytes(),
            None if event == statement.event => self.body(verification, statement, Channel::Callback),
            None => {
                let other = Statement { event: event.to_owned(), codes: Vec::new(), fields: Map::new() };
                self.body(verification, &other, Channel::Callback)
            }
        };
        let body: Arc<[u8]> = body.into();
        for _ in 0..callback.copies {
            let Some(verification) = self.verifications.get_mut(index) else { return };
            verification.callbacks += 1;
            let ordinal = verification.callbacks;
            let fault = self.config.faults.callback(&verification.id, ordinal);
            let prepared = Prepared {
                verification: index,
                ordinal,
                event: event.to_owned(),
                body: Arc::clone(&body),
                key: callback.key,
                answers_lost: callback.answers_lost + u32::from(fault == Some(CallbackFault::AnswerLost)),
                first_key: (fault == Some(CallbackFault::WrongKey)).then_some(Key::Wrong),
            };
            match fault {
                None | Some(CallbackFault::AnswerLost | CallbackFault::WrongKey) => {
                    self.send_after(callback.after, prepared);
                }
                Some(CallbackFault::Lost) => {}
                Some(CallbackFault::Late(secs)) => {
                    self.send_after(callback.after + Duration::from_secs(secs), prepared);
                }
                Some(CallbackFault::Overtaken) if callback.after.is_zero() => self.hold(index, prepared),
                Some(CallbackFault::Overtaken) => self.send_after(callback.after + LONGEST_HOLD, prepared),
                Some(CallbackFault::Twice) => {
                    self.send_after(callback.after, prepared.clone());
                    self.send_after(callback.after, prepared);
                }
                Some(CallbackFault::Replayed(secs)) => {
                    self.send_after(callback.after, prepared.clone());
                    self.send_after(callback.after + Duration::from_secs(secs), prepared);
                }
            }
        }
    }

    fn send_after(&mut self, after: Duration, prepared: Prepared) {
        if after.is_zero() {
            self.send(&prepared);
        } else {
            self.set(self.later(after), Timer::Send(Box::new(prepared)));
        }
    }

    /// Holds a callback back until one that was made later has arrived.
    fn hold(&mut self, index: usize, prepared: Prepared) {
        self.release(index);
        self.set(self.later(LONGEST_HOLD), Timer::Release { verification: index, ordinal: prepared.ordinal });
        if let Some(verification) = self.verifications.get_mut(index) {
            verification.held = Some(Box::new(prepared));
        }
    }

    /// Sends the callback that is held back.
    fn release(&mut self, index: usize) {
        let held = self.verifications.get_mut(index).and_then(|verification| verification.held.take());
        if let Some(prepared) = held {
            self.send(&prepared);
        }
    }

    /// Sends the callback that is held back, if it is this one or an earlier one.
    pub(super) fn release_up_to(&mut self, index: usize, ordinal: u64) {
        let held = self.verifications.get(index).and_then(|verification| verification.held.as_ref());
        if held.is_some_and(|held| held.ordinal <= ordinal) {
            self.release(index);
        }
    }

    /// Starts the delivery of a callback, if the verification has somewhere to send it to.
    pub(super) fn send(&mut self, prepared: &Prepared) {
        let Some(verification) = self.verifications.get(prepared.verification) else { return };
        let Some(to) = verification.callback.clone() else { return };
        self.last_delivery += 1;
        let number = self.last_delivery;
        let record = Delivery {
            number,
            provider: verification.product.provider(),
            id: verification.id.clone(),
            event: prepared.event.clone(),
            body: Arc::clone(&prepared.body),
            attempts: Vec::new(),
            fate: Fate::Waiting,
        };
        let outgoing = Outgoing {
            verification: prepared.verification,
            ordinal: prepared.ordinal,
            machine: delivery::Delivery::new(),
            record,
            to,
            key: prepared.key,
            first_key: prepared.first_key,
            answers_lost: prepared.answers_lost,
            armed: None,
        };
        self.deliveries.insert(number, outgoing);
        self.step(number, delivery::Input::Tick);
        self.forget_old_deliveries();
    }

    fn forget_old_deliveries(&mut self) {
        if self.deliveries.len() > MOST_DELIVERIES {
            let finished = self
                .deliveries
                .iter()
                .find(|(_, delivery)| delivery.record.fate != Fate::Waiting)
                .map(|(number, _)| *number);
            if let Some(number) = finished {
                self.deliveries.remove(&number);
            }
        }
    }

    /// The provider's rules for callbacks, its waits shortened by the time factor.
    fn policy(&self, provider: Provider) -> Policy {
        let policy = match provider {
            Provider::Shareid => shareid::CALLBACK_DELIVERY,
            Provider::Shufti => shufti::CALLBACK_DELIVERY,
        };
        let waits: Vec<Span> = policy
            .schedule
            .waits()
            .map(|wait| Span::saturating_from(self.paced(wait.as_duration())))
            .collect();
        // As many waits as before, so that it cannot fail.
        let schedule = Schedule::own(&waits).unwrap_or(policy.schedule);
        Policy { schedule, ..policy }
    }

    pub(crate) fn voucher(&self, provider: Provider) -> Voucher {
        let credentials = &self.config.credentials;
        match provider {
            Provider::Shufti => Voucher::Signature {
                rule: self.config.rule,
                header: self.config.signature_header,
                secret: credentials.shufti_secret_key.clone(),
            },
            Provider::Shareid => match &credentials.shareid_callback_bearer {
                Some(bearer) => Voucher::Bearer(bearer.clone()),
                None => Voucher::Nothing,
            },
        }
    }

    /// Steps a delivery and does what it asks for.
    pub(super) fn step(&mut self, number: u64, input: delivery::Input) {
        let Some(provider) = self.deliveries.get(&number).map(|outgoing| outgoing.record.provider) else {
            return;
        };
        let policy = self.policy(provider);
        let voucher = self.voucher(provider);
        let Some(outgoing) = self.deliveries.get_mut(&number) else { return };
        let step = outgoing.machine.step(Cx::new(self.now, &policy, 0), input);
        for action in step.actions {
            match action {
                Action::Post { attempt, within } => {
                    let key = outgoing.first_key.filter(|_| attempt == 1).unwrap_or(outgoing.key);
                    let request = callback::request(&outgoing.to, &outgoing.record.body, &voucher, key);
                    self.jobs.push(Job { delivery: number, attempt, within, request });
                    self.statistics.of_mut(provider).attempts += 1;
                }
                Action::Delivered { .. } => {
                    outgoing.record.fate = Fate::Delivered;
                    self.statistics.of_mut(provider).delivered += 1;
                }
                Action::Dead => {
                    outgoing.record.fate = Fate::Dead;
                    self.statistics.of_mut(provider).dead += 1;
                }
            }
        }
        match step.next {
            Next::At(at) if outgoing.armed != Some(at) => {
                outgoing.armed = Some(at);
                self.set(at, Timer::Delivery(number));
            }
            Next::At(_) | Next::Input | Next::Over => {}
        }
    }

    /// Takes in what came of a post.
    pub(crate) fn posted(&mut self, number: u64, attempt: u8, answer: Result<u16, Cause>) {
        let Some(outgoing) = self.deliveries.get_mut(&number) else { return };
        let status = answer.ok();
        let input = match answer {
            Ok(_) if outgoing.answers_lost > 0 => {
                outgoing.answers_lost -= 1;
                delivery::Input::Failed { attempt, cause: Cause::TimedOut }
            }
            Ok(status) => delivery::Input::Answered { attempt, status },
            Err(cause) => delivery::Input::Failed { attempt, cause },
        };
        self.step(number, input);
        let Some(outgoing) = self.deliveries.get_mut(&number) else { return };
        let key = outgoing.first_key.filter(|_| attempt == 1).unwrap_or(outgoing.key);
        let failed = outgoing.machine.causes().nth(usize::from(attempt.saturating_sub(1)));
        outgoing.record.attempts.push(Attempt { at_ms: self.now.as_millis(), status, failed });
        let what = What::Callback {
            delivery: number,
            id: outgoing.record.id.clone(),
            event: outgoing.record.event.clone(),
            attempt,
            key,
            status,
            failed,
            then: outgoing.record.fate,
        };
        let provider = outgoing.record.provider;
        let (verification, ordinal) = (outgoing.verification, outgoing.ordinal);
        self.note(provider, what);
        self.release_up_to(verification, ordinal);
    }

    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.deliveries.values().map(|outgoing| outgoing.record.clone()).collect()
    }
}
