//! What the answers of pulls come to beside the session's own state (G7, R12, R17).

use crate::world::{Asked, World, says};
use idv_core::engine::Event;
use idv_core::fleet::{Key, Wake};
use idv_core::session::End;
use idv_core::time::{Instant, Span};

fn now(world: &World) -> Instant {
    Instant::from_millis(world.now)
}

/// From now on the provider is out of order; the callbacks that its end names.
fn unconfirmed_at_the_end(world: &mut World) -> Vec<u64> {
    let before = world.told(|event| matches!(event, Event::Ended { .. }));
    for _ in 0..10_000 {
        world.store_all();
        while world.calls() > 0 {
            let call = world.take_call();
            world.answer_with(call, 503, "");
        }
        let wake = world.run();
        // The application takes its time.
        if let (Wake::At(at), true) =
            (wake, world.asked.iter().all(|asked| matches!(asked, Asked::HandOver(_))))
        {
            world.pass(Instant::from_millis(world.now).until(at).unwrap_or(Span::MIN));
        }
        if world.told(|event| matches!(event, Event::Ended { .. })) > before {
            return last_end(world);
        }
    }
    panic!("it never ended");
}

fn last_end(world: &World) -> Vec<u64> {
    let named = |event: &Event| match event {
        Event::Ended { unconfirmed_callbacks, .. } => Some(unconfirmed_callbacks.clone()),
        _ => None,
    };
    world.events.iter().rev().find_map(named).unwrap()
}

fn opened(world: &mut World) -> Key {
    let key = world.open("ab-1").unwrap();
    world.store_all();
    world.run();
    key
}

#[test]
fn r12_an_end_names_no_callback_that_an_answer_confirmed() {
    let mut world = World::new();
    world.truth.insert("ab-1".to_owned(), says("ab-1", "review"));
    world.open("ab-1").unwrap();
    world.settle();
    world.callback(Some("good"), &says("ab-1", "review"));
    world.settle_for(Span::secs(10));
    world.callback(Some("good"), &says("ab-1", "accepted"));
    assert_eq!(unconfirmed_at_the_end(&mut world), [2]);
}

#[test]
fn r3_r12_an_answer_to_a_pull_sent_before_the_callback_does_not_confirm_it() {
    let mut world = World::new();
    opened(&mut world);
    let sent_before = world.take_call();
    world.callback(Some("good"), &says("ab-1", "accepted"));
    world.answer_with(sent_before, 200, &says("ab-1", "review"));
    assert_eq!(unconfirmed_at_the_end(&mut world), [1]);
}

#[test]
fn r12_a_pull_that_fails_after_the_end_confirms_nothing() {
    let mut world = World::new();
    let key = opened(&mut world);
    let sent = world.take_call();
    world.callback(Some("good"), &says("ab-1", "accepted"));
    world.tell(|engine, moment, out| engine.cancel(moment, key, out));
    world.store_all();
    assert_eq!(last_end(&world), [1]);
    world.answer_with(sent, 503, "");
    // Another callback reopens it, in vain.
    world.callback(Some("good"), &says("ab-1", "declined"));
    assert_eq!(unconfirmed_at_the_end(&mut world), [2, 1]);
}

#[test]
fn g6_r12_r17_the_newest_four_callbacks_are_remembered() {
    for ends in [false, true] {
        let mut world = World::new();
        opened(&mut world);
        for number in 1..=7 {
            world.callback(Some("good"), &format!("{} n={number}", says("ab-1", "accepted")));
        }
        if ends {
            assert_eq!(unconfirmed_at_the_end(&mut world), [7, 6, 5, 4]);
        } else {
            world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
            world.settle_for(Span::secs(10));
            assert_eq!(world.given[0].callbacks, [7, 6, 5, 4]);
        }
    }
}

#[test]
fn r17_a_revision_refers_to_a_callback_once_however_often_it_comes() {
    let mut world = World::new();
    opened(&mut world);
    for verdict in ["accepted", "review", "accepted", "accepted"] {
        world.callback(Some("good"), &says("ab-1", verdict));
    }
    world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
    world.settle_for(Span::secs(10));
    assert_eq!(world.given[0].callbacks, [1], "that of the review is another verdict's");
}

/// A pull that was given up, and the call that nobody waits for any more.
fn given_up() -> (World, Key, idv_core::engine::Call) {
    let mut world = World::new();
    let key = opened(&mut world);
    let call = world.take_call();
    while world.engine.status(key, now(&world)).unwrap().pulling {
        let Wake::At(at) = world.run() else { panic!("a call without an end") };
        world.now = world.now.max(at.as_millis());
        world.run();
        world.store_all();
        assert_eq!(world.calls(), 0, "G7: two pulls of one session in flight");
    }
    (world, key, call)
}

#[test]
fn g7_a_call_that_fails_after_it_was_given_up_still_keeps_the_next_one_away_for_the_cadence() {
    for answered in [None, Some(401), Some(500)] {
        let (mut world, key, call) = given_up();
        let planned = world.engine.status(key, now(&world)).unwrap().next_pull.unwrap();
        // It ends a moment before the next one would be sent.
        world.pass(Span::millis(u32::try_from(planned.as_millis()).unwrap() - 1));
        match answered {
            None => world.fail(call),
            Some(status) => world.answer_with(call, status, ""),
        }
        world.store_all();
        world.pass(Span::millis(4_999));
        world.run();
        assert_eq!(world.calls(), 0, "below the cadence");
        world.pass(Span::millis(1));
        world.run();
        assert_eq!(world.calls(), 1);
    }
}

#[test]
fn what_went_wrong_last_is_that_of_the_newest_pull() {
    let (mut world, key, first) = given_up();
    let diagnosis = |world: &World| world.engine.status(key, now(world)).unwrap().diagnosis;
    assert_eq!(diagnosis(&world), None);
    world.fail(first);
    assert_eq!(diagnosis(&world).as_deref(), Some("connection refused"));

    let (mut world, key, first) = given_up();
    while world.calls() == 0 {
        world.pass(Span::secs(1));
        world.run();
    }
    let second = world.take_call();
    world.answer_with(second, 503, "");
    world.fail(first);
    let status = world.engine.status(key, now(&world)).unwrap();
    assert_eq!((status.diagnosis.as_deref(), status.attempts), (Some("answered 503"), 2));
    // After the end nothing more is said of it.
    world.tell(|engine, moment, out| engine.cancel(moment, key, out));
    world.store_all();
    let status = world.engine.status(key, now(&world)).unwrap();
    assert_eq!((status.end, status.diagnosis.as_deref()), (Some(End::Cancelled), Some("answered 503")));
}
