//! What becomes of every input in every state of a machine, as a text that a reviewer reads in a diff.
//!
//! A state is entered by a script, from the machine's beginning. From there each input is taken in once as things stand, and once more,
//! where a timer runs, at the very moment that it is due. There, what comes of the timer and then of the input is not repeated: shown are
//! the tick, and the inputs of which something else comes than of a tick and then the input.

mod budget;
mod delivery;
pub mod lifecycle;
mod poller;
mod receipt;
mod session;
mod token;

use crate::laws::{ActionOf, Draw, InputOf, PolicyOf, Seen, StepOf, Subject, stepped};
use idv_core::machine::{Cx, Describe, Machine, Next, Transition};
use idv_core::time::Instant;
use std::collections::BTreeSet;
use std::fmt::{Debug, Write};

/// A machine whose table can be made.
pub trait Tabled: Subject {
    /// Every state in each way that makes a difference to some input.
    fn ways() -> Vec<Way<Self>>;

    /// Every input with everything about it that makes a difference here, made for the machine as it stands.
    fn inputs(seen: &Seen<'_, Self>) -> Vec<InputOf<Self>>;

    /// An input in words.
    #[must_use]
    fn input_words(input: &InputOf<Self>) -> String {
        words(input)
    }

    /// An action in words.
    #[must_use]
    fn action_words(action: &ActionOf<Self>) -> String {
        words(action)
    }
}

/// A way into a state.
pub struct Way<S: Subject + ?Sized> {
    /// What is the case there.
    pub what: &'static str,
    /// The policy.
    pub policy: PolicyOf<S>,
    /// The inputs, and how many milliseconds each comes after the one before.
    pub script: Vec<(u32, InputOf<S>)>,
}

impl<S: Subject> Way<S> {
    /// A way on which every input comes at once.
    pub fn new(
        what: &'static str,
        policy: &PolicyOf<S>,
        script: impl IntoIterator<Item = InputOf<S>>,
    ) -> Self {
        Self { what, policy: policy.clone(), script: script.into_iter().map(|input| (0, input)).collect() }
    }

    /// The way goes on with these inputs, the first of them so many milliseconds later.
    #[must_use]
    pub fn after(mut self, millis: u32, inputs: impl IntoIterator<Item = InputOf<S>>) -> Self {
        for (nth, input) in inputs.into_iter().enumerate() {
            self.script.push((if nth == 0 { millis } else { 0 }, input));
        }
        self
    }
}

/// When every way begins.
const START: Instant = Instant::from_millis(1_000_000);

/// The way written by the compiler, without its spaces.
fn words(value: &impl Debug) -> String {
    format!("{value:?}").replace(" { ", "{").replace(" }", "}")
}

/// One line: an input, and what becomes of it.
struct Row {
    input: String,
    disposition: String,
    state: String,
    wait: String,
    actions: String,
}

/// The table of one machine.
///
/// # Errors
/// There is a state without a way into it, or a change of state in the machine's own list that no line shows.
pub fn table<S: Tabled>() -> Result<String, String> {
    let mut text = format!(
        "The machine `{}`: what becomes of every input in every state.\n\n\
         input | what became of it | the state after, where anything changed | what it waits for then, in milliseconds | what it asks for\n",
        S::Machine::NAME
    );
    let mut shown: BTreeSet<Transition> = BTreeSet::new();
    for way in S::ways() {
        let (machine, now, asked) = walked(&way);
        let mut script: Vec<String> = Vec::new();
        for (millis, input) in &way.script {
            let later = if *millis > 0 { format!("{millis} ms later ") } else { String::new() };
            script.push(later + &S::input_words(input));
        }
        let script = if script.is_empty() { "the beginning".to_owned() } else { script.join(", ") };
        let times = match machine.next(&way.policy) {
            Next::At(at) if at > now => vec![("", now), (", when the time is over", at)],
            Next::At(_) | Next::Input | Next::Over => vec![("", now)],
        };
        for (when, now) in times {
            let mut rows = Vec::new();
            let cx = Cx::new(now, &way.policy, 0);
            for input in S::inputs(&Seen { machine: &machine, policy: &way.policy, now, asked: &asked }) {
                let (after, step) = stepped(machine, cx, input);
                let is_tick = rows.is_empty();
                if is_tick || !after_a_tick::<S>(machine, cx, input, (after, step)) || when.is_empty() {
                    shown.insert(Transition {
                        from: machine.state(),
                        input: S::Machine::input_name(&input),
                        to: after.state(),
                    });
                    rows.push(row::<S>(now, input, (machine, after, step)));
                }
            }
            let heading = format!("{}: {}{when}", machine.state(), way.what);
            write_section(&mut text, &heading, &script, &rows);
        }
    }
    let states: BTreeSet<&str> = S::ways().iter().map(|way| walked(way).0.state()).collect();
    let table = S::Machine::TRANSITIONS;
    let without: Vec<_> = table.iter().filter(|row| !states.contains(row.from)).map(|row| row.from).collect();
    let unshown: Vec<_> = table.iter().filter(|row| !shown.contains(row)).collect();
    if without.is_empty() && unshown.is_empty() {
        Ok(text)
    } else {
        Err(format!("{}: no way into {without:?}; no line shows {unshown:#?}", S::Machine::NAME))
    }
}

/// The machine at the end of its way, the moment, and all it has asked for.
fn walked<S: Tabled>(way: &Way<S>) -> (S::Machine, Instant, Vec<ActionOf<S>>) {
    let mut now = START;
    let mut machine = S::start(&way.policy, now, &mut Draw::default());
    let mut asked: Vec<ActionOf<S>> = Vec::new();
    for (millis, input) in &way.script {
        now = now.shifted(i64::from(*millis));
        asked.extend(machine.step(Cx::new(now, &way.policy, 0), *input).actions);
    }
    (machine, now, asked)
}

/// Whether what came of the input is what comes of a tick and then of the input.
fn after_a_tick<S: Tabled>(
    machine: S::Machine,
    cx: Cx<'_, PolicyOf<S>>,
    input: InputOf<S>,
    (after, step): (S::Machine, StepOf<S>),
) -> bool {
    let (ticked, tick) = stepped(machine, cx, S::Machine::TICK);
    let (then, second) = stepped(ticked, cx, input);
    let actions: Vec<_> = tick.actions.into_iter().chain(second.actions).collect();
    let same_actions = actions.into_iter().eq(step.actions);
    then == after && same_actions && (second.next, second.disposition) == (step.next, step.disposition)
}

fn row<S: Tabled>(
    now: Instant,
    input: InputOf<S>,
    (before, after, step): (S::Machine, S::Machine, StepOf<S>),
) -> Row {
    let wait = match step.next {
        Next::At(at) if at > now => at.since(now).to_string(),
        Next::At(_) => "0".to_owned(),
        Next::Input => "input".to_owned(),
        Next::Over => "over".to_owned(),
    };
    let actions: Vec<String> = step.actions.into_iter().map(|action| S::action_words(&action)).collect();
    let changed = after != before;
    Row {
        input: S::input_words(&input),
        disposition: words(&step.disposition),
        state: if changed { after.state().to_owned() } else { String::new() },
        wait: if changed { wait } else { String::new() },
        actions: actions.join(", "),
    }
}

fn write_section(text: &mut String, heading: &str, script: &str, rows: &[Row]) {
    let widest = |cell: fn(&Row) -> &str| rows.iter().map(|row| cell(row).chars().count()).max().unwrap_or(0);
    let (inputs, states, waits) =
        (widest(|row| &row.input), widest(|row| &row.state), widest(|row| &row.wait));
    // Writing to a string does not fail.
    let _ = write!(text, "\n{heading}\n  after: {script}\n");
    for Row { input, disposition, state, wait, actions } in rows {
        let line = format!("  {input:inputs$}  {disposition:7}  {state:states$}  {wait:>waits$}  {actions}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
}
