//! The tokens of the accounts: which were asked for, which are here, and what they are worth (R14).

use super::door::Waiting;
use super::rules::{MARGIN, REFUSALS, RENEWAL_GAP, TTL};
use super::{AT, NOW, Rules, Run, World};
use crate::law::Law;
use crate::story::Who;
use idv_core::time::{Instant, Span};
use idv_core::token::Mode;

/// How long after it was given up a call may still be answered, in milliseconds.
pub(super) const LATE: Span = Span::millis(3);

/// The token of one account.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Bearer {
    pub(super) requests: Vec<Request>,
    /// The newest that this process received.
    pub(super) held: Option<Held>,
    /// How many requests were refused since the last token.
    refusals: u8,
    /// The credentials count as refused.
    pub(super) refused: bool,
    /// A pull with the token that was held was answered 401, and no request was sent since.
    renews: bool,
    /// From when on another renewal that a 401 causes is polite.
    renewal_from: Instant,
}

/// A request on its way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Request {
    pub(super) op: u8,
    sent: Instant,
    /// When it is given up.
    until: Instant,
    /// The credentials that it was sent with still count.
    counts: bool,
    /// It came while the provider wanted silence: 429.
    pub(super) limited: bool,
}

/// A token that is here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Held {
    pub(super) generation: u8,
    /// When it must not be used any more: a margin before its end.
    until: Instant,
    /// The provider ended it.
    pub(super) revoked: bool,
    /// Its bearer was answered 401.
    rejected: bool,
    pub(super) used: bool,
    /// Another was asked for since.
    superseded: bool,
}

impl Bearer {
    pub(super) const fn new() -> Self {
        Self {
            requests: Vec::new(),
            held: None,
            refusals: 0,
            refused: false,
            renews: false,
            renewal_from: super::HORIZON,
        }
    }

    /// The request that this process awaits.
    pub(super) fn awaited(&self) -> Option<Request> {
        self.requests.iter().copied().find(|request| NOW < request.until)
    }

    /// This request is answered 429.
    pub(super) fn is_limited(&self, op: u8) -> bool {
        self.requests.iter().any(|request| request.op == op && request.limited)
    }

    pub(super) fn elapses(&mut self, back: impl Fn(Instant) -> Instant) {
        for request in &mut self.requests {
            (request.sent, request.until) = (back(request.sent), back(request.until));
        }
        self.requests.retain(|request| NOW <= request.until.after(LATE));
        if let Some(held) = &mut self.held {
            held.until = back(held.until);
        }
        self.renewal_from = back(self.renewal_from);
    }
}

impl World {
    /// The token that a pull of this account may carry now; zero where it needs none.
    pub(super) fn usable(&self, rules: &Rules, account: u8) -> Option<u8> {
        let mode = rules.tokens[usize::from(account)].mode();
        let held = match mode {
            Mode::NotNeeded => return Some(0),
            Mode::Reusable | Mode::SingleUse => self.bearers[usize::from(account)].held?,
        };
        let spent = held.rejected || (held.used && mode == Mode::SingleUse);
        (NOW < held.until && !spent).then_some(held.generation)
    }

    /// The fleet believes of its tokens what is the case.
    pub(super) fn knows_its_tokens(&mut self, run: &mut Run<'_>) {
        for account in 0..self.bearers.len() as u8 {
            let believed = self.fleet.usable_token(AT, self.accounts[usize::from(account)]);
            let usable = self.usable(run.rules, account).map(u32::from);
            let here = self.bearers[usize::from(account)].held.map_or(0, |held| u32::from(held.generation));
            let (law, what) = match believed {
                Some(generation) if generation != here => {
                    let restarted = self.left.crashes < run.rules.limits.crashes;
                    let law = if restarted { Law::R11 } else { Law::R14 };
                    (law, "a token that this process does not have is usable")
                }
                Some(_) => (Law::G7, "a token is usable past its time, after its 401, or once too often"),
                None => (Law::R14, "a good token is not used"),
            };
            self.requires(run, believed == usable, law, what);
        }
    }

    /// The fleet asks for a token.
    pub(super) fn requests(
        &mut self,
        run: &mut Run<'_>,
        waiting: &Waiting,
        (account, op): (u8, u32),
        within: Span,
    ) {
        let op = u8::try_from(op).unwrap_or(u8::MAX);
        run.tell(Who::Session, Who::Provider, || format!("asks for token {op} of account {account}"));
        let limited = self.token_passes(run, waiting);
        let policy = run.rules.tokens[usize::from(account)];
        let needed = waiting.iter().any(|(case, ..)| run.rules.cases[usize::from(*case)].account == account);
        self.requires(run, needed, Law::G7, "a token is asked for that nobody waits for");
        let lacking = self.usable(run.rules, account).is_none();
        self.requires(run, lacking, Law::G7, "a token is asked for while there is one");
        self.requires(run, within <= policy.patience(), Law::G6, "a token request without an end");
        let bearer = &self.bearers[usize::from(account)];
        let (alone, refused) = (bearer.awaited().is_none(), bearer.refused);
        let spaced = !bearer.renews || NOW >= bearer.renewal_from;
        let numbered = bearer.requests.iter().all(|request| request.op < op);
        self.requires(run, alone, Law::G7, "two token requests in flight");
        self.requires(run, !refused, Law::R14, "a token is asked for with credentials that were refused");
        self.requires(run, spaced, Law::R14, "renewals that 401s cause come too often");
        self.requires(run, numbered, Law::G9, "a number of a token request was used twice");
        let bearer = &mut self.bearers[usize::from(account)];
        if bearer.renews {
            bearer.renewal_from = NOW.after(RENEWAL_GAP);
            bearer.renews = false;
        }
        if let Some(held) = &mut bearer.held {
            held.superseded = true;
        }
        let until = NOW.after(policy.patience());
        bearer.requests.push(Request { op, sent: NOW, until, counts: true, limited });
    }

    /// A pull carries this token. Says whether the provider lets it in.
    pub(super) fn carries(&mut self, run: &mut Run<'_>, account: u8, generation: u32) -> bool {
        let single = match run.rules.tokens[usize::from(account)].mode() {
            Mode::NotNeeded => {
                self.requires(run, generation == 0, Law::Machine, "a token where none is needed");
                return true;
            }
            Mode::Reusable => false,
            Mode::SingleUse => true,
        };
        let held = self.bearers[usize::from(account)].held;
        let Some(held) = held.filter(|held| u32::from(held.generation) == generation) else {
            self.breaks(run, Law::R14, "a pull with a token that this process does not have");
            return false;
        };
        self.requires(run, NOW < held.until, Law::G7, "a token is used within its safety margin");
        self.requires(run, !held.rejected, Law::G7, "a token is used after its 401");
        self.requires(run, !(single && held.used), Law::G7, "a token for one use is used twice");
        if let Some(held) = &mut self.bearers[usize::from(account)].held {
            held.used = true;
        }
        !held.revoked
    }

    /// A pull that carried this token was answered 401.
    pub(super) fn rejects(&mut self, rules: &Rules, account: u8, generation: u8) {
        let single = rules.tokens[usize::from(account)].mode() == Mode::SingleUse;
        let bearer = &mut self.bearers[usize::from(account)];
        if let Some(held) = bearer.held.as_mut().filter(|held| held.generation == generation) {
            // Past its time it would have been renewed anyway.
            let gone = held.rejected || held.superseded || (single && held.used);
            bearer.renews |= NOW < held.until && !gone;
            held.rejected = true;
        }
    }

    /// A request is completed; says whether its answer counts.
    pub(super) fn completes(&mut self, account: u8, op: u8) -> Option<Request> {
        let bearer = &mut self.bearers[usize::from(account)];
        let nth = bearer.requests.iter().position(|request| request.op == op)?;
        let request = bearer.requests.remove(nth);
        (NOW < request.until && request.counts).then_some(request)
    }

    /// It brought a token.
    pub(super) fn receives(&mut self, account: u8, request: Request) {
        let bearer = &mut self.bearers[usize::from(account)];
        bearer.refusals = 0;
        bearer.held = Some(Held {
            generation: request.op,
            until: request.sent.after(TTL).before(MARGIN),
            revoked: false,
            rejected: false,
            used: false,
            superseded: false,
        });
    }

    /// It was answered 401; says whether the credentials count as refused now.
    pub(super) fn is_refused_a_token(&mut self, account: u8) -> bool {
        let bearer = &mut self.bearers[usize::from(account)];
        bearer.refusals += 1;
        bearer.refused = bearer.refusals >= REFUSALS;
        bearer.refused
    }

    /// Other credentials: nothing that was learned about the old ones counts.
    pub(super) fn forgets_credentials(&mut self, account: u8) {
        let bearer = &mut self.bearers[usize::from(account)];
        let requests = bearer.requests.iter().map(|request| Request { counts: false, ..*request }).collect();
        *bearer = Bearer { requests, ..Bearer::new() };
    }
}
