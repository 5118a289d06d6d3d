//! A fleet whose calls can be recorded: where the engine makes all of them. When nobody records, a call costs one branch more.

use super::trace::{Entry, Input, Recording};
use super::{
    AccountId, AccountPolicy, Action, At, DoorId, DoorPolicy, Fleet, FleetPolicy, Key, OpenError, Routed,
    Stored, Wake,
};
use crate::evidence::{Callback, Fault, Outcome, Report};
use crate::machine::Disposition;
use crate::poller::Class;
use crate::time::Span;
use alloc::vec::Vec;
use core::ops::Deref;

/// A fleet, and where its calls are written down. Questions go to the fleet itself.
pub(crate) struct Recorder {
    fleet: Fleet,
    record: Option<Recording>,
}

impl Deref for Recorder {
    type Target = Fleet;

    fn deref(&self) -> &Fleet {
        &self.fleet
    }
}

/// Makes a call that asks for nothing, and records it.
macro_rules! call {
    ($self:ident, $method:ident($($argument:expr),*), $input:expr) => {
        match &mut $self.record {
            None => $self.fleet.$method($($argument),*),
            Some(record) => {
                let given = $self.fleet.$method($($argument),*);
                record.entry(Entry { input: $input, output: given.into(), actions: Vec::new() });
                given
            }
        }
    };
}

/// Makes a call that may ask for something, and records it.
macro_rules! step {
    ($self:ident, $out:ident, $method:ident($($argument:expr),*), $input:expr) => {
        match &mut $self.record {
            None => $self.fleet.$method($($argument,)* $out),
            Some(record) => {
                let mut actions = Vec::new();
                let given = $self.fleet.$method($($argument,)* &mut |action| {
                    actions.push(action);
                    $out(action);
                });
                record.entry(Entry { input: $input, output: given.into(), actions });
                given
            }
        }
    };
}

impl Recorder {
    pub(crate) fn new(policy: FleetPolicy, mut record: Option<Recording>) -> Self {
        if let Some(record) = &mut record {
            record.head(policy);
        }
        Self { fleet: Fleet::new(policy), record }
    }

    pub(crate) fn add_door(&mut self, policy: DoorPolicy) -> DoorId {
        call!(self, add_door(policy), Input::AddDoor { policy })
    }

    pub(crate) fn add_account(&mut self, door: DoorId, policy: AccountPolicy) -> AccountId {
        let AccountPolicy { provider, token, session } = policy;
        call!(
            self,
            add_account(door, policy),
            Input::AddAccount { door, provider: provider.into(), token, session }
        )
    }

    pub(crate) fn open(
        &mut self,
        at: At,
        account: AccountId,
        id: &str,
        created: Option<Report>,
        out: &mut impl FnMut(Action),
    ) -> Result<Key, OpenError> {
        step!(self, out, open(at, account, id, created), Input::Open { at, account, id: id.into(), created })
    }

    pub(crate) fn restore(
        &mut self,
        at: At,
        account: AccountId,
        stored: Stored<'_>,
        out: &mut impl FnMut(Action),
    ) -> Result<Key, OpenError> {
        step!(self, out, restore(at, account, stored), Input::Restore { at, account, stored: stored.into() })
    }

    pub(crate) fn replace(
        &mut self,
        at: At,
        key: Key,
        stored: Stored<'_>,
        out: &mut impl FnMut(Action),
    ) -> Disposition {
        step!(self, out, replace(at, key, stored), Input::Replace { at, key, stored: stored.into() })
    }

    pub(crate) fn pulled(
        &mut self,
        at: At,
        key: Key,
        op: u32,
        generation: u32,
        outcome: Outcome,
        out: &mut impl FnMut(Action),
    ) -> Disposition {
        step!(
            self,
            out,
            pulled(at, key, op, generation, outcome),
            Input::Pulled { at, key, op, generation, outcome }
        )
    }

    pub(crate) fn heed(
        &mut self,
        at: At,
        account: AccountId,
        generation: u32,
        outcome: Outcome,
        out: &mut impl FnMut(Action),
    ) {
        step!(
            self,
            out,
            heed(at, account, generation, outcome),
            Input::Heed { at, account, generation, outcome }
        );
    }

    pub(crate) fn token_received(
        &mut self,
        at: At,
        account: AccountId,
        op: u32,
        ttl: Option<Span>,
        out: &mut impl FnMut(Action),
    ) -> Disposition {
        step!(self, out, token_received(at, account, op, ttl), Input::TokenReceived { at, account, op, ttl })
    }

    pub(crate) fn token_failed(
        &mut self,
        at: At,
        account: AccountId,
        op: u32,
        fault: Fault,
        out: &mut impl FnMut(Action),
    ) -> Disposition {
        step!(self, out, token_failed(at, account, op, fault), Input::TokenFailed { at, account, op, fault })
    }

    pub(crate) fn token_refused(
        &mut self,
        at: At,
        account: AccountId,
        op: u32,
        out: &mut impl FnMut(Action),
    ) -> Disposition {
        step!(self, out, token_refused(at, account, op), Input::TokenRefused { at, account, op })
    }

    pub(crate) fn credentials_replaced(
        &mut self,
        at: At,
        account: AccountId,
        out: &mut impl FnMut(Action),
    ) -> Disposition {
        step!(self, out, credentials_replaced(at, account), Input::CredentialsReplaced { at, account })
    }

    pub(crate) fn callback(
        &mut self,
        at: At,
        provider: &'static str,
        id: &str,
        callback: Callback,
        bytes: u32,
        out: &mut impl FnMut(Action),
    ) -> Routed {
        step!(
            self,
            out,
            callback(at, provider, id, callback, bytes),
            Input::Callback { at, provider: provider.into(), id: id.into(), callback, bytes }
        )
    }

    pub(crate) fn handed_over(
        &mut self,
        at: At,
        key: Key,
        revision: u32,
        out: &mut impl FnMut(Action),
    ) -> Disposition {
        step!(self, out, handed_over(at, key, revision), Input::HandedOver { at, key, revision })
    }

    pub(crate) fn dead_lettered(
        &mut self,
        at: At,
        key: Key,
        revision: u32,
        out: &mut impl FnMut(Action),
    ) -> Disposition {
        step!(self, out, dead_lettered(at, key, revision), Input::DeadLettered { at, key, revision })
    }

    pub(crate) fn hint(
        &mut self,
        at: At,
        key: Key,
        class: Class,
        out: &mut impl FnMut(Action),
    ) -> Disposition {
        step!(self, out, hint(at, key, class), Input::Hint { at, key, class })
    }

    pub(crate) fn cancel(&mut self, at: At, key: Key, out: &mut impl FnMut(Action)) -> Disposition {
        step!(self, out, cancel(at, key), Input::Cancel { at, key })
    }

    pub(crate) fn listening_had_a_gap(&mut self) {
        call!(self, listening_had_a_gap(), Input::ListeningHadAGap)
    }

    pub(crate) fn take(&mut self, at: At, door: DoorId) -> Result<(), Wake> {
        call!(self, take(at, door), Input::Take { at, door })
    }

    pub(crate) fn learn_alias(
        &mut self,
        at: At,
        key: Key,
        alias: &str,
        out: &mut impl FnMut(Action),
    ) -> Disposition {
        step!(self, out, learn_alias(at, key, alias), Input::LearnAlias { at, key, alias: alias.into() })
    }

    pub(crate) fn hold(&mut self, key: Key) {
        call!(self, hold(key), Input::Hold { key })
    }

    pub(crate) fn release(&mut self, key: Key) {
        call!(self, release(key), Input::Release { key })
    }

    pub(crate) fn forget(&mut self, key: Key) -> Disposition {
        call!(self, forget(key), Input::Forget { key })
    }

    pub(crate) fn run(&mut self, at: At, work: u32, out: &mut impl FnMut(Action)) -> Wake {
        step!(self, out, run(at, work), Input::Run { at, work })
    }
}
