//! `idv`: watch, receive, verify and rehearse identity verifications.

mod account;
mod demo;
mod diagram;
mod exit;
mod listen;
mod output;
mod progress;
mod sandbox;
mod secrets;
mod signals;
mod trigger;
mod verify;
mod watch;

use clap::{Parser, Subcommand, ValueEnum};
use idv_core::shufti::signature::Rule;
use idv_core::time::Span;
use std::process::ExitCode;
use std::time::Duration;

const AFTER_HELP: &str = "\
Secrets come from the environment, or from the file that the variable with _FILE appended names; never from an argument:
  IDV_SHAREID_BUSINESS_HASH, IDV_SHAREID_API_KEY      watch and listen, ShareID
  IDV_SHAREID_CALLBACK_BEARER                         listen: the header that ShareID can be asked to send
  IDV_SHUFTI_CLIENT_ID, IDV_SHUFTI_SECRET_KEY         watch, listen, verify, trigger; several keys separated by commas

Exit codes:
  0    a verdict was reached, declined included; the check passed; the callback was taken
  1    the check failed (verify), the callback was not taken (trigger), the demonstration went wrong (demo)
  2    usage or configuration
  3    the deadline passed without a verdict
  4    the credentials were refused
  5    the provider was unreachable: no pull was ever answered
  130  interrupted

Logs go to standard error; IDV_LOG=debug shows more (error, warn, info, debug, trace).";

/// Gets identity-verification results out of ShareID and Shufti Pro: once, correctly, and with proof.
#[derive(Parser)]
#[command(name = "idv", version, after_help = AFTER_HELP, propagate_version = true, max_term_width = 120)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show it all: both providers on loopback, five verifications, every verdict as it arrives (under a minute).
    Demo(demo::Arguments),
    /// Poll one verification to its verdict.
    Watch(watch::Arguments),
    /// Receive callbacks, verify and record them, and confirm them by pull where credentials are given.
    Listen(listen::Arguments),
    /// Check the signature of a Shufti callback, and explain why when it is wrong.
    Verify(verify::Arguments),
    /// Run both providers on loopback, to try a receiver or a poller against.
    Sandbox(sandbox::Arguments),
    /// Send one callback, signed like a provider's, to any URL.
    Trigger(trigger::Arguments),
    /// Draw the machines from their own tables, as Mermaid.
    Diagram(diagram::Arguments),
}

/// Which of Shufti's two signature rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum RuleArgument {
    /// Clients registered before 15 March 2023: SHA-256 of body and secret.
    Before,
    /// Clients registered after it: SHA-256 of body and the secret's own SHA-256.
    After,
    /// Whichever fits.
    Either,
}

impl From<RuleArgument> for Rule {
    fn from(rule: RuleArgument) -> Self {
        match rule {
            RuleArgument::Before => Self::Before,
            RuleArgument::After => Self::After,
            RuleArgument::Either => Self::Either,
        }
    }
}

/// Reads `5s`, `200ms`, `2m`: at least a millisecond, at most 49 days.
fn span(text: &str) -> Result<Span, String> {
    let duration =
        humantime::parse_duration(text).map_err(|error| format!("{error}; write it like 200ms, 5s or 2m"))?;
    if duration < Duration::from_millis(1) {
        return Err("it must be at least 1ms".into());
    }
    if duration > Span::MAX.as_duration() {
        return Err("it can be at most 49 days".into());
    }
    Ok(Span::saturating_from(duration))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("IDV_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(progress::LogWriter)
        .with_target(false)
        .init();
    let result = match arguments.command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Watch(arguments) => watch::run(&arguments),
        Command::Listen(arguments) => listen::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Sandbox(arguments) => sandbox::run(&arguments),
        Command::Trigger(arguments) => trigger::run(&arguments),
        Command::Diagram(arguments) => diagram::run(&arguments),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.exit.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn durations_read_as_people_write_them_and_never_as_nothing() {
        assert_eq!(span("200ms"), Ok(Span::millis(200)));
        assert_eq!(span("2m"), Ok(Span::mins(2)));
        for wrong in ["0s", "5", "", "-1s", "100days", "soon"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
