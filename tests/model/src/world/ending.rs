//! Whether the story can still end well: the part of G1 and G6 that no single step can break.

use super::callbacks::says;
use super::{Fate, LastWord, Move, NOW, Run, World};
use crate::law::Law;
use crate::rules::{Callbacks, Limits, Rules};
use crate::story::Who;
use idv_core::evidence::Callback;
use idv_core::machine::{Machine, Next};
use idv_core::session::{End, Input};

/// Longer than every deadline, grace and watch here together.
const LONG: u16 = 400;

impl World {
    /// An ending that does not end well; none, unless something is lost or goes on for ever.
    pub(super) fn bad_ending(&self, rules: &Rules) -> Option<Move> {
        if self.broken.is_some() {
            return None;
        }
        // While it lives a forgery is a hint like any other; what it buys after the end is the question.
        let forged = self.session.end().map(|_| LastWord::Forgery);
        let words = [LastWord::Silence, LastWord::News].into_iter().chain(forged);
        words.map(Move::EndWell).find(|ending| {
            let mut world = *self;
            world.happen(&mut Run::silent(rules), (*ending, Fate::Lives));
            world.broken.is_some()
        })
    }

    /// From now on nobody does harm: permission comes at once, pulls are answered with the truth, the application confirms. However
    /// bad the past was, the application ends up with the truth, or no pull was ever answered in time.
    pub(super) fn ends_well(&mut self, run: &mut Run<'_>, word: LastWord) {
        run.tell(Who::Application, Who::Session, || "from here on, all goes well".into());
        self.left = Limits { pulls: u8::MAX, ..Limits::NONE };
        self.saved = None;
        self.wire = Default::default();
        self.posts = Default::default();
        let (had_ended, was_reopened) = (self.session.end().is_some(), self.session.is_reopened());
        let truth = self.provider.truth();
        let callback = match (word, run.rules.callbacks) {
            (LastWord::Silence, _) | (LastWord::News, Callbacks::None) => None,
            (LastWord::News, _) if self.provider.newest() == 0 => None,
            (LastWord::News, Callbacks::Signed | Callbacks::Lost) if truth.report().is_some() => {
                Some(says(truth, self.evidence))
            }
            (LastWord::News, Callbacks::Signals | Callbacks::Signed | Callbacks::Lost) => {
                Some(Callback::SignedSignal)
            }
            (LastWord::News, Callbacks::Unsigned) => Some(Callback::Unsigned),
            (LastWord::Forgery, _) => Some(Callback::WrongSignature),
        };
        if let Some(callback) = callback {
            run.tell(Who::Network, Who::Session, || format!("callback: {callback:?}"));
            self.step(run, Input::Callback(callback), Fate::Lives, None, Law::R3);
        }
        let (mut pulled, mut answered) = (false, false);
        let policy = run.rules.session(self.evidence);
        for _ in 0..LONG {
            if self.broken.is_some() {
                return;
            }
            let flying = self.in_flight.filter(|pull| self.call(pull.op).is_some());
            if let Some(revision) = self.session.awaiting_hand_over() {
                self.confirms(run, revision.number as u8, false, Fate::Lives);
            } else if let Some(pull) = flying {
                let awaited = self.session.end().is_none();
                pulled |= awaited;
                answered |= awaited && self.provider.visible() == self.provider.newest();
                self.answers(run, (pull.op, self.provider.visible()), Fate::Lives, false);
            } else if self.session.wants().is_some() {
                self.step(run, Input::Granted, Fate::Lives, None, Law::R3);
            } else {
                match self.session.next(policy) {
                    Next::At(at) if at <= NOW => {
                        self.step(run, Input::Tick, Fate::Lives, None, Law::R3);
                    }
                    Next::At(_) => self.elapse(run),
                    Next::Input | Next::Over => break,
                }
            }
        }
        let end = self.session.end();
        let elapsed = was_reopened || matches!(end, Some(End::Expired | End::Watched));
        let in_vain = elapsed && end.is_some() && !had_ended;
        let heard = pulled || callback.is_none() || in_vain || end == Some(End::Deleted);
        self.requires(run, heard, Law::G1, "a callback led to no pull");
        if answered && let Some(truth) = Some(self.provider.truth()).filter(|truth| truth.report().is_some())
        {
            let last = self.seen.iter().flatten().last().map(|seen| seen.truth);
            self.requires(run, last == Some(truth), Law::G1, "the application never learned the truth");
        }
        let over = self.session.end().is_some() || self.session.is_settled();
        self.requires(run, over, Law::G6, "it never ends");
    }
}
