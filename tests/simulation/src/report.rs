//! The result as text for people.

use idv_simulation::{Simulation, Tally};
use std::fmt::Write;
use std::time::Duration;

/// The calls that ShareID and Shufti let in within a minute.
const LIMITS: [u64; 2] = [120, 60];

/// Days, hours and minutes.
fn span(millis: u64) -> String {
    let minutes = millis / 60_000;
    match (minutes / 1_440, minutes / 60 % 24, minutes % 60) {
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// Seconds and tenths below two minutes, else minutes and hours.
fn latency(millis: u32) -> String {
    match millis {
        0..120_000 => format!("{}.{} s", millis / 1_000, millis / 100 % 10),
        120_000..7_200_000 => format!("{} min", millis / 60_000),
        _ => format!("{} h", millis / 3_600_000),
    }
}

/// So many hundredths as a number with two places.
fn ratio(part: u64, whole: u64) -> String {
    let hundredths = (part * 100).checked_div(whole).unwrap_or(0);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// What runs the same again: all that determines a run.
pub(crate) fn command(simulation: &Simulation) -> String {
    let Simulation { seed, verifications, processes, faults: (first, last), .. } = simulation;
    format!(
        "cargo run --release -p idv-simulation -- --sessions {verifications} --seed {seed} --faults {first}..{last} --processes {processes}"
    )
}

pub(crate) fn text(simulation: &Simulation, tallies: &[Tally], total: &Tally, took: Duration) -> String {
    let mut text = String::new();
    let Simulation { seed, processes, .. } = simulation;
    let _ = writeln!(
        text,
        "seed {seed}: {} verifications, {processes} processes with 4 accounts each, {} of virtual time in {}.{} s\n",
        total.verifications,
        span(total.span_ms),
        took.as_secs(),
        took.subsec_millis() / 100
    );
    let _ = writeln!(
        text,
        "faults  verdicts  revisions  callbacks  retries  forged    pulls  failed  crashes  p50      p90      p99      lost  twice  rolled back"
    );
    for (process, tally) in (0..).zip(tallies) {
        let faults = simulation.faults_of(process);
        row(&mut text, &format!("{:>3}.{} %", faults / 10, faults % 10), tally);
    }
    row(&mut text, "    all", total);
    let avoided = total.polls_without_callbacks.saturating_sub(total.pulls_to_verdicts);
    let calls: u64 = total.calls.iter().sum();
    let _ = writeln!(
        text,
        "\nverdicts    {} first ones; {} verifications end with the provider's last word; {} without: nothing told of it before the end, or since; \
         {} whose application would not have it",
        total.verdicts, total.up_to_date, total.out_of_reach, total.given_up
    );
    let _ = writeln!(
        text,
        "pulls       {} per verdict until it came; polling at the cadence alone: {}; {avoided} avoided thanks to callbacks",
        ratio(total.pulls_to_verdicts, total.verdicts),
        ratio(total.polls_without_callbacks, total.verdicts),
    );
    let _ = writeln!(
        text,
        "callbacks   {} posts: {} answered 200, {} 401, {} 503, the slowest after {} ms; {} given up by the provider",
        total.posts,
        total.answered_200,
        total.answered_401,
        total.answered_503,
        total.slowest_answer_ms,
        total.undelivered
    );
    let [shareid, shufti] = total.busiest_minute;
    let _ = writeln!(
        text,
        "calls       {calls}, {} token requests among them; busiest minute: {shareid} of {} at ShareID, {shufti} of {} at Shufti; {} answered 429 since somebody else \
         made {} from the same address; {} after restarts that the process before would have held back",
        total.token_requests,
        LIMITS[0],
        LIMITS[1],
        total.limited,
        total.calls_of_others,
        total.forgotten_doors
    );
    let _ = writeln!(
        text,
        "crashes     {}; {} sessions restored, {} brought back by callbacks after they were forgotten; {} operations of the store failed",
        total.crashes, total.restored, total.brought_back, total.store_failures
    );
    let _ = writeln!(
        text,
        "hand-overs  {} repeated with the same key; {} given up, their applications never took them",
        total.repeated_hand_overs, total.dead_letters
    );
    let _ = writeln!(
        text,
        "refusals    {} verifications whose pulls are answered 401 for ever; sessions ended {} times as refused",
        total.poisoned, total.refused
    );
    let wrongs: Vec<String> =
        total.wrongs.named().iter().map(|(name, count)| format!("{name} {count}")).collect();
    let _ = writeln!(text, "wrong       {}", wrongs.join(", "));
    let _ = writeln!(text, "digest      {:016x}", total.digest);
    let _ = writeln!(text, "again       {}", command(simulation));
    text
}

fn row(text: &mut String, faults: &str, tally: &Tally) {
    let _ = writeln!(
        text,
        "{faults}{:>9}{:>11}{:>11}{:>9}{:>8}{:>9}{:>8}{:>9}  {:<9}{:<9}{:<9}{:>4}{:>7}{:>13}",
        tally.verdicts,
        tally.revisions,
        tally.callbacks,
        tally.retries,
        tally.forged,
        tally.pulls,
        tally.failed_pulls,
        tally.crashes,
        latency(tally.latency(500)),
        latency(tally.latency(900)),
        latency(tally.latency(990)),
        tally.wrongs.lost,
        tally.wrongs.twice,
        tally.wrongs.rolled_back,
    );
}
