//! The laws themselves under test: a small machine that keeps them all, and the same machine with one fault per law.

use idv_core::machine::{Actions, Cx, Describe, Disposition, Machine, Next, Step, Transition, row};
use idv_core::time::{Instant, Span};
use idv_tests::laws::{Around, Draw, Reference, Seen, Subject, agree, hold, table_is_true};
use proptest::prelude::*;
use std::hash::BuildHasher as _;

/// Rings some time after it was wound. `FAULT` 0 keeps the laws; every other number breaks one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
struct Alarm<const FAULT: u8> {
    rings: Option<Instant>,
    wound: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Input {
    Tick,
    Wind(Span),
    Stop,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    Ring,
}

const SPIN: u8 = 1;
const NEXT: u8 = 2;
const EARLY: u8 = 3;
const CLOCK: u8 = 4;
const SERDE: u8 = 5;
const NOOP: u8 = 6;
const OUTSTANDING: u8 = 7;
const PANIC: u8 = 8;
const HIDDEN: u8 = 9;
const TABLE: u8 = 10;
const MANY: u8 = 11;
const AGAIN: u8 = 12;
const FAR: u8 = 13;
const ASKS: u8 = 14;

impl<const FAULT: u8> Machine for Alarm<FAULT> {
    type Policy = ();
    type Input = Input;
    type Action = Action;
    type Actions = Actions<Action, 1>;

    const TICK: Input = Input::Tick;

    fn step(&mut self, cx: Cx<'_, ()>, input: Input) -> Step<Self::Actions> {
        let mut actions = Actions::NONE;
        assert!(FAULT != PANIC || cx.now > Instant::EARLIEST, "the clock went back");
        if self.rings.is_some_and(|at| at <= cx.now || (FAULT == EARLY && at.before(Span::MIN) <= cx.now)) {
            self.rings = None;
            actions.push(Action::Ring);
            if FAULT == MANY {
                actions.push(Action::Ring);
            }
        }
        if let (FAR, Some(at)) = (FAULT, self.rings) {
            assert!(at.as_millis().checked_add(5).is_some(), "no time is left");
        }
        let disposition = match (input, self.rings) {
            (Input::Wind(span), None) => {
                let from = if FAULT == CLOCK { cx.now.as_millis() / 10 * 10 } else { cx.now.as_millis() };
                let at = Instant::from_millis(from).after(span);
                self.rings = Some(if FAULT == SPIN { cx.now } else { at });
                if FAULT == HIDDEN {
                    self.wound = std::collections::hash_map::RandomState::new().hash_one(1) as u8;
                }
                Disposition::Applied
            }
            (Input::Wind(span), Some(_)) => {
                if FAULT == NOOP {
                    self.rings = Some(cx.now.after(span));
                }
                if FAULT == ASKS && actions.is_empty() {
                    actions.push(Action::Ring);
                }
                Disposition::Illegal
            }
            (Input::Stop, Some(_)) => {
                self.rings = None;
                self.wound = 1;
                Disposition::Applied
            }
            (Input::Tick, _) if FAULT == AGAIN => {
                self.wound ^= 1;
                Disposition::Applied
            }
            (Input::Stop | Input::Tick, _) => Disposition::NoOp,
        };
        let next = self.next(&());
        Step { actions, next: if FAULT == NEXT { Next::Input } else { next }, disposition }
    }

    fn next(&self, (): &()) -> Next {
        self.rings.map_or(Next::Input, Next::At)
    }

    fn outstanding(&self, (): &()) -> Self::Actions {
        if FAULT == OUTSTANDING && self.rings.is_some() { Actions::one(Action::Ring) } else { Actions::NONE }
    }

    fn map_times(&mut self, f: impl FnMut(Instant) -> Instant) {
        self.rings = self.rings.map(f);
    }
}

impl<const FAULT: u8> Describe for Alarm<FAULT> {
    const NAME: &'static str = "alarm";
    const TRANSITIONS: &'static [Transition] = if FAULT == TABLE {
        &[row("Idle", "Wind", "Wound"), row("Wound", "Stop", "Idle"), row("Idle", "Stop", "Wound")]
    } else {
        &[row("Idle", "Wind", "Wound"), row("Wound", "Stop", "Idle"), row("Wound", "Tick", "Idle")]
    };

    fn state(&self) -> &'static str {
        if self.rings.is_some() { "Wound" } else { "Idle" }
    }

    fn input_name(input: &Input) -> &'static str {
        match input {
            Input::Tick => "Tick",
            Input::Wind(_) => "Wind",
            Input::Stop => "Stop",
        }
    }
}

#[derive(Debug)]
struct Alarms<const FAULT: u8>;

impl<const FAULT: u8> Subject for Alarms<FAULT> {
    type Machine = Alarm<FAULT>;

    fn policies() -> BoxedStrategy<()> {
        Just(()).boxed()
    }

    fn start((): &(), _: Instant, _: &mut Draw) -> Alarm<FAULT> {
        Alarm { rings: None, wound: 0 }
    }

    fn input(_: &Seen<'_, Self>, draw: &mut Draw) -> Input {
        match draw.below(4) {
            0 => Input::Tick,
            1 => Input::Stop,
            _ => Input::Wind(Span::millis(draw.below(100))),
        }
    }

    fn through_serde(machine: &Alarm<FAULT>) -> Result<Alarm<FAULT>, serde_json::Error> {
        let read: Alarm<FAULT> = serde_json::from_str(&serde_json::to_string(machine)?)?;
        Ok(if FAULT == SERDE { Alarm { wound: 0, ..read } } else { read })
    }
}

fn broken<const FAULT: u8>() -> String {
    hold::<Alarms<FAULT>>().err().unwrap_or_default()
}

#[test]
fn the_faultless_machine_passes() {
    assert_eq!(hold::<Alarms<0>>(), Ok(()));
    assert_eq!(table_is_true::<Alarms<0>>(100), Ok(()));
}

#[test]
fn every_fault_is_found_by_the_law_it_breaks() {
    let found = [
        (broken::<SPIN>(), "a spin"),
        (broken::<NEXT>(), "Step::next is not next()"),
        (broken::<EARLY>(), "a tick just too early"),
        (broken::<CLOCK>(), "is not moved after it"),
        (broken::<SERDE>(), "the snapshot is another state"),
        (broken::<NOOP>(), "Illegal changed the state"),
        (broken::<OUTSTANDING>(), "is outstanding but was not asked for"),
        (broken::<PANIC>(), "the clock went back"),
        (broken::<HIDDEN>(), "the same step twice is not the same"),
        (broken::<MANY>(), "more actions in one step than the machine's bound"),
        (broken::<AGAIN>(), "a second tick"),
        (broken::<FAR>(), "no time is left"),
        (broken::<ASKS>(), "Illegal asked for something"),
    ];
    for (said, law) in found {
        assert!(said.contains(law), "expected {law}: {said}");
    }
}

/// When the alarm rings, and nothing else.
struct Clockwork(Option<Instant>);

impl<const FAULT: u8> Reference<Alarms<FAULT>> for Clockwork {
    type Rules = ();

    fn rules() -> BoxedStrategy<((), ())> {
        Just(((), ())).boxed()
    }

    fn start((): &(), _: Instant) -> Self {
        Self(None)
    }

    fn follow(
        &mut self,
        (): &(),
        cx: Cx<'_, ()>,
        input: Input,
        machines: Around<'_, Alarms<FAULT>>,
    ) -> Result<(), TestCaseError> {
        let rung: Vec<Action> =
            self.0.take_if(|at| *at <= cx.now).map(|_| Action::Ring).into_iter().collect();
        let disposition = match (input, self.0) {
            (Input::Wind(span), None) => {
                self.0 = Some(cx.now.after(span));
                Disposition::Applied
            }
            (Input::Wind(_), Some(_)) => Disposition::Illegal,
            (Input::Stop, Some(_)) => {
                self.0 = None;
                Disposition::Applied
            }
            (Input::Stop | Input::Tick, _) => Disposition::NoOp,
        };
        machines.was(&rung, self.0.map_or(Next::Input, Next::At), disposition)
    }
}

#[test]
fn a_machine_that_differs_from_its_reference_is_found() {
    assert_eq!(agree::<Alarms<0>, Clockwork>(), Ok(()));
    let found = [
        (agree::<Alarms<EARLY>, Clockwork>(), "asks for something else"),
        (agree::<Alarms<CLOCK>, Clockwork>(), "waits for something else"),
        (agree::<Alarms<AGAIN>, Clockwork>(), "takes the input otherwise"),
    ];
    for (said, what) in found {
        let said = said.err().unwrap_or_default();
        assert!(said.contains(what), "expected {what}: {said}");
    }
}

#[test]
fn a_table_with_a_row_too_many_and_one_too_few_is_found_wrong() {
    let said = table_is_true::<Alarms<TABLE>>(100).expect_err("the table was believed");
    let unlisted = said.find("seen but not in the table").expect("says what is missing");
    assert!(said[..unlisted].contains("\"Stop\"") && said[unlisted..].contains("\"Tick\""), "{said}");
}
