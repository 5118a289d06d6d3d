//! One verification.

use super::poller;
use crate::laws::{Draw, Seen, Subject};
use idv_core::evidence::{Callback, ContentDigest, Fault, FaultKind, NotReady, Outcome, Report, Verdict};
use idv_core::machine::{Cx, Machine as _};
use idv_core::session::{Action, EvidencePolicy, Input, Policy, Session};
use idv_core::time::Instant;
use proptest::prelude::*;

/// See [`Session`].
#[derive(Debug)]
pub struct Subjected;

/// Few verdicts and contents, so that repetition and reversal come up.
fn report(draw: &mut Draw) -> Report {
    use Verdict::{Accepted, Cancelled, Declined, Deleted, ReviewPending, TimedOut};
    let verdict = match draw.below(12) {
        0..=2 => Some(Accepted),
        3..=5 => Some(Declined),
        6 => Some(ReviewPending),
        7 => draw.one_of(&[Cancelled, TimedOut]),
        8 if draw.chance(1, 2) => Some(Deleted),
        _ => None,
    };
    Report { verdict, content: ContentDigest(u64::from(draw.below(2))) }
}

fn outcome(draw: &mut Draw) -> Outcome {
    match draw.below(10) {
        0 | 1 => Outcome::NotReady(NotReady::Documented),
        2 => Outcome::Refused,
        3 | 4 => {
            Outcome::Failed(Fault { kind: FaultKind::ServerError, retry_after: super::retry_after(draw) })
        }
        _ => Outcome::Report(report(draw)),
    }
}

fn callback(draw: &mut Draw) -> Callback {
    match draw.below(7) {
        0 => Callback::SignedSignal,
        1 => Callback::Unsigned,
        2 => Callback::WrongSignature,
        3 => Callback::SignedHint,
        _ => Callback::Signed(report(draw)),
    }
}

impl Subject for Subjected {
    type Machine = Session;

    fn policies() -> BoxedStrategy<Policy> {
        let evidence = prop_oneof![Just(EvidencePolicy::ConfirmByPull), Just(EvidencePolicy::TrustSigned)];
        (poller::policies(), evidence).prop_map(|(poller, evidence)| Policy { poller, evidence }).boxed()
    }

    fn start(policy: &Policy, now: Instant, _: &mut Draw) -> Session {
        Session::new(Cx::new(now, policy, 0))
    }

    fn input(seen: &Seen<'_, Self>, draw: &mut Draw) -> Input {
        let op = seen.op(draw, |action| match action {
            Action::Pull { op, .. } => Some(*op),
            Action::Ask { .. } | Action::Keep { .. } | Action::HandOver(_) | Action::Ended { .. } => None,
        });
        let revision = seen.op(draw, |action| match action {
            Action::HandOver(revision) => Some(revision.number),
            Action::Ask { .. } | Action::Keep { .. } | Action::Pull { .. } | Action::Ended { .. } => None,
        });
        // A third of the inputs complete what is outstanding, so that runs get somewhere.
        let outstanding: Vec<Action> = seen.machine.outstanding(seen.policy).into_iter().collect();
        if draw.chance(1, 3)
            && let Some(action) = draw.one_of(&outstanding)
        {
            match action {
                Action::Ask { .. } => return Input::Granted,
                Action::Pull { op, .. } => return Input::Pulled { op, outcome: outcome(draw) },
                Action::HandOver(revision) => return Input::HandedOver { revision: revision.number },
                Action::Keep { .. } | Action::Ended { .. } => {}
            }
        }
        match draw.below(25) {
            0..=5 => Input::Tick,
            6 => Input::Granted,
            7..=10 => Input::Pulled { op, outcome: outcome(draw) },
            11 => Input::Created(report(draw)),
            12..=15 => Input::Callback(callback(draw)),
            16 => Input::Hint(poller::class(draw)),
            17..=19 => Input::HandedOver { revision },
            20 => Input::DeadLettered { revision },
            21 if draw.chance(1, 3) => Input::CredentialsRefused,
            22 if draw.chance(1, 3) => Input::Cancel,
            23 if draw.chance(1, 3) => Input::OpenedAgain,
            _ => Input::Restored,
        }
    }

    fn through_serde(machine: &Session) -> Result<Session, serde_json::Error> {
        super::json(machine)
    }
}
