//! Every step of the machines that keep count, compared with the same rules as plain lists and tables.
#![allow(clippy::panic)] // A helper of a test fails like a test.

use idv_tests::laws::{Reference, Subject, agree};
use idv_tests::references;
use idv_tests::subjects::{budget, delivery, poller, session, token};

fn agrees<S: Subject, R: Reference<S>>() {
    agree::<S, R>().unwrap_or_else(|difference| panic!("{difference}"));
}

#[test]
fn r13_budget_grants_what_a_list_of_calls_allows() {
    agrees::<budget::Subjected, references::budget::Calls>();
}

#[test]
fn delivery_keeps_its_timetable() {
    agrees::<delivery::Subjected, references::delivery::Timetable>();
}

#[test]
fn r14_token_is_what_was_issued_and_what_is_in_flight() {
    agrees::<token::Subjected, references::token::Facts>();
}

#[test]
fn g7_r9_r12_poller_pulls_when_it_is_allowed_and_planned() {
    agrees::<poller::Subjected, references::poller::Plan>();
}

#[test]
fn r1_r3_r5_r6_session_hands_over_what_a_log_of_all_that_happened_says() {
    agrees::<session::Subjected, references::session::Log>();
}
