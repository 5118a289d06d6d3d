//! The measurements, one cell after the other.

use crate::Error;
use crate::contestant::{ADAPTERS, Job, REQWEST, THREADS};
use crate::process::{PROVIDER, Part};
use crate::table;
use std::time::Duration;

/// How many verifications are open, and for how long they are looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) open: usize,
    cadence: Duration,
    window: Duration,
}

const fn size(open: usize, cadence_ms: u64, window_ms: u64) -> Size {
    Size { open, cadence: Duration::from_millis(cadence_ms), window: Duration::from_millis(window_ms) }
}

/// Some hundred pulls a second, whatever the size: more than a provider permits, less than the sandbox answers.
const SIZES: [Size; 3] = [size(1, 10, 10_000), size(100, 200, 10_000), size(10_000, 15_000, 30_000)];
const FOR_THREADS: Size = size(1_000, 1_500, 10_000);
const QUICK: [Size; 3] = [size(1, 10, 500), size(100, 200, 500), size(300, 1_000, 1_000)];

/// How many verdicts are awaited for a latency, and between which pulls they come about.
#[derive(Clone, Copy)]
struct Sample {
    verdicts: usize,
    cadence: Duration,
}

const POLLED: Sample = Sample { verdicts: 200, cadence: Duration::from_millis(400) };
/// Short, so that a callback finds every verification free to be pulled at once.
const CALLED: Sample = Sample { verdicts: 200, cadence: Duration::from_millis(20) };
const FEW: usize = 20;

/// What a contestant needed while so many were open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) open: usize,
    pub(crate) pulls: f64,
    pub(crate) seconds: f64,
    /// In seconds, user and system.
    pub(crate) cpu: f64,
    /// In KiB, from before the contestant began to the end of the window, and to its peak.
    pub(crate) grown: f64,
    pub(crate) peak: f64,
    pub(crate) threads: u64,
}

/// Median and 99th percentile, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    pub(crate) median: f64,
    pub(crate) p99: f64,
}

/// A contestant's row.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) costs: Vec<Cost>,
    pub(crate) called: Option<Latency>,
    pub(crate) polled: Latency,
}

/// Measures those that are named, or all, and prints the table.
pub(crate) fn run(arguments: &[String]) -> Result<(), Error> {
    let quick = arguments.iter().any(|argument| argument == "quick");
    let all: Vec<&str> = ADAPTERS.into_iter().chain([REQWEST, THREADS]).collect();
    let unknown = arguments.iter().find(|name| !all.contains(&name.as_str()) && *name != "quick");
    if let Some(name) = unknown {
        return Err(format!("no contestant `{name}`: there are {}", all.join(", ")).into());
    }
    let named: Vec<&str> = all.iter().copied().filter(|name| arguments.iter().any(|it| it == name)).collect();
    let names = if named.is_empty() { all } else { named };

    let mut costs: Vec<Vec<Cost>> = names.iter().map(|_| Vec::new()).collect();
    // Size by size, so that those who are compared are measured within a minute or two.
    for size in if quick { QUICK } else { SIZES } {
        for (name, costs) in names.iter().zip(&mut costs) {
            let size = if *name == THREADS && size.open > FOR_THREADS.open { FOR_THREADS } else { size };
            let cost = cost(name, size)?;
            let (rate, threads) = (cost.pulls / cost.seconds, cost.threads);
            eprintln!(
                "{name}, {} open: {rate:.0} pulls/s, {:.1} µs of CPU each, {:.1} MiB, {:.1} at the peak, {threads} threads",
                size.open,
                cost.cpu_per_pull(),
                cost.grown / 1024.0,
                cost.peak / 1024.0,
            );
            costs.push(cost);
        }
    }
    let mut rows = Vec::new();
    for (name, costs) in names.iter().zip(costs) {
        let sample = |sample: Sample| if quick { Sample { verdicts: FEW, ..sample } } else { sample };
        let called = if ADAPTERS.contains(name) { Some(called(name, sample(CALLED))?) } else { None };
        let polled = polled(name, sample(POLLED))?;
        eprintln!("{name}: by callback {called:?}, by polling {polled:?}");
        rows.push(Row { name: (*name).to_owned(), costs, called, polled });
    }
    table::print(&rows, POLLED.cadence);
    Ok(())
}

impl Cost {
    /// In microseconds.
    pub(crate) fn cpu_per_pull(&self) -> f64 {
        self.cpu * 1e6 / self.pulls
    }
}

/// The provider with so many verifications, and a contestant that has opened them.
struct Pair {
    provider: Part,
    contestant: Part,
    before: Usage,
    /// Where it receives callbacks.
    address: Option<String>,
}

fn pair(name: &str, open: usize, cadence: Duration, by_callback: bool) -> Result<Pair, Error> {
    let mut provider = Part::start(&[PROVIDER.to_owned()])?;
    let url = provider.hear("url")?;
    provider.ask(&format!("open {open}"), "open")?;
    let job = Job { name: name.to_owned(), url, open, cadence, by_callback };
    let contestant = Part::start(&job.arguments())?;
    let before = Usage::read(&contestant.hear("usage")?)?;
    let address = if by_callback { Some(contestant.hear("listening")?) } else { None };
    contestant.hear("open")?;
    Ok(Pair { provider, contestant, before, address })
}

fn cost(name: &str, size: Size) -> Result<Cost, Error> {
    let Pair { mut provider, mut contestant, before, .. } = pair(name, size.open, size.cadence, false)?;
    // Every verification has been pulled at least once, and what comes of opening so many at once is over.
    std::thread::sleep(size.cadence + size.window / 10);
    let mut look = || -> Result<(Usage, f64, u64), Error> {
        let usage = Usage::read(&contestant.ask("usage", "usage")?)?;
        let pulls: u32 = provider.ask("pulls", "pulls")?.parse()?;
        Ok((usage, f64::from(pulls), crate::process::now()))
    };
    let (first, pulls_first, begun) = look()?;
    std::thread::sleep(size.window);
    let (last, pulls_last, ended) = look()?;
    Ok(Cost {
        open: size.open,
        pulls: pulls_last - pulls_first,
        seconds: (ended - begun) as f64 / 1e9,
        cpu: (last.cpu - first.cpu) as f64 / 1e9,
        grown: last.resident - before.resident,
        peak: last.peak - before.resident,
        threads: last.threads,
    })
}

/// From the moment when the provider has a verdict to the one when the application has it, while everything is polled.
fn polled(name: &str, sample: Sample) -> Result<Latency, Error> {
    let Pair { mut provider, contestant, .. } = pair(name, sample.verdicts, sample.cadence, false)?;
    std::thread::sleep(sample.cadence * 3);
    let mut happened = Vec::new();
    for number in 0..sample.verdicts {
        happened.push(provider.ask(&format!("happen {number}"), "happened")?.parse::<u64>()?);
        // Now at one point of the cadence, now at another.
        std::thread::sleep(Duration::from_millis(3 + (number as u64 * 7) % 19));
    }
    let mut latencies = Vec::new();
    for _ in 0..sample.verdicts {
        let (number, at) = got(&contestant)?;
        let since = happened.get(number).ok_or("a verdict on what was never opened")?;
        latencies.push(at - since);
    }
    summary(latencies)
}

/// From the moment when a callback goes out to the one when the application has the verdict, confirmed by a pull.
fn called(name: &str, sample: Sample) -> Result<Latency, Error> {
    let Pair { mut provider, contestant, address, .. } = pair(name, sample.verdicts, sample.cadence, true)?;
    let address = address.ok_or("no address")?;
    std::thread::sleep(Duration::from_secs(1));
    let mut latencies = Vec::new();
    for number in 0..sample.verdicts {
        let at: u64 = provider.ask(&format!("callback {number} {address}"), "called")?.parse()?;
        let (of, got) = got(&contestant)?;
        if of != number {
            return Err(format!("a verdict on {of} where {number} was called").into());
        }
        latencies.push(got - at);
        std::thread::sleep(Duration::from_millis(3 + (number as u64 * 7) % 19));
    }
    summary(latencies)
}

/// Which verification was handed over, and when.
fn got(contestant: &Part) -> Result<(usize, u64), Error> {
    let line = contestant.hear("got")?;
    let (id, at) = line.split_once(' ').ok_or("no time")?;
    let number = id.rsplit('-').next().unwrap_or_default();
    Ok((number.parse()?, at.parse()?))
}

fn summary(mut latencies: Vec<u64>) -> Result<Latency, Error> {
    latencies.sort_unstable();
    let at = |percent: usize| -> Result<f64, Error> {
        let rank = (latencies.len() * percent).div_ceil(100).saturating_sub(1);
        Ok(*latencies.get(rank).ok_or("nothing was measured")? as f64 / 1e6)
    };
    Ok(Latency { median: at(50)?, p99: at(99)? })
}

/// What a contestant says of itself.
struct Usage {
    /// In nanoseconds.
    cpu: u64,
    /// In KiB.
    resident: f64,
    peak: f64,
    threads: u64,
}

impl Usage {
    fn read(line: &str) -> Result<Self, Error> {
        let words: Vec<&str> = line.split(' ').collect();
        let [cpu, resident, peak, threads] = *words.as_slice() else { return Err("four numbers".into()) };
        Ok(Self {
            cpu: cpu.parse()?,
            resident: resident.parse()?,
            peak: peak.parse()?,
            threads: threads.parse()?,
        })
    }
}
