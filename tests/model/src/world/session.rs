//! The session among its host, its store and its application, and what must hold of every step.

use super::provider::InFlight;
use super::{Call, Fate, NOW, Run, Saved, Seen, Truth, World};
use crate::law::Law;
use crate::rules::Sabotage;
use crate::story::Who;
use idv_core::evidence::{Callback, Evidence, Outcome, Report, Verdict};
use idv_core::machine::{Cx, Disposition, Machine, Next, Step};
use idv_core::poller::{self, Class};
use idv_core::session::{Action, End, EvidencePolicy, Input, Policy, Revision, Session, Snapshot};
use idv_core::time::Span;

/// What a plain reading of the rules expects of an input.
struct Expected {
    /// Evidence is adopted: the fence rises (R1).
    adopts: bool,
    /// What is known afterwards.
    known: Option<Report>,
    /// There is one more reason to pull.
    hints: bool,
    /// It is a signal.
    signal: bool,
    /// It satisfies the newest hint (R3).
    satisfies: bool,
    /// It shows something new.
    news: bool,
}

/// Open or settled: neither ended, nor reopened for an answer.
fn lives(session: &Session) -> bool {
    session.is_open() || session.is_settled()
}

fn known(session: &Session) -> Option<Report> {
    let (verdict, content) = (session.verdict()?, session.content()?);
    Some(Report { verdict: Some(verdict), content })
}

impl World {
    /// What an input must come to, read from the rules and from what happened so far, not from the session. `before` is the session with
    /// its deadlines passed.
    fn expects(&self, before: &Session, input: Input) -> Expected {
        let nothing = Expected {
            adopts: false,
            known: known(before),
            hints: false,
            signal: false,
            satisfies: false,
            news: false,
        };
        let hint = Expected { hints: true, known: known(before), ..nothing };
        let news =
            |report: Option<Report>| report.filter(|report| report.verdict.is_some()).or(known(before));
        let ended = before.end().is_some();
        match input {
            Input::Pulled { .. } | Input::Hint(_) | Input::Created(_) if ended => nothing,
            Input::Pulled { op, outcome: Outcome::Report(_) | Outcome::NotReady(_) }
                if self.wire.iter().flatten().any(|call| u32::from(call.op) == op && call.superseded) =>
            {
                hint
            }
            Input::Pulled { op, outcome: outcome @ (Outcome::Report(_) | Outcome::NotReady(_)) } => {
                let report = if let Outcome::Report(report) = outcome { Some(report) } else { None };
                let satisfies = self.need > 0 && op >= u32::from(self.need);
                Expected {
                    adopts: true,
                    known: news(report),
                    satisfies,
                    news: news(report) != known(before),
                    ..nothing
                }
            }
            Input::Created(report) if before.poller().last_op() == 0 && before.verdict().is_none() => {
                Expected { adopts: true, known: news(Some(report)), ..nothing }
            }
            Input::Callback(Callback::Signed(report))
                if self.evidence == EvidencePolicy::TrustSigned
                    && before.verdict().is_none()
                    && report.verdict.is_some() =>
            {
                Expected { adopts: true, known: Some(report), ..hint }
            }
            Input::Callback(Callback::SignedSignal) => Expected { signal: true, ..hint },
            // To who has ended, what is vouched for is a sign that something happened since.
            Input::Callback(Callback::Signed(_) | Callback::SignedHint) => {
                Expected { signal: !lives(before), ..hint }
            }
            Input::Callback(_) | Input::Hint(_) | Input::Created(_) | Input::OpenedAgain => hint,
            Input::Tick
            | Input::Granted
            | Input::Pulled { .. }
            | Input::HandedOver { .. }
            | Input::DeadLettered { .. }
            | Input::CredentialsRefused
            | Input::Cancel
            | Input::Restored => nothing,
        }
    }

    /// Steps the session, saves it and performs what it asks for; says whether our process survived. `record` is applied in the same commit,
    /// `law` is what is broken when a hint of this input goes unheard.
    pub(super) fn step(
        &mut self,
        run: &mut Run<'_>,
        input: Input,
        fate: Fate,
        record: Option<u8>,
        law: Law,
    ) -> bool {
        let policy = run.rules.session(self.evidence);
        let cx = Cx::new(NOW, policy, 0);
        let before = self.session;
        let mut ticked = before;
        let tick: Step<_> = ticked.step(cx, Input::Tick);
        let step = self.session.step(cx, input);
        self.is_a_machine(run, &step, (&ticked, tick.actions == step.actions));
        let expected = self.expects(&ticked, input);
        if ticked.end().is_some() {
            self.signal = false;
        }
        let wanted = self.need > 0 && !expected.satisfies;

        if fate == Fate::DiesBeforeSave {
            if run.rules.sabotage == Some(Sabotage::SavesLate) {
                self.performs(run, step.actions);
            }
            self.restarts(run);
            if record.is_some() && self.session.end().is_none() && self.broken.is_none() {
                let demanded = self.session.poller().is_demanded();
                self.requires(run, demanded, Law::R10, "a restart forgot a recorded callback");
            }
            return false;
        }
        self.reopens_for_an_answer(run, policy, &before, input, step.actions);
        if let Some(saved) = &mut self.saved {
            if !self.session.same_knowledge(&before) {
                *saved = Saved { session: self.session, reopened_until: self.reopened_until };
            }
            if let Some(nth) = record {
                self.journal.mark_applied(nth);
            }
        }
        self.knows_what_it_should(run, &expected, input, law);
        self.refusals(run, (&ticked, &before), input);
        if fate == Fate::DiesAfterSave {
            self.restarts(run);
            return false;
        }
        self.ends_in_time(run, policy, (&before, wanted), step.actions);
        self.performs(run, step.actions);
        self.is_consistent(run, policy);
        true
    }

    fn is_a_machine(
        &mut self,
        run: &mut Run<'_>,
        step: &Step<<Session as Machine>::Actions>,
        (ticked, same_actions): (&Session, bool),
    ) {
        let policy = run.rules.session(self.evidence);
        self.requires(run, step.next == self.session.next(policy), Law::Machine, "next() is not Step::next");
        if let Next::At(at) = step.next {
            self.requires(run, at > NOW, Law::G6, "a wake-up that is due already: a spin");
        }
        if step.disposition != Disposition::Applied {
            let unchanged = *ticked == self.session && same_actions;
            self.requires(run, unchanged, Law::Machine, "an input that does not count changed something");
        }
    }

    /// Knowledge comes from answers that count and from the first signed verdict, if that is trusted (R1, R2); reasons to pull last
    /// until they are satisfied (R3).
    fn knows_what_it_should(&mut self, run: &mut Run<'_>, expected: &Expected, input: Input, law: Law) {
        let blamed = match input {
            Input::Pulled { .. } if expected.adopts => Law::G1,
            Input::Pulled { .. } => Law::R1,
            Input::Callback(Callback::Signed(_) | Callback::SignedHint) | Input::Created(_) => Law::R2,
            Input::Callback(_) => Law::G4,
            Input::Tick
            | Input::Granted
            | Input::Hint(_)
            | Input::HandedOver { .. }
            | Input::DeadLettered { .. }
            | Input::CredentialsRefused
            | Input::Cancel
            | Input::OpenedAgain
            | Input::Restored => Law::G9,
        };
        let before = self.session;
        self.requires(run, known(&before) == expected.known, blamed, "it does not know what it should");
        if expected.adopts {
            for call in self.wire.iter_mut().flatten() {
                call.superseded = true;
            }
        }
        if expected.hints {
            self.need = self.next_op();
            self.signal |= expected.signal;
        }
        if expected.satisfies {
            let owed = self.signal && !expected.news && run.rules.rechecks();
            (self.need, self.signal) = (0, false);
            if owed && self.session.end().is_none() {
                let demanded = self.session.poller().is_demanded();
                self.requires(run, demanded, Law::R9, "a signal whose pull showed nothing new is forgotten");
                self.need = self.next_op();
            }
        }
        if self.need > 0 && self.session.end().is_none() {
            let demanded = self.session.poller().is_demanded();
            self.requires(run, demanded, law, "a reason to pull was forgotten");
        }
    }

    /// A callback to an ended session buys an answer, and no new deadline: only news make it live on (R8, R16).
    fn reopens_for_an_answer(
        &mut self,
        run: &mut Run<'_>,
        policy: &Policy,
        before: &Session,
        input: Input,
        actions: <Session as Machine>::Actions,
    ) {
        let session = self.session;
        let ended = actions.iter().any(|action| matches!(action, Action::Ended { .. }));
        if ended || !session.is_reopened() {
            self.reopened_until = None;
        }
        if let Input::Callback(callback) = input
            && session.is_reopened()
        {
            let vouched =
                matches!(callback, Callback::Signed(_) | Callback::SignedHint | Callback::SignedSignal);
            let sends = session.poller().next_pull().map_or(NOW, |at| at.max(NOW));
            let bound = if vouched { sends.max(NOW.after(policy.poller.deadline())) } else { sends };
            let until = bound.after(policy.poller.grace());
            if self.reopened_until.is_none_or(|before| vouched && before < until) {
                self.reopened_until = Some(until);
            }
        }
        if lives(&session) && !lives(before) && input != Input::OpenedAgain {
            let news = known(&session) != known(before);
            self.requires(run, news, Law::R8, "an ended session lives on without news");
        }
    }

    /// At the second refusal in a row the session ends, alone and no sooner (R14).
    fn refusals(&mut self, run: &mut Run<'_>, before: (&Session, &Session), input: Input) {
        let given_up = before.1.poller().in_flight().is_some() && before.0.poller().in_flight().is_none();
        let ended = before.1.end().is_none() && before.0.end().is_some();
        if given_up || ended {
            // It was given up: a failure between two refusals breaks their row. So does an end, even if the input reopens it.
            self.refused = Some(false);
        }
        let before = before.0;
        let Input::Pulled { op, outcome } = input else { return };
        if before.end().is_some() || before.poller().in_flight() != Some(op) {
            return;
        }
        let refused = outcome == Outcome::Refused;
        let ended = self.session.poller().end() == Some(poller::End::Refused);
        match self.refused {
            Some(earlier) => {
                let right = ended == (earlier && refused);
                self.requires(
                    run,
                    right,
                    Law::R14,
                    "a session ends at its second refusal in a row, and no sooner",
                );
            }
            None => self.requires(run, refused || !ended, Law::R14, "an answer ended it as refused"),
        }
        self.refused = Some(refused);
    }

    fn ends_in_time(
        &mut self,
        run: &mut Run<'_>,
        policy: &Policy,
        (before, wanted): (&Session, bool),
        actions: <Session as Machine>::Actions,
    ) {
        let grace = policy.poller.grace();
        let mut ended = false;
        for action in actions {
            if let Action::Ended { end, unconfirmed } = action {
                ended = true;
                if let End::Expired | End::Watched = end
                    && let Some(bound) = before.poller().bound()
                {
                    let flying = self.in_flight.is_some_and(|pull| pull.until > NOW);
                    let reopened = before.is_reopened();
                    self.requires(run, NOW >= bound || reopened, Law::R12, "it ended before its deadline");
                    let finished = NOW >= bound.after(grace) || !(wanted || flying);
                    self.requires(
                        run,
                        finished,
                        Law::R12,
                        "it ended while a pull could still bring the verdict",
                    );
                    // A lesser verdict after a settling one leaves a settled session settled, and lets an ended one live on as an open one.
                    let settles = |verdict: Option<Verdict>| verdict.is_some_and(Verdict::settles);
                    let settled = settles(known(before).and_then(|known| known.verdict));
                    let once = self.seen.iter().flatten().any(|seen| settles(verdict_of(seen.truth)));
                    let open = if once && !settled { before.is_open() } else { !settled };
                    self.requires(
                        run,
                        reopened || open == (end == End::Expired),
                        Law::R7,
                        "expired is who never knew a settling verdict",
                    );
                    // A further pull after a signal is a reason of the session's own.
                    let honest = unconfirmed == wanted || (unconfirmed && run.rules.rechecks());
                    self.requires(run, honest, Law::R12, "it does not say whether a hint went unconfirmed");
                }
            }
        }
        if self.session.end().is_some() {
            (self.need, self.signal, self.refused) = (0, false, Some(false));
            return;
        }
        if self.session.is_settled() && (!before.is_settled() || ended) {
            let watch = policy.poller.watch().map(|watch| NOW.after(watch));
            let watched = self.session.poller().bound() == watch;
            self.requires(run, watched, Law::R8, "a settled session is watched, whatever the deadline was");
        }
        if let Some(bound) = self.session.poller().bound()
            && NOW >= bound
        {
            let busy = self.session.poller().is_demanded() || self.session.poller().in_flight().is_some();
            self.requires(run, NOW < bound.after(grace), Law::G6, "it goes on past deadline and grace");
            self.requires(run, busy, Law::R12, "it goes on past its deadline without a reason");
        }
    }

    fn performs(&mut self, run: &mut Run<'_>, actions: <Session as Machine>::Actions) {
        let policy = run.rules.session(self.evidence);
        let saved = self.saved.is_none_or(|saved| saved.session.same_knowledge(&self.session));
        for action in actions {
            self.requires(run, saved, Law::G9, "an action before the save of its step");
            match action {
                Action::Ask { class } => {
                    run.tell(Who::Session, Who::Session, || format!("wants to pull ({class:?})"));
                    let asked = self.session.wants() == Some(class);
                    self.requires(run, asked, Law::Machine, "asks for what it does not want");
                }
                Action::Pull { op, within } => self.pulls(run, policy, op, within),
                Action::Keep { content } => {
                    let newest = self.session.content() == Some(content);
                    self.requires(run, newest, Law::Machine, "keeps another body than the newest");
                }
                Action::HandOver(revision) => self.hands_over(run, revision),
                Action::Ended { end, .. } => {
                    run.tell(Who::Session, Who::Application, || format!("ended: {end:?}"));
                }
            }
        }
    }

    fn pulls(&mut self, run: &mut Run<'_>, policy: &Policy, op: u32, within: Span) {
        run.tell(Who::Session, Who::Provider, || format!("pull {op}"));
        self.requires(run, self.in_flight.is_none(), Law::G7, "two pulls of one session in flight");
        self.requires(
            run,
            NOW >= self.polite_from,
            Law::G7,
            "a pull before the cadence or a Retry-After allows it",
        );
        let reused = self.wire.iter().flatten().any(|call| u32::from(call.op) >= op);
        self.requires(run, !reused, Law::G9, "a number of a pull was used twice");
        self.requires(run, within <= policy.poller.patience(), Law::G6, "a call without an end");
        if let Some(bound) = self.session.poller().bound()
            && NOW >= bound
        {
            let wanted = self.session.poller().is_demanded();
            self.requires(run, wanted, Law::R12, "a routine pull after the deadline");
        }
        let op = u8::try_from(op).unwrap_or(u8::MAX);
        self.in_flight = Some(InFlight { op, until: NOW.after(policy.poller.patience()) });
        self.sends(run, op);
    }

    /// A revision arrives at the application: the next one, or the last one again (G2, G3, R5, R6).
    fn hands_over(&mut self, run: &mut Run<'_>, revision: Revision) {
        let Revision { number, verdict, content, evidence, data_changed } = revision;
        run.tell(Who::Session, Who::Application, || {
            format!("revision {number}: {verdict:?} {content:?}, {}", evidence.as_str())
        });
        let report = Some(Report { verdict: Some(verdict), content });
        let Some(truth) = self.provider.history().iter().copied().find(|truth| truth.report() == report)
        else {
            return self.breaks(run, Law::G4, "a verdict that the provider never reached");
        };
        let seen = Seen { truth, evidence, data_changed };
        let before = self.seen.get((number as usize).wrapping_sub(1)).copied().flatten();
        let same = before.is_none_or(|before| before == seen);
        self.requires(run, same, Law::R8, "a number was used for another revision");
        let unconfirmed = number > self.confirmed.into();
        self.requires(run, unconfirmed, Law::G2, "a confirmed revision was handed over again");
        let count = self.revisions();
        match before {
            Some(_) => {}
            None => {
                self.requires(run, number as usize == count + 1, Law::R6, "a number was left out");
                let free = u32::from(self.told) + 1 >= number;
                self.requires(run, free, Law::R6, "a revision before the last one was confirmed or given up");
                let last = count.checked_sub(1).and_then(|last| self.seen[last]);
                self.requires(
                    run,
                    last.is_none_or(|last| last.truth != truth),
                    Law::R5,
                    "a revision that says what the last one said",
                );
                let same_verdict = last.is_some_and(|last| verdict_of(last.truth) == Some(verdict));
                self.requires(run, data_changed == same_verdict, Law::R5, "a change of data is marked");
                self.requires(run, known(&self.session) == report, Law::R5, "a revision of something old");
                let trusted = self.evidence == EvidencePolicy::TrustSigned && number == 1;
                self.requires(
                    run,
                    evidence == Evidence::Pulled || (evidence == Evidence::Signed && trusted),
                    Law::R2,
                    "evidence of another kind than the policy allows",
                );
                if let Some(slot) = self.seen.get_mut(count) {
                    *slot = Some(seen);
                }
            }
        }
        let mut history = self.provider.history().iter();
        let in_order = self.seen.iter().flatten().all(|seen| history.any(|truth| *truth == seen.truth));
        self.requires(run, in_order, Law::G3, "revisions are not in the order of the provider's history");
    }

    /// What is awaited can be read from the state (G9), and no state sleeps that owes something (G6).
    fn is_consistent(&mut self, run: &mut Run<'_>, policy: &Policy) {
        let session = self.session;
        let asked = session.wants().map(|class| Action::Ask { class });
        let pull = session.outstanding(policy).iter().find(|action| matches!(action, Action::Pull { .. }));
        let flying = match pull {
            Some(Action::Pull { op, .. }) => Some(op),
            _ => None,
        };
        let offered = session.awaiting_hand_over().map(Action::HandOver);
        let all = asked.into_iter().chain(pull).chain(offered);
        self.requires(run, all.eq(session.outstanding(policy)), Law::G9, "what is outstanding");
        self.requires(run, flying == session.poller().in_flight(), Law::G9, "what is in flight");
        if let Some(revision) = session.awaiting_hand_over() {
            let offered = self.revisions() == revision.number as usize;
            self.requires(run, offered, Law::G9, "it awaits the confirmation of what it never handed over");
        }
        let timed = matches!(session.next(policy), Next::At(_));
        let open = session.is_open() || session.is_reopened();
        self.requires(run, !open || timed, Law::G6, "an open session sleeps for ever");
        if session.is_reopened() {
            let bounded = self.reopened_until.is_some_and(|until| NOW < until);
            self.requires(run, bounded, Law::R8, "a callback keeps an ended session alive");
            let asks = session.poller().is_demanded() || session.poller().in_flight().is_some();
            self.requires(run, asks, Law::R8, "reopened, and nothing is asked any more");
        }
        let network = session.poller().in_flight().is_some();
        self.requires(run, !network || timed, Law::G6, "a wait for the network without a deadline");
        let demanded = session.end().is_none() && session.poller().is_demanded();
        self.requires(
            run,
            !demanded || timed || session.wants().is_some(),
            Law::R3,
            "a demand sleeps for ever",
        );
        let settles = session.verdict().is_some_and(Verdict::settles);
        let settled = !session.is_open();
        self.requires(run, !settles || settled, Law::R7, "a settling verdict does not settle");
    }

    pub(super) fn confirms(&mut self, run: &mut Run<'_>, revision: u8, dead: bool, fate: Fate) {
        let awaited = self.session.awaiting_hand_over();
        let right = awaited.is_some_and(|awaited| awaited.number == u32::from(revision));
        let (word, input) = if dead {
            ("is offered no more", Input::DeadLettered { revision: revision.into() })
        } else {
            ("is taken", Input::HandedOver { revision: revision.into() })
        };
        run.tell(Who::Application, Who::Session, || format!("revision {revision} {word}"));
        if right {
            if dead {
                self.left.failures -= 1;
            } else {
                // The application's word is in the store before the session hears it.
                self.confirmed = revision;
            }
            if fate != Fate::DiesBeforeSave {
                self.told = revision;
            }
        } else {
            self.left.mistakes -= 1;
        }
        let last = self.session.last_revision();
        if self.step(run, input, fate, None, Law::R6) && !right {
            let same = self.session.last_revision() == last && self.session.awaiting_hand_over() == awaited;
            self.requires(run, same, Law::R6, "a confirmation that nobody awaits changed something");
        }
    }

    /// Our process dies, and another one takes over what the store holds.
    pub(super) fn restarts(&mut self, run: &mut Run<'_>) {
        let Some(Saved { session: saved, reopened_until }) = self.saved else { return };
        run.tell(Who::Store, Who::Session, || "the process dies; another one restores the session".into());
        let policy = run.rules.session(self.evidence);
        match through_the_store(saved) {
            Some(session) => self.session = session,
            None => return self.breaks(run, Law::G9, "a snapshot that cannot be read back"),
        }
        self.requires(run, self.session == saved, Law::G9, "the snapshot is another state");
        self.wire = [const { None::<Call> }; super::WIRE];
        self.connections_break();
        if self.in_flight.take().is_some() {
            self.polite_from = self.polite_from.max(NOW.after(policy.poller.cadence()));
        }
        self.refused = None;
        self.told = match (saved.awaiting_hand_over(), saved.last_revision()) {
            (Some(awaited), _) => awaited.number as u8 - 1,
            (None, Some((last, ..))) => last as u8,
            (None, None) => 0,
        };
        if self.need > 0 {
            self.need = self.next_op();
            let demanded = self.session.end().is_some() || self.session.poller().is_demanded();
            self.requires(run, demanded, Law::R10, "a restart forgot a reason to pull");
        }
        let confirmed = self.confirmed;
        let (before, wanted) = (self.session, self.need > 0);
        let step = self.session.step(Cx::new(NOW, policy, 0), Input::Restored);
        if let Some(op) = before.poller().in_flight() {
            let failed = self.session.poller().in_flight().is_none();
            let next = self.session.poller().next_op() == op + 1;
            self.requires(run, failed && next, Law::R11, "a restored pull in flight has not failed");
            let waits = self.session.wants().is_none();
            self.requires(run, waits, Law::R11, "a restored pull in flight is followed at once by the next");
        }
        self.reopened_until = reopened_until.filter(|_| self.session.is_reopened());
        if !self.session.same_knowledge(&before) {
            self.saved = Some(Saved { session: self.session, reopened_until: self.reopened_until });
        }
        if self.need > 0 {
            self.need = self.next_op();
        }
        self.ends_in_time(run, policy, (&before, wanted), step.actions);
        for action in step.actions {
            match action {
                Action::HandOver(revision) if revision.number <= confirmed.into() => {}
                Action::HandOver(revision) => self.hands_over(run, revision),
                Action::Pull { op, within } => self.pulls(run, policy, op, within),
                Action::Ask { class } => {
                    run.tell(Who::Session, Who::Session, || format!("wants to pull ({class:?})"));
                }
                Action::Keep { .. } => {}
                Action::Ended { end, .. } => {
                    run.tell(Who::Session, Who::Application, || format!("ended: {end:?}"));
                }
            }
        }
        if confirmed > 0 {
            self.told = self.told.max(confirmed);
            self.step(run, Input::HandedOver { revision: confirmed.into() }, Fate::Lives, None, Law::R6);
        }
        if run.rules.sabotage != Some(Sabotage::RecordsForgotten) {
            self.refeeds(run);
        }
        self.is_consistent(run, policy);
    }

    pub(super) fn opened_again(&mut self, run: &mut Run<'_>, fate: Fate) {
        self.left.mistakes -= 1;
        run.tell(Who::Application, Who::Session, || "opens the session again".into());
        self.step(run, Input::OpenedAgain, fate, None, Law::R3);
    }

    pub(super) fn hinted(&mut self, run: &mut Run<'_>, fate: Fate) {
        self.left.mistakes -= 1;
        run.tell(Who::Application, Who::Session, || "asks for a pull".into());
        self.step(run, Input::Hint(Class::Confirming), fate, None, Law::R3);
    }
}

fn verdict_of(truth: Truth) -> Option<Verdict> {
    truth.report().and_then(|report| report.verdict)
}

/// A round trip through text, and through a clock of another epoch.
pub(crate) fn through_the_store(session: Session) -> Option<Session> {
    const EPOCH: u64 = 7_000;
    let text = serde_json::to_string(&Snapshot::new(session, NOW, NOW.as_millis())).ok()?;
    let snapshot: Snapshot = serde_json::from_str(&text).ok()?;
    let moved = NOW.after(Span::millis(EPOCH as u32));
    let mut session = snapshot.restore(moved, NOW.as_millis())?;
    session.map_times(|at| at.shifted(-(EPOCH as i64)));
    Some(session)
}
