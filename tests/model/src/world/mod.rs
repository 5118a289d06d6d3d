//! One session, a provider whose truth changes, a network and a host that do their worst, and a store that is saved when the session
//! says so. The session, the provider's deliveries and our receipts are the real machines; the rest is as small as it can be.
//!
//! It is always the same moment here: when a millisecond passes, everything moves a millisecond into the past. So what differs only
//! by when it happened is the same state, and the search comes to an end.

mod callbacks;
mod ending;
mod happenings;
mod moves;
mod provider;
mod scene;
mod session;

pub use moves::{Attack, Failure, Fate, Happening, LastWord, Move, Truth};
pub(crate) use session::through_the_store;

use crate::law::{Breach, Law};
use crate::rules::{Limits, Rules};
use crate::story::{Line, PASSES, Who};
use callbacks::{Journal, Post};
use idv_core::evidence::Evidence;
use idv_core::machine::{Cx, Machine, Next, Step};
use idv_core::session::{End, EvidencePolicy, Input, Session};
use idv_core::time::{Instant, Span};
use provider::{Call, InFlight, Provider};

/// Now, always.
const NOW: Instant = Instant::from_millis(1_000);

/// What is longer ago than this is so for ever. Longer than any grace here.
const HORIZON: Instant = Instant::from_millis(960);

/// A callback of the provider's on its way, and an attacker's. What comes in another order, an attacker can bring.
const POSTS: usize = 2;
const ATTACKER: usize = POSTS - 1;
const WIRE: usize = 3;
const REVISIONS: usize = 6;

/// A state of the world.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct World {
    session: Session,
    /// What the store holds of it, while our process can still die.
    saved: Option<Saved>,
    journal: Journal,
    provider: Provider,
    posts: [Option<Post>; POSTS],
    wire: [Option<Call>; WIRE],
    in_flight: Option<InFlight>,
    /// Before this, a pull would break the cadence or a `Retry-After`.
    polite_from: Instant,
    /// By when a session that a callback has reopened must have ended again, unless the provider has something new to say (R8, R16).
    reopened_until: Option<Instant>,
    /// The first pull that can satisfy the newest hint (R3); zero when there is none.
    need: u8,
    /// The newest hint was a signal, and more pulls are owed if the next one shows nothing new (R9).
    signal: bool,
    /// The last pull was refused (R14); unknown after a restart.
    refused: Option<bool>,
    seen: [Option<Seen>; REVISIONS],
    /// The newest revision whose confirmation is in the store.
    confirmed: u8,
    /// The newest revision that the session was told to be confirmed or given up.
    told: u8,
    evidence: EvidencePolicy,
    left: Limits,
    broken: Option<Breach>,
}

/// What the store holds of the session, and what was then [`World::reopened_until`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Saved {
    session: Session,
    reopened_until: Option<Instant>,
}

/// A revision, as the application saw it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Seen {
    truth: Truth,
    evidence: Evidence,
    data_changed: bool,
}

/// What a world is run under, and who listens.
#[derive(Debug)]
struct Run<'a> {
    rules: &'a Rules,
    /// The story so far, while somebody wants to read it.
    lines: Option<&'a mut Vec<Line>>,
}

impl<'a> Run<'a> {
    /// Without a story.
    const fn silent(rules: &'a Rules) -> Self {
        Self { rules, lines: None }
    }

    fn tell(&mut self, from: Who, to: Who, text: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(Line { from, to, text: text() });
        }
    }
}

impl World {
    /// The session is opened, and has asked for its first pull.
    fn new(run: &mut Run<'_>, evidence: EvidencePolicy) -> Self {
        let rules = run.rules;
        let session = Session::new(Cx::new(NOW, rules.session(evidence), 0));
        let mut world = Self {
            session,
            saved: (rules.limits.crashes > 0).then_some(Saved { session, reopened_until: None }),
            reopened_until: None,
            journal: Journal::default(),
            provider: Provider::new(),
            posts: [None; POSTS],
            wire: [None; WIRE],
            in_flight: None,
            polite_from: HORIZON,
            need: 0,
            signal: false,
            refused: Some(false),
            seen: [None; REVISIONS],
            confirmed: 0,
            told: 0,
            evidence,
            left: rules.limits,
            broken: None,
        };
        run.tell(Who::Application, Who::Session, || "opens the session".into());
        world.step(run, Input::Tick, Fate::Lives, None, Law::G6);
        if world.session.wants().is_none() {
            world.breaks(run, Law::G1, "opening a session does not ask for a pull");
        }
        world
    }

    /// How the session ended, if it has.
    const fn end(&self) -> Option<End> {
        self.session.end()
    }

    /// Nothing is timed, wanted or owed.
    fn is_over(&self, rules: &Rules) -> bool {
        self.session.next(rules.session(self.evidence)) == Next::Over
    }

    /// How many revisions the application saw.
    fn revisions(&self) -> usize {
        self.seen.iter().flatten().count()
    }

    /// The application was told a verdict on the word of a signed callback.
    fn was_signed(&self) -> bool {
        self.seen.iter().flatten().any(|seen| seen.evidence == Evidence::Signed)
    }

    /// The first breach is kept; nothing happens after it.
    fn breaks(&mut self, run: &mut Run<'_>, law: Law, what: &'static str) {
        if self.broken.is_none() {
            self.broken = Some(Breach { law, what });
            run.tell(Who::Session, Who::Session, || format!("BROKEN {}: {what}", law.name()));
        }
    }

    fn requires(&mut self, run: &mut Run<'_>, holds: bool, law: Law, what: &'static str) {
        if !holds {
            self.breaks(run, law, what);
        }
    }

    /// The next pull's number.
    fn next_op(&self) -> u8 {
        u8::try_from(self.session.poller().next_op()).unwrap_or(u8::MAX)
    }

    /// A millisecond passes.
    fn elapse(&mut self, run: &mut Run<'_>) {
        run.tell(Who::Session, Who::Session, || PASSES.into());
        let back = |at: Instant| at.before(Span::MIN).max(HORIZON);
        self.session.map_times(back);
        if let Some(saved) = &mut self.saved {
            saved.session.map_times(back);
            saved.reopened_until = saved.reopened_until.map(back);
        }
        for post in self.posts.iter_mut().flatten() {
            post.map_times(back);
        }
        self.polite_from = back(self.polite_from);
        self.reopened_until = self.reopened_until.map(back);
        self.provider.catch_up = self.provider.catch_up.map(back);
        if let Some(pull) = &mut self.in_flight {
            pull.until = back(pull.until);
            if pull.until <= NOW {
                self.in_flight = None;
                self.polite_from =
                    self.polite_from.max(NOW.after(run.rules.session(self.evidence).poller.cadence()));
            }
        }
        if self.provider.catch_up.is_some_and(|at| at <= NOW) {
            self.provider.catches_up();
        }
        for slot in 0..POSTS {
            self.post_elapses(run, slot);
        }
    }

    /// The session with its deadlines passed.
    fn on_time(&self, run: &Run<'_>) -> Session {
        let mut session = self.session;
        let _: Step<_> = session.step(Cx::new(NOW, run.rules.session(self.evidence), 0), Input::Tick);
        session
    }

    /// What no longer matters is forgotten, so that worlds that will never differ are one state.
    fn simplify(&mut self, run: &Run<'_>) {
        if self.left.crashes == 0 {
            self.saved = None;
            self.journal.forget_applied();
        }
        for slot in &mut self.posts {
            slot.take_if(|post| post.is_over(&run.rules.delivery));
        }
    }
}
