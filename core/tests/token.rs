//! The token against its own history: what may be used, asked and sent is worked out again from the record of what happened.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use idv_core::backoff::Backoff;
use idv_core::machine::{Cx, Describe, Disposition, Machine, Next};
use idv_core::time::{Instant, Span};
use idv_core::token::{Action, Input, Mode, Policy, PolicyError, Token};
use proptest::prelude::*;

const TTL: Span = Span::millis(1_000);
const MARGIN: Span = Span::millis(200);
const CALL_TIMEOUT: Span = Span::millis(80);
const LATENESS: Span = Span::millis(20);
const PATIENCE: u64 = 100;
const GAP: Span = Span::millis(700);
const CAP: Span = Span::millis(400);
const BACKOFF: Backoff = Backoff { first: Span::millis(10), most: Span::millis(150), jitter_percent: 50 };
const REFUSALS: u8 = 2;

fn policy(mode: Mode) -> Policy {
    let builder = match mode {
        Mode::Reusable => Policy::reusable(TTL),
        Mode::SingleUse => Policy::single_use(TTL),
        Mode::NotNeeded => return Policy::not_needed(),
    };
    builder
        .margin(MARGIN)
        .call_timeout(CALL_TIMEOUT)
        .lateness(LATENESS)
        .backoff(BACKOFF)
        .renewal_gap(GAP)
        .refusals(REFUSALS)
        .retry_after_cap(CAP)
        .build()
        .unwrap()
}

/// An input whose numbers are counted back from the newest request, so that most of them fit.
#[derive(Clone, Copy, Debug)]
enum Move {
    Plain(Input),
    Received(u32, Option<u32>),
    Failed(u32, Option<u32>),
    Refused(u32),
    Rejected(u32),
    Taken(u32),
}

impl Move {
    fn input(self, newest: u32) -> Input {
        let number = |back: u32| (newest + 1).saturating_sub(back);
        match self {
            Self::Plain(input) => input,
            Self::Received(back, ttl) => Input::Received { op: number(back), ttl: ttl.map(Span::millis) },
            Self::Failed(back, after) => {
                Input::Failed { op: number(back), retry_after: after.map(Span::millis) }
            }
            Self::Refused(back) => Input::Refused { op: number(back) },
            Self::Rejected(back) => Input::Rejected { generation: number(back) },
            Self::Taken(back) => Input::Taken { generation: number(back) },
        }
    }
}

fn moves() -> impl Strategy<Value = Vec<(u64, u32, Move)>> {
    // 1 is the newest request, 0 one that was never made.
    let back = prop_oneof![1 => Just(0_u32), 20 => Just(1), 3 => 2..4_u32];
    let ttl = prop_oneof![3 => Just(None), 1 => (100..2_000_u32).prop_map(Some)];
    let after = prop_oneof![2 => Just(None), 1 => (1..800_u32).prop_map(Some)];
    let step = prop_oneof![
        3 => Just(Move::Plain(Input::Tick)),
        6 => Just(Move::Plain(Input::Wanted)),
        6 => Just(Move::Plain(Input::Granted)),
        6 => (back.clone(), ttl).prop_map(|(back, ttl)| Move::Received(back, ttl)),
        2 => (back.clone(), after).prop_map(|(back, after)| Move::Failed(back, after)),
        4 => back.clone().prop_map(Move::Refused),
        4 => back.clone().prop_map(Move::Rejected),
        3 => back.prop_map(Move::Taken),
        2 => Just(Move::Plain(Input::Reset)),
    ];
    let ahead = prop_oneof![6 => Just(0_u64), 6 => 1..40_u64, 2 => 1..400_u64, 1 => Just(PATIENCE)];
    prop::collection::vec((ahead, any::<u32>(), step), 0..300)
}

/// One step, and what could be seen after it.
#[derive(Clone, Copy, Debug)]
struct Entry {
    now: u64,
    input: Input,
    disposition: Disposition,
    action: Option<Action>,
    next: Next,
    usable: Option<u32>,
    state: &'static str,
}

fn record(policy: &Policy, moves: &[(u64, u32, Move)]) -> (Token, Vec<Entry>) {
    let mut token = Token::new();
    let (mut now, mut newest) = (1_000, 0);
    let mut entries = Vec::new();
    for (ahead, entropy, step) in moves {
        now += ahead;
        let at = Instant::from_millis(now);
        // A driver that keeps time ticks first, so that a change due by time shows as the work of a tick.
        for input in [Input::Tick, step.input(newest)] {
            let step = token.step(Cx::new(at, policy, *entropy), input);
            let mut actions = step.actions.into_iter();
            let (action, more) = (actions.next(), actions.next());
            assert_eq!(more, None);
            if let Some(Action::Request { op, .. }) = action {
                newest = op;
            }
            let (disposition, next) = (step.disposition, step.next);
            let usable = token.usable(policy, at);
            entries.push(Entry { now, input, disposition, action, next, usable, state: token.state() });
        }
    }
    (token, entries)
}

/// What the record says, read without the machine.
#[derive(Default)]
struct History {
    /// When each request was sent; request `n` stands at `n - 1`.
    sent: Vec<u64>,
    /// The newest request, while its completion is awaited, with the moment it is given up.
    awaited: Option<u64>,
    /// It was sent with credentials that were replaced since.
    replaced: bool,
    /// The token in hand: from when, until when.
    token: Option<(u64, u64)>,
    wanted: bool,
    asked: bool,
    /// Nothing may be asked before.
    quiet_until: u64,
    /// In a row, without a token in between.
    failures: u8,
    refusals: u8,
    refused: bool,
    /// The last token ended by a 401, and no request was sent since.
    rejected: bool,
    /// When a request that a 401 caused was last sent.
    renewed: Option<u64>,
}

impl History {
    fn newest(&self) -> u32 {
        self.sent.len() as u32
    }

    fn usable(&self, now: u64) -> Option<u32> {
        self.token.filter(|(from, until)| *from <= now && now < *until).map(|_| self.newest())
    }

    /// The newest request brought nothing: the wait that begins is as long as failures in a row and `Retry-After` make it.
    fn failed(&mut self, entry: &Entry, retry_after: Option<Span>) -> Result<(), TestCaseError> {
        self.awaited = None;
        self.failures = self.failures.saturating_add(1);
        let wait = |entropy| {
            let delay = BACKOFF.delay(self.failures, entropy);
            entry.now + u64::from(delay.max(retry_after.map_or(Span::MIN, |span| span.min(CAP))).as_millis())
        };
        self.quiet_until = wait(0);
        if let Next::At(at) = entry.next {
            prop_assert!((wait(0)..=wait(u32::MAX)).contains(&at.as_millis()));
        } else {
            prop_assert_eq!(entry.state, "Refused");
        }
        Ok(())
    }

    /// Takes one entry in, and says what is wrong with it.
    fn check(&mut self, mode: Mode, entry: &Entry) -> Result<(), TestCaseError> {
        let now = entry.now;
        if self.awaited.is_some_and(|give_up| now >= give_up) {
            if self.replaced {
                self.awaited = None;
            } else {
                self.failed(entry, None)?;
            }
        }
        let usable_before = self.usable(now);
        let awaited = |history: &Self, op: u32| op > 0 && op == history.newest() && history.awaited.is_some();
        match entry.input {
            Input::Tick | Input::Granted => {}
            Input::Wanted => {
                if usable_before.is_some() {
                    prop_assert_eq!(
                        entry.action,
                        usable_before.map(|generation| Action::Ready { generation })
                    );
                } else if self.refused {
                    prop_assert_eq!(entry.action, Some(Action::Refused));
                } else {
                    self.wanted = true;
                }
            }
            Input::Received { op, ttl } if awaited(self, op) => {
                if self.replaced {
                    self.awaited = None;
                } else {
                    let from = self.sent[op as usize - 1];
                    let until = from
                        + u64::from(ttl.unwrap_or(TTL).as_millis())
                            .saturating_sub(u64::from(MARGIN.as_millis()));
                    if now < until {
                        self.awaited = None;
                        self.token = Some((from, until));
                        (self.wanted, self.failures, self.refusals) = (false, 0, 0);
                        prop_assert_eq!(entry.action, Some(Action::Ready { generation: op }));
                    } else {
                        self.failed(entry, None)?;
                    }
                }
            }
            Input::Failed { op, retry_after } if awaited(self, op) => {
                if self.replaced {
                    self.awaited = None;
                } else {
                    self.failed(entry, retry_after)?;
                }
            }
            Input::Refused { op } if awaited(self, op) => {
                if self.replaced {
                    self.awaited = None;
                } else {
                    self.refusals += 1;
                    self.failed(entry, None)?;
                    if self.refusals == REFUSALS {
                        (self.refused, self.wanted) = (true, false);
                        prop_assert_eq!(entry.action, Some(Action::Refused));
                    }
                }
            }
            Input::Received { op, .. } | Input::Failed { op, .. } | Input::Refused { op } => {
                let known = op > 0 && op <= self.newest();
                prop_assert_eq!(
                    entry.disposition,
                    if known { Disposition::Stale } else { Disposition::Illegal }
                );
            }
            Input::Rejected { generation } if self.token.is_some() && generation == self.newest() => {
                (self.token, self.rejected) = (None, true);
            }
            Input::Taken { generation }
                if mode == Mode::SingleUse && self.token.is_some() && generation == self.newest() =>
            {
                self.token = None;
            }
            Input::Rejected { .. } | Input::Taken { .. } => {
                prop_assert_ne!(entry.disposition, Disposition::Applied);
            }
            Input::Reset => {
                self.token = None;
                (self.quiet_until, self.failures, self.refusals, self.refused) = (0, 0, 0, false);
                (self.rejected, self.renewed) = (false, None);
                self.replaced = self.awaited.is_some();
            }
        }
        match entry.action {
            Some(Action::Ask) => {
                prop_assert!(self.wanted, "asked for a token that nobody wants");
                prop_assert!(!self.asked, "asked twice");
                prop_assert!(self.awaited.is_none(), "asked with a request under way");
                prop_assert!(now >= self.quiet_until, "asked during back-off");
                prop_assert!(!self.refused, "asked with refused credentials");
                self.asked = true;
                self.token = None;
            }
            Some(Action::Request { op, within }) => {
                prop_assert_eq!(entry.input, Input::Granted);
                prop_assert!(self.asked, "sent without having asked");
                prop_assert!(self.awaited.is_none(), "two requests in flight");
                prop_assert_eq!((op, within), (self.newest() + 1, CALL_TIMEOUT));
                if self.rejected {
                    let since = self.renewed.map_or(u64::MAX, |renewed| now - renewed);
                    prop_assert!(since >= u64::from(GAP.as_millis()), "renewed again after {since} ms");
                    self.renewed = Some(now);
                }
                (self.asked, self.rejected, self.replaced) = (false, false, false);
                self.sent.push(now);
                self.awaited = Some(now + PATIENCE);
            }
            Some(Action::Ready { generation }) => {
                prop_assert_eq!(Some(generation), self.usable(now));
            }
            Some(Action::Refused) => prop_assert!(self.refused),
            None => {}
        }
        prop_assert_eq!(entry.usable, self.usable(now));
        Ok(())
    }
}

fn needing() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Reusable), Just(Mode::SingleUse)]
}

proptest! {
    /// A token is used from its sending until its margin, never after a 401 or its one use; one request in flight, each with a new
    /// number, after permission, because somebody wants it, after back-off, `Retry-After` and the gap between renewals.
    #[test]
    fn r14_g7_the_record_of_any_run_shows_a_polite_token(mode in needing(), moves in moves()) {
        let policy = policy(mode);
        let mut history = History::default();
        for entry in record(&policy, &moves).1 {
            history.check(mode, &entry)?;
        }
    }

    /// From wherever a run has led, somebody who wants a token gets one as soon as the provider gives it.
    #[test]
    fn a_wanted_token_comes_as_soon_as_the_provider_gives_it(
        mode in needing(),
        moves in moves(),
        replaced: bool,
    ) {
        let policy = policy(mode);
        let (mut token, entries) = record(&policy, &moves);
        let mut now = Instant::from_millis(entries.last().map_or(1_000, |entry| entry.now));
        let mut pending = vec![Input::Wanted];
        if replaced || token.is_refused() {
            pending.push(Input::Reset);
        }
        pending.extend(token.outstanding(&policy).into_iter().filter_map(answer));
        for _ in 0..12 {
            if token.usable(&policy, now).is_some() {
                break;
            }
            let input = pending.pop().unwrap_or(Input::Tick);
            let step = token.step(Cx::new(now, &policy, u32::MAX), input);
            pending.extend(step.actions.into_iter().filter_map(answer));
            if let (true, Next::At(at)) = (pending.is_empty(), step.next) {
                prop_assert!(at > now);
                now = at;
            }
        }
        prop_assert!(token.usable(&policy, now).is_some(), "{token:?}");
    }

    /// On a clock that jumps about, nothing panics, no timer lies in the past, and no token is used before its request was sent.
    #[test]
    fn a_clock_that_goes_back_neither_panics_nor_spins_nor_lengthens_a_life(
        mode in needing(),
        jumps in prop::collection::vec(0..5_000_u64, 1..8),
        moves in moves(),
    ) {
        let policy = policy(mode);
        let mut token = Token::new();
        let mut sent = vec![0];
        for (index, (_, entropy, step)) in moves.into_iter().enumerate() {
            let at = Instant::from_millis(jumps[index / 4 % jumps.len()]);
            let step = token.step(Cx::new(at, &policy, entropy), step.input(sent.len() as u32 - 1));
            for action in step.actions {
                if let Action::Request { .. } = action {
                    sent.push(at.as_millis());
                }
            }
            prop_assert_eq!(step.next, token.next(&policy));
            prop_assert!(!matches!(step.next, Next::At(next) if next <= at));
            if let Some(generation) = token.usable(&policy, at) {
                prop_assert!(sent[generation as usize] <= at.as_millis());
            }
        }
    }
}

/// What a provider in good health does.
fn answer(action: Action) -> Option<Input> {
    match action {
        Action::Ask => Some(Input::Granted),
        Action::Request { op, .. } => Some(Input::Received { op, ttl: None }),
        Action::Ready { .. } | Action::Refused => None,
    }
}

#[test]
fn without_a_token_everything_is_ready_at_once() {
    let policy = Policy::not_needed();
    let mut token = Token::new();
    let now = Instant::EARLIEST;
    assert_eq!(token.usable(&policy, now), Some(0));
    let step = token.step(Cx::new(now, &policy, 0), Input::Wanted);
    assert_eq!(step.actions.into_iter().collect::<Vec<_>>(), [Action::Ready { generation: 0 }]);
    for input in [Input::Rejected { generation: 0 }, Input::Taken { generation: 0 }, Input::Tick] {
        assert_eq!(token.step(Cx::new(now, &policy, 0), input).disposition, Disposition::NoOp);
    }
    assert_eq!((token, policy.mode()), (Token::new(), Mode::NotNeeded));
}

#[test]
fn r14_a_401_for_an_older_token_changes_nothing() {
    let policy = policy(Mode::Reusable);
    let mut token = Token::new();
    let mut step =
        |millis, input| token.step(Cx::new(Instant::from_millis(millis), &policy, 0), input).disposition;
    for (millis, input) in
        [(1, Input::Wanted), (1, Input::Granted), (2, Input::Received { op: 1, ttl: None })]
    {
        assert_eq!(step(millis, input), Disposition::Applied);
    }
    for (millis, input) in
        [(900, Input::Wanted), (900, Input::Granted), (901, Input::Received { op: 2, ttl: None })]
    {
        assert_eq!(step(millis, input), Disposition::Applied);
    }
    assert_eq!(step(902, Input::Rejected { generation: 1 }), Disposition::Stale);
    assert_eq!(step(902, Input::Rejected { generation: 3 }), Disposition::Illegal);
    assert_eq!(token.usable(&policy, Instant::from_millis(902)), Some(2));
}

#[test]
fn r14_a_life_counts_from_the_sending_and_ends_a_margin_early() {
    let policy = policy(Mode::Reusable);
    let mut token = Token::new();
    let at = Instant::from_millis;
    for (now, input) in
        [(10, Input::Wanted), (10, Input::Granted), (60, Input::Received { op: 1, ttl: None })]
    {
        let _ = token.step(Cx::new(at(now), &policy, 0), input);
    }
    let lives: Vec<Option<u32>> = [60, 809, 810].map(|now| token.usable(&policy, at(now))).to_vec();
    assert_eq!(lives, [Some(1), Some(1), None]);
}

#[test]
fn a_policy_that_could_never_use_or_refuse_a_token_is_refused() {
    let ten = Policy::reusable(Span::mins(10));
    assert_eq!(
        ten.build().map(|policy| (policy.ttl(), policy.margin())),
        Ok((Span::mins(10), Span::secs(30)))
    );
    let error = ten.margin(Span::mins(10)).build().unwrap_err();
    assert_eq!(error, PolicyError::MarginTooLong { margin: Span::mins(10), ttl: Span::mins(10) });
    assert!(error.to_string().contains("choose a margin shorter than the life"));
    assert!(matches!(ten.call_timeout(Span::mins(10)).build(), Err(PolicyError::CallTooLong { .. })));
    assert_eq!(ten.refusals(0).build(), Err(PolicyError::NoRefusals));
    let upside_down = Backoff { first: Span::secs(2), most: Span::secs(1), jitter_percent: 0 };
    assert!(matches!(ten.backoff(upside_down).build(), Err(PolicyError::Backoff { .. })));
}
