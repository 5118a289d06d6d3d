//! smol.

use crate::Runtime;
use smol::net::{TcpListener, TcpStream};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// smol's reactor and its global executor, which run on threads of their own.
#[derive(Clone, Copy, Default, Debug)]
pub struct Smol;

impl Runtime for Smol {
    type Stream = TcpStream;
    type Listener = TcpListener;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        smol::net::resolve((host, port)).await
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn listener(&self, socket: std::net::TcpListener) -> io::Result<TcpListener> {
        Ok(smol::Async::new(socket)?.into())
    }

    async fn accept(&self, listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, from) = listener.accept().await?;
        // It fails where the peer has gone already, which the first read finds out.
        let _ = stream.set_nodelay(true);
        Ok((stream, from))
    }

    fn abort(&self, stream: TcpStream) {
        // A socket that must not linger at all is closed by a reset.
        if let Err(error) = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)) {
            tracing::debug!(%error, "a connection is closed in order, not by a reset");
        }
    }

    async fn sleep(&self, duration: Duration) {
        smol::Timer::after(duration).await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        smol::spawn(task).detach();
    }
}
