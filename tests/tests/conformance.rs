//! Every scenario of `tests/conformance` on every adapter.

use idv_tests::conformance::{Ureq, play_all, scenarios};

#[test]
fn every_scenario_on_the_blocking_adapter() {
    let scenarios = scenarios().unwrap();
    match play_all(&Ureq, &scenarios) {
        Ok(played) => assert!(played >= 2, "{played} stories played"),
        Err(problems) => panic!("{problems}"),
    }
}
