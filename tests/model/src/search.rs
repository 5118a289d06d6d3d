//! The search: every state that a world can reach, breadth first, so that what is broken comes with the shortest way to it.

use crate::law::{Breach, Law};
use crate::story::{self, Line};
use stateright::{Checker, HasDiscoveries, Model, Property};
use std::fmt::Debug;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A kind of world: what its states are, what can happen in them, and what comes of it.
pub trait Scene: Clone + Debug + Send + Sync + 'static {
    /// A state.
    type State: Clone + PartialEq + Hash + Debug + Send + Sync + 'static;
    /// What can happen.
    type Happening: Copy + PartialEq + Debug + Send + Sync + 'static;

    /// What this kind is called: the names that a written test needs stand in `names` under it.
    const KIND: &'static str;
    /// What is looked at in every world of this kind. A law that is broken is found in any case.
    const LAWS: &'static [Law];
    /// What must be seen to happen in some world of this kind, or nothing is proved.
    const WITNESSES: &'static [Witness<Self>];

    /// The name of this world.
    fn name(&self) -> &'static str;
    /// The ways in which it can begin, by name.
    fn beginnings(&self) -> Vec<String>;
    /// Its state at the beginning of this number; what happens is told to `lines`, where somebody listens.
    fn begin(&self, nth: usize, lines: Option<&mut Vec<Line>>) -> Self::State;
    /// Everything that can happen now; nothing once a law is broken.
    fn happenings(&self, state: &Self::State, out: &mut Vec<Self::Happening>);
    /// What only looking ahead can tell, where it breaks a law.
    fn bad_ending(&self, state: &Self::State) -> Option<Self::Happening>;
    /// Whether a happening is of that kind.
    fn looks_ahead(next: &Self::Happening) -> bool;
    /// What comes of it.
    fn happen(&self, state: &mut Self::State, next: Self::Happening, lines: Option<&mut Vec<Line>>);
    /// The law that is broken.
    fn broken(state: &Self::State) -> Option<Breach>;
    /// The same, once a move has panicked.
    fn panicked(state: &mut Self::State);
}

/// What is seen to happen: its name, and how it shows.
pub type Witness<S> = (&'static str, fn(&Searched<S>, &<S as Scene>::State) -> bool);

/// One world, as the search sees it.
#[derive(Debug)]
pub struct Searched<S> {
    scene: S,
    /// A breach was found. The first is the one with the shortest way: the search goes breadth first, and the checker would put each later
    /// one that it still comes across in its place.
    found: AtomicBool,
}

impl<S: Scene> Searched<S> {
    /// The world.
    pub(crate) const fn scene(&self) -> &S {
        &self.scene
    }

    fn is_first_breach(&self, law: Law, state: &S::State) -> bool {
        let broken = S::broken(state).is_some_and(|breach| breach.law == law);
        broken && !self.found.swap(true, Ordering::Relaxed)
    }
}

fn holds<S: Scene>(law: Law) -> Property<Searched<S>> {
    macro_rules! one_of {
        ($($law:ident)*) => {
            match law {
                $(Law::$law => Property::always(law.name(), |searched: &Searched<S>, state: &S::State| {
                    !searched.is_first_breach(Law::$law, state)
                })),*
            }
        };
    }
    one_of!(G1 G2 G3 G4 G5 G6 G7 G9 R1 R2 R3 R4 R5 R6 R7 R8 R9 R10 R11 R12 R13 R14 R15 R16 Machine)
}

impl<S: Scene> Model for Searched<S> {
    type State = S::State;
    type Action = S::Happening;

    fn init_states(&self) -> Vec<S::State> {
        (0..self.scene.beginnings().len()).map(|nth| self.scene.begin(nth, None)).collect()
    }

    fn actions(&self, state: &S::State, out: &mut Vec<S::Happening>) {
        self.scene.happenings(state, out);
        out.extend(self.scene.bad_ending(state));
    }

    fn next_state(&self, state: &S::State, next: S::Happening) -> Option<S::State> {
        let mut after = state.clone();
        if catch_unwind(AssertUnwindSafe(|| self.scene.happen(&mut after, next, None))).is_err() {
            S::panicked(&mut after);
        }
        Some(after)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let witnesses = S::WITNESSES.iter().map(|(name, seen)| Property::sometimes(name, *seen));
        Law::ALL.into_iter().map(holds).chain(witnesses).collect()
    }
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
pub fn search<S: Scene>(scene: &S) -> Found {
    let began = Instant::now();
    let checker = Searched { scene: scene.clone(), found: AtomicBool::new(false) }
        .checker()
        .threads(1)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let is_law = |name: &str| Law::ALL.iter().any(|law| law.name() == name);
    let (broken, witnessed): (Vec<_>, Vec<_>) =
        checker.discoveries().into_iter().partition(|(name, _)| is_law(name));
    let mut witnessed: Vec<_> = witnessed.into_iter().map(|(name, _)| name).collect();
    witnessed.sort_unstable();
    let begins =
        |first: &S::State| (0..).zip(scene.beginnings()).find(|(nth, _)| scene.begin(*nth, None) == *first);
    let broken = broken.into_iter().next().and_then(|(_, path)| {
        let beginning = path.clone().into_states().first().and_then(begins)?;
        tell(scene, &beginning, &path.into_actions())
    });
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
fn tell<S: Scene>(
    scene: &S,
    (nth, beginning): &(usize, String),
    way: &[S::Happening],
) -> Option<Counterexample> {
    let mut lines: Vec<Line> = Vec::new();
    let mut state = scene.begin(*nth, Some(&mut lines));
    for next in way {
        if catch_unwind(AssertUnwindSafe(|| scene.happen(&mut state, *next, Some(&mut lines)))).is_err() {
            S::panicked(&mut state);
        }
    }
    let breach = S::broken(&state)?;
    let law = breach.law.name();
    Some(Counterexample {
        law,
        what: breach.what,
        moves: way.len(),
        sequence: story::sequence(&lines),
        mermaid: story::mermaid(law, &lines),
        test: story::test(S::KIND, scene.name(), breach, beginning, way),
    })
}

/// Goes the way again, every move of which must be possible where it is made; says what is broken in the end.
///
/// # Errors
/// There is no such beginning, or a move is not possible: the way leads nowhere any more.
pub fn replay<S: Scene>(scene: &S, beginning: &str, way: &[S::Happening]) -> Result<Option<Breach>, String> {
    let beginnings = scene.beginnings();
    let nth = beginnings.iter().position(|name| name == beginning);
    let nth = nth.ok_or_else(|| format!("{beginning:?} is no beginning; there are {beginnings:?}"))?;
    let mut state = scene.begin(nth, None);
    let mut possible = Vec::new();
    for (nth, next) in way.iter().enumerate() {
        possible.clear();
        scene.happenings(&state, &mut possible);
        // What only looking ahead can tell is no move of its own where nothing is wrong.
        if !possible.contains(next) && !S::looks_ahead(next) {
            return Err(format!("move {nth}, {next:?}, is not possible; possible are {possible:?}"));
        }
        scene.happen(&mut state, *next, None);
    }
    Ok(S::broken(&state))
}
