//! What the tests of the workspace share: the laws that hold for every machine, one [`laws::Subject`] per machine to hold it to them,
//! and for the tests over sockets a driver with its clock and store in hand ([`driving`]) and peers that say any bytes ([`wire`]). The
//! suite that every adapter passes is in [`conformance`].

pub mod conformance;
pub mod driving;
pub mod identity;
pub mod laws;
pub mod references;
pub mod snapshot;
pub mod source;
pub mod subjects;
pub mod tables;
pub mod wire;

/// The README's programs, compiled and run with the documentation's tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
