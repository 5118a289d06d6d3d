//! Crashes: the store dies after the n-th write, for every n, and another process goes on from what was written.

use crate::{ACCEPTED, CHANGED, DECLINED, World, config, now, signed};
use idv_core::evidence::Verdict;
use idv_core::store::{Journal, Sessions};
use idv_sandbox::Provider;
use idv_tests::driving::{FaultyStore, rarely};
use idv_tests::wire;
use idv_ureq::{Revision, SharedMemory};
use std::collections::BTreeMap;

const ID: &str = "order-1";

fn confirmed(memory: &SharedMemory) -> u32 {
    let sessions = memory.clone().load(None, 10).unwrap();
    sessions.iter().find(|session| &*session.id == ID).and_then(|session| session.confirmed).unwrap_or(0)
}

/// One run of a verification through accepted and declined. The store dies after so many writes; without a number it lives.
/// Returns how many writes a run without a death makes.
fn run(dies_after: Option<u64>) -> u64 {
    let memory = SharedMemory::default();
    let store = FaultyStore::over(&memory);
    let kept = store.clone();
    let mut world = World::with(config(1), rarely, move |builder| {
        builder.store(kept);
    });
    world
        .sandbox
        .create(idv_sandbox::Create::new(idv_sandbox::Product::Shufti).id(ID).scenario("quiet"))
        .unwrap();
    world.happen(Provider::Shufti, ID, &now(ACCEPTED).lost());
    if let Some(writes) = dies_after {
        store.die_after(writes);
    }
    world.application.driver.open(world.shufti, ID).unwrap();
    store.wait_until(|memory| confirmed(memory) >= 1);

    world.happen(Provider::Shufti, ID, &now(DECLINED).lost());
    let signal = signed(&format!(r#"{{"reference":"{ID}","event":"{CHANGED}"}}"#));
    let delivered = wire::send(world.address, &signal).status == 200;
    store.wait_until(|memory| confirmed(memory) >= 2 && memory.clone().unapplied(0, 10).unwrap().is_empty());
    let writes = store.writes();
    if dies_after.is_some() && !store.is_dead() {
        return writes;
    }

    // The process is gone: what it still does can no longer reach the store.
    let (confirmed_before, mut handed) = (confirmed(&memory), world.application.revisions());
    store.die_after(0);
    world.application.driver.stop();
    handed.extend(world.application.revisions());
    let sandbox_url = world.sandbox.shufti_url().to_owned();
    let (next, account) = idv_tests::driving::Application::start(|builder| {
        builder.store(memory.clone());
        let provider = crate::shufti_account(&sandbox_url);
        let rules = rarely(idv_tests::driving::quick(&provider));
        builder.account(idv_tests::driving::account(provider, &rules))
    });
    // The application opens what it wants to know; most times the driver knows it already.
    let _ = next.driver.open(account, ID);
    if !delivered {
        // The provider was not answered 200, so it comes again.
        let paths = [("/callbacks/shufti", account)];
        world.address = next.driver.listen("127.0.0.1:0".parse().unwrap(), &paths).unwrap();
        assert_eq!(wire::send(world.address, &signal).status, 200, "after {dies_after:?} writes");
    }
    let alive = FaultyStore::over(&memory);
    alive.wait_until(|memory| {
        let last = confirmed(memory);
        let declined =
            last >= 1 && last_verdict(&handed, &next.revisions_so_far()) == Some(Verdict::Declined);
        declined && memory.clone().unapplied(0, 10).unwrap().is_empty()
    });
    next.driver.stop();
    let again = next.revisions_so_far();

    // G1, G3: the truth came, in the provider's order. G2: a key never changes its meaning; what was confirmed is not repeated.
    let mut by_key: BTreeMap<u32, Verdict> = BTreeMap::new();
    for revision in handed.iter().chain(&again) {
        let verdict = by_key.entry(revision.number).or_insert(revision.verdict);
        assert_eq!(
            *verdict, revision.verdict,
            "after {dies_after:?} writes key {} changed its meaning",
            revision.number
        );
        assert!(!revision.body.is_empty() && revision.statement.is_ok(), "the body was lost: {revision:?}");
    }
    for revision in &again {
        assert!(revision.number > confirmed_before, "after {dies_after:?} writes, twice: {revision:?}");
    }
    let verdicts: Vec<_> = by_key.into_values().collect();
    let whole = [Verdict::Accepted, Verdict::Declined];
    assert!(verdicts == whole || verdicts == whole[1..], "after {dies_after:?} writes: {verdicts:?}");
    writes
}

fn last_verdict(before: &[Revision], after: &[Revision]) -> Option<Verdict> {
    before.iter().chain(after).max_by_key(|revision| revision.number).map(|revision| revision.verdict)
}

#[test]
fn g1_g2_g9_a_crash_at_any_write_loses_nothing_and_repeats_only_by_the_same_key() {
    let whole = run(None);
    assert!(whole >= 6, "{whole} writes");
    for writes in 0..=whole {
        run(Some(writes));
    }
}
