//! The worlds that are searched.

use crate::rules::{Callbacks, Limits, Rules, Times, everything};

/// How many states each of the small worlds has: a name and a number on each line. An unintended change shows here as another number; a
/// meant one is written by `prove --small --pin`.
const STATES: &str = include_str!("../states.txt");

/// Where [`STATES`] stands.
pub const STATES_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/states.txt");

fn states(name: &str) -> Option<usize> {
    STATES.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Those that are searched with every change of the code: some minutes of a slow machine, all together.
#[must_use]
pub fn small() -> Vec<Rules> {
    let one = Limits { changes: 1, pulls: 1, ..Limits::NONE };
    let quiet = |rules: Rules| Rules { callbacks: Callbacks::None, ..rules };
    let world = |name, about, limits| Rules::new(name, about, Times::SHORT, limits);
    let worlds = vec![
        Rules { changes: everything, ..world("verdicts", "every verdict", one) },
        world("pulls", "a second pull", Limits { pulls: 2, ..one }),
        world("flip", "accepted, then declined", Limits { changes: 2, ..one }),
        world("failure", "two of pull, commit, answer and hand-over fail", Limits { failures: 2, ..one }),
        world("crash", "a failure and a crash", Limits { failures: 1, crashes: 1, ..one }),
        world("attack", "a replayed or forged callback", Limits { attacks: 1, ..one }),
        world("mistake", "the host errs, or decides", Limits { mistakes: 1, ..one }),
        quiet(world(
            "careless",
            "no callbacks; the host errs twice, the mind changes twice",
            Limits { changes: 2, pulls: 2, mistakes: 2, ..Limits::NONE },
        )),
        world("late", "the host wakes the session late", Limits { lateness: 1, pulls: 2, ..one }),
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
    ];
    worlds.into_iter().map(|rules| Rules { states: states(rules.name), ..rules }).collect()
}

/// The others, searched by command.
#[must_use]
pub fn large() -> Vec<Rules> {
    let world = |name, about, limits| Rules::new(name, about, Times::SHORT, limits);
    let two = Limits { changes: 2, pulls: 2, ..Limits::NONE };
    vec![world(
        "flip and crash",
        "accepted, then declined; a crash at any moment",
        Limits { crashes: 1, ..two },
    )]
}

/// The world of this name.
#[must_use]
pub fn find(name: &str) -> Option<Rules> {
    small().into_iter().chain(large()).find(|rules| rules.name == name)
}
