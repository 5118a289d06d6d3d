//! Everything that can happen next.

use super::{Move, NOW, Rules, Trouble, World};
use idv_core::time::Span;
use idv_core::token::Mode;

impl World {
    pub(super) fn happenings(&self, rules: &Rules, out: &mut Vec<Move>) {
        if self.broken.is_some() {
            return;
        }
        let left = &self.left;
        if !self.is_over() && (left.slowness > 0 || !self.is_awaiting()) {
            out.push(Move::Elapse);
            let due = self.wake.is_some_and(|at| at <= NOW.after(Span::MIN));
            if left.lateness > 0 && due {
                out.push(Move::Oversleep);
            }
        }
        for (nth, case) in (0_u8..).zip(&self.cases) {
            self.about(rules, nth, out);
            for call in &case.calls {
                out.push(Move::Answer(nth, call.op));
                if left.failures > 0 && !call.rejected && !call.limited {
                    let troubles = [Trouble::NoAnswer, Trouble::Limited, Trouble::TooMany, Trouble::Refused];
                    out.extend(troubles.map(|trouble| Move::Fail(nth, call.op, trouble)));
                }
            }
        }
        for (nth, bearer) in (0_u8..).zip(&self.bearers) {
            for request in &bearer.requests {
                out.push(Move::Issue(nth, request.op));
                if left.failures > 0 && !request.limited {
                    let troubles = [Trouble::NoAnswer, Trouble::Limited, Trouble::Refused];
                    out.extend(troubles.map(|trouble| Move::Withhold(nth, request.op, trouble)));
                }
            }
            if left.failures > 0 && bearer.held.is_some_and(|held| !held.revoked) {
                out.push(Move::Revoke(nth));
            }
            let needed = rules.tokens[usize::from(nth)].mode() != Mode::NotNeeded;
            if left.strangers > 0 && needed {
                out.push(Move::Replace(nth));
            }
        }
        if left.strangers > 0 {
            out.push(Move::Stranger);
        }
        if left.crashes > 0 {
            out.push(Move::Crash);
        }
    }

    /// What concerns one verification.
    fn about(&self, rules: &Rules, nth: u8, out: &mut Vec<Move>) {
        let (case, left) = (&self.cases[usize::from(nth)], &self.left);
        if case.key.is_none() && !rules.cases[usize::from(nth)].open {
            out.push(Move::Open(nth));
        }
        if left.verdicts > 0 && !case.accepted && !rules.cases[usize::from(nth)].poisoned {
            out.push(Move::Decide(nth));
        }
        if left.hints > 0 {
            out.extend(rules.words.iter().map(|word| Move::Callback(nth, *word)));
            if rules.audits && case.key.is_some() {
                out.push(Move::Audit(nth));
            }
        }
    }
}
