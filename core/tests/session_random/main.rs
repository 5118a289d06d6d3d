//! The session under any policy, against a provider whose truth changes, an adversary, a careless host and crashes, at random.
#![allow(clippy::wildcard_enum_match_arm)] // A test names the actions it is about.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // A helper of a test fails like a test.

mod world;

use idv_core::backoff::Backoff;
use idv_core::evidence::Verdict;
use idv_core::poller;
use idv_core::session::{EvidencePolicy, Policy};
use idv_core::time::Span;
use proptest::prelude::*;
use world::{Limits, Move, Post, World};

fn span(least: u32, most: u32) -> impl Strategy<Value = Span> {
    (least..=most).prop_map(Span::millis)
}

/// Times so close to each other that every order of them comes up.
fn policies() -> impl Strategy<Value = Policy> {
    let pace = (span(1, 5), span(0, 5), span(8, 60));
    let calls = (span(1, 5), span(1, 3), span(1, 5));
    let some = |most| prop::option::of(span(1, most));
    let later = (some(60), some(40), [some(6), some(15), some(30), some(9)]);
    (pace, calls, (span(1, 4), span(0, 8), 0..60_u8), later, any::<bool>()).prop_filter_map(
        "a policy that the builder accepts",
        |(pace, calls, (first, more, jitter_percent), (watch, audit, rechecks), trusts)| {
            let poller = poller::Policy::builder(pace.0, pace.2)
                .interval(pace.0.plus(pace.1))
                .call_timeout(calls.0)
                .lateness(calls.1)
                .budget_wait(calls.2)
                .backoff(Backoff { first, most: first.plus(more), jitter_percent })
                .watch(watch)
                .audit(audit)
                .rechecks(rechecks)
                .build()
                .ok()?;
            let evidence = if trusts { EvidencePolicy::TrustSigned } else { EvidencePolicy::ConfirmByPull };
            Some(Policy { poller, evidence })
        },
    )
}

/// The way to a failure, told when a check fails.
struct Trace(Vec<Move>);

impl Drop for Trace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("after {} moves: {:?}", self.0.len(), self.0);
        }
    }
}

/// More than a run uses up.
const PLENTY: Limits = Limits {
    changes: 12,
    truths: &[
        Some((Verdict::Accepted, 1)),
        Some((Verdict::Declined, 2)),
        Some((Verdict::Accepted, 3)),
        Some((Verdict::ReviewPending, 4)),
        None,
        Some((Verdict::Deleted, 5)),
    ],
    pulls: 200,
    callbacks: 200,
    failures: 200,
    crashes: 5,
    mistakes: 20,
    lateness: 4,
};

/// The moves that get somewhere come up three times out of four, at least.
fn helpful(world: &World, next: Move) -> bool {
    match next {
        Move::Tick | Move::Grant | Move::Elapse(_) => true,
        Move::HandedOver(number) => {
            world.session.awaiting_hand_over().is_some_and(|awaited| awaited.number == number)
        }
        Move::Read(op) | Move::Answer(op) => world.session.poller().in_flight() == Some(op),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16 * ProptestConfig::default().cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn g1_g2_g3_g4_g6_g7_g9_whatever_happens_the_application_learns_the_truth_in_order_and_once(
        policy in policies(),
        choices in prop::collection::vec((0..4_u8, any::<u16>(), any::<u32>()), 1..200),
        told in prop::option::of(prop::sample::select(vec![Post::Unsigned, Post::Forged])),
    ) {
        let mut world = World::new(&policy, PLENTY);
        let mut trace = Trace(Vec::new());
        for (help, which, entropy) in choices {
            let mut moves = world.moves(&policy);
            if help > 0 && moves.iter().any(|next| helpful(&world, *next)) {
                moves.retain(|next| helpful(&world, *next));
            }
            if moves.is_empty() {
                continue;
            }
            let next = match moves[usize::from(which) % moves.len()] {
                Move::Elapse(_) if entropy % 4 > 0 => Move::Elapse(world.idle(&policy)),
                next => next,
            };
            trace.0.push(next);
            world.apply(&policy, next, entropy);
        }
        world.all_ends_well(&policy, told);
    }
}
