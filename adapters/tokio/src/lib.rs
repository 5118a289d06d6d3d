//! Drives verifications on tokio.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

use idv_async::Runtime;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

/// The tokio runtime that polls: it must drive sockets and time (`enable_all`).
#[derive(Clone, Copy, Default, Debug)]
pub struct Tokio;

impl Runtime for Tokio {
    type Stream = Compat<TcpStream>;
    type Listener = TcpListener;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Self::Stream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream.compat())
    }

    fn listener(&self, socket: std::net::TcpListener) -> io::Result<TcpListener> {
        socket.set_nonblocking(true)?;
        TcpListener::from_std(socket)
    }

    async fn accept(&self, listener: &TcpListener) -> io::Result<(Self::Stream, SocketAddr)> {
        let (stream, from) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream.compat(), from))
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
    }
}

/// [`idv_async::Client`] on tokio.
pub type Client = idv_async::Client<Tokio>;
