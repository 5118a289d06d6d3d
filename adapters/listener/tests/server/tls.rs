//! The same over TLS.

use crate::peer::{MS, connect, read_all, read_reply, start};
use crate::runtimes::{On, Running, on_every_runtime};
use idv_listener::Config;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

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
