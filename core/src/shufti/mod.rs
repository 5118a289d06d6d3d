//! Shufti Pro: its contract, its requests, and what its answers and callbacks mean.
//!
//! Facts that surprise:
//! - Every answer and callback is signed over its raw bytes; a body that was parsed and written again no longer verifies, for the provider
//!   writes JSON as PHP does.
//! - No body carries a time, an event's id or a sequence number: an old callback, however genuine, looks like a new one.
//! - Accepted and declined are final only until the provider revises them; the callback then says that something changed, and nothing
//!   more.
//! - A verification that was cancelled, superseded or cut off may come as declined, with a code that says so
//!   ([`contract::TECHNICAL_CODES`]).

mod account;
pub mod answers;
pub mod contract;
mod event;
pub mod explain;
pub mod lifecycle;
pub mod reading;
pub mod requests;
pub mod signature;

pub use account::{Account, AuthMode, BuildError, Builder};
pub use event::Event;
