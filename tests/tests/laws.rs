//! Every machine under the laws of [`idv_core::machine::Machine`], and its table of transitions held against random runs.

use idv_tests::laws::{Subject, hold, table_is_true};
use idv_tests::subjects::{budget, delivery, lifecycle, poller, receipt, session, token};

/// Enough runs for every row of every table to be seen.
const RUNS: u32 = 1_500;

fn laws_and_table<S: Subject>() -> Result<(), String> {
    hold::<S>()?;
    table_is_true::<S>(RUNS)
}

#[test]
fn g8_receipt_keeps_the_laws_and_its_table_is_true() {
    laws_and_table::<receipt::Subjected>().unwrap_or_else(|broken| panic!("{broken}"));
}

#[test]
fn g8_token_keeps_the_laws_and_its_table_is_true() {
    laws_and_table::<token::Subjected>().unwrap_or_else(|broken| panic!("{broken}"));
}

#[test]
fn g8_budget_keeps_the_laws_and_its_table_is_true() {
    laws_and_table::<budget::Subjected>().unwrap_or_else(|broken| panic!("{broken}"));
}

#[test]
fn g8_delivery_keeps_the_laws_and_its_table_is_true() {
    laws_and_table::<delivery::Subjected>().unwrap_or_else(|broken| panic!("{broken}"));
}

#[test]
fn g8_lifecycle_keeps_the_laws_and_its_table_is_true() {
    laws_and_table::<lifecycle::Subjected>().unwrap_or_else(|broken| panic!("{broken}"));
}

#[test]
fn g8_poller_keeps_the_laws_and_its_table_is_true() {
    laws_and_table::<poller::Subjected>().unwrap_or_else(|broken| panic!("{broken}"));
}

#[test]
fn g8_session_keeps_the_laws_and_its_table_is_true() {
    laws_and_table::<session::Subjected>().unwrap_or_else(|broken| panic!("{broken}"));
}
