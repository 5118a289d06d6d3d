//! The laws of [`idv_core::machine::Machine`], checked along random runs, and the walker that holds a machine's table of transitions
//! against the same runs.
//!
//! ```text
//!   Subject: policy, first state, next input ──┐
//!                                              ▼
//!   proptest: Moves (when, bits, entropy) ──▶ run ──▶ at every step: every law     (Err: the law, the state, the input)
//!                                              └────▶ changes of state seen        (against TRANSITIONS, both ways)
//! ```
//!
//! Inputs are made from the state and from what was asked for, so that completions carry plausible numbers: the awaited one, an
//! older one, one never given out. Times are made from what the machine waits for: just before, exactly at, after, and back.

use idv_core::machine::{Cx, Describe, Disposition, Machine, Next, Step, Transition};
use idv_core::time::Instant;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A machine's policy.
pub type PolicyOf<S> = <<S as Subject>::Machine as Machine>::Policy;
/// A machine's input.
pub type InputOf<S> = <<S as Subject>::Machine as Machine>::Input;
/// A machine's action.
pub type ActionOf<S> = <<S as Subject>::Machine as Machine>::Action;
/// What comes of a machine's step.
pub type StepOf<S> = Step<<<S as Subject>::Machine as Machine>::Actions>;

/// How to exercise one machine.
pub trait Subject {
    /// The machine.
    type Machine: Describe<Policy: Clone + Debug>;

    /// Policies to run it under, those with close and with equal numbers among them.
    fn policies() -> BoxedStrategy<PolicyOf<Self>>;

    /// A first state at `now`.
    fn start(policy: &PolicyOf<Self>, now: Instant, draw: &mut Draw) -> Self::Machine;

    /// The next input. Every kind of input, with every kind of number, must be possible in every state.
    fn input(seen: &Seen<'_, Self>, draw: &mut Draw) -> InputOf<Self>;

    /// The machine after its snapshot was written and read.
    ///
    /// # Errors
    /// What serde says.
    fn through_serde(machine: &Self::Machine) -> Result<Self::Machine, serde_json::Error>;

    /// The input with every instant that it carries moved by `by` milliseconds.
    #[must_use]
    fn shift_input(input: InputOf<Self>, _by: i64) -> InputOf<Self> {
        input
    }

    /// The action with every instant that it carries moved by `by` milliseconds.
    #[must_use]
    fn shift_action(action: ActionOf<Self>, _by: i64) -> ActionOf<Self> {
        action
    }
}

/// What an input may be made from.
#[derive(Debug)]
pub struct Seen<'a, S: Subject + ?Sized> {
    /// The machine as it stands.
    pub machine: &'a S::Machine,
    /// Its policy.
    pub policy: &'a PolicyOf<S>,
    /// The moment of the step to come.
    pub now: Instant,
    /// Everything it has asked for in this run, the latest last.
    pub asked: &'a [ActionOf<S>],
}

impl<S: Subject + ?Sized> Seen<'_, S> {
    /// A number for a completion: mostly the latest that `number` finds among the actions, else an earlier one or any.
    pub fn op(&self, draw: &mut Draw, number: impl Fn(&ActionOf<S>) -> Option<u32>) -> u32 {
        let given_out: Vec<u32> = self.asked.iter().filter_map(number).collect();
        let latest = given_out.last().copied().unwrap_or(0);
        match draw.below(10) {
            0 => draw.one_of(&[0, 1, 2, 3, u32::MAX]).unwrap_or(0),
            1 => latest.wrapping_add(1),
            2 => draw.one_of(&given_out).unwrap_or(latest),
            _ => latest,
        }
    }
}

/// Choices, all drawn from the bits of one move.
#[derive(Clone, Debug, Default)]
pub struct Draw(u64);

impl Draw {
    /// A number below `bound`; zero when `bound` is zero.
    pub fn below(&mut self, bound: u32) -> u32 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        ((u64::from((bits >> 32) as u32) * u64::from(bound)) >> 32) as u32
    }

    /// True `times` times in `of`.
    pub fn chance(&mut self, times: u32, of: u32) -> bool {
        self.below(of) < times
    }

    /// One of these.
    pub fn one_of<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let index = self.below(u32::try_from(from.len()).unwrap_or(u32::MAX));
        from.get(index as usize).copied()
    }
}

/// When the next step is taken.
#[derive(Clone, Copy, Debug)]
enum When {
    /// At the same moment as the step before.
    Same,
    /// So many milliseconds later.
    Later(u32),
    /// So many milliseconds before, at or after the moment that the machine waits for.
    Timer(i64),
    /// The clock went back so many milliseconds.
    Back(u32),
    /// The clock shows this, whatever it showed before.
    At(Instant),
}

/// One step of a run.
#[derive(Clone, Copy, Debug)]
struct Move {
    when: When,
    bits: u64,
    entropy: u32,
}

/// When a run starts.
const START: Instant = Instant::from_millis(100_000_000);

/// The clock goes back no further than this, so that shifted instants stay clear of the end of time, where they would saturate.
const FLOOR: Instant = Instant::from_millis(50_000_000);

type Run<S> = (PolicyOf<S>, u64, Vec<Move>);

fn runs<S: Subject>() -> impl Strategy<Value = Run<S>> {
    (S::policies(), any::<u64>(), moves())
}

fn entropy() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), Just(u32::MAX), any::<u32>()]
}

/// Steps of a clock that mostly goes forward.
fn moves() -> impl Strategy<Value = Vec<Move>> {
    let when = prop_oneof![
        4 => Just(When::Same),
        4 => (1..50_u32).prop_map(When::Later),
        3 => (1..2_000_u32).prop_map(When::Later),
        1 => (1..4_000_000_u32).prop_map(When::Later),
        5 => prop_oneof![Just(0), Just(-1), Just(1), -50..50_i64].prop_map(When::Timer),
        1 => (1..5_000_u32).prop_map(When::Back),
    ];
    let one = (when, any::<u64>(), entropy()).prop_map(|(when, bits, entropy)| Move { when, bits, entropy });
    prop::collection::vec(one, 1..60)
}

/// Steps of a clock that may show anything, the ends of time among it.
fn wild_moves() -> impl Strategy<Value = Vec<Move>> {
    let anywhere =
        prop_oneof![0..3_000_u64, any::<u64>(), (0..3_000_u64).prop_map(|before| u64::MAX - before)];
    let when = prop_oneof![
        3 => anywhere.prop_map(|millis| When::At(Instant::from_millis(millis))),
        3 => Just(When::Same),
        2 => (1..2_000_u32).prop_map(When::Later),
        3 => (-1..2_i64).prop_map(When::Timer),
    ];
    let one = (when, any::<u64>(), entropy()).prop_map(|(when, bits, entropy)| Move { when, bits, entropy });
    prop::collection::vec(one, 1..40)
}

/// Checks every law along random runs, and those that do not speak of distances on a clock that shows anything.
///
/// `PROPTEST_CASES` sets how many runs, 256 unless set: three times as many, and once as many.
///
/// # Errors
/// The law that does not hold, with the smallest run found that shows it.
pub fn hold<S: Subject>() -> Result<(), String> {
    check::<S, _, _>(
        3,
        runs::<S>(),
        PolicyOf::<S>::clone,
        |_| (),
        |(), machine, cx, input| {
            every_law::<S>(machine, cx, input)?;
            times_shift::<S>(machine, cx, input)
        },
    )?;
    let wild = (S::policies(), any::<u64>(), wild_moves());
    check::<S, _, _>(
        1,
        wild,
        PolicyOf::<S>::clone,
        |_| (),
        |(), machine, cx, input| every_law::<S>(machine, cx, input),
    )
}

/// The rules of a machine once more, written as plainly as they can be said, to compare every step with.
pub trait Reference<S: Subject>: Sized {
    /// What it goes by: all that the policy says, in the open.
    type Rules: Clone + Debug;

    /// Rules to compare under, and the policy that says the same.
    fn rules() -> BoxedStrategy<(Self::Rules, PolicyOf<S>)>;

    /// Before the first step, at `now`.
    fn start(rules: &Self::Rules, now: Instant) -> Self;

    /// Takes the input in as well, and compares. `before` is the machine before the step.
    ///
    /// # Errors
    /// The two do not agree.
    fn follow(
        &mut self,
        rules: &Self::Rules,
        cx: Cx<'_, PolicyOf<S>>,
        input: InputOf<S>,
        machines: Around<'_, S>,
    ) -> Result<(), TestCaseError>;
}

/// A machine before and after a step.
#[derive(Debug)]
pub struct Around<'a, S: Subject> {
    /// Before it.
    pub before: &'a S::Machine,
    /// After it.
    pub after: &'a S::Machine,
    /// What came of it.
    pub step: &'a StepOf<S>,
}

impl<S: Subject> Around<'_, S> {
    /// That the step was to be like this.
    ///
    /// # Errors
    /// It was not.
    pub fn was(
        &self,
        actions: &[ActionOf<S>],
        next: Next,
        disposition: Disposition,
    ) -> Result<(), TestCaseError> {
        let did: Vec<_> = self.step.actions.into_iter().collect();
        prop_assert_eq!(&did[..], actions, "the reference asks for something else");
        prop_assert_eq!(self.step.next, next, "the reference waits for something else");
        prop_assert_eq!(self.step.disposition, disposition, "the reference takes the input otherwise");
        Ok(())
    }
}

/// Compares a machine with its reference after every step of random runs, three times as many as `PROPTEST_CASES` says.
///
/// # Errors
/// Where they do not agree, with the smallest run found that shows it.
pub fn agree<S: Subject, R: Reference<S>>() -> Result<(), String> {
    let start = |(rules, _): &(R::Rules, PolicyOf<S>)| (R::start(rules, START), rules.clone());
    let policy = |(_, policy): &(R::Rules, PolicyOf<S>)| policy.clone();
    check::<S, _, _>(
        3,
        (R::rules(), any::<u64>(), moves()),
        policy,
        start,
        |(reference, rules), machine, cx, input| {
            let (after, step) = stepped(machine, cx, input);
            let machines = Around { before: &machine, after: &after, step: &step };
            reference.follow(rules, cx, input, machines)
        },
    )
}

/// Shows `look` every step of random runs before it is taken, and makes the run that it refuses as small as can be. There are `share`
/// times as many as `PROPTEST_CASES` says.
fn check<S: Subject, T: Debug, K>(
    share: u32,
    runs: impl Strategy<Value = (T, u64, Vec<Move>)>,
    policy: impl Fn(&T) -> PolicyOf<S>,
    start: impl Fn(&T) -> K,
    look: impl Fn(&mut K, S::Machine, Cx<'_, PolicyOf<S>>, InputOf<S>) -> Result<(), TestCaseError>,
) -> Result<(), String> {
    let cases = Config::default().cases.saturating_mul(share);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
    let checked = TestRunner::new(config).run(&runs, |(rules, bits, moves)| {
        let mut kept = start(&rules);
        walk::<S>(&policy(&rules), bits, &moves, |machine, cx, input| {
            unpanicked(|| look(&mut kept, machine, cx, input))?
        })
    });
    match checked {
        Ok(()) => Ok(()),
        Err(TestError::Fail(reason, (rules, bits, moves))) => Err(format!(
            "{}: {reason}\nunder {:?}\nafter this run:\n{}",
            S::Machine::NAME,
            policy(&rules),
            trace::<S>(&policy(&rules), bits, &moves)
        )),
        Err(TestError::Abort(reason)) => Err(format!("{}: gave up: {reason}", S::Machine::NAME)),
    }
}

/// Holds [`Describe::TRANSITIONS`] against `times` random runs, the same every time: a change of state that was seen is in the table, and
/// every row of the table was seen. A row whose two states are the same counts as seen when the input was taken in there; such rows may
/// be left out.
///
/// # Errors
/// The rows that are missing on either side.
pub fn table_is_true<S: Subject>(times: u32) -> Result<(), String> {
    let mut seen = Changes::default();
    each_step::<S>(times, |machine, cx, input| seen.observe(machine, cx, input))?;
    let table: BTreeSet<Transition> = S::Machine::TRANSITIONS.iter().copied().collect();
    let unlisted: Vec<_> = seen.plain.difference(&table).filter(|row| row.from != row.to).collect();
    let unseen: Vec<_> =
        table.difference(&seen.plain).filter(|row| !seen.before_a_timer.contains(row)).collect();
    if unlisted.is_empty() && unseen.is_empty() && table.len() == S::Machine::TRANSITIONS.len() {
        return Ok(());
    }
    Err(format!(
        "{}: in the table but not seen {unseen:#?}, seen but not in the table {unlisted:#?}, rows repeated {}",
        S::Machine::NAME,
        S::Machine::TRANSITIONS.len() - table.len()
    ))
}

/// Shows `look` every step of `times` random runs, the same every time, before it is taken.
///
/// # Errors
/// The runs could not be made.
pub fn each_step<S: Subject>(
    times: u32,
    mut look: impl FnMut(S::Machine, Cx<'_, PolicyOf<S>>, InputOf<S>),
) -> Result<(), String> {
    let mut runner = TestRunner::deterministic();
    let strategy = runs::<S>();
    for _ in 0..times {
        let (policy, start, moves) =
            strategy.new_tree(&mut runner).map_err(|reason| reason.to_string())?.current();
        walk::<S>(&policy, start, &moves, |machine, cx, input| {
            look(machine, cx, input);
            Ok(())
        })
        .map_err(|reason| reason.to_string())?;
    }
    Ok(())
}

/// The run in words, one line per step, to its end or to the step that panics.
fn trace<S: Subject>(policy: &PolicyOf<S>, start: u64, moves: &[Move]) -> String {
    let mut lines = String::new();
    let told = walk::<S>(policy, start, moves, |machine, cx, input| {
        lines.push_str(&format!("  {:?} entropy {}: {input:?}\n    in {machine:?}\n", cx.now, cx.entropy));
        let (_, step) = unpanicked(|| stepped(machine, cx, input))?;
        lines.push_str(&format!("    {:?} {:?} {:?}\n", step.disposition, step.actions, step.next));
        Ok(())
    });
    told.map_or_else(|reason| format!("{lines}    {reason}"), |()| lines.clone())
}

/// What `f` returns, or its panic as a failed case.
fn unpanicked<T>(f: impl FnOnce() -> T) -> Result<T, TestCaseError> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|cause| {
        let said = cause.downcast_ref::<&str>().map(ToString::to_string);
        let said = said.or_else(|| cause.downcast_ref::<String>().cloned());
        TestCaseError::fail(format!("it panicked: {}", said.unwrap_or_default()))
    })
}

/// One run: the machine is stepped as the moves say, and `look` looks at every step before it is taken.
fn walk<S: Subject>(
    policy: &PolicyOf<S>,
    start: u64,
    moves: &[Move],
    mut look: impl FnMut(S::Machine, Cx<'_, PolicyOf<S>>, InputOf<S>) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let mut now = START;
    let mut machine = S::start(policy, now, &mut Draw(start));
    let mut asked: Vec<ActionOf<S>> = machine.outstanding(policy).into_iter().collect();
    for step in moves {
        now = match (step.when, machine.next(policy)) {
            (When::Same, _) => now,
            (When::Later(by), _) => now.shifted(i64::from(by)),
            (When::Timer(by), Next::At(at)) => at.shifted(by).max(now.min(FLOOR)),
            (When::Timer(by), Next::Input | Next::Over) => now.shifted(by.abs()),
            (When::Back(by), _) => now.shifted(-i64::from(by)).max(FLOOR),
            (When::At(at), _) => at,
        };
        let cx = Cx::new(now, policy, step.entropy);
        let input = S::input(&Seen { machine: &machine, policy, now, asked: &asked }, &mut Draw(step.bits));
        look(machine, cx, input)?;
        asked.extend(machine.step(cx, input).actions);
    }
    Ok(())
}

/// What the random runs of one machine showed.
#[derive(Default)]
struct Changes {
    /// What a due timer did, and what an input did when no timer was due.
    plain: BTreeSet<Transition>,
    /// What an input did that came in the same step as a due timer, and before it.
    before_a_timer: BTreeSet<Transition>,
}

impl Changes {
    fn observe<M: Describe>(&mut self, machine: M, cx: Cx<'_, M::Policy>, input: M::Input) {
        let from = machine.state();
        let (ticked, tick) = stepped(machine, cx, M::TICK);
        let (later, then) = stepped(ticked, cx, input);
        let (at_once, _) = stepped(machine, cx, input);
        let change = |from, input, to| Transition { from, input: M::input_name(&input), to };
        if from != ticked.state() || tick.disposition == Disposition::Applied {
            self.plain.insert(change(from, M::TICK, ticked.state()));
        }
        if ticked.state() != later.state() || then.disposition == Disposition::Applied {
            self.plain.insert(change(ticked.state(), input, later.state()));
        }
        if at_once.state() != ticked.state() {
            self.before_a_timer.insert(change(from, input, at_once.state()));
        }
    }
}

/// The machine after a step, and what came of it.
pub(crate) fn stepped<M: Machine>(
    mut machine: M,
    cx: Cx<'_, M::Policy>,
    input: M::Input,
) -> (M, Step<M::Actions>) {
    let step = machine.step(cx, input);
    (machine, step)
}

fn every_law<S: Subject>(
    machine: S::Machine,
    cx: Cx<'_, PolicyOf<S>>,
    input: InputOf<S>,
) -> Result<(), TestCaseError> {
    let (after, step) = stepped(machine, cx, input);

    prop_assert_eq!(stepped(machine, cx, input), (after, step), "the same step twice is not the same (G8)");
    prop_assert_eq!(step.next, after.next(cx.policy), "Step::next is not next()");
    serde_is_identity::<S>(after)?;
    // At the end of time nothing is later than now, and what is begun is over at once.
    if cx.now < Instant::LATEST {
        if let Next::At(at) = step.next {
            prop_assert!(at > cx.now, "waits for {:?}, which is not later than now: a spin", at);
        }
        ticks_are_idle(after, cx, step.next)?;
        ignored_is_ignored(machine, cx, input, (after, step))?;
    }
    let bounds = [Instant::EARLIEST, Instant::LATEST];
    for now in bounds {
        // Only that it does not panic: at the ends of time the other laws cannot hold.
        let _ = stepped(machine, Cx { now, ..cx }, input);
    }
    outstanding_was_asked_for(machine, cx, (after, step))
}

/// A second tick at the same moment, and any tick before the moment waited for, changes nothing and asks for nothing.
fn ticks_are_idle<M: Machine>(after: M, cx: Cx<'_, M::Policy>, next: Next) -> Result<(), TestCaseError> {
    let until = match next {
        Next::At(at) => at.shifted(-1),
        Next::Input | Next::Over => cx.now.shifted(40_000_000_000),
    };
    let between = Instant::from_millis(u64::midpoint(cx.now.as_millis(), until.as_millis()));
    for (now, what) in
        [(cx.now, "a second tick"), (between, "an early tick"), (until, "a tick just too early")]
    {
        let (ticked, tick) = stepped(after, Cx { now, entropy: !cx.entropy, ..cx }, M::TICK);
        prop_assert_eq!(ticked, after, "{} at {:?} changed the state", what, now);
        prop_assert_eq!(tick.actions.into_iter().count(), 0, "{} at {:?} asked for something", what, now);
        prop_assert_eq!(tick.next, next, "{} at {:?} moved the timer", what, now);
    }
    Ok(())
}

/// Moving the machine, the clock and the instants in the input by the same amount moves what comes of it by that amount.
fn times_shift<S: Subject>(
    machine: S::Machine,
    cx: Cx<'_, PolicyOf<S>>,
    input: InputOf<S>,
) -> Result<(), TestCaseError> {
    let (mut after, step) = stepped(machine, cx, input);
    for by in [7_777_777, -1_234_567] {
        let mut moved = machine;
        moved.map_times(|at| at.shifted(by));
        let moved_cx = Cx { now: cx.now.shifted(by), ..cx };
        let (moved, moved_step) = stepped(moved, moved_cx, S::shift_input(input, by));
        after.map_times(|at| at.shifted(by));
        prop_assert_eq!(moved, after, "moved by {} ms before the step is not moved after it", by);
        after.map_times(|at| at.shifted(-by));
        let actions: Vec<_> = step.actions.into_iter().map(|action| S::shift_action(action, by)).collect();
        let moved_actions: Vec<_> = moved_step.actions.into_iter().collect();
        prop_assert_eq!(moved_actions, actions, "moved by {} ms it asks for something else", by);
        prop_assert_eq!(
            moved_step.disposition,
            step.disposition,
            "moved by {} ms the input counts otherwise",
            by
        );
    }
    Ok(())
}

fn serde_is_identity<S: Subject>(after: S::Machine) -> Result<(), TestCaseError> {
    let restored = S::through_serde(&after);
    prop_assert!(restored.is_ok(), "the snapshot cannot be read: {:?}", restored.err());
    prop_assert_eq!(restored.ok(), Some(after), "the snapshot is another state (G9)");
    Ok(())
}

/// `Illegal`, `NoOp` and `Stale` leave what a tick at the same moment leaves.
fn ignored_is_ignored<M: Machine>(
    machine: M,
    cx: Cx<'_, M::Policy>,
    input: M::Input,
    (after, step): (M, Step<M::Actions>),
) -> Result<(), TestCaseError> {
    match step.disposition {
        Disposition::Applied => Ok(()),
        Disposition::NoOp | Disposition::Stale | Disposition::Illegal => {
            let (ticked, tick) = stepped(machine, cx, M::TICK);
            prop_assert_eq!(after, ticked, "{:?} changed the state; {:?}", step.disposition, input);
            prop_assert_eq!(step.actions, tick.actions, "{:?} asked for something", step.disposition);
            Ok(())
        }
    }
}

/// What is outstanding after a step was outstanding before it or was asked for by it.
fn outstanding_was_asked_for<M: Machine>(
    machine: M,
    cx: Cx<'_, M::Policy>,
    (after, step): (M, Step<M::Actions>),
) -> Result<(), TestCaseError> {
    let before: Vec<M::Action> = machine.outstanding(cx.policy).into_iter().collect();
    let asked: Vec<M::Action> = step.actions.into_iter().collect();
    for action in after.outstanding(cx.policy) {
        prop_assert!(
            before.contains(&action) || asked.contains(&action),
            "{:?} is outstanding but was not asked for",
            action
        );
    }
    Ok(())
}
