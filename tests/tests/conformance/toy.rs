//! A fifth runtime, to show what joining takes: the standard library alone. Every task is a thread, and whatever is not ready is tried
//! again a millisecond later.

use futures_io::{AsyncRead, AsyncWrite};
use idv_host::Runtime;
use std::future::{Future, poll_fn};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::pin::{Pin, pin};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// Threads and patience.
#[derive(Clone, Copy)]
pub(crate) struct Toy;

/// The thread that wakes everybody who waits, again and again.
static ALARM: LazyLock<Mutex<Sender<Waker>>> = LazyLock::new(|| {
    let (sleepers, beds) = channel::<Waker>();
    std::thread::spawn(move || {
        while let Ok(first) = beds.recv() {
            std::thread::sleep(Duration::from_millis(1));
            std::iter::once(first).chain(beds.try_iter()).for_each(Waker::wake);
        }
    });
    Mutex::new(sleepers)
});

/// Not ready: again in a millisecond.
fn later<T>(cx: &Context<'_>) -> Poll<T> {
    let _ = ALARM.lock().unwrap_or_else(PoisonError::into_inner).send(cx.waker().clone());
    Poll::Pending
}

fn unless_blocked<T>(cx: &Context<'_>, result: io::Result<T>) -> Poll<io::Result<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => later(cx),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => later(cx),
        result => Poll::Ready(result),
    }
}

pub(crate) struct Stream(TcpStream);

impl Stream {
    fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        unless_blocked(cx, (&self.0).read(into))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        unless_blocked(cx, (&self.0).write(from))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.shutdown(Shutdown::Write))
    }
}

/// What blocks has a thread of its own.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let (done, outcome) = channel();
    std::thread::spawn(move || done.send(work()));
    let outcome: Mutex<Receiver<io::Result<T>>> = Mutex::new(outcome);
    poll_fn(|cx| match outcome.lock().unwrap_or_else(PoisonError::into_inner).try_recv() {
        Ok(result) => Poll::Ready(result),
        Err(TryRecvError::Empty) => later(cx),
        Err(TryRecvError::Disconnected) => Poll::Ready(Err(io::ErrorKind::Other.into())),
    })
    .await
}

impl Runtime for Toy {
    type Stream = Stream;
    type Listener = TcpListener;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let host = host.to_owned();
        blocking(move || Ok((host.as_str(), port).to_socket_addrs()?.collect())).await
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Stream> {
        Stream::over(blocking(move || TcpStream::connect(address)).await?)
    }

    fn listener(&self, socket: TcpListener) -> io::Result<TcpListener> {
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    async fn accept(&self, listener: &TcpListener) -> io::Result<(Stream, SocketAddr)> {
        let (stream, from) = poll_fn(|cx| unless_blocked(cx, listener.accept())).await?;
        Ok((Stream::over(stream)?, from))
    }

    async fn sleep(&self, duration: Duration) {
        let until = Instant::now().checked_add(duration);
        poll_fn(|cx| match until {
            Some(until) if Instant::now() >= until => Poll::Ready(()),
            _ => later(cx),
        })
        .await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        std::thread::spawn(move || block_on(task));
    }
}

/// Runs a future to its end on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let (waker, mut future) = (Waker::from(Arc::new(Unpark(std::thread::current()))), pin!(future));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(outcome) => return outcome,
            Poll::Pending => std::thread::park(),
        }
    }
}
