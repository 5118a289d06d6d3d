//! Many sessions over shared tokens and budgets: what every adapter drives. One verification is a fleet of one.
//!
//! ```text
//!   session ──Ask──▶ account's queues ──▶ door (budget) ──Granted──▶ session ──▶ Action::Pull { generation }
//!                      confirming │ routine │ audit  ▲
//!                    account's token ──Ask───────────┘──Granted──▶ token ──▶ Action::RequestToken
//! ```
//!
//! A *door* is a provider's limit: a budget that many accounts may share. An *account* is a provider, base URL, kind of flow and
//! credential: a token and the sessions that use it. When confirming and routine pulls both wait, grants alternate; within a class the
//! longest wait goes first; audits go last; token requests go before all, since others wait for them (R13).
//!
//! The fleet is not a [`Machine`]: its output is unbounded, so it takes a sink, and [`Fleet::run`] takes a bound on its work and answers
//! [`Wake::More`] when there is more. It performs nothing itself. Actions of one session reach the sink in order, and
//! [`Action::Save`] before the actions that must wait for it (G9).

mod account;
mod timers;
mod unknown;

pub use account::{AccountPolicy, DoorPolicy};
pub use unknown::UnknownPolicy;

use crate::evidence::{Callback, ContentDigest, Fault, FaultKind, Outcome, Report};
use crate::machine::{Cx, Disposition, Machine, Next};
use crate::poller::Class;
use crate::session::{self, End, Revision, Session};
use crate::time::{Instant, Span};
use crate::token;
use account::{Account, Door};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::fmt;
use sha2::{Digest, Sha256};
use timers::Timers;
use unknown::Unknown;

/// The moment of a call and its entropy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct At {
    /// The driver's reading of its clock.
    pub now: Instant,
    /// Fresh random bits; one draw per call.
    pub entropy: u32,
}

impl At {
    /// These two.
    #[must_use]
    pub const fn new(now: Instant, entropy: u32) -> Self {
        Self { now, entropy }
    }

    /// Entropy of its own for each machine that one call steps.
    const fn draw(self, salt: u32) -> u32 {
        let mut mixed = self.entropy ^ salt.wrapping_mul(0x9e37_79b9);
        mixed = (mixed ^ (mixed >> 16)).wrapping_mul(0x85eb_ca6b);
        mixed = (mixed ^ (mixed >> 13)).wrapping_mul(0xc2b2_ae35);
        mixed ^ (mixed >> 16)
    }
}

/// Names a session in the fleet. A key is never reused for another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key {
    index: u32,
    generation: u32,
}

/// Names an account in the fleet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AccountId(u32);

/// Names a door in the fleet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DoorId(u32);

/// What the driver must do. Operations repeat their number when they are completed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Save this session's snapshot, before any later action of the same session is performed (G9). Without a store: nothing.
    Save {
        /// The session.
        key: Key,
        /// Grows by one with each save; the store refuses to replace a newer one (compare-and-set).
        version: u32,
    },
    /// Ask the provider for a token; answer with [`Fleet::token_received`], [`Fleet::token_failed`] or [`Fleet::token_refused`].
    RequestToken {
        /// The account.
        account: AccountId,
        /// The request's number.
        op: u32,
        /// How long it may take.
        within: Span,
    },
    /// Pull this verification; answer with [`Fleet::pulled`].
    Pull {
        /// The session.
        key: Key,
        /// The pull's number.
        op: u32,
        /// The account whose credentials or token it carries.
        account: AccountId,
        /// The token it carries: the number of the request that brought it; zero where there is no token.
        generation: u32,
        /// How long it may take.
        within: Span,
    },
    /// Keep the body just fed in for this session: a revision may be made of it. The one before that may be dropped, once no revision
    /// that was made of it is awaited.
    Keep {
        /// The session.
        key: Key,
        /// Its content digest.
        content: ContentDigest,
    },
    /// Give this revision to the application; answer with [`Fleet::handed_over`] or [`Fleet::dead_lettered`].
    HandOver {
        /// The session.
        key: Key,
        /// The revision.
        revision: Revision,
    },
    /// The session has finished, but for a hand-over that is still awaited. A callback may reopen it (R8).
    Ended {
        /// The session.
        key: Key,
        /// How.
        end: End,
        /// A callback, or another hint, was never confirmed by a pull (R12).
        unconfirmed: bool,
    },
    /// The credentials were refused for good; the sessions of this account end as they ask.
    CredentialsRefused {
        /// The account.
        account: AccountId,
    },
    /// So many sessions are open that each is pulled fewer than three times before its deadline (R13): raise the budget or the
    /// deadline. Said once until it is over.
    Crowded {
        /// The account.
        account: AccountId,
        /// How far apart the pulls of one session are expected to be.
        expected: Span,
        /// The deadline they have.
        deadline: Span,
    },
}

/// When to call [`Fleet::run`] again; replaces any earlier answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wake {
    /// At this moment, or after the next input.
    At(Instant),
    /// After the next input.
    Input,
    /// At once: the bound on the work was reached. Let others run first.
    More,
}

/// Where a callback went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Routed {
    /// To this session.
    Known(Key),
    /// Nobody opened that id yet; it is kept in the ring of unknowns (R15).
    Unknown,
    /// Nobody opened that id yet, and a wrong signature is not worth keeping.
    Dropped,
}

/// Why a session could not be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenError {
    /// The fleet has as many sessions as it may.
    Full,
    /// The id is empty.
    EmptyId,
    /// A session with this id, or with it as its alias, is there already.
    Exists(Key),
    /// There is no such account.
    NoAccount,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the fleet is full: raise its capacity, or forget sessions that have ended",
            Self::EmptyId => "the id of the verification is empty: pass the id that the provider gave",
            Self::Exists(_) => "this verification is open already: use the session that is there",
            Self::NoAccount => "there is no such account in this fleet: add it first",
        })
    }
}

impl core::error::Error for OpenError {}

/// The bounds of a fleet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FleetPolicy {
    /// The most sessions, tombstones included.
    pub sessions: u32,
    /// The most tombstones: ended sessions that a callback may reopen. The oldest are forgotten first.
    pub tombstones: u32,
    /// What is kept of callbacks that nobody knows.
    pub unknown: UnknownPolicy,
}

impl Default for FleetPolicy {
    /// A million sessions, ten thousand tombstones.
    fn default() -> Self {
        Self { sessions: 1_000_000, tombstones: 10_000, unknown: UnknownPolicy::default() }
    }
}

/// An id as the fleet compares it: the first 128 bits of the SHA-256 of provider and id, so that long ids cost no more than short ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct IdKey([u8; 16]);

impl IdKey {
    pub(crate) fn new(provider: &str, id: &str) -> Self {
        let digest: [u8; 32] =
            Sha256::new().chain_update(provider).chain_update([0]).chain_update(id).finalize().into();
        let mut key = [0; 16];
        for (to, from) in key.iter_mut().zip(digest) {
            *to = from;
        }
        Self(key)
    }
}

/// A session as a store gives it back.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// The id it was opened with.
    pub id: &'a str,
    /// Its other id, if one was known.
    pub alias: Option<&'a str>,
    /// The session, on the clock of this process ([`session::Snapshot::restore`]).
    pub session: Session,
    /// The version of its last save.
    pub version: u32,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    live: Option<Live>,
}

#[derive(Debug)]
struct Live {
    session: Session,
    account: u32,
    version: u32,
    /// In which queues it stands.
    queued: [bool; 3],
    /// Whether it stands in the list of tombstones.
    buried: bool,
    id: Box<str>,
    alias: Option<Box<str>>,
}

/// Many sessions. See the module's text.
#[derive(Debug)]
pub struct Fleet {
    policy: FleetPolicy,
    doors: Vec<Door>,
    accounts: Vec<Account>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    tombstones: VecDeque<Key>,
    ids: BTreeMap<IdKey, u32>,
    timers: Timers,
    unknown: BTreeMap<&'static str, Unknown>,
    /// Numbers the places in the queues, so that the longest wait is known across accounts.
    asked: u64,
    /// Which session the spreading of a gap in listening reached (R9).
    gap: Option<u32>,
}

impl Fleet {
    /// An empty fleet.
    #[must_use]
    pub const fn new(policy: FleetPolicy) -> Self {
        Self {
            policy,
            doors: Vec::new(),
            accounts: Vec::new(),
            slots: Vec::new(),
            free: Vec::new(),
            tombstones: VecDeque::new(),
            ids: BTreeMap::new(),
            timers: Timers { heap: Vec::new(), places: Vec::new() },
            unknown: BTreeMap::new(),
            asked: 0,
            gap: None,
        }
    }

    /// Adds a provider's limit.
    pub fn add_door(&mut self, policy: DoorPolicy) -> DoorId {
        self.doors.push(Door::new(policy));
        DoorId(index(self.doors.len() - 1))
    }

    /// Adds an account behind a door of this fleet.
    pub fn add_account(&mut self, door: DoorId, policy: AccountPolicy) -> AccountId {
        self.accounts.push(Account::new(door.0, policy));
        AccountId(index(self.accounts.len() - 1))
    }

    /// Opens a session; it pulls at once (R15). `created` is what the reply to the request that created the verification stated
    /// (R17), where there was one. Callbacks that came before are taken in.
    ///
    /// # Errors
    /// The fleet is full, the id is empty or known, or there is no such account.
    pub fn open(
        &mut self,
        at: At,
        account: AccountId,
        id: &str,
        created: Option<Report>,
        out: &mut impl FnMut(Action),
    ) -> Result<Key, OpenError> {
        let policy = self.accounts.get(account.0 as usize).ok_or(OpenError::NoAccount)?.policy.session;
        let session = Session::new(Cx::new(at.now, &policy, at.entropy));
        let key = self.insert(account, id, None, session, 0)?;
        let provider = self.provider(account.0);
        self.count_open(account.0, 1, out);
        if let Some(report) = created {
            self.step(at, key, session::Input::Created(report), out);
        }
        self.step(at, key, session::Input::Tick, out);
        let id = IdKey::new(provider, id);
        while let Some(callback) = self.unknown.get_mut(provider).and_then(|ring| ring.take(id)) {
            // The body is no longer at hand, so what a signature vouched for is a hint like any other; the pull is due anyway.
            let hint = match callback {
                Callback::Signed(_) | Callback::Unsigned => Callback::Unsigned,
                Callback::SignedSignal | Callback::WrongSignature => callback,
            };
            self.step(at, key, session::Input::Callback(hint), out);
        }
        Ok(key)
    }

    /// Takes a session over from a store (R11).
    ///
    /// # Errors
    /// As for [`Fleet::open`].
    pub fn restore(
        &mut self,
        at: At,
        account: AccountId,
        stored: Stored<'_>,
        out: &mut impl FnMut(Action),
    ) -> Result<Key, OpenError> {
        let Stored { id, alias, session, version } = stored;
        let key = self.insert(account, id, alias, session, version)?;
        if is_open(&session) {
            self.count_open(account.0, 1, out);
        }
        self.step(at, key, session::Input::Restored, out);
        Ok(key)
    }

    /// Pull `op` of this session, sent with the token `generation`, came to this.
    pub fn pulled(
        &mut self,
        at: At,
        key: Key,
        op: u32,
        generation: u32,
        outcome: Outcome,
        out: &mut impl FnMut(Action),
    ) -> Disposition {
        let Some(account) = self.live(key).map(|live| live.account) else {
            return Disposition::Stale;
        };
        match outcome {
            Outcome::Report(_) | Outcome::NotReady(_) => {}
            // The token is not used again, so the session's one further try carries a newer one (R14).
            Outcome::Refused if generation != 0 => {
                self.step_token(at, account, token::Input::Rejected { generation }, out);
            }
            Outcome::Refused => {}
            Outcome::Failed(fault) => self.close_door(at, account, fault),
        }
        self.step(at, key, session::Input::Pulled { op, outcome }, out)
    }

    /// Token request `op` brought a token; the adapter keeps its bytes under that number.
    pub fn token_received(
        &mut self,
        at: At,
        account: AccountId,
        op: u32,
        ttl: Option<Span>,
        out: &mut impl FnMut(Action),
    ) -> Disposition {
        self.step_token(at, account.0, token::Input::Received { op, ttl }, out)
    }

    /// Token request `op` brought no usable answer.
    pub fn token_failed(
        &mut self,
        at: At,
        account: AccountId,
        op: u32,
        fault: Fault,
        out: &mut impl FnMut(Action),
    ) -> Disposition {
        self.close_door(at, account.0, fault);
        self.step_token(at, account.0, token::Input::Failed { op, retry_after: fault.retry_after }, out)
    }

    /// Token request `op` was answered that the credentials are wrong.
    pub fn token_refused(
        &mut self,
        at: At,
        account: AccountId,
        op: u32,
        out: &mut impl FnMut(Action),
    ) -> Disposition {
        self.step_token(at, account.0, token::Input::Refused { op }, out)
    }

    /// The credentials of this account were replaced.
    pub fn credentials_replaced(
        &mut self,
        at: At,
        account: AccountId,
        out: &mut impl FnMut(Action),
    ) -> Disposition {
        self.step_token(at, account.0, token::Input::Reset, out)
    }

    /// A callback named the verification `id` of this provider, with a body of `bytes`.
    pub fn callback(
        &mut self,
        at: At,
        provider: &'static str,
        id: &str,
        callback: Callback,
        bytes: u32,
        out: &mut impl FnMut(Action),
    ) -> Routed {
        if let Some(key) = self.find(provider, id) {
            self.step(at, key, session::Input::Callback(callback), out);
            return Routed::Known(key);
        }
        if callback == Callback::WrongSignature {
            return Routed::Dropped;
        }
        let policy = self.policy.unknown;
        self.unknown.entry(provider).or_default().keep(
            &policy,
            at.now,
            IdKey::new(provider, id),
            callback,
            bytes,
        );
        Routed::Unknown
    }

    /// The application has the revision, and said so.
    pub fn handed_over(
        &mut self,
        at: At,
        key: Key,
        revision: u32,
        out: &mut impl FnMut(Action),
    ) -> Disposition {
        self.step(at, key, session::Input::HandedOver { revision }, out)
    }

    /// The application did not take the revision, and it will not be offered again.
    pub fn dead_lettered(
        &mut self,
        at: At,
        key: Key,
        revision: u32,
        out: &mut impl FnMut(Action),
    ) -> Disposition {
        self.step(at, key, session::Input::DeadLettered { revision }, out)
    }

    /// Somebody wants this session pulled as soon as the cadence allows.
    pub fn hint(&mut self, at: At, key: Key, class: Class, out: &mut impl FnMut(Action)) -> Disposition {
        self.step(at, key, session::Input::Hint(class), out)
    }

    /// The application wants no more of this session.
    pub fn cancel(&mut self, at: At, key: Key, out: &mut impl FnMut(Action)) -> Disposition {
        self.step(at, key, session::Input::Cancel, out)
    }

    /// Callbacks could not be received for longer than the provider retries: every settled session is due one pull, spread by the
    /// budget (R9). [`Fleet::run`] does it, within its bound.
    pub fn listening_had_a_gap(&mut self) {
        self.gap = Some(0);
    }

    /// Takes one call of this door's budget for a request that is not the fleet's (creating a verification, deleting one): every call
    /// counts (R13).
    ///
    /// # Errors
    /// Not now: the moment from which to ask again.
    pub fn take(&mut self, at: At, door: DoorId) -> Result<(), Wake> {
        let Some(door) = self.doors.get_mut(door.0 as usize) else {
            return Err(Wake::Input);
        };
        if door.take(at.now) { Ok(()) } else { Err(door.opens().map_or(Wake::Input, Wake::At)) }
    }

    /// Another id of the same verification (ShareID: `applicant_id` where the session was opened by `flow_id`); callbacks match either.
    /// One alias at most; an id that another session has is not taken.
    pub fn learn_alias(&mut self, key: Key, alias: &str) -> Disposition {
        let Some(live) = self.live(key) else {
            return Disposition::Stale;
        };
        if &*live.id == alias || live.alias.as_deref() == Some(alias) || alias.is_empty() {
            return Disposition::NoOp;
        }
        let id = IdKey::new(self.provider(live.account), alias);
        if live.alias.is_some() || self.ids.contains_key(&id) {
            return Disposition::Illegal;
        }
        self.ids.insert(id, key.index);
        if let Some(live) = self.live_mut(key) {
            live.alias = Some(alias.into());
        }
        Disposition::Applied
    }

    /// Removes a session that has ended and awaits no hand-over. Its id can be opened anew, with revision numbers from 1.
    pub fn forget(&mut self, key: Key) -> Disposition {
        let Some(live) = self.live(key) else {
            return Disposition::Stale;
        };
        if !is_over(&live.session) {
            return Disposition::Illegal;
        }
        self.remove(key);
        Disposition::Applied
    }

    /// The session with this id or alias.
    #[must_use]
    pub fn find(&self, provider: &str, id: &str) -> Option<Key> {
        let index = *self.ids.get(&IdKey::new(provider, id))?;
        let slot = self.slots.get(index as usize)?;
        Some(Key { index, generation: slot.generation })
    }

    /// A session as it stands.
    #[must_use]
    pub fn session(&self, key: Key) -> Option<&Session> {
        self.live(key).map(|live| &live.session)
    }

    /// The id it was opened with.
    #[must_use]
    pub fn id(&self, key: Key) -> Option<&str> {
        self.live(key).map(|live| &*live.id)
    }

    /// Its other id, once that is known.
    #[must_use]
    pub fn alias(&self, key: Key) -> Option<&str> {
        self.live(key).and_then(|live| live.alias.as_deref())
    }

    /// The account it was opened with.
    #[must_use]
    pub fn account(&self, key: Key) -> Option<AccountId> {
        self.live(key).map(|live| AccountId(live.account))
    }

    /// How many sessions there are, tombstones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether there is no session.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many callbacks that nobody knows are kept, over all providers.
    #[must_use]
    pub fn unknown_callbacks(&self) -> usize {
        self.unknown.values().map(Unknown::len).sum()
    }

    /// Does what is due, at most `work` steps of it (at least one), beside one look at each account and door.
    pub fn run(&mut self, at: At, work: u32, out: &mut impl FnMut(Action)) -> Wake {
        for account in 0..index(self.accounts.len()) {
            if self.account_timer(account).is_some_and(|due| due <= at.now) {
                self.step_token(at, account, token::Input::Tick, out);
            }
        }
        for _ in 0..work.max(1) {
            let worked = self.run_timer(at, out) || self.run_grant(at, out) || self.run_gap(at, out);
            if !worked {
                return self.wake();
            }
        }
        // Whether there is more shows only when it is looked for: an open door has no timer to wait for.
        Wake::More
    }

    fn run_timer(&mut self, at: At, out: &mut impl FnMut(Action)) -> bool {
        match self.timers.first() {
            Some((due, index)) if due <= at.now => {
                match self.slots.get(index as usize) {
                    Some(slot) if slot.live.is_some() => {
                        let key = Key { index, generation: slot.generation };
                        self.step(at, key, session::Input::Tick, out);
                    }
                    _ => self.timers.set(index, None),
                }
                true
            }
            _ => false,
        }
    }

    fn run_gap(&mut self, at: At, out: &mut impl FnMut(Action)) -> bool {
        let Some(reached) = self.gap else {
            return false;
        };
        let Some(slot) = self.slots.get(reached as usize) else {
            self.gap = None;
            return false;
        };
        self.gap = Some(reached + 1);
        if slot.live.as_ref().is_some_and(|live| live.session.is_settled()) {
            let key = Key { index: reached, generation: slot.generation };
            self.step(at, key, session::Input::Hint(Class::Audit), out);
        }
        true
    }

    /// One grant at one door: a token request, or the pull whose turn it is.
    fn run_grant(&mut self, at: At, out: &mut impl FnMut(Action)) -> bool {
        for door in 0..index(self.doors.len()) {
            if !self.doors.get_mut(door as usize).is_some_and(|door| door.admits(at.now)) {
                continue;
            }
            if self.grant_token(at, door, out) || self.grant_pull(at, door, out) {
                return true;
            }
        }
        false
    }

    fn grant_token(&mut self, at: At, door: u32, out: &mut impl FnMut(Action)) -> bool {
        let asking = self
            .accounts
            .iter()
            .position(|account| account.door == door && account.asks_for_token() && account.has_work());
        let Some(account) = asking else {
            return false;
        };
        if self.doors.get_mut(door as usize).is_some_and(|door| door.take(at.now)) {
            self.step_token(at, index(account), token::Input::Granted, out);
        }
        true
    }

    /// The account and class whose turn it is, among those that could send at once or whose sessions must be told that they cannot.
    fn turn(&self, at: At, door: u32) -> Option<(u32, Class)> {
        let first = self.doors.get(door as usize)?.turn();
        for class in first {
            let longest = (0u32..)
                .zip(&self.accounts)
                .filter(|(_, account)| account.door == door && account.can_send(at.now))
                .filter_map(|(index, account)| account.waiting_since(class).map(|since| (since, index)))
                .min();
            if let Some((_, account)) = longest {
                return Some((account, class));
            }
        }
        None
    }

    fn grant_pull(&mut self, at: At, door: u32, out: &mut impl FnMut(Action)) -> bool {
        // Where work waits for a token, make the wish known.
        for account in 0..index(self.accounts.len()) {
            let wanting = self.accounts.get(account as usize).is_some_and(|account| {
                account.door == door && account.has_work() && account.wants_token(at.now)
            });
            if wanting {
                self.step_token(at, account, token::Input::Wanted, out);
                if self.accounts.get(account as usize).is_some_and(Account::asks_for_token) {
                    return true;
                }
            }
        }
        let Some((account, class)) = self.turn(at, door) else {
            return false;
        };
        let Some(key) = self.accounts.get_mut(account as usize).and_then(|account| account.dequeue(class))
        else {
            return true;
        };
        let Some(live) = self.live_mut(key) else {
            return true;
        };
        if let Some(queued) = live.queued.get_mut(class as usize) {
            *queued = false;
        }
        if live.session.wants() != Some(class) {
            return true;
        }
        let Some(account) = self.accounts.get(account as usize) else {
            return true;
        };
        if account.usable(at.now).is_none() {
            self.step(at, key, session::Input::CredentialsRefused, out);
            return true;
        }
        if self.doors.get_mut(door as usize).is_some_and(|door| door.take(at.now)) {
            if let Some(door) = self.doors.get_mut(door as usize) {
                door.granted(class);
            }
            self.step(at, key, session::Input::Granted, out);
        }
        true
    }

    fn wake(&self) -> Wake {
        let session = self.timers.first().map(|(due, _)| due);
        let accounts = (0..index(self.accounts.len())).filter_map(|account| self.account_timer(account));
        let doors = (0u32..).zip(&self.doors).filter_map(|(index, door)| {
            let waiting = self
                .accounts
                .iter()
                .any(|account| account.door == index && account.has_work() && !account.waits_for_token());
            if waiting { door.opens() } else { None }
        });
        session.into_iter().chain(accounts).chain(doors).min().map_or(Wake::Input, Wake::At)
    }

    fn account_timer(&self, account: u32) -> Option<Instant> {
        let account = self.accounts.get(account as usize)?;
        match account.token.next(&account.policy.token) {
            Next::At(at) => Some(at),
            Next::Input | Next::Over => None,
        }
    }

    fn close_door(&mut self, at: At, account: u32, fault: Fault) {
        let limited = fault.kind == FaultKind::RateLimited;
        let door = self.accounts.get(account as usize).map(|account| account.door);
        if let Some(door) = door.and_then(|door| self.doors.get_mut(door as usize)) {
            match fault.retry_after {
                Some(span) => door.close(at.now, span),
                None if limited => door.close_after_refusal(at.now),
                None => {}
            }
        }
    }

    fn step_token(
        &mut self,
        at: At,
        account: u32,
        input: token::Input,
        out: &mut impl FnMut(Action),
    ) -> Disposition {
        let Some(target) = self.accounts.get_mut(account as usize) else {
            return Disposition::Illegal;
        };
        let entropy = at.draw(account ^ 0x5eed_0000);
        let was_refused = target.token.is_refused();
        let step = target.token.step(Cx::new(at.now, &target.policy.token, entropy), input);
        for action in step.actions {
            match action {
                token::Action::Request { op, within } => {
                    out(Action::RequestToken { account: AccountId(account), op, within });
                }
                token::Action::Refused if !was_refused => {
                    out(Action::CredentialsRefused { account: AccountId(account) });
                }
                // The queues look at the token itself.
                token::Action::Refused | token::Action::Ask | token::Action::Ready { .. } => {}
            }
        }
        step.disposition
    }

    fn step(&mut self, at: At, key: Key, input: session::Input, out: &mut impl FnMut(Action)) -> Disposition {
        let Some(live) = self
            .slots
            .get_mut(key.index as usize)
            .filter(|slot| slot.generation == key.generation)
            .and_then(|slot| slot.live.as_mut())
        else {
            return Disposition::Stale;
        };
        let account_index = live.account;
        let Some(account) = self.accounts.get_mut(account_index as usize) else {
            return Disposition::Illegal;
        };
        let before = live.session;
        let step = live.session.step(Cx::new(at.now, &account.policy.session, at.draw(key.index)), input);
        let after = live.session;
        if !after.same_knowledge(&before) {
            live.version = live.version.saturating_add(1);
            out(Action::Save { key, version: live.version });
        }
        self.timers.set(
            key.index,
            match step.next {
                Next::At(due) => Some(due),
                Next::Input | Next::Over => None,
            },
        );
        for action in step.actions {
            match action {
                session::Action::Ask { class } => self.enqueue(key, class),
                session::Action::Pull { op, within } => {
                    let generation = self.take_token(at, account_index, out);
                    out(Action::Pull { key, op, account: AccountId(account_index), generation, within });
                }
                session::Action::Keep { content } => out(Action::Keep { key, content }),
                session::Action::HandOver(revision) => out(Action::HandOver { key, revision }),
                session::Action::Ended { end, unconfirmed } => {
                    out(Action::Ended { key, end, unconfirmed });
                }
            }
        }
        match (is_open(&before), is_open(&after)) {
            (true, false) => self.count_open(account_index, -1, out),
            (false, true) => self.count_open(account_index, 1, out),
            (true, true) | (false, false) => {}
        }
        if is_over(&after) && !is_over(&before) {
            self.bury(key);
        }
        step.disposition
    }

    fn take_token(&mut self, at: At, account: u32, out: &mut impl FnMut(Action)) -> u32 {
        let generation =
            self.accounts.get(account as usize).and_then(|account| account.usable(at.now)).unwrap_or(0);
        let single = self.accounts.get(account as usize).is_some_and(Account::is_single_use);
        if single {
            self.step_token(at, account, token::Input::Taken { generation }, out);
        }
        generation
    }

    fn enqueue(&mut self, key: Key, class: Class) {
        self.asked += 1;
        let asked = self.asked;
        let Some(live) = self.live_mut(key) else {
            return;
        };
        let account = live.account;
        // Standing in this queue already, it keeps its place.
        if let Some(queued) = live.queued.get_mut(class as usize)
            && !*queued
        {
            *queued = true;
            if let Some(account) = self.accounts.get_mut(account as usize) {
                account.enqueue(class, key, asked);
            }
        }
    }

    fn count_open(&mut self, account: u32, by: i32, out: &mut impl FnMut(Action)) {
        let Some(account_state) = self.accounts.get_mut(account as usize) else {
            return;
        };
        account_state.open = account_state.open.saturating_add_signed(by);
        let door = account_state.door;
        let open = self
            .accounts
            .iter()
            .filter(|account| account.door == door)
            .fold(0u32, |sum, account| sum.saturating_add(account.open));
        let Some(interval) = self.doors.get(door as usize).map(Door::interval) else {
            return;
        };
        let Some(account_state) = self.accounts.get_mut(account as usize) else {
            return;
        };
        let poller = account_state.policy.session.poller;
        let expected = poller.interval().max(interval.times(open.max(1)));
        let crowded = expected.times(3) > poller.deadline();
        if crowded && !account_state.crowded {
            out(Action::Crowded { account: AccountId(account), expected, deadline: poller.deadline() });
        }
        account_state.crowded = crowded;
    }

    fn bury(&mut self, key: Key) {
        let Some(live) = self.live_mut(key) else {
            return;
        };
        if !live.buried {
            live.buried = true;
            self.tombstones.push_back(key);
        }
        while self.tombstones.len() > self.policy.tombstones as usize {
            let Some(oldest) = self.tombstones.pop_front() else {
                return;
            };
            let Some(live) = self.live_mut(oldest) else {
                continue;
            };
            // It may have been reopened since.
            live.buried = false;
            if is_over(&live.session) {
                self.remove(oldest);
            }
        }
    }

    fn remove(&mut self, key: Key) {
        let Some(live) = self.slots.get_mut(key.index as usize).and_then(|slot| slot.live.take()) else {
            return;
        };
        let provider = self.provider(live.account);
        self.ids.remove(&IdKey::new(provider, &live.id));
        if let Some(alias) = &live.alias {
            self.ids.remove(&IdKey::new(provider, alias));
        }
        self.timers.set(key.index, None);
        self.free.push(key.index);
    }

    fn insert(
        &mut self,
        account: AccountId,
        id: &str,
        alias: Option<&str>,
        session: Session,
        version: u32,
    ) -> Result<Key, OpenError> {
        if id.is_empty() {
            return Err(OpenError::EmptyId);
        }
        if self.accounts.get(account.0 as usize).is_none() {
            return Err(OpenError::NoAccount);
        }
        let provider = self.provider(account.0);
        if let Some(key) = self.find(provider, id) {
            return Err(OpenError::Exists(key));
        }
        let live = Live {
            session,
            account: account.0,
            version,
            queued: [false; 3],
            buried: false,
            id: id.into(),
            alias: None,
        };
        let key = match self.free.pop() {
            Some(index) => {
                let slot = self.slots.get_mut(index as usize).ok_or(OpenError::Full)?;
                slot.generation = slot.generation.wrapping_add(1);
                slot.live = Some(live);
                Key { index, generation: slot.generation }
            }
            None if self.slots.len() >= self.policy.sessions as usize => return Err(OpenError::Full),
            None => {
                self.slots.push(Slot { generation: 0, live: Some(live) });
                Key { index: index(self.slots.len() - 1), generation: 0 }
            }
        };
        self.ids.insert(IdKey::new(provider, id), key.index);
        if let Some(alias) = alias {
            self.learn_alias(key, alias);
        }
        Ok(key)
    }

    fn provider(&self, account: u32) -> &'static str {
        self.accounts.get(account as usize).map_or("", |account| account.policy.provider)
    }

    fn live(&self, key: Key) -> Option<&Live> {
        let slot = self.slots.get(key.index as usize)?;
        slot.live.as_ref().filter(|_| slot.generation == key.generation)
    }

    fn live_mut(&mut self, key: Key) -> Option<&mut Live> {
        let slot = self.slots.get_mut(key.index as usize)?;
        slot.live.as_mut().filter(|_| slot.generation == key.generation)
    }
}

const fn is_open(session: &Session) -> bool {
    session.end().is_none() && !session.is_settled()
}

const fn is_over(session: &Session) -> bool {
    session.end().is_some() && session.awaiting_hand_over().is_none()
}

/// Places in the fleet's lists fit 32 bits: the policy bounds the sessions, and nobody adds four thousand million accounts.
fn index(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}
