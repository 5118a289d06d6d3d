//! A store that has another version than expected: whose it is, and what becomes of what was under way (G1, G2, G9).

use crate::fake::Fake;
use crate::world::{Asked, World, says};
use idv_core::delivery::{self, Schedule};
use idv_core::engine::{Event, HAND_OVER, HandOver, Opening, Policy, StoreTask};
use idv_core::evidence::Verdict;
use idv_core::session::End;
use idv_core::time::Span;

#[test]
fn g9_what_another_process_drives_is_not_opened_here() {
    let mut world = World::new();
    world.open("ab-1").unwrap();
    world.settle();
    let mut other = world.beside();
    let key = other.open("ab-1").unwrap();
    other.settle_for(Span::mins(1));
    assert_eq!(other.opening(key), Some(Opening::Elsewhere));
    assert!(other.engine.is_empty() && other.requests.is_empty());
    assert_eq!(other.told(|event| matches!(event, Event::TakenOver { .. })), 1);
    // Its own process is not disturbed.
    world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
    world.settle_for(Span::mins(1));
    assert_eq!(world.numbers("ab-1"), [(1, Verdict::Accepted)]);
    assert_eq!(world.told(|event| matches!(event, Event::TakenOver { .. })), 0);
}

#[test]
fn g9_what_another_process_has_ended_is_not_driven_on_here() {
    let mut world = World::new();
    world.open("ab-1").unwrap();
    world.settle();
    let mut other = world.beside();
    other.crash();
    let key = other.engine.find("fake", "ab-1").unwrap();
    other.tell(|engine, moment, out| engine.cancel(moment, key, out));
    other.settle();
    assert!(world.store.session("ab-1").unwrap().1.is_over());
    world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
    world.settle_for(Span::mins(1));
    assert_eq!(world.told(|event| matches!(event, Event::TakenOver { .. })), 1);
    assert_eq!(world.told(|event| matches!(event, Event::BroughtBack { .. })), 0);
    assert!(world.engine.is_empty() && world.given.is_empty());
    assert_eq!(world.store.session("ab-1").unwrap().1.end(), Some(End::Cancelled));
}

#[test]
fn g9_what_was_read_from_the_store_and_then_saved_here_is_another_processs_when_it_conflicts() {
    let mut world = World::new();
    world.open("ab-1").unwrap();
    world.settle();
    world.crash();
    // This process has saved it: nothing that is found from now on was under way when the one before died.
    world.callback(Some("good"), &says("ab-1", "accepted"));
    world.settle_for(Span::secs(10));
    let mut other = world.beside();
    other.crash();
    other.callback(Some("good"), &says("ab-1", "declined"));
    other.settle();
    world.callback(Some("good"), &says("ab-1", "review"));
    world.settle_for(Span::secs(10));
    assert_eq!(world.told(|event| matches!(event, Event::TakenOver { .. })), 1);
    assert!(world.engine.is_empty());
}

#[test]
fn g1_what_somebody_removed_from_the_store_is_saved_anew() {
    let mut world = World::new();
    world.open("ab-1").unwrap();
    world.settle();
    *world.store.memory.borrow_mut() = idv_core::store::MemoryStore::new(1_000, 1 << 20);
    world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
    world.settle_for(Span::mins(1));
    assert_eq!(world.numbers("ab-1"), [(1, Verdict::Accepted)]);
    assert_eq!(world.store.session("ab-1").unwrap().1.verdict(), Some(Verdict::Accepted));
    assert_eq!(world.told(|event| matches!(event, Event::TakenOver { .. })), 0);
}

/// A revision is offered once, and given up.
fn once() -> Policy {
    let schedule = Schedule::every(Span::secs(1), 1).unwrap();
    let hand_over = delivery::Policy { schedule, jitter_percent: 0, ..HAND_OVER };
    Policy { hand_over, ..Policy::default() }
}

/// A process died with revision 1 handed over and revision 2 behind it; the next has offered revision 1 again.
/// `before` says what the first process did last, and the save of which the store does only then.
fn taken_over(before: impl FnOnce(&mut World)) -> World {
    let mut world = World::with(Fake::PLAIN, once());
    world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
    world.open("ab-1").unwrap();
    world.store_all();
    world.run();
    world.do_one(0);
    world.store_all();
    let first = world.take_hand_over();
    world.truth.insert("ab-1".to_owned(), says("ab-1", "declined"));
    world.callback(Some("good"), &says("ab-1", "declined"));
    world.store_all();
    while world.calls() == 0 {
        world.pass(Span::secs(1));
        world.run();
    }
    let call = world.take_call();
    world.answer(call);
    world.store_all();
    world.asked.push(Asked::HandOver(first));
    before(&mut world);
    let late: StoreTask = world.take_save();
    world.given.clear();
    world.crash();
    let _ = late.perform(&mut world.store.clone());
    world
}

/// Has it save something, which conflicts with what the dead process saved; the hand-over that is under way meanwhile.
fn reads_it_anew(world: &mut World) -> HandOver {
    let first = world.take_hand_over();
    assert_eq!(first.key().2, 1);
    world.callback(Some("good"), &format!("{} n=2", says("ab-1", "declined")));
    world.store_all();
    world.run();
    world.store_all();
    first
}

#[test]
fn g1_r6_a_hand_over_that_is_not_awaited_any_more_makes_way_for_the_next_revision() {
    let mut world = taken_over(|world| {
        let hand_over = world.take_hand_over();
        world.give(hand_over, false);
        assert_eq!(world.told(|event| matches!(event, Event::DeadLettered { .. })), 1);
    });
    let first = reads_it_anew(&mut world);
    let second = world.take_hand_over();
    assert_eq!(second.key().2, 2);
    // The application's word about the first one comes too late to count.
    world.give(second, true);
    world.give(first, false);
    world.settle_for(Span::mins(1));
    assert_eq!(world.numbers("ab-1"), [(2, Verdict::Declined), (1, Verdict::Accepted)]);
    assert_eq!(world.given[0].body, b"id=ab-1 verdict=declined");
    assert_eq!(world.store.confirmed("ab-1"), 2);
    assert_eq!(world.told(|event| matches!(event, Event::DeadLettered { .. })), 1);
}

#[test]
fn g2_a_hand_over_that_is_still_awaited_goes_on_and_is_not_begun_again() {
    let mut world =
        taken_over(|world| world.callback(Some("good"), &format!("{} n=1", says("ab-1", "declined"))));
    let first = reads_it_anew(&mut world);
    assert!(world.asked.iter().all(|asked| !matches!(asked, Asked::HandOver(_))), "{:?}", world.asked);
    world.give(first, true);
    world.settle_for(Span::mins(1));
    assert_eq!(world.numbers("ab-1"), [(1, Verdict::Accepted), (2, Verdict::Declined)]);
    assert_eq!(world.store.confirmed("ab-1"), 2);
}
