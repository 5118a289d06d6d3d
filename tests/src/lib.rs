//! What the tests of the workspace share: the laws that hold for every machine, and one [`laws::Subject`] per machine to hold it to them.

pub mod laws;
pub mod subjects;

/// The README's programs, compiled and run with the documentation's tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
