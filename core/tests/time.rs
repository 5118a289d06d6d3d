//! Instants and spans against plain numbers that are brought back between their bounds at the end; and the waits made of them.
#![allow(clippy::unwrap_used)]

use idv_core::backoff::Backoff;
use idv_core::time::{Instant, Span};
use proptest::prelude::*;
use std::time::Duration;

fn millis() -> impl Strategy<Value = u64> {
    prop_oneof![0..50_u64, any::<u64>(), (0..50_u64).prop_map(|before| u64::MAX - before)]
}

fn short() -> impl Strategy<Value = u32> {
    prop_oneof![0..50_u32, any::<u32>(), (0..50_u32).prop_map(|before| u32::MAX - before)]
}

/// What an instant shows of a number that may lie beyond its bounds.
fn instant(millis: i128) -> u64 {
    millis.clamp(1, i128::from(u64::MAX)) as u64
}

/// What a span shows of one.
fn span(millis: i128) -> u32 {
    millis.clamp(1, i128::from(u32::MAX)) as u32
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4 * ProptestConfig::default().cases, ..ProptestConfig::default() })]

    #[test]
    fn g8_instants_are_numbers_that_stop_at_their_ends(at in millis(), other in millis(), by in short(), shift in any::<i64>()) {
        let (moment, later, wait) = (Instant::from_millis(at), Instant::from_millis(other), Span::millis(by));
        let (at, other, by, long) = (i128::from(at.max(1)), i128::from(other.max(1)), i128::from(by), i128::from(by.max(1)));
        prop_assert_eq!(moment.as_millis(), instant(at));
        prop_assert_eq!(moment.after(wait).as_millis(), instant(at + long));
        prop_assert_eq!(moment.before(wait).as_millis(), instant(at - long));
        prop_assert_eq!(moment.before_millis(by as u32).as_millis(), instant(at - by));
        prop_assert_eq!(moment.shifted(shift).as_millis(), instant(at + i128::from(shift)));
        prop_assert_eq!(i128::from(moment.since(later)), (at - other).max(0));
        let until = (other > at).then(|| span(other - at));
        prop_assert_eq!(moment.until(later).map(Span::as_millis), until);
        let near = moment.after(wait);
        prop_assert_eq!(moment.until(near).map(Span::as_millis), (near > moment).then(|| span(i128::from(near.as_millis()) - at)));
    }

    #[test]
    fn g8_spans_are_numbers_that_stop_at_their_ends(of in short(), other in short(), times in short(), long in any::<u64>()) {
        let (wait, more) = (Span::millis(of), Span::millis(other));
        prop_assert_eq!(Span::from_millis(of).is_some(), of > 0);
        let (of, other) = (i128::from(of.max(1)), i128::from(other.max(1)));
        prop_assert_eq!(i128::from(wait.as_millis()), of);
        prop_assert_eq!(wait.plus(more).as_millis(), span(of + other));
        prop_assert_eq!(wait.times(times).as_millis(), span(of * i128::from(times)));
        for (made, unit) in [(Span::secs(times), 1_000), (Span::mins(times), 60_000), (Span::hours(times), 3_600_000)] {
            prop_assert_eq!(made.as_millis(), span(i128::from(times) * unit));
        }
        prop_assert_eq!(Span::saturating_from(Duration::from_millis(long)).as_millis(), span(i128::from(long)));
        prop_assert_eq!(Span::saturating_from(wait.as_duration()), wait);
    }

    #[test]
    fn g7_a_wait_is_lengthened_by_its_share_at_most_and_doubled_up_to_the_longest(
        first in short(),
        most in short(),
        jitter_percent in 0..=255_u8,
        failures in any::<u8>(),
        entropy in prop_oneof![Just(0), Just(u32::MAX), any::<u32>()],
    ) {
        let (first, most) = (Span::millis(first.min(most)), Span::millis(most));
        let backoff = Backoff { first, most, jitter_percent };
        let doubled = i128::from(first.as_millis()) << failures.saturating_sub(1).min(40);
        let plain = i128::from(span(doubled.min(i128::from(most.as_millis()))));
        let share = plain * i128::from(jitter_percent) / 100;
        let delay = backoff.delay(failures, entropy);
        prop_assert_eq!(delay.as_millis(), span(plain + (((share + 1) * i128::from(entropy)) >> 32)));
        prop_assert_eq!(backoff.delay(failures, 0).as_millis(), span(plain));
        prop_assert_eq!(backoff.delay(failures, u32::MAX).as_millis(), span(plain + share));
        prop_assert!(delay <= backoff.longest());
    }
}
