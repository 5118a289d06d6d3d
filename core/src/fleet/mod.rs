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
//! longest wait goes first; audits go last, though one has its turn after fifteen other grants; a token request goes before the pulls,
//! since others wait for it, but never twice in a row while a pull could be sent (R13).
//!
//! What a door knows (its budget, and how long a 429 closes it) is not stored: a process that starts anew finds its doors open. What a
//! restart costs is bounded (G7): a window in which processes died one after the other holds at most the budget's calls and one burst more
//! for each death; and a door that the provider still keeps closed is called, within the budget, until the new process has its first 429
//! from it, and from that answer on it is closed as before.
//!
//! The fleet is not a [`Machine`]: its output is unbounded, so it takes a sink, and [`Fleet::run`] takes a bound on its work and answers
//! [`Wake::More`] when there is more. It performs nothing itself. Actions of one session reach the sink in order, and
//! [`Action::Save`] before the actions that must wait for it (G9).

mod account;
mod grants;
mod interface;
mod queries;
pub(crate) mod recorder;
mod sessions;
mod timers;
pub mod trace;
mod unknown;

pub use account::{AccountPolicy, DoorPolicy};
pub use interface::{AccountId, Action, At, DoorId, FleetPolicy, Key, OpenError, Routed, Stored, Wake};
pub use unknown::UnknownPolicy;

use crate::evidence::{Callback, Fault, FaultKind, Outcome, Report};
use crate::machine::{Cx, Disposition, Machine, Next};
use crate::poller::Class;
use crate::session::{self, Session};
use crate::time::{Instant, Span};
use crate::token;
use account::{Account, Door};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use sessions::{Live, Sessions};
use sha2::{Digest, Sha256};
use timers::Timers;
use unknown::Unknown;

/// An id as the fleet compares it: the first 128 bits of the SHA-256 of provider and id, so that long ids cost no more than short ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
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

/// The most sessions that one callback is a hint to, when they share the id it names.
pub const MOST_SHARING: usize = 16;

/// Many sessions. See the module's text.
///
/// A value like every machine: a copy that is told the same does the same and stays equal (G8). Two fleets may behave alike and not be
/// equal, since what they went through before shows in their order of timers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Fleet {
    policy: FleetPolicy,
    doors: Vec<Door>,
    accounts: Vec<Account>,
    sessions: Sessions,
    timers: Timers,
    unknown: BTreeMap<&'static str, Unknown>,
    /// Numbers the askings, so that the longest wait is known across accounts.
    asked: u64,
    /// Which slot the spreading of a gap in listening reached (R9).
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
            sessions: Sessions::new(),
            timers: Timers::new(),
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
        let key = self.insert(account, id, session, 0)?;
        self.count_open(account.0, 1, out);
        if let Some(report) = created {
            self.step(at, key, session::Input::Created(report), out);
        }
        self.step(at, key, session::Input::Tick, out);
        let provider = self.provider(account.0);
        self.take_unknown(at, key, provider, IdKey::new(provider, id), out);
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
        let key = self.insert(account, id, session, version)?;
        if let Some(alias) = alias {
            self.add_alias(key, alias);
        }
        if self.sessions.get(key).is_some_and(Live::is_open) {
            self.count_open(account.0, 1, out);
        }
        self.step(at, key, session::Input::Restored, out);
        Ok(key)
    }

    /// Puts the stored state of a verification in the place of the session that was just opened for it, whose key stays: the store knew it
    /// already, and its numbers go on (R8). If it had ended it begins anew, and it is looked at in any case. Nothing that the session asked for
    /// before is awaited any more.
    pub fn replace(
        &mut self,
        at: At,
        key: Key,
        stored: Stored<'_>,
        out: &mut impl FnMut(Action),
    ) -> Disposition {
        let Some(live) = self.sessions.get_mut(key) else {
            return Disposition::Stale;
        };
        let (account, was_open) = (live.account, live.is_open());
        live.session = stored.session;
        live.version = stored.version;
        let is_open = live.is_open();
        if let Some((class, since)) = live.place.take()
            && let Some(account) = self.accounts.get_mut(account as usize)
        {
            account.dequeue(class, since);
        }
        self.count_open(account, i32::from(is_open) - i32::from(was_open), out);
        if let Some(alias) = stored.alias {
            self.add_alias(key, alias);
        }
        self.step(at, key, session::Input::Restored, out);
        self.step(at, key, session::Input::OpenedAgain, out)
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
        let Some(account) = self.sessions.get(key).map(|live| AccountId(live.account)) else {
            return Disposition::Stale;
        };
        self.heed(at, account, generation, outcome, out);
        self.step(at, key, session::Input::Pulled { op, outcome }, out)
    }

    /// What the outcome of a pull says to everybody: that the provider's door is closed (R13), or that the token `generation` is not taken any
    /// more (R14). [`Fleet::pulled`] does it; alone it is for a pull whose session was forgotten meanwhile.
    pub fn heed(
        &mut self,
        at: At,
        account: AccountId,
        generation: u32,
        outcome: Outcome,
        out: &mut impl FnMut(Action),
    ) {
        match outcome {
            Outcome::Report(_) | Outcome::NotReady(_) => {}
            // The token is not used again, so the session's one further try carries a newer one (R14).
            Outcome::Refused => {
                self.step_token(at, account.0, token::Input::Rejected { generation }, out);
            }
            Outcome::Failed(fault) => self.close_door(at, account.0, fault),
        }
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

    /// A callback named the verification `id` of this provider, or the alias that up to [`MOST_SHARING`] verifications share, with a body of `bytes`.
    pub fn callback(
        &mut self,
        at: At,
        provider: &'static str,
        id: &str,
        callback: Callback,
        bytes: u32,
        out: &mut impl FnMut(Action),
    ) -> Routed {
        let mut named = [None; MOST_SHARING];
        for (place, key) in named.iter_mut().zip(self.sessions.find(IdKey::new(provider, id))) {
            *place = Some(key);
        }
        for key in named.into_iter().flatten() {
            self.step(at, key, session::Input::Callback(callback), out);
        }
        if let [Some(key), ..] = named {
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

    /// From now on this session is permitted no pull, until it is released: what it knows is not saved yet. A permission that waited for the
    /// store would be a call counted at one moment and sent at another, and many that wait together would go beyond the limit (G7).
    pub fn hold(&mut self, key: Key) {
        self.set_held(key, true);
    }

    /// The session is saved, and is permitted pulls again; it stands where it would stand had it not been held.
    pub fn release(&mut self, key: Key) {
        self.set_held(key, false);
    }

    fn set_held(&mut self, key: Key, held: bool) {
        let Some(live) = self.sessions.get_mut(key) else { return };
        if core::mem::replace(&mut live.is_held, held) == held {
            return;
        }
        if let Some((class, since)) = live.place
            && let Some(account) = self.accounts.get_mut(live.account as usize)
        {
            if held {
                account.dequeue(class, since);
            } else {
                account.enqueue(class, since, key);
            }
        }
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

    /// The token that a pull of this account may carry now: the number of the request that brought it, zero where none is needed.
    #[must_use]
    pub fn usable_token(&self, at: At, account: AccountId) -> Option<u32> {
        self.accounts.get(account.0 as usize)?.usable(at.now)
    }

    /// Another id of the same verification (ShareID: `applicant_id` where the session was opened by `flow_id`); callbacks match either,
    /// those that came before too. One alias at most; several sessions may share it, for it may
    /// name the person.
    pub fn learn_alias(
        &mut self,
        at: At,
        key: Key,
        alias: &str,
        out: &mut impl FnMut(Action),
    ) -> Disposition {
        let disposition = self.add_alias(key, alias);
        if disposition == Disposition::Applied
            && let Some(live) = self.sessions.get_mut(key)
        {
            live.version = live.version.saturating_add(1);
            out(Action::Save { key, version: live.version });
            let provider =
                self.accounts.get(live.account as usize).map_or("", |account| account.policy.provider);
            self.take_unknown(at, key, provider, IdKey::new(provider, alias), out);
        }
        disposition
    }

    fn add_alias(&mut self, key: Key, alias: &str) -> Disposition {
        let Some(live) = self.sessions.get(key) else {
            return Disposition::Stale;
        };
        if &*live.id == alias || live.alias.as_deref() == Some(alias) || alias.is_empty() {
            return Disposition::NoOp;
        }
        let id = IdKey::new(self.provider(live.account), alias);
        if live.alias.is_some() {
            return Disposition::Illegal;
        }
        self.sessions.add_alias(id, key);
        if let Some(live) = self.sessions.get_mut(key) {
            live.alias = Some(alias.into());
        }
        Disposition::Applied
    }

    /// Removes a session that has ended and awaits no hand-over. Its id can be opened anew, with revision numbers from 1.
    pub fn forget(&mut self, key: Key) -> Disposition {
        match self.sessions.get(key).map(Live::is_over) {
            None => Disposition::Stale,
            Some(false) => Disposition::Illegal,
            Some(true) => {
                self.remove(key);
                Disposition::Applied
            }
        }
    }

    /// Rewrites every moment that it holds, to move it to another clock, as [`Machine::map_times`] does.
    pub fn map_times(&mut self, mut f: impl FnMut(Instant) -> Instant) {
        for door in &mut self.doors {
            door.map_times(&mut f);
        }
        for account in &mut self.accounts {
            account.token.map_times(&mut f);
        }
        self.sessions.map_times(&mut f);
        self.timers.map_times(&mut f);
        for ring in self.unknown.values_mut() {
            ring.map_times(&mut f);
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
        let entropy = at.draw(account.wrapping_add(0x5eed_0000));
        let step = target.token.step(Cx::new(at.now, &target.policy.token, entropy), input);
        for action in step.actions {
            match action {
                token::Action::Request { op, within } => {
                    out(Action::RequestToken { account: AccountId(account), op, within });
                }
                // Said once: whoever waits ends before a token is wished for again.
                token::Action::Refused => out(Action::CredentialsRefused { account: AccountId(account) }),
                // The queues look at the token itself.
                token::Action::Ask | token::Action::Ready { .. } => {}
            }
        }
        step.disposition
    }

    fn step(&mut self, at: At, key: Key, input: session::Input, out: &mut impl FnMut(Action)) -> Disposition {
        let Some(live) = self.sessions.get_mut(key) else {
            return Disposition::Stale;
        };
        let index = live.account;
        let Some(account) = self.accounts.get_mut(index as usize) else {
            return Disposition::Illegal;
        };
        let (before, was_open) = (live.session, live.is_open());
        let step = live.session.step(Cx::new(at.now, &account.policy.session, at.draw(key.index)), input);
        let wanted = live.session.wants();
        if live.place.map(|(class, _)| class) != wanted {
            // Who asks in another class keeps the place of the first asking.
            let since = match live.place {
                Some((class, since)) => {
                    if !live.is_held {
                        account.dequeue(class, since);
                    }
                    since
                }
                None => {
                    self.asked += 1;
                    self.asked
                }
            };
            live.place = wanted.map(|class| (class, since));
            if let Some(class) = wanted
                && !live.is_held
            {
                account.enqueue(class, since, key);
            }
        }
        let due = match step.next {
            Next::At(due) => Some(due),
            Next::Input | Next::Over => None,
        };
        self.timers.set(key.index, due);
        // The first save makes the session itself known to the store.
        let save = live.version == 0 || !live.session.same_knowledge(&before);
        if save {
            live.version = live.version.saturating_add(1);
        }
        let (version, is_open) = (live.version, live.is_open());
        for action in step.actions {
            if let session::Action::Keep { content } = action {
                out(Action::Keep { key, content });
            }
        }
        if save {
            out(Action::Save { key, version });
        }
        for action in step.actions {
            match action {
                // The queues and the store have been told.
                session::Action::Ask { .. } | session::Action::Keep { .. } => {}
                session::Action::Pull { op, within } => {
                    let generation = self.take_token(at, index, out);
                    out(Action::Pull { key, op, account: AccountId(index), generation, within });
                }
                session::Action::HandOver(revision) => out(Action::HandOver { key, revision }),
                session::Action::Ended { end, unconfirmed } => out(Action::Ended { key, end, unconfirmed }),
            }
        }
        match (was_open, is_open) {
            (true, false) => self.count_open(index, -1, out),
            (false, true) => self.count_open(index, 1, out),
            (true, true) | (false, false) => {}
        }
        self.sessions.bury_or_raise(key);
        while let Some(oldest) = self.sessions.supernumerary(self.policy.tombstones) {
            self.remove(oldest);
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

    fn remove(&mut self, key: Key) {
        if let Some(provider) = self.sessions.get(key).map(|live| self.provider(live.account)) {
            self.sessions.remove(key, provider);
            self.timers.set(key.index, None);
        }
    }

    fn insert(
        &mut self,
        account: AccountId,
        id: &str,
        session: Session,
        version: u32,
    ) -> Result<Key, OpenError> {
        if self.accounts.get(account.0 as usize).is_none() {
            return Err(OpenError::NoAccount);
        }
        if id.is_empty() {
            return Err(OpenError::EmptyId);
        }
        let provider = self.provider(account.0);
        if let Some(key) = self.sessions.opened_with(IdKey::new(provider, id)) {
            return Err(OpenError::Exists(key));
        }
        let live = Live::new(session, account.0, id, version);
        self.sessions.insert(IdKey::new(provider, id), live, self.policy.sessions).ok_or(OpenError::Full)
    }

    /// Takes in what is kept of callbacks for this id, now that it leads to a session (R15).
    fn take_unknown(&mut self, at: At, key: Key, provider: &str, id: IdKey, out: &mut impl FnMut(Action)) {
        if let Some(hint) = self.unknown.get_mut(provider).and_then(|ring| ring.take(id)) {
            self.step(at, key, session::Input::Callback(hint), out);
        }
    }

    fn provider(&self, account: u32) -> &'static str {
        self.accounts.get(account as usize).map_or("", |account| account.policy.provider)
    }
}

/// Places in the fleet's lists fit 32 bits: the policy bounds the sessions, and nobody adds four thousand million accounts.
fn index(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}
