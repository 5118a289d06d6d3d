//! Callbacks on their way to the session that they name, or to nobody yet.

use super::performing::Fed;
use super::reception::Arrived;
use super::report::{Body, Event};
use super::storing::{Job, Lookup};
use super::task::Task;
use super::{Engine, Moment};
use crate::evidence::{Callback, Evidence, Verdict};
use crate::fleet::{Key, Routed};
use crate::lifecycle::{self, Channel, Deviation};
use crate::machine::{Cx, Machine, Step};
use crate::provider::{CallbackReading, Provider};
use crate::store::SavedSession;
use crate::time::Instant;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The most callbacks remembered for verifications that nobody opened yet, to be marked applied when somebody does.
const MOST_UNKNOWN: usize = 1_000;

/// The longest id of a callback that is remembered for a verification that nobody opened yet, in bytes. No provider's id is that long,
/// and whoever sends callbacks chooses them.
const LONGEST_UNKNOWN_ID: usize = 1 << 10;

/// The most questions to the store about callbacks at the same time: whoever sends callbacks must not fill the store's queue.
const MOST_LOOKUPS: u32 = 16;

/// A callback that the store has.
#[derive(Clone, Copy)]
pub(super) struct Record {
    /// Where it stands in the journal.
    pub(super) position: u64,
    /// The verdict that its body claims.
    pub(super) claims: Option<Verdict>,
}

/// A callback that was checked and read, on its way to the session that it names.
pub(super) struct Named {
    provider: &'static str,
    /// The verification's own id, and its other one.
    ids: [Option<Arc<str>>; 2],
    callback: Callback,
    stated: Option<lifecycle::Event>,
    recorded: Option<Record>,
    body: Body,
    /// The store was asked about its ids.
    looked_up: bool,
}

impl Named {
    /// What a record that the store gave back says.
    pub(super) fn recorded(
        provider: &dyn Provider,
        reading: &CallbackReading,
        body: Body,
        position: u64,
    ) -> Self {
        Self {
            provider: provider.name(),
            ids: [reading.id.as_deref(), reading.alias.as_deref()].map(|id| id.map(Into::into)),
            callback: reading.callback,
            stated: reading.stated,
            recorded: Some(Record { position, claims: reading.claims }),
            body,
            looked_up: false,
        }
    }

    fn ids(&self) -> impl Iterator<Item = &Arc<str>> {
        self.ids.iter().flatten()
    }

    /// What is left of it while the store is asked whom it names: a hint, as of every callback about whom nobody knows (R15).
    fn without_its_body(self) -> Self {
        let callback = self.callback.hint();
        let ids = self.ids.map(|id| id.filter(|id| id.len() <= LONGEST_UNKNOWN_ID));
        Self { ids, callback, body: Body::default(), looked_up: true, ..self }
    }
}

/// The callbacks about which the store is asked, or will be.
#[derive(Default)]
pub(super) struct Lookups {
    waiting: VecDeque<Named>,
    under_way: u32,
    /// The store could not be asked: when to try again.
    pub(super) again: Option<Instant>,
}

impl From<Arrived> for Named {
    fn from(arrived: Arrived) -> Self {
        Self {
            provider: arrived.provider(),
            ids: [arrived.id(), arrived.alias()].map(|id| id.map(Into::into)),
            callback: arrived.callback(),
            stated: arrived.stated(),
            recorded: arrived.position().map(|position| Record { position, claims: arrived.claims() }),
            body: Arc::clone(arrived.body()),
            looked_up: false,
        }
    }
}

impl Engine {
    /// A callback arrived: what a [`super::Reception`] hands on. One that is not recorded may be dropped before, where there is no room: that
    /// costs latency, never a verdict.
    pub fn callback(&mut self, mut moment: Moment, arrived: Arrived, out: &mut dyn FnMut(Task)) {
        self.route(&mut moment, arrived.into(), out);
        self.settle(&mut moment);
    }

    pub(super) fn route(&mut self, m: &mut Moment, arrived: Named, out: &mut dyn FnMut(Task)) {
        let provider = arrived.provider;
        let known = arrived.ids().find(|id| self.fleet.find(provider, id).is_some()).cloned();
        let later = arrived.ids().find(|id| id.len() <= LONGEST_UNKNOWN_ID).cloned();
        let Some(id) = known.clone().or(later) else {
            // It names nobody: nothing can be done with it, now or later.
            if let Some(record) = arrived.recorded {
                self.ask_store(Job::MarkApplied([record.position].into()), out);
            }
            return;
        };
        // Its own id comes first: another verification may share the second one, and this one be forgotten all the same.
        let is_known = known.as_ref().is_some_and(|known| arrived.ids().next() == Some(known));
        if !is_known && self.has_forgotten && arrived.recorded.is_some() && !arrived.looked_up {
            return self.look_up(m, arrived, out);
        }
        if let Some(key) = self.fleet.find(provider, &id)
            && let Some(beside) = self.sessions.get_mut(&key)
            && let Some(record) = arrived.recorded
        {
            beside.recorded_callback(record.position, record.claims);
        }
        let evidence = arrived.callback.evidence();
        let bytes = u32::try_from(arrived.body.len()).unwrap_or(u32::MAX);
        let mut actions = Vec::new();
        let routed = self.fleet.callback(m.at(), provider, &id, arrived.callback, bytes, &mut |action| {
            actions.push(action);
        });
        if let Routed::Known(key) = routed {
            if let Some(stated) = arrived.stated.filter(|_| arrived.callback != Callback::WrongSignature) {
                self.seen(m, key, stated, Channel::Callback, evidence, out);
            }
            // Whatever the step changed, the record counts as taken in from here on (R10).
            if self.sessions.get(&key).is_some_and(|beside| beside.has_records_to_apply()) {
                self.want_save(key);
            }
        }
        self.perform(m, actions, Some(Fed { evidence, unsigned_answer: false, body: &arrived.body }), out);
        match (routed, arrived.recorded) {
            (Routed::Known(key), _) => self.save_owed(m, key, out),
            (Routed::Unknown, Some(record)) => {
                if self.unknown.len() >= MOST_UNKNOWN {
                    // Still not applied in the store: the next process looks at it again.
                    self.unknown.pop_front();
                }
                self.unknown.push_back((provider, id, record));
            }
            (Routed::Unknown, None) | (Routed::Dropped, _) => {}
        }
    }

    /// Has the store asked whom a callback names, in its turn.
    fn look_up(&mut self, m: &mut Moment, arrived: Named, out: &mut dyn FnMut(Task)) {
        self.lookups.waiting.push_back(arrived.without_its_body());
        if self.lookups.waiting.len() > MOST_UNKNOWN
            && let Some(oldest) = self.lookups.waiting.pop_front()
        {
            // As if the store did not know it. It is not applied there: the next process looks at it again.
            self.route(m, oldest, out);
        }
        self.look_up_next(out);
    }

    /// Asks about as many as may be asked about at the same time.
    pub(super) fn look_up_next(&mut self, out: &mut dyn FnMut(Task)) {
        while self.lookups.under_way < MOST_LOOKUPS
            && self.lookups.again.is_none()
            && let Some(arrived) = self.lookups.waiting.pop_front()
        {
            self.lookups.under_way += 1;
            let (provider, ids) = (arrived.provider, arrived.ids.clone());
            self.ask_store(Job::Find { lookup: Lookup::Named(arrived), provider, ids }, out);
        }
    }

    /// The store said whom a callback names, or could not be asked.
    pub(super) fn looked_up(
        &mut self,
        m: &mut Moment,
        arrived: Named,
        found: Option<Vec<SavedSession>>,
        out: &mut dyn FnMut(Task),
    ) {
        self.lookups.under_way = self.lookups.under_way.saturating_sub(1);
        match found {
            Some(found) => {
                for saved in found {
                    self.bring_back(m, saved, out);
                }
                self.route(m, arrived, out);
            }
            None => {
                self.lookups.waiting.push_front(arrived);
                self.lookups.again.get_or_insert(m.now.after(self.policy.store_retry));
            }
        }
        self.look_up_next(out);
    }

    /// Gives a session what was recorded for this id before it led there: to be marked applied with its next save, and referred to by
    /// revisions, as what comes later (R10, R17).
    pub(super) fn take_unknown(&mut self, key: Key, provider: &str, id: &str) {
        let Some(beside) = self.sessions.get_mut(&key) else { return };
        self.unknown.retain(|(of, unknown, record)| {
            let is_this = *of == provider && **unknown == *id;
            if is_this {
                beside.recorded_callback(record.position, record.claims);
            }
            !is_this
        });
    }

    /// The provider stated this event about a session: says where that departs from its documents (R19). What nobody vouches for is
    /// compared, and changes nothing: whoever sent it chose it.
    pub(super) fn seen(
        &mut self,
        m: &Moment,
        key: Key,
        event: lifecycle::Event,
        channel: Channel,
        evidence: Evidence,
        out: &mut dyn FnMut(Task),
    ) {
        let Some(beside) = self.sessions.get_mut(&key) else { return };
        let Some(account) = self.accounts.get(&beside.account) else { return };
        let table = account.provider.lifecycle();
        let mut lifecycle = beside.lifecycle;
        let Step { actions, .. } =
            lifecycle.step(Cx::new(m.now, table, 0), lifecycle::Input::Seen { event, channel });
        match evidence {
            Evidence::Pulled | Evidence::Signed => beside.lifecycle = lifecycle,
            Evidence::Unsigned => {}
        }
        for lifecycle::Action::Deviation(deviation) in actions {
            // The receiver of the callback has said so.
            if matches!(deviation, Deviation::Channel { channel: Channel::Callback, .. }) {
                continue;
            }
            out(Task::Tell(Event::Deviation {
                provider: account.provider.name(),
                id: Arc::clone(&beside.id),
                deviation,
                remark: in_words(table, deviation),
            }));
        }
    }
}

fn in_words(table: &lifecycle::Table, deviation: Deviation) -> String {
    let name = |event| table.row(event).map_or("an unknown event", |row| row.name);
    match deviation {
        Deviation::Channel { event, channel } => {
            let channel = match channel {
                Channel::Http => "answers to calls other than status calls",
                Channel::Callback => "callbacks",
                Channel::Status => "answers to status calls",
            };
            format!("{} is not documented for {channel}", name(event))
        }
        Deviation::Transition { from: Some(from), to } => {
            format!("{} is not documented after {}", name(to), name(from))
        }
        Deviation::Transition { from: None, to } => format!("{} is not documented as a beginning", name(to)),
    }
}
