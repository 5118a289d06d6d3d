//! Times things beside each other, for on a shared machine only a ratio from the same run means something.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// One thing to time: its name and one repetition of it.
pub(crate) struct Candidate<'a> {
    name: &'a str,
    /// So many repetitions of it, timed.
    time: Box<dyn FnMut(u32) -> Duration + 'a>,
}

impl<'a> Candidate<'a> {
    /// Names a thing to time; what it returns is kept from the optimizer.
    #[allow(dead_code, reason = "not every benchmark times the clock on the wall")]
    pub(crate) fn new<T>(name: &'a str, mut run: impl FnMut() -> T + 'a) -> Self {
        let time = move |repetitions| {
            let start = Instant::now();
            for _ in 0..repetitions {
                black_box(run());
            }
            start.elapsed()
        };
        Self::timed(name, time)
    }

    /// The same for what times itself: so many repetitions of it.
    pub(crate) fn timed(name: &'a str, time: impl FnMut(u32) -> Duration + 'a) -> Self {
        Self { name, time: Box::new(time) }
    }
}

/// Times the candidates in turn, many rounds over, and prints the median of each with its ratio to the first.
///
/// The ratio is the median of the ratios within single rounds, so that a slow moment of the machine weighs on both sides.
/// Run by `cargo test` instead of `cargo bench` it does one short round, to show that the benchmark still works.
pub(crate) fn compare(title: &str, candidates: &mut [Candidate<'_>]) {
    let thorough = std::env::args().any(|argument| argument == "--bench");
    let (rounds, batch) = if thorough { (201, Duration::from_millis(2)) } else { (1, Duration::ZERO) };
    let repetitions: Vec<u32> = candidates.iter_mut().map(|it| calibrate(it, batch)).collect();
    let mut nanos = vec![Vec::with_capacity(rounds); candidates.len()];
    for _ in 0..rounds {
        for ((candidate, repetitions), nanos) in candidates.iter_mut().zip(&repetitions).zip(&mut nanos) {
            nanos.push((candidate.time)(*repetitions).as_secs_f64() * 1e9 / f64::from(*repetitions));
        }
    }
    println!("\n{title}: median of {rounds} interleaved rounds");
    let first = nanos.first().cloned().unwrap_or_default();
    for (candidate, nanos) in candidates.iter().zip(nanos) {
        let ratios = nanos.iter().zip(&first).map(|(this, first)| this / first).collect();
        println!("  {:<58} {:>10.1} ns {:>7.2} ×", candidate.name, median(nanos), median(ratios));
    }
}

/// How many repetitions take about `batch`; also warms the caches.
fn calibrate(candidate: &mut Candidate<'_>, batch: Duration) -> u32 {
    let mut repetitions = 1;
    while (candidate.time)(repetitions) < batch && repetitions < 1 << 24 {
        repetitions *= 2;
    }
    repetitions
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
