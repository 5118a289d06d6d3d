//! Whether the story can still end well: the part of G1, G6 and R13 that no single step can break.

use super::{Limits, Move, NOW, Rules, Run, World};
use crate::law::Law;
use crate::story::Who;
use idv_core::session::End;

/// Longer than every deadline, grace and watch here together, a call in each millisecond.
const LONG: u16 = 400;

impl World {
    pub(super) fn bad_ending(&self, rules: &Rules) -> Option<Move> {
        if self.broken.is_some() {
            return None;
        }
        let mut world = self.clone();
        world.ends_well(&mut Run { rules, lines: None });
        world.broken.map(|_| Move::EndWell)
    }

    /// From now on nobody does harm: calls are answered at once, with the truth, and everybody is woken in time. Whoever is open long enough
    /// is pulled, and whoever is pulled learns the truth; the poisoned end alone.
    pub(super) fn ends_well(&mut self, run: &mut Run<'_>) {
        run.tell(Who::Application, Who::Session, || "from here on, all goes well".into());
        self.left = Limits::NONE;
        self.runs(run);
        let soon = NOW.after(run.rules.soon(self.gate.is_known()));
        let grace = run.rules.session.poller.grace();
        let waits = |world: &Self, case: u8| world.session(case).is_some_and(|session| session.is_open());
        let owed: Vec<bool> = (0..self.cases.len() as u8)
            .map(|case| waits(self, case) && soon <= self.cases[usize::from(case)].bound.before(grace))
            .collect();
        let (mut heard, mut answered) = (vec![false; self.cases.len()], vec![false; self.cases.len()]);
        for _ in 0..LONG {
            if self.broken.is_some() {
                return;
            }
            let request = (0_u8..)
                .zip(&self.bearers)
                .find_map(|(account, bearer)| Some((account, bearer.requests.first()?.op)));
            let call =
                (0_u8..).zip(&self.cases).find_map(|(case, here)| Some((case, here.calls.first()?.op)));
            if let Some(request) = request {
                self.token(run, request, None);
            } else if let Some((case, op)) = call {
                let what = self.pulled(run, (case, op), None);
                heard[usize::from(case)] |= what.is_some();
                answered[usize::from(case)] |= what == Some(true);
            } else if self.wake.is_some() {
                self.elapse(run);
            } else {
                break;
            }
            self.runs(run);
            self.knows_its_tokens(run);
        }
        for case in 0..self.cases.len() as u8 {
            let here = &self.cases[usize::from(case)];
            if here.key.is_none() {
                continue;
            }
            let (refused, told, accepted) = (here.end == Some(End::Refused), here.told > 0, here.accepted);
            let learned = told || !accepted || !answered[usize::from(case)] || refused;
            self.requires(run, learned, Law::G1, "the application never learned the truth");
            let starved = owed[usize::from(case)] && !heard[usize::from(case)] && !refused;
            self.requires(
                run,
                !starved,
                Law::R13,
                "a session was never pulled although there was time enough",
            );
            let over = self.session(case).is_none_or(|session| session.end().is_some());
            self.requires(run, over, Law::G6, "it never ends");
            let poisoned = run.rules.cases[usize::from(case)].poisoned && owed[usize::from(case)];
            self.requires(run, !poisoned || refused, Law::R14, "a refused session does not end as refused");
        }
    }
}
