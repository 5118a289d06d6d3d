//! The one asynchronous implementation of idv, for every runtime that speaks futures-io: an HTTP client, and a driver that runs many
//! verifications in one task.
//!
//! Use it through the crate of your runtime, which has the same names: `idv-smol`, `idv-tokio`, `idv-async-std`. For another runtime
//! implement [`Runtime`]: resolve, connect, listen, accept, sleep, spawn.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod builder;
mod client;
mod driver;
mod receiving;
mod run;
#[cfg(feature = "tower")]
mod service;
mod wait;

pub use builder::Builder;
pub use client::{Client, Transport};
pub use driver::Driver;
pub use idv_core::engine::{
    Account, AccountError, CallbackEvent, CallbackOutcome, CredentialsError, Event, HAND_OVER, RestoreError,
    Revision, Status,
};
pub use idv_core::http::{Failure, Received};
pub use idv_host::{
    AccountRef, BadCertificates, CallbackRequest, Clock, DriverError, Entropy, Events, HandOverError,
    IntakeBounds, Options, Runtime, SharedMemory, StartError, StoreError, SystemClock, Verification,
    WaitError, record_to,
};
#[cfg(feature = "tower")]
pub use service::CallbackService;
pub use wait::wait;
