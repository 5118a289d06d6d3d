//! The blocking adapter of idv: verdicts on identity verifications, for programs of threads.
//!
//! ```text
//!   open(account, id) ─▶ ┌────────┐ ─▶ calls, on a few threads (ureq, rustls)
//!     callbacks ───────▶ │ driver │ ─▶ your store, before anything is started
//!   (listener, or yours) └────────┘ ─▶ on_revision: revision 1, 2, … of each verification
//! ```
//!
//! Thin by rule: it opens sockets, keeps time and moves bytes. What to ask, when, and what an answer means is decided in [`idv_core`].
//!
//! One verification, waited for:
//!
//! ```no_run
//! use idv_core::shufti;
//! use idv_ureq::{Account, Client};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let shufti = shufti::Account::builder("client-id", "secret-key".into()).build()?;
//! let revision = idv_ureq::wait(Account::new(shufti)?, "order-1", &Client::new())?;
//! println!("{}: {}", revision.id, revision.verdict);
//! # Ok(())
//! # }
//! ```
//!
//! Many, over shared tokens and budgets, by polling and by callback:
//!
//! ```no_run
//! use idv_core::shufti;
//! use idv_ureq::{Account, Driver};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut builder = Driver::builder();
//! let shufti = builder.account(Account::new(
//!     shufti::Account::builder("client-id", "secret-key".into()).build()?,
//! )?);
//! builder.on_revision(|revision| {
//!     println!("{} #{}: {}", revision.id, revision.number, revision.verdict);
//!     Ok(()) // confirmed; an error has it offered again
//! });
//! let driver = builder.start()?;
//! driver.listen("0.0.0.0:8787".parse()?, &[("/callbacks/shufti", shufti)])?;
//! driver.open(shufti, "order-1")?;
//! driver.open(shufti, "order-2")?;
//! # Ok(())
//! # }
//! ```
//!
//! A web framework of your own hands callbacks to [`Driver::callback`]; `examples/blocking_handler.rs` shows a receiver that needs nothing
//! but the core.
//!
//! Without a [`Builder::store`] everything is in memory: hand-overs are at least once, and no number is promised across a restart.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod driver;
mod events;
mod inside;
mod run;
pub mod transport;
mod wait;

pub use driver::{Builder, Driver};
pub use events::Events;
pub use idv_core::engine::{
    Account, AccountError, CallbackEvent, CallbackOutcome, CredentialsError, Event, HAND_OVER, RestoreError,
    Revision, Status,
};
pub use idv_core::http::{Failure, Received};
pub use idv_host::{
    AccountRef, BadCertificates, CallbackRequest, Clock, DriverError, Entropy, HandOverError, IntakeBounds,
    Options, SharedMemory, StartError, StoreError, SystemClock, Verification, WaitError, record_to,
};
pub use transport::{Client, Transport};
pub use wait::wait;
