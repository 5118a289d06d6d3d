//! `idv watch`: one verification, polled to its verdict.

use crate::account::{self, Pulling};
use crate::exit::{Exit, Failure};
use crate::log::Log;
use crate::output;
use crate::progress::Progress;
use crate::record::Record;
use crate::signals::Interrupt;
use idv_core::evidence::Outcome;
use idv_core::session::End;
use idv_core::shareid::Flow;
use idv_core::shufti::contract;
use idv_core::shufti::signature::Rule;
use idv_ureq::{Account, Driver, Event, Status, Verification};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

/// How often the spinner and the signals are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What a watch prints, and how it ends.
macro_rules! ending {
    ($examples:literal) => {
        concat!(
            "One line is printed for each revision; it ends with the first one that settles: accepted, declined, cancelled, timed out or \
             deleted.\nreview_pending is a revision that does not settle.\n\n",
            "Exit codes: 0 a verdict was reached, declined included; 2 usage or configuration; 3 the deadline passed; 4 the credentials \
             were refused; 5 no pull was ever answered; 130 interrupted.\n\n",
            $examples
        )
    };
}

#[derive(clap::Args)]
#[command(after_help = ending!("\
Examples:
  IDV_SHAREID_BUSINESS_HASH=… IDV_SHAREID_API_KEY=… idv watch shareid authenticate FLOW_ID --api-url https://api.example
  IDV_SHUFTI_CLIENT_ID=… IDV_SHUFTI_SECRET_KEY=… idv watch shufti REFERENCE --deadline 30m --json"))]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verification: Which,
}

#[derive(clap::Subcommand)]
enum Which {
    /// A verification at ShareID. Credentials: IDV_SHAREID_BUSINESS_HASH, IDV_SHAREID_API_KEY.
    Shareid(Shareid),
    /// A verification at Shufti Pro. Credentials: IDV_SHUFTI_CLIENT_ID, IDV_SHUFTI_SECRET_KEY.
    Shufti(Shufti),
}

#[derive(clap::Args)]
#[command(after_help = ending!("\
Example:
  IDV_SHAREID_BUSINESS_HASH=… IDV_SHAREID_API_KEY=… idv watch shareid authenticate FLOW_ID --api-url https://api.example"))]
struct Shareid {
    /// Which flow.
    #[arg(value_enum)]
    flow: FlowArgument,
    /// The flow_id of an authenticate, the applicant_id of an onboarding.
    #[arg(value_name = "ID")]
    id: String,
    /// The base URL that ShareID handed over.
    #[arg(long, value_name = "URL")]
    api_url: String,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args)]
#[command(after_help = ending!("\
Example:
  IDV_SHUFTI_CLIENT_ID=… IDV_SHUFTI_SECRET_KEY=… idv watch shufti REFERENCE --deadline 30m --json"))]
struct Shufti {
    /// The reference it was created with.
    #[arg(value_name = "REFERENCE")]
    reference: String,
    /// The base URL of the API.
    #[arg(long, value_name = "URL", default_value = contract::BASE_URL)]
    api_url: String,
    /// Which rule the account's answers are signed by.
    #[arg(long, value_enum, value_name = "RULE", default_value = "either")]
    shufti_rule: crate::RuleArgument,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args)]
struct Common {
    #[command(flatten)]
    pulling: Pulling,
    #[command(flatten)]
    record: Record,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// ShareID's flows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum FlowArgument {
    /// A first check of a person and a document.
    Onboarding,
    /// A person who was onboarded comes again.
    Authenticate,
}

impl From<FlowArgument> for Flow {
    fn from(flow: FlowArgument) -> Self {
        match flow {
            FlowArgument::Onboarding => Self::Onboarding,
            FlowArgument::Authenticate => Self::Authenticate,
        }
    }
}

enum Told {
    Settled,
    Ended { end: End, reached: bool, refused: bool, diagnosis: Option<String> },
}

/// Whether the provider refused the credentials the last time it was asked; `None` where `event` is no answer.
fn refused(event: &Event) -> Option<bool> {
    if let Event::NoToken { refused, .. } = event {
        return Some(*refused);
    }
    let Event::Pulled { outcome, .. } = event else {
        return None;
    };
    Some(*outcome == Outcome::Refused)
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    match &arguments.verification {
        Which::Shareid(it) => {
            let account = account::shareid(&it.api_url, it.flow.into(), &it.common.pulling.for_one())?;
            watch(account, &it.id, &it.common)
        }
        Which::Shufti(it) => {
            let rule = Rule::from(it.shufti_rule);
            let account = account::shufti(Some(&it.api_url), rule, &it.common.pulling.for_one())?;
            watch(account, &it.reference, &it.common)
        }
    }
}

fn watch(account: Account, id: &str, common: &Common) -> Result<Exit, Failure> {
    if id.is_empty() {
        return Err(Failure::usage("the id is empty; give the one that the provider's start reply named"));
    }
    let interrupt = Interrupt::listen()?;
    let progress = Progress::start();
    // One verification ends once; more than a few messages mean that this end is known already.
    let (sender, told) = mpsc::sync_channel(16);
    let mut builder = Driver::builder();
    let account = builder.account(account);
    common.record.start(&mut builder)?;
    let (json, settled) = (common.json, sender.clone());
    let (log, last_refused) = (Log::default(), AtomicBool::new(false));
    builder
        .transport(common.pulling.client()?)
        .drain(Duration::from_secs(1))
        .on_revision(move |revision| {
            output::revision(revision, json);
            if revision.verdict.settles() {
                let _ = settled.try_send(Told::Settled);
            }
            Ok(())
        })
        .on_event(move |event| {
            log.event(event);
            if let Some(refused) = refused(event) {
                last_refused.store(refused, Ordering::Relaxed);
            }
            if let Event::Ended { end, reached, diagnosis, .. } = event {
                let refused = last_refused.load(Ordering::Relaxed);
                let (end, reached, diagnosis) = (*end, *reached, diagnosis.clone());
                let _ = sender.try_send(Told::Ended { end, reached, refused, diagnosis });
            }
        });
    let driver = builder.start().map_err(Failure::usage)?;
    let verification = driver.open(account, id).map_err(Failure::usage)?;
    let result = wait(&driver, verification, id, &told, &interrupt, &progress);
    drop(progress);
    driver.stop();
    result
}

fn wait(
    driver: &Driver,
    verification: Verification,
    id: &str,
    told: &Receiver<Told>,
    interrupt: &Interrupt,
    progress: &Progress,
) -> Result<Exit, Failure> {
    loop {
        match told.recv_timeout(LOOK) {
            Ok(Told::Settled) => return Ok(Exit::Done),
            Ok(Told::Ended { end, reached, refused, diagnosis }) => {
                if let Some(failure) = failure(end, reached, refused, diagnosis) {
                    return Err(failure);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::usage("the driver stopped by itself"));
            }
        }
        if interrupt.is_asked() {
            return Err(Failure::new(Exit::Interrupted, "interrupted; nothing was changed at the provider"));
        }
        if let Ok(Some(status)) = driver.status(verification) {
            progress.show(format_args!("{id}: {}", describe(&status)));
        }
    }
}

/// Why there is no verdict; `None` where the revision that says so is on its way.
fn failure(end: End, reached: bool, refused: bool, diagnosis: Option<String>) -> Option<Failure> {
    let (exit, what) = match (end, reached, refused) {
        (End::Deleted | End::Watched, ..) => return None,
        (End::Refused, ..) => (Exit::Refused, "the provider refused the credentials"),
        // It counts as refused for good only after several times; the deadline may come before that.
        (End::Expired | End::Cancelled, _, true) => {
            (Exit::Refused, "the deadline passed while the provider refused the credentials")
        }
        (End::Expired | End::Cancelled, false, false) => {
            (Exit::Unreachable, "the deadline passed, and no pull was ever answered")
        }
        (End::Expired | End::Cancelled, true, false) => {
            (Exit::Deadline, "the deadline passed without a verdict")
        }
    };
    Some(match diagnosis {
        Some(diagnosis) => Failure::new(exit, format_args!("{what}: {diagnosis}")),
        None => Failure::new(exit, what),
    })
}

/// One line for the spinner.
fn describe(status: &Status) -> String {
    let mut text = match status.verdict {
        Some(verdict) => verdict.to_string(),
        None => status.state.to_lowercase(),
    };
    text += &format!(", {} pull(s)", status.attempts);
    match (status.pulling, status.next_pull) {
        (true, _) => text += ", asking now",
        (false, Some(Duration::ZERO)) => text += ", next in its turn",
        (false, Some(next)) => text += &format!(", next in {}", seconds(next)),
        (false, None) => {}
    }
    if let Some(left) = status.time_left {
        text += &format!(", {} left", seconds(left));
    }
    if let Some(diagnosis) = &status.diagnosis {
        text += &format!(" ({diagnosis})");
    }
    text
}

fn seconds(duration: Duration) -> String {
    humantime::format_duration(Duration::from_secs(duration.as_millis().div_ceil(1_000) as u64)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use idv_core::evidence::Verdict;

    /// On a terminal: state, attempts, next pull, time left, and what is wrong. Time that is left is never shown as none.
    #[test]
    fn the_progress_line_tells_state_attempts_next_poll_and_time_left() {
        let mut status = Status {
            state: "Open",
            verdict: None,
            end: None,
            attempts: 3,
            pulling: false,
            next_pull: Some(Duration::from_millis(4_001)),
            time_left: Some(Duration::from_mins(9)),
            reached: true,
            diagnosis: None,
        };
        assert_eq!(describe(&status), "open, 3 pull(s), next in 5s, 9m left");
        status.pulling = true;
        status.time_left = Some(Duration::from_millis(1));
        status.diagnosis = Some("503".to_owned());
        assert_eq!(describe(&status), "open, 3 pull(s), asking now, 1s left (503)");
        status.verdict = Some(Verdict::ReviewPending);
        (status.next_pull, status.time_left, status.pulling) = (None, None, false);
        assert_eq!(describe(&status), "review_pending, 3 pull(s) (503)");
    }
}
