//! The same server on every runtime.

use idv_listener::{Config, Handle, Handler, Runtime, Server};
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

/// What the server runs on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum On {
    /// `Server::spawn`.
    Threads,
    /// `Server::serve` on smol's global executor.
    Smol,
    /// `Server::serve` on tokio, several threads.
    Tokio,
}

/// Makes three tests of each function that takes an [`On`].
macro_rules! on_every_runtime {
    ($($test:ident),* $(,)?) => {$(
        mod $test {
            use crate::runtimes::On;

            #[test]
            fn on_threads_of_its_own() {
                super::$test(On::Threads);
            }

            #[test]
            fn on_smol() {
                super::$test(On::Smol);
            }

            #[test]
            fn on_tokio() {
                super::$test(On::Tokio);
            }
        }
    )*};
}
pub(crate) use on_every_runtime;

/// A server that serves until it is dropped.
pub(crate) struct Running {
    address: SocketAddr,
    owner: Option<Owner>,
}

enum Owner {
    Threads(Handle),
    Program(async_channel::Sender<()>, JoinHandle<()>),
}

impl Running {
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn shutdown(self) {
        drop(self);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        match self.owner.take() {
            None => {}
            Some(Owner::Threads(handle)) => handle.shutdown(),
            Some(Owner::Program(stop, program)) => {
                stop.close();
                // A second panic would hide the first.
                assert!(program.join().is_ok() || std::thread::panicking(), "the server panicked");
            }
        }
    }
}

pub(crate) fn serve<H: Handler>(on: On, config: Config, handler: H) -> Running {
    let server = Server::bind(SocketAddr::from(([127, 0, 0, 1], 0)), config).unwrap();
    let address = server.local_addr();
    let (stop, stopped) = async_channel::bounded::<()>(1);
    let until = async move {
        let _ = stopped.recv().await;
    };
    let owner = match on {
        On::Threads => Owner::Threads(server.spawn(handler).unwrap()),
        On::Smol => {
            let serving = move || smol::block_on(server.serve(idv_host::Smol, handler, until)).unwrap();
            Owner::Program(stop, std::thread::spawn(serving))
        }
        On::Tokio => {
            let (ready, is_ready) = mpsc::channel();
            let serving = move || {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(2)
                    .enable_all()
                    .build()
                    .unwrap();
                ready.send(()).unwrap();
                runtime.block_on(server.serve(Tokio, handler, until)).unwrap();
                runtime.shutdown_background();
            };
            let program = std::thread::spawn(serving);
            is_ready.recv().unwrap();
            Owner::Program(stop, program)
        }
    };
    Running { address, owner: Some(owner) }
}

/// tokio, as a user would join it.
#[derive(Clone, Copy)]
pub(crate) struct Tokio;

impl Runtime for Tokio {
    type Stream = Compat<tokio::net::TcpStream>;
    type Listener = tokio::net::TcpListener;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Self::Stream> {
        Ok(tokio::net::TcpStream::connect(address).await?.compat())
    }

    fn listener(&self, socket: std::net::TcpListener) -> io::Result<Self::Listener> {
        socket.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(socket)
    }

    async fn accept(&self, listener: &Self::Listener) -> io::Result<(Self::Stream, SocketAddr)> {
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
