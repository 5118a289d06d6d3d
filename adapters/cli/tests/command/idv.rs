//! Runs the built command.

use crate::fake::KEY;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub(crate) const BUSINESS_HASH: &str = "HASH-of-the-business";
pub(crate) const API_KEY: &str = "APIKEY-of-the-business";

/// The command with every credential and nothing else in its environment.
pub(crate) fn idv(arguments: &[&str]) -> Command {
    let mut command = bare(arguments);
    command.env("IDV_SHAREID_BUSINESS_HASH", BUSINESS_HASH).env("IDV_SHAREID_API_KEY", API_KEY);
    command.env("IDV_SHUFTI_CLIENT_ID", "client-of-shufti").env("IDV_SHUFTI_SECRET_KEY", KEY);
    command
}

/// The command with an empty environment.
pub(crate) fn bare(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_idv"));
    command.env_clear().args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a run came to.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Ran {
    pub(crate) fn of(mut command: Command) -> Self {
        let begun = Instant::now();
        let child = command.spawn().unwrap();
        let watchdog = Watchdog::over(&child);
        let output = child.wait_with_output().unwrap();
        drop(watchdog);
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            took: begun.elapsed(),
        }
    }

    /// Checks the exit code, and shows everything when it is another.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Standard output as one JSON object a line.
    pub(crate) fn objects(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    #[track_caller]
    pub(crate) fn complains(&self, words: &str) {
        assert!(self.stderr.contains(words), "expected {words:?} in: {}", self.stderr);
    }
}

/// Ends a command that does not end by itself, so that a test fails instead of hanging.
struct Watchdog(Option<(Sender<()>, JoinHandle<()>)>);

impl Watchdog {
    fn over(child: &Child) -> Self {
        let (done, ended) = mpsc::channel();
        let pid = child.id().to_string();
        let waiting = thread::spawn(move || {
            if ended.recv_timeout(Duration::from_secs(60)) == Err(RecvTimeoutError::Timeout) {
                let _ = Command::new("kill").args(["-KILL", &pid]).status();
            }
        });
        Self(Some((done, waiting)))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some((done, waiting)) = self.0.take() {
            drop(done);
            let _ = waiting.join();
        }
    }
}

/// A command that runs until it is interrupted.
pub(crate) struct Running {
    watchdog: Option<Watchdog>,
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: Option<JoinHandle<String>>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let watchdog = Some(Watchdog::over(&child));
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut errors = child.stderr.take().unwrap();
        let stderr = thread::spawn(move || {
            let mut text = String::new();
            errors.read_to_string(&mut text).unwrap();
            text
        });
        Self { watchdog, child, stdout, stderr: Some(stderr) }
    }

    /// The next line of standard output, without its end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end_matches('\n').to_owned()
    }

    pub(crate) fn object(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).expect(&line)
    }

    pub(crate) fn signal(&self, name: &str) {
        // The standard library cannot send one.
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Interrupts it; gives what else it printed.
    pub(crate) fn interrupt(mut self) -> Ran {
        self.signal("-INT");
        self.wait()
    }

    pub(crate) fn wait(&mut self) -> Ran {
        let begun = Instant::now();
        let mut stdout = String::new();
        self.stdout.read_to_string(&mut stdout).unwrap();
        let code = self.child.wait().unwrap().code();
        self.watchdog = None;
        let stderr = self.stderr.take().unwrap().join().unwrap();
        Ran { code, stdout, stderr, took: begun.elapsed() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed leaves nothing running; one that did not has waited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends one request as it stands and gives the status of the answer.
pub(crate) fn send(url: &str, method: &str, fields: &str, body: &[u8]) -> u16 {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let head = format!(
        "{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n{fields}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // A body that is too large is answered before it is read.
    let _ = stream.write_all(body);
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    answer.split(' ').nth(1).expect(&answer).parse().unwrap()
}
