//! A server on threads of its own, for blocking programs.

use crate::server::{Handler, Server, accept};
use async_channel::Sender;
use idv_host::{Runtime, Smol};
use smol::Executor;
use smol::net::{TcpListener, TcpStream};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// smol with an executor that only the server's own threads run.
#[derive(Clone)]
struct Own(Arc<Executor<'static>>);

impl Runtime for Own {
    type Stream = TcpStream;
    type Listener = TcpListener;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Smol.resolve(host, port).await
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        Smol.connect(address).await
    }

    fn listener(&self, socket: std::net::TcpListener) -> io::Result<TcpListener> {
        Smol.listener(socket)
    }

    async fn accept(&self, listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        Smol.accept(listener).await
    }

    fn abort(&self, stream: TcpStream) {
        Smol.abort(stream);
    }

    async fn sleep(&self, duration: Duration) {
        Smol.sleep(duration).await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(task).detach();
    }
}

impl Server {
    /// Serves on [`Config::threads`](crate::Config::threads) threads of its own until the handle is told to stop or dropped.
    ///
    /// # Errors
    /// The socket cannot be used, or no thread could be started.
    pub fn spawn<H: Handler>(self, handler: H) -> io::Result<Handle> {
        let Self { listener, address, config } = self;
        let executor = Arc::new(Executor::new());
        let runtime = Own(executor.clone());
        let listener = runtime.listener(listener)?;
        let (stop, stopped) = async_channel::bounded::<Infallible>(1);
        let (serving, over) = async_channel::bounded::<Infallible>(1);
        let mut handle = Handle { address, stop, threads: Vec::new() };
        for number in 1..config.threads {
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
            smol::block_on(executor.run(accept(runtime, listener, config, handler, until)));
            drop(serving);
        })?);
        Ok(handle)
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

    /// Stops accepting, lets running requests finish up to [`Config::drain_deadline`](crate::Config::drain_deadline), closes every
    /// connection and waits for that.
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
