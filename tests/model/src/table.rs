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
            "{name:<16} {states:>10} {ways:>11} {depth:>5} {:>8.1} s  {verdict:<6}  {about}",
            took.as_secs_f32()
        );
    }

    pub(crate) fn wrong(&self) -> Option<String> {
        let name = self.name;
        if let Some(way) = &self.found.way {
            return Some(format!("{name}: {} is broken: {}", way.law, way.what));
        }
        let expected = self.expected.filter(|expected| *expected != self.found.states)?;
        Some(format!(
            "{name}: {} states instead of {expected}: if the change is meant, run `prove --world {name:?} --pin` and commit tests/model/states.txt",
            self.found.states
        ))
    }
}

pub(crate) struct MutantRow {
    name: &'static str,
    says: &'static str,
    world: &'static str,
    pub(crate) found: Result,
}

impl MutantRow {
    pub(crate) fn new(hunt: &Hunt, found: Result) -> Self {
        Self { name: hunt.mutant, says: hunt.says(), world: hunt.world, found }
    }

    pub(crate) fn print(&self) {
        let Self { name, says, world, found } = self;
        let (law, moves) = found.way.as_ref().map_or(("NOT CAUGHT", 0), |way| (way.law, way.moves));
        println!("{name:<30} {law:<28} {moves:>5} {:>9}  {world:<8}  {says}", found.states);
    }

    pub(crate) fn wrong(&self) -> Option<String> {
        let survived = self.found.way.is_none();
        survived.then(|| format!("mutant {}: not caught in world {}", self.name, self.world))
    }
}

pub(crate) fn worlds_head() {
    println!("{:<16} {:>10} {:>11} {:>5} {:>10}", "world", "states", "ways", "depth", "time");
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
    println!("\n{:<30} {:<28} {:>5} {:>9}  world", "mutant", "caught by", "moves", "states");
}

pub(crate) fn summary(worlds: &[WorldRow], mutants: &[MutantRow], wrong: &[String]) {
    let states: usize = worlds.iter().map(|row| row.found.states).sum();
    let caught = mutants.iter().filter(|row| row.found.way.is_some()).count();
    println!("\n{states} states in {} worlds; {caught} of {} mutants caught", worlds.len(), mutants.len());
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
                "mutant": row.name, "says": row.says, "world": row.world, "states": row.found.states,
                "caught": way(&row.found),
            })
        })
        .collect();
    json!({ "worlds": worlds, "mutants": mutants, "wrong": wrong })
}
