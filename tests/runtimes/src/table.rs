//! One table of all rows, in Markdown.

use crate::contestant::{REQWEST, THREADS};
use crate::measure::{Cost, Latency, Row};
use std::time::Duration;

/// Prints it.
pub(crate) fn print(rows: &[Row], cadence: Duration) {
    let yardstick = rows.iter().find(|row| row.name == REQWEST);
    let cadence = cadence.as_millis();
    println!(
        "| open verifications: 1 / 100 / 10 000 | CPU per pull, µs | × | memory, MiB | KiB each | × | callback → handed over, ms | ready → handed over, polling every {cadence} ms |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for row in rows {
        let ratio = |of: fn(&Row) -> Option<f64>| match (of(row), yardstick.and_then(of)) {
            (Some(own), Some(yardstick)) if yardstick > 0.0 => format!("{:.2}", own / yardstick),
            _ => "–".to_owned(),
        };
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            label(row),
            cells(&row.costs, |cost| format!("{:.0}", cost.cpu_per_pull())),
            ratio(cpu),
            cells(&row.costs, |cost| format!("{:.1}", cost.grown / 1024.0)),
            each(row).map_or_else(|| "–".to_owned(), |each| format!("{each:.1}")),
            ratio(each),
            row.called.map_or_else(|| "–".to_owned(), latency),
            latency(row.polled),
        );
    }
}

fn label(row: &Row) -> String {
    match row.name.as_str() {
        REQWEST => "a task each: reqwest, tokio".to_owned(),
        THREADS => {
            let most = row.costs.last().map_or(0, |cost| cost.open);
            format!("a thread each: ureq, {most} at the most")
        }
        name => format!("`{name}`"),
    }
}

fn cells(costs: &[Cost], of: impl Fn(&Cost) -> String) -> String {
    costs.iter().map(of).collect::<Vec<_>>().join(" / ")
}

fn latency(Latency { median, p99 }: Latency) -> String {
    format!("{median:.1}, p99 {p99:.1}")
}

/// CPU time per pull with the most open.
fn cpu(row: &Row) -> Option<f64> {
    row.costs.last().map(Cost::cpu_per_pull)
}

/// What one more open verification takes.
fn each(row: &Row) -> Option<f64> {
    let (first, last) = (row.costs.first()?, row.costs.last()?);
    let more = u32::try_from(last.open.checked_sub(first.open)?).ok()?;
    (more > 0).then(|| (last.grown - first.grown) / f64::from(more))
}
