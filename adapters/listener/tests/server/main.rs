//! The server's bounds, over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail by a panic"
)]

mod runtimes;

use idv_listener::{Bytes, Config, Piece, Reply, Request, Server, StatusCode};
use runtimes::{On, Running, on_every_runtime, serve};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);

fn here() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Answers with the length of the body, or with why it could not be read.
async fn count(mut request: Request) -> Reply {
    match request.body.collect().await {
        Ok(body) => Reply::text(StatusCode::OK, body.len().to_string()),
        Err(problem) => problem.into(),
    }
}

fn start(on: On, config: Config) -> Running {
    serve(on, config, count)
}

fn connect(handle: &Running) -> TcpStream {
    let stream = TcpStream::connect(handle.local_addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Everything until the server closes.
fn read_all(mut stream: impl Read) -> String {
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => text.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("the server did not close: {error}"),
        }
    }
    String::from_utf8(text).unwrap()
}

/// One reply of a connection that stays open.
fn read_reply(stream: &mut impl Read) -> (u16, String) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("a reply");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head
        .split("content-length: ")
        .nth(1)
        .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    (status, String::from_utf8(body).unwrap())
}

fn statuses(text: &str) -> Vec<&str> {
    text.match_indices("HTTP/1.1 ").map(|(at, _)| &text[at + 9..at + 12]).collect()
}

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

fn a_dripped_head_is_cut(on: On) {
    let handle = start(on, Config { head_timeout: 80 * MS, ..Config::default() });
    let mut stream = connect(&handle);
    let begun = Instant::now();
    stream.write_all(b"POST / HTTP/1.1\r\n").unwrap();
    while stream.write_all(b"x").is_ok() && begun.elapsed() < 2_000 * MS {
        std::thread::sleep(10 * MS);
    }
    assert!((80 * MS..1_000 * MS).contains(&begun.elapsed()), "cut after {:?}", begun.elapsed());
}

fn a_dripped_head_counts_from_its_first_byte_on_a_used_connection_too(on: On) {
    let handle = start(on, Config { head_timeout: 80 * MS, ..Config::default() });
    let mut stream = connect(&handle);
    stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    assert_eq!(read_reply(&mut stream).0, 200);
    std::thread::sleep(120 * MS);
    stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    assert_eq!(read_reply(&mut stream).0, 200);
    let begun = Instant::now();
    stream.write_all(b"GET / HT").unwrap();
    assert_eq!(read_all(&stream), "");
    assert!((75 * MS..1_000 * MS).contains(&begun.elapsed()), "cut after {:?}", begun.elapsed());
}

fn a_dripped_body_is_bounded_by_the_deadline(on: On) {
    let handle = start(on, Config { request_deadline: 100 * MS, ..Config::default() });
    let mut stream = connect(&handle);
    let begun = Instant::now();
    stream.write_all(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1000\r\n\r\n").unwrap();
    let dripping = stream.try_clone().unwrap();
    let drip = std::thread::spawn(move || {
        let mut dripping = dripping;
        for _ in 0..30 {
            std::thread::sleep(10 * MS);
            if dripping.write_all(b"x").is_err() {
                break;
            }
        }
    });
    let (status, _) = read_reply(&mut stream);
    let took = begun.elapsed();
    assert_eq!(status, 408);
    assert!((100 * MS..600 * MS).contains(&took), "answered after {took:?}");
    drip.join().unwrap();
}

fn the_deadline_counts_from_the_first_byte_of_the_head(on: On) {
    let config = Config { request_deadline: 400 * MS, head_timeout: 390 * MS, ..Config::default() };
    let slow = |_request: Request| async {
        smol::Timer::after(Duration::from_secs(10)).await;
        Reply::new(StatusCode::OK)
    };
    let handle = serve(on, config, slow);
    let mut stream = connect(&handle);
    let begun = Instant::now();
    stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    std::thread::sleep(300 * MS);
    stream.write_all(b"host: h\r\n\r\n").unwrap();
    assert_eq!(read_reply(&mut stream).0, 503);
    assert!((400 * MS..680 * MS).contains(&begun.elapsed()), "answered after {:?}", begun.elapsed());
}

fn g5_a_store_that_blocks_does_not_delay_the_503_and_finishes_its_work(on: On) {
    let stored = Arc::new(AtomicUsize::new(0));
    let counter = stored.clone();
    let storing = move |_request: Request| {
        let stored = counter.clone();
        async move {
            let work = smol::spawn(smol::unblock(move || {
                std::thread::sleep(600 * MS);
                stored.fetch_add(1, Ordering::SeqCst);
            }));
            let (done, wait) = smol::channel::bounded(1);
            smol::spawn(async move {
                work.await;
                let _ = done.send(()).await;
            })
            .detach();
            let _ = wait.recv().await;
            Reply::new(StatusCode::OK)
        }
    };
    let config = Config { request_deadline: 60 * MS, ..Config::default() };
    let handle = serve(on, config, storing);
    let mut stream = connect(&handle);
    let begun = Instant::now();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    assert_eq!(read_reply(&mut stream).0, 503);
    assert!(begun.elapsed() < 550 * MS, "answered after {:?}", begun.elapsed());
    while stored.load(Ordering::SeqCst) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(5));
        std::thread::sleep(5 * MS);
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

fn an_idle_connection_is_closed(on: On) {
    let handle = start(on, Config { idle_timeout: 60 * MS, ..Config::default() });
    let mut used = connect(&handle);
    used.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    assert_eq!(read_reply(&mut used).0, 200);
    let begun = Instant::now();
    let fresh = connect(&handle);
    assert_eq!(read_all(&used), "");
    assert_eq!(read_all(&fresh), "");
    assert!(begun.elapsed() < 1_000 * MS);
}

fn a_peer_that_does_not_read_is_cut(on: On) {
    let config =
        Config { reply_timeout: 80 * MS, idle_timeout: 80 * MS, max_connections: 1, ..Config::default() };
    let big = |_request: Request| async { Reply::text(StatusCode::OK, vec![b'x'; 64 * 1024 * 1024]) };
    let handle = serve(on, config, big);
    let mut stuck = connect(&handle);
    stuck.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    // The one slot is free again only once the first connection is gone.
    let mut next = connect(&handle);
    next.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    let mut status = [0; 12];
    next.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
}

fn connections_over_the_cap_wait_until_one_closes(on: On) {
    let handle = start(on, Config { max_connections: 2, ..Config::default() });
    let (mut first, mut second, mut third) = (connect(&handle), connect(&handle), connect(&handle));
    for stream in [&mut first, &mut second, &mut third] {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    }
    assert_eq!(read_reply(&mut first).0, 200);
    assert_eq!(read_reply(&mut second).0, 200);
    third.set_read_timeout(Some(80 * MS)).unwrap();
    assert!(third.read(&mut [0]).is_err(), "the third must wait");
    third.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    drop(second);
    assert_eq!(read_reply(&mut third).0, 200);
}

fn shutdown_finishes_the_running_request_and_closes_idle_connections(on: On) {
    let slow = |_request: Request| async {
        smol::Timer::after(100 * MS).await;
        Reply::text(StatusCode::OK, "done")
    };
    let handle = serve(on, Config::default(), slow);
    let address = handle.local_addr();
    let (idle, mut running) = (connect(&handle), connect(&handle));
    running.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    std::thread::sleep(30 * MS);
    let begun = Instant::now();
    let stopping = std::thread::spawn(move || handle.shutdown());
    assert_eq!(read_reply(&mut running), (200, "done".to_owned()));
    assert_eq!(read_all(&running), "");
    assert_eq!(read_all(&idle), "");
    stopping.join().unwrap();
    assert!(begun.elapsed() < 2_000 * MS, "stopped after {:?}", begun.elapsed());
    assert!(TcpStream::connect(address).is_err());
}

fn shutdown_lets_a_request_that_is_arriving_finish(on: On) {
    let handle = start(on, Config::default());
    let mut stream = connect(&handle);
    stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    assert_eq!(read_reply(&mut stream).0, 200);
    stream.write_all(b"POST / HTTP/1.1\r\nhost: h\r\n").unwrap();
    std::thread::sleep(30 * MS);
    let stopping = std::thread::spawn(move || handle.shutdown());
    std::thread::sleep(30 * MS);
    stream.write_all(b"content-length: 2\r\n\r\nhi").unwrap();
    assert_eq!(read_reply(&mut stream), (200, "2".to_owned()));
    assert_eq!(read_all(&stream), "");
    stopping.join().unwrap();
}

fn shutdown_ends_by_the_drain_deadline(on: On) {
    let config =
        Config { drain_deadline: 60 * MS, request_deadline: Duration::from_secs(60), ..Config::default() };
    let stuck = |_request: Request| smol::future::pending::<Reply>();
    let handle = serve(on, config, stuck);
    let mut stream = connect(&handle);
    stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    std::thread::sleep(30 * MS);
    let begun = Instant::now();
    handle.shutdown();
    assert!((50 * MS..1_000 * MS).contains(&begun.elapsed()), "stopped after {:?}", begun.elapsed());
    assert_eq!(read_all(&stream), "");
}

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

#[test]
fn a_server_that_is_dropped_breaks_its_connections_off() {
    let server = Server::bind(here(), Config::default()).unwrap();
    let address = server.local_addr();
    let (started, has_started) = std::sync::mpsc::channel();
    let never = move |_request: Request| {
        started.send(()).unwrap();
        std::future::pending::<Reply>()
    };
    let serving = smol::spawn(server.serve(idv_host::Smol, never, std::future::pending()));
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    has_started.recv_timeout(Duration::from_secs(5)).unwrap();
    let begun = Instant::now();
    smol::block_on(serving.cancel());
    assert_eq!(read_all(&stream), "");
    assert!(begun.elapsed() < 1_000 * MS, "well before the request's deadline");
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn several_threads_serve_one_port() {
    let handle = start(On::Threads, Config { threads: 3, ..Config::default() });
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let mut stream = connect(&handle);
            std::thread::spawn(move || {
                for _ in 0..200 {
                    stream.write_all(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\nhi").unwrap();
                    assert_eq!(read_reply(&mut stream), (200, "2".to_owned()));
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    handle.shutdown();
}

#[test]
fn settings_that_can_serve_nothing_are_refused_by_name() {
    let refused = |config| Server::bind(here(), config).unwrap_err().to_string();
    assert!(refused(Config { max_connections: 0, ..Config::default() }).contains("`max_connections`"));
    assert!(refused(Config { max_head_bytes: 100, ..Config::default() }).contains("`max_head_bytes`"));
    assert!(
        refused(Config { request_deadline: Duration::ZERO, ..Config::default() })
            .contains("`request_deadline`")
    );
    let taken = std::net::TcpListener::bind(here()).unwrap();
    let error = Server::bind(taken.local_addr().unwrap(), Config::default()).unwrap_err().to_string();
    assert!(error.contains(&taken.local_addr().unwrap().to_string()), "{error}");
}

on_every_runtime!(
    ten_thousand_requests_on_one_connection,
    requests_sent_without_waiting_are_answered_in_order,
    a_dripped_head_is_cut,
    a_dripped_head_counts_from_its_first_byte_on_a_used_connection_too,
    a_dripped_body_is_bounded_by_the_deadline,
    the_deadline_counts_from_the_first_byte_of_the_head,
    g5_a_store_that_blocks_does_not_delay_the_503_and_finishes_its_work,
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
    an_idle_connection_is_closed,
    a_peer_that_does_not_read_is_cut,
    connections_over_the_cap_wait_until_one_closes,
    shutdown_finishes_the_running_request_and_closes_idle_connections,
    shutdown_lets_a_request_that_is_arriving_finish,
    shutdown_ends_by_the_drain_deadline,
    a_panic_of_the_handler_is_a_500_and_nothing_more,
    the_handler_sees_the_peer_the_times_and_every_repeated_field,
    replies_can_be_slow_cut_short_or_lost,
);

mod tls {
    use super::*;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

    fn identity() -> (Config, Arc<ClientConfig>) {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let tls =
            idv_listener::tls::config_from_pem(cert.pem().as_bytes(), signing_key.serialize_pem().as_bytes())
                .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(cert.der().to_vec())).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        (Config { tls: Some(tls), ..Config::default() }, Arc::new(client))
    }

    fn over_tls(handle: &Running, client: &Arc<ClientConfig>) -> StreamOwned<ClientConnection, TcpStream> {
        let name = ServerName::try_from("localhost").unwrap();
        StreamOwned::new(ClientConnection::new(client.clone(), name).unwrap(), connect(handle))
    }

    fn requests_are_answered_and_the_close_is_announced(on: On) {
        let (config, client) = identity();
        let handle = start(on, config);
        let mut stream = over_tls(&handle, &client);
        for _ in 0..100 {
            stream.write_all(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\nhi").unwrap();
            assert_eq!(read_reply(&mut stream), (200, "2".to_owned()));
        }
        handle.shutdown();
        // Without `close_notify` this would be an error of the kind `UnexpectedEof`.
        assert_eq!(read_all(stream), "");
    }

    fn a_handshake_that_does_not_come_is_cut(on: On) {
        let (config, _) = identity();
        let handle = start(on, Config { tls_handshake_timeout: 80 * MS, ..config });
        let begun = Instant::now();
        let mut silent = connect(&handle);
        silent.write_all(b"\x16").unwrap();
        assert_eq!(read_all(&silent), "");
        assert!((80 * MS..1_000 * MS).contains(&begun.elapsed()), "cut after {:?}", begun.elapsed());
    }

    fn plain_http_on_a_tls_port_is_closed(on: On) {
        let (config, client) = identity();
        let handle = start(on, config);
        let mut plain = connect(&handle);
        plain.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
        let mut bytes = Vec::new();
        let _ = plain.read_to_end(&mut bytes);
        assert!(!bytes.starts_with(b"HTTP"));
        let mut stream = over_tls(&handle, &client);
        stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
        assert_eq!(read_reply(&mut stream).0, 200);
    }

    fn a_dripped_body_is_bounded_over_tls_too(on: On) {
        let (config, client) = identity();
        let handle = start(on, Config { request_deadline: 100 * MS, ..config });
        let mut stream = over_tls(&handle, &client);
        stream.write_all(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1000\r\n\r\nx").unwrap();
        assert_eq!(read_reply(&mut stream).0, 408);
    }

    #[test]
    fn unusable_certificates_and_keys_say_which_they_are() {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["b".to_owned()]).unwrap().signing_key.serialize_pem();
        let refused = |chain: &str, key: &str| {
            idv_listener::tls::config_from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err().to_string()
        };
        assert!(refused("", &signing_key.serialize_pem()).contains("certificate chain"));
        assert!(refused(&cert.pem(), "nonsense").contains("private key cannot be read"));
        assert!(refused(&cert.pem(), &other).contains("cannot be used"));
    }

    on_every_runtime!(
        requests_are_answered_and_the_close_is_announced,
        a_handshake_that_does_not_come_is_cut,
        plain_http_on_a_tls_port_is_closed,
        a_dripped_body_is_bounded_over_tls_too,
    );
}
