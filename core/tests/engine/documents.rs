//! Where the provider departs from its own documents: said, and never refused (R19).

use crate::world::{World, says};
use idv_core::engine::Event;
use idv_core::evidence::Verdict;
use idv_core::lifecycle::{Channel, Deviation};
use idv_core::time::Span;

fn deviations(world: &World) -> Vec<(Deviation, String)> {
    let told = world.events.iter().filter_map(|event| match event {
        Event::Deviation { deviation, remark, .. } => Some((*deviation, remark.clone())),
        _ => None,
    });
    told.collect()
}

#[test]
fn r19_an_undocumented_transition_is_said_and_counts() {
    let mut world = World::new();
    world.truth.insert("ab-1".to_owned(), says("ab-1", "declined"));
    world.open("ab-1").unwrap();
    world.settle();
    assert_eq!(deviations(&world), []);
    world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
    world.callback(Some("good"), "id=ab-1");
    world.settle_for(Span::secs(10));
    assert_eq!(world.numbers("ab-1"), [(1, Verdict::Declined), (2, Verdict::Accepted)]);
    let said = deviations(&world);
    assert_eq!(said.len(), 1);
    assert!(matches!(said[0].0, Deviation::Transition { .. }));
    assert_eq!(said[0].1, "accepted is not documented after declined");
}

#[test]
fn r19_both_roads_lead_to_the_same_machine_and_a_crash_does_not_make_it_forget() {
    let mut world = World::new();
    world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
    world.open("ab-1").unwrap();
    world.settle();
    world.callback(Some("good"), &says("ab-1", "declined"));
    world.settle_for(Span::secs(10));
    // The callback said declined; the answer, still accepted, comes after it.
    assert_eq!(deviations(&world).len(), 1, "{:?}", deviations(&world));
    world.truth.insert("ab-1".to_owned(), says("ab-1", "deleted"));
    world.callback(Some("good"), &says("ab-1", "deleted"));
    world.settle_for(Span::secs(10));
    world.events.clear();
    world.crash();
    world.callback(Some("good"), &says("ab-1", "accepted"));
    assert_eq!(deviations(&world)[0].1, "accepted is not documented after deleted");
}

#[test]
fn r19_g4_what_nobody_vouches_for_is_compared_and_moves_nothing() {
    let mut world = World::new();
    world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
    world.open("ab-1").unwrap();
    world.settle();
    world.callback(None, &says("ab-1", "deleted"));
    world.callback(Some("forged"), &says("ab-1", "review"));
    world.settle_for(Span::secs(10));
    // Had the claim counted, accepted after deleted would be one.
    assert_eq!(deviations(&world), []);
}

#[test]
fn r19_an_answer_on_a_channel_that_is_not_documented_for_it_is_said() {
    let mut world = World::new();
    world.truth.insert("ab-1".to_owned(), says("ab-1", "review"));
    world.open("ab-1").unwrap();
    world.settle();
    let said = deviations(&world);
    assert!(matches!(said[0].0, Deviation::Channel { channel: Channel::Status, .. }));
    assert_eq!(said[0].1, "review is not documented for answers to status calls");
    assert_eq!(world.numbers("ab-1"), [(1, Verdict::ReviewPending)]);
}
