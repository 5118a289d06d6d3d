//! What every machine has in common: facts go in, actions come back in the same call, time is an argument.
//!
//! ```text
//!                 now, policy, entropy
//!                          │
//!      Input ──▶ Machine::step ──▶ Step { actions, next, disposition }
//!                                          │        │
//!                    perform every one ◀───┘        └──▶ wait for this, then step again
//! ```
//!
//! There is no queue to drain and no timer to forget: the actions of a step are returned by it, and [`Step::next`] replaces whatever
//! the driver was waiting for. [`Machine::outstanding`] reads from the state alone what a restored machine must ask for again.

use crate::time::Instant;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::hash::Hash;
use serde::{Deserialize, Serialize};

/// What a step may look at beside its input.
#[derive(Debug)]
pub struct Cx<'a, P: ?Sized> {
    /// The driver's reading of its clock.
    pub now: Instant,
    /// The rules the machine runs under; validated once, shared by many machines.
    pub policy: &'a P,
    /// Fresh random bits for jitter. One draw per step.
    pub entropy: u32,
}

impl<P: ?Sized> Clone for Cx<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: ?Sized> Copy for Cx<'_, P> {}

impl<'a, P: ?Sized> Cx<'a, P> {
    /// A context of these three.
    #[must_use]
    pub const fn new(now: Instant, policy: &'a P, entropy: u32) -> Self {
        Self { now, policy, entropy }
    }

    /// The same moment and entropy under another policy, for a child machine.
    #[must_use]
    pub const fn with<Q: ?Sized>(self, policy: &Q) -> Cx<'_, Q> {
        Cx { now: self.now, policy, entropy: self.entropy }
    }
}

/// What came of one step.
#[must_use = "perform every action, then wait for `next`"]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step<As> {
    /// What the driver must do now, in this order.
    pub actions: As,
    /// What the machine waits for; replaces any earlier timer.
    pub next: Next,
    /// What became of the input.
    pub disposition: Disposition,
}

/// What a machine waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// The next input, or this moment, whichever comes first.
    At(Instant),
    /// An input; there is no timer, and an earlier one no longer applies.
    Input,
    /// Nothing: the machine has finished.
    Over,
}

impl Next {
    /// The sooner of two waits. `Over` yields to anything that still waits.
    #[must_use]
    pub fn sooner(self, other: Self) -> Self {
        match (self, other) {
            (Self::At(a), Self::At(b)) => Self::At(a.min(b)),
            (Self::At(at), Self::Input | Self::Over) | (Self::Input | Self::Over, Self::At(at)) => {
                Self::At(at)
            }
            (Self::Over, Self::Over) => Self::Over,
            (Self::Input, Self::Input | Self::Over) | (Self::Over, Self::Input) => Self::Input,
        }
    }
}

/// What became of an input.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// It was taken in.
    Applied,
    /// It was allowed here and had nothing to change.
    NoOp,
    /// It completes an operation that is no longer awaited.
    Stale,
    /// It makes no sense in this state: the driver has a bug.
    Illegal,
}

/// A state machine that performs no input or output of its own.
///
/// Laws that hold for every implementation, and that the tests run on each:
/// the same state, context and input give the same step; `step(…).next == next()`; `Next::At(t)` lies after the `now` of the step;
/// a [`Machine::TICK`] before its time changes nothing; a second one at the same moment changes nothing; shifting every instant
/// and the clock by the same amount shifts the result; `Stale`, `NoOp` and `Illegal` change nothing but timers that were due; no
/// input, at any moment, panics.
pub trait Machine: Copy + Eq + Hash + fmt::Debug {
    /// The rules it runs under.
    type Policy: ?Sized;
    /// Facts that happened.
    type Input: Copy + fmt::Debug;
    /// Things to do.
    type Action: Copy + Eq + fmt::Debug;
    /// A bounded list of them.
    type Actions: IntoIterator<Item = Self::Action> + Copy + Eq + fmt::Debug;

    /// The input that says only: time has passed.
    const TICK: Self::Input;

    /// Takes one fact in. Total: there is no error and no panic; [`Step::disposition`] says what became of the input.
    fn step(&mut self, cx: Cx<'_, Self::Policy>, input: Self::Input) -> Step<Self::Actions>;

    /// What it waits for; pure, and always equal to the last [`Step::next`].
    fn next(&self, policy: &Self::Policy) -> Next;

    /// What it has asked for and still awaits: what a restored machine must ask for again.
    fn outstanding(&self, policy: &Self::Policy) -> Self::Actions;

    /// Rewrites every moment that the state holds, to move the machine to another clock.
    fn map_times(&mut self, f: impl FnMut(Instant) -> Instant);
}

/// A machine that can name its states and draw itself.
pub trait Describe: Machine {
    /// The machine's name, as `idv diagram` takes it.
    const NAME: &'static str;
    /// Every change of state that can happen, first the one from the initial state. A row with the input `Tick` happens also within the
    /// step of any other input that finds the timer due. A test walks the machine at random and holds it against this table in both
    /// directions.
    const TRANSITIONS: &'static [Transition];

    /// The name of the present state, as the table spells it.
    fn state(&self) -> &'static str;

    /// The name of an input, as the table spells it.
    fn input_name(input: &Self::Input) -> &'static str;
}

/// One row of a machine's table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Transition {
    /// The state before.
    pub from: &'static str,
    /// The input.
    pub input: &'static str,
    /// The state after.
    pub to: &'static str,
}

/// Shorthand for one row of a table.
#[must_use]
pub const fn row(from: &'static str, input: &'static str, to: &'static str) -> Transition {
    Transition { from, input, to }
}

/// Draws a table as a Mermaid state diagram: the same table, the same text. The first row starts from the initial state.
#[must_use]
pub fn mermaid(name: &str, transitions: &[Transition]) -> String {
    let mut lines: Vec<String> =
        alloc::vec![alloc::format!("---\ntitle: {name}\n---"), String::from("stateDiagram-v2")];
    if let Some(first) = transitions.first() {
        lines.push(alloc::format!("    [*] --> {}", first.from));
    }
    for (index, row) in transitions.iter().enumerate() {
        let same = |other: &&Transition| other.from == row.from && other.to == row.to;
        if !transitions.iter().take(index).any(|earlier| same(&earlier)) {
            let inputs: Vec<&str> = transitions.iter().filter(same).map(|row| row.input).collect();
            lines.push(alloc::format!("    {} --> {}: {}", row.from, row.to, inputs.join(", ")));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

/// A list of at most `N` actions, held inline.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Actions<A, const N: usize>([Option<A>; N]);

impl<A: Copy, const N: usize> Actions<A, N> {
    /// No action.
    pub const NONE: Self = Self([None; N]);

    /// One action.
    #[must_use]
    pub fn one(action: A) -> Self {
        let mut actions = Self::NONE;
        actions.push(action);
        actions
    }

    /// Adds an action at the end. The bound of each machine is shown by its tests; past it a debug build stops.
    pub fn push(&mut self, action: A) {
        let free = self.0.iter_mut().find(|slot| slot.is_none());
        debug_assert!(free.is_some(), "more actions in one step than the machine's bound");
        if let Some(slot) = free {
            *slot = Some(action);
        }
    }

    /// The actions in order.
    pub fn iter(&self) -> impl Iterator<Item = A> + '_ {
        self.0.iter().flatten().copied()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<A, const N: usize> IntoIterator for Actions<A, N> {
    type Item = A;
    type IntoIter = core::iter::Flatten<core::array::IntoIter<Option<A>, N>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().flatten()
    }
}

impl<A: fmt::Debug, const N: usize> fmt::Debug for Actions<A, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().flatten()).finish()
    }
}
