//! What is counted.

use crate::ledger::Wrongs;
use serde::Serialize;

/// The counts of one process, or of all.
#[derive(Clone, Default, Debug, Serialize)]
pub struct Tally {
    /// Verifications that were created, and opened by the client.
    pub verifications: u64,
    /// Those to which the application has the provider's last word.
    pub up_to_date: u64,
    /// Those that ended without it, which nothing that was answered or recorded told of.
    pub out_of_reach: u64,
    /// First settling verdicts that the application took.
    pub verdicts: u64,
    /// Revisions that the application took.
    pub revisions: u64,
    /// Hand-overs that were repeated, with the same key, since their confirmation was not saved.
    pub repeated_hand_overs: u64,
    /// Hand-overs that were given up.
    pub dead_letters: u64,
    /// Verifications whose last revision was given up.
    pub given_up: u64,
    /// Pulls that were sent.
    pub pulls: u64,
    /// Of these: brought no usable answer.
    pub failed_pulls: u64,
    /// The pulls until each first settling verdict.
    pub pulls_to_verdicts: u64,
    /// The pulls that polling at the cadence alone would have taken for the same.
    pub polls_without_callbacks: u64,
    /// Token requests that were sent.
    pub token_requests: u64,
    /// Calls that the provider answered 429 since they were too many: somebody else calls from the same address, or we did before a crash.
    pub limited: u64,
    /// Calls of somebody else from the same address.
    pub calls_of_others: u64,
    /// Calls after a restart that the process before would have held back: the doors are not stored.
    pub forgotten_doors: u64,
    /// The most calls to ShareID and to Shufti in any minute.
    pub busiest_minute: [u64; 2],
    /// Calls to ShareID and to Shufti.
    pub calls: [u64; 2],
    /// Callbacks that the providers set out to deliver.
    pub callbacks: u64,
    /// Posts of callbacks that arrived, the repeated ones among them.
    pub posts: u64,
    /// Posts that a provider repeated.
    pub retries: u64,
    /// Callbacks that were given up by the provider.
    pub undelivered: u64,
    /// Posts of forged callbacks, and of genuine ones by somebody who recorded them.
    pub forged: u64,
    /// Answers 200.
    pub answered_200: u64,
    /// Answers 401.
    pub answered_401: u64,
    /// Answers 503.
    pub answered_503: u64,
    /// The slowest answer to a callback, in milliseconds.
    pub slowest_answer_ms: u64,
    /// Operations of the store that failed, or whose answer was lost.
    pub store_failures: u64,
    /// Crashes, each with a restart from the store.
    pub crashes: u64,
    /// Sessions that were restored after crashes.
    pub restored: u64,
    /// Sessions that were brought back by a callback after they had been forgotten.
    pub brought_back: u64,
    /// Verifications of which the provider answers every pull with 401.
    pub poisoned: u64,
    /// Sessions that ended since their credentials were refused twice in a row.
    pub refused: u64,
    /// How long it went on, in virtual milliseconds.
    pub span_ms: u64,
    /// What must never happen.
    pub wrongs: Wrongs,
    /// From each change of truth to the application, in milliseconds; sorted at the end.
    #[serde(skip)]
    pub latencies: Vec<u32>,
    /// A digest of everything that happened, in order.
    pub digest: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        let sums: [(&mut u64, u64); 31] = [
            (&mut self.verifications, other.verifications),
            (&mut self.up_to_date, other.up_to_date),
            (&mut self.out_of_reach, other.out_of_reach),
            (&mut self.verdicts, other.verdicts),
            (&mut self.revisions, other.revisions),
            (&mut self.repeated_hand_overs, other.repeated_hand_overs),
            (&mut self.dead_letters, other.dead_letters),
            (&mut self.given_up, other.given_up),
            (&mut self.pulls, other.pulls),
            (&mut self.failed_pulls, other.failed_pulls),
            (&mut self.pulls_to_verdicts, other.pulls_to_verdicts),
            (&mut self.polls_without_callbacks, other.polls_without_callbacks),
            (&mut self.token_requests, other.token_requests),
            (&mut self.limited, other.limited),
            (&mut self.calls_of_others, other.calls_of_others),
            (&mut self.forgotten_doors, other.forgotten_doors),
            (&mut self.callbacks, other.callbacks),
            (&mut self.posts, other.posts),
            (&mut self.retries, other.retries),
            (&mut self.undelivered, other.undelivered),
            (&mut self.forged, other.forged),
            (&mut self.answered_200, other.answered_200),
            (&mut self.answered_401, other.answered_401),
            (&mut self.answered_503, other.answered_503),
            (&mut self.store_failures, other.store_failures),
            (&mut self.crashes, other.crashes),
            (&mut self.restored, other.restored),
            (&mut self.brought_back, other.brought_back),
            (&mut self.poisoned, other.poisoned),
            (&mut self.refused, other.refused),
            (&mut self.digest, 0),
        ];
        for (sum, more) in sums {
            *sum += more;
        }
        for (sum, more) in self.calls.iter_mut().zip(other.calls) {
            *sum += more;
        }
        for (most, more) in self.busiest_minute.iter_mut().zip(other.busiest_minute) {
            *most = (*most).max(more);
        }
        self.slowest_answer_ms = self.slowest_answer_ms.max(other.slowest_answer_ms);
        self.span_ms = self.span_ms.max(other.span_ms);
        self.wrongs.add(&other.wrongs);
        self.latencies.extend_from_slice(&other.latencies);
        self.digest = crate::random::mix(self.digest ^ other.digest);
    }

    /// The latency that so many in a thousand stay below, in milliseconds. `latencies` must be sorted.
    #[must_use]
    pub fn latency(&self, per_thousand: usize) -> u32 {
        let place = (self.latencies.len() * per_thousand / 1_000).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(place).copied().unwrap_or(0)
    }
}
