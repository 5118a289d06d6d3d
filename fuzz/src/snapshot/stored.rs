//! A store with a session of any bytes in it: an engine takes it over, or says why not.

use crate::message::{OLD_SECRET, SECRET};
use idv_core::engine::{Account, Engine, Moment, Policy, RestoreError, Task};
use idv_core::evidence::{Evidence, FaultKind};
use idv_core::fleet::Wake;
use idv_core::http::{Failure, Received};
use idv_core::provider::Authenticity;
use idv_core::secret::Secret;
use idv_core::shareid::{self, Flow};
use idv_core::shufti;
use idv_core::store::{Journal, Keep, KeptBody, MemoryStore, Record, Save, Saved, Sessions};
use idv_core::time::Instant;
use std::collections::VecDeque;

/// How often the clock is moved to what the engine waits for.
const MOST_WAKES: usize = 24;

const ACCEPTED: &[u8] =
    br#"{"reference":"v-1","flow_id":"v-1","event":"verification.accepted","reasons":[]}"#;

pub(super) fn restored_or_refused(snapshot: &[u8], then: &[u8]) {
    for provider in ["shufti", "shareid"] {
        let mut store = filled(provider, snapshot, then);
        let mut driver = Driver { clock: Instant::from_millis(1_000_000), unix_ms: 1_700_000_000_000, then };
        match driver.take_over(&mut store) {
            Ok(()) => {
                // What this release saves, it can take over.
                let again = driver.take_over(&mut store);
                assert!(again.is_ok(), "G9: its own snapshot is refused: {again:?}");
            }
            Err(error @ RestoreError::Session { .. }) => {
                assert!(error.to_string().contains("v-1"), "the refusal names what is refused");
            }
            Err(error @ (RestoreError::Store(_) | RestoreError::Open(_))) => panic!("{error}"),
        }
    }
}

/// A store as an earlier process may have left it.
fn filled(provider: &'static str, snapshot: &[u8], then: &[u8]) -> MemoryStore {
    let mut store = MemoryStore::new(16, 1 << 20);
    let bits = then.first().copied().unwrap_or_default();
    let kept = |is_known: bool| {
        let body = if is_known { ACCEPTED } else { then };
        Keep::Put(KeptBody { evidence: Evidence::Pulled, unsigned_answer: is_known, body })
    };
    let save = Save {
        provider,
        id: "v-1",
        alias: (bits & 1 == 1).then_some("alias-1"),
        expected: 0,
        snapshot,
        issued: if bits & 2 == 2 { kept(bits & 4 == 4) } else { Keep::Unchanged },
        latest: if bits & 8 == 8 { kept(bits & 16 == 16) } else { Keep::Unchanged },
        applied: &[],
    };
    let Ok(Saved::Stored { .. }) = store.save(&save) else { panic!("an empty store takes it") };
    if bits & 32 == 32 {
        let revision = u32::from(bits >> 6) + 1;
        store.confirm(provider, "v-1", revision).expect("a memory store confirms");
    }
    for (digest, body) in [ACCEPTED, then].into_iter().enumerate() {
        let authenticity =
            [Authenticity::Signed, Authenticity::Unsigned, Authenticity::Wrong][usize::from(bits) % 3];
        let record = Record {
            provider,
            digest: [digest as u8; 32],
            authenticity,
            id: Some("v-1"),
            event: None,
            remark: None,
            received_unix_ms: 0,
            body,
        };
        store.commit(&record).expect("there is room");
    }
    store
}

/// Drives engines, one after the other, over the same store.
struct Driver<'a> {
    clock: Instant,
    unix_ms: u64,
    then: &'a [u8],
}

impl Driver<'_> {
    fn moment(&self) -> Moment {
        Moment::new(self.clock, self.unix_ms, 0x5eed)
    }

    /// A new process takes the store over and drives what it finds for a while.
    fn take_over(&mut self, store: &mut MemoryStore) -> Result<(), RestoreError> {
        let mut engine = Engine::new(Policy::default());
        let shufti = shufti::Account::builder("client", Secret::from(SECRET)).build();
        let shareid = shareid::Account::new(
            "https://shareid.example",
            Flow::Authenticate,
            Secret::from(SECRET),
            Secret::from(OLD_SECRET),
        );
        engine.add_account(Account::new(shufti.expect("in order")).expect("in order"));
        engine.add_account(Account::new(shareid.expect("in order")).expect("in order"));
        let mut tasks = VecDeque::new();
        engine.restore(self.moment(), store, &mut |task| tasks.push_back(task))?;
        for _ in 0..MOST_WAKES {
            let wake = self.rest(&mut engine, store, &mut tasks);
            let Wake::At(due) = wake else { break };
            assert!(due > self.clock, "waits for {due:?} at {:?}: a spin", self.clock);
            self.unix_ms = self.unix_ms.saturating_add(due.since(self.clock));
            self.clock = due;
        }
        Ok(())
    }

    /// Does what is due until nothing is left but to wait.
    fn rest(&mut self, engine: &mut Engine, store: &mut MemoryStore, tasks: &mut VecDeque<Task>) -> Wake {
        for _ in 0..10_000 {
            let wake = engine.run(self.moment(), 64, &mut |task| tasks.push_back(task));
            let completion = match tasks.pop_front() {
                Some(Task::Call(call)) => {
                    let _ = (call.request(), call.within(self.clock));
                    let answer = self.answer();
                    call.answered(answer, self.unix_ms)
                }
                Some(Task::Store(task)) => task.perform(store),
                Some(Task::HandOver(hand_over)) => {
                    let revision = hand_over.revision();
                    assert_eq!(hand_over.key(), (revision.provider, &*revision.id, revision.number));
                    match self.byte() % 4 {
                        0 => hand_over.not_taken("not now".to_owned()),
                        _ => hand_over.taken(),
                    }
                }
                Some(Task::Opened(_) | Task::Tell(_)) => continue,
                None if wake == Wake::More => continue,
                None => return wake,
            };
            engine.complete(self.moment(), completion, &mut |task| tasks.push_back(task));
        }
        panic!("G6: the engine never comes to rest");
    }

    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.then.split_first() else { return 0 };
        self.then = rest;
        *first
    }

    fn answer(&mut self) -> Result<Received, Failure> {
        let answered =
            |status, body: &[u8]| Ok(Received { status, headers: Vec::new(), body: body.to_vec() });
        match self.byte() % 6 {
            0 => Err(Failure { kind: FaultKind::TimedOut, diagnosis: "no answer".to_owned() }),
            1 => answered(200, br#"{"token":"fetch-token","access_token":"access-token"}"#),
            2 => answered(200, ACCEPTED),
            3 => {
                answered(200, br#"{"reference":"v-1","event":"verification.declined","reasons":["no_doc"]}"#)
            }
            4 => answered(401, b""),
            _ => answered(429, b""),
        }
    }
}
