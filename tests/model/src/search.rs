//! The search: every state that a world can reach, breadth first, so that what is broken comes with the shortest way to it.

use crate::law::{Breach, Law};
use crate::rules::Rules;
use crate::story::{self, Line};
use crate::world::{Fate, Happening, Move, Run, World};
use idv_core::session::{End, EvidencePolicy};
use stateright::{Checker, HasDiscoveries, Model, Property};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// One world, as the search sees it.
#[derive(Clone, Debug)]
struct Searched(Rules);

macro_rules! laws {
    ($($law:ident)*) => {
        vec![$(Property::always(Law::$law.name(), |_, world: &World| {
            !matches!(world.broken(), Some(breach) if breach.law == Law::$law)
        })),*]
    };
}

impl Model for Searched {
    type State = World;
    type Action = Happening;

    fn init_states(&self) -> Vec<World> {
        let begin = |evidence: &_| World::new(&mut Run::silent(&self.0), *evidence);
        self.0.evidence.iter().map(begin).collect()
    }

    fn actions(&self, world: &World, out: &mut Vec<Happening>) {
        world.happenings(&self.0, out);
        if out.is_empty() && world.broken().is_none() && !world.is_over(&self.0) {
            out.push((Move::Stuck, Fate::Lives));
        }
        out.extend(world.bad_endings(&self.0).map(|ending| (ending, Fate::Lives)));
    }

    fn next_state(&self, world: &World, next: Happening) -> Option<World> {
        let mut world = *world;
        let mut run = Run::silent(&self.0);
        if catch_unwind(AssertUnwindSafe(|| world.happen(&mut run, next))).is_err() {
            world.panicked(&mut run);
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties =
            laws!(G1 G2 G3 G4 G5 G6 G7 G9 R1 R2 R3 R4 R5 R6 R7 R8 R9 R10 R11 R12 R14 R16 Machine);
        properties.extend(witnesses());
        properties
    }
}

/// What must be seen to happen in some world, or nothing is proved.
pub const WITNESSES: [&str; 8] = [
    "a revision",
    "two revisions",
    "a verdict on a signature alone",
    "a recorded callback",
    "it expires",
    "it is watched to the end",
    "it is refused",
    "it is deleted",
];

fn witnesses() -> [Property<Searched>; 8] {
    let [one, two, signed, answered, expires, watched, refused, deleted] = WITNESSES;
    [
        Property::sometimes(one, |_, world: &World| world.revisions() == 1),
        Property::sometimes(two, |_, world: &World| world.revisions() == 2),
        Property::sometimes(signed, |_, world: &World| world.was_signed()),
        Property::sometimes(answered, |_, world: &World| world.has_recorded()),
        Property::sometimes(expires, |_, world: &World| world.end() == Some(End::Expired)),
        Property::sometimes(watched, |_, world: &World| world.end() == Some(End::Watched)),
        Property::sometimes(refused, |_, world: &World| world.end() == Some(End::Refused)),
        Property::sometimes(deleted, |_, world: &World| world.end() == Some(End::Deleted)),
    ]
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Different states.
    pub states: usize,
    /// Ways into them that were tried.
    pub ways: usize,
    /// How many moves the state that is farthest from the beginning is away.
    pub depth: usize,
    /// How long it took.
    pub took: Duration,
    /// What was seen to happen.
    pub witnessed: Vec<&'static str>,
    /// What was broken, with the shortest way to it.
    pub broken: Option<Counterexample>,
}

/// A shortest way to a broken law.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// The law.
    pub law: &'static str,
    /// What happened.
    pub what: &'static str,
    /// How many moves led there.
    pub moves: usize,
    /// The way, line by line.
    pub sequence: String,
    /// The way as a Mermaid sequence diagram.
    pub mermaid: String,
    /// The way as a test.
    pub test: String,
}

/// Searches one world to its end, or to the first breach.
#[must_use]
pub fn search(rules: &Rules) -> Found {
    let began = Instant::now();
    let checker = Searched(rules.clone())
        .checker()
        .threads(1)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let is_law = |name: &str| Law::ALL.iter().any(|law| law.name() == name);
    let (broken, witnessed): (Vec<_>, Vec<_>) =
        checker.discoveries().into_iter().partition(|(name, _)| is_law(name));
    let mut witnessed: Vec<_> = witnessed.into_iter().map(|(name, _)| name).collect();
    // Several may have been found at once.
    let shortest = broken
        .into_iter()
        .map(|(law, path)| {
            let evidence = path.clone().into_states().first().map(World::evidence);
            (path.into_actions(), law, evidence)
        })
        .min_by_key(|(way, law, _)| (way.len(), *law));
    let broken = shortest.and_then(|(way, _, evidence)| Some(tell(rules, evidence?, &way)));
    witnessed.sort_unstable();
    Found {
        states: checker.unique_state_count(),
        ways: checker.state_count(),
        depth: checker.max_depth(),
        took: began.elapsed(),
        witnessed,
        broken,
    }
}

/// Goes the way and tells what happens.
#[must_use]
pub fn tell(rules: &Rules, evidence: EvidencePolicy, way: &[Happening]) -> Counterexample {
    let mut lines: Vec<Line> = Vec::new();
    let mut run = Run { rules, lines: Some(&mut lines) };
    let mut world = World::new(&mut run, evidence);
    for next in way {
        world.happen(&mut run, *next);
    }
    let breach = world.broken();
    let (law, what) =
        breach.map_or(("nothing", "nothing is broken"), |breach| (breach.law.name(), breach.what));
    Counterexample {
        law,
        what,
        moves: way.len(),
        sequence: story::sequence(&lines),
        mermaid: story::mermaid(law, &lines),
        test: story::test(rules.name, law, evidence, way),
    }
}

/// Goes the way again, every move of which must be possible where it is made; says what is broken in the end.
///
/// # Errors
/// A move is not possible: the way leads nowhere any more.
pub fn replay(rules: &Rules, evidence: EvidencePolicy, way: &[Happening]) -> Result<Option<Breach>, String> {
    let mut run = Run::silent(rules);
    let mut world = World::new(&mut run, evidence);
    let mut possible = Vec::new();
    for (nth, next) in way.iter().enumerate() {
        possible.clear();
        world.happenings(rules, &mut possible);
        if !possible.contains(next) && !matches!(next.0, Move::EndWell(_) | Move::Stuck) {
            return Err(format!("move {nth}, {next:?}, is not possible; possible are {possible:?}"));
        }
        world.happen(&mut run, *next);
    }
    Ok(world.broken())
}
