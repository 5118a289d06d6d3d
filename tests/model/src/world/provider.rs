//! The provider's truth, and the pulls on their way.

use super::{Failure, Fate, NOW, Run, Truth, World};
use crate::law::Law;
use crate::story::Who;
use idv_core::evidence::{Fault, FaultKind, NotReady, Outcome};
use idv_core::session::Input;
use idv_core::time::{Instant, Span};

const HISTORY: usize = 6;

/// What the provider holds and held.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Provider {
    history: [Truth; HISTORY],
    newest: u8,
    /// What pulls are answered from: behind the newest while a replica lags.
    visible: u8,
    /// When the replica has caught up, at the latest.
    pub(super) catch_up: Option<Instant>,
}

impl Provider {
    pub(super) const fn new() -> Self {
        Self { history: [Truth::Pending; HISTORY], newest: 0, visible: 0, catch_up: None }
    }

    pub(super) fn truth(&self) -> Truth {
        self.at(self.newest)
    }

    pub(super) const fn newest(&self) -> u8 {
        self.newest
    }

    pub(super) const fn visible(&self) -> u8 {
        self.visible
    }

    pub(super) fn at(&self, nth: u8) -> Truth {
        self.history[usize::from(nth)]
    }

    pub(super) fn history(&self) -> &[Truth] {
        &self.history[..=usize::from(self.newest)]
    }

    pub(super) const fn has_room(&self) -> bool {
        (self.newest as usize) + 1 < HISTORY
    }

    pub(super) fn changes(&mut self, truth: Truth, lag: u8) {
        self.newest += 1;
        self.history[usize::from(self.newest)] = truth;
        match Span::from_millis(lag.into()) {
            Some(lag) => self.catch_up = Some(NOW.after(lag)),
            None => self.visible = self.newest,
        }
    }

    pub(super) fn catches_up(&mut self) {
        self.visible = self.newest;
        self.catch_up = None;
    }
}

/// A pull on its way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Call {
    pub(super) op: u8,
    /// Which truth could be seen when it was sent; its answer tells that one or a later one.
    pub(super) sent: u8,
    /// Evidence was adopted after it was sent: its answer does not count (R1).
    pub(super) superseded: bool,
}

/// The pull that is under way at our side.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct InFlight {
    pub(super) op: u8,
    /// When it is given up.
    pub(super) until: Instant,
}

impl World {
    pub(super) fn call(&mut self, op: u8) -> Option<&mut Call> {
        self.wire.iter_mut().flatten().find(|call| call.op == op)
    }

    /// A pull is sent. The network keeps so many; an older one is lost.
    pub(super) fn sends(&mut self, run: &mut Run<'_>, op: u8) {
        let (keeps, sent) = (run.rules.wire, self.provider.visible());
        if self.wire[..keeps].iter().all(Option::is_some) {
            self.wire[..keeps].rotate_left(1);
            self.wire[keeps - 1] = None;
        }
        if let Some(free) = self.wire[..keeps].iter_mut().find(|slot| slot.is_none()) {
            *free = Some(Call { op, sent, superseded: false });
        }
    }

    pub(super) fn lose(&mut self, op: u8) {
        for slot in &mut self.wire {
            slot.take_if(|call| call.op == op);
        }
        // In the order of sending, without gaps.
        self.wire.sort_by_key(|slot| slot.map_or(u8::MAX, |call| call.op));
    }

    /// The call is over at our side.
    fn over(&mut self, run: &Run<'_>, op: u8, silence: Option<Span>) {
        if self.in_flight.take_if(|pull| pull.op == op).is_some() {
            let cadence = run.rules.session(self.evidence).poller.cadence();
            self.polite_from = NOW.after(silence.map_or(cadence, |silence| cadence.max(silence)));
        }
    }

    pub(super) fn answers(&mut self, run: &mut Run<'_>, (op, nth): (u8, u8), fate: Fate, again: bool) {
        let truth = self.provider.at(nth);
        run.tell(Who::Provider, Who::Session, || format!("answers pull {op}: {truth:?}"));
        self.over(run, op, None);
        let outcome = truth.report().map_or(Outcome::NotReady(NotReady::Documented), Outcome::Report);
        self.step(run, Input::Pulled { op: op.into(), outcome }, fate, None, Law::R1);
        if again {
            self.left.repetitions -= 1;
        } else {
            self.lose(op);
        }
    }

    pub(super) fn fails(&mut self, run: &mut Run<'_>, op: u8, failure: Failure, fate: Fate) {
        self.left.failures -= 1;
        run.tell(Who::Provider, Who::Session, || format!("pull {op} fails: {failure:?}"));
        let fault = |kind, retry_after| Outcome::Failed(Fault { kind, retry_after });
        let (outcome, silence) = match failure {
            Failure::NoAnswer => (fault(FaultKind::TimedOut, None), None),
            Failure::Limited(millis) => {
                let silence = Some(Span::millis(millis.into()));
                (fault(FaultKind::RateLimited, silence), silence)
            }
            Failure::Refused => (Outcome::Refused, None),
        };
        // Who dies before it has saved what it was told may forget it, and who ended just now: then the fleet's door stays closed.
        let heard = fate != Fate::DiesBeforeSave && self.on_time(run).poller().in_flight() == Some(op.into());
        self.over(run, op, silence.filter(|_| heard));
        self.step(run, Input::Pulled { op: op.into(), outcome }, fate, None, Law::R3);
        if failure != Failure::NoAnswer {
            self.lose(op);
        }
    }
}
