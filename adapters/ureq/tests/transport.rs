//! The HTTP client against servers that behave and servers that do not, over real sockets.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use idv_core::evidence::FaultKind;
use idv_core::time::Span;
use idv_ureq::transport::Options;
use idv_ureq::{Client, Failure};
use std::io::Write;
use std::sync::Barrier;
use std::time::{Duration, Instant};
use support::{AMPLE, Identity, Server, answer, drip, get, hangs_up_at_the_second, post};

fn failure(result: Result<idv_ureq::Received, Failure>) -> Failure {
    let failure = result.expect_err("this exchange cannot succeed");
    assert!(!failure.diagnosis.contains("very-secret"), "{failure}");
    assert!(!failure.diagnosis.contains("query"), "{failure}");
    failure
}

#[test]
fn a_request_arrives_complete_and_the_answer_comes_back_as_sent() {
    let body = [0xff, 0x00, b'{', 0xc3, 0x28];
    let server = Server::new(move |_, stream| {
        answer(stream, "200 OK", "Signature: aa\r\nsignature: BB\r\nX-Raw: \u{e9}\r\n", &body);
        true
    });
    let received =
        Client::new().send(&post(&server.url("/status?query=1"), b"{\"reference\":\"r\"}"), AMPLE).unwrap();
    assert_eq!((received.status, &received.body[..]), (200, &body[..]));
    received.lend(|answer| {
        let signatures: Vec<_> = answer.headers.all("SIGNATURE").collect();
        assert_eq!(signatures, [b"aa", b"BB"]);
        assert_eq!(answer.headers.first("x-raw"), Some("\u{e9}".as_bytes()));
    });

    let requests = server.requests.lock().unwrap();
    let text = String::from_utf8(requests[0].clone()).unwrap().to_ascii_lowercase();
    assert!(text.starts_with("post /status?query=1 http/1.1\r\n"), "{text}");
    assert!(text.contains("authorization: bearer very-secret\r\n"), "{text}");
    assert!(text.contains(&format!("user-agent: idv/{}\r\n", env!("CARGO_PKG_VERSION"))), "{text}");
    assert!(text.contains("accept-encoding: identity\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\n{\"reference\":\"r\"}"), "{text}");
}

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
fn connections_are_used_again() {
    let server = Server::new(|_, stream| {
        answer(stream, "200 OK", "", b"{}");
        true
    });
    let client = Client::new();
    for _ in 0..5 {
        assert_eq!(client.send(&post(&server.url("/"), b"{}"), AMPLE).unwrap().status, 200);
        assert_eq!(client.send(&get(&server.url("/")), AMPLE).unwrap().status, 200);
    }
    assert_eq!(server.connections(), 1);
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
fn every_status_is_an_answer_with_its_body() {
    let server = Server::new(|request, stream| {
        let path =
            String::from_utf8_lossy(request).split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
        answer(
            stream,
            &format!("{path} Whatever"),
            "content-type: text/html\r\n",
            b"<html>a timeout occurred</html>",
        );
        true
    });
    for status in [400, 401, 403, 404, 429, 500, 503, 524] {
        let received = Client::new().send(&post(&server.url(&format!("/{status}")), b"{}"), AMPLE).unwrap();
        assert_eq!(received.status, status);
        assert_eq!(received.body, b"<html>a timeout occurred</html>");
    }
}

#[test]
fn redirects_are_returned_and_not_followed() {
    let elsewhere = Server::new(|_, stream| {
        answer(stream, "200 OK", "", b"stolen");
        true
    });
    let location = elsewhere.url("/");
    let server = Server::new(move |request, stream| {
        let status = if request.starts_with(b"GET") { "302 Found" } else { "307 Temporary Redirect" };
        answer(stream, status, &format!("location: {location}\r\n"), b"");
        true
    });
    let client = Client::new();
    assert_eq!(client.send(&get(&server.url("/")), AMPLE).unwrap().status, 302);
    assert_eq!(client.send(&post(&server.url("/"), b"{}"), AMPLE).unwrap().status, 307);
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn a_compressed_body_is_left_as_it_is() {
    let gzip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xab, 0xae, 5, 0, 0x43, 0xbf, 0xa6, 0xa3, 2, 0, 0, 0];
    let server = Server::new(move |_, stream| {
        answer(stream, "200 OK", "content-encoding: gzip\r\n", &gzip);
        true
    });
    let received = Client::new().send(&get(&server.url("/")), AMPLE).unwrap();
    assert_eq!(received.body, gzip);
    received.lend(|answer| assert_eq!(answer.headers.first("content-encoding"), Some(&b"gzip"[..])));
}

#[test]
fn a_body_may_be_as_large_as_the_cap_and_no_larger() {
    let client = Client::with_options(&Options { body_cap: 5, ..Options::default() }).unwrap();
    let server = Server::new(|request, stream| {
        if request.starts_with(b"GET /exact") {
            answer(stream, "200 OK", "", b"12345");
        } else if request.starts_with(b"GET /announced") {
            answer(stream, "200 OK", "", b"123456");
        } else {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n1234567890");
        }
        !request.starts_with(b"GET /until-close")
    });
    assert_eq!(client.send(&get(&server.url("/exact")), AMPLE).unwrap().body, b"12345");
    for path in ["/announced", "/until-close"] {
        let failure = failure(client.send(&get(&server.url(path)), AMPLE));
        assert_eq!(failure.kind, FaultKind::Truncated);
        assert!(failure.diagnosis.contains("larger than the cap of 5 bytes"), "{failure}");
    }
}

#[test]
fn a_body_that_ends_early_is_truncated() {
    let server = Server::new(|request, stream| {
        let bytes: &[u8] = if request.starts_with(b"GET /chunked") {
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10\r\n{\"event\""
        } else {
            b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"event\""
        };
        let _ = stream.write_all(bytes);
        false
    });
    for path in ["/length", "/chunked"] {
        let failure = failure(Client::new().send(&get(&server.url(path)), AMPLE));
        assert_eq!(failure.kind, FaultKind::Truncated, "{failure}");
        assert!(failure.diagnosis.starts_with(&server.addr.to_string()), "{failure}");
    }
}

#[test]
fn g6_an_exchange_ends_in_time_however_the_answer_drips() {
    let server = Server::new(|request, stream| {
        let pause = Duration::from_millis(20);
        if request.starts_with(b"GET /head") {
            drip(stream, b"HTTP/1.1 200 OK\r\nx: ", pause);
            drip(stream, &[b'x'; 1_000], pause);
        } else if request.starts_with(b"GET /body") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
            drip(stream, &[b'x'; 1_000], pause);
        } else {
            std::thread::sleep(Duration::from_secs(20));
        }
        false
    });
    for path in ["/silent", "/head", "/body"] {
        let began = Instant::now();
        let failure = failure(Client::new().send(&get(&server.url(path)), Span::millis(300)));
        assert_eq!(failure.kind, FaultKind::TimedOut, "{failure}");
        // One second more is what the transport allows a read that begins at its deadline.
        assert!(began.elapsed() < Duration::from_millis(2_500), "{path}: {:?}", began.elapsed());
    }
}

#[test]
fn a_refused_connection_names_the_address() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failure = failure(Client::new().send(&post(&format!("http://{free}/status?query=1"), b"{}"), AMPLE));
    assert_eq!(failure.kind, FaultKind::Unreachable);
    assert!(failure.diagnosis.starts_with(&format!("{free}: connection refused")), "{failure}");
}

#[test]
fn a_connection_closed_before_the_answer_is_unreachable() {
    let server = Server::new(|_, _| false);
    let failure = failure(Client::new().send(&get(&server.url("/")), AMPLE));
    assert_eq!(failure.kind, FaultKind::Unreachable);
    assert!(failure.diagnosis.contains("closed before an answer"), "{failure}");
}

#[test]
fn an_answer_that_is_not_http_is_malformed() {
    let server = Server::new(|_, stream| {
        let _ = stream.write_all(b"220 smtp.example.org ESMTP\r\n\r\n");
        false
    });
    let failure = failure(Client::new().send(&get(&server.url("/")), AMPLE));
    assert_eq!(failure.kind, FaultKind::Malformed, "{failure}");
}

#[test]
fn a_url_that_cannot_be_called_is_said_without_repeating_it() {
    for url in ["", "/status?query=very-secret", "ftp://example.org/", "not a url very-secret"] {
        let failure = failure(Client::new().send(&get(url), AMPLE));
        assert_eq!(failure.kind, FaultKind::Unreachable);
        assert!(failure.diagnosis.contains("expected http://HOST/"), "{failure}");
    }
}

#[test]
fn g10_a_header_value_that_cannot_be_sent_is_not_repeated() {
    let mut request = get("http://127.0.0.1:1/");
    request.headers.push(("authorization", "Bearer very-secret\r\nx: y".to_owned()));
    let failure = failure(Client::new().send(&request, AMPLE));
    assert!(failure.diagnosis.contains("`authorization`"), "{failure}");
}

fn over_tls(identity: Identity, host: &str, trusted: Option<&str>) -> Result<idv_ureq::Received, Failure> {
    let server = Server::tls(identity, |_, stream| {
        answer(stream, "200 OK", "", b"{}");
        true
    });
    let options = Options { roots_pem: trusted.map(|pem| pem.as_bytes().to_vec()), ..Options::default() };
    let client = Client::with_options(&options).unwrap();
    client.send(&post(&format!("https://{host}:{}/status?query=1", server.addr.port()), b"{}"), AMPLE)
}

#[test]
fn tls_with_a_private_authority_works() {
    let identity = Identity::new(&["localhost", "127.0.0.1"], false);
    let pem = identity.pem.clone();
    assert_eq!(over_tls(identity, "127.0.0.1", Some(&pem)).unwrap().status, 200);
}

#[test]
fn a_tls_failure_names_the_certificates_problem() {
    let good = Identity::new(&["localhost", "127.0.0.1"], false);
    let unknown = failure(over_tls(good, "127.0.0.1", None));
    assert_eq!(unknown.kind, FaultKind::Tls);
    assert!(unknown.diagnosis.contains("unknown issuer"), "{unknown}");

    let old = Identity::new(&["127.0.0.1"], true);
    let pem = old.pem.clone();
    let expired = failure(over_tls(old, "127.0.0.1", Some(&pem)));
    assert_eq!(expired.kind, FaultKind::Tls);
    assert!(expired.diagnosis.contains("it has expired"), "{expired}");

    let other = Identity::new(&["api.example.org"], false);
    let pem = other.pem.clone();
    let wrong_name = failure(over_tls(other, "127.0.0.1", Some(&pem)));
    assert_eq!(wrong_name.kind, FaultKind::Tls);
    assert!(wrong_name.diagnosis.contains("wrong name"), "{wrong_name}");
    assert!(wrong_name.diagnosis.contains("api.example.org"), "{wrong_name}");
}

#[test]
fn https_to_a_port_that_speaks_plain_http_says_so() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let failure = failure(Client::new().send(&get(&format!("https://{addr}/?query=1")), AMPLE));
    assert_eq!(failure.kind, FaultKind::Tls, "{failure}");
    assert!(failure.diagnosis.contains("does not speak TLS"), "{failure}");
}

#[test]
fn roots_that_cannot_be_trusted_are_refused_with_a_reason() {
    for pem in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let options = Options { roots_pem: Some(pem.as_bytes().to_vec()), ..Options::default() };
        let error = Client::with_options(&options).unwrap_err().to_string();
        assert!(error.contains("certificate"), "{error}");
    }
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
