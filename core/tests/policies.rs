//! Which rules the builders accept, against the same conditions in one line each, with numbers so small that every bound is met.
#![allow(clippy::unwrap_used)]

use idv_core::backoff::Backoff;
use idv_core::time::Span;
use idv_core::{budget, delivery, poller, receipt, token};
use proptest::prelude::*;

fn few() -> impl Strategy<Value = u32> {
    1..7_u32
}

fn span(millis: u32) -> Span {
    Span::millis(millis)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4 * ProptestConfig::default().cases, ..ProptestConfig::default() })]

    #[test]
    fn g6_r12_a_poller_is_accepted_iff_it_pulls_twice_and_can_finish(
        (cadence, interval, deadline) in (few(), prop::option::of(few()), few()),
        (call_timeout, lateness, budget_wait) in (few(), few(), few()),
        (first, most) in (few(), few()),
        more in prop::option::of(-2..3_i64),
        watch in prop::option::of(few()),
    ) {
        let needed = 2 * (call_timeout + lateness) + cadence + budget_wait;
        let grace = more.map(|more| u32::try_from(i64::from(needed) + more).unwrap());
        let mut builder = poller::Policy::builder(span(cadence), span(deadline))
            .call_timeout(span(call_timeout))
            .lateness(span(lateness))
            .budget_wait(span(budget_wait))
            .backoff(Backoff { first: span(first), most: span(most), jitter_percent: 0 })
            .watch(watch.map(span));
        if let Some(interval) = interval {
            builder = builder.interval(span(interval));
        }
        if let Some(grace) = grace {
            builder = builder.grace(span(grace));
        }
        let (interval, grace) = (interval.unwrap_or(cadence), grace.unwrap_or(needed));
        let acceptable = interval >= cadence && deadline > interval && first <= most && grace >= needed;
        let built = builder.build();
        prop_assert_eq!(built.is_ok(), acceptable, "{:?}", built);
        if let Ok(policy) = built {
            let said = [policy.cadence(), policy.interval(), policy.deadline(), policy.grace(), policy.patience()];
            prop_assert_eq!(said.map(Span::as_millis), [cadence, interval, deadline, grace, call_timeout + lateness]);
            prop_assert_eq!(policy.watch(), watch.map(span));
            let longer = policy.with_watch(Some(span(99)));
            prop_assert_eq!(longer.watch(), Some(span(99)));
            prop_assert_eq!(longer.with_watch(watch.map(span)), policy, "nothing else changes");
        }
    }

    #[test]
    fn r14_a_token_is_accepted_iff_it_can_arrive_before_it_may_no_longer_be_used(
        (ttl, margin, call_timeout, lateness) in (1..20_u32, few(), few(), few()),
        (first, most, refusals) in (few(), few(), 0..3_u8),
        single_use in any::<bool>(),
    ) {
        let builder = if single_use { token::Policy::single_use(span(ttl)) } else { token::Policy::reusable(span(ttl)) };
        let built = builder
            .margin(span(margin))
            .call_timeout(span(call_timeout))
            .lateness(span(lateness))
            .backoff(Backoff { first: span(first), most: span(most), jitter_percent: 0 })
            .refusals(refusals)
            .build();
        let acceptable = margin + call_timeout + lateness < ttl && first <= most && refusals > 0;
        prop_assert_eq!(built.is_ok(), acceptable, "{:?}", built);
        if let Ok(policy) = built {
            let said = [policy.ttl(), policy.margin(), policy.patience()];
            prop_assert_eq!(said.map(Span::as_millis), [ttl, margin, call_timeout + lateness]);
            let mode = if single_use { token::Mode::SingleUse } else { token::Mode::Reusable };
            prop_assert_eq!(policy.mode(), mode);
        }
    }

    #[test]
    fn r13_a_budget_is_accepted_iff_something_is_left_of_the_window(calls in 0..6_u32, burst in 0..6_u32, window in few()) {
        let built = budget::Policy::per_window(calls, span(window), burst);
        let acceptable = burst > 0 && (calls > burst || (calls, burst) == (1, 1));
        prop_assert_eq!(built.is_ok(), acceptable, "{:?}", built);
        if let Ok(policy) = built {
            prop_assert_eq!(policy.close_cap(), budget::Policy::DEFAULT_CLOSE_CAP);
            let capped = policy.with_close_cap(span(9));
            prop_assert_eq!((capped.close_cap(), capped.interval()), (span(9), policy.interval()));
        }
    }

    #[test]
    fn g5_a_receipt_is_accepted_iff_it_answers_before_the_provider_gives_up(
        body_cap in 0..3_u64,
        answer_within in prop::option::of(few()),
        provider_waits in few(),
    ) {
        let mut builder = receipt::Policy::builder(body_cap).provider_waits(span(provider_waits));
        if let Some(answer_within) = answer_within {
            builder = builder.answer_within(span(answer_within));
        }
        let answer_within = answer_within.unwrap_or(provider_waits - provider_waits / 6);
        let built = builder.build();
        prop_assert_eq!(built.is_ok(), body_cap > 0 && answer_within < provider_waits, "{:?}", built);
        if let Ok(policy) = built {
            prop_assert_eq!((policy.body_cap(), policy.answer_within()), (body_cap, span(answer_within)));
        }
    }

    #[test]
    fn a_schedule_is_accepted_iff_it_has_1_to_16_attempts(attempts in 0..20_u8) {
        let every = delivery::Schedule::every(span(5), attempts);
        prop_assert_eq!(every.is_ok(), (1..=delivery::MOST_ATTEMPTS).contains(&attempts));
        let waits = vec![span(5); usize::from(attempts)];
        let own = delivery::Schedule::own(&waits);
        prop_assert_eq!(own.is_ok(), attempts < delivery::MOST_ATTEMPTS);
        if let (Ok(every), Ok(own)) = (every, own) {
            prop_assert_eq!((every.attempts(), own.attempts()), (attempts, attempts + 1));
            prop_assert!(every.waits().eq(waits.iter().copied().skip(1)) && own.waits().eq(waits));
        }
    }
}
