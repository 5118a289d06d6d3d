//! Whom a client calls, and in which words it says that the call failed: the same in every adapter.

use crate::tls;
use http::HeaderValue;
use idv_core::evidence::FaultKind;
use idv_core::http::{Failure, Request};
use idv_core::time::Span;
use std::fmt;
use std::io;
use std::net::IpAddr;

/// How far an exchange had come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Until the header section of the answer is complete.
    Head,
    /// While the body of the answer arrives.
    Body,
}

/// The part of a URL that may be shown: who is called.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Peer {
    /// Over TLS.
    pub secure: bool,
    /// A name, or an address; an IPv6 address without its brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Peer {
    /// Whom a request to this URL calls.
    ///
    /// # Errors
    /// It is no absolute URL of `http` or `https`.
    pub fn of(url: &str) -> Result<Self, Failure> {
        let bad = |problem: &str| Failure {
            kind: FaultKind::Unreachable,
            diagnosis: format!("the URL of the request {problem}: expected http://HOST/… or https://HOST/…"),
        };
        let uri: http::Uri = url.parse().map_err(|_| bad("cannot be read"))?;
        let host = uri.host().ok_or_else(|| bad("names no host"))?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) | None => return Err(bad("has no scheme that can be spoken")),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Self { secure, host, port })
    }

    /// The address, where the URL holds one instead of a name.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// It is this computer.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.address().is_some_and(|address| address.is_loopback())
    }

    /// The head of the request, as HTTP libraries take it.
    ///
    /// # Errors
    /// It cannot be sent; a header's value is not repeated.
    pub fn head(&self, request: &Request) -> Result<http::Request<()>, Failure> {
        let mut builder = http::Request::builder().method(request.method).uri(&request.url);
        for (name, value) in &request.headers {
            let mut value = HeaderValue::from_str(value).map_err(|_| {
                self.unsendable(format_args!("the value of the header `{name}` holds what none may hold"))
            })?;
            value.set_sensitive(true);
            builder = builder.header(*name, value);
        }
        builder.body(()).map_err(|error| self.unsendable(error))
    }

    /// A failure of this kind, told with the peer's name before it.
    pub fn failure(&self, kind: FaultKind, problem: impl fmt::Display) -> Failure {
        Failure { kind, diagnosis: format!("{self}: {problem}") }
    }

    /// The request is not proper HTTP/1.1.
    pub fn unsendable(&self, problem: impl fmt::Display) -> Failure {
        self.failure(FaultKind::Unreachable, format_args!("the request cannot be sent: {problem}"))
    }

    /// Resolving the name took too long.
    #[must_use]
    pub fn not_resolved_in_time(&self) -> Failure {
        self.failure(FaultKind::Unreachable, "the host's name was not resolved in time")
    }

    /// The name was resolved, to nothing.
    #[must_use]
    pub fn no_address(&self) -> Failure {
        self.failure(FaultKind::Unreachable, "no address known for this host")
    }

    /// Connecting, TLS included, took too long.
    #[must_use]
    pub fn not_connected_in_time(&self) -> Failure {
        self.failure(FaultKind::Unreachable, "no connection in time")
    }

    /// The whole exchange took too long.
    #[must_use]
    pub fn timed_out(&self, phase: Phase, within: Span) -> Failure {
        match phase {
            Phase::Head => self.failure(FaultKind::TimedOut, format_args!("no answer within {within:?}")),
            Phase::Body => self
                .failure(FaultKind::TimedOut, format_args!("the answer was not complete within {within:?}")),
        }
    }

    /// TLS failed; says what to do about it.
    #[must_use]
    pub fn tls(&self, error: &rustls::Error) -> Failure {
        Failure { kind: FaultKind::Tls, diagnosis: tls::explain(error, &self.to_string()) }
    }

    /// TLS could not even begin.
    pub fn no_tls(&self, problem: impl fmt::Display) -> Failure {
        self.failure(FaultKind::Tls, format_args!("the TLS handshake failed: {problem}"))
    }

    /// What came is not HTTP.
    pub fn not_http(&self, problem: impl fmt::Display) -> Failure {
        self.failure(FaultKind::Malformed, format_args!("the answer is not proper HTTP/1.1: {problem}"))
    }

    /// The header section of the answer is larger than anybody needs.
    #[must_use]
    pub fn head_too_large(&self, size: usize, most: usize) -> Failure {
        self.failure(
            FaultKind::Malformed,
            format_args!("the answer's header section of {size} bytes exceeds {most}"),
        )
    }

    /// The body of the answer is larger than [`Options::body_cap`](crate::Options::body_cap).
    #[must_use]
    pub fn body_too_large(&self, cap: u64) -> Failure {
        self.failure(
            FaultKind::Truncated,
            format_args!("the answer's body is larger than the cap of {cap} bytes"),
        )
    }

    /// Reading or writing failed. Where TLS is behind it, as [`Peer::tls`].
    #[must_use]
    pub fn io(&self, error: &io::Error, phase: Phase) -> Failure {
        if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
            return self.tls(error);
        }
        match (error.kind(), phase) {
            (io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock, _) => {
                self.failure(FaultKind::TimedOut, "no answer in time")
            }
            (io::ErrorKind::UnexpectedEof, Phase::Body) => {
                self.failure(FaultKind::Truncated, "the connection ended before the answer's body did")
            }
            (io::ErrorKind::UnexpectedEof, Phase::Head) => {
                self.failure(FaultKind::Unreachable, "the connection was closed before an answer came")
            }
            (io::ErrorKind::ConnectionRefused, _) => self.failure(
                FaultKind::Unreachable,
                "connection refused; is the service running, and the port right?",
            ),
            (_, Phase::Body) => self.failure(
                FaultKind::Truncated,
                format_args!("the connection broke during the answer's body: {error}"),
            ),
            (_, Phase::Head) => {
                self.failure(FaultKind::Unreachable, format_args!("the connection failed: {error}"))
            }
        }
    }
}

impl fmt::Display for Peer {
    /// `api.example.org:443`, `[::1]:8080`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_who_is_called_and_nothing_else() {
        let shown = |url| Peer::of(url).map(|peer| peer.to_string());
        assert_eq!(
            shown("https://API.example.org/status?reference=secret"),
            Ok("api.example.org:443".into())
        );
        assert_eq!(shown("http://[::1]:8080/"), Ok("[::1]:8080".into()));
        assert_eq!(shown("http://127.0.0.1"), Ok("127.0.0.1:80".into()));
        for url in ["", "/status?x=secret", "ftp://example.org/secret", "not a url secret"] {
            let failure = Peer::of(url).unwrap_err();
            assert!(failure.diagnosis.contains("expected http://HOST/"), "{failure}");
            assert!(!failure.diagnosis.contains("secret"), "{failure}");
        }
    }

    #[test]
    fn loopback_is_told_by_name_and_by_address() {
        let loopback = |url| Peer::of(url).unwrap().is_loopback();
        assert!(
            loopback("http://localhost:1/") && loopback("http://127.3.2.1/") && loopback("https://[::1]/")
        );
        assert!(!loopback("http://localhost.example.org/") && !loopback("http://10.0.0.1/"));
    }
}
