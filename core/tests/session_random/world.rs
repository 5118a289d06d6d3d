//! One session, a provider whose truth changes, a network and a host that do their worst, and a store that is saved when the session
//! says so. Every check is made after every move; a move that breaks one panics with its name.

mod checks;

use idv_core::evidence::{Callback, ContentDigest, Fault, FaultKind, NotReady, Outcome, Report, Verdict};
use idv_core::machine::{Cx, Disposition, Machine, Next, Step};
use idv_core::poller::{self, Class};
use idv_core::session::{Action, End, Input, Policy, Revision, Session, Snapshot};
use idv_core::time::{Instant, Span};

/// When a world begins, and where it is moved back to by [`World::normalized`].
const START: Instant = Instant::from_millis(1_000);

/// What the provider holds; `None` while it is at work.
pub(crate) type Truth = Option<(Verdict, u64)>;

/// What can happen next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Move {
    /// Time passes, and the host is busy elsewhere.
    Elapse(u32),
    /// The host wakes the session, in time or late.
    Tick,
    Grant,
    /// The provider makes its answer to this call.
    Read(u32),
    /// The answer to this call arrives: soon, late, or once more.
    Answer(u32),
    /// This call comes to nothing.
    Fail(u32, Failure),
    /// The provider changes its mind.
    Change(Truth),
    /// A callback arrives: any that the provider ever sent, or a forgery.
    Callback(Post),
    Hint(Class),
    /// The application says that it has this revision: in time, late, twice or too early.
    HandedOver(u32),
    DeadLettered(u32),
    CredentialsRefused,
    Cancel,
    OpenedAgain,
    /// The process dies now, or within the next step.
    Crash(Crash),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    TimedOut,
    Limited(u32),
    Refused,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Post {
    /// What the provider signed when its truth became number so many of its history.
    Signed(u8),
    Signal,
    Unsigned,
    Forged,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Crash {
    Now,
    /// After the next step, before its save.
    BeforeSave,
    /// After the next save, before its actions.
    AfterSave,
}

/// A pull on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Call {
    op: u32,
    /// Which truth of the history held when it was sent.
    sent: u8,
    /// Which truth its answer tells.
    read: Option<u8>,
}

/// The pull that is under way at our side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct InFlight {
    op: u32,
    /// When it is given up.
    until: Instant,
    /// The session still wants its answer: it did not end meanwhile.
    awaited: bool,
}

/// What may still happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Limits {
    pub(crate) changes: u8,
    pub(crate) truths: &'static [Truth],
    pub(crate) pulls: u8,
    pub(crate) callbacks: u8,
    pub(crate) failures: u8,
    pub(crate) crashes: u8,
    pub(crate) mistakes: u8,
    /// How late the host may wake the session.
    pub(crate) lateness: u32,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct World {
    pub(crate) session: Session,
    pub(crate) now: Instant,
    /// What the store holds, since when, and what was then `reopened_until`.
    stored: (Session, Instant, Option<Instant>),
    /// Callbacks that were recorded, in a step that was not saved (R10).
    unapplied: Vec<Post>,
    crash: Option<Crash>,
    history: Vec<Truth>,
    wire: Vec<Call>,
    in_flight: Option<InFlight>,
    /// Before this, a pull would break the cadence or a `Retry-After`.
    polite_from: Instant,
    /// By when a session that a callback has reopened must have ended again, unless the provider has something new to say.
    reopened_until: Option<Instant>,
    /// The latest pull was refused, as far as a process that died can have known.
    refused: bool,
    /// The revisions that the application saw, by number.
    seen: Vec<Revision>,
    /// The newest revision whose confirmation or dead letter is in the store.
    done: u32,
    /// Which truths were told by answers, and which by signed callbacks: a bit each.
    told: u16,
    claimed: u16,
    pub(crate) left: Limits,
}

impl World {
    pub(crate) fn new(policy: &Policy, left: Limits) -> Self {
        let session = Session::new(Cx::new(START, policy, 0));
        let mut world = Self {
            session,
            now: START,
            stored: (session, START, None),
            unapplied: Vec::new(),
            crash: None,
            history: vec![None],
            wire: Vec::new(),
            in_flight: None,
            polite_from: START,
            reopened_until: None,
            refused: false,
            seen: Vec::new(),
            done: 0,
            told: 0,
            claimed: 0,
            left,
        };
        world.step(policy, Input::Tick, 0);
        assert!(world.session.wants().is_some(), "R15: opening pulls at once");
        world
    }

    fn truth(&self) -> Truth {
        self.history[self.history.len() - 1]
    }

    fn newest(&self) -> u8 {
        self.history.len() as u8 - 1
    }

    /// How long nothing happens unless something comes from outside; at least one millisecond.
    pub(crate) fn idle(&self, policy: &Policy) -> u32 {
        match self.session.next(policy) {
            Next::At(at) => at.since(self.now).max(1) as u32,
            Next::Input | Next::Over => 1,
        }
    }

    /// Everything that can happen now, within the limits.
    pub(crate) fn moves(&self, policy: &Policy) -> Vec<Move> {
        let mut moves = Vec::new();
        match self.session.next(policy) {
            Next::At(at) if at > self.now => moves.push(Move::Elapse(1)),
            Next::At(at) => {
                moves.push(Move::Tick);
                if self.now.since(at) < self.left.lateness.into() {
                    moves.push(Move::Elapse(1));
                }
            }
            // Nothing is timed, but a pull would be too early still.
            Next::Input | Next::Over if self.now < self.polite_from => moves.push(Move::Elapse(1)),
            Next::Input | Next::Over => {}
        }
        if self.session.wants().is_some() && self.left.pulls > 0 {
            moves.push(Move::Grant);
        }
        for call in &self.wire {
            match call.read {
                None => moves.push(Move::Read(call.op)),
                Some(_) => moves.push(Move::Answer(call.op)),
            }
            if self.left.failures > 0 {
                moves.push(Move::Fail(call.op, Failure::TimedOut));
                moves.push(Move::Fail(call.op, Failure::Limited(4)));
                moves.push(Move::Fail(call.op, Failure::Refused));
            }
        }
        if self.left.changes > 0 && !matches!(self.truth(), Some((Verdict::Deleted, _))) {
            let others = self.left.truths.iter().copied().filter(|truth| *truth != self.truth());
            moves.extend(others.map(Move::Change));
        }
        if self.left.callbacks > 0 {
            moves.extend((1..=self.newest()).map(Post::Signed).map(Move::Callback));
            moves.extend([Post::Signal, Post::Unsigned, Post::Forged].map(Move::Callback));
        }
        if let Some(revision) = self.session.awaiting_hand_over() {
            moves.push(Move::HandedOver(revision.number));
            moves.push(Move::DeadLettered(revision.number));
        }
        if self.left.mistakes > 0 {
            let last = self.seen.len() as u32;
            moves.extend([0, last.saturating_sub(1), last, last + 1].map(Move::HandedOver));
            moves.push(Move::DeadLettered(last + 1));
            moves.extend([Class::Confirming, Class::Audit].map(Move::Hint));
            moves.extend([Move::Cancel, Move::CredentialsRefused, Move::OpenedAgain]);
        }
        if self.left.crashes > 0 {
            moves.extend([Crash::Now, Crash::BeforeSave, Crash::AfterSave].map(Move::Crash));
        }
        moves
    }

    pub(crate) fn apply(&mut self, policy: &Policy, next: Move, entropy: u32) {
        match next {
            Move::Elapse(by) => self.pass(policy, self.now.after(Span::millis(by))),
            Move::Tick => self.step(policy, Input::Tick, entropy),
            Move::Grant => {
                self.left.pulls -= 1;
                self.step(policy, Input::Granted, entropy);
            }
            Move::Read(op) => {
                let newest = self.newest();
                self.call(op).read = Some(newest);
            }
            Move::Answer(op) => self.answer(policy, op, entropy),
            Move::Fail(op, failure) => self.fail(policy, op, failure, entropy),
            Move::Change(truth) => {
                self.left.changes -= 1;
                self.history.push(truth);
            }
            Move::Callback(post) => {
                self.left.callbacks -= 1;
                self.callback(policy, post, entropy);
            }
            Move::Hint(class) => {
                self.left.mistakes -= 1;
                self.step(policy, Input::Hint(class), entropy);
            }
            Move::HandedOver(revision) => self.confirm(policy, revision, false, entropy),
            Move::DeadLettered(revision) => self.confirm(policy, revision, true, entropy),
            Move::CredentialsRefused => {
                self.left.mistakes -= 1;
                self.step(policy, Input::CredentialsRefused, entropy);
            }
            Move::Cancel => {
                self.left.mistakes -= 1;
                self.step(policy, Input::Cancel, entropy);
            }
            Move::OpenedAgain => {
                self.left.mistakes -= 1;
                self.step(policy, Input::OpenedAgain, entropy);
            }
            Move::Crash(Crash::Now) => {
                self.left.crashes -= 1;
                self.restart(policy, entropy);
            }
            Move::Crash(during) => {
                self.left.crashes -= 1;
                self.crash = Some(during);
            }
        }
    }

    fn pass(&mut self, policy: &Policy, to: Instant) {
        self.now = to;
        if let Some(pull) = self.in_flight.take_if(|pull| pull.until <= to) {
            self.refused = false;
            self.polite_from = pull.until.after(policy.poller.cadence());
        }
    }

    fn call(&mut self, op: u32) -> &mut Call {
        self.wire.iter_mut().find(|call| call.op == op).expect("such a call")
    }

    fn awaits(&self, op: u32) -> bool {
        self.in_flight.is_some_and(|pull| pull.op == op && pull.awaited)
    }

    /// Deadline and grace have not passed, whether the host has noticed or not.
    fn in_time(&self, policy: &Policy) -> bool {
        let limit = self.session.poller().bound().map(|bound| bound.after(policy.poller.grace()));
        limit.is_none_or(|limit| self.now < limit)
    }

    /// The call is over at our side.
    fn completed(&mut self, policy: &Policy, op: u32, silence: Option<u32>) {
        let wait = policy.poller.cadence().max(Span::millis(silence.unwrap_or(1)));
        if self.in_flight.take_if(|pull| pull.op == op).is_some() {
            self.refused = false;
            self.polite_from = self.now.after(wait);
        } else if self.in_flight.is_none() && self.lives(policy) {
            // It was given up before, and ended only now.
            self.polite_from = self.polite_from.max(self.now.after(wait));
        }
    }

    /// It has not ended, once it has noticed what time it is.
    fn lives(&self, policy: &Policy) -> bool {
        let mut session = self.session;
        let _: Step<_> = session.step(Cx::new(self.now, policy, 0), Input::Tick);
        session.end().is_none()
    }

    fn answer(&mut self, policy: &Policy, op: u32, entropy: u32) {
        let call = *self.call(op);
        let told = call.read.expect("an answer that was made");
        let outcome = match self.history[told as usize] {
            None => Outcome::NotReady(NotReady::Documented),
            Some((verdict, content)) => Outcome::Report(report(verdict, content)),
        };
        let awaited = self.awaits(op) && self.in_time(policy);
        let dying = self.crash.is_some();
        self.told |= 1 << told;
        self.completed(policy, op, None);
        self.step(policy, Input::Pulled { op, outcome }, entropy);
        // G1: its truth holds since before the call was sent, and the call was answered in time.
        if let Some((verdict, content)) = self.history[told as usize]
            && awaited
            && !dying
            && call.sent == self.newest()
        {
            let known = self.session.verdict() == Some(verdict)
                && self.session.content() == Some(ContentDigest(content));
            assert!(
                known || self.session.poller().is_demanded(),
                "G1: an answer in time was neither taken nor asked for again"
            );
        }
    }

    fn fail(&mut self, policy: &Policy, op: u32, failure: Failure, entropy: u32) {
        self.left.failures -= 1;
        let (outcome, silence) = match failure {
            Failure::TimedOut => (fault(FaultKind::TimedOut, None), None),
            Failure::Limited(millis) => {
                (fault(FaultKind::RateLimited, Some(Span::millis(millis))), Some(millis))
            }
            Failure::Refused => (Outcome::Refused, None),
        };
        // Who dies before it has saved what it was told may forget it. What comes after the end is stale to the session; the fleet closes
        // the door for it.
        let heard = self.awaits(op) && self.in_time(policy);
        let silence = silence.filter(|_| heard && self.crash != Some(Crash::BeforeSave));
        let (before, refused) = (self.session.poller().end(), self.refused);
        let counts = failure == Failure::Refused && self.awaits(op);
        self.completed(policy, op, silence);
        self.refused |= counts;
        self.step(policy, Input::Pulled { op, outcome }, entropy);
        if before.is_none() && self.session.poller().end() == Some(poller::End::Refused) {
            assert!(counts && refused, "R14: ended at a refusal that was not the second in a row");
        }
    }

    fn callback(&mut self, policy: &Policy, post: Post, entropy: u32) {
        let callback = match post {
            Post::Signed(nth) => {
                self.claimed |= 1 << nth;
                match self.history[nth as usize] {
                    Some((verdict, content)) => Callback::Signed(report(verdict, content)),
                    None => Callback::SignedSignal,
                }
            }
            Post::Signal => Callback::SignedSignal,
            Post::Unsigned => Callback::Unsigned,
            Post::Forged => Callback::WrongSignature,
        };
        if self.crash == Some(Crash::BeforeSave) && post != Post::Forged {
            // Recorded before it was stepped (R10).
            self.unapplied.push(post);
        }
        let dying = self.crash.is_some();
        self.step(policy, Input::Callback(callback), entropy);
        let deleted = self.session.end() == Some(End::Deleted);
        assert!(dying || deleted || self.session.poller().is_demanded(), "R3: a callback demands a pull");
    }

    fn confirm(&mut self, policy: &Policy, revision: u32, dead: bool, entropy: u32) {
        let awaited = self.session.awaiting_hand_over().map(|awaited| awaited.number);
        if awaited == Some(revision) {
            // The application's word is in the store before the session hears it; a dead letter is not.
            if !dead || self.crash != Some(Crash::BeforeSave) {
                self.done = revision;
            }
        } else {
            self.left.mistakes -= 1;
        }
        let before = self.session;
        let dying = self.crash.is_some();
        self.step(
            policy,
            if dead { Input::DeadLettered { revision } } else { Input::HandedOver { revision } },
            entropy,
        );
        if awaited != Some(revision) && !dying {
            assert_eq!(
                self.session.last_revision(),
                before.last_revision(),
                "R6: a confirmation carries its number"
            );
            assert_eq!(self.session.awaiting_hand_over(), before.awaiting_hand_over());
        }
    }

    fn step(&mut self, policy: &Policy, input: Input, entropy: u32) {
        let before = self.session;
        let step = self.session.step(Cx::new(self.now, policy, entropy), input);
        assert_eq!(step.next, self.session.next(policy));
        if let Next::At(at) = step.next {
            assert!(at > self.now, "a wake-up in the past: a spin");
        }
        if step.disposition != Disposition::Applied {
            let mut ticked = before;
            let tick = ticked.step(Cx::new(self.now, policy, entropy), Input::Tick);
            assert_eq!(
                (ticked, tick.actions),
                (self.session, step.actions),
                "an input that does not count changed something"
            );
        }
        let ended = step.actions.iter().any(|action| matches!(action, Action::Ended { .. }));
        if ended || !self.session.is_reopened() {
            self.reopened_until = None;
        }
        if let Input::Callback(callback) = input
            && self.session.is_reopened()
        {
            let vouched = matches!(callback, Callback::Signed(_) | Callback::SignedSignal);
            let sends = self.session.poller().next_pull().map_or(self.now, |at| at.max(self.now));
            let bound = if vouched { sends.max(self.now.after(policy.poller.deadline())) } else { sends };
            let until = bound.after(policy.poller.grace());
            let longer = self.reopened_until.is_none_or(|before| vouched && before < until);
            self.reopened_until = if longer { Some(until) } else { self.reopened_until };
        }
        let lives = |session: &Session| session.is_open() || session.is_settled();
        let knows = |session: &Session| (session.verdict(), session.content());
        if lives(&self.session) && !lives(&before) && input != Input::OpenedAgain {
            assert_ne!(
                knows(&self.session),
                knows(&before),
                "R8: it lives on, and the provider said nothing new"
            );
        }
        match self.crash.take() {
            Some(Crash::BeforeSave) => return self.restart(policy, entropy),
            Some(Crash::AfterSave) => {
                self.stored = (self.session, self.now, self.reopened_until);
                return self.restart(policy, entropy);
            }
            Some(Crash::Now) | None => {}
        }
        if !self.session.same_knowledge(&before) {
            self.stored = (self.session, self.now, self.reopened_until);
        }
        if let Some(pull) = &mut self.in_flight {
            pull.awaited &= !ended && self.session.end().is_none();
        }
        for action in step.actions {
            self.perform(policy, action);
        }
        self.check(policy);
    }

    fn perform(&mut self, policy: &Policy, action: Action) {
        match action {
            Action::Ask { class } => {
                assert_eq!(self.session.wants(), Some(class), "asks for what it does not want")
            }
            Action::Pull { op, within } => {
                assert_eq!(self.in_flight, None, "G7: two pulls of one session in flight");
                assert!(self.now >= self.polite_from, "G7: faster than the cadence or a Retry-After allows");
                assert!(self.wire.iter().all(|call| call.op < op), "a number of a pull was used twice");
                assert!(within <= policy.poller.patience());
                self.in_flight =
                    Some(InFlight { op, until: self.now.after(policy.poller.patience()), awaited: true });
                self.wire.push(Call { op, sent: self.newest(), read: None });
            }
            Action::Keep { content } => assert_eq!(self.session.content(), Some(content)),
            Action::HandOver(revision) => self.hand_over(policy, revision),
            Action::Ended { .. } => {}
        }
    }

    /// The process dies, and another one takes over what the store holds.
    fn restart(&mut self, policy: &Policy, entropy: u32) {
        let (stored, saved, reopened_until) = self.stored;
        let text =
            serde_json::to_string(&Snapshot::new(stored, saved, saved.as_millis())).expect("serialises");
        let snapshot: Snapshot = serde_json::from_str(&text).expect("deserialises");
        self.session = snapshot.restore(self.now, self.now.as_millis()).expect("this layout");
        assert_eq!(self.session, stored, "G9: the snapshot is another state");
        // Calls die with the process, and so does what the session may have known of them.
        self.wire.clear();
        if self.in_flight.take().is_some() {
            self.polite_from = self.polite_from.max(self.now.after(policy.poller.cadence()));
        }
        self.refused = true;
        let confirmed = self.done;
        let restored = self.session.step(Cx::new(self.now, policy, entropy), Input::Restored);
        self.reopened_until = reopened_until.filter(|_| self.session.is_reopened());
        self.stored = (self.session, self.now, self.reopened_until);
        for action in restored.actions {
            match action {
                Action::HandOver(revision) if revision.number <= confirmed => {}
                other => self.perform(policy, other),
            }
        }
        if confirmed > 0 {
            self.step(policy, Input::HandedOver { revision: confirmed }, entropy);
        }
        for post in std::mem::take(&mut self.unapplied) {
            self.callback(policy, post, entropy);
        }
        self.check(policy);
    }
}

fn report(verdict: Verdict, content: u64) -> Report {
    Report { verdict: Some(verdict), content: ContentDigest(content) }
}

fn fault(kind: FaultKind, retry_after: Option<Span>) -> Outcome {
    Outcome::Failed(Fault { kind, retry_after })
}
