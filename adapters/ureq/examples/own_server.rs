//! Receiving callbacks inside a server of your own, with nothing but the core: no adapter of this project and no framework.
//!
//! The server at the end is a few lines over `std::net` and stands for yours, which should be better. What matters is
//! [`Receiver::receive`]: your server hands it the request, the core's receipt machine decides the answer, and the only way to a 200
//! leads through your store.
//!
//! ```text
//! IDV_SHUFTI_SECRET_KEY=secret cargo run -p idv-ureq --example own_server
//! body='{"reference":"order-1","event":"verification.accepted"}'
//! signature=$(printf %s "$body"secret | sha256sum | cut -c1-64)
//! curl -i -H "signature: $signature" -H 'content-type: application/json' -d "$body" http://127.0.0.1:8787/
//! ```

use idv_core::http::Headers;
use idv_core::machine::{Cx, Machine};
use idv_core::provider::{CallbackReading, Checked, Provider};
use idv_core::receipt::{Action, Answer, Input, Policy, Receipt, ReceiptActions};
use idv_core::secret::Secret;
use idv_core::shufti;
use idv_core::store::{CommitReceipt, Journal, MemoryStore, Record};
use idv_core::time::Instant;
use std::env;
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Instant as Clock, SystemTime, UNIX_EPOCH};

/// Takes the callbacks of one account.
struct Receiver {
    account: shufti::Account,
    policy: Policy,
    /// Here belongs the store that your application has anyway: what it commits survives, what it refuses is sent again.
    store: MemoryStore,
    started: Clock,
    last_op: u64,
}

impl Receiver {
    /// Decides about one complete request whose head began to arrive at `first_byte`.
    fn receive(
        &mut self,
        method: &str,
        headers: Headers<'_>,
        body: &[u8],
        first_byte: Clock,
    ) -> Option<Answer> {
        self.last_op += 1;
        let op = self.last_op;
        let mut receipt = Receipt::start(op, self.moment(first_byte), &self.policy);

        // The head, then the size: a server that reads piece by piece steps for each piece, and stops at the first answer.
        let head = Input::head(method, headers.first("content-type"), Some(body.len() as u64));
        let size = Input::Chunk { len: u32::try_from(body.len()).unwrap_or(u32::MAX) };
        for input in [head, size] {
            if let Some(answer) = answer_in(self.step(&mut receipt, input)) {
                return Some(answer);
            }
        }

        // The body: does anybody vouch for it, and what does it say?
        let mut check = self.account.check_callback(headers);
        check.update(body);
        let checked = check.finish();
        let reading = self.account.read_callback(body, &checked);
        let complete =
            Input::Complete { authenticity: checked.authenticity, readable: reading.unreadable.is_none() };
        let actions = self.step(&mut receipt, complete);
        if !actions.iter().any(|action| action == Action::Record { op }) {
            return answer_in(actions);
        }

        // The record. Its proof is the only thing that the machine makes a 200 of.
        let committed = self.record(op, body, &checked, &reading);
        let actions = self.step(&mut receipt, committed);
        for action in actions {
            if let Action::Apply { position, .. } = action {
                // Authentic, but perhaps old: with a session you would step it here, and it would ask the provider.
                let (id, event) = (reading.id.as_deref(), reading.event.as_deref());
                println!("{} says {}", id.unwrap_or("nobody"), event.unwrap_or("nothing"));
                let _ = self.store.mark_applied(&[position]);
            }
        }
        answer_in(actions)
    }

    fn record(&mut self, op: u64, body: &[u8], checked: &Checked, reading: &CallbackReading) -> Input {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let record = Record {
            provider: self.account.name(),
            digest: checked.digest,
            authenticity: checked.authenticity,
            id: reading.id.as_deref(),
            event: reading.event.as_deref(),
            remark: checked.remark.as_deref(),
            received_unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX),
            body,
        };
        match CommitReceipt::obtain(&mut self.store, op, &record) {
            Ok(proof) => Input::Committed(proof),
            Err(error) => {
                eprintln!("not recorded: {error}");
                Input::StorageFailed { op }
            }
        }
    }

    fn step(&self, receipt: &mut Receipt, input: Input) -> ReceiptActions {
        receipt.step(Cx::new(self.moment(Clock::now()), &self.policy, 0), input).actions
    }

    fn moment(&self, at: Clock) -> Instant {
        let millis = at.saturating_duration_since(self.started).as_millis();
        Instant::from_millis(u64::try_from(millis).unwrap_or(u64::MAX).saturating_add(1))
    }
}

fn answer_in(actions: ReceiptActions) -> Option<Answer> {
    actions.iter().find_map(|action| match action {
        Action::Answer(answer) => Some(answer),
        Action::Record { .. } | Action::Apply { .. } | Action::Hint(_) => None,
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let secret = Secret::new(env::var("IDV_SHUFTI_SECRET_KEY")?);
    let account = shufti::Account::builder("unused-when-receiving", secret).build()?;
    let policy = Policy::builder(account.callback_body_cap()).build()?;
    let store = MemoryStore::new(1_000, 16 << 20);
    let mut receiver = Receiver { account, policy, store, started: Clock::now(), last_op: 0 };

    let listener = TcpListener::bind("127.0.0.1:8787")?;
    println!("listening on http://{}", listener.local_addr()?);
    for stream in listener.incoming() {
        if let Err(error) = serve(&mut receiver, stream?) {
            eprintln!("{error}");
        }
    }
    Ok(())
}

/// One request per connection, one connection at a time, no deadlines: your server does better.
fn serve(receiver: &mut Receiver, mut stream: TcpStream) -> Result<(), Box<dyn Error>> {
    let first_byte = Clock::now();
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let method = line.split(' ').next().unwrap_or_default().to_owned();
    let mut fields: Vec<(String, Vec<u8>)> = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        fields.push((name.to_owned(), value.trim().as_bytes().to_owned()));
    }
    let fields: Vec<(&str, &[u8])> =
        fields.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    let headers = Headers(&fields);
    let length = headers.first("content-length").map(|value| String::from_utf8_lossy(value).parse::<u64>());
    let mut body = Vec::new();
    // One byte more than the cap is enough for the machine to see that it is too much.
    let cap = receiver.policy.body_cap() + 1;
    reader.take(length.transpose()?.unwrap_or(0).min(cap)).read_to_end(&mut body)?;

    if let Some(answer) = receiver.receive(&method, headers, &body, first_byte) {
        let field = answer.field().map(|(name, value)| format!("{name}: {value}\r\n")).unwrap_or_default();
        let text = answer.explanation();
        write!(
            stream,
            "HTTP/1.1 {} -\r\n{field}content-length: {}\r\nconnection: close\r\n\r\n{text}",
            answer.status(),
            text.len()
        )?;
    }
    Ok(())
}
