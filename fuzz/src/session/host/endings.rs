//! How a run ends: everybody answers, or nobody does.

use super::{Host, PROVIDERS};
use idv_core::evidence::Outcome;

impl Host {
    /// G1: from now on nothing fails and nothing changes. What the provider says last is what the application has, if it was pulled now, or if
    /// a callback came since it is true and the session considers it dealt with.
    pub(in super::super) fn everybody_answers(&mut self) {
        self.is_final = true;
        self.run();
        for round in 0..2_000 {
            while let Some(pull) = self.pulls.pop() {
                let truth = self.verifications[pull.verification].truth();
                self.complete(pull, Outcome::Report(truth));
            }
            for account in 0..PROVIDERS.len() {
                while !self.accounts[account].requests.is_empty() {
                    self.answer_token(account as u8, 1, 0);
                }
            }
            while !self.hand_overs.is_empty() {
                self.hand_over(0, false);
            }
            self.run();
            self.forget_the_removed();
            let owes_nothing = self.pulls.is_empty()
                && self.hand_overs.is_empty()
                && self.accounts.iter().all(|account| account.requests.is_empty());
            // Long enough for routine pulls, and until no hint waits for its answer behind a back-off or a door.
            let is_enough = round >= 60 && !self.is_anything_demanded();
            if owes_nothing && (is_enough || !self.advance_to_wake()) {
                break;
            }
        }
        for verification in &self.verifications {
            let Some(track) = &verification.session else { continue };
            let Some(session) = self.fleet.session(track.key) else { continue };
            let is_at_rest = session.end().is_none() && !session.poller().is_demanded();
            let was_hinted = track.hinted_at == Some(verification.newest()) && is_at_rest;
            if !track.informed && !was_hinted {
                continue;
            }
            let truth = verification.truth();
            if let Some(verdict) = truth.verdict {
                let last = track.last.map(|last| (last.verdict, last.content));
                assert_eq!(
                    last,
                    Some((verdict, truth.content)),
                    "G1: the application lacks the truth of {}",
                    verification.id
                );
                assert!(track.confirmed, "G1: the last revision of {} is not confirmed", verification.id);
            }
        }
    }

    fn is_anything_demanded(&self) -> bool {
        let mut sessions =
            self.verifications.iter().filter_map(|it| self.fleet.session(it.session.as_ref()?.key));
        sessions.any(|session| session.end().is_none() && session.poller().is_demanded())
    }

    /// G6: nobody answers any more, and yet every session without a settling verdict comes to its end.
    pub(in super::super) fn nobody_answers(&mut self) {
        self.run();
        let bounds = self.verifications.iter().filter_map(|it| {
            let session = self.fleet.session(it.session.as_ref()?.key)?;
            let is_open = session.end().is_none() && !session.is_settled();
            let policy = self.accounts[it.account].policy.session.poller;
            is_open.then(|| {
                session.poller().bound().expect("G6: an open session has a bound").after(policy.grace())
            })
        });
        let last = bounds.max();
        while last.is_some_and(|last| self.clock < last) && self.advance_to_wake() {
            self.run();
        }
        for track in self.verifications.iter().filter_map(|it| it.session.as_ref()) {
            if let Some(session) = self.fleet.session(track.key) {
                assert!(session.end().is_some() || session.is_settled(), "G6: {session:?} is still open");
            }
        }
    }
}
