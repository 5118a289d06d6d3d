//! Binding, accepting, stopping.

use crate::config::{Config, ConfigError};
use crate::connection;
use crate::reply::Reply;
use crate::request::{Head, Request};
use http::StatusCode;
use smol::channel::Sender;
use smol::future::FutureExt;
use smol::lock::Semaphore;
use smol::net::TcpListener;
use smol::{Async, Executor, Timer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::{fmt, io};

/// Decides every answer. Closures from [`Request`] to a future of [`Reply`] are handlers.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. The future is dropped when the request is overdue or the peer goes away: work that must be finished
    /// nevertheless is spawned and detached. Work that blocks belongs on another thread (`smol::unblock`).
    fn handle(&self, request: Request) -> impl Future<Output = Reply> + Send + 'static;

    /// Answers a request whose deadline passed. As it stands: 408 where the body had not come completely, else 503.
    fn overdue(&self, head: &Head, body_complete: bool) -> Reply {
        let _ = head;
        Reply::new(if body_complete { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::REQUEST_TIMEOUT })
    }
}

impl<F, A> Handler for F
where
    F: Fn(Request) -> A + Send + Sync + 'static,
    A: Future<Output = Reply> + Send + 'static,
{
    fn handle(&self, request: Request) -> impl Future<Output = Reply> + Send + 'static {
        self(request)
    }
}

/// A bound server, not yet serving.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    config: Config,
}

impl Server {
    /// Binds to `address`; port 0 picks a free one.
    ///
    /// # Errors
    /// The address is taken or not ours, or `config` could serve no request.
    pub fn bind(address: SocketAddr, config: Config) -> Result<Self, BindError> {
        config.check().map_err(BindError::Config)?;
        let socket = |source| BindError::Socket { address, source };
        let listener = std::net::TcpListener::bind(address).map_err(socket)?;
        let address = listener.local_addr().map_err(socket)?;
        let listener = Async::new(listener).map_err(socket)?.into();
        Ok(Self { listener, address, config })
    }

    /// The address it is bound to.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves on threads of its own until the handle is told to stop or dropped.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn spawn<H: Handler>(self, handler: H) -> io::Result<Handle> {
        let address = self.address;
        let executor = Arc::new(Executor::new());
        let (stop, stopped) = smol::channel::bounded::<Infallible>(1);
        let (serving, over) = smol::channel::bounded::<Infallible>(1);
        let mut handle = Handle { address, stop, threads: Vec::new() };
        for number in 1..self.config.threads {
            let (executor, over) = (executor.clone(), over.clone());
            handle.threads.push(thread(number, move || {
                smol::block_on(executor.run(async {
                    let _ = over.recv().await;
                }));
            })?);
        }
        handle.threads.push(thread(0, move || {
            let until = async {
                let _ = stopped.recv().await;
            };
            smol::block_on(executor.run(self.accept(&executor, handler, until)));
            drop(serving);
        })?);
        Ok(handle)
    }

    /// Serves on the threads that poll this, until `until` is ready and the running requests are answered.
    pub async fn serve<H: Handler>(self, handler: H, until: impl Future<Output = ()>) {
        let executor = Executor::new();
        executor.run(self.accept(&executor, handler, until)).await;
    }

    async fn accept<H: Handler>(self, executor: &Executor<'_>, handler: H, until: impl Future<Output = ()>) {
        let config = Arc::new(self.config);
        let handler = Arc::new(handler);
        let slots = Arc::new(Semaphore::new(config.max_connections));
        let (stop, stopped) = smol::channel::bounded::<Infallible>(1);
        let accepting = async {
            loop {
                let slot = slots.acquire_arc().await;
                match self.listener.accept().await {
                    Ok((tcp, peer)) => {
                        let serving =
                            connection::serve(tcp, peer, config.clone(), handler.clone(), stopped.clone());
                        executor
                            .spawn(async move {
                                serving.await;
                                drop(slot);
                            })
                            .detach();
                    }
                    Err(error) => {
                        // A peer that gave up while it waited, or no file descriptor left: both pass.
                        tracing::warn!(%error, "accepting a connection failed");
                        Timer::after(Duration::from_millis(50)).await;
                    }
                }
            }
        };
        accepting.or(until).await;
        drop(self.listener);
        drop(stop);
        let drained = async {
            let mut free = Vec::with_capacity(config.max_connections);
            while free.len() < config.max_connections {
                free.push(slots.acquire_arc().await);
            }
            true
        };
        let timeout = async {
            Timer::after(config.drain_deadline).await;
            false
        };
        if !drained.or(timeout).await {
            tracing::warn!("stopped with requests still running: the drain deadline passed");
        }
    }
}

fn thread(number: usize, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(format!("idv-listener-{number}")).spawn(run)
}

/// A server that runs on threads of its own. Dropping it stops the server as [`Handle::shutdown`] does.
#[derive(Debug)]
pub struct Handle {
    address: SocketAddr,
    stop: Sender<Infallible>,
    threads: Vec<JoinHandle<()>>,
}

impl Handle {
    /// The address it is bound to.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, lets running requests finish up to [`Config::drain_deadline`], closes every connection and waits for that.
    pub fn shutdown(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        self.stop.close();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a server thread panicked");
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Why a server cannot be started.
#[derive(Debug)]
pub enum BindError {
    /// The bounds make no sense.
    Config(ConfigError),
    /// The socket cannot be had.
    Socket {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => write!(f, "the server's settings cannot work: {error}"),
            Self::Socket { address, source } => {
                write!(
                    f,
                    "cannot listen on {address}: {source}; choose another address, or port 0 for a free one"
                )
            }
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => Some(error),
            Self::Socket { source, .. } => Some(source),
        }
    }
}
