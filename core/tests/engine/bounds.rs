//! What one call does at most, what stopping waits for, and whose a save is (G6, G9).

use crate::world::{Mood, World, says};
use idv_core::engine::{Event, Opening};
use idv_core::evidence::Verdict;
use idv_core::fleet::Wake;
use idv_core::time::Span;

#[test]
fn g6_a_run_does_no_more_of_what_is_due_than_it_is_told_to() {
    let mut world = World::new();
    world.store.set(Mood::Refusing);
    assert!(world.engine.is_empty());
    for number in 0..50 {
        world.open(&format!("ab-{number}")).unwrap();
    }
    assert!(!world.engine.is_empty());
    // All of them are to be saved again at the same moment.
    world.store_all();
    world.pass(Span::secs(1));
    let mut again = 0;
    loop {
        let wake = world.tell(|engine, moment, out| engine.run(moment, 3, out));
        assert!(world.asked.len() <= 3, "{} at once", world.asked.len());
        again += world.asked.len();
        world.asked.clear();
        if wake != Wake::More {
            break;
        }
    }
    assert_eq!(again, 50, "and leaves none of it out");
}

/// The application is at a hand-over, or has had its say.
fn handing_over() -> World {
    let mut world = World::new();
    world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
    world.open("ab-1").unwrap();
    world.store_all();
    world.run();
    world.do_one(0);
    world.store_all();
    assert!(!world.engine.is_finished(), "the application is at it");
    world
}

#[test]
fn g9_stopping_does_not_wait_for_a_hand_over_that_is_between_two_attempts() {
    let mut world = handing_over();
    let hand_over = world.take_hand_over();
    world.give(hand_over, false);
    assert!(world.engine.is_finished(), "the next process offers it again");
    world.crash();
    world.settle();
    assert_eq!(world.numbers("ab-1"), [(1, Verdict::Accepted); 2]);
}

#[test]
fn g2_stopping_waits_until_the_applications_word_is_saved_however_often_the_store_fails() {
    let mut world = handing_over();
    let hand_over = world.take_hand_over();
    world.store.set(Mood::Refusing);
    world.give(hand_over, true);
    for _ in 0..3 {
        assert!(!world.engine.is_finished());
        world.store_all();
        assert!(!world.engine.is_finished(), "it would be repeated");
        world.pass(Span::secs(1));
        world.run();
    }
    world.store.set(Mood::Willing);
    world.store_all();
    assert!(world.engine.is_finished());
    world.crash();
    world.settle();
    assert_eq!(world.numbers("ab-1"), [(1, Verdict::Accepted)]);
    assert_eq!(world.told(|event| matches!(event, Event::HandOverFailed { .. })), 0);
}

#[test]
fn g9_stopping_waits_for_a_save_that_is_to_be_tried_again() {
    let mut world = World::new();
    world.store.set(Mood::Refusing);
    world.open("ab-1").unwrap();
    world.store_all();
    assert!(world.asked.is_empty() && !world.engine.is_finished());
    world.store.set(Mood::Willing);
    world.pass(Span::secs(1));
    world.run();
    world.store_all();
    assert!(world.engine.is_finished());
}

/// Two processes open the same verification; the second may differ from the first in one bit of its entropy, or of the calendar at its
/// beginning. It knows the other's save from its own.
#[test]
fn g9_the_save_of_a_process_is_never_taken_for_that_of_another() {
    const FIRST: (u32, u64) = (7, 1_700_000_000_000);
    let store = World::new().store;
    let open = |(entropy, unix_ms): (u32, u64)| {
        let mut world = World::new();
        world.store = store.clone();
        (world.entropy, world.unix_ms) = (entropy, unix_ms);
        let key = world.open("ab-1").unwrap();
        world.store_all();
        world.opening(key)
    };
    assert_eq!(open(FIRST), Some(Opening::Saved));
    let (entropy, unix_ms) = FIRST;
    let others = (0..32)
        .map(|bit| (entropy ^ 1 << bit, unix_ms))
        .chain((0..41).map(|bit| (entropy, unix_ms ^ 1 << bit)));
    for other in others {
        assert_eq!(open(other), Some(Opening::Elsewhere), "{FIRST:?} and {other:?}");
    }
    assert_eq!(store.session("ab-1").unwrap().0.version, 1);
}
