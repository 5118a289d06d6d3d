//! What a handler is given, and what becomes of its reply.

use crate::peer::{MS, connect, read_all, read_reply};
use crate::runtimes::{On, on_every_runtime, serve};
use idv_listener::{Bytes, Config, Piece, Reply, Request, StatusCode};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

fn a_panic_of_the_handler_is_a_500_and_nothing_more(on: On) {
    let handler = |request: Request| async move {
        assert!(request.head.path() != "/panic", "as the test wants it");
        Reply::new(StatusCode::OK)
    };
    let handle = serve(on, Config::default(), handler);
    let mut stream = connect(&handle);
    stream.write_all(b"GET /panic HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    assert_eq!(read_reply(&mut stream).0, 500);
    stream.write_all(b"GET /fine HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    assert_eq!(read_reply(&mut stream).0, 200);
}

fn the_handler_sees_the_peer_the_times_and_every_repeated_field(on: On) {
    let handler = |request: Request| async move {
        let head = &request.head;
        let signatures = head.fields().iter().filter(|(name, _)| *name == "signature").count();
        let left = head.deadline - head.received_at;
        Reply::text(StatusCode::OK, format!("{} {signatures} {}", head.peer, left.as_millis()))
    };
    let handle = serve(on, Config::default(), handler);
    let mut stream = connect(&handle);
    stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\nSignature: a\r\nsignature: b\r\n\r\n").unwrap();
    let (_, body) = read_reply(&mut stream);
    assert_eq!(body, format!("{} 2 2500", stream.local_addr().unwrap()));
}

fn replies_can_be_slow_cut_short_or_lost(on: On) {
    let handler = |request: Request| async move {
        let reply = Reply::text(StatusCode::OK, "0123456789");
        match request.head.path() {
            "/slow" => reply.with_pieces([
                Piece::Bytes(Bytes::from_static(b"01234")),
                Piece::Pause(60 * MS),
                Piece::Bytes(Bytes::from_static(b"56789")),
            ]),
            "/short" => reply.with_pieces([Piece::Bytes(Bytes::from_static(b"01234")), Piece::Cut]),
            _ => Reply::hang_up(),
        }
    };
    let handle = serve(on, Config::default(), handler);
    let ask = |path: &str| {
        let mut stream = connect(&handle);
        write!(stream, "GET {path} HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
        stream
    };
    let begun = Instant::now();
    assert_eq!(read_reply(&mut ask("/slow")), (200, "0123456789".to_owned()));
    assert!(begun.elapsed() >= 60 * MS);
    let short = read_all(ask("/short"));
    assert!(short.contains("content-length: 10") && short.ends_with("01234"), "{short:?}");
    assert_eq!(read_all(ask("/lost")), "");
}

/// Reads until the connection ends, and says how.
fn end(mut stream: TcpStream) -> io::Result<usize> {
    stream.read_to_end(&mut Vec::new())
}

#[test]
fn a_connection_can_be_broken_by_a_reset() {
    let handler = |request: Request| async move {
        match request.head.path() {
            "/reset" => Reply::reset(),
            _ => Reply::hang_up(),
        }
    };
    for on in [On::Threads, On::Smol] {
        let handle = serve(on, Config::default(), handler);
        let ask = |path: &str| {
            let mut stream = connect(&handle);
            write!(stream, "GET {path} HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
            end(stream).map_err(|error| error.kind())
        };
        assert_eq!(ask("/reset"), Err(io::ErrorKind::ConnectionReset), "{on:?}");
        assert_eq!(ask("/lost"), Ok(0), "{on:?}");
    }
}

on_every_runtime!(
    a_panic_of_the_handler_is_a_500_and_nothing_more,
    the_handler_sees_the_peer_the_times_and_every_repeated_field,
    replies_can_be_slow_cut_short_or_lost,
);
