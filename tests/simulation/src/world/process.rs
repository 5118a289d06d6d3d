//! Our process: the engine with its host, its application, and how it dies and starts again.

use super::callbacks::Incoming;
use super::calls::Sent;
use super::{BEGAN_UNIX_MS, Happening, World, on_clock};
use crate::Defect;
use crate::ledger::CADENCE;
use crate::provider::{LIMITS, MINUTE, SECRET};
use crate::store::Mood;
use crate::story::{Kind, State};
use idv_core::engine::reception::Endpoint;
use idv_core::engine::{Account, Engine, Event, HandOver, Opened, Opening, Policy, StoreTask, Task};
use idv_core::evidence::Outcome;
use idv_core::fleet::{AccountId, FleetPolicy, Key, OpenError, Wake};
use idv_core::provider::Provider;
use idv_core::rules::Rules;
use idv_core::session::{End, EvidencePolicy};
use idv_core::shareid::{self, Flow};
use idv_core::shufti::{self, AuthMode};
use idv_core::time::Span;
use std::collections::BTreeMap;

/// The most steps of the engine at one moment: more is a loop.
const MOST_TURNS: u32 = 100_000;

/// The call timeout of both contracts.
pub(super) const CALL_TIMEOUT: u64 = 10_000;

/// Where each kind of account pulls.
pub(super) const PATHS: [&str; 4] = ["/flow/onboarding/", "/flow/authenticate/", "/eu/", "/us/"];

/// How many calls to ShareID and to Shufti may come back to back.
pub(super) const BURSTS: [u32; 2] = [20, 4];

/// See the module.
pub(super) struct Process {
    pub(super) engine: Engine,
    accounts: Vec<(AccountId, Endpoint)>,
    pub(super) began: u64,
    wake: Option<u64>,
    pub(super) calls: BTreeMap<u64, Sent>,
    /// With when it was asked for, in the order of all happenings.
    stores: BTreeMap<u64, (StoreTask, Mood, u64)>,
    hand_overs: BTreeMap<u64, HandOver>,
    pub(super) incoming: BTreeMap<u64, Incoming>,
    openings: BTreeMap<Key, u32>,
}

impl Process {
    pub(super) const fn wake(&self) -> Option<u64> {
        self.wake
    }

    pub(super) fn endpoint(&self, kind: Kind) -> Option<Endpoint> {
        self.accounts.get(kind as usize).map(|(_, endpoint)| endpoint.clone())
    }
}

fn rules(contract: Rules, kind: Kind) -> Rules {
    let (door, watch) = if kind.is_shareid() {
        // Longer than the retries of its callbacks.
        (0, Span::hours(26))
    } else {
        (1, Span::hours(3))
    };
    Rules {
        cadence: CADENCE,
        // Callbacks bring pulls forward.
        interval: Span::mins(1),
        calls: LIMITS.get(door).copied().unwrap_or(1),
        window: MINUTE,
        burst: BURSTS.get(door).copied().unwrap_or(1),
        evidence: match kind {
            Kind::Trusting => EvidencePolicy::TrustSigned,
            Kind::Onboarding | Kind::Authenticate | Kind::Confirming => EvidencePolicy::ConfirmByPull,
        },
        watch: Some(watch),
        ..contract
    }
}

fn under_rules(provider: impl Provider + 'static, kind: Kind) -> Option<Account> {
    let rules = rules(provider.rules(), kind);
    Account::with_rules(provider, &rules).ok()
}

fn account(kind: Kind) -> Option<Account> {
    let shareid = |flow| {
        shareid::Account::new("https://api.shareid.example", flow, "business-hash".into(), "api-key".into())
            .ok()
    };
    let shufti = |url: &str, auth| {
        shufti::Account::builder("client-id", SECRET.into()).base_url(url).auth(auth).build().ok()
    };
    match kind {
        Kind::Onboarding => under_rules(shareid(Flow::Onboarding)?, kind),
        Kind::Authenticate => under_rules(shareid(Flow::Authenticate)?, kind),
        Kind::Confirming => under_rules(shufti("https://api.shufti.example/eu", AuthMode::Basic)?, kind),
        Kind::Trusting => under_rules(shufti("https://api.shufti.example/us", AuthMode::AccessToken)?, kind),
    }
}

impl World<'_> {
    /// A process starts, from what the store holds.
    pub(super) fn start(&mut self) {
        self.store.is_shared = self.has(Defect::SharesSessions);
        let fleet = FleetPolicy { tombstones: 500, ..FleetPolicy::default() };
        let mut engine = Engine::new(Policy { fleet, ..Policy::default() });
        let accounts = Kind::ALL.into_iter().filter_map(account).map(|account| {
            let endpoint = account.endpoint();
            (engine.add_account(account), endpoint)
        });
        let accounts = accounts.collect();
        self.process = Some(Process {
            engine,
            accounts,
            began: self.now,
            wake: Some(self.now),
            calls: BTreeMap::new(),
            stores: BTreeMap::new(),
            hand_overs: BTreeMap::new(),
            incoming: BTreeMap::new(),
            openings: BTreeMap::new(),
        });
        if self.tally.crashes > 0 {
            for door in &mut self.doors {
                door.restart(self.now);
            }
        }
        let moment = self.moment();
        let (Some(process), todo) = (&mut self.process, &mut self.todo) else { return };
        self.store.mood = Mood::Willing;
        let restored = process.engine.restore(moment, &mut self.store, &mut |task| todo.push_back(task));
        if restored.is_err() {
            self.tally.wrongs.never_ended += 1;
        }
        self.tally.restored += process.engine.len() as u64;
        // What ended, and was saved, and said to nobody before the process died.
        for verification in self
            .verifications
            .iter_mut()
            .enumerate()
            .filter(|(number, _)| !self.unsaved.contains(&(*number as u32)))
        {
            let (number, verification) = verification;
            if verification.end.is_none() && verification.opened.is_some() {
                let provider = if verification.kind.is_shareid() { "shareid" } else { "shufti" };
                let id = verification.kind.id(number as u32);
                let status =
                    process.engine.find(provider, &id).and_then(|key| process.engine.status(key, moment.now));
                let end = status.map_or(Some(End::Watched), |status| status.end);
                if let Some(end) = end {
                    verification.end = Some(end);
                    self.ended += 1;
                }
            }
        }
        self.turn();
        for number in self.unsaved.clone() {
            self.open(number);
        }
        // At 10 per cent twice a day.
        if let Some(apart) = (12 * 3_600_000 * 100_u64).checked_div(self.share.faults) {
            self.next_crash = self.now + self.random.between(1, 2 * apart);
        }
    }

    /// The process dies. What the store was at happens or does not; the rest is gone.
    pub(super) fn crash(&mut self) {
        self.tally.crashes += 1;
        self.next_crash = u64::MAX;
        let Some(process) = self.process.take() else { return };
        for (_, (task, _, order)) in process.stores {
            if self.random.happens(500) {
                self.store.mood = Mood::Willing;
                let _ = task.perform(&mut self.store);
                self.note_durable(order);
            }
        }
        for (_, incoming) in process.incoming {
            if let Some(recording) = incoming.recording
                && self.random.happens(500)
            {
                self.store.mood = Mood::Willing;
                let _ = recording.perform(&mut self.store);
            }
        }
        let _ = self.store.take_durable();
        for (_, hand_over) in process.hand_overs {
            // The application may have taken it, and nobody knows.
            if self.random.happens(500) && !self.refuses(&hand_over) {
                self.give(&hand_over, true);
            }
        }
        for verification in &mut self.verifications {
            verification.crashed(self.now);
        }
        if self.has(Defect::RestoresOldSnapshots) {
            let backup = std::mem::take(&mut self.backup);
            self.store.restore(&backup.1);
        }
        self.todo.clear();
        let down = self.random.spread(Span::secs(1), Span::mins(10));
        self.after(down, Happening::Start);
    }

    /// The application opens a verification.
    pub(super) fn open(&mut self, number: u32) {
        let moment = self.moment();
        let Some(verification) = self.verifications.get_mut(number as usize) else { return };
        let (Some(process), todo) = (&mut self.process, &mut self.todo) else { return };
        let Some((account, _)) = process.accounts.get(verification.kind as usize) else { return };
        let id = verification.kind.id(number);
        match process.engine.open(moment, *account, &id, None, &mut |task| todo.push_back(task)) {
            Ok(key) => {
                process.openings.insert(key, number);
            }
            // Its first save was done, and nobody was told.
            Err(OpenError::Exists(_)) => {
                self.unsaved.remove(&number);
            }
            Err(OpenError::Full | OpenError::EmptyId | OpenError::NoAccount) => {
                self.tally.wrongs.never_ended += 1;
            }
        }
        verification.opened.get_or_insert(self.now);
        self.turn();
    }

    /// Starts what was asked for, and runs the engine until it asks for nothing more.
    pub(super) fn turn(&mut self) {
        for _ in 0..MOST_TURNS {
            while let Some(task) = self.todo.pop_front() {
                self.last_task = self.now;
                self.begin(task);
            }
            let moment = self.moment();
            let (Some(process), todo) = (&mut self.process, &mut self.todo) else { return };
            let wake = process.engine.run(moment, 256, &mut |task| todo.push_back(task));
            let at = match wake {
                Wake::More => continue,
                Wake::At(at) => Some(at.since(on_clock(0)) + process.began),
                Wake::Input => None,
            };
            if todo.is_empty() {
                process.wake = at
                    .map(|at| at.max(self.now))
                    .filter(|_| self.share.defect != Some(Defect::ForgetsTimers));
                // A driver that is late.
                if self.goes_wrong_rarely(4) {
                    let late = self.random.between(1, 500);
                    if let Some(Process { wake: Some(wake), .. }) = &mut self.process {
                        *wake += late;
                    }
                }
                return;
            }
        }
        // It never came to rest.
        self.tally.wrongs.never_ended += 1;
        if let Some(process) = &mut self.process {
            process.wake = Some(self.now + 1_000);
        }
    }

    fn begin(&mut self, task: Task) {
        match task {
            Task::Call(call) => self.send(call),
            Task::Store(task) => {
                let stalls = self.stalls();
                let (mood, takes) = self.mood(stalls);
                let (id, order) = (self.new_id(), self.order);
                if let Some(process) = &mut self.process {
                    process.stores.insert(id, (task, mood, order));
                }
                self.after(takes, Happening::Store(id));
            }
            Task::HandOver(hand_over) => {
                let takes = if self.goes_wrong() {
                    self.random.between(100, 30_000)
                } else {
                    self.random.between(1, 50)
                };
                let id = self.new_id();
                if let Some(process) = &mut self.process {
                    process.hand_overs.insert(id, hand_over);
                }
                self.after(takes, Happening::HandOver(id));
            }
            Task::Opened(Opened { key, opening }) => {
                let Some(number) = self.process.as_mut().and_then(|process| process.openings.remove(&key))
                else {
                    return;
                };
                match opening {
                    Opening::Saved | Opening::BroughtBack => {
                        self.unsaved.remove(&number);
                    }
                    // It is told once; whether it is saved then shows after a crash.
                    Opening::NotSavedYet => {}
                    Opening::Elsewhere => self.tally.wrongs.taken_over += 1,
                }
            }
            Task::Tell(event) => self.tell(&event),
        }
    }

    /// What becomes of one operation of the store, and how long it takes.
    pub(super) fn mood(&mut self, stalls: bool) -> (Mood, u64) {
        let takes = self.random.between(1, 12);
        if stalls {
            let takes = self.random.between(500, 8_000);
            return (if self.random.happens(500) { Mood::Refusing } else { Mood::Willing }, takes);
        }
        if !self.goes_wrong() {
            return (Mood::Willing, takes);
        }
        match self.random.below(4) {
            0 => (Mood::Refusing, takes),
            1 => (Mood::Lying, takes),
            _ => (Mood::Willing, self.random.spread(Span::millis(20), Span::secs(5))),
        }
    }

    /// The stalls of the store, which are everybody's.
    pub(super) fn stalls(&mut self) -> bool {
        let apart = 6 * 3_600_000;
        self.share.faults > 0
            && self.stall.is_on(self.now, apart, (Span::secs(1), Span::mins(2)), &mut self.random)
    }

    pub(super) fn store_task(&mut self, id: u64) {
        let Some((task, mood, order)) = self.process.as_mut().and_then(|process| process.stores.remove(&id))
        else {
            return;
        };
        self.store.mood = mood;
        self.tally.store_failures += u64::from(mood != Mood::Willing);
        let completion = task.perform(&mut self.store);
        self.note_durable(order);
        self.complete(completion);
        self.take_backup();
    }

    /// What the store just made durable, asked for at this point.
    fn note_durable(&mut self, order: u64) {
        let durable = self.store.take_durable();
        if let Some(verification) =
            durable.saved.and_then(|number| self.verifications.get_mut(number as usize))
        {
            verification.saved(order);
        }
        if let Some((number, revision)) = durable.confirmed
            && let Some(verification) = self.verifications.get_mut(number as usize)
        {
            verification.confirmed(revision);
        }
    }

    /// What a careless operator would restore.
    fn take_backup(&mut self) {
        if self.has(Defect::RestoresOldSnapshots) && self.now >= self.backup.0 {
            self.backup = (self.now + 600_000, self.store.backup());
        }
    }

    pub(super) fn complete(&mut self, completion: idv_core::engine::Completion) {
        let moment = self.moment();
        let (Some(process), todo) = (&mut self.process, &mut self.todo) else { return };
        process.engine.complete(moment, completion, &mut |task| todo.push_back(task));
        self.turn();
    }

    /// The application comes to a hand-over.
    pub(super) fn application(&mut self, id: u64) {
        let Some(hand_over) = self.process.as_mut().and_then(|process| process.hand_overs.remove(&id)) else {
            return;
        };
        if self.has(Defect::DropsHandOvers) && self.random.happens(100) {
            return self.complete(hand_over.taken());
        }
        let takes = !self.goes_wrong_rarely(3) && !self.refuses(&hand_over);
        self.give(&hand_over, takes);
        if self.has(Defect::MisnumbersHandOvers)
            && self.random.happens(100)
            && let Some(number) = Kind::number(hand_over.key().1)
            && let Some(verification) = self.verifications.get_mut(number as usize)
        {
            let (verdict, revision) = (hand_over.verdict(), hand_over.revision());
            let next = revision.number.saturating_add(1);
            verification.given(verdict, next, &revision.body, true, &mut self.tally.wrongs);
        }
        if self.has(Defect::RepeatsHandOvers) {
            let number = Kind::number(hand_over.key().1);
            let confirmed = number
                .and_then(|number| self.verifications.get(number as usize))
                .is_some_and(|verification| verification.is_confirmed(hand_over.key().2.saturating_sub(1)));
            if confirmed && self.random.happens(100) {
                let (verdict, revision) = (hand_over.verdict(), hand_over.revision());
                if let Some(verification) =
                    number.and_then(|number| self.verifications.get_mut(number as usize))
                {
                    let previous = revision.number.saturating_sub(1);
                    verification.given(verdict, previous, &revision.body, true, &mut self.tally.wrongs);
                }
            }
        }
        let completion =
            if takes { hand_over.taken() } else { hand_over.not_taken("the application is busy".to_owned()) };
        self.complete(completion);
    }

    /// Whether the application will never take it.
    fn refuses(&self, hand_over: &HandOver) -> bool {
        let (_, id, revision) = hand_over.key();
        let number = Kind::number(id).and_then(|number| self.verifications.get(number as usize));
        number.is_some_and(|verification| revision <= verification.refuses)
    }

    /// The application is given a revision.
    fn give(&mut self, hand_over: &HandOver, takes: bool) {
        let (_, id, revision) = hand_over.key();
        let Some(number) = Kind::number(id) else { return };
        self.note(21, u64::from(number) << 32 | u64::from(revision) << 8 | u64::from(takes));
        let Some(verification) = self.verifications.get_mut(number as usize) else { return };
        self.tally.repeated_hand_overs += u64::from(hand_over.key().2 <= verification.revisions());
        let Some(since) = verification.handed_over(hand_over, takes, &mut self.tally.wrongs) else { return };
        self.tally.revisions += 1;
        self.tally.latencies.push(u32::try_from(self.now - since).unwrap_or(u32::MAX));
        if hand_over.verdict().settles() && !std::mem::replace(&mut verification.has_settled, true) {
            self.tally.verdicts += 1;
            self.tally.pulls_to_verdicts += u64::from(verification.pulls);
            let waited = since.saturating_sub(verification.opened.unwrap_or(since));
            self.tally.polls_without_callbacks += 1 + waited.div_ceil(u64::from(CADENCE.as_millis()));
        }
    }

    /// The application is given what the client never made.
    pub(super) fn give_unfounded(&mut self, number: u32, state: State, body: &[u8]) {
        let Some(verification) = self.verifications.get_mut(number as usize) else { return };
        let (Some(verdict), next) = (state.verdict(), verification.revisions() + 1) else { return };
        verification.given(verdict, next, body, true, &mut self.tally.wrongs);
    }

    fn tell(&mut self, event: &Event) {
        match event {
            Event::Pulled { outcome: Outcome::Failed(_) | Outcome::Refused, .. } => {
                self.tally.failed_pulls += 1
            }
            Event::Ended { id, end, unconfirmed, .. } => {
                self.tally.refused += u64::from(*end == End::Refused);
                if let Some(verification) = self.named(id) {
                    let was_open = verification.end.is_none();
                    verification.ended(*end, *unconfirmed);
                    self.ended += usize::from(was_open);
                }
            }
            Event::HandedOver { id, number, .. } => {
                let number = *number;
                if let Some(verification) = self.named(id) {
                    verification.confirmed(number);
                }
            }
            Event::DeadLettered { id, number, .. } => {
                let number = *number;
                self.tally.dead_letters += 1;
                if let Some(verification) = self.named(id) {
                    verification.dead(number);
                }
            }
            Event::TakenOver { .. } => self.tally.wrongs.taken_over += 1,
            Event::BroughtBack { .. } => self.tally.brought_back += 1,
            Event::Pulled { .. }
            | Event::NoToken { .. }
            | Event::CredentialsRefused { .. }
            | Event::Crowded { .. }
            | Event::Deviation { .. }
            | Event::Callback(_)
            | Event::HandOverFailed { .. }
            | Event::StoreFailed { .. }
            | Event::ListeningGap { .. }
            | Event::LeftInStore { .. }
            | _ => {}
        }
    }

    fn named(&mut self, id: &str) -> Option<&mut crate::ledger::Verification> {
        self.verifications.get_mut(Kind::number(id)? as usize)
    }

    pub(super) fn unix_ms(&self) -> u64 {
        BEGAN_UNIX_MS + self.now
    }
}
