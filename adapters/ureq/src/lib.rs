//! The blocking adapter of idv.
//!
//! Thin by rule: it opens sockets, keeps time and moves bytes. What to ask, when, and what an answer means is decided in `idv_core`.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod account;
mod calls;
mod clock;
mod driver;
mod engine;
mod entropy;
mod intake;
#[cfg(test)]
mod intake_tests;
mod listen;
mod pool;
mod report;
mod session;
mod store;
mod tls;
pub mod transport;
mod wait;

pub use account::{Account, AccountError};
pub use clock::{Clock, SystemClock};
pub use driver::{AccountRef, Builder, Driver, DriverError, HAND_OVER, StartError, Verification};
pub use engine::{HandOverError, RestoreError};
pub use entropy::Entropy;
pub use intake::{CallbackEvent, CallbackOutcome, CallbackRequest};
pub use report::{Event, Revision, Status};
pub use store::{SharedMemory, StoreError};
pub use tls::BadCertificates;
pub use transport::{Client, Failure, Received, Transport};
pub use wait::{WaitError, wait};
