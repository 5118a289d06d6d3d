//! The providers' side of callbacks, made of the core's delivery machine, and whoever else posts.

use crate::provider::SECRET;
use crate::story::{Kind, Says, Turn, callback_body};
use idv_core::delivery::{self, Action, Delivery};
use idv_core::machine::{Cx, Machine, Next};
use idv_core::secret::Secret;
use idv_core::shufti::signature::{Rule, sign};
use idv_core::time::Instant;
use idv_core::{shareid, shufti};

/// Who vouches for a post.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Key {
    Right,
    Wrong,
    None,
}

/// What is posted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Message {
    pub(crate) number: u32,
    pub(crate) says: Says,
    pub(crate) key: Key,
}

impl Message {
    /// The turn of the provider's history that it tells of.
    pub(crate) const fn tells(self) -> Option<u8> {
        match (self.says, self.key) {
            (Says::Turn(turn) | Says::Changed(turn), Key::Right) => Some(turn),
            (Says::Turn(_) | Says::Changed(_), Key::Wrong | Key::None) | (Says::Forgery(_), _) => None,
        }
    }

    /// The body, and the signature where there is one.
    pub(crate) fn bytes(self, kind: Kind, turns: &[Turn]) -> (Vec<u8>, Option<String>) {
        let body = callback_body(kind, self.number, self.says, turns).unwrap_or_default();
        let secret = match (kind.is_shareid(), self.key) {
            (true, _) | (false, Key::None) => return (body, None),
            (false, Key::Right) => Secret::from(SECRET),
            (false, Key::Wrong) => Secret::from("guessed"),
        };
        let signature = sign(Rule::After, &secret, &body);
        (body, Some(signature))
    }
}

/// A callback on its way, attempt by attempt.
pub(crate) struct Sender {
    machine: Delivery,
    pub(crate) message: Message,
    /// The first attempt is signed with another key.
    pub(crate) first_key_wrong: bool,
}

/// What a step of a sender asks for.
pub(crate) struct Stepped {
    pub(crate) post: Option<u8>,
    pub(crate) over: Option<bool>,
    pub(crate) next: Option<u64>,
}

impl Sender {
    pub(crate) const fn new(message: Message, first_key_wrong: bool) -> Self {
        Self { machine: Delivery::new(), message, first_key_wrong }
    }

    pub(crate) fn step(&mut self, kind: Kind, now: u64, input: delivery::Input) -> Stepped {
        let policy = if kind.is_shareid() {
            &shareid::contract::CALLBACK_DELIVERY
        } else {
            &shufti::contract::CALLBACK_DELIVERY
        };
        let step = self.machine.step(Cx::new(Instant::from_millis(now + 1), policy, 0), input);
        let mut stepped = Stepped { post: None, over: None, next: None };
        for action in step.actions {
            match action {
                Action::Post { attempt, .. } => stepped.post = Some(attempt),
                Action::Delivered { .. } => stepped.over = Some(true),
                Action::Dead => stepped.over = Some(false),
            }
        }
        if let Next::At(at) = step.next {
            stepped.next = Some(at.as_millis().saturating_sub(1));
        }
        stepped
    }
}
