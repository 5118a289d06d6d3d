//! Which deliberate bug is hunted where.

use crate::table::Result as Found;
use idv_core_mutants::mutants::{MUTANTS, switch_on};
use idv_model_mutants::rules::Sabotage;
use idv_model_mutants::worlds::{self, World};
use idv_model_mutants::{fleet, search};

/// A deliberate bug and the world that must catch it.
pub(crate) struct Hunt {
    pub(crate) mutant: &'static str,
    pub(crate) world: &'static str,
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

const fn core(mutant: &'static str, world: &'static str) -> Hunt {
    Hunt { mutant, world, kind: Kind::Core }
}

/// All of them.
pub(crate) const HUNTS: &[Hunt] = &[
    core("answers_before_recording", "flip"),
    core("answers_too_late", "flip"),
    core("superseded_answer_counts", "flip"),
    core("superseded_answer_is_dropped", "pulls"),
    core("signed_callback_overwrites", "flip"),
    core("demand_cleared_on_send", "flip"),
    core("known_digest_does_not_hint", "flip"),
    core("late_commit_is_ignored", "flip"),
    core("wrong_signature_does_not_hint", "attack"),
    core("signals_are_forgotten", "signals"),
    core("next_revision_unasked", "flip"),
    core("numbers_restart", "flip"),
    core("claims_buy_a_deadline", "attack"),
    core("old_confirmation_counts", "careless"),
    core("same_again", "flip"),
    core("restored_pull_is_sent_at_once", "crash"),
    core("demand_is_not_saved", "crash"),
    Hunt {
        mutant: "records_are_not_fed_again",
        world: "crash",
        kind: Kind::Host(Sabotage::RecordsForgotten, "an unapplied record is not stepped after a restart"),
    },
    Hunt {
        mutant: "twins_stay_applied",
        world: "crash",
        kind: Kind::Host(
            Sabotage::TwinsStayApplied,
            "a record stays applied when its twin arrives, so that a crash after the 200 forgets the twin",
        ),
    },
    Hunt {
        mutant: "acts_before_saving",
        world: "crash",
        kind: Kind::Host(Sabotage::SavesLate, "a step's actions are performed before it is saved"),
    },
    core("two_pulls_in_flight", "pulls"),
    core("cadence_from_the_start", "pulls"),
    core("hint_breaks_the_cadence", "pulls"),
    core("retry_after_is_ignored", "stubborn"),
    core("deadline_off_by_one", "pulls"),
    core("no_grace", "pulls"),
    core("grace_for_all", "pulls"),
    core("deadline_after_settling", "pulls"),
    core("first_refusal_ends", "stubborn"),
    core("refusals_never_end", "stubborn"),
    core("token_used_after_expiry", "token"),
    Hunt {
        mutant: "token_restored_as_valid",
        world: "restart",
        kind: Kind::FleetHost(
            fleet::Sabotage::TokenTakenOver,
            "a process takes over the token of a dead one, whose bytes it does not have",
        ),
    },
    core("token_life_from_its_arrival", "slow"),
    core("no_margin", "token"),
    core("late_token_answer_counts", "slow"),
    core("old_credentials_still_count", "two tokens"),
    core("two_token_requests", "token"),
    core("rejected_token_is_used", "poisoned"),
    core("old_401_ends_the_newer_token", "poisoned"),
    core("poisoned_id_ends_the_token", "poisoned"),
    core("renewals_at_once", "poisoned"),
    core("token_refusals_never_end", "token"),
    core("single_use_token_is_used_twice", "single use"),
    core("confirming_starves_routine", "door"),
    core("routine_starves_confirming", "door"),
    core("audits_go_first", "door"),
    core("youngest_first", "door"),
    core("fruitless_hints_keep_their_rank", "door"),
    core("limit_of_one_session", "limit"),
    core("limit_without_a_time", "limit"),
    core("token_requests_are_free", "two tokens"),
    core("tokens_starve_pulls", "two tokens"),
    core("early_callback_is_lost", "early"),
    core("signed_evicted_first", "early"),
    core("opening_waits", "early"),
];

impl Hunt {
    pub(crate) fn says(&self) -> &'static str {
        match self.kind {
            Kind::Core => self.number().map_or("", |number| MUTANTS[number].says),
            Kind::Host(_, says) | Kind::FleetHost(_, says) => says,
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
