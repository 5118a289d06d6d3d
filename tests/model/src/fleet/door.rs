//! The provider's limit, and whose turn it is (R13).

use super::{NOW, Rules, Run, World};
use crate::law::Law;
use idv_core::poller::Class;
use idv_core::time::Instant;

/// What went through the door.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Gate {
    /// The provider asked for silence until then: who calls before is answered 429.
    closed_until: Instant,
    /// The same, as far as this process was told: what one before it was told died with that.
    pub(super) told_until: Instant,
    /// The calls of the last window.
    calls: Vec<Instant>,
    /// Those of the processes before this one.
    earlier: Vec<Instant>,
    /// When a process died, within the last window.
    deaths: Vec<Instant>,
    /// Confirming or routine, whoever went last.
    last: Option<Class>,
    /// The last call was a token request.
    after_token: bool,
}

/// Who waits for permission, in the order of asking: the verification, its class, and whether a token for it is here.
pub(super) type Waiting = Vec<(u8, Class, bool)>;

impl Gate {
    pub(super) const fn new() -> Self {
        Self {
            closed_until: super::HORIZON,
            told_until: super::HORIZON,
            calls: Vec::new(),
            earlier: Vec::new(),
            deaths: Vec::new(),
            last: None,
            after_token: false,
        }
    }

    /// This process knows how long the provider wants silence.
    pub(super) fn is_known(&self) -> bool {
        NOW.max(self.closed_until) == NOW.max(self.told_until)
    }

    /// More calls went through within the last window than one process may make.
    pub(super) fn is_crowded(&self, rules: &Rules) -> bool {
        self.calls.len() + self.earlier.len() > rules.allowed.0 as usize
    }

    /// The process dies. The provider counts on, and wants the same silence of the next one, which knows nothing of either.
    pub(super) fn is_forgotten(&mut self) {
        let Self { closed_until, calls, earlier, deaths, .. } = std::mem::replace(self, Self::new());
        (self.closed_until, self.earlier, self.deaths) = (closed_until, earlier, deaths);
        self.earlier.extend(calls);
        self.deaths.push(NOW);
    }

    pub(super) fn elapses(&mut self, rules: &Rules, back: impl Fn(Instant) -> Instant) {
        self.closed_until = back(self.closed_until);
        self.told_until = back(self.told_until);
        for past in [&mut self.calls, &mut self.earlier, &mut self.deaths] {
            past.iter_mut().for_each(|at| *at = back(*at));
            // A closed window holds both its ends.
            past.retain(|at| NOW <= at.after(rules.allowed.1));
        }
    }
}

impl World {
    pub(super) fn waiting(&self, run: &Run<'_>) -> Waiting {
        let wants = |case: u8| {
            let class = self.session(case)?.wants()?;
            let served = self.usable(run.rules, run.rules.cases[usize::from(case)].account).is_some();
            Some((case, class, served))
        };
        self.queue.iter().filter_map(|case| wants(*case)).collect()
    }

    /// Who began to ask goes to the end; who asks no more leaves.
    pub(super) fn line_up(&mut self) {
        let wants =
            |world: &Self, case: u8| world.session(case).is_some_and(|session| session.wants().is_some());
        let mut queue = std::mem::take(&mut self.queue);
        queue.retain(|case| wants(self, *case));
        let begins = (0..self.cases.len() as u8).filter(|case| !queue.contains(case) && wants(self, *case));
        let begins: Vec<u8> = begins.collect();
        queue.extend(begins);
        self.queue = queue;
    }

    /// A call of any kind goes through the door; says whether the provider answers it 429. Only a process that was never told calls at a
    /// closed door, and each restart costs at most a burst (G7).
    pub(super) fn passes(&mut self, run: &mut Run<'_>) -> bool {
        let open = NOW >= self.gate.told_until;
        self.requires(run, open, Law::R13, "a call while the provider's door is closed");
        self.gate.calls.push(NOW);
        let most = run.rules.allowed.0 as usize;
        let within = self.gate.calls.len() <= most;
        self.requires(run, within, Law::R13, "more calls in a window than the budget allows");
        let bursts = self.gate.deaths.len() * run.rules.burst as usize;
        let together = self.gate.calls.len() + self.gate.earlier.len() <= most + bursts;
        self.requires(run, together, Law::G7, "restarts cost more than a burst each");
        NOW < self.gate.closed_until
    }

    /// Says whether the request is answered 429.
    pub(super) fn token_passes(&mut self, run: &mut Run<'_>, waiting: &Waiting) -> bool {
        let limited = self.passes(run);
        let kept_waiting = self.gate.after_token && waiting.iter().any(|(.., served)| *served);
        self.requires(run, !kept_waiting, Law::R13, "token requests keep a pull waiting that could be sent");
        self.gate.after_token = true;
        limited
    }

    /// Confirming and routine pulls in turn while both wait; within a class, who waited longest; audits when nobody else waits. Says whether
    /// the pull is answered 429.
    pub(super) fn pull_passes(&mut self, run: &mut Run<'_>, waiting: &Waiting, case: u8) -> bool {
        let limited = self.passes(run);
        let served = || waiting.iter().filter(|(.., served)| *served);
        let Some((_, class, _)) = served().find(|(waits, ..)| *waits == case).copied() else {
            self.breaks(run, Law::R13, "a pull that nobody waits for, or without a token");
            return limited;
        };
        let first = |class| served().find(|(_, other, _)| *other == class).map(|(waits, ..)| *waits);
        let (confirming, routine) = (first(Class::Confirming), first(Class::Routine));
        self.requires(run, first(class) == Some(case), Law::R13, "a pull before one that waited longer");
        let turn = match class {
            Class::Audit => confirming.is_none() && routine.is_none(),
            Class::Confirming | Class::Routine => {
                confirming.is_none() || routine.is_none() || self.gate.last != Some(class)
            }
        };
        let what = match class {
            Class::Confirming => "a second confirming pull in a row while a routine one waits",
            Class::Routine => "a second routine pull in a row while a confirming one waits",
            Class::Audit => "an audit while others wait",
        };
        self.requires(run, turn, Law::R13, what);
        if class != Class::Audit {
            self.gate.last = Some(class);
        }
        self.gate.after_token = false;
        limited
    }

    /// The provider told this process to stay away.
    pub(super) fn closes(&mut self, span: idv_core::time::Span) {
        let until = NOW.after(span);
        self.gate.closed_until = self.gate.closed_until.max(until);
        self.gate.told_until = self.gate.told_until.max(until);
    }
}
