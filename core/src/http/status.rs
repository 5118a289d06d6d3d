//! What a status code means before anybody looks at the body.

use super::{Answer, Headers, essence, retry_after};
use crate::evidence::{Fault, FaultKind, NotReady, Outcome};
use alloc::format;
use alloc::string::String;

/// What a status means for every provider. `None` for 2xx: the body decides. `unix_now` is the time in seconds, used for
/// `Retry-After` dates where the answer has no `Date`.
///
/// - 401 and 403 refuse the credentials, except a 403 of the content network before the provider: Cloudflare marks its challenges with
///   `cf-mitigated`, and a page of HTML that came through Cloudflare or CloudFront is no API's answer. Those never reached the provider,
///   say nothing about credentials and may pass.
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
        403 if is_from_the_edge(headers) => FaultKind::UnexpectedStatus,
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

/// Whether a refusal comes from a content network and not from the provider behind it.
fn is_from_the_edge(headers: Headers<'_>) -> bool {
    let has = |name| headers.first(name).is_some();
    let is_html = headers
        .first("content-type")
        .is_some_and(|media_type| essence(media_type).eq_ignore_ascii_case(b"text/html"));
    has("cf-mitigated") || (is_html && (has("cf-ray") || has("x-amz-cf-id")))
}

/// The media types that servers and the proxies before them answer with.
const MEDIA_TYPES: [&str; 9] = [
    "application/json",
    "application/octet-stream",
    "application/pdf",
    "application/problem+json",
    "application/xml",
    "text/html",
    "text/javascript",
    "text/plain",
    "text/xml",
];

/// The registered content codings in use, and the older names of two of them.
const CODINGS: [&str; 7] = ["br", "compress", "deflate", "gzip", "x-compress", "x-gzip", "zstd"];

/// One line about an answer for the log, without any word of its sender: status, media type and coding if they are well-known ones, size,
/// and what to do where the status says it. What is not known by name is not repeated, for it could be anything, a secret that was
/// sent included.
#[must_use]
pub fn describe(answer: &Answer<'_>) -> String {
    let field = |name| answer.headers.first(name).map(essence).filter(|value| !value.is_empty());
    let known = |value: &[u8], names: &[&'static str]| {
        names.iter().copied().find(|name| name.as_bytes().eq_ignore_ascii_case(value))
    };
    let media_type = field("content-type")
        .map_or("no media type", |value| known(value, &MEDIA_TYPES).unwrap_or("another media type"));
    let coding = field("content-encoding")
        .filter(|value| !value.eq_ignore_ascii_case(b"identity"))
        .map_or_else(String::new, |value| {
            let name = known(value, &CODINGS).unwrap_or("another coding");
            format!(", compressed with {name} against our request")
        });
    let advice = match answer.status {
        300..=399 => "; redirects are never followed: check scheme, host and path of the API URL",
        401 => "; the credentials were refused",
        403 if is_from_the_edge(answer.headers) => {
            "; the network before the provider stopped the call: ask the provider to let this address through"
        }
        403 => "; the credentials were refused, or they do not cover this call",
        404 => "; the id or the path is unknown there: check the API URL if this goes on",
        405 => "; the path takes no POST: check the API URL",
        407 => "; a proxy on the way asks for credentials of its own",
        413 | 422 => "; the provider does not accept our request as it is",
        429 => "; too many calls",
        _ => "",
    };
    format!("status {}, {media_type}{coding}, {} bytes{advice}", answer.status, answer.body.len())
}
