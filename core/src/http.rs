//! The little HTTP that codecs need: a request they fill in completely, an answer they read, and `Retry-After`.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use zeroize::Zeroize;

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
