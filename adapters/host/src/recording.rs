//! A trace of what a driver was told and did, in a file.

use crate::{Clock, SystemClock};
use idv_core::fleet::trace::{Recording, Redaction};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

/// Writes a trace to a file, which is created or emptied, and readable by nobody else where it is new. Ids are replaced by digests under
/// a key that is drawn now and forgotten with the driver, unless `plain_ids`. Each line is handed to the operating system at once, so
/// that a process that is killed leaves what happened until then. A disk that is full ends the trace, with a warning in the log, and
/// nothing else.
///
/// # Errors
/// The file cannot be created, or the system has no random bits for the key.
pub fn record_to(path: &Path, plain_ids: bool) -> io::Result<Recording> {
    let redaction = if plain_ids {
        Redaction::plain_ids()
    } else {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        Redaction::keyed_digests(key)
    };
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = Some(options.open(path)?);
    let path = path.to_owned();
    Ok(Recording::new(redaction, SystemClock::new().unix_ms(), move |line| {
        if let Some(open) = &mut file
            && let Err(error) = open.write_all(line.as_bytes())
        {
            tracing::warn!(%error, path = %path.display(), "the trace ends here: its file cannot be written");
            file = None;
        }
    }))
}
