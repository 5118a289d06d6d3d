//! What the process says at its end.

use std::fmt;
use std::process::ExitCode;

/// The exit codes, as `--help` documents them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// A verdict was reached, or the check passed.
    Done = 0,
    /// The check failed.
    Failed = 1,
    /// Usage or configuration.
    Usage = 2,
    /// The deadline passed.
    Deadline = 3,
    /// The credentials were refused.
    Refused = 4,
    /// No pull was ever answered.
    Unreachable = 5,
    /// Ctrl-C, or a polite kill.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command stopped, for standard error.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    problem: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, problem: impl fmt::Display) -> Self {
        Self { exit, problem: problem.to_string() }
    }

    /// The command cannot be carried out as it was given.
    pub(crate) fn usage(problem: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, problem)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}
