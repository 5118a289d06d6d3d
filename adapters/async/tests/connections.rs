//! What becomes of the connections that a client keeps: used again, found closed, left half-way.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "../../ureq/tests/support/mod.rs"]
mod support;

use idv_async::{Client, Transport};
use idv_core::evidence::FaultKind;
use idv_smol::Smol;
use std::future::{Future, poll_fn};
use std::io::Write;
use std::net::TcpListener;
use std::pin::pin;
use std::sync::mpsc::channel;
use std::task::Poll;
use std::time::Duration;
use support::{AMPLE, Server, get, hangs_up_at_the_second, post, read_head};

/// A request without a body, so that the little server above need not read one.
fn empty_post(url: &str) -> idv_core::http::Request {
    let mut request = post(url, b"");
    request.headers.clear();
    request
}

#[test]
fn g7_nothing_is_sent_twice_where_a_kept_connection_was_closed() {
    smol::block_on(async {
        for make in [get, empty_post] {
            let server = hangs_up_at_the_second();
            let request = make(&format!("http://{}/", server.address));
            let client = Client::<Smol>::new();
            assert_eq!(client.send(&request, AMPLE).await.unwrap().status, 200);
            let as_driver: &dyn Transport = &client;
            let failure = as_driver.send(&request, AMPLE).await.unwrap_err();
            assert_eq!(failure.kind, FaultKind::Unreachable, "{failure}");
            assert_eq!(server.requests.try_iter().count(), 2);
            // The next one has a connection of its own.
            assert_eq!(client.send(&request, AMPLE).await.unwrap().status, 200);
        }
    });
}

/// First answers after which something may be left on the wire, with the status and body that they mean.
const AWKWARD: [(&str, u16, &str); 16] = [
    // Interim answers belong to the one that follows.
    ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", 200, "hi"),
    (
        "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
        200,
        "hi",
    ),
    // These have no body, whatever they announce.
    ("HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", 204, ""),
    ("HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n", 204, ""),
    ("HTTP/1.1 304 Not Modified\r\ncontent-length: 500\r\n\r\n", 304, ""),
    ("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged", 204, ""),
    // Trailers, chunk extensions, and more after the end.
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\nx: y\r\nz: w\r\n\r\n",
        200,
        "hi",
    ),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged",
        200,
        "hi",
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged",
        200,
        "hi",
    ),
    // Both framings: the chunks count (RFC 9112, 6.3).
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 99\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        200,
        "hi",
    ),
    // The peer says that it will close, and here it does not.
    ("HTTP/1.1 200 OK\r\nConnection: Close\r\ncontent-length: 2\r\n\r\nhi", 200, "hi"),
    ("HTTP/1.1 200 OK\r\nconnection: keep-alive, close\r\ncontent-length: 2\r\n\r\nhi", 200, "hi"),
    ("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi", 200, "hi"),
    // A redirect is returned, its body read.
    ("HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 2\r\n\r\nhi", 302, "hi"),
    ("HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n", 302, ""),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged",
        200,
        "",
    ),
];

#[test]
fn what_is_left_after_an_answer_is_never_taken_for_the_next_one() {
    for (wire, status, body) in AWKWARD {
        let server = Server::new(move |request, stream| {
            let text = String::from_utf8_lossy(request);
            match text.split(' ').nth(1).unwrap() {
                "/first" => stream.write_all(wire.as_bytes()).unwrap(),
                path => support::answer(stream, "200 OK", "", path.as_bytes()),
            }
            true
        });
        smol::block_on(async {
            let client = Client::<Smol>::new();
            let first = client.send(&get(&server.url("/first")), AMPLE).await.unwrap();
            assert_eq!((first.status, &first.body[..]), (status, body.as_bytes()), "{wire}");
            let second = client.send(&get(&server.url("/second")), AMPLE).await.unwrap();
            assert_eq!((second.status, &second.body[..]), (200, &b"/second"[..]), "after {wire}");
            // Where the peer said that it closes, or said too much, that connection is not used again.
            let keeps = !wire.contains("forged") && !wire.to_ascii_lowercase().contains("close");
            let keeps = keeps && !wire.starts_with("HTTP/1.0");
            assert!(keeps || server.connections() == 2, "{wire}");
        });
    }
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
