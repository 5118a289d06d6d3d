//! Everything that can happen next, and its happening.

use super::{ATTACKER, Attack, Failure, Fate, Happening, Move, NOW, Run, World};
use crate::law::Law;
use crate::rules::{Callbacks, Rules};
use crate::story::Who;
use idv_core::machine::{Machine, Next};
use idv_core::session::Input;

impl World {
    /// Everything that can happen now, within the limits.
    pub(super) fn happenings(&self, rules: &Rules, out: &mut Vec<Happening>) {
        if self.broken.is_some() {
            return;
        }
        self.moves(rules, &mut |next| {
            out.push((next, Fate::Lives));
            if self.left.crashes > 0 && steps_the_session(next) {
                out.push((next, Fate::DiesBeforeSave));
                out.push((next, Fate::DiesAfterSave));
            }
        });
    }

    fn moves(&self, rules: &Rules, out: &mut dyn FnMut(Move)) {
        let left = &self.left;
        self.timed(rules, out);
        if self.session.wants().is_some() && left.pulls > 0 {
            out(Move::Grant);
        }
        for call in self.wire.iter().flatten() {
            for nth in call.sent..=self.provider.visible() {
                out(Move::Answer(call.op, nth));
                if left.repetitions > 0 {
                    out(Move::AnswerTwice(call.op, nth));
                }
            }
            if left.failures > 0 {
                out(Move::Fail(call.op, Failure::Refused));
                if self.in_flight.is_some_and(|pull| pull.op == call.op) {
                    out(Move::Fail(call.op, Failure::NoAnswer));
                    out(Move::Fail(call.op, Failure::Limited(4)));
                }
            }
        }
        if left.changes > 0 && self.provider.has_room() && self.provider.catch_up.is_none() {
            (rules.changes)(self.provider.truth()).iter().for_each(|truth| out(Move::Change(*truth)));
        }
        if self.provider.catch_up.is_some() {
            out(Move::CatchUp);
        }
        self.callbacks(rules, out);
        if let Some(revision) = self.session.awaiting_hand_over() {
            out(Move::HandedOver(revision.number as u8));
            if left.failures > 0 {
                out(Move::DeadLettered(revision.number as u8));
            }
        }
        if left.mistakes > 0 {
            let last = self.revisions() as u8;
            let awaited = self.session.awaiting_hand_over().map_or(0, |revision| revision.number as u8);
            for revision in [last.wrapping_sub(1), last, last + 1] {
                if revision != awaited && revision != u8::MAX {
                    out(Move::HandedOver(revision));
                }
            }
            out(Move::DeadLettered(last + 1));
            out(Move::Hint);
            out(Move::OpenAgain);
            out(Move::Cancel);
            out(Move::CredentialsRefused);
            if self.session.poller().last_op() <= 1 {
                out(Move::Created);
            }
        }
        if left.crashes > 0 {
            out(Move::Crash);
        }
    }

    /// Time, and the session's own timer.
    fn timed(&self, rules: &Rules, out: &mut dyn FnMut(Move)) {
        match self.session.next(rules.session(self.evidence)) {
            Next::At(at) if at > NOW => out(Move::Elapse),
            Next::At(at) => {
                out(Move::Tick);
                if NOW.since(at) < self.left.lateness.into() {
                    out(Move::Elapse);
                }
            }
            Next::Input | Next::Over => {
                let posted = self.posts.iter().flatten().any(|post| post.is_timed(&rules.delivery));
                let pulling = self.session.wants().is_some() && self.polite_from > NOW;
                if posted || pulling || self.provider.catch_up.is_some() {
                    out(Move::Elapse);
                }
            }
        }
    }

    fn callbacks(&self, rules: &Rules, out: &mut dyn FnMut(Move)) {
        for (slot, post) in (0_u8..).zip(&self.posts) {
            let Some(post) = post else { continue };
            if post.can_arrive() {
                out(Move::Arrive(slot));
            }
            if post.awaits_commit() {
                out(Move::Commit(slot));
                if self.left.failures > 0 {
                    out(Move::CommitUnheard(slot));
                    out(Move::StoreFails(slot));
                }
            }
        }
        if self.left.attacks > 0 && self.posts[ATTACKER].is_none() {
            match rules.callbacks {
                Callbacks::None => {}
                Callbacks::Signed | Callbacks::Lost => {
                    (1..=self.provider.newest()).for_each(|nth| out(Move::Attack(Attack::Replay(nth))));
                    out(Move::Attack(Attack::WronglySigned));
                }
                Callbacks::Signals => {
                    if self.provider.newest() > 0 {
                        out(Move::Attack(Attack::Replay(1)));
                    }
                    out(Move::Attack(Attack::WronglySigned));
                }
                Callbacks::Unsigned => out(Move::Attack(Attack::Unsigned)),
            }
        }
    }

    /// What comes of it.
    pub(super) fn happen(&mut self, run: &mut Run<'_>, (next, fate): Happening) {
        match next {
            Move::Elapse => self.elapse(run),
            Move::Tick => {
                self.step(run, Input::Tick, fate, None, Law::R3);
            }
            Move::Grant => {
                self.left.pulls -= 1;
                self.step(run, Input::Granted, fate, None, Law::R3);
            }
            Move::Answer(op, nth) => self.answers(run, (op, nth), fate, false),
            Move::AnswerTwice(op, nth) => self.answers(run, (op, nth), fate, true),
            Move::Fail(op, failure) => self.fails(run, op, failure, fate),
            Move::Change(truth) => {
                self.left.changes -= 1;
                run.tell(Who::Provider, Who::Provider, || format!("changes its mind: {truth:?}"));
                self.provider.changes(truth, run.rules.lag);
                self.announces(run);
            }
            Move::CatchUp => {
                run.tell(Who::Provider, Who::Provider, || "its replica catches up".into());
                self.provider.catches_up();
            }
            Move::Arrive(slot) => self.arrives(run, slot.into(), fate),
            Move::Commit(slot) => self.stored(run, slot.into(), true, fate, true),
            Move::CommitUnheard(slot) => {
                self.left.failures -= 1;
                self.stored(run, slot.into(), true, fate, false);
            }
            Move::StoreFails(slot) => {
                self.left.failures -= 1;
                self.stored(run, slot.into(), false, fate, true);
            }
            Move::Attack(attack) => self.attacks(run, attack, fate),
            Move::HandedOver(revision) => self.confirms(run, revision, false, fate),
            Move::DeadLettered(revision) => self.confirms(run, revision, true, fate),
            Move::Created => {
                self.left.mistakes -= 1;
                let truth = self.provider.truth();
                run.tell(Who::Provider, Who::Session, || format!("the reply to the creation said {truth:?}"));
                if let Some(report) = truth.report() {
                    self.step(run, Input::Created(report), fate, None, Law::R3);
                }
            }
            Move::Hint => self.hinted(run, fate),
            Move::OpenAgain => self.opened_again(run, fate),
            Move::CredentialsRefused => {
                self.left.mistakes -= 1;
                run.tell(Who::Provider, Who::Session, || "refuses the credentials for good".into());
                self.step(run, Input::CredentialsRefused, fate, None, Law::R14);
            }
            Move::Cancel => {
                self.left.mistakes -= 1;
                run.tell(Who::Application, Who::Session, || "cancels".into());
                self.step(run, Input::Cancel, fate, None, Law::G6);
            }
            Move::Crash => self.restarts(run),
            Move::Stuck => self.breaks(run, Law::G6, "nothing can happen any more, and it is not over"),
            Move::EndWell(word) => self.ends_well(run, word),
        }
        if next == Move::Crash || fate != Fate::Lives {
            self.left.crashes -= 1;
        }
        self.simplify(run);
    }
}

const fn steps_the_session(next: Move) -> bool {
    match next {
        Move::Tick
        | Move::Grant
        | Move::Answer(..)
        | Move::AnswerTwice(..)
        | Move::Fail(..)
        | Move::Commit(_)
        | Move::StoreFails(_)
        | Move::HandedOver(_)
        | Move::DeadLettered(_)
        | Move::Created
        | Move::Hint
        | Move::OpenAgain
        | Move::CredentialsRefused
        | Move::Attack(Attack::WronglySigned)
        | Move::Cancel => true,
        Move::Elapse
        | Move::Change(_)
        | Move::CatchUp
        | Move::Arrive(_)
        | Move::CommitUnheard(_)
        | Move::Attack(Attack::Replay(_) | Attack::Unsigned)
        | Move::Crash
        | Move::Stuck
        | Move::EndWell(_) => false,
    }
}
