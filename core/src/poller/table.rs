//! The poller's changes of state as a table.

use super::{Input, Phase, Poller};
use crate::machine::{Describe, Transition, row};

impl Describe for Poller {
    const NAME: &'static str = "poller";

    const TRANSITIONS: &'static [Transition] = &[
        row("Waiting", "Tick", "Asking"),
        row("Waiting", "Hint", "Asking"),
        row("Waiting", "Answered", "Resting"),
        row("Asking", "Granted", "InFlight"),
        row("Asking", "Answered", "Waiting"),
        row("Asking", "Answered", "Resting"),
        row("Asking", "Failed", "Waiting"),
        row("Asking", "Refused", "Waiting"),
        row("InFlight", "Tick", "Waiting"),
        row("InFlight", "Answered", "Waiting"),
        row("InFlight", "Answered", "Resting"),
        row("InFlight", "Failed", "Waiting"),
        row("InFlight", "Refused", "Waiting"),
        row("InFlight", "Refused", "Ended"),
        row("Asking", "Restored", "Waiting"),
        row("InFlight", "Restored", "Waiting"),
        row("InFlight", "Restored", "Ended"),
        row("Resting", "Hint", "Waiting"),
        row("Resting", "Hint", "Asking"),
        row("Waiting", "Tick", "Ended"),
        row("Asking", "Tick", "Ended"),
        row("InFlight", "Tick", "Ended"),
        row("Resting", "Tick", "Ended"),
        row("InFlight", "Answered", "Ended"),
        row("InFlight", "Failed", "Ended"),
        row("Waiting", "Answered", "Ended"),
        row("Asking", "Answered", "Ended"),
        row("Waiting", "Stop", "Ended"),
        row("Asking", "Stop", "Ended"),
        row("InFlight", "Stop", "Ended"),
        row("Resting", "Stop", "Ended"),
    ];

    fn state(&self) -> &'static str {
        match self.phase {
            Phase::Waiting { .. } => "Waiting",
            Phase::Asking { .. } => "Asking",
            Phase::InFlight { .. } => "InFlight",
            Phase::Resting { .. } => "Resting",
            Phase::Ended { .. } => "Ended",
        }
    }

    fn input_name(input: &Input) -> &'static str {
        match input {
            Input::Tick => "Tick",
            Input::Hint { .. } => "Hint",
            Input::Granted => "Granted",
            Input::Answered { .. } => "Answered",
            Input::Failed { .. } => "Failed",
            Input::Refused { .. } => "Refused",
            Input::Settled => "Settled",
            Input::Stop => "Stop",
            Input::Restored => "Restored",
        }
    }
}
