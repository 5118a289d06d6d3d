//! The worlds that are searched.

use crate::fleet;
use crate::law::Law;
use crate::rules::{Callbacks, Limits, Rules, Times, everything};
use crate::search::{Found, Scene, search};
use idv_core::session::EvidencePolicy;
use idv_core::token;

/// How many states each world has: a name and a number on each line. An unintended change shows here as another number; a meant one is
/// written by `prove --pin`, for the worlds that are searched with it.
const STATES: &str = include_str!("../states.txt");

/// Where [`STATES`] stands.
pub const STATES_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/states.txt");

fn states(name: &str) -> Option<usize> {
    let line = STATES.lines().filter_map(|line| line.rsplit_once(' ')).find(|(named, _)| *named == name)?;
    line.1.parse().ok()
}

/// Those that are searched with every change of the code: some minutes of a slow machine, all together.
fn small_sessions() -> Vec<Rules> {
    let one = Limits { changes: 1, pulls: 1, ..Limits::NONE };
    let quiet = |rules: Rules| Rules { callbacks: Callbacks::None, ..rules };
    let lost = |rules: Rules| Rules { callbacks: Callbacks::Lost, ..rules };
    let world = |name, about, limits| Rules::new(name, about, Times::SHORT, limits);
    vec![
        Rules { changes: everything, ..world("verdicts", "every verdict", one) },
        quiet(Rules {
            changes: everything,
            ..world(
                "events",
                "no callbacks; every event that may follow another, and one after that",
                Limits { changes: 3, pulls: 3, failures: 1, ..Limits::NONE },
            )
        }),
        quiet(world(
            "there and back",
            "no callbacks; accepted, declined, accepted",
            Limits { changes: 3, pulls: 3, failures: 1, ..Limits::NONE },
        )),
        world("pulls", "a second pull", Limits { pulls: 2, ..one }),
        world("flip", "accepted, then declined", Limits { changes: 2, ..one }),
        world("failure", "two of pull, commit, answer and hand-over fail", Limits { failures: 2, ..one }),
        world("crash", "a failure and a crash", Limits { failures: 1, crashes: 1, ..one }),
        world("attack", "a replayed or forged callback", Limits { attacks: 1, ..one }),
        lost(world(
            "replay",
            "accepted, then declined; callbacks come from an attacker alone, those about the past too",
            Limits { changes: 2, pulls: 2, attacks: 1, ..Limits::NONE },
        )),
        lost(world(
            "replay and crash",
            "the same with a crash at any moment",
            Limits { changes: 2, attacks: 1, crashes: 1, ..one },
        )),
        lost(world(
            "replay and failure",
            "the same with a failure",
            Limits { changes: 2, attacks: 1, failures: 1, ..one },
        )),
        world("mistake", "the host errs, or decides", Limits { mistakes: 1, ..one }),
        quiet(world(
            "careless",
            "no callbacks; the host errs twice, the mind changes twice",
            Limits { changes: 2, pulls: 2, mistakes: 2, ..Limits::NONE },
        )),
        world("late", "the host wakes the session late", Limits { lateness: 1, pulls: 2, ..one }),
        world("very late", "by more than the grace", Limits { lateness: 9, ..one }),
        quiet(world(
            "stubborn",
            "no callbacks; answers are told twice, pulls refused, the mind changed twice",
            Limits { changes: 2, pulls: 3, failures: 2, repetitions: 1, ..Limits::NONE },
        )),
        Rules {
            callbacks: Callbacks::Signals,
            lag: 2,
            ..Rules::new(
                "signals",
                "callbacks say only that something changed, and a replica lags behind",
                Times { recheck: Some(3), ..Times::SHORT },
                Limits { pulls: 2, ..one },
            )
        },
        Rules {
            callbacks: Callbacks::Unsigned,
            ..world("unsigned", "callbacks are claims", Limits { attacks: 1, ..one })
        },
        quiet(Rules::new(
            "audit",
            "a settled session is pulled without a reason",
            Times { audit: Some(3), ..Times::SHORT },
            Limits { changes: 2, pulls: 4, crashes: 1, ..Limits::NONE },
        )),
    ]
}

/// The others, searched by command.
fn large_sessions() -> Vec<Rules> {
    let world = |name, about, limits| Rules::new(name, about, Times::SHORT, limits);
    let two = Limits { changes: 2, pulls: 2, ..Limits::NONE };
    let crash = |name, evidence| Rules {
        evidence,
        ..world(name, "accepted, then declined; a crash at any moment", Limits { crashes: 1, ..two })
    };
    let one = Limits { changes: 1, pulls: 1, ..Limits::NONE };
    vec![
        world("back again", "accepted, declined, accepted", Limits { changes: 3, ..one }),
        Rules {
            changes: everything,
            ..world("verdicts twice", "every verdict, and every one after it", Limits { changes: 2, ..one })
        },
        Rules {
            callbacks: Callbacks::Lost,
            ..world(
                "replays",
                "accepted, then declined; two callbacks, those about the past too, from an attacker alone",
                Limits { attacks: 2, ..two },
            )
        },
        crash("flip and crash, confirm by pull", &[EvidencePolicy::ConfirmByPull]),
        crash("flip and crash, trust signed", &[EvidencePolicy::TrustSigned]),
        world(
            "flip and attack",
            "accepted, then declined; a replayed or forged callback",
            Limits { changes: 2, attacks: 1, ..one },
        ),
        world(
            "attack and crash",
            "a replayed or forged callback, and a crash at any moment",
            Limits { attacks: 1, crashes: 1, ..one },
        ),
        world(
            "attack and failure",
            "a replayed or forged callback, and a failure",
            Limits { attacks: 1, failures: 1, ..one },
        ),
    ]
}

/// A world of any kind.
#[derive(Clone, Debug)]
pub enum World {
    /// One session.
    Session(Rules),
    /// A fleet.
    Fleet(fleet::Rules),
}

impl World {
    /// Its name on the command line.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Session(rules) => rules.name,
            Self::Fleet(rules) => rules.name,
        }
    }

    /// What it is about.
    #[must_use]
    pub const fn about(&self) -> &'static str {
        match self {
            Self::Session(rules) => rules.about,
            Self::Fleet(rules) => rules.about,
        }
    }

    /// What is looked at in it.
    #[must_use]
    pub const fn laws(&self) -> &'static [Law] {
        match self {
            Self::Session(_) => Rules::LAWS,
            Self::Fleet(_) => fleet::Rules::LAWS,
        }
    }

    /// How many states it had when they were last written down.
    #[must_use]
    pub fn states(&self) -> Option<usize> {
        states(self.name())
    }

    /// Searches it to its end, or to the first breach.
    #[must_use]
    pub fn search(&self) -> Found {
        match self {
            Self::Session(rules) => search(rules),
            Self::Fleet(rules) => search(rules),
        }
    }
}

/// Those that are searched with every change of the code: some minutes of a slow machine, all together.
#[must_use]
pub fn small() -> Vec<World> {
    let sessions = small_sessions().into_iter().map(World::Session);
    sessions.chain(small_fleets().into_iter().map(World::Fleet)).collect()
}

/// The others, searched by command.
#[must_use]
pub fn large() -> Vec<World> {
    let sessions = large_sessions().into_iter().map(World::Session);
    sessions.chain(large_fleets().into_iter().map(World::Fleet)).collect()
}

/// What must be seen to happen in some world, or nothing is proved.
pub fn witnesses() -> impl Iterator<Item = &'static str> {
    let sessions = Rules::WITNESSES.iter().map(|(name, _)| *name);
    sessions.chain(fleet::Rules::WITNESSES.iter().map(|(name, _)| *name))
}

/// The world of this name.
#[must_use]
pub fn find(name: &str) -> Option<World> {
    small().into_iter().chain(large()).find(|world| world.name() == name)
}

/// The world of one session that has this name.
///
/// # Panics
/// There is none.
#[must_use]
pub fn session(name: &str) -> Rules {
    let Some(World::Session(rules)) = find(name) else {
        panic!("there is no world of a session called {name:?}")
    };
    rules
}

/// The world of a fleet that has this name.
///
/// # Panics
/// There is none.
#[must_use]
pub fn fleet(name: &str) -> fleet::Rules {
    let Some(World::Fleet(rules)) = find(name) else {
        panic!("there is no world of a fleet called {name:?}")
    };
    rules
}

fn small_fleets() -> Vec<fleet::Rules> {
    use crate::fleet::{Case, Limits, Rules, Word, of, reusable, single_use};
    const TWO: &[Case] = &[of(0), of(0)];
    const THREE: &[Case] = &[of(0), of(0), of(0)];
    const POISONED: &[Case] = &[Case { poisoned: true, ..of(0) }, of(0)];
    const EARLY: &[Case] = &[Case { open: false, ..of(0) }, Case { open: false, ..of(0) }];
    const OTHERS: &[Case] = &[of(0), of(1)];
    let basic = token::Policy::not_needed;
    let one = Limits { verdicts: 1, ..Limits::NONE };
    let world = |name, about, cases, tokens, limits| Rules::new(name, about, cases, tokens, 16, limits);
    vec![
        world("token", "two share a token; calls fail", TWO, vec![reusable()], Limits { failures: 2, ..one }),
        world(
            "slow",
            "two share a token; calls are slow",
            TWO,
            vec![reusable()],
            Limits { slowness: 3, ..one },
        ),
        world(
            "single use",
            "a token for each pull",
            TWO,
            vec![single_use()],
            Limits { failures: 1, slowness: 1, ..one },
        ),
        world(
            "poisoned",
            "one of two is answered 401 for ever",
            POISONED,
            vec![reusable()],
            Limits { failures: 1, slowness: 2, ..one },
        ),
        world(
            "restart",
            "two share a token; a crash",
            TWO,
            vec![reusable()],
            Limits { failures: 1, crashes: 1, ..one },
        ),
        world(
            "late host",
            "two share a token; the host wakes late",
            TWO,
            vec![reusable()],
            Limits { verdicts: 2, lateness: 2, failures: 1, ..one },
        ),
        Rules {
            words: &[Word::Claimed, Word::Forged],
            audits: true,
            ..world(
                "door",
                "three behind a narrow door; callbacks and audits",
                THREE,
                vec![basic()],
                Limits { hints: 2, ..one },
            )
            .narrow(2)
        },
        world(
            "limit",
            "two accounts and somebody else behind a narrow door; 429",
            OTHERS,
            vec![basic(), basic()],
            Limits { failures: 2, strangers: 1, ..one },
        )
        .narrow(2),
        world(
            "restart and limit",
            "two accounts and somebody else behind a narrow door that a restart forgets; 429",
            OTHERS,
            vec![basic(), basic()],
            Limits { failures: 1, slowness: 1, strangers: 1, crashes: 1, ..one },
        )
        .narrow(2),
        world(
            "two tokens",
            "two tokens behind a narrow door; credentials are replaced",
            OTHERS,
            vec![reusable(), reusable()],
            Limits { failures: 1, strangers: 1, ..one },
        )
        .narrow(2),
        Rules {
            words: &[Word::Vouched, Word::Claimed],
            ..Rules::new(
                "early",
                "callbacks before and after the opening",
                EARLY,
                vec![basic()],
                5,
                Limits { hints: 3, ..Limits::NONE },
            )
        },
    ]
}

fn large_fleets() -> Vec<fleet::Rules> {
    use crate::fleet::{Case, Limits, Rules, of, reusable};
    const TWO: &[Case] = &[of(0), of(0)];
    const OTHERS: &[Case] = &[of(0), of(1)];
    let basic = token::Policy::not_needed;
    let one = Limits { verdicts: 1, ..Limits::NONE };
    vec![
        Rules::new(
            "token in trouble",
            "two share a token; calls fail and are slow",
            TWO,
            vec![reusable()],
            16,
            Limits { failures: 2, slowness: 2, ..one },
        ),
        Rules::new(
            "restarts and limit",
            "two accounts behind a narrow door that two restarts forget; 429",
            OTHERS,
            vec![basic(), basic()],
            16,
            Limits { failures: 1, slowness: 2, crashes: 2, ..one },
        )
        .narrow(2),
    ]
}
