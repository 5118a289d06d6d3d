//! What happens to the driver: answers, callbacks, a truth that changes, an application that confirms, a process that dies.

use super::{DOORS, Host, PROVIDERS, Pull, SPANS};
use idv_core::budget;
use idv_core::evidence::{Callback, ContentDigest, Fault, FaultKind, NotReady, Outcome, Report, Verdict};
use idv_core::fleet::{Routed, Stored};
use idv_core::machine::Disposition;
use idv_core::time::{Instant, Span};

const VERDICTS: [Option<Verdict>; 7] = [
    None,
    Some(Verdict::Accepted),
    Some(Verdict::Declined),
    Some(Verdict::ReviewPending),
    Some(Verdict::Cancelled),
    Some(Verdict::TimedOut),
    Some(Verdict::Deleted),
];

impl Host {
    pub(super) fn answer(&mut self, which: u8, kind: u8, pick: u8) {
        if self.pulls.is_empty() {
            return;
        }
        let pull = self.pulls.remove(usize::from(which) % self.pulls.len());
        let history = &self.verifications[pull.verification].history;
        let said = history[pull.from + usize::from(pick) % (history.len() - pull.from)];
        let outcome = match kind % 12 {
            // A pull reads the truth (G1): nothing is ready only while no verdict is reached.
            7 if said.verdict.is_none() => Outcome::NotReady(NotReady::Documented),
            0..=7 => Outcome::Report(said),
            8 => Outcome::Refused,
            9 => Outcome::Failed(Fault { kind: FaultKind::TimedOut, retry_after: None }),
            _ => Outcome::Failed(Fault {
                kind: FaultKind::RateLimited,
                retry_after: pick
                    .is_multiple_of(2)
                    .then_some(Span::millis(SPANS[usize::from(pick / 2) % SPANS.len()])),
            }),
        };
        self.complete(pull, outcome);
    }

    pub(super) fn complete(&mut self, pull: Pull, outcome: Outcome) {
        let account = self.verifications[pull.verification].account;
        match outcome {
            Outcome::Refused if self.fleet.session(pull.key).is_some() => {
                self.accounts[account].token.take_if(|token| token.0 == pull.generation);
            }
            // The fleet no longer knows whose answer this is when the session is gone.
            Outcome::Failed(fault) if self.fleet.session(pull.key).is_some() => {
                self.door_closes(account, fault)
            }
            Outcome::Failed(_) | Outcome::Refused | Outcome::Report(_) | Outcome::NotReady(_) => {}
        }
        let (now, is_final) = (self.gone_by, self.is_final);
        let patience = self.accounts[account].policy.session.poller.patience();
        let verification = &mut self.verifications[pull.verification];
        let is_newest = pull.from == verification.newest();
        if let Some(track) = verification.session.as_mut().filter(|track| track.key == pull.key) {
            track.answered(pull.op, now, patience);
        }
        let disposition =
            self.call(|fleet, at, out| fleet.pulled(at, pull.key, pull.op, pull.generation, outcome, out));
        assert_ne!(disposition, Disposition::Illegal, "the driver did as it was told");
        let told_all = is_final && is_newest && matches!(outcome, Outcome::Report(_));
        let track = self.verifications[pull.verification].session.as_mut();
        if let Some(track) =
            track.filter(|track| track.key == pull.key && disposition == Disposition::Applied)
        {
            track.informed |= told_all;
        }
    }

    fn door_closes(&mut self, account: usize, fault: Fault) {
        let span = match (fault.retry_after, fault.kind) {
            (Some(span), _) => span.min(budget::Policy::DEFAULT_CLOSE_CAP),
            (None, FaultKind::RateLimited) => Span::secs(10),
            (None, _) => return,
        };
        self.limits[DOORS[account]].close(self.gone_by, span);
    }

    pub(super) fn answer_token(&mut self, which: u8, kind: u8, pick: u8) {
        let index = usize::from(which) % PROVIDERS.len();
        let account = &mut self.accounts[index];
        if account.requests.is_empty() {
            return;
        }
        let (op, sent) = account.requests.remove(usize::from(pick) % account.requests.len());
        if account.request.is_some_and(|(newest, ..)| newest == op) {
            account.request = None;
        }
        let id = self.ids[index];
        let disposition = match kind % 8 {
            0..=4 => {
                let ttl = kind.is_multiple_of(8).then_some(Span::secs(60 * u32::from(pick) + 30));
                let lives = ttl.unwrap_or(self.accounts[index].policy.token.ttl());
                let received = self.call(|fleet, at, out| fleet.token_received(at, id, op, ttl, out));
                if received == Disposition::Applied {
                    self.accounts[index].token = Some((op, sent, lives));
                }
                received
            }
            5 => self.call(|fleet, at, out| fleet.token_refused(at, id, op, out)),
            _ => {
                let retry_after = (kind % 8 == 6).then_some(Span::secs(u32::from(pick)));
                let fault = Fault { kind: FaultKind::ServerError, retry_after };
                self.door_closes(index, fault);
                self.call(|fleet, at, out| fleet.token_failed(at, id, op, fault, out))
            }
        };
        assert_ne!(disposition, Disposition::Illegal, "the driver did as it was told");
    }

    pub(super) fn change_truth(&mut self, index: usize, verdict: u8, content: u8) {
        let verification = &mut self.verifications[index];
        let verdict = VERDICTS[usize::from(verdict) % VERDICTS.len()];
        let report = Report { verdict, content: ContentDigest(u64::from(content % 3)) };
        let is_deleted = verification.truth().verdict == Some(Verdict::Deleted);
        if !is_deleted && report != verification.truth() {
            verification.history.push(report);
        }
    }

    /// A callback: any state that ever was true, signed, now or again; or a forgery.
    pub(super) fn callback(&mut self, index: usize, kind: u8, pick: u8) {
        let verification = &self.verifications[index];
        let provider = PROVIDERS[verification.account];
        let old = verification.history[usize::from(pick) % verification.history.len()];
        let callback = match kind % 6 {
            0 | 1 => Callback::Signed(old),
            2 => Callback::Signed(verification.truth()),
            3 => Callback::SignedSignal,
            4 => Callback::Unsigned,
            _ => Callback::WrongSignature,
        };
        let by_alias = kind >= 0x80;
        let name = if by_alias { verification.alias } else { verification.id };
        let newest = verification.newest();
        let known =
            verification.session.as_ref().filter(|track| !by_alias || track.has_alias).map(|track| track.key);
        let routed = self.call(|fleet, at, out| fleet.callback(at, provider, name, callback, 400, out));
        match (routed, known) {
            (Routed::Known(key), Some(known)) => assert_eq!(key, known),
            (Routed::Unknown, None) => assert_ne!(callback, Callback::WrongSignature),
            (Routed::Dropped, None) => assert_eq!(callback, Callback::WrongSignature),
            (Routed::Known(_), None) | (Routed::Unknown | Routed::Dropped, Some(_)) => {
                panic!("{routed:?}, but the session is {known:?}")
            }
        }
        if let (Some(track), Some(_)) = (&mut self.verifications[index].session, known) {
            track.hinted_at = Some(newest);
        }
        // Two of 400 bytes fit the thousand that the policy allows.
        assert!(
            self.fleet.unknown_callbacks() <= 2 * PROVIDERS.len(),
            "R15: the ring of unknowns has no bound"
        );
    }

    pub(super) fn hand_over(&mut self, which: u8, dead: bool) {
        if self.hand_overs.is_empty() {
            return;
        }
        let (key, revision) = self.hand_overs.remove(usize::from(which) % self.hand_overs.len());
        self.track(key).session.as_mut().expect("tracked").confirmed = true;
        let disposition = self.call(|fleet, at, out| match dead {
            true => fleet.dead_lettered(at, key, revision, out),
            false => fleet.handed_over(at, key, revision, out),
        });
        assert_eq!(disposition, Disposition::Applied, "revision {revision} was awaited");
    }

    /// The process dies and another one, with another clock, takes over from the store.
    pub(super) fn restart(&mut self, by: u8) {
        self.clock = Instant::from_millis(1_000_000_000 + (u64::from(by) << 20));
        self.start();
        self.pulls.clear();
        self.hand_overs.clear();
        for index in 0..self.verifications.len() {
            let verification = &mut self.verifications[index];
            let Some(track) = &mut verification.session else { continue };
            let account = self.ids[verification.account];
            let policy = self.accounts[verification.account].policy.session.poller;
            let alias = track.has_alias.then_some(verification.alias);
            let (id, version, saved) = (verification.id, track.version, track.saved);
            track.must_be_repeated = !track.confirmed;
            let session = saved.restore(self.clock, self.unix()).expect("the layout is ours");
            let stored = Stored { id, alias, session, version };
            let (key, actions) =
                self.collect(|fleet, at, mut out| fleet.restore(at, account, stored, &mut out));
            let (now, patience) = (self.gone_by, policy.patience());
            let track = self.verifications[index].session.as_mut().expect("tracked");
            track.restarted(key.expect("it fitted before"), now, patience);
            actions.into_iter().for_each(|action| self.observe(action));
            let track = self.verifications[index].session.as_ref().expect("tracked");
            assert!(!track.must_be_repeated, "G2: an unconfirmed revision is not handed over again");
        }
    }
}
