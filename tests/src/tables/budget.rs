use super::{Tabled, Way};
use crate::laws::Seen;
use crate::subjects::budget::{Rules, Subjected};
use idv_core::budget::Input;
use idv_core::time::Span;

impl Tabled for Subjected {
    fn ways() -> Vec<Way<Self>> {
        let rules = Rules { calls: 20, window: 60_000, burst: 3 };
        let Some(policy) = rules.policy() else { return Vec::new() };
        let close = |secs| Input::Close { span: Span::secs(secs) };
        vec![
            Way::new("nothing is used", &policy, []),
            Way::new(
                "nothing is used, and no wait is longer than 10 s",
                &policy.with_close_cap(Span::secs(10)),
                [],
            ),
            Way::new("all but one call of the burst is used", &policy, [Input::Take, Input::Take]),
            Way::new("the burst is used up", &policy, [Input::Take, Input::Take, Input::Take]),
            Way::new("the provider wants to be left alone", &policy, [close(30)]),
            Way::new("and the burst is used up", &policy, [Input::Take, Input::Take, Input::Take, close(30)]),
        ]
    }

    fn inputs(_: &Seen<'_, Self>) -> Vec<Input> {
        let close = |secs| Input::Close { span: Span::secs(secs) };
        vec![Input::Tick, Input::Take, close(1), close(60), close(86_400)]
    }
}
