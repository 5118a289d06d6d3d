//! A trace of what a driver was told and did, in a file.

use crate::{Clock, SystemClock};
use idv_core::fleet::trace::{Recording, Redaction};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

/// Writes a trace to a file, which is created, readable by nobody else; one that holds something already is refused, for it may be the
/// trace that somebody looks for. Ids and digests of contents are replaced by digests under a key that is drawn now and forgotten with
/// the driver, unless `plain_ids`: then an id is there to be read, and a content of few possible values to be guessed. Each line is handed to the operating system at once, so
/// that a process that is killed leaves what happened until then. A disk that is full ends the trace, with a warning in the log, and
/// nothing else.
///
/// # Errors
/// The file cannot be created or holds something already, or the system has no random bits for the key.
pub fn record_to(path: &Path, plain_ids: bool) -> io::Result<Recording> {
    let redaction = if plain_ids {
        Redaction::plain_ids()
    } else {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        Redaction::keyed_digests(key)
    };
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    // Pipes and terminals hold nothing.
    if file.metadata()?.len() > 0 {
        let problem = "there is something in it already: move it away, or name another file";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, problem));
    }
    let mut file = Some(file);
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
