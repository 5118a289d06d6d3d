//! Requests to ShareID, complete to the last byte.
//!
//! Bodies that carry credentials are written into a buffer that is large enough from the beginning, so that no copy is left behind.

use super::contract::{Flow, SESSION_DURATION_LEAST, SESSION_DURATION_MOST};
use crate::http::{
    BaseUrl, BaseUrlError, Request, bearer_authorization, json_string_bound, push_json_string,
};
use crate::secret::Secret;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt;
use serde_json::value::RawValue;

/// Asks for a fetch token.
pub(super) fn fetch_token(base: &BaseUrl, flow: Flow, credentials: Credentials<'_>, request: &mut Request) {
    request.begin_json_post(base, flow.fetch_token_path());
    let mut body = Members::begin(&mut request.body, credentials.bound());
    body.credentials(credentials);
    body.end();
}

/// Asks for the present state of the verification `id`.
pub(super) fn fetch(base: &BaseUrl, flow: Flow, id: &str, token: Option<&Secret>, request: &mut Request) {
    request.begin_json_post(base, flow.fetch_path());
    if let Some(token) = token {
        request.headers.push(("authorization", bearer_authorization(token)));
    }
    let mut body = Members::begin(&mut request.body, json_string_bound(id));
    body.text(flow.id_member(), id);
    body.end();
}

/// Asks for the start token of one user session.
pub(super) fn start(
    base: &BaseUrl,
    start: &Start<'_>,
    credentials: Credentials<'_>,
    request: &mut Request,
) -> Result<(), StartError> {
    start.check()?;
    request.begin_json_post(base, start.flow().start_path());
    let mut body = Members::begin(&mut request.body, credentials.bound().saturating_add(start.bound()));
    body.credentials(credentials);
    match start {
        Start::Onboarding(start) => {
            body.raw("customer_data", start.customer_data.unwrap_or("{}"));
            if let Some(methods) = start.methods {
                body.raw("methods", methods.as_json());
            }
            body.optional_text("callback", start.callback);
            body.flag("callback_with_document_capture", start.callback_with_document_capture);
            body.flag("advanced_verification", start.advanced_verification);
            if let Some(secs) = start.session_duration_secs {
                body.raw("session_duration", &secs.to_string());
            }
            if let Some(scopes) = start.restricted_business_scopes {
                body.raw("restricted_business_scopes", scopes);
            }
        }
        Start::Authenticate(start) => {
            body.text("applicant_id", start.applicant_id);
            body.optional_text("callback", start.callback);
        }
    }
    body.end();
    Ok(())
}

/// What ShareID issued to the business.
#[derive(Clone, Copy)]
pub(super) struct Credentials<'a> {
    pub(super) business_hash: &'a Secret,
    pub(super) api_key: &'a Secret,
}

impl<'a> Credentials<'a> {
    /// What must not be shown where an answer repeats it.
    pub(super) fn texts(self) -> [&'a str; 2] {
        [self.business_hash.reveal(), self.api_key.reveal()]
    }

    fn bound(self) -> usize {
        json_string_bound(self.business_hash.reveal())
            .saturating_add(json_string_bound(self.api_key.reveal()))
    }
}

/// The members of a JSON object, written one after the other.
struct Members<'a>(&'a mut Vec<u8>);

impl<'a> Members<'a> {
    /// `bound` is the most that the values can take; names and punctuation are far below the rest.
    fn begin(body: &'a mut Vec<u8>, bound: usize) -> Self {
        body.reserve(bound.saturating_add(512));
        body.push(b'{');
        Self(body)
    }

    fn name(&mut self, name: &str) {
        if self.0.last() != Some(&b'{') {
            self.0.push(b',');
        }
        push_json_string(self.0, name);
        self.0.push(b':');
    }

    fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        push_json_string(self.0, text);
    }

    fn optional_text(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    fn raw(&mut self, name: &str, json: &str) {
        self.name(name);
        self.0.extend_from_slice(json.as_bytes());
    }

    fn flag(&mut self, name: &str, set: bool) {
        if set {
            self.raw(name, "true");
        }
    }

    fn credentials(&mut self, credentials: Credentials<'_>) {
        self.text("business_hash", credentials.business_hash.reveal());
        self.text("api_key", credentials.api_key.reveal());
    }

    fn end(self) {
        self.0.push(b'}');
    }
}

/// What is asked for when a user session is started.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Start<'a> {
    /// A first check of person and document.
    Onboarding(StartOnboarding<'a>),
    /// A person who was onboarded comes again.
    Authenticate(StartAuthenticate<'a>),
}

/// The documented members of an onboarding's start (`get-a-token-onboarding`); what is left out takes ShareID's default.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct StartOnboarding<'a> {
    /// A JSON object of the application's own; comes back in the callback only, never in a fetch. ShareID demands the member: `{}` where
    /// nothing is given.
    pub customer_data: Option<&'a str>,
    /// Which checks to run.
    pub methods: Option<Methods>,
    /// Where the result is delivered; may have a query.
    pub callback: Option<&'a str>,
    /// Whether the callback carries images.
    pub callback_with_document_capture: bool,
    /// Whether the person meets more than one challenge; capture and analysis take longer.
    pub advanced_verification: bool,
    /// How long the user session may last, from 300 to 3600 seconds.
    pub session_duration_secs: Option<u32>,
    /// A JSON list that narrows countries and documents; its form is agreed with ShareID.
    pub restricted_business_scopes: Option<&'a str>,
}

/// Which checks an onboarding runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Methods {
    /// The document alone.
    Document,
    /// The face alone.
    Face,
    /// The document and the face.
    Both,
}

impl Methods {
    const fn as_json(self) -> &'static str {
        match self {
            Self::Document => r#"["doc"]"#,
            Self::Face => r#"["face"]"#,
            Self::Both => r#"["doc","face"]"#,
        }
    }
}

/// The documented members of an authentication's start (`get-a-token-authenticate`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StartAuthenticate<'a> {
    /// Who comes again.
    pub applicant_id: &'a str,
    /// Where the result is delivered; may have a query.
    pub callback: Option<&'a str>,
}

impl Start<'_> {
    /// The flow that is started.
    #[must_use]
    pub const fn flow(&self) -> Flow {
        match self {
            Self::Onboarding(_) => Flow::Onboarding,
            Self::Authenticate(_) => Flow::Authenticate,
        }
    }

    fn callback(&self) -> Option<&str> {
        match self {
            Self::Onboarding(start) => start.callback,
            Self::Authenticate(start) => start.callback,
        }
    }

    fn bound(&self) -> usize {
        let own = match self {
            Self::Onboarding(start) => {
                let raw = |json: Option<&str>| json.map_or(0, str::len);
                raw(start.customer_data).saturating_add(raw(start.restricted_business_scopes))
            }
            Self::Authenticate(start) => json_string_bound(start.applicant_id),
        };
        own.saturating_add(self.callback().map_or(0, json_string_bound))
    }

    fn check(&self) -> Result<(), StartError> {
        if let Some(callback) = self.callback() {
            let before_query = callback.split('?').next().unwrap_or_default();
            BaseUrl::parse(before_query).map_err(StartError::Callback)?;
            if !callback.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(StartError::Callback(BaseUrlError::Character));
            }
            if callback.contains('#') {
                return Err(StartError::Callback(BaseUrlError::Fragment));
            }
        }
        match self {
            Self::Authenticate(start) if start.applicant_id.is_empty() => Err(StartError::ApplicantId),
            Self::Authenticate(_) => Ok(()),
            Self::Onboarding(start) => {
                if start.customer_data.is_some_and(|json| !begins_json(json, '{')) {
                    return Err(StartError::CustomerData);
                }
                if start.restricted_business_scopes.is_some_and(|json| !begins_json(json, '[')) {
                    return Err(StartError::Scopes);
                }
                let range = SESSION_DURATION_LEAST.as_millis()..=SESSION_DURATION_MOST.as_millis();
                match start.session_duration_secs {
                    Some(secs) if !range.contains(&secs.saturating_mul(1_000)) => {
                        Err(StartError::SessionDuration)
                    }
                    Some(_) | None => Ok(()),
                }
            }
        }
    }
}

/// Whether the text is JSON and its value begins with `open`.
fn begins_json(text: &str, open: char) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok_and(|value| value.get().starts_with(open))
}

impl fmt::Debug for Start<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Onboarding(start) => start.fmt(f),
            Self::Authenticate(start) => start.fmt(f),
        }
    }
}

/// Says what is asked for; `customer_data` and the callback's query may be personal.
impl fmt::Debug for StartOnboarding<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartOnboarding")
            .field("methods", &self.methods)
            .field("callback", &self.callback.is_some())
            .field("callback_with_document_capture", &self.callback_with_document_capture)
            .field("advanced_verification", &self.advanced_verification)
            .field("session_duration_secs", &self.session_duration_secs)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for StartAuthenticate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartAuthenticate")
            .field("callback", &self.callback.is_some())
            .finish_non_exhaustive()
    }
}

/// What is wrong with a start.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The callback URL is none.
    Callback(BaseUrlError),
    /// `customer_data` is not a JSON object.
    CustomerData,
    /// `restricted_business_scopes` is not a JSON list.
    Scopes,
    /// The session's duration is out of range.
    SessionDuration,
    /// The applicant's id is empty.
    ApplicantId,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Callback(reason) => write!(f, "the callback URL cannot be used: {}", reason.reason()),
            Self::CustomerData => f.write_str("`customer_data` must be a JSON object; write `{}` for none"),
            Self::Scopes => f.write_str("`restricted_business_scopes` must be a JSON list"),
            Self::SessionDuration => f.write_str("`session_duration` must be from 300 to 3600 seconds"),
            Self::ApplicantId => {
                f.write_str("`applicant_id` is empty; use the one that the onboarding returned")
            }
        }
    }
}

impl core::error::Error for StartError {}
