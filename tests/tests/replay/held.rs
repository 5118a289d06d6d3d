//! Everything that a store holds for an engine, as text, and what an engine makes of it.

use idv_core::engine::{Account, Engine, Moment, Policy, Queue, Task, Turn};
use idv_core::evidence::Evidence;
use idv_core::http::Received;
use idv_core::provider::Authenticity;
use idv_core::shareid::Flow;
use idv_core::store::{
    Journal, Keep, KeptBody, KeptBodyBuf, MemoryStore, Record, Save, Saved, SavedSession, Sessions,
};
use idv_core::time::{Instant, Span};
use idv_core::{shareid, shufti};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

const UNIX_MS: u64 = 1_700_000_000_000;
const KEY: &str = "key-of-the-golden-account";

/// Shufti's signature by its newer rule.
fn sign(body: &str) -> String {
    let hex = |digest: &[u8]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let key = hex(&Sha256::digest(KEY));
    hex(&Sha256::new().chain_update(body).chain_update(key).finalize())
}

/// A store, and the engine on it.
pub(crate) struct Store(MemoryStore);

/// A process: an engine in virtual time, and a provider that answers what it is told to.
struct Process {
    queue: Queue,
    now: u64,
    entropy: u32,
    answers: BTreeMap<&'static str, &'static str>,
    /// What the application was given: id, number, verdict, event, and whether it took it.
    given: Vec<Value>,
    takes: bool,
    told: Vec<String>,
}

impl Process {
    fn new(now: u64) -> (Self, [idv_core::fleet::AccountId; 2]) {
        let shufti = shufti::Account::builder("client", KEY.into()).base_url("https://shufti.example");
        let shareid =
            shareid::Account::new("https://shareid.example", Flow::Authenticate, "hash".into(), "key".into());
        let mut engine = Engine::new(Policy::default());
        let accounts = [
            engine.add_account(Account::new(shufti.build().unwrap()).unwrap()),
            engine.add_account(Account::new(shareid.unwrap()).unwrap()),
        ];
        let process = Self {
            queue: Queue::new(engine),
            now,
            entropy: 5,
            answers: BTreeMap::new(),
            given: Vec::new(),
            takes: true,
            told: Vec::new(),
        };
        (process, accounts)
    }

    fn moment(&mut self) -> Moment {
        self.entropy = self.entropy.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Moment::new(Instant::from_millis(self.now), UNIX_MS + self.now, self.entropy)
    }

    fn answer(&self, url: &str, id: Option<&str>) -> Received {
        let json = ("content-type".to_owned(), b"application/json".to_vec());
        let Some(id) = id else {
            return Received {
                status: 200,
                headers: vec![json],
                body: br#"{"token":"token-of-golden"}"#.to_vec(),
            };
        };
        let not_ready = r#"{"detail":"applicant not found"}"#;
        let body = self.answers.get(id).copied();
        if url.contains("shufti") {
            let body = body.map_or_else(
                || format!(r#"{{"reference":"{id}","event":"request.pending"}}"#),
                |event| format!(r#"{{"reference":"{id}","event":"{event}"}}"#),
            );
            let signature = ("signature".to_owned(), sign(&body).into_bytes());
            return Received { status: 200, headers: vec![json, signature], body: body.into_bytes() };
        }
        Received { status: 200, headers: vec![json], body: body.unwrap_or(not_ready).as_bytes().to_vec() }
    }

    /// Runs for so long.
    fn go(&mut self, store: &mut MemoryStore, span: Span) {
        let end = self.now + u64::from(span.as_millis());
        for _ in 0..100_000 {
            let moment = self.moment();
            let completion = match self.queue.next(moment) {
                Turn::Task(Task::Call(call)) => {
                    let id = call.id().map(str::to_owned);
                    let moment = self.moment();
                    call.perform(moment, |request, _| Ok(self.answer(&request.url, id.as_deref())))
                }
                Turn::Task(Task::Store(task)) => task.perform(store),
                Turn::Task(Task::HandOver(hand_over)) => {
                    let revision = hand_over.revision();
                    let event = revision.statement.as_ref().map(|statement| statement.event.clone()).ok();
                    self.given.push(json!({
                        "provider": revision.provider,
                        "id": &*revision.id,
                        "revision": revision.number,
                        "verdict": revision.verdict,
                        "evidence": revision.evidence,
                        "unsigned_answer": revision.unsigned_answer,
                        "data_changed": revision.data_changed,
                        "event": event,
                    }));
                    if self.takes { hand_over.taken() } else { hand_over.withdrawn() }
                }
                Turn::Task(Task::Opened(_)) => continue,
                Turn::Task(Task::Tell(event)) => {
                    let text = format!("{event:?}");
                    self.told.push(text.split([' ', '{', '(']).next().unwrap().to_owned());
                    continue;
                }
                Turn::Wait(Some(until)) if until.as_millis() <= end => {
                    self.now = until.as_millis();
                    continue;
                }
                Turn::Wait(_) => {
                    self.now = end;
                    return;
                }
            };
            let moment = self.moment();
            self.queue.complete(moment, completion);
        }
        panic!("g6: it does not come to rest");
    }
}

/// What this release leaves in a store.
pub(crate) fn written() -> String {
    let mut store = MemoryStore::new(100, 1 << 20);
    let (mut process, [shufti, shareid]) = Process::new(1_000);
    let open = |process: &mut Process, account, id| {
        let moment = process.moment();
        process.queue.input(|engine, tasks| engine.open(moment, account, id, None, tasks)).unwrap()
    };
    process.answers.insert("settled-1", "verification.accepted");
    process.answers.insert("behind-1", "review.pending");
    for id in ["waiting-1", "settled-1"] {
        open(&mut process, shufti, id);
    }
    let cancelled = open(&mut process, shufti, "cancelled-1");
    process.go(&mut store, Span::secs(20));
    let moment = process.moment();
    process.queue.input(|engine, tasks| engine.cancel(moment, cancelled, tasks));
    // From here on the application takes nothing.
    process.takes = false;
    process.answers.insert("issued-1", "verification.declined");
    open(&mut process, shufti, "issued-1");
    open(&mut process, shufti, "behind-1");
    process.go(&mut store, Span::secs(10));
    process.answers.insert("behind-1", "verification.declined");
    process
        .answers
        .insert("flow-1", r#"{"flow_id":"flow-1","applicant_id":"person-1","reasons":["doc_fraud"]}"#);
    open(&mut process, shareid, "flow-1");
    process.go(&mut store, Span::secs(20));
    // Recorded, and the process died before it was looked at.
    let body = br#"{"reference":"settled-1","event":"verification.status.changed"}"#;
    let record = Record {
        provider: "shufti",
        digest: Sha256::digest(body).into(),
        authenticity: Authenticity::Signed,
        id: Some("settled-1"),
        event: Some("verification.status.changed"),
        remark: None,
        received_unix_ms: UNIX_MS + process.now,
        body,
    };
    store.commit(&record).unwrap();

    let kept = |kept: &Option<KeptBodyBuf>| {
        kept.as_ref().map(|kept| {
            json!({
                "evidence": kept.evidence,
                "unsigned_answer": kept.unsigned_answer,
                "body": std::str::from_utf8(&kept.body).unwrap(),
            })
        })
    };
    let sessions: Vec<Value> = store
        .load(None, 100)
        .unwrap()
        .iter()
        .map(|SavedSession { provider, id, alias, snapshot, issued, latest, confirmed, .. }| {
            json!({
                "provider": provider, "id": id, "alias": alias,
                "snapshot": std::str::from_utf8(snapshot).unwrap(),
                "issued": kept(issued), "latest": kept(latest), "confirmed": confirmed,
            })
        })
        .collect();
    let record = json!({
        "provider": "shufti", "id": "settled-1", "event": "verification.status.changed",
        "body": std::str::from_utf8(body).unwrap(),
    });
    let mut held = json!({ "sessions": sessions, "unapplied": [record] });
    held["means"] = Store::read(&held).taken_over();
    serde_json::to_string_pretty(&held).unwrap() + "\n"
}

impl Store {
    /// A store that holds this.
    pub(crate) fn read(held: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut store = MemoryStore::new(100, 1 << 20);
        for session in held["sessions"].as_array().unwrap() {
            let (issued, latest) = (body(&session["issued"]), body(&session["latest"]));
            let keep = |kept: &Option<(Evidence, bool, String)>| kept.clone();
            let (issued, latest) = (keep(&issued), keep(&latest));
            let (provider, id) = (text(&session["provider"]), text(&session["id"]));
            let snapshot = text(&session["snapshot"]);
            let save = Save {
                provider: &provider,
                id: &id,
                alias: session["alias"].as_str(),
                expected: 0,
                snapshot: snapshot.as_bytes(),
                issued: put(issued.as_ref()),
                latest: put(latest.as_ref()),
                applied: &[],
            };
            assert!(matches!(store.save(&save).unwrap(), Saved::Stored { .. }));
            if let Some(confirmed) = session["confirmed"].as_u64() {
                store.confirm(&provider, &id, u32::try_from(confirmed).unwrap()).unwrap();
            }
        }
        for record in held["unapplied"].as_array().unwrap() {
            let body = text(&record["body"]);
            let record = Record {
                provider: record["provider"].as_str().unwrap(),
                digest: Sha256::digest(body.as_bytes()).into(),
                authenticity: Authenticity::Signed,
                id: record["id"].as_str(),
                event: record["event"].as_str(),
                remark: None,
                received_unix_ms: UNIX_MS,
                body: body.as_bytes(),
            };
            store.commit(&record).unwrap();
        }
        Self(store)
    }

    /// What the next process hands over, when the provider has made up its mind.
    pub(crate) fn taken_over(mut self) -> Value {
        let (mut process, _) = Process::new(100_000);
        process.answers.extend([
            ("waiting-1", "verification.accepted"),
            ("settled-1", "verification.declined"),
            ("issued-1", "verification.declined"),
            ("behind-1", "verification.declined"),
            ("cancelled-1", "verification.accepted"),
            ("flow-1", r#"{"flow_id":"flow-1","applicant_id":"person-1","reasons":[]}"#),
        ]);
        let moment = process.moment();
        process
            .queue
            .input(|engine, tasks| engine.restore(moment, &mut self.0, tasks))
            .unwrap_or_else(|error| panic!("{error}"));
        process.go(&mut self.0, Span::mins(30));
        process.given.sort_by_key(Value::to_string);
        process.told.sort();
        process.told.dedup();
        json!({ "handed_over": process.given, "events": process.told })
    }
}

fn body(kept: &Value) -> Option<(Evidence, bool, String)> {
    let evidence = serde_json::from_value(kept.get("evidence")?.clone()).unwrap();
    Some((evidence, kept["unsigned_answer"].as_bool().unwrap(), kept["body"].as_str().unwrap().to_owned()))
}

fn put(kept: Option<&(Evidence, bool, String)>) -> Keep<'_> {
    match kept {
        Some((evidence, unsigned_answer, body)) => Keep::Put(KeptBody {
            evidence: *evidence,
            unsigned_answer: *unsigned_answer,
            body: body.as_bytes(),
        }),
        None => Keep::Drop,
    }
}
