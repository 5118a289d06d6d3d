//! ShareID and Shufti Pro on loopback: to try a client or a callback receiver, in any language, against both providers at their best
//! and at their worst.
//!
//! ```text
//!                  ┌───────────────────────── Sandbox ─────────────────────────┐
//!   a client  ───▶ │ HTTP: tokens, fetch, /status, /delete, … ──▶ World        │
//!                  │                                              │ timelines  │
//!   a receiver ◀── │ posts: signed, late, twice, forged, … ◀──────┘ deliveries │
//!                  └────────────────────────────────────────────────────────────┘
//! ```
//!
//! What happens to a verification is its [`Scenario`]; how callbacks are repeated is `idv_core::delivery`; which events exist and may
//! follow each other is `idv_core::lifecycle`. The provider's time can run faster: [`Config::time_factor`].
//!
//! ```
//! use idv_sandbox::{Config, Create, Product, Sandbox};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sandbox = Sandbox::start(Config { time_factor: 1_000.try_into()?, ..Config::default() })?;
//! let id = sandbox.create(Create::new(Product::Shufti).scenario("flip").callback("http://127.0.0.1:9/callbacks/shufti"))?;
//! println!("curl -u sandbox-client-id:sandbox-secret-key {}/status -d '{{\"reference\":\"{id}\"}}'", sandbox.shufti_url());
//! # Ok(())
//! # }
//! ```
//!
//! Callers over HTTP choose a scenario by the header field `Idv-Scenario`, by the beginning of a Shufti reference or of a ShareID applicant id
//! (`flip-1234`), or by `customer_data.scenario`; else [`Config::default_scenario`] is played.
//!
//! A sandbox remembers every verification until it stops; it is a tool for tests, not a service.
//!
//! Its credentials are known to everybody: it listens on loopback, and posts callbacks there, unless
//! [`Config::beyond_loopback`] says otherwise.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod api;
mod bodies;
pub mod callback;
mod config;
mod faults;
mod log;
pub mod php;
mod scenario;
mod scenarios;
mod server;
mod world;

pub use config::{Config, Credentials, Faults, Limit, SignatureHeader, Tls};
pub use log::{Attempt, Counts, Delivery, Entry, Fate, Statistics, What};
pub use scenario::{AnswerFault, Callback, Key, Provider, Scenario, ScenarioError, Step};
pub use scenarios::built_in;
pub use world::Product;

use idv_listener::{BindError, Handle, Request, Server};
use idv_ureq::{BadCertificates, Client};
use server::Shared;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{fmt, io};
use world::{Opening, World};

/// Both providers, running. Dropping it stops them: running calls are answered, callbacks under way are broken off.
pub struct Sandbox {
    shared: Arc<Shared>,
    shareid: Option<Handle>,
    shufti: Option<Handle>,
    timers: Option<JoinHandle<()>>,
    urls: [String; 2],
}

impl Sandbox {
    /// Starts both providers.
    ///
    /// # Errors
    /// An address cannot be listened on or is not of this computer, a scenario makes no sense, a certificate cannot be used.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let scenarios = scenarios(&config)?;
        let addresses = [config.shareid_address, config.shufti_address];
        if let Some(address) =
            addresses.iter().find(|address| !config.beyond_loopback && !address.ip().is_loopback())
        {
            return Err(StartError::NotLoopback(*address));
        }
        let tls = match &config.tls {
            Some(Tls { chain, key }) => Some(
                idv_listener::tls::config_from_pem(chain, key.reveal().as_bytes())
                    .map_err(StartError::Certificate)?,
            ),
            None => None,
        };
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listener = idv_listener::Config {
            // Slow answers are wanted here; clients are to be the ones that lose patience.
            request_deadline: Duration::from_secs(60),
            reply_timeout: Duration::from_secs(600),
            max_body_bytes: 64 << 20,
            drain_deadline: Duration::from_secs(1),
            tls,
            ..idv_listener::Config::default()
        };
        let shareid = Server::bind(config.shareid_address, listener.clone()).map_err(StartError::Bind)?;
        let shufti = Server::bind(config.shufti_address, listener).map_err(StartError::Bind)?;
        let options =
            idv_ureq::transport::Options { roots_pem: config.callback_roots.clone(), ..Default::default() };
        let client = Client::with_options(&options).map_err(StartError::Roots)?;
        let urls = [shareid.local_addr(), shufti.local_addr()].map(|address| format!("{scheme}://{address}"));
        let [_, shufti_url] = &urls;
        let nonce = RandomState::new().hash_one("sandbox");
        let world = World::new(Arc::new(config), shufti_url.clone(), scenarios, nonce);
        let shared = Arc::new(Shared::new(world, client));
        let serve = |provider: Provider| {
            let shared = Arc::clone(&shared);
            move |request: Request| Arc::clone(&shared).serve(provider, request)
        };
        let (shareid_handler, shufti_handler) = (serve(Provider::Shareid), serve(Provider::Shufti));
        let mut sandbox =
            Self { shared: Arc::clone(&shared), shareid: None, shufti: None, timers: None, urls };
        sandbox.shareid = Some(shareid.spawn(shareid_handler).map_err(StartError::Thread)?);
        sandbox.shufti = Some(shufti.spawn(shufti_handler).map_err(StartError::Thread)?);
        let timers = std::thread::Builder::new().name("idv-sandbox".to_owned()).spawn(move || shared.run());
        sandbox.timers = Some(timers.map_err(StartError::Thread)?);
        Ok(sandbox)
    }

    /// The base URL of ShareID, its `API_URL`.
    #[must_use]
    pub fn shareid_url(&self) -> &str {
        let [shareid, _] = &self.urls;
        shareid
    }

    /// The base URL of Shufti.
    #[must_use]
    pub fn shufti_url(&self) -> &str {
        let [_, shufti] = &self.urls;
        shufti
    }

    /// Opens a verification, as a call would. Returns its id: what ShareID calls `applicant_id` or `flow_id` and Shufti `reference`.
    ///
    /// # Errors
    /// There is no such scenario, the id is taken, or callbacks may not be sent there.
    pub fn create(&self, create: Create) -> Result<String, CreateError> {
        let Create { product, id, scenario, callback, applicant_id, customer_data } = create;
        let provider = product.provider();
        self.shared.with(|world| {
            let id = match id {
                Some(id) if world.find(provider, &id).is_some() => return Err(CreateError::Taken(id)),
                Some(id) => id,
                None => {
                    let unique = world.unique();
                    match product {
                        Product::Onboarding => format!("ap-sandbox-{unique}"),
                        Product::Authenticate => format!("flow-sandbox-{unique}"),
                        Product::Shufti => format!("sandbox-{unique}"),
                    }
                }
            };
            let found = match &scenario {
                Some(name) => world.scenario(provider, name),
                None => world.default_scenario(provider),
            };
            let Some(found) = found else {
                let name = scenario.unwrap_or_else(|| world.config.default_scenario.clone());
                return Err(CreateError::UnknownScenario { provider, name });
            };
            if callback.as_deref().is_some_and(|url| !api::is_allowed(url, world.config.beyond_loopback)) {
                return Err(CreateError::Callback);
            }
            let applicant = match product {
                Product::Authenticate => Some(applicant_id.unwrap_or_else(|| format!("ap-of-{id}"))),
                Product::Onboarding | Product::Shufti => None,
            };
            let country = (product == Product::Shufti).then(|| "GB".to_owned());
            let opening = Opening { applicant, callback, customer_data, country, ..Opening::default() };
            world.open(product, &id, found, opening);
            Ok(id)
        })
    }

    /// Lets something happen to a verification now, beside its timeline; `step.at` plays no part.
    ///
    /// # Errors
    /// There is no such verification.
    pub fn happen(&self, provider: Provider, id: &str, step: &Step) -> Result<(), UnknownId> {
        self.shared.with(|world| {
            let index = world.find(provider, id).ok_or(UnknownId)?;
            world.happen(index, step);
            Ok(())
        })
    }

    /// The event that the provider holds to be the case now; `None` while there is none.
    ///
    /// # Errors
    /// There is no such verification.
    pub fn truth(&self, provider: Provider, id: &str) -> Result<Option<String>, UnknownId> {
        self.shared.with(|world| {
            let index = world.find(provider, id).ok_or(UnknownId)?;
            let truth = world.verifications.get(index).and_then(|verification| verification.truth.as_ref());
            Ok(truth.map(|truth| truth.event.clone()))
        })
    }

    /// Ends the life of every token, as a provider does that restarts.
    pub fn revoke_tokens(&self) {
        self.shared.with(World::revoke_tokens);
    }

    /// What was counted so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.shared.with(|world| world.statistics)
    }

    /// The callbacks so far, each with its attempts: at most the last 20 000.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.with(|world| world.deliveries())
    }

    /// What happened so far: at most the last 20 000 entries.
    #[must_use]
    pub fn log(&self) -> Vec<Entry> {
        self.shared.with(|world| world.log.entries())
    }

    /// What happens from now on, as it happens. Who falls 4096 entries behind misses some.
    #[must_use]
    pub fn listen(&self) -> Receiver<Entry> {
        let (sender, receiver) = mpsc::sync_channel(log::MOST_UNREAD);
        self.shared.with(|world| world.log.listen(sender));
        receiver
    }

    /// Stops both providers and waits until they have.
    pub fn shutdown(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        self.shareid = None;
        self.shufti = None;
        self.shared.stop();
        if self.timers.take().is_some_and(|timers| timers.join().is_err()) {
            tracing::error!("the sandbox's timer thread panicked");
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sandbox").field(&self.urls).finish()
    }
}

/// The built-in scenarios and the configured ones.
fn scenarios(config: &Config) -> Result<Vec<Scenario>, StartError> {
    let mut all = built_in();
    for scenario in &config.scenarios {
        scenario.check().map_err(StartError::Scenario)?;
        all.push(scenario.clone());
    }
    if !all.iter().any(|scenario| scenario.name == config.default_scenario) {
        return Err(StartError::NoDefault(config.default_scenario.clone()));
    }
    Ok(all)
}

/// A verification to be opened.
#[derive(Clone, Debug)]
pub struct Create {
    product: Product,
    id: Option<String>,
    scenario: Option<String>,
    callback: Option<String>,
    applicant_id: Option<String>,
    customer_data: Option<serde_json::Value>,
}

impl Create {
    /// A verification of this product with an id of the sandbox's choice, the default scenario and no callbacks.
    #[must_use]
    pub fn new(product: Product) -> Self {
        Self { product, id: None, scenario: None, callback: None, applicant_id: None, customer_data: None }
    }

    /// With this id.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// With this scenario.
    #[must_use]
    pub fn scenario(mut self, name: impl Into<String>) -> Self {
        self.scenario = Some(name.into());
        self
    }

    /// With callbacks to this URL.
    #[must_use]
    pub fn callback(mut self, url: impl Into<String>) -> Self {
        self.callback = Some(url.into());
        self
    }

    /// For this applicant ([`Product::Authenticate`]).
    #[must_use]
    pub fn applicant(mut self, id: impl Into<String>) -> Self {
        self.applicant_id = Some(id.into());
        self
    }

    /// With data of the caller's that come back in the callback ([`Product::Onboarding`]).
    #[must_use]
    pub fn customer_data(mut self, data: serde_json::Value) -> Self {
        self.customer_data = Some(data);
        self
    }
}

/// Why a sandbox cannot be started.
#[derive(Debug)]
pub enum StartError {
    /// An address that others can reach.
    NotLoopback(SocketAddr),
    /// An address cannot be listened on.
    Bind(BindError),
    /// The certificate or its key cannot be used.
    Certificate(idv_listener::tls::TlsError),
    /// The certificates that callbacks are to be trusted by cannot be used.
    Roots(BadCertificates),
    /// A scenario makes no sense.
    Scenario(ScenarioError),
    /// There is no scenario of the name of [`Config::default_scenario`].
    NoDefault(String),
    /// No thread could be started.
    Thread(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLoopback(address) => write!(
                f,
                "{address} can be reached by others, and the sandbox lets everybody in: use 127.0.0.1, or allow it explicitly"
            ),
            Self::Bind(error) => error.fmt(f),
            Self::Certificate(error) => error.fmt(f),
            Self::Roots(error) => write!(f, "the certificates for callbacks cannot be used: {error}"),
            Self::Scenario(error) => error.fmt(f),
            Self::NoDefault(name) => write!(f, "there is no scenario `{name}` to play where none is chosen"),
            Self::Thread(error) => write!(f, "no thread could be started: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// Why a verification cannot be opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CreateError {
    /// The provider has no scenario of this name.
    UnknownScenario {
        /// The provider.
        provider: Provider,
        /// The name.
        name: String,
    },
    /// The id is taken.
    Taken(String),
    /// The callback is no URL, or not one of this computer.
    Callback,
}

impl fmt::Display for CreateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownScenario { provider, name } => {
                write!(f, "{} has no scenario `{name}`; the built-in ones are ", provider.as_str())?;
                let own = built_in();
                let names: Vec<_> =
                    own.iter().filter(|scenario| scenario.provider == *provider).map(|scenario| scenario.name.as_str()).collect();
                f.write_str(&names.join(", "))
            }
            Self::Taken(id) => write!(f, "there is a verification `{id}` already; choose another id"),
            Self::Callback => f.write_str(
                "callbacks go to an http or https URL of this computer (127.0.0.1, localhost), unless the sandbox may go beyond it",
            ),
        }
    }
}

impl std::error::Error for CreateError {}

/// There is no verification of this id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownId;

impl fmt::Display for UnknownId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sandbox has no verification of this id; open it first")
    }
}

impl std::error::Error for UnknownId {}
