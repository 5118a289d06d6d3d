//! One connection, from accepting to closing.

use crate::config::Config;
use crate::race::{caught, first, within};
use crate::reply::{HungUp, Reply, Sending};
use crate::request::{Body, Head, Request};
use crate::server::{Handler, Sleep};
use crate::watch::{Phase, Watch, Watched};
use async_channel::Receiver;
use futures_io::{AsyncRead, AsyncWrite};
use futures_rustls::TlsAcceptor;
use http::header::CONNECTION;
use http::{HeaderValue, StatusCode};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use idv_host::Runtime;
use smol_hyper::rt::FuturesIo;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tracing::Instrument;

/// How long, and how many bytes, are read and thrown away after a refusal, so that a peer that is still sending gets to read it
/// instead of a reset.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1024 * 1024;

/// Closed when the server is to stop.
pub(crate) type Stop = Receiver<Infallible>;

/// What every connection of a server works with.
pub(crate) struct Shared<R, H> {
    pub(crate) runtime: R,
    pub(crate) sleep: Sleep,
    pub(crate) config: Config,
    pub(crate) handler: H,
}

/// Serves one accepted connection until it closes.
pub(crate) async fn serve<R: Runtime, H: Handler>(
    tcp: R::Stream,
    peer: SocketAddr,
    shared: Arc<Shared<R, H>>,
    stop: Stop,
) {
    let Some(tls) = shared.config.tls.clone() else {
        return serve_http(tcp, |tcp| tcp, peer, shared, stop).await;
    };
    let handshake = TlsAcceptor::from(tls).accept(tcp);
    let stopping = async {
        let _ = stop.recv().await;
        None
    };
    let timeout = (shared.sleep)(shared.config.tls_handshake_timeout);
    match first(within(timeout, handshake), stopping).await {
        Some(Ok(stream)) => serve_http(stream, |tls| tls.into_inner().0, peer, shared, stop).await,
        Some(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
        None => tracing::debug!("TLS handshake not finished in time"),
    }
}

enum End {
    Finished(hyper::Result<()>),
    Cut(Phase),
}

/// `into_tcp` takes off what was put around the connection.
async fn serve_http<S, R, H>(
    stream: S,
    into_tcp: impl FnOnce(S) -> R::Stream,
    peer: SocketAddr,
    shared: Arc<Shared<R, H>>,
    stop: Stop,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    R: Runtime,
    H: Handler,
{
    let config = &shared.config;
    let watch = Arc::new(Watch::new(config, Instant::now()));
    let io = FuturesIo::new(Watched { socket: stream, watch: watch.clone() });
    let service = service_fn(|request| answer(request, peer, shared.clone(), watch.clone()));
    // The watch bounds every wait, so that hyper's own timer is not used. `pipeline_flush` must stay off: with it, hyper 1.12
    // loses the last reply of a connection that it closes with bytes unread.
    let mut connection = http1::Builder::new()
        .max_headers(config.max_headers)
        .max_buf_size(config.max_head_bytes)
        .serve_connection(io, service);
    match drive(Pin::new(&mut connection), &shared.runtime, &watch, stop).await {
        End::Finished(Ok(())) => {}
        End::Finished(Err(error)) => tracing::debug!(%error, "connection ended early"),
        End::Cut(phase) => {
            tracing::debug!(waiting = phase_name(phase), "connection cut: the peer took too long");
            return;
        }
    }
    let mut tcp = into_tcp(connection.into_parts().io.into_inner().socket);
    if watch.is_to_break() {
        shared.runtime.abort(tcp);
    } else if watch.body_abandoned() {
        let _ = within((shared.sleep)(LINGER), drain(&mut tcp)).await;
    }
}

/// Reads and throws away what still comes.
async fn drain(tcp: &mut (impl AsyncRead + Unpin)) {
    let mut sink = vec![0; 16 * 1024];
    let mut left = LINGER_BYTES;
    while let Ok(read @ 1..) = poll_fn(|cx| Pin::new(&mut *tcp).poll_read(cx, &mut sink)).await {
        left = left.saturating_sub(read);
        if left == 0 {
            break;
        }
    }
}

/// Polls the connection, wakes it when a handler is overdue, cuts it when the peer is, and tells it once to stop.
async fn drive<R: Runtime>(
    mut connection: Pin<&mut impl Graceful>,
    runtime: &R,
    watch: &Watch,
    stop: Stop,
) -> End {
    let mut stop = pin!(async move {
        let _ = stop.recv().await;
    });
    let (mut stopping, mut told) = (false, false);
    let mut timer = pin!(None);
    let mut armed: Option<Instant> = None;
    poll_fn(|cx| {
        loop {
            stopping = stopping || stop.as_mut().poll(cx).is_ready();
            if stopping && !told {
                match watch.phase() {
                    // Telling it now would drop a request that has begun to arrive.
                    Phase::Head { .. } => {}
                    Phase::Idle { .. } | Phase::Handling { .. } | Phase::Replying { .. } => {
                        connection.as_mut().graceful_shutdown();
                        told = true;
                    }
                }
            }
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                return Poll::Ready(End::Finished(result));
            }
            if stopping && !told && !matches!(watch.phase(), Phase::Head { .. }) {
                continue;
            }
            let now = Instant::now();
            if watch.cut_at() <= now {
                return Poll::Ready(End::Cut(watch.phase()));
            }
            // A timer that is early does no harm, and most of them are never set: only an earlier moment re-arms it.
            let wake = watch.wake_at(now);
            if armed.is_none_or(|armed| wake < armed) {
                timer.set(Some(runtime.sleep(wake.saturating_duration_since(now))));
                armed = Some(wake);
            }
            if timer.as_mut().as_pin_mut().is_none_or(|timer| timer.poll(cx).is_pending()) {
                return Poll::Pending;
            }
            timer.set(None);
            armed = None;
        }
    })
    .await
}

/// A connection that can be told to close after its present request.
trait Graceful: Future<Output = hyper::Result<()>> {
    fn graceful_shutdown(self: Pin<&mut Self>);
}

impl<I, S, B> Graceful for http1::Connection<I, S>
where
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    B: hyper::body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn graceful_shutdown(self: Pin<&mut Self>) {
        http1::Connection::graceful_shutdown(self);
    }
}

const fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Idle { .. } => "for a request",
        Phase::Head { .. } => "for the end of a head",
        Phase::Handling { .. } => "for a handler",
        Phase::Replying { .. } => "for a reply to be read",
    }
}

/// Answers one request: by the handler, by its word for overdue requests, or by 500 where it panics.
async fn answer<R: Runtime, H: Handler>(
    request: http::Request<Incoming>,
    peer: SocketAddr,
    shared: Arc<Shared<R, H>>,
    watch: Arc<Watch>,
) -> Result<http::Response<Sending>, HungUp> {
    let (parts, incoming) = request.into_parts();
    let (received_at, deadline) = watch.head_complete(incoming.is_end_stream());
    let span = tracing::debug_span!(
        "request",
        method = %parts.method,
        path = parts.uri.path(),
        status = tracing::field::Empty,
    );
    let head = Arc::new(Head {
        method: parts.method,
        uri: parts.uri,
        headers: parts.headers,
        peer,
        received_at,
        deadline,
    });
    let body = Body::new(incoming, shared.config.max_body_bytes, watch.clone());
    let reply = {
        // The driver wakes this task at the deadline. At the deadline it is too late, even for a reply that is ready.
        let overdue = poll_fn(|_| if Instant::now() >= deadline { Poll::Ready(None) } else { Poll::Pending });
        let work = async {
            let handled = span.in_scope(|| shared.handler.handle(Request { head: head.clone(), body }));
            Some(caught(handled.instrument(span.clone())).await)
        };
        first(overdue, work).await
    };
    let _entered = span.enter();
    let mut reply = match reply {
        Some(Ok(reply)) => reply,
        Some(Err(_)) => {
            tracing::error!("the handler panicked");
            Reply::new(StatusCode::INTERNAL_SERVER_ERROR)
        }
        None => shared.handler.overdue(&head, watch.body_complete()),
    };
    let now = Instant::now();
    if !watch.reply_ready(now) {
        reply.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let after_ms = u64::try_from(now.saturating_duration_since(received_at).as_millis()).unwrap_or(u64::MAX);
    span.record("status", reply.status.as_u16());
    tracing::debug!(after_ms, "answered");
    reply.into_response(watch, shared.sleep.clone())
}
