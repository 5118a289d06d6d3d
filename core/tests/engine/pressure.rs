//! A store that is slow, that is away for long, or that holds more than fits: nothing piles up (G6), and nothing is asked of the provider
//! that nobody waits for (G7).

use crate::fake::Fake;
use crate::world::{Asked, Mood, World, says};
use idv_core::engine::{Event, Policy};
use idv_core::evidence::Verdict;
use idv_core::fleet::{FleetPolicy, Wake};
use idv_core::time::Span;

fn small(sessions: u32, tombstones: u32) -> World {
    let fleet = FleetPolicy { sessions, tombstones, ..FleetPolicy::default() };
    World::with(Fake::PLAIN, Policy { fleet, ..Policy::default() })
}

#[test]
fn g9_a_store_with_more_ended_verifications_than_the_fleet_may_hold_is_taken_over() {
    let mut world = small(10, 2);
    for number in 0..30 {
        let id = format!("ab-{number}");
        world.truth.insert(id.clone(), says(&id, "deleted"));
        world.open(&id).unwrap();
        world.settle();
    }
    world.crash();
    assert_eq!(world.engine.len(), 2);
    // None of them is lost: the first goes on with its numbers.
    world.truth.insert("ab-0".to_owned(), says("ab-0", "declined"));
    world.callback(Some("good"), &says("ab-0", "declined"));
    world.settle_for(Span::secs(10));
    assert_eq!(world.numbers("ab-0"), [(1, Verdict::Deleted), (2, Verdict::Declined)]);
}

#[test]
fn g7_a_pull_that_waited_for_the_store_is_not_sent_after_the_end() {
    let mut world = World::new();
    let key = world.open("ab-1").unwrap();
    // The pull waits for the opening to be saved.
    world.run();
    world.tell(|engine, moment, out| engine.cancel(moment, key, out));
    world.store_all();
    world.run();
    assert_eq!(world.calls(), 0, "cancelled: no more pulls");
    assert_eq!(world.told(|event| matches!(event, Event::Ended { .. })), 1);
}

/// Lets it do what is due, and start whatever it wants.
fn run(world: &mut World) {
    while world.run() == Wake::More {}
}

/// Found by the simulation: permission that waited for the store was counted when it was given and used when it was too late, so that the
/// calls of many seconds went in one.
#[test]
fn g7_pulls_that_waited_for_the_store_go_at_the_providers_pace_once_it_is_back() {
    let mut world = World::new();
    for number in 0..300 {
        world.open(&format!("ab-{number}")).unwrap();
    }
    for _ in 0..20 {
        world.pass(Span::millis(100));
        run(&mut world);
    }
    world.store_all();
    run(&mut world);
    // A burst is what the provider bears at once.
    assert_eq!(world.calls(), 100);
    world.settle_for(Span::secs(10));
    assert!(world.requests.len() >= 300, "{} pulls", world.requests.len());
}

#[test]
fn g7_pulls_for_a_gap_wait_for_the_store_without_being_counted() {
    let mut world = World::new();
    for number in 0..150 {
        let id = format!("ab-{number}");
        world.truth.insert(id.clone(), says(&id, "accepted"));
        world.open(&id).unwrap();
    }
    world.settle_for(Span::mins(1));
    world.tell(|engine, _, out| engine.listening_had_a_gap(out));
    for _ in 0..20 {
        world.pass(Span::millis(100));
        run(&mut world);
    }
    assert_eq!(world.calls(), 0);
    world.store_all();
    run(&mut world);
    assert_eq!(world.calls(), 100);
}

#[test]
fn g6_a_store_that_is_away_for_long_leaves_no_pile_of_pulls_behind() {
    let mut world = World::new();
    world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
    world.store.set(Mood::Refusing);
    world.open("ab-1").unwrap();
    world.settle_for(Span::hours(1));
    world.store.set(Mood::Willing);
    // By then its back-off has grown, as if the provider had been away.
    world.settle_for(Span::mins(30));
    assert_eq!(world.numbers("ab-1"), [(1, Verdict::Accepted)]);
    let not_sent = |event: &Event| matches!(event, Event::Pulled { reached: false, .. });
    assert!(world.told(not_sent) <= 1, "{} pulls had piled up", world.told(not_sent));
}

/// Has forgotten `ab-1`, which ended with revision 1.
fn forgetful() -> World {
    let mut world = small(10, 1);
    for id in ["ab-1", "cd-1"] {
        world.truth.insert(id.to_owned(), says(id, "deleted"));
        world.open(id).unwrap();
        world.settle();
    }
    assert_eq!(world.engine.find("fake", "ab-1"), None);
    world
}

#[test]
fn g6_callbacks_about_nobody_do_not_pile_up_in_front_of_a_slow_store() {
    let mut world = forgetful();
    for number in 0..500 {
        world.callback(None, &says(&format!("made-up-{number}"), "accepted"));
    }
    let waiting = world.asked.iter().filter(|asked| matches!(asked, Asked::Store(_))).count();
    assert!(waiting <= 64, "{waiting} questions wait, each with a body");
    // One about a verification that only the store knows has its turn all the same.
    world.truth.insert("ab-1".to_owned(), says("ab-1", "declined"));
    world.callback(None, &says("ab-1", "declined"));
    world.settle_for(Span::secs(10));
    assert_eq!(world.numbers("ab-1"), [(1, Verdict::Deleted), (2, Verdict::Declined)]);
}

/// Found by the simulation, once in a million verifications.
#[test]
fn g1_r8_a_forgotten_verification_is_named_although_another_shares_its_second_id() {
    let mut world = small(10, 1);
    for (id, verdict) in [("ab-1", "deleted"), ("cd-1", "deleted"), ("ab-2", "accepted")] {
        world.truth.insert(id.to_owned(), format!("{} alias=person-7", says(id, verdict)));
        world.open(id).unwrap();
        world.settle();
    }
    assert_eq!(world.engine.find("fake", "ab-1"), None, "it is forgotten");
    assert!(world.engine.find("fake", "person-7").is_some(), "another shares its second id");
    let news = format!("{} alias=person-7", says("ab-1", "declined"));
    world.truth.insert("ab-1".to_owned(), news.clone());
    world.callback(None, &news);
    world.settle_for(Span::secs(10));
    assert_eq!(world.numbers("ab-1"), [(1, Verdict::Deleted), (2, Verdict::Declined)]);
}

#[test]
fn r8_a_store_that_cannot_be_asked_is_asked_again() {
    let mut world = forgetful();
    world.truth.insert("ab-1".to_owned(), says("ab-1", "declined"));
    world.store.set(Mood::Refusing);
    world.callback(Some("good"), &says("ab-1", "declined"));
    world.settle_for(Span::secs(10));
    world.store.set(Mood::Willing);
    world.settle_for(Span::secs(10));
    assert_eq!(world.numbers("ab-1"), [(1, Verdict::Deleted), (2, Verdict::Declined)]);
    assert_eq!(world.store.unapplied(), [0; 0]);
}
