//! The little HTTP that codecs need: a request they fill in completely, an answer they read, and `Retry-After`.

mod base_url;
mod date;
mod exchange;
mod status;

pub use base_url::{BaseUrl, BaseUrlError};
pub use date::retry_after;
pub use exchange::{Failure, Received};
pub use status::{classify, describe};

use crate::secret::Secret;
use crate::time::Span;
use alloc::string::String;
use alloc::vec::Vec;
use base64ct::{Base64, Encoding};
use core::fmt;
use zeroize::{Zeroize, Zeroizing};

/// Who we say we are. Proxies in front of an API refuse callers who say nothing.
pub const USER_AGENT: &str = concat!("idv/", env!("CARGO_PKG_VERSION"));

/// The longest that resolving a host's name, and then connecting with TLS, may take each, unless chosen otherwise.
pub const CONNECT_WITHIN: Span = Span::secs(10);

/// How long a connection is kept open for its next use: below the keep-alive time of common servers, so that they rarely close first.
pub const KEPT_FOR: Span = Span::secs(15);

/// A request, complete: an adapter sends it as it stands and adds nothing but framing.
///
/// The buffers are reused from call to call and overwritten when cleared or dropped, for they carry credentials; `Debug` shows the
/// method and the URL only.
#[derive(Default)]
pub struct Request {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The absolute URL.
    pub url: String,
    /// Header names in lower case, with their values.
    pub headers: Vec<(&'static str, String)>,
    /// The body; empty for `GET`.
    pub body: Vec<u8>,
}

impl Request {
    /// An empty request to be filled in by a codec.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a `POST` of a JSON body to `path` below `base`; the caller adds credentials and the body.
    ///
    /// Asks for an answer that is not compressed: without that word any coding would be welcome (RFC 9110, 12.5.3), and signatures
    /// cover the bytes as sent.
    pub fn begin_json_post(&mut self, base: &BaseUrl, path: &str) {
        self.clear();
        self.method = "POST";
        base.join(path, &mut self.url);
        for (name, value) in [
            ("content-type", "application/json"),
            ("accept", "application/json"),
            ("accept-encoding", "identity"),
            ("user-agent", USER_AGENT),
        ] {
            self.headers.push((name, String::from(value)));
        }
    }

    /// Empties the request and overwrites what it held.
    pub fn clear(&mut self) {
        self.method = "";
        self.url.zeroize();
        for (_, value) in &mut self.headers {
            value.zeroize();
        }
        self.headers.clear();
        self.body.zeroize();
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.clear();
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}

/// Header fields as received: names in any case, values as bytes, repeated fields repeated.
#[derive(Clone, Copy)]
pub struct Headers<'a>(pub &'a [(&'a str, &'a [u8])]);

impl<'a> Headers<'a> {
    /// Every value of the field `name`, compared without regard to case, in order.
    pub fn all(self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.0.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// The length of the body, in bytes, where the head announces it (RFC 9110, 8.6).
    #[must_use]
    pub fn content_length(self) -> Option<u64> {
        let value = self.first("content-length")?.trim_ascii();
        let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        core::str::from_utf8(value).ok().filter(|_| is_number)?.parse().ok()
    }

    /// The first value of the field `name`.
    #[must_use]
    pub fn first(self, name: &'a str) -> Option<&'a [u8]> {
        self.all(name).next()
    }
}

impl fmt::Debug for Headers<'_> {
    /// Names only: values may be credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// An answer as received.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: Headers<'a>,
    /// The body, raw: not decompressed, not decoded.
    pub body: &'a [u8],
}

impl fmt::Debug for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.status, self.body.len())
    }
}

/// Whether a `Content-Type` value means JSON: `application/json` or any type with the suffix `+json`, in any case, whatever its
/// parameters.
#[must_use]
pub fn is_json(media_type: &[u8]) -> bool {
    let essence = essence(media_type);
    if essence.eq_ignore_ascii_case(b"application/json") {
        return true;
    }
    let Some(slash) = essence.iter().position(|byte| *byte == b'/') else { return false };
    let (kind, subtype) = essence.split_at(slash);
    let suffix = subtype.last_chunk::<5>();
    !kind.is_empty()
        && subtype.len() > b"/+json".len()
        && suffix.is_some_and(|s| s.eq_ignore_ascii_case(b"+json"))
}

/// A media type without its parameters and the blanks around it.
fn essence(media_type: &[u8]) -> &[u8] {
    media_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

/// The value of `Authorization` for HTTP Basic (RFC 7617). The user must hold no colon: the first one ends it.
#[must_use]
pub fn basic_authorization(user: &str, password: &Secret) -> String {
    let mut plain = Zeroizing::new(String::with_capacity(user.len() + 1 + password.reveal().len()));
    plain.push_str(user);
    plain.push(':');
    plain.push_str(password.reveal());
    let encoded = Zeroizing::new(Base64::encode_string(plain.as_bytes()));
    let mut value = String::with_capacity("Basic ".len() + encoded.len());
    value.push_str("Basic ");
    value.push_str(&encoded);
    value
}

/// The value of `Authorization` for a bearer token (RFC 6750).
#[must_use]
pub fn bearer_authorization(token: &Secret) -> String {
    let mut value = String::with_capacity("Bearer ".len() + token.reveal().len());
    value.push_str("Bearer ");
    value.push_str(token.reveal());
    value
}

/// Whether `text` can be sent as a credential in a header field: visible ASCII, at least one character. Anything else could end the
/// field and begin another.
#[must_use]
pub fn is_field_text(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Appends `text` to a JSON body as a string, quoted and escaped.
///
/// Our own, because bodies that carry credentials are written into one buffer that was made large enough before: a buffer that grows
/// leaves a copy behind. [`json_string_bound`] says how large.
pub fn push_json_string(body: &mut Vec<u8>, text: &str) {
    body.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => body.extend_from_slice(b"\\\""),
            b'\\' => body.extend_from_slice(b"\\\\"),
            0x00..=0x1f => {
                let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + (nibble - 10) };
                body.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 0xf)]);
            }
            _ => body.push(byte),
        }
    }
    body.push(b'"');
}

/// The most bytes that [`push_json_string`] appends for `text`.
#[must_use]
pub const fn json_string_bound(text: &str) -> usize {
    text.len().saturating_mul(6).saturating_add(2)
}
