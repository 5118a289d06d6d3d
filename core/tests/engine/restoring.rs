//! Taking over what is in the store: with which account, in which state, and what is left to others (G1, G9, R8, R11).

use crate::fake::Fake;
use crate::world::{Asked, World, says};
use idv_core::engine::{Event, Policy, RestoreError};
use idv_core::evidence::Verdict;
use idv_core::fleet::FleetPolicy;
use idv_core::time::Span;

const HERE: Fake = Fake { host: "here.example", ..Fake::PLAIN };
const THERE: Fake = Fake { host: "there.example", ..Fake::PLAIN };
const MOVED: Fake = Fake { host: "moved.example", ..Fake::PLAIN };

/// One verification that has no verdict yet, of the account there.
fn opened_there() -> World {
    let mut world = World::with(THERE, Policy::default());
    world.open("ab-1").unwrap();
    world.settle();
    world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
    world.requests.clear();
    world
}

#[test]
fn g9_a_verification_goes_on_with_the_account_that_opened_it() {
    for accounts in [[HERE, THERE], [THERE, HERE]] {
        let mut world = opened_there();
        world.restart(&accounts).unwrap();
        world.settle_for(Span::mins(1));
        assert_eq!(world.numbers("ab-1"), [(1, Verdict::Accepted)]);
        assert!(world.requests.iter().all(|(url, _)| url == "https://there.example/pull"));
    }
}

#[test]
fn g9_where_the_only_accounts_address_has_changed_it_goes_on_with_that() {
    let mut world = opened_there();
    world.restart(&[MOVED]).unwrap();
    world.settle_for(Span::mins(1));
    assert_eq!(world.numbers("ab-1"), [(1, Verdict::Accepted)]);
    assert!(world.requests.iter().all(|(url, _)| url == "https://moved.example/pull"));
}

#[test]
fn g10_where_there_is_a_choice_nobody_is_shown_what_may_be_anothers() {
    let mut world = opened_there();
    let refused = world.restart(&[HERE, MOVED]);
    let Err(RestoreError::Session { provider, id, problem }) = &refused else { panic!("{refused:?}") };
    assert_eq!((&**provider, &**id), ("fake", "ab-1"));
    assert!(problem.contains("https://there.example/pull, which is not configured"), "{problem}");
    world.settle_for(Span::mins(1));
    assert!(world.requests.is_empty());
}

#[test]
fn g1_r11_all_of_a_large_store_is_taken_over() {
    let mut world = World::new();
    let ids: Vec<String> = (0..600).map(|number| format!("ab-{number}")).collect();
    for id in &ids {
        world.open(id).unwrap();
    }
    world.settle_for(Span::secs(20));
    for id in &ids {
        world.truth.insert(id.clone(), says(id, "accepted"));
        // Recorded, and the process dies before its session hears of it.
        drop(world.receive(Some("good"), &says(id, "accepted")));
    }
    world.crash();
    assert_eq!(world.engine.len(), 600);
    world.settle_for(Span::mins(1));
    assert_eq!(world.store.unapplied(), [0; 0]);
    for id in &ids {
        assert_eq!(world.numbers(id), [(1, Verdict::Accepted)]);
    }
}

#[test]
fn g2_g9_a_revision_behind_a_confirmed_one_is_handed_over_whole_after_a_crash() {
    let mut world = World::new();
    world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
    world.open("ab-1").unwrap();
    world.settle();
    world.truth.insert("ab-1".to_owned(), says("ab-1", "declined"));
    world.refuses = true;
    world.callback(Some("good"), &says("ab-1", "declined"));
    world.settle_for(Span::secs(6));
    assert_eq!(world.store.confirmed("ab-1"), 1);
    world.given.clear();
    world.refuses = false;
    world.crash();
    world.truth.clear();
    world.settle();
    assert_eq!(world.numbers("ab-1"), [(2, Verdict::Declined)]);
    assert_eq!(world.given[0].body, b"id=ab-1 verdict=declined");
}

/// An engine that keeps no tombstones, and has forgotten these.
fn forgotten(ids: &[&str], alias: &str) -> World {
    let fleet = FleetPolicy { tombstones: 0, ..FleetPolicy::default() };
    let mut world = World::with(Fake::PLAIN, Policy { fleet, ..Policy::default() });
    for id in ids {
        world.truth.insert((*id).to_owned(), format!("{} alias={alias}", says(id, "deleted")));
        world.open(id).unwrap();
        world.settle();
    }
    assert!(world.engine.is_empty());
    world
}

#[test]
fn g1_r8_every_forgotten_verification_that_a_callback_names_is_looked_at() {
    let ids = ["ab-1", "ab-2", "ab-3"];
    let mut world = forgotten(&ids, "person-7");
    for id in ids {
        world.truth.insert(id.to_owned(), format!("{} alias=person-7", says(id, "declined")));
    }
    world.callback(Some("good"), &says("person-7", "declined"));
    world.settle_for(Span::secs(10));
    for id in ids {
        assert_eq!(world.numbers(id), [(1, Verdict::Deleted), (2, Verdict::Declined)]);
    }
    assert_eq!(world.told(|event| matches!(event, Event::BroughtBack { .. })), 3);
    assert_eq!(world.store.unapplied(), [0; 0]);
}

#[test]
fn r8_one_that_is_named_by_both_its_ids_is_brought_back_once() {
    let mut world = forgotten(&["ab-1"], "person-7");
    let news = format!("{} alias=person-7", says("ab-1", "declined"));
    world.truth.insert("ab-1".to_owned(), news.clone());
    world.callback(Some("good"), &news);
    world.settle_for(Span::secs(10));
    assert_eq!(world.numbers("ab-1"), [(1, Verdict::Deleted), (2, Verdict::Declined)]);
    assert_eq!(world.told(|event| matches!(event, Event::BroughtBack { .. })), 1);
    assert_eq!(world.told(|event| matches!(event, Event::LeftInStore { .. })), 0);
}

#[test]
fn g9_a_callback_about_what_another_process_drives_is_left_to_it() {
    let mut world = forgotten(&["ab-1"], "person-7");
    let mut other = world.beside();
    other.open("cd-1").unwrap();
    other.settle();
    world.callback(Some("good"), &says("cd-1", "accepted"));
    world.settle_for(Span::mins(1));
    assert_eq!(world.engine.find("fake", "cd-1"), None);
    assert!(world.asked.iter().all(|asked| !matches!(asked, Asked::Call(_))));
    assert_eq!(world.told(|event| matches!(event, Event::BroughtBack { .. })), 0);
    assert_eq!(world.store.unapplied(), [1], "its own process, or the next one, finds it");
}
