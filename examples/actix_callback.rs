//! Callbacks inside actix-web. Try it as `axum_callback` says.

mod common;

use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Payload};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use idv_core::engine::Endpoint;
use idv_core::http::Headers;
use idv_host::Intake;
use std::error::Error;

async fn callback(state: Data<(Intake, Endpoint)>, request: HttpRequest, body: Payload) -> HttpResponse {
    let (intake, endpoint) = &**state;
    let fields: Vec<(&str, &[u8])> =
        request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let incoming = intake.begin(endpoint, request.method().as_str(), Headers(&fields), None);
    match incoming.body(body).await {
        Ok(answer) => {
            let status = StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            let mut response = HttpResponse::build(status);
            response.insert_header(("content-type", "text/plain"));
            if let Some(field) = answer.field() {
                response.insert_header(field);
            }
            response.body(answer.explanation())
        }
        Err(_) => HttpResponse::BadRequest().finish(),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let state = Data::new((common::intake(), common::endpoint()?));
    let listener = common::listen()?;
    let server =
        move || App::new().app_data(state.clone()).route("/callbacks/shufti", web::route().to(callback));
    Ok(actix_web::rt::System::new().block_on(HttpServer::new(server).workers(1).listen(listener)?.run())?)
}
