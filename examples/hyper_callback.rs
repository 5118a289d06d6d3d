//! Callbacks inside a plain hyper service, here on smol. Try it as `axum_callback` says.

mod common;

use http_body_util::{BodyDataStream, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use idv_core::engine::Endpoint;
use idv_core::http::Headers;
use idv_host::Intake;
use smol::{Async, Executor};
use smol_hyper::rt::{FuturesIo, SmolTimer};
use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

async fn callback(
    intake: &Intake,
    endpoint: &Endpoint,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let fields: Vec<(&str, &[u8])> =
        head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let incoming = intake.begin(endpoint, head.method.as_str(), Headers(&fields), None);
    let answer = incoming.body(BodyDataStream::new(body)).await?;
    let response = Response::builder().status(answer.status());
    let response = answer.field().into_iter().fold(response, |it, (name, value)| it.header(name, value));
    Ok(response.body(Full::from(answer.explanation())).unwrap_or_default())
}

fn main() -> Result<(), Box<dyn Error>> {
    let (intake, endpoint) = (common::intake(), common::endpoint()?);
    let listener = Async::<std::net::TcpListener>::try_from(common::listen()?)?;
    let executor = Executor::new();
    let accept = async {
        loop {
            let (stream, _) = listener.accept().await?;
            let service = service_fn(|request| callback(&intake, &endpoint, request));
            let serve = hyper::server::conn::http1::Builder::new()
                .timer(SmolTimer::new())
                .header_read_timeout(Duration::from_secs(2))
                .serve_connection(FuturesIo::new(stream), service);
            executor
                .spawn(async {
                    if let Err(error) = serve.await {
                        eprintln!("{error}");
                    }
                })
                .detach();
        }
    };
    let failed: Result<Infallible, std::io::Error> = smol::block_on(executor.run(accept));
    Ok(failed.map(|never| match never {})?)
}
