//! What a status code means before anybody looks at the body.

use super::{Answer, Headers, essence, retry_after};
use crate::evidence::{Fault, FaultKind, NotReady, Outcome};
use alloc::format;
use alloc::string::String;

/// What a status means for every provider. `None` for 2xx: the body decides. `unix_now` is the time in seconds, used for
/// `Retry-After` dates where the answer has no `Date`.
///
/// - 401 and 403 refuse the credentials, except a 403 that Cloudflare marks as its own challenge (`cf-mitigated`): that one never
///   reached the provider and says nothing about credentials.
/// - 404: the provider does not know the id, or not yet.
/// - 408 is a time-out, 429 too many calls, 3xx a redirect (never followed), 5xx a failure of the server or of a proxy before it.
/// - Everything else is unexpected: other 4xx, 1xx, and numbers that are no status.
///
/// Every failure carries the `Retry-After` that came with it; RFC 9110 allows it on 503 and 3xx, RFC 6585 on 429, and real servers
/// send it on others.
#[must_use]
pub fn classify(status: u16, headers: Headers<'_>, unix_now: Option<u64>) -> Option<Outcome> {
    let kind = match status {
        200..=299 => return None,
        403 if headers.first("cf-mitigated").is_some() => FaultKind::UnexpectedStatus,
        401 | 403 => return Some(Outcome::Refused),
        404 => return Some(Outcome::NotReady(NotReady::NotFound)),
        408 => FaultKind::TimedOut,
        429 => FaultKind::RateLimited,
        300..=399 => FaultKind::Redirect,
        500..=599 => FaultKind::ServerError,
        _ => FaultKind::UnexpectedStatus,
    };
    Some(Outcome::Failed(Fault { kind, retry_after: retry_after(headers, unix_now) }))
}

/// One line about an answer for the log, without any of its content: status, media type, size.
#[must_use]
pub fn describe(answer: &Answer<'_>) -> String {
    let media_type =
        answer.headers.first("content-type").map(essence).and_then(|text| str::from_utf8(text).ok());
    // A media type comes from the peer: shown only if it looks like one.
    let shown = media_type
        .filter(|text| text.len() <= 64 && text.contains('/') && text.bytes().all(|b| b.is_ascii_graphic()))
        .unwrap_or("no media type");
    format!("status {}, {}, {} bytes", answer.status, shown, answer.body.len())
}
