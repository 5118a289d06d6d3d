//! The driver end to end over loopback, with a provider made up for the purpose and with a store that can be told to fail.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::wildcard_enum_match_arm)]

mod callbacks;
#[path = "../support/fake.rs"]
#[allow(unreachable_pub)]
mod fake;
mod keeping;
#[path = "../support/mod.rs"]
mod support;
mod verifications;
mod world;
