//! Nothing is started before the step that asked for it is saved (G9).

use crate::world::{Asked, Mood, World, says};
use idv_core::engine::{Event, Opening};
use idv_core::evidence::Verdict;
use idv_core::machine::Disposition;
use idv_core::store::{Keep, Save, Saved, Sessions};
use idv_core::time::Span;

#[test]
fn g9_no_call_is_made_before_the_opening_is_saved() {
    let mut world = World::new();
    let key = world.open("ab-1").unwrap();
    world.run();
    assert_eq!((world.calls(), world.asked.len()), (0, 1), "{:?}", world.asked);
    assert_eq!(world.opening(key), None);
    world.do_one(0);
    assert_eq!(world.opening(key), Some(Opening::Saved));
    world.run();
    assert_eq!(world.calls(), 1);
}

#[test]
fn g9_a_failed_save_is_tried_again_and_what_waited_for_it_follows() {
    let mut world = World::new();
    world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
    world.store.set(Mood::Refusing);
    let key = world.open("ab-1").unwrap();
    for _ in 0..10 {
        world.store_all();
        world.run();
        assert_eq!(world.calls(), 0);
        world.pass(Span::secs(1));
    }
    assert_eq!(world.opening(key), Some(Opening::NotSavedYet));
    assert!(world.told(|event| matches!(event, Event::StoreFailed { .. })) >= 4);
    world.store.set(Mood::Willing);
    world.settle_for(Span::mins(1));
    assert_eq!(world.numbers("ab-1"), [(1, Verdict::Accepted)]);
}

#[test]
fn g9_later_saves_do_not_starve_what_waits_for_an_earlier_one() {
    let mut world = World::new();
    let key = world.open("ab-1").unwrap();
    world.store_all();
    world.run();
    // The answer is to be kept and handed over: both wait for the save.
    let call = world.take_call();
    world.answer_with(call, 200, &says("ab-1", "review"));
    assert!(matches!(world.asked[..], [Asked::Store(_)]), "{:?}", world.asked);
    // Meanwhile callbacks change the session again and again; each wants a save of its own.
    for number in 0..5 {
        world.callback(Some("good"), &format!("id=ab-1 verdict=accepted n={number}"));
        assert_eq!(world.asked.len(), 1, "one save of a session at a time");
    }
    // The first save covers the hand-over, though more is owed by then.
    world.do_one(0);
    let offered = world.take_hand_over();
    assert_eq!(offered.key(), ("fake", "ab-1", 1));
    assert_eq!(world.asked.len(), 1);
    assert_eq!(world.engine.status(key, world_now(&world)).unwrap().verdict, Some(Verdict::ReviewPending));
    world.store_all();
    assert_eq!(world.store.unapplied(), [0; 0], "the last save took all records in");
}

fn world_now(world: &World) -> idv_core::time::Instant {
    idv_core::time::Instant::from_millis(world.now)
}

#[test]
fn g9_a_save_whose_answer_was_lost_is_known_to_be_ours() {
    let mut world = World::new();
    world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
    world.store.set(Mood::Lying);
    world.open("ab-1").unwrap();
    world.store_all();
    world.store.set(Mood::Willing);
    world.settle_for(Span::mins(1));
    assert_eq!(world.numbers("ab-1"), [(1, Verdict::Accepted)]);
    assert_eq!(world.told(|event| matches!(event, Event::TakenOver { .. })), 0);
}

/// Saves this session as another process would, whatever version is there.
fn saved_by_another(world: &World, id: &str) {
    let mut store = world.store.clone();
    let (saved, _) = world.store.session(id).unwrap();
    let text = String::from_utf8(saved.snapshot.to_vec()).unwrap();
    let writer = text.rfind("\"writer\":").unwrap();
    let snapshot = format!("{}\"writer\":1}}", &text[..writer]);
    let save = Save {
        provider: "fake",
        id,
        alias: None,
        expected: saved.version,
        snapshot: snapshot.as_bytes(),
        issued: Keep::Unchanged,
        latest: Keep::Unchanged,
        applied: &[],
    };
    assert!(matches!(store.save(&save), Ok(Saved::Stored { .. })));
}

#[test]
fn g9_a_verification_that_another_process_saved_is_left_to_it() {
    let mut world = World::new();
    let key = world.open("ab-1").unwrap();
    world.settle();
    saved_by_another(&world, "ab-1");
    let before = world.store.session("ab-1").unwrap();
    world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
    world.settle_for(Span::mins(1));
    assert_eq!(world.told(|event| matches!(event, Event::TakenOver { .. })), 1);
    assert_eq!(world.engine.status(key, world_now(&world)), None);
    assert_eq!(world.store.session("ab-1").unwrap(), before);
    assert!(world.given.is_empty() && world.engine.is_empty());
}

#[test]
fn g1_g9_a_save_that_a_dead_process_had_under_way_takes_nothing_from_the_next() {
    for confirmed_late in [false, true] {
        let mut world = World::new();
        world.truth.insert("ab-1".to_owned(), says("ab-1", "review"));
        world.open("ab-1").unwrap();
        world.store_all();
        world.run();
        let call = world.take_call();
        world.answer(call);
        let mut late = Vec::new();
        if confirmed_late {
            // The application took it; neither that word nor the step after it has reached the store.
            world.store_all();
            let hand_over = world.take_hand_over();
            world.give(hand_over, true);
        }
        let Some(Asked::Store(task)) = world.asked.pop() else { panic!("it is to be saved") };
        late.push(task);
        world.crash();
        // The store does it all the same, after the next process has read what was there.
        let mut store = world.store.clone();
        for task in late {
            let _ = task.perform(&mut store);
        }
        world.settle();
        world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
        world.callback(Some("good"), &says("ab-1", "accepted"));
        world.settle_for(Span::mins(1));
        let mut numbers = world.numbers("ab-1");
        numbers.dedup();
        assert_eq!(numbers, [(1, Verdict::ReviewPending), (2, Verdict::Accepted)]);
        assert_eq!(world.store.confirmed("ab-1"), 2);
        assert_eq!(world.told(|event| matches!(event, Event::TakenOver { .. })), 0);
    }
}

#[test]
fn stopping_finishes_what_was_handed_over_and_starts_nothing() {
    let mut world = World::new();
    world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
    for id in ["ab-1", "ab-2"] {
        world.open(id).unwrap();
    }
    world.store_all();
    world.run();
    for _ in 0..2 {
        let call = world.take_call();
        world.answer(call);
    }
    world.store_all();
    assert!(!world.engine.is_finished());
    world.engine.stop();
    world.pass(Span::mins(1));
    world.run();
    let hand_over = world.take_hand_over();
    assert!(world.asked.is_empty(), "nothing new is started: {:?}", world.asked);
    world.give(hand_over, true);
    assert!(!world.engine.is_finished(), "the application's word is not saved yet");
    world.store_all();
    assert!(world.engine.is_finished());
    assert_eq!(world.store.confirmed("ab-1"), 1);
    // A hand-over that was never begun is not waited for.
    world.crash();
    assert!(world.asked.iter().all(|asked| !matches!(asked, Asked::HandOver(_))), "{:?}", world.asked);
}

#[test]
fn cancelling_ends_and_forgetting_makes_room() {
    let mut world = World::new();
    let key = world.open("ab-1").unwrap();
    world.settle();
    assert_eq!(world.engine.forget(key), Disposition::Illegal, "it has not ended");
    let cancelled = world.tell(|engine, moment, out| engine.cancel(moment, key, out));
    assert_eq!(cancelled, Disposition::Applied);
    world.store_all();
    assert_eq!(world.engine.forget(key), Disposition::Applied);
    assert_eq!((world.engine.len(), world.engine.find("fake", "ab-1")), (0, None));
    assert_eq!(world.engine.status(key, world_now(&world)), None);
}

#[test]
fn g9_nothing_is_left_of_a_verification_taken_over_while_two_of_its_revisions_wait() {
    let mut world = World::new();
    world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
    world.open("ab-1").unwrap();
    world.store_all();
    world.run();
    world.do_one(0);
    world.store_all();
    let offered = world.take_hand_over();
    // The next one waits behind it (R6).
    world.truth.insert("ab-1".to_owned(), says("ab-1", "declined"));
    world.callback(Some("good"), &says("ab-1", "declined"));
    world.settle_for(Span::secs(10));
    saved_by_another(&world, "ab-1");
    world.callback(Some("good"), &says("ab-1", "review"));
    world.store_all();
    assert_eq!(world.told(|event| matches!(event, Event::TakenOver { .. })), 1);
    assert!(world.engine.is_empty());
    // The application's word comes too late, and harms nobody.
    world.give(offered, true);
    world.settle_for(Span::mins(1));
    assert_eq!(world.store.confirmed("ab-1"), 0);
}
