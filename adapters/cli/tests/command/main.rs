//! The built command, against small servers of these tests: what scripts rely on. Nothing here knows the code behind it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod fake;
mod idv;

mod listen;
mod offline;
mod rehearse;
mod replay;
mod usage;
mod watch;
