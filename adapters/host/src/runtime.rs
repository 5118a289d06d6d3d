//! What an asynchronous runtime has to give, so that everything else is written once.

use futures_io::{AsyncRead, AsyncWrite};
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

/// What an asynchronous runtime gives: names resolved, connections made and accepted, sleep, and tasks. All streams are futures-io.
///
/// Every future returned here may be dropped at any point, and then takes what it had opened with it.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// A TCP connection. Small writes go out at once (`TCP_NODELAY`).
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// A listening socket.
    type Listener: Send + Sync + 'static;

    /// The addresses of a host, in the order in which they are to be tried.
    fn resolve(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// Connects.
    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Takes over a socket that listens already.
    ///
    /// # Errors
    /// The socket cannot be used by this runtime.
    fn listener(&self, socket: TcpListener) -> io::Result<Self::Listener>;

    /// The next connection, and where it comes from.
    fn accept(
        &self,
        listener: &Self::Listener,
    ) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// Closes a connection by a reset in place of an orderly end, where the runtime can. Only the sandbox wants that, to show clients a
    /// connection that breaks. As it stands: drops the stream.
    fn abort(&self, stream: Self::Stream) {
        drop(stream);
    }

    /// Ends after this long; a little later on a busy machine, and much later where the computer sleeps meanwhile.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;

    /// Runs the future to its end beside the caller.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);
}
