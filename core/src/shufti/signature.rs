//! The signature of every answer and callback: SHA-256 over the raw body followed by a text made from the secret key.
//!
//! The body is hashed while it arrives; every secret and rule then continues from a copy of that state, so that trying them all costs a
//! few blocks and no buffer. All candidates are compared, in constant time, whichever matches.
//!
//! A signature proves who made the bytes, not when: nothing in a body says its time, and an old callback verifies for ever.
//!
//! Source: developers.shuftipro.com, questionnaire, responses, response signature.

use super::contract;
use crate::http::Headers;
use crate::provider::{Authenticity, CallbackCheck, Checked};
use crate::secret::Secret;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

/// How the secret enters the signature. It depends on when the client registered ([`contract::RULE_CHANGE`]).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// `hex(sha256(body || secret))`: registered before the change.
    Before,
    /// `hex(sha256(body || hex(sha256(secret))))`: registered after it.
    After,
    /// Either of them verifies. The default, since the documents leave the day of the change open and endpoints have been seen to differ.
    #[default]
    Either,
}

impl Rule {
    const fn accepts(self, other: Self) -> bool {
        match (self, other) {
            (Self::Either, _) | (Self::Before, Self::Before) | (Self::After, Self::After) => true,
            (Self::Before | Self::After, _) => false,
        }
    }

    /// The word used in options and output: `before`, `after`, `either`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
            Self::Either => "either",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::str::FromStr for Rule {
    type Err = UnknownRule;

    fn from_str(word: &str) -> Result<Self, UnknownRule> {
        [Self::Before, Self::After, Self::Either]
            .into_iter()
            .find(|rule| rule.as_str() == word)
            .ok_or(UnknownRule)
    }
}

/// A word that names no [`Rule`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct UnknownRule;

impl fmt::Display for UnknownRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "unknown signature rule; write before or after (the account was registered before or after {}), or either",
            contract::RULE_CHANGE
        )
    }
}

impl core::error::Error for UnknownRule {}

/// Signs a body as Shufti does: 64 lower-case hexadecimal digits. [`Rule::Either`] signs as [`Rule::After`] does.
#[must_use]
pub fn sign(rule: Rule, secret: &Secret, body: &[u8]) -> String {
    let key = Key::new(secret.clone());
    hex_lower(&key.continued(Sha256::new().chain_update(body), rule))
}

fn hex_lower(digest: &[u8; 32]) -> String {
    let mut text = [0; 64];
    // The buffer has the right size, so encoding cannot fail.
    let encoded = hex::encode_to_slice(digest, &mut text).is_ok();
    debug_assert!(encoded);
    text.iter().map(|digit| char::from(*digit)).collect()
}

/// A digest as few large numbers: a comparison in constant time costs as much for a large number as for a byte.
fn words(digest: &[u8; 32]) -> [u64; 4] {
    let (words, _) = digest.as_chunks();
    let mut numbers = [0; 4];
    numbers.iter_mut().zip(words).for_each(|(number, word)| *number = u64::from_ne_bytes(*word));
    numbers
}

/// A secret with what the newer rule makes of it.
struct Key {
    secret: Secret,
    /// `hex(sha256(secret))`; as good as the secret itself to whoever wants to sign.
    hashed: Zeroizing<[u8; 64]>,
}

impl Key {
    fn new(secret: Secret) -> Self {
        let digest = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(secret.reveal().as_bytes())));
        let mut hashed = Zeroizing::new([0; 64]);
        let encoded = hex::encode_to_slice(*digest, hashed.as_mut_slice()).is_ok();
        debug_assert!(encoded);
        Self { secret, hashed }
    }

    /// The digest that a signature must show, from the state of the hash after the body.
    fn continued(&self, body: Sha256, rule: Rule) -> [u8; 32] {
        let tail = match rule {
            Rule::Before => self.secret.reveal().as_bytes(),
            Rule::After | Rule::Either => self.hashed.as_slice(),
        };
        body.chain_update(tail).finalize().into()
    }
}

/// Checks signatures against a rule and one or several secrets. Copies share the secrets.
#[derive(Clone)]
pub struct Verifier {
    rule: Rule,
    keys: Arc<[Key]>,
}

impl Verifier {
    /// Takes the secrets that are valid now, the present one first: while a key is being replaced, both the new and the old one.
    ///
    /// # Errors
    /// There is no secret, or one of them is empty: then anybody could sign.
    pub fn new(rule: Rule, secrets: Vec<Secret>) -> Result<Self, UnusableSecret> {
        if secrets.is_empty() {
            return Err(UnusableSecret::None);
        }
        if let Some(index) = secrets.iter().position(Secret::is_empty) {
            return Err(UnusableSecret::Empty { index });
        }
        Ok(Self { rule, keys: secrets.into_iter().map(Key::new).collect() })
    }

    /// The rule that signatures must follow.
    #[must_use]
    pub const fn rule(&self) -> Rule {
        self.rule
    }

    /// The same secrets under another rule.
    #[must_use]
    pub fn with_rule(&self, rule: Rule) -> Self {
        Self { rule, keys: Arc::clone(&self.keys) }
    }

    /// The present secret.
    #[must_use]
    pub fn secret(&self) -> Option<&Secret> {
        self.secrets().next()
    }

    /// All secrets in order.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.keys.iter().map(|key| &key.secret)
    }

    /// Starts checking a message from its header fields.
    #[must_use]
    pub fn begin(&self, headers: Headers<'_>) -> Check {
        Check { verifier: self.clone(), claims: Claims::read(headers), body: Sha256::new(), is_empty: true }
    }

    /// Checks a complete message.
    #[must_use]
    pub fn check(&self, headers: Headers<'_>, body: &[u8]) -> Verification {
        let mut check = self.begin(headers);
        check.update(body);
        check.finish()
    }

    /// The first candidate that equals `claimed`, all of them compared, for the rules that `rule` accepts.
    fn find(&self, rule: Rule, body: &Sha256, claimed: &[u8; 32]) -> Option<(Rule, usize)> {
        let mut found = None;
        for (index, key) in self.keys.iter().enumerate() {
            for candidate in [Rule::After, Rule::Before] {
                if rule.accepts(candidate) {
                    let equal: Choice = words(&key.continued(body.clone(), candidate)).ct_eq(&words(claimed));
                    // The comparison is over; which candidate it was is no secret, but all were compared all the same.
                    if bool::from(equal) && found.is_none() {
                        found = Some((candidate, index));
                    }
                }
            }
        }
        found
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({}, {} secrets)", self.rule, self.keys.len())
    }
}

/// Why a list of secrets cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum UnusableSecret {
    /// There is none.
    None,
    /// One of them is empty.
    Empty {
        /// Which one, counted from 0.
        index: usize,
    },
}

impl fmt::Display for UnusableSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no secret key was given; without one no signature can be checked"),
            Self::Empty { index } => {
                write!(f, "secret key {} is empty; remove it, for anybody could sign with it", index + 1)
            }
        }
    }
}

impl core::error::Error for UnusableSecret {}

/// The most signature values that are looked at in one message; Shufti sends two.
const MOST_CLAIMS: usize = 4;

/// What the header fields say the signature is.
#[derive(Clone, Default)]
struct Claims {
    read: [Option<Claim>; MOST_CLAIMS],
    upper_case: bool,
    malformed: bool,
    too_many: bool,
}

#[derive(Clone, Copy)]
struct Claim {
    header: &'static str,
    digest: [u8; 32],
}

impl Claims {
    fn read(headers: Headers<'_>) -> Self {
        let mut claims = Self::default();
        for header in [contract::SIGNATURE_HEADER, contract::OLD_SIGNATURE_HEADER] {
            // Repeated fields may have been joined with commas on the way (RFC 9110, 5.3).
            for value in headers.all(header).flat_map(|field| field.split(|byte| *byte == b',')) {
                let value = value.trim_ascii();
                let mut digest = [0; 32];
                if hex::decode_to_slice(value, &mut digest).is_err() {
                    claims.malformed = true;
                    continue;
                }
                claims.upper_case |= value.iter().any(u8::is_ascii_uppercase);
                match claims.read.iter_mut().find(|place| place.is_none()) {
                    Some(place) => *place = Some(Claim { header, digest }),
                    None => claims.too_many = true,
                }
            }
        }
        claims
    }

    fn iter(&self) -> impl Iterator<Item = &Claim> {
        self.read.iter().flatten()
    }

    fn differ(&self) -> bool {
        let first = self.iter().next().map(|claim| claim.digest);
        self.iter().any(|claim| Some(claim.digest) != first)
    }
}

/// A message whose body is still arriving.
pub struct Check {
    verifier: Verifier,
    claims: Claims,
    body: Sha256,
    is_empty: bool,
}

impl Check {
    /// Takes the next bytes of the body, as received.
    pub fn update(&mut self, chunk: &[u8]) {
        self.is_empty &= chunk.is_empty();
        self.body.update(chunk);
    }

    /// The body is complete.
    #[must_use]
    pub fn finish(self) -> Verification {
        let Self { verifier, claims, body, is_empty } = self;
        let digest = body.clone().finalize().into();
        let find = |rule: Rule| {
            // Every claim is compared, so that the time does not tell which one is right.
            claims.iter().fold(None, |found, claim| {
                let match_ = verifier.find(rule, &body, &claim.digest);
                found.or(match_.map(|(rule, secret)| Match { rule, secret, header: claim.header }))
            })
        };
        let mut remark = String::with_capacity(96);
        let mut add = |text: fmt::Arguments<'_>| {
            let separator = if remark.is_empty() { "" } else { "; " };
            // Writing to a string cannot fail.
            let _ = write!(remark, "{separator}{text}");
        };
        let outcome = if claims.iter().next().is_none() && !claims.malformed {
            add(format_args!("no signature header"));
            Outcome::Missing
        } else if is_empty {
            add(format_args!("signature over an empty body refused"));
            Outcome::Wrong
        } else if let Some(matched) = find(verifier.rule) {
            add(format_args!(
                "signature verified by rule {} with secret {}",
                matched.rule,
                matched.secret + 1
            ));
            Outcome::Valid(matched)
        } else {
            match find(Rule::Either) {
                Some(other) => add(format_args!(
                    "signature follows rule {} while the account is set to rule {}",
                    other.rule, verifier.rule
                )),
                None => add(format_args!("signature matches no secret")),
            }
            Outcome::Wrong
        };
        let differ = claims.differ();
        let is_odd = differ || claims.malformed || claims.upper_case || claims.too_many;
        for (is_so, text) in [
            (differ, "signature headers differ"),
            (claims.malformed, "a signature header is not 64 hexadecimal digits"),
            (claims.upper_case, "signature in upper case"),
            (claims.too_many, "too many signature headers, some not looked at"),
        ] {
            if is_so {
                add(format_args!("{text}"));
            }
        }
        Verification { outcome, digest, remark, is_odd }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Check({} signatures)", self.claims.iter().count())
    }
}

impl CallbackCheck for Check {
    fn update(&mut self, chunk: &[u8]) {
        self.update(chunk);
    }

    fn finish(self: Box<Self>) -> Checked {
        let Verification { outcome, digest, remark, is_odd: _ } = (*self).finish();
        let authenticity = match outcome {
            Outcome::Valid(_) => Authenticity::Signed,
            Outcome::Wrong => Authenticity::Wrong,
            Outcome::Missing => Authenticity::Missing,
        };
        Checked { authenticity, digest, remark: Some(remark) }
    }
}

/// What checking a message came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verification {
    /// Whether a signature verified.
    pub outcome: Outcome,
    /// SHA-256 of the raw body.
    pub digest: [u8; 32],
    /// One line for the log: what matched, and what was odd.
    pub remark: String,
    /// The header fields were not as Shufti sends them: different values, malformed ones, upper case, too many.
    pub is_odd: bool,
}

/// Whether a signature verified.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// It did.
    Valid(Match),
    /// There was one, and it is wrong, malformed, or over an empty body.
    Wrong,
    /// There was none.
    Missing,
}

/// What made a signature valid.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Match {
    /// The rule it follows; never [`Rule::Either`].
    pub rule: Rule,
    /// Which secret it was made with, counted from 0.
    pub secret: usize,
    /// The header field it stood in.
    pub header: &'static str,
}
