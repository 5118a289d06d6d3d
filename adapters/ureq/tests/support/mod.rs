//! Small servers on loopback that answer with exactly the bytes a test chooses.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

use idv_core::http::Request;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Anything a server can talk over.
pub trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A server on a free port of loopback; its thread ends with the process.
pub struct Server {
    pub addr: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    pub requests: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Server {
    /// Reads requests and lets `answer` write to each; the connection stays open until the peer closes it or `answer` says `false`.
    pub fn new(answer: impl Fn(&[u8], &mut dyn Stream) -> bool + Send + Sync + 'static) -> Self {
        Self::over(|stream| Box::new(stream), answer)
    }

    /// As [`Server::new`], over TLS.
    pub fn tls(
        identity: Identity,
        answer: impl Fn(&[u8], &mut dyn Stream) -> bool + Send + Sync + 'static,
    ) -> Self {
        let config = identity.server_config();
        Self::over(
            move |stream| {
                let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                Box::new(rustls::StreamOwned::new(connection, stream))
            },
            answer,
        )
    }

    fn over(
        wrap: impl Fn(TcpStream) -> Box<dyn Stream> + Send + Sync + 'static,
        answer: impl Fn(&[u8], &mut dyn Stream) -> bool + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (counted, kept) = (Arc::clone(&connections), Arc::clone(&requests));
        let (wrap, answer) = (Arc::new(wrap), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                counted.fetch_add(1, Ordering::SeqCst);
                let (wrap, answer, kept) = (Arc::clone(&wrap), Arc::clone(&answer), Arc::clone(&kept));
                std::thread::spawn(move || {
                    let mut stream = wrap(stream.unwrap());
                    while let Some(request) = read_request(&mut *stream) {
                        kept.lock().unwrap().push(request.clone());
                        if !answer(&request, &mut *stream) {
                            let _ = stream.flush();
                            return;
                        }
                        let _ = stream.flush();
                    }
                });
            }
        });
        Self { addr, connections, requests }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// One request, head and body; `None` at the end of the connection.
fn read_request(stream: &mut dyn Stream) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        request.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&request).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |value| value.trim().parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    request.extend_from_slice(&body);
    Some(request)
}

/// A server whose every connection answers one request, and hangs up at the next.
pub struct HangsUp {
    pub address: SocketAddr,
    pub requests: Receiver<String>,
}

pub fn hangs_up_at_the_second() -> HangsUp {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (told, requests) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            for answered in [true, false] {
                let Some(request) = read_head(&mut stream) else { break };
                let _ = told.send(request.lines().next().unwrap().to_owned());
                if answered {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
                }
            }
        }
    });
    HangsUp { address, requests }
}

/// One request head; `None` at the end of the connection.
pub fn read_head(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

/// A whole answer with a length.
pub fn answer(stream: &mut dyn Stream, status: &str, fields: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\n{fields}content-length: {}\r\n\r\n", body.len());
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
}

/// A certificate and its key.
pub struct Identity {
    pub pem: String,
    pub key_pem: String,
    certificate: rustls_pki_types::CertificateDer<'static>,
    key: Vec<u8>,
}

impl Identity {
    /// Self-signed, for the names given; `expired` puts its life into the past.
    pub fn new(names: &[&str], expired: bool) -> Self {
        let mut params =
            rcgen::CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
                .unwrap();
        if expired {
            params.not_before = rcgen::date_time_ymd(2019, 1, 1);
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            certificate: certificate.der().clone(),
            key: key.serialize_der(),
        }
    }

    fn server_config(&self) -> Arc<rustls::ServerConfig> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key)
            .unwrap();
        Arc::new(config)
    }
}

pub fn get(url: &str) -> Request {
    let mut request = Request::new();
    request.method = "GET";
    request.url.push_str(url);
    request
}

pub fn post(url: &str, body: &[u8]) -> Request {
    let mut request = Request::new();
    request.method = "POST";
    request.url.push_str(url);
    request.headers.push(("content-type", "application/json".to_owned()));
    request.headers.push(("authorization", "Bearer very-secret".to_owned()));
    request.body.extend_from_slice(body);
    request
}

/// Long enough never to matter on a busy machine.
pub const AMPLE: idv_core::time::Span = idv_core::time::Span::secs(20);

pub fn drip(stream: &mut dyn Stream, bytes: &[u8], pause: Duration) {
    for byte in bytes {
        if stream.write_all(&[*byte]).and_then(|()| stream.flush()).is_err() {
            return;
        }
        std::thread::sleep(pause);
    }
}
