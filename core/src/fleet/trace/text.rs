//! A trace as text, with its ids and its digests of contents replaced.

use super::{Entry, Input, Output};
use crate::evidence::ContentDigest;
use crate::fleet::{FleetPolicy, Wake};
use crate::time::Instant;
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::fmt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Where a trace is written as it happens, and how.
pub struct Recording {
    redaction: Redaction,
    unix_ms: u64,
    /// The last entry was a run at this moment that was to be repeated then.
    idle: Option<(Instant, Wake)>,
    write: Box<dyn FnMut(&str) + Send + Sync>,
}

impl Recording {
    /// Has `write` given each line with its end, at once: a trace whose process is killed can be read up to there. `unix_ms` is the wall
    /// clock in milliseconds since 1970.
    pub fn new(redaction: Redaction, unix_ms: u64, write: impl FnMut(&str) + Send + Sync + 'static) -> Self {
        Self { redaction, unix_ms, idle: None, write: Box::new(write) }
    }

    /// Writes the first line, for a fleet with these bounds. [`Engine::recorded`](crate::engine::Engine::recorded) does it.
    pub fn head(&mut self, fleet: FleetPolicy) {
        self.line(&Head::new(fleet, &self.redaction, self.unix_ms));
    }

    /// Writes the next entry. Runs that came before their time and changed nothing are left out: a driver looks at its clock far more often
    /// than something is due.
    pub fn entry(&mut self, entry: Entry<'_>) {
        let idle = self.idle.take();
        if let (Input::Run { at, .. }, Output::Wake(wake)) = (&entry.input, entry.output) {
            self.idle = Some((at.now, wake));
            let is_early = idle.is_some_and(|(since, told)| {
                told == wake
                    && at.now >= since
                    && match told {
                        Wake::At(due) => at.now < due,
                        Wake::Input => true,
                        Wake::More => false,
                    }
            });
            if is_early && entry.actions.is_empty() {
                return;
            }
        }
        let entry = self.redaction.redacted(entry);
        self.line(&entry);
    }

    fn line(&mut self, content: &impl Serialize) {
        // A key that is no text, the one thing that JSON cannot say, is nowhere in it.
        if let Ok(mut line) = serde_json::to_string(content) {
            line.push('\n');
            (self.write)(&line);
        }
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").field("redaction", &self.redaction).finish_non_exhaustive()
    }
}

/// What becomes of ids, and of digests of contents, where a trace is written down.
pub struct Redaction(Option<Zeroizing<[u8; 32]>>);

impl Redaction {
    /// They stay: for a trace that nobody else will see.
    #[must_use]
    pub const fn plain_ids() -> Self {
        Self(None)
    }

    /// Each becomes a digest under this key. Equal ones stay equal and an empty id stays empty, which is all that a fleet asks of them. Draw
    /// a key for each trace and keep it nowhere: without it nobody can try whether an id, or a content, is in the trace.
    #[must_use]
    pub fn keyed_digests(key: [u8; 32]) -> Self {
        Self(Some(Zeroizing::new(key)))
    }

    /// The same entry with the ids and digests that may be shown.
    fn redacted<'a>(&self, mut entry: Entry<'a>) -> Entry<'a> {
        let Some(key) = &self.0 else { return entry };
        for id in entry.input.ids().filter(|id| !id.is_empty()) {
            let digest = Sha256::new().chain_update(**key).chain_update(id.as_bytes()).finalize();
            // 128 bits: nobody meets two ids with the same.
            *id = Cow::Owned(digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect());
        }
        entry.map_contents(|content| {
            // Where nothing was stated yet there is no content to be guessed.
            if content == ContentDigest(0) {
                return content;
            }
            // No id begins with this byte, as ids are text.
            let digest = Sha256::new().chain_update(**key).chain_update([0xff]);
            let digest: [u8; 32] = digest.chain_update(content.0.to_be_bytes()).finalize().into();
            ContentDigest(digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first)))
        });
        entry
    }

    /// Whether ids and digests are replaced.
    const fn replaces_ids(&self) -> bool {
        self.0.is_some()
    }
}

impl fmt::Debug for Redaction {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.replaces_ids() { "keyed digests" } else { "plain ids" })
    }
}

/// The first line of a trace.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Head {
    /// [`Head::FORMAT`].
    format: Cow<'static, str>,
    /// [`Head::VERSION`] for what this release writes.
    version: u32,
    /// The release that wrote it.
    build: Cow<'static, str>,
    /// Ids are replaced by digests.
    redacted: bool,
    /// The wall clock when it began, in milliseconds since 1970.
    started_unix_ms: u64,
    /// The bounds of the fleet.
    fleet: FleetPolicy,
}

impl Head {
    /// What a trace calls itself.
    pub const FORMAT: &'static str = "idv trace";
    /// The version of the text form that this release writes and reads.
    pub const VERSION: u32 = 1;

    const fn new(fleet: FleetPolicy, redaction: &Redaction, unix_ms: u64) -> Self {
        Self {
            format: Cow::Borrowed(Self::FORMAT),
            version: Self::VERSION,
            build: Cow::Borrowed(env!("CARGO_PKG_VERSION")),
            redacted: redaction.replaces_ids(),
            started_unix_ms: unix_ms,
            fleet,
        }
    }

    /// Reads the first line of a trace.
    ///
    /// # Errors
    /// It is not the head of a trace, or of a version that this release does not read; says what to do.
    pub fn read(line: &str) -> Result<Self, Unreadable> {
        /// What every version has.
        #[derive(Deserialize)]
        struct Any {
            format: String,
            version: u32,
            #[serde(default)]
            build: String,
        }
        let any: Any = serde_json::from_str(line).map_err(|error| Unreadable {
            problem: format!("a trace of `{}` is expected, with its head here: {error}", Self::FORMAT),
            ..Unreadable::from(error)
        })?;
        if any.format != Self::FORMAT {
            let problem = format!("this is not a trace: its format is not `{}`", Self::FORMAT);
            return Err(Unreadable { column: 1, problem });
        }
        if any.version != Self::VERSION {
            let problem = format!(
                "the trace is of version {}, written by release {}, and this release reads version {}: replay it with that release",
                any.version,
                any.build,
                Self::VERSION,
            );
            return Err(Unreadable { column: 1, problem });
        }
        Ok(serde_json::from_str(line)?)
    }

    /// The release that wrote it.
    #[must_use]
    pub fn build(&self) -> &str {
        &self.build
    }

    /// Whether ids are replaced by digests.
    #[must_use]
    pub const fn is_redacted(&self) -> bool {
        self.redacted
    }

    /// The bounds of the fleet.
    pub(super) const fn fleet(&self) -> FleetPolicy {
        self.fleet
    }

    /// The wall clock when it began, in milliseconds since 1970.
    #[must_use]
    pub const fn started_unix_ms(&self) -> u64 {
        self.started_unix_ms
    }
}

/// A line that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unreadable {
    /// Where in the line, counted from 1.
    pub column: usize,
    /// What is wrong, what was expected, and what to do.
    pub problem: String,
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        let text = format!("{error}");
        // The column is told beside it.
        let problem = text.split(" at line ").next().unwrap_or_default().into();
        Self { column: error.column().max(1), problem }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.problem)
    }
}

impl core::error::Error for Unreadable {}
