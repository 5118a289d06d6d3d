//! The HTTP client against servers that behave and servers that do not, over real sockets.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "support/exchanges.rs"]
mod exchanges;
mod support;

use exchanges::{Exchanges, exchanges, failure};
use idv_core::evidence::FaultKind;
use idv_core::http::Request;
use idv_core::time::Span;
use idv_ureq::transport::Options;
use idv_ureq::{BadCertificates, Client, Failure, Received};
use std::sync::Barrier;
use std::time::{Duration, Instant};
use support::{AMPLE, Server, answer, get, hangs_up_at_the_second};

impl Exchanges for Client {
    fn with(options: &Options) -> Result<Self, BadCertificates> {
        Self::with_options(options)
    }

    fn send(&self, request: &Request, within: Span) -> Result<Received, Failure> {
        Self::send(self, request, within)
    }
}

exchanges! { Client }

#[test]
fn g7_nothing_is_sent_twice_where_a_kept_connection_was_closed() {
    let server = hangs_up_at_the_second();
    let request = get(&format!("http://{}/", server.address));
    let client = Client::new();
    assert_eq!(client.send(&request, AMPLE).unwrap().status, 200);
    let failure = client.send(&request, AMPLE).unwrap_err();
    assert_eq!(failure.kind, FaultKind::Unreachable, "{failure}");
    assert_eq!(server.requests.try_iter().count(), 2);
    // The next one has a connection of its own.
    assert_eq!(client.send(&request, AMPLE).unwrap().status, 200);
}

#[test]
fn as_many_connections_are_kept_as_there_were_calls_at_once() {
    const AT_ONCE: usize = 16;
    let all = Barrier::new(AT_ONCE);
    let server = Server::new(move |_, stream| {
        all.wait();
        answer(stream, "200 OK", "", b"{}");
        true
    });
    let client = Client::new();
    let request = get(&server.url("/"));
    for _ in 0..2 {
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| assert_eq!(client.send(&request, AMPLE).unwrap().status, 200));
            }
        });
    }
    assert_eq!(server.connections(), AT_ONCE);
}

#[test]
fn a_name_is_looked_up_where_a_connection_is_made() {
    let server = Server::new(|_, stream| {
        answer(stream, "200 OK", "", b"{}");
        true
    });
    let url = server.url("/").replace("127.0.0.1", "localhost");
    assert!(url.contains("localhost"), "{url}");
    let client = Client::new();
    for _ in 0..2 {
        assert_eq!(client.send(&get(&url), AMPLE).unwrap().status, 200);
    }
    assert_eq!(server.connections(), 1);
}

/// Says to the test itself, run anew, where a provider on loopback is.
const DIRECTLY: &str = "IDV_TEST_DIRECTLY";

#[test]
fn a_proxy_of_the_environment_makes_a_tunnel_and_looks_the_name_up_and_loopback_is_reached_without_it() {
    if let Ok(directly) = std::env::var(DIRECTLY) {
        let client = Client::new();
        for url in ["http://provider.invalid/by-proxy", &directly] {
            assert_eq!(client.send(&get(url), AMPLE).unwrap().body, b"{}", "{url}");
        }
        return;
    }
    let server = Server::new(|request, stream| {
        let body: &[u8] = if request.starts_with(b"CONNECT") { b"" } else { b"{}" };
        answer(stream, "200 OK", "", body);
        true
    });
    // What the environment names is read once for each client, and a process has one environment.
    let name = std::thread::current().name().unwrap().to_owned();
    let itself = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name])
        .env("ALL_PROXY", server.url(""))
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .env(DIRECTLY, server.url("/directly"))
        .output()
        .unwrap();
    assert!(itself.status.success(), "{}", String::from_utf8_lossy(&itself.stdout));
    let requests = server.requests.lock().unwrap();
    let line = |request: &Vec<u8>| String::from_utf8_lossy(request).lines().next().unwrap().to_owned();
    let lines: Vec<String> = requests.iter().map(line).collect();
    assert_eq!(
        lines,
        ["CONNECT provider.invalid:80 HTTP/1.1", "GET /by-proxy HTTP/1.1", "GET /directly HTTP/1.1"]
    );
}

#[test]
fn shutdown_interrupts_an_exchange_under_way() {
    let server = Server::new(|_, _| {
        std::thread::sleep(Duration::from_secs(30));
        false
    });
    let client = Client::new();
    let other = client.clone();
    let url = server.url("/");
    let began = Instant::now();
    let waiting = std::thread::spawn(move || other.send(&get(&url), AMPLE));
    while server.requests.lock().unwrap().is_empty() {
        std::thread::yield_now();
    }
    idv_ureq::Transport::shutdown(&client);
    let failure = failure(waiting.join().unwrap());
    assert!(began.elapsed() < Duration::from_secs(10), "{failure}");
}
