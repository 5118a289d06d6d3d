//! Binding, how many are served at once, and stopping.

use crate::peer::{MS, connect, here, read_all, read_reply, start};
use crate::runtimes::{On, on_every_runtime, serve};
use idv_listener::{Config, Reply, Request, Server, StatusCode};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

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
    connections_over_the_cap_wait_until_one_closes,
    shutdown_finishes_the_running_request_and_closes_idle_connections,
    shutdown_lets_a_request_that_is_arriving_finish,
    shutdown_ends_by_the_drain_deadline,
);
