//! Callbacks inside a server whose handlers may block, with nothing but the core: no adapter, no framework and no thread.
//!
//! The server at the end is a few lines over `std::net` and stands for yours, which should be better. What matters is
//! [`Receiver::receive`]: your server hands it the request, the core decides the answer, and the only way to a 200 leads through your
//! store. Try it as `axum_callback` says.

use idv_core::engine::reception::{Action, Endpoint, Reception};
use idv_core::http::Headers;
use idv_core::provider::Provider;
use idv_core::receipt::{Answer, Policy};
use idv_core::secret::Secret;
use idv_core::session::EvidencePolicy;
use idv_core::shufti;
use idv_core::store::{Journal, MemoryStore};
use idv_core::time::Instant;
use std::env;
use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Instant as Clock, SystemTime, UNIX_EPOCH};

/// Takes the callbacks of one account.
struct Receiver {
    endpoint: Endpoint,
    /// Here belongs the store that your application has anyway: what it commits survives, what it refuses is sent again.
    store: MemoryStore,
    started: Clock,
    last_op: u64,
}

impl Receiver {
    /// Decides about one request whose head began to arrive at `first_byte`, and reads as much of its body as that takes.
    fn receive(
        &mut self,
        method: &str,
        headers: Headers<'_>,
        body: &mut impl Read,
        first_byte: Clock,
    ) -> io::Result<Option<Answer>> {
        self.last_op += 1;
        let started = self.started;
        let now = move || moment(started, Clock::now());
        let mut reception =
            Reception::begin(self.endpoint.clone(), self.last_op, moment(started, first_byte));
        let mut todo = reception.head(now(), method, headers);
        let mut piece = [0; 8192];
        while reception.answer().is_none() {
            match body.read(&mut piece)? {
                0 => {
                    todo.extend(reception.complete(now(), unix_ms()));
                    break;
                }
                read => todo.extend(reception.chunk(now(), piece.get(..read).unwrap_or_default())),
            }
        }
        while let Some(action) = todo.pop() {
            todo.extend(match action {
                Action::Examine(task) => reception.examined(now(), task.perform()),
                Action::Record(task) => match task.perform(&mut self.store) {
                    Ok(proof) => reception.committed(now(), proof),
                    Err(error) => {
                        eprintln!("not recorded: {error}");
                        reception.not_recorded(now())
                    }
                },
                Action::Arrived(arrived) => {
                    // Authentic, but perhaps old: an engine takes it from here, and asks the provider.
                    if let (Some(id), Some(claims), Some(position)) =
                        (arrived.id(), arrived.claims(), arrived.position())
                    {
                        println!("{id} is said to be {claims}");
                        let _ = self.store.mark_applied(&[position]);
                    }
                    Vec::new()
                }
                Action::Answer(_) | Action::Tell(_) => Vec::new(),
            });
        }
        Ok(reception.answer())
    }
}

fn moment(started: Clock, at: Clock) -> Instant {
    let millis = at.saturating_duration_since(started).as_millis();
    Instant::from_millis(u64::try_from(millis).unwrap_or(u64::MAX).saturating_add(1))
}

fn unix_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

fn main() -> Result<(), Box<dyn Error>> {
    let secret = Secret::new(env::var("IDV_SHUFTI_SECRET_KEY")?);
    let account = shufti::Account::builder("unused-when-receiving", secret).build()?;
    let policy = Policy::builder(account.callback_body_cap()).build()?;
    let endpoint = Endpoint { provider: Arc::new(account), policy, evidence: EvidencePolicy::ConfirmByPull };
    let store = MemoryStore::new(1_000, 16 << 20);
    let mut receiver = Receiver { endpoint, store, started: Clock::now(), last_op: 0 };

    let listener = TcpListener::bind(env::args().nth(1).as_deref().unwrap_or("127.0.0.1:8787"))?;
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
    let mut body = reader.take(headers.content_length().unwrap_or(0));

    if let Some(answer) = receiver.receive(&method, headers, &mut body, first_byte)? {
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
