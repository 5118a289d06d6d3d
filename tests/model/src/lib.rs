//! The guarantees, checked in every state that small worlds around the real machines can reach.
//!
//! ```text
//!   worlds ─▶ world: one Session, with the real Delivery and Receipt, a provider, a network, a store, a host, an application
//!        └──▶ fleet: a Fleet, with its tokens and its budget, a provider, a network, a store, strangers
//!               │ happenings: everything that can happen now          search: breadth first, with stateright
//!               │ happen: what comes of it, and whether a law broke   story: a way, told so that a person can follow it
//! ```
//!
//! A state is a value. Whatever can happen to it is a happening of its [`search::Scene`]; what must hold is a [`law::Law`], checked while it
//! happens. Beside every state the search looks at its good ending: from there on nobody does harm, and the application must end up with the
//! truth. So nothing here rests on a checker's idea of *eventually*.
//!
//! The same sources are compiled a second time around a copy of the core with deliberate bugs (`mutants`): a law that cannot be broken
//! proves nothing.

pub mod fleet;
pub mod law;
pub mod rules;
pub mod search;
pub mod story;
pub mod world;
pub mod worlds;

/// The names that a written test needs, for each kind of world.
pub mod names {
    /// One session.
    pub mod session {
        pub use crate::world::Attack::*;
        pub use crate::world::Failure::*;
        pub use crate::world::Fate::*;
        pub use crate::world::LastWord::*;
        pub use crate::world::Move::*;
        pub use crate::world::Truth::*;
    }

    /// A fleet.
    pub mod fleet {
        pub use crate::fleet::Move::*;
        pub use crate::fleet::Trouble::*;
        pub use crate::fleet::Word::*;
    }
}
