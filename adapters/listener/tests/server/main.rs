//! The server's bounds, over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail by a panic"
)]

mod deadlines;
mod framing;
mod handlers;
mod peer;
mod runtimes;
mod serving;
mod tls;
