//! A provider's events: where each may come, what it states, and which may follow which.

use idv_core::lifecycle::{Action, Channel, Deviation, Event, Input, Lifecycle, Table};
use idv_core::machine::{Cx, Machine as _};
use idv_core::time::Instant;
use std::fmt::Write;

/// What the machine takes for a deviation when the event comes on this channel.
fn deviations(
    table: &Table,
    lifecycle: Lifecycle,
    event: Event,
    channel: Channel,
) -> (Lifecycle, Vec<Deviation>) {
    let mut lifecycle = lifecycle;
    let step = lifecycle.step(Cx::new(Instant::EARLIEST, table, 0), Input::Seen { event, channel });
    let deviations = step.actions.into_iter().map(|Action::Deviation(deviation)| deviation).collect();
    (lifecycle, deviations)
}

/// The table of one provider.
#[must_use]
pub fn table(table: &Table) -> String {
    let width = table.events().map(|(_, row)| row.name.len()).max().unwrap_or(0);
    let mut text = format!(
        "The machine `lifecycle` with the events of {}.\n\n\
         What an event says, and on which channels it is no deviation.\n\n",
        table.provider
    );
    // Writing to a string does not fail.
    for (event, row) in table.events() {
        let allowed = [Channel::Http, Channel::Callback, Channel::Status].map(|channel| {
            let (_, deviations) = deviations(table, Lifecycle::new(), event, channel);
            let deviates = deviations.iter().any(|deviation| matches!(deviation, Deviation::Channel { .. }));
            if deviates { "-".to_owned() } else { format!("{channel:?}") }
        });
        let [http, callback, status] = allowed;
        let (number, name) = (event.0, row.name);
        let meaning = format!("{:?}", row.meaning);
        let _ = writeln!(text, "{number:2} {name:width$}  {meaning:24}  {http:4}  {callback:8}  {status}");
    }
    text.push_str(
        "\nThe rows: the event stated last. The columns: the event that comes, by its number. \
         `+` becomes the state, `!` becomes the state and is a deviation, `.` states nothing.\n\n",
    );
    let numbers: Vec<String> = table.events().map(|(event, _)| format!("{:2}", event.0)).collect();
    let _ = writeln!(text, "   {:width$}  {}", "", numbers.join(" "));
    for from in [None].into_iter().chain(table.events().map(Some)) {
        let (mut before, mut heading) = (Lifecycle::new(), format!("   {:width$}", "nothing"));
        if let Some((event, row)) = from {
            (before, _) = deviations(table, before, event, Channel::Status);
            heading = format!("{:2} {:width$}", event.0, row.name);
            if before.stated() != Some(event) {
                continue;
            }
        }
        let cells: Vec<&str> = table
            .events()
            .map(|(event, row)| {
                let (after, deviations) = deviations(table, before, event, Channel::Status);
                let out_of_order = deviations.iter().any(|it| matches!(it, Deviation::Transition { .. }));
                match (row.meaning.states() && after.stated() == Some(event), out_of_order) {
                    (true, false) => " +",
                    (true, true) => " !",
                    (false, _) => " .",
                }
            })
            .collect();
        let _ = writeln!(text, "{heading}  {}", cells.join(" "));
    }
    text
}
