//! The guarantees, checked in every state that small worlds around the real machines can reach.
//!
//! ```text
//!   worlds ─▶ Rules ─▶ World (the real Session, Delivery and Receipt; a provider, a network, a store, a host, an application)
//!                        │ happenings: everything that can happen now          search: breadth first, with stateright
//!                        │ happen: what comes of it, and whether a law broke   story: a way, told so that a person can follow it
//! ```
//!
//! A [`world::World`] is one state. Whatever can happen to it is a [`world::Happening`]; what must hold is a [`law::Law`], checked while it
//! happens. Beside every state the search looks at its good ending: from there on nobody does harm, and the application must end up with the
//! truth. So nothing here rests on a checker's idea of *eventually*.
//!
//! The same sources are compiled a second time around a copy of the core with deliberate bugs (`mutants`): a law that cannot be broken
//! proves nothing.

pub mod law;
pub mod rules;
pub mod search;
pub mod story;
pub mod world;
pub mod worlds;
