//! `idv listen`: receives callbacks, verifies and records them, confirms them by pull.

use crate::RuleArgument;
use crate::account::{self, Pulling};
use crate::exit::{Exit, Failure};
use crate::log::Log;
use crate::output;
use crate::record::Record;
use crate::secrets;
use crate::signals::Interrupt;
use crate::watch::FlowArgument;
use idv_core::fleet::OpenError;
use idv_core::provider::Authenticity;
use idv_core::session::End;
use idv_core::shareid::Flow;
use idv_core::shufti::signature::Rule;
use idv_ureq::{AccountRef, Builder, CallbackEvent, CallbackOutcome, Driver, DriverError, Event};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often the signals are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// The most callbacks that wait to be printed.
const MOST_UNPRINTED: usize = 1024;

/// Where callbacks are received.
const SHUFTI_PATH: &str = "/callbacks/shufti";
const SHAREID_PATH: &str = "/callbacks/shareid";

#[derive(clap::Args)]
#[command(after_help = "\
POST /callbacks/shufti   signed by IDV_SHUFTI_SECRET_KEY (several: a,b);
                         a wrong or missing signature is answered 401
POST /callbacks/shareid  unsigned; where IDV_SHAREID_CALLBACK_BEARER is set,
                         a wrong or missing bearer is answered 401

The first line is `listening on http://ADDR`; then there is one line for each callback. With --api-url and a provider's credentials \
(IDV_SHUFTI_CLIENT_ID; IDV_SHAREID_BUSINESS_HASH and IDV_SHAREID_API_KEY) each verification that a callback names is confirmed by pull, \
and its revisions are printed as watch does. Callbacks are kept in memory: they are gone when it ends.

Without a bearer anybody who reaches the address can have ShareID asked about any id, within the limit of calls and of --most-unsigned; \
no claim becomes a verdict unless a pull confirms it.

It runs until it is interrupted (exit code 130); 2 is usage or configuration.

Example:
  IDV_SHUFTI_SECRET_KEY=… idv listen --addr 127.0.0.1:0 --json")]
pub(crate) struct Arguments {
    /// Where to listen; port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8787", value_parser = crate::address)]
    addr: SocketAddr,
    /// Confirm by pull here: a URL for every provider whose credentials are set, or shareid=URL, shufti=URL.
    #[arg(long, value_name = "URL")]
    api_url: Vec<String>,
    /// Which of Shufti's signature rules callbacks must follow.
    #[arg(long, value_enum, value_name = "RULE", default_value = "either")]
    shufti_rule: RuleArgument,
    /// Which flow ShareID's verifications belong to [default: what the callback's id says].
    #[arg(long, value_enum, value_name = "FLOW")]
    shareid_flow: Option<FlowArgument>,
    /// The most verifications confirmed at the same time that only unsigned callbacks have named. Where ShareID sends the bearer
    /// there is no such limit.
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    most_unsigned: usize,
    #[command(flatten)]
    pulling: Pulling,
    #[command(flatten)]
    record: Record,
    /// Print one JSON object for each callback and revision.
    #[arg(long)]
    json: bool,
}

/// The accounts that verifications are opened with.
#[derive(Default)]
struct Openers {
    shufti: Option<AccountRef>,
    onboarding: Option<AccountRef>,
    authenticate: Option<AccountRef>,
}

impl Openers {
    fn of(&self, event: &CallbackEvent, flow: Option<Flow>) -> Option<AccountRef> {
        if event.provider == "shufti" {
            return self.shufti;
        }
        let named = match event.id_member {
            Some("flow_id") => Flow::Authenticate,
            _ => Flow::Onboarding,
        };
        match flow.unwrap_or(named) {
            Flow::Onboarding => self.onboarding,
            Flow::Authenticate => self.authenticate,
        }
    }
}

/// What becomes of a claim.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Admission {
    /// Too many are open.
    Refused,
    /// It is one of those that are open.
    Counted,
    /// It is counted from now on.
    New,
}

/// The verifications that are open because a callback named them that nobody vouched for.
struct Claims {
    most: usize,
    state: Mutex<ClaimsState>,
}

#[derive(Default)]
struct ClaimsState {
    open: HashSet<String>,
    /// It was said that no more are taken.
    said: bool,
}

impl Claims {
    fn new(most: usize) -> Self {
        Self { most, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, ClaimsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this one may be opened. It counts until [`Claims::over`].
    fn admit(&self, id: &str) -> Admission {
        let mut state = self.state();
        if state.open.contains(id) {
            return Admission::Counted;
        }
        if state.open.len() < self.most {
            state.open.insert(id.to_owned());
            return Admission::New;
        }
        if !std::mem::replace(&mut state.said, true) {
            tracing::warn!(
                "{} verifications that only unsigned callbacks have named wait for ShareID's word: further ids are recorded but not \
                 confirmed until some of these have ended; have ShareID send a bearer (IDV_SHAREID_CALLBACK_BEARER), or raise \
                 --most-unsigned",
                self.most
            );
        }
        Admission::Refused
    }

    /// The provider has spoken, or will not.
    fn over(&self, id: &str) {
        let mut state = self.state();
        state.open.remove(id);
        // Said again only after it was clearly better.
        if state.open.len() <= self.most / 2 {
            state.said = false;
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let interrupt = Interrupt::listen()?;
    let mut builder = Driver::builder();
    let (openers, paths) = accounts(arguments, &mut builder)?;
    arguments.record.start(&mut builder)?;
    // The driver must not wait for whoever reads standard output: it is asked to open verifications by the one that prints.
    let (sender, told) = mpsc::sync_channel(MOST_UNPRINTED);
    let lost = Arc::new(AtomicU64::new(0));
    let losing = Arc::clone(&lost);
    let (log, json) = (Log::default(), arguments.json);
    let has_bearer = secrets::optional("IDV_SHAREID_CALLBACK_BEARER")?.is_some();
    let claims = (!has_bearer).then(|| Arc::new(Claims::new(arguments.most_unsigned)));
    let (settled, ended) = (claims.clone(), claims.clone());
    builder
        .transport(arguments.pulling.client()?)
        .on_revision(move |revision| {
            if let Some(claims) = settled.as_ref().filter(|_| revision.verdict.settles()) {
                claims.over(&revision.id);
            }
            output::revision(revision, json);
            Ok(())
        })
        .on_event(move |event| {
            log.event(event);
            if let Event::Callback(callback) = event
                && let Err(TrySendError::Full(_)) = sender.try_send(callback.clone())
            {
                losing.fetch_add(1, Ordering::Relaxed);
            }
            if let Event::Ended { provider, id, end, diagnosis, .. } = event {
                if let Some(claims) = &ended {
                    claims.over(id);
                }
                if let End::Expired | End::Refused = end {
                    let why = diagnosis.as_deref().unwrap_or("the provider had none before the deadline");
                    tracing::warn!(provider, id = &**id, "ended without a verdict: {why}");
                }
            }
        });
    let driver = builder.start().map_err(Failure::usage)?;
    let address = driver.listen(arguments.addr, &paths).map_err(Failure::usage)?;
    // Programs take the rest of this line as the URL, and what follows on standard output as callbacks.
    output::line(format_args!("listening on http://{address}"));
    eprintln!("callbacks are kept in memory only: they are gone when this ends");
    let flow = arguments.shareid_flow.map(Flow::from);
    loop {
        match told.recv_timeout(LOOK) {
            Ok(callback) => {
                output::callback(&callback, json);
                if let Some(account) = openers.of(&callback, flow) {
                    confirm(&driver, account, &callback, claims.as_deref());
                }
                let lost = lost.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    tracing::warn!(
                        "{lost} callback(s) were taken in but are neither shown nor confirmed: standard output is not read fast enough"
                    );
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::usage("the driver stopped by itself"));
            }
        }
        if interrupt.is_asked() {
            driver.stop();
            for callback in told.try_iter() {
                output::callback(&callback, json);
            }
            return Ok(Exit::Interrupted);
        }
    }
}

/// Opens the verification that a callback names; one that is open already has had its hint.
fn confirm(driver: &Driver, account: AccountRef, callback: &CallbackEvent, claims: Option<&Claims>) {
    let claims = match callback.authenticity {
        Some(Authenticity::Signed) => None,
        Some(Authenticity::Unsigned) => claims,
        Some(Authenticity::Wrong | Authenticity::Missing) | None => return,
    };
    let recorded = matches!(callback.outcome, CallbackOutcome::Recorded { .. });
    let Some(id) = callback.id.as_deref().filter(|id| recorded && !id.is_empty()) else {
        return;
    };
    let admission = claims.map(|claims| claims.admit(id));
    if admission == Some(Admission::Refused) {
        tracing::debug!(provider = callback.provider, id, "not confirmed: too many unsigned claims");
        return;
    }
    let Err(error) = driver.open(account, id) else { return };
    if let Some(claims) = claims.filter(|_| admission == Some(Admission::New)) {
        claims.over(id);
    }
    if !matches!(error, DriverError::Open(OpenError::Exists(_))) {
        tracing::warn!(provider = callback.provider, id, "not confirmed: {error}");
    }
}

/// Which account receives at which path.
type Paths = Vec<(&'static str, AccountRef)>;

/// What receives where, and what pulls.
fn accounts(arguments: &Arguments, builder: &mut Builder) -> Result<(Openers, Paths), Failure> {
    let (shareid_url, shufti_url) = urls(&arguments.api_url)?;
    let pulling = &arguments.pulling;
    let mut openers = Openers::default();
    let mut paths = Vec::new();

    let has_credentials = secrets::optional("IDV_SHAREID_API_KEY")?.is_some();
    match shareid_url.filter(|(_, named)| *named || has_credentials) {
        Some((url, _)) => {
            let onboarding = builder.account(account::shareid(&url, Flow::Onboarding, pulling)?);
            let authenticate = builder.account(account::shareid(&url, Flow::Authenticate, pulling)?);
            openers.onboarding = Some(onboarding);
            openers.authenticate = Some(authenticate);
            paths.push((SHAREID_PATH, onboarding));
        }
        None => paths.push((SHAREID_PATH, builder.account(account::shareid_receiver()?))),
    }

    if secrets::list("IDV_SHUFTI_SECRET_KEY")?.is_empty() {
        if let Some((_, true)) = shufti_url {
            secrets::required("IDV_SHUFTI_SECRET_KEY")?;
        }
        tracing::warn!(
            "IDV_SHUFTI_SECRET_KEY is not set: no callback of Shufti can be verified, all are answered 401"
        );
        paths.push((SHUFTI_PATH, builder.account(account::shufti_without_key(pulling)?)));
        return can_pull(openers, arguments).map(|openers| (openers, paths));
    }
    let has_credentials = secrets::optional("IDV_SHUFTI_CLIENT_ID")?.is_some();
    let url = shufti_url.filter(|(_, named)| *named || has_credentials).map(|(url, _)| url);
    let shufti =
        builder.account(account::shufti(url.as_deref(), Rule::from(arguments.shufti_rule), pulling)?);
    if url.is_some() {
        openers.shufti = Some(shufti);
    }
    paths.push((SHUFTI_PATH, shufti));
    can_pull(openers, arguments).map(|openers| (openers, paths))
}

/// Whoever gives a URL means it to be asked.
fn can_pull(openers: Openers, arguments: &Arguments) -> Result<Openers, Failure> {
    let none = openers.shufti.is_none() && openers.onboarding.is_none();
    if none && !arguments.api_url.is_empty() {
        return Err(Failure::usage(
            "--api-url is given, but no provider's credentials are complete: set IDV_SHAREID_BUSINESS_HASH and \
             IDV_SHAREID_API_KEY, or IDV_SHUFTI_CLIENT_ID and IDV_SHUFTI_SECRET_KEY",
        ));
    }
    Ok(openers)
}

/// A base URL, and whether it was given for this provider by name.
type Url = Option<(String, bool)>;

fn urls(given: &[String]) -> Result<(Url, Url), Failure> {
    let (mut shareid, mut shufti): (Url, Url) = (None, None);
    for text in given {
        if let Some(url) = text.strip_prefix("shareid=") {
            shareid = Some((url.to_owned(), true));
        } else if let Some(url) = text.strip_prefix("shufti=") {
            shufti = Some((url.to_owned(), true));
        } else if given.len() == 1 {
            shareid = Some((text.clone(), false));
            shufti = shareid.clone();
        } else {
            return Err(Failure::usage("several --api-url: write each as shareid=URL or shufti=URL"));
        }
    }
    Ok((shareid, shufti))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_url_serves_both_providers_and_two_need_names() {
        let url = "http://127.0.0.1:1".to_owned();
        let both = Some((url.clone(), false));
        assert_eq!(urls(std::slice::from_ref(&url)).unwrap(), (both.clone(), both));
        let (shareid, shufti) = urls(&[format!("shareid={url}")]).unwrap();
        assert_eq!((shareid, shufti), (Some((url.clone(), true)), None));
        assert!(urls(&[url.clone(), url]).is_err());
    }
}
