//! `idv`: watch, receive, verify and rehearse identity verifications.

mod account;
mod demo;
mod diagram;
mod entry;
mod exit;
mod listen;
mod log;
mod output;
mod progress;
mod record;
mod replay;
mod sandbox;
mod secrets;
mod signals;
mod timeline;
mod trigger;
mod verify;
mod watch;

use crate::exit::{Exit, Failure};
use clap::{Parser, Subcommand, ValueEnum};
use idv_core::shufti::signature::Rule;
use idv_core::time::Span;
use std::io::IsTerminal;
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

// Tables are kept below 80 columns: wrapped, they cannot be read.
const AFTER_HELP: &str = "\
Secrets, from the environment and never from an argument:
  IDV_SHAREID_BUSINESS_HASH    watch, listen
  IDV_SHAREID_API_KEY          watch, listen
  IDV_SHAREID_CALLBACK_BEARER  listen, trigger: what ShareID was asked to send
  IDV_SHUFTI_CLIENT_ID         watch, listen
  IDV_SHUFTI_SECRET_KEY        watch, listen, verify, trigger; several: a,b
Each can stand in a file: IDV_SHUFTI_SECRET_KEY_FILE=/run/secrets/shufti

Exit codes:
  0    a verdict was reached, declined included; the check passed
  1    the check failed (verify, demo, replay); a callback was not taken
       (trigger)
  2    usage or configuration
  3    the deadline passed without a verdict
  4    the credentials were refused
  5    the provider was unreachable: no pull was ever answered
  130  interrupted

Results go to standard output, logs to standard error. IDV_LOG=debug shows
more (error, warn, info, debug, trace).";

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
    /// Do a recorded trace again, compare every action, and draw what happened.
    Replay(replay::Arguments),
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

/// Reads `127.0.0.1:8787`, `[::1]:0`, `localhost:8787`.
fn address(text: &str) -> Result<SocketAddr, String> {
    let found = text.to_socket_addrs().ok().and_then(|mut found| found.next());
    found
        .ok_or_else(|| "it must be an address and a port; write it like 127.0.0.1:8787 or localhost:0".into())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match start_log().and_then(|()| run(&arguments.command)) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("error: {}", output::printable(&failure.to_string()));
            failure.exit.into()
        }
    }
}

/// Logs go to standard error, in colour on a terminal that wants it.
fn start_log() -> Result<(), Failure> {
    let filter = match std::env::var("IDV_LOG") {
        Ok(wanted) if !wanted.is_empty() => EnvFilter::try_new(&wanted).map_err(|error| {
            Failure::usage(format!("IDV_LOG: {error}; set it to error, warn, info, debug or trace"))
        })?,
        Ok(_) | Err(_) => EnvFilter::new("warn"),
    };
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(progress::LogWriter)
        .with_ansi(!plain && std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    Ok(())
}

fn run(command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Demo(arguments) => demo::run(arguments),
        Command::Watch(arguments) => watch::run(arguments),
        Command::Listen(arguments) => listen::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
        Command::Sandbox(arguments) => sandbox::run(arguments),
        Command::Trigger(arguments) => trigger::run(arguments),
        Command::Replay(arguments) => replay::run(arguments),
        Command::Diagram(arguments) => diagram::run(arguments),
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
