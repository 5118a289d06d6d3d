//! What the handler answers.

use crate::server::{Nap, Sleep};
use crate::watch::Watch;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// A reply: status, header fields, body.
#[derive(Clone)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The header fields; length, date and connection are added by the server.
    pub headers: HeaderMap,
    content: Content,
}

#[derive(Clone)]
enum Content {
    Whole(Bytes),
    Pieces(VecDeque<Piece>),
    HangUp,
    Reset,
}

/// A part of a body that is sent in its own time.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Waits this long.
    Pause(Duration),
    /// Sends these bytes.
    Bytes(Bytes),
    /// Closes the connection, whatever was announced.
    Cut,
}

impl Reply {
    /// A reply without a body.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), content: Content::Whole(Bytes::new()) }
    }

    /// A reply in plain text.
    #[must_use]
    pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Self {
        Self::new(status).with_body("text/plain; charset=utf-8", text)
    }

    /// A reply in JSON; `body` is sent as it stands.
    #[must_use]
    pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self::new(status).with_body("application/json", body)
    }

    /// The same reply with a body of this media type.
    #[must_use]
    pub fn with_body(self, media_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut reply = self.with_header(CONTENT_TYPE, HeaderValue::from_static(media_type));
        reply.content = Content::Whole(body.into());
        reply
    }

    /// The same reply with one more header field.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// The same reply with its body cut up and paced: to see how a client takes a slow or a broken answer. The announced length
    /// stays that of the body before.
    #[must_use]
    pub fn with_pieces(mut self, pieces: impl IntoIterator<Item = Piece>) -> Self {
        let announced = match &self.content {
            Content::Whole(body) => body.len(),
            Content::Pieces(_) | Content::HangUp | Content::Reset => 0,
        };
        self.headers.insert(CONTENT_LENGTH, HeaderValue::from(announced));
        self.content = Content::Pieces(pieces.into_iter().collect());
        self
    }

    /// No reply: the connection is closed, as if the answer had been lost.
    #[must_use]
    pub fn hang_up() -> Self {
        Self { content: Content::HangUp, ..Self::new(StatusCode::OK) }
    }

    /// No reply: the connection is broken by a reset, where the runtime can.
    #[must_use]
    pub fn reset() -> Self {
        Self { content: Content::Reset, ..Self::new(StatusCode::OK) }
    }

    /// The body, where it is sent whole.
    #[must_use]
    pub fn body(&self) -> Option<&Bytes> {
        match &self.content {
            Content::Whole(body) => Some(body),
            Content::Pieces(_) | Content::HangUp | Content::Reset => None,
        }
    }

    /// The reply in hyper's terms, or that there is none.
    pub(crate) fn into_response(
        self,
        watch: Arc<Watch>,
        sleep: Sleep,
    ) -> Result<http::Response<Sending>, HungUp> {
        let pieces = match self.content {
            Content::Whole(body) if body.is_empty() => VecDeque::new(),
            Content::Whole(body) => VecDeque::from([Piece::Bytes(body)]),
            Content::Pieces(pieces) => pieces,
            Content::HangUp => return Err(HungUp),
            Content::Reset => {
                watch.break_connection();
                return Err(HungUp);
            }
        };
        let mut response = http::Response::new(Sending { pieces, pause: None, cutting: false, watch, sleep });
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        Ok(response)
    }
}

impl fmt::Debug for Reply {
    /// The status only: the rest may be credentials or personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({})", self.status.as_u16())
    }
}

/// How long the bytes before a [`Piece::Cut`] have to leave.
const BEFORE_CUT: Duration = Duration::from_millis(5);

/// A reply's body on its way out; tells the watch when it is gone.
pub(crate) struct Sending {
    pieces: VecDeque<Piece>,
    pause: Option<Nap>,
    cutting: bool,
    watch: Arc<Watch>,
    sleep: Sleep,
}

/// The connection was closed on purpose.
#[derive(Debug)]
pub(crate) struct HungUp;

impl fmt::Display for HungUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("closed on purpose")
    }
}

impl std::error::Error for HungUp {}

impl Body for Sending {
    type Data = Bytes;
    type Error = HungUp;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HungUp>>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            if self.cutting {
                return Poll::Ready(Some(Err(HungUp)));
            }
            match self.pieces.pop_front() {
                None => return Poll::Ready(None),
                Some(Piece::Bytes(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                // What was sent before the cut must be on its way first; an error at once would take it along.
                Some(Piece::Cut) => {
                    self.cutting = true;
                    self.pause = Some((self.sleep)(BEFORE_CUT));
                }
                Some(Piece::Pause(pause)) => self.pause = Some((self.sleep)(pause)),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && self.pause.is_none() && !self.cutting
    }

    fn size_hint(&self) -> SizeHint {
        let mut length = 0_u64;
        for piece in &self.pieces {
            match piece {
                Piece::Bytes(bytes) => length = length.saturating_add(bytes.len() as u64),
                Piece::Pause(_) | Piece::Cut => return SizeHint::default(),
            }
        }
        SizeHint::with_exact(length)
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.watch.reply_done(Instant::now());
    }
}
