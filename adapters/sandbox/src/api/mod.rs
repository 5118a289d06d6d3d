//! The providers' endpoints: what a call means and what it is answered.

pub(crate) mod shareid;
pub(crate) mod shufti;

use crate::scenario::AnswerFault;
use idv_listener::{HeaderMap, Method};
use std::time::Duration;

/// A call, complete.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

/// By this header field a caller chooses the scenario of a verification it creates.
pub(crate) const SCENARIO_HEADER: &str = "idv-scenario";

impl<'a> Call<'a> {
    pub(crate) fn field(self, name: &str) -> Option<&'a str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// A member of the body, where that is text.
    pub(crate) fn member(self, name: &str) -> Option<String> {
        let body: serde_json::Value = serde_json::from_slice(self.body).ok()?;
        body.get(name)?.as_str().map(str::to_owned)
    }

    /// What follows this scheme in `Authorization`; the scheme's case does not matter.
    pub(crate) fn authorization(self, scheme: &str) -> Option<&'a str> {
        let (given, credential) = self.field("authorization")?.split_once(' ')?;
        given.eq_ignore_ascii_case(scheme).then(|| credential.trim())
    }
}

/// What a call is answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) media_type: &'static str,
    pub(crate) body: Vec<u8>,
    /// The verification it is about.
    pub(crate) id: Option<String>,
    /// What it says, for the log.
    pub(crate) said: String,
    pub(crate) fault: Option<AnswerFault>,
    pub(crate) retry_after: Option<Duration>,
}

impl Answer {
    pub(crate) fn json(status: u16, said: impl Into<String>, body: Vec<u8>) -> Self {
        Self {
            status,
            media_type: "application/json",
            body,
            id: None,
            said: said.into(),
            fault: None,
            retry_after: None,
        }
    }

    /// None: the connection breaks before the call is taken in.
    pub(crate) fn unread(id: &str) -> Self {
        Self::json(0, "not taken in", Vec::new()).about(id).struck_by(Some(AnswerFault::Unread))
    }

    pub(crate) fn about(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    pub(crate) fn struck_by(mut self, fault: Option<AnswerFault>) -> Self {
        self.fault = fault;
        self
    }
}

/// Whether callbacks may be posted there: `http` or `https`, and on this computer unless the sandbox may go beyond.
pub(crate) fn is_allowed(url: &str, beyond_loopback: bool) -> bool {
    let Ok(uri) = url.parse::<idv_listener::Uri>() else { return false };
    let Some(host) = uri.host() else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback =
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    matches!(uri.scheme_str(), Some("http" | "https")) && (is_loopback || beyond_loopback)
}
