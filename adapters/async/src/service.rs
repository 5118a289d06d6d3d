//! Callbacks inside somebody else's server, as a tower service.

use crate::driver::Driver;
use bytes::{Buf, Bytes};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyDataStream, Full};
use idv_core::engine::Endpoint;
use idv_core::http::Headers;
use idv_host::{AccountRef, DriverError, Intake, Runtime};
use idv_listener::{BodyError, Reply};
use std::convert::Infallible;
use std::fmt;
use std::task::{Context, Poll};
use std::time::Instant;
use tower_service::Service;

impl<R: Runtime> Driver<R> {
    /// A service that receives the callbacks of one account, whatever the path: for axum's `route_service` and other routers of tower.
    ///
    /// # Errors
    /// The account is not this driver's.
    pub fn service(&self, account: AccountRef) -> Result<CallbackService, DriverError> {
        let (intake, endpoint) = self.entrance(account)?;
        Ok(CallbackService { intake, endpoint })
    }
}

/// See [`Driver::service`]. The deadline of an answer counts from the call: what lies between you and the provider should be quick.
#[derive(Clone)]
pub struct CallbackService {
    intake: Intake,
    endpoint: Endpoint,
}

impl<B> Service<Request<B>> for CallbackService
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Send,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, body) = request.into_parts();
        let fields: Vec<_> =
            head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let (method, received_at) = (head.method.as_str(), Some(Instant::now()));
        let incoming = self.intake.begin(&self.endpoint, method, Headers(&fields), received_at);
        let pieces = BodyDataStream::new(body);
        let pieces = pieces.map(|piece| piece.map(|mut piece| piece.copy_to_bytes(piece.remaining())));
        async move {
            Ok(response(match incoming.body(pieces).await {
                Ok(answer) => answer.into(),
                Err(_) => BodyError::Incomplete.into(),
            }))
        }
        .boxed()
    }
}

fn response(reply: Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(reply.body().cloned().unwrap_or_default()));
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    response
}

impl fmt::Debug for CallbackService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CallbackService").field(&self.endpoint.provider.name()).finish()
    }
}
