//! Which events a provider has, on which channel each may come, what it means and what may follow it: data per provider, one
//! machine for all. Codecs, documents and diagrams read the same table.
//!
//! ```text
//!   Unstated ── Seen(an event that states something) ──▶ Stated{event} ──┐
//!                                                          ▲            │ Seen
//!                                                          └────────────┘
//! ```
//!
//! Nothing is refused here (R19): an event on a channel, or after an event, that the provider's documents do not describe is
//! taken in like any other, and the deviation recorded.

use crate::evidence::Verdict;
use crate::machine::{Actions, Cx, Describe, Disposition, Machine, Next, Step, Transition, row};
use crate::time::Instant;
use alloc::string::String;
use core::fmt::Write;
use serde::{Deserialize, Serialize};

/// One event of one provider: the index of its row in the provider's [`Table`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Event(pub u8);

impl Event {
    /// A word that the provider's documents do not list.
    pub const UNKNOWN: Self = Self(u8::MAX);
}

/// One provider's events.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// The provider's name, as in output: `shareid`, `shufti`.
    pub provider: &'static str,
    /// The events. At most 32.
    pub events: &'static [EventRow],
    /// Which event may follow which; `None` is the beginning. An event may always be repeated, and a signal may always come.
    pub transitions: &'static [(Option<Event>, Event)],
}

/// What the provider's documents say about one event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventRow {
    /// The provider's word.
    pub name: &'static str,
    /// Whether it may come in the response to a call other than a status call.
    pub http: bool,
    /// Whether it may come in a callback.
    pub callback: bool,
    /// Whether it may come in the response to a status call.
    pub status: bool,
    /// What it says.
    pub meaning: Meaning,
}

impl EventRow {
    /// Whether it may come on this channel.
    #[must_use]
    pub const fn allows(&self, channel: Channel) -> bool {
        match channel {
            Channel::Http => self.http,
            Channel::Callback => self.callback,
            Channel::Status => self.status,
        }
    }
}

/// What an event says about a verification.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    /// The provider is at work.
    Progress,
    /// A verdict. Some may be revised later.
    Verdict(Verdict),
    /// The call it answers was no good, or too early; nothing about the verification.
    NotReady,
    /// The credentials of the call it answers were refused; nothing about the verification.
    Refused,
    /// Something changed; what, only a pull tells.
    Signal,
}

impl Meaning {
    /// Whether the event becomes the state of the verification.
    #[must_use]
    pub const fn states(self) -> bool {
        match self {
            Self::Progress | Self::Verdict(_) => true,
            Self::NotReady | Self::Refused | Self::Signal => false,
        }
    }
}

/// The way on which an event came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// The response to a call of ours other than a status call.
    Http,
    /// A callback.
    Callback,
    /// The response to a status call: a pull.
    Status,
}

impl Table {
    /// The event of this name, or [`Event::UNKNOWN`]. Names are compared exactly.
    #[must_use]
    pub fn find(&self, name: &str) -> Event {
        let known = self.events().find(|(_, row)| row.name == name);
        known.map_or(Event::UNKNOWN, |(event, _)| event)
    }

    /// What the documents say about this event; `None` when they do not list it.
    #[must_use]
    pub fn row(&self, event: Event) -> Option<&'static EventRow> {
        self.events.get(usize::from(event.0))
    }

    /// The events with their rows, in the table's order.
    pub fn events(&self) -> impl Iterator<Item = (Event, &'static EventRow)> + use<> {
        (0..Event::UNKNOWN.0).map(Event).zip(self.events)
    }

    /// Whether `to` may come next after `from`. Repetition is always allowed.
    #[must_use]
    pub fn follows(&self, from: Option<Event>, to: Event) -> bool {
        from == Some(to) || self.transitions.contains(&(from, to))
    }

    /// Whether `to` may be seen after `from` by somebody who does not see every event: directly, or by way of others.
    #[must_use]
    pub fn reaches(&self, from: Option<Event>, to: Event) -> bool {
        let bit = |event: Event| 1_u32.checked_shl(u32::from(event.0)).unwrap_or(0);
        let mut seen = from.map_or(0, bit);
        // Each round but the last adds at least one event.
        for _ in self.events {
            for (before, after) in self.transitions {
                if *before == from || before.is_some_and(|before| seen & bit(before) != 0) {
                    seen |= bit(*after);
                }
            }
        }
        seen & bit(to) != 0
    }

    /// Draws the events and what may follow what as a Mermaid state diagram: the same table, the same text. Dotted words stand as they are;
    /// signals, which are no states, stand apart.
    #[must_use]
    pub fn mermaid(&self) -> String {
        let mut out = String::new();
        let mut line = |text: core::fmt::Arguments<'_>| {
            // Writing to a string does not fail.
            let _ = out.write_fmt(text);
            out.push('\n');
        };
        line(format_args!("---\ntitle: {} lifecycle\n---\nstateDiagram-v2", self.provider));
        for (event, row) in self.events() {
            let note = if row.meaning == Meaning::Signal { " (signal)" } else { "" };
            line(format_args!("    state \"{}{note}\" as e{}", row.name, event.0));
        }
        for (from, to) in self.transitions {
            match from {
                Some(from) => line(format_args!("    e{} --> e{}", from.0, to.0)),
                None => line(format_args!("    [*] --> e{}", to.0)),
            }
        }
        out
    }
}

/// What is known of one verification's way through its provider's events.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Lifecycle {
    stated: Option<Event>,
}

/// What a lifecycle is told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// An event came.
    Seen {
        /// Which; see [`Table::find`].
        event: Event,
        /// On which way.
        channel: Channel,
    },
}

/// What a lifecycle does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Record that the provider did something its documents do not describe.
    Deviation(Deviation),
}

/// Something that the provider's documents do not describe.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deviation {
    /// The event is not described for this channel.
    Channel {
        /// The event.
        event: Event,
        /// Where it came.
        channel: Channel,
    },
    /// The event is not described after the one before it, not even by way of others. Callbacks out of order look like this too.
    Transition {
        /// The event stated before.
        from: Option<Event>,
        /// The event that came.
        to: Event,
    },
}

impl Lifecycle {
    /// Nothing seen yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { stated: None }
    }

    /// The event that the provider stated last.
    #[must_use]
    pub const fn stated(&self) -> Option<Event> {
        self.stated
    }
}

impl Machine for Lifecycle {
    type Policy = Table;
    type Input = Input;
    type Action = Action;
    type Actions = Actions<Action, 2>;

    const TICK: Input = Input::Tick;

    fn step(&mut self, cx: Cx<'_, Table>, input: Input) -> Step<Self::Actions> {
        let mut actions = Actions::NONE;
        let mut disposition = Disposition::NoOp;
        if let Input::Seen { event, channel } = input
            && let Some(row) = cx.policy.row(event)
        {
            disposition = Disposition::Applied;
            if !row.allows(channel) {
                actions.push(Action::Deviation(Deviation::Channel { event, channel }));
            }
            if row.meaning.states() {
                if !cx.policy.reaches(self.stated, event) {
                    let from = self.stated;
                    actions.push(Action::Deviation(Deviation::Transition { from, to: event }));
                }
                self.stated = Some(event);
            }
        }
        Step { actions, next: self.next(cx.policy), disposition }
    }

    fn next(&self, _: &Table) -> Next {
        Next::Input
    }

    fn outstanding(&self, _: &Table) -> Self::Actions {
        Actions::NONE
    }

    fn map_times(&mut self, _: impl FnMut(Instant) -> Instant) {}
}

impl Describe for Lifecycle {
    const NAME: &'static str = "lifecycle";

    const TRANSITIONS: &'static [Transition] = &[row("Unstated", "Seen", "Stated")];

    fn state(&self) -> &'static str {
        match self.stated {
            None => "Unstated",
            Some(_) => "Stated",
        }
    }

    fn input_name(input: &Input) -> &'static str {
        match input {
            Input::Tick => "Tick",
            Input::Seen { .. } => "Seen",
        }
    }
}
