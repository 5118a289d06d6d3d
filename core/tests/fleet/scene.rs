//! Accounts and doors to test with, and what is looked for among the actions.

use crate::world::{Event, TokenAnswer, World};
use idv_core::budget;
use idv_core::evidence::{Callback, ContentDigest, Fault, FaultKind, NotReady, Outcome, Report, Verdict};
use idv_core::fleet::{AccountId, AccountPolicy, Action, DoorId, DoorPolicy, FleetPolicy, Key};
use idv_core::poller;
use idv_core::session::{self, End};
use idv_core::time::Span;
use idv_core::token;

pub(crate) const NOT_READY: Outcome = Outcome::NotReady(NotReady::Documented);

pub(crate) fn verdict(verdict: Verdict, content: u64) -> Outcome {
    Outcome::Report(Report { verdict: Some(verdict), content: ContentDigest(content) })
}

pub(crate) fn fault(kind: FaultKind, retry_after: Option<Span>) -> Outcome {
    Outcome::Failed(Fault { kind, retry_after })
}

pub(crate) fn terms(provider: &'static str, token: token::Policy) -> AccountPolicy {
    let poller =
        poller::Policy::builder(Span::secs(5), Span::mins(30)).interval(Span::secs(20)).build().unwrap();
    AccountPolicy { provider, token, session: session::Policy::confirm_by_pull(poller) }
}

pub(crate) fn basic(provider: &'static str) -> AccountPolicy {
    terms(provider, token::Policy::not_needed())
}

/// One call a second, back to back at most `burst`.
pub(crate) fn a_call_a_second(burst: u32) -> DoorPolicy {
    DoorPolicy::new(budget::Policy::per_window(60 + burst, Span::mins(1), burst).unwrap())
}

/// Two accounts behind one door, with one call a second.
pub(crate) fn two_accounts() -> (World, [AccountId; 2]) {
    let mut world = World::new(FleetPolicy::default());
    let door = world.door(a_call_a_second(1));
    let accounts = [world.account(door, basic("shufti")), world.account(door, basic("shareid"))];
    (world, accounts)
}

pub(crate) fn one_account(door: DoorPolicy, account: AccountPolicy) -> (World, DoorId, AccountId) {
    let mut world = World::new(FleetPolicy::default());
    let door = world.door(door);
    let account = world.account(door, account);
    (world, door, account)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pull {
    pub(crate) key: Key,
    pub(crate) op: u32,
    pub(crate) generation: u32,
}

pub(crate) fn pulls(actions: &[Action]) -> Vec<Pull> {
    let pull = |action: &Action| match *action {
        Action::Pull { key, op, generation, .. } => Some(Pull { key, op, generation }),
        _ => None,
    };
    actions.iter().filter_map(pull).collect()
}

pub(crate) fn keys(actions: &[Action]) -> Vec<Key> {
    pulls(actions).iter().map(|pull| pull.key).collect()
}

pub(crate) fn requests(actions: &[Action]) -> Vec<u32> {
    let request = |action: &Action| match *action {
        Action::RequestToken { op, .. } => Some(op),
        _ => None,
    };
    actions.iter().filter_map(request).collect()
}

pub(crate) fn handed(actions: &[Action]) -> Vec<(Key, u32, Verdict)> {
    let handed = |action: &Action| match *action {
        Action::HandOver { key, revision } => Some((key, revision.number, revision.verdict)),
        _ => None,
    };
    actions.iter().filter_map(handed).collect()
}

pub(crate) fn ended(actions: &[Action]) -> Vec<(Key, End)> {
    let ended = |action: &Action| match *action {
        Action::Ended { key, end, .. } => Some((key, end)),
        _ => None,
    };
    actions.iter().filter_map(ended).collect()
}

impl World {
    pub(crate) fn answer(&mut self, pull: Pull, outcome: Outcome) -> Vec<Action> {
        let Pull { key, op, generation } = pull;
        self.feed(Event::Pulled { key, op, generation, outcome })
    }

    /// Opens it, and answers its first pull with a verdict that the application takes.
    pub(crate) fn settled(&mut self, account: AccountId, id: &str) -> Key {
        let key = self.open(account, id);
        let pull = loop {
            let done = self.pass(Span::secs(1));
            match pulls(&done)[..] {
                [pull] => break pull,
                ref other => assert!(other.is_empty(), "{other:?}"),
            }
        };
        self.answer(pull, verdict(Verdict::Accepted, 1));
        self.feed(Event::HandedOver { key, revision: 1 });
        assert!(self.fleet.session(key).unwrap().is_settled());
        key
    }

    pub(crate) fn callback(
        &mut self,
        provider: &'static str,
        id: &'static str,
        callback: Callback,
    ) -> Vec<Action> {
        self.feed(Event::Callback { provider, id, callback })
    }

    /// Lets so much time pass; every pull is answered with this after a second.
    pub(crate) fn pass_answering(&mut self, span: Span, outcome: impl Fn(&str) -> Outcome) {
        let end = self.now.after(span);
        self.go(end, None, |world, action| match action {
            Action::Pull { key, op, generation, .. } => {
                let outcome = outcome(world.fleet.id(key).unwrap());
                Some((world.now.after(Span::secs(1)), Event::Pulled { key, op, generation, outcome }))
            }
            Action::RequestToken { account, op, .. } => {
                let answer = TokenAnswer::Received(None);
                Some((world.now.after(Span::secs(1)), Event::Token { account, op, answer }))
            }
            Action::HandOver { key, revision } => {
                Some((world.now.after(Span::secs(1)), Event::HandedOver { key, revision: revision.number }))
            }
            _ => None,
        });
    }
}
