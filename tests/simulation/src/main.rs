//! `cargo run --release -p idv-simulation`: see the library's documentation.

mod report;

use clap::Parser;
use idv_simulation::{PROCESSES, Simulation, Tally, total};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Both providers against the client in virtual time, under faults.
///
/// Exits with 1 when anything went wrong that must never happen: a verdict lost, handed over twice or rolled back, a 200 before its record,
/// a call beyond the limit, and so on.
#[derive(Parser)]
struct Arguments {
    /// How many verifications
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    sessions: u32,
    /// Determines everything: the same seed gives the same run, and the same digest
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How much goes wrong, in per cent: at every process the same (`10`), or from the first to the last (`0..30`)
    #[arg(long, default_value = "0..30", value_parser = percentages)]
    faults: (u8, u8),
    /// How many processes share the verifications
    #[arg(long, default_value_t = PROCESSES, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    processes: u32,
    /// How many threads; as many as there are processors where nothing is said. Changes nothing but how long it takes
    #[arg(long)]
    threads: Option<usize>,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// `10` or `0..30`.
fn percentages(text: &str) -> Result<(u8, u8), String> {
    let one = |text: &str| match text.parse() {
        Ok(percent @ 0..=90) => Ok(percent),
        Ok(_) | Err(_) => Err(format!("`{text}` is no percentage from 0 to 90")),
    };
    match text.split_once("..") {
        Some((first, last)) => Ok((one(first)?, one(last)?)),
        None => one(text).map(|percent| (percent, percent)),
    }
}

#[derive(Serialize)]
struct Report<'a> {
    command: String,
    sessions: u32,
    seed: u64,
    faults_percent: [u8; 2],
    threads: usize,
    took_ms: u64,
    latency_ms: Latencies,
    total: &'a Tally,
    processes: Vec<ProcessReport<'a>>,
}

#[derive(Serialize)]
struct ProcessReport<'a> {
    faults_per_mille: u64,
    latency_ms: Latencies,
    #[serde(flatten)]
    tally: &'a Tally,
}

#[derive(Serialize)]
struct Latencies {
    p50: u32,
    p90: u32,
    p99: u32,
    p999: u32,
}

impl Latencies {
    fn of(tally: &Tally) -> Self {
        Self {
            p50: tally.latency(500),
            p90: tally.latency(900),
            p99: tally.latency(990),
            p999: tally.latency(999),
        }
    }
}

/// Shows how far it is, on a terminal.
fn show(arrived: &AtomicU64, over: &AtomicBool, sessions: u32) {
    if !io::stderr().is_terminal() {
        return;
    }
    let bar = ProgressBar::new(sessions.into());
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} arrived, {eta} left")
    {
        bar.set_style(style);
    }
    while !over.load(Ordering::Relaxed) {
        bar.set_position(arrived.load(Ordering::Relaxed));
        std::thread::park_timeout(Duration::from_millis(200));
    }
    bar.finish_and_clear();
}

fn main() -> io::Result<ExitCode> {
    let arguments = Arguments::parse();
    let simulation = Simulation {
        seed: arguments.seed,
        verifications: arguments.sessions,
        processes: arguments.processes,
        faults: arguments.faults,
        defect: None,
    };
    let threads =
        arguments.threads.or_else(|| std::thread::available_parallelism().ok().map(Into::into)).unwrap_or(1);
    let (began, arrived, over) = (Instant::now(), AtomicU64::new(0), AtomicBool::new(false));
    let mut tallies = std::thread::scope(|scope| {
        let shown = scope.spawn(|| show(&arrived, &over, arguments.sessions));
        let tallies = simulation.run(threads, &arrived);
        over.store(true, Ordering::Relaxed);
        shown.thread().unpark();
        tallies
    });
    let took = began.elapsed();
    let total = total(&tallies);
    for tally in &mut tallies {
        tally.latencies.sort_unstable();
    }
    let mut out = io::stdout().lock();
    if arguments.json {
        let processes = (0..).zip(&tallies).map(|(process, tally)| ProcessReport {
            faults_per_mille: simulation.faults_of(process),
            latency_ms: Latencies::of(tally),
            tally,
        });
        let report = Report {
            command: report::command(&simulation),
            sessions: arguments.sessions,
            seed: arguments.seed,
            faults_percent: arguments.faults.into(),
            threads,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            latency_ms: Latencies::of(&total),
            total: &total,
            processes: processes.collect(),
        };
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
    } else {
        out.write_all(report::text(&simulation, &tallies, &total, took).as_bytes())?;
    }
    Ok(if total.wrongs.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
