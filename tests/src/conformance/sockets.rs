//! The stage of the adapters: a provider behind real sockets, callbacks over real sockets, the computer's clock.

use super::documents::Documents;
use super::observed::{Observed, Posted, Seen};
use super::play::{Post, Stage};
use super::scenario::{BadConnection, Scenario};
use super::server::{IDENTITIES, Server, hang_up, read_message, trusted_pem};
use super::{Adapter, Running, Setup};
use crate::driving::FaultyStore;
use idv_core::delivery::{self, Schedule, Success};
use idv_core::time::Span;
use rustls_pki_types::ServerName;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where callbacks are posted to.
pub const CALLBACK_PATH: &str = "/callbacks";

/// One name that no resolver knows: a label of 64 characters, one more than a name may have (RFC 1035, 2.3.4), so that no network is
/// asked.
const NOWHERE: &str = "a-name-with-a-label-of-sixty-four-characters-that-nobody-can-have";

/// An adapter on its stage.
pub struct Sockets<'a> {
    adapter: &'a dyn Adapter,
    scenario: &'a Scenario,
    tls: bool,
    began: Instant,
    observed: Observed,
    server: Server,
    store: FaultyStore,
    process: Option<(Box<dyn Running>, SocketAddr)>,
}

impl<'a> Sockets<'a> {
    /// Sets the stage for a scenario.
    ///
    /// # Errors
    /// There is no port for the provider.
    pub fn new(adapter: &'a dyn Adapter, scenario: &'a Scenario, tls: bool) -> io::Result<Self> {
        let (began, observed) = (Instant::now(), Observed::default());
        let server = Server::start(tls, observed.clone(), began)?;
        let store = FaultyStore::default();
        Ok(Self { adapter, scenario, tls, began, observed, server, store, process: None })
    }

    fn process(&self) -> Result<&(Box<dyn Running>, SocketAddr), String> {
        self.process.as_ref().ok_or_else(|| "no process runs".to_owned())
    }
}

/// How revisions that were not taken are offered again in a story.
#[must_use]
pub fn hand_over(scenario: &Scenario) -> delivery::Policy {
    let waits = scenario.account.hand_over.clone().unwrap_or_else(|| vec![Span::millis(20); 3]);
    delivery::Policy {
        timeout: Span::MAX,
        success: Success::Exactly200,
        schedule: Schedule::own(&waits).unwrap_or(Schedule::of([Span::millis(20); 3])),
        jitter_percent: 0,
    }
}

impl Stage for Sockets<'_> {
    fn observed(&self) -> &Observed {
        &self.observed
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn unix_ms(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
    }

    fn start(&mut self) -> Result<(), String> {
        let base_url = if self.scenario.account.nowhere {
            format!("{}://{NOWHERE}:{}", if self.tls { "https" } else { "http" }, self.server.port())
        } else {
            self.server.url()
        };
        let identity = &IDENTITIES.good;
        let tls = if self.tls {
            let (chain, key) = (identity.certificate_pem.as_bytes(), identity.key_pem.as_bytes());
            Some(idv_listener::tls::config_from_pem(chain, key).map_err(|error| error.to_string())?)
        } else {
            None
        };
        let running = self.adapter.start(Setup {
            account: Documents::of(&self.scenario.account)?.account(&base_url)?,
            roots_pem: trusted_pem(),
            store: self.store.clone(),
            hand_over: hand_over(self.scenario),
            application: self.observed.application(),
        })?;
        let address = running.listen(CALLBACK_PATH, idv_listener::Config { tls, ..Default::default() })?;
        self.process = Some((running, address));
        Ok(())
    }

    fn crash(&mut self) {
        self.store.die_after(0);
        self.store.stall_commits(false);
        // What it had to answer, or waits for, goes with it.
        self.observed.note(Seen::process_died);
        if let Some((running, _)) = self.process.take() {
            running.stop();
        }
        self.observed.note(|seen| seen.requests.clear());
        self.store = FaultyStore::over(&self.store.memory);
    }

    fn open(&mut self, id: &str) -> Result<(), String> {
        self.process()?.0.open(id)
    }

    fn cancel(&mut self, id: &str) -> Result<(), String> {
        self.process()?.0.cancel(id)
    }

    fn spoil(&mut self, bad: BadConnection) {
        self.server.spoil(bad);
    }

    fn post(&mut self, post: Post) -> Result<(), String> {
        let (address, tls, observed) = (self.process()?.1, self.tls, self.observed.clone());
        let store = self.store.clone();
        std::thread::spawn(move || {
            let hangs_up = post.hangs_up;
            let posted = send(address, tls, &post, &store);
            if !hangs_up {
                let posted = posted.unwrap_or(Posted { status: 0, rest: String::new() });
                observed.note(|seen| seen.posted.push_back(posted));
            }
        });
        Ok(())
    }

    fn store(&self) -> &FaultyStore {
        &self.store
    }

    fn let_pass(&mut self, _: Duration) -> bool {
        false
    }

    fn wait(&mut self, patience: Duration, wanted: &mut dyn FnMut(&mut Seen) -> bool) -> bool {
        self.observed.wait_for(patience, wanted)
    }
}

fn send(address: SocketAddr, tls: bool, post: &Post, store: &FaultyStore) -> io::Result<Posted> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let socket = stream.try_clone()?;
    let posted = if tls {
        let name = ServerName::IpAddress(address.ip().into());
        let config = IDENTITIES.good.client_config();
        let connection = rustls::ClientConnection::new(config, name).map_err(io::Error::other)?;
        talk(rustls::StreamOwned::new(connection, stream), post, store)
    } else {
        talk(stream, post, store)
    };
    hang_up(&socket);
    posted
}

fn talk(mut stream: impl Read + Write, post: &Post, store: &FaultyStore) -> io::Result<Posted> {
    let fields: String = post.fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = post.body.len();
    let head = format!(
        "POST {CALLBACK_PATH} HTTP/1.1\r\nhost: localhost\r\n{fields}content-length: {length}\r\n\r\n"
    );
    let sent = if post.stops { post.body.get(..length / 2) } else { post.body.get(..) };
    stream.write_all(&[head.as_bytes(), sent.unwrap_or_default()].concat())?;
    stream.flush()?;
    if post.hangs_up {
        // Before that, whether the callback was read is up to chance.
        store.wait_for_stalled(1);
        return Ok(Posted { status: 0, rest: String::new() });
    }
    let (head, body) = read_message(&mut stream)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Ok(Posted { status, rest: String::from_utf8_lossy(&body).trim_end().to_owned() })
}
