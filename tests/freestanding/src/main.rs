//! Runs the core where there is no standard library and no C library to fall back on.
//!
//! Every check has a number. The program ends with 42 when all held, and otherwise with the number of the first that did not;
//! a panic ends it with 101 and its message.
#![no_std]
#![no_main]

extern crate alloc;

mod bare;
mod proof;

/// Where [`bare`] hands over: the stack is aligned, the heap is there.
fn main() -> u8 {
    match proof::run() {
        Ok(()) => 42,
        Err(check) => check,
    }
}
