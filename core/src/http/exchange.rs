//! What an HTTP client gives back: an answer, kept, or why there is none.

use super::{Answer, Headers};
use crate::evidence::{Fault, FaultKind};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use zeroize::Zeroize;

/// An answer, kept.
#[derive(Clone)]
pub struct Received {
    /// The status code.
    pub status: u16,
    /// The header fields in order, repeated ones repeated; names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body as it was sent.
    pub body: Vec<u8>,
}

impl Received {
    /// Lends the answer in the form that the codecs read.
    pub fn lend<R>(&self, read: impl FnOnce(&Answer<'_>) -> R) -> R {
        let fields: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        read(&Answer { status: self.status, headers: Headers(&fields), body: &self.body })
    }
}

impl Drop for Received {
    /// The body may carry a token or personal data.
    fn drop(&mut self) {
        self.body.zeroize();
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lend(|answer| answer.fmt(f))
    }
}

/// Why there is no complete answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// What kind of fault it is to the machines.
    pub kind: FaultKind,
    /// What went wrong and where, for the log: a host and a port, never a query, a header or a body.
    pub diagnosis: String,
}

impl Failure {
    /// The fault as the machines take it in.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        Fault { kind: self.kind, retry_after: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnosis)
    }
}

impl core::error::Error for Failure {}
