//! The host: it feeds the fleet, performs what that asks for, saves when it is told to, and wakes it in time.

use super::door::Waiting;
use super::rules::{CADENCE, PROVIDER, RETRY_AFTER, TTL};
use super::verification::Call;
use super::{AT, Move, NOW, Run, Sabotage, Trouble, Word, World, build, id};
use crate::law::Law;
use crate::story::Who;
use crate::world::through_the_store;
use idv_core::evidence::{Callback, ContentDigest, Fault, FaultKind, NotReady, Outcome, Report, Verdict};
use idv_core::fleet::{Action, At, Fleet, Key, Routed, Stored, Wake};
use idv_core::machine::Disposition;
use idv_core::poller::Class;
use idv_core::session::{End, Revision};
use idv_core::time::Span;

/// The most steps of one wake-up. What takes more goes round in a circle.
const MANY: u32 = 200;

const ACCEPTED: Report = Report { verdict: Some(Verdict::Accepted), content: ContentDigest(1) };

impl World {
    /// Feeds the fleet something and performs what it asks for.
    fn feed<T>(
        &mut self,
        run: &mut Run<'_>,
        waiting: &Waiting,
        input: impl FnOnce(&mut Fleet, At, &mut Vec<Action>) -> T,
    ) -> T {
        let mut actions = Vec::new();
        let result = input(&mut self.fleet, AT, &mut actions);
        self.line_up();
        while !actions.is_empty() {
            for action in std::mem::take(&mut actions) {
                if let Some((key, number)) = self.performs(run, waiting, action) {
                    // The application says at once that it has it.
                    self.fleet.handed_over(AT, key, number, &mut |action| actions.push(action));
                }
            }
            self.line_up();
        }
        result
    }

    /// Wakes the fleet until there is nothing left to do.
    pub(super) fn runs(&mut self, run: &mut Run<'_>) {
        for _ in 0..MANY {
            let waiting = self.waiting(run);
            let wake =
                self.feed(run, &waiting, |fleet, at, out| fleet.run(at, 1, &mut |action| out.push(action)));
            match wake {
                Wake::More => continue,
                Wake::At(at) => {
                    self.requires(run, at > NOW, Law::G6, "a wake-up that is due already: a spin");
                    self.wake = Some(at);
                }
                Wake::Input => self.wake = None,
            }
            return self.is_at_rest(run);
        }
        self.breaks(run, Law::G6, "a wake-up without an end");
    }

    /// Nothing is left to do now: what that means for every session.
    fn is_at_rest(&mut self, run: &mut Run<'_>) {
        for case in 0..self.cases.len() as u8 {
            let Some(session) = self.session(case) else { continue };
            let confirms = session.wants() == Some(Class::Confirming);
            let (open, wants) = (session.is_open(), session.wants().is_some());
            let flying = session.poller().in_flight();
            let here = &self.cases[usize::from(case)];
            let awaited = here.awaited().map(|call| u32::from(call.op));
            let bound = here.bound;
            let refused = self.bearers[usize::from(run.rules.cases[usize::from(case)].account)].refused;
            self.requires(run, !open || NOW < bound, Law::G6, "a session goes on past deadline and grace");
            self.requires(run, flying == awaited, Law::G9, "what is in flight");
            self.requires(run, !(wants && refused), Law::R14, "a session waits for a token that never comes");
            let fruitless = confirms && self.cases[usize::from(case)].fruitless;
            self.requires(
                run,
                !fruitless,
                Law::R13,
                "a hint that led to nothing new ranks its session above the routine",
            );
            let timed = self.wake.is_some();
            self.requires(run, !open || timed, Law::G6, "an open session sleeps for ever");
        }
        let waiting = self.waiting(run);
        let kept = waiting.iter().any(|(.., served)| *served) && self.wake.is_none();
        self.requires(run, !kept, Law::R13, "a pull waits for a door, and nobody looks when it opens");
    }

    /// Performs one action; returns the revision that the application has now.
    fn performs(&mut self, run: &mut Run<'_>, waiting: &Waiting, action: Action) -> Option<(Key, u32)> {
        match action {
            Action::Save { key, version } => {
                if let (Some(case), true) = (self.case_of(key), self.left.crashes > 0) {
                    let session = self.session(case).copied();
                    self.cases[usize::from(case)].saved = session.map(|session| (session, version));
                }
            }
            Action::RequestToken { account, op, within } => {
                if let Some(account) = self.accounts.iter().position(|other| *other == account) {
                    self.requests(run, waiting, (account as u8, op), within);
                }
            }
            Action::Pull { key, op, generation, within, .. } => {
                if let Some(case) = self.case_of(key) {
                    self.pulls(run, waiting, (case, op, generation), within);
                }
            }
            Action::Keep { .. } | Action::Crowded { .. } => {}
            Action::HandOver { key, revision } => {
                let case = self.case_of(key)?;
                self.hands_over(run, case, revision);
                return Some((key, revision.number));
            }
            Action::Ended { key, end, .. } => {
                if let Some(case) = self.case_of(key) {
                    run.tell(Who::Session, Who::Application, || format!("{} ended: {end:?}", id(case)));
                    self.ends(run, case, end);
                }
            }
            Action::CredentialsRefused { account } => {
                run.tell(Who::Session, Who::Application, || "the credentials are refused".into());
                let place = self.accounts.iter().position(|other| *other == account);
                let right = place.is_some_and(|place| self.bearers[place].refused);
                let what = "credentials end by something else than refusals of their own requests";
                self.requires(run, right, Law::R14, what);
            }
        }
        None
    }

    fn pulls(
        &mut self,
        run: &mut Run<'_>,
        waiting: &Waiting,
        (case, op, generation): (u8, u32, u32),
        within: Span,
    ) {
        let account = run.rules.cases[usize::from(case)].account;
        run.tell(Who::Session, Who::Provider, || match generation {
            0 => format!("pull {op} of {}", id(case)),
            _ => format!("pull {op} of {} with token {generation}", id(case)),
        });
        let admitted = self.carries(run, account, generation);
        let limited = self.pull_passes(run, waiting, case);
        let (patience, here) = (run.rules.session.poller.patience(), &self.cases[usize::from(case)]);
        let (alone, polite) = (here.awaited().is_none(), NOW >= here.polite_from);
        let newer = match here.refused.flatten() {
            Some(refused) => generation == 0 || generation != u32::from(refused),
            None => true,
        };
        self.requires(run, alone, Law::G7, "two pulls of one session in flight");
        self.requires(run, polite, Law::G7, "a pull before the cadence allows it");
        self.requires(run, newer, Law::R14, "the further try after a 401 carries the same token");
        self.requires(run, within <= patience, Law::G6, "a call without an end");
        let op = u8::try_from(op).unwrap_or(u8::MAX);
        let until = NOW.after(patience);
        let rejected = !admitted || run.rules.cases[usize::from(case)].poisoned;
        let generation = generation as u8;
        self.cases[usize::from(case)].calls.push(Call { op, generation, until, rejected, limited });
    }

    fn hands_over(&mut self, run: &mut Run<'_>, case: u8, revision: Revision) {
        let Revision { number, verdict, .. } = revision;
        run.tell(Who::Session, Who::Application, || {
            format!("revision {number} of {}: {verdict:?}", id(case))
        });
        let here = &mut self.cases[usize::from(case)];
        let (right, next) =
            (here.accepted && verdict == Verdict::Accepted, number == u32::from(here.told) + 1);
        here.fruitless = false;
        here.told = u8::try_from(number).unwrap_or(u8::MAX);
        self.requires(run, right, Law::G4, "a verdict that the provider never reached");
        self.requires(run, next, Law::G2, "a revision twice, or one left out");
    }

    /// A session is refused by its own second refusal in a row, or because its token request was refused for good.
    fn ends(&mut self, run: &mut Run<'_>, case: u8, end: End) {
        let account = run.rules.cases[usize::from(case)].account;
        let for_good = self.bearers[usize::from(account)].refused;
        let own = self.cases[usize::from(case)].refused.is_none_or(|refused| refused.is_some());
        let again = self.cases[usize::from(case)].end == Some(end);
        let right = end != End::Refused || for_good || own || again;
        self.requires(run, right, Law::R14, "a session ends by the refusals of others");
        let before = NOW >= self.cases[usize::from(case)].bound.before(run.rules.session.poller.grace());
        self.requires(run, end != End::Expired || before, Law::R12, "it ended before its deadline");
        self.cases[usize::from(case)].ends(end);
    }

    pub(super) fn opens(&mut self, run: &mut Run<'_>, case: u8) {
        run.tell(Who::Application, Who::Session, || format!("opens {}", id(case)));
        let account = self.accounts[usize::from(run.rules.cases[usize::from(case)].account)];
        let (deadline, grace) = (run.rules.session.poller.deadline(), run.rules.session.poller.grace());
        self.cases[usize::from(case)].bound = NOW.after(deadline).after(grace);
        let mut actions = Vec::new();
        let opened = self.fleet.open(AT, account, id(case), None, &mut |action| actions.push(action));
        let Ok(key) = opened else { return self.breaks(run, Law::R15, "a verification cannot be opened") };
        self.cases[usize::from(case)].key = Some(key);
        self.feed(run, &Vec::new(), |_, _, out| out.extend(actions));
        let (asks, demanded) = self
            .session(case)
            .map_or((false, false), |session| (session.wants().is_some(), session.poller().is_demanded()));
        self.requires(run, asks, Law::R15, "opening a session does not ask for a pull");
        let early = self.early.iter().any(|(about, _)| *about == case);
        self.early.retain(|(about, _)| *about != case);
        self.requires(run, demanded == early, Law::R15, "a callback before the opening is forgotten");
    }

    pub(super) fn calls_back(&mut self, run: &mut Run<'_>, case: u8, word: Word) {
        run.tell(Who::Network, Who::Session, || format!("callback about {}: {word:?}", id(case)));
        let callback = match word {
            Word::Vouched => Callback::SignedSignal,
            Word::Claimed => Callback::Unsigned,
            Word::Forged => Callback::WrongSignature,
        };
        if self.cases[usize::from(case)].over {
            self.cases[usize::from(case)].reopens();
        }
        let routed = self.feed(run, &Vec::new(), |fleet, at, out| {
            fleet.callback(at, PROVIDER, id(case), callback, 1, &mut |action| out.push(action))
        });
        let expected = match (self.cases[usize::from(case)].key, word) {
            (Some(key), _) => Routed::Known(key),
            (None, Word::Forged) => Routed::Dropped,
            (None, Word::Vouched | Word::Claimed) => {
                self.keeps_early(run, case, word == Word::Vouched);
                Routed::Unknown
            }
        };
        self.requires(run, routed == expected, Law::R15, "a callback goes astray");
        if let Some(session) = self.session(case) {
            let (ended, demanded) = (session.end().is_some(), session.poller().is_demanded());
            self.requires(run, !ended && demanded, Law::R3, "a callback demands no pull");
        }
    }

    /// The ring has room for so many: the oldest that nobody vouched for leaves first.
    fn keeps_early(&mut self, run: &Run<'_>, case: u8, vouched: bool) {
        if self.early.len() >= run.rules.fleet.unknown.count as usize {
            let leaves = self.early.iter().position(|(_, vouched)| !vouched).unwrap_or(0);
            self.early.remove(leaves);
        }
        self.early.push((case, vouched));
    }

    pub(super) fn audits(&mut self, run: &mut Run<'_>, case: u8) {
        let Some(key) = self.cases[usize::from(case)].key else { return };
        run.tell(Who::Application, Who::Session, || format!("wants {} looked at some time", id(case)));
        self.feed(run, &Vec::new(), |fleet, at, out| {
            fleet.hint(at, key, Class::Audit, &mut |action| out.push(action))
        });
    }

    /// Pull `op` of this verification is over. Where it was answered with what the provider knows: whether that was in time.
    pub(super) fn pulled(
        &mut self,
        run: &mut Run<'_>,
        (case, op): (u8, u8),
        trouble: Option<Trouble>,
    ) -> Option<bool> {
        let here = &mut self.cases[usize::from(case)];
        let nth = here.calls.iter().position(|call| call.op == op)?;
        let call = here.calls.remove(nth);
        let (awaited, accepted) = (NOW < call.until && !here.over, here.accepted);
        let certain = match (call.limited, call.rejected) {
            (true, _) => Some(Trouble::Limited),
            (false, true) => Some(Trouble::Refused),
            (false, false) => None,
        };
        let trouble = trouble.or(certain);
        let outcome = match trouble {
            Some(Trouble::Refused) => Outcome::Refused,
            Some(trouble) => Outcome::Failed(fault(trouble)),
            None if accepted => Outcome::Report(ACCEPTED),
            None => Outcome::NotReady(NotReady::Documented),
        };
        run.tell(Who::Provider, Who::Session, || {
            format!("pull {op} of {}: {}", id(case), said(trouble, accepted))
        });
        if let Some(trouble) = trouble {
            self.hears(run, trouble);
        }
        let account = run.rules.cases[usize::from(case)].account;
        let again = self.cases[usize::from(case)].refused;
        if outcome == Outcome::Refused {
            self.rejects(run.rules, account, call.generation);
        }
        if awaited {
            let refused = (outcome == Outcome::Refused).then_some(call.generation);
            let here = &mut self.cases[usize::from(case)];
            here.polite_from = NOW.after(CADENCE);
            // The end that this refusal may bring is the second one's.
            here.refused = if refused.is_some() && again == Some(None) { Some(None) } else { Some(refused) };
        }
        let key = self.cases[usize::from(case)].key?;
        let demanded = self.session(case).is_some_and(|session| session.poller().is_demanded());
        self.feed(run, &Vec::new(), |fleet, at, out| {
            let generation = u32::from(call.generation);
            fleet.pulled(at, key, u32::from(op), generation, outcome, &mut |action| out.push(action))
        });
        if !awaited {
            return trouble.is_none().then_some(false);
        }
        let here = &self.cases[usize::from(case)];
        let ended = here.over && here.end == Some(End::Refused);
        if outcome == Outcome::Refused {
            let right = again.is_none_or(|again| ended == again.is_some());
            self.requires(
                run,
                right,
                Law::R14,
                "a session ends at its second refusal in a row, and no sooner",
            );
            self.cases[usize::from(case)].refused = Some(Some(call.generation));
        } else {
            self.requires(run, !ended, Law::R14, "an answer ended it as refused");
        }
        if outcome == Outcome::Report(ACCEPTED) {
            // Where an older answer came in late, after this pull was sent, its answer only hints (R1).
            let demanded = self.session(case).is_some_and(|session| session.poller().is_demanded());
            let told = self.cases[usize::from(case)].told > 0;
            self.requires(run, told || demanded, Law::G1, "the provider's verdict is not handed over");
        }
        let satisfied = !self.session(case).is_some_and(|session| session.poller().is_demanded());
        // Who has never shown anything new to a hint ranks as routine from then on.
        self.cases[usize::from(case)].fruitless |= trouble.is_none() && !accepted && demanded && satisfied;
        trouble.is_none().then_some(true)
    }

    /// Token request `op` of this account is over.
    pub(super) fn token(&mut self, run: &mut Run<'_>, (account, op): (u8, u8), trouble: Option<Trouble>) {
        let limited = self.bearers[usize::from(account)].is_limited(op);
        let trouble = trouble.or(limited.then_some(Trouble::Limited));
        run.tell(Who::Provider, Who::Session, || match trouble {
            Some(trouble) => format!("no token {op} for account {account}: {trouble:?}"),
            None => format!("token {op} for account {account}"),
        });
        if let Some(trouble) = trouble {
            self.hears(run, trouble);
        }
        let counts = self.completes(account, op);
        let mut for_good = false;
        if let Some(request) = counts {
            match trouble {
                None => self.receives(account, request),
                Some(Trouble::Refused) => for_good = self.is_refused_a_token(account),
                Some(Trouble::NoAnswer | Trouble::Limited | Trouble::TooMany) => {}
            }
        }
        let (name, number) = (self.accounts[usize::from(account)], u32::from(op));
        let disposition = self.feed(run, &Vec::new(), |fleet, at, out| {
            let out = &mut |action| out.push(action);
            match trouble {
                None => fleet.token_received(at, name, number, Some(TTL), out),
                Some(Trouble::Refused) => fleet.token_refused(at, name, number, out),
                Some(trouble) => fleet.token_failed(at, name, number, fault(trouble), out),
            }
        });
        let right = counts.is_none() || disposition == Disposition::Applied;
        self.requires(run, right, Law::R14, "the answer to a token request is not taken in");
        if for_good {
            self.runs(run);
            let waits = |case: u8| {
                run.rules.cases[usize::from(case)].account == account
                    && self.session(case).is_some_and(|session| session.wants().is_some())
            };
            let nobody = !(0..self.cases.len() as u8).any(waits);
            self.requires(run, nobody, Law::R14, "a session waits for a token that never comes");
        }
    }

    /// A 429 closes the provider's door to everybody, a `Retry-After` for as long as it says.
    fn hears(&mut self, run: &Run<'_>, trouble: Trouble) {
        match trouble {
            Trouble::Limited => self.closes(RETRY_AFTER),
            Trouble::TooMany => self.closes(run.rules.door.after_refusal),
            Trouble::NoAnswer | Trouble::Refused => {}
        }
    }

    pub(super) fn stranger(&mut self, run: &mut Run<'_>) {
        let door = self.door;
        if self.fleet.take(AT, door).is_ok() {
            run.tell(Who::Application, Who::Provider, || "makes a call of its own".into());
            self.passes(run);
        }
    }

    pub(super) fn replaces(&mut self, run: &mut Run<'_>, account: u8) {
        run.tell(Who::Application, Who::Session, || format!("replaces the credentials of account {account}"));
        self.forgets_credentials(account);
        let name = self.accounts[usize::from(account)];
        self.feed(run, &Vec::new(), |fleet, at, out| {
            fleet.credentials_replaced(at, name, &mut |action| out.push(action))
        });
    }

    /// Our process dies, and another one takes over what the store holds. What it knew of the door dies with it; the provider forgets nothing.
    pub(super) fn crashes(&mut self, run: &mut Run<'_>) {
        self.left.crashes -= 1;
        run.tell(Who::Store, Who::Session, || "the process dies; another one restores the sessions".into());
        let before = self.fleet.clone();
        (self.fleet, self.door, self.accounts) = build(run.rules);
        self.gate.is_forgotten();
        self.queue.clear();
        self.early.clear();
        for bearer in &mut self.bearers {
            *bearer = super::tokens::Bearer::new();
        }
        for case in 0..self.cases.len() as u8 {
            let here = &mut self.cases[usize::from(case)];
            if here.awaited().is_some() {
                here.polite_from = here.polite_from.max(NOW.after(CADENCE));
            }
            here.calls.clear();
            here.refused = None;
            here.fruitless = false;
            let Some((saved, version)) = here.saved else { continue };
            (here.end, here.over) = (saved.end(), saved.end().is_some());
            let Some(session) = through_the_store(saved) else {
                return self.breaks(run, Law::G9, "a snapshot that cannot be read back");
            };
            let account = self.accounts[usize::from(run.rules.cases[usize::from(case)].account)];
            let stored = Stored { id: id(case), alias: None, session, version };
            let mut actions = Vec::new();
            let restored = self.fleet.restore(AT, account, stored, &mut |action| actions.push(action));
            let Ok(key) = restored else {
                return self.breaks(run, Law::G9, "a session cannot be restored");
            };
            self.cases[usize::from(case)].key = Some(key);
            self.feed(run, &Vec::new(), |_, _, out| out.extend(actions));
        }
        if run.rules.sabotage == Some(Sabotage::TokenTakenOver) {
            self.fleet = before;
        }
        if self.left.crashes == 0 {
            self.cases.iter_mut().for_each(|case| case.saved = None);
        }
    }

    pub(super) fn happens(&mut self, run: &mut Run<'_>, next: Move) {
        match next {
            Move::Elapse | Move::Oversleep => {
                self.left.slowness -= u8::from(self.is_awaiting());
                self.elapse(run);
                if next == Move::Oversleep {
                    self.left.lateness -= 1;
                    return;
                }
            }
            Move::Answer(case, op) => {
                self.pulled(run, (case, op), None);
            }
            Move::Fail(case, op, trouble) => {
                self.left.failures -= 1;
                self.pulled(run, (case, op), Some(trouble));
            }
            Move::Issue(account, op) => self.token(run, (account, op), None),
            Move::Withhold(account, op, trouble) => {
                self.left.failures -= 1;
                self.token(run, (account, op), Some(trouble));
            }
            Move::Revoke(account) => {
                self.left.failures -= 1;
                run.tell(Who::Provider, Who::Provider, || format!("ends the token of account {account}"));
                if let Some(held) = &mut self.bearers[usize::from(account)].held {
                    held.revoked = true;
                }
            }
            Move::Decide(case) => {
                self.left.verdicts -= 1;
                run.tell(Who::Provider, Who::Provider, || format!("accepts {}", id(case)));
                self.cases[usize::from(case)].accepted = true;
            }
            Move::Callback(case, word) => {
                self.left.hints -= 1;
                self.calls_back(run, case, word);
            }
            Move::Audit(case) => {
                self.left.hints -= 1;
                self.audits(run, case);
            }
            Move::Open(case) => self.opens(run, case),
            Move::Stranger => {
                self.left.strangers -= 1;
                self.stranger(run);
            }
            Move::Replace(account) => {
                self.left.strangers -= 1;
                self.replaces(run, account);
            }
            Move::Crash => self.crashes(run),
            Move::Stuck => self.breaks(run, Law::G6, "nothing can happen any more, and it is not over"),
            Move::EndWell => return self.ends_well(run),
        }
        self.knows_its_tokens(run);
        self.runs(run);
        self.knows_its_tokens(run);
    }
}

const fn fault(trouble: Trouble) -> Fault {
    match trouble {
        Trouble::NoAnswer => Fault { kind: FaultKind::TimedOut, retry_after: None },
        Trouble::Limited => Fault { kind: FaultKind::RateLimited, retry_after: Some(RETRY_AFTER) },
        Trouble::TooMany => Fault { kind: FaultKind::RateLimited, retry_after: None },
        // A refusal is no fault: it says something.
        Trouble::Refused => Fault { kind: FaultKind::UnexpectedStatus, retry_after: None },
    }
}

fn said(trouble: Option<Trouble>, accepted: bool) -> String {
    match trouble {
        Some(trouble) => format!("{trouble:?}"),
        None if accepted => "accepted".into(),
        None => "not ready".into(),
    }
}
