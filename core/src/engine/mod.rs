//! Everything that the adapters share and that needs neither sockets, clocks nor threads: tasks out, completions in.

pub mod reception;

pub use reception::{Arrived, CallbackEvent, CallbackOutcome, Endpoint, Reception};
