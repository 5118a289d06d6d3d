//! Giving revisions to the application (G2, R6).

use crate::fake::Fake;
use crate::world::{Asked, Mood, World, says};
use idv_core::delivery::{self, Schedule};
use idv_core::engine::{Event, HAND_OVER, Policy};
use idv_core::evidence::Verdict;
use idv_core::time::Span;

/// Offered three times, a second apart.
fn thrice() -> Policy {
    let schedule = Schedule::every(Span::secs(1), 3).unwrap();
    let hand_over = delivery::Policy { schedule, jitter_percent: 0, ..HAND_OVER };
    Policy { hand_over, ..Policy::default() }
}

fn decided(policy: Policy) -> World {
    let mut world = World::with(Fake::PLAIN, policy);
    world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
    world.open("ab-1").unwrap();
    world
}

#[test]
fn g2_a_revision_that_was_not_taken_is_offered_again_under_the_same_key_and_at_last_given_up() {
    let mut world = decided(thrice());
    world.refuses = true;
    world.settle_for(Span::secs(4));
    assert_eq!(world.numbers("ab-1"), [(1, Verdict::Accepted); 3]);
    assert!(world.given.iter().all(|given| *given == world.given[0]));
    let attempts = world.events.iter().filter_map(|event| match event {
        Event::HandOverFailed { attempt, error, .. } => Some((*attempt, error.as_str())),
        _ => None,
    });
    assert_eq!(attempts.collect::<Vec<_>>(), [(1, "not now"), (2, "not now"), (3, "not now")]);
    assert_eq!(world.told(|event| matches!(event, Event::DeadLettered { number: 1, .. })), 1);
}

#[test]
fn r6_a_dead_letter_frees_the_next_revision() {
    let mut world = decided(thrice());
    world.refuses = true;
    world.settle_for(Span::secs(4));
    world.refuses = false;
    world.given.clear();
    world.truth.insert("ab-1".to_owned(), says("ab-1", "declined"));
    world.callback(Some("good"), &says("ab-1", "declined"));
    world.settle_for(Span::secs(10));
    assert_eq!(world.numbers("ab-1"), [(2, Verdict::Declined)]);
}

#[test]
fn g2_a_store_that_fails_to_keep_the_applications_word_is_asked_again_and_the_application_is_not() {
    let mut world = decided(thrice());
    world.store_all();
    world.run();
    world.do_one(0);
    world.store_all();
    let hand_over = world.take_hand_over();
    world.store.set(Mood::Refusing);
    world.give(hand_over, true);
    for _ in 0..10 {
        world.store_all();
        world.pass(Span::secs(1));
        world.run();
        assert!(world.asked.iter().all(|asked| !matches!(asked, Asked::HandOver(_))));
    }
    world.store.set(Mood::Willing);
    world.settle_for(Span::secs(10));
    assert_eq!(world.numbers("ab-1"), [(1, Verdict::Accepted)]);
    assert_eq!(world.store.confirmed("ab-1"), 1);
    assert_eq!(world.told(|event| matches!(event, Event::DeadLettered { .. })), 0);
}

#[test]
fn g2_what_the_application_took_late_counts_although_it_was_offered_again() {
    let hand_over = delivery::Policy { timeout: Span::secs(1), ..thrice().hand_over };
    let mut world = decided(Policy { hand_over, ..Policy::default() });
    world.store_all();
    world.run();
    world.do_one(0);
    world.store_all();
    let first = world.take_hand_over();
    world.pass(Span::secs(3));
    world.run();
    let second = world.take_hand_over();
    assert_eq!((first.attempt(), second.attempt()), (1, 2));
    world.give(first, true);
    world.give(second, false);
    world.settle_for(Span::secs(10));
    assert_eq!(world.given.len(), 2);
    assert_eq!(world.store.confirmed("ab-1"), 1);
}

#[test]
fn g2_g9_after_a_crash_an_unconfirmed_revision_is_repeated_and_a_confirmed_one_is_not() {
    for confirmed in [false, true] {
        let mut world = decided(Policy::default());
        world.store_all();
        world.run();
        world.do_one(0);
        world.store_all();
        let hand_over = world.take_hand_over();
        world.give(hand_over, true);
        if confirmed {
            // The word is saved; the session's step that followed it is not.
            world.do_one(0);
            assert_eq!(world.store.confirmed("ab-1"), 1);
        }
        world.crash();
        world.settle();
        let repeated = if confirmed { 1 } else { 2 };
        assert_eq!(world.numbers("ab-1"), vec![(1, Verdict::Accepted); repeated]);
        assert!(world.given.iter().all(|given| given.body == b"id=ab-1 verdict=accepted"));
        world.truth.insert("ab-1".to_owned(), says("ab-1", "declined"));
        world.callback(Some("good"), &says("ab-1", "declined"));
        world.settle_for(Span::secs(10));
        assert_eq!(world.numbers("ab-1").last(), Some(&(2, Verdict::Declined)));
    }
}

#[test]
fn r17_the_reply_to_the_creation_is_the_first_evidence() {
    use idv_core::engine::Created;
    use idv_core::http::Received;
    let mut world = World::new();
    let body = says("ab-1", "accepted").into_bytes();
    let reply = Received { status: 200, headers: Vec::new(), body: body.clone() };
    let created = Created::read(&Fake::PLAIN, "ab-1", reply, world.unix_ms);
    let account = world.account;
    world.tell(|engine, moment, out| engine.open(moment, account, "ab-1", Some(created), out)).unwrap();
    world.settle();
    assert_eq!(world.numbers("ab-1"), [(1, Verdict::Accepted)]);
    assert_eq!(world.given[0].body, body);
}

#[test]
fn r16_a_revision_says_that_its_answer_carried_no_signature_after_a_crash_too() {
    let mut world = World::new();
    world.truth.insert("ab-1".to_owned(), "id=ab-1 verdict=accepted unsigned=1".to_owned());
    world.refuses = true;
    world.open("ab-1").unwrap();
    world.settle();
    world.crash();
    world.refuses = false;
    world.settle();
    world.truth.insert("ab-1".to_owned(), says("ab-1", "declined"));
    world.callback(Some("good"), &says("ab-1", "declined"));
    world.settle_for(Span::secs(10));
    let said: Vec<_> = world.given.iter().map(|given| (given.number, given.unsigned_answer)).collect();
    assert_eq!(said, [(1, true), (1, true), (2, false)]);
}
