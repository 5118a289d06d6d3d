//! A machine whose state came out of a snapshot, perhaps one that no run ever leads to.

use idv_core::evidence::{Callback, ContentDigest, Fault, FaultKind, NotReady, Outcome, Report, Verdict};
use idv_core::lifecycle::{Channel, Event, Lifecycle};
use idv_core::machine::{Cx, Machine, Next};
use idv_core::poller::{self, Class, Poller, Then};
use idv_core::session::{self, Session, Snapshot};
use idv_core::time::{Instant, Span};
use idv_core::{budget, delivery, shareid, shufti, token};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// More steps than this say nothing new.
const MOST_STEPS: usize = 64;

/// The clock of the process that restores.
const NOW: Instant = Instant::from_millis(1_000_000_000);

pub(super) fn every_one(snapshot: &[u8], then: &[u8]) {
    let rules = shufti::contract::RULES.account("any").expect("the contract is in order");
    let token = shareid::contract::RULES.account("any").expect("the contract is in order").token;
    let budget = budget::Policy::per_window(20, Span::mins(1), 4).expect("the budget is in order");
    let sessions = [
        session::Policy::confirm_by_pull(rules.session.poller),
        session::Policy::trust_signed(rules.session.poller),
    ];
    if let Some(saved) = read::<Snapshot>(snapshot) {
        for (clock, unix) in [(NOW, 1_700_000_000_000), (Instant::EARLIEST, 0), (Instant::LATEST, u64::MAX)] {
            if let Some(session) = saved.restore(clock, unix) {
                let clock = clock.min(NOW);
                drive(session, &sessions[0], clock, then, session_input);
                drive(session, &sessions[1], clock, then, session_input);
            }
        }
    }
    if let Some(session) = read::<Session>(snapshot) {
        sessions.iter().for_each(|policy| drive(session, policy, NOW, then, session_input));
    }
    if let Some(poller) = read::<Poller>(snapshot) {
        drive(poller, &rules.session.poller, NOW, then, poller_input);
    }
    if let Some(restored) = read::<token::Token>(snapshot) {
        drive(restored, &token, NOW, then, token_input);
    }
    if let Some(budget_) = read::<budget::Budget>(snapshot) {
        drive(budget_, &budget, NOW, then, budget_input);
    }
    for policy in [idv_core::engine::HAND_OVER, shareid::contract::CALLBACK_DELIVERY] {
        if let Some(delivery) = read::<delivery::Delivery>(snapshot) {
            drive(delivery, &policy, NOW, then, delivery_input);
        }
    }
    for table in [&shareid::lifecycle::SHAREID, &shufti::lifecycle::SHUFTI] {
        if let Some(lifecycle) = read::<Lifecycle>(snapshot) {
            drive(lifecycle, table, NOW, then, lifecycle_input);
        }
    }
}

/// What can be read can be written, and read again as the same.
fn read<T: DeserializeOwned + Serialize + PartialEq + Debug>(snapshot: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(snapshot).ok()?;
    let written = serde_json::to_vec(&value).expect("what was read can be written");
    let again: T = serde_json::from_slice(&written).expect("what was written can be read");
    assert_eq!(again, value, "G9: written and read again it is another state");
    Some(value)
}

/// Steps the machine with four bytes for each input: when, which one, and two arguments.
fn drive<M: Machine>(
    mut machine: M,
    policy: &M::Policy,
    mut now: Instant,
    then: &[u8],
    input: impl Fn(&M, [u8; 3]) -> M::Input,
) {
    let first = [[0; 4]];
    for [when, which, a, b] in first.iter().chain(then.as_chunks::<4>().0.iter().take(MOST_STEPS)) {
        now = match (when % 4, machine.next(policy)) {
            (0, _) => now,
            (1, Next::At(due)) => due.max(now),
            (2, _) => now.before(Span::secs(u32::from(*when))),
            (_, _) => now.after(Span::millis(1 << (when / 8))),
        };
        let input = input(&machine, [*which, *a, *b]);
        let cx = Cx::new(now, policy, u32::from_le_bytes([*when, *which, *a, *b]));
        let before = machine;
        let step = machine.step(cx, input);
        assert_eq!(step.next, machine.next(policy), "Step::next is not next()");
        let mut same = before;
        assert_eq!((same.step(cx, input), same), (step, machine), "G8: the same step twice");
        if let Next::At(due) = step.next {
            let is_the_end_of_time = now.after(Span::MAX) == Instant::LATEST;
            assert!(due > now || is_the_end_of_time, "waits for {due:?} at {now:?}: a spin in {machine:?}");
        }
        machine.outstanding(policy).into_iter().for_each(drop);
        let mut moved = machine;
        moved.map_times(|at| at.shifted(i64::from(*b) - 128));
    }
}

fn number(last: u32, pick: u8) -> u32 {
    match pick % 4 {
        0 => last,
        1 => last.wrapping_add(1),
        2 => last.wrapping_sub(1),
        _ => u32::from(pick),
    }
}

fn report(bits: u8) -> Report {
    let verdicts = [
        None,
        Some(Verdict::Accepted),
        Some(Verdict::Declined),
        Some(Verdict::Cancelled),
        Some(Verdict::TimedOut),
        Some(Verdict::ReviewPending),
        Some(Verdict::Deleted),
    ];
    Report { verdict: verdicts[usize::from(bits) % 7], content: ContentDigest(u64::from(bits / 64)) }
}

fn span(bits: u8) -> Span {
    Span::millis(1_u32 << (bits % 32))
}

fn class(bits: u8) -> Class {
    [Class::Confirming, Class::Routine, Class::Audit][usize::from(bits) % 3]
}

fn session_input(session: &Session, [which, a, b]: [u8; 3]) -> session::Input {
    use session::Input;
    let op = number(session.poller().last_op(), a);
    let revision = number(session.last_revision().map_or(0, |(number, ..)| number), a);
    let retry_after = (a >= 128).then(|| span(a));
    let outcome = match b % 4 {
        0 | 1 => Outcome::Report(report(b / 4)),
        2 => Outcome::NotReady(NotReady::NotFound),
        _ if a.is_multiple_of(2) => Outcome::Refused,
        _ => Outcome::Failed(Fault { kind: FaultKind::RateLimited, retry_after }),
    };
    let callback = match b % 4 {
        0 => Callback::Signed(report(a)),
        1 => Callback::SignedSignal,
        2 => Callback::Unsigned,
        _ => Callback::WrongSignature,
    };
    match which % 12 {
        0 => Input::Restored,
        1 => Input::Tick,
        2 => Input::Granted,
        3 | 4 => Input::Pulled { op, outcome },
        5 => Input::Created(report(a)),
        6 => Input::Callback(callback),
        7 => Input::Hint(class(a)),
        8 => Input::HandedOver { revision },
        9 => Input::DeadLettered { revision },
        10 if a.is_multiple_of(2) => Input::CredentialsRefused,
        10 => Input::Cancel,
        _ => Input::OpenedAgain,
    }
}

fn poller_input(poller: &Poller, [which, a, b]: [u8; 3]) -> poller::Input {
    use poller::Input;
    let (op, news) = (number(poller.last_op(), a), b.is_multiple_of(2));
    match which % 10 {
        0 => Input::Restored,
        1 => Input::Tick,
        2 => Input::Hint { class: class(a), signal: news },
        3 => Input::Granted,
        4 => Input::Answered { op, then: Then::Demand { news } },
        5 => Input::Answered { op, then: Then::Rest { news } },
        6 => Input::Answered { op, then: Then::Watch { news } },
        7 => Input::Failed { op, retry_after: news.then(|| span(b)) },
        8 => Input::Refused { op },
        _ if news => Input::Settled,
        _ => Input::Stop,
    }
}

fn token_input(_: &token::Token, [which, a, b]: [u8; 3]) -> token::Input {
    use token::Input;
    let op = if a < 128 { u32::from(a) } else { u32::MAX - u32::from(255 - a) };
    let given = (b >= 128).then(|| span(b));
    match which % 9 {
        0 => Input::Tick,
        1 => Input::Wanted,
        2 => Input::Granted,
        3 => Input::Received { op, ttl: given },
        4 => Input::Failed { op, retry_after: given },
        5 => Input::Refused { op },
        6 => Input::Rejected { generation: op },
        7 => Input::Taken { generation: op },
        _ => Input::Reset,
    }
}

fn budget_input(_: &budget::Budget, [which, a, _]: [u8; 3]) -> budget::Input {
    match which % 3 {
        0 => budget::Input::Tick,
        1 => budget::Input::Take,
        _ => budget::Input::Close { span: span(a) },
    }
}

fn delivery_input(_: &delivery::Delivery, [which, a, b]: [u8; 3]) -> delivery::Input {
    match which % 4 {
        0 => delivery::Input::Tick,
        1 => delivery::Input::Answered { attempt: a, status: 100 + 2 * u16::from(b) },
        2 => delivery::Input::Failed { attempt: a, cause: delivery::Cause::TimedOut },
        _ => delivery::Input::Cancel,
    }
}

fn lifecycle_input(_: &Lifecycle, [which, a, b]: [u8; 3]) -> idv_core::lifecycle::Input {
    let channel = [Channel::Http, Channel::Callback, Channel::Status][usize::from(b) % 3];
    match which % 4 {
        0 => idv_core::lifecycle::Input::Tick,
        _ => idv_core::lifecycle::Input::Seen { event: Event(a), channel },
    }
}
