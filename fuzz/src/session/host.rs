//! The driver and the provider at once.

mod endings;
mod happenings;

use super::ledger::{Limit, Track, Verification};
use idv_core::budget;
use idv_core::evidence::{ContentDigest, Report};
use idv_core::fleet::{
    AccountId, AccountPolicy, Action, At, DoorId, DoorPolicy, Fleet, FleetPolicy, Key, UnknownPolicy, Wake,
};
use idv_core::machine::Disposition;
use idv_core::poller::{self, Class};
use idv_core::session::{self, Snapshot};
use idv_core::time::{Instant, Span};
use idv_core::token::{self, Mode};

/// Provider, id and alias of every verification there is.
const VERIFICATIONS: [(usize, &str, &str); 5] = [
    (0, "a", "alias of a"),
    (0, "b", "alias of b"),
    (1, "c", "alias of c"),
    (1, "d", "alias of d"),
    (2, "e", "alias of e"),
];
const PROVIDERS: [&str; 3] = ["confirming", "trusting", "plain"];
/// The door of each provider's account.
const DOORS: [usize; 3] = [0, 0, 1];
const UNKNOWN: u32 = 3;

/// Spans around which something happens: cadence, timeouts, back-offs, token lives, rechecks, deadlines, watches.
const SPANS: [u32; 16] = [
    1, 50, 999, 2_000, 4_999, 5_000, 10_000, 11_001, 15_000, 60_000, 119_000, 300_000, 600_000, 3_600_000,
    90_000_000, 400,
];

/// Which operation a first byte means; what carries a verification along is the most frequent.
const OPERATIONS: [u8; 32] =
    [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 4, 4, 5, 5, 5, 6, 6, 6, 7, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// A pull on the wire.
#[derive(Clone, Copy)]
struct Pull {
    verification: usize,
    key: Key,
    op: u32,
    generation: u32,
    /// What was true when it was sent.
    from: usize,
}

/// An account: the token it holds, counted a second time.
struct Account {
    policy: AccountPolicy,
    /// The newest token: its generation, when its request was sent on the clock, how long it lives.
    token: Option<(u32, Instant, Span)>,
    /// The newest request: its number, when it was sent on the clock and in time gone by.
    request: Option<(u32, Instant, u64)>,
    /// Requests that were given up or answered may still be answered late.
    requests: Vec<(u32, Instant)>,
}

pub(super) struct Host {
    fleet: Fleet,
    doors: Vec<DoorId>,
    ids: Vec<AccountId>,
    limits: Vec<Limit>,
    accounts: Vec<Account>,
    verifications: Vec<Verification>,
    pulls: Vec<Pull>,
    hand_overs: Vec<(Key, u32)>,
    clock: Instant,
    /// How far the clock went forward, in milliseconds.
    gone_by: u64,
    entropy: u32,
    wake: Wake,
    trace: Vec<Action>,
    /// The truth will not change any more.
    is_final: bool,
}

impl Host {
    pub(super) fn new() -> Self {
        let accounts =
            policies().map(|policy| Account { policy, token: None, request: None, requests: Vec::new() });
        let start = Report { verdict: None, content: ContentDigest(0) };
        let verification =
            |(account, id, alias)| Verification { account, id, alias, history: vec![start], session: None };
        let mut host = Self {
            fleet: Fleet::new(FleetPolicy::default()),
            doors: Vec::new(),
            ids: Vec::new(),
            limits: Vec::new(),
            accounts: accounts.into(),
            verifications: VERIFICATIONS.map(verification).into(),
            pulls: Vec::new(),
            hand_overs: Vec::new(),
            clock: Instant::from_millis(1_000_000_000),
            gone_by: 0,
            entropy: 1,
            wake: Wake::Input,
            trace: Vec::new(),
            is_final: false,
        };
        host.start();
        host
    }

    /// A fleet as a new process makes it.
    fn start(&mut self) {
        let unknown = UnknownPolicy { count: UNKNOWN, bytes: 1_000, age: Span::hours(1) };
        self.fleet = Fleet::new(FleetPolicy { sessions: 5, tombstones: 2, unknown });
        let budgets = [(20, Span::mins(1), 5), (3, Span::secs(10), 1)];
        self.limits = budgets.map(|(calls, window, _)| Limit::new(calls, window)).into();
        self.doors = budgets
            .map(|(calls, window, burst)| {
                let budget =
                    budget::Policy::per_window(calls, window, burst).expect("the budget is in order");
                self.fleet.add_door(DoorPolicy::new(budget))
            })
            .into();
        self.ids = Vec::new();
        for (account, door) in self.accounts.iter_mut().zip(DOORS) {
            self.ids.push(self.fleet.add_account(self.doors[door], account.policy));
            (account.token, account.request, account.requests) = (None, None, Vec::new());
        }
    }

    pub(super) fn into_trace(self) -> Vec<Action> {
        self.trace
    }

    /// Performs one operation and, unless its first byte says otherwise, everything that is due then.
    pub(super) fn perform(&mut self, [which, a, b, c]: [u8; 4]) {
        let verification = usize::from(a) % VERIFICATIONS.len();
        match OPERATIONS[usize::from(which) % OPERATIONS.len()] {
            0 => self.open(verification, b % 2 == 1),
            1 => self.advance(u64::from(SPANS[usize::from(a) % SPANS.len()])),
            2 => {
                self.advance_to_wake();
            }
            3 => self.answer(a, b, c),
            4 => self.answer_token(a, b, c),
            5 => self.change_truth(verification, b, c),
            6 => self.callback(verification, b, c),
            7 => self.hand_over(a, b % 4 == 0),
            8 => self.with_session(verification, |fleet, at, key, out| {
                let class = [Class::Confirming, Class::Routine, Class::Audit][usize::from(b) % 3];
                fleet.hint(at, key, class, out)
            }),
            9 => self.with_session(verification, |fleet, at, key, out| fleet.cancel(at, key, out)),
            10 => self.with_session(verification, |fleet, _, key, _| fleet.forget(key)),
            11 => self.restart(a),
            12 => self.clock = self.clock.before(Span::millis(SPANS[usize::from(a) % 10])),
            13 => self.learn_alias(verification),
            14 => self.fleet.listening_had_a_gap(),
            15 if b % 2 == 0 => self.take(usize::from(a) % self.doors.len()),
            _ => {
                let account = self.ids[usize::from(a) % PROVIDERS.len()];
                self.call(|fleet, at, out| fleet.credentials_replaced(at, account, out));
                self.accounts[usize::from(a) % PROVIDERS.len()].token = None;
            }
        }
        if which < 0x80 {
            self.run();
        }
        self.forget_the_removed();
    }

    /// Calls the fleet and returns what it asked for, unexamined.
    fn collect<T>(
        &mut self,
        call: impl FnOnce(&mut Fleet, At, &mut dyn FnMut(Action)) -> T,
    ) -> (T, Vec<Action>) {
        self.entropy = self.entropy.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        let at = At::new(self.clock, self.entropy);
        let mut actions = Vec::new();
        let result = call(&mut self.fleet, at, &mut |action| actions.push(action));
        (result, actions)
    }

    fn call<T>(&mut self, call: impl FnOnce(&mut Fleet, At, &mut Sink<'_>) -> T) -> T {
        let (result, actions) = self.collect(|fleet, at, mut out| call(fleet, at, &mut out));
        actions.into_iter().for_each(|action| self.observe(action));
        result
    }

    /// Does what is due, a few steps at a time.
    fn run(&mut self) {
        for _ in 0..10_000 {
            self.wake = self.call(|fleet, at, out| fleet.run(at, 3, out));
            match self.wake {
                Wake::More => {}
                Wake::At(due) => {
                    return assert!(due > self.clock, "waits for {due:?} at {:?}: a spin", self.clock);
                }
                Wake::Input => return,
            }
        }
        panic!("G6: the fleet never comes to rest");
    }

    fn advance(&mut self, millis: u64) {
        self.clock = Instant::from_millis(self.clock.as_millis() + millis);
        self.gone_by += millis;
    }

    /// Whether there was a moment to go to.
    fn advance_to_wake(&mut self) -> bool {
        let Wake::At(due) = self.wake else { return false };
        self.advance(due.since(self.clock));
        true
    }

    fn open(&mut self, index: usize, with_reply: bool) {
        let verification = &self.verifications[index];
        let (account, id) = (self.ids[verification.account], verification.id);
        let created = with_reply.then(|| verification.truth());
        let (opened, actions) =
            self.collect(|fleet, at, mut out| fleet.open(at, account, id, created, &mut out));
        match opened {
            Ok(key) => {
                let saved = self.snapshot(key);
                let verification = &mut self.verifications[index];
                assert!(verification.session.is_none(), "one session for one verification");
                verification.session = Some(Track::new(key, saved));
            }
            Err(problem) => assert!(
                self.verifications[index].session.is_some() || self.fleet.len() == 5,
                "{problem}, but neither is it open nor is the fleet full"
            ),
        }
        actions.into_iter().for_each(|action| self.observe(action));
    }

    fn snapshot(&self, key: Key) -> Snapshot {
        let session = self.fleet.session(key).expect("it is there");
        Snapshot::new(*session, self.clock, self.unix())
    }

    fn unix(&self) -> u64 {
        1_700_000_000_000 + self.gone_by
    }

    fn track(&mut self, key: Key) -> &mut Verification {
        let is_it = |it: &&mut Verification| it.session.as_ref().is_some_and(|track| track.key == key);
        self.verifications.iter_mut().find(is_it).expect("only sessions that are open are named")
    }

    /// Holds an action against the ledger and takes it up.
    fn observe(&mut self, action: Action) {
        self.trace.push(action);
        let now = self.gone_by;
        match action {
            Action::Save { key, version } => {
                let saved = self.fleet.session(key).map(|_| self.snapshot(key));
                let track = self.track(key).session.as_mut().expect("tracked");
                assert_eq!(version, track.version + 1, "G9: a version was left out");
                track.version = version;
                track.saved = saved.unwrap_or(track.saved);
            }
            Action::Keep { key, content } => self.track(key).session.as_mut().expect("tracked").keep(content),
            Action::RequestToken { account, op, .. } => self.token_requested(account, op),
            Action::Pull { key, op, generation, account, .. } => {
                let account = self.index(account);
                self.limits[DOORS[account]].call(now);
                self.token_used(account, generation);
                let policy = self.accounts[account].policy.session.poller;
                let verification = self.track(key);
                let from = verification.newest();
                let id = verification.id;
                let track = verification.session.as_mut().expect("tracked");
                track.pull(op, now, policy.cadence(), policy.patience());
                let verification = self.verifications.iter().position(|it| it.id == id).expect("known");
                self.pulls.push(Pull { verification, key, op, generation, from });
            }
            Action::HandOver { key, revision } => {
                let policies: Vec<_> = self.accounts.iter().map(|it| it.policy.session.evidence).collect();
                let verification = self.track(key);
                let track = verification.session.as_mut().expect("tracked");
                track.hand_over(revision, policies[verification.account], &verification.history);
                self.hand_overs.push((key, revision.number));
            }
            Action::Ended { .. } | Action::CredentialsRefused { .. } | Action::Crowded { .. } => {}
        }
    }

    fn index(&self, account: AccountId) -> usize {
        self.ids.iter().position(|id| *id == account).expect("an account of this fleet")
    }

    /// G7: one token request in flight.
    fn token_requested(&mut self, account: AccountId, op: u32) {
        let index = self.index(account);
        self.limits[DOORS[index]].call(self.gone_by);
        let account = &mut self.accounts[index];
        if let Some((_, _, sent)) = account.request {
            let patience = u64::from(account.policy.token.patience().as_millis());
            assert!(self.gone_by >= sent + patience, "G7: a second token request in flight");
        }
        account.request = Some((op, self.clock, self.gone_by));
        account.requests.push((op, self.clock));
    }

    /// G7: no token within its safety margin, after a 401, or twice where it serves once.
    fn token_used(&mut self, account: usize, generation: u32) {
        let account = &mut self.accounts[account];
        let policy = account.policy.token;
        if policy.mode() == Mode::NotNeeded {
            return assert_eq!(generation, 0, "a token where none is needed");
        }
        let Some((newest, sent, ttl)) = account.token else { panic!("G7: a pull without a token") };
        assert_eq!(generation, newest, "G7: another token than the newest");
        let until = sent.after(ttl).before(policy.margin());
        assert!(
            sent <= self.clock && self.clock < until,
            "G7: a token of {sent:?} living {ttl:?} at {:?}",
            self.clock
        );
        if policy.mode() == Mode::SingleUse {
            account.token = None;
        }
    }

    fn with_session(
        &mut self,
        index: usize,
        call: impl FnOnce(&mut Fleet, At, Key, &mut Sink<'_>) -> Disposition,
    ) {
        if let Some(key) = self.verifications[index].session.as_ref().map(|track| track.key) {
            self.call(|fleet, at, out| call(fleet, at, key, out));
        }
    }

    fn learn_alias(&mut self, index: usize) {
        let verification = &mut self.verifications[index];
        let alias = verification.alias;
        if let Some(track) = &mut verification.session {
            let key = track.key;
            track.has_alias = true;
            let learned = self.call(|fleet, at, out| fleet.learn_alias(at, key, alias, out));
            assert!(matches!(learned, Disposition::Applied | Disposition::NoOp));
        }
    }

    fn take(&mut self, door: usize) {
        let id = self.doors[door];
        let at = At::new(self.clock, 0);
        if self.fleet.take(at, id).is_ok() {
            self.limits[door].call(self.gone_by);
        }
    }

    /// Tombstones beyond the policy are removed, and what is forgotten is gone.
    fn forget_the_removed(&mut self) {
        for verification in &mut self.verifications {
            let fleet = &self.fleet;
            verification.session.take_if(|track| fleet.session(track.key).is_none());
        }
        let fleet = &self.fleet;
        self.hand_overs.retain(|(key, _)| fleet.session(*key).is_some());
    }
}

/// Where the fleet's actions go.
type Sink<'a> = &'a mut dyn FnMut(Action);

/// A reusable token; a single-use one beside trust in signatures; no token, and an end of the watch. Only the first audits: what the others
/// miss they never learn.
fn policies() -> [AccountPolicy; 3] {
    let poller = poller::Policy::builder(Span::secs(5), Span::mins(10));
    let audited = poller.build().expect("the poller is in order");
    let unaudited = poller.audit(None).build().expect("the poller is in order");
    let reusable = token::Policy::reusable(Span::mins(10)).build().expect("the token is in order");
    let single_use = token::Policy::single_use(Span::mins(10)).build().expect("the token is in order");
    [
        AccountPolicy {
            provider: PROVIDERS[0],
            token: reusable,
            session: session::Policy::confirm_by_pull(audited),
        },
        AccountPolicy {
            provider: PROVIDERS[1],
            token: single_use,
            session: session::Policy::trust_signed(unaudited),
        },
        AccountPolicy {
            provider: PROVIDERS[2],
            token: token::Policy::not_needed(),
            session: session::Policy::confirm_by_pull(unaudited.with_watch(Some(Span::hours(1)))),
        },
    ]
}
