//! One verification: the provider's truth, its pulls on their way, and what the application knows.

use super::rules::CADENCE;
use super::tokens::LATE;
use super::{NOW, Rules, World};
use idv_core::fleet::Key;
use idv_core::session::{End, Session};
use idv_core::time::Instant;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Verification {
    /// Once it is opened.
    pub(super) key: Option<Key>,
    /// The provider accepted; before that it is at work.
    pub(super) accepted: bool,
    /// The newest revision that the application was told.
    pub(super) told: u8,
    pub(super) calls: Vec<Call>,
    /// Before this, a pull would break the cadence.
    pub(super) polite_from: Instant,
    /// Whether the last pull was refused, and with which token; unknown after a restart.
    pub(super) refused: Option<Option<u8>>,
    /// How it ended last, and whether it still has.
    pub(super) end: Option<End>,
    pub(super) over: bool,
    /// The last pull that a hint demanded showed nothing new.
    pub(super) fruitless: bool,
    /// When it must have ended, if it knows no verdict by then (G6).
    pub(super) bound: Instant,
    /// What the store holds of it.
    pub(super) saved: Option<(Session, u32)>,
}

/// A pull on its way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Call {
    pub(super) op: u8,
    /// The token that it carries; zero where none is needed.
    pub(super) generation: u8,
    /// When it is given up.
    pub(super) until: Instant,
    /// The provider will not let it in: 401.
    pub(super) rejected: bool,
    /// It came while the provider wanted silence: 429.
    pub(super) limited: bool,
}

impl Verification {
    pub(super) const fn new() -> Self {
        Self {
            key: None,
            accepted: false,
            told: 0,
            calls: Vec::new(),
            polite_from: super::HORIZON,
            refused: Some(None),
            end: None,
            over: false,
            fruitless: false,
            bound: super::HORIZON,
            saved: None,
        }
    }

    /// The pull that this process awaits.
    pub(super) fn awaited(&self) -> Option<Call> {
        self.calls.iter().copied().find(|call| NOW < call.until)
    }

    /// It has ended: what is on its way still keeps the next pull away, and nobody waits for it.
    pub(super) fn ends(&mut self, end: End) {
        (self.end, self.over) = (Some(end), true);
        for call in &mut self.calls {
            if NOW < call.until {
                self.polite_from = call.until.after(CADENCE);
                call.until = NOW;
            }
        }
    }

    pub(super) fn reopens(&mut self) {
        (self.over, self.refused) = (false, Some(None));
    }

    pub(super) fn elapses(&mut self, rules: &Rules, back: impl Fn(Instant) -> Instant) {
        let awaited = self.awaited().is_some();
        for call in &mut self.calls {
            call.until = back(call.until);
        }
        self.polite_from = back(self.polite_from);
        if awaited && self.awaited().is_none() {
            self.polite_from = NOW.after(CADENCE);
            // A failure between two refusals breaks their row.
            self.refused = Some(None);
        }
        self.calls.retain(|call| NOW <= call.until.after(LATE));
        self.bound = back(self.bound);
        if rules.limits.crashes > 0
            && let Some((session, _)) = &mut self.saved
        {
            idv_core::machine::Machine::map_times(session, back);
        }
    }
}

impl World {
    pub(super) fn session(&self, case: u8) -> Option<&Session> {
        self.fleet.session(self.cases[usize::from(case)].key?)
    }

    pub(super) fn case_of(&self, key: Key) -> Option<u8> {
        (0_u8..).zip(&self.cases).find(|(_, case)| case.key == Some(key)).map(|(nth, _)| nth)
    }
}
