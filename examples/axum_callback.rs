//! Callbacks inside axum.
//!
//! ```text
//! IDV_SHUFTI_SECRET_KEY=secret cargo run -p idv-examples --bin axum_callback
//! body='{"reference":"order-1","event":"verification.accepted"}'
//! signature=$(printf %s "$body"secret | sha256sum | cut -c1-64)
//! curl -i -H "signature: $signature" -H 'content-type: application/json' -d "$body" http://127.0.0.1:8787/callbacks/shufti
//! ```
//!
//! `axum::serve` gives a slow head no deadline; behind a proxy, or with hyper's own connection builder, that is mended.

mod common;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use idv_core::engine::Endpoint;
use idv_core::http::Headers;
use idv_host::Intake;
use std::error::Error;

async fn callback(State((intake, endpoint)): State<(Intake, Endpoint)>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let fields: Vec<(&str, &[u8])> =
        head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let incoming = intake.begin(&endpoint, head.method.as_str(), Headers(&fields), None);
    match incoming.body(body.into_data_stream()).await {
        Ok(answer) => {
            let response = Response::builder().status(answer.status());
            let response =
                answer.field().into_iter().fold(response, |it, (name, value)| it.header(name, value));
            response.body(Body::from(answer.explanation())).unwrap_or_default()
        }
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let routes = Router::new()
        .route("/callbacks/shufti", any(callback))
        .with_state((common::intake(), common::endpoint()?));
    let listener = common::listen()?;
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?
        .block_on(async { Ok(axum::serve(tokio::net::TcpListener::from_std(listener)?, routes).await?) })
}
