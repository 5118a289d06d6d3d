//! One process with its accounts, its store, its application, and the two providers as it sees them; time goes from one happening to the
//! next.

mod callbacks;
mod calls;
mod doors;
mod process;

use crate::ledger::Verification;
use crate::provider::Providers;
use crate::random::{Random, mix};
use crate::sender::{Message, Sender};
use crate::store::{Mood, Store};
use crate::story::{Kind, announcement, invent};
use crate::tally::Tally;
use crate::{Defect, Share};
use doors::{Door, Others};
use idv_core::engine::{Moment, Task};
use idv_core::store::SavedSession;
use idv_core::time::{Instant, Span};
use process::Process;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

/// The calendar when the simulation begins: a moment in 2026.
const BEGAN_UNIX_MS: u64 = 1_780_000_000_000;

/// Verifications arrive so far apart on average, in milliseconds.
const APART: u64 = 6_100;

/// Nothing was asked for during this time: nothing will be any more. Longer than the longest wait of a hand-over.
const QUIET: u64 = 3 * 3_600_000;

/// Longer than anything may take after the last arrival.
const TOO_LONG: u64 = 20 * 24 * 3_600_000;

/// Something that is due.
#[derive(Clone, Copy, Debug)]
enum Happening {
    /// The next verification is created.
    Arrive,
    /// The application opens one.
    Open(u32),
    /// The provider's truth moves on.
    Turn(u32),
    /// A callback sets out.
    Send(Message, bool),
    /// A sender's timer.
    Sender(u64),
    /// A post reaches our side; perhaps the answer to it gets lost, perhaps its body comes slowly.
    Post { sender: Option<(u64, u8)>, message: Message, answer_lost: bool, slow: bool },
    /// What came of a post reaches the provider.
    Posted { sender: u64, attempt: u8, status: Option<u16> },
    /// A reception's timer.
    Reception(u64),
    /// A callback is to have been answered by now.
    Overdue(u64),
    /// The rest of a body.
    Body(u64),
    /// The store comes to a record.
    Commit(u64, Mood),
    /// A call reaches the provider.
    Call(u64),
    /// A call ends at our side.
    Answer(u64),
    /// The store comes to a task.
    Store(u64),
    /// The application comes to a hand-over.
    HandOver(u64),
    /// The process starts again.
    Start,
}

struct Due {
    at: u64,
    order: u64,
    happening: Happening,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// A time of failure that comes back again and again.
#[derive(Clone, Copy, Default)]
struct Outage {
    begins: u64,
    ends: u64,
}

impl Outage {
    /// Whether it is on; if it is over, the next one is drawn: so far away on average, so long.
    fn is_on(&mut self, now: u64, apart: u64, long: (Span, Span), random: &mut Random) -> bool {
        if now >= self.ends {
            self.begins = now + random.between(1, 2 * apart);
            self.ends = self.begins + random.spread(long.0, long.1);
        }
        now >= self.begins
    }
}

/// See the module.
pub(crate) struct World<'a> {
    share: Share,
    done: &'a AtomicU64,
    random: Random,
    queue: BinaryHeap<Reverse<Due>>,
    /// Numbers everything that is put into the queue.
    queued: u64,
    /// Numbers everything that happens.
    order: u64,
    now: u64,
    last_task: u64,
    last_arrival: u64,
    verifications: Vec<Verification>,
    /// How many of them have ended, or were never opened.
    ended: usize,
    /// Opened by the application, and not known to be saved.
    unsaved: BTreeSet<u32>,
    providers: Providers,
    down: [Outage; 2],
    /// What the providers said of their limits: the client forgets it when it dies, and they do not.
    doors: [Door; 2],
    others: [Others; 2],
    /// For [`Defect::KeepsOldTokens`].
    first_tokens: [Option<String>; 4],
    senders: BTreeMap<u64, Sender>,
    store: Store,
    stall: Outage,
    backup: (u64, Vec<SavedSession>),
    process: Option<Process>,
    next_crash: u64,
    todo: VecDeque<Task>,
    last_id: u64,
    tally: Tally,
}

impl<'a> World<'a> {
    pub(crate) fn new(share: Share, done: &'a AtomicU64) -> Self {
        let random = Random::new(share.seed);
        let mut world = Self {
            random,
            done,
            queue: BinaryHeap::new(),
            queued: 0,
            order: 0,
            now: 0,
            last_task: 0,
            last_arrival: 0,
            verifications: Vec::new(),
            ended: 0,
            unsaved: BTreeSet::new(),
            providers: Providers::new(),
            down: [Outage::default(); 2],
            doors: [Door::default(), Door::default()],
            others: [Others::default(), Others::default()],
            first_tokens: [const { None }; 4],
            senders: BTreeMap::new(),
            store: Store::new(),
            stall: Outage::default(),
            backup: (0, Vec::new()),
            process: None,
            next_crash: u64::MAX,
            todo: VecDeque::new(),
            last_id: 0,
            tally: Tally { digest: share.seed, ..Tally::default() },
            share,
        };
        world.after(0, Happening::Start);
        world.after(1, Happening::Arrive);
        world
    }

    /// Lets everything happen, and counts.
    pub(crate) fn run(mut self) -> Tally {
        while !self.is_over() {
            let wake = self.process.as_ref().and_then(Process::wake).unwrap_or(u64::MAX);
            let due = self.queue.peek().map_or(u64::MAX, |Reverse(due)| due.at);
            let crash = if self.process.is_some() && due < u64::MAX { self.next_crash } else { u64::MAX };
            let next = due.min(wake).min(crash);
            if next == u64::MAX {
                break;
            }
            self.now = self.now.max(next);
            self.order += 1;
            if crash == next {
                self.note(1, crash);
                self.crash();
            } else if wake == next {
                self.note(2, wake);
                self.turn();
            } else if let Some(Reverse(due)) = self.queue.pop() {
                self.happen(due.happening);
            }
        }
        self.close()
    }

    fn is_over(&self) -> bool {
        let is_quiet = self.queue.is_empty()
            && self.ended == self.verifications.len()
            && self.now >= self.last_task + QUIET;
        (is_quiet && self.process.is_some()) || self.now > self.last_arrival + TOO_LONG
    }

    /// Everything is over: what is owed?
    fn close(mut self) -> Tally {
        self.tally.span_ms = self.now;
        self.tally.verifications = self.verifications.len() as u64;
        for verification in &self.verifications {
            let is_lost = verification.is_lost();
            self.tally.wrongs.lost += u64::from(is_lost);
            self.tally.wrongs.never_ended += u64::from(verification.end.is_none());
            let is_up_to_date = verification.is_up_to_date();
            self.tally.up_to_date += u64::from(is_up_to_date);
            let is_given_up = verification.is_given_up();
            self.tally.given_up += u64::from(!is_up_to_date && is_given_up);
            self.tally.out_of_reach += u64::from(!is_up_to_date && !is_lost && !is_given_up);
        }
        self.note_result();
        self.tally
    }

    fn note_result(&mut self) {
        for (_, wrongs) in self.tally.wrongs.named() {
            self.note(3, wrongs);
        }
        for count in [self.tally.revisions, self.tally.pulls, self.tally.posts, self.tally.up_to_date] {
            self.note(4, count);
        }
    }

    /// Takes something into the digest.
    fn note(&mut self, what: u64, which: u64) {
        self.tally.digest = mix(self.tally.digest ^ mix(self.now << 8 | what) ^ which);
    }

    fn after(&mut self, millis: u64, happening: Happening) {
        self.at(self.now + millis, happening);
    }

    fn at(&mut self, at: u64, happening: Happening) {
        self.queued += 1;
        self.queue.push(Reverse(Due { at, order: self.queued, happening }));
    }

    fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Whether something goes wrong now.
    fn goes_wrong(&mut self) -> bool {
        self.random.happens(self.share.faults)
    }

    /// Whether something goes wrong now that goes wrong less often.
    fn goes_wrong_rarely(&mut self, times: u64) -> bool {
        self.random.below(1_000 * times) < self.share.faults
    }

    fn has(&self, defect: Defect) -> bool {
        self.share.defect == Some(defect)
    }

    fn moment(&mut self) -> Moment {
        let began = self.process.as_ref().map_or(0, |process| process.began);
        Moment::new(on_clock(self.now - began), BEGAN_UNIX_MS + self.now, self.random.entropy())
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrive => self.arrive(),
            Happening::Open(number) => {
                self.note(10, number.into());
                self.unsaved.insert(number);
                self.open(number);
            }
            Happening::Turn(number) => {
                self.note(11, number.into());
                self.truth_turns(number);
            }
            Happening::Send(message, first_key_wrong) => {
                let id = self.new_id();
                self.note(12, id);
                self.tally.callbacks += 1;
                self.senders.insert(id, Sender::new(message, first_key_wrong));
                self.step_sender(id, idv_core::delivery::Input::Tick);
            }
            Happening::Sender(id) => self.step_sender(id, idv_core::delivery::Input::Tick),
            Happening::Post { sender, message, answer_lost, slow } => {
                self.note(13, message.number.into());
                self.post_arrives(sender, message, answer_lost, slow);
            }
            Happening::Posted { sender, attempt, status } => {
                self.note(14, sender ^ u64::from(status.unwrap_or(0)) << 48);
                self.posted(sender, attempt, status);
            }
            Happening::Reception(id) => self.tick_reception(id),
            Happening::Overdue(id) => self.overdue(id),
            Happening::Body(id) => self.rest_of_body(id),
            Happening::Commit(id, mood) => {
                self.note(15, id);
                self.commit(id, mood);
            }
            Happening::Call(id) => {
                self.note(16, id);
                self.call_arrives(id);
            }
            Happening::Answer(id) => {
                self.note(17, id);
                self.call_ends(id);
            }
            Happening::Store(id) => {
                self.note(18, id);
                self.store_task(id);
            }
            Happening::HandOver(id) => {
                self.note(19, id);
                self.application(id);
            }
            Happening::Start => {
                self.note(20, 0);
                self.start();
            }
        }
    }

    /// A verification is created, and the next one is on its way.
    fn arrive(&mut self) {
        let Ok(number) = u32::try_from(self.verifications.len()) else { return };
        self.last_arrival = self.now;
        let kind = match self.random.below(100) {
            0..45 => Kind::Onboarding,
            45..66 => Kind::Authenticate,
            66..85 => Kind::Confirming,
            _ => Kind::Trusting,
        };
        let turns = invent(kind, self.now, &mut self.random);
        if let Some(next) = turns.get(1) {
            self.at(next.at, Happening::Turn(number));
        }
        let mut verification = Verification::new(kind, turns);
        verification.is_poisoned = self.goes_wrong_rarely(20);
        // The first revision, or all.
        if self.goes_wrong_rarely(10) {
            verification.refuses = if self.random.happens(500) { 1 } else { u32::MAX };
        }
        self.tally.poisoned += u64::from(verification.is_poisoned);
        self.verifications.push(verification);
        self.done.fetch_add(1, Ordering::Relaxed);
        let opens = self.random.between(50, 3_000);
        self.after(opens, Happening::Open(number));
        self.attack(number);
        if number + 1 < self.share.verifications {
            let apart = self.random.between(1, 2 * APART);
            self.after(apart, Happening::Arrive);
        }
    }

    fn truth_turns(&mut self, number: u32) {
        let Some(verification) = self.verifications.get_mut(number as usize) else { return };
        verification.turn += 1;
        let next = verification.turns.get(usize::from(verification.turn) + 1).map(|turn| turn.at);
        let says = announcement(verification.kind, &verification.turns, verification.turn);
        if let Some(at) = next {
            self.at(at, Happening::Turn(number));
        }
        if let Some(says) = says {
            self.announce(number, says);
        }
    }
}

/// A process' clock, so many milliseconds after it started.
const fn on_clock(millis: u64) -> Instant {
    Instant::from_millis(1_000 + millis)
}
