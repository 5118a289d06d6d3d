//! One HTTP exchange: a complete request out, the answer as received back.
//!
//! Redirects are returned, never followed: they would carry a credential elsewhere. Bodies are never decompressed: a signature covers
//! the bytes as sent. Statuses are never errors: the codecs read them. Proxies named in the environment are not used.

mod buffer;
mod connection;
mod pool;

use connection::{Connection, Fault};
use futures_rustls::TlsConnector;
use futures_util::future::{BoxFuture, Either, select};
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, USER_AGENT};
use http::{HeaderValue, Method, Response};
use idv_core::http::{Failure, Received, Request};
use idv_core::time::Span;
use idv_host::{BadCertificates, Options, Peer, Phase, Runtime, tls};
use pool::Pool;
use rustls_pki_types::ServerName;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use ureq_proto::client::RecvResponseResult;

/// The most addresses of one name that are tried.
const MOST_ADDRESSES: usize = 16;

/// What a driver needs of an HTTP client; injected in tests.
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends the request and reads the whole answer. Ends about `within` after the start at the latest; the limit is advisory, for the
    /// machine that asked keeps the deadline itself. Dropping the future ends the exchange.
    ///
    /// Nothing is sent twice: whoever asked decides whether to ask again, and when (G7).
    ///
    /// # Errors
    /// There is no complete answer; says why.
    fn send<'a>(&'a self, request: &'a Request, within: Span) -> BoxFuture<'a, Result<Received, Failure>>;
}

/// An HTTP client. Clones share their pool of connections.
///
/// A future that is dropped closes its connection; only a connection whose answer was read to its end goes back to the pool.
///
/// **Keep the log of `ureq_proto` above `trace`**: at that level, and only there, this dependency shows every byte that is sent and received,
/// credentials and personal data included. It writes by the crate `log`.
pub struct Client<R: Runtime> {
    shared: Arc<Shared<R>>,
}

struct Shared<R> {
    runtime: R,
    tls: Result<TlsConnector, rustls::Error>,
    body_cap: u64,
    connect: Duration,
    idle: Mutex<Idle>,
}

struct Idle {
    pool: Pool,
    /// A task looks after them.
    watched: bool,
}

impl<R: Runtime + Default> Client<R> {
    /// A client that trusts the public authorities, with the default limits.
    #[must_use]
    pub fn new() -> Self {
        Self::on(R::default())
    }

    /// A client with other limits, or other roots.
    ///
    /// # Errors
    /// `roots_pem` holds no certificate, or one that cannot be trusted; says which.
    pub fn with_options(options: &Options) -> Result<Self, BadCertificates> {
        Self::on_with_options(R::default(), options)
    }
}

impl<R: Runtime> Client<R> {
    /// As [`Client::new`], on this runtime.
    #[must_use]
    pub fn on(runtime: R) -> Self {
        Self::build(runtime, &Options::default(), tls::public_roots())
    }

    /// As [`Client::with_options`], on this runtime.
    ///
    /// # Errors
    /// As for [`Client::with_options`].
    pub fn on_with_options(runtime: R, options: &Options) -> Result<Self, BadCertificates> {
        Ok(Self::build(runtime, options, tls::roots(options)?))
    }

    fn build(runtime: R, options: &Options, roots: rustls::RootCertStore) -> Self {
        let shared = Shared {
            runtime,
            tls: tls::client_config(roots).map(|config| TlsConnector::from(Arc::new(config))),
            body_cap: options.body_cap,
            connect: options.connect.as_duration(),
            idle: Mutex::new(Idle { pool: Pool::new(), watched: false }),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Where it runs.
    pub(crate) fn runtime(&self) -> &R {
        &self.shared.runtime
    }

    /// The same limits and the same trust, with connections of its own.
    #[must_use]
    pub fn separate(&self) -> Self {
        let Shared { runtime, tls, body_cap, connect, .. } = &*self.shared;
        let idle = Mutex::new(Idle { pool: Pool::new(), watched: false });
        let (runtime, tls) = (runtime.clone(), tls.clone());
        Self { shared: Arc::new(Shared { runtime, tls, body_cap: *body_cap, connect: *connect, idle }) }
    }

    /// Sends the request and reads the whole answer, in about `within` at the most. Dropping the future ends the exchange.
    /// Nothing is sent twice: where a connection that was kept open turns out to be closed, the call has failed. It may have been taken, and
    /// then it counts against the provider's limit, and has used up what it carried (G7).
    ///
    /// # Errors
    /// There is no complete answer; says why.
    pub async fn send(&self, request: &Request, within: Span) -> Result<Received, Failure> {
        let peer = Peer::of(&request.url)?;
        let head = complete(&peer, request)?;
        let mut limit = pin!(self.shared.runtime.sleep(within.as_duration()));

        let reaching = pin!(self.reach(&peer, head, &request.body));
        let (mut connection, response, next) = match select(reaching, limit.as_mut()).await {
            Either::Left((reached, _)) => reached?,
            Either::Right(_) => return Err(peer.timed_out(Phase::Head, within)),
        };
        let (body, reusable) = match next {
            RecvResponseResult::RecvBody(call) => {
                let reading = pin!(connection.body(call, self.shared.body_cap));
                match select(reading, limit).await {
                    Either::Left((Ok(body), _)) => (body.bytes, body.reusable),
                    Either::Left((Err(fault), _)) => return Err(self.explain(&peer, fault, Phase::Body)),
                    Either::Right(_) => return Err(peer.timed_out(Phase::Body, within)),
                }
            }
            RecvResponseResult::Redirect(call) => (Vec::new().into(), !call.must_close_connection()),
            RecvResponseResult::Cleanup(call) => (Vec::new().into(), !call.must_close_connection()),
        };
        if reusable && connection.is_at_rest() {
            self.shared.keep(&peer, connection);
        }
        Ok(received(&response, body))
    }

    /// Sends the request, over a connection kept open or a new one, and reads the header section of the answer.
    async fn reach(
        &self,
        peer: &Peer,
        head: http::Request<()>,
        body: &[u8],
    ) -> Result<(Connection, Response<()>, RecvResponseResult), Failure> {
        let mut connection = match self.shared.kept(peer) {
            Some(connection) => connection,
            None => self.connect(peer).await?,
        };
        match connection.head(head, body).await {
            Ok((response, next)) => Ok((connection, response, next)),
            Err(fault) => Err(self.explain(peer, fault, Phase::Head)),
        }
    }

    async fn connect(&self, peer: &Peer) -> Result<Connection, Failure> {
        let Shared { runtime, connect, .. } = &*self.shared;
        let addresses = match peer.address() {
            Some(address) => vec![SocketAddr::new(address, peer.port)],
            None => match within(runtime, *connect, runtime.resolve(&peer.host, peer.port)).await {
                Some(addresses) => addresses.map_err(|error| peer.io(&error, Phase::Head))?,
                None => return Err(peer.not_resolved_in_time()),
            },
        };
        let opening = self.connect_to(peer, &addresses);
        let connection =
            within(runtime, *connect, opening).await.ok_or_else(|| peer.not_connected_in_time())??;
        tracing::debug!(%peer, "connected");
        Ok(connection)
    }

    /// Tries the addresses in order; one that does not answer leaves half of the time that was left to those after it.
    async fn connect_to(&self, peer: &Peer, addresses: &[SocketAddr]) -> Result<Connection, Failure> {
        let Shared { runtime, connect, .. } = &*self.shared;
        let mut left = *connect;
        let mut failure = peer.no_address();
        let addresses = addresses.get(..MOST_ADDRESSES).unwrap_or(addresses);
        for (after, address) in (0..addresses.len()).rev().zip(addresses) {
            let share = if after == 0 { left } else { left / 2 };
            left = left.saturating_sub(share);
            match within(runtime, share, runtime.connect(*address)).await {
                Some(Ok(stream)) => return self.secure(peer, stream).await,
                Some(Err(error)) => failure = peer.io(&error, Phase::Head),
                None => failure = peer.not_connected_in_time(),
            }
        }
        Err(failure)
    }

    async fn secure(&self, peer: &Peer, stream: R::Stream) -> Result<Connection, Failure> {
        if !peer.secure {
            return Ok(Connection::new(stream));
        }
        let name = ServerName::try_from(peer.host.clone()).map_err(|error| peer.no_tls(error))?;
        let tls = self.shared.tls.as_ref().map_err(|error| peer.tls(error))?;
        let stream = tls.connect(name, stream).await.map_err(|error| peer.io(&error, Phase::Head))?;
        Ok(Connection::new(stream))
    }

    fn explain(&self, peer: &Peer, fault: Fault, phase: Phase) -> Failure {
        match fault {
            Fault::Io(error) => peer.io(&error, phase),
            Fault::Protocol(error) => peer.not_http(error),
            Fault::HeadTooLarge(size) => peer.head_too_large(size, connection::MOST_HEAD),
            Fault::BodyTooLarge => peer.body_too_large(self.shared.body_cap),
        }
    }
}

impl<R: Runtime> Shared<R> {
    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that was kept open and is usable still.
    fn kept(&self, peer: &Peer) -> Option<Connection> {
        loop {
            let mut connection = self.idle().pool.take(peer, Instant::now())?;
            if connection.is_usable() {
                return Some(connection);
            }
        }
    }

    fn keep(self: &Arc<Self>, peer: &Peer, connection: Connection) {
        let mut idle = self.idle();
        idle.pool.put(peer, connection, Instant::now());
        if !std::mem::replace(&mut idle.watched, true) {
            drop(idle);
            self.runtime.spawn(close_old(Arc::downgrade(self), self.runtime.clone()));
        }
    }
}

/// Closes idle connections in time, while there are any.
async fn close_old<R: Runtime>(client: Weak<Shared<R>>, runtime: R) {
    loop {
        let Some(shared) = client.upgrade() else { return };
        let again = {
            let mut idle = shared.idle();
            let again = idle.pool.close_old(Instant::now());
            idle.watched = again.is_some();
            again
        };
        drop(shared);
        match again {
            Some(after) => runtime.sleep(after).await,
            None => return,
        }
    }
}

impl<R: Runtime> Transport for Client<R> {
    fn send<'a>(&'a self, request: &'a Request, within: Span) -> BoxFuture<'a, Result<Received, Failure>> {
        Box::pin(Self::send(self, request, within))
    }
}

impl<R: Runtime> Clone for Client<R> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<R: Runtime + Default> Default for Client<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R: Runtime> fmt::Debug for Client<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { body_cap, connect, .. } = &*self.shared;
        f.debug_struct("Client").field("body_cap", body_cap).field("connect", connect).finish()
    }
}

/// The head of the request with what every request carries.
fn complete(peer: &Peer, request: &Request) -> Result<http::Request<()>, Failure> {
    let mut head = peer.head(request)?;
    let without_body = head.method() == Method::GET && request.body.is_empty();
    let fields = head.headers_mut();
    fields.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    fields.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("identity"));
    fields.entry(USER_AGENT).or_insert(HeaderValue::from_static(idv_core::http::USER_AGENT));
    if !without_body {
        fields.insert(CONTENT_LENGTH, HeaderValue::from(request.body.len()));
    }
    Ok(head)
}

fn received(response: &Response<()>, mut body: zeroize::Zeroizing<Vec<u8>>) -> Received {
    let fields = response.headers().iter();
    let headers = fields.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_owned()));
    Received {
        status: response.status().as_u16(),
        headers: headers.collect(),
        body: std::mem::take(&mut *body),
    }
}

/// The outcome, unless it takes longer.
async fn within<R: Runtime, F: Future>(runtime: &R, limit: Duration, work: F) -> Option<F::Output> {
    match select(pin!(work), pin!(runtime.sleep(limit))).await {
        Either::Left((outcome, _)) => Some(outcome),
        Either::Right(_) => None,
    }
}
