//! The bounds a server runs under.

use rustls::ServerConfig;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The bounds a server runs under. The default suits callbacks whose sender waits three seconds for the answer.
#[derive(Clone)]
pub struct Config {
    /// How long after the first byte of its head a request must be answered, head, body and handler together. Then
    /// [`Handler::overdue`](crate::Handler::overdue) answers. Default: 2500 ms.
    pub request_deadline: Duration,
    /// How long a head may take from its first byte to its last; a slower one is cut off. Default: 2 s.
    pub head_timeout: Duration,
    /// How long a connection may stay without a request, before the first and between two. Default: 30 s.
    pub idle_timeout: Duration,
    /// How long the peer may take over reading a reply. Default: 5 s.
    pub reply_timeout: Duration,
    /// How long a TLS handshake may take. Default: 3 s.
    pub tls_handshake_timeout: Duration,
    /// How long running requests may take to finish once the server is told to stop. Default: 5 s.
    pub drain_deadline: Duration,
    /// The most connections open at once. Further ones are not accepted until one closes: they wait in the kernel's queue, where
    /// they cost nothing, and a sender that waits seconds but retries after minutes is better served by a short wait than by a
    /// refusal. Default: 1024.
    pub max_connections: usize,
    /// The most header fields of a request; more are answered 431. Default: 64.
    pub max_headers: usize,
    /// The largest head, in bytes, at least 8192; a larger one is answered 431. Default: 32 KiB.
    pub max_head_bytes: usize,
    /// The largest body, in bytes, unless the handler sets another cap with [`Body::set_cap`](crate::Body::set_cap). Default: 4 MiB.
    pub max_body_bytes: u64,
    /// How many threads a server on threads of its own starts (feature `smol`). Default: 1.
    pub threads: usize,
    /// Certificate and key, for `https`; see [`tls`](crate::tls). Default: none, plain `http`.
    pub tls: Option<Arc<ServerConfig>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            request_deadline: Duration::from_millis(2_500),
            head_timeout: Duration::from_secs(2),
            idle_timeout: Duration::from_secs(30),
            reply_timeout: Duration::from_secs(5),
            tls_handshake_timeout: Duration::from_secs(3),
            drain_deadline: Duration::from_secs(5),
            max_connections: 1024,
            max_headers: 64,
            max_head_bytes: 32 * 1024,
            max_body_bytes: 4 * 1024 * 1024,
            threads: 1,
            tls: None,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("request_deadline", &self.request_deadline)
            .field("head_timeout", &self.head_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("reply_timeout", &self.reply_timeout)
            .field("tls_handshake_timeout", &self.tls_handshake_timeout)
            .field("drain_deadline", &self.drain_deadline)
            .field("max_connections", &self.max_connections)
            .field("max_headers", &self.max_headers)
            .field("max_head_bytes", &self.max_head_bytes)
            .field("max_body_bytes", &self.max_body_bytes)
            .field("threads", &self.threads)
            .field("tls", &self.tls.is_some())
            .finish()
    }
}

/// The smallest buffer the HTTP parser works with.
const LEAST_HEAD_BYTES: usize = 8 * 1024;

impl Config {
    /// Looks for bounds under which no request could be served.
    ///
    /// # Errors
    /// Names the first such bound and the least it must be.
    pub fn check(&self) -> Result<(), ConfigError> {
        let durations = [
            ("request_deadline", self.request_deadline),
            ("head_timeout", self.head_timeout),
            ("idle_timeout", self.idle_timeout),
            ("reply_timeout", self.reply_timeout),
            ("tls_handshake_timeout", self.tls_handshake_timeout),
        ];
        for (field, duration) in durations {
            if duration < Duration::from_millis(1) {
                return Err(ConfigError { field, least: "1 ms" });
            }
        }
        for (field, count) in [
            ("max_connections", self.max_connections),
            ("max_headers", self.max_headers),
            ("threads", self.threads),
        ] {
            if count == 0 {
                return Err(ConfigError { field, least: "1" });
            }
        }
        if self.max_head_bytes < LEAST_HEAD_BYTES {
            return Err(ConfigError { field: "max_head_bytes", least: "8192" });
        }
        Ok(())
    }
}

/// A bound under which no request could be served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// The field of [`Config`].
    pub field: &'static str,
    /// The least it must be.
    pub least: &'static str,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is too small to serve any request: set it to at least {}", self.field, self.least)
    }
}

impl std::error::Error for ConfigError {}
