//! The deterministic, sans-IO core of idv: gets the verdict of an identity verification out of a provider and into an application, once,
//! correctly, and with proof.
//!
//! ```text
//!   provider's truth            road 1: pull (authoritative, slow, rationed)
//!   pending ─▶ accepted  ──────────────────────────────────────────────▶ ┌─────────┐
//!              ▲   │                                                     │ session │──▶ application
//!              └ declined ─── road 2: callback (fast; late, twice, ────▶ └─────────┘     revision 1, 2, …
//!                             reordered, replayed, unsigned, or lost)
//! ```
//!
//! # Two layers, both here, so that no adapter decides anything
//!
//! ```text
//!   socket bytes ──codec──▶ Input ──machine──▶ Step { actions, next } ──codec──▶ request bytes
//!                shareid, shufti   token, poller, …, session              shareid, shufti
//! ```
//!
//! *Machines* ([`token`], [`poller`], [`budget`], [`receipt`], [`delivery`], [`lifecycle`], [`session`]) are plain `Copy` values with one
//! interface, [`machine::Machine`]: a fact and the time go in, actions and the next wake-up come back in the same call. The [`fleet`] drives many
//! sessions over shared tokens and budgets. The [`engine`] joins fleet, codecs and store; it is what an adapter talks to. *Codecs* ([`shareid`], [`shufti`]) turn what a provider sends into
//! inputs, and what a machine asks for into complete requests; both implement [`provider::Provider`]. Whatever must outlast the process goes
//! through the traits of [`store`].
//!
//! # The words
//!
//! A *verification* is one check at a provider, a *session* our state machine for it. A *pull* asks the provider now; each has an operation number.
//! A *callback* is the provider's POST to us; whatever is a reason to pull again is a *hint*. What we learned, and how, is *evidence*. The n-th
//! verdict that a session hands over is *revision* n; with provider and id it is the key under which the application takes it once.
//!
//! # Driving it
//!
//! ```
//! use idv_core::machine::{Cx, Machine, Next};
//!
//! /// Runs a machine to its end. `perform` starts an action and must not wait for it; `wait` waits for an input, or until the moment given.
//! fn drive<M: Machine>(
//!     mut machine: M,
//!     policy: &M::Policy,
//!     mut now: impl FnMut() -> idv_core::time::Instant,
//!     mut entropy: impl FnMut() -> u32,
//!     mut perform: impl FnMut(M::Action),
//!     mut wait: impl FnMut(Option<idv_core::time::Instant>) -> Option<M::Input>,
//! ) {
//!     let mut input = M::TICK;
//!     loop {
//!         let step = machine.step(Cx::new(now(), policy, entropy()), input);
//!         step.actions.into_iter().for_each(&mut perform);
//!         input = match step.next {
//!             Next::At(at) => wait(Some(at)).unwrap_or(M::TICK),
//!             Next::Input => wait(None).unwrap_or(M::TICK),
//!             Next::Over => return,
//!         };
//!     }
//! }
//! ```
//!
//! No clock, no randomness, no floating point, no hash map: the same inputs give the same actions, bit for bit, on every platform. The crate needs
//! `alloc` for codecs, fleet and store; a step of a machine never allocates.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod backoff;
pub mod budget;
pub mod delivery;
pub mod engine;
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
