//! One suite for every adapter: stories about a provider that misbehaves, a store that fails and an application that refuses, played to
//! the letter by the bare core in virtual time and by every adapter over real sockets, plain and TLS.
//!
//! The stories are in `tests/conformance`, and what their words mean stands in the README there. A new adapter joins by implementing
//! [`Adapter`] and [`Running`].
#![allow(clippy::unwrap_used, reason = "a helper that cannot work fails its test")]

mod asynchronous;
pub mod bare;
pub mod documents;
pub mod observed;
pub mod play;
pub mod scenario;
mod sender;
pub mod server;
pub mod sockets;
mod ureq;

pub use asynchronous::Asynchronous;
pub use observed::Application;
pub use ureq::Ureq;

use crate::driving::FaultyStore;
use bare::Bare;
use idv_core::delivery;
use idv_core::engine::Account;
use scenario::{Over, Scenario};
use sockets::Sockets;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// What an adapter is set up with.
pub struct Setup {
    /// The account.
    pub account: Account,
    /// Whom to trust, in PEM.
    pub roots_pem: Vec<u8>,
    /// The store, with what an earlier process left in it.
    pub store: FaultyStore,
    /// How a revision that was not taken is offered again.
    pub hand_over: delivery::Policy,
    /// Who takes revisions and is told events.
    pub application: Application,
}

/// An adapter: implement this, and every story is played on it.
pub trait Adapter: Sync {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Starts a driver.
    ///
    /// # Errors
    /// Says why it cannot.
    fn start(&self, setup: Setup) -> Result<Box<dyn Running>, String>;
}

/// A driver that runs.
pub trait Running: Send {
    /// Opens a verification.
    ///
    /// # Errors
    /// Says why it cannot.
    fn open(&self, id: &str) -> Result<(), String>;

    /// Cancels one that this driver opened or took over.
    ///
    /// # Errors
    /// Says why it cannot.
    fn cancel(&self, id: &str) -> Result<(), String>;

    /// Receives callbacks at this path.
    ///
    /// # Errors
    /// Says why it cannot.
    fn listen(&self, path: &str, config: idv_listener::Config) -> Result<SocketAddr, String>;

    /// Stops at once.
    fn stop(self: Box<Self>);
}

/// Every scenario of the suite.
///
/// # Errors
/// One cannot be read; says which, where and why.
pub fn scenarios() -> Result<Vec<Scenario>, String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("conformance");
    Scenario::load_all(&folder)
}

/// How many stories are played at the same time: most of the time they wait.
const AT_ONCE: usize = 16;

/// Plays every scenario over plain connections and over TLS.
///
/// # Errors
/// Stories that went otherwise; says which, and how.
pub fn play_all(adapter: &dyn Adapter, scenarios: &[Scenario]) -> Result<u32, String> {
    let runs = scenarios.iter().flat_map(|scenario| {
        let ways: &[bool] = match scenario.over {
            Over::Both => &[false, true],
            Over::Plain => &[false],
            Over::Tls => &[true],
        };
        ways.iter().map(move |tls| (scenario, *tls))
    });
    let runs = Mutex::new(runs.collect::<VecDeque<_>>());
    let problems = Mutex::new(Vec::new());
    let played = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let run = runs.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some((scenario, tls)) = run else { return };
                    played.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let over = if tls { "TLS" } else { "plain" };
                    if let Err(problem) = play(adapter, scenario, tls) {
                        let problem = format!("{} over {over}, {}: {problem}", adapter.name(), scenario.name);
                        problems.lock().unwrap_or_else(PoisonError::into_inner).push(problem);
                    }
                }
            });
        }
    });
    let problems = problems.into_inner().unwrap_or_else(PoisonError::into_inner);
    if problems.is_empty() { Ok(played.into_inner()) } else { Err(problems.join("\n\n")) }
}

/// Plays a scenario on an adapter, and holds what was seen against what is seen on the bare core.
fn play(adapter: &dyn Adapter, scenario: &Scenario, tls: bool) -> Result<(), String> {
    let mut stage = Sockets::new(adapter, scenario, tls).map_err(|error| error.to_string())?;
    let seen = play::play(scenario, &mut stage)?;
    let expected = play_bare(scenario, 0).map_err(|problem| format!("on the bare core: {problem}"))?;
    if seen == expected {
        return Ok(());
    }
    let (seen, expected) = (seen.join("\n  "), expected.join("\n  "));
    Err(format!("this was seen:\n  {seen}\nand on the bare core:\n  {expected}"))
}

/// Plays a scenario on the bare core in virtual time; what was seen. The seed is that of the jitter.
///
/// # Errors
/// The story went otherwise; says how.
pub fn play_bare(scenario: &Scenario, seed: u64) -> Result<Vec<String>, String> {
    play::play(scenario, &mut Bare::new(scenario, seed)?)
}
