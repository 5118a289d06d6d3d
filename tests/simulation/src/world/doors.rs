//! The providers' limits as the client has to keep them, and who else calls from the same address. They outlive every process.

use super::Outage;
use super::process::{BURSTS, CALL_TIMEOUT};
use crate::ledger::Wrongs;
use crate::provider::{LIMITS, MINUTE};
use crate::random::Random;
use idv_core::time::Span;
use std::collections::VecDeque;

/// One provider's limit.
#[derive(Default)]
pub(super) struct Door {
    /// When the calls of the last minute were sent.
    calls: VecDeque<u64>,
    /// When processes started in the last minute.
    restarts: VecDeque<u64>,
    closed: Option<Closed>,
    /// How many calls the present process made that the one before would have held back.
    forgotten: u64,
}

/// No call is to be sent before `until`, if it was asked for after `since`.
#[derive(Clone, Copy)]
struct Closed {
    since: u64,
    until: u64,
    /// After so many crashes it was told.
    process: u64,
}

impl Door {
    /// A process starts: it knows nothing of what is closed, or of what was called.
    pub(super) fn restart(&mut self, now: u64) {
        self.restarts.push_back(now);
        self.forgotten = 0;
    }

    /// A call is sent that was asked for at `asked`. Says how many were sent within a minute.
    pub(super) fn sent(
        &mut self,
        (now, asked): (u64, u64),
        which: usize,
        process: u64,
        forgotten: &mut u64,
        wrongs: &mut Wrongs,
    ) -> u64 {
        self.calls.push_back(now);
        let minute = u64::from(MINUTE.as_millis());
        for times in [&mut self.calls, &mut self.restarts] {
            while times.front().is_some_and(|at| at + minute < now) {
                times.pop_front();
            }
        }
        let in_a_minute = self.calls.len() as u64;
        let (limit, burst) = (of(LIMITS, which), of(BURSTS, which));
        // What a process allows is not stored: each restart may cost one more burst.
        let most = limit + burst * self.restarts.len() as u64;
        *forgotten += u64::from(in_a_minute > limit && in_a_minute <= most);
        wrongs.over_budget += u64::from(in_a_minute > most);
        if let Some(closed) = self.closed
            && asked > closed.since
            && now < closed.until
        {
            // Until its own first call is answered a process cannot know.
            let interval = minute / (limit - burst);
            self.forgotten += 1;
            let may_not_know = closed.process != process && self.forgotten <= burst + CALL_TIMEOUT / interval;
            *forgotten += u64::from(may_not_know);
            wrongs.door_ignored += u64::from(!may_not_know);
        }
        in_a_minute
    }

    /// The process that started after so many crashes is told to stay away.
    pub(super) fn close(&mut self, since: u64, until: u64, process: u64) {
        // What another process was told before, this one knows as far as it is told again.
        let later = self.closed.filter(|closed| closed.process == process).map_or(0, |closed| closed.until);
        self.closed = Some(Closed { since, until: until.max(later), process });
    }
}

fn of(limits: [u32; 2], which: usize) -> u64 {
    limits.get(which).copied().unwrap_or(1).into()
}

/// Somebody else who calls from the same address, from time to time.
#[derive(Default)]
pub(super) struct Others {
    calling: Outage,
    counted: u64,
}

impl Others {
    /// How many calls they made since the last look: while they are at it, six to eleven tenths of what the limit allows.
    pub(super) fn calls(&mut self, now: u64, which: usize, apart: u64, random: &mut Random) -> u64 {
        let since = std::mem::replace(&mut self.counted, now);
        if !self.calling.is_on(now, apart, (Span::mins(1), Span::mins(10)), random) {
            return 0;
        }
        let minute = u64::from(MINUTE.as_millis());
        let span = (now - since).min(minute);
        (span * of(LIMITS, which) * random.between(6, 11) / 10).div_ceil(minute)
    }
}
