//! Binding, accepting, stopping.

use crate::config::{Config, ConfigError};
use crate::connection::{self, Shared};
use crate::race::{first, within};
use crate::reply::Reply;
use crate::request::{Head, Request};
use async_lock::Semaphore;
use http::StatusCode;
use idv_host::Runtime;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

/// Decides every answer. Closures from [`Request`] to a future of [`Reply`] are handlers.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. The future is dropped when the request is overdue or the peer goes away: work that must be finished
    /// nevertheless is spawned and detached. Work that blocks belongs on another thread.
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
    pub(crate) listener: TcpListener,
    pub(crate) address: SocketAddr,
    pub(crate) config: Config,
}

impl Server {
    /// Binds to `address`; port 0 picks a free one.
    ///
    /// # Errors
    /// The address is taken or not ours, or `config` could serve no request.
    pub fn bind(address: SocketAddr, config: Config) -> Result<Self, BindError> {
        config.check().map_err(BindError::Config)?;
        let socket = |source| BindError::Socket { address, source };
        let listener = TcpListener::bind(address).map_err(socket)?;
        let address = listener.local_addr().map_err(socket)?;
        Ok(Self { listener, address, config })
    }

    /// The address it is bound to.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves on `runtime` until `until` is ready and the running requests are answered. Dropping this future breaks every connection off.
    ///
    /// # Errors
    /// The runtime cannot use the socket.
    pub async fn serve<R: Runtime, H: Handler>(
        self,
        runtime: R,
        handler: H,
        until: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let listener = runtime.listener(self.listener)?;
        accept(runtime, listener, self.config, handler, until).await;
        Ok(())
    }
}

pub(crate) async fn accept<R: Runtime, H: Handler>(
    runtime: R,
    listener: R::Listener,
    config: Config,
    handler: H,
    until: impl Future<Output = ()>,
) {
    let slots = Arc::new(Semaphore::new(config.max_connections));
    let sleeping = runtime.clone();
    let sleep: Sleep = Arc::new(move |duration| {
        let runtime = sleeping.clone();
        Box::pin(async move { runtime.sleep(duration).await })
    });
    let shared = Arc::new(connection::Shared { runtime, sleep, config, handler });
    let Shared { runtime, sleep, config, .. } = &*shared;
    // Told by closing them: to close after the present request, and at once.
    let (stop, stopped) = async_channel::bounded::<Infallible>(1);
    let (cut, is_cut) = async_channel::bounded::<Infallible>(1);
    let accepting = async {
        loop {
            let slot = slots.acquire_arc().await;
            match runtime.accept(&listener).await {
                Ok((tcp, peer)) => {
                    let serving = connection::serve(tcp, peer, shared.clone(), stopped.clone());
                    let is_cut = is_cut.clone();
                    runtime.spawn(async move {
                        let cut = async {
                            let _ = is_cut.recv().await;
                        };
                        first(serving, cut).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    // A peer that gave up while it waited, or no file descriptor left: both pass.
                    tracing::warn!(%error, "accepting a connection failed");
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
    };
    first(accepting, until).await;
    drop(listener);
    drop(stop);
    let drained = async || {
        let mut free = Vec::with_capacity(config.max_connections);
        while free.len() < config.max_connections {
            free.push(slots.acquire_arc().await);
        }
    };
    if within(sleep(config.drain_deadline), drained()).await.is_none() {
        tracing::warn!("stopped with requests still running: the drain deadline passed");
        drop(cut);
        drained().await;
    }
}

/// A wait of the runtime's.
pub(crate) type Nap = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Makes them, for what is not to know the runtime's type.
pub(crate) type Sleep = Arc<dyn Fn(Duration) -> Nap + Send + Sync>;

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
