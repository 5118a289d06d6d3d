//! What is owed for every verification, kept apart from the client: everything that counts as wrong is found here.

use crate::story::{Kind, State, Truth, Turn, data_in};
use idv_core::engine::HandOver;
use idv_core::evidence::Verdict;
use idv_core::http::Received;
use idv_core::session::End;
use idv_core::time::Span;
use serde::Serialize;

/// The least time between two pulls of one verification.
pub(crate) const CADENCE: Span = Span::secs(5);

/// How much later than its own time the end of a call may be told; the client's default.
const LATENESS: u64 = 1_000;

/// What must never happen, and how often it did.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize)]
pub struct Wrongs {
    /// G1: a verdict that a counted answer or a recorded callback told of never reached the application.
    pub lost: u64,
    /// G2: a hand-over was repeated although its confirmation was saved.
    pub twice: u64,
    /// G3: a revision is not the next in the provider's own history.
    pub rolled_back: u64,
    /// G4: a revision says what the provider never said.
    pub unfounded: u64,
    /// One key stood for two different revisions, or a number was left out.
    pub misnumbered: u64,
    /// G5: a callback was answered 200 before its record was durable.
    pub early_200: u64,
    /// G5: a callback was not answered within 2500 ms, or not at all.
    pub late_answers: u64,
    /// G7: a pull was sent while another of the same verification was under way.
    pub overlapping: u64,
    /// G7: a pull was sent before the cadence allowed it.
    pub too_soon: u64,
    /// G7: a call went beyond the provider's limit; in a minute with a restart, by more than one burst.
    pub over_budget: u64,
    /// G7: a call was made before `Retry-After` was over; by a process that started since it was told, by more than one burst.
    pub door_ignored: u64,
    /// G7: a token was used after its end, or a second time where it serves once.
    pub tokens_misused: u64,
    /// G6: a verification was still open when everything was over, or the client could not go on.
    pub never_ended: u64,
    /// G9: the client took itself for another process.
    pub taken_over: u64,
}

impl Wrongs {
    /// All of them, by name.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, u64); 14] {
        [
            ("lost", self.lost),
            ("twice", self.twice),
            ("rolled back", self.rolled_back),
            ("unfounded", self.unfounded),
            ("misnumbered", self.misnumbered),
            ("200 before the record", self.early_200),
            ("answered late", self.late_answers),
            ("overlapping pulls", self.overlapping),
            ("pulls too soon", self.too_soon),
            ("calls over the budget", self.over_budget),
            ("Retry-After ignored", self.door_ignored),
            ("tokens misused", self.tokens_misused),
            ("never ended", self.never_ended),
            ("taken over", self.taken_over),
        ]
    }

    /// Whether nothing went wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) const fn add(&mut self, other: &Self) {
        self.lost += other.lost;
        self.twice += other.twice;
        self.rolled_back += other.rolled_back;
        self.unfounded += other.unfounded;
        self.misnumbered += other.misnumbered;
        self.early_200 += other.early_200;
        self.late_answers += other.late_answers;
        self.overlapping += other.overlapping;
        self.too_soon += other.too_soon;
        self.over_budget += other.over_budget;
        self.door_ignored += other.door_ignored;
        self.tokens_misused += other.tokens_misused;
        self.never_ended += other.never_ended;
        self.taken_over += other.taken_over;
    }
}

/// An answer that was read, and whose effect is not saved yet.
#[derive(Clone, Copy, Debug)]
struct Unsaved {
    turn: u8,
    /// When it was read, in the order of all happenings.
    order: u64,
}

/// A call under way at our side.
#[derive(Clone, Copy, Debug)]
struct Flight {
    /// Until when nobody may send another.
    until: u64,
    /// When it was sent, in the order of all happenings.
    order: u64,
}

/// One verification: the provider's truth, and what the application knows.
#[derive(Clone, Debug)]
pub(crate) struct Verification {
    pub(crate) kind: Kind,
    /// Everything that is, or will be, true.
    pub(crate) turns: Box<[Turn]>,
    /// What is true now.
    pub(crate) turn: u8,
    /// When the application opened it.
    pub(crate) opened: Option<u64>,
    /// The provider answers every pull of it with 401.
    pub(crate) is_poisoned: bool,
    /// The revisions up to this one the application never takes.
    pub(crate) refuses: u32,
    pub(crate) end: Option<End>,
    /// How many pulls were sent.
    pub(crate) pulls: u32,
    /// The application has had a settling verdict.
    pub(crate) has_settled: bool,
    /// For [`crate::Defect::CachesAnswers`].
    pub(crate) cached: Option<Received>,
    /// The latest revision that was offered: its number, what it says, where in the history that stands at the earliest.
    number: u32,
    says: Option<Truth>,
    stands_at: Option<u8>,
    /// The latest revision that the application has.
    has: u32,
    /// The latest revision whose confirmation is saved.
    confirmed: u32,
    /// The latest revision that was given up.
    dead: u32,
    /// The newest turn that a counted answer showed and a snapshot holds.
    answered: u8,
    unsaved: Option<Unsaved>,
    /// The newest turn that a callback answered 200 told of.
    told: u8,
    flight: Option<Flight>,
    /// Before this, no pull.
    earliest: u64,
    /// When evidence was fed in last, in the order of all happenings.
    fed: u64,
}

impl Verification {
    pub(crate) const fn new(kind: Kind, turns: Box<[Turn]>) -> Self {
        Self {
            kind,
            turns,
            turn: 0,
            opened: None,
            is_poisoned: false,
            refuses: 0,
            end: None,
            pulls: 0,
            has_settled: false,
            cached: None,
            number: 0,
            says: None,
            stands_at: None,
            has: 0,
            confirmed: 0,
            dead: 0,
            answered: 0,
            unsaved: None,
            told: 0,
            flight: None,
            earliest: 0,
            fed: 0,
        }
    }

    fn at(&self, turn: u8) -> Option<Turn> {
        self.turns.get(usize::from(turn)).copied()
    }

    pub(crate) fn truth(&self) -> Truth {
        self.at(self.turn).map_or(Truth { state: State::Pending, data: 0 }, |turn| turn.truth)
    }

    pub(crate) const fn revisions(&self) -> u32 {
        self.number
    }

    /// A pull is sent that was asked for at `asked` and ends at `until`.
    pub(crate) fn sent(&mut self, (asked, until): (u64, u64), order: u64, wrongs: &mut Wrongs) {
        self.pulls += 1;
        if let Some(flight) = self.flight {
            wrongs.overlapping += u64::from(asked < flight.until);
            self.earliest = flight.until + u64::from(CADENCE.as_millis());
        }
        wrongs.too_soon += u64::from(asked < self.earliest);
        self.flight = Some(Flight { until: until + LATENESS, order });
    }

    /// The pull sent at `order` ended. With `shows`, in time, by an answer that showed this turn.
    pub(crate) fn ended_pull(&mut self, now: u64, sent: u64, order: u64, shows: Option<u8>) {
        let in_time = self.flight.take_if(|flight| flight.order == sent);
        if let Some(flight) = in_time {
            // At our side a call is over when nobody waits for it any more, whenever that is told.
            self.earliest = now.min(flight.until) + u64::from(CADENCE.as_millis());
        }
        let Some(turn) = shows else { return };
        // Nothing was adopted since it was sent, and it was waited for: it counts (R1).
        if self.fed < sent && in_time.is_some_and(|flight| now < flight.until) && self.end.is_none() {
            self.unsaved = Some(Unsaved { turn, order });
        }
        self.fed = order;
    }

    /// A callback that may be evidence was fed in.
    pub(crate) const fn fed(&mut self, order: u64) {
        self.fed = order;
    }

    /// A callback that tells of this turn was answered 200.
    pub(crate) fn told(&mut self, turn: u8) {
        if self.opened.is_some() {
            self.told = self.told.max(turn);
        }
    }

    /// A snapshot that the client asked for at `order` is durable.
    pub(crate) fn saved(&mut self, order: u64) {
        if let Some(unsaved) = self.unsaved.take_if(|unsaved| unsaved.order <= order) {
            self.answered = self.answered.max(unsaved.turn);
        }
    }

    /// The process died: what it had under way is over, and what it had not saved it never knew.
    pub(crate) fn crashed(&mut self, now: u64) {
        if self.flight.take().is_some() {
            self.earliest = now + u64::from(CADENCE.as_millis());
        }
        self.unsaved = None;
    }

    /// The session ended. What it could not confirm it said.
    pub(crate) fn ended(&mut self, end: End, unconfirmed: bool) {
        self.end = Some(end);
        if unconfirmed {
            self.told = 0;
        }
    }

    /// The store keeps the application's word.
    pub(crate) fn confirmed(&mut self, number: u32) {
        self.confirmed = self.confirmed.max(number);
    }

    pub(crate) const fn is_confirmed(&self, number: u32) -> bool {
        number <= self.confirmed
    }

    pub(crate) fn dead(&mut self, number: u32) {
        self.dead = self.dead.max(number);
    }

    /// The application is given a revision, and takes it or does not. Says since when that is true, for the first time that it takes it.
    pub(crate) fn given(
        &mut self,
        verdict: Verdict,
        number: u32,
        body: &[u8],
        takes: bool,
        wrongs: &mut Wrongs,
    ) -> Option<u64> {
        let data = data_in(body);
        let is = |turn: &Turn| turn.truth.state.verdict() == Some(verdict) && turn.truth.data == data;
        wrongs.twice += u64::from(number <= self.confirmed);
        if number <= self.number {
            let same =
                self.says.is_some_and(|says| says.state.verdict() == Some(verdict) && says.data == data);
            wrongs.misnumbered += u64::from(number < self.number || !same);
        } else {
            wrongs.misnumbered += u64::from(number != self.number + 1);
            let from = self.stands_at.map_or(0, |at| at + 1);
            let known = self.turns.iter().take(usize::from(self.turn) + 1);
            let found = known.clone().skip(usize::from(from)).position(is);
            match found.and_then(|place| u8::try_from(place).ok()) {
                Some(place) => self.stands_at = Some(from + place),
                None if known.clone().any(is) => wrongs.rolled_back += 1,
                None => wrongs.unfounded += 1,
            }
            self.number = number;
            self.says = self.turns.iter().find(|turn| is(turn)).map(|turn| turn.truth);
        }
        if !takes || number <= self.has {
            return None;
        }
        self.has = number;
        self.at(self.stands_at?).map(|turn| turn.at)
    }

    /// The same for a hand-over of the client's.
    pub(crate) fn handed_over(
        &mut self,
        hand_over: &HandOver,
        takes: bool,
        wrongs: &mut Wrongs,
    ) -> Option<u64> {
        let revision = hand_over.revision();
        let (_, _, number) = hand_over.key();
        if revision.statement.as_ref().ok().and_then(|said| said.verdict) != Some(hand_over.verdict()) {
            wrongs.unfounded += 1;
        }
        self.given(hand_over.verdict(), number, &revision.body, takes, wrongs)
    }

    /// Whether the application has the provider's last word.
    pub(crate) fn is_up_to_date(&self) -> bool {
        let truth = self.truth();
        truth.state.verdict().is_none() || (self.says == Some(truth) && self.has == self.number)
    }

    /// Whether the application did not take the latest revision, again and again.
    pub(crate) const fn is_given_up(&self) -> bool {
        self.number > self.has && self.dead == self.number
    }

    /// Everything is over: whether something that was learned did not reach the application.
    pub(crate) fn is_lost(&self) -> bool {
        // The process lives: what it knows counts without a crash to prove it.
        let unsaved = self.unsaved.map_or(0, |unsaved| unsaved.turn);
        let learned = self.answered.max(unsaved).max(self.told);
        let is_owed = self.at(learned).is_some_and(|turn| turn.truth.state.verdict().is_some());
        let newer = self.turns.iter().take(usize::from(self.turn) + 1).skip(usize::from(learned));
        let is_known = newer.clone().any(|turn| self.says == Some(turn.truth));
        let was_given = self.has == self.number || self.dead == self.number;
        is_owed && !is_known || !was_given
    }
}
