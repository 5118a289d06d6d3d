//! A copy of the core, made when this is built, with the deliberate bugs of [`mutants`] in it. All are off until [`mutants::switch_on`].
#![no_std]
#![allow(clippy::all, unused, missing_docs)] // The core is linted where it is written; the bugs are meant.

pub mod mutants;

include!(concat!(env!("OUT_DIR"), "/core/lib.rs"));
