//! The other end of the connections.

use crate::runtimes::{On, Running, serve};
use idv_listener::{Config, Reply, Request, StatusCode};
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(crate) const MS: Duration = Duration::from_millis(1);

pub(crate) fn here() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Answers with the length of the body, or with why it could not be read.
pub(crate) async fn count(mut request: Request) -> Reply {
    match request.body.collect().await {
        Ok(body) => Reply::text(StatusCode::OK, body.len().to_string()),
        Err(problem) => problem.into(),
    }
}

pub(crate) fn start(on: On, config: Config) -> Running {
    serve(on, config, count)
}

pub(crate) fn connect(handle: &Running) -> TcpStream {
    let stream = TcpStream::connect(handle.local_addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Everything until the server closes.
pub(crate) fn read_all(mut stream: impl Read) -> String {
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
pub(crate) fn read_reply(stream: &mut impl Read) -> (u16, String) {
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

pub(crate) fn statuses(text: &str) -> Vec<&str> {
    text.match_indices("HTTP/1.1 ").map(|(at, _)| &text[at + 9..at + 12]).collect()
}
