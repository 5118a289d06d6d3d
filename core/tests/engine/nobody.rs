//! Callbacks that name nobody whom the engine knows: what the store is asked, and what is kept meanwhile (R8, R15, G4, G6, G10).

use crate::fake::Fake;
use crate::world::{Asked, World, says};
use idv_core::engine::Policy;
use idv_core::evidence::Verdict;
use idv_core::fleet::FleetPolicy;
use idv_core::machine::Disposition;
use idv_core::time::Span;
use std::sync::Arc;

/// An engine that has forgotten `ab-1`, which was cancelled without a verdict.
fn forgetful(fake: Fake) -> World {
    let policy =
        Policy { fleet: FleetPolicy { tombstones: 0, ..FleetPolicy::default() }, ..Policy::default() };
    let mut world = World::with(fake, policy);
    let key = world.open("ab-1").unwrap();
    world.settle();
    assert_eq!(world.tell(|engine, moment, out| engine.cancel(moment, key, out)), Disposition::Applied);
    world.settle();
    assert_eq!(world.engine.find("fake", "ab-1"), None);
    world
}

fn questions(world: &World) -> usize {
    let is_one =
        |asked: &&Asked| matches!(asked, Asked::Store(task) if format!("{task:?}").starts_with("Find"));
    world.asked.iter().filter(is_one).count()
}

#[test]
fn r15_the_store_is_asked_about_a_callback_once_and_only_where_something_was_forgotten() {
    let mut world = World::new();
    world.callback(Some("good"), &says("nobody", "accepted"));
    assert!(world.asked.is_empty(), "there is nothing that the store could know: {:?}", world.asked);

    let mut world = forgetful(Fake::PLAIN);
    world.callback(Some("good"), &says("nobody", "accepted"));
    assert_eq!(questions(&world), 1);
    world.store_all();
    world.settle_for(Span::mins(10));
    assert_eq!((questions(&world), world.store.unapplied()), (0, vec![1]), "it waits for its opening");
    world.truth.insert("nobody".to_owned(), says("nobody", "accepted"));
    world.open("nobody").unwrap();
    world.settle();
    assert_eq!(world.given[0].callbacks, [1]);
    assert_eq!(world.store.unapplied(), [0; 0]);
}

#[test]
fn g6_sixteen_questions_and_a_thousand_callbacks_that_wait_for_their_turn_are_the_most() {
    for (callbacks, asked_about) in [(16, 16), (17, 17), (1_016, 1_016), (1_017, 1_016), (1_500, 1_016)] {
        let mut world = forgetful(Fake::PLAIN);
        for number in 0..callbacks {
            world.callback(None, &says(&format!("made-up-{number}"), "accepted"));
            assert!(questions(&world) <= 16);
        }
        assert_eq!(questions(&world), 16, "whoever sends callbacks does not fill the store's queue");
        let mut answered = 0;
        while questions(&world) > 0 {
            world.do_one(0);
            answered += 1;
        }
        assert_eq!(answered, asked_about, "of {callbacks}");
    }
}

#[test]
fn g4_r15_what_was_vouched_for_is_a_hint_once_the_store_had_to_be_asked_whom_it_names() {
    let mut world = forgetful(Fake::TRUSTED);
    world.truth.insert("ab-1".to_owned(), says("ab-1", "declined"));
    world.callback(Some("good"), &says("ab-1", "accepted"));
    world.settle_for(Span::mins(1));
    // Its body is no longer at hand: what is handed over is what the provider says, with what it said.
    assert_eq!(world.numbers("ab-1"), [(1, Verdict::Declined)]);
    assert_eq!(world.given[0].body, says("ab-1", "declined").into_bytes());

    // Of one that is known it would have been the verdict.
    let mut world = World::with(Fake::TRUSTED, Policy::default());
    world.open("ab-1").unwrap();
    world.callback(Some("good"), &says("ab-1", "accepted"));
    world.store_all();
    world.run();
    let hand_over = world.take_hand_over();
    world.give(hand_over, true);
    assert_eq!(world.numbers("ab-1"), [(1, Verdict::Accepted)]);
    assert_eq!(world.given[0].body, says("ab-1", "accepted").into_bytes());
}

#[test]
fn g6_g10_no_body_is_kept_while_the_store_is_asked_whom_it_names() {
    let mut world = forgetful(Fake::PLAIN);
    let [arrived] = world.receive(Some("good"), &says("ab-1", "accepted")).try_into().unwrap();
    let body = Arc::downgrade(arrived.body());
    world.tell(|engine, moment, out| engine.callback(moment, arrived, out));
    assert_eq!(questions(&world), 1);
    assert!(body.upgrade().is_none(), "it is about a person, and waits for nothing");
}
