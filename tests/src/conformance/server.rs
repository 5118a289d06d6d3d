//! The provider's side of the sockets: reads requests, and answers as it is told, by whatever bytes and in whatever way.

use super::observed::{Asked, Observed, Reply};
use super::scenario::{BadConnection, Fault, Sent};
use crate::identity::Identity;
use smol::channel::bounded;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The certificates of the suite, made once.
pub struct Identities {
    /// What the adapters trust, and the provider and the callback listener show.
    pub good: Identity,
    expired: Identity,
    self_signed: Identity,
    wrong_host: Identity,
}

/// The certificates of the suite.
pub static IDENTITIES: LazyLock<Identities> = LazyLock::new(|| Identities {
    good: Identity::new(&["127.0.0.1"]),
    expired: Identity::expired(&["127.0.0.1"]),
    self_signed: Identity::new(&["127.0.0.1"]),
    wrong_host: Identity::new(&["api.example.org"]),
});

/// What the adapters trust: the good certificate, and the bad ones whose fault is another than that nobody is trusted with them.
#[must_use]
pub fn trusted_pem() -> Vec<u8> {
    let identities = &*IDENTITIES;
    let trusted = [&identities.good, &identities.expired, &identities.wrong_host];
    trusted.iter().flat_map(|identity| identity.certificate_pem.bytes()).collect()
}

/// A provider on a free port of loopback; its threads end with it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tls: bool,
    began: Instant,
    observed: Observed,
    bad: Mutex<VecDeque<BadConnection>>,
    over: AtomicBool,
}

/// Anything that a request comes over.
trait Stream: Read + Write + Send {
    /// Ends the connection at once, by a reset.
    fn reset(self: Box<Self>);
    /// How long a read may wait.
    fn patience(&self, patience: Duration);
}

impl Stream for TcpStream {
    fn reset(self: Box<Self>) {
        reset(&self);
    }

    fn patience(&self, patience: Duration) {
        let _ = self.set_read_timeout(Some(patience));
    }
}

impl Stream for rustls::StreamOwned<rustls::ServerConnection, TcpStream> {
    fn reset(self: Box<Self>) {
        reset(&self.sock);
    }

    fn patience(&self, patience: Duration) {
        let _ = self.sock.set_read_timeout(Some(patience));
    }
}

/// Has the kernel send a reset in place of an orderly end when the socket is dropped.
fn reset(stream: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
}

impl Server {
    /// Starts one.
    ///
    /// # Errors
    /// There is no port.
    pub fn start(tls: bool, observed: Observed, began: Instant) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Shared { tls, began, observed, bad: Mutex::default(), over: AtomicBool::new(false) };
        let shared = Arc::new(shared);
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.over.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(stream), shared) = (stream, Arc::clone(&accepting)) else { return };
                std::thread::spawn(move || {
                    // A connection that fails is the adapter's business.
                    let _ = shared.serve(stream);
                });
            }
        });
        Ok(Self { address, shared })
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.shared.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// The next connection meets this.
    pub fn spoil(&self, bad: BadConnection) {
        self.shared.bad.lock().unwrap_or_else(PoisonError::into_inner).push_back(bad);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let identity = match bad {
            None => &IDENTITIES.good,
            Some(BadConnection::Reset) => {
                reset(&stream);
                return Ok(());
            }
            Some(BadConnection::Expired) => &IDENTITIES.expired,
            Some(BadConnection::SelfSigned) => &IDENTITIES.self_signed,
            Some(BadConnection::WrongHost) => &IDENTITIES.wrong_host,
        };
        if self.tls {
            let connection = rustls::ServerConnection::new(identity.server_config());
            let connection = connection.map_err(io::Error::other)?;
            self.talk(Box::new(rustls::StreamOwned::new(connection, stream)))
        } else {
            self.talk(Box::new(stream))
        }
    }

    fn talk(&self, mut stream: Box<dyn Stream>) -> io::Result<()> {
        loop {
            let (head, body) = read_message(&mut *stream)?;
            let (reply, answer) = bounded(1);
            let mut words = head.lines().next().unwrap_or_default().split(' ').map(str::to_owned);
            let asked = Asked {
                method: words.next().unwrap_or_default(),
                path: words.next().unwrap_or_default(),
                fields: fields(&head),
                body: String::from_utf8_lossy(&body).into_owned(),
                at: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
                reply,
            };
            self.observed.note(|seen| seen.requests.push_back(asked));
            // Without an answer the story is over, or the process that asked has died.
            let Ok(reply) = answer.recv_blocking() else { return Ok(()) };
            match reply.fault {
                None => send(&mut *stream, &reply)?,
                Some(fault) => return fail(stream, fault, &reply),
            }
        }
    }
}

fn send(stream: &mut dyn Stream, reply: &Reply) -> io::Result<()> {
    match reply.sent {
        Sent::AtOnce => stream.write_all(&message(reply))?,
        Sent::InPieces => {
            for piece in message(reply).chunks(7) {
                stream.write_all(piece)?;
                stream.flush()?;
                // The pieces are to arrive one by one.
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        Sent::InChunks => {
            stream.write_all(head(reply, "transfer-encoding: chunked\r\n").as_bytes())?;
            for chunk in reply.body.chunks(7) {
                let size = format!("{:x}\r\n", chunk.len());
                stream.write_all(&[size.as_bytes(), chunk, b"\r\n"].concat())?;
            }
            stream.write_all(b"0\r\n\r\n")?;
        }
    }
    stream.flush()
}

/// An answer with its length announced.
fn message(reply: &Reply) -> Vec<u8> {
    let length = format!("content-length: {}\r\n", reply.body.len());
    [head(reply, &length).as_bytes(), &reply.body].concat()
}

fn head(reply: &Reply, framing: &str) -> String {
    let fields: String = reply.fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 {} Said\r\n{fields}{framing}\r\n", reply.status)
}

fn fail(mut stream: Box<dyn Stream>, fault: Fault, reply: &Reply) -> io::Result<()> {
    let half = reply.body.get(..reply.body.len() / 2).unwrap_or_default();
    match fault {
        Fault::Reset => {
            stream.reset();
            Ok(())
        }
        Fault::Close => Ok(()),
        Fault::Truncated => {
            let whole = message(reply);
            let missing = reply.body.len() - half.len();
            stream.write_all(whole.get(..whole.len() - missing).unwrap_or_default())?;
            stream.flush()
        }
        Fault::TruncatedChunks => {
            stream.write_all(head(reply, "transfer-encoding: chunked\r\n").as_bytes())?;
            stream.write_all(format!("{:x}\r\n", reply.body.len()).as_bytes())?;
            stream.write_all(half)?;
            stream.flush()
        }
        Fault::Drip => {
            let framing = format!("content-length: {}\r\n", 1 << 20);
            stream.write_all(head(reply, &framing).as_bytes())?;
            stream.patience(Duration::from_millis(20));
            loop {
                stream.write_all(b" ")?;
                stream.flush()?;
                if ended(&mut *stream) {
                    return Ok(());
                }
            }
        }
        Fault::Silence => {
            stream.patience(Duration::from_millis(200));
            while !ended(&mut *stream) {}
            Ok(())
        }
        Fault::Garbage => {
            stream.write_all(b"220 mail.example.org ESMTP\r\n\r\n")?;
            stream.flush()
        }
    }
}

/// Whether the peer has ended the connection; waits for that as long as a read may.
fn ended(stream: &mut dyn Stream) -> bool {
    match stream.read(&mut [0]) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
    }
}

/// Head and body of one message whose length is announced.
///
/// # Errors
/// The connection ends, or fails, before.
pub(super) fn read_message(stream: &mut (impl Read + ?Sized)) -> io::Result<(String, Vec<u8>)> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.extend_from_slice(&byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = fields(&head).into_iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((head, body))
}

fn fields(head: &str) -> Vec<(String, String)> {
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect()
}

/// Ends what a peer writes to.
pub(super) fn hang_up(stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Both);
}
