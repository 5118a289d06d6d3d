//! The deliberate bugs, as edits of the core's text. `MUTANT` stands for: this bug is on.

/// One deliberate bug.
#[derive(Debug)]
pub struct Mutant {
    /// Its name on the command line.
    pub name: &'static str,
    /// What is wrong then.
    pub says: &'static str,
    /// Where.
    pub edits: &'static [Edit],
}

/// One piece of text and what stands there instead.
#[derive(Debug)]
pub struct Edit {
    /// Below `core/src`.
    pub file: &'static str,
    /// Must occur there exactly once.
    pub from: &'static str,
    /// Takes its place.
    pub to: &'static str,
}

const fn edit(file: &'static str, from: &'static str, to: &'static str) -> Edit {
    Edit { file, from, to }
}

/// All of them.
pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "answers_before_recording",
        says: "a callback is answered 200 before it is recorded",
        edits: &[
            edit(
                "receipt.rs",
                "actions.push(Action::Record { op: self.op });",
                "if MUTANT { actions.push(Action::Answer(Answer::unproved())); }\n        actions.push(Action::Record { op: self.op });",
            ),
            edit(
                "receipt/answer.rs",
                "    /// Anything but 200, for the machine's use.\n",
                "    pub(super) const fn unproved() -> Self { Self { status: 200, explanation: \"\" } }\n    /// Anything but 200, for the machine's use.\n",
            ),
        ],
    },
    Mutant {
        name: "superseded_answer_counts",
        says: "an answer to a pull sent before the newest evidence counts",
        edits: &[edit("session.rs", "if op < self.fence {", "if op < self.fence && !MUTANT {")],
    },
    Mutant {
        name: "superseded_answer_is_dropped",
        says: "an answer that does not count is no reason to pull again",
        edits: &[edit(
            "session.rs",
            "            self.hint(cx, Class::Confirming, false, actions);\n            self.poll(",
            "            if !MUTANT { self.hint(cx, Class::Confirming, false, actions); }\n            self.poll(",
        )],
    },
    Mutant {
        name: "signed_callback_overwrites",
        says: "a signed callback overwrites a known verdict",
        edits: &[edit(
            "session.rs",
            "            && self.latest_verdict.is_none()\n            && report.verdict.is_some()",
            "            && (MUTANT || self.latest_verdict.is_none())\n            && report.verdict.is_some()",
        )],
    },
    Mutant {
        name: "demand_cleared_on_send",
        says: "sending a pull satisfies the hint that asked for it",
        edits: &[
            edit(
                "poller.rs",
                "self.ops = self.ops.saturating_add(1);",
                "self.ops = self.ops.saturating_add(1);\n                if MUTANT { self.demand = None; }",
            ),
            edit(
                "session.rs",
                "Input::Granted => self.poll(",
                "Input::Granted if MUTANT => { self.need = 0; self.poll(cx, poller::Input::Granted, &mut actions) }\n            Input::Granted => self.poll(",
            ),
        ],
    },
    Mutant {
        name: "known_digest_does_not_hint",
        says: "a callback whose bytes are known is answered and forgotten",
        edits: &[
            edit(
                "receipt.rs",
                "        actions.push(Action::Apply {",
                "        if !(MUTANT && proof.duplicate())\n        { actions.push(Action::Apply {",
            ),
            edit("receipt.rs", "duplicate: proof.duplicate() });\n", "duplicate: proof.duplicate() }); }\n"),
        ],
    },
    Mutant {
        name: "late_commit_is_ignored",
        says: "a commit that completes after a 503 is ignored, and so is the callback when it comes again",
        edits: &[edit(
            "receipt.rs",
            "            Input::Committed(proof) => match self.state {\n",
            "            Input::Committed(proof) if MUTANT && (self.state == State::Late || proof.duplicate()) => {\n                if let State::Recording { .. } = self.state { actions.push(Action::Answer(Answer::recorded(&proof))); }\n                self.state = State::Over;\n                Disposition::Applied\n            }\n            Input::Committed(proof) => match self.state {\n",
        )],
    },
    Mutant {
        name: "next_revision_unasked",
        says: "revision n+1 is issued before n is confirmed",
        edits: &[edit(
            "session.rs",
            "if self.hand_over != HandOver::Done ||",
            "if (self.hand_over != HandOver::Done && !MUTANT) ||",
        )],
    },
    Mutant {
        name: "numbers_restart",
        says: "revision numbers begin again when an ended session is reopened",
        edits: &[edit(
            "session.rs",
            "self.poller.reopen(cx.with(&cx.policy.poller), class, vouched);",
            "if MUTANT && self.end().is_some() { self.revision = 0; }\n        self.poller.reopen(cx.with(&cx.policy.poller), class, vouched);",
        )],
    },
    Mutant {
        name: "claims_buy_a_deadline",
        says: "a callback that nobody vouches for reopens an ended session for a whole deadline",
        edits: &[edit("poller.rs", "let deadline = if vouched {", "let deadline = if vouched || MUTANT {")],
    },
    Mutant {
        name: "old_confirmation_counts",
        says: "a confirmation of an older revision confirms the newest",
        edits: &[edit(
            "session.rs",
            "if revision < self.revision {",
            "if revision < self.revision && !MUTANT {",
        )],
    },
    Mutant {
        name: "same_again",
        says: "evidence that says what the last revision said makes another one",
        edits: &[edit(
            "session.rs",
            "self.latest_verdict.is_none() || !differs",
            "self.latest_verdict.is_none() || (!differs && !MUTANT)",
        )],
    },
    Mutant {
        name: "restored_pull_is_sent_at_once",
        says: "a restored pull in flight is sent again at once",
        edits: &[edit(
            "poller.rs",
            "            Phase::InFlight { trouble, .. } => self.fail(cx, trouble, None),\n",
            "            Phase::InFlight { trouble, .. } if MUTANT => self.phase = Phase::Asking { trouble },\n            Phase::InFlight { trouble, .. } => self.fail(cx, trouble, None),\n",
        )],
    },
    Mutant {
        name: "demand_is_not_saved",
        says: "a step that only adds a reason to pull is not saved",
        edits: &[edit(
            "poller.rs",
            "                poller.demand,\n",
            "                if MUTANT { None } else { poller.demand },\n",
        )],
    },
    Mutant {
        name: "two_pulls_in_flight",
        says: "a hint begins another pull while one is in flight",
        edits: &[edit(
            "poller.rs",
            "            Phase::Asking { .. } | Phase::InFlight { .. } | Phase::Ended { .. } => {}\n        }\n        if signal",
            "            Phase::InFlight { trouble, .. } if MUTANT => self.phase = Phase::Asking { trouble },\n            Phase::Asking { .. } | Phase::InFlight { .. } | Phase::Ended { .. } => {}\n        }\n        if signal",
        )],
    },
    Mutant {
        name: "cadence_from_the_start",
        says: "the cadence is measured from the start of a pull",
        edits: &[edit(
            "poller.rs",
            "            Ok(_) => {\n                let until = cx.now.after(cx.policy.cadence);\n",
            "            Ok(_) => {\n                let until = match self.phase {\n                    Phase::InFlight { give_up, .. } if MUTANT => cx.now.max(give_up.before(cx.policy.patience()).after(cx.policy.cadence)),\n                    _ => cx.now.after(cx.policy.cadence),\n                };\n",
        )],
    },
    Mutant {
        name: "hint_breaks_the_cadence",
        says: "a hint pulls at once, below the cadence",
        edits: &[edit(
            "poller.rs",
            "                self.phase = Phase::Waiting { until: until.before_millis(slack), slack: 0, trouble };\n            }\n            Phase::Resting { earliest } => {",
            "                self.phase = Phase::Waiting { until: if MUTANT { cx.now } else { until.before_millis(slack) }, slack: 0, trouble };\n            }\n            Phase::Resting { earliest } => {",
        )],
    },
    Mutant {
        name: "retry_after_is_ignored",
        says: "a `Retry-After` is not obeyed",
        edits: &[edit(
            "poller.rs",
            "let wait = cx.policy.cadence.max(backoff).max(least);",
            "let wait = cx.policy.cadence.max(backoff).max(if MUTANT { Span::MIN } else { least });",
        )],
    },
    Mutant {
        name: "deadline_off_by_one",
        says: "the end is one millisecond late",
        edits: &[edit(
            "poller.rs",
            "answered || self.end_at(cx.policy).is_some_and(|end| cx.now >= end)",
            "answered || self.end_at(cx.policy).is_some_and(|end| if MUTANT { cx.now > end } else { cx.now >= end })",
        )],
    },
    Mutant {
        name: "no_grace",
        says: "there is no grace after the deadline",
        edits: &[edit(
            "poller.rs",
            "bound.after(policy.grace) } else",
            "bound.after(if MUTANT { Span::MIN } else { policy.grace }) } else",
        )],
    },
    Mutant {
        name: "grace_for_all",
        says: "who waits for nothing has a grace too",
        edits: &[edit(
            "poller.rs",
            "|bound| if self.is_finishing() {",
            "|bound| if self.is_finishing() || MUTANT {",
        )],
    },
    Mutant {
        name: "first_refusal_ends",
        says: "one refused pull ends the session",
        edits: &[edit(
            "poller.rs",
            "            Ok(Trouble { refused: true, .. }) => {\n",
            "            Ok(Trouble { refused, .. }) if refused || MUTANT => {\n",
        )],
    },
    Mutant {
        name: "refusals_never_end",
        says: "refusals are tried again for ever",
        edits: &[edit(
            "poller.rs",
            "trouble: Trouble { refused: true, ..trouble } };",
            "trouble: Trouble { refused: !MUTANT, ..trouble } };",
        )],
    },
    Mutant {
        name: "signals_are_forgotten",
        says: "a change signal whose pull shows nothing new is forgotten",
        edits: &[edit("poller.rs", "        if signal {\n", "        if signal && !MUTANT {\n")],
    },
    Mutant {
        name: "wrong_signature_does_not_hint",
        says: "a callback with a wrong signature is no reason to pull",
        edits: &[edit(
            "receipt.rs",
            "                if readable {\n                    actions.push",
            "                if readable && !MUTANT {\n                    actions.push",
        )],
    },
    Mutant {
        name: "deadline_after_settling",
        says: "the deadline still ends a session that has settled with a hint open",
        edits: &[edit(
            "session.rs",
            "if matches!(self.phase, Phase::Settled) && !matches!",
            "if !MUTANT && matches!(self.phase, Phase::Settled) && !matches!",
        )],
    },
    Mutant {
        name: "answers_too_late",
        says: "a callback whose record is slow is answered only when the record is there",
        edits: &[edit(
            "receipt.rs",
            "        if now < until {\n            return false;",
            "        if now < until || MUTANT {\n            return false;",
        )],
    },
];
