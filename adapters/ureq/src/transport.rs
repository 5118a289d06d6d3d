//! One HTTP exchange: a complete request out, the answer as received back.
//!
//! Redirects are returned, never followed: they would carry a credential elsewhere. Bodies are never decompressed: a signature covers
//! the bytes as sent. Statuses are never errors: the codecs read them.

use idv_core::evidence::FaultKind;
use idv_core::http::Request;
pub use idv_core::http::{Failure, Received};
use idv_core::time::Span;
pub use idv_host::Options;
use idv_host::tls::{self, BadCertificates};
use std::fmt;
use std::io;
use ureq::tls::{RootCerts, TlsConfig};

/// What a driver needs of an HTTP client; injected in tests.
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends the request and reads the whole answer. Returns about `within` after the start at the latest; the limit is advisory,
    /// for the machine that asked keeps the deadline itself.
    ///
    /// # Errors
    /// There is no complete answer; says why.
    fn send(&self, request: &Request, within: Span) -> Result<Received, Failure>;

    /// Interrupts the exchanges under way and refuses new ones, as far as the transport can. They end as failures.
    fn shutdown(&self) {}
}

/// An HTTP client over ureq and rustls, for any number of threads. Clones share their pool of connections, and their shutdown.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    body_cap: u64,
    connect: Span,
}

impl Client {
    /// A client that trusts the public authorities, with the default limits.
    #[must_use]
    pub fn new() -> Self {
        let options = Options::default();
        Self::build(&options, RootCerts::WebPki)
    }

    /// A client with other limits, or other roots.
    ///
    /// # Errors
    /// `roots_pem` holds no certificate, or one that cannot be trusted; says which.
    pub fn with_options(options: &Options) -> Result<Self, BadCertificates> {
        let roots = match &options.roots_pem {
            Some(pem) => {
                let roots = tls::roots_from_pem(pem)?;
                let roots = roots.iter().map(|root| ureq::tls::Certificate::from_der(root).to_owned());
                RootCerts::from(roots.collect::<Vec<_>>())
            }
            None => RootCerts::WebPki,
        };
        Ok(Self::build(options, roots))
    }

    fn build(options: &Options, roots: RootCerts) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .accept_encoding("identity")
            .user_agent(concat!("idv/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build()
            .new_agent();
        Self { agent, body_cap: options.body_cap, connect: options.connect }
    }

    /// The same limits and the same trust, with connections of its own: [`Transport::shutdown`] of one does not touch the other.
    #[must_use]
    pub fn separate(&self) -> Self {
        Self { agent: self.agent.config().new_agent(), ..*self }
    }

    /// Sends the request and reads the whole answer, in about `within` at the most.
    ///
    /// # Errors
    /// There is no complete answer; says why.
    pub fn send(&self, request: &Request, within: Span) -> Result<Received, Failure> {
        let target = Target::of(&request.url)?;
        let mut builder = http::Request::builder().method(request.method).uri(&request.url);
        for (name, value) in &request.headers {
            let mut value = http::HeaderValue::from_str(value).map_err(|_| {
                target.failure(
                    FaultKind::Unreachable,
                    &format!("the value of the header `{name}` cannot be sent"),
                )
            })?;
            value.set_sensitive(true);
            builder = builder.header(*name, value);
        }
        let unsendable = |error: http::Error| {
            target.failure(FaultKind::Unreachable, &format!("the request cannot be sent: {error}"))
        };
        let answer = if request.body.is_empty() && request.method == "GET" {
            self.run(&target, builder.body(()).map_err(unsendable)?, within)
        } else {
            self.run(&target, builder.body(request.body.as_slice()).map_err(unsendable)?, within)
        };
        self.read(&target, answer.map_err(|error| target.explain(&error, Phase::Head, within))?, within)
    }

    fn run(
        &self,
        target: &Target,
        request: http::Request<impl ureq::AsSendBody>,
        within: Span,
    ) -> Result<http::Response<ureq::Body>, ureq::Error> {
        let total = within.as_duration();
        let connect = self.connect.as_duration().min(total);
        let mut config = self
            .agent
            .configure_request(request)
            .timeout_global(Some(total))
            .timeout_resolve(Some(connect))
            .timeout_connect(Some(connect));
        if target.is_loopback() {
            // A proxy from the environment cannot reach our own loopback.
            config = config.proxy(None);
        }
        self.agent.run(config.build())
    }

    fn read(
        &self,
        target: &Target,
        mut answer: http::Response<ureq::Body>,
        within: Span,
    ) -> Result<Received, Failure> {
        let too_large = || {
            target.failure(
                FaultKind::Truncated,
                &format!("the answer's body is larger than the cap of {} bytes", self.body_cap),
            )
        };
        // A limit of exactly the body's length counts as exceeded, so one byte more is allowed and checked here.
        let reader = answer.body_mut().with_config().limit(self.body_cap.saturating_add(1));
        let body = match reader.read_to_vec() {
            Ok(body) if body.len() as u64 > self.body_cap => return Err(too_large()),
            Ok(body) => body,
            Err(ureq::Error::BodyExceedsLimit(_)) => return Err(too_large()),
            Err(error) => return Err(target.explain(&error, Phase::Body, within)),
        };
        let headers = answer
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_owned()))
            .collect();
        Ok(Received { status: answer.status().as_u16(), headers, body })
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("body_cap", &self.body_cap).field("connect", &self.connect).finish()
    }
}

impl Transport for Client {
    fn send(&self, request: &Request, within: Span) -> Result<Received, Failure> {
        Self::send(self, request, within)
    }

    fn shutdown(&self) {
        self.agent.clone().shutdown();
    }
}

/// How far an exchange had come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Until the header section of the answer is complete.
    Head,
    /// While the body of the answer arrives.
    Body,
}

/// The part of a URL that may be shown: who was called.
struct Target {
    host: String,
    port: u16,
}

impl Target {
    fn of(url: &str) -> Result<Self, Failure> {
        let bad = |problem: &str| Failure {
            kind: FaultKind::Unreachable,
            diagnosis: format!("the URL of the request {problem}: expected http://HOST/… or https://HOST/…"),
        };
        let uri: http::Uri = url.parse().map_err(|_| bad("cannot be read"))?;
        let host = uri.host().ok_or_else(|| bad("names no host"))?.to_owned();
        let default_port = match uri.scheme_str() {
            Some("http") => 80,
            Some("https") => 443,
            Some(_) | None => return Err(bad("has no scheme that can be spoken")),
        };
        Ok(Self { host, port: uri.port_u16().unwrap_or(default_port) })
    }

    fn is_loopback(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    fn failure(&self, kind: FaultKind, problem: &str) -> Failure {
        Failure { kind, diagnosis: format!("{self}: {problem}") }
    }

    fn explain(&self, error: &ureq::Error, phase: Phase, within: Span) -> Failure {
        if let Some(error) = tls_error(error) {
            return Failure { kind: FaultKind::Tls, diagnosis: tls::explain(error, &self.to_string()) };
        }
        // ureq's enum is open: what is not named here is a failure to reach the peer.
        #[allow(clippy::wildcard_enum_match_arm)]
        match error {
            ureq::Error::Timeout(ureq::Timeout::Resolve) => {
                self.failure(FaultKind::Unreachable, "the host's name was not resolved in time")
            }
            ureq::Error::Timeout(ureq::Timeout::Connect) => {
                self.failure(FaultKind::Unreachable, "no connection in time")
            }
            ureq::Error::Timeout(_) => self.failure(
                FaultKind::TimedOut,
                &match phase {
                    Phase::Head => format!("no answer within {within:?}"),
                    Phase::Body => format!("the answer was not complete within {within:?}"),
                },
            ),
            ureq::Error::HostNotFound => {
                self.failure(FaultKind::Unreachable, "no address known for this host")
            }
            ureq::Error::Io(error) => self.explain_io(error, phase),
            ureq::Error::Tls(problem) => {
                self.failure(FaultKind::Tls, &format!("the TLS handshake failed: {problem}"))
            }
            ureq::Error::Protocol(problem) => {
                self.failure(FaultKind::Malformed, &format!("the answer is not proper HTTP/1.1: {problem}"))
            }
            ureq::Error::LargeResponseHeader(size, most) => self.failure(
                FaultKind::Malformed,
                &format!("the answer's header section of {size} bytes exceeds {most}"),
            ),
            ureq::Error::ConnectProxyFailed(_) | ureq::Error::InvalidProxyUrl => {
                self.failure(FaultKind::Unreachable, "the proxy named in the environment did not connect")
            }
            _ => self.failure(FaultKind::Unreachable, "no connection"),
        }
    }

    fn explain_io(&self, error: &io::Error, phase: Phase) -> Failure {
        match (error.kind(), phase) {
            (io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock, _) => {
                self.failure(FaultKind::TimedOut, "no answer in time")
            }
            (io::ErrorKind::UnexpectedEof, Phase::Body) => {
                self.failure(FaultKind::Truncated, "the connection ended before the answer's body did")
            }
            (io::ErrorKind::UnexpectedEof, Phase::Head) => {
                self.failure(FaultKind::Unreachable, "the connection was closed before an answer came")
            }
            (io::ErrorKind::ConnectionRefused, _) => self.failure(
                FaultKind::Unreachable,
                "connection refused; is the service running, and the port right?",
            ),
            (_, Phase::Body) => self.failure(
                FaultKind::Truncated,
                &format!("the connection broke during the answer's body: {error}"),
            ),
            (_, Phase::Head) => {
                self.failure(FaultKind::Unreachable, &format!("the connection failed: {error}"))
            }
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The TLS library's own word, which arrives wrapped as an input/output error too.
fn tls_error(error: &ureq::Error) -> Option<&rustls::Error> {
    if let ureq::Error::Rustls(error) = error {
        return Some(error);
    }
    if let ureq::Error::Io(error) = error {
        return error.get_ref()?.downcast_ref();
    }
    None
}
