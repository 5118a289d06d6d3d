//! Base URLs, checked once, and paths joined to them.

use alloc::string::String;
use core::fmt;
use core::net::Ipv6Addr;

/// Where a provider's API lives: `http` or `https`, a host, perhaps a port and a path prefix; nothing else.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// Checks and takes over `text`. Slashes at its end do not matter.
    ///
    /// # Errors
    /// Says what is wrong with the text, without repeating it: it may hold a password.
    pub fn parse(text: &str) -> Result<Self, BaseUrlError> {
        if text.bytes().any(|byte| !byte.is_ascii_graphic() || matches!(byte, b'\\' | b'"' | b'<' | b'>')) {
            return Err(BaseUrlError::Character);
        }
        let (scheme, rest) = text.split_once("://").ok_or(BaseUrlError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
            return Err(BaseUrlError::Scheme);
        }
        if rest.contains('#') {
            return Err(BaseUrlError::Fragment);
        }
        if rest.contains('?') {
            return Err(BaseUrlError::Query);
        }
        let authority = rest.split('/').next().unwrap_or_default();
        if authority.contains('@') {
            return Err(BaseUrlError::UserInfo);
        }
        let (host, port) = split_authority(authority)?;
        if !port.is_empty() && port.parse::<u16>().map_or(true, |port| port == 0) {
            return Err(BaseUrlError::Port);
        }
        let known = match host.strip_prefix('[') {
            Some(literal) => literal.strip_suffix(']').is_some_and(|text| text.parse::<Ipv6Addr>().is_ok()),
            None => {
                !host.is_empty()
                    && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
            }
        };
        if known { Ok(Self(String::from(text.trim_end_matches('/')))) } else { Err(BaseUrlError::Host) }
    }

    /// The URL, without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Appends this URL and `path` to `url`, with exactly one slash between them.
    pub fn join(&self, path: &str, url: &mut String) {
        let path = path.trim_start_matches('/');
        url.reserve(self.0.len().saturating_add(path.len()).saturating_add(1));
        url.push_str(&self.0);
        url.push('/');
        url.push_str(path);
    }
}

/// The host and the digits after its colon, which may be absent; the brackets of an IPv6 address are kept.
fn split_authority(authority: &str) -> Result<(&str, &str), BaseUrlError> {
    let after = authority.rfind(']').map_or(0, |bracket| bracket.saturating_add(1));
    let (head, tail) = authority.split_at(after);
    match tail.split_once(':') {
        // A colon must be followed by a number, and `http://[::1]x:80` is no address.
        Some((_, "")) => Err(BaseUrlError::Port),
        Some((_, port)) if port.bytes().any(|byte| !byte.is_ascii_digit()) => Err(BaseUrlError::Port),
        Some((name, port)) if head.is_empty() => Ok((name, port)),
        Some(("", port)) => Ok((head, port)),
        None => Ok((authority, "")),
        Some(_) => Err(BaseUrlError::Host),
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is wrong with a base URL.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum BaseUrlError {
    /// It does not begin with `http://` or `https://`.
    Scheme,
    /// It holds a blank, a control character, a quote, a backslash or something that is not ASCII.
    Character,
    /// It holds a user name or a password.
    UserInfo,
    /// The host is missing or not a name or address.
    Host,
    /// The port is missing after its colon, or not a number from 1 to 65535.
    Port,
    /// It holds a query.
    Query,
    /// It holds a fragment.
    Fragment,
}

impl BaseUrlError {
    /// What is wrong and what to write instead; `it` is the URL.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Scheme => "it must begin with https:// or http://",
            Self::Character => {
                "it holds a blank, a control character, a quote, a backslash or a character outside ASCII; \
                 write international names in their xn-- form and percent-encode the rest"
            }
            Self::UserInfo => {
                "it holds a user name or a password; give credentials through their own settings"
            }
            Self::Host => {
                "it has no usable host; write a name, an IPv4 address or an IPv6 address in brackets"
            }
            Self::Port => "its port must be a number from 1 to 65535",
            Self::Query => "it holds a query (`?…`); remove it",
            Self::Fragment => "it holds a fragment (`#…`); remove it",
        }
    }
}

impl fmt::Display for BaseUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the API URL cannot be used: {}", self.reason())
    }
}

impl core::error::Error for BaseUrlError {}
