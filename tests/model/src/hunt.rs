//! Which deliberate bug is hunted where.

use crate::table::Result as Found;
use idv_core_mutants::mutants::{MUTANTS, switch_on};
use idv_model::law::Law;
use idv_model_mutants::rules::Sabotage;
use idv_model_mutants::worlds::{self, World};
use idv_model_mutants::{fleet, search};

/// A deliberate bug, the world that must catch it, and the law that it must break there: the first one on the shortest way.
pub(crate) struct Hunt {
    pub(crate) mutant: &'static str,
    pub(crate) world: &'static str,
    pub(crate) law: Law,
    kind: Kind,
}

enum Kind {
    /// In the core.
    Core,
    /// In the model's own host, where a real host could have one.
    Host(Sabotage, &'static str),
    /// The same, where the host drives a fleet.
    FleetHost(fleet::Sabotage, &'static str),
}

const fn core(mutant: &'static str, world: &'static str, law: Law) -> Hunt {
    Hunt { mutant, world, law, kind: Kind::Core }
}

/// All of them.
pub(crate) const HUNTS: &[Hunt] = &[
    core("answers_before_recording", "flip", Law::G5),
    core("answers_too_late", "flip", Law::G5),
    core("superseded_answer_counts", "flip", Law::R1),
    core("superseded_answer_is_dropped", "pulls", Law::R1),
    core("signed_callback_overwrites", "flip", Law::R2),
    core("demand_cleared_on_send", "flip", Law::R3),
    core("known_digest_does_not_hint", "flip", Law::R4),
    core("late_commit_is_ignored", "flip", Law::R10),
    core("wrong_signature_does_not_hint", "attack", Law::R16),
    core("signals_are_forgotten", "signals", Law::R9),
    core("next_revision_unasked", "flip", Law::R6),
    core("numbers_restart", "flip", Law::R8),
    core("claims_buy_a_deadline", "attack", Law::R8),
    core("old_confirmation_counts", "careless", Law::R6),
    core("same_again", "flip", Law::R5),
    core("restored_pull_is_sent_at_once", "crash", Law::R11),
    core("demand_is_not_saved", "crash", Law::R10),
    Hunt {
        mutant: "records_are_not_fed_again",
        world: "crash",
        law: Law::R10,
        kind: Kind::Host(Sabotage::RecordsForgotten, "an unapplied record is not stepped after a restart"),
    },
    Hunt {
        mutant: "twins_stay_applied",
        world: "crash",
        law: Law::R10,
        kind: Kind::Host(
            Sabotage::TwinsStayApplied,
            "a record stays applied when its twin arrives, so that a crash after the 200 forgets the twin",
        ),
    },
    Hunt {
        mutant: "acts_before_saving",
        world: "crash",
        law: Law::G9,
        kind: Kind::Host(Sabotage::SavesLate, "a step's actions are performed before it is saved"),
    },
    core("two_pulls_in_flight", "pulls", Law::G7),
    core("cadence_from_the_start", "pulls", Law::G7),
    core("hint_breaks_the_cadence", "pulls", Law::G7),
    core("retry_after_is_ignored", "stubborn", Law::G7),
    core("deadline_off_by_one", "pulls", Law::G6),
    core("no_grace", "pulls", Law::R12),
    core("grace_for_all", "pulls", Law::R12),
    core("deadline_after_settling", "pulls", Law::R8),
    core("first_refusal_ends", "stubborn", Law::R14),
    core("refusals_never_end", "stubborn", Law::R14),
    core("token_used_after_expiry", "token", Law::G7),
    Hunt {
        mutant: "token_restored_as_valid",
        world: "restart",
        law: Law::R11,
        kind: Kind::FleetHost(
            fleet::Sabotage::TokenTakenOver,
            "a process takes over the token of a dead one, whose bytes it does not have",
        ),
    },
    core("token_life_from_its_arrival", "slow", Law::G7),
    core("no_margin", "token", Law::G7),
    core("late_token_answer_counts", "slow", Law::R14),
    core("old_credentials_still_count", "two tokens", Law::R14),
    core("two_token_requests", "token", Law::G7),
    core("rejected_token_is_used", "poisoned", Law::G7),
    core("old_401_ends_the_newer_token", "poisoned", Law::R14),
    core("poisoned_id_ends_the_token", "poisoned", Law::R14),
    core("renewals_at_once", "poisoned", Law::R14),
    core("token_refusals_never_end", "token", Law::R14),
    core("single_use_token_is_used_twice", "single use", Law::G7),
    core("confirming_starves_routine", "door", Law::R13),
    core("routine_starves_confirming", "door", Law::R13),
    core("audits_go_first", "door", Law::R13),
    core("youngest_first", "door", Law::R13),
    core("fruitless_hints_keep_their_rank", "door", Law::R13),
    core("limit_of_one_session", "limit", Law::R13),
    core("limit_after_a_restart", "restart and limit", Law::R13),
    core("limit_without_a_time", "limit", Law::R13),
    core("token_requests_are_free", "two tokens", Law::R13),
    core("tokens_starve_pulls", "two tokens", Law::R13),
    core("early_callback_is_lost", "early", Law::R15),
    core("signed_evicted_first", "early", Law::R15),
    core("opening_waits", "early", Law::R15),
];

impl Hunt {
    pub(crate) fn says(&self) -> &'static str {
        match self.kind {
            Kind::Core => self.number().map_or("", |number| MUTANTS[number].says),
            Kind::Host(_, says) | Kind::FleetHost(_, says) => says,
        }
    }

    /// Where the bug is: in the core, or in the model's own host.
    pub(crate) const fn place(&self) -> &'static str {
        match self.kind {
            Kind::Core => "core",
            Kind::Host(..) | Kind::FleetHost(..) => "host",
        }
    }

    fn number(&self) -> Option<usize> {
        MUTANTS.iter().position(|mutant| mutant.name == self.mutant)
    }

    /// Searches the world with the bug in it.
    pub(crate) fn run(&self) -> Found {
        match self.kind {
            Kind::Core => {
                switch_on(Some(self.number().expect("a mutant of this name")));
                let found = worlds::find(self.world).as_ref().map(World::search);
                switch_on(None);
                found.expect("a world of this name").into()
            }
            Kind::Host(sabotage, _) => search::search(&worlds::session(self.world).with(sabotage)).into(),
            Kind::FleetHost(sabotage, _) => search::search(&worlds::fleet(self.world).with(sabotage)).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use idv_core_mutants::mutants::MUTANTS;

    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guarantees.md");

    /// How the page writes down a bug in the row of this law: its name, the law that catches it if that is another, and whether it is one of
    /// the model's host.
    fn written(hunt: &Hunt, row: &str) -> String {
        let name = |law: Law| format!("{law:?}");
        let law = if name(hunt.law) == row { String::new() } else { format!(" → {}", name(hunt.law)) };
        let host = if hunt.place() == "host" { " (host)" } else { "" };
        format!("`{}`{law}{host}", hunt.mutant)
    }

    #[test]
    fn the_page_of_the_guarantees_names_every_deliberate_bug_and_the_law_that_catches_it() {
        let page = std::fs::read_to_string(PAGE).expect("docs/guarantees.md");
        let (_, rules) = page.split_once("\n## The rules\n").expect("a chapter of the rules");
        let (rules, _) = rules.split_once("\n## ").expect("a chapter after it");
        let mut named = Vec::new();
        for line in rules.lines().filter(|line| line.starts_with("| **")) {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let law = cells[1].split("**").nth(1).expect("a law");
            for said in cells[3].split(", ").filter(|said| said.starts_with('`')) {
                let mutant = said.split('`').nth(1).expect("a name");
                let hunt = HUNTS.iter().find(|hunt| hunt.mutant == mutant);
                let hunt = hunt.unwrap_or_else(|| panic!("{law}: there is no deliberate bug {mutant:?}"));
                assert_eq!(said, written(hunt, law), "in the row of {law} of docs/guarantees.md");
                named.push(mutant);
            }
        }
        let missing: Vec<&str> =
            HUNTS.iter().map(|hunt| hunt.mutant).filter(|name| !named.contains(name)).collect();
        assert!(missing.is_empty(), "docs/guarantees.md does not name {missing:?}");
    }

    #[test]
    fn every_deliberate_bug_of_the_core_is_hunted_in_a_world_where_its_law_is_looked_at() {
        for mutant in MUTANTS {
            assert!(HUNTS.iter().any(|hunt| hunt.mutant == mutant.name), "nobody hunts {}", mutant.name);
        }
        for hunt in HUNTS {
            let world = idv_model::worlds::find(hunt.world);
            let world =
                world.unwrap_or_else(|| panic!("{}: there is no world {:?}", hunt.mutant, hunt.world));
            assert!(world.laws().contains(&hunt.law), "{}: {:?} in {}", hunt.mutant, hunt.law, hunt.world);
            assert_eq!(hunt.number().is_some(), hunt.place() == "core", "{}", hunt.mutant);
        }
    }
}
