//! What is printed.

use crate::hunt::Hunt;
use idv_model::law::Law;
use idv_model::worlds::{self, World};
use serde_json::{Value, json};
use std::time::Duration;

/// What a search found, in the real core or in one with a bug.
pub(crate) struct Result {
    states: usize,
    ways: usize,
    depth: usize,
    took: Duration,
    witnessed: Vec<&'static str>,
    pub(crate) way: Option<Way>,
}

/// The shortest way to what is broken.
pub(crate) struct Way {
    law: &'static str,
    what: &'static str,
    moves: usize,
    pub(crate) sequence: String,
    pub(crate) mermaid: String,
    pub(crate) test: String,
}

macro_rules! result_of {
    ($($model:ident)*) => {$(
        impl From<$model::search::Found> for Result {
            fn from(found: $model::search::Found) -> Self {
                let $model::search::Found { states, ways, depth, took, witnessed, broken } = found;
                let way = broken.map(|broken| Way {
                    law: broken.law,
                    what: broken.what,
                    moves: broken.moves,
                    sequence: broken.sequence,
                    mermaid: broken.mermaid,
                    test: broken.test,
                });
                Self { states, ways, depth, took, witnessed, way }
            }
        }
    )*};
}

result_of!(idv_model idv_model_mutants);

pub(crate) struct WorldRow {
    name: &'static str,
    about: &'static str,
    expected: Option<usize>,
    laws: &'static [Law],
    pub(crate) found: Result,
}

impl WorldRow {
    pub(crate) fn new(world: &World, found: Result) -> Self {
        Self { name: world.name(), about: world.about(), expected: world.states(), laws: world.laws(), found }
    }

    pub(crate) fn print(&self) {
        let Result { states, ways, depth, took, .. } = &self.found;
        let verdict = if self.found.way.is_some() { "BROKEN" } else { "holds" };
        let (name, about) = (self.name, self.about);
        println!(
            "{name:<30} {states:>10} {ways:>11} {depth:>5} {:>8.1} s  {verdict:<6}  {about}",
            took.as_secs_f32()
        );
    }

    /// What is wrong with it; a number of states is not, where it is being written down.
    pub(crate) fn wrong(&self, pin: bool) -> Option<String> {
        let name = self.name;
        if let Some(way) = &self.found.way {
            return Some(format!("{name}: {} is broken: {}", way.law, way.what));
        }
        if pin || self.expected == Some(self.found.states) {
            return None;
        }
        let expected =
            self.expected.map_or("no number that was written down".into(), |states| states.to_string());
        Some(format!(
            "{name}: {} states instead of {expected}: if that is meant, run `prove --world {name:?} --pin` and commit tests/model/states.txt",
            self.found.states
        ))
    }
}

pub(crate) struct MutantRow {
    name: &'static str,
    says: &'static str,
    world: &'static str,
    place: &'static str,
    law: Law,
    pub(crate) found: Result,
}

impl MutantRow {
    pub(crate) fn new(hunt: &Hunt, found: Result) -> Self {
        let Hunt { mutant, world, law, .. } = *hunt;
        Self { name: mutant, says: hunt.says(), world, place: hunt.place(), law, found }
    }

    pub(crate) fn print(&self) {
        let Self { name, says, world, place, found, .. } = self;
        let (law, moves) = found.way.as_ref().map_or(("NOT CAUGHT", 0), |way| (way.law, way.moves));
        println!("{name:<31} {place} {law:<28} {moves:>5} {:>9}  {world:<17}  {says}", found.states);
    }

    /// It must break the law that it was made to break: a bug that is found by something else, a panic among it, does not show that this law bites.
    pub(crate) fn wrong(&self) -> Option<String> {
        let Self { name, world, law, .. } = self;
        let Some(way) = &self.found.way else {
            return Some(format!("mutant {name}: not caught in world {world}"));
        };
        let other = way.law != law.name();
        other.then(|| {
            format!("mutant {name}: breaks {} in world {world} ({}), not {}", way.law, way.what, law.name())
        })
    }
}

pub(crate) fn worlds_head() {
    println!("{:<30} {:>10} {:>11} {:>5} {:>10}", "world", "states", "ways", "depth", "time");
}

pub(crate) fn laws(worlds: &[WorldRow]) {
    if worlds.is_empty() {
        return;
    }
    println!("\n{:<54} {:<8}", "property", "");
    for law in Law::ALL {
        let broken: Vec<&str> = worlds
            .iter()
            .filter(|row| row.found.way.as_ref().is_some_and(|way| way.law == law.name()))
            .map(|row| row.name)
            .collect();
        let looked_at = worlds.iter().filter(|row| row.laws.contains(&law)).count();
        let verdict = match (broken.is_empty(), looked_at) {
            (true, 0) => "not looked at here".into(),
            (true, _) => format!("holds in every state of {looked_at} worlds"),
            (false, _) => format!("BROKEN in {}", broken.join(", ")),
        };
        println!("  {:<52} {verdict}", law.name());
    }
}

/// The states of every world, for the next run to compare: of those that were searched now as they were found, of the others as before.
pub(crate) fn pins(searched: &[WorldRow]) -> String {
    let states = |world: &World| {
        let row = searched.iter().find(|row| row.name == world.name());
        row.map(|row| row.found.states).or(world.states())
    };
    let all = worlds::small().into_iter().chain(worlds::large());
    all.filter_map(|world| Some(format!("{} {}\n", world.name(), states(&world)?))).collect()
}

/// What no world was seen to do: a model in which nothing happens proves nothing.
pub(crate) fn unseen(worlds: &[WorldRow]) -> Vec<String> {
    let seen = |what: &str| worlds.iter().any(|row| row.found.witnessed.contains(&what));
    worlds::witnesses()
        .filter(|what| !seen(what))
        .map(|what| format!("no world shows this: {what}"))
        .collect()
}

pub(crate) fn mutants_head() {
    println!("\n{:<31} {:<4} {:<28} {:>5} {:>9}  world", "mutant", "in", "caught by", "moves", "states");
}

pub(crate) fn summary(worlds: &[WorldRow], mutants: &[MutantRow], wrong: &[String]) {
    let states: usize = worlds.iter().map(|row| row.found.states).sum();
    let caught = mutants.iter().filter(|row| row.wrong().is_none()).count();
    println!(
        "\n{states} states in {} worlds; {caught} of {} mutants caught by their law",
        worlds.len(),
        mutants.len()
    );
    for wrong in wrong {
        println!("wrong: {wrong}");
    }
}

pub(crate) fn json(worlds: &[WorldRow], mutants: &[MutantRow], wrong: &[String]) -> Value {
    let way = |found: &Result| {
        found.way.as_ref().map(|way| {
            json!({
                "law": way.law, "what": way.what, "moves": way.moves,
                "sequence": way.sequence, "mermaid": way.mermaid, "test": way.test,
            })
        })
    };
    let worlds: Vec<Value> = worlds
        .iter()
        .map(|row| {
            json!({
                "world": row.name, "about": row.about, "states": row.found.states, "ways": row.found.ways,
                "depth": row.found.depth, "seconds": row.found.took.as_secs_f64(),
                "witnessed": row.found.witnessed, "broken": way(&row.found),
            })
        })
        .collect();
    let mutants: Vec<Value> = mutants
        .iter()
        .map(|row| {
            json!({
                "mutant": row.name, "says": row.says, "world": row.world, "in": row.place, "law": row.law.name(),
                "states": row.found.states, "caught": way(&row.found),
            })
        })
        .collect();
    json!({ "worlds": worlds, "mutants": mutants, "wrong": wrong })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(way: Option<(&'static str, &'static str)>) -> Result {
        let way = way.map(|(law, what)| Way {
            law,
            what,
            moves: 1,
            sequence: String::new(),
            mermaid: String::new(),
            test: String::new(),
        });
        Result { states: 7, ways: 7, depth: 1, took: Duration::ZERO, witnessed: Vec::new(), way }
    }

    #[test]
    fn a_mutant_counts_as_caught_only_by_its_own_law() {
        for hunt in crate::hunt::HUNTS {
            let wrong = |way| MutantRow::new(hunt, found(way)).wrong();
            assert_eq!(wrong(Some((hunt.law.name(), "what it was made to break"))), None);
            for law in Law::ALL.into_iter().filter(|law| *law != hunt.law) {
                assert!(wrong(Some((law.name(), "something else"))).is_some(), "{} by {law:?}", hunt.mutant);
            }
            assert!(wrong(None).is_some(), "{} survives", hunt.mutant);
            assert_ne!(hunt.law, Law::Machine, "{}: a panic breaks that law too", hunt.mutant);
        }
    }

    #[test]
    fn a_world_holds_only_with_the_number_of_states_that_was_written_down() {
        let world = worlds::small().swap_remove(0);
        let wrong =
            |expected, way, pin| WorldRow { expected, ..WorldRow::new(&world, found(way)) }.wrong(pin);
        assert_eq!(wrong(Some(7), None, false), None);
        assert!(wrong(Some(8), None, false).is_some(), "another number");
        assert!(wrong(None, None, false).is_some(), "no number");
        assert_eq!(wrong(None, None, true), None, "it is written down now");
        assert!(wrong(Some(7), Some(("a law", "something")), true).is_some(), "a broken law");
    }

    #[test]
    fn every_world_has_its_number_of_states_written_down() {
        for world in worlds::small().into_iter().chain(worlds::large()) {
            assert!(world.states().is_some(), "run `prove --world {:?} --pin`", world.name());
        }
    }
}
