//! A small world in full: every state that can be reached, breadth first, so that a failure comes with the shortest way to it.

use crate::world::{Limits, Move, Post, Truth, World};
use idv_core::backoff::Backoff;
use idv_core::evidence::Verdict;
use idv_core::poller;
use idv_core::session::{EvidencePolicy, Policy};
use idv_core::time::Span;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{catch_unwind, resume_unwind};

/// Times of a few milliseconds: all that matters is how they compare.
fn policy(evidence: EvidencePolicy) -> Policy {
    let poller = poller::Policy::builder(Span::millis(2), Span::millis(4))
        .call_timeout(Span::millis(1))
        .lateness(Span::millis(1))
        .budget_wait(Span::millis(1))
        .backoff(Backoff { first: Span::millis(2), most: Span::millis(2), jitter_percent: 0 })
        .audit(None)
        .rechecks([Some(Span::millis(4)), None, None, None])
        .build()
        .unwrap();
    Policy { poller, evidence }
}

/// The states that were reached: each from which other one, and by which move.
type Reached = Vec<(usize, Option<Move>)>;

/// What was found, or a failure with the way to it.
fn explain<T>(found: std::thread::Result<T>, reached: &Reached, mut state: usize, next: Option<Move>) -> T {
    found.unwrap_or_else(|failure| {
        let mut moves: Vec<Move> = next.into_iter().collect();
        while let (before, Some(by)) = reached[state] {
            moves.push(by);
            state = before;
        }
        moves.reverse();
        eprintln!("after {} moves: {moves:?}", moves.len());
        resume_unwind(failure)
    })
}

/// Looks at every state, and from each at its good end; how many there are.
fn search(policy: &Policy, limits: Limits) -> usize {
    let digest = |world: &World| {
        let mut hasher = DefaultHasher::new();
        world.hash(&mut hasher);
        hasher.finish()
    };
    let first = World::new(policy, limits);
    let mut known = BTreeSet::from([digest(&first)]);
    let mut reached: Reached = vec![(0, None)];
    let mut frontier = vec![(0, first)];
    while !frontier.is_empty() {
        let mut beyond = Vec::new();
        for (state, world) in frontier {
            // While it lives a forgery is a hint like any other; what it buys after the end is the question.
            let forged = world.session.end().map(|_| Some(Post::Forged));
            for told in [None, Some(Post::Unsigned)].into_iter().chain(forged) {
                let end = catch_unwind(|| world.clone().all_ends_well(policy, told));
                explain(end, &reached, state, None);
            }
            for next in world.moves(policy) {
                let after = catch_unwind(|| {
                    let mut after = world.clone();
                    after.apply(policy, next, 0);
                    after.normalized(policy)
                });
                let after = explain(after, &reached, state, Some(next));
                if known.insert(digest(&after)) {
                    beyond.push((reached.len(), after));
                    reached.push((state, Some(next)));
                }
            }
        }
        frontier = beyond;
    }
    reached.len()
}

const FLIP: &[Truth] = &[Some((Verdict::Accepted, 1)), Some((Verdict::Declined, 2))];

const NOTHING: Limits = Limits {
    changes: 0,
    truths: FLIP,
    pulls: 0,
    callbacks: 0,
    failures: 0,
    crashes: 0,
    mistakes: 0,
    lateness: 0,
};

#[test]
fn every_state_of_a_flip_with_late_answers_and_a_replayed_callback() {
    for evidence in [EvidencePolicy::ConfirmByPull, EvidencePolicy::TrustSigned] {
        let limits = Limits { changes: 2, pulls: 2, callbacks: 1, ..NOTHING };
        let states = search(&policy(evidence), limits);
        println!("{evidence:?}: {states} states");
        assert!(states > 100_000, "the world has become small");
    }
}

#[test]
fn every_state_of_a_verdict_and_a_mishap() {
    let verdict = Limits { changes: 1, truths: &FLIP[..1], pulls: 2, callbacks: 1, ..NOTHING };
    for (mishap, limits) in [
        ("a crash", Limits { crashes: 1, ..verdict }),
        ("a failure", Limits { failures: 1, ..verdict }),
        ("a failure and a crash", Limits { failures: 1, crashes: 1, callbacks: 0, ..verdict }),
        ("a mistake of the host", Limits { mistakes: 1, ..verdict }),
        ("late wake-ups", Limits { lateness: 1, ..verdict }),
    ] {
        let states = search(&policy(EvidencePolicy::TrustSigned), limits);
        println!("{mishap}: {states} states");
        assert!(states > 20_000, "the world has become small");
    }
}
