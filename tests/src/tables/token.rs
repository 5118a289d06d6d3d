use super::{Tabled, Way};
use crate::laws::Seen;
use crate::subjects::token::Subjected;
use idv_core::time::Span;
use idv_core::token::{Action, Input, Policy};

impl Tabled for Subjected {
    fn ways() -> Vec<Way<Self>> {
        use Input::{Granted, Reset, Tick, Wanted};
        let (Ok(reusable), Ok(single_use)) =
            (Policy::reusable(Span::mins(10)).build(), Policy::single_use(Span::mins(10)).build())
        else {
            return Vec::new();
        };
        let failed = |op| Input::Failed { op, retry_after: None };
        let received = |op| Input::Received { op, ttl: None };
        let refused = |op| Input::Refused { op };
        let rejected = |generation| Input::Rejected { generation };
        // The second request, so that there is an older one.
        let again =
            |what, policy| Way::new(what, policy, [Wanted, Granted, failed(1)]).after(1_000, [Tick, Granted]);
        let valid = |what, policy| again(what, policy).after(0, [received(2)]);
        vec![
            Way::new("nobody wants a token", &reusable, []),
            Way::new("none is needed", &Policy::not_needed(), []),
            valid("a 401 ended the last one", &reusable).after(0, [rejected(2)]),
            valid("a 401 ended the last one, which another 401 had caused", &reusable)
                .after(0, [rejected(2), Wanted, Granted, received(3), rejected(3)]),
            Way::new("wanted", &reusable, [Wanted]),
            Way::new("the first request", &reusable, [Wanted, Granted]),
            again("a request after a failure", &reusable),
            again("5 s after it was sent", &reusable).after(5_000, [Tick]),
            Way::new("refused twice already", &reusable, [Wanted, Granted, refused(1)])
                .after(1_000, [Tick, Granted, refused(2)])
                .after(2_000, [Tick, Granted]),
            again("the credentials were replaced", &reusable).after(0, [Reset]),
            valid("good for many pulls", &reusable),
            valid("good for one pull", &single_use),
            valid("within the safety margin", &reusable).after(570_000, [Tick]),
            again("after two failures", &reusable).after(0, [failed(2)]),
            Way::new("refused for good", &reusable, [Wanted, Granted, refused(1)])
                .after(1_000, [Tick, Granted, refused(2)])
                .after(2_000, [Tick, Granted, refused(3)]),
        ]
    }

    fn inputs(seen: &Seen<'_, Self>) -> Vec<Input> {
        let requests = seen.asked.iter().filter(|action| matches!(action, Action::Request { .. })).count();
        let newest = u32::try_from(requests).unwrap_or(u32::MAX);
        // As long as the safety margin, 5 s longer, and long.
        let (short, brief, long) = (Some(Span::secs(30)), Some(Span::secs(35)), Some(Span::mins(2)));
        let mut inputs = vec![Input::Tick, Input::Wanted, Input::Granted];
        if newest > 0 {
            inputs.extend([None, short, brief, long].map(|ttl| Input::Received { op: newest, ttl }));
            inputs.extend([None, long].map(|retry_after| Input::Failed { op: newest, retry_after }));
            inputs.push(Input::Refused { op: newest });
            inputs.extend([Input::Rejected { generation: newest }, Input::Taken { generation: newest }]);
        }
        let others = if newest > 1 { vec![newest - 1, newest + 1] } else { vec![newest + 1] };
        for op in others {
            inputs.extend([
                Input::Received { op, ttl: None },
                Input::Failed { op, retry_after: None },
                Input::Refused { op },
                Input::Rejected { generation: op },
                Input::Taken { generation: op },
            ]);
        }
        inputs.push(Input::Reset);
        inputs
    }
}
