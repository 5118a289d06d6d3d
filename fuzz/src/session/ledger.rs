//! What was promised about one verification, one account, one door: filled in from the fleet's actions, which it checks.
//!
//! Time is the sum of how far the clock went forward. A clock that went back can only make the fleet wait longer in that time.

use idv_core::evidence::{ContentDigest, Evidence, Report};
use idv_core::fleet::Key;
use idv_core::session::{EvidencePolicy, Revision, Snapshot};
use idv_core::time::Span;
use std::collections::BTreeSet;

/// A verification: the provider's truth, and what the application was told.
pub(super) struct Verification {
    pub(super) account: usize,
    pub(super) id: &'static str,
    pub(super) alias: &'static str,
    /// Everything that was ever true, in order.
    pub(super) history: Vec<Report>,
    pub(super) session: Option<Track>,
}

impl Verification {
    pub(super) fn truth(&self) -> Report {
        self.history[self.newest()]
    }

    pub(super) fn newest(&self) -> usize {
        self.history.len() - 1
    }
}

/// One session of it.
pub(super) struct Track {
    pub(super) key: Key,
    pub(super) saved: Snapshot,
    pub(super) version: u32,
    pub(super) has_alias: bool,
    kept: BTreeSet<ContentDigest>,
    pub(super) last: Option<Revision>,
    /// Where in the provider's history the last revision stands, at the earliest.
    stands_at: Option<usize>,
    pub(super) confirmed: bool,
    /// The process that issued it died before it was confirmed.
    pub(super) must_be_repeated: bool,
    /// The newest pull and when it was sent, until it is answered.
    in_flight: Option<(u32, u64)>,
    last_op: u32,
    /// When the last call ended.
    idle_since: Option<u64>,
    /// Which truth held when the latest callback came.
    pub(super) hinted_at: Option<usize>,
    /// A pull sent after the truth had become final was answered.
    pub(super) informed: bool,
}

impl Track {
    pub(super) fn new(key: Key, saved: Snapshot) -> Self {
        Self {
            key,
            saved,
            version: 0,
            has_alias: false,
            kept: BTreeSet::new(),
            last: None,
            stands_at: None,
            confirmed: true,
            must_be_repeated: false,
            in_flight: None,
            last_op: 0,
            idle_since: None,
            hinted_at: None,
            informed: false,
        }
    }

    pub(super) fn keep(&mut self, content: ContentDigest) {
        self.kept.insert(content);
    }

    /// G7: one pull at a time, never faster than the cadence.
    pub(super) fn pull(&mut self, op: u32, now: u64, cadence: Span, patience: Span) {
        if let Some((_, sent)) = self.in_flight {
            let given_up = sent + u64::from(patience.as_millis());
            assert!(now >= given_up, "G7: a second pull in flight");
            self.idle_since = Some(given_up);
        }
        if let Some(since) = self.idle_since {
            assert!(
                now >= since + u64::from(cadence.as_millis()),
                "G7: {} ms after the last pull",
                now - since
            );
        }
        assert!(op > self.last_op, "the number of a pull comes twice");
        self.last_op = op;
        self.in_flight = Some((op, now));
    }

    /// The call ended now, or when it was given up, though that is told only now.
    pub(super) fn answered(&mut self, op: u32, now: u64, patience: Span) {
        if let Some((_, sent)) = self.in_flight.take_if(|(newest, _)| *newest == op) {
            self.idle_since = Some(now.min(sent + u64::from(patience.as_millis())));
        }
    }

    /// What was on the wire died with the process.
    pub(super) fn restarted(&mut self, key: Key, now: u64, patience: Span) {
        self.key = key;
        if let Some((op, _)) = self.in_flight {
            self.answered(op, now, patience);
        }
        self.last_op = 0;
    }

    pub(super) fn hand_over(&mut self, revision: Revision, policy: EvidencePolicy, history: &[Report]) {
        if let Some(last) = self.last
            && last.number == revision.number
        {
            assert!(self.must_be_repeated, "G2: revision {} is handed over twice", last.number);
            assert_eq!(last, revision, "G2: the same key with other content");
            self.must_be_repeated = false;
            return;
        }
        let number = self.last.map_or(0, |last| last.number) + 1;
        assert_eq!(revision.number, number, "revisions are numbered without gaps");
        assert!(self.confirmed, "R6: revision {number} is issued before the one before it was confirmed");
        assert!(self.kept.contains(&revision.content), "the body of revision {number} was never kept");
        match revision.evidence {
            Evidence::Pulled => {}
            Evidence::Signed => assert!(
                policy == EvidencePolicy::TrustSigned && number == 1,
                "R2: revision {number} rests on a signature"
            ),
            Evidence::Unsigned => panic!("G4: revision {number} rests on a claim"),
        }
        let same_verdict = self.last.is_some_and(|last| last.verdict == revision.verdict);
        assert_eq!(revision.data_changed, same_verdict, "R5: what changed is said wrongly");
        let from = self.stands_at.map_or(0, |at| at + 1);
        let found = (from..history.len()).find(|at| {
            history[*at].verdict == Some(revision.verdict) && history[*at].content == revision.content
        });
        assert!(
            found.is_some(),
            "G3: {revision:?} after {:?} is not the provider's order {history:?}",
            self.last
        );
        self.stands_at = found;
        self.last = Some(revision);
        self.confirmed = false;
    }
}

/// A provider's limit, counted a second time.
pub(super) struct Limit {
    pub(super) calls: u32,
    pub(super) window: Span,
    made: Vec<u64>,
    closed_until: u64,
}

impl Limit {
    pub(super) const fn new(calls: u32, window: Span) -> Self {
        Self { calls, window, made: Vec::new(), closed_until: 0 }
    }

    pub(super) fn close(&mut self, now: u64, span: Span) {
        self.closed_until = self.closed_until.max(now + u64::from(span.as_millis()));
    }

    pub(super) fn call(&mut self, now: u64) {
        assert!(
            now >= self.closed_until,
            "G7: called {} ms before Retry-After was over",
            self.closed_until - now
        );
        self.made.push(now);
        let from = now.saturating_sub(u64::from(self.window.as_millis()));
        let in_window = self.made.iter().filter(|at| **at >= from).count();
        assert!(in_window <= self.calls as usize, "G7: {in_window} calls in a window of {}", self.calls);
    }
}
