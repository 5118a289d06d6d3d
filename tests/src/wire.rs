//! Peers on loopback, byte by byte: a provider that answers exactly what a test chooses, and somebody who posts callbacks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that cannot work fails its test"
)]

use crate::identity::Identity;
use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Request line and header fields.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Asked {
    /// The path of the request line.
    #[must_use]
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// The verification that the body names; nothing for a token request.
    #[must_use]
    pub fn id(&self) -> Option<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        let id = ["reference", "flow_id", "applicant_id"].into_iter().find_map(|name| body.get(name));
        id?.as_str().map(str::to_owned)
    }
}

/// One answer, as bytes.
#[derive(Clone, Debug)]
pub struct Said {
    bytes: Vec<u8>,
    hangs_up: bool,
}

impl Said {
    /// An answer with its length announced.
    #[must_use]
    pub fn new(status: u16, fields: &[(&str, &str)], body: &[u8]) -> Self {
        let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("HTTP/1.1 {status} Said\r\n{fields}content-length: {}\r\n\r\n", body.len());
        Self { bytes: [head.as_bytes(), body].concat(), hangs_up: false }
    }

    /// A JSON answer.
    #[must_use]
    pub fn json(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self::new(status, &[("content-type", "application/json")], body.as_ref())
    }

    /// An answer whose body is sent in one chunk, so that no length is announced.
    #[must_use]
    pub fn chunked(body: &[u8]) -> Self {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n",
            body.len()
        );
        Self { bytes: [head.as_bytes(), body, b"\r\n0\r\n\r\n"].concat(), hangs_up: false }
    }

    /// These bytes, whatever they are, and then the end of the connection.
    #[must_use]
    pub fn raw(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), hangs_up: true }
    }

    /// The same without its last bytes, and then the end of the connection.
    #[must_use]
    pub fn without_the_last(mut self, bytes: usize) -> Self {
        self.bytes.truncate(self.bytes.len().saturating_sub(bytes));
        self.hangs_up = true;
        self
    }
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// A server on loopback; its threads end with the process.
pub struct Peer {
    /// Where it listens.
    pub address: SocketAddr,
    scheme: &'static str,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Peer {
    /// On a free port, in plain HTTP.
    pub fn start(answer: impl Fn(&Asked) -> Said + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), answer)
    }

    /// At this address, in plain HTTP.
    pub fn start_at(address: SocketAddr, answer: impl Fn(&Asked) -> Said + Send + Sync + 'static) -> Self {
        Self::over(address, "http", |stream| Box::new(stream), answer)
    }

    /// On a free port, over TLS.
    pub fn start_tls(identity: &Identity, answer: impl Fn(&Asked) -> Said + Send + Sync + 'static) -> Self {
        let config = identity.server_config();
        let wrap = move |stream| -> Box<dyn Stream> {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            Box::new(rustls::StreamOwned::new(connection, stream))
        };
        Self::over("127.0.0.1:0".parse().unwrap(), "https", wrap, answer)
    }

    fn over(
        address: SocketAddr,
        scheme: &'static str,
        wrap: impl Fn(TcpStream) -> Box<dyn Stream> + Send + Sync + 'static,
        answer: impl Fn(&Asked) -> Said + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (kept, wrap, answer) = (Arc::clone(&asked), Arc::new(wrap), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (kept, wrap, answer) = (Arc::clone(&kept), Arc::clone(&wrap), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let mut stream = wrap(stream.unwrap());
                    while let Some(request) = read_message(&mut *stream) {
                        let said = answer(&request);
                        kept.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                        let sent = stream.write_all(&said.bytes).and_then(|()| stream.flush());
                        if sent.is_err() || said.hangs_up {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, scheme, asked }
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// What it was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it was asked about this verification so far.
    #[must_use]
    pub fn asked_about(&self, id: &str) -> usize {
        self.asked().iter().filter(|asked| asked.id().as_deref() == Some(id)).count()
    }
}

/// Head and body of one message whose length is announced; `None` at the end of the connection.
fn read_message(stream: &mut dyn Stream) -> Option<Asked> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.extend_from_slice(&byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    Some(Asked { head, body })
}

/// The answers to come, verification by verification; the last one again and again. Token requests are under the name `token`.
#[derive(Clone, Default)]
pub struct Script(Arc<Mutex<BTreeMap<String, VecDeque<Said>>>>);

impl Script {
    /// From now on these answers, in their order.
    pub fn set(&self, id: &str, answers: impl IntoIterator<Item = Said>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.to_owned(), answers.into_iter().collect());
    }

    /// The next answer to this request; 404 where nothing was chosen.
    #[must_use]
    pub fn answer(&self, asked: &Asked) -> Said {
        let id = asked.id().unwrap_or_else(|| "token".to_owned());
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = answers.entry(id).or_default();
        if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
            .unwrap_or_else(|| Said::json(404, b"{}"))
    }

    /// A peer that plays it.
    #[must_use]
    pub fn serve(&self) -> Peer {
        let script = self.clone();
        Peer::start(move |asked| script.answer(asked))
    }
}

/// What somebody who posted was answered.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status; 0 where the connection ended without one.
    pub status: u16,
    /// Status line and header fields.
    pub head: String,
    /// The body, as text.
    pub body: String,
}

impl Reply {
    fn read(stream: &mut TcpStream) -> Self {
        let Some(Asked { head, body }) = read_message(stream) else {
            return Self { status: 0, head: String::new(), body: String::new() };
        };
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, head, body: String::from_utf8(body).unwrap() }
    }
}

/// Sends these bytes and reads the answer. A receiver that has answered need not read on; one that is not there gives the status 0.
#[must_use]
pub fn send(to: SocketAddr, request: &[u8]) -> Reply {
    let Ok(mut stream) = TcpStream::connect(to) else {
        return Reply { status: 0, head: String::new(), body: String::new() };
    };
    let mut writer = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        // At the same time as reading: an answer may come before the request is over.
        scope.spawn(move || {
            let _ = writer.write_all(request);
        });
        let reply = Reply::read(&mut stream);
        let _ = stream.shutdown(Shutdown::Both);
        reply
    })
}

/// Posts a body with these fields, its length announced.
#[must_use]
pub fn post(to: SocketAddr, path: &str, fields: &[(&str, &str)], body: &[u8]) -> Reply {
    send(to, &request("POST", path, fields, body))
}

/// A request with its length announced.
#[must_use]
pub fn request(method: &str, path: &str, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{fields}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A `POST` of a body in chunks of this size, so that no length is announced.
#[must_use]
pub fn chunked(path: &str, fields: &[(&str, &str)], body: &[u8], size: usize) -> Vec<u8> {
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{fields}transfer-encoding: chunked\r\n\r\n");
    let mut request = head.into_bytes();
    for chunk in body.chunks(size) {
        request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}
