//! `idv demo`: the main job, live, against the sandbox.

use crate::entry;
use crate::exit::{Exit, Failure};
use crate::log::Log;
use crate::output;
use crate::signals::Interrupt;
use idv_core::evidence::Verdict;
use idv_core::rules::Rules;
use idv_core::shareid::{self, Flow};
use idv_core::shufti;
use idv_core::time::Span;
use idv_sandbox::{Config, Create, Credentials, Fate, Product, Sandbox, What};
use idv_ureq::{Account, CallbackEvent, CallbackOutcome, Driver, Event, Revision};
use serde_json::json;
use std::num::NonZeroU32;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How many times faster than in reality the providers' time runs.
const TIME_FACTOR: NonZeroU32 = match NonZeroU32::new(5) {
    Some(factor) => factor,
    None => NonZeroU32::MIN,
};

/// When the demonstration gives up.
const LONGEST: Duration = Duration::from_secs(50);

/// How long it goes on watching after the last expected verdict, to see that nothing else comes.
const AFTERMATH: Duration = Duration::from_secs(2);

/// The most that waits to be shown: far more than ever happens here. A revision that finds no room is handed over again.
const MOST_UNTOLD: usize = 1024;

#[derive(clap::Args)]
#[command(after_help = "\
Everything runs on free ports of the loopback interface: both providers, the callback receiver, real sockets. The providers' time runs five \
times as fast as in reality.

Exit codes: 0 every verification came out as it should, 1 one did not, 130 interrupted.")]
pub(crate) struct Arguments {
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// A verification of the demonstration and what must come of it.
struct Case {
    product: Product,
    scenario: &'static str,
    about: &'static str,
    expected: &'static [Verdict],
}

const CASES: [Case; 5] = [
    Case {
        product: Product::Authenticate,
        scenario: "accepted",
        about: "accepted, told by an unsigned callback, confirmed by a pull",
        expected: &[Verdict::Accepted],
    },
    Case {
        product: Product::Shufti,
        scenario: "declined",
        about: "declined, told by a signed callback, confirmed by a pull",
        expected: &[Verdict::Declined],
    },
    Case {
        product: Product::Shufti,
        scenario: "flip",
        about: "accepted, then declined in the back office",
        expected: &[Verdict::Accepted, Verdict::Declined],
    },
    Case {
        product: Product::Authenticate,
        scenario: "lost-callback",
        about: "the callback is lost: polling brings the verdict",
        expected: &[Verdict::Accepted],
    },
    Case {
        product: Product::Shufti,
        scenario: "forged",
        about: "forged callbacks claim an acceptance that never was",
        expected: &[Verdict::Declined],
    },
];

enum Told {
    Revision(Box<Revision>),
    Callback(CallbackEvent),
}

struct Running {
    case: &'static Case,
    id: String,
    verdicts: Vec<Verdict>,
}

impl Running {
    fn is_complete(&self) -> bool {
        self.verdicts == self.case.expected
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let interrupt = Interrupt::listen()?;
    let begun = Instant::now();
    let sandbox =
        Sandbox::start(Config { time_factor: TIME_FACTOR, ..Config::default() }).map_err(Failure::usage)?;
    let happened = sandbox.listen();

    let (sender, told) = mpsc::sync_channel(MOST_UNTOLD);
    let mut builder = Driver::builder();
    let shareid = builder.account(shareid_account(&sandbox)?);
    let shufti = builder.account(shufti_account(&sandbox)?);
    let (log, revisions) = (Log::default(), sender.clone());
    builder
        .drain(Duration::from_secs(1))
        .on_revision(move |revision| Ok(revisions.try_send(Told::Revision(Box::new(revision.clone())))?))
        .on_event(move |event| {
            log.event(event);
            if let Event::Callback(callback) = event {
                let _ = sender.try_send(Told::Callback(callback.clone()));
            }
        });
    let driver = builder.start().map_err(Failure::usage)?;
    let paths = [("/callbacks/shareid", shareid), ("/callbacks/shufti", shufti)];
    let address = driver.listen(([127, 0, 0, 1], 0).into(), &paths).map_err(Failure::usage)?;

    let say = |who: &str, text: &str| {
        if !arguments.json {
            output::line(format_args!("{:>5.1} s  {who:<9} {text}", begun.elapsed().as_secs_f32()));
        }
    };
    say("sandbox", &format!("ShareID on {}, Shufti on {}", sandbox.shareid_url(), sandbox.shufti_url()));
    say("idv", &format!("receives callbacks on http://{address}, polls both"));

    let mut running = Vec::new();
    for case in &CASES {
        let provider = case.product.provider().as_str();
        let create = Create::new(case.product)
            .id(format!("{}-{provider}-demo", case.scenario))
            .scenario(case.scenario)
            .callback(format!("http://{address}/callbacks/{provider}"));
        let id = sandbox.create(create).map_err(Failure::usage)?;
        let account = if case.product == Product::Shufti { shufti } else { shareid };
        driver.open(account, &id).map_err(Failure::usage)?;
        running.push(Running { case, id, verdicts: Vec::new() });
    }

    let mut complete_since = None;
    loop {
        let news = told.recv_timeout(Duration::from_millis(20));
        // What the provider did comes before what came of it.
        for entry in happened.try_iter() {
            if let What::Happened { .. } | What::Callback { then: Fate::Dead, .. } = entry.what {
                say("provider", &entry::what(&entry));
            }
        }
        match news {
            Ok(Told::Revision(revision)) => {
                if arguments.json {
                    output::revision(&revision, true);
                }
                say("verdict", &verdict_line(&revision));
                if let Some(it) = running.iter_mut().find(|it| *it.id == *revision.id) {
                    it.verdicts.push(revision.verdict);
                }
            }
            Ok(Told::Callback(callback)) => {
                if arguments.json {
                    output::callback(&callback, true);
                }
                say("callback", &callback_line(&callback));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::new(Exit::Failed, "the driver stopped by itself"));
            }
        }
        if interrupt.is_asked() {
            driver.stop();
            return Ok(Exit::Interrupted);
        }
        let complete = running.iter().all(Running::is_complete);
        let since = complete.then(|| *complete_since.get_or_insert_with(Instant::now));
        if since.is_some_and(|since| since.elapsed() >= AFTERMATH) || begun.elapsed() >= LONGEST {
            break;
        }
    }
    driver.stop();
    let statistics = sandbox.statistics();
    sandbox.shutdown();
    Ok(summary(&running, &statistics, arguments.json))
}

/// ShareID's rules at the sandbox' speed. Between hints it polls unhurriedly, so that a callback can be seen to be faster.
fn shareid_account(sandbox: &Sandbox) -> Result<Account, Failure> {
    let Credentials { shareid_business_hash: hash, shareid_api_key: api_key, .. } = Credentials::default();
    let account = shareid::Account::new(sandbox.shareid_url(), Flow::Authenticate, hash, api_key);
    let account = account.map_err(Failure::usage)?;
    Account::with_rules(account, &hurried(shareid::contract::RULES)).map_err(Failure::usage)
}

fn shufti_account(sandbox: &Sandbox) -> Result<Account, Failure> {
    let Credentials { shufti_client_id, shufti_secret_key, .. } = Credentials::default();
    let account = shufti::Account::builder(&shufti_client_id, shufti_secret_key)
        .base_url(sandbox.shufti_url())
        .build()
        .map_err(Failure::usage)?;
    Account::with_rules(account, &hurried(shufti::contract::RULES)).map_err(Failure::usage)
}

fn hurried(contract: Rules) -> Rules {
    let faster = |span: Span| Span::millis(span.as_millis() / TIME_FACTOR);
    Rules {
        token_ttl: faster(contract.token_ttl),
        cadence: faster(contract.cadence),
        interval: faster(contract.interval).times(3),
        deadline: faster(contract.deadline),
        window: faster(contract.window),
        ..contract
    }
}

fn verdict_line(revision: &Revision) -> String {
    let reasons = revision.statement.as_ref().map(|statement| &statement.reasons[..]).unwrap_or_default();
    format!(
        "{} {}: revision {} is {}, by {}{}",
        revision.provider,
        revision.id,
        revision.number,
        revision.verdict.as_str().to_uppercase(),
        match revision.evidence {
            idv_core::evidence::Evidence::Pulled => "pull",
            idv_core::evidence::Evidence::Signed => "signed callback",
            idv_core::evidence::Evidence::Unsigned => "hearsay",
        },
        output::reason_list(reasons)
    )
}

fn callback_line(callback: &CallbackEvent) -> String {
    let id = callback.id.as_deref().unwrap_or("(no id)");
    let event = callback.event.as_deref().map(|event| format!(": {event}")).unwrap_or_default();
    let outcome = match callback.outcome {
        CallbackOutcome::Recorded { duplicate: false, .. } => "recorded, then answered 200".to_owned(),
        CallbackOutcome::Recorded { duplicate: true, .. } => "recorded before, answered 200 again".to_owned(),
        CallbackOutcome::Refused { status, explanation } => format!("answered {status}: {explanation}"),
    };
    format!("{} {id}{event}, {outcome}", callback.provider)
}

fn summary(running: &[Running], statistics: &idv_sandbox::Statistics, as_json: bool) -> Exit {
    let words = |verdicts: &[Verdict]| {
        let words: Vec<&str> = verdicts.iter().map(|verdict| verdict.as_str()).collect();
        if words.is_empty() { "none".to_owned() } else { words.join(" → ") }
    };
    let right = running.iter().all(Running::is_complete);
    let calls = statistics.shareid.calls + statistics.shufti.calls;
    let callbacks = statistics.shareid.attempts + statistics.shufti.attempts;
    if as_json {
        for it in running {
            output::json(&json!({
                "type": "result",
                "provider": it.case.product.provider(),
                "id": it.id,
                "verdicts": it.verdicts,
                "expected": it.case.expected,
                "as_expected": it.is_complete(),
            }));
        }
        output::json(
            &json!({"type": "summary", "as_expected": right, "calls": calls, "callbacks": callbacks}),
        );
    } else {
        output::block("");
        output::line(format_args!("{:<28} {:<22} {:<5} what happened", "verification", "revisions", "right"));
        for it in running {
            let mark = if it.is_complete() { "yes" } else { "NO" };
            output::line(format_args!(
                "{:<28} {:<22} {mark:<5} {}",
                it.id,
                words(&it.verdicts),
                it.case.about
            ));
        }
        output::block("");
        output::line(format_args!(
            "{calls} calls to the providers, {callbacks} callbacks received; each revision handed over once"
        ));
    }
    if right { Exit::Done } else { Exit::Failed }
}
