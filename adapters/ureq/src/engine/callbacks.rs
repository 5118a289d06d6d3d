//! Callbacks on their way to the session that they name, or to nobody yet.

use super::{Engine, Fed};
use crate::report::Event;
use crate::session::Body;
use idv_core::evidence::{Callback, Evidence, Verdict};
use idv_core::fleet::{Key, Routed};
use idv_core::store::Journal;

/// The most callbacks remembered for verifications that nobody opened yet, to be marked applied when somebody does.
const MOST_UNKNOWN: usize = 1_000;

/// The longest id of a callback that is remembered for a verification that nobody opened yet, in bytes. No provider's id is that long,
/// and whoever sends callbacks chooses them.
const LONGEST_UNKNOWN_ID: usize = 1 << 10;

/// A callback that the store has.
#[derive(Clone, Copy)]
pub(super) struct Recorded {
    /// Where it stands in the journal.
    pub(super) position: u64,
    /// The verdict that its body claims.
    pub(super) claims: Option<Verdict>,
}

impl Engine {
    pub(super) fn callback(
        &mut self,
        provider: &'static str,
        (id, alias): (Option<&str>, Option<&str>),
        callback: Callback,
        recorded: Option<Recorded>,
        body: &Body,
    ) {
        let known =
            [id, alias].into_iter().flatten().find(|id| self.parts.fleet.find(provider, id).is_some());
        let mut later = [id, alias].into_iter().flatten().filter(|id| id.len() <= LONGEST_UNKNOWN_ID);
        let Some(id) = known.or_else(|| later.next()) else {
            // It names nobody: nothing can be done with it, now or later.
            self.mark_applied(recorded);
            return;
        };
        if let Some(key) = self.parts.fleet.find(provider, id)
            && let Some(session) = self.sessions.get_mut(&key)
            && let Some(Recorded { position, claims }) = recorded
        {
            session.recorded_callback(position, claims);
        }
        let evidence = match callback {
            Callback::Signed(_) | Callback::SignedSignal => Evidence::Signed,
            Callback::Unsigned | Callback::WrongSignature => Evidence::Unsigned,
        };
        let at = self.at();
        let bytes = u32::try_from(body.len()).unwrap_or(u32::MAX);
        let mut actions = Vec::new();
        let routed =
            self.parts.fleet.callback(at, provider, id, callback, bytes, &mut |action| actions.push(action));
        self.perform(actions, Some(Fed { evidence, unsigned_answer: false, body }));
        match (routed, recorded) {
            (Routed::Known(key), _) => {
                // Whatever the step changed, the record counts as taken in from here on (R10).
                if self.sessions.get(&key).is_some_and(|session| !session.applied.is_empty()) {
                    self.save_or_hold(key);
                }
            }
            (Routed::Unknown, Some(recorded)) => {
                if self.unknown.len() >= MOST_UNKNOWN {
                    // Still not applied in the store: the next process looks at it again.
                    self.unknown.pop_front();
                }
                self.unknown.push_back((provider, id.to_owned(), recorded));
            }
            (Routed::Unknown, None) | (Routed::Dropped, _) => {}
        }
    }

    /// Gives a session what was recorded for this id before it led there: to be marked applied with its next save, and referred to by
    /// revisions, as what comes later (R10, R17).
    pub(super) fn take_unknown(&mut self, key: Key, provider: &str, id: &str) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        self.unknown.retain(|(of, unknown, recorded)| {
            let is_this = *of == provider && unknown == id;
            if is_this {
                session.recorded_callback(recorded.position, recorded.claims);
            }
            !is_this
        });
    }

    fn mark_applied(&mut self, recorded: Option<Recorded>) {
        if let Some(Recorded { position, .. }) = recorded
            && let Err(error) = self.parts.store.mark_applied(&[position])
        {
            (self.parts.observer)(&Event::StoreFailed { error: error.to_string() });
        }
    }
}
