//! What a fleet takes and gives.

use super::UnknownPolicy;
use crate::evidence::ContentDigest;
use crate::session::{End, Revision, Session};
use crate::time::{Instant, Span};
use core::fmt;
use serde::{Deserialize, Serialize};

/// The moment of a call and its entropy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct At {
    /// The driver's reading of its clock.
    pub now: Instant,
    /// Fresh random bits; one draw per call.
    pub entropy: u32,
}

impl At {
    /// These two.
    #[must_use]
    pub const fn new(now: Instant, entropy: u32) -> Self {
        Self { now, entropy }
    }

    /// Entropy of its own for each machine that one call steps.
    pub(super) const fn draw(self, salt: u32) -> u32 {
        let mut mixed = self.entropy ^ salt.wrapping_mul(0x9e37_79b9);
        mixed = (mixed ^ (mixed >> 16)).wrapping_mul(0x85eb_ca6b);
        mixed = (mixed ^ (mixed >> 13)).wrapping_mul(0xc2b2_ae35);
        mixed ^ (mixed >> 16)
    }
}

/// Names a session in the fleet. A key is never reused for another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Key {
    pub(super) index: u32,
    pub(super) generation: u32,
}

/// Names an account in the fleet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountId(pub(super) u32);

/// Names a door in the fleet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DoorId(pub(super) u32);

/// What the driver must do. Operations repeat their number when they are completed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Save this session's snapshot, before any later action of the same session is performed (G9). Without a store: nothing.
    Save {
        /// The session.
        key: Key,
        /// Grows by one with each save; the store refuses to replace a newer one (compare-and-set).
        version: u32,
    },
    /// Ask the provider for a token; answer with [`super::Fleet::token_received`], [`super::Fleet::token_failed`] or [`super::Fleet::token_refused`].
    RequestToken {
        /// The account.
        account: AccountId,
        /// The request's number.
        op: u32,
        /// How long it may take.
        within: Span,
    },
    /// Pull this verification; answer with [`super::Fleet::pulled`].
    Pull {
        /// The session.
        key: Key,
        /// The pull's number.
        op: u32,
        /// The account whose credentials or token it carries.
        account: AccountId,
        /// The token it carries: the number of the request that brought it; zero where there is no token.
        generation: u32,
        /// How long it may take.
        within: Span,
    },
    /// Keep the body just fed in for this session: a revision may be made of it. The one before that may be dropped, once no revision
    /// that was made of it is awaited.
    Keep {
        /// The session.
        key: Key,
        /// Its content digest.
        content: ContentDigest,
    },
    /// Give this revision to the application; answer with [`super::Fleet::handed_over`] or [`super::Fleet::dead_lettered`].
    HandOver {
        /// The session.
        key: Key,
        /// The revision.
        revision: Revision,
    },
    /// The session has finished, but for a hand-over that is still awaited. A callback may reopen it (R8).
    Ended {
        /// The session.
        key: Key,
        /// How.
        end: End,
        /// A callback, or another hint, was never confirmed by a pull (R12).
        unconfirmed: bool,
    },
    /// The credentials were refused for good; the sessions of this account end as they ask.
    CredentialsRefused {
        /// The account.
        account: AccountId,
    },
    /// So many sessions are open that each is pulled fewer than three times before its deadline (R13): raise the budget or the
    /// deadline. Said once until it is over.
    Crowded {
        /// The account.
        account: AccountId,
        /// How far apart the pulls of one session are expected to be.
        expected: Span,
        /// The deadline they have.
        deadline: Span,
    },
}

/// When to call [`super::Fleet::run`] again; replaces any earlier answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wake {
    /// At this moment, or after the next input.
    At(Instant),
    /// After the next input.
    Input,
    /// At once: the bound on the work was reached. Let others run first.
    More,
}

/// Where a callback went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Routed {
    /// To this session.
    Known(Key),
    /// Nobody opened that id yet; it is kept in the ring of unknowns (R15).
    Unknown,
    /// Nobody opened that id yet, and a wrong signature is not worth keeping.
    Dropped,
}

/// Why a session could not be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpenError {
    /// The fleet has as many sessions as it may.
    Full,
    /// The id is empty.
    EmptyId,
    /// A session with this id, or with it as its alias, is there already.
    Exists(Key),
    /// There is no such account.
    NoAccount,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the fleet is full: raise its capacity, or forget sessions that have ended",
            Self::EmptyId => "the id of the verification is empty: pass the id that the provider gave",
            Self::Exists(_) => "this verification is open already: use the session that is there",
            Self::NoAccount => "there is no such account in this fleet: add it first",
        })
    }
}

impl core::error::Error for OpenError {}

/// The bounds of a fleet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct FleetPolicy {
    /// The most sessions, tombstones included.
    pub sessions: u32,
    /// The most tombstones: ended sessions that a callback may reopen. The oldest are forgotten first.
    pub tombstones: u32,
    /// What is kept of callbacks that nobody knows.
    pub unknown: UnknownPolicy,
}

impl Default for FleetPolicy {
    /// A million sessions, ten thousand tombstones.
    fn default() -> Self {
        Self { sessions: 1_000_000, tombstones: 10_000, unknown: UnknownPolicy::default() }
    }
}

/// A session as a store gives it back.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// The id it was opened with.
    pub id: &'a str,
    /// Its other id, if one was known.
    pub alias: Option<&'a str>,
    /// The session, on the clock of this process ([`crate::session::Snapshot::restore`]).
    pub session: Session,
    /// The version of its last save.
    pub version: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn draw(entropy: u32, salt: u32) -> u32 {
        At::new(Instant::from_millis(1), entropy).draw(salt)
    }

    /// The published values of MurmurHash3's last mixing step, and some with a salt: a trace of any release replays.
    #[test]
    fn g8_what_is_drawn_is_the_same_in_every_release() {
        for (entropy, salt, drawn) in [
            (0, 0, 0),
            (1, 0, 0x514e_28b7),
            (0xdead_beef, 0, 0x0de5_c6a9),
            (0, 1, 0x92ca_2f0e),
            (7, 3, 0x971e_9964),
            (u32::MAX, u32::MAX, 0x36de_b503),
        ] {
            assert_eq!(draw(entropy, salt), drawn, "{entropy:#x} {salt:#x}");
        }
    }

    proptest! {
        #[test]
        fn g7_no_bit_of_the_entropy_or_of_the_salt_is_lost(a: (u32, u32), b: u32) {
            let (entropy, salt) = a;
            prop_assert_eq!(draw(entropy, salt) == draw(b, salt), entropy == b);
            prop_assert_eq!(draw(entropy, salt) == draw(entropy, b), salt == b);
        }
    }

    /// Whatever bit differs, the draws differ in about half of theirs: two machines jitter apart, however alike their salts are.
    #[test]
    fn g7_every_bit_of_the_entropy_reaches_every_bit_of_the_draw() {
        let samples = 512_u32;
        for bit in 0..32 {
            let mut flips = [0_u32; 32];
            for sample in 0..samples {
                let entropy = sample.wrapping_mul(0x9e37_79b9);
                let changed = draw(entropy, 0) ^ draw(entropy ^ 1 << bit, 0);
                for (to, flips) in flips.iter_mut().enumerate() {
                    *flips += changed >> to & 1;
                }
            }
            for (to, flips) in flips.into_iter().enumerate() {
                assert!((samples / 4..=samples / 4 * 3).contains(&flips), "{bit} to {to}: {flips}");
            }
        }
    }
}
