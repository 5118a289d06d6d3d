//! What one call does at most, what stopping waits for, and whose a save is (G6, G9).

use crate::world::{Mood, World, says};
use idv_core::engine::{Event, Opening};
use idv_core::evidence::Verdict;
use idv_core::fleet::Wake;
use idv_core::store::Sessions;
use idv_core::time::Span;
use proptest::prelude::*;

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
fn g2_stopping_waits_until_the_application_s_word_is_saved_however_often_the_store_fails() {
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Two processes open the same verification. They draw the same entropy, or begin at the same moment of the calendar: the second knows
    /// the first one's save from its own.
    #[test]
    fn g9_the_save_of_a_process_is_never_taken_for_that_of_another(
        entropy: [u32; 2],
        unix_ms in prop::array::uniform2(1_600_000_000_000..1_900_000_000_000_u64),
        bit in 0..32_u32,
        differ in prop::sample::select(vec!["entropy", "a bit of it", "calendar", "calendar by a little"]),
    ) {
        let second = match differ {
            "entropy" => (entropy[1], unix_ms[0]),
            "a bit of it" => (entropy[0] ^ 1 << bit, unix_ms[0]),
            "calendar" => (entropy[0], unix_ms[1]),
            _ => (entropy[0], unix_ms[0] + u64::from(bit) + 1),
        };
        prop_assume!(second != (entropy[0], unix_ms[0]));
        let mut store = None;
        for (nth, (entropy, unix_ms)) in [(entropy[0], unix_ms[0]), second].into_iter().enumerate() {
            let mut world = World::new();
            world.store = store.unwrap_or(world.store);
            (world.entropy, world.unix_ms) = (entropy, unix_ms);
            let key = world.open("ab-1").unwrap();
            world.store_all();
            let opening = if nth == 0 { Opening::Saved } else { Opening::Elsewhere };
            prop_assert_eq!(world.opening(key), Some(opening));
            store = Some(world.store.clone());
        }
        let saved = store.unwrap().load(None, 9).unwrap();
        prop_assert_eq!(saved.iter().map(|saved| saved.version).collect::<Vec<_>>(), [1]);
    }
}
