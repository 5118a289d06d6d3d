//! `idv sandbox`: both providers on loopback, until interrupted.

use crate::RuleArgument;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::secrets;
use crate::signals::Interrupt;
use idv_core::shufti::signature::Rule;
use idv_sandbox::{
    Config, Create, Credentials, Faults, Product, Sandbox, Scenario, SignatureHeader, built_in,
};
use serde_json::json;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

/// How often the signals are looked at.
const LOOK: Duration = Duration::from_millis(100);

#[derive(clap::Args)]
#[command(after_help = "\
Verifications are created over the providers' own APIs, or by --create. Which scenario one plays is chosen by the header field Idv-Scenario, \
by the beginning of its id (flip-1234), or by --scenario. --list names them all; --scenarios adds yours from a JSON file.

The credentials are public ones (shown at the start) unless IDV_SHAREID_BUSINESS_HASH, IDV_SHAREID_API_KEY, IDV_SHAREID_CALLBACK_BEARER, \
IDV_SHUFTI_CLIENT_ID or IDV_SHUFTI_SECRET_KEY are set.

It runs until it is interrupted (exit code 130); 2 is usage or configuration.

Example:
  idv sandbox --time-factor 10 --callback http://127.0.0.1:8787/callbacks --create shufti:flip")]
pub(crate) struct Arguments {
    /// Where ShareID listens; port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = crate::address)]
    shareid_addr: SocketAddr,
    /// Where Shufti listens; port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = crate::address)]
    shufti_addr: SocketAddr,
    /// How many times faster than in reality the providers' time runs.
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    time_factor: NonZeroU32,
    /// The scenario of verifications that choose none.
    #[arg(long, value_name = "NAME", default_value = "accepted")]
    scenario: String,
    /// A JSON file with scenarios of your own.
    #[arg(long, value_name = "FILE")]
    scenarios: Option<PathBuf>,
    /// Name the scenarios and exit.
    #[arg(long)]
    list: bool,
    /// Create a verification at the start: shufti:SCENARIO, onboarding:SCENARIO or authenticate:SCENARIO; may be repeated.
    #[arg(long, value_name = "PRODUCT:SCENARIO")]
    create: Vec<String>,
    /// Where the callbacks of --create go: this URL with /shareid or /shufti appended.
    #[arg(long, value_name = "URL")]
    callback: Option<String>,
    /// Which rule Shufti signs by.
    #[arg(long, value_enum, default_value = "after")]
    rule: RuleArgument,
    /// Under which header Shufti signs.
    #[arg(long, value_enum, default_value = "signature")]
    signature_header: HeaderArgument,
    /// How many of a hundred callbacks, answers and tokens go wrong, where the three options below say nothing else.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = percent())]
    fault_rate: u8,
    /// How many of a hundred callbacks go wrong: lost, late, overtaken, twice, replayed, wrong key, answer lost.
    #[arg(long, value_name = "PERCENT", value_parser = percent())]
    callback_faults: Option<u8>,
    /// How many of a hundred answers go wrong: slow, cut off, lost, reset, 5xx, 524 with HTML.
    #[arg(long, value_name = "PERCENT", value_parser = percent())]
    answer_faults: Option<u8>,
    /// How many of a hundred tokens die early.
    #[arg(long, value_name = "PERCENT", value_parser = percent())]
    token_faults: Option<u8>,
    /// Decides which ones; the same seed strikes the same ones.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,
    /// Listen, and post callbacks, beyond this computer.
    #[arg(long)]
    beyond_loopback: bool,
    /// Print one JSON object for each thing that happens.
    #[arg(long)]
    json: bool,
}

/// A share of a hundred.
fn percent() -> clap::builder::RangedI64ValueParser<u8> {
    clap::value_parser!(u8).range(..=100)
}

/// Under which header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum HeaderArgument {
    /// The documented one.
    Signature,
    /// The older one.
    #[value(name = "sp_signature")]
    SpSignature,
    /// Both, with the same value.
    Both,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let scenarios = scenarios(arguments)?;
    if arguments.list {
        for scenario in built_in().iter().chain(&scenarios) {
            if arguments.json {
                output::json(&json!(scenario));
            } else {
                output::line(format_args!(
                    "{:<8} {:<16} {}",
                    scenario.provider.as_str(),
                    scenario.name,
                    scenario.about
                ));
            }
        }
        return Ok(Exit::Done);
    }
    let interrupt = Interrupt::listen()?;
    let credentials = credentials()?;
    let shown = credentials.clone();
    let config = Config {
        shareid_address: arguments.shareid_addr,
        shufti_address: arguments.shufti_addr,
        beyond_loopback: arguments.beyond_loopback,
        time_factor: arguments.time_factor,
        credentials,
        rule: Rule::from(arguments.rule),
        signature_header: match arguments.signature_header {
            HeaderArgument::Signature => SignatureHeader::Signature,
            HeaderArgument::SpSignature => SignatureHeader::SpSignature,
            HeaderArgument::Both => SignatureHeader::Both,
        },
        scenarios,
        default_scenario: arguments.scenario.clone(),
        faults: Faults {
            callback_percent: arguments.callback_faults.unwrap_or(arguments.fault_rate),
            answer_percent: arguments.answer_faults.unwrap_or(arguments.fault_rate),
            token_percent: arguments.token_faults.unwrap_or(arguments.fault_rate),
            ..Faults::rate(arguments.seed, arguments.fault_rate)
        },
        ..Config::default()
    };
    let sandbox = Sandbox::start(config).map_err(Failure::usage)?;
    let happened = sandbox.listen();
    start_line(&sandbox, &shown, arguments.json);
    for wanted in &arguments.create {
        create(&sandbox, wanted, arguments)?;
    }
    loop {
        match happened.recv_timeout(LOOK) {
            Ok(entry) if arguments.json => output::json(&json!(entry)),
            Ok(entry) => output::line(format_args!("{}", crate::entry::timed(&entry))),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::usage("the sandbox stopped by itself"));
            }
        }
        if interrupt.is_asked() {
            sandbox.shutdown();
            return Ok(Exit::Interrupted);
        }
    }
}

/// Only credentials that everybody knows are shown.
fn start_line(sandbox: &Sandbox, credentials: &Credentials, as_json: bool) {
    let public = Credentials::default();
    let show = |secret: &idv_core::secret::Secret, known: &idv_core::secret::Secret| {
        if secret == known { known.reveal().to_owned() } else { "(from the environment)".to_owned() }
    };
    let hash = show(&credentials.shareid_business_hash, &public.shareid_business_hash);
    let api_key = show(&credentials.shareid_api_key, &public.shareid_api_key);
    let secret_key = show(&credentials.shufti_secret_key, &public.shufti_secret_key);
    let (shareid, shufti) = (sandbox.shareid_url(), sandbox.shufti_url());
    if as_json {
        output::json(&json!({"kind": "started", "shareid": shareid, "shufti": shufti}));
        return;
    }
    output::line(format_args!(
        "ShareID on {shareid}  IDV_SHAREID_BUSINESS_HASH={hash} IDV_SHAREID_API_KEY={api_key}"
    ));
    let client_id = if credentials.shufti_client_id == public.shufti_client_id {
        public.shufti_client_id.as_str()
    } else {
        "(from the environment)"
    };
    output::line(format_args!(
        "Shufti  on {shufti}  IDV_SHUFTI_CLIENT_ID={client_id} IDV_SHUFTI_SECRET_KEY={secret_key}"
    ));
}

fn create(sandbox: &Sandbox, wanted: &str, arguments: &Arguments) -> Result<(), Failure> {
    let (product, scenario) = wanted.split_once(':').unwrap_or((wanted, &arguments.scenario));
    let product = match product {
        "shufti" => Product::Shufti,
        "onboarding" => Product::Onboarding,
        "authenticate" => Product::Authenticate,
        other => {
            return Err(Failure::usage(format!(
                "--create {wanted}: there is no product `{other}`; there are shufti, onboarding and authenticate"
            )));
        }
    };
    let mut create = Create::new(product).scenario(scenario);
    if let Some(base) = &arguments.callback {
        create = create.callback(format!("{}/{}", base.trim_end_matches('/'), product.provider().as_str()));
    }
    let id = sandbox.create(create).map_err(|error| Failure::usage(format!("--create {wanted}: {error}")))?;
    if arguments.json {
        output::json(
            &json!({"kind": "created", "provider": product.provider(), "id": id, "scenario": scenario}),
        );
    } else {
        output::line(format_args!("created {} {id}, scenario {scenario}", product.provider().as_str()));
    }
    Ok(())
}

fn scenarios(arguments: &Arguments) -> Result<Vec<Scenario>, Failure> {
    let Some(path) = &arguments.scenarios else {
        return Ok(Vec::new());
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("--scenarios {} cannot be read: {error}", path.display())))?;
    Scenario::read(&text).map_err(|error| Failure::usage(format!("--scenarios {}: {error}", path.display())))
}

fn credentials() -> Result<Credentials, Failure> {
    let mut credentials = Credentials::default();
    if let Some(secret) = secrets::optional("IDV_SHAREID_BUSINESS_HASH")? {
        credentials.shareid_business_hash = secret;
    }
    if let Some(secret) = secrets::optional("IDV_SHAREID_API_KEY")? {
        credentials.shareid_api_key = secret;
    }
    credentials.shareid_callback_bearer = secrets::optional("IDV_SHAREID_CALLBACK_BEARER")?;
    if let Some(client_id) = secrets::optional("IDV_SHUFTI_CLIENT_ID")? {
        client_id.reveal().clone_into(&mut credentials.shufti_client_id);
    }
    if let Some(secret) = secrets::list("IDV_SHUFTI_SECRET_KEY")?.into_iter().next() {
        credentials.shufti_secret_key = secret;
    }
    Ok(credentials)
}
