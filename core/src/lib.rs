//! The deterministic, sans-IO core of idv.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod backoff;
pub mod budget;
pub mod delivery;
pub mod evidence;
pub mod fleet;
pub mod http;
pub mod json;
pub mod lifecycle;
pub mod machine;
pub mod poller;
pub mod provider;
pub mod receipt;
pub mod rules;
pub mod secret;
pub mod session;
pub mod shareid;
pub mod shufti;
pub mod store;
pub mod time;
pub mod token;
