//! What each adapter costs, beside what one would write without it: CPU time, memory and latency, in one run.
//!
//! ```text
//!   this program ──starts──▶ provider: the sandbox, told over its standard input what happens to whom
//!        │                        ▲ pulls, callbacks
//!        └──────────starts──▶ contestant: opens verifications and says when one is handed over
//! ```
//!
//! Every contestant runs in a process of its own, one for each cell, and the provider in another, so that what is counted is its own.
//!
//! `cargo run --release --manifest-path tests/runtimes/Cargo.toml` measures everything and prints one Markdown table. `-- quick` runs
//! a short form that shows that all of it works; `-- idv-smol reqwest …` measures these alone.

mod contestant;
mod drivers;
mod measure;
mod naive;
mod process;
mod provider;
mod table;

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((first, [])) if first == process::PROVIDER => provider::run(),
        Some((first, rest)) if first == process::CONTESTANT => contestant::run(rest),
        Some(_) | None => measure::run(&arguments),
    }
}
