//! The HTTP/1.1 server that the blocking adapter, the async adapters and the sandbox share.
//!
//! ```text
//!  accept ─▶ TLS handshake ─▶ head ─▶ Handler::handle(Request { head, body }) ─▶ Reply ─▶ keep-alive, idle
//!    │           │             │            │                                      │            │
//!  connections  handshake    head          request deadline, counted from        reply        idle
//!  cap          timeout      timeout       the first byte of the head            timeout      timeout
//! ```
//!
//! It opens sockets, keeps time and moves bytes; what a request means and how it is answered is the [`Handler`]'s. Every wait for
//! the peer has a bound, every buffer a cap: see [`Config`]. The protocol itself is hyper's.
//!
//! It runs on whatever [`Runtime`] is given to [`Server::serve`]. With the feature `smol`, blocking programs have it on threads of its own:
//!
//! ```
//! # #[cfg(feature = "smol")]
//! use idv_listener::{Config, Reply, Request, Server, StatusCode};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::bind("127.0.0.1:0".parse()?, Config::default())?;
//! let handle = server.spawn(|mut request: Request| async move {
//!     match request.body.collect().await {
//!         Ok(body) => Reply::text(StatusCode::OK, format!("{} bytes\n", body.len())),
//!         Err(problem) => problem.into(),
//!     }
//! })?;
//! println!("listening on http://{}", handle.local_addr());
//! handle.shutdown();
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "smol"))]
//! # fn main() {}
//! ```
//!
//! Each request has a span, `request` (level debug), with its method, its path without the query, and its status; never header values, bodies
//! or addresses. So a path should hold no secret.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod callbacks;
mod config;
mod connection;
mod race;
mod reply;
mod request;
mod server;
#[cfg(feature = "smol")]
mod threads;
pub mod tls;
mod watch;

pub use bytes::Bytes;
pub use callbacks::Callbacks;
pub use config::{Config, ConfigError};
pub use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
pub use idv_host::Runtime;
pub use reply::{Piece, Reply};
pub use request::{Body, BodyError, Head, Request};
pub use server::{BindError, Handler, Server};
#[cfg(feature = "smol")]
pub use threads::Handle;
