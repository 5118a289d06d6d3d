//! Where one connection stands, and until when it may stay there.
//!
//! ```text
//!            first byte          head complete             reply ready            reply handed over
//!  Idle ────────────────▶ Head ────────────────▶ Handling ─────────────▶ Replying ─────────────────▶ Idle
//!   │ idle timeout         │ head timeout          │ deadline: overdue    │ reply timeout
//!   ▼                      ▼                       ▼ reply                ▼
//!  cut                    cut                    Replying                cut
//! ```
//!
//! The socket, the handler's answer and the body report here; the connection's driver reads it. They run in one task, so that the
//! lock is never waited for unless a handler carries the body off to another.

use crate::config::Config;
use futures_io::{AsyncRead, AsyncWrite};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// No byte of a head has come since.
    Idle { since: Instant },
    /// A head is arriving.
    Head { first_byte: Instant },
    /// Body and handler, up to the deadline.
    Handling { deadline: Instant },
    /// The reply is being written.
    Replying { since: Instant },
}

struct State {
    phase: Phase,
    /// The body of the present request was read to its end, so that further bytes belong to the next head.
    body_ended: bool,
    /// The body of the last request was left unread: the peer may still be sending it.
    body_abandoned: bool,
    /// The connection is to be broken by a reset.
    to_break: bool,
    /// The first byte of the next head, where it came before the present request was done with.
    next_head: Option<Instant>,
    last_read: Instant,
}

/// See the module.
pub(crate) struct Watch {
    state: Mutex<State>,
    idle: Duration,
    head: Duration,
    request: Duration,
    reply: Duration,
}

impl Watch {
    pub(crate) fn new(config: &Config, now: Instant) -> Self {
        Self {
            state: Mutex::new(State {
                phase: Phase::Idle { since: now },
                body_ended: true,
                body_abandoned: false,
                to_break: false,
                next_head: None,
                last_read: now,
            }),
            idle: config.idle_timeout,
            head: config.head_timeout.min(config.request_deadline),
            request: config.request_deadline,
            reply: config.reply_timeout,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection is to end by a reset.
    pub(crate) fn break_connection(&self) {
        self.state().to_break = true;
    }

    pub(crate) fn is_to_break(&self) -> bool {
        self.state().to_break
    }

    pub(crate) fn phase(&self) -> Phase {
        self.state().phase
    }

    /// Bytes came from the peer.
    fn bytes_read(&self, now: Instant) {
        let mut state = self.state();
        state.last_read = now;
        match state.phase {
            Phase::Idle { .. } => state.phase = Phase::Head { first_byte: now },
            Phase::Head { .. } => {}
            Phase::Handling { .. } | Phase::Replying { .. } => {
                if state.body_ended && state.next_head.is_none() {
                    state.next_head = Some(now);
                }
            }
        }
    }

    /// A head is complete. Returns when its first byte came and when its answer is due. Where a peer sends requests without waiting for
    /// answers and the head shared a read with what was before it, the moment of that read.
    pub(crate) fn head_complete(&self, no_body: bool) -> (Instant, Instant) {
        let mut state = self.state();
        let first_byte = match state.phase {
            Phase::Head { first_byte } => first_byte,
            Phase::Idle { .. } | Phase::Handling { .. } | Phase::Replying { .. } => {
                state.next_head.unwrap_or(state.last_read)
            }
        };
        let deadline = first_byte + self.request;
        state.phase = Phase::Handling { deadline };
        state.body_ended = no_body;
        state.body_abandoned = false;
        state.next_head = None;
        (first_byte, deadline)
    }

    pub(crate) fn body_ended(&self) {
        self.state().body_ended = true;
    }

    /// The reply is ready. Returns whether the body was read to its end; if not, the connection cannot be used again.
    pub(crate) fn reply_ready(&self, now: Instant) -> bool {
        let mut state = self.state();
        state.phase = Phase::Replying { since: now };
        state.body_abandoned = !state.body_ended;
        state.body_ended
    }

    /// The reply is in the hands of the protocol, or given up.
    pub(crate) fn reply_done(&self, now: Instant) {
        let mut state = self.state();
        state.phase = match state.next_head.take() {
            Some(first_byte) => Phase::Head { first_byte },
            None => Phase::Idle { since: now },
        };
    }

    pub(crate) fn body_complete(&self) -> bool {
        self.state().body_ended
    }

    pub(crate) fn body_abandoned(&self) -> bool {
        self.state().body_abandoned
    }

    /// When the connection is cut unless it moves on before.
    pub(crate) fn cut_at(&self) -> Instant {
        match self.phase() {
            Phase::Idle { since } => since + self.idle,
            Phase::Head { first_byte } => first_byte + self.head,
            Phase::Handling { deadline } => deadline + self.reply,
            Phase::Replying { since } => since + self.reply,
        }
    }

    /// When the connection must be looked at next: when a handler is overdue, or when the connection is cut.
    pub(crate) fn wake_at(&self, now: Instant) -> Instant {
        match self.phase() {
            Phase::Handling { deadline } if deadline > now => deadline,
            Phase::Idle { .. } | Phase::Head { .. } | Phase::Handling { .. } | Phase::Replying { .. } => {
                self.cut_at()
            }
        }
    }
}

/// A socket whose reads are reported to a [`Watch`].
pub(crate) struct Watched<S> {
    pub(crate) socket: S,
    pub(crate) watch: Arc<Watch>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let read = ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
        if read > 0 {
            self.watch.bytes_read(Instant::now());
        }
        Poll::Ready(Ok(read))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(cx)
    }
}
