//! One HTTP exchange against servers that behave and servers that do not, over real sockets: what every adapter's client must do alike.
#![allow(unreachable_pub, reason = "a module of tests")]

use super::support::{AMPLE, Identity, Server, answer, drip, get, post};
use idv_core::evidence::FaultKind;
use idv_core::http::{Failure, Received, Request};
use idv_core::time::Span;
use idv_host::{BadCertificates, Options};
use std::io::Write;
use std::time::{Duration, Instant};

/// An adapter's client, called from a thread that waits.
pub trait Exchanges: Sized {
    /// One with these limits, or the reason why there is none.
    fn with(options: &Options) -> Result<Self, BadCertificates>;

    /// Sends a request and waits for the answer.
    fn send(&self, request: &Request, within: Span) -> Result<Received, Failure>;
}

/// Makes a test of each case for a client.
macro_rules! exchanges {
    ($client:ty) => {
        exchanges! { $client:
            a_request_arrives_complete_and_the_answer_comes_back_as_sent
            connections_are_used_again
            every_status_is_an_answer_with_its_body
            redirects_are_returned_and_not_followed
            a_compressed_body_is_left_as_it_is
            a_body_may_be_as_large_as_the_cap_and_no_larger
            a_body_that_ends_early_is_truncated
            g6_an_exchange_ends_in_time_however_the_answer_drips
            a_refused_connection_names_the_address
            a_connection_closed_before_the_answer_is_unreachable
            an_answer_that_is_not_http_is_malformed
            a_url_that_cannot_be_called_is_said_without_repeating_it
            g10_a_header_value_that_cannot_be_sent_is_not_repeated
            tls_with_a_private_authority_works
            a_tls_failure_names_the_certificates_problem
            https_to_a_port_that_speaks_plain_http_says_so
            roots_that_cannot_be_trusted_are_refused_with_a_reason
        }
    };
    ($client:ty: $($case:ident)*) => {
        $(#[test] fn $case() { $crate::exchanges::$case::<$client>(); })*
    };
}
pub(crate) use exchanges;

fn client<C: Exchanges>() -> C {
    C::with(&Options::default()).unwrap()
}

pub fn failure(result: Result<Received, Failure>) -> Failure {
    let failure = result.expect_err("this exchange cannot succeed");
    assert!(!failure.diagnosis.contains("very-secret"), "{failure}");
    assert!(!failure.diagnosis.contains("query"), "{failure}");
    failure
}

pub fn a_request_arrives_complete_and_the_answer_comes_back_as_sent<C: Exchanges>() {
    let body = [0xff, 0x00, b'{', 0xc3, 0x28];
    let server = Server::new(move |_, stream| {
        answer(stream, "200 OK", "Signature: aa\r\nsignature: BB\r\nX-Raw: \u{e9}\r\n", &body);
        true
    });
    let received =
        client::<C>().send(&post(&server.url("/status?query=1"), b"{\"reference\":\"r\"}"), AMPLE).unwrap();
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

pub fn connections_are_used_again<C: Exchanges>() {
    let server = Server::new(|_, stream| {
        answer(stream, "200 OK", "", b"{}");
        true
    });
    let client = client::<C>();
    for _ in 0..5 {
        assert_eq!(client.send(&post(&server.url("/"), b"{}"), AMPLE).unwrap().status, 200);
        assert_eq!(client.send(&get(&server.url("/")), AMPLE).unwrap().status, 200);
    }
    assert_eq!(server.connections(), 1);
}

pub fn every_status_is_an_answer_with_its_body<C: Exchanges>() {
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
        let received = client::<C>().send(&post(&server.url(&format!("/{status}")), b"{}"), AMPLE).unwrap();
        assert_eq!(received.status, status);
        assert_eq!(received.body, b"<html>a timeout occurred</html>");
    }
}

pub fn redirects_are_returned_and_not_followed<C: Exchanges>() {
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
    let client = client::<C>();
    assert_eq!(client.send(&get(&server.url("/")), AMPLE).unwrap().status, 302);
    assert_eq!(client.send(&post(&server.url("/"), b"{}"), AMPLE).unwrap().status, 307);
    assert_eq!(elsewhere.connections(), 0);
}

pub fn a_compressed_body_is_left_as_it_is<C: Exchanges>() {
    let gzip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xab, 0xae, 5, 0, 0x43, 0xbf, 0xa6, 0xa3, 2, 0, 0, 0];
    let server = Server::new(move |_, stream| {
        answer(stream, "200 OK", "content-encoding: gzip\r\n", &gzip);
        true
    });
    let received = client::<C>().send(&get(&server.url("/")), AMPLE).unwrap();
    assert_eq!(received.body, gzip);
    received.lend(|answer| assert_eq!(answer.headers.first("content-encoding"), Some(&b"gzip"[..])));
}

pub fn a_body_may_be_as_large_as_the_cap_and_no_larger<C: Exchanges>() {
    let client = C::with(&Options { body_cap: 5, ..Options::default() }).unwrap();
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

pub fn a_body_that_ends_early_is_truncated<C: Exchanges>() {
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
        let failure = failure(client::<C>().send(&get(&server.url(path)), AMPLE));
        assert_eq!(failure.kind, FaultKind::Truncated, "{failure}");
        assert!(failure.diagnosis.starts_with(&server.addr.to_string()), "{failure}");
    }
}

pub fn g6_an_exchange_ends_in_time_however_the_answer_drips<C: Exchanges>() {
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
        let failure = failure(client::<C>().send(&get(&server.url(path)), Span::millis(300)));
        assert_eq!(failure.kind, FaultKind::TimedOut, "{failure}");
        // One second more is what the transport allows a read that begins at its deadline.
        assert!(began.elapsed() < Duration::from_millis(2_500), "{path}: {:?}", began.elapsed());
    }
}

pub fn a_refused_connection_names_the_address<C: Exchanges>() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failure = failure(client::<C>().send(&post(&format!("http://{free}/status?query=1"), b"{}"), AMPLE));
    assert_eq!(failure.kind, FaultKind::Unreachable);
    assert!(failure.diagnosis.starts_with(&format!("{free}: connection refused")), "{failure}");
}

pub fn a_connection_closed_before_the_answer_is_unreachable<C: Exchanges>() {
    let server = Server::new(|_, _| false);
    let failure = failure(client::<C>().send(&get(&server.url("/")), AMPLE));
    assert_eq!(failure.kind, FaultKind::Unreachable);
    assert!(failure.diagnosis.contains("closed before an answer"), "{failure}");
}

pub fn an_answer_that_is_not_http_is_malformed<C: Exchanges>() {
    let server = Server::new(|_, stream| {
        let _ = stream.write_all(b"220 smtp.example.org ESMTP\r\n\r\n");
        false
    });
    let failure = failure(client::<C>().send(&get(&server.url("/")), AMPLE));
    assert_eq!(failure.kind, FaultKind::Malformed, "{failure}");
}

pub fn a_url_that_cannot_be_called_is_said_without_repeating_it<C: Exchanges>() {
    for url in ["", "/status?query=very-secret", "ftp://example.org/", "not a url very-secret"] {
        let failure = failure(client::<C>().send(&get(url), AMPLE));
        assert_eq!(failure.kind, FaultKind::Unreachable);
        assert!(failure.diagnosis.contains("expected http://HOST/"), "{failure}");
    }
}

pub fn g10_a_header_value_that_cannot_be_sent_is_not_repeated<C: Exchanges>() {
    let mut request = get("http://127.0.0.1:1/");
    request.headers.push(("authorization", "Bearer very-secret\r\nx: y".to_owned()));
    let failure = failure(client::<C>().send(&request, AMPLE));
    assert!(failure.diagnosis.contains("`authorization`"), "{failure}");
}

fn over_tls<C: Exchanges>(
    identity: Identity,
    host: &str,
    trusted: Option<&str>,
) -> Result<Received, Failure> {
    let server = Server::tls(identity, |_, stream| {
        answer(stream, "200 OK", "", b"{}");
        true
    });
    let options = Options { roots_pem: trusted.map(|pem| pem.as_bytes().to_vec()), ..Options::default() };
    let client = C::with(&options).unwrap();
    client.send(&post(&format!("https://{host}:{}/status?query=1", server.addr.port()), b"{}"), AMPLE)
}

pub fn tls_with_a_private_authority_works<C: Exchanges>() {
    let identity = Identity::new(&["localhost", "127.0.0.1"], false);
    let pem = identity.pem.clone();
    assert_eq!(over_tls::<C>(identity, "127.0.0.1", Some(&pem)).unwrap().status, 200);
}

pub fn a_tls_failure_names_the_certificates_problem<C: Exchanges>() {
    let good = Identity::new(&["localhost", "127.0.0.1"], false);
    let unknown = failure(over_tls::<C>(good, "127.0.0.1", None));
    assert_eq!(unknown.kind, FaultKind::Tls);
    assert!(unknown.diagnosis.contains("unknown issuer"), "{unknown}");

    let old = Identity::new(&["127.0.0.1"], true);
    let pem = old.pem.clone();
    let expired = failure(over_tls::<C>(old, "127.0.0.1", Some(&pem)));
    assert_eq!(expired.kind, FaultKind::Tls);
    assert!(expired.diagnosis.contains("it has expired"), "{expired}");

    let other = Identity::new(&["api.example.org"], false);
    let pem = other.pem.clone();
    let wrong_name = failure(over_tls::<C>(other, "127.0.0.1", Some(&pem)));
    assert_eq!(wrong_name.kind, FaultKind::Tls);
    assert!(wrong_name.diagnosis.contains("wrong name"), "{wrong_name}");
    assert!(wrong_name.diagnosis.contains("api.example.org"), "{wrong_name}");
}

pub fn https_to_a_port_that_speaks_plain_http_says_so<C: Exchanges>() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let failure = failure(client::<C>().send(&get(&format!("https://{addr}/?query=1")), AMPLE));
    assert_eq!(failure.kind, FaultKind::Tls, "{failure}");
    assert!(failure.diagnosis.contains("does not speak TLS"), "{failure}");
}

pub fn roots_that_cannot_be_trusted_are_refused_with_a_reason<C: Exchanges>() {
    for pem in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let options = Options { roots_pem: Some(pem.as_bytes().to_vec()), ..Options::default() };
        let error = C::with(&options).err().expect("they cannot be trusted").to_string();
        assert!(error.contains("certificate"), "{error}");
    }
}
