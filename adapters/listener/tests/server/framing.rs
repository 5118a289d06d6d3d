//! What belongs to a request and what does not: bodies, heads, noise.

use crate::peer::{MS, connect, read_all, read_reply, start, statuses};
use crate::runtimes::{On, on_every_runtime, serve};
use idv_listener::{Config, Reply, Request, StatusCode};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

fn ten_thousand_requests_on_one_connection(on: On) {
    let handle = start(on, Config::default());
    let mut stream = connect(&handle);
    for number in 0..10_000 {
        let body = "x".repeat(number % 7);
        write!(stream, "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        assert_eq!(read_reply(&mut stream), (200, body.len().to_string()));
    }
}

fn requests_sent_without_waiting_are_answered_in_order(on: On) {
    let handle = start(on, Config::default());
    let mut stream = connect(&handle);
    let mut all = String::new();
    for number in 0..50 {
        all +=
            &format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {number}\r\n\r\n{}", "y".repeat(number));
    }
    stream.write_all(all.as_bytes()).unwrap();
    for number in 0..50 {
        assert_eq!(read_reply(&mut stream), (200, number.to_string()));
    }
}

fn a_body_over_the_cap_is_refused_when_announced(on: On) {
    let handle = start(on, Config { max_body_bytes: 10, ..Config::default() });
    let mut stream = connect(&handle);
    // Nothing of the body is sent: the refusal must not wait for it.
    stream.write_all(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10000000000\r\n\r\n").unwrap();
    let begun = Instant::now();
    assert_eq!(read_reply(&mut stream).0, 413);
    assert!(begun.elapsed() < 500 * MS);
}

fn a_body_over_the_cap_is_refused_when_chunked(on: On) {
    let handle = start(on, Config { max_body_bytes: 10, ..Config::default() });
    let mut stream = connect(&handle);
    stream
        .write_all(b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nb\r\nhello world\r\n")
        .unwrap();
    assert_eq!(read_reply(&mut stream).0, 413);
}

fn a_body_at_the_cap_is_read(on: On) {
    let handle = start(on, Config { max_body_bytes: 10, ..Config::default() });
    let mut stream = connect(&handle);
    stream.write_all(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\n0123456789").unwrap();
    assert_eq!(read_reply(&mut stream), (200, "10".to_owned()));
    stream
        .write_all(
            b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n",
        )
        .unwrap();
    assert_eq!(read_reply(&mut stream), (200, "10".to_owned()));
}

fn a_peer_that_is_still_sending_gets_to_read_the_refusal(on: On) {
    let handle = start(on, Config { max_body_bytes: 10, ..Config::default() });
    let mut stream = connect(&handle);
    stream.write_all(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 500000\r\n\r\n").unwrap();
    stream.write_all(&vec![b'x'; 500_000]).expect("the server goes on reading for a while");
    let text = read_all(&stream);
    assert!(text.starts_with("HTTP/1.1 413 "), "{text:?}");
    assert!(text.contains("connection: close"), "{text:?}");
}

fn a_body_that_breaks_off_is_no_body(on: On) {
    let (sender, seen) = std::sync::mpsc::channel();
    let handler = move |mut request: Request| {
        let sender = sender.clone();
        async move {
            sender.send(request.body.collect().await).unwrap();
            Reply::new(StatusCode::OK)
        }
    };
    let handle = serve(on, Config::default(), handler);
    let mut stream = connect(&handle);
    stream.write_all(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\n01234").unwrap();
    std::thread::sleep(20 * MS);
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(matches!(
        seen.recv_timeout(Duration::from_secs(2)),
        // Either the handler is told, or it is dropped with the connection; never a short body.
        Ok(Err(idv_listener::BodyError::Incomplete)) | Err(_)
    ));
}

fn two_content_lengths_are_refused(on: On) {
    let handle = start(on, Config::default());
    let mut stream = connect(&handle);
    stream
        .write_all(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!")
        .unwrap();
    assert_eq!(statuses(&read_all(&stream)), ["400"]);
}

fn content_length_beside_transfer_encoding_gets_one_answer_and_a_close(on: On) {
    let handle = start(on, Config::default());
    let mut stream = connect(&handle);
    stream
        .write_all(
            b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: h\r\n\r\n",
        )
        .unwrap();
    assert_eq!(statuses(&read_all(&stream)).len(), 1);
}

fn heads_over_the_caps_are_refused(on: On) {
    let handle = start(on, Config::default());
    let mut stream = connect(&handle);
    let fields: String = (0..100).map(|n| format!("x-{n}: y\r\n")).collect();
    write!(stream, "GET / HTTP/1.1\r\nhost: h\r\n{fields}\r\n").unwrap();
    assert_eq!(statuses(&read_all(&stream)), ["431"]);
    let mut stream = connect(&handle);
    // The reset that follows may come while the rest is still being written.
    let _ = write!(stream, "GET / HTTP/1.1\r\nhost: h\r\nx: {}\r\n\r\n", "y".repeat(60_000));
    let text = read_all(&stream);
    assert!(text.is_empty() || statuses(&text) == ["431"], "{text:?}");
}

fn noise_is_answered_or_closed_and_the_server_lives_on(on: On) {
    let handle = start(on, Config { head_timeout: 50 * MS, ..Config::default() });
    let noises: [&[u8]; 7] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    for noise in noises {
        let mut stream = connect(&handle);
        stream.write_all(noise).unwrap();
        let text = read_all(&stream);
        assert!(!text.starts_with("HTTP/1.1 2"), "{noise:?}: {text:?}");
    }
    let mut stream = connect(&handle);
    stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    assert_eq!(read_reply(&mut stream).0, 200);
}

fn requests_with_random_damage_never_stop_the_server(on: On) {
    let handle = start(on, Config { head_timeout: 5 * MS, request_deadline: 10 * MS, ..Config::default() });
    let whole = b"POST /a?b=c HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\nsignature: x\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % below as u64).unwrap()
    };
    for _ in 0..400 {
        let mut damaged = whole.to_vec();
        for _ in 0..=draw(3) {
            let at = draw(damaged.len());
            match draw(3) {
                0 => damaged[at] = u8::try_from(draw(256)).unwrap(),
                1 => damaged.truncate(at.max(1)),
                _ => damaged.insert(at, u8::try_from(draw(256)).unwrap()),
            }
        }
        let mut stream = connect(&handle);
        stream.write_all(&damaged).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = stream.read(&mut [0; 512]);
    }
    let mut stream = connect(&handle);
    stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    assert_eq!(read_reply(&mut stream).0, 200);
}

on_every_runtime!(
    ten_thousand_requests_on_one_connection,
    requests_sent_without_waiting_are_answered_in_order,
    a_body_over_the_cap_is_refused_when_announced,
    a_body_over_the_cap_is_refused_when_chunked,
    a_body_at_the_cap_is_read,
    a_peer_that_is_still_sending_gets_to_read_the_refusal,
    a_body_that_breaks_off_is_no_body,
    two_content_lengths_are_refused,
    content_length_beside_transfer_encoding_gets_one_answer_and_a_close,
    heads_over_the_caps_are_refused,
    noise_is_answered_or_closed_and_the_server_lives_on,
    requests_with_random_damage_never_stop_the_server,
);
