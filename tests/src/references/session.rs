//! The session as a log: when each pull was sent, when evidence was last adopted, when the last hint came, and every revision there was.
//!
//! When to pull, and when time is over, the poller decides, whose own reference stands beside this one; here both are facts. What an answer
//! is worth, what becomes a revision, and what ends a session, is compared.

use crate::laws::{Around, Reference, Subject as _};
use crate::subjects::session::Subjected;
use idv_core::evidence::{Callback, ContentDigest, Evidence, Outcome, Report, Verdict};
use idv_core::machine::{Cx, Disposition, Machine as _};
use idv_core::session::{Action, End, EvidencePolicy, Input, Policy, Revision, Session};
use idv_core::time::Instant;
use proptest::prelude::*;

/// A place in the order of all that happened.
type Place = u32;

/// All that happened to one verification.
#[derive(Debug)]
pub struct Log {
    /// Where things stand now.
    place: Place,
    /// Where pull 1, 2, 3, … was sent.
    pulls: Vec<Place>,
    /// Where evidence was adopted last.
    adopted: Option<Place>,
    /// Where the latest hint came that no answer has satisfied.
    hinted: Option<Place>,
    /// A change signal came, and no answer to a pull after it has shown anything new.
    signalled: bool,
    newest: Option<(Verdict, ContentDigest)>,
    revisions: Vec<Revision>,
    /// How many of them the application has taken, or never will.
    done: usize,
    settled: bool,
    ended: Option<End>,
    /// How it ended before it was reopened.
    had_ended: Option<End>,
}

/// What the input asks the application and the store to do.
#[derive(Default)]
struct Asked(Vec<Action>);

impl Log {
    /// What the application has not confirmed yet.
    fn awaited(&self) -> Option<Revision> {
        self.revisions.get(self.done).copied()
    }

    /// The newest verdict becomes a revision if it differs from the latest one, and none is awaited (R5, R6).
    fn issue(&mut self, evidence: Evidence, asked: &mut Asked) {
        let Some((verdict, content)) = self.newest else { return };
        let latest = self.revisions.last().map(|revision| (revision.verdict, revision.content));
        if self.awaited().is_some() || latest == self.newest {
            return;
        }
        let revision = Revision {
            number: u32::try_from(self.revisions.len() + 1).unwrap_or(u32::MAX),
            verdict,
            content,
            evidence,
            data_changed: evidence == Evidence::Pulled && latest.map(|(verdict, _)| verdict) == Some(verdict),
        };
        self.revisions.push(revision);
        asked.0.push(Action::HandOver(revision));
    }

    /// Evidence: nothing that was sent before it may overrule it (R1). Says whether it shows anything new.
    fn adopt(
        &mut self,
        report: Option<Report>,
        evidence: Evidence,
        reopened: bool,
        asked: &mut Asked,
    ) -> bool {
        self.adopted = Some(self.place);
        let stated = report.and_then(|report| Some((report.verdict?, report.content)));
        let Some((verdict, content)) = stated else { return false };
        let news = self.newest != stated;
        if news {
            self.newest = stated;
            asked.0.push(Action::Keep { content });
        }
        self.issue(evidence, asked);
        if verdict == Verdict::Deleted {
            self.ended = Some(End::Deleted);
            asked.0.push(Action::Ended { end: End::Deleted, unconfirmed: false });
        } else if verdict != Verdict::ReviewPending && (!reopened || news) {
            self.settled = true;
        } else if reopened && news {
            self.settled = false;
        }
        news
    }

    /// How it ends when time is over: reopened in vain, as it had ended.
    fn end_by_time(&self, machine: &Session) -> End {
        let anew = if self.settled { End::Watched } else { End::Expired };
        if machine.is_reopened() { self.had_ended.unwrap_or(anew) } else { anew }
    }

    fn says(&self, end: End) -> Action {
        Action::Ended { end, unconfirmed: self.hinted.is_some() }
    }

    fn hint(&mut self) {
        self.hinted = Some(self.place);
    }

    fn pulled(&mut self, op: u32, outcome: Outcome, reopened: bool, asked: &mut Asked) -> Disposition {
        let Some(sent) = op.checked_sub(1).and_then(|before| self.pulls.get(before as usize)).copied() else {
            return Disposition::Illegal;
        };
        let report = match outcome {
            _ if self.ended.is_some() => return Disposition::Stale,
            Outcome::Report(report) => Some(report),
            Outcome::NotReady(_) => None,
            // The poller's affair: whether it was awaited is not known here.
            Outcome::Refused | Outcome::Failed(_) => return Disposition::NoOp,
        };
        if self.adopted.is_some_and(|adopted| sent <= adopted) {
            self.hint();
            return Disposition::Applied;
        }
        // What a hint demands is satisfied by an answer that was asked for after it (R3).
        let satisfies = self.hinted.is_none_or(|hinted| sent > hinted);
        let news = self.adopt(report, Evidence::Pulled, reopened, asked);
        if satisfies {
            self.hinted = None;
            self.signalled &= !news;
        }
        Disposition::Applied
    }

    /// What became of the input, and what else it may be.
    fn take_in(
        &mut self,
        policy: &Policy,
        input: Input,
        reopened: bool,
        asked: &mut Asked,
    ) -> [Disposition; 2] {
        let only = |disposition| [disposition, disposition];
        let unless_over = only(if self.ended.is_some() { Disposition::NoOp } else { Disposition::Applied });
        match input {
            // When a pull is wanted, and when time has passed, the poller knows.
            Input::Tick | Input::Granted => [Disposition::NoOp, Disposition::Applied],
            Input::Pulled { outcome: Outcome::Refused | Outcome::Failed(_), op }
                if self.ended.is_none() && op > 0 && op as usize <= self.pulls.len() =>
            {
                [Disposition::Stale, Disposition::Applied]
            }
            Input::Pulled { op, outcome } => only(self.pulled(op, outcome, reopened, asked)),
            Input::Created(report) => {
                if self.ended.is_none() && self.pulls.is_empty() && self.newest.is_none() {
                    self.adopt(Some(report), Evidence::Pulled, reopened, asked);
                } else if self.ended.is_none() {
                    self.hint();
                }
                unless_over
            }
            Input::Callback(callback) => {
                let was_over = self.ended.is_some();
                let vouched =
                    matches!(callback, Callback::Signed(_) | Callback::SignedHint | Callback::SignedSignal);
                self.signalled |= callback == Callback::SignedSignal || (vouched && (was_over || reopened));
                self.ended = None;
                if let Callback::Signed(report) = callback
                    && policy.evidence == EvidencePolicy::TrustSigned
                    && self.newest.is_none()
                    && report.verdict.is_some()
                {
                    self.adopt(Some(report), Evidence::Signed, was_over || reopened, asked);
                }
                if self.ended.is_none() {
                    self.hint();
                }
                only(Disposition::Applied)
            }
            Input::Hint(_) => {
                if self.ended.is_none() {
                    self.hint();
                }
                unless_over
            }
            Input::HandedOver { revision } | Input::DeadLettered { revision } => {
                let (number, issued) = (revision as usize, self.revisions.len());
                only(if number == 0 || number > issued {
                    Disposition::Illegal
                } else if number < issued {
                    Disposition::Stale
                } else if number == self.done {
                    Disposition::NoOp
                } else {
                    self.done = number;
                    self.issue(Evidence::Pulled, asked);
                    Disposition::Applied
                })
            }
            Input::CredentialsRefused | Input::Cancel => {
                if self.ended.is_none() {
                    let end = if input == Input::Cancel { End::Cancelled } else { End::Refused };
                    self.ended = Some(end);
                    asked.0.push(self.says(end));
                }
                unless_over
            }
            Input::OpenedAgain => {
                if self.ended.is_some() || reopened {
                    self.settled = self.newest.is_some_and(|(verdict, _)| verdict != Verdict::ReviewPending);
                }
                self.ended = None;
                self.hint();
                only(Disposition::Applied)
            }
            Input::Restored => only(Disposition::Applied),
        }
    }
}

impl Reference<Subjected> for Log {
    type Rules = Policy;

    fn rules() -> BoxedStrategy<(Policy, Policy)> {
        Subjected::policies().prop_map(|policy| (policy, policy)).boxed()
    }

    fn start(_: &Policy, _: Instant) -> Self {
        Self {
            place: 0,
            pulls: Vec::new(),
            adopted: None,
            hinted: None,
            signalled: false,
            newest: None,
            revisions: Vec::new(),
            done: 0,
            settled: false,
            ended: None,
            had_ended: None,
        }
    }

    fn follow(
        &mut self,
        policy: &Policy,
        cx: Cx<'_, Policy>,
        input: Input,
        machines: Around<'_, Subjected>,
    ) -> Result<(), TestCaseError> {
        self.place += 1;
        let (after, mut expected) = (machines.after, Asked::default());
        let did: Vec<Action> = machines.step.actions.into_iter().collect();

        // What time alone does, comes first.
        let mut ticked = *machines.before;
        let tick: Vec<Action> = ticked.step(cx, Input::Tick).actions.into_iter().collect();
        if self.ended.is_none() && ticked.end().is_some() {
            self.ended = Some(self.end_by_time(machines.before));
            self.had_ended = self.ended;
            expected.0.extend(self.ended.map(|end| self.says(end)));
            prop_assert!(tick.ends_with(&expected.0), "{tick:?} of time, not {:?}", expected.0);
        }

        let dispositions = self.take_in(policy, input, ticked.is_reopened(), &mut expected);
        let became = machines.step.disposition;
        prop_assert!(dispositions.contains(&became), "{became:?}, not one of {dispositions:?}");

        // An answer, a refusal, a restore may be what the end had waited for.
        if self.ended.is_none() && after.end().is_some() {
            let refused = matches!(input, Input::Pulled { outcome: Outcome::Refused, .. });
            let end = if refused && after.end() == Some(End::Refused) {
                End::Refused
            } else {
                self.end_by_time(&ticked)
            };
            self.ended = Some(end);
            expected.0.push(self.says(end));
        }
        if input == Input::Restored {
            expected.0.extend(self.awaited().map(Action::HandOver));
        }
        self.had_ended = self.ended.or(self.had_ended);

        let about_pulls = |action: &Action| matches!(action, Action::Ask { .. } | Action::Pull { .. });
        let said: Vec<Action> = did.iter().copied().filter(|action| !about_pulls(action)).collect();
        prop_assert_eq!(said, expected.0, "the reference says something else");
        for action in did {
            if let Action::Pull { op, .. } = action {
                self.pulls.push(self.place);
                prop_assert_eq!(op as usize, self.pulls.len(), "pulls are numbered one after the other");
            }
        }
        if self.ended.is_none() && after.poller().is_demanded() && self.hinted.is_none() {
            prop_assert!(self.signalled, "R9: a further pull is demanded, and nothing signalled a change");
            self.hint();
        }

        prop_assert_eq!(after.end(), self.ended);
        prop_assert_eq!(after.verdict().zip(after.content()), self.newest);
        let latest = self.revisions.last().map(|latest| (latest.number, latest.verdict, latest.content));
        prop_assert_eq!(after.last_revision(), latest);
        prop_assert_eq!(after.awaiting_hand_over(), self.awaited());
        prop_assert_eq!(after.is_over(), self.ended.is_some() && self.awaited().is_none());
        if self.ended.is_none() {
            prop_assert_eq!(
                after.poller().is_demanded(),
                self.hinted.is_some(),
                "R3: a hint is open, or none is"
            );
            if !after.is_reopened() {
                prop_assert_eq!((after.is_settled(), after.is_open()), (self.settled, !self.settled));
            }
        }
        Ok(())
    }
}
