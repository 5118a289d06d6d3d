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
            "if MUTANT && self.end().is_some() && self.hand_over == HandOver::Done { self.revision = 0; }\n        self.poller.reopen(cx.with(&cx.policy.poller), class, vouched);",
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
            "cx.policy.cadence.max(asked_for)",
            "cx.policy.cadence.max(if MUTANT { Span::MIN } else { asked_for })",
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
    Mutant {
        name: "token_used_after_expiry",
        says: "a token is used after its time",
        edits: &[edit(
            "token.rs",
            "(sent <= now && now < until).then_some",
            "(sent <= now && (now < until || MUTANT)).then_some",
        )],
    },
    Mutant {
        name: "token_life_from_its_arrival",
        says: "a token's life counts from its arrival, not from the sending of its request",
        edits: &[edit(
            "token.rs",
            "cx.policy.usable_until(sent, ttl",
            "cx.policy.usable_until(if MUTANT { cx.now } else { sent }, ttl",
        )],
    },
    Mutant {
        name: "no_margin",
        says: "a token is used to the end of its life, without a margin",
        edits: &[edit(
            "token/policy.rs",
            "checked_sub(self.margin.as_millis())",
            "checked_sub(if MUTANT { 0 } else { self.margin.as_millis() })",
        )],
    },
    Mutant {
        name: "late_token_answer_counts",
        says: "the answer to an older token request counts",
        edits: &[edit(
            "token.rs",
            "Phase::Requesting { sent, .. } if op == self.op =>",
            "Phase::Requesting { sent, .. } if op == self.op || MUTANT =>",
        )],
    },
    Mutant {
        name: "old_credentials_still_count",
        says: "a token that was asked for with the old credentials is used with the new ones",
        edits: &[edit(
            "token.rs",
            "            Phase::Requesting { give_up, .. } => {\n                self.phase = Phase::Draining",
            "            Phase::Requesting { .. } if MUTANT => None,\n            Phase::Requesting { give_up, .. } => {\n                self.phase = Phase::Draining",
        )],
    },
    Mutant {
        name: "two_token_requests",
        says: "a token is asked for again while its request is under way",
        edits: &[edit(
            "token.rs",
            "            Phase::Asking | Phase::Requesting { .. } | Phase::Draining { .. } | Phase::BackingOff { .. } => {\n                (Disposition::NoOp, None)",
            "            Phase::Requesting { .. } if MUTANT => (Disposition::Applied, self.ask()),\n            Phase::Asking | Phase::Requesting { .. } | Phase::Draining { .. } | Phase::BackingOff { .. } => {\n                (Disposition::NoOp, None)",
        )],
    },
    Mutant {
        name: "rejected_token_is_used",
        says: "a token is used on after a 401",
        edits: &[edit(
            "fleet/mod.rs",
            "            Outcome::Refused => {\n",
            "            Outcome::Refused if MUTANT => {}\n            Outcome::Refused => {\n",
        )],
    },
    Mutant {
        name: "old_401_ends_the_newer_token",
        says: "a 401 ends whatever token there is",
        edits: &[edit(
            "token.rs",
            "Phase::Valid { .. } if generation == self.op => {",
            "Phase::Valid { .. } if generation == self.op || MUTANT => {",
        )],
    },
    Mutant {
        name: "poisoned_id_ends_the_token",
        says: "one id that is always answered 401 ends the shared token",
        edits: &[edit(
            "token.rs",
            "        let dropped = self.dropped(generation);\n",
            "        if MUTANT && self.renewal_from.is_some() && generation == self.op {\n            self.phase = Phase::Refused;\n            return Disposition::Applied;\n        }\n        let dropped = self.dropped(generation);\n",
        )],
    },
    Mutant {
        name: "renewals_at_once",
        says: "every 401 renews the token at once",
        edits: &[edit(
            "token.rs",
            ".filter(|from| self.rejected && *from > cx.now)",
            ".filter(|from| self.rejected && *from > cx.now && !MUTANT)",
        )],
    },
    Mutant {
        name: "token_refusals_never_end",
        says: "credentials that are refused are tried for ever",
        edits: &[edit(
            "token.rs",
            "if self.refusals >= cx.policy.refusals {",
            "if self.refusals >= cx.policy.refusals && !MUTANT {",
        )],
    },
    Mutant {
        name: "single_use_token_is_used_twice",
        says: "a token for one pull is carried by two",
        edits: &[edit(
            "token.rs",
            "Input::Taken { .. } if cx.policy.mode == Mode::Reusable =>",
            "Input::Taken { .. } if cx.policy.mode == Mode::Reusable || MUTANT =>",
        )],
    },
    Mutant {
        name: "confirming_starves_routine",
        says: "confirming pulls go first as long as there are any",
        edits: &[
            edit("fleet/account.rs", "pub(super) const fn turn", "pub(super) fn turn"),
            edit(
                "fleet/account.rs",
                "            Class::Confirming => [Class::Routine,",
                "            Class::Confirming if MUTANT => [Class::Confirming, Class::Routine, Class::Audit],\n            Class::Confirming => [Class::Routine,",
            ),
        ],
    },
    Mutant {
        name: "routine_starves_confirming",
        says: "routine pulls go first as long as there are any",
        edits: &[edit(
            "fleet/account.rs",
            "            Class::Routine | Class::Audit => [Class::Confirming,",
            "            Class::Routine | Class::Audit if MUTANT => [Class::Routine, Class::Confirming, Class::Audit],\n            Class::Routine | Class::Audit => [Class::Confirming,",
        )],
    },
    Mutant {
        name: "audits_go_first",
        says: "audits go before whoever waits for a verdict",
        edits: &[edit(
            "fleet/grants.rs",
            "door.turn().into_iter().find_map(longest)",
            "door.turn().into_iter().rev().find_map(|class| (MUTANT && class == Class::Audit).then(|| longest(class)).flatten()).or_else(|| door.turn().into_iter().find_map(longest))",
        )],
    },
    Mutant {
        name: "youngest_first",
        says: "who asked last is served first",
        edits: &[edit(
            "fleet/account.rs",
            "self.queues.get(class as usize)?.first_key_value()",
            "self.queues.get(class as usize).and_then(|queue| if MUTANT { queue.last_key_value() } else { queue.first_key_value() })",
        )],
    },
    Mutant {
        name: "fruitless_hints_keep_their_rank",
        says: "a session whose hints lead to nothing new still goes before the routine",
        edits: &[edit(
            "poller.rs",
            "            self.fruitless = true;",
            "            self.fruitless = !MUTANT;",
        )],
    },
    Mutant {
        name: "limit_of_one_session",
        says: "a 429 keeps away only the session that was told",
        edits: &[edit(
            "fleet/mod.rs",
            "        let limited = fault.kind == FaultKind::RateLimited;\n",
            "        if MUTANT {\n            return;\n        }\n        let limited = fault.kind == FaultKind::RateLimited;\n",
        )],
    },
    Mutant {
        name: "limit_after_a_restart",
        says: "a process that takes over what another one stored obeys no 429",
        edits: &[
            edit(
                "fleet/account.rs",
                "    /// The last grant went to a token request.\n    after_token: bool,\n",
                "    after_token: bool,\n    pub(super) restored: bool,\n",
            ),
            edit("fleet/account.rs", "after_token: false }", "after_token: false, restored: false }"),
            edit(
                "fleet/mod.rs",
                "        let Stored { id, alias, session, version } = stored;\n",
                "        let Stored { id, alias, session, version } = stored;\n        self.doors.iter_mut().for_each(|door| door.restored = true);\n",
            ),
            edit(
                "fleet/mod.rs",
                "            match fault.retry_after {\n",
                "            match fault.retry_after {\n                _ if MUTANT && door.restored => {}\n",
            ),
        ],
    },
    Mutant {
        name: "limit_without_a_time",
        says: "a 429 that does not say for how long is ignored",
        edits: &[edit("fleet/mod.rs", "None if limited => door", "None if limited && !MUTANT => door")],
    },
    Mutant {
        name: "token_requests_are_free",
        says: "token requests do not count against the budget",
        edits: &[edit(
            "fleet/account.rs",
            "        self.take(now);\n        self.after_token = true;",
            "        if !MUTANT {\n            self.take(now);\n        }\n        self.after_token = true;",
        )],
    },
    Mutant {
        name: "tokens_starve_pulls",
        says: "token requests go first as long as there are any",
        edits: &[edit(
            "fleet/account.rs",
            "pub(super) const fn prefers_token(&self) -> bool {\n        !self.after_token",
            "pub(super) fn prefers_token(&self) -> bool {\n        MUTANT || !self.after_token",
        )],
    },
    Mutant {
        name: "early_callback_is_lost",
        says: "a callback before the opening is forgotten",
        edits: &[edit(
            "fleet/mod.rs",
            "self.unknown.get_mut(provider).and_then(|ring| ring.take(id))",
            "self.unknown.get_mut(provider).and_then(|ring| ring.take(id)).filter(|_| !MUTANT)",
        )],
    },
    Mutant {
        name: "signed_evicted_first",
        says: "of the callbacks that nobody knows, what somebody vouched for is forgotten first",
        edits: &[edit(
            "fleet/unknown.rs",
            "position(|entry| !entry.is_signed())",
            "position(|entry| entry.is_signed() == MUTANT)",
        )],
    },
    Mutant {
        name: "opening_waits",
        says: "opening a verification does not pull",
        edits: &[edit(
            "fleet/mod.rs",
            "        self.step(at, key, session::Input::Tick, out);\n        let provider",
            "        if !MUTANT {\n            self.step(at, key, session::Input::Tick, out);\n        }\n        let provider",
        )],
    },
];
