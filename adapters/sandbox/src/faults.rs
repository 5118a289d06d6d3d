//! Which calls and callbacks are struck by a fault: decided by the seed and by what is struck, not by the order of events.

use crate::config::Faults;
use crate::scenario::AnswerFault;

/// What goes wrong with a callback.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CallbackFault {
    Lost,
    /// By so many seconds of the provider's time.
    Late(u64),
    /// After the one that follows it.
    Overtaken,
    Twice,
    /// Once more after so many seconds of the provider's time.
    Replayed(u64),
    /// Its first attempt is signed with another key.
    WrongKey,
    /// The answer to its first attempt is.
    AnswerLost,
}

impl Faults {
    /// Everything goes wrong equally often: so many of a hundred callbacks, answers and tokens.
    #[must_use]
    pub fn rate(seed: u64, percent: u8) -> Self {
        Self {
            seed,
            callback_percent: percent,
            answer_percent: percent,
            token_percent: percent,
            ..Self::default()
        }
    }

    /// What strikes the `n`-th callback of a verification.
    pub(crate) fn callback(&self, id: &str, n: u64) -> Option<CallbackFault> {
        let entropy = self.struck("callback", id, n, self.callback_percent)?;
        Some(match entropy % 7 {
            0 => CallbackFault::Lost,
            1 => CallbackFault::Late(1 + entropy / 7 % 600),
            2 => CallbackFault::Overtaken,
            3 => CallbackFault::Twice,
            4 => CallbackFault::Replayed(1 + entropy / 7 % 3_600),
            5 => CallbackFault::WrongKey,
            _ => CallbackFault::AnswerLost,
        })
    }

    /// What strikes the `n`-th answer of a kind.
    pub(crate) fn answer(&self, kind: &str, n: u64) -> Option<AnswerFault> {
        let entropy = self.struck("answer", kind, n, self.answer_percent)?;
        Some(match entropy % 6 {
            0 => AnswerFault::SlowBody,
            1 => AnswerFault::Html524,
            2 => AnswerFault::ServerError,
            3 => AnswerFault::Truncated,
            4 => AnswerFault::Reset,
            _ => AnswerFault::Lost,
        })
    }

    /// Which share of its life, in per cent, the `n`-th token lives; `None` for all of it.
    pub(crate) fn token(&self, kind: &str, n: u64) -> Option<u32> {
        let entropy = self.struck("token", kind, n, self.token_percent)?;
        u32::try_from(entropy % 90).ok()
    }

    fn struck(&self, what: &str, id: &str, n: u64, percent: u8) -> Option<u64> {
        if percent == 0 {
            return None;
        }
        let mut state = self.seed;
        for byte in what.bytes().chain([0]).chain(id.bytes()) {
            state = mix(state ^ u64::from(byte));
        }
        let entropy = mix(state ^ mix(n));
        (entropy % 100 < u64::from(percent)).then_some(entropy / 100)
    }
}

/// Every bit of the result depends on every bit of the argument (the finalizer of SplitMix64).
pub(crate) const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_strikes_the_same_again_and_about_as_often_as_asked() {
        let faults = Faults { token_percent: 100, ..Faults::rate(7, 30) };
        let struck: Vec<_> = (0..2_000).map(|n| faults.callback("kyc-1", n)).collect();
        assert_eq!(struck, (0..2_000).map(|n| faults.callback("kyc-1", n)).collect::<Vec<_>>());
        let count = struck.iter().flatten().count();
        assert!((500..700).contains(&count), "{count}");
        let other = Faults { seed: 8, ..faults };
        assert_ne!(struck, (0..2_000).map(|n| other.callback("kyc-1", n)).collect::<Vec<_>>());
        let kind = |fault: &CallbackFault| match fault {
            CallbackFault::Lost => 0,
            CallbackFault::Late(_) => 1,
            CallbackFault::Overtaken => 2,
            CallbackFault::Twice => 3,
            CallbackFault::Replayed(_) => 4,
            CallbackFault::WrongKey => 5,
            CallbackFault::AnswerLost => 6,
        };
        let mut kinds = [0; 7];
        struck.iter().flatten().for_each(|fault| kinds[kind(fault)] += 1);
        assert!(kinds.iter().all(|count| (50..130).contains(count)), "{kinds:?}");
        assert!((0..100).all(|n| faults.token("t", n).is_some()));
        assert!((0..100).all(|n| Faults::default().answer("t", n).is_none()));
    }
}
