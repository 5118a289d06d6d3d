//! The blocking adapter of idv.
//!
//! Thin by rule: it opens sockets, keeps time and moves bytes. What to ask, when, and what an answer means is decided in `idv_core`.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod clock;
mod entropy;
mod tls;
pub mod transport;

pub use clock::{Clock, SystemClock};
pub use entropy::Entropy;
pub use tls::BadCertificates;
pub use transport::{Client, Failure, Received, Transport};
