//! A contestant's process.

use crate::process::{cpu, now, say};
use crate::{Error, drivers, naive};
use idv_core::engine::Account;
use idv_core::shufti;
use idv_core::time::Span;
use std::io::stdin;
use std::time::Duration;

/// Their names: the adapters, then what one would write instead.
pub(crate) const ADAPTERS: [&str; 4] = ["idv-ureq", "idv-smol", "idv-async-std", "idv-tokio"];
pub(crate) const REQWEST: &str = "reqwest";
pub(crate) const THREADS: &str = "threads";

/// The most calls at the same time, for every contestant that can bound them.
pub(crate) const CALLS_AT_ONCE: usize = 64;

const CLIENT_ID: &str = "sandbox-client-id";
const SECRET_KEY: &str = "sandbox-secret-key";

/// What a contestant is to do.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) open: usize,
    /// Between two pulls of one verification.
    pub(crate) cadence: Duration,
    /// Whether it pulls when a callback says so, and then only.
    pub(crate) by_callback: bool,
}

impl Job {
    pub(crate) fn arguments(&self) -> Vec<String> {
        let Self { name, url, open, cadence, by_callback } = self;
        let cadence = cadence.as_millis();
        [crate::process::CONTESTANT, name, url]
            .map(str::to_owned)
            .into_iter()
            .chain([open.to_string(), cadence.to_string(), by_callback.to_string()])
            .collect()
    }

    fn read(arguments: &[String]) -> Result<Self, Error> {
        let [name, url, open, cadence, by_callback] = arguments else { return Err("five arguments".into()) };
        Ok(Self {
            name: name.clone(),
            url: url.clone(),
            open: open.parse()?,
            cadence: Duration::from_millis(cadence.parse()?),
            by_callback: by_callback.parse()?,
        })
    }

    /// The account under rules that let it be as fast as asked for.
    pub(crate) fn account(&self) -> Result<Account, Error> {
        let shufti = shufti::Account::builder(CLIENT_ID, SECRET_KEY.into()).base_url(&self.url).build()?;
        let cadence = Span::millis(u32::try_from(self.cadence.as_millis())?);
        let mut rules = idv_core::provider::Provider::rules(&shufti).with_cadence(cadence);
        if self.by_callback {
            rules.interval = Span::hours(1);
        }
        rules.deadline = Span::hours(24);
        (rules.calls, rules.window, rules.burst) = (1_000_000, Span::mins(1), 20_000);
        Ok(Account::with_rules(shufti, &rules)?)
    }

    /// What one would send without an adapter: where, with which credentials, for whom.
    pub(crate) fn status_url(&self) -> String {
        format!("{}/status", self.url)
    }

    pub(crate) const fn credentials() -> (&'static str, &'static str) {
        (CLIENT_ID, SECRET_KEY)
    }
}

/// Does what the arguments say until it is ended.
pub(crate) fn run(arguments: &[String]) -> Result<(), Error> {
    let job = Job::read(arguments)?;
    say_usage()?;
    std::thread::spawn(|| -> Result<(), Error> {
        for line in stdin().lines() {
            if line? == "usage" {
                say_usage()?;
            }
        }
        std::process::exit(0);
    });
    match job.name.as_str() {
        "idv-ureq" => drivers::ureq(&job),
        "idv-smol" => smol::block_on(drivers::on(idv_smol::Smol, &job)),
        "idv-async-std" => async_std::task::block_on(drivers::on(idv_async_std::AsyncStd, &job)),
        "idv-tokio" => tokio()?.block_on(drivers::on(idv_tokio::Tokio, &job)),
        REQWEST => tokio()?.block_on(naive::tasks(&job)),
        THREADS => naive::threads(&job),
        name => Err(format!("no contestant `{name}`").into()),
    }
}

/// As `#[tokio::main]` makes it.
fn tokio() -> Result<tokio::runtime::Runtime, Error> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// Every verification is open.
pub(crate) fn say_open() {
    say("open");
}

/// Callbacks are received here.
pub(crate) fn say_listening(address: std::net::SocketAddr) {
    say(&format!("listening {address}"));
}

/// A verdict has come to the application.
pub(crate) fn say_got(id: &str) {
    let at = now();
    say(&format!("got {id} {at}"));
}

/// CPU time so far, memory now and at its most.
fn say_usage() -> Result<(), Error> {
    let cpu = cpu();
    let status = std::fs::read_to_string("/proc/self/status")?;
    let field = |name: &str| -> Result<u64, Error> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("a field is missing")?;
        Ok(line.trim_matches([':', '\t', ' ', 'k', 'B']).parse()?)
    };
    say(&format!("usage {cpu} {} {} {}", field("VmRSS")?, field("VmHWM")?, field("Threads")?));
    Ok(())
}
