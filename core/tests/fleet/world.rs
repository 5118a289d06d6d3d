//! A fleet with a clock, a provider of any behaviour, and the checks that hold whatever happens.

use idv_core::budget;
use idv_core::evidence::{Callback, Fault, FaultKind, Outcome, Report};
use idv_core::fleet::{
    AccountId, AccountPolicy, Action, At, DoorId, DoorPolicy, Fleet, FleetPolicy, Key, OpenError, Stored,
    Wake,
};
use idv_core::machine::Disposition;
use idv_core::poller::Class;
use idv_core::time::{Instant, Span};
use idv_core::token::Mode;
use std::collections::{BTreeMap, BTreeSet};

/// What happens to the fleet from outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    Open {
        account: AccountId,
        id: &'static str,
        created: Option<Report>,
    },
    Callback {
        provider: &'static str,
        id: &'static str,
        callback: Callback,
    },
    Pulled {
        key: Key,
        op: u32,
        generation: u32,
        outcome: Outcome,
    },
    Token {
        account: AccountId,
        op: u32,
        answer: TokenAnswer,
    },
    HandedOver {
        key: Key,
        revision: u32,
    },
    DeadLettered {
        key: Key,
        revision: u32,
    },
    Hint {
        account: AccountId,
        id: &'static str,
        class: Class,
    },
    Cancel {
        account: AccountId,
        id: &'static str,
    },
    CredentialsReplaced {
        account: AccountId,
    },
    Gap,
    /// A call of somebody else's behind this door.
    Take {
        door: DoorId,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TokenAnswer {
    Received(Option<Span>),
    Failed(Fault),
    Refused,
}

pub(crate) struct World {
    pub(crate) fleet: Fleet,
    pub(crate) now: Instant,
    /// When it began.
    pub(crate) began: Instant,
    pub(crate) log: Vec<(Instant, Action)>,
    pub(crate) doors: BTreeMap<DoorId, DoorPolicy>,
    pub(crate) accounts: BTreeMap<AccountId, (DoorId, AccountPolicy)>,
    /// The most steps of one call of run.
    pub(crate) work: u32,
    inbox: BTreeMap<(Instant, u64), Event>,
    posted: u64,
    wake: Wake,
    checks: Checks,
}

/// What was seen so far, for the checks.
#[derive(Default)]
struct Checks {
    /// When the pull in flight of a session was sent, and with which number.
    in_flight: BTreeMap<Key, (Instant, u32)>,
    /// From when on the next pull of a session is polite.
    polite_from: BTreeMap<Key, Instant>,
    requesting: BTreeMap<AccountId, (Instant, u32)>,
    /// By account and generation: until when a token may be carried.
    tokens: BTreeMap<(AccountId, u32), Instant>,
    spent: BTreeSet<(AccountId, u32)>,
    versions: BTreeMap<Key, u32>,
    revisions: BTreeMap<Key, u32>,
    calls: BTreeMap<DoorId, Vec<Instant>>,
    closed_until: BTreeMap<DoorId, Instant>,
}

impl World {
    pub(crate) fn new(policy: FleetPolicy) -> Self {
        Self::at_time(policy, Instant::from_millis(1_000))
    }

    /// A world that begins at `now`.
    pub(crate) fn at_time(policy: FleetPolicy, now: Instant) -> Self {
        Self {
            fleet: Fleet::new(policy),
            now,
            began: now,
            log: Vec::new(),
            doors: BTreeMap::new(),
            accounts: BTreeMap::new(),
            work: 3,
            inbox: BTreeMap::new(),
            posted: 0,
            wake: Wake::More,
            checks: Checks::default(),
        }
    }

    pub(crate) fn door(&mut self, policy: DoorPolicy) -> DoorId {
        let door = self.fleet.add_door(policy);
        self.doors.insert(door, policy);
        door
    }

    pub(crate) fn account(&mut self, door: DoorId, policy: AccountPolicy) -> AccountId {
        let account = self.fleet.add_account(door, policy);
        self.accounts.insert(account, (door, policy));
        account
    }

    pub(crate) fn account_of(&self, account: AccountId) -> (DoorId, AccountPolicy) {
        self.accounts[&account]
    }

    fn at(&self) -> At {
        // The same after the same time, so that two worlds can be compared.
        At::new(self.now, (self.now.since(self.began) as u32).wrapping_mul(0x9e37_79b9))
    }

    /// Lets something happen at `at`.
    pub(crate) fn post(&mut self, at: Instant, event: Event) {
        self.posted += 1;
        self.inbox.insert((at, self.posted), event);
    }

    pub(crate) fn open(&mut self, account: AccountId, id: &str) -> Key {
        self.try_open(account, id, None).unwrap()
    }

    pub(crate) fn try_open(
        &mut self,
        account: AccountId,
        id: &str,
        created: Option<Report>,
    ) -> Result<Key, OpenError> {
        let mut actions = Vec::new();
        let at = self.at();
        let key = self.fleet.open(at, account, id, created, &mut |action| actions.push(action));
        self.took(&actions);
        key
    }

    /// One input, now; what it asks for at once.
    pub(crate) fn feed(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        let at = self.at();
        let mut out = |action| actions.push(action);
        let fleet = &mut self.fleet;
        match event {
            Event::Open { account, id, created } => {
                let _ = fleet.open(at, account, id, created, &mut out);
            }
            Event::Callback { provider, id, callback } => {
                fleet.callback(at, provider, id, callback, 100, &mut out);
            }
            Event::Pulled { key, op, generation, outcome } => {
                let taken = fleet.pulled(at, key, op, generation, outcome, &mut out);
                if let Some(account) = fleet.account(key) {
                    let patience = self.accounts[&account].1.session.poller.patience();
                    self.checks.pulled(self.now, key, op, patience, taken);
                }
            }
            Event::Token { account, op, answer } => {
                match answer {
                    TokenAnswer::Received(ttl) => fleet.token_received(at, account, op, ttl, &mut out),
                    TokenAnswer::Failed(fault) => fleet.token_failed(at, account, op, fault, &mut out),
                    TokenAnswer::Refused => fleet.token_refused(at, account, op, &mut out),
                };
            }
            Event::HandedOver { key, revision } => {
                fleet.handed_over(at, key, revision, &mut out);
            }
            Event::DeadLettered { key, revision } => {
                fleet.dead_lettered(at, key, revision, &mut out);
            }
            Event::Hint { account, id, class } => {
                if let Some(key) = fleet.find(self.accounts[&account].1.provider, id) {
                    fleet.hint(at, key, class, &mut out);
                }
            }
            Event::Cancel { account, id } => {
                if let Some(key) = fleet.find(self.accounts[&account].1.provider, id) {
                    fleet.cancel(at, key, &mut out);
                }
            }
            Event::CredentialsReplaced { account } => {
                fleet.credentials_replaced(at, account, &mut out);
            }
            Event::Gap => fleet.listening_had_a_gap(),
            Event::Take { door } => {
                if fleet.take(at, door).is_ok() {
                    self.checks.calls.entry(door).or_default().push(self.now);
                }
            }
        }
        self.politeness_of_the_provider(event);
        self.took(&actions);
        actions
    }

    pub(crate) fn learn_alias(&mut self, key: Key, alias: &str) -> (Disposition, Vec<Action>) {
        let mut actions = Vec::new();
        let at = self.at();
        let disposition = self.fleet.learn_alias(at, key, alias, &mut |action| actions.push(action));
        self.took(&actions);
        (disposition, actions)
    }

    pub(crate) fn restore(&mut self, account: AccountId, stored: Stored<'_>) -> (Key, Vec<Action>) {
        let mut actions = Vec::new();
        let at = self.at();
        let version = stored.version;
        let key = self.fleet.restore(at, account, stored, &mut |action| actions.push(action)).unwrap();
        self.checks.versions.insert(key, version);
        self.took(&actions);
        (key, actions)
    }

    /// The sessions that a store would have, each with the version of its last save.
    pub(crate) fn stored(&self) -> Vec<(Key, u32)> {
        let there = |key: &Key| self.fleet.session(*key).is_some();
        self.checks
            .versions
            .iter()
            .filter(|(key, _)| there(key))
            .map(|(key, version)| (*key, *version))
            .collect()
    }

    /// Does everything that is due now; what it asked for.
    pub(crate) fn run(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        let at = self.at();
        for _ in 0..100_000 {
            self.wake = self.fleet.run(at, self.work, &mut |action| actions.push(action));
            match self.wake {
                Wake::More => {}
                Wake::At(due) => {
                    assert!(due > self.now, "a wake-up in the past: a spin");
                    break;
                }
                Wake::Input => break,
            }
        }
        assert_ne!(self.wake, Wake::More, "more and more work at one moment: a spin");
        let idle = self.fleet.run(at, 100, &mut |action| panic!("{action:?} was left undone"));
        assert_eq!(idle, self.wake, "nothing happened, and yet the wake-up moved");
        self.took(&actions);
        self.check_deadlines();
        actions
    }

    /// The moment to which the fleet may sleep.
    pub(crate) fn wakes(&self) -> Option<Instant> {
        match self.wake {
            Wake::At(at) => Some(at),
            Wake::Input => None,
            Wake::More => Some(self.now),
        }
    }

    /// Sleeps until the fleet wants to be woken, and runs it.
    pub(crate) fn sleep(&mut self) -> Vec<Action> {
        self.now = self.wakes().expect("the fleet waits for an input");
        self.run()
    }

    /// Runs now and whenever the fleet wants it, for so long; with nobody to answer anything.
    pub(crate) fn pass(&mut self, span: Span) -> Vec<Action> {
        let end = self.now.after(span);
        let mut actions = self.run();
        while let Some(at) = self.wakes().filter(|at| *at <= end) {
            self.now = at;
            actions.extend(self.run());
        }
        self.now = end;
        actions.extend(self.run());
        actions
    }

    /// Runs until `end`, with whatever was posted and whatever the provider and the application make of the actions; looks every
    /// `tick`, or as seldom as the fleet allows.
    pub(crate) fn go(
        &mut self,
        end: Instant,
        tick: Option<Span>,
        answer: impl Fn(&Self, Action) -> Option<(Instant, Event)>,
    ) {
        loop {
            let mut done = Vec::new();
            while let Some(entry) = self.inbox.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let event = entry.remove();
                done.extend(self.feed(event));
            }
            done.extend(self.run());
            for action in done {
                if let Some((at, event)) = answer(self, action) {
                    self.post(at.max(self.now.after(Span::MIN)), event);
                }
            }
            let posted = self.inbox.first_key_value().map(|((at, _), _)| *at);
            let next = match tick {
                Some(tick) => Some(self.now.after(tick)),
                None => self.wakes().into_iter().chain(posted).min(),
            };
            match next {
                Some(next) if next <= end => self.now = next,
                _ => return,
            }
        }
    }

    /// After a time in which all went well, no hint is open any more; unless tokens end before a call with them is permitted.
    pub(crate) fn nobody_was_forgotten(&self) {
        for key in self.checks.versions.keys() {
            let Some((door, policy)) = self.fleet.account(*key).map(|account| self.account_of(account))
            else {
                continue;
            };
            let interval = self.doors[&door].budget.interval();
            let shortest = Span::millis(60).min(policy.token.ttl()).as_millis();
            let life = shortest.saturating_sub(policy.token.margin().as_millis() + 30);
            if policy.token.mode() != Mode::NotNeeded && interval.times(4).as_millis() > life {
                continue;
            }
            let demanded = self.fleet.session(*key).is_some_and(|session| session.poller().is_demanded());
            assert!(!demanded, "R3: {:?} still waits for a pull", self.fleet.id(*key));
        }
    }

    fn took(&mut self, actions: &[Action]) {
        for action in actions {
            self.log.push((self.now, *action));
            self.check(*action);
        }
    }

    /// G6 as it stands now: nobody is open without a deadline, or past it.
    fn check_deadlines(&self) {
        for key in self.checks.versions.keys() {
            let Some(session) = self.fleet.session(*key) else { continue };
            if session.end().is_none() && !session.is_settled() {
                let bound = session.poller().bound().expect("G6: an open session without a deadline");
                let poller = self.account_of(self.fleet.account(*key).unwrap()).1.session.poller;
                let allowed = self.now.after(poller.deadline());
                // What reopened it may have to wait for a `Retry-After` first.
                let waits = session.poller().next_pull().filter(|_| session.is_reopened());
                assert!(bound <= allowed.max(waits.unwrap_or(allowed)), "G6: the deadline moved away");
                assert!(self.now < bound.after(poller.grace()), "G6: open past deadline and grace");
            }
        }
    }

    fn check(&mut self, action: Action) {
        let now = self.now;
        match action {
            Action::Pull { key, op, account, generation, .. } => {
                let (door, policy) = self.account_of(account);
                let poller = policy.session.poller;
                if let Some((sent, _)) = self.checks.in_flight.insert(key, (now, op)) {
                    let given_up = sent.after(poller.patience());
                    assert!(now >= given_up, "G7: two pulls of one session in flight");
                    assert!(now >= given_up.after(poller.cadence()), "G7: faster than the cadence");
                }
                let polite = self.checks.polite_from.get(&key).copied();
                assert!(
                    polite.is_none_or(|from| now >= from.after(poller.cadence())),
                    "G7: below the cadence"
                );
                assert!(self.checks.versions.contains_key(&key), "G9: a pull before the first save");
                self.token_may_be_carried(account, generation, policy.token.mode());
                self.call(door);
            }
            Action::RequestToken { account, op, .. } => {
                let (door, policy) = self.account_of(account);
                if let Some((sent, _)) = self.checks.requesting.insert(account, (now, op)) {
                    assert!(now >= sent.after(policy.token.patience()), "G7: two token requests in flight");
                }
                self.call(door);
            }
            Action::Save { key, version } => {
                let before = self.checks.versions.insert(key, version).unwrap_or(version - 1);
                assert_eq!(version, before + 1, "versions grow by one");
            }
            Action::HandOver { key, revision } => {
                let before =
                    self.checks.revisions.insert(key, revision.number).unwrap_or(revision.number - 1);
                assert_eq!(revision.number, before + 1, "G2: revisions come once each, in order");
            }
            Action::Keep { .. }
            | Action::Ended { .. }
            | Action::CredentialsRefused { .. }
            | Action::Crowded { .. } => {}
        }
    }

    fn token_may_be_carried(&mut self, account: AccountId, generation: u32, mode: Mode) {
        if mode == Mode::NotNeeded {
            assert_eq!(generation, 0);
            return;
        }
        let until = self.checks.tokens.get(&(account, generation));
        assert!(until.is_some_and(|until| self.now < *until), "G7: a token past its margin or refused");
        let first = self.checks.spent.insert((account, generation));
        assert!(first || mode == Mode::Reusable, "R14: a single-use token twice");
    }

    fn call(&mut self, door: DoorId) {
        let calls = self.checks.calls.entry(door).or_default();
        calls.push(self.now);
        let closed = self.checks.closed_until.get(&door);
        assert!(closed.is_none_or(|until| self.now >= *until), "R13: a call through a closed door");
    }

    /// Calls that the provider would count in any window of this length, at most.
    pub(crate) fn most_calls_within(&self, door: DoorId, window: Span) -> usize {
        let calls = self.checks.calls.get(&door).cloned().unwrap_or_default();
        let within =
            |from: &Instant| calls.iter().filter(|at| *at >= from && **at <= from.after(window)).count();
        calls.iter().map(within).max().unwrap_or(0)
    }

    /// What the provider's answer forbids from now on.
    fn politeness_of_the_provider(&mut self, event: Event) {
        let (account, fault) = match event {
            Event::Pulled { key, outcome: Outcome::Failed(fault), .. } => match self.fleet.account(key) {
                Some(account) => (account, fault),
                None => return,
            },
            Event::Pulled { key, generation, outcome: Outcome::Refused, .. } => {
                if let Some(account) = self.fleet.account(key) {
                    self.checks.tokens.remove(&(account, generation));
                }
                return;
            }
            Event::Token { account, op, answer } => {
                let request =
                    self.checks.requesting.get(&account).copied().filter(|(_, newest)| *newest == op);
                let Some((sent, _)) = request else { return };
                let token = self.account_of(account).1.token;
                if self.now >= sent.after(token.patience()) {
                    return;
                }
                self.checks.requesting.remove(&account);
                match answer {
                    TokenAnswer::Received(ttl) => {
                        let life = ttl.unwrap_or(token.ttl());
                        let until = sent.after(life).before(token.margin());
                        self.checks.tokens.insert((account, op), until);
                        return;
                    }
                    TokenAnswer::Failed(fault) => (account, fault),
                    TokenAnswer::Refused => return,
                }
            }
            Event::CredentialsReplaced { account } => {
                self.checks.tokens.retain(|(of, _), _| *of != account);
                return;
            }
            _ => return,
        };
        let door = self.account_of(account).0;
        let span = match fault.retry_after {
            Some(span) => span.min(budget::Policy::DEFAULT_CLOSE_CAP),
            None if fault.kind == FaultKind::RateLimited => self.doors[&door].after_refusal,
            None => return,
        };
        let until = self.checks.closed_until.entry(door).or_insert(self.now);
        *until = (*until).max(self.now.after(span));
    }
}

impl Checks {
    fn pulled(&mut self, now: Instant, key: Key, op: u32, patience: Span, taken: Disposition) {
        if let Some((sent, newest)) = self.in_flight.get(&key).copied()
            && newest == op
        {
            self.in_flight.remove(&key);
            // A completion that comes after it was given up breaks the driver's promise, and the cadence begins with it all the same. To who
            // has ended the call was over when it was given up.
            let over = if taken == Disposition::Stale { now.min(sent.after(patience)) } else { now };
            self.polite_from.insert(key, over);
        }
    }
}
