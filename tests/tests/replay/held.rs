//! Everything that a store holds for an engine, as text, and what an engine makes of it.

use idv_core::engine::{Account, Engine, Event, Moment, Policy, Queue, Task, Turn};
use idv_core::evidence::Evidence;
use idv_core::http::Received;
use idv_core::provider::Authenticity;
use idv_core::shareid::Flow;
use idv_core::store::{
    Journal, Keep, KeptBody, KeptBodyBuf, MemoryStore, Record, Save, Saved, SavedSession, Sessions,
};
use idv_core::time::{Instant, Span};
use idv_core::{lifecycle, shareid, shufti};
use serde_json::{Map, Value, json};
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
    answers: BTreeMap<String, String>,
    /// What the application was given: id, number, verdict, event, and whether it took it.
    given: Vec<Value>,
    takes: bool,
    told: Vec<String>,
    remarks: Vec<Value>,
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
            remarks: Vec::new(),
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
        let body = self.answers.get(id);
        if url.contains("shufti") {
            let body = body.map_or_else(
                || format!(r#"{{"reference":"{id}","event":"request.pending"}}"#),
                |event| format!(r#"{{"reference":"{id}","event":"{event}"}}"#),
            );
            let signature = ("signature".to_owned(), sign(&body).into_bytes());
            return Received { status: 200, headers: vec![json, signature], body: body.into_bytes() };
        }
        Received {
            status: 200,
            headers: vec![json],
            body: body.map_or(not_ready, |body| body).as_bytes().to_vec(),
        }
    }

    fn says(&mut self, id: &str, answer: &str) {
        self.answers.insert(id.to_owned(), answer.to_owned());
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
                    if let Event::Deviation { provider, id, remark, .. } = &event {
                        self.remarks.push(json!({ "provider": provider, "id": &**id, "remark": remark }));
                    }
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
    process.says("settled-1", "verification.accepted");
    process.says("behind-1", "review.pending");
    for id in ["waiting-1", "settled-1"] {
        open(&mut process, shufti, id);
    }
    let cancelled = open(&mut process, shufti, "cancelled-1");
    process.go(&mut store, Span::secs(20));
    let moment = process.moment();
    process.queue.input(|engine, tasks| engine.cancel(moment, cancelled, tasks));
    // From here on the application takes nothing.
    process.takes = false;
    process.says("issued-1", "verification.declined");
    open(&mut process, shufti, "issued-1");
    open(&mut process, shufti, "behind-1");
    process.go(&mut store, Span::secs(10));
    process.says("behind-1", "verification.declined");
    process.says("flow-1", r#"{"flow_id":"flow-1","applicant_id":"person-1","reasons":["doc_fraud"]}"#);
    open(&mut process, shareid, "flow-1");
    process.go(&mut store, Span::secs(20));
    // Recorded, and the process died before it was looked at.
    let record = json!({
        "provider": "shufti", "id": "settled-1", "event": "verification.status.changed",
        "body": r#"{"reference":"settled-1","event":"verification.status.changed"}"#,
    });
    held(&mut store, &[record], None)
}

/// The same for a session of every event that a provider states, and for records that nobody signed and of what nobody opened.
pub(crate) fn written_events() -> String {
    let mut store = MemoryStore::new(100, 1 << 20);
    let (mut process, accounts) = Process::new(1_000);
    let (mut answers, mut keys) = (Map::new(), Vec::new());
    for (account, table) in accounts.into_iter().zip([shufti::lifecycle::SHUFTI, shareid::lifecycle::SHAREID])
    {
        for (_, row) in table.events().filter(|(_, row)| row.meaning.states()) {
            let id = format!("event-{}", row.name);
            let (says, then) = match row.name {
                "ready.accepted" => (ready(&id, "[]"), ready(&id, r#"["doc_fraud"]"#)),
                "ready.declined" => (ready(&id, r#"["doc_fraud"]"#), ready(&id, "[]")),
                event => (event.to_owned(), "verification.declined".to_owned()),
            };
            process.says(&id, &says);
            answers.insert(id.clone(), then.into());
            let moment = process.moment();
            let key = process.queue.input(|engine, tasks| engine.open(moment, account, &id, None, tasks));
            keys.push(key.unwrap());
        }
    }
    process.go(&mut store, Span::mins(1));
    // What is still open is saved with the event it is at when something else is to be saved of it.
    for key in keys {
        let moment = process.moment();
        process.queue.input(|engine, tasks| engine.hint(moment, key, tasks));
    }
    process.go(&mut store, Span::mins(1));
    let records = [
        ("event-verification.cancelled", "unsigned", "verification.accepted"),
        ("event-review.pending", "signed", "verification.declined"),
        ("opened-by-nobody", "signed", "verification.accepted"),
    ];
    let records = records.map(|(id, authenticity, event)| {
        let body = json!({ "reference": id, "event": event }).to_string();
        json!({ "provider": "shufti", "id": id, "event": event, "body": body, "authenticity": authenticity })
    });
    held(&mut store, &records, Some(answers))
}

/// ShareID's body of a result with these reasons.
fn ready(id: &str, reasons: &str) -> String {
    format!(r#"{{"flow_id":"{id}","reasons":{reasons}}}"#)
}

/// What a store holds, with records that are not applied, as text; and what the next process makes of it when the provider answers this.
fn held(store: &mut MemoryStore, unapplied: &[Value], answers: Option<Map<String, Value>>) -> String {
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
    let mut held = json!({ "sessions": sessions, "unapplied": unapplied });
    if let Some(answers) = answers {
        held["answers"] = answers.into();
    }
    held["means"] = Store::read(&held).taken_over(&held);
    serde_json::to_string_pretty(&held).unwrap() + "\n"
}

/// The event that a saved session says was stated last, by the provider's word for it.
pub(crate) fn stated(session: &Value) -> Option<&'static str> {
    let snapshot: Value = serde_json::from_str(session["snapshot"].as_str()?).unwrap();
    let event: lifecycle::Event = serde_json::from_value(snapshot["lifecycle"]["stated"].clone()).ok()?;
    let table = match session["provider"].as_str()? {
        "shufti" => shufti::lifecycle::SHUFTI,
        "shareid" => shareid::lifecycle::SHAREID,
        other => panic!("{other}"),
    };
    Some(table.row(event)?.name)
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
                authenticity: match record["authenticity"].as_str() {
                    Some("unsigned") => Authenticity::Unsigned,
                    _ => Authenticity::Signed,
                },
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
    pub(crate) fn taken_over(mut self, held: &Value) -> Value {
        let (mut process, _) = Process::new(100_000);
        for (id, answer) in [
            ("waiting-1", "verification.accepted"),
            ("settled-1", "verification.declined"),
            ("issued-1", "verification.declined"),
            ("behind-1", "verification.declined"),
            ("cancelled-1", "verification.accepted"),
            ("flow-1", r#"{"flow_id":"flow-1","applicant_id":"person-1","reasons":[]}"#),
        ] {
            process.says(id, answer);
        }
        for (id, answer) in held["answers"].as_object().into_iter().flatten() {
            process.says(id, answer.as_str().unwrap());
        }
        let moment = process.moment();
        process
            .queue
            .input(|engine, tasks| engine.restore(moment, &mut self.0, tasks))
            .unwrap_or_else(|error| panic!("{error}"));
        process.go(&mut self.0, Span::mins(30));
        process.given.sort_by_key(Value::to_string);
        process.told.sort();
        process.told.dedup();
        process.remarks.sort_by_key(Value::to_string);
        json!({ "handed_over": process.given, "events": process.told, "remarks": process.remarks })
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
