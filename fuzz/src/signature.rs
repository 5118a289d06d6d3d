//! Shufti's signature, against the hash of body and secret put together in one piece.
//!
//! An input is bytes: the rule, the secrets, the header fields, how the body is cut, and the body. Every input is one.

use crate::message::signature;
use idv_core::http::Headers;
use idv_core::secret::Secret;
use idv_core::shufti::explain::{Finding, explain};
use idv_core::shufti::signature::{Match, Outcome, Rule, UnusableSecret, Verification, Verifier, sign};
use sha2::{Digest, Sha256};

/// Checks the body in pieces and in one, and explains what came of it.
///
/// # Panics
/// A property is broken.
pub fn holds(input: &[u8]) {
    let mut input = Input(input);
    let rule = [Rule::Either, Rule::Before, Rule::After][input.below(3)];
    let secrets: Vec<String> = (0..input.below(4)).map(|_| input.text(80)).collect();
    let drawn: Vec<Drawn> =
        (0..input.below(7)).map(|_| (input.byte(), input.byte(), input.text(70))).collect();
    let cuts: Vec<usize> = (0..input.below(8)).map(|_| usize::from(input.byte())).collect();
    let body = input.0;
    let fields = fields(&drawn, &secrets, body);
    let fields: Vec<(&str, &[u8])> = fields.iter().map(|(name, value)| (*name, value.as_slice())).collect();

    let given = secrets.iter().map(|secret| Secret::from(secret.as_str())).collect();
    let verifier = match (Verifier::new(rule, given), secrets.iter().position(String::is_empty)) {
        (Ok(verifier), None) if !secrets.is_empty() => verifier,
        (Err(UnusableSecret::None), None) => return assert!(secrets.is_empty(), "there are secrets"),
        (Err(UnusableSecret::Empty { index }), Some(first)) => return assert_eq!(index, first),
        (taken, empty) => panic!("{taken:?}, and the first empty secret is {empty:?}"),
    };
    for rule in [Rule::Before, Rule::After] {
        let secret = Secret::from(secrets[0].as_str());
        assert_eq!(sign(rule, &secret, body), naive(rule, &secrets[0], body), "signed as documented");
    }

    let whole = verifier.check(Headers(&fields), body);
    let mut check = verifier.begin(Headers(&fields));
    let mut rest = body;
    for cut in cuts {
        let (chunk, left) = rest.split_at(cut.min(rest.len()));
        check.update(chunk);
        rest = left;
    }
    check.update(rest);
    assert_eq!(check.finish(), whole, "how the body is cut into chunks changes nothing");
    assert_eq!(whole.digest[..], Sha256::digest(body)[..], "the digest is of the raw body");
    let claims = Claims::of(&fields);
    assert_eq!(whole.outcome, claims.expected(rule, &secrets, body));
    assert_eq!(whole.is_odd, claims.is_odd(), "whether the header fields are as they should be");
    discreet(rule, &drawn, &secrets, body, &whole);
    for (_, value) in fields.iter().take(2) {
        explained_rightly(&verifier, &secrets, &String::from_utf8_lossy(value), body);
    }
}

/// A header field as drawn: which name, which form, and a text for forms that need one.
type Drawn = (u8, u8, String);

fn fields(drawn: &[Drawn], secrets: &[String], body: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let field = |(name, form, text): &Drawn| {
        (NAMES[usize::from(*name) % NAMES.len()], value(*form, text, secrets, body))
    };
    drawn.iter().map(field).collect()
}

/// What is left of an input.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    /// A text of up to `most` bytes before what is not UTF-8 is replaced.
    fn text(&mut self, most: usize) -> String {
        let length = self.below(most + 1).min(self.0.len());
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8_lossy(text).into_owned()
    }
}

const NAMES: [&str; 6] =
    ["Signature", "signature", "SP_Signature", "sp_signature", "SIGNATURE", "x-signature"];

/// The value of a header field: in most forms made from a right signature, for no fuzzer finds one by itself.
fn value(form: u8, text: &str, secrets: &[String], body: &[u8]) -> Vec<u8> {
    let of = usize::from(form / 32);
    let rule = if of.is_multiple_of(2) { Rule::Before } else { Rule::After };
    let secret = secrets.get(of / 2 % secrets.len().max(1)).map_or("", String::as_str);
    let right = naive(rule, secret, body);
    match form % 10 {
        0..=2 => right,
        3 => right.to_ascii_uppercase(),
        4 => format!(" \t{right} "),
        5 => format!("{right}, {}", naive(Rule::After, secret, body)),
        6 => format!("{text},{right}"),
        7 => format!("sha256={right}"),
        8 => {
            let at = text.len() % 64;
            let other = if right.as_bytes()[at] == b'0' { "1" } else { "0" };
            format!("{}{other}{}", &right[..at], &right[at + 1..])
        }
        _ => text.to_owned(),
    }
    .into_bytes()
}

/// The rule as the documents write it: everything in one piece, hashed at once.
fn naive(rule: Rule, secret: &str, body: &[u8]) -> String {
    match rule {
        Rule::Before => signature(body, secret.as_bytes()),
        Rule::After | Rule::Either => signature(body, hex::encode(Sha256::digest(secret)).as_bytes()),
    }
}

/// Every rule that `rule` accepts.
fn accepted(rule: Rule) -> &'static [Rule] {
    match rule {
        Rule::Before => &[Rule::Before],
        Rule::After => &[Rule::After],
        Rule::Either => &[Rule::After, Rule::Before],
    }
}

/// The signatures that header fields show, each with its field, `None` for what is none.
struct Claims(Vec<(&'static str, Option<String>, bool)>);

impl Claims {
    fn of(fields: &[(&str, &[u8])]) -> Self {
        let mut claims = Vec::new();
        for name in ["signature", "sp_signature"] {
            for (_, value) in fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name)) {
                for part in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    let text = String::from_utf8_lossy(part).into_owned();
                    let is_one = part.len() == 64 && part.iter().all(u8::is_ascii_hexdigit);
                    let is_upper = is_one && part.iter().any(u8::is_ascii_uppercase);
                    claims.push((name, is_one.then(|| text.to_ascii_lowercase()), is_upper));
                }
            }
        }
        Self(claims)
    }

    /// The first four that could be one are looked at.
    fn read(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().filter_map(|(name, claim, _)| Some((*name, claim.as_deref()?))).take(4)
    }

    fn expected(&self, rule: Rule, secrets: &[String], body: &[u8]) -> Outcome {
        if self.0.is_empty() {
            return Outcome::Missing;
        }
        let matching = |(header, claim): (&'static str, &str)| {
            secrets.iter().enumerate().find_map(|(secret, text)| {
                let rule = accepted(rule).iter().find(|rule| naive(**rule, text, body) == claim)?;
                Some(Match { rule: *rule, secret, header })
            })
        };
        match self.read().find_map(matching) {
            Some(matched) if !body.is_empty() => Outcome::Valid(matched),
            Some(_) | None => Outcome::Wrong,
        }
    }

    fn is_odd(&self) -> bool {
        let mut read = self.read().map(|(_, claim)| claim);
        let first = read.next();
        let differ = read.any(|claim| Some(claim) != first);
        let any = |is_so: fn(&(&str, Option<String>, bool)) -> bool| self.0.iter().any(is_so);
        let too_many = self.0.iter().filter(|(_, claim, _)| claim.is_some()).count() > 4;
        differ || too_many || any(|(_, claim, _)| claim.is_none()) || any(|(_, _, is_upper)| *is_upper)
    }
}

/// G10: what is said about it tells which secret it was, and is the same whatever that secret is.
fn discreet(rule: Rule, drawn: &[Drawn], secrets: &[String], body: &[u8], verification: &Verification) {
    assert!(!verification.remark.chars().any(char::is_control), "the remark is one line");
    if drawn.iter().any(|(_, _, text)| text.len() >= 64) {
        // A signature that was drawn as it stands is right for one secret only.
        return;
    }
    let others: Vec<String> = secrets.iter().map(|secret| format!("{secret}, another")).collect();
    let given = others.iter().map(|secret| Secret::from(secret.as_str())).collect();
    let fields = fields(drawn, &others, body);
    let fields: Vec<(&str, &[u8])> = fields.iter().map(|(name, value)| (*name, value.as_slice())).collect();
    let verifier = Verifier::new(rule, given).expect("no secret is empty");
    let other = verifier.check(Headers(&fields), body);
    let is_the_same = (other.outcome, other.is_odd) == (verification.outcome, verification.is_odd);
    // A wrong signature may follow the other rule under one of them, and be none under the other.
    if is_the_same && !matches!(other.outcome, Outcome::Wrong) {
        assert_eq!(other.remark, verification.remark, "G10: what is said depends on the secret");
    }
}

/// The explanation calls valid what is valid, and nothing else.
fn explained_rightly(verifier: &Verifier, secrets: &[String], given: &str, body: &[u8]) {
    if body.len() > 600 {
        // It tries some hundred bodies.
        return;
    }
    let finding = explain(verifier, given, body);
    let claim = given.trim();
    let fields = [("signature", claim.as_bytes())];
    let is_valid = match Claims::of(&fields).expected(verifier.rule(), secrets, body) {
        // A list is no signature.
        Outcome::Valid(_) => !claim.contains(','),
        Outcome::Wrong | Outcome::Missing => false,
    };
    assert_eq!(matches!(finding, Finding::Valid { .. }), is_valid, "{finding} of {claim:?}");
    if let Finding::Fits { changes, .. } = &finding {
        assert!(!changes.is_empty(), "says what must change");
    }
    assert!(!finding.to_string().is_empty());
}
