//! A verification's way through its provider's events.

use crate::laws::{Draw, Seen, Subject};
use idv_core::lifecycle::{Channel, Event, Input, Lifecycle, Table};
use idv_core::shareid::lifecycle::SHAREID;
use idv_core::shufti::lifecycle::SHUFTI;
use idv_core::time::Instant;
use proptest::prelude::*;

/// See [`Lifecycle`].
#[derive(Debug)]
pub struct Subjected;

impl Subject for Subjected {
    type Machine = Lifecycle;

    fn policies() -> BoxedStrategy<Table> {
        prop_oneof![Just(SHAREID), Just(SHUFTI)].boxed()
    }

    fn start(_: &Table, _: Instant, _: &mut Draw) -> Lifecycle {
        Lifecycle::new()
    }

    fn input(seen: &Seen<'_, Self>, draw: &mut Draw) -> Input {
        let known: Vec<Event> = seen.policy.events().map(|(event, _)| event).collect();
        match draw.below(10) {
            0 => Input::Tick,
            1 => Input::Seen { event: Event::UNKNOWN, channel: Channel::Callback },
            _ => {
                let channels = [Channel::Http, Channel::Callback, Channel::Status];
                let event = draw.one_of(&known).unwrap_or(Event::UNKNOWN);
                Input::Seen { event, channel: draw.one_of(&channels).unwrap_or(Channel::Http) }
            }
        }
    }

    fn through_serde(machine: &Lifecycle) -> Result<Lifecycle, serde_json::Error> {
        super::json(machine)
    }
}
