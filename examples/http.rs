//! One HTTP exchange with ureq, as the engine asks for it.

use idv_core::evidence::FaultKind;
use idv_core::http::{Failure, Received, Request};
use idv_core::time::Span;
use std::error::Error;
use ureq::Agent;

/// Statuses are answers, redirects are not followed, and ureq is built without decompression: signatures cover the bytes as sent.
pub(crate) fn client() -> Agent {
    Agent::config_builder().http_status_as_error(false).max_redirects(0).build().new_agent()
}

/// Sends `request` as it stands.
pub(crate) fn send(client: &Agent, request: &Request, within: Span) -> Result<Received, Failure> {
    exchange(client, request, within).map_err(|error| {
        let timed_out = matches!(error.downcast_ref(), Some(ureq::Error::Timeout(_)));
        let kind = if timed_out { FaultKind::TimedOut } else { FaultKind::Unreachable };
        Failure { kind, diagnosis: error.to_string() }
    })
}

fn exchange(client: &Agent, request: &Request, within: Span) -> Result<Received, Box<dyn Error>> {
    let mut builder = ureq::http::Request::builder().method(request.method).uri(&request.url);
    for (name, value) in &request.headers {
        builder = builder.header(*name, value);
    }
    let request = builder.body(request.body.as_slice())?;
    let request = client.configure_request(request).timeout_global(Some(within.as_duration())).build();
    let mut answer = client.run(request)?;
    let field = |(name, value): (&ureq::http::HeaderName, &ureq::http::HeaderValue)| {
        (name.as_str().to_owned(), value.as_bytes().to_vec())
    };
    Ok(Received {
        status: answer.status().as_u16(),
        headers: answer.headers().iter().map(field).collect(),
        body: answer.body_mut().with_config().limit(16 << 20).read_to_vec()?,
    })
}
