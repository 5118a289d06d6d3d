//! Snapshots of any bytes: restored or refused, and what is restored is driven without a panic and without a spin (G9).
//!
//! An input is the snapshot in its first line; the bytes after it say what happens afterwards.

mod machines;
mod stored;

/// Reads the snapshot as every form that the core reads back.
///
/// # Panics
/// A property is broken.
pub fn holds(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (snapshot, then) = input.split_at(end);
    let then = then.get(1..).unwrap_or_default();
    machines::every_one(snapshot, then);
    stored::restored_or_refused(snapshot, then);
}
