//! What holds in a world of a fleet: its times, its verifications, and how much of what may happen.

use super::Word;
use idv_core::backoff::Backoff;
use idv_core::budget;
use idv_core::fleet::{AccountPolicy, DoorPolicy, FleetPolicy, UnknownPolicy};
use idv_core::time::Span;
use idv_core::{poller, session, token};

/// How much of what may still happen. Nothing else bounds a world but its deadlines.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Limits {
    /// Verdicts that the provider reaches.
    pub verdicts: u8,
    /// Calls that are answered with an error, and tokens that end before their time.
    pub failures: u8,
    /// Milliseconds that pass while a call is awaited. A call that takes long enough is given up.
    pub slowness: u8,
    /// Milliseconds that pass before the host wakes the fleet.
    pub lateness: u8,
    /// Callbacks, whoever sends them, and requests of the application for a pull.
    pub hints: u8,
    /// Calls of somebody else behind the same door, and credentials that are replaced.
    pub strangers: u8,
    /// Deaths of our process.
    pub crashes: u8,
}

impl Limits {
    /// Nothing but time.
    pub const NONE: Self =
        Self { verdicts: 0, failures: 0, slowness: 0, lateness: 0, hints: 0, strangers: 0, crashes: 0 };
}

/// One verification.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Case {
    /// Whose it is.
    pub account: u8,
    /// The provider answers 401 to every pull of it, whatever the token.
    pub poisoned: bool,
    /// It is open from the beginning.
    pub open: bool,
}

/// An open verification of this account.
#[must_use]
pub const fn of(account: u8) -> Case {
    Case { account, poisoned: false, open: true }
}

/// The times that all worlds share, in milliseconds: all that matters is how they compare.
pub(super) const CADENCE: Span = Span::millis(2);
const INTERVAL: Span = Span::millis(4);
pub(super) const RETRY_AFTER: Span = Span::millis(3);
pub(super) const RENEWAL_GAP: Span = Span::millis(4);
pub(super) const REFUSALS: u8 = 2;
pub(super) const TTL: Span = Span::millis(8);
pub(super) const MARGIN: Span = Span::millis(3);
/// After a 429 that does not say for how long.
const AFTER_REFUSAL: Span = Span::millis(3);
const BACKOFF: Backoff = Backoff { first: Span::millis(2), most: Span::millis(2), jitter_percent: 0 };

/// One world.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// The verifications.
    pub cases: &'static [Case],
    /// How the credentials of each account work.
    pub(crate) tokens: Vec<token::Policy>,
    pub(crate) session: session::Policy,
    pub(crate) door: DoorPolicy,
    /// What the door's budget allows: so many calls in every closed window of this length.
    pub(crate) allowed: (u32, Span),
    /// So many of them back to back.
    pub(crate) burst: u32,
    pub(crate) fleet: FleetPolicy,
    /// Which callbacks come.
    pub words: &'static [Word],
    /// Sessions are looked at for no reason of their own, too.
    pub audits: bool,
    /// How much may happen.
    pub limits: Limits,
    /// A bug of the host itself, to see whether it is caught.
    pub sabotage: Option<Sabotage>,
}

/// A bug of the model's host, where a real host could have one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sabotage {
    /// After a restart the fleet is taken over whole, with its token, whose bytes died with the process (R11).
    TokenTakenOver,
}

/// One token serves many pulls.
#[must_use]
pub fn reusable() -> token::Policy {
    built(token::Policy::reusable(TTL))
}

/// One token serves one pull.
#[must_use]
pub fn single_use() -> token::Policy {
    built(token::Policy::single_use(TTL))
}

fn built(builder: token::Builder) -> token::Policy {
    builder
        .margin(MARGIN)
        .call_timeout(Span::millis(1))
        .lateness(Span::millis(1))
        .backoff(BACKOFF)
        .renewal_gap(RENEWAL_GAP)
        .refusals(REFUSALS)
        .build()
        .expect("times that the builder accepts")
}

impl Rules {
    /// A world in which the door is wide, and every session waits this long for its verdict.
    #[must_use]
    pub fn new(
        name: &'static str,
        about: &'static str,
        cases: &'static [Case],
        tokens: Vec<token::Policy>,
        deadline: u32,
        limits: Limits,
    ) -> Self {
        let poller = poller::Policy::builder(CADENCE, Span::millis(deadline))
            .interval(INTERVAL)
            .call_timeout(Span::millis(1))
            .lateness(Span::millis(1))
            .budget_wait(Span::millis(1))
            .backoff(BACKOFF)
            .watch(Some(Span::millis(4)))
            .audit(None)
            .rechecks([None; 4])
            .build()
            .expect("times that the builder accepts");
        let unknown = UnknownPolicy { count: 2, bytes: 64, age: Span::millis(400) };
        Self {
            name,
            about,
            cases,
            tokens,
            session: session::Policy::confirm_by_pull(poller),
            door: DoorPolicy {
                budget: budget::Policy::per_window(8, Span::millis(2), 6).expect("a budget"),
                after_refusal: AFTER_REFUSAL,
            },
            allowed: (8, Span::millis(2)),
            burst: 6,
            fleet: FleetPolicy { sessions: 4, tombstones: 4, unknown },
            words: &[Word::Claimed],
            audits: false,
            limits,
            sabotage: None,
        }
    }

    /// The same behind a door that lets one call through in so many milliseconds.
    #[must_use]
    pub fn narrow(self, interval: u32) -> Self {
        let window = Span::millis(interval);
        let budget = budget::Policy::per_window(2, window, 1).expect("a budget");
        Self { door: DoorPolicy { budget, ..self.door }, allowed: (2, window), burst: 1, ..self }
    }

    /// The same with a bug of the host.
    #[must_use]
    pub fn with(self, sabotage: Sabotage) -> Self {
        Self { sabotage: Some(sabotage), ..self }
    }

    pub(super) fn account(&self, account: u8) -> AccountPolicy {
        AccountPolicy { provider: PROVIDER, token: self.tokens[usize::from(account)], session: self.session }
    }

    /// Where nothing goes wrong any more, a session that is open is pulled within this time: a `Retry-After` that was heard, a renewal that
    /// waits for its time, the routine wait, and then everybody's pull, and a token for it, one call at a time. A process that does not know
    /// that the door is closed must hear of it first.
    pub(super) fn soon(&self, knows_the_door: bool) -> Span {
        let bare = self.tokens.iter().all(|token| token.mode() == token::Mode::NotNeeded);
        let calls = self.cases.len() as u32 * if bare { 1 } else { 2 };
        let wait = if bare { RETRY_AFTER } else { RETRY_AFTER.plus(RENEWAL_GAP) };
        let soon = wait.plus(INTERVAL).plus(self.door.budget.interval().times(calls));
        if knows_the_door { soon } else { soon.plus(RETRY_AFTER) }
    }
}

/// The provider's name.
pub(super) const PROVIDER: &str = "model";
/// The ids of the verifications.
pub(super) const IDS: [&str; 4] = ["a", "b", "c", "d"];
