//! One verification at one provider: joins pulls and callbacks, and hands each revision over once (rules R1-R12).
//!
//! ```text
//!                     a settling verdict adopted
//!            ┌─────────────────────────────────────────▶ Settled ──┐ watch over, cancelled,
//!   Open ────┤                                                     │ deleted, refused
//!            └── deadline and grace over, refused ──▶ Ended ◀───────┘
//!                twice, cancelled, deleted            │  ▲
//!                                          a callback │  │ answered, and nothing new; or no answer in time
//!                                                     ▼  │
//!                                                  Reopened ── the answer shows something new ──▶ Open, Settled
//! ```
//!
//! **Fence and demand.** Pulls are numbered. Adopting evidence raises the *fence* to the next number: an answer counts only if its pull was
//! sent after the last adopted evidence arrived (R1), so a late answer never rolls anything back. A hint raises the *need* to the next number:
//! only a counted answer to a pull sent after the hint satisfies it (R3).
//!
//! **Revisions.** One is made when the adopted verdict or content differs from the latest revision's (R5), and one is handed over at a time
//! (R6): newer evidence waits in a single slot, so a change and its reversal meanwhile is no revision. The hand-over goes on after the
//! end until it is confirmed or dead.
//!
//! An ended session is its own tombstone: verdict, digest, fence, need and the last number stay, so that no number is used twice (R8).
//!
//! **Reopening.** A callback to an ended session buys an answer, and no new deadline: anybody may post one, and a genuine one can be replayed
//! for ever, so what a callback alone could prolong would never end. What it buys:
//!
//! - Unsigned or wrongly signed, it is taken as if it had come just before the deadline: its pull is finished within the grace (R12), counted
//!   from when the cadence or a `Retry-After` lets it go. So after a botched rotation of secrets the verdict still arrives (R16): each of the
//!   provider's retries, answered 401, hints again.
//! - Signed, it may be confirmed for a whole deadline, an outage of the provider included, for it was answered 200 and will not come again;
//!   and it counts as a change signal (R9): something happened since the end, so that an answer that shows nothing new is asked for again.
//!
//! Nothing else is pulled meanwhile, neither routine nor audit. Once the hint is answered, the answer decides. Something new, which only the
//! provider can bring about, makes the session live on: open until a new deadline, or settled and watched. Otherwise it ends again, as it had
//! ended.

mod interface;
mod snapshot;
mod table;

pub use interface::{Action, End, EvidencePolicy, Input, Policy, Revision};
pub use snapshot::Snapshot;

use crate::evidence::{Callback, ContentDigest, Evidence, Outcome, Report, Verdict};
use crate::machine::{Actions, Cx, Disposition, Machine, Next, Step};
use crate::poller::{self, Class, Poller, Then};
use crate::time::Instant;
use serde::{Deserialize, Serialize};

/// The state of one verification: 64 bytes, `Copy`, and its own snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Session {
    poller: Poller,
    /// The content of the newest adopted verdict, and of the latest revision.
    latest_content: ContentDigest,
    issued_content: ContentDigest,
    /// An answer counts if its pull's number is at least this (R1).
    fence: u32,
    /// A counted answer from this number on satisfies the latest hint; zero when none is open (R3).
    need: u32,
    /// The number of the latest revision; zero before the first.
    revision: u32,
    latest_verdict: Option<Verdict>,
    issued_verdict: Option<Verdict>,
    hand_over: HandOver,
    phase: Phase,
}

const _: () = assert!(size_of::<Session>() == 64);

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
enum Phase {
    Open,
    Settled,
    Ended(End),
}

/// What became of the latest revision.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
enum HandOver {
    /// There is no revision yet, or the latest one is confirmed or dead.
    Done,
    /// Issued, and the application has not confirmed it.
    Awaited(Origin),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
enum Origin {
    Pulled,
    /// The same verdict as the revision before, with other content.
    PulledChange,
    Signed,
}

/// The most actions that one step makes: a session ends at its deadline, and in the same step a signed callback that is trusted reopens
/// it (`Ended`, `Keep`, `HandOver`, `Ask`).
pub const MAX_ACTIONS: usize = 4;

type List = Actions<Action, MAX_ACTIONS>;

impl Session {
    /// A new session. Its first pull is due at once: step it with a tick.
    #[must_use]
    pub const fn new(cx: Cx<'_, Policy>) -> Self {
        Self {
            poller: Poller::new(Cx { now: cx.now, policy: &cx.policy.poller, entropy: cx.entropy }),
            latest_content: ContentDigest(0),
            issued_content: ContentDigest(0),
            fence: 1,
            need: 0,
            revision: 0,
            latest_verdict: None,
            issued_verdict: None,
            hand_over: HandOver::Done,
            phase: Phase::Open,
        }
    }

    /// Whether it waits for its first settling verdict.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// Whether it had ended, and a callback has reopened it for an answer (R8).
    #[must_use]
    pub const fn is_reopened(&self) -> bool {
        matches!(self.phase, Phase::Ended(_)) && self.poller.end().is_none()
    }

    /// The newest adopted verdict.
    #[must_use]
    pub const fn verdict(&self) -> Option<Verdict> {
        self.latest_verdict
    }

    /// The content of the newest adopted verdict.
    #[must_use]
    pub const fn content(&self) -> Option<ContentDigest> {
        match self.latest_verdict {
            Some(_) => Some(self.latest_content),
            None => None,
        }
    }

    /// Puts others in the place of the digests of contents, for a trace that is shown.
    pub(crate) fn map_contents(&mut self, mut f: impl FnMut(ContentDigest) -> ContentDigest) {
        self.latest_content = f(self.latest_content);
        self.issued_content = f(self.issued_content);
    }

    /// The latest revision, confirmed or not.
    #[must_use]
    pub const fn last_revision(&self) -> Option<(u32, Verdict, ContentDigest)> {
        match self.issued_verdict {
            Some(verdict) => Some((self.revision, verdict, self.issued_content)),
            None => None,
        }
    }

    /// The revision that the application has not confirmed yet.
    #[must_use]
    pub const fn awaiting_hand_over(&self) -> Option<Revision> {
        let (HandOver::Awaited(origin), Some(verdict)) = (self.hand_over, self.issued_verdict) else {
            return None;
        };
        Some(Revision {
            number: self.revision,
            verdict,
            content: self.issued_content,
            evidence: match origin {
                Origin::Pulled | Origin::PulledChange => Evidence::Pulled,
                Origin::Signed => Evidence::Signed,
            },
            data_changed: matches!(origin, Origin::PulledChange),
        })
    }

    /// Whether a settling verdict is known and the session still watches.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        matches!(self.phase, Phase::Settled)
    }

    /// How it ended, once it has and while nothing has reopened it.
    #[must_use]
    pub const fn end(&self) -> Option<End> {
        match self.phase {
            Phase::Ended(end) if self.poller.end().is_some() => Some(end),
            Phase::Open | Phase::Settled | Phase::Ended(_) => None,
        }
    }

    /// Whether it has ended and nothing of it is left to hand over: a tombstone (R8).
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.end().is_some() && matches!(self.hand_over, HandOver::Done)
    }

    /// The class in which permission for a pull is being asked for, while it is.
    #[must_use]
    pub const fn wants(&self) -> Option<Class> {
        self.poller.wants()
    }

    /// The child that decides when to pull.
    #[must_use]
    pub const fn poller(&self) -> &Poller {
        &self.poller
    }

    /// Whether the two differ at most in the routine of pulls: its schedule and its numbers, which a restored session makes anew. Only a
    /// step that changes more than that must be saved before its actions are performed (G9).
    #[must_use]
    pub fn same_knowledge(&self, other: &Self) -> bool {
        // Whether there is a need, the poller's demand says too.
        let routine = Self { poller: other.poller, fence: other.fence, need: other.need, ..*self };
        routine == *other && self.poller.same_knowledge(&other.poller)
    }

    fn next_op(&self) -> u32 {
        self.poller.next_op()
    }

    /// Steps the child and translates what it asks for, but for permission: one step of ours may take several of the child's, and asks
    /// once, at its end.
    fn poll(&mut self, cx: Cx<'_, Policy>, input: poller::Input, actions: &mut List) -> Disposition {
        let step = self.poller.step(cx.with(&cx.policy.poller), input);
        for action in step.actions {
            match action {
                poller::Action::Ask { .. } => {}
                poller::Action::Pull { op, within } => actions.push(Action::Pull { op, within }),
                poller::Action::Ended(end) => self.ended(end, actions),
            }
        }
        if self.poller.is_demanded() && self.need == 0 {
            // A change signal whose pull showed nothing new demands another one (R9).
            self.need = self.next_op();
        }
        step.disposition
    }

    fn ended(&mut self, end: poller::End, actions: &mut List) {
        let end = match (end, self.phase) {
            (poller::End::Elapsed, Phase::Open) => End::Expired,
            (poller::End::Elapsed, Phase::Settled) => End::Watched,
            // Reopened in vain: it ends as it had ended.
            (poller::End::Elapsed, Phase::Ended(before)) => before,
            (poller::End::Refused, _) => End::Refused,
            (poller::End::Stopped, _) => End::Cancelled,
        };
        self.end_as(end, actions);
    }

    fn end_as(&mut self, end: End, actions: &mut List) {
        self.phase = Phase::Ended(end);
        actions.push(Action::Ended { end, unconfirmed: self.need != 0 });
    }

    /// Takes evidence over as the newest knowledge (R1); says whether it shows anything new.
    fn adopt(
        &mut self,
        cx: Cx<'_, Policy>,
        report: Option<Report>,
        evidence: Evidence,
        actions: &mut List,
    ) -> bool {
        self.fence = self.next_op();
        let Some((verdict, content)) = report.and_then(|report| Some((report.verdict?, report.content)))
        else {
            return false;
        };
        let news = self.latest_verdict != Some(verdict) || self.latest_content != content;
        if news {
            self.latest_verdict = Some(verdict);
            self.latest_content = content;
            actions.push(Action::Keep { content });
            if self.is_reopened() {
                self.phase = Phase::Open;
                self.poller.revive(cx.with(&cx.policy.poller));
            }
        }
        self.issue(evidence, actions);
        if matches!(self.phase, Phase::Open) && verdict.settles() {
            self.phase = Phase::Settled;
        }
        news
    }

    /// Makes the next revision, if the newest verdict differs from the latest one's and none is awaited (R5, R6).
    fn issue(&mut self, evidence: Evidence, actions: &mut List) {
        let differs =
            self.latest_verdict != self.issued_verdict || self.latest_content != self.issued_content;
        if self.hand_over != HandOver::Done || self.latest_verdict.is_none() || !differs {
            return;
        }
        let origin = match evidence {
            Evidence::Signed => Origin::Signed,
            Evidence::Pulled | Evidence::Unsigned if self.latest_verdict == self.issued_verdict => {
                Origin::PulledChange
            }
            Evidence::Pulled | Evidence::Unsigned => Origin::Pulled,
        };
        self.revision = self.revision.saturating_add(1);
        self.issued_verdict = self.latest_verdict;
        self.issued_content = self.latest_content;
        self.hand_over = HandOver::Awaited(origin);
        if let Some(revision) = self.awaiting_hand_over() {
            actions.push(Action::HandOver(revision));
        }
    }

    /// What the poller has to do after evidence was adopted and `need` brought up to date.
    fn plan(&self, news: bool) -> Then {
        match (self.need, self.phase) {
            (0, Phase::Open | Phase::Ended(_)) => Then::Rest { news },
            (0, Phase::Settled) => Then::Watch { news },
            (_, _) => Then::Demand { news },
        }
    }

    /// After the provider said `deleted`, nothing follows.
    fn delete(&mut self, actions: &mut List) {
        self.phase = Phase::Ended(End::Deleted);
        actions.push(Action::Ended { end: End::Deleted, unconfirmed: false });
    }

    fn hint(&mut self, cx: Cx<'_, Policy>, class: Class, signal: bool, actions: &mut List) -> Disposition {
        self.need = self.next_op();
        self.poll(cx, poller::Input::Hint { class, signal }, actions)
    }

    fn pulled(&mut self, cx: Cx<'_, Policy>, op: u32, outcome: Outcome, actions: &mut List) -> Disposition {
        if op == 0 || op > self.poller.last_op() {
            return Disposition::Illegal;
        }
        if self.end().is_some() {
            return Disposition::Stale;
        }
        let report = match outcome {
            Outcome::Report(report) => Some(report),
            Outcome::NotReady(_) => None,
            Outcome::Refused => return self.poll(cx, poller::Input::Refused { op }, actions),
            Outcome::Failed(fault) => {
                return self.poll(cx, poller::Input::Failed { op, retry_after: fault.retry_after }, actions);
            }
        };
        if op < self.fence {
            // Its pull was sent before what we know arrived: it may be older, so it only hints (R1).
            self.hint(cx, Class::Confirming, false, actions);
            self.poll(cx, poller::Input::Answered { op, then: Then::Demand { news: false } }, actions);
            return Disposition::Applied;
        }
        let news = self.adopt(cx, report, Evidence::Pulled, actions);
        if op >= self.need {
            self.need = 0;
        }
        if report.is_some_and(|report| report.verdict == Some(Verdict::Deleted)) {
            self.delete(actions);
            self.poll_ended(cx, poller::Input::Answered { op, then: Then::Demand { news: false } });
            return Disposition::Applied;
        }
        if matches!(self.phase, Phase::Settled) && !matches!(self.plan(news), Then::Watch { .. }) {
            // Settled, but a hint is still open: the deadline no longer applies, the demand does.
            self.poll(cx, poller::Input::Settled, actions);
        }
        self.poll(cx, poller::Input::Answered { op, then: self.plan(news) }, actions)
    }

    /// Ends the child together with the session, which has said so already.
    fn poll_ended(&mut self, cx: Cx<'_, Policy>, completion: poller::Input) {
        let cx = cx.with(&cx.policy.poller);
        let _: Step<_> = self.poller.step(cx, completion);
        let _: Step<_> = self.poller.step(cx, poller::Input::Stop);
    }

    fn callback(&mut self, cx: Cx<'_, Policy>, callback: Callback, actions: &mut List) -> Disposition {
        let (class, vouched) = match callback {
            Callback::Signed(_) | Callback::SignedHint | Callback::SignedSignal => (Class::Confirming, true),
            Callback::Unsigned => (Class::Confirming, false),
            Callback::WrongSignature => (Class::Audit, false),
        };
        self.poller.reopen(cx.with(&cx.policy.poller), class, vouched);
        if let Callback::Signed(report) = callback
            && cx.policy.evidence == EvidencePolicy::TrustSigned
            && self.latest_verdict.is_none()
            && report.verdict.is_some()
        {
            self.adopt(cx, Some(report), Evidence::Signed, actions);
            if report.verdict == Some(Verdict::Deleted) {
                self.delete(actions);
                self.poll_ended(cx, poller::Input::Tick);
                return Disposition::Applied;
            }
            if self.is_settled() {
                self.poll(cx, poller::Input::Settled, actions);
            }
        }
        let signal = callback == Callback::SignedSignal || (vouched && self.is_reopened());
        self.hint(cx, class, signal, actions)
    }

    /// The application opens it once more: after the end it begins anew, numbers going on, and it is looked at in any case.
    fn open_again(&mut self, cx: Cx<'_, Policy>, actions: &mut List) -> Disposition {
        self.poller.reopen(cx.with(&cx.policy.poller), Class::Confirming, true);
        if self.is_reopened() {
            self.phase = Phase::Open;
            self.poller.revive(cx.with(&cx.policy.poller));
            if self.latest_verdict.is_some_and(Verdict::settles) {
                self.phase = Phase::Settled;
                self.poll(cx, poller::Input::Settled, actions);
            }
        }
        self.hint(cx, Class::Confirming, false, actions)
    }

    fn created(&mut self, cx: Cx<'_, Policy>, report: Report, actions: &mut List) -> Disposition {
        if self.end().is_some() || self.poller.last_op() != 0 || self.latest_verdict.is_some() {
            // Knowledge has arrived by another road meanwhile; the reply may be older.
            return self.hint_unless_ended(cx, Class::Confirming, actions);
        }
        self.adopt(cx, Some(report), Evidence::Pulled, actions);
        if report.verdict == Some(Verdict::Deleted) {
            self.delete(actions);
            self.poll_ended(cx, poller::Input::Tick);
            return Disposition::Applied;
        }
        if self.is_settled() {
            self.poll(cx, poller::Input::Settled, actions);
        }
        Disposition::Applied
    }

    fn hint_unless_ended(&mut self, cx: Cx<'_, Policy>, class: Class, actions: &mut List) -> Disposition {
        if self.end().is_some() { Disposition::NoOp } else { self.hint(cx, class, false, actions) }
    }

    fn confirmed(&mut self, revision: u32, actions: &mut List) -> Disposition {
        if revision == 0 || revision > self.revision {
            return Disposition::Illegal;
        }
        if revision < self.revision {
            return Disposition::Stale;
        }
        if self.hand_over == HandOver::Done {
            return Disposition::NoOp;
        }
        self.hand_over = HandOver::Done;
        self.issue(Evidence::Pulled, actions);
        Disposition::Applied
    }

    fn refuse(&mut self, cx: Cx<'_, Policy>, actions: &mut List) -> Disposition {
        if self.end().is_some() {
            return Disposition::NoOp;
        }
        self.end_as(End::Refused, actions);
        self.poll_ended(cx, poller::Input::Tick);
        Disposition::Applied
    }

    fn restored(&mut self, cx: Cx<'_, Policy>, actions: &mut List) -> Disposition {
        let disposition = self.poll(cx, poller::Input::Restored, actions);
        match self.awaiting_hand_over() {
            Some(revision) => {
                actions.push(Action::HandOver(revision));
                Disposition::Applied
            }
            None => disposition,
        }
    }
}

impl Machine for Session {
    type Policy = Policy;
    type Input = Input;
    type Action = Action;
    type Actions = List;

    const TICK: Input = Input::Tick;

    fn step(&mut self, cx: Cx<'_, Policy>, input: Input) -> Step<List> {
        let mut actions = List::NONE;
        let asked = self.wants();
        // Deadlines that decide an outcome come before the input: at the deadline an input is late.
        let passed = self.poller.pass_deadlines(cx.with(&cx.policy.poller));
        if passed && let Some(end) = self.poller.end() {
            self.ended(end, &mut actions);
        }
        let taken = match input {
            Input::Tick => Disposition::NoOp,
            Input::Granted => self.poll(cx, poller::Input::Granted, &mut actions),
            Input::Pulled { op, outcome } => self.pulled(cx, op, outcome, &mut actions),
            Input::Created(report) => self.created(cx, report, &mut actions),
            Input::Callback(callback) => self.callback(cx, callback, &mut actions),
            Input::Hint(class) => self.hint_unless_ended(cx, class, &mut actions),
            Input::HandedOver { revision } | Input::DeadLettered { revision } => {
                self.confirmed(revision, &mut actions)
            }
            Input::CredentialsRefused => self.refuse(cx, &mut actions),
            Input::OpenedAgain => self.open_again(cx, &mut actions),
            Input::Cancel if self.end().is_some() => Disposition::NoOp,
            Input::Cancel => self.poll(cx, poller::Input::Stop, &mut actions),
            Input::Restored => self.restored(cx, &mut actions),
        };
        // Timers that are due run whatever became of the input.
        let ticked = self.poll(cx, poller::Input::Tick, &mut actions);
        if let Some(class) = self.wants()
            && asked != Some(class)
        {
            actions.push(Action::Ask { class });
        }
        let disposition = match input {
            Input::Tick if passed => Disposition::Applied,
            Input::Tick => ticked,
            Input::Granted
            | Input::Pulled { .. }
            | Input::Created(_)
            | Input::Callback(_)
            | Input::Hint(_)
            | Input::HandedOver { .. }
            | Input::DeadLettered { .. }
            | Input::CredentialsRefused
            | Input::OpenedAgain
            | Input::Cancel
            | Input::Restored => taken,
        };
        Step { actions, next: self.next(cx.policy), disposition }
    }

    fn next(&self, policy: &Policy) -> Next {
        match (self.poller.next(&policy.poller), self.hand_over) {
            (Next::Over, HandOver::Awaited(_)) => Next::Input,
            (next, HandOver::Done | HandOver::Awaited(_)) => next,
        }
    }

    fn outstanding(&self, policy: &Policy) -> List {
        let mut actions = List::NONE;
        for action in self.poller.outstanding(&policy.poller) {
            match action {
                poller::Action::Ask { class } => actions.push(Action::Ask { class }),
                poller::Action::Pull { op, within } => actions.push(Action::Pull { op, within }),
                poller::Action::Ended(_) => {}
            }
        }
        if let Some(revision) = self.awaiting_hand_over() {
            actions.push(Action::HandOver(revision));
        }
        actions
    }

    fn map_times(&mut self, f: impl FnMut(Instant) -> Instant) {
        self.poller.map_times(f);
    }
}
