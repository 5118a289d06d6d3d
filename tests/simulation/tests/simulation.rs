//! The simulation at small size: what holds, and that it would show if it did not.
#![allow(missing_docs, clippy::unwrap_used)]

use idv_simulation::{Defect, Simulation, Tally, Wrongs, total};
use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::AtomicU64;

fn run(simulation: &Simulation, threads: usize) -> Tally {
    total(&simulation.run(threads, &AtomicU64::new(0)))
}

fn small(seed: u64) -> Simulation {
    Simulation { seed, verifications: 800, processes: 4, faults: (0, 30), defect: None }
}

#[test]
fn g1_to_g7_and_g9_nothing_that_must_not_happens_under_faults_and_crashes() {
    for seed in [1, 2, 3] {
        let tally = run(&small(seed), 2);
        assert_eq!(tally.wrongs, Wrongs::default(), "seed {seed}");
        // What the claim is about did happen.
        assert!(tally.crashes > 3 && tally.retries > 30 && tally.forged > 30, "{tally:?}");
        assert!(tally.answered_401 > 3 && tally.answered_503 > 30 && tally.failed_pulls > 200, "{tally:?}");
        assert!(tally.revisions > tally.verdicts && tally.repeated_hand_overs > 3, "{tally:?}");
        assert!(tally.busiest_minute[0] > 20 && tally.busiest_minute[1] > 4, "{tally:?}");
    }
}

/// Applications that refuse for good, verifications that are refused for good, and a limit that somebody else uses up.
#[test]
fn g1_g3_g6_g7_r6_r14_what_is_refused_for_good_costs_nobody_else_anything() {
    let tally = run(&Simulation { verifications: 4_000, processes: 2, faults: (20, 20), ..small(9) }, 2);
    assert_eq!(tally.wrongs, Wrongs::default());
    assert!(tally.dead_letters > 40 && tally.given_up > 20, "{tally:?}");
    assert!(tally.poisoned > 20 && tally.refused >= tally.poisoned / 2, "{tally:?}");
    assert!(tally.calls_of_others > 100 && tally.limited > 10, "{tally:?}");
    assert!(tally.up_to_date * 100 > tally.verifications * 95, "{tally:?}");
}

#[test]
fn g1_without_faults_every_last_word_arrives_within_seconds() {
    let tally = run(&Simulation { faults: (0, 0), ..small(4) }, 2);
    assert!(tally.wrongs.is_clean(), "{:?}", tally.wrongs);
    assert_eq!(tally.up_to_date, 800);
    assert!(tally.latency(990) < 15_000, "{} ms", tally.latency(990));
    assert!(tally.pulls_to_verdicts * 4 < tally.polls_without_callbacks, "{tally:?}");
}

#[test]
fn g8_the_same_seed_gives_the_same_run_on_however_many_threads() {
    let (once, again) = (run(&small(5), 1), run(&small(5), 3));
    assert_eq!(once.digest, again.digest);
    assert_eq!(format!("{once:?}"), format!("{again:?}"));
    assert_ne!(once.digest, run(&small(6), 3).digest);
}

#[test]
fn a_days_retries_are_played_out() {
    let tally = run(&Simulation { faults: (30, 30), ..small(7) }, 2);
    assert!(tally.undelivered > 0 && tally.span_ms > 25 * 3_600_000, "{tally:?}");
    assert!(tally.wrongs.is_clean(), "{:?}", tally.wrongs);
}

/// What a host with this bug is caught at, among others.
const fn is_caught_at(defect: Defect) -> &'static [&'static str] {
    match defect {
        Defect::AnswersEarly => &["200 before the record"],
        Defect::AnswersLate | Defect::NeverAnswers => &["answered late"],
        Defect::RestoresOldSnapshots | Defect::RepeatsHandOvers => &["twice"],
        Defect::AppliesUnsigned => &["unfounded"],
        Defect::SendsTwice => &["overlapping pulls", "calls over the budget"],
        Defect::CachesAnswers => &["lost", "rolled back"],
        Defect::DropsHandOvers => &["lost"],
        Defect::MisnumbersHandOvers => &["misnumbered"],
        Defect::RetriesCalls => &["pulls too soon", "Retry-After ignored"],
        Defect::KeepsOldTokens => &["tokens misused"],
        Defect::ForgetsTimers => &["never ended"],
        Defect::SharesSessions => &["taken over"],
    }
}

#[test]
fn g1_to_g7_and_g9_every_count_bites() {
    let mut bitten = BTreeSet::new();
    for defect in Defect::ALL {
        let wrongs = run(&Simulation { defect: Some(defect), ..small(8) }, 2).wrongs;
        for name in is_caught_at(defect) {
            let counted = wrongs.named().into_iter().any(|(other, count)| other == *name && count > 0);
            assert!(counted, "{defect:?} is not noticed as {name}: {wrongs:?}");
            bitten.insert(*name);
        }
    }
    for (name, _) in Wrongs::default().named() {
        assert!(bitten.contains(name), "nothing shows that {name} would be noticed");
    }
}

#[test]
fn the_json_says_what_reproduces_the_run() {
    let simulate = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_simulation")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let arguments = ["--sessions", "90", "--seed", "11", "--faults", "5..20", "--processes", "3", "--json"];
    let once = simulate(&arguments);
    for (name, value) in [("sessions", 90), ("seed", 11)] {
        assert_eq!(once[name], value);
    }
    assert_eq!(once["faults_percent"], serde_json::json!([5, 20]));
    assert_eq!(once["processes"].as_array().unwrap().len(), 3);
    let command = once["command"].as_str().unwrap();
    let (_, again) = command.split_once(" -- ").unwrap();
    let again: Vec<&str> = again.split(' ').chain(["--json", "--threads", "1"]).collect();
    assert_eq!(once["total"]["digest"], simulate(&again)["total"]["digest"]);
}
