//! `prove`: searches the worlds, hunts the mutants, and prints what was found.

mod hunt;
mod table;

use hunt::HUNTS;
use idv_model::worlds::{self, World};
use std::process::ExitCode;
use table::{MutantRow, WorldRow};

const USAGE: &str = "\
Searches every state that small worlds around the real session, delivery, receipt and fleet can reach, and shows that deliberate
bugs are caught.

usage: prove [--small] [--world NAME]... [--mutant NAME]... [--json] [--diagram] [--test] [--pin]

  --small        only the worlds that are searched with every change of the code
  --world NAME   only this world, and no deliberate bug
  --mutant NAME  only this deliberate bug, with the way to its discovery
  --diagram      draw the way as a Mermaid sequence diagram
  --test         write the way as a test
  --pin          write down how many states these worlds have, for later runs to compare
  --json         print one JSON object instead of the tables, with each way as text, diagram and test
  --help         print this

An unknown name is answered with those that there are.

exit code: 0 if every law holds in every state, every world has as many states as were written down, and every deliberate bug
           breaks the law that it was made to break; 1 if not; 2 if an option is wrong

Measured: --small takes about a minute of processor time and 200 MB, everything some 15 minutes and 2.5 GB, a single bug a second.
";

#[derive(Default)]
struct Options {
    small: bool,
    json: bool,
    diagram: bool,
    test: bool,
    pin: bool,
    help: bool,
    worlds: Vec<String>,
    mutants: Vec<String>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        while let Some(argument) = arguments.next() {
            let mut name = || arguments.next().ok_or(format!("{argument} needs a name"));
            match argument.as_str() {
                "--small" => options.small = true,
                "--json" => options.json = true,
                "--diagram" => options.diagram = true,
                "--pin" => options.pin = true,
                "--help" | "-h" => options.help = true,
                "--test" => options.test = true,
                "--world" => options.worlds.push(name()?),
                "--mutant" => options.mutants.push(name()?),
                other => return Err(format!("{other} is not an option")),
            }
        }
        let known = |name: &&String| worlds::find(name).is_none();
        if let Some(unknown) = options.worlds.iter().find(known) {
            let names: Vec<&str> = all_worlds(false).iter().map(World::name).collect();
            return Err(format!("there is no world {unknown:?}; there are: {}", names.join(", ")));
        }
        if let Some(unknown) =
            options.mutants.iter().find(|name| HUNTS.iter().all(|hunt| hunt.mutant != **name))
        {
            let names: Vec<&str> = HUNTS.iter().map(|hunt| hunt.mutant).collect();
            return Err(format!("there is no mutant {unknown:?}; there are: {}", names.join(", ")));
        }
        Ok(options)
    }

    fn worlds(&self) -> Vec<World> {
        if !self.worlds.is_empty() {
            return self.worlds.iter().filter_map(|name| worlds::find(name)).collect();
        }
        if self.mutants.is_empty() { all_worlds(self.small) } else { Vec::new() }
    }

    fn hunts(&self) -> impl Iterator<Item = &'static hunt::Hunt> {
        let none = self.mutants.is_empty() && !self.worlds.is_empty();
        HUNTS.iter().filter(move |hunt| {
            !none && (self.mutants.is_empty() || self.mutants.iter().any(|name| name == hunt.mutant))
        })
    }
}

fn all_worlds(small: bool) -> Vec<World> {
    let mut all = worlds::small();
    if !small {
        all.extend(worlds::large());
    }
    all
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(wrong) => {
            eprint!("{wrong}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if options.help {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    quiet_searches();
    let show = |found: &table::Way| {
        // The object says it all.
        if options.json {
            return;
        }
        println!("\n{}", found.sequence);
        if options.diagram {
            println!("{}", found.mermaid);
        }
        if options.test {
            println!("{}", found.test);
        }
    };
    let (mut worlds, mut mutants) = (Vec::new(), Vec::new());
    if !options.json {
        table::worlds_head();
    }
    for world in options.worlds() {
        let row = WorldRow::new(&world, world.search().into());
        if !options.json {
            row.print();
        }
        if let Some(way) = &row.found.way {
            show(way);
        }
        worlds.push(row);
    }
    if !options.json {
        table::laws(&worlds);
        table::mutants_head();
    }
    for hunt in options.hunts() {
        let row = MutantRow::new(hunt, hunt.run());
        if !options.json {
            row.print();
        }
        if let Some(way) = &row.found.way
            && !options.mutants.is_empty()
        {
            show(way);
        }
        mutants.push(row);
    }
    if options.pin
        && let Err(error) = std::fs::write(worlds::STATES_FILE, table::pins(&worlds))
    {
        eprintln!("{}: {error}", worlds::STATES_FILE);
        return ExitCode::FAILURE;
    }
    let mut wrong: Vec<String> = worlds.iter().filter_map(|row| row.wrong(options.pin)).collect();
    wrong.extend(mutants.iter().filter_map(MutantRow::wrong));
    if options.worlds.is_empty() && options.mutants.is_empty() {
        wrong.extend(table::unseen(&worlds));
    }
    if options.json {
        println!("{}", table::json(&worlds, &mutants, &wrong));
    } else {
        table::summary(&worlds, &mutants, &wrong);
    }
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A panic within a search is a finding like any other.
fn quiet_searches() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !std::thread::current().name().is_some_and(|name| name.starts_with("checker-")) {
            usual(panic);
        }
    }));
}
