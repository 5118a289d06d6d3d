//! A fleet, what it asked for, what a store would hold of it, and a provider that says what a test has it say.

use idv_core::evidence::{ContentDigest, Outcome, Report, Verdict};
use idv_core::fleet::trace::{Entry, Input, Known, Output, Replay};
use idv_core::fleet::{AccountId, Action, At, FleetPolicy, Key, Wake};
use idv_core::rules::Rules;
use idv_core::session::{End, Session, Snapshot};
use idv_core::time::{Instant, Span};
use std::collections::BTreeMap;

/// Whom a trace may name.
pub(crate) const PROVIDERS: [&str; 2] = ["shareid", "shufti"];

/// Repeatable random numbers (SplitMix64).
#[derive(Clone)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..sides`.
    pub(crate) fn below(&mut self, sides: usize) -> usize {
        (self.roll() % sides as u64) as usize
    }

    pub(crate) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// What a store holds of a session: what was saved last.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) account: AccountId,
    pub(crate) id: String,
    pub(crate) alias: Option<String>,
    pub(crate) session: Session,
    pub(crate) version: u32,
}

/// A pull that nobody has answered.
#[derive(Clone, Copy)]
pub(crate) struct Pull {
    pub(crate) key: Key,
    pub(crate) op: u32,
    pub(crate) generation: u32,
    /// What the provider knew when it was sent.
    pub(crate) truth: Option<Report>,
}

/// The revisions of a session by number: verdict and content.
pub(crate) type Log = BTreeMap<u32, (Verdict, ContentDigest)>;

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) replay: Replay,
    pub(crate) policy: FleetPolicy,
    pub(crate) now: Instant,
    pub(crate) dice: Dice,
    /// What is fed in is kept here, where somebody wants it.
    pub(crate) entries: Option<Vec<Entry<'static>>>,
    pub(crate) pulls: Vec<Pull>,
    pub(crate) tokens: Vec<(AccountId, u32)>,
    pub(crate) hand_overs: Vec<(Key, u32)>,
    pub(crate) truth: BTreeMap<String, Report>,
    pub(crate) stored: BTreeMap<Key, Kept>,
    /// What it held of each before that.
    pub(crate) stored_before: BTreeMap<Key, Kept>,
    pub(crate) logs: BTreeMap<Key, Log>,
    pub(crate) ends: BTreeMap<Key, End>,
    pub(crate) accounts: Vec<(&'static str, Rules)>,
    pub(crate) wake: Wake,
    /// Of eight token requests, so many are refused.
    pub(crate) refuses: usize,
}

impl World {
    pub(crate) fn new(policy: FleetPolicy, accounts: &[(&'static str, Rules)], seed: u64) -> Self {
        let mut world = Self {
            replay: Replay::of(policy, &PROVIDERS),
            policy,
            now: Instant::from_millis(1_000),
            dice: Dice(seed),
            entries: Some(Vec::new()),
            pulls: Vec::new(),
            tokens: Vec::new(),
            hand_overs: Vec::new(),
            truth: BTreeMap::new(),
            stored: BTreeMap::new(),
            stored_before: BTreeMap::new(),
            logs: BTreeMap::new(),
            ends: BTreeMap::new(),
            accounts: accounts.to_vec(),
            wake: Wake::Input,
            refuses: 0,
        };
        for (provider, rules) in accounts {
            let Output::Door(door) = world.feed(Input::AddDoor { policy: rules.door().unwrap() }) else {
                panic!("a door is added")
            };
            let policy = rules.account(provider).unwrap();
            world.feed(Input::AddAccount {
                door,
                provider: (*provider).into(),
                token: policy.token,
                session: policy.session,
            });
        }
        world
    }

    /// The accounts in the order in which they were added.
    pub(crate) fn account(&self, place: usize) -> AccountId {
        // Only a fleet makes their names; they are written as numbers.
        serde_json::from_str(&place.to_string()).unwrap()
    }

    /// This moment, with entropy of its own.
    pub(crate) fn at(&mut self) -> At {
        At::new(self.now, self.dice.roll() as u32)
    }

    pub(crate) fn feed(&mut self, input: Input<'static>) -> Output {
        let mut actions = Vec::new();
        let output = self.replay.apply(&input, &mut |action| actions.push(action)).unwrap();
        if let (Input::Restore { stored, .. }, Output::Opened(key)) = (&input, output) {
            self.took_over(key, stored);
        }
        if let Input::Replace { key, stored, .. } = &input
            && self.replay.fleet().session(*key).is_some()
        {
            self.took_over(*key, stored);
        }
        for action in &actions {
            self.took(*action);
        }
        let fleet = self.replay.fleet();
        self.stored.retain(|key, _| fleet.session(*key).is_some());
        if let Some(entries) = &mut self.entries {
            entries.push(Entry { input, output, actions });
        }
        output
    }

    /// A session whose state came from a store: what was handed over before is that state's own.
    fn took_over(&mut self, key: Key, stored: &Known<'_>) {
        let fleet = self.replay.fleet();
        let kept = Kept {
            account: fleet.account(key).unwrap(),
            id: fleet.id(key).unwrap().to_owned(),
            alias: fleet.alias(key).map(str::to_owned),
            session: stored.session,
            version: stored.version,
        };
        self.stored.insert(key, kept);
        self.logs.remove(&key);
        self.hand_overs.retain(|(of, _)| *of != key);
    }

    fn took(&mut self, action: Action) {
        let fleet = self.replay.fleet();
        match action {
            Action::Save { key, version } => {
                // The fleet may have forgotten it in the same call.
                let (Some(session), Some(account), Some(id)) =
                    (fleet.session(key), fleet.account(key), fleet.id(key))
                else {
                    return;
                };
                let alias = fleet.alias(key).map(str::to_owned);
                let kept = Kept { account, id: id.to_owned(), alias, session: *session, version };
                if let Some(before) = self.stored.insert(key, kept) {
                    self.stored_before.insert(key, before);
                }
            }
            Action::Pull { key, op, generation, .. } => {
                let truth = fleet.id(key).and_then(|id| self.truth.get(id)).copied();
                self.pulls.push(Pull { key, op, generation, truth });
            }
            Action::RequestToken { account, op, .. } => self.tokens.push((account, op)),
            Action::HandOver { key, revision } => {
                let log = self.logs.entry(key).or_default();
                let last = log.last_key_value().map_or(0, |(last, _)| *last);
                let said = (revision.verdict, revision.content);
                let before = *log.entry(revision.number).or_insert(said);
                assert_eq!(before, said, "g2: revision {} was something else before", revision.number);
                assert!(revision.number >= last, "g3: revision {} after {last}", revision.number);
                self.hand_overs.push((key, revision.number));
            }
            Action::Ended { key, end, .. } => {
                self.ends.insert(key, end);
            }
            Action::Keep { .. } | Action::CredentialsRefused { .. } | Action::Crowded { .. } => {}
        }
    }

    /// Does all that is due.
    pub(crate) fn run(&mut self) {
        for _ in 0..1_000 {
            let at = self.at();
            let Output::Wake(wake) = self.feed(Input::Run { at, work: 256 }) else {
                panic!("a run says when")
            };
            self.wake = wake;
            if wake != Wake::More {
                return;
            }
        }
        panic!("g6: more and more work at one moment");
    }

    /// The provider's truth as it is now.
    fn outcome(&self, key: Key) -> Outcome {
        let id = self.replay.fleet().id(key);
        match id.and_then(|id| self.truth.get(id)) {
            Some(report) => Outcome::Report(*report),
            None => Outcome::NotReady(idv_core::evidence::NotReady::Documented),
        }
    }

    /// Answers and confirms everything, truly and at once.
    pub(crate) fn serve(&mut self) -> bool {
        let (tokens, pulls, hand_overs) = (
            std::mem::take(&mut self.tokens),
            std::mem::take(&mut self.pulls),
            std::mem::take(&mut self.hand_overs),
        );
        let any = !(tokens.is_empty() && pulls.is_empty() && hand_overs.is_empty());
        // First, so that nothing newer takes the place of what waits behind a revision (R6).
        for (key, revision) in hand_overs {
            let at = self.at();
            self.feed(Input::HandedOver { at, key, revision });
        }
        for (account, op) in tokens {
            let at = self.at();
            self.feed(Input::TokenReceived { at, account, op, ttl: None });
        }
        for Pull { key, op, generation, .. } in pulls {
            let (at, outcome) = (self.at(), self.outcome(key));
            self.feed(Input::Pulled { at, key, op, generation, outcome });
        }
        any
    }

    /// Lets time pass with everybody behaving, until `end` or until nothing is due within an hour.
    pub(crate) fn go(&mut self, end: Instant) {
        for _ in 0..10_000 {
            self.run();
            if self.serve() {
                self.now = self.now.after(Span::MIN);
                continue;
            }
            let Wake::At(due) = self.wake else { return };
            if due > end || due.since(self.now) > 3_600_000 {
                return;
            }
            self.now = due;
        }
        panic!("g6: it does not come to rest");
    }

    /// A process that died here: what another makes of what the store holds, `downtime` later and on a clock of its own.
    pub(crate) fn crashed(&self, downtime: Span) -> Self {
        let saved_unix_ms = 1_700_000_000_000;
        let mut next = Self::new(FleetPolicy::default(), &self.accounts, self.dice.0 ^ 0x00c0_ffee);
        next.entries = None;
        next.now = Instant::from_millis(777);
        next.truth = self.truth.clone();
        for kept in self.stored.values() {
            // As text, as a store has it.
            let snapshot = Snapshot::new(kept.session, self.now, saved_unix_ms);
            let text = serde_json::to_string(&snapshot).unwrap();
            let snapshot: Snapshot = serde_json::from_str(&text).unwrap();
            let session =
                snapshot.restore(next.now, saved_unix_ms + u64::from(downtime.as_millis())).unwrap();
            let stored = Known {
                id: kept.id.clone().into(),
                alias: kept.alias.clone().map(Into::into),
                session,
                version: kept.version,
            };
            let at = next.at();
            let output = next.feed(Input::Restore { at, account: kept.account, stored });
            assert!(matches!(output, Output::Opened(_)), "g9: {output:?}");
        }
        next.feed(Input::ListeningHadAGap);
        next
    }

    /// The session of this verification.
    pub(crate) fn find(&self, account: AccountId, id: &str) -> Option<Key> {
        let found = self.stored.iter().find(|(_, kept)| kept.account == account && kept.id == id);
        found.map(|(key, _)| *key)
    }
}
