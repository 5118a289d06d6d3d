//! Every call to Shufti Pro, written complete into the caller's request.
//!
//! Source: developers.shuftipro.com, verification endpoints, requests.

use super::contract;
use crate::http::{
    BaseUrl, Request, basic_authorization, bearer_authorization, json_string_bound, push_json_string,
};
use crate::secret::Secret;
use alloc::string::String;
use core::fmt;
use core::ops::RangeInclusive;

/// What a call identifies itself with.
#[derive(Clone, Copy, Debug)]
pub enum Credentials<'a> {
    /// HTTP Basic with the client's id and its secret key.
    Basic(&'a str, &'a Secret),
    /// A single-use access token.
    AccessToken(&'a Secret),
}

/// An id for a new verification: 6 to 250 characters, to be used once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Reference<'a>(&'a str);

impl<'a> Reference<'a> {
    /// Checks the length of `text`.
    ///
    /// # Errors
    /// It is shorter or longer than the provider takes.
    pub fn new(text: &'a str) -> Result<Self, WrongLength> {
        WrongLength::check("reference", text, contract::REFERENCE_LENGTH)?;
        Ok(Self(text))
    }

    /// The id.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

/// A text that is shorter or longer than the provider takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WrongLength {
    /// The parameter.
    pub parameter: &'static str,
    /// Its length in characters.
    pub length: usize,
    /// The lengths that the provider takes.
    pub allowed: RangeInclusive<usize>,
}

impl WrongLength {
    fn check(parameter: &'static str, text: &str, allowed: RangeInclusive<usize>) -> Result<(), Self> {
        let length = text.chars().count();
        if allowed.contains(&length) { Ok(()) } else { Err(Self { parameter, length, allowed }) }
    }
}

impl fmt::Display for WrongLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = (self.allowed.start(), self.allowed.end());
        write!(f, "`{}` has {} characters, expected {least} to {most}", self.parameter, self.length)
    }
}

impl core::error::Error for WrongLength {}

/// Creates a verification from `body`, a JSON object of the caller's with its `reference`, sent as it stands.
pub fn verify(base: &BaseUrl, credentials: Option<Credentials<'_>>, body: &[u8], request: &mut Request) {
    begin("POST", base, contract::VERIFY_PATH, credentials, request);
    request.body.extend_from_slice(body);
}

/// Asks for the present state of a verification. Any id can be asked for.
pub fn status(base: &BaseUrl, credentials: Option<Credentials<'_>>, reference: &str, request: &mut Request) {
    begin("POST", base, contract::STATUS_PATH, credentials, request);
    push_members(&[("reference", reference)], request);
}

/// Deletes a verification and its data, for good. `comment` says why: 5 to 200 characters.
///
/// # Errors
/// `comment` is shorter or longer than the provider takes; the request is then left as it was.
pub fn delete(
    base: &BaseUrl,
    credentials: Option<Credentials<'_>>,
    reference: Reference<'_>,
    comment: &str,
    request: &mut Request,
) -> Result<(), WrongLength> {
    WrongLength::check("comment", comment, contract::COMMENT_LENGTH)?;
    begin("POST", base, contract::DELETE_PATH, credentials, request);
    push_members(&[("reference", reference.as_str()), ("comment", comment)], request);
    Ok(())
}

/// Asks for a single-use access token.
pub fn access_token(base: &BaseUrl, client_id: &str, secret: &Secret, request: &mut Request) {
    begin("POST", base, contract::ACCESS_TOKEN_PATH, Some(Credentials::Basic(client_id, secret)), request);
}

/// Asks for the account's name, mode and balance.
pub fn account_info(base: &BaseUrl, credentials: Option<Credentials<'_>>, request: &mut Request) {
    begin("GET", base, contract::ACCOUNT_INFO_PATH, credentials, request);
}

/// Asks for every declined code with its description.
pub fn decline_reasons(base: &BaseUrl, credentials: Option<Credentials<'_>>, request: &mut Request) {
    begin("GET", base, contract::DECLINE_REASONS_PATH, credentials, request);
}

fn begin(
    method: &'static str,
    base: &BaseUrl,
    path: &str,
    credentials: Option<Credentials<'_>>,
    request: &mut Request,
) {
    request.clear();
    request.method = method;
    base.join(path, &mut request.url);
    request.headers.push(("accept", String::from("application/json")));
    // The signature covers the bytes as the provider made them.
    request.headers.push(("accept-encoding", String::from("identity")));
    if method == "POST" {
        request.headers.push(("content-type", String::from("application/json")));
    }
    let authorization = credentials.map(|credentials| match credentials {
        Credentials::Basic(client_id, secret) => basic_authorization(client_id, secret),
        Credentials::AccessToken(token) => bearer_authorization(token),
    });
    request.headers.extend(authorization.map(|value| ("authorization", value)));
}

fn push_members(members: &[(&'static str, &str)], request: &mut Request) {
    // Beside each name and value: two quotes, a colon, and a comma or the opening bracket.
    let bound: usize = members.iter().map(|(name, value)| name.len() + json_string_bound(value) + 4).sum();
    request.body.reserve(bound + 1);
    let mut before = b'{';
    for (name, value) in members {
        request.body.push(before);
        push_json_string(&mut request.body, name);
        request.body.push(b':');
        push_json_string(&mut request.body, value);
        before = b',';
    }
    request.body.push(b'}');
}
