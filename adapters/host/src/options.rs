//! The limits of an HTTP client, whichever it is.

use idv_core::http::CONNECT_WITHIN;
use idv_core::time::Span;
use std::fmt;

/// The most connections that are kept open between calls, to all peers together.
pub const MOST_KEPT: usize = 256;

/// The most of them to one peer.
pub const MOST_KEPT_TO_ONE: usize = 64;

/// The limits of a client, and whom it trusts.
#[derive(Clone)]
pub struct Options {
    /// The largest answer body that is read, in bytes. Default 16 MiB: ShareID's results may carry images.
    pub body_cap: u64,
    /// The longest that resolving the name, and then connecting with TLS, may take each. Default 10 s.
    pub connect: Span,
    /// PEM text of certificates that are trusted *instead of* the public authorities; for a private authority or a sandbox.
    /// Default `None`: the public authorities, as Mozilla lists them.
    pub roots_pem: Option<Vec<u8>>,
}

impl Default for Options {
    fn default() -> Self {
        Self { body_cap: 16 << 20, connect: CONNECT_WITHIN, roots_pem: None }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("body_cap", &self.body_cap)
            .field("connect", &self.connect)
            .field("private_roots", &self.roots_pem.is_some())
            .finish()
    }
}
