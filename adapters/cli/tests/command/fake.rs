//! A provider of a few lines, that says what a test tells it to say.

use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The key that Shufti's answers and callbacks are signed with.
pub(crate) const KEY: &str = "k3y-of-the-shufti-account";

/// A request that arrived.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) path: String,
    pub(crate) authorization: String,
    pub(crate) body: String,
}

/// What is answered.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Status, further header lines, body.
    Say(u16, String, String),
    /// Nothing, for longer than any test lasts.
    Hang,
}

/// 200 with a JSON body.
pub(crate) fn json(body: &str) -> Reply {
    status(200, body)
}

/// Another status with a JSON body.
pub(crate) fn status(status: u16, body: &str) -> Reply {
    Reply::Say(status, "Content-Type: application/json\r\n".into(), body.into())
}

/// ShareID's words for *not ready*.
pub(crate) fn not_ready() -> Reply {
    json(r#"{"detail":"applicant not found"}"#)
}

/// A Shufti answer, signed by the newer rule.
pub(crate) fn signed(body: &str) -> Reply {
    signed_by(true, "Signature", body)
}

/// A Shufti answer, signed by either rule under either header name.
pub(crate) fn signed_by(newer: bool, header: &str, body: &str) -> Reply {
    let fields =
        format!("Content-Type: application/json\r\n{header}: {}\r\n", signature(newer, KEY, body.as_bytes()));
    Reply::Say(200, fields, body.into())
}

/// Shufti's signature, straight from its description.
pub(crate) fn signature(newer: bool, key: &str, body: &[u8]) -> String {
    let key = if newer { hex(&Sha256::digest(key.as_bytes())) } else { key.to_owned() };
    hex(&Sha256::new().chain_update(body).chain_update(key.as_bytes()).finalize())
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A provider on loopback.
pub(crate) struct Fake {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Fake {
    /// Answers what `script` says to each request and how many came to its path before.
    pub(crate) fn start(script: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, log) = (Arc::new(script), Arc::clone(&seen));
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                thread::spawn(move || serve(stream, &*script, &log));
            }
        });
        Self { url, seen }
    }

    /// ShareID: issues tokens, and answers fetches as `script` says, given how many came before.
    pub(crate) fn shareid(script: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(move |seen, before| {
            if seen.path.ends_with("/fetch/auth/business") {
                json(&format!(r#"{{"token":"TOKEN-number-{before}-of-this-test"}}"#))
            } else {
                script(before)
            }
        })
    }

    /// Every request whose path ends so.
    pub(crate) fn seen(&self, end: &str) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|seen| seen.path.ends_with(end)).cloned().collect()
    }
}

fn serve(stream: TcpStream, script: &dyn Fn(&Seen, usize) -> Reply, log: &Mutex<Vec<Seen>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let (mut length, mut authorization) = (0, String::new());
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "authorization" => value.trim().clone_into(&mut authorization),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let seen = Seen { at: Instant::now(), path, authorization, body: String::from_utf8(body).ok()? };
    let before = {
        let mut log = log.lock().unwrap();
        let before = log.iter().filter(|other| other.path == seen.path).count();
        log.push(seen.clone());
        before
    };
    match script(&seen, before) {
        Reply::Say(status, fields, body) => {
            let mut stream = stream;
            let head = format!(
                "HTTP/1.1 {status} Whatever\r\n{fields}Content-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).ok()?;
            stream.write_all(body.as_bytes()).ok()
        }
        Reply::Hang => {
            thread::sleep(Duration::from_secs(60));
            None
        }
    }
}
