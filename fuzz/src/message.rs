//! The form of a seed: an HTTP request as one would write it down.
//!
//! ```text
//! POST application/json 7,100 3
//! Signature: {after}
//! x-any: other
//!
//! {"reference":"kyc-1","event":"verification.accepted"}
//! ```
//!
//! First the method, the media type, the lengths of the chunks that the body arrives in, and before which of the things that its receiver
//! is told something goes wrong; then header fields; after an empty line the body, raw. `{before}` and `{after}` as the value of a header field become the signature that either rule gives this body under the
//! present secret, `{old}` the newer rule's under the secret it replaced, and `{bearer}` the agreed bearer: no fuzzer finds those by itself.

use idv_core::shufti::signature::Rule;
use sha2::{Digest, Sha256};

/// The secret that signs now.
pub const SECRET: &str = "present-secret-key";
/// The secret it replaced, still accepted.
pub const OLD_SECRET: &str = "replaced-secret-key";
/// What ShareID was asked to send in `Authorization`.
pub const BEARER: &str = "agreed-bearer-value";

/// A message read from a fuzzer's input. Every input is one.
pub struct Message<'a> {
    /// The method.
    pub method: String,
    /// The media type.
    pub media_type: String,
    /// Header fields, the placeholders replaced.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: &'a [u8],
    /// What goes wrong on its way, and when.
    pub disturbance: usize,
    chunks: Vec<usize>,
}

impl<'a> Message<'a> {
    /// Reads `input`; what is missing is empty.
    #[must_use]
    pub fn read(input: &'a [u8]) -> Self {
        let (mut lines, mut body) = (Vec::new(), input);
        while let Some((line, rest)) = split_at_byte(body, b'\n') {
            body = rest;
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let mut lines = lines.into_iter();
        let first = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
        let mut words = first.split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let (method, media_type, chunks, disturbance) = (word(), word(), word(), word());
        let headers = lines
            .filter_map(|line| split_at_byte(line, b':'))
            .map(|(name, value)| {
                (String::from_utf8_lossy(name).into_owned(), filled_in(value.trim_ascii(), body))
            })
            .collect();
        let chunks = chunks.split(',').filter_map(|length| length.parse().ok()).collect();
        let disturbance = disturbance.parse::<u8>().map_or(0, usize::from);
        Self { method, media_type, headers, body, disturbance, chunks }
    }

    /// The body in the chunks that the message asks for; what they leave over comes last.
    pub fn chunks(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        let mut rest = self.body;
        let mut lengths = self.chunks.iter();
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let length = lengths.next().map_or(rest.len(), |length| (*length).min(rest.len()));
            let (chunk, left) = rest.split_at(length);
            rest = left;
            Some(chunk)
        })
    }
}

fn split_at_byte(bytes: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|candidate| *candidate == byte)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

fn filled_in(value: &[u8], body: &[u8]) -> Vec<u8> {
    let text = match value {
        b"{before}" => signature(body, SECRET.as_bytes()),
        b"{after}" => newer_signature(body, SECRET),
        b"{old}" => newer_signature(body, OLD_SECRET),
        b"{bearer}" => format!("Bearer {BEARER}"),
        other => return other.to_vec(),
    };
    text.into_bytes()
}

/// Shufti's signature as its documents describe it, written a second time to compare with: SHA-256 over the body and a tail.
pub(crate) fn signature(body: &[u8], tail: &[u8]) -> String {
    hex::encode(Sha256::new().chain_update(body).chain_update(tail).finalize())
}

fn newer_signature(body: &[u8], secret: &str) -> String {
    signature(body, hex::encode(Sha256::digest(secret)).as_bytes())
}

/// Every signature of `body` that must verify under `rule`.
#[must_use]
pub fn valid_signatures(rule: Rule, body: &[u8]) -> Vec<String> {
    let secrets = [SECRET, OLD_SECRET];
    let older = secrets.map(|secret| signature(body, secret.as_bytes()));
    let newer = secrets.map(|secret| newer_signature(body, secret));
    match rule {
        Rule::Before => older.to_vec(),
        Rule::After => newer.to_vec(),
        Rule::Either => [older, newer].concat(),
    }
}
