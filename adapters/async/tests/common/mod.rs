//! Every case on every runtime, and a driver whose revisions and events can be waited for.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    unused_macros,
    reason = "each test binary uses its own part"
)]

#[path = "../../../ureq/tests/support/fake.rs"]
pub mod fake;
#[path = "../../../ureq/tests/support/mod.rs"]
pub mod support;

use async_channel::Receiver;
use fake::Fake;
use futures_util::future::{Either, select};
use idv_async::{Account, AccountRef, Builder, Driver, Event, Revision, Runtime};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{Server, Stream, answer};

/// Makes a test of each case for each runtime.
macro_rules! on_every_runtime {
    ($($case:ident)*) => {
        mod smol {
            $(#[test] fn $case() { smol::block_on(super::$case::<idv_smol::Smol>()); })*
        }
        mod async_std {
            $(#[test] fn $case() { async_std::task::block_on(super::$case::<idv_async_std::AsyncStd>()); })*
        }
        mod tokio {
            $(#[test] fn $case() {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(super::$case::<idv_tokio::Tokio>());
            })*
        }
    };
}
pub(crate) use on_every_runtime;

/// Long enough never to matter on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub const ACCEPTED: &str = "id=ab-1 verdict=accepted";
pub const DECLINED: &str = "id=ab-1 verdict=declined";

/// The outcome, unless it takes longer.
pub async fn within<R: Runtime + Default, F: Future>(limit: Duration, work: F) -> Option<F::Output> {
    match select(pin!(work), pin!(R::default().sleep(limit))).await {
        Either::Left((outcome, _)) => Some(outcome),
        Either::Right(_) => None,
    }
}

/// Waits for what must come.
pub async fn soon<R: Runtime + Default, F: Future>(work: F) -> F::Output {
    within::<R, F>(PATIENCE, work).await.expect("it does not come")
}

/// Answers pulls from a script for each id, the last line again and again; an empty line is 404.
#[derive(Clone, Default)]
pub struct Script(Arc<Mutex<BTreeMap<String, Vec<String>>>>);

impl Script {
    pub fn new(lines: &[(&str, &[&str])]) -> Self {
        let script = Self::default();
        for (id, lines) in lines {
            script.set(id, lines);
        }
        script
    }

    pub fn set(&self, id: &str, lines: &[&str]) {
        let lines = lines.iter().rev().map(|line| (*line).to_owned()).collect();
        self.0.lock().unwrap().insert(id.to_owned(), lines);
    }

    pub fn play(&self, request: &[u8], stream: &mut dyn Stream) -> bool {
        let text = String::from_utf8_lossy(request);
        let id = text.split("\r\n\r\n").nth(1).unwrap();
        let line = match self.0.lock().unwrap().get_mut(id) {
            Some(lines) if lines.len() > 1 => lines.pop().unwrap(),
            Some(lines) => lines.last().cloned().unwrap_or_default(),
            None => String::new(),
        };
        let status = if line.is_empty() { "404 Not Found" } else { "200 OK" };
        answer(stream, status, "", line.as_bytes());
        true
    }

    pub fn serve(&self) -> Server {
        let script = self.clone();
        Server::new(move |request, stream| script.play(request, stream))
    }
}

pub fn provider(server: &Server) -> Fake {
    Fake { base: server.url(""), tokens: false, signs: true }
}

/// A driver whose revisions and events come out of channels.
pub struct World<R: Runtime> {
    pub driver: Driver<R>,
    pub account: AccountRef,
    pub revisions: Receiver<Revision>,
    pub events: Receiver<Event>,
}

impl<R: Runtime + Default> World<R> {
    pub async fn new(server: &Server) -> Self {
        Self::with(provider(server), |_| ()).await
    }

    pub async fn with(fake: Fake, change: impl FnOnce(&mut Builder<R>)) -> Self {
        let (to_revisions, revisions) = async_channel::unbounded();
        let (to_events, events) = async_channel::unbounded();
        let mut builder = Driver::<R>::builder();
        let account = builder.account(Account::new(fake).unwrap());
        builder
            .on_revision(move |revision| {
                let to_revisions = to_revisions.clone();
                async move {
                    let _ = to_revisions.send(revision).await;
                    Ok(())
                }
            })
            .on_event(move |event| {
                let _ = to_events.try_send(event.clone());
            });
        change(&mut builder);
        Self { driver: builder.start().await.unwrap(), account, revisions, events }
    }

    pub async fn revision(&self) -> Revision {
        soon::<R, _>(self.revisions.recv()).await.unwrap()
    }

    pub async fn event<T>(&self, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        soon::<R, _>(async {
            loop {
                if let Some(found) = wanted(&self.events.recv().await.unwrap()) {
                    return found;
                }
            }
        })
        .await
    }
}
