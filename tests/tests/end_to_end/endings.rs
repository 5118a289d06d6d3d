//! Sessions that end, and what wakes them; drivers that stop.

use crate::{ACCEPTED, DECLINED, World, config, now, signed};
use idv_core::evidence::Verdict;
use idv_core::provider::Authenticity;
use idv_core::rules::Rules;
use idv_core::session::End;
use idv_core::store::{Journal, Record};
use idv_core::time::Span;
use idv_sandbox::Provider;
use idv_tests::driving::rarely;
use idv_tests::wire;
use idv_ureq::{Event, SharedMemory};
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicUsize, Ordering};

impl World {
    fn end_of(&self, id: &str) -> (End, bool) {
        self.application.event(|event| match event {
            Event::Ended { id: ended, end, unconfirmed, .. } if &*ended == id => Some((end, unconfirmed)),
            _ => None,
        })
    }
}

#[test]
fn r8_a_late_callback_reopens_an_ended_session_and_the_numbers_go_on() {
    let watch = Some(Span::hours(30));
    let world = World::with(config(1), |rules| rarely(Rules { watch, audit: None, ..rules }), |_| ());
    let settled = world.shufti("quiet", "order-1");
    let expired = world.shufti("quiet", "order-2");
    world.pulled("order-1", 1);
    world.happen(Provider::Shufti, "order-1", &now(ACCEPTED));
    let revision = world.application.revision();
    assert_eq!((revision.number, revision.verdict), (1, Verdict::Accepted));
    world.quiet(settled);
    world.application.leap(Span::hours(21), expired);
    assert_eq!(world.end_of("order-2"), (End::Expired, false));
    // So long a silence has what is settled pulled once (R9).
    world.quiet(settled);
    world.application.leap(Span::hours(10), settled);
    assert_eq!(world.end_of("order-1"), (End::Watched, false));

    world.happen(Provider::Shufti, "order-1", &now(DECLINED));
    let revision = world.application.revision();
    assert_eq!((&*revision.id, revision.number, revision.verdict), ("order-1", 2, Verdict::Declined));
    world.happen(Provider::Shufti, "order-2", &now(ACCEPTED));
    let revision = world.application.revision();
    assert_eq!((&*revision.id, revision.number, revision.verdict), ("order-2", 1, Verdict::Accepted));
}

#[test]
fn r12_a_callback_just_before_the_deadline_is_confirmed_within_the_grace() {
    let world = World::with(config(1), rarely, |_| ());
    let verification = world.shufti("quiet", "order-1");
    world.pulled("order-1", 1);
    world.application.leap(Span::mins(20 * 60 - 1), verification);
    world.happen(Provider::Shufti, "order-1", &now(ACCEPTED));
    assert_eq!(world.application.revision().verdict, Verdict::Accepted);
}

#[test]
fn a_cancelled_session_pulls_no_more_and_the_others_go_on() {
    let world = World::new();
    let cancelled = world.shufti("quiet", "order-1");
    let other = world.shufti("quiet", "order-2");
    world.pulled("order-1", 3);
    world.application.driver.cancel(cancelled).unwrap();
    assert_eq!(world.end_of("order-1").0, End::Cancelled);
    let pulls = || {
        let of = |entry: &idv_sandbox::Entry| matches!(&entry.what, idv_sandbox::What::Call { id: Some(id), .. } if id == "order-1");
        world.sandbox.log().iter().filter(|entry| of(entry)).count()
    };
    // One may have been on its way.
    world.pulled("order-2", 6);
    let before = pulls();
    world.application.leap(Span::mins(30), other);
    let op = world.pulled("order-2", 9);
    world.pulled("order-2", op + 3);
    assert_eq!(pulls(), before);
    world.happen(Provider::Shufti, "order-2", &now(ACCEPTED).lost());
    assert_eq!(&*world.application.revision().id, "order-2");
}

#[test]
fn g5_stopping_in_a_storm_answers_200_for_nothing_that_is_not_recorded() {
    let store = SharedMemory::default();
    let kept = store.clone();
    let world = World::with(config(1), rarely, move |builder| {
        builder.store(kept);
    });
    world.shufti("quiet", "order-1");
    world.pulled("order-1", 1);
    let answered = AtomicUsize::new(0);
    let taken = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let (answered, address) = (&answered, world.address);
                scope.spawn(move || {
                    let mut taken = Vec::new();
                    for post in 0.. {
                        let body = format!(
                            r#"{{"reference":"order-1","event":"{ACCEPTED}","n":[{thread},{post}]}}"#
                        );
                        match wire::send(address, &signed(&body)).status {
                            200 => {
                                answered.fetch_add(1, Ordering::SeqCst);
                                taken.push(body);
                            }
                            503 => {}
                            // Nobody listens any more.
                            status => {
                                assert_eq!(status, 0);
                                break;
                            }
                        }
                    }
                    taken
                })
            })
            .collect();
        while answered.load(Ordering::SeqCst) < 40 {
            std::thread::yield_now();
        }
        world.application.driver.stop();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    store.with(|store| {
        let bodies: std::collections::BTreeSet<_> = (1..=store.len() as u64)
            .filter_map(|position| store.record(position))
            .map(|record| record.body.to_vec())
            .collect();
        for body in &taken {
            assert!(bodies.contains(body.as_bytes()), "answered 200 and not recorded: {body}");
        }
    });
    // What was recorded at the last moment, and not taken in any more, drives the next process (R10).
    let body = format!(r#"{{"reference":"order-1","event":"{ACCEPTED}","n":"the last one"}}"#);
    let last = Record {
        provider: "shufti",
        digest: Sha256::digest(&body).into(),
        authenticity: Authenticity::Signed,
        id: Some("order-1"),
        event: Some(ACCEPTED),
        remark: None,
        received_unix_ms: 0,
        body: body.as_bytes(),
    };
    store.clone().commit(&last).unwrap();
    world.happen(Provider::Shufti, "order-1", &now(ACCEPTED).lost());
    let (next, _) = idv_tests::driving::Application::start(|builder| {
        builder.store(store.clone());
        let provider = crate::shufti_account(world.sandbox.shufti_url());
        let rules = rarely(idv_tests::driving::quick(&provider));
        builder.account(idv_tests::driving::account(provider, &rules))
    });
    assert_eq!(next.revision().verdict, Verdict::Accepted);
    next.driver.stop();
    assert_eq!(store.clone().unapplied(0, 10_000).unwrap().len(), 0);
}
