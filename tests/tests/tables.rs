//! What becomes of every input in every state of every machine, and the diagrams of `idv diagram`, as a reviewer has read them.
//! `UPDATE_SNAPSHOTS=1` rewrites `tests/tables`.
#![allow(clippy::panic)] // A helper of a test fails like a test.

use idv_core::lifecycle::Table;
use idv_core::machine::{Describe, mermaid};
use idv_core::{shareid, shufti};
use idv_tests::snapshot::assert_unchanged;
use idv_tests::subjects::{budget, delivery, poller, receipt, session, token};
use idv_tests::tables::{Tabled, lifecycle, table};

fn texts<S: Tabled>() -> [(String, String); 2] {
    let name = S::Machine::NAME;
    let table = table::<S>().unwrap_or_else(|gap| panic!("{gap}"));
    [(format!("{name}.txt"), table), (format!("{name}.mmd"), mermaid(name, S::Machine::TRANSITIONS))]
}

fn texts_of_provider(table: &Table) -> [(String, String); 2] {
    let name = format!("lifecycle-{}", table.provider);
    [(format!("{name}.txt"), lifecycle::table(table)), (format!("{name}.mmd"), table.mermaid())]
}

#[test]
fn g8_the_machines_do_what_was_reviewed_with_every_input_in_every_state() {
    let texts = [
        texts::<token::Subjected>(),
        texts::<poller::Subjected>(),
        texts::<budget::Subjected>(),
        texts::<receipt::Subjected>(),
        texts::<delivery::Subjected>(),
        texts::<session::Subjected>(),
        texts_of_provider(&shareid::lifecycle::SHAREID),
        texts_of_provider(&shufti::lifecycle::SHUFTI),
    ];
    assert_unchanged("tests/tables", &texts.concat());
}
