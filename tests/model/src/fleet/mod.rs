//! A real fleet: a few sessions that share a token and a budget, a provider, and a host that saves each session when it is asked to.
//!
//! What must hold is read from the rules and from what happened so far, never from the fleet: who waits and since when, what the provider
//! allows, which token is here and what became of it. As in the other worlds it is always the same moment here, so that what differs only
//! by when it happened is the same state.

mod door;
mod ending;
mod happenings;
mod host;
mod moves;
mod rules;
mod scene;
mod tokens;
mod verification;

pub use moves::{Move, Trouble, Word};
pub use rules::{Case, Limits, Rules, Sabotage, of, reusable, single_use};

use crate::law::{Breach, Law};
use crate::story::{Line, PASSES, Who};
use door::Gate;
use idv_core::fleet::{AccountId, At, DoorId, Fleet};
use idv_core::time::{Instant, Span};
use rules::IDS;
use tokens::Bearer;
use verification::Verification;

/// Now, always.
const NOW: Instant = Instant::from_millis(1_000);

/// What is longer ago than this is so for ever. Longer than anything here lasts.
const HORIZON: Instant = Instant::from_millis(900);

const AT: At = At::new(NOW, 0);

/// A state of the world.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct World {
    fleet: Fleet,
    accounts: Vec<AccountId>,
    door: DoorId,
    /// When the fleet wants to be woken.
    wake: Option<Instant>,
    cases: Vec<Verification>,
    bearers: Vec<Bearer>,
    gate: Gate,
    /// Who waits for permission to pull, in the order of asking.
    queue: Vec<u8>,
    /// Early callbacks that must not be forgotten (R15): whose, and whether somebody vouched for it.
    early: Vec<(u8, bool)>,
    left: Limits,
    broken: Option<Breach>,
}

/// What a world is run under, and who listens.
#[derive(Debug)]
struct Run<'a> {
    rules: &'a Rules,
    /// The story so far, while somebody wants to read it.
    lines: Option<&'a mut Vec<Line>>,
}

impl Run<'_> {
    fn tell(&mut self, from: Who, to: Who, text: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(Line { from, to, text: text() });
        }
    }
}

impl World {
    fn new(run: &mut Run<'_>) -> Self {
        let (fleet, door, accounts) = build(run.rules);
        let mut world = Self {
            fleet,
            accounts,
            door,
            wake: None,
            cases: run.rules.cases.iter().map(|_| Verification::new()).collect(),
            bearers: run.rules.tokens.iter().map(|_| Bearer::new()).collect(),
            gate: Gate::new(),
            queue: Vec::new(),
            early: Vec::new(),
            left: run.rules.limits,
            broken: None,
        };
        for case in (0_u8..).zip(run.rules.cases).filter(|(_, case)| case.open).map(|(nth, _)| nth) {
            world.opens(run, case);
        }
        world.runs(run);
        world
    }

    /// The first breach is kept; nothing happens after it.
    fn breaks(&mut self, run: &mut Run<'_>, law: Law, what: &'static str) {
        if self.broken.is_none() {
            self.broken = Some(Breach { law, what });
            run.tell(Who::Session, Who::Session, || format!("BROKEN {}: {what}", law.name()));
        }
    }

    fn requires(&mut self, run: &mut Run<'_>, holds: bool, law: Law, what: &'static str) {
        if !holds {
            self.breaks(run, law, what);
        }
    }

    /// A millisecond passes.
    fn elapse(&mut self, run: &mut Run<'_>) {
        run.tell(Who::Session, Who::Session, || PASSES.into());
        let back = |at: Instant| at.before(Span::MIN).max(HORIZON);
        self.fleet.map_times(back);
        self.wake = self.wake.map(back);
        for case in &mut self.cases {
            case.elapses(run.rules, back);
        }
        for bearer in &mut self.bearers {
            bearer.elapses(back);
        }
        self.gate.elapses(run.rules, back);
    }

    /// A call is awaited by our process.
    fn is_awaiting(&self) -> bool {
        self.cases.iter().any(|case| case.awaited().is_some())
            || self.bearers.iter().any(|bearer| bearer.awaited().is_some())
    }

    /// No call is on its way, and the fleet wants no timer.
    fn is_over(&self) -> bool {
        self.wake.is_none()
            && self.cases.iter().all(|case| case.calls.is_empty())
            && self.bearers.iter().all(|bearer| bearer.requests.is_empty())
    }
}

/// An empty fleet with the door and the accounts of this world.
fn build(rules: &Rules) -> (Fleet, DoorId, Vec<AccountId>) {
    let mut fleet = Fleet::new(rules.fleet);
    let door = fleet.add_door(rules.door);
    let accounts = 0..rules.tokens.len() as u8;
    let accounts = accounts.map(|nth| fleet.add_account(door, rules.account(nth))).collect();
    (fleet, door, accounts)
}

fn id(case: u8) -> &'static str {
    IDS[usize::from(case)]
}
