//! The callback listener: an HTTP server of our own before the intake.

use crate::intake::{Endpoint, Intake};
use idv_core::http::Headers;
use idv_core::machine::Next;
use idv_core::receipt::Answer;
use idv_listener::{BodyError, Bytes, Handler, HeaderName, HeaderValue, Reply, Request, StatusCode};
use smol::Timer;
use smol::future::FutureExt;
use std::sync::Arc;
use std::time::Duration;

/// Which endpoint answers which path; queries are ignored.
pub(crate) struct Callbacks {
    pub(crate) intake: Intake,
    pub(crate) routes: Vec<(String, Arc<Endpoint>)>,
}

impl Handler for Callbacks {
    fn handle(&self, request: Request) -> impl Future<Output = Reply> + Send + 'static {
        let path = request.head.path();
        let endpoint =
            self.routes.iter().find(|(route, _)| route == path).map(|(_, endpoint)| Arc::clone(endpoint));
        let intake = self.intake.clone();
        async move {
            match endpoint {
                Some(endpoint) => take(&intake, &endpoint, request).await,
                None => Reply::text(StatusCode::NOT_FOUND, "no callbacks are received at this path\n"),
            }
        }
    }
}

/// What came first.
enum Event {
    Chunk(Result<Option<Bytes>, BodyError>),
    Answer(Option<Answer>),
    Due,
}

async fn take(intake: &Intake, endpoint: &Endpoint, request: Request) -> Reply {
    let Request { head, mut body } = request;
    // The receipt machine has the cap, and counts every chunk before it is kept.
    body.set_cap(u64::MAX);
    let (sender, answer) = smol::channel::bounded(1);
    let mut incoming = intake.begin(endpoint, intake.first_byte(Some(head.received_at)), move |answer| {
        let _ = sender.try_send(answer);
    });
    incoming.head(head.method.as_str(), Headers(&head.fields()), body.announced());
    while !incoming.is_answered() {
        let chunk = async { Event::Chunk(body.chunk().await) };
        match chunk.or(due(incoming.next(), intake)).await {
            Event::Chunk(Ok(Some(bytes))) => incoming.chunk(&bytes),
            Event::Chunk(Ok(None)) => {
                incoming.complete();
                break;
            }
            Event::Chunk(Err(problem)) => return problem.into(),
            Event::Due | Event::Answer(_) => incoming.tick(),
        }
    }
    loop {
        let answer = async { Event::Answer(answer.recv().await.ok()) };
        match answer.or(due(incoming.next(), intake)).await {
            Event::Answer(Some(answer)) => return reply(answer),
            // Nobody is left to answer; the listener's own deadline does.
            Event::Answer(None) => smol::future::pending().await,
            Event::Due | Event::Chunk(_) => incoming.tick(),
        }
    }
}

/// Ready when the receipt machine wants to be told the time.
async fn due(next: Next, intake: &Intake) -> Event {
    match next {
        Next::At(at) => {
            Timer::after(Duration::from_millis(at.since(intake.clock().now()))).await;
            Event::Due
        }
        Next::Input | Next::Over => smol::future::pending().await,
    }
}

fn reply(answer: Answer) -> Reply {
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
