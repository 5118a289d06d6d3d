//! A client and a receiver for the sandbox's tests.
#![allow(dead_code, reason = "not every test file uses all of it")]

use idv_core::http::{Request, basic_authorization};
use idv_core::provider::PullAnswer;
use idv_core::secret::Secret;
use idv_core::shufti;
use idv_core::shufti::signature::Outcome;
use idv_core::time::Span;
use idv_listener::{Handle, Reply, Server, StatusCode};
use idv_sandbox::{Config, Limit, Sandbox};
use idv_ureq::{Client, Received};
use serde_json::Value;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A sandbox whose hour takes this long, without a limit that tests would run into.
pub(crate) fn sandbox(time_factor: u32) -> Sandbox {
    Sandbox::start(config(time_factor)).unwrap()
}

pub(crate) fn config(time_factor: u32) -> Config {
    Config { time_factor: time_factor.try_into().unwrap(), shufti_limit: None, ..Config::default() }
}

pub(crate) fn limit(calls: u32, secs: u64) -> Option<Limit> {
    Some(Limit { calls, window: Duration::from_secs(secs) })
}

/// One call: body as JSON text.
pub(crate) fn call(
    method: &'static str,
    url: &str,
    headers: &[(&'static str, &str)],
    body: &str,
) -> Received {
    try_call(method, url, headers, body).unwrap()
}

pub(crate) fn try_call(
    method: &'static str,
    url: &str,
    headers: &[(&'static str, &str)],
    body: &str,
) -> Result<Received, idv_ureq::Failure> {
    let mut request = Request::new();
    request.method = method;
    request.url = url.to_owned();
    request.headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    request.body = body.as_bytes().to_vec();
    Client::new().send(&request, Span::secs(10))
}

pub(crate) fn json(received: &Received) -> Value {
    serde_json::from_slice(&received.body)
        .unwrap_or_else(|_| panic!("no JSON: {:?}", String::from_utf8_lossy(&received.body)))
}

pub(crate) fn header<'a>(received: &'a Received, name: &str) -> Option<&'a str> {
    received
        .headers
        .iter()
        .find(|(field, _)| field == name)
        .map(|(_, value)| std::str::from_utf8(value).unwrap())
}

/// The authorization that the default credentials make.
pub(crate) fn basic() -> String {
    basic_authorization("sandbox-client-id", &"sandbox-secret-key".into())
}

pub(crate) fn shufti(sandbox: &Sandbox, path: &str, body: &str) -> Received {
    call("POST", &format!("{}{path}", sandbox.shufti_url()), &[("authorization", &basic())], body)
}

pub(crate) fn status(sandbox: &Sandbox, reference: &str) -> Received {
    shufti(sandbox, "/status", &format!("{{\"reference\":\"{reference}\"}}"))
}

/// The core's own account for the sandbox's Shufti.
pub(crate) fn account(sandbox: &Sandbox) -> shufti::Account {
    shufti::Account::builder("sandbox-client-id", "sandbox-secret-key".into())
        .base_url(sandbox.shufti_url())
        .require_signed_answers(true)
        .build()
        .unwrap()
}

/// Asks as a driver would, by the core's codec.
pub(crate) fn pull(
    provider: &dyn idv_core::provider::Provider,
    id: &str,
    token: Option<&Secret>,
) -> PullAnswer {
    let mut request = Request::new();
    provider.pull_request(id, token, &mut request);
    let received = Client::new().send(&request, Span::secs(10)).unwrap();
    received.lend(|answer| provider.read_pull(id, answer, None))
}

/// A callback as it came.
#[derive(Clone, Debug)]
pub(crate) struct Came {
    pub(crate) at: Instant,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl Came {
    pub(crate) fn event(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap();
        body.get("event")
            .map_or_else(|| body["reasons"].to_string(), |event| event.as_str().unwrap().to_owned())
    }

    /// Whether the core's verifier lets it pass.
    pub(crate) fn is_signed(&self, verifier: &idv_core::shufti::signature::Verifier) -> bool {
        let fields: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        matches!(verifier.check(idv_core::http::Headers(&fields), &self.body).outcome, Outcome::Valid(_))
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| std::str::from_utf8(value).unwrap())
    }
}

/// Receives callbacks and answers them in turn; the last status again and again.
pub(crate) struct Inbox {
    handle: Handle,
    came: Receiver<Came>,
}

impl Inbox {
    pub(crate) fn answering(statuses: &'static [u16]) -> Self {
        let (sender, came) = channel();
        let count = std::sync::atomic::AtomicUsize::new(0);
        let handler = move |mut request: idv_listener::Request| {
            let at = Instant::now();
            let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let status = statuses.get(number).or(statuses.last()).copied().unwrap();
            let sender = sender.clone();
            async move {
                let body = request.body.collect().await.unwrap();
                let head = &request.head;
                let headers =
                    head.fields().iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
                let path = head.uri.to_string();
                let _ = sender.send(Came { at, path, headers, body });
                Reply::new(StatusCode::from_u16(status).unwrap())
            }
        };
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), idv_listener::Config::default()).unwrap();
        Self { handle: server.spawn(handler).unwrap(), came }
    }

    pub(crate) fn new() -> Self {
        Self::answering(&[200])
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/callbacks?tx=1", self.handle.local_addr())
    }

    pub(crate) fn next(&self) -> Came {
        self.came.recv_timeout(PATIENCE).expect("a callback")
    }

    pub(crate) fn nothing_for(&self, time: Duration) {
        if let Ok(came) = self.came.recv_timeout(time) {
            panic!("unexpected: {}", String::from_utf8_lossy(&came.body));
        }
    }
}

/// Looks again and again until there is something.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// What the log says of the calls that were answered 401.
pub(crate) fn refusals(sandbox: &Sandbox) -> Vec<String> {
    let refusal = |entry: idv_sandbox::Entry| match entry.what {
        idv_sandbox::What::Call { status: Some(401), said, .. } => Some(said),
        _ => None,
    };
    sandbox.log().into_iter().filter_map(refusal).collect()
}
