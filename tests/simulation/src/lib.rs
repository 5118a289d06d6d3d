//! The whole system in virtual time: both providers, made of the core's provider side, against the real client, made of
//! [`idv_core::engine`], over a network, a store and an application that fail.
//!
//! ```text
//!   provider's truth ─ pending ─▶ accepted ─▶ declined ─▶ …      (story)
//!      │ Delivery: attempts, retries up to 25 h                   │ answers: tokens, limits, 429, 401, 5xx, outages (provider)
//!      ▼                                                          ▼
//!   network: lost · late · twice · overtaken · replayed · forged · broken off
//!      ▼                                                          ▲
//!   process (world): Reception ─▶ Engine ─▶ calls, hand-overs     │
//!      │ snapshots, records, confirmations                        │
//!      ▼                                                          │
//!   store: stalls, fails, loses its answer; the process dies at any moment and another one goes on from it
//! ```
//!
//! One seed determines everything. Nothing sleeps: time goes from one happening to the next. The ledger knows the provider's truth and
//! what the application was given, and counts what must never happen.
//!
//! The work is spread over processes that share nothing, as a business with several offices has it, each with four accounts behind the
//! limits that the providers publish: ShareID's two share 120 calls a minute, Shufti's two share 60. Verifications arrive about every six
//! seconds at each, so that a million at eight processes take nine days; the fault rate grows from process to process.

mod ledger;
mod provider;
mod random;
mod sender;
mod store;
mod story;
mod tally;
mod world;

pub use ledger::Wrongs;
pub use tally::Tally;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// How many processes share the work, unless chosen otherwise.
pub const PROCESSES: u32 = 8;

/// A deliberate bug of the host, for the tests of the ledger: none of them is in shipped code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Defect {
    /// Callbacks are answered 200 before they are recorded.
    AnswersEarly,
    /// Callbacks are answered after four seconds.
    AnswersLate,
    /// Some callbacks are never answered.
    NeverAnswers,
    /// After a crash the store holds what it held some minutes before.
    RestoresOldSnapshots,
    /// What an unsigned callback claims goes to the application.
    AppliesUnsigned,
    /// Every pull is sent twice.
    SendsTwice,
    /// Pulls are answered from a cache.
    CachesAnswers,
    /// Hand-overs are confirmed and thrown away.
    DropsHandOvers,
    /// Hand-overs are repeated after they were confirmed.
    RepeatsHandOvers,
    /// Hand-overs reach the application under the next one's number.
    MisnumbersHandOvers,
    /// Calls that fail are sent again at once, as some HTTP clients do of themselves.
    RetriesCalls,
    /// The first token of an account is sent for ever.
    KeepsOldTokens,
    /// Nobody wakes the engine when it wants to be woken.
    ForgetsTimers,
    /// Another process writes what this one has in the store.
    SharesSessions,
}

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// Determines everything.
    pub seed: u64,
    /// How many verifications in all.
    pub verifications: u32,
    /// How many processes share them.
    pub processes: u32,
    /// The fault rates of the first and the last process, in per cent; of the others in between.
    pub faults: (u8, u8),
    /// A deliberate bug.
    pub defect: Option<Defect>,
}

impl Defect {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::AnswersEarly,
        Self::AnswersLate,
        Self::NeverAnswers,
        Self::RestoresOldSnapshots,
        Self::AppliesUnsigned,
        Self::SendsTwice,
        Self::CachesAnswers,
        Self::DropsHandOvers,
        Self::RepeatsHandOvers,
        Self::MisnumbersHandOvers,
        Self::RetriesCalls,
        Self::KeepsOldTokens,
        Self::ForgetsTimers,
        Self::SharesSessions,
    ];
}

impl Default for Simulation {
    /// A hundred thousand at eight processes, with 0 to 30 per cent of faults.
    fn default() -> Self {
        Self { seed: 1, verifications: 100_000, processes: PROCESSES, faults: (0, 30), defect: None }
    }
}

/// What one process has to do.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    pub(crate) seed: u64,
    pub(crate) verifications: u32,
    /// Of a thousand things, how many go wrong.
    pub(crate) faults: u64,
    pub(crate) defect: Option<Defect>,
}

impl Simulation {
    /// How many in a thousand things go wrong at this process.
    #[must_use]
    pub fn faults_of(&self, process: u32) -> u64 {
        let (first, last) = (u64::from(self.faults.0) * 10, u64::from(self.faults.1) * 10);
        let (steps, step) = (u64::from(self.processes.saturating_sub(1).max(1)), u64::from(process));
        (first * (steps - step.min(steps)) + last * step.min(steps)) / steps
    }

    fn share(&self, process: u32) -> Share {
        let (each, rest) =
            (self.verifications / self.processes.max(1), self.verifications % self.processes.max(1));
        Share {
            seed: random::mix(self.seed ^ random::mix(u64::from(process) + 1)),
            verifications: each + u32::from(process < rest),
            faults: self.faults_of(process),
            defect: self.defect,
        }
    }

    /// Runs it on so many threads, which changes nothing but how long it takes. `done` counts the verifications that arrived so far.
    #[must_use]
    pub fn run(&self, threads: usize, done: &AtomicU64) -> Vec<Tally> {
        let results: Mutex<Vec<(u32, Tally)>> = Mutex::default();
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..threads.max(1) {
                scope.spawn(|| {
                    loop {
                        let turn = next.fetch_add(1, Ordering::Relaxed);
                        let Ok(turn) = u32::try_from(turn) else { return };
                        // The last ones have the most to do.
                        let Some(process) = self.processes.checked_sub(turn + 1) else { return };
                        let tally = world::World::new(self.share(process), done).run();
                        results.lock().unwrap_or_else(PoisonError::into_inner).push((process, tally));
                    }
                });
            }
        });
        let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        results.sort_by_key(|(process, _)| *process);
        results.into_iter().map(|(_, tally)| tally).collect()
    }
}

/// All processes together.
#[must_use]
pub fn total(tallies: &[Tally]) -> Tally {
    let mut total = Tally::default();
    for tally in tallies {
        total.add(tally);
    }
    total.latencies.sort_unstable();
    total
}
