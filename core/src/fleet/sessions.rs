//! The sessions themselves: slots, ids, and the graves of those that have ended (R8).

use super::{IdKey, Key, index};
use crate::machine::Machine;
use crate::poller::Class;
use crate::session::Session;
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Live {
    pub(super) session: Session,
    pub(super) account: u32,
    /// Of its last save; zero before the first.
    pub(super) version: u32,
    /// Where it stands in its account's queues, while it waits for permission; where it will stand, while it is held.
    pub(super) place: Option<(Class, u64)>,
    /// It keeps its place, and is not permitted anything.
    pub(super) is_held: bool,
    /// Which tombstone it is, once it is one.
    pub(super) grave: Option<u64>,
    pub(super) id: Box<str>,
    pub(super) alias: Option<Box<str>>,
}

impl Live {
    pub(super) fn new(session: Session, account: u32, id: &str, version: u32) -> Self {
        Self {
            session,
            account,
            version,
            place: None,
            is_held: false,
            grave: None,
            id: id.into(),
            alias: None,
        }
    }

    /// Waits for its first settling verdict.
    pub(super) const fn is_open(&self) -> bool {
        self.session.is_open()
    }

    /// Has ended, and nothing of it is left to hand over.
    pub(super) const fn is_over(&self) -> bool {
        self.session.is_over()
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Slot {
    generation: u32,
    live: Option<Live>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Sessions {
    slots: Vec<Slot>,
    free: Vec<u32>,
    ids: BTreeMap<IdKey, u32>,
    /// Second ids. Several sessions may share one: ShareID's `applicant_id` names the person, whose flows are many.
    aliases: BTreeSet<(IdKey, u32)>,
    /// The oldest first.
    graves: BTreeMap<u64, Key>,
    buried: u64,
}

impl Sessions {
    pub(super) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            ids: BTreeMap::new(),
            aliases: BTreeSet::new(),
            graves: BTreeMap::new(),
            buried: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn get(&self, key: Key) -> Option<&Live> {
        self.slots.get(key.index as usize).filter(|slot| slot.generation == key.generation)?.live.as_ref()
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Live> {
        let slot = self.slots.get_mut(key.index as usize)?;
        slot.live.as_mut().filter(|_| slot.generation == key.generation)
    }

    /// The session in this slot; `None` past the last slot, `Some(None)` where the slot is free.
    pub(super) fn in_slot(&self, index: u32) -> Option<Option<Key>> {
        let slot = self.slots.get(index as usize)?;
        Some(slot.live.as_ref().map(|_| Key { index, generation: slot.generation }))
    }

    pub(super) fn map_times(&mut self, mut f: impl FnMut(Instant) -> Instant) {
        for live in self.slots.iter_mut().filter_map(|slot| slot.live.as_mut()) {
            live.session.map_times(&mut f);
        }
    }

    /// The session that was opened with this id.
    pub(super) fn opened_with(&self, id: IdKey) -> Option<Key> {
        self.in_slot(*self.ids.get(&id)?).flatten()
    }

    /// The sessions that this id leads to: the one opened with it first, then those that have it as their second id.
    pub(super) fn find(&self, id: IdKey) -> impl Iterator<Item = Key> + '_ {
        let sharing = self.aliases.range((id, 0)..=(id, u32::MAX));
        let sharing = sharing.filter_map(|(_, place)| self.in_slot(*place).flatten());
        self.opened_with(id).into_iter().chain(sharing)
    }

    /// Puts one in, unless there are `most` already.
    pub(super) fn insert(&mut self, id: IdKey, live: Live, most: u32) -> Option<Key> {
        let place = match self.free.pop() {
            Some(place) => place,
            None if self.slots.len() >= most as usize => return None,
            None => {
                self.slots.push(Slot { generation: 0, live: None });
                index(self.slots.len() - 1)
            }
        };
        let slot = self.slots.get_mut(place as usize)?;
        slot.live = Some(live);
        self.ids.insert(id, place);
        Some(Key { index: place, generation: slot.generation })
    }

    /// Has a second id lead to a session too.
    pub(super) fn add_alias(&mut self, id: IdKey, key: Key) {
        self.aliases.insert((id, key.index));
    }

    pub(super) fn remove(&mut self, key: Key, provider: &str) {
        let Some(slot) =
            self.slots.get_mut(key.index as usize).filter(|slot| slot.generation == key.generation)
        else {
            return;
        };
        let Some(live) = slot.live.take() else {
            return;
        };
        // The key is never used again.
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.index);
        self.ids.remove(&IdKey::new(provider, &live.id));
        if let Some(alias) = &live.alias {
            self.aliases.remove(&(IdKey::new(provider, alias), key.index));
        }
        if let Some(grave) = live.grave {
            self.graves.remove(&grave);
        }
    }

    /// Brings a session's grave up to date with its state.
    pub(super) fn bury_or_raise(&mut self, key: Key) {
        let buried = self.buried;
        let Some(live) = self.get_mut(key) else {
            return;
        };
        match (live.is_over(), live.grave) {
            (true, None) => {
                live.grave = Some(buried);
                self.graves.insert(buried, key);
                self.buried += 1;
            }
            (false, Some(grave)) => {
                live.grave = None;
                self.graves.remove(&grave);
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// The oldest tombstone, while there are more than `most`.
    pub(super) fn supernumerary(&self, most: u32) -> Option<Key> {
        if self.graves.len() <= most as usize {
            return None;
        }
        self.graves.first_key_value().map(|(_, key)| *key)
    }
}
