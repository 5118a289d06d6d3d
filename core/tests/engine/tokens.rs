//! Tokens, credentials and budgets (R13, R14, G7, G10).

use crate::fake::Fake;
use crate::world::{Asked, World, says};
use idv_core::engine::{CredentialsError, Event, Permit, Policy};
use idv_core::evidence::Verdict;
use idv_core::fleet::Wake;
use idv_core::machine::Disposition;
use idv_core::provider::Provider;
use idv_core::shufti;
use idv_core::time::{Instant, Span};
use idv_core::token::Mode;
use std::sync::Arc;

fn pulls_carried(world: &World) -> Vec<Option<&str>> {
    let pulls = world.requests.iter().filter(|(url, _)| url.ends_with("/pull"));
    pulls.map(|(_, carried)| carried.as_deref()).collect()
}

#[test]
fn r14_a_token_is_shared_and_renewed_once_after_a_401() {
    let mut world = World::with(Fake::REUSING, Policy::default());
    for id in ["ab-1", "ab-2", "ab-3"] {
        world.truth.insert(id.to_owned(), says(id, "accepted"));
        world.open(id).unwrap();
    }
    world.store_all();
    world.run();
    assert_eq!(world.asked.len(), 1, "one token request for all: {:?}", world.asked);
    world.do_one(0);
    world.run();
    assert_eq!(world.calls(), 3);
    for _ in 0..3 {
        let call = world.take_call();
        assert_eq!(call.request().headers[0].1, "Bearer token-1");
        world.answer_with(call, 401, "");
    }
    world.settle_for(Span::mins(1));
    assert_eq!(pulls_carried(&world), [Some("Bearer token-2"); 3]);
    assert_eq!(world.given.len(), 3);
}

#[test]
fn g7_g10_no_pull_carries_a_token_that_was_refused_while_its_session_waited_for_the_store() {
    let mut world = World::with(Fake::REUSING, Policy::default());
    for id in ["ab-1", "ab-2"] {
        world.truth.insert(id.to_owned(), says(id, "accepted"));
    }
    world.open("ab-1").unwrap();
    world.store_all();
    world.run();
    world.do_one(0);
    world.run();
    let refused = world.take_call();
    // The second one could pull with the same token, but its save is slow.
    world.open("ab-2").unwrap();
    world.run();
    assert!(matches!(world.asked[..], [Asked::Store(_)]));
    world.answer_with(refused, 401, "");
    world.settle_for(Span::mins(2));
    assert_eq!(pulls_carried(&world), [Some("Bearer token-2"); 2]);
    assert_eq!(world.given.len(), 2);
}

#[test]
fn r14_a_single_use_token_is_carried_by_one_pull() {
    let mut world = World::with(Fake::SPENDING, Policy::default());
    for id in ["ab-1", "ab-2", "ab-3"] {
        world.truth.insert(id.to_owned(), says(id, "accepted"));
        world.open(id).unwrap();
    }
    world.settle_for(Span::mins(1));
    assert_eq!(world.given.len(), 3);
    let mut carried = pulls_carried(&world);
    assert!(carried.iter().all(Option::is_some));
    carried.sort_unstable();
    carried.dedup();
    assert_eq!(carried.len(), pulls_carried(&world).len(), "no token twice");
}

#[test]
fn r14_refused_credentials_end_what_waits_for_them_until_they_are_replaced() {
    let mut world = World::with(Fake::REUSING, Policy::default());
    let account = world.account;
    world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
    world.truth.insert("ab-2".to_owned(), says("ab-2", "accepted"));
    world.open("ab-1").unwrap();
    for _ in 0..1_000 {
        world.store_all();
        while world.calls() > 0 {
            let call = world.take_call();
            world.answer_with(call, 401, "");
        }
        let wake = world.run();
        if let (Wake::At(at), true) = (wake, world.asked.is_empty()) {
            world.pass(Instant::from_millis(world.now).until(at).unwrap_or(Span::MIN));
        }
    }
    assert_eq!(world.told(|event| matches!(event, Event::CredentialsRefused { .. })), 1);
    let why = |event: &Event| match event {
        Event::Ended { diagnosis, .. } => diagnosis.clone(),
        _ => None,
    };
    assert_eq!(world.events.iter().find_map(why).as_deref(), Some("the key is wrong"));

    let replaced = world.tell(|engine, moment, out| {
        engine.credentials_replaced(moment, account, Arc::new(Fake::REUSING), out)
    });
    assert_eq!(replaced, Ok(()));
    world.open("ab-2").unwrap();
    world.settle_for(Span::mins(1));
    assert_eq!(world.numbers("ab-2"), [(1, Verdict::Accepted)]);
}

#[test]
fn r13_calls_of_ones_own_are_counted_at_the_same_door() {
    let mut world = World::new();
    let account = world.account;
    let mut granted = 0;
    let later = loop {
        match world.tell(|engine, moment, _| engine.take(moment, account)) {
            Permit::Granted => granted += 1,
            Permit::After(at) => break at,
        }
    };
    assert_eq!(granted, 100, "as many as the burst");
    assert!(later > Instant::from_millis(world.now));
    // Nothing is left for a pull either, until then.
    world.open("ab-1").unwrap();
    world.store_all();
    world.run();
    assert_eq!(world.calls(), 0);
    world.now = later.as_millis();
    world.run();
    assert_eq!(world.calls(), 1);
}

#[test]
fn a_hint_brings_the_next_pull_forward() {
    let mut world = World::new();
    world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
    let key = world.open("ab-1").unwrap();
    world.settle();
    world.truth.insert("ab-1".to_owned(), says("ab-1", "declined"));
    world.tell(|engine, moment, out| engine.hint(moment, key, out));
    world.settle_for(Span::secs(6));
    assert_eq!(world.numbers("ab-1"), [(1, Verdict::Accepted), (2, Verdict::Declined)]);
}

#[test]
fn g7_a_call_whose_time_is_over_before_its_turn_is_not_sent() {
    let mut world = World::new();
    world.open("ab-1").unwrap();
    world.store_all();
    world.run();
    let call = world.take_call();
    assert!(call.within(Instant::from_millis(world.now)).is_ok());
    assert!(call.within(call.until()).is_err());
    let ticket = call.ticket();
    drop(call);
    world.complete(ticket.panicked());
    assert!(world.events.iter().any(|event| {
        matches!(event, Event::Pulled { diagnosis: Some(why), reached: false, .. } if why.contains("panicked"))
    }));
}

#[test]
fn r14_credentials_that_could_never_bring_a_token_are_refused_and_those_before_stay() {
    let mut world = World::with(Fake::REUSING, Policy::default());
    let account = world.account;
    let replace = |world: &mut World, provider: Arc<dyn Provider>| {
        world.tell(|engine, moment, out| engine.credentials_replaced(moment, account, provider, out))
    };
    assert_eq!(replace(&mut world, Arc::new(Fake::PLAIN)), Err(CredentialsError::NoTokenRequest));
    let others = shufti::Account::builder("client", "secret".into()).build().unwrap();
    assert_eq!(replace(&mut world, Arc::new(others)), Err(CredentialsError::OtherProvider));
    world.truth.insert("ab-1".to_owned(), says("ab-1", "accepted"));
    world.open("ab-1").unwrap();
    world.settle_for(Span::mins(1));
    assert_eq!(pulls_carried(&world), [Some("Bearer token-1")]);
    // Where pulls carry none, none needs to be asked for.
    let mut world = World::new();
    assert_eq!(replace(&mut world, Arc::new(Fake::PLAIN)), Ok(()));
}

#[test]
fn r13_r14_what_a_pull_of_a_forgotten_verification_brings_holds_for_the_others() {
    for (fake, status) in [(Fake::PLAIN, 429), (Fake::REUSING, 401)] {
        let mut world = World::with(fake, Policy::default());
        let key = world.open("ab-1").unwrap();
        world.store_all();
        world.run();
        if fake.tokens == Mode::Reusable {
            world.do_one(0);
            world.run();
        }
        let call = world.take_call();
        world.tell(|engine, moment, out| engine.cancel(moment, key, out));
        world.store_all();
        assert_eq!(world.tell(|engine, _, _| engine.forget(key)), Disposition::Applied);
        world.answer_with(call, status, "");

        world.truth.insert("ab-2".to_owned(), says("ab-2", "accepted"));
        world.open("ab-2").unwrap();
        world.store_all();
        let closed_until = world.run();
        if status == 429 {
            assert_eq!(world.calls(), 0, "the door is closed");
            assert!(matches!(closed_until, Wake::At(at) if at > Instant::from_millis(world.now)));
        }
        world.settle_for(Span::mins(2));
        let carried = if status == 429 { None } else { Some("Bearer token-2") };
        assert_eq!(pulls_carried(&world), [carried]);
        assert_eq!(world.numbers("ab-2"), [(1, Verdict::Accepted)]);
    }
}
