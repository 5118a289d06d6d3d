//! Verdicts on identity verifications, on async-std. **Legacy:** it is discontinued
//! ([RUSTSEC-2025-0052](https://rustsec.org/advisories/RUSTSEC-2025-0052)); new code takes `idv-smol`, whose names are the same.
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
//! use idv_async_std::{Account, Client};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let shufti = shufti::Account::builder("client-id", "secret-key".into()).build()?;
//! let revision = idv_async_std::wait(Account::new(shufti)?, "order-1", &Client::new()).await?;
//! println!("{}: {}", revision.id, revision.verdict);
//! # Ok(())
//! # }
//! ```
//!
//! Many, in one task, over shared tokens and budgets, by polling and by callback:
//!
//! ```no_run
//! use idv_core::shufti;
//! use idv_async_std::{Account, Driver};
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

use async_std::net::{TcpListener, TcpStream, ToSocketAddrs};
use async_std::task;
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
        // It fails where the peer has gone already, which the first read finds out.
        let _ = stream.set_nodelay(true);
        Ok((stream, from))
    }

    async fn sleep(&self, duration: Duration) {
        task::sleep(duration).await;
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        task::spawn(work);
    }
}

/// An HTTP client on this runtime.
pub type Client = idv_async::Client<AsyncStd>;
/// Prepares a [`Driver`].
pub type Builder = idv_async::Builder<AsyncStd>;
/// Drives verifications on this runtime, from one task.
pub type Driver = idv_async::Driver<AsyncStd>;
