//! Callbacks: posted by the provider's real `Delivery`, or by an attacker; taken by our real `Receipt`; recorded in a journal.

use super::{ATTACKER, Attack, Fate, NOW, Run, Truth, World};
use crate::law::Law;
use crate::rules::{Callbacks, Sabotage};
use crate::story::Who;
use idv_core::delivery::{self, Delivery};
use idv_core::evidence::{Callback, ContentDigest, Report};
use idv_core::machine::{Cx, Machine, Next};
use idv_core::provider::Authenticity;
use idv_core::receipt::{self, Receipt};
use idv_core::session::{EvidencePolicy, Input};
use idv_core::store::{self, Commit, CommitReceipt, Record, Recorded};
use idv_core::time::Instant;
use std::convert::Infallible;

const RECORDS: usize = 8;

/// The bytes of a callback. Equal truths make equal bytes, whenever they were made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Body {
    /// Signed: what the truth is.
    Says(Truth),
    /// Signed: something changed.
    Signal,
    /// Unsigned, where the provider does not sign: anybody's.
    Claim,
    /// Wrongly signed.
    Forgery,
}

impl Body {
    const fn authenticity(self) -> Authenticity {
        match self {
            Self::Says(_) | Self::Signal => Authenticity::Signed,
            Self::Claim => Authenticity::Unsigned,
            Self::Forgery => Authenticity::Wrong,
        }
    }

    /// What the codec reads from it: where only answers are evidence, it reads no report.
    const fn callback(self, evidence: EvidencePolicy) -> Callback {
        match self {
            Self::Says(truth) => says(truth, evidence),
            Self::Signal => Callback::SignedSignal,
            Self::Claim => Callback::Unsigned,
            Self::Forgery => Callback::WrongSignature,
        }
    }

    const fn number(self) -> u8 {
        match self {
            Self::Says(truth) => truth as u8,
            Self::Signal => 16,
            Self::Claim => 17,
            Self::Forgery => 18,
        }
    }
}

/// What the codec reads from a signed callback that says what the truth is.
pub(super) const fn says(truth: Truth, evidence: EvidencePolicy) -> Callback {
    match (evidence, truth.report()) {
        (EvidencePolicy::ConfirmByPull, _) => Callback::SignedHint,
        (EvidencePolicy::TrustSigned, Some(report)) => Callback::Signed(report),
        (EvidencePolicy::TrustSigned, None) => {
            Callback::Signed(Report { verdict: None, content: ContentDigest(0) })
        }
    }
}

/// The records, in order, and which of them are applied.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Journal {
    records: [Option<Body>; RECORDS],
    applied: u8,
}

impl Journal {
    pub(super) fn has(&self, body: Body) -> bool {
        self.records.contains(&Some(body))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.iter().all(Option::is_none)
    }

    pub(super) fn mark_applied(&mut self, nth: u8) {
        self.applied |= 1 << nth;
    }

    pub(super) fn forget_applied(&mut self) {
        self.applied = u8::MAX;
    }

    pub(super) fn unapplied(&self) -> impl Iterator<Item = (u8, Body)> + use<> {
        let Self { records, applied } = *self;
        (0_u8..)
            .zip(records)
            .filter_map(move |(nth, body)| Some((nth, body.filter(|_| applied >> nth & 1 == 0)?)))
    }
}

/// The journal as the core's trait, for the one way to a commit receipt.
struct Books<'a> {
    journal: &'a mut Journal,
    body: Body,
    twins_stay_applied: bool,
}

impl store::Journal for Books<'_> {
    type Error = Infallible;

    fn commit(&mut self, _: &Record<'_>) -> Result<Commit, Infallible> {
        let same = |slot: &Option<Body>| slot.is_none_or(|body| body == self.body);
        let position = self.journal.records.iter().position(same).unwrap_or(RECORDS - 1);
        let duplicate = self.journal.records[position].replace(self.body).is_some();
        if !self.twins_stay_applied {
            self.journal.applied &= !(1 << position);
        }
        Ok(Commit { position: position as u64 + 1, duplicate })
    }

    fn mark_applied(&mut self, _: &[u64]) -> Result<(), Infallible> {
        Ok(())
    }

    fn unapplied(&mut self, _: u64, _: u32) -> Result<Vec<Recorded>, Infallible> {
        Ok(Vec::new())
    }
}

/// A callback on its way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Post {
    body: Body,
    /// The provider's side; an attacker has none.
    delivery: Option<Delivery>,
    /// The attempt that is on its way to us.
    on_the_way: Option<u8>,
    receipt: Option<Taking>,
    /// It was sent when the provider no longer held what it says.
    superseded: bool,
}

/// Our side of one request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Taking {
    receipt: Receipt,
    attempt: u8,
    /// When it must be answered; `None` once it is.
    until: Option<Instant>,
}

impl Post {
    pub(super) fn map_times(&mut self, f: impl Fn(Instant) -> Instant) {
        if let Some(delivery) = &mut self.delivery {
            delivery.map_times(&f);
        }
        if let Some(taking) = &mut self.receipt {
            taking.receipt.map_times(&f);
            taking.until = taking.until.map(&f);
        }
    }

    fn delivery_is_over(&self, rules: &delivery::Policy) -> bool {
        self.delivery.is_none_or(|delivery| delivery.next(rules) == Next::Over)
    }

    /// Nothing more comes of it.
    pub(super) fn is_over(&self, rules: &delivery::Policy) -> bool {
        self.receipt.is_none() && self.delivery_is_over(rules)
    }

    /// Something will happen to it when time passes.
    pub(super) fn is_timed(&self, rules: &delivery::Policy) -> bool {
        !self.delivery_is_over(rules) || self.receipt.is_some_and(|taking| taking.until.is_some())
    }

    pub(super) const fn can_arrive(&self) -> bool {
        self.on_the_way.is_some() && self.receipt.is_none()
    }

    pub(super) const fn awaits_commit(&self) -> bool {
        self.receipt.is_some()
    }

    /// It is taken in, and says what the provider no longer held when it was sent.
    pub(super) const fn replays_the_past(&self) -> bool {
        self.superseded && self.awaits_commit()
    }
}

impl World {
    /// The provider has a callback to send.
    pub(super) fn announces(&mut self, run: &mut Run<'_>) {
        let body = match run.rules.callbacks {
            Callbacks::None | Callbacks::Lost => return,
            Callbacks::Signed => Body::Says(self.provider.truth()),
            Callbacks::Signals => Body::Signal,
            Callbacks::Unsigned => Body::Claim,
        };
        if let Some(slot) = (0..ATTACKER).find(|slot| self.posts[*slot].is_none()) {
            let delivery = Some(Delivery::new());
            self.posts[slot] =
                Some(Post { body, delivery, on_the_way: None, receipt: None, superseded: false });
            self.delivery_step(run, slot, delivery::Input::Tick);
        }
    }

    fn delivery_step(&mut self, run: &mut Run<'_>, slot: usize, input: delivery::Input) {
        let Some(post) = &mut self.posts[slot] else { return };
        let Some(delivery) = &mut post.delivery else { return };
        let step = delivery.step(Cx::new(NOW, &run.rules.delivery, 0), input);
        let body = post.body;
        for action in step.actions {
            match action {
                delivery::Action::Post { attempt, .. } => {
                    post.on_the_way = Some(attempt);
                    run.tell(Who::Provider, Who::Network, || format!("posts {body:?}, attempt {attempt}"));
                }
                delivery::Action::Delivered { .. } => {}
                delivery::Action::Dead => {
                    run.tell(Who::Provider, Who::Provider, || format!("gives up on {body:?}"));
                }
            }
        }
    }

    /// A millisecond has passed for this callback.
    pub(super) fn post_elapses(&mut self, run: &mut Run<'_>, slot: usize) {
        let Some(post) = &mut self.posts[slot] else { return };
        if let Some(delivery) = post.delivery
            && matches!(delivery.next(&run.rules.delivery), Next::At(at) if at <= NOW)
        {
            // What is still on its way when the provider gives up is lost.
            post.on_the_way = None;
            self.delivery_step(run, slot, delivery::Input::Tick);
        }
        let due = |taking: Option<Taking>| taking.and_then(|taking| taking.until).is_some_and(|at| at <= NOW);
        if self.posts[slot].is_some_and(|post| due(post.receipt)) {
            self.receipt_step(run, slot, receipt::Input::Tick, Fate::Lives, true);
            if self.posts[slot].is_some_and(|post| due(post.receipt)) {
                self.breaks(run, Law::G5, "a callback was not answered in time");
            }
        }
    }

    /// A request arrives, its whole body at once.
    pub(super) fn arrives(&mut self, run: &mut Run<'_>, slot: usize, fate: Fate) {
        let Some(post) = &mut self.posts[slot] else { return };
        let body = post.body;
        let attempt = post.on_the_way.take().unwrap_or(0);
        run.tell(Who::Network, Who::Session, || format!("callback {body:?} arrives"));
        let receipt = Receipt::start(slot as u64, NOW, &run.rules.receipt);
        let until = Some(NOW.after(run.rules.receipt.answer_within()));
        post.receipt = Some(Taking { receipt, attempt, until });
        let json = Some(b"application/json".as_slice());
        self.receipt_step(run, slot, receipt::Input::head("POST", json, Some(2)), Fate::Lives, true);
        self.receipt_step(run, slot, receipt::Input::Chunk { len: 2 }, Fate::Lives, true);
        let complete = receipt::Input::Complete { authenticity: body.authenticity(), readable: true };
        self.receipt_step(run, slot, complete, fate, true);
    }

    /// The store says what became of a record.
    pub(super) fn stored(&mut self, run: &mut Run<'_>, slot: usize, commits: bool, fate: Fate, heard: bool) {
        let Some(post) = &self.posts[slot] else { return };
        let body = post.body;
        let op = slot as u64;
        let input = if commits {
            let record = Record {
                provider: "model",
                digest: [body.number(); 32],
                authenticity: body.authenticity(),
                id: None,
                event: None,
                remark: None,
                received_unix_ms: 0,
                body: b"{}",
            };
            run.tell(Who::Store, Who::Session, || format!("committed {body:?}"));
            let twins_stay_applied = run.rules.sabotage == Some(Sabotage::TwinsStayApplied);
            let mut books = Books { journal: &mut self.journal, body, twins_stay_applied };
            let Ok(proof) = CommitReceipt::obtain(&mut books, op, &record);
            receipt::Input::Committed(proof)
        } else {
            run.tell(Who::Store, Who::Session, || format!("cannot commit {body:?}"));
            receipt::Input::StorageFailed { op }
        };
        self.receipt_step(run, slot, input, fate, heard);
    }

    pub(super) fn attacks(&mut self, run: &mut Run<'_>, attack: Attack, fate: Fate) {
        self.left.attacks -= 1;
        let body = match attack {
            Attack::Replay(nth) => match run.rules.callbacks {
                Callbacks::Signals => Body::Signal,
                Callbacks::Unsigned => Body::Claim,
                Callbacks::None | Callbacks::Signed | Callbacks::Lost => Body::Says(self.provider.at(nth)),
            },
            Attack::Unsigned => Body::Claim,
            Attack::WronglySigned => Body::Forgery,
        };
        let superseded = matches!(body, Body::Says(truth) if truth != self.provider.truth());
        let post = Post { body, delivery: None, on_the_way: Some(1), receipt: None, superseded };
        self.posts[ATTACKER] = Some(post);
        self.arrives(run, ATTACKER, fate);
        // Who dies before it has saved the hint may forget it: nobody vouches for it.
        let lasts = fate != Fate::DiesBeforeSave;
        if attack == Attack::WronglySigned && lasts && self.end().is_none() {
            let demanded = self.session.poller().is_demanded();
            self.requires(run, demanded, Law::R16, "a wrong signature for a known id demands no pull");
        }
    }

    fn receipt_step(
        &mut self,
        run: &mut Run<'_>,
        slot: usize,
        input: receipt::Input,
        fate: Fate,
        heard: bool,
    ) {
        let Some(post) = &mut self.posts[slot] else { return };
        let Some(taking) = &mut post.receipt else { return };
        let (body, attempt, was_late) = (post.body, taking.attempt, taking.until.is_none());
        let step = taking.receipt.step(Cx::new(NOW, &run.rules.receipt, 0), input);
        let over = step.next == Next::Over;
        for action in step.actions {
            match action {
                receipt::Action::Record { .. } => {
                    run.tell(Who::Session, Who::Store, || format!("records {body:?}"));
                }
                receipt::Action::Answer(answer) => self.replies(run, slot, attempt, answer.status(), heard),
                receipt::Action::Apply { position, duplicate } => {
                    let law = match (was_late, duplicate) {
                        (true, _) => Law::R10,
                        (false, true) => Law::R4,
                        (false, false) => Law::R3,
                    };
                    let nth = (position - 1) as u8;
                    let callback = body.callback(self.evidence);
                    if !self.step(run, Input::Callback(callback), fate, Some(nth), law) {
                        return;
                    }
                }
                receipt::Action::Hint(callback) => {
                    let law = if callback == Callback::WrongSignature { Law::R16 } else { Law::R10 };
                    if !self.step(run, Input::Callback(callback), fate, None, law) {
                        return;
                    }
                }
            }
        }
        // Whoever has committed a callback must ask again, be it late or a duplicate.
        if let receipt::Input::Committed(proof) = input
            && self.end().is_none()
        {
            let law = if proof.duplicate() { Law::R4 } else { Law::R10 };
            let demanded = self.session.poller().is_demanded();
            self.requires(run, demanded, law, "a recorded callback demands no pull");
        }
        if over && let Some(post) = &mut self.posts[slot] {
            post.receipt = None;
        }
    }

    fn replies(&mut self, run: &mut Run<'_>, slot: usize, attempt: u8, status: u16, heard: bool) {
        let Some(post) = &mut self.posts[slot] else { return };
        let body = post.body;
        let twice = post.receipt.as_mut().is_none_or(|taking| taking.until.take().is_none());
        let recorded = self.journal.has(body);
        run.tell(Who::Session, Who::Network, || {
            format!("answers {status}{}", if heard { "" } else { ", which is lost" })
        });
        self.requires(run, !twice, Law::G5, "a callback was answered twice");
        self.requires(run, status != 200 || recorded, Law::G5, "200 before the callback was recorded");
        if heard {
            self.delivery_step(run, slot, delivery::Input::Answered { attempt, status });
        }
    }

    /// Our process dies: connections and commits under way die with it.
    pub(super) fn connections_break(&mut self) {
        for post in self.posts.iter_mut().flatten() {
            post.receipt = None;
        }
        self.posts[ATTACKER] = None;
    }

    /// What the records say that no session has taken in, in their order.
    pub(super) fn refeeds(&mut self, run: &mut Run<'_>) {
        for (nth, body) in self.journal.unapplied() {
            run.tell(Who::Store, Who::Session, || format!("has a record that is not applied: {body:?}"));
            let callback = body.callback(self.evidence);
            self.step(run, Input::Callback(callback), Fate::Lives, Some(nth), Law::R10);
        }
    }
}
