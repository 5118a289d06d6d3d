//! What one session costs while it waits, and what one wake of a fleet costs: wake, decide, pull, take the answer, go back to waiting.
//!
//! `cargo bench -p idv-tests --bench session`

mod ratio;

use idv_core::budget;
use idv_core::evidence::{NotReady, Outcome};
use idv_core::fleet::{
    AccountId, AccountPolicy, Action, At, DoorPolicy, Fleet, FleetPolicy, Key, UnknownPolicy, Wake,
};
use idv_core::machine::{Cx, Machine, Next};
use idv_core::poller;
use idv_core::session::{self, Session};
use idv_core::time::{Instant, Span};
use idv_core::token;
use ratio::{Candidate, compare};
use std::error::Error;

const NOT_READY: Outcome = Outcome::NotReady(NotReady::Documented);

fn main() -> Result<(), Box<dyn Error>> {
    let poller =
        poller::Policy::builder(Span::secs(5), Span::hours(1_000)).interval(Span::mins(1)).build()?;
    let policy = session::Policy::confirm_by_pull(poller);
    let start = Instant::from_millis(1_000_000);

    let mut waiting = Session::new(Cx::new(start, &policy, 0));
    one_pull(&mut waiting, Cx::new(start, &policy, 0));
    let (mut one, mut now) = (waiting, start);
    let (mut few, mut many) = (fleet_of(1, policy)?, fleet_of(10_000, policy)?);
    compare(
        "a session that waits (yardstick: reading the operating system's clock)",
        &mut [
            Candidate::new("std::time::Instant::now", std::time::Instant::now),
            Candidate::new("one step with nothing due", || {
                let mut session = waiting;
                session.step(Cx::new(start, &policy, 0), Session::TICK)
            }),
            Candidate::new("one whole pull, three steps: due, granted, not ready", || {
                match one.next(&policy) {
                    Next::At(at) => now = at,
                    // The deadline, after sixty thousand pulls: the next one.
                    Next::Input | Next::Over => (one, now) = (waiting, start),
                }
                one_pull(&mut one, Cx::new(now, &policy, 0));
            }),
            Candidate::new("one whole pull in a fleet of one", || few.one_pull()),
            Candidate::new("one whole pull in a fleet of 10 000", || many.one_pull()),
        ],
    );
    Ok(())
}

fn one_pull(session: &mut Session, cx: Cx<'_, session::Policy>) {
    let _ = session.step(cx, Session::TICK);
    let _ = session.step(cx, session::Input::Granted);
    let _ = session.step(cx, session::Input::Pulled { op: session.poller().last_op(), outcome: NOT_READY });
}

/// A fleet whose every pull is answered *not ready* at once.
struct Pulling {
    sessions: u32,
    account: AccountId,
    fleet: Fleet,
    now: Instant,
    wake: Wake,
    sent: Vec<(Key, u32)>,
}

fn fleet_of(sessions: u32, policy: session::Policy) -> Result<Pulling, Box<dyn Error>> {
    let unknown = UnknownPolicy::default();
    let mut fleet = Fleet::new(FleetPolicy { sessions, tombstones: sessions, unknown });
    // More calls than the sessions make: what is timed is the fleet, not the wait for a provider's permission.
    let door = fleet.add_door(DoorPolicy::new(budget::Policy::per_window(60_000, Span::mins(1), 1_000)?));
    let token = token::Policy::not_needed();
    let account = fleet.add_account(door, AccountPolicy { provider: "shufti", token, session: policy });
    let now = Instant::from_millis(1_000_000);
    let mut pulling = Pulling { sessions, account, fleet, now, wake: Wake::Input, sent: Vec::new() };
    pulling.open();
    Ok(pulling)
}

impl Pulling {
    /// Opens every session, over the length of one interval, so that they are due one after the other.
    fn open(&mut self) {
        let start = self.now.as_millis();
        for number in 0..self.sessions {
            self.now = Instant::from_millis(start + u64::from(number) * 60_000 / u64::from(self.sessions));
            let at = At::new(self.now, number);
            let opened = self.fleet.open(at, self.account, &number.to_string(), None, &mut |_| {});
            assert!(opened.is_ok(), "the fleet has room");
        }
        self.wake = Wake::More;
    }

    /// All have come to their deadline, after sixty thousand pulls each: the next ones.
    fn reopen(&mut self) {
        for number in 0..self.sessions {
            if let Some(key) = self.fleet.find("shufti", &number.to_string()) {
                let _ = self.fleet.forget(key);
            }
        }
        self.open();
    }

    fn one_pull(&mut self) -> usize {
        while self.sent.is_empty() {
            match self.wake {
                Wake::At(due) => self.now = due,
                Wake::More => {}
                Wake::Input => self.reopen(),
            }
            let sent = &mut self.sent;
            self.wake = self.fleet.run(At::new(self.now, 7), 64, &mut |action| {
                if let Action::Pull { key, op, .. } = action {
                    sent.push((key, op));
                }
            });
        }
        if let Some((key, op)) = self.sent.pop() {
            let _ = self.fleet.pulled(At::new(self.now, 7), key, op, 0, NOT_READY, &mut |_| {});
            // After every input a driver asks anew what to wait for.
            self.wake = Wake::More;
        }
        self.sent.len()
    }
}
