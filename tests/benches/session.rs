//! What one session costs while it waits, and what one wake of a fleet costs: wake, decide, pull, take the answer, go back to waiting.
//!
//! `cargo bench -p idv-tests --bench session`

mod ratio;

use idv_core::budget;
use idv_core::evidence::{NotReady, Outcome};
use idv_core::fleet::{AccountPolicy, Action, At, DoorPolicy, Fleet, FleetPolicy, Key, UnknownPolicy, Wake};
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

    let waiting = Session::new(Cx::new(start, &policy, 0));
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
                if let Next::At(at) = one.next(&policy) {
                    now = at;
                }
                let cx = Cx::new(now, &policy, 0);
                let _ = one.step(cx, Session::TICK);
                let _ = one.step(cx, session::Input::Granted);
                one.step(cx, session::Input::Pulled { op: one.poller().last_op(), outcome: NOT_READY })
            }),
            Candidate::new("one whole pull in a fleet of one", || few.one_pull()),
            Candidate::new("one whole pull in a fleet of 10 000", || many.one_pull()),
        ],
    );
    Ok(())
}

/// A fleet whose every pull is answered *not ready* at once.
struct Pulling {
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
    let mut now = Instant::from_millis(1_000_000);
    for number in 0..sessions {
        // Opened over the length of one interval, so that they are due one after the other.
        now = Instant::from_millis(1_000_000 + u64::from(number) * 60_000 / u64::from(sessions));
        fleet.open(At::new(now, number), account, &number.to_string(), None, &mut |_| {})?;
    }
    Ok(Pulling { fleet, now, wake: Wake::More, sent: Vec::new() })
}

impl Pulling {
    fn one_pull(&mut self) -> usize {
        while self.sent.is_empty() {
            if let Wake::At(due) = self.wake {
                self.now = due;
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
