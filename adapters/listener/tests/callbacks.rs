//! Callbacks through the listener, over real sockets, with stores that stall.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail by a panic"
)]

#[path = "../../host/tests/support/mod.rs"]
mod support;

#[path = "server/runtimes.rs"]
mod runtimes;

use idv_core::time::Span;
use idv_listener::{Callbacks, Config};
use runtimes::{On, Running, on_every_runtime, serve};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use support::{ACCEPTED, AMPLE, BOUNDS, CAP, World, endpoint, signature, signed, unsigned};

const JSON: &str = "content-type: application/json\r\n";
const SIGNED: &str = "/callbacks/shufti";
const UNSIGNED: &str = "/callbacks/shareid?transaction_id=7";
const CLAIM: &[u8] = br#"{"flow_id":"ab-1","reasons":[]}"#;

fn receive(on: On, world: &World, answer_within: Span) -> Running {
    let routes = vec![
        (SIGNED.to_owned(), endpoint(signed(), answer_within)),
        ("/callbacks/shareid".to_owned(), endpoint(unsigned(), answer_within)),
    ];
    let callbacks = Callbacks::new(world.intake.clone(), routes);
    let config = callbacks.bounds(Config::default());
    serve(on, config, callbacks)
}

fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn head(target: &str, fields: &str, length: usize) -> Vec<u8> {
    format!("POST {target} HTTP/1.1\r\nhost: x\r\n{fields}content-length: {length}\r\n\r\n").into_bytes()
}

/// A callback with a right signature.
fn callback(body: &[u8]) -> Vec<u8> {
    [&head(SIGNED, &format!("{JSON}signature: {}\r\n", signature(body)), body.len()), body].concat()
}

/// Sends these bytes and reads the answer's head.
fn exchange(server: SocketAddr, request: &[u8]) -> String {
    let mut stream = connect(server);
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        answer.push(byte[0]);
    }
    String::from_utf8(answer).unwrap().to_ascii_lowercase()
}

fn status(server: SocketAddr, request: &[u8]) -> u16 {
    exchange(server, request)["http/1.1 ".len()..][..3].parse().unwrap()
}

fn g5_a_callback_is_answered_200_only_once_it_is_committed(on: On) {
    let world = World::new(BOUNDS);
    let server = receive(on, &world, AMPLE);
    let address = server.local_addr();
    let answer = std::thread::spawn(move || status(address, &callback(ACCEPTED)));
    world.committing();
    assert!(world.is_quiet() && !answer.is_finished());
    world.words.send(true).unwrap();
    assert_eq!(answer.join().unwrap(), 200);
    assert_eq!(world.meaning().0, Some(1));
}

fn g5_a_store_that_stalls_and_a_body_that_drips_are_answered_503_in_time(on: On) {
    let world = World::new(BOUNDS);
    let server = receive(on, &world, Span::millis(400));
    let address = server.local_addr();
    let began = Instant::now();
    assert_eq!(status(address, &callback(ACCEPTED)), 503);
    assert!(began.elapsed() >= Duration::from_millis(390), "{:?}", began.elapsed());
    assert_eq!(world.meaning().0, None);
    world.words.send(true).unwrap();
    assert_eq!(world.meaning().0, Some(1), "R10: the commit drives, though it came late");

    assert_eq!(status(address, &[&head(SIGNED, JSON, 24)[..], b"id=ab"].concat()), 503);
    assert_eq!(world.recorded(), 1);
}

fn r16_a_wrong_signature_is_answered_401_with_the_field_that_goes_with_it(on: On) {
    let world = World::new(BOUNDS);
    let server = receive(on, &world, AMPLE);
    let address = server.local_addr();
    let wrong = [&head(SIGNED, "signature: 00\r\n", ACCEPTED.len())[..], ACCEPTED].concat();
    let answer = exchange(address, &wrong);
    assert!(answer.starts_with("http/1.1 401 ") && answer.contains("www-authenticate: "), "{answer}");
    assert_eq!(world.recorded(), 0);
}

fn bodies_over_the_cap_are_answered_413_whatever_their_framing(on: On) {
    let world = World::new(BOUNDS);
    let server = receive(on, &world, AMPLE);
    let address = server.local_addr();
    let large = vec![b' '; usize::try_from(CAP).unwrap() + 1];
    assert_eq!(status(address, &head(SIGNED, JSON, large.len())), 413);
    let event = world.event();
    assert_eq!(event.digest, None);

    let chunked = format!(
        "POST {SIGNED} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n",
        large.len()
    );
    assert_eq!(status(address, &[chunked.as_bytes(), &large, b"\r\n0\r\n\r\n"].concat()), 413);

    world.words.send(true).unwrap();
    let mut fits = ACCEPTED.to_vec();
    fits.resize(large.len() - 1, b' ');
    assert_eq!(status(address, &callback(&fits)), 200);
}

fn other_methods_paths_and_media_types_are_refused(on: On) {
    let world = World::new(BOUNDS);
    let server = receive(on, &world, AMPLE);
    let address = server.local_addr();
    let answer = exchange(address, format!("GET {UNSIGNED} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes());
    assert!(answer.starts_with("http/1.1 405 ") && answer.contains("allow: post\r\n"), "{answer}");
    assert_eq!(status(address, &[&head("/callbacks/other", JSON, CLAIM.len())[..], CLAIM].concat()), 404);
    let text = head(UNSIGNED, "content-type: text/plain\r\n", CLAIM.len());
    assert_eq!(status(address, &[&text[..], CLAIM].concat()), 415);
    world.words.send(true).unwrap();
    assert_eq!(status(address, &[&head(UNSIGNED, JSON, CLAIM.len())[..], CLAIM].concat()), 200);
}

fn r10_a_peer_that_hangs_up_while_the_store_works_leaves_a_hint_and_then_the_record(on: On) {
    let world = World::new(BOUNDS);
    let server = receive(on, &world, AMPLE);
    let mut stream = connect(server.local_addr());
    stream.write_all(&callback(ACCEPTED)).unwrap();
    world.committing();
    drop(stream);
    assert_eq!(world.meaning().0, None);
    world.words.send(true).unwrap();
    assert_eq!(world.meaning().0, Some(1));
}

fn stopping_the_listener_lets_a_running_commit_answer(on: On) {
    let world = World::new(BOUNDS);
    let server = receive(on, &world, AMPLE);
    let address = server.local_addr();
    let answer = std::thread::spawn(move || status(address, &callback(ACCEPTED)));
    world.committing();
    let stopping = std::thread::spawn(move || server.shutdown());
    world.words.send(true).unwrap();
    assert_eq!(answer.join().unwrap(), 200);
    stopping.join().unwrap();
}

on_every_runtime!(
    g5_a_callback_is_answered_200_only_once_it_is_committed,
    g5_a_store_that_stalls_and_a_body_that_drips_are_answered_503_in_time,
    r16_a_wrong_signature_is_answered_401_with_the_field_that_goes_with_it,
    bodies_over_the_cap_are_answered_413_whatever_their_framing,
    other_methods_paths_and_media_types_are_refused,
    r10_a_peer_that_hangs_up_while_the_store_works_leaves_a_hint_and_then_the_record,
    stopping_the_listener_lets_a_running_commit_answer,
);
