//! What went into a fleet and what came out, as plain data: to be written down, and to be done again (G8).
//!
//! A fleet is fed by calls. [`Input`] names each of them with its arguments, [`Replay::apply`] makes the call that it names, and an
//! [`Entry`] is an input with all that came of it. Inputs hold times, entropy, outcomes and digests: no body, no token, no secret. They hold
//! ids, which may be personal data, and digests of contents, which may be guessed where few contents are possible. A fleet asks of both
//! only whether one equals another, and of an id whether it is empty, so [`Redaction`] can put others in their place, and the trace
//! replays all the same.
//!
//! The text form is one JSON object a line: a [`Head`], then the entries in their order. [`Replay`] compares.

use super::{AccountId, AccountPolicy, Action, At, DoorId, DoorPolicy, Fleet, FleetPolicy, Key, OpenError};
use super::{Routed, Stored, Wake};
use crate::evidence::{Callback, ContentDigest, Fault, Outcome, Report};
use crate::machine::Disposition;
use crate::poller::Class;
use crate::session::{self, Session};
use crate::time::Span;
use crate::token;
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

mod text;

pub use text::{Head, Recording, Redaction, Unreadable};

/// One call of a fleet, with its arguments. The methods of [`Fleet`] of the same names say what each does.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are the arguments of the method that the variant names")]
pub enum Input<'a> {
    /// [`Fleet::add_door`].
    AddDoor { policy: DoorPolicy },
    /// [`Fleet::add_account`].
    AddAccount { door: DoorId, provider: Cow<'a, str>, token: token::Policy, session: session::Policy },
    /// [`Fleet::open`].
    Open { at: At, account: AccountId, id: Cow<'a, str>, created: Option<Report> },
    /// [`Fleet::restore`].
    Restore { at: At, account: AccountId, stored: Known<'a> },
    /// [`Fleet::replace`].
    Replace { at: At, key: Key, stored: Known<'a> },
    /// [`Fleet::pulled`].
    Pulled { at: At, key: Key, op: u32, generation: u32, outcome: Outcome },
    /// [`Fleet::heed`].
    Heed { at: At, account: AccountId, generation: u32, outcome: Outcome },
    /// [`Fleet::token_received`].
    TokenReceived { at: At, account: AccountId, op: u32, ttl: Option<Span> },
    /// [`Fleet::token_failed`].
    TokenFailed { at: At, account: AccountId, op: u32, fault: Fault },
    /// [`Fleet::token_refused`].
    TokenRefused { at: At, account: AccountId, op: u32 },
    /// [`Fleet::credentials_replaced`].
    CredentialsReplaced { at: At, account: AccountId },
    /// [`Fleet::callback`].
    Callback { at: At, provider: Cow<'a, str>, id: Cow<'a, str>, callback: Callback, bytes: u32 },
    /// [`Fleet::handed_over`].
    HandedOver { at: At, key: Key, revision: u32 },
    /// [`Fleet::dead_lettered`].
    DeadLettered { at: At, key: Key, revision: u32 },
    /// [`Fleet::hint`].
    Hint { at: At, key: Key, class: Class },
    /// [`Fleet::cancel`].
    Cancel { at: At, key: Key },
    /// [`Fleet::listening_had_a_gap`].
    ListeningHadAGap,
    /// [`Fleet::take`].
    Take { at: At, door: DoorId },
    /// [`Fleet::learn_alias`].
    LearnAlias { at: At, key: Key, alias: Cow<'a, str> },
    /// [`Fleet::hold`].
    Hold { key: Key },
    /// [`Fleet::release`].
    Release { key: Key },
    /// [`Fleet::forget`].
    Forget { key: Key },
    /// [`Fleet::run`].
    Run { at: At, work: u32 },
}

/// A session as a store gave it back: [`Stored`], with ids that may be owned.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Known<'a> {
    /// The id it was opened with.
    pub id: Cow<'a, str>,
    /// Its other id, if one was known.
    pub alias: Option<Cow<'a, str>>,
    /// The session, on the clock of the process that restored it.
    pub session: Session,
    /// The version of its last save.
    pub version: u32,
}

impl Known<'_> {
    fn stored(&self) -> Stored<'_> {
        let Self { id, alias, session, version } = self;
        Stored { id, alias: alias.as_deref(), session: *session, version: *version }
    }
}

impl<'a> From<Stored<'a>> for Known<'a> {
    fn from(Stored { id, alias, session, version }: Stored<'a>) -> Self {
        Self { id: id.into(), alias: alias.map(Into::into), session, version }
    }
}

/// What a call gave back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// Nothing: the call gives nothing back.
    Nothing,
    /// The door that was added.
    Door(DoorId),
    /// The account that was added.
    Account(AccountId),
    /// The session that was opened or restored.
    Opened(Key),
    /// The session could not be opened or restored.
    NotOpened(OpenError),
    /// What became of the input.
    Disposition(Disposition),
    /// Where a callback went.
    Routed(Routed),
    /// One call of the budget was taken.
    Taken,
    /// None could be taken: when to ask again.
    NotTaken(Wake),
    /// When to run again.
    Wake(Wake),
}

impl From<()> for Output {
    fn from((): ()) -> Self {
        Self::Nothing
    }
}

impl From<DoorId> for Output {
    fn from(door: DoorId) -> Self {
        Self::Door(door)
    }
}

impl From<AccountId> for Output {
    fn from(account: AccountId) -> Self {
        Self::Account(account)
    }
}

impl From<Result<Key, OpenError>> for Output {
    fn from(opened: Result<Key, OpenError>) -> Self {
        opened.map_or_else(Self::NotOpened, Self::Opened)
    }
}

impl From<Disposition> for Output {
    fn from(disposition: Disposition) -> Self {
        Self::Disposition(disposition)
    }
}

impl From<Routed> for Output {
    fn from(routed: Routed) -> Self {
        Self::Routed(routed)
    }
}

impl From<Result<(), Wake>> for Output {
    fn from(taken: Result<(), Wake>) -> Self {
        taken.map_or_else(Self::NotTaken, |()| Self::Taken)
    }
}

impl From<Wake> for Output {
    fn from(wake: Wake) -> Self {
        Self::Wake(wake)
    }
}

impl<'a> Input<'a> {
    /// When it came; `None` for the calls that take no time.
    #[must_use]
    pub const fn at(&self) -> Option<At> {
        match self {
            Self::Open { at, .. }
            | Self::Restore { at, .. }
            | Self::Replace { at, .. }
            | Self::Pulled { at, .. }
            | Self::Heed { at, .. }
            | Self::TokenReceived { at, .. }
            | Self::TokenFailed { at, .. }
            | Self::TokenRefused { at, .. }
            | Self::CredentialsReplaced { at, .. }
            | Self::Callback { at, .. }
            | Self::HandedOver { at, .. }
            | Self::DeadLettered { at, .. }
            | Self::Hint { at, .. }
            | Self::Cancel { at, .. }
            | Self::Take { at, .. }
            | Self::LearnAlias { at, .. }
            | Self::Run { at, .. } => Some(*at),
            Self::AddDoor { .. }
            | Self::AddAccount { .. }
            | Self::ListeningHadAGap
            | Self::Hold { .. }
            | Self::Release { .. }
            | Self::Forget { .. } => None,
        }
    }

    /// The ids in it.
    fn ids(&mut self) -> impl Iterator<Item = &mut Cow<'a, str>> {
        let ids = match self {
            Self::Open { id, .. } | Self::Callback { id, .. } => [Some(id), None],
            Self::Restore { stored: Known { id, alias, .. }, .. }
            | Self::Replace { stored: Known { id, alias, .. }, .. } => [Some(id), alias.as_mut()],
            Self::LearnAlias { alias, .. } => [Some(alias), None],
            Self::AddDoor { .. }
            | Self::AddAccount { .. }
            | Self::Pulled { .. }
            | Self::Heed { .. }
            | Self::TokenReceived { .. }
            | Self::TokenFailed { .. }
            | Self::TokenRefused { .. }
            | Self::CredentialsReplaced { .. }
            | Self::HandedOver { .. }
            | Self::DeadLettered { .. }
            | Self::Hint { .. }
            | Self::Cancel { .. }
            | Self::ListeningHadAGap
            | Self::Take { .. }
            | Self::Hold { .. }
            | Self::Release { .. }
            | Self::Forget { .. }
            | Self::Run { .. } => [None, None],
        };
        ids.into_iter().flatten()
    }

    /// Puts others in the place of the digests of contents in it.
    fn map_contents(&mut self, mut f: impl FnMut(ContentDigest) -> ContentDigest) {
        match self {
            Self::Open { created: Some(report), .. }
            | Self::Pulled { outcome: Outcome::Report(report), .. }
            | Self::Heed { outcome: Outcome::Report(report), .. }
            | Self::Callback { callback: Callback::Signed(report), .. } => report.content = f(report.content),
            Self::Restore { stored, .. } | Self::Replace { stored, .. } => stored.session.map_contents(f),
            Self::Open { created: None, .. }
            | Self::Pulled { .. }
            | Self::Heed { .. }
            | Self::Callback { .. }
            | Self::AddDoor { .. }
            | Self::AddAccount { .. }
            | Self::TokenReceived { .. }
            | Self::TokenFailed { .. }
            | Self::TokenRefused { .. }
            | Self::CredentialsReplaced { .. }
            | Self::HandedOver { .. }
            | Self::DeadLettered { .. }
            | Self::Hint { .. }
            | Self::Cancel { .. }
            | Self::ListeningHadAGap
            | Self::Take { .. }
            | Self::LearnAlias { .. }
            | Self::Hold { .. }
            | Self::Release { .. }
            | Self::Forget { .. }
            | Self::Run { .. } => {}
        }
    }
}

/// A call, and all that came of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry<'a> {
    /// The call.
    pub input: Input<'a>,
    /// What it gave back.
    pub output: Output,
    /// What it asked for, in order.
    pub actions: Vec<Action>,
}

impl Entry<'_> {
    /// Puts others in the place of the digests of contents in it.
    fn map_contents(&mut self, mut f: impl FnMut(ContentDigest) -> ContentDigest) {
        for action in &mut self.actions {
            match action {
                Action::Keep { content, .. } => *content = f(*content),
                Action::HandOver { revision, .. } => revision.content = f(revision.content),
                Action::Save { .. }
                | Action::RequestToken { .. }
                | Action::Pull { .. }
                | Action::Ended { .. }
                | Action::CredentialsRefused { .. }
                | Action::Crowded { .. } => {}
            }
        }
        self.input.map_contents(f);
    }

    /// Reads one line back.
    ///
    /// # Errors
    /// It is not an entry of this version; says in which column, and what was expected.
    pub fn read(line: &str) -> Result<Entry<'static>, Unreadable> {
        Ok(serde_json::from_str(line)?)
    }
}

/// Does again what a trace says was done, and compares.
#[derive(Clone, Debug)]
pub struct Replay {
    fleet: Fleet,
    providers: Vec<&'static str>,
}

impl Replay {
    /// A fleet as it was when the trace of this head began. `providers` are the names of those that may be in it.
    #[must_use]
    pub fn new(head: &Head, providers: &[&'static str]) -> Self {
        Self::of(head.fleet(), providers)
    }

    /// An empty fleet with these bounds.
    #[must_use]
    pub fn of(policy: FleetPolicy, providers: &[&'static str]) -> Self {
        Self { fleet: Fleet::new(policy), providers: providers.into() }
    }

    /// The fleet as it stands.
    #[must_use]
    pub const fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Makes the call that an input names.
    ///
    /// # Errors
    /// It names a provider that is not known.
    pub fn apply(
        &mut self,
        input: &Input<'_>,
        out: &mut impl FnMut(Action),
    ) -> Result<Output, UnknownProvider> {
        let provider = |name: &str| {
            let known = self.providers.iter().copied().find(|known| *known == name);
            known.ok_or_else(|| UnknownProvider(name.into()))
        };
        let fleet = &mut self.fleet;
        Ok(match *input {
            Input::AddDoor { policy } => fleet.add_door(policy).into(),
            Input::AddAccount { door, provider: ref name, token, session } => {
                fleet.add_account(door, AccountPolicy { provider: provider(name)?, token, session }).into()
            }
            Input::Open { at, account, ref id, created } => fleet.open(at, account, id, created, out).into(),
            Input::Restore { at, account, ref stored } => {
                fleet.restore(at, account, stored.stored(), out).into()
            }
            Input::Replace { at, key, ref stored } => fleet.replace(at, key, stored.stored(), out).into(),
            Input::Pulled { at, key, op, generation, outcome } => {
                fleet.pulled(at, key, op, generation, outcome, out).into()
            }
            Input::Heed { at, account, generation, outcome } => {
                fleet.heed(at, account, generation, outcome, out);
                Output::Nothing
            }
            Input::TokenReceived { at, account, op, ttl } => {
                fleet.token_received(at, account, op, ttl, out).into()
            }
            Input::TokenFailed { at, account, op, fault } => {
                fleet.token_failed(at, account, op, fault, out).into()
            }
            Input::TokenRefused { at, account, op } => fleet.token_refused(at, account, op, out).into(),
            Input::CredentialsReplaced { at, account } => fleet.credentials_replaced(at, account, out).into(),
            Input::Callback { at, provider: ref name, ref id, callback, bytes } => {
                fleet.callback(at, provider(name)?, id, callback, bytes, out).into()
            }
            Input::HandedOver { at, key, revision } => fleet.handed_over(at, key, revision, out).into(),
            Input::DeadLettered { at, key, revision } => fleet.dead_lettered(at, key, revision, out).into(),
            Input::Hint { at, key, class } => fleet.hint(at, key, class, out).into(),
            Input::Cancel { at, key } => fleet.cancel(at, key, out).into(),
            Input::ListeningHadAGap => {
                fleet.listening_had_a_gap();
                Output::Nothing
            }
            Input::Take { at, door } => fleet.take(at, door).into(),
            Input::LearnAlias { at, key, ref alias } => fleet.learn_alias(at, key, alias, out).into(),
            Input::Hold { key } => {
                fleet.hold(key);
                Output::Nothing
            }
            Input::Release { key } => {
                fleet.release(key);
                Output::Nothing
            }
            Input::Forget { key } => fleet.forget(key).into(),
            Input::Run { at, work } => fleet.run(at, work, out).into(),
        })
    }

    /// Does one entry again. `None`: everything came out as it is written there; otherwise, what came out now.
    ///
    /// # Errors
    /// It names a provider that is not known.
    pub fn step(&mut self, entry: &Entry<'_>) -> Result<Option<(Output, Vec<Action>)>, UnknownProvider> {
        let mut actions = Vec::new();
        let output = self.apply(&entry.input, &mut |action| actions.push(action))?;
        let same = output == entry.output && actions == entry.actions;
        Ok((!same).then_some((output, actions)))
    }
}

/// A trace names a provider that is not known here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownProvider(String);

impl fmt::Display for UnknownProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the provider `{}` is not known to this release: replay it with one that knows it", self.0)
    }
}

impl core::error::Error for UnknownProvider {}
