//! The session's changes of state as a table.

use super::{Input, Phase, Session};
use crate::machine::{Describe, Transition, row};

impl Describe for Session {
    const NAME: &'static str = "session";

    const TRANSITIONS: &'static [Transition] = &[
        row("Open", "Pulled", "Settled"),
        row("Open", "Created", "Settled"),
        row("Open", "Callback", "Settled"),
        row("Open", "Tick", "Ended"),
        row("Open", "Pulled", "Ended"),
        row("Open", "Created", "Ended"),
        row("Open", "Callback", "Ended"),
        row("Open", "CredentialsRefused", "Ended"),
        row("Open", "Cancel", "Ended"),
        row("Open", "Restored", "Ended"),
        row("Settled", "Tick", "Ended"),
        row("Settled", "Pulled", "Ended"),
        row("Settled", "CredentialsRefused", "Ended"),
        row("Settled", "Cancel", "Ended"),
        row("Ended", "Callback", "Reopened"),
        row("Ended", "Callback", "Open"),
        row("Ended", "Callback", "Settled"),
        row("Ended", "OpenedAgain", "Open"),
        row("Ended", "OpenedAgain", "Settled"),
        row("Reopened", "Pulled", "Open"),
        row("Reopened", "Pulled", "Settled"),
        row("Reopened", "Created", "Open"),
        row("Reopened", "Created", "Settled"),
        row("Reopened", "Callback", "Open"),
        row("Reopened", "Callback", "Settled"),
        row("Reopened", "OpenedAgain", "Open"),
        row("Reopened", "OpenedAgain", "Settled"),
        row("Reopened", "Tick", "Ended"),
        row("Reopened", "Pulled", "Ended"),
        row("Reopened", "Created", "Ended"),
        row("Reopened", "Callback", "Ended"),
        row("Reopened", "CredentialsRefused", "Ended"),
        row("Reopened", "Cancel", "Ended"),
    ];

    fn state(&self) -> &'static str {
        match self.phase {
            Phase::Open => "Open",
            Phase::Settled => "Settled",
            Phase::Ended(_) if self.is_reopened() => "Reopened",
            Phase::Ended(_) => "Ended",
        }
    }

    fn input_name(input: &Input) -> &'static str {
        match input {
            Input::Tick => "Tick",
            Input::Granted => "Granted",
            Input::Pulled { .. } => "Pulled",
            Input::Created(_) => "Created",
            Input::Callback(_) => "Callback",
            Input::Hint(_) => "Hint",
            Input::HandedOver { .. } => "HandedOver",
            Input::DeadLettered { .. } => "DeadLettered",
            Input::CredentialsRefused => "CredentialsRefused",
            Input::OpenedAgain => "OpenedAgain",
            Input::Cancel => "Cancel",
            Input::Restored => "Restored",
        }
    }
}
