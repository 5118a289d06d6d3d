//! Verdicts on identity verifications, on [smol](https://docs.rs/smol).
//!
//! ```text
//!   open(account, id) ─▶ ┌────────┐ ─▶ calls, so many at once
//!     callbacks ───────▶ │ driver │ ─▶ your store, before anything is started
//!   (listener, or yours) └────────┘ ─▶ on_revision: revision 1, 2, … of each verification
//! ```
//!
//! One verification, waited for; dropping the future ends it:
//!
//! ```no_run
//! use idv_core::shufti;
//! use idv_smol::{Account, Client};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let shufti = shufti::Account::builder("client-id", "secret-key".into()).build()?;
//! let revision = idv_smol::wait(Account::new(shufti)?, "order-1", &Client::new()).await?;
//! println!("{}: {}", revision.id, revision.verdict);
//! # Ok(())
//! # }
//! ```
//!
//! Many, in one task, over shared tokens and budgets, by polling and by callback:
//!
//! ```no_run
//! use idv_core::shufti;
//! use idv_smol::{Account, Driver};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mut builder = Driver::builder();
//! let shufti = shufti::Account::builder("client-id", "secret-key".into()).build()?;
//! let shufti = builder.account(Account::new(shufti)?);
//! builder.on_revision(|revision| async move {
//!     println!("{} #{}: {}", revision.id, revision.number, revision.verdict);
//!     Ok(()) // confirmed; an error has it offered again
//! });
//! let driver = builder.start().await?;
//! driver.listen("0.0.0.0:8787".parse()?, &[("/callbacks/shufti", shufti)]).await?;
//! driver.open(shufti, "order-1").await?;
//! driver.open(shufti, "order-2").await?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub use idv_async::*;
pub use idv_host::Smol;

/// An HTTP client on this runtime.
pub type Client = idv_async::Client<Smol>;
/// Prepares a [`Driver`].
pub type Builder = idv_async::Builder<Smol>;
/// Drives verifications on this runtime, from one task.
pub type Driver = idv_async::Driver<Smol>;
