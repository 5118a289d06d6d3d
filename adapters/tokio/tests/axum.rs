//! Callbacks inside an axum router, through its own types.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode};
use idv_core::secret::Secret;
use idv_core::shufti::{
    self,
    signature::{Rule, sign},
};
use idv_core::store::Journal;
use idv_tokio::{Account, Driver, SharedMemory};
use std::pin::Pin;
use std::task::{Context, Poll};
use tower_service::Service;

const SECRET: &str = "shufti-secret";

async fn ask(router: &mut Router, request: Request<Body>) -> (StatusCode, Vec<u8>) {
    let (head, mut body) = router.call(request).await.unwrap().into_parts();
    let mut text = Vec::new();
    while let Some(frame) =
        std::future::poll_fn(|cx| axum::body::HttpBody::poll_frame(Pin::new(&mut body), cx)).await
    {
        text.extend_from_slice(&frame.unwrap().into_data().unwrap());
    }
    (head.status, text)
}

fn callback(path: &str, signature: &str, body: Body) -> Request<Body> {
    let request =
        Request::post(path).header("content-type", "application/json").header("signature", signature);
    request.body(body).unwrap()
}

/// A body in two pieces, of which the second breaks off where it is told to.
struct Pieces(Vec<Result<&'static [u8], std::io::Error>>);

impl axum::body::HttpBody for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(
            self.0.pop().map(|piece| piece.map(|bytes| http_body::Frame::data(Bytes::from_static(bytes)))),
        )
    }
}

#[test]
fn g5_a_callback_in_an_axum_router_is_answered_200_once_it_is_recorded() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(route());
}

async fn route() {
    let store = SharedMemory::default();
    let mut builder = Driver::builder();
    let account = shufti::Account::builder("client", Secret::from(SECRET)).build().unwrap();
    let account = builder.account(Account::new(account).unwrap());
    builder.store(store.clone());
    let driver = builder.start().await.unwrap();
    let mut router: Router =
        Router::new().route_service("/callbacks/shufti", driver.service(account).unwrap());
    let recorded = || store.clone().unapplied(0, 10).unwrap().len();

    let body: &[u8] = br#"{"reference":"order-1","event":"verification.accepted"}"#;
    let signature = sign(Rule::After, &Secret::from(SECRET), body);
    let genuine = callback("/callbacks/shufti?x=1", &signature, Body::from(body));
    assert_eq!(ask(&mut router, genuine).await, (StatusCode::OK, Vec::new()));
    assert_eq!(recorded(), 1);

    let forged = callback("/callbacks/shufti", "forged", Body::from(body));
    let (status, explanation) = ask(&mut router, forged).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(String::from_utf8(explanation).unwrap().contains("signature"));

    let get = Request::get("/callbacks/shufti").body(Body::empty()).unwrap();
    assert_eq!(ask(&mut router, get).await.0, StatusCode::METHOD_NOT_ALLOWED);

    let (first, second) = body.split_at(20);
    let (first, second): (&'static [u8], &'static [u8]) = (first, second);
    let whole = Body::new(Pieces(vec![Ok(second), Ok(first)]));
    assert_eq!(ask(&mut router, callback("/callbacks/shufti", &signature, whole)).await.0, StatusCode::OK);
    let broken = Body::new(Pieces(vec![Err(std::io::ErrorKind::ConnectionReset.into()), Ok(first)]));
    assert_eq!(
        ask(&mut router, callback("/callbacks/shufti", &signature, broken)).await.0,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(recorded(), 1, "the same bytes again, and half of them");
    driver.stop().await;
}
