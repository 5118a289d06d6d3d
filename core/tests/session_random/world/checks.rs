//! What must hold after every move, and how every story must be able to end.

use super::{Limits, Move, Post, World};
use idv_core::evidence::{Evidence, Verdict};
use idv_core::machine::{Machine, Next};
use idv_core::session::{Action, End, EvidencePolicy, Policy, Revision};
use idv_core::time::Span;

impl World {
    pub(super) fn hand_over(&mut self, policy: &Policy, revision: Revision) {
        assert!(revision.number > self.done, "G2: a confirmed revision was handed over again");
        let nth = revision.number as usize;
        match self.seen.get(nth - 1) {
            Some(same) => assert_eq!(*same, revision, "G2, R8: a number was used for another revision"),
            None => {
                assert_eq!(nth, self.seen.len() + 1, "a number was left out");
                self.seen.push(revision);
            }
        }
        let before = nth.checked_sub(2).map(|before| self.seen[before].verdict);
        assert_eq!(revision.data_changed, before == Some(revision.verdict), "R5: a change of data is marked");
        let truth = Some((revision.verdict, revision.content.0));
        let among =
            |bits: u16| (0..self.history.len()).any(|nth| bits >> nth & 1 == 1 && self.history[nth] == truth);
        match revision.evidence {
            Evidence::Pulled => assert!(among(self.told), "G4: no answer said so"),
            Evidence::Signed => {
                assert!(among(self.claimed), "G4: nobody signed that");
                assert_eq!((policy.evidence, nth), (EvidencePolicy::TrustSigned, 1), "R2");
            }
            Evidence::Unsigned => panic!("G4: a claim became a verdict"),
        }
        let mut history = self.history.iter();
        for revision in &self.seen {
            let told = Some((revision.verdict, revision.content.0));
            assert!(history.any(|truth| *truth == told), "G3: not in the order of the provider's history");
        }
    }

    pub(super) fn check(&self, policy: &Policy) {
        let session = &self.session;
        let outstanding: Vec<Action> = session.outstanding(policy).into_iter().collect();
        let mut expected = Vec::new();
        expected.extend(session.wants().map(|class| Action::Ask { class }));
        if let Some(pull) = self.in_flight.filter(|pull| self.awaits(pull.op)) {
            assert_eq!(session.poller().in_flight(), Some(pull.op), "G9: it forgot its own pull");
        }
        assert_eq!(
            outstanding.iter().find_map(|action| match action {
                Action::Pull { op, .. } => Some(*op),
                _ => None,
            }),
            session.poller().in_flight()
        );
        expected.extend(outstanding.iter().filter(|action| matches!(action, Action::Pull { .. })));
        expected.extend(session.awaiting_hand_over().map(Action::HandOver));
        assert_eq!(outstanding, expected, "G9: what is outstanding");
        if let Some(revision) = session.awaiting_hand_over() {
            assert_eq!(self.seen.last(), Some(&revision), "G9: awaits what was never handed over");
        }
        if session.end().is_none() && !session.is_settled() {
            let bound = session.poller().bound().expect("G6: open without a deadline");
            assert!(self.now < bound.after(policy.poller.grace()), "G6: open past deadline and grace");
            assert!(matches!(session.next(policy), Next::At(_)), "G6: an open session sleeps for ever");
        }
        let settles = session.verdict().is_some_and(Verdict::settles);
        assert!(
            !settles || session.is_settled() || session.end().is_some() || session.is_reopened(),
            "R7: a settling verdict settles"
        );
        if session.is_reopened() {
            let until = self.reopened_until.expect("R8: reopened by no callback");
            assert!(
                self.now < until,
                "R8, R16: a callback keeps an ended session alive: {:?} {until:?} {session:?}",
                self.now
            );
            assert!(
                session.poller().is_demanded() || session.poller().in_flight().is_some(),
                "R8: reopened, and nothing is asked any more"
            );
        }
        if session.is_settled() {
            let watch = policy.poller.watch().map(|watch| self.now.after(watch));
            assert!(
                session.poller().bound() <= watch,
                "R8: a settled session is watched, whatever the deadline was"
            );
        }
        if session.end().is_none() && session.poller().is_demanded() {
            assert!(
                session.wants().is_some() || matches!(session.next(policy), Next::At(_)),
                "R3: a demand sleeps for ever"
            );
        }
    }

    /// From now on nobody does harm: permission comes at once, calls are answered with the truth, the application confirms. `told` says
    /// whether the provider's callback about its latest change gets through. However bad the past was, the application ends up with the
    /// truth, or no pull was ever answered in time.
    pub(crate) fn all_ends_well(mut self, policy: &Policy, told: Option<Post>) {
        self.left = Limits { pulls: u8::MAX, callbacks: 2, mistakes: 9, ..self.left };
        self.crash = None;
        self.wire.clear();
        let (had_ended, was_reopened) = (self.session.end().is_some(), self.session.is_reopened());
        if let Some(post) = told {
            self.apply(policy, Move::Callback(post), 0);
        }
        let mut answered = false;
        let end = self.now.after(Span::millis(400));
        while self.now < end {
            let before = self.now;
            if let Some(revision) = self.session.awaiting_hand_over() {
                self.apply(policy, Move::HandedOver(revision.number), 0);
            } else if let Some(op) =
                self.session.poller().in_flight().filter(|op| self.wire.iter().any(|call| call.op == *op))
            {
                self.apply(policy, Move::Read(op), 0);
                answered |= self.awaits(op);
                self.apply(policy, Move::Answer(op), 0);
                self.wire.clear();
            } else if self.session.wants().is_some() {
                self.left.pulls = u8::MAX;
                self.apply(policy, Move::Grant, 0);
            } else {
                match self.session.next(policy) {
                    Next::At(at) => {
                        self.pass(policy, at.max(before));
                        self.apply(policy, Move::Tick, 0);
                    }
                    Next::Input | Next::Over => break,
                }
            }
        }
        let elapsed = was_reopened || matches!(self.session.end(), Some(End::Expired | End::Watched));
        let in_vain = elapsed && self.session.end().is_some() && !had_ended;
        assert!(answered || told.is_none() || in_vain, "R3, R8, R16: a callback led to no pull");
        if let Some((verdict, content)) = self.truth()
            && answered
        {
            let last = self.seen.last().map(|revision| (revision.verdict, revision.content.0));
            assert_eq!(last, Some((verdict, content)), "G1: the application never learned the truth");
        }
        assert!(self.session.end().is_some() || self.session.is_settled(), "G6: never ends");
    }
}
