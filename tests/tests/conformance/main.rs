//! Every scenario of `tests/conformance` on every adapter.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod bites;
mod toy;

use futures_util::future::BoxFuture;
use idv_tests::conformance::{
    Adapter, Asynchronous, Ureq, play_all, play_bare, scenario::Scenario, scenarios,
};
use std::fmt::Write;
use std::sync::LazyLock;

/// Every scenario; where the environment names one in `SCENARIO`, that one alone.
fn chosen() -> Vec<Scenario> {
    let mut scenarios = scenarios().unwrap();
    if let Ok(only) = std::env::var("SCENARIO") {
        scenarios.retain(|scenario| scenario.name == only);
        assert!(!scenarios.is_empty(), "there is no scenario `{only}`");
    }
    scenarios
}

fn passes(adapter: &dyn Adapter) {
    let scenarios = chosen();
    match play_all(adapter, &scenarios) {
        Ok(played) => assert!(played as usize >= scenarios.len(), "{played} stories played"),
        Err(problems) => panic!("{problems}"),
    }
}

#[test]
fn g8_every_scenario_on_the_bare_core_in_virtual_time() {
    let mut problems = String::new();
    for scenario in chosen() {
        let name = &scenario.name;
        match play_bare(&scenario, 0) {
            Err(problem) => writeln!(problems, "{name}: {problem}\n").unwrap(),
            Ok(seen) => {
                for seed in 1..6 {
                    let again = play_bare(&scenario, seed);
                    assert_eq!(again.as_ref(), Ok(&seen), "{name}: jitter changed what happens");
                }
            }
        }
    }
    assert!(problems.is_empty(), "{problems}");
}

#[test]
fn every_scenario_on_the_blocking_adapter() {
    passes(&Ureq);
}

fn smol() -> Asynchronous<idv_smol::Smol> {
    Asynchronous::new("idv-smol", idv_smol::Smol, |future| smol::block_on(future))
}

#[test]
fn every_scenario_on_smol() {
    passes(&smol());
}

#[test]
fn every_scenario_on_async_std() {
    let block_on = |future: BoxFuture<'_, ()>| async_std::task::block_on(future);
    passes(&Asynchronous::new("idv-async-std", idv_async_std::AsyncStd, block_on));
}

#[test]
fn every_scenario_on_tokio() {
    static TOKIO: LazyLock<tokio::runtime::Runtime> =
        LazyLock::new(|| tokio::runtime::Runtime::new().unwrap());
    passes(&Asynchronous::new("idv-tokio", idv_tokio::Tokio, |future| TOKIO.block_on(future)));
}

/// What joining takes: `toy.rs`.
#[test]
fn every_scenario_on_a_fifth_runtime_made_for_this_test() {
    passes(&Asynchronous::new("a toy runtime", toy::Toy, |future| toy::block_on(future)));
}
