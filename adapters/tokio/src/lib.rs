//! Verdicts on identity verifications, on [tokio](https://docs.rs/tokio).
//!
//! ```text
//!   open(account, id) ─▶ ┌────────┐ ─▶ calls, so many at once
//!     callbacks ───────▶ │ driver │ ─▶ your store, before anything is started
//!   (listener, or yours) └────────┘ ─▶ on_revision: revision 1, 2, … of each verification
//! ```
//!
//! One verification, waited for; dropping the future ends it:
//!
//! ```no_run
//! use idv_core::shufti;
//! use idv_tokio::{Account, Client};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let shufti = shufti::Account::builder("client-id", "secret-key".into()).build()?;
//! let revision = idv_tokio::wait(Account::new(shufti)?, "order-1", &Client::new()).await?;
//! println!("{}: {}", revision.id, revision.verdict);
//! # Ok(())
//! # }
//! ```
//!
//! Many, in one task, over shared tokens and budgets, by polling and by callback:
//!
//! ```no_run
//! use idv_core::shufti;
//! use idv_tokio::{Account, Driver};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mut builder = Driver::builder();
//! let shufti = shufti::Account::builder("client-id", "secret-key".into()).build()?;
//! let shufti = builder.account(Account::new(shufti)?);
//! builder.on_revision(|revision| async move {
//!     println!("{} #{}: {}", revision.id, revision.number, revision.verdict);
//!     Ok(()) // confirmed; an error has it offered again
//! });
//! let driver = builder.start().await?;
//! driver.listen("0.0.0.0:8787".parse()?, &[("/callbacks/shufti", shufti)]).await?;
//! driver.open(shufti, "order-1").await?;
//! driver.open(shufti, "order-2").await?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub use idv_async::*;

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
        // It fails where the peer has gone already, which the first read finds out.
        let _ = stream.set_nodelay(true);
        Ok((stream.compat(), from))
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
    }
}

/// An HTTP client on this runtime.
pub type Client = idv_async::Client<Tokio>;
/// Prepares a [`Driver`].
pub type Builder = idv_async::Builder<Tokio>;
/// Drives verifications on this runtime, from one task.
pub type Driver = idv_async::Driver<Tokio>;
