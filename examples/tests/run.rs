//! Runs every program here over real sockets: the servers take callbacks, the loops ask a provider.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test may fail by a panic")]

use idv_core::secret::Secret;
use idv_core::shufti::signature::{Rule, sign};
use idv_sandbox::{Config, Create, Product, Sandbox};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

const SECRET: &str = "sandbox-secret-key";
const ACCEPTED: &str = r#"{"reference":"order-1","event":"verification.accepted"}"#;

struct Program {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Program {
    fn start(path: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(path)
            .args(arguments)
            .env("IDV_SHUFTI_CLIENT_ID", "sandbox-client-id")
            .env("IDV_SHUFTI_SECRET_KEY", SECRET)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a request, its body in two pieces, and returns status and head of the answer.
fn exchange(address: &str, method: &str, fields: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!("{method} /callbacks/shufti HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{fields}\r\n");
    let (first, rest) = body.split_at(body.len() / 2);
    stream.write_all(&[head.as_bytes(), first].concat()).unwrap();
    stream.write_all(rest).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap().to_ascii_lowercase();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no answer: {answer:?}")), answer)
}

fn callback(address: &str, signature: &str, body: &str) -> u16 {
    let fields = format!(
        "content-type: application/json\r\nsignature: {signature}\r\ncontent-length: {}\r\n",
        body.len()
    );
    exchange(address, "POST", &fields, body.as_bytes()).0
}

/// What every receiver must do, whatever serves it.
fn receives(path: &str) {
    let mut program = Program::start(path, &["127.0.0.1:0"]);
    let line = program.line();
    let address = line.strip_prefix("listening on http://").unwrap();
    let signature = |body: &str| sign(Rule::After, &Secret::from(SECRET), body.as_bytes());

    assert_eq!(callback(address, &signature(ACCEPTED), ACCEPTED), 200);
    assert_eq!(program.line(), "order-1 is said to be accepted");
    assert_eq!(callback(address, &signature("another body"), ACCEPTED), 401);
    let (status, answer) = exchange(address, "GET", "", b"");
    assert!(status == 405 && answer.contains("\r\nallow: post\r\n"), "{answer}");
    assert_eq!(exchange(address, "POST", "content-length: 20000000\r\n", b"").0, 413);
    // The same bytes again, and a body larger than most frameworks take unasked.
    assert_eq!(callback(address, &signature(ACCEPTED), ACCEPTED), 200);
    assert_eq!(program.line(), "order-1 is said to be accepted");
    let large =
        format!(r#"{{"reference":"order-2","event":"verification.declined"{}}}"#, " ".repeat(3 << 20));
    assert_eq!(callback(address, &signature(&large), &large), 200);
    assert_eq!(program.line(), "order-2 is said to be declined");
}

#[test]
fn g5_axum_takes_callbacks() {
    receives(env!("CARGO_BIN_EXE_axum_callback"));
}

#[test]
fn g5_actix_takes_callbacks() {
    receives(env!("CARGO_BIN_EXE_actix_callback"));
}

#[test]
fn g5_plain_hyper_takes_callbacks() {
    receives(env!("CARGO_BIN_EXE_hyper_callback"));
}

#[test]
fn g5_a_blocking_handler_takes_callbacks() {
    receives(env!("CARGO_BIN_EXE_blocking_handler"));
}

/// Verifications at the sandbox, and what a program says of them in any order.
fn pulls(path: &str, scenarios: &[(&str, &str)]) {
    let config = Config { time_factor: 50.try_into().unwrap(), ..Config::default() };
    let sandbox = Sandbox::start(config).unwrap();
    let create = |scenario: &str| sandbox.create(Create::new(Product::Shufti).scenario(scenario)).unwrap();
    let ids: Vec<String> = scenarios.iter().map(|(scenario, _)| create(scenario)).collect();
    let mut arguments = vec![sandbox.shufti_url()];
    arguments.extend(ids.iter().map(String::as_str));
    let mut program = Program::start(path, &arguments);
    let mut lines: Vec<String> = program.output.by_ref().lines().map(Result::unwrap).collect();
    assert!(program.child.wait().unwrap().success());
    let mut expected: Vec<String> =
        ids.iter().zip(scenarios).map(|(id, (_, verdict))| format!("{id} is {verdict}")).collect();
    lines.sort();
    expected.sort();
    assert_eq!(lines, expected);
}

#[test]
fn g1_the_blocking_loop_brings_the_verdict() {
    pulls(env!("CARGO_BIN_EXE_blocking_loop"), &[("declined", "declined")]);
}

#[test]
fn g1_the_asynchronous_loop_brings_every_verdict() {
    pulls(env!("CARGO_BIN_EXE_async_loop"), &[("accepted", "accepted"), ("declined", "declined")]);
}
