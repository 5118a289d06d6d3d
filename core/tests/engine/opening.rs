//! What the store knows and the engine does not (R8, R10, R15), and silences (R9).

use crate::fake::CALLBACK_WINDOW;
use crate::world::{Asked, Mood, World, says};
use idv_core::engine::{Event, Opening, Policy};
use idv_core::evidence::Verdict;
use idv_core::fleet::{FleetPolicy, OpenError, Wake};
use idv_core::session::End;
use idv_core::time::{Instant, Span};

/// An engine that keeps one tombstone, and has forgotten the verification `ab-1`, which ended with revision 1.
fn forgetful() -> World {
    let policy =
        Policy { fleet: FleetPolicy { tombstones: 1, ..FleetPolicy::default() }, ..Policy::default() };
    let mut world = World::with(crate::fake::Fake::PLAIN, policy);
    world.truth.insert("ab-1".to_owned(), says("ab-1", "deleted"));
    world.open("ab-1").unwrap();
    world.settle();
    for id in ["cd-1", "cd-2"] {
        let key = world.open(id).unwrap();
        world.settle();
        world.tell(|engine, moment, out| engine.cancel(moment, key, out));
        world.settle();
    }
    assert_eq!(world.numbers("ab-1"), [(1, Verdict::Deleted)]);
    assert_eq!(world.engine.find("fake", "ab-1"), None, "it is forgotten here");
    assert!(world.store.session("ab-1").unwrap().1.is_over());
    world.events.clear();
    world.given.clear();
    world
}

#[test]
fn r8_opening_what_only_the_store_still_knows_goes_on_with_its_numbers() {
    let mut world = forgetful();
    world.truth.insert("ab-1".to_owned(), says("ab-1", "declined"));
    let key = world.open("ab-1").unwrap();
    world.settle_for(Span::secs(10));
    assert_eq!(world.opening(key), Some(Opening::BroughtBack));
    assert_eq!(world.told(|event| matches!(event, Event::BroughtBack { .. })), 1);
    assert_eq!(world.numbers("ab-1"), [(2, Verdict::Declined)]);
    assert_eq!(world.open("ab-1"), Err(OpenError::Exists(key)));
}

#[test]
fn r8_opening_it_anew_hands_nothing_over_twice() {
    let mut world = forgetful();
    world.open("ab-1").unwrap();
    world.settle_for(Span::mins(1));
    assert_eq!(world.numbers("ab-1"), [], "the provider says what it said before");
    assert!(world.events.iter().any(|event| matches!(event, Event::Pulled { .. })));
}

#[test]
fn r8_a_callback_that_names_what_only_the_store_still_knows_brings_it_back() {
    let mut world = forgetful();
    world.truth.insert("ab-1".to_owned(), says("ab-1", "declined"));
    world.callback(Some("good"), &says("ab-1", "declined"));
    world.settle_for(Span::secs(10));
    assert_eq!(world.numbers("ab-1"), [(2, Verdict::Declined)]);
    assert_eq!(world.store.unapplied(), [0; 0]);
    assert_eq!(world.given[0].callbacks, [1], "the revision refers to the callback");
}

#[test]
fn r9_a_signed_callback_about_what_only_the_store_still_knows_asks_again_while_nothing_is_new() {
    for (signature, numbers) in [
        (Some("good"), &[(1, Verdict::Accepted), (2, Verdict::Declined)][..]),
        (None, &[(1, Verdict::Accepted)]),
    ] {
        let mut world = World::new();
        world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
        let key = world.open("ab-1").unwrap();
        world.settle();
        world.tell(|engine, moment, out| engine.cancel(moment, key, out));
        world.settle();
        let _ = world.engine.forget(key);
        world.callback(signature, &says("ab-1", "declined"));
        world.settle_for(Span::secs(5));
        assert_eq!(world.numbers("ab-1"), [(1, Verdict::Accepted)], "the provider's replica lags");
        world.truth.insert("ab-1".to_owned(), says("ab-1", "declined"));
        world.settle_for(Span::mins(5));
        assert_eq!(world.numbers("ab-1"), numbers, "an answer is worth as much as who demanded it");
    }
}

#[test]
fn r8_a_store_that_cannot_be_asked_costs_no_callback() {
    let mut world = forgetful();
    world.truth.insert("ab-1".to_owned(), says("ab-1", "declined"));
    world.store.set(Mood::Refusing);
    world.callback(Some("good"), &says("ab-1", "declined"));
    world.store_all();
    world.store.set(Mood::Willing);
    assert_eq!(world.store.unapplied(), [1], "it waits for the opening, or the next process");
    world.open("ab-1").unwrap();
    world.settle_for(Span::secs(10));
    assert_eq!(world.numbers("ab-1"), [(2, Verdict::Declined)]);
    assert_eq!(world.store.unapplied(), [0; 0]);
}

#[test]
fn r8_forgetting_by_hand_is_no_loss_either() {
    let mut world = World::new();
    world.truth.insert("ab-1".to_owned(), says("ab-1", "deleted"));
    let key = world.open("ab-1").unwrap();
    world.settle();
    let _ = world.engine.forget(key);
    world.truth.insert("ab-1".to_owned(), says("ab-1", "declined"));
    world.callback(None, &says("ab-1", "declined"));
    world.settle_for(Span::secs(10));
    assert_eq!(world.numbers("ab-1"), [(1, Verdict::Deleted), (2, Verdict::Declined)]);
}

#[test]
fn r15_a_callback_before_the_opening_is_applied_and_referred_to_also_under_an_alias_learned_later() {
    let mut world = World::new();
    world.truth.insert("ab-1".to_owned(), "id=ab-1 alias=flow-1 verdict=accepted".to_owned());
    for id in ["ab-1", "flow-1", "flow-2"] {
        world.callback(Some("good"), &says(id, "accepted"));
    }
    assert_eq!(world.store.unapplied(), [1, 2, 3]);
    world.open("ab-1").unwrap();
    world.settle();
    assert_eq!(world.given[0].callbacks, [2, 1]);
    assert_eq!(world.store.unapplied(), [3]);
}

#[test]
fn r15_a_callback_with_an_endless_id_names_nobody_and_is_not_remembered() {
    let mut world = World::new();
    for letters in [1_024, 1_025] {
        let id = "x".repeat(letters);
        let body = says(&id, "accepted");
        // A record of an earlier process; such a body is larger than this provider's cap.
        let record = idv_core::store::Record {
            provider: "fake",
            digest: [letters as u8; 32],
            authenticity: idv_core::provider::Authenticity::Signed,
            id: None,
            event: None,
            remark: None,
            received_unix_ms: 0,
            body: body.as_bytes(),
        };
        idv_core::store::Journal::commit(&mut world.store, &record).unwrap();
    }
    world.crash();
    world.settle();
    assert_eq!(world.store.unapplied(), [1], "the longer one is done with");
}

#[test]
fn r10_a_record_that_was_not_applied_before_a_crash_is_applied_after_it() {
    let mut world = World::new();
    world.truth.insert("ab-1".to_owned(), says("ab-1", "review"));
    world.open("ab-1").unwrap();
    world.settle();
    // Recorded and answered; the crash comes before the session's step.
    let arrived = world.receive(Some("good"), &says("ab-1", "accepted"));
    drop(arrived);
    world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
    world.crash();
    world.settle_for(Span::secs(10));
    assert_eq!(world.numbers("ab-1"), [(1, Verdict::ReviewPending), (2, Verdict::Accepted)]);
    assert_eq!(world.store.unapplied(), [0; 0]);
}

#[test]
fn r12_an_expired_verification_names_the_callbacks_it_could_not_confirm() {
    let mut world = World::new();
    world.open("ab-1").unwrap();
    world.settle();
    world.callback(Some("good"), &says("ab-1", "accepted"));
    // The provider is out of order until the end.
    for _ in 0..10_000 {
        world.store_all();
        while world.calls() > 0 {
            let call = world.take_call();
            world.answer_with(call, 503, "");
        }
        let wake = world.run();
        if let (Wake::At(at), true) = (wake, world.asked.is_empty()) {
            world.pass(Instant::from_millis(world.now).until(at).unwrap_or(Span::MIN));
        }
        if let Some(Event::Ended { end, unconfirmed, unconfirmed_callbacks, reached, diagnosis, .. }) =
            world.events.iter().find(|event| matches!(event, Event::Ended { .. }))
        {
            assert_eq!((*end, *unconfirmed, &unconfirmed_callbacks[..]), (End::Expired, true, &[1][..]));
            assert!(*reached);
            assert_eq!(diagnosis.as_deref(), Some("answered 503"));
            return;
        }
    }
    panic!("it never ended");
}

/// A settled verification and a moment at which nothing is due but its audit.
fn settled() -> World {
    let mut world = World::new();
    world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
    world.open("ab-1").unwrap();
    world.settle();
    assert_eq!(world.numbers("ab-1"), [(1, Verdict::Accepted)]);
    // The flip's callbacks come to a computer that sleeps.
    world.truth.insert("ab-1".to_owned(), says("ab-1", "declined"));
    world
}

#[test]
fn r9_time_asleep_longer_than_callbacks_are_repeated_has_what_is_settled_pulled() {
    let mut world = settled();
    world.pass(CALLBACK_WINDOW);
    world.settle_for(Span::secs(10));
    assert_eq!(world.told(|event| matches!(event, Event::ListeningGap { millis: Some(150_000) })), 1);
    assert_eq!(world.numbers("ab-1"), [(1, Verdict::Accepted), (2, Verdict::Declined)]);
}

#[test]
fn r9_a_clock_that_stands_still_while_asleep_is_found_out_by_the_calendar() {
    let mut world = settled();
    world.pass(Span::secs(1));
    world.unix_ms += u64::from(CALLBACK_WINDOW.as_millis());
    world.settle_for(Span::secs(10));
    assert_eq!(world.numbers("ab-1").len(), 2);
}

#[test]
fn r9_a_driver_that_comes_when_it_was_told_to_is_never_taken_for_asleep() {
    let mut world = settled();
    let began = world.now;
    // Far from any other timer it is asked to look at the clock all the same.
    while world.now < began + u64::from(Span::hours(12).as_millis()) {
        let Wake::At(at) = world.settle() else { panic!("there is always something to come back for") };
        let wait = at.since(Instant::from_millis(world.now));
        assert!((1..u64::from(CALLBACK_WINDOW.as_millis())).contains(&wait), "{wait}");
        // As late as half of the time in which nothing is lost.
        world.pass(Span::millis(u32::try_from(wait).unwrap() + 70_000));
    }
    assert_eq!(world.told(|event| matches!(event, Event::ListeningGap { .. })), 0);
    assert_eq!(world.numbers("ab-1").len(), 1);
}

#[test]
fn r9_an_engine_without_verifications_sleeps_for_ever() {
    let mut world = World::new();
    assert_eq!(world.settle(), Wake::Input);
    world.pass(Span::hours(100));
    assert_eq!(world.settle(), Wake::Input);
    assert!(world.events.is_empty());
}

#[test]
fn r9_whoever_serves_callbacks_otherwise_says_that_there_was_a_gap() {
    let mut world = settled();
    world.tell(|engine, _, out| engine.listening_had_a_gap(out));
    world.settle_for(Span::secs(10));
    assert_eq!(world.numbers("ab-1").len(), 2);
}

#[test]
fn r9_r11_a_restart_is_a_gap() {
    let mut world = settled();
    world.crash();
    world.settle_for(Span::secs(10));
    assert_eq!(world.numbers("ab-1"), [(1, Verdict::Accepted), (2, Verdict::Declined)]);
}

#[test]
fn what_is_not_configured_is_left_in_the_store_and_said() {
    let mut world = World::new();
    let record = idv_core::store::Record {
        provider: "another",
        digest: [1; 32],
        authenticity: idv_core::provider::Authenticity::Unsigned,
        id: Some("x-1"),
        event: None,
        remark: None,
        received_unix_ms: 0,
        body: b"{}",
    };
    idv_core::store::Journal::commit(&mut world.store, &record).unwrap();
    world.crash();
    assert!(world.asked.iter().all(|asked| !matches!(asked, Asked::Store(_))));
    let said = |event: &Event| matches!(event, Event::LeftInStore { provider, .. } if provider == "another");
    assert_eq!(world.told(said), 1);
    assert_eq!(world.store.unapplied(), [1]);
}
