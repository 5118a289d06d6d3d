//! Accounts from the environment and the command line.

use crate::exit::Failure;
use crate::secrets;
use crate::span;
use idv_core::rules::Rules;
use idv_core::secret::Secret;
use idv_core::shareid::{self, Flow};
use idv_core::shufti::{self, signature::Rule};
use idv_core::time::Span;
use idv_ureq::transport::Options;
use idv_ureq::{Account, Client};
use std::net::IpAddr;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// The shortest time for a call: one that cannot even connect would end in words about whatever was under way.
const LEAST_CALL_TIMEOUT: Span = Span::millis(50);

/// As people write it: `1m 30s`.
fn words(span: Span) -> humantime::FormattedDuration {
    humantime::format_duration(span.as_duration())
}

/// What can be chosen about pulling.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Pulling {
    /// How long to wait for a verdict; longer than the cadence [default: 75m, the longest user session and a quarter of an hour].
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub(crate) deadline: Option<Span>,
    /// The least time between two pulls of one verification, from the end of the first [default: 5s].
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub(crate) cadence: Option<Span>,
    /// How long one call may take, at least 50ms [default: 10s, or the deadline where that is shorter].
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub(crate) call_timeout: Option<Span>,
    /// The most calls a minute for all verifications together, token requests included [default: 120 at ShareID, 20 at Shufti, which
    /// is what a trial account may; watch raises it to what --cadence needs].
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) calls_per_minute: Option<u32>,
    /// Trust these certificates (PEM) instead of the public ones, for a private certificate authority.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// There is one verification only.
    #[arg(skip)]
    alone: bool,
}

impl Pulling {
    /// The provider's rules with what was chosen.
    fn rules(&self, contract: Rules) -> Result<Rules, Failure> {
        let mut rules = contract;
        if let Some(cadence) = self.cadence {
            rules = rules.with_cadence(cadence);
            if self.alone {
                // Twice what the cadence lets through, so that a token request and a late answer cost no pull.
                let pulls = Span::mins(1).as_millis() / cadence.as_millis();
                rules.calls = rules.calls.max(pulls.saturating_mul(2));
                rules.window = Span::mins(1);
            }
        }
        if let Some(deadline) = self.deadline {
            rules = rules.with_deadline(deadline);
        }
        if let Some(calls) = self.calls_per_minute {
            rules = Rules { calls, window: Span::mins(1), burst: (calls / 4).max(1), ..rules };
        }
        if rules.interval >= rules.deadline {
            let (interval, deadline) = (words(rules.interval), words(rules.deadline));
            let of = if self.cadence.is_some() { "--cadence" } else { "the default" };
            return Err(Failure::usage(format!(
                "--deadline {deadline} leaves time for one pull only, for {of} is {interval} between two: \
                 set --deadline above {interval}, or --cadence below {deadline}"
            )));
        }
        if self.call_timeout.is_some_and(|timeout| timeout < LEAST_CALL_TIMEOUT) {
            return Err(Failure::usage(format!(
                "--call-timeout is too short for any call over a network: give at least {}",
                words(LEAST_CALL_TIMEOUT)
            )));
        }
        // A call that outlasts the deadline would put the end off.
        let fitting = rules.call_timeout.min(rules.deadline).max(LEAST_CALL_TIMEOUT);
        rules.call_timeout = self.call_timeout.unwrap_or(fitting);
        Ok(rules)
    }

    /// The same for one verification alone: whoever chooses its cadence has chosen how many calls there are.
    pub(crate) fn for_one(&self) -> Self {
        Self { alone: true, ..self.clone() }
    }

    /// What sends the requests.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let Some(path) = &self.ca_file else {
            return Ok(Client::new());
        };
        let roots_pem = std::fs::read(path).map_err(|error| {
            Failure::usage(format!("--ca-file {} cannot be read: {error}", path.display()))
        })?;
        Client::with_options(&Options { roots_pem: Some(roots_pem), ..Options::default() })
            .map_err(|error| Failure::usage(format!("--ca-file {}: {error}", path.display())))
    }
}

/// ShareID's account for one flow, with the credentials of the environment.
pub(crate) fn shareid(api_url: &str, flow: Flow, pulling: &Pulling) -> Result<Account, Failure> {
    let business_hash = secrets::required("IDV_SHAREID_BUSINESS_HASH")?;
    let api_key = secrets::required("IDV_SHAREID_API_KEY")?;
    let account = shareid::Account::new(api_url, flow, business_hash, api_key).map_err(Failure::usage)?;
    let account = with_bearer(account)?;
    warn_of_clear_text(api_url);
    Account::with_rules(account, &pulling.rules(shareid::contract::RULES)?).map_err(Failure::usage)
}

/// An account that only receives ShareID's callbacks: nothing is ever opened with it, so its credentials are never sent.
pub(crate) fn shareid_receiver() -> Result<Account, Failure> {
    let unused = || Secret::from("unused");
    let account = shareid::Account::new("https://localhost", Flow::Onboarding, unused(), unused());
    let account = with_bearer(account.map_err(Failure::usage)?)?;
    Account::with_rules(account, &shareid::contract::RULES).map_err(Failure::usage)
}

fn with_bearer(account: shareid::Account) -> Result<shareid::Account, Failure> {
    match secrets::optional("IDV_SHAREID_CALLBACK_BEARER")? {
        Some(bearer) => account.with_callback_bearer(bearer).map_err(Failure::usage),
        None => Ok(account),
    }
}

/// Credentials, and what they bring about a person, should not cross a network in the clear.
fn warn_of_clear_text(api_url: &str) {
    let Some(rest) =
        api_url.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://")).and(api_url.get(7..))
    else {
        return;
    };
    // `[::1]:80`, `127.0.0.1:80`, `localhost`.
    let host = match rest.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next(),
        None => rest.split(['/', ':']).next(),
    };
    let host = host.unwrap_or(rest);
    let is_local = host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if !is_local {
        tracing::warn!(
            "{api_url} is not encrypted: whoever carries it can read the credentials; use https://"
        );
    }
}

/// Shufti's account. Without a URL it only receives: nothing is ever opened with it.
pub(crate) fn shufti(api_url: Option<&str>, rule: Rule, pulling: &Pulling) -> Result<Account, Failure> {
    let client_id = match api_url {
        Some(_) => secrets::required("IDV_SHUFTI_CLIENT_ID")?,
        None => Secret::from("unused"),
    };
    let keys = secrets::required_list("IDV_SHUFTI_SECRET_KEY")?;
    shufti_with(&client_id, keys, api_url, rule, pulling)
}

/// An account for whom no callback is genuine: its key is drawn now and never told.
pub(crate) fn shufti_without_key(pulling: &Pulling) -> Result<Account, Failure> {
    let mut key = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *key).map_err(|error| Failure::usage(format!("no random numbers: {error}")))?;
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    shufti_with(&Secret::from("unused"), vec![Secret::new(key)], None, Rule::Either, pulling)
}

fn shufti_with(
    client_id: &Secret,
    keys: Vec<Secret>,
    api_url: Option<&str>,
    rule: Rule,
    pulling: &Pulling,
) -> Result<Account, Failure> {
    let mut keys = keys.into_iter();
    let first = keys.next().ok_or_else(|| Failure::usage("IDV_SHUFTI_SECRET_KEY is not set"))?;
    let mut builder = shufti::Account::builder(client_id.reveal(), first).rule(rule);
    for key in keys {
        builder = builder.also_accept(key);
    }
    if let Some(url) = api_url {
        builder = builder.base_url(url);
        warn_of_clear_text(url);
    }
    let account = builder.build().map_err(Failure::usage)?;
    let contract = idv_core::provider::Provider::rules(&account);
    Account::with_rules(account, &pulling.rules(contract)?).map_err(Failure::usage)
}
