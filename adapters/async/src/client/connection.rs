//! One connection: a request out, its answer in. What the bytes mean is decided by `ureq-proto`, the HTTP/1.1 of the blocking adapter's
//! client, so that all adapters read an answer alike.

use super::buffer::{Buffer, room_for};
use crate::run::give_way;
use futures_util::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, FutureExt};
use http::Response;
use std::io;
use ureq_proto::client::state::{RecvBody, RecvResponse, SendRequest};
use ureq_proto::client::{Call, RecvBodyResult, RecvResponseResult, SendRequestResult};
use ureq_proto::{BodyMode, Error};
use zeroize::Zeroizing;

/// The most bytes of an answer before its body: the header section, and interim answers before it (RFC 9110, 15.2). As in ureq.
pub(super) const MOST_HEAD: usize = 64 << 10;

/// How many times in a row the socket may have bytes at once before others get their turn: timers, and whoever shares the task.
const FAIR: u32 = 32;

/// The body's next bytes go into this much room.
const BLOCK: usize = 16 << 10;

/// A connection, with TLS or without.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// Why an exchange did not come to its end.
#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    Protocol(Error),
    HeadTooLarge(usize),
    BodyTooLarge,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Protocol(error)
    }
}

/// A connection. It is closed by dropping it, which is what happens to one whose exchange was left half-way.
pub(super) struct Connection {
    stream: Box<dyn Duplex>,
    input: Buffer,
    ready_reads: u32,
}

/// A body, and whether the connection may be used again.
pub(super) struct Body {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    pub(super) reusable: bool,
}

impl Connection {
    pub(super) fn new(stream: impl Duplex + 'static) -> Self {
        Self { stream: Box::new(stream), input: Buffer::default(), ready_reads: 0 }
    }

    /// Whether an idle connection may carry another request: the peer neither closed it nor sent what nobody asked for.
    pub(super) fn is_usable(&mut self) -> bool {
        let mut byte = [0];
        self.stream.read(&mut byte).now_or_never().is_none()
    }

    /// Sends a request and reads the header section of its answer.
    pub(super) async fn head(
        &mut self,
        request: http::Request<()>,
        body: &[u8],
    ) -> Result<(Response<()>, RecvResponseResult), Fault> {
        let (wire, mut call) = render(request, body)?;
        self.stream.write_all(&wire).await?;
        self.stream.flush().await?;
        drop(wire);

        let mut interim = 0_usize;
        loop {
            let (used, response) = call.try_response(self.input.filled(), false)?;
            let size = interim.saturating_add(if used == 0 { self.input.filled().len() } else { used });
            if size > MOST_HEAD {
                return Err(Fault::HeadTooLarge(size));
            }
            self.input.consume(used);
            if let Some(response) = response {
                let next = call.proceed().ok_or(Error::HttpParseFail("no body's length".to_owned()))?;
                return Ok((response, next));
            }
            interim = interim.saturating_add(used);
            if used == 0 && self.fill().await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    /// Reads the body of the answer, at most `cap` bytes.
    pub(super) async fn body(&mut self, mut call: Call<RecvBody>, cap: u64) -> Result<Body, Fault> {
        let mode = call.body_mode();
        if matches!(mode, BodyMode::LengthDelimited(length) if length > cap) {
            return Err(Fault::BodyTooLarge);
        }
        let mut bytes = Zeroizing::new(Vec::new());
        let mut closed = false;
        // What ends only with the connection is never complete before.
        while mode == BodyMode::CloseDelimited || !call.can_proceed() {
            let (used, made) = read_block(&mut call, self.input.filled(), &mut bytes)?;
            self.input.consume(used);
            if bytes.len() as u64 > cap {
                return Err(Fault::BodyTooLarge);
            }
            if used > 0 || made > 0 {
                continue;
            }
            if self.input.filled().len() >= MOST_HEAD {
                return Err(
                    Error::HttpParseFail("a line between the body's chunks has no end".to_owned()).into()
                );
            }
            closed = match self.fill().await {
                Ok(count) => count == 0,
                Err(error) if is_closed_by_peer(&error) => true,
                Err(error) => return Err(error.into()),
            };
            if closed {
                break;
            }
        }
        // A last chunk whose empty trailer never came leaves nothing of the body missing, but ends the connection.
        if !call.can_proceed() && !call.is_ended_chunked() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let must_close = match call.proceed() {
            Some(RecvBodyResult::Redirect(call)) => call.must_close_connection(),
            Some(RecvBodyResult::Cleanup(call)) => call.must_close_connection(),
            None => true,
        };
        Ok(Body { bytes, reusable: !closed && !must_close && self.is_at_rest() })
    }

    /// Every received byte was read. Gives up the buffer meanwhile.
    pub(super) fn is_at_rest(&mut self) -> bool {
        let at_rest = self.input.filled().is_empty();
        if at_rest {
            self.input = Buffer::default();
        }
        at_rest
    }

    /// Waits for more bytes; none at the end of the connection.
    async fn fill(&mut self) -> io::Result<usize> {
        if self.ready_reads >= FAIR {
            self.ready_reads = 0;
            give_way().await;
        }
        self.ready_reads += 1;
        let count = self.stream.read(self.input.room()).await?;
        self.input.filled_by(count);
        Ok(count)
    }
}

/// Decodes what there is of the body, as far as one block goes.
fn read_block(
    call: &mut Call<RecvBody>,
    input: &[u8],
    bytes: &mut Zeroizing<Vec<u8>>,
) -> Result<(usize, usize), Error> {
    let before = bytes.len();
    room_for(bytes, BLOCK.min(input.len()));
    let room = bytes.capacity().min(before.saturating_add(BLOCK));
    bytes.resize(room, 0);
    let result = call.read(input, bytes.get_mut(before..).unwrap_or_default());
    let made = result.as_ref().map_or(0, |(_, made)| *made);
    bytes.truncate(before.saturating_add(made));
    result
}

/// The peer ended the connection, politely or not.
fn is_closed_by_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionAborted | ConnectionReset)
}

/// The request as it goes over the wire, head and body in one piece.
fn render(
    request: http::Request<()>,
    body: &[u8],
) -> Result<(Zeroizing<Vec<u8>>, Call<RecvResponse>), Error> {
    let fields = request.headers().iter();
    let fields =
        fields.map(|(name, value)| name.as_str().len().saturating_add(value.len()).saturating_add(4));
    // The URL stands in the request line and, by its authority, in `host`.
    let head =
        request.uri().to_string().len().saturating_mul(2).saturating_add(fields.sum()).saturating_add(256);
    let mut wire = Zeroizing::new(vec![0; head.saturating_add(body.len())]);
    let mut call: Call<SendRequest> = Call::new(request)?.proceed();
    let mut written = call.write(&mut wire)?;
    let call = match call.proceed()?.ok_or(Error::OutputOverflow)? {
        SendRequestResult::RecvResponse(call) => call,
        SendRequestResult::SendBody(mut call) => {
            let (_, count) = call.write(body, wire.get_mut(written..).unwrap_or_default())?;
            written = written.saturating_add(count);
            call.proceed().ok_or(Error::OutputOverflow)?
        }
        SendRequestResult::Await100(_) => return Err(Error::BadHeader("expect".to_owned())),
    };
    wire.truncate(written);
    Ok((wire, call))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    /// Gives its pieces one by one, with or without a wait before each, and then the end. Swallows what is written.
    struct Pieces(VecDeque<(bool, Vec<u8>)>);

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            into: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            let Some((wait, piece)) = self.0.front_mut() else { return Poll::Ready(Ok(0)) };
            if std::mem::take(wait) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let count = piece.len().min(into.len());
            into[..count].copy_from_slice(&piece[..count]);
            piece.drain(..count);
            if piece.is_empty() {
                self.0.pop_front();
            }
            Poll::Ready(Ok(count))
        }
    }

    impl AsyncWrite for Pieces {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Cuts `bytes` at `cuts`, which are taken modulo what is left.
    fn pieces(mut bytes: &[u8], cuts: &[(usize, bool)]) -> Pieces {
        let mut pieces = VecDeque::new();
        for (cut, wait) in cuts.iter().cycle() {
            let (piece, rest) = bytes.split_at((cut % bytes.len().max(1) + 1).min(bytes.len()));
            if piece.is_empty() {
                break;
            }
            pieces.push_back((*wait, piece.to_vec()));
            bytes = rest;
        }
        Pieces(pieces)
    }

    /// Status, body and whether the connection may be used again.
    async fn exchange(stream: Pieces, cap: u64) -> Result<(u16, Vec<u8>, bool), Fault> {
        let mut connection = Connection::new(stream);
        let request = http::Request::get("http://h/").body(()).unwrap();
        let (response, next) = connection.head(request, b"").await?;
        let status = response.status().as_u16();
        match next {
            RecvResponseResult::RecvBody(call) => {
                let mut body = connection.body(call, cap).await?;
                Ok((status, std::mem::take(&mut *body.bytes), body.reusable))
            }
            RecvResponseResult::Redirect(call) => Ok((status, Vec::new(), !call.must_close_connection())),
            RecvResponseResult::Cleanup(call) => Ok((status, Vec::new(), !call.must_close_connection())),
        }
    }

    fn run(stream: Pieces, cap: u64) -> Result<(u16, Vec<u8>, bool), Fault> {
        futures_util::FutureExt::now_or_never(async move {
            let mut exchange = std::pin::pin!(exchange(stream, cap));
            // Whoever says "not yet" here has asked to be polled again.
            poll_fn(|cx| {
                loop {
                    if let Poll::Ready(outcome) = exchange.as_mut().poll(cx) {
                        return Poll::Ready(outcome);
                    }
                }
            })
            .await
        })
        .unwrap()
    }

    #[derive(Clone, Copy, Debug)]
    enum Framing {
        Length,
        Chunked(usize),
        UntilClose,
    }

    fn framing() -> impl Strategy<Value = Framing> {
        prop_oneof![
            Just(Framing::Length),
            (1_usize..5_000).prop_map(Framing::Chunked),
            Just(Framing::UntilClose)
        ]
    }

    fn wire(framing: Framing, interim: bool, body: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        if interim {
            wire.extend_from_slice(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n");
        }
        wire.extend_from_slice(b"HTTP/1.1 201 Created\r\nx: y\r\n");
        match framing {
            Framing::Length => {
                wire.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
                wire.extend_from_slice(body);
            }
            Framing::Chunked(size) => {
                wire.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
                for chunk in body.chunks(size) {
                    wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    wire.extend_from_slice(chunk);
                    wire.extend_from_slice(b"\r\n");
                }
                wire.extend_from_slice(b"0\r\n\r\n");
            }
            Framing::UntilClose => {
                wire.extend_from_slice(b"\r\n");
                wire.extend_from_slice(body);
            }
        }
        wire
    }

    proptest! {
        #[test]
        fn an_answer_is_the_same_however_it_is_cut_and_whole_or_refused(
            framing in framing(),
            interim: bool,
            body in vec(any::<u8>(), 0..40_000),
            cuts in vec((0_usize..20_000, any::<bool>()), 1..20),
            missing in 1_usize..100,
        ) {
            let wire = wire(framing, interim, &body);
            let cap = body.len() as u64;
            let (status, received, reusable) = run(pieces(&wire, &cuts), cap).unwrap();
            prop_assert_eq!(status, 201);
            prop_assert!(received == body);
            prop_assert_eq!(reusable, !matches!(framing, Framing::UntilClose));

            if let Some(less) = cap.checked_sub(1) {
                prop_assert!(matches!(run(pieces(&wire, &cuts), less), Err(Fault::BodyTooLarge)));
            }
            // Something unasked for after it: the answer stands, the connection does not.
            if !matches!(framing, Framing::UntilClose) {
                let more = [&wire[..], b"HTTP/1.1 200 OK\r\n"].concat();
                let whole = [(more.len() - 1, false)];
                let (_, received, reusable) = run(pieces(&more, &whole), cap).unwrap();
                prop_assert!(received == body && (!reusable || more.len() > BLOCK));
            }
            // Cut short it is refused; the last chunk's own empty trailer may be missing, and an end without a length is not told.
            let cut = &wire[..wire.len().saturating_sub(missing)];
            match (framing, run(pieces(cut, &cuts), cap)) {
                (Framing::Length, Ok((_, received, _))) => prop_assert!(received == body && missing == 0),
                (Framing::Chunked(_), Ok((_, received, reusable))) => prop_assert!(received == body && !reusable),
                (Framing::UntilClose, Ok(_)) => {}
                (_, Err(Fault::Io(error))) => prop_assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof),
                (_, Err(other)) => prop_assert!(false, "{:?}", other),
            }
        }

        #[test]
        fn g6_whatever_bytes_come_an_exchange_over_a_connection_that_ends_ends(
            head in prop_oneof![Just(&b""[..]), Just(&b"HTTP/1.1 200 OK\r\n"[..]),
                Just(&b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"[..])],
            noise in prop_oneof![vec(any::<u8>(), 0..2_000), "[0-9a-f\r\n:; ]{0,200}".prop_map(String::into_bytes)],
            cuts in vec((0_usize..3_000, any::<bool>()), 1..20),
        ) {
            let wire = [head, &noise[..]].concat();
            if let Ok((_, body, _)) = run(pieces(&wire, &cuts), 1_000) {
                prop_assert!(body.len() <= 1_000);
            }
        }
    }

    #[test]
    fn g6_interim_answers_and_chunk_lines_without_end_are_refused() {
        let interim = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(10_000);
        assert!(matches!(run(pieces(&interim, &[(usize::MAX - 1, false)]), 9), Err(Fault::HeadTooLarge(_))));
        let mut line = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;".to_vec();
        line.resize(1 << 20, b'x');
        assert!(matches!(run(pieces(&line, &[(usize::MAX - 1, false)]), 9), Err(Fault::Protocol(_))));
    }
}
