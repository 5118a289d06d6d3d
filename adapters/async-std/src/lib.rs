//! Drives verifications on async-std. **Legacy:** async-std is discontinued
//! ([RUSTSEC-2025-0052](https://rustsec.org/advisories/RUSTSEC-2025-0052)); new code takes `idv-smol`, whose names are the same.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

use async_std::net::{TcpListener, TcpStream, ToSocketAddrs};
use async_std::task;
use idv_async::Runtime;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// async-std's global executor.
#[derive(Clone, Copy, Default, Debug)]
pub struct AsyncStd;

impl Runtime for AsyncStd {
    type Stream = TcpStream;
    type Listener = TcpListener;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok((host, port).to_socket_addrs().await?.collect())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn listener(&self, socket: std::net::TcpListener) -> io::Result<TcpListener> {
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    }

    async fn accept(&self, listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, from) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, from))
    }

    async fn sleep(&self, duration: Duration) {
        task::sleep(duration).await;
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        task::spawn(work);
    }
}

/// [`idv_async::Client`] on async-std.
pub type Client = idv_async::Client<AsyncStd>;
