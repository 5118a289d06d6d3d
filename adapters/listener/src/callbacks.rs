//! The handler that receives callbacks: between this server and an intake.

use crate::config::Config;
use crate::reply::Reply;
use crate::request::Request;
use crate::server::Handler;
use http::{HeaderName, HeaderValue, StatusCode};
use idv_core::engine::Endpoint;
use idv_core::http::Headers;
use idv_core::receipt::Answer;
use idv_core::time::Span;
use idv_host::Intake;
use std::time::Duration;

/// How much later than an answer the server's own deadline is.
const MARGIN: Duration = Duration::from_millis(250);

/// Receives callbacks: a [`Handler`] that knows which endpoint answers which path. Queries are ignored; other paths are answered 404.
#[derive(Clone, Debug)]
pub struct Callbacks {
    intake: Intake,
    routes: Vec<(String, Endpoint)>,
}

impl Callbacks {
    /// Hands what arrives at each of these paths to `intake`.
    #[must_use]
    pub fn new(intake: Intake, routes: Vec<(String, Endpoint)>) -> Self {
        Self { intake, routes }
    }

    /// The same bounds, with a request deadline that never comes before that of an answer.
    #[must_use]
    pub fn bounds(&self, config: Config) -> Config {
        let deadlines = self.routes.iter().map(|(_, endpoint)| endpoint.policy.answer_within());
        let latest = deadlines.max().unwrap_or(Span::MIN).as_duration();
        Config { request_deadline: latest + MARGIN, ..config }
    }
}

impl Handler for Callbacks {
    fn handle(&self, request: Request) -> impl Future<Output = Reply> + Send + 'static {
        let path = request.head.path();
        let endpoint = self.routes.iter().find(|(route, _)| route == path).map(|(_, it)| it.clone());
        let intake = self.intake.clone();
        async move {
            match endpoint {
                Some(endpoint) => take(&intake, &endpoint, request).await,
                None => Reply::text(StatusCode::NOT_FOUND, "no callbacks are received at this path\n"),
            }
        }
    }
}

async fn take(intake: &Intake, endpoint: &Endpoint, request: Request) -> Reply {
    let Request { head, mut body } = request;
    // The receipt machine has the cap, and counts every chunk before it is kept.
    body.set_cap(u64::MAX);
    let (method, received_at) = (head.method.as_str(), Some(head.received_at));
    let incoming = intake.begin(endpoint, method, Headers(&head.fields()), received_at);
    match incoming.body(body).await {
        Ok(answer) => answer.into(),
        Err(problem) => problem.into(),
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        let status = StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let reply = match answer.explanation() {
            "" => Reply::new(status),
            explanation => Reply::text(status, format!("{explanation}\n")),
        };
        match answer.field() {
            Some((name, value)) => {
                reply.with_header(HeaderName::from_static(name), HeaderValue::from_static(value))
            }
            None => reply,
        }
    }
}
