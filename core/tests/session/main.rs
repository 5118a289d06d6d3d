//! The session, driven by hand.
#![allow(clippy::wildcard_enum_match_arm)] // A test names the actions it is about.
#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing)] // A helper of a test fails like a test.

mod reopening;
mod rules;

use idv_core::evidence::{Callback, ContentDigest, Fault, FaultKind, Outcome, Report, Verdict};
use idv_core::machine::{Cx, Disposition, Machine, Next};
use idv_core::poller::{self, Class};
use idv_core::session::{Action, End, Input, Policy, Revision, Session};
use idv_core::time::{Instant, Span};

pub(crate) fn poller_policy() -> poller::Policy {
    poller::Policy::builder(Span::secs(5), Span::mins(30)).build().unwrap()
}

pub(crate) fn report(verdict: Verdict, content: u64) -> Report {
    Report { verdict: Some(verdict), content: ContentDigest(content) }
}

/// A session with its clock; every step checks that the wake-up lies ahead.
pub(crate) struct Driver {
    pub(crate) session: Session,
    pub(crate) policy: Policy,
    pub(crate) now: Instant,
}

impl Driver {
    pub(crate) fn new(policy: Policy) -> Self {
        let now = Instant::from_millis(1_000);
        let mut driver = Self { session: Session::new(Cx::new(now, &policy, 0)), policy, now };
        assert_eq!(
            driver.step(Input::Tick).1,
            [Action::Ask { class: Class::Routine }],
            "R15: opening pulls at once"
        );
        driver
    }

    pub(crate) fn confirming() -> Self {
        Self::new(Policy::confirm_by_pull(poller_policy()))
    }

    pub(crate) fn trusting() -> Self {
        Self::new(Policy::trust_signed(poller_policy()))
    }

    pub(crate) fn step(&mut self, input: Input) -> (Disposition, Vec<Action>) {
        let step = self.session.step(Cx::new(self.now, &self.policy, 7), input);
        assert_eq!(step.next, self.session.next(&self.policy));
        if let Next::At(at) = step.next {
            assert!(at > self.now, "no wake-up in the past");
        }
        (step.disposition, step.actions.into_iter().collect())
    }

    pub(crate) fn pass(&mut self, span: Span) -> Vec<Action> {
        self.now = self.now.after(span);
        self.step(Input::Tick).1
    }

    /// Waits until the session asks, grants, and gives the pull's number.
    pub(crate) fn pull(&mut self) -> u32 {
        for _ in 0..10 {
            if self.session.wants().is_some() {
                break;
            }
            let Next::At(at) = self.session.next(&self.policy) else { panic!("nothing is due") };
            self.now = at;
            self.step(Input::Tick);
        }
        match self.step(Input::Granted).1[..] {
            [Action::Pull { op, .. }] => op,
            ref other => panic!("not a pull: {other:?}"),
        }
    }

    pub(crate) fn answer(&mut self, op: u32, outcome: Outcome) -> Vec<Action> {
        self.step(Input::Pulled { op, outcome }).1
    }

    pub(crate) fn answer_report(&mut self, op: u32, verdict: Verdict, content: u64) -> Vec<Action> {
        self.answer(op, Outcome::Report(report(verdict, content)))
    }

    pub(crate) fn callback(&mut self, callback: Callback) -> Vec<Action> {
        self.step(Input::Callback(callback)).1
    }

    pub(crate) fn settled(verdict: Verdict, content: u64) -> Self {
        let mut driver = Self::confirming();
        let op = driver.pull();
        assert_eq!(handed(&driver.answer_report(op, verdict, content)), [(1, verdict)]);
        driver.step(Input::HandedOver { revision: 1 });
        driver
    }
}

pub(crate) fn handed(actions: &[Action]) -> Vec<(u32, Verdict)> {
    revisions(actions).iter().map(|revision| (revision.number, revision.verdict)).collect()
}

pub(crate) fn revisions(actions: &[Action]) -> Vec<Revision> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::HandOver(revision) => Some(*revision),
            _ => None,
        })
        .collect()
}

pub(crate) fn ended(actions: &[Action]) -> Option<(End, bool)> {
    actions.iter().find_map(|action| match action {
        Action::Ended { end, unconfirmed } => Some((*end, *unconfirmed)),
        _ => None,
    })
}

pub(crate) const TIMED_OUT: Outcome = Outcome::Failed(Fault { kind: FaultKind::TimedOut, retry_after: None });
