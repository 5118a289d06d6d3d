//! One HTTP exchange: a complete request out, the answer as received back.
//!
//! Redirects are returned, never followed: they would carry a credential elsewhere. Bodies are never decompressed: a signature covers
//! the bytes as sent. Statuses are never errors: the codecs read them.

mod resolving;

use idv_core::evidence::FaultKind;
pub use idv_core::http::{Failure, Received};
use idv_core::http::{KEPT_FOR, Request};
use idv_core::time::Span;
pub use idv_host::Options;
use idv_host::tls::{self, BadCertificates};
use idv_host::{MOST_KEPT, MOST_KEPT_TO_ONE, Peer, Phase};
use resolving::{Connecting, Later};
use std::fmt;
use ureq::tls::{RootCerts, TlsConfig};

/// What a driver needs of an HTTP client; injected in tests.
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends the request and reads the whole answer. Returns about `within` after the start at the latest; the limit is advisory,
    /// for the machine that asked keeps the deadline itself. Nothing is sent twice: whoever asked decides whether to ask again, and when
    /// (G7).
    ///
    /// # Errors
    /// There is no complete answer; says why.
    fn send(&self, request: &Request, within: Span) -> Result<Received, Failure>;

    /// Interrupts the exchanges under way and refuses new ones, as far as the transport can. They end as failures.
    fn shutdown(&self) {}
}

/// An HTTP client over ureq and rustls, for any number of threads. Clones share their pool of connections, and their shutdown.
///
/// Names are looked up where a connection is made, within [`Options::connect`]; connecting has as long again, and all of it ends with the
/// exchange. A proxy that the environment names (`ALL_PROXY`, `HTTPS_PROXY`, `HTTP_PROXY`, but for `NO_PROXY`) is asked for a tunnel by `CONNECT`,
/// and looks the provider's name up itself; our own loopback is reached without it. SOCKS is not spoken.
///
/// **Keep the log of `ureq_proto` above `trace`**: at that level, and only there, this dependency shows every byte that is sent and received,
/// credentials and personal data included. It writes by the crate `log`.
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
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .accept_encoding("identity")
            .user_agent(concat!("idv/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .max_idle_connections(MOST_KEPT)
            .max_idle_connections_per_host(MOST_KEPT_TO_ONE)
            .max_idle_age(KEPT_FOR.as_duration())
            .build();
        Self { agent: agent(config), body_cap: options.body_cap, connect: options.connect }
    }

    /// The same limits and the same trust, with connections of its own: [`Transport::shutdown`] of one does not touch the other.
    #[must_use]
    pub fn separate(&self) -> Self {
        Self { agent: agent(self.agent.config().clone()), ..*self }
    }

    /// Sends the request and reads the whole answer, in about `within` at the most. Nothing is sent twice: where a connection that was kept
    /// open turns out to be closed, the call has failed. It may have been taken, and then it counts against the provider's limit, and has
    /// used up what it carried (G7).
    ///
    /// # Errors
    /// There is no complete answer; says why.
    pub fn send(&self, request: &Request, within: Span) -> Result<Received, Failure> {
        let peer = Peer::of(&request.url)?;
        let head = peer.head(request)?;
        let answer = if request.body.is_empty() && request.method == "GET" {
            self.run(&peer, head, within)
        } else {
            self.run(&peer, head.map(|()| request.body.as_slice()), within)
        };
        self.read(&peer, answer.map_err(|error| explain(&peer, &error, Phase::Head, within))?, within)
    }

    fn run(
        &self,
        peer: &Peer,
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
        if peer.is_loopback() {
            // A proxy from the environment cannot reach our own loopback.
            config = config.proxy(None);
        }
        self.agent.run(config.build())
    }

    fn read(
        &self,
        peer: &Peer,
        mut answer: http::Response<ureq::Body>,
        within: Span,
    ) -> Result<Received, Failure> {
        let too_large = || peer.body_too_large(self.body_cap);
        // A limit of exactly the body's length counts as exceeded, so one byte more is allowed and checked here.
        let reader = answer.body_mut().with_config().limit(self.body_cap.saturating_add(1));
        let body = match reader.read_to_vec() {
            Ok(body) if body.len() as u64 > self.body_cap => return Err(too_large()),
            Ok(body) => body,
            Err(ureq::Error::BodyExceedsLimit(_)) => return Err(too_large()),
            Err(error) => return Err(explain(peer, &error, Phase::Body, within)),
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

fn agent(config: ureq::config::Config) -> ureq::Agent {
    ureq::Agent::with_parts(config, Connecting::default(), Later)
}

/// What ureq says, in the words that all adapters share.
fn explain(peer: &Peer, error: &ureq::Error, phase: Phase, within: Span) -> Failure {
    // ureq's enum is open: what is not named here is a failure to reach the peer.
    #[allow(clippy::wildcard_enum_match_arm)]
    match error {
        ureq::Error::Rustls(error) => peer.tls(error),
        ureq::Error::Tls(problem) => peer.no_tls(problem),
        ureq::Error::Timeout(ureq::Timeout::Resolve) => peer.not_resolved_in_time(),
        ureq::Error::Timeout(ureq::Timeout::Connect) => peer.not_connected_in_time(),
        ureq::Error::Timeout(_) => peer.timed_out(phase, within),
        ureq::Error::HostNotFound => peer.no_address(),
        ureq::Error::Io(error) => peer.io(error, phase),
        ureq::Error::Protocol(problem) => peer.not_http(problem),
        ureq::Error::LargeResponseHeader(size, most) => peer.head_too_large(*size, *most),
        ureq::Error::ConnectProxyFailed(_) | ureq::Error::InvalidProxyUrl => {
            peer.failure(FaultKind::Unreachable, "the proxy named in the environment did not connect")
        }
        _ => peer.failure(FaultKind::Unreachable, "no connection"),
    }
}
