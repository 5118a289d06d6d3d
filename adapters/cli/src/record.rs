//! `--record`: a trace of what happens, for `idv replay`.

use crate::exit::Failure;
use idv_ureq::{Builder, record_to};
use std::path::PathBuf;

/// Whether a trace is written, and where.
#[derive(clap::Args)]
pub(crate) struct Record {
    /// Write what the machines are told and what they do to this new file, as it happens, for `idv replay`. Ids, and the digests of what
    /// the provider stated, are replaced by digests under a key that nobody keeps; no body, token or secret is written. A file that holds
    /// something already is left as it is, and refused.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Leave the ids in that file as they are, to find them again, and the digests of contents. Ids may be personal data, and what is as
    /// short as a birth date can be guessed from its digest.
    #[arg(long, requires = "record")]
    record_ids: bool,
}

impl Record {
    /// Has the driver record where that was asked for.
    pub(crate) fn start(&self, builder: &mut Builder) -> Result<(), Failure> {
        let Some(path) = &self.record else { return Ok(()) };
        let recording = record_to(path, self.record_ids).map_err(|error| {
            Failure::usage(format!("--record {} cannot be written: {error}", path.display()))
        })?;
        builder.record(recording);
        Ok(())
    }
}
