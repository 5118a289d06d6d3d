//! The simulation at small size: what holds, and that it would show if it did not.
#![allow(missing_docs)]

use idv_simulation::{Defect, Simulation, Tally, Wrongs, total};
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

/// What a host with this bug is caught at.
fn caught(defect: Defect) -> Wrongs {
    let tally = run(&Simulation { defect: Some(defect), ..small(8) }, 2);
    assert!(!tally.wrongs.is_clean(), "{defect:?} is not noticed");
    tally.wrongs
}

#[test]
fn g5_bites_a_200_before_the_record() {
    assert!(caught(Defect::AnswersEarly).early_200 > 0);
}

#[test]
fn g5_bites_a_late_answer() {
    assert!(caught(Defect::AnswersLate).late_answers > 0);
}

#[test]
fn g2_g9_bites_a_store_that_goes_back() {
    let wrongs = caught(Defect::RestoresOldSnapshots);
    assert!(wrongs.twice > 0, "{wrongs:?}");
}

#[test]
fn g4_bites_a_forgery_that_is_applied() {
    assert!(caught(Defect::AppliesUnsigned).unfounded > 0);
}

#[test]
fn g7_bites_two_pulls_at_once_and_too_many_calls() {
    let wrongs = caught(Defect::SendsTwice);
    assert!(wrongs.overlapping > 0 && wrongs.over_budget > 0, "{wrongs:?}");
}

#[test]
fn g1_g3_bites_answers_from_a_cache() {
    let wrongs = caught(Defect::CachesAnswers);
    assert!(wrongs.lost > 0 && wrongs.rolled_back > 0, "{wrongs:?}");
}

#[test]
fn g1_bites_a_hand_over_that_is_thrown_away() {
    assert!(caught(Defect::DropsHandOvers).lost > 0);
}

#[test]
fn g2_bites_a_hand_over_that_is_repeated() {
    assert!(caught(Defect::RepeatsHandOvers).twice > 0);
}
