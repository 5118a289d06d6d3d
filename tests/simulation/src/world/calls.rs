//! Calls to the providers, and what the network does to them.

use super::process::{CALL_TIMEOUT, PATHS};
use super::{Happening, World, on_clock};
use crate::Defect;
use crate::provider::{Asks, Fault, Said};
use crate::story::Kind;
use idv_core::engine::Call;
use idv_core::evidence::FaultKind;
use idv_core::http::{Failure, Received};
use idv_core::time::Span;

/// A call under way.
pub(super) struct Sent {
    call: Call,
    kind: Kind,
    /// The verification that is pulled.
    number: Option<u32>,
    authorization: Option<String>,
    until: u64,
    /// When it was sent, in the order of all happenings.
    order: u64,
    fate: Fate,
    said: Option<Said>,
    /// The turn of the provider's history that the answer shows.
    shows: Option<u8>,
}

/// What the network does to a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Fine,
    /// Nobody is there.
    Unreachable,
    /// It never arrives.
    Lost,
    /// It arrives, and its answer does not.
    AnswerLost,
    /// Its answer comes when nobody waits for it any more.
    Late,
    /// The provider fails.
    Fault(Fault),
}

impl World<'_> {
    /// The client makes a call.
    pub(super) fn send(&mut self, call: Call) {
        let request = call.request();
        let place = PATHS.iter().position(|path| request.url.contains(path));
        let Some(kind) = place.and_then(|place| Kind::ALL.get(place)).copied() else { return };
        let number = call.id().and_then(Kind::number);
        let mut authorization =
            request.headers.iter().find(|(name, _)| *name == "authorization").map(|(_, value)| value.clone());
        if self.has(Defect::KeepsOldTokens)
            && let Some(first) = self.first_tokens.get_mut(kind as usize)
            && let Some(bearer) = authorization.take_if(|field| field.starts_with("Bearer "))
        {
            authorization = Some(first.get_or_insert(bearer).clone());
        }
        let began = self.process.as_ref().map_or(0, |process| process.began);
        let until = call.until().since(on_clock(0)) + began;
        let copies = if self.has(Defect::SendsTwice) { 2 } else { 1 };
        for _ in 0..copies {
            self.check_sent(kind, number, until);
        }
        let fate = match self.goes_wrong() {
            false => Fate::Fine,
            true => match self.random.below(10) {
                0 => Fate::Unreachable,
                1 => Fate::Lost,
                2 => Fate::AnswerLost,
                3 => Fate::Late,
                _ => Fate::Fault(Fault::draw(&mut self.random)),
            },
        };
        let (id, order) = (self.new_id(), self.order);
        let sent = Sent { call, kind, number, authorization, until, order, fate, said: None, shows: None };
        if let Some(process) = &mut self.process {
            process.calls.insert(id, sent);
        }
        match fate {
            Fate::Unreachable => self.after(40, Happening::Answer(id)),
            Fate::Lost => self.at(until, Happening::Answer(id)),
            Fate::Fine | Fate::AnswerLost | Fate::Late | Fate::Fault(_) => {
                let takes = self.random.spread(Span::millis(20), Span::millis(600));
                self.after(takes, Happening::Call(id));
                if fate == Fate::AnswerLost {
                    self.at(until, Happening::Answer(id));
                }
            }
        }
    }

    /// Whether the client may make this call now (G7).
    fn check_sent(&mut self, kind: Kind, number: Option<u32>, until: u64) {
        let (now, order) = (self.now, self.order);
        let asked = until.saturating_sub(CALL_TIMEOUT);
        let wrongs = &mut self.tally.wrongs;
        match number {
            Some(number) => {
                self.tally.pulls += 1;
                if let Some(verification) = self.verifications.get_mut(number as usize) {
                    verification.sent((asked, until), order, wrongs);
                    // A callback had reopened it.
                    self.ended -= usize::from(verification.end.take().is_some());
                }
            }
            None => self.tally.token_requests += 1,
        }
        let which = usize::from(!kind.is_shareid());
        let Some(door) = self.doors.get_mut(which) else { return };
        let in_a_minute =
            door.sent((now, asked), which, self.tally.crashes, &mut self.tally.forgotten_doors, wrongs);
        for (place, (busiest, calls)) in
            self.tally.busiest_minute.iter_mut().zip(&mut self.tally.calls).enumerate()
        {
            if place == which {
                *busiest = (*busiest).max(in_a_minute);
                *calls += 1;
            }
        }
    }

    /// A call reaches the provider.
    pub(super) fn call_arrives(&mut self, id: u64) {
        let (now, unix_ms) = (self.now, self.unix_ms());
        let takes = self.random.spread(Span::millis(20), Span::millis(600));
        let late = self.random.between(1, 20_000);
        let slow = self.random.happens(3);
        let Some(sent) = self.process.as_mut().and_then(|process| process.calls.get_mut(&id)) else { return };
        let which = usize::from(!sent.kind.is_shareid());
        let is_down = self.share.faults > 0
            && self.down.get_mut(which).is_some_and(|outage| {
                outage.is_on(
                    now,
                    4 * 3_600_000 * 100 / self.share.faults,
                    (Span::mins(1), Span::mins(30)),
                    &mut self.random,
                )
            });
        let fault = match sent.fate {
            Fate::Fault(fault) => Some(fault),
            Fate::Fine | Fate::Unreachable | Fate::Lost | Fate::AnswerLost | Fate::Late => {
                is_down.then_some(Fault::ProxyTimeOut)
            }
        };
        let asks =
            match sent.number.and_then(|number| Some((number, self.verifications.get(number as usize)?))) {
                Some((_, verification)) if verification.is_poisoned => Asks::Poisoned,
                Some((number, verification)) => {
                    sent.shows = Some(verification.turn);
                    Asks::State(number, verification.truth())
                }
                None => Asks::Token,
            };
        let others = if self.share.faults == 0 {
            0
        } else {
            self.others.get_mut(which).map_or(0, |others| {
                let apart = 4 * 3_600_000 * 100 / self.share.faults;
                others.calls(now, which, apart, &mut self.random)
            })
        };
        self.tally.calls_of_others += others;
        self.providers.others_call(which, others, now);
        let said =
            self.providers.answer(sent.kind, asks, sent.authorization.as_deref(), (now, unix_ms), fault);
        self.tally.limited += u64::from(said.is_limited);
        self.tally.wrongs.tokens_misused += u64::from(said.misused);
        if !said.is_clean {
            sent.shows = None;
        }
        let until = sent.until;
        match sent.fate {
            // Its end is told when its time is over.
            Fate::AnswerLost => {}
            Fate::Late => {
                sent.said = Some(said);
                self.at(until + late, Happening::Answer(id));
            }
            Fate::Fine | Fate::Unreachable | Fate::Lost | Fate::Fault(_) => {
                sent.said = Some(said);
                let arrives = self.now + if slow { takes * 20 } else { takes };
                if arrives >= until {
                    sent.said = None;
                }
                self.at(arrives.min(until), Happening::Answer(id));
            }
        }
    }

    /// A call ends at our side: answered, or not.
    pub(super) fn call_ends(&mut self, id: u64) {
        let (now, order, unix_ms) = (self.now, self.order, self.unix_ms());
        let Some(sent) = self.process.as_mut().and_then(|process| process.calls.remove(&id)) else { return };
        let Sent { call, kind, number, order: sent_at, fate, mut said, shows, until, .. } = sent;
        let verification = number.and_then(|number| self.verifications.get_mut(number as usize));
        if let Some(verification) = verification {
            if let Some(Said { answer, is_clean: true, .. }) = &mut said
                && self.share.defect == Some(Defect::CachesAnswers)
                && verification.truth().state.settles()
            {
                match &verification.cached {
                    Some(cached) if self.random.happens(500) => answer.clone_from(cached),
                    Some(_) => {}
                    None => verification.cached = Some(answer.clone()),
                }
            }
            verification.ended_pull(now, sent_at, order, shows.filter(|_| said.is_some()));
        }
        if let Some(said) = &said
            && now < until
            && let Some(closed) = said.closes.map(|span| now + span).max(said.closes_until)
            && let Some(door) = self.doors.get_mut(usize::from(!kind.is_shareid()))
        {
            door.close(now, closed, self.tally.crashes);
        }
        if self.has(Defect::RetriesCalls) && !said.as_ref().is_some_and(|said| said.is_clean) {
            self.check_sent(kind, number, now + 1 + CALL_TIMEOUT);
        }
        let result: Result<Received, Failure> = match said {
            Some(said) => Ok(said.answer),
            None => {
                let kind =
                    if fate == Fate::Unreachable { FaultKind::Unreachable } else { FaultKind::TimedOut };
                Err(Failure { kind, diagnosis: "as the simulation wants it".to_owned() })
            }
        };
        self.complete(call.answered(result, unix_ms));
    }
}
