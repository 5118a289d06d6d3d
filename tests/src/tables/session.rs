use super::poller::policy;
use super::{Tabled, Way, words};
use crate::laws::Seen;
use crate::subjects::session::Subjected;
use idv_core::evidence::{Callback, ContentDigest, Fault, FaultKind, NotReady, Outcome, Report, Verdict};
use idv_core::poller::Class;
use idv_core::session::{Action, Input, Policy};
use idv_core::time::Span;

/// A content for each verdict, and another one for some.
const fn says(verdict: Verdict) -> Report {
    Report { verdict: Some(verdict), content: ContentDigest(1) }
}

const fn says_otherwise(verdict: Verdict) -> Report {
    Report { verdict: Some(verdict), content: ContentDigest(2) }
}

const AT_WORK: Report = Report { verdict: None, content: ContentDigest(0) };

const fn pulled(op: u32, report: Report) -> Input {
    Input::Pulled { op, outcome: Outcome::Report(report) }
}

const fn signed(verdict: Verdict) -> Input {
    Input::Callback(Callback::Signed(says(verdict)))
}

impl Tabled for Subjected {
    fn ways() -> Vec<Way<Self>> {
        use Input::{Cancel, Granted, Tick};
        use Verdict::{Accepted, Declined, Deleted, ReviewPending};
        let (Ok(long), Ok(short)) = (policy(Span::mins(10)).build(), policy(Span::secs(30)).build()) else {
            return Vec::new();
        };
        let (confirm, trust) = (Policy::confirm_by_pull(long), Policy::trust_signed(long));
        let brief = Policy::confirm_by_pull(short);
        let handed_over = |revision| Input::HandedOver { revision };
        let not_ready = |op| Input::Pulled { op, outcome: Outcome::NotReady(NotReady::Documented) };
        let refused = |op| Input::Pulled { op, outcome: Outcome::Refused };
        let sent = |what, policy| Way::new(what, policy, [Tick, Granted]);
        let accepted = |what| sent(what, &confirm).after(0, [pulled(1, says(Accepted))]);
        let taken = |what| accepted(what).after(0, [handed_over(1)]);
        let signal = Input::Callback(Callback::SignedSignal);
        vec![
            Way::new("the first pull is due", &confirm, []),
            Way::new("the first pull waits for permission", &confirm, [Tick]),
            sent("the first pull", &confirm),
            sent("the first pull, signed verdicts are trusted", &trust),
            sent("the first pull, and a callback came since", &confirm).after(0, [signed(Accepted)]),
            sent("the provider has nothing yet", &confirm).after(0, [not_ready(1)]),
            sent("the credential was refused once", &confirm)
                .after(0, [refused(1)])
                .after(5_000, [Tick, Granted]),
            sent("the provider reviews", &confirm)
                .after(0, [pulled(1, says(ReviewPending)), handed_over(1)])
                .after(20_000, [Tick, Granted]),
            Way::new("a pull past the deadline", &brief, [Tick])
                .after(29_000, [Granted])
                .after(2_000, [Tick]),
            accepted("revision 1 is being handed over"),
            accepted("revision 1 is being handed over, and the verdict is another by now")
                .after(0, [signal])
                .after(5_000, [Tick, Granted, pulled(2, says_otherwise(Declined))]),
            taken("revision 1 is taken"),
            taken("a change was signalled, the second pull").after(0, [signal]).after(5_000, [Tick, Granted]),
            sent("settled by a signed verdict, the first pull", &trust)
                .after(0, [signed(Accepted), handed_over(1)]),
            Way::new("called off before any pull", &confirm, [Cancel]),
            Way::new("called off before any pull, signed verdicts are trusted", &trust, [Cancel]),
            Way::new("expired with nothing known", &brief, [Tick]).after(30_000, [Tick]),
            sent("deleted", &confirm).after(0, [pulled(1, says(Deleted)), handed_over(1)]),
            accepted("called off, revision 1 is being handed over").after(0, [Cancel]),
            taken("watched to the end").after(3_600_000, [Tick]),
            Way::new("for a claim, before any pull", &confirm, [Cancel, Input::Callback(Callback::Unsigned)]),
            Way::new(
                "for a claim, before any pull, signed verdicts are trusted",
                &trust,
                [Cancel, Input::Callback(Callback::Unsigned)],
            ),
            taken("for a claim, the second pull")
                .after(3_600_000, [Tick, Input::Callback(Callback::Unsigned), Granted]),
            taken("for a signed callback, the second pull")
                .after(3_600_000, [Tick, signed(Declined), Granted]),
            taken("for a signed callback, refused once")
                .after(3_600_000, [Tick, signed(Declined), Granted, refused(2)])
                .after(5_000, [Tick, Granted]),
        ]
    }

    fn inputs(seen: &Seen<'_, Self>) -> Vec<Input> {
        use Verdict::{Accepted, Cancelled, Declined, Deleted, ReviewPending, TimedOut};
        let newest = seen.machine.poller().last_op();
        let revision = seen.machine.last_revision().map_or(0, |(number, ..)| number);
        let fault = Fault { kind: FaultKind::ServerError, retry_after: None };
        let busy = Fault { kind: FaultKind::RateLimited, retry_after: Some(Span::mins(5)) };
        let mut inputs = vec![Input::Tick, Input::Granted];
        if newest > 0 {
            let outcomes =
                [Outcome::NotReady(NotReady::Documented), Outcome::Report(AT_WORK), Outcome::Refused];
            let reports = [Accepted, Declined, Cancelled, TimedOut, ReviewPending, Deleted];
            let faults = [Outcome::Failed(fault), Outcome::Failed(busy)];
            let outcomes = outcomes.into_iter().chain(faults);
            inputs.extend(outcomes.map(|outcome| Input::Pulled { op: newest, outcome }));
            inputs.extend(reports.map(|verdict| pulled(newest, says(verdict))));
            inputs.push(pulled(newest, says_otherwise(Accepted)));
        }
        if newest > 1 {
            inputs.push(pulled(newest - 1, says_otherwise(Accepted)));
        }
        inputs.push(pulled(newest + 1, says(Accepted)));
        inputs.extend([Accepted, ReviewPending, Deleted].map(|verdict| Input::Created(says(verdict))));
        inputs.extend([Accepted, Declined, ReviewPending, Deleted].map(signed));
        let callbacks =
            [Callback::SignedHint, Callback::SignedSignal, Callback::Unsigned, Callback::WrongSignature];
        inputs.extend(callbacks.map(Input::Callback));
        inputs.extend([Class::Confirming, Class::Routine, Class::Audit].map(Input::Hint));
        if revision > 0 {
            inputs.extend([Input::HandedOver { revision }, Input::DeadLettered { revision }]);
        }
        if revision > 1 {
            inputs.push(Input::HandedOver { revision: revision - 1 });
        }
        inputs.push(Input::HandedOver { revision: revision + 1 });
        inputs.extend([Input::CredentialsRefused, Input::OpenedAgain, Input::Cancel, Input::Restored]);
        inputs
    }

    fn input_words(input: &Input) -> String {
        match input {
            Input::Pulled { op, outcome } => format!("Pulled{{{op}: {}}}", outcome_in_words(*outcome)),
            Input::Created(report) => format!("Created({})", report_in_words(*report)),
            Input::Callback(Callback::Signed(report)) => {
                format!("Callback(Signed: {})", report_in_words(*report))
            }
            Input::Callback(
                Callback::SignedHint | Callback::SignedSignal | Callback::Unsigned | Callback::WrongSignature,
            )
            | Input::Tick
            | Input::Granted
            | Input::Hint(_)
            | Input::HandedOver { .. }
            | Input::DeadLettered { .. }
            | Input::CredentialsRefused
            | Input::OpenedAgain
            | Input::Cancel
            | Input::Restored => words(input),
        }
    }

    fn action_words(action: &Action) -> String {
        match action {
            Action::Keep { content } => format!("Keep({})", content.0),
            Action::HandOver(revision) => {
                let change = if revision.data_changed { ", other data" } else { "" };
                let report = Report { verdict: Some(revision.verdict), content: revision.content };
                let (number, report) = (revision.number, report_in_words(report));
                format!("HandOver{{{number}: {report}, {:?}{change}}}", revision.evidence)
            }
            Action::Ask { .. } | Action::Pull { .. } | Action::Ended { .. } => words(action),
        }
    }
}

/// A verdict, and the number that stands for its content.
fn report_in_words(report: Report) -> String {
    report.verdict.map_or_else(|| "at work".to_owned(), |verdict| format!("{verdict:?} {}", report.content.0))
}

fn outcome_in_words(outcome: Outcome) -> String {
    match outcome {
        Outcome::Report(report) => report_in_words(report),
        Outcome::Failed(Fault { kind, retry_after: Some(wait) }) => format!("{kind:?}, again in {wait:?}"),
        Outcome::Failed(Fault { kind, retry_after: None }) => format!("{kind:?}"),
        Outcome::NotReady(_) | Outcome::Refused => words(&outcome),
    }
}
