//! The HTTP client on every runtime, against servers that behave and servers that do not: what it must do like the blocking one.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;
#[path = "../../ureq/tests/support/exchanges.rs"]
mod exchanges;

use common::support;
use exchanges::{Exchanges, exchanges};
use idv_async::{BadCertificates, Client, Failure, Options, Received, Runtime};
use idv_core::http::Request;
use idv_core::time::Span;

/// A client on a runtime that a thread waits in.
struct Waiting<R: Runtime, W> {
    client: Client<R>,
    within: W,
}

/// Runs a future to its end.
trait Within: Default {
    fn wait<F: Future>(&self, work: F) -> F::Output;
}

impl<R: Runtime + Default, W: Within> Exchanges for Waiting<R, W> {
    fn with(options: &Options) -> Result<Self, BadCertificates> {
        Ok(Self { client: Client::with_options(options)?, within: W::default() })
    }

    fn send(&self, request: &Request, within: Span) -> Result<Received, Failure> {
        self.within.wait(self.client.send(request, within))
    }
}

mod smol {
    use super::*;

    #[derive(Default)]
    struct OnSmol;

    impl Within for OnSmol {
        fn wait<F: Future>(&self, work: F) -> F::Output {
            ::smol::block_on(work)
        }
    }

    exchanges! { Waiting<idv_smol::Smol, OnSmol> }
}

mod async_std {
    use super::*;

    #[derive(Default)]
    struct OnAsyncStd;

    impl Within for OnAsyncStd {
        fn wait<F: Future>(&self, work: F) -> F::Output {
            ::async_std::task::block_on(work)
        }
    }

    exchanges! { Waiting<idv_async_std::AsyncStd, OnAsyncStd> }
}

mod tokio {
    use super::*;

    /// One runtime for all exchanges of a client, for its connections live in it.
    struct OnTokio(::tokio::runtime::Runtime);

    impl Default for OnTokio {
        fn default() -> Self {
            Self(::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap())
        }
    }

    impl Within for OnTokio {
        fn wait<F: Future>(&self, work: F) -> F::Output {
            self.0.block_on(work)
        }
    }

    exchanges! { Waiting<idv_tokio::Tokio, OnTokio> }
}
