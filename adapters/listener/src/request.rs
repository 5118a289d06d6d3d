//! A request as the handler sees it: the head complete, the body as it comes.

use crate::reply::Reply;
use crate::watch::Watch;
use bytes::{Buf, Bytes};
use futures_core::Stream;
use http::{HeaderMap, Method, StatusCode, Uri};
use hyper::body::{Body as _, Incoming};
use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

/// A request: its head, and its body still to be read.
#[derive(Debug)]
pub struct Request {
    /// The head.
    pub head: Arc<Head>,
    /// The body. A body that is not read to its end costs the connection: it is closed after the reply.
    pub body: Body,
}

/// A request's head.
pub struct Head {
    /// The method.
    pub method: Method,
    /// The target: path and query.
    pub uri: Uri,
    /// The header fields, names in lower case, repeated fields repeated.
    pub headers: HeaderMap,
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// When the first byte of the head came.
    pub received_at: Instant,
    /// When the answer is due.
    pub deadline: Instant,
}

impl Head {
    /// The header fields as pairs, in order, for readers that know no HTTP library.
    #[must_use]
    pub fn fields(&self) -> Vec<(&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
    }

    /// The path without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.uri.path()
    }
}

impl fmt::Debug for Head {
    /// Method and path only: the rest may be credentials or personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.uri.path())
    }
}

/// A request's body, read chunk by chunk, raw.
pub struct Body {
    incoming: Incoming,
    announced: Option<u64>,
    read: u64,
    cap: u64,
    watch: Arc<Watch>,
}

impl Body {
    pub(crate) fn new(incoming: Incoming, cap: u64, watch: Arc<Watch>) -> Self {
        let announced = incoming.size_hint().exact();
        Self { incoming, announced, read: 0, cap, watch }
    }

    /// The length that the head announces; `None` where the body is chunked.
    #[must_use]
    pub fn announced(&self) -> Option<u64> {
        self.announced
    }

    /// Sets the largest length that is read, in place of [`Config::max_body_bytes`](crate::Config::max_body_bytes).
    pub fn set_cap(&mut self, bytes: u64) {
        self.cap = bytes;
    }

    /// The next bytes, or `None` at the end. An announced length over the cap is refused before anything is read.
    ///
    /// # Errors
    /// The body is larger than the cap, is not framed as HTTP frames bodies, or ended early.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        let too_large = BodyError::TooLarge { cap: self.cap };
        if self.announced.is_some_and(|announced| announced > self.cap) {
            return Poll::Ready(Err(too_large));
        }
        while let Some(frame) = ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
            let frame = match frame {
                Ok(frame) => frame,
                Err(error) if error.is_parse() => return Poll::Ready(Err(BodyError::Malformed)),
                Err(_) => return Poll::Ready(Err(BodyError::Incomplete)),
            };
            // What is no data is a trailer; nothing here uses those.
            let Ok(data) = frame.into_data() else { continue };
            self.read = self.read.saturating_add(data.remaining() as u64);
            if self.read > self.cap {
                return Poll::Ready(Err(too_large));
            }
            if self.incoming.is_end_stream() {
                self.watch.body_ended();
            }
            return Poll::Ready(Ok(Some(data)));
        }
        self.watch.body_ended();
        Poll::Ready(Ok(None))
    }

    /// The whole body.
    ///
    /// # Errors
    /// As [`Body::chunk`].
    pub async fn collect(&mut self) -> Result<Vec<u8>, BodyError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

impl Stream for Body {
    type Item = Result<Bytes, BodyError>;

    /// As [`Body::chunk`].
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_chunk(cx).map(Result::transpose)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes read of at most {})", self.read, self.cap)
    }
}

/// Why a body could not be read to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyError {
    /// It is larger than what is read here.
    TooLarge {
        /// The most that is read, in bytes.
        cap: u64,
    },
    /// It is not framed as HTTP frames bodies.
    Malformed,
    /// The connection ended before it did.
    Incomplete,
}

impl BodyError {
    /// The status that says so: 413 or 400.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Malformed | Self::Incomplete => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { cap } => write!(f, "the body is larger than the {cap} bytes that are read here"),
            Self::Malformed => f.write_str("the body is not framed as its header fields announce"),
            Self::Incomplete => f.write_str("the connection ended before the body did"),
        }
    }
}

impl std::error::Error for BodyError {}

impl From<BodyError> for Reply {
    fn from(error: BodyError) -> Self {
        Self::text(error.status(), format!("{error}\n"))
    }
}
