//! What becomes of the connections that a client keeps: used again, found closed, left half-way.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "../../ureq/tests/support/mod.rs"]
mod support;

use idv_async::{Client, Transport};
use idv_core::evidence::FaultKind;
use idv_smol::Smol;
use std::future::{Future, poll_fn};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::mpsc::{Receiver, channel};
use std::task::Poll;
use std::time::Duration;
use support::{AMPLE, Server, get, post};

/// A server whose every connection answers one request, and hangs up at the next.
struct HangsUp {
    address: SocketAddr,
    requests: Receiver<String>,
}

fn hangs_up_at_the_second() -> HangsUp {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (told, requests) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            for answered in [true, false] {
                let Some(request) = read_head(&mut stream) else { break };
                let _ = told.send(request.lines().next().unwrap().to_owned());
                if answered {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
                }
            }
        }
    });
    HangsUp { address, requests }
}

fn read_head(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

/// A request without a body, so that the little server above need not read one.
fn empty_post(url: &str) -> idv_core::http::Request {
    let mut request = post(url, b"");
    request.headers.clear();
    request
}

#[test]
fn g7_only_a_get_is_repeated_where_a_kept_connection_was_closed() {
    smol::block_on(async {
        for (safe, by_driver) in [(true, false), (false, false), (true, true), (false, true)] {
            let server = hangs_up_at_the_second();
            let url = format!("http://{}/", server.address);
            let request = if safe { get(&url) } else { empty_post(&url) };
            let client = Client::<Smol>::new();
            let as_driver: &dyn Transport = &client;
            let mut outcomes = Vec::new();
            for _ in 0..2 {
                outcomes.push(match by_driver {
                    true => as_driver.send(&request, AMPLE).await,
                    false => client.send(&request, AMPLE).await,
                });
            }
            assert_eq!(outcomes[0].as_ref().unwrap().status, 200);
            match &outcomes[1] {
                Ok(received) => assert!(safe && received.status == 200),
                Err(failure) => {
                    assert!(!safe, "{failure}");
                    assert_eq!(failure.kind, FaultKind::Unreachable, "{failure}");
                }
            }
            let requests = server.requests.try_iter().count();
            assert_eq!(requests, if safe { 3 } else { 2 }, "by a driver: {by_driver}");
        }
    });
}

#[test]
fn a_connection_that_was_closed_while_it_was_idle_is_not_used() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (closed, closings) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            read_head(&mut stream).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
            stream.shutdown(std::net::Shutdown::Both).unwrap();
            closed.send(()).unwrap();
        }
    });
    smol::block_on(async {
        let client = Client::<Smol>::new();
        for _ in 0..5 {
            assert_eq!(client.send(&empty_post(&url), AMPLE).await.unwrap().status, 200);
            closings.recv().unwrap();
        }
    });
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

#[test]
fn an_exchange_dropped_at_any_point_leaves_nothing_to_the_next_one() {
    let server = Server::new(move |request, stream| {
        let text = String::from_utf8_lossy(request);
        let path = text.split(' ').nth(1).unwrap();
        let whole = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{path}", path.len());
        // In pieces, so that the exchange waits more than once.
        for piece in whole.as_bytes().chunks(9) {
            if stream.write_all(piece).and_then(|()| stream.flush()).is_err() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    });
    smol::block_on(async {
        let client = Client::<Smol>::new();
        let mut whole = 0;
        for polls in 0.. {
            let path = format!("/dropped/{polls}");
            let outcome = dropped_after(polls, client.send(&get(&server.url(&path)), AMPLE)).await;
            if let Some(outcome) = outcome {
                assert_eq!(outcome.unwrap().body, path.as_bytes());
                whole += 1;
            }
            let path = format!("/next/{polls}");
            assert_eq!(client.send(&get(&server.url(&path)), AMPLE).await.unwrap().body, path.as_bytes());
            if whole == 3 {
                assert!(polls > 4, "the exchange never waited");
                break;
            }
        }
    });
}

#[test]
fn g6_an_answer_without_end_is_ended_in_time() {
    for endless in ["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", "HTTP/1.1 200 OK\r\nx: "] {
        let server = Server::new(move |_, stream| {
            let _ = stream.write_all(endless.as_bytes());
            while stream.write_all(b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n").is_ok() {}
            false
        });
        let began = std::time::Instant::now();
        let client = Client::<Smol>::new();
        let limit = idv_core::time::Span::millis(500);
        let failure = smol::block_on(client.send(&get(&server.url("/")), limit)).unwrap_err();
        assert!(matches!(failure.kind, FaultKind::TimedOut | FaultKind::Malformed), "{failure}");
        assert!(began.elapsed() < Duration::from_secs(5), "{failure}");
    }
}
