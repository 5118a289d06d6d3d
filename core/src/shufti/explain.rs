//! Why a signature does not verify: tries what usually goes wrong and says what would have fitted. For people at a command line, never
//! for deciding anything.

use super::signature::{Match, Outcome, Rule, UnusableSecret, Verifier};
use crate::http::Headers;
use crate::json::{Body, Kind, Value};
use crate::secret::Secret;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

/// What [`explain`] tries, in its order, for output.
pub const TRIED: [&str; 7] = [
    "the bytes as they are, by the account's rule",
    "the other rule",
    "the signature in upper case, or with a prefix such as `sha256=`",
    "the secret without white space around it",
    "the body without white space at its end, or with a newline added",
    "the body with the other kind of line ends, or without its byte order mark",
    "the same JSON written again: compact, spaced or indented, with and without `\\/` and `\\u00e9`",
];

/// What was found out about a signature.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finding {
    /// It verifies.
    Valid {
        /// By which rule and secret.
        matched: Match,
        /// It came in upper case; accepted, but Shufti sends lower case.
        upper_case: bool,
    },
    /// It would verify if what is listed here were otherwise.
    Fits {
        /// By which rule and secret.
        matched: Match,
        /// Everything that must change, at least one thing.
        changes: Vec<Change>,
    },
    /// It is not 64 hexadecimal digits.
    Malformed {
        /// How many characters it has.
        length: usize,
        /// Which character, counted from 1, is the first that is no hexadecimal digit.
        wrong_at: Option<usize>,
    },
    /// The body is empty; a signature over nothing proves nothing and is refused.
    EmptyBody,
    /// Nothing that was tried fits: most likely the secret belongs to another account, or the content was changed.
    Nothing,
}

/// One thing that must change for a signature to verify.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Change {
    /// The account's rule.
    Rule,
    /// The signature's prefix must go.
    Prefix,
    /// White space around the secret must go.
    SecretTrimmed,
    /// White space at the end of the body must go: something added it.
    EndTrimmed,
    /// A line feed must be added to the body: something cut it off.
    NewlineAdded,
    /// A carriage return and a line feed must be added to the body: something cut them off.
    CrLfAdded,
    /// Carriage returns before line feeds must go: something converted the line ends.
    ToLf,
    /// Carriage returns must be added before line feeds: something converted the line ends.
    ToCrLf,
    /// The byte order mark must go: something added it.
    MarkRemoved,
    /// The JSON must be written otherwise: something parsed it and wrote it again.
    Rewritten(Style),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rule => "the account signs by the other rule; set that rule, or either",
            Self::Prefix => "the signature has something before its 64 digits; give the digits alone",
            Self::SecretTrimmed => {
                "the secret was given with white space around it; a file often ends with a newline"
            }
            Self::EndTrimmed => "white space was added to the end of the body after it was signed",
            Self::NewlineAdded => "a newline was cut off the end of the body after it was signed",
            Self::CrLfAdded => "a line end (CR LF) was cut off the end of the body after it was signed",
            Self::ToLf => "line ends were converted from LF to CR LF after the body was signed",
            Self::ToCrLf => "line ends were converted from CR LF to LF after the body was signed",
            Self::MarkRemoved => "a byte order mark was put before the body after it was signed",
            Self::Rewritten(style) => {
                return write!(
                    f,
                    "the JSON was parsed and written again; what was signed was {style}; check the raw bytes"
                );
            }
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Valid { matched, upper_case } => {
                write!(f, "valid by rule {} with secret {}", matched.rule, matched.secret + 1)?;
                if *upper_case { f.write_str(", although in upper case") } else { Ok(()) }
            }
            Self::Fits { matched, changes } => {
                write!(f, "not valid, but it would be by rule {} with secret {}", matched.rule, matched.secret + 1)?;
                changes.iter().try_for_each(|change| write!(f, "; {change}"))
            }
            Self::Malformed { length, wrong_at: None } => {
                write!(f, "the signature has {length} characters, expected 64 hexadecimal digits")
            }
            Self::Malformed { wrong_at: Some(place), .. } => {
                write!(f, "character {place} of the signature is no hexadecimal digit, expected 64 of them")
            }
            Self::EmptyBody => f.write_str("the body is empty, and a signature over nothing is refused"),
            Self::Nothing => f.write_str(
                "not valid, and nothing that was tried fits: the secret belongs to another account, or the content was changed",
            ),
        }
    }
}

/// How JSON is written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Style {
    /// `\/` for `/`, as PHP writes it.
    pub slashes_escaped: bool,
    /// `\u00e9` for `é`, as PHP and Python write it.
    pub unicode_escaped: bool,
    /// What stands between the parts.
    pub spacing: Spacing,
}

/// What stands between the parts of a JSON text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Spacing {
    /// Nothing, as PHP and JavaScript write it.
    Compact,
    /// A blank after each comma and colon, as Python writes it.
    Spaced,
    /// A line for each member, indented by so many blanks for each level.
    Indented(u8),
}

impl fmt::Display for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.spacing {
            Spacing::Compact => f.write_str("compact")?,
            Spacing::Spaced => f.write_str("spaced")?,
            Spacing::Indented(blanks) => write!(f, "indented by {blanks}")?,
        }
        let slashes = if self.slashes_escaped { "\\/" } else { "/" };
        let unicode = if self.unicode_escaped { "\\u00e9" } else { "é" };
        write!(f, ", with `{slashes}` and `{unicode}`")
    }
}

/// Every style, the provider's own first.
fn styles() -> impl Iterator<Item = Style> {
    let spacings = [Spacing::Compact, Spacing::Spaced, Spacing::Indented(4), Spacing::Indented(2)];
    spacings.into_iter().flat_map(|spacing| {
        [(true, true), (false, true), (true, false), (false, false)]
            .map(|(slashes_escaped, unicode_escaped)| Style { slashes_escaped, unicode_escaped, spacing })
    })
}

/// Finds out about a signature. The order of members that were sorted after signing cannot be found again, nor the spelling of numbers.
#[must_use]
pub fn explain(verifier: &Verifier, signature: &str, body: &[u8]) -> Finding {
    if body.is_empty() {
        return Finding::EmptyBody;
    }
    let given = signature.trim();
    let bare = given.rsplit(['=', ':', ' ']).next().unwrap_or(given);
    if let Some(malformed) = malformed(bare) {
        return malformed;
    }
    let prefixed = bare.len() != given.len();
    let upper_case = bare.bytes().any(|byte| byte.is_ascii_uppercase());
    let keyed = [Ok((verifier.clone(), false)), trimmed(verifier).map(|verifier| (verifier, true))];
    for body in variants(body) {
        for (verifier, secret_trimmed) in keyed.iter().flatten() {
            let Some(matched) = matched(verifier, bare, &body.bytes) else { continue };
            let own_rule = verifier.rule() == Rule::Either || verifier.rule() == matched.rule;
            let mut changes = Vec::new();
            changes.extend((!own_rule).then_some(Change::Rule));
            changes.extend(prefixed.then_some(Change::Prefix));
            changes.extend(secret_trimmed.then_some(Change::SecretTrimmed));
            changes.extend(body.changes);
            return if changes.is_empty() {
                Finding::Valid { matched, upper_case }
            } else {
                Finding::Fits { matched, changes }
            };
        }
    }
    Finding::Nothing
}

fn malformed(signature: &str) -> Option<Finding> {
    let wrong_at = signature.chars().position(|char| !char.is_ascii_hexdigit()).map(|index| index + 1);
    let length = signature.chars().count();
    (wrong_at.is_some() || length != 64).then_some(Finding::Malformed { length, wrong_at })
}

/// A verifier for the same secrets without white space around them, if that makes a difference.
fn trimmed(verifier: &Verifier) -> Result<Verifier, UnusableSecret> {
    let changed = verifier.secrets().any(|secret| secret.reveal().trim() != secret.reveal());
    let secrets = if changed {
        verifier.secrets().map(|secret| Secret::from(secret.reveal().trim())).collect()
    } else {
        Vec::new()
    };
    Verifier::new(verifier.rule(), secrets)
}

/// Tries both rules, the account's first.
fn matched(verifier: &Verifier, signature: &str, body: &[u8]) -> Option<Match> {
    let fields = [(super::contract::SIGNATURE_HEADER, signature.as_bytes())];
    [verifier.rule(), Rule::Either].into_iter().find_map(|rule| {
        match verifier.with_rule(rule).check(Headers(&fields), body).outcome {
            Outcome::Valid(matched) => Some(matched),
            Outcome::Wrong | Outcome::Missing => None,
        }
    })
}

/// A body that may have been signed, and how it differs from the one at hand.
struct Variant {
    bytes: Vec<u8>,
    changes: Vec<Change>,
}

/// The bodies to try, the likeliest first.
fn variants(body: &[u8]) -> Vec<Variant> {
    let mut variants = Vec::new();
    let mut add = |bytes: &[u8], changes: &[Change]| {
        let plain = Variant { bytes: bytes.to_vec(), changes: changes.to_vec() };
        let changed = |bytes: Vec<u8>, change| Variant { bytes, changes: [changes, &[change]].concat() };
        variants.extend([
            plain,
            changed([bytes, b"\n"].concat(), Change::NewlineAdded),
            changed([bytes, b"\r\n"].concat(), Change::CrLfAdded),
        ]);
        // Where nothing is there to be trimmed these are the plain bytes, which were tried before.
        variants.push(changed(bytes.trim_ascii_end().to_vec(), Change::EndTrimmed));
    };
    add(body, &[]);
    if let Some(rest) = body.strip_prefix(b"\xEF\xBB\xBF") {
        add(rest, &[Change::MarkRemoved]);
    }
    let lf = without_returns(body);
    let with_returns = lf.iter().flat_map(|byte| [(*byte == b'\n').then_some(b'\r'), Some(*byte)]);
    let crlf: Vec<u8> = with_returns.flatten().collect();
    if lf != crlf {
        add(&lf, &[Change::ToLf]);
        add(&crlf, &[Change::ToCrLf]);
    }
    let text = Body::new(body);
    if let Ok(object) = text.object(&[]).complete() {
        for style in styles() {
            let mut json = String::new();
            rewrite(object.whole(), style, 0, &mut json);
            add(json.as_bytes(), &[Change::Rewritten(style)]);
        }
    }
    variants
}

fn without_returns(body: &[u8]) -> Vec<u8> {
    let followers = body.iter().skip(1).map(Some).chain([None]);
    let pairs = body.iter().zip(followers);
    pairs.filter(|(byte, next)| **byte != b'\r' || *next != Some(&b'\n')).map(|(byte, _)| *byte).collect()
}

/// Writes a value again. The reader bounds the depth.
fn rewrite(value: Value<'_>, style: Style, depth: usize, out: &mut String) {
    let (open, close) = match value.kind() {
        Kind::Object => ('{', '}'),
        Kind::Array => ('[', ']'),
        Kind::String => return write_text(&value.text().unwrap_or_default(), style, out),
        Kind::Null | Kind::Bool | Kind::Number => return out.push_str(value.raw()),
    };
    out.push(open);
    let mut is_first = true;
    let mut part = |name: Option<&str>, value: Value<'_>| {
        out.push_str(match (is_first, style.spacing) {
            (true, _) => "",
            (false, Spacing::Spaced) => ", ",
            (false, Spacing::Compact | Spacing::Indented(_)) => ",",
        });
        is_first = false;
        line(style, depth + 1, out);
        if let Some(name) = name {
            write_text(name, style, out);
            out.push_str(if style.spacing == Spacing::Compact { ":" } else { ": " });
        }
        rewrite(value, style, depth + 1, out);
    };
    if value.kind() == Kind::Object {
        value.members().for_each(|(name, value)| part(Some(&name), value));
    } else {
        value.elements().for_each(|value| part(None, value));
    }
    if !is_first {
        line(style, depth, out);
    }
    out.push(close);
}

fn line(style: Style, depth: usize, out: &mut String) {
    if let Spacing::Indented(blanks) = style.spacing {
        out.push('\n');
        out.extend(core::iter::repeat_n(' ', depth * usize::from(blanks)));
    }
}

fn write_text(text: &str, style: Style, out: &mut String) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '/' if style.slashes_escaped => out.push_str("\\/"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            char if char < ' ' || (style.unicode_escaped && !char.is_ascii()) => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    // Writing to a string cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            char => out.push(char),
        }
    }
    out.push('"');
}
