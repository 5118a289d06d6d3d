//! Whatever is dropped, and whenever: no hand-over is lost, no request goes on.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::fake::Fake;
use common::{on_every_runtime, soon};
use futures_util::future::join;
use idv_async::{Account, Client, Driver, DriverError, Runtime, SharedMemory};
use idv_core::store::Sessions;
use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

on_every_runtime! {
    g2_a_driver_dropped_at_any_point_loses_no_hand_over_and_leaves_no_request
    waiting_dropped_at_any_point_leaves_no_request
    g9_a_handle_dropped_at_any_point_leaves_a_driver_that_goes_on
}

/// Answers tokens and pulls in pieces, and knows how many connections are open.
struct Slow {
    base: String,
    open: Arc<AtomicUsize>,
}

impl Slow {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let open = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&open);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, counted) = (stream.unwrap(), Arc::clone(&counted));
                counted.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    while let Some(body) = read_body(&mut stream) {
                        let answer = if body.is_empty() {
                            "token".to_owned()
                        } else {
                            format!("id={body} verdict=accepted")
                        };
                        let answer =
                            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
                        let mut pieces = answer.as_bytes().chunks(30);
                        if !pieces.all(|piece| {
                            std::thread::sleep(Duration::from_millis(1));
                            stream.write_all(piece).is_ok()
                        }) {
                            break;
                        }
                    }
                    counted.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { base, open }
    }

    fn account(&self) -> Account {
        Account::new(Fake { base: self.base.clone(), tokens: true, signs: true }).unwrap()
    }

    async fn is_left_alone<R: Runtime + Default>(&self) {
        soon::<R, _>(async {
            while self.open.load(Ordering::SeqCst) > 0 {
                R::default().sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}

/// The body of one request; `None` at the end of the connection.
fn read_body(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).ok()?;
    String::from_utf8(body).ok()
}

/// Drops the future when it was polled this often; `None` then.
async fn dropped_after<F: Future>(polls: usize, work: F) -> Option<F::Output> {
    let mut work = pin!(work);
    let mut count = 0;
    poll_fn(|cx| {
        if count == polls {
            return Poll::Ready(None);
        }
        count += 1;
        work.as_mut().poll(cx).map(Some)
    })
    .await
}

fn confirmed(store: &SharedMemory) -> Option<u32> {
    store.clone().load(None, 10).unwrap().first().and_then(|session| session.confirmed)
}

/// What the application has: its change and the key, committed together.
#[derive(Clone, Default)]
struct Application {
    has: Arc<Mutex<BTreeSet<(String, u32)>>>,
    asked: Arc<AtomicUsize>,
}

/// A driver that hands over to `application`, and its task.
async fn driver<R: Runtime + Default>(
    server: &Slow,
    store: &SharedMemory,
    application: &Application,
) -> (Driver<R>, idv_async::AccountRef, impl Future<Output = ()> + Send + 'static) {
    let mut builder = Driver::<R>::builder();
    let account = builder.account(server.account());
    let application = application.clone();
    builder.store(store.clone()).on_revision(move |revision| {
        let application = application.clone();
        async move {
            application.asked.fetch_add(1, Ordering::SeqCst);
            R::default().sleep(Duration::from_millis(1)).await;
            application.has.lock().unwrap().insert((revision.id.to_string(), revision.number));
            R::default().sleep(Duration::from_millis(1)).await;
            Ok(())
        }
    });
    let (driver, task) = builder.prepare().await.unwrap();
    (driver, account, task)
}

async fn until_confirmed<R: Runtime + Default>(store: &SharedMemory) {
    while confirmed(store) != Some(1) {
        R::default().sleep(Duration::from_millis(1)).await;
    }
}

async fn g2_a_driver_dropped_at_any_point_loses_no_hand_over_and_leaves_no_request<R: Runtime + Default>() {
    let server = Slow::start();
    for polls in 0.. {
        let (store, application) = (SharedMemory::default(), Application::default());
        let (first, account, task) = driver::<R>(&server, &store, &application).await;
        let opening = async {
            first.open(account, "ab-1").await.unwrap();
            until_confirmed::<R>(&store).await;
        };
        let whole = dropped_after(polls, async {
            futures_util::future::select(pin!(task), pin!(opening)).await;
        })
        .await;
        drop(first);
        server.is_left_alone::<R>().await;
        let (was_confirmed, asked) = (confirmed(&store), application.asked.load(Ordering::SeqCst));

        let second = loop {
            let (second, account, task) = driver::<R>(&server, &store, &application).await;
            R::default().spawn(task);
            match second.open(account, "ab-1").await {
                // Known already where the first came to save it.
                Ok(_) | Err(DriverError::Open(_)) => break second,
                // The store was still at the first one's opening: as the error says, the next driver on it takes that over.
                Err(DriverError::Stored) => soon::<R, _>(second.stop()).await,
                Err(other) => panic!("{other}"),
            }
        };
        soon::<R, _>(until_confirmed::<R>(&store)).await;
        assert_eq!(*application.has.lock().unwrap(), BTreeSet::from([("ab-1".to_owned(), 1)]));
        soon::<R, _>(second.stop()).await;
        if was_confirmed.is_some() {
            assert_eq!(application.asked.load(Ordering::SeqCst), asked, "what was confirmed is not repeated");
        }
        if whole.is_some() {
            assert!(polls > 10, "it hardly ever waited");
            break;
        }
    }
}

async fn waiting_dropped_at_any_point_leaves_no_request<R: Runtime + Default>() {
    let server = Slow::start();
    for polls in 0.. {
        let client = Client::<R>::new();
        let waiting = idv_async::wait(server.account(), "ab-1", &client);
        if let Some(outcome) = dropped_after(polls, waiting).await {
            assert_eq!(outcome.unwrap().number, 1);
            break;
        }
        drop(client);
        server.is_left_alone::<R>().await;
    }
}

async fn g9_a_handle_dropped_at_any_point_leaves_a_driver_that_goes_on<R: Runtime + Default>() {
    let server = Slow::start();
    let (store, application) = (SharedMemory::default(), Application::default());
    let (driver, account, task) = driver::<R>(&server, &store, &application).await;
    let scenario = async {
        let mut opened = 0;
        for polls in 0..20 {
            let id = format!("ab-{polls}");
            if dropped_after(polls, driver.open(account, &id)).await.is_none() {
                // Either it was asked for, and then it is open, or it was not.
                match driver.open(account, &id).await {
                    Ok(_) | Err(DriverError::Open(_)) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            opened += 1;
        }
        soon::<R, _>(async {
            while application.has.lock().unwrap().len() < opened {
                R::default().sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        dropped_after(1, driver.stop()).await;
    };
    soon::<R, _>(join(scenario, task)).await;
    assert_eq!(application.asked.load(Ordering::SeqCst), 20, "each was handed over once");
    drop(driver);
    server.is_left_alone::<R>().await;
}
