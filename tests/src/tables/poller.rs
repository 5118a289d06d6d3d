use super::{Tabled, Way};
use crate::laws::Seen;
use crate::subjects::poller::Subjected;
use idv_core::backoff::Backoff;
use idv_core::poller::{Builder, Class, Input, Policy, Then};
use idv_core::time::Span;

/// A pull every 20 s at most every 5 s, given up 11 s after it was sent.
pub(super) const fn policy(deadline: Span) -> Builder {
    Policy::builder(Span::secs(5), deadline)
        .interval(Span::secs(20))
        .backoff(Backoff { first: Span::secs(8), most: Span::mins(2), jitter_percent: 0 })
        .watch(Some(Span::hours(1)))
}

impl Tabled for Subjected {
    fn ways() -> Vec<Way<Self>> {
        use Input::{Granted, Settled, Stop, Tick};
        let (long, short) = (policy(Span::mins(10)), policy(Span::secs(30)));
        let (Ok(long), Ok(short), Ok(unaudited)) = (long.build(), short.build(), long.audit(None).build())
        else {
            return Vec::new();
        };
        let hint = |class| Input::Hint { class, signal: false };
        let signal = Input::Hint { class: Class::Confirming, signal: true };
        let answered = |op, then| Input::Answered { op, then };
        let (rest, watch) = (Then::Rest { news: false }, Then::Watch { news: true });
        let refused = |op| Input::Refused { op };
        let failed = |op| Input::Failed { op, retry_after: None };
        let sent = |what, policy| Way::new(what, policy, [Tick, Granted]);
        let given_up = |what, policy| sent(what, policy).after(11_000, [Tick]);
        vec![
            Way::new("the first pull is due", &long, []),
            sent("the routine", &long).after(0, [answered(1, rest)]),
            sent("demanded, within the cadence", &long)
                .after(0, [hint(Class::Confirming), answered(1, Then::Demand { news: false })]),
            sent("after a failure", &long).after(0, [failed(1)]),
            given_up("given up, and may be answered late", &long),
            sent("after a refusal", &long).after(0, [refused(1)]),
            sent("a change signal came to nothing", &long).after(0, [signal, answered(1, rest)]),
            sent("a change signal came to nothing twice, and a hint brought the third pull forward", &long)
                .after(0, [signal, answered(1, rest)])
                .after(10_000, [Tick, Granted, answered(2, rest), hint(Class::Confirming)]),
            sent("watched, until the audit", &long).after(0, [answered(1, watch)]),
            given_up("watched without audits, a late answer may come", &unaudited).after(0, [Settled]),
            given_up("demanded, and past the deadline", &short)
                .after(7_000, [hint(Class::Confirming)])
                .after(1_000, [Tick, Granted])
                .after(12_000, [Tick]),
            Way::new("the first pull", &long, [Tick]),
            Way::new("demanded", &long, [Tick, hint(Class::Confirming)]),
            sent("demanded, and the last demand showed nothing new", &long)
                .after(0, [hint(Class::Confirming), answered(1, rest), hint(Class::Confirming)])
                .after(5_000, [Tick]),
            given_up("again, and the last one may be answered late", &long).after(8_000, [Tick]),
            given_up("past the deadline, demanded, and the last one may be answered late", &short)
                .after(7_000, [hint(Class::Confirming)])
                .after(1_000, [Tick, Granted])
                .after(11_000, [Tick])
                .after(20_000, [Tick]),
            given_up("watched without audits, and a late answer may come", &unaudited)
                .after(0, [Settled])
                .after(8_000, [Tick]),
            sent("the first one", &long),
            sent("the first one, without audits", &unaudited),
            sent("demanded since it was sent", &long).after(0, [hint(Class::Confirming)]),
            given_up("again, and the last one may be answered late", &long).after(8_000, [Tick, Granted]),
            sent("after a refusal", &long).after(0, [refused(1)]).after(5_000, [Tick, Granted]),
            Way::new("past the deadline", &short, [Tick]).after(29_000, [Granted]).after(2_000, [Tick]),
            sent("watched without audits", &unaudited).after(0, [answered(1, watch)]),
            sent("within the cadence no longer, watched without audits", &unaudited)
                .after(0, [answered(1, watch)])
                .after(5_000, [Tick]),
            Way::new("stopped", &long, [Tick, Granted, Stop]),
        ]
    }

    fn inputs(seen: &Seen<'_, Self>) -> Vec<Input> {
        let newest = seen.machine.last_op();
        let long = Some(Span::mins(5));
        let mut inputs = vec![Input::Tick, Input::Granted];
        for class in [Class::Confirming, Class::Routine, Class::Audit] {
            inputs.push(Input::Hint { class, signal: false });
        }
        inputs.push(Input::Hint { class: Class::Confirming, signal: true });
        if newest > 0 {
            for news in [false, true] {
                let then = [Then::Demand { news }, Then::Rest { news }, Then::Watch { news }];
                inputs.extend(then.map(|then| Input::Answered { op: newest, then }));
            }
            inputs.extend([None, long].map(|retry_after| Input::Failed { op: newest, retry_after }));
            inputs.push(Input::Refused { op: newest });
        }
        let others = if newest > 1 { vec![newest - 1, newest + 1] } else { vec![newest + 1] };
        for op in others {
            inputs.extend([
                Input::Answered { op, then: Then::Rest { news: false } },
                Input::Failed { op, retry_after: None },
                Input::Refused { op },
            ]);
        }
        inputs.extend([Input::Settled, Input::Stop, Input::Restored]);
        inputs
    }
}
