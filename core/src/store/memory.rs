use super::{
    Commit, Journal, Keep, KeptBody, KeptBodyBuf, Record, Recorded, Save, Saved, SavedSession, Sessions,
};
use crate::provider::Authenticity;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::fmt;

/// A store in memory. **Nothing in it survives the process**: it serves trials, tests and programs that take the loss.
///
/// Records are bounded by count and by bytes of what the sender chooses: body, id and event word. When a bound is reached the oldest applied record goes first, then the oldest
/// unsigned, then the oldest signed one; overwriting is a valid commit, since opening a session always pulls at once (R15). An
/// evicted record is forgotten: its twin counts as new, which is harmless (R4). Sessions are not bounded here: there are as many as
/// the program opens.
pub struct MemoryStore {
    most_records: u32,
    most_bytes: u64,
    bytes: u64,
    last_position: u64,
    records: BTreeMap<u64, Recorded>,
    positions: BTreeMap<Box<str>, BTreeMap<[u8; 32], u64>>,
    /// Every record once, the next to be evicted first.
    victims: BTreeSet<(Rank, u64)>,
    sessions: BTreeMap<(Box<str>, Box<str>), SavedSession>,
    confirmed: BTreeMap<(Box<str>, Box<str>), u32>,
    /// Provider, alias and id of every session that has an alias.
    aliases: BTreeSet<(Box<str>, Box<str>, Box<str>)>,
}

/// What a record's eviction would cost; the cheapest goes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Applied,
    Unsigned,
    Signed,
}

impl Rank {
    const fn of(authenticity: Authenticity) -> Self {
        match authenticity {
            Authenticity::Signed => Self::Signed,
            Authenticity::Unsigned | Authenticity::Wrong | Authenticity::Missing => Self::Unsigned,
        }
    }
}

/// A record is larger than everything the store may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLarge {
    /// Bytes of the record: body, id and event word.
    pub record: u64,
    /// The store's bound.
    pub most_bytes: u64,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a record of {} bytes does not fit into a memory store of {} bytes: raise the store's bound or lower the body cap",
            self.record, self.most_bytes
        )
    }
}

impl core::error::Error for TooLarge {}

impl MemoryStore {
    /// An empty store for at most `most_records` records (at least one) with at most `most_bytes` bytes of bodies, ids and event words.
    #[must_use]
    pub fn new(most_records: u32, most_bytes: u64) -> Self {
        Self {
            most_records: most_records.max(1),
            most_bytes,
            bytes: 0,
            last_position: 0,
            records: BTreeMap::new(),
            positions: BTreeMap::new(),
            victims: BTreeSet::new(),
            sessions: BTreeMap::new(),
            confirmed: BTreeMap::new(),
            aliases: BTreeSet::new(),
        }
    }

    /// How many records it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether it holds no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// How many bytes of bodies, ids and event words it holds.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The record at `position`, unless it was evicted.
    #[must_use]
    pub fn record(&self, position: u64) -> Option<&Recorded> {
        self.records.get(&position)
    }

    fn apply(&mut self, positions: &[u64]) {
        for &position in positions {
            if let Some(record) = self.records.get(&position) {
                self.victims.remove(&(Rank::of(record.authenticity), position));
                self.victims.insert((Rank::Applied, position));
            }
        }
    }

    fn with_confirmation(&self, key: &(Box<str>, Box<str>), session: &SavedSession) -> SavedSession {
        SavedSession { confirmed: self.confirmed.get(key).copied(), ..session.clone() }
    }

    fn make_room(&mut self, bytes: u64) {
        while self.records.len() as u64 >= u64::from(self.most_records)
            || self.bytes.saturating_add(bytes) > self.most_bytes
        {
            let Some((_, position)) = self.victims.pop_first() else { return };
            if let Some(record) = self.records.remove(&position) {
                self.bytes = self.bytes.saturating_sub(size(&record.as_record()));
                if let Some(of_provider) = self.positions.get_mut(&record.provider) {
                    of_provider.remove(&record.digest);
                }
            }
        }
    }
}

/// The bytes of a record that its sender chooses.
fn size(record: &Record<'_>) -> u64 {
    let words = [record.id, record.event, record.remark].into_iter().flatten();
    words.fold(record.body.len() as u64, |bytes, word| bytes.saturating_add(word.len() as u64))
}

impl fmt::Debug for MemoryStore {
    /// Counts only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("records", &self.records.len())
            .field("bytes", &self.bytes)
            .field("sessions", &self.sessions.len())
            .finish_non_exhaustive()
    }
}

impl Journal for MemoryStore {
    type Error = TooLarge;

    fn commit(&mut self, record: &Record<'_>) -> Result<Commit, TooLarge> {
        if let Some(&position) =
            self.positions.get(record.provider).and_then(|of_provider| of_provider.get(&record.digest))
        {
            if let Some(first) = self.records.get(&position)
                && self.victims.remove(&(Rank::Applied, position))
            {
                self.victims.insert((Rank::of(first.authenticity), position));
            }
            return Ok(Commit { position, duplicate: true });
        }
        let bytes = size(record);
        if bytes > self.most_bytes {
            return Err(TooLarge { record: bytes, most_bytes: self.most_bytes });
        }
        self.make_room(bytes);
        self.last_position += 1;
        let position = self.last_position;
        self.bytes += bytes;
        self.victims.insert((Rank::of(record.authenticity), position));
        match self.positions.get_mut(record.provider) {
            Some(of_provider) => of_provider.insert(record.digest, position),
            None => self.positions.entry(record.provider.into()).or_default().insert(record.digest, position),
        };
        self.records.insert(
            position,
            Recorded {
                position,
                provider: record.provider.into(),
                digest: record.digest,
                authenticity: record.authenticity,
                id: record.id.map(Into::into),
                event: record.event.map(Into::into),
                remark: record.remark.map(Into::into),
                received_unix_ms: record.received_unix_ms,
                body: record.body.into(),
            },
        );
        Ok(Commit { position, duplicate: false })
    }

    fn mark_applied(&mut self, positions: &[u64]) -> Result<(), TooLarge> {
        self.apply(positions);
        Ok(())
    }

    fn unapplied(&mut self, after: u64, at_most: u32) -> Result<Vec<Recorded>, TooLarge> {
        let Some(first) = after.checked_add(1) else { return Ok(Vec::new()) };
        Ok(self
            .records
            .range(first..)
            .filter(|(position, _)| !self.victims.contains(&(Rank::Applied, **position)))
            .take(at_most as usize)
            .map(|(_, record)| record.clone())
            .collect())
    }

    fn never_blocks(&self) -> bool {
        true
    }
}

/// The body after a save that does `keep` to it.
fn kept(before: Option<KeptBodyBuf>, keep: Keep<'_>) -> Option<KeptBodyBuf> {
    match keep {
        Keep::Unchanged => before,
        Keep::Put(KeptBody { evidence, unsigned_answer, body }) => {
            Some(KeptBodyBuf { evidence, unsigned_answer, body: body.into() })
        }
        Keep::Drop => None,
    }
}

impl Sessions for MemoryStore {
    type Error = TooLarge;

    fn save(&mut self, save: &Save<'_>) -> Result<Saved, TooLarge> {
        let key = (save.provider.into(), save.id.into());
        let found = self.sessions.get(&key).map_or(0, |session| session.version);
        if found != save.expected {
            return Ok(Saved::Conflict { found });
        }
        let (issued, latest) = match self.sessions.remove(&key) {
            Some(SavedSession { provider, id, alias, issued, latest, .. }) => {
                if let Some(alias) = alias {
                    self.aliases.remove(&(provider, alias, id));
                }
                (issued, latest)
            }
            None => (None, None),
        };
        if let Some(alias) = save.alias {
            self.aliases.insert((save.provider.into(), alias.into(), save.id.into()));
        }
        let version = found + 1;
        let session = SavedSession {
            provider: save.provider.into(),
            id: save.id.into(),
            alias: save.alias.map(Into::into),
            version,
            snapshot: save.snapshot.into(),
            issued: kept(issued, save.issued),
            latest: kept(latest, save.latest),
            confirmed: None,
        };
        self.sessions.insert(key, session);
        self.apply(save.applied);
        Ok(Saved::Stored { version })
    }

    fn confirm(&mut self, provider: &str, id: &str, revision: u32) -> Result<bool, TooLarge> {
        let key = (provider.into(), id.into());
        let news = revision > self.confirmed.get(&key).copied().unwrap_or(0);
        if news {
            self.confirmed.insert(key, revision);
        }
        Ok(news)
    }

    fn load(&mut self, after: Option<(&str, &str)>, at_most: u32) -> Result<Vec<SavedSession>, TooLarge> {
        use core::ops::Bound;
        let from = match after {
            Some((provider, id)) => Bound::Excluded((provider.into(), id.into())),
            None => Bound::Unbounded,
        };
        Ok(self
            .sessions
            .range((from, Bound::Unbounded))
            .take(at_most as usize)
            .map(|(key, session)| self.with_confirmation(key, session))
            .collect())
    }

    fn find(&mut self, provider: &str, id: &str, at_most: u32) -> Result<Vec<SavedSession>, TooLarge> {
        let sharing = self
            .aliases
            .range((provider.into(), id.into(), Box::from(""))..)
            .take_while(|(of, alias, _)| &**of == provider && &**alias == id)
            .filter(|(_, alias, own)| alias != own)
            .map(|(of, _, sharing)| (of.clone(), sharing.clone()));
        Ok(core::iter::once((provider.into(), id.into()))
            .chain(sharing)
            .filter_map(|key| Some(self.with_confirmation(&key, self.sessions.get(&key)?)))
            .take(at_most as usize)
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Evidence;
    use alloc::collections::VecDeque;
    use proptest::prelude::*;

    fn record(body: &[u8], authenticity: Authenticity) -> Record<'_> {
        let digest = [body.first().copied().unwrap_or(0); 32];
        Record {
            provider: "shufti",
            digest,
            authenticity,
            id: Some("r-1"),
            event: None,
            remark: None,
            received_unix_ms: 5,
            body,
        }
    }

    fn save<'a>(id: &'a str, expected: u64, applied: &'a [u64]) -> Save<'a> {
        Save {
            provider: "shufti",
            id,
            alias: None,
            expected,
            snapshot: b"state",
            issued: Keep::Unchanged,
            latest: Keep::Unchanged,
            applied,
        }
    }

    #[test]
    fn r10_records_are_applied_in_the_commit_that_saves_the_session_and_not_by_a_conflict() {
        let mut store = MemoryStore::new(10, 100);
        assert!(store.is_empty());
        let first = store.commit(&record(b"a", Authenticity::Signed)).unwrap().position;
        assert!(!store.is_empty());
        let second = store.commit(&record(b"b", Authenticity::Signed)).unwrap().position;
        assert_eq!(store.save(&save("r-1", 3, &[first])).unwrap(), Saved::Conflict { found: 0 });
        assert_eq!(store.unapplied(0, 10).unwrap().len(), 2);
        assert_eq!(store.save(&save("r-1", 0, &[first, 99])).unwrap(), Saved::Stored { version: 1 });
        let left = store.unapplied(0, 10).unwrap();
        assert_eq!(left.iter().map(|record| record.position).collect::<Vec<_>>(), [second]);
        assert_eq!(left[0].as_record(), record(b"b", Authenticity::Signed));
        store.mark_applied(&[second]).unwrap();
        assert!(store.unapplied(0, 10).unwrap().is_empty());
    }

    #[test]
    fn g9_a_session_is_saved_only_over_the_version_that_was_read() {
        let mut store = MemoryStore::new(10, 100);
        let body = KeptBody { evidence: Evidence::Pulled, unsigned_answer: true, body: b"{}" };
        let first = Save { latest: Keep::Put(body), alias: Some("a-1"), ..save("r-1", 0, &[]) };
        assert_eq!(store.save(&first).unwrap(), Saved::Stored { version: 1 });
        assert_eq!(store.save(&first).unwrap(), Saved::Conflict { found: 1 });
        let issued = Save { issued: Keep::Put(body), latest: Keep::Drop, ..save("r-1", 1, &[]) };
        assert_eq!(store.save(&issued).unwrap(), Saved::Stored { version: 2 });
        assert_eq!(store.save(&save("r-1", 2, &[])).unwrap(), Saved::Stored { version: 3 });
        let loaded = store.load(None, 10).unwrap();
        assert_eq!(loaded.len(), 1);
        assert_eq!((loaded[0].version, &loaded[0].latest), (3, &None));
        assert_eq!(loaded[0].issued.as_ref().unwrap().as_kept(), body);
    }

    #[test]
    fn g2_a_confirmation_is_news_once_and_comes_back_with_the_session() {
        let mut store = MemoryStore::new(10, 100);
        let _ = store.save(&save("r-1", 0, &[])).unwrap();
        let _ = store.save(&save("r-2", 0, &[])).unwrap();
        assert!(store.confirm("shufti", "r-1", 1).unwrap());
        assert!(!store.confirm("shufti", "r-1", 1).unwrap());
        assert!(store.confirm("shufti", "r-1", 2).unwrap());
        assert!(!store.confirm("shufti", "r-1", 1).unwrap());
        // Revisions are numbered from 1.
        assert!(!store.confirm("shufti", "r-2", 0).unwrap());
        assert_eq!(store.load(None, 1).unwrap()[0].confirmed, Some(2));
        let rest = store.load(Some(("shufti", "r-1")), 10).unwrap();
        assert_eq!(
            rest.iter().map(|session| (&*session.id, session.confirmed)).collect::<Vec<_>>(),
            [("r-2", None)]
        );
    }

    #[test]
    fn g10_debug_shows_no_body() {
        let mut store = MemoryStore::new(10, 100);
        store.commit(&record(b"Jane Doe", Authenticity::Signed)).unwrap();
        let body = KeptBody { evidence: Evidence::Pulled, unsigned_answer: true, body: b"Jane Doe" };
        let kept = Save { snapshot: b"Jane Doe", latest: Keep::Put(body), ..save("r-1", 0, &[]) };
        let _ = store.save(&kept).unwrap();
        let shown = alloc::format!(
            "{store:?} {:?} {kept:?} {:?} {:?}",
            record(b"Jane Doe", Authenticity::Signed),
            store.unapplied(0, 9),
            store.load(None, 9)
        );
        let as_bytes = alloc::format!("{:?}", b"Jane").replace(['[', ']'], "");
        assert!(!shown.contains("Jane") && !shown.contains(&as_bytes), "{shown}");
    }

    #[derive(Clone, Copy, Debug)]
    enum Op {
        Commit { name: u8, len: u8, signed: bool },
        Apply { position: u64 },
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            3 => (0..12_u8, 1..12_u8, any::<bool>()).prop_map(|(name, len, signed)| Op::Commit { name, len, signed }),
            1 => (1..30_u64).prop_map(|position| Op::Apply { position }),
        ]
    }

    proptest! {
        /// Against a plain list: bounds hold, twins are told as long as the first is held, positions grow, and what goes is the
        /// oldest applied, then the oldest unsigned, then the oldest signed record.
        #[test]
        fn r15_bounded_and_evicts_the_cheapest_first(ops in prop::collection::vec(op(), 1..60)) {
            let (most_records, most_bytes) = (5, 30);
            // Each record has the id `r-1`: three bytes more than its body.
            let mut store = MemoryStore::new(most_records, most_bytes);
            let mut plain: VecDeque<(u64, Vec<u8>, bool, bool)> = VecDeque::new();
            let mut last = 0;
            for op in ops {
                match op {
                    Op::Commit { name, len, signed } => {
                        let body = alloc::vec![name; usize::from(len)];
                        let authenticity = if signed { Authenticity::Signed } else { Authenticity::Unsigned };
                        let twin = plain.iter().find(|(_, held, ..)| held[0] == name).map(|(position, ..)| *position);
                        let commit = store.commit(&record(&body, authenticity)).unwrap();
                        prop_assert_eq!(commit.duplicate, twin.is_some());
                        if let Some(position) = twin {
                            prop_assert_eq!(commit.position, position);
                            for entry in plain.iter_mut().filter(|entry| entry.0 == position) {
                                entry.3 = false;
                            }
                            continue;
                        }
                        prop_assert!(commit.position > last);
                        last = commit.position;
                        let held = |plain: &VecDeque<(u64, Vec<u8>, bool, bool)>| {
                            plain.iter().map(|(_, body, ..)| body.len() as u64 + 3).sum::<u64>()
                        };
                        while plain.len() >= 5 || held(&plain) + body.len() as u64 + 3 > most_bytes {
                            let victim = plain.iter().position(|(.., applied)| *applied)
                                .or_else(|| plain.iter().position(|(_, _, signed, _)| !*signed))
                                .unwrap_or(0);
                            plain.remove(victim);
                        }
                        plain.push_back((commit.position, body, signed, false));
                    }
                    Op::Apply { position } => {
                        store.mark_applied(&[position]).unwrap();
                        for entry in plain.iter_mut().filter(|entry| entry.0 == position) {
                            entry.3 = true;
                        }
                    }
                }
                prop_assert!(store.len() <= 5 && store.bytes() <= most_bytes);
                let expected: Vec<_> = plain.iter().filter(|entry| !entry.3).map(|entry| entry.0).collect();
                let first: Vec<_> = store.unapplied(0, 2).unwrap().iter().map(|held| held.position).collect();
                let rest = store.unapplied(first.last().copied().unwrap_or(0), 100).unwrap();
                let all: Vec<_> = first.into_iter().chain(rest.iter().map(|held| held.position)).collect();
                prop_assert_eq!(all, expected);
            }
        }
    }

    /// Found by the exhaustive model: accepted, declined, accepted; the third callback has the bytes of the first. The process dies between
    /// its 200 and the session's save, and the provider does not come again.
    #[test]
    fn r4_r10_a_twin_of_an_applied_record_is_stepped_again_after_a_crash() {
        let mut store = MemoryStore::new(5, 60);
        let accepted = record(b"accepted", Authenticity::Signed);
        let first = store.commit(&accepted).unwrap().position;
        let second = store.commit(&record(b"declined", Authenticity::Signed)).unwrap().position;
        store.mark_applied(&[first, second]).unwrap();
        assert!(store.commit(&accepted).unwrap().duplicate);
        let left = store.unapplied(0, 9).unwrap();
        assert_eq!(left.iter().map(|held| held.position).collect::<Vec<_>>(), [first]);
        store.mark_applied(&[first]).unwrap();
        assert!(store.unapplied(0, 9).unwrap().is_empty());
    }

    #[test]
    fn r15_a_record_that_is_too_large_with_its_id_and_event_is_refused_and_evicts_nothing() {
        let mut store = MemoryStore::new(5, 6);
        store.commit(&record(b"abc", Authenticity::Signed)).unwrap();
        let refused = store.commit(&record(b"defg", Authenticity::Signed));
        assert_eq!(refused, Err(TooLarge { record: 7, most_bytes: 6 }));
        let long = Record { event: Some("long"), ..record(b"x", Authenticity::Signed) };
        assert_eq!(store.commit(&long), Err(TooLarge { record: 8, most_bytes: 6 }));
        assert_eq!((store.len(), store.bytes()), (1, 6));
    }

    /// A store that finds as the trait does where nobody wrote anything better.
    struct Plain<'a>(&'a mut MemoryStore);

    impl Sessions for Plain<'_> {
        type Error = TooLarge;

        fn save(&mut self, save: &Save<'_>) -> Result<Saved, TooLarge> {
            self.0.save(save)
        }

        fn confirm(&mut self, provider: &str, id: &str, revision: u32) -> Result<bool, TooLarge> {
            self.0.confirm(provider, id, revision)
        }

        fn load(&mut self, after: Option<(&str, &str)>, at_most: u32) -> Result<Vec<SavedSession>, TooLarge> {
            self.0.load(after, at_most)
        }
    }

    proptest! {
        #[test]
        fn r8_a_session_is_found_by_its_id_and_its_alias_as_by_reading_everything(
            saves in proptest::collection::vec((0..4_u8, 0..6_usize, proptest::option::of(0..6_usize)), 1..30),
            at_most in 0..5_u32,
        ) {
            const IDS: [&str; 6] = ["", "a", "ab", "b", "ba", "c"];
            let mut store = MemoryStore::new(10, 100);
            for (confirms, id, alias) in saves {
                let expected = store.sessions.get(&("shufti".into(), IDS[id].into())).map_or(0, |session| session.version);
                let alias = alias.map(|alias| IDS[alias]);
                let _ = store.save(&Save { alias, ..save(IDS[id], expected, &[]) }).unwrap();
                if confirms == 0 {
                    store.confirm("shufti", IDS[id], 1).unwrap();
                }
            }
            for id in IDS {
                let found = store.find("shufti", id, at_most).unwrap();
                prop_assert_eq!(&found, &Plain(&mut store).find("shufti", id, at_most).unwrap());
                prop_assert!(found.len() <= at_most as usize);
                prop_assert!(store.find("shareid", id, at_most).unwrap().is_empty());
            }
        }
    }
}
