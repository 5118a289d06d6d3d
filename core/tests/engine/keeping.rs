//! What a save takes along: bodies and records, through failures and crashes (G1, G9, R10).

use crate::world::{Asked, Mood, World, says};
use idv_core::evidence::Verdict;
use idv_core::time::Span;

/// The store fails twice, and then does what it is asked.
fn saved_at_last(world: &mut World, mood: Mood) {
    world.store.set(mood);
    for _ in 0..3 {
        world.store_all();
        world.pass(Span::secs(1));
        world.run();
    }
    world.store.set(Mood::Willing);
    world.store_all();
    world.pass(Span::secs(1));
    world.run();
    world.store_all();
}

#[test]
fn g9_the_body_behind_a_revision_survives_a_failed_save_and_a_crash() {
    for mood in [Mood::Refusing, Mood::Lying] {
        let mut world = World::new();
        world.open("ab-1").unwrap();
        world.store_all();
        world.run();
        let call = world.take_call();
        world.answer_with(call, 200, &says("ab-1", "accepted"));
        saved_at_last(&mut world, mood);
        assert_eq!(world.take_hand_over().key(), ("fake", "ab-1", 1));
        world.crash();
        world.settle();
        assert_eq!(world.numbers("ab-1"), [(1, Verdict::Accepted)]);
        assert_eq!(world.given[0].body, b"id=ab-1 verdict=accepted");
    }
}

#[test]
fn g9_r6_so_does_the_one_that_waits_behind_it() {
    for mood in [Mood::Refusing, Mood::Lying] {
        let mut world = World::new();
        world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
        world.open("ab-1").unwrap();
        world.store_all();
        world.run();
        world.do_one(0);
        world.store_all();
        let _ = world.take_hand_over();
        // The next verdict comes while the first waits for the application.
        world.truth.insert("ab-1".to_owned(), says("ab-1", "declined"));
        world.callback(Some("good"), &says("ab-1", "declined"));
        world.store_all();
        while world.calls() == 0 {
            world.pass(Span::secs(1));
            world.run();
        }
        let call = world.take_call();
        world.answer(call);
        saved_at_last(&mut world, mood);
        world.crash();
        world.truth.clear();
        world.settle();
        assert_eq!(world.numbers("ab-1"), [(1, Verdict::Accepted), (2, Verdict::Declined)]);
        assert_eq!(world.given[0].body, b"id=ab-1 verdict=accepted");
        assert_eq!(world.given[1].body, b"id=ab-1 verdict=declined");
    }
}

#[test]
fn g10_no_body_is_kept_once_its_revision_is_confirmed() {
    for crash in [false, true] {
        let mut world = World::new();
        world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
        world.open("ab-1").unwrap();
        world.store_all();
        world.run();
        world.do_one(0);
        world.store_all();
        let kept = world.store.session("ab-1").unwrap().0;
        assert!(kept.issued.is_some(), "until then it is");
        let hand_over = world.take_hand_over();
        world.give(hand_over, true);
        if crash {
            // Its word is saved, the step that follows it is not.
            world.do_one(0);
            assert_eq!(world.store.confirmed("ab-1"), 1);
            world.crash();
        }
        world.settle();
        let kept = world.store.session("ab-1").unwrap().0;
        assert_eq!((kept.issued, kept.latest), (None, None));
        assert_eq!(world.numbers("ab-1").len(), 1);
    }
}

#[test]
fn r10_a_record_is_applied_although_its_callback_changed_nothing() {
    let mut world = World::new();
    world.open("ab-1").unwrap();
    world.settle();
    for number in 1..=3 {
        world.callback(Some("good"), &format!("{} n={number}", says("ab-1", "accepted")));
        assert_eq!(world.store.unapplied(), [number]);
        // The provider need not be heard for that.
        world.store_all();
        assert_eq!(world.store.unapplied(), [0; 0]);
    }
}

#[test]
fn r10_records_of_failed_saves_are_applied_in_the_end_and_none_is_left_for_the_next_process() {
    for mood in [Mood::Refusing, Mood::Lying] {
        let mut world = World::new();
        world.open("ab-1").unwrap();
        world.settle();
        world.store.set(mood);
        for number in 1..=3 {
            world.callback(Some("good"), &format!("{} n={number}", says("ab-1", "accepted")));
            world.store_all();
        }
        saved_at_last(&mut world, mood);
        assert_eq!(world.store.unapplied(), [0; 0]);
    }
}

#[test]
fn r16_what_is_not_recorded_and_changes_nothing_costs_no_save() {
    let mut world = World::new();
    world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
    world.open("ab-1").unwrap();
    world.settle();
    world.callback(Some("good"), &says("ab-1", "accepted"));
    world.store_all();
    for _ in 0..3 {
        world.callback(Some("forged"), &says("ab-1", "declined"));
        assert!(world.asked.iter().all(|asked| !matches!(asked, Asked::Store(_))), "{:?}", world.asked);
    }
}
