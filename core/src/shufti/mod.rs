//! Placeholder, replaced at once.

pub mod lifecycle;
