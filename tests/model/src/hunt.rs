//! Which deliberate bug is hunted where.

use crate::table::Result as Found;
use idv_core_mutants::mutants::{MUTANTS, switch_on};
use idv_model_mutants::rules::Sabotage;
use idv_model_mutants::{search, worlds};

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
];

impl Hunt {
    pub(crate) fn says(&self) -> &'static str {
        match self.kind {
            Kind::Core => self.number().map_or("", |number| MUTANTS[number].says),
            Kind::Host(_, says) => says,
        }
    }

    fn number(&self) -> Option<usize> {
        MUTANTS.iter().position(|mutant| mutant.name == self.mutant)
    }

    /// Searches the world with the bug in it.
    pub(crate) fn run(&self) -> Found {
        let rules = worlds::find(self.world).expect("a world of this name");
        match self.kind {
            Kind::Core => {
                switch_on(Some(self.number().expect("a mutant of this name")));
                let found = search::search(&rules);
                switch_on(None);
                found.into()
            }
            Kind::Host(sabotage, _) => search::search(&rules.with(sabotage)).into(),
        }
    }
}
