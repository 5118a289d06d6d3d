use super::{Tabled, Way};
use crate::laws::Seen;
use crate::subjects::delivery::Subjected;
use idv_core::delivery::{Action, Cause, Input, Policy, Schedule, Success};
use idv_core::time::Span;

impl Tabled for Subjected {
    fn ways() -> Vec<Way<Self>> {
        let policy = |success| Policy {
            timeout: Span::secs(3),
            success,
            schedule: Schedule::of([Span::mins(5), Span::hours(1)]),
            jitter_percent: 0,
        };
        let (exactly, any) = (policy(Success::Exactly200), policy(Success::Any2xx));
        let answered = |attempt, status| Input::Answered { attempt, status };
        let again =
            |what| Way::new(what, &exactly, [Input::Tick, answered(1, 503)]).after(300_000, [Input::Tick]);
        vec![
            Way::new("nothing was sent", &exactly, []),
            Way::new("the first attempt", &exactly, [Input::Tick]),
            Way::new("the first attempt, any 2xx will do", &any, [Input::Tick]),
            Way::new("the first attempt failed", &exactly, [Input::Tick, answered(1, 503)]),
            again("the second attempt"),
            again("the last attempt").after(0, [answered(2, 503)]).after(3_600_000, [Input::Tick]),
            again("at the second attempt").after(0, [answered(2, 200)]),
            again("all attempts failed")
                .after(0, [answered(2, 503)])
                .after(3_600_000, [Input::Tick])
                .after(0, [answered(3, 503)]),
            again("called off").after(0, [Input::Cancel]),
        ]
    }

    fn inputs(seen: &Seen<'_, Self>) -> Vec<Input> {
        let made = seen.asked.iter().filter(|action| matches!(action, Action::Post { .. })).count();
        let newest = u8::try_from(made).unwrap_or(u8::MAX);
        let answered = |attempt, status| Input::Answered { attempt, status };
        let failed = |attempt| Input::Failed { attempt, cause: Cause::Unreachable };
        let mut inputs = vec![Input::Tick];
        if newest > 0 {
            inputs.extend([200, 202, 404, 503].map(|status| answered(newest, status)));
            inputs.push(failed(newest));
        }
        inputs.extend([answered(newest + 1, 200), failed(newest + 1)]);
        if newest > 1 {
            inputs.extend([answered(newest - 1, 200), failed(newest - 1)]);
        }
        inputs.push(Input::Cancel);
        inputs
    }
}
