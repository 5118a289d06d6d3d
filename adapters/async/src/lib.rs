//! The one asynchronous implementation of idv, for every runtime that speaks futures-io: an HTTP client, and a driver that runs many
//! verifications in one task.
//!
//! Use it through the crate of your runtime, which has the same names: `idv-smol`, `idv-tokio`, `idv-async-std`. For another runtime
//! implement [`Runtime`]: connect, listen, sleep, spawn.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod client;

pub use client::{Client, Transport};
pub use idv_core::http::{Failure, Received};
pub use idv_host::{BadCertificates, Clock, Entropy, Options, Runtime, SharedMemory, SystemClock};
