//! Whatever the order in which tasks complete, saves fail and processes die: nothing is lost, nothing comes twice, nothing is started
//! before it is saved (G1, G2, G3, G7, G9).

use crate::fake::Fake;
use crate::world::{Asked, Given, Mood, World, says};
use idv_core::engine::{Event, Opening, Policy};
use idv_core::fleet::FleetPolicy;
use idv_core::time::{Instant, Span};
use idv_core::token::Mode;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const IDS: [&str; 3] = ["ab-1", "ab-2", "ab-3"];
const VERDICTS: [&str; 4] = ["accepted", "declined", "review", "deleted"];

#[derive(Clone, Debug)]
enum Op {
    Open(usize),
    /// The provider makes up its mind.
    Truth(usize, usize),
    /// A callback about what it says now, or what it said, or what somebody made up.
    Callback {
        id: usize,
        verdict: usize,
        signature: Option<&'static str>,
    },
    /// One thing that was asked for is done.
    Do(usize),
    /// A call ends otherwise.
    Fail(usize),
    /// A hand-over is not taken.
    Refuse(usize),
    Mood(Mood),
    Pass(u32),
    Cancel(usize),
    Forget(usize),
    Crash,
    /// The same, and the store has yet to do the saves that it was asked for.
    CrashWhileSaving,
    /// It does one of them, whoever has read it meanwhile.
    LateSave,
}

fn op() -> impl Strategy<Value = Op> {
    let id = 0..IDS.len();
    let verdict = 0..VERDICTS.len();
    prop_oneof![
        3 => id.clone().prop_map(Op::Open),
        2 => (id.clone(), verdict.clone()).prop_map(|(id, verdict)| Op::Truth(id, verdict)),
        3 => (id.clone(), verdict, prop_oneof![Just(Some("good")), Just(None), Just(Some("forged"))])
            .prop_map(|(id, verdict, signature)| Op::Callback { id, verdict, signature }),
        24 => any::<prop::sample::Index>().prop_map(|place| Op::Do(place.index(64))),
        2 => any::<prop::sample::Index>().prop_map(|place| Op::Fail(place.index(64))),
        1 => any::<prop::sample::Index>().prop_map(|place| Op::Refuse(place.index(64))),
        2 => prop_oneof![2 => Just(Mood::Willing), 1 => Just(Mood::Refusing), 1 => Just(Mood::Lying)].prop_map(Op::Mood),
        5 => prop_oneof![1..1_500_u32, 4_000..40_000_u32].prop_map(Op::Pass),
        1 => id.clone().prop_map(Op::Cancel),
        1 => id.prop_map(Op::Forget),
        1 => Just(Op::Crash),
        1 => Just(Op::CrashWhileSaving),
        2 => Just(Op::LateSave),
    ]
}

/// What must always hold, checked as things happen.
#[derive(Default)]
struct Watch {
    /// Numbers that are confirmed in the store never come again.
    confirmed: BTreeMap<String, u32>,
    /// One key has one meaning.
    meanings: BTreeMap<(String, u32), Given>,
    seen: usize,
    given: usize,
}

/// The provider's own words stand behind a revision, and it refers to recorded callbacks that say the same (R17).
fn whole(world: &World, given: &Given) {
    let word = given.verdict.as_str().split('_').next().unwrap();
    let said = says(&given.id, word);
    assert_eq!(String::from_utf8_lossy(&given.body), said, "#{} of {}", given.number, given.id);
    let memory = world.store.memory.borrow();
    let refers_to: Vec<_> =
        given.callbacks.iter().map(|position| &memory.record(*position).unwrap().body).collect();
    assert!(refers_to.iter().all(|body| ***body == *said.as_bytes()), "{given:?} refers to {refers_to:?}");
    assert!(given.callbacks.len() <= 1, "{given:?} refers to one callback twice");
}

/// What each pull carried (R14).
fn carried(world: &World, tokens: Mode) {
    let pulls = world.requests.iter().filter(|(url, _)| url.ends_with("/pull"));
    let carried: Vec<_> = pulls.map(|(_, carried)| carried.as_deref()).collect();
    let different: BTreeSet<_> = carried.iter().collect();
    match tokens {
        Mode::NotNeeded => assert!(carried.iter().all(Option::is_none), "{carried:?}"),
        Mode::Reusable => assert!(carried.iter().all(Option::is_some), "{carried:?}"),
        Mode::SingleUse => {
            assert!(carried.iter().all(Option::is_some), "{carried:?}");
            assert_eq!(
                different.len(),
                carried.len(),
                "a token for one pull was carried by two: {carried:?}"
            );
        }
    }
}

impl Watch {
    /// Looks at everything that is asked for at the moment.
    fn asked(&self, world: &World) {
        let mut pulled = Vec::new();
        let mut saves = Vec::new();
        let mut tokens = 0;
        for asked in &world.asked {
            match asked {
                Asked::Call(call) => match call.id() {
                    Some(id) => {
                        assert!(world.store.session(id).is_some(), "{id} is pulled and not saved");
                        // A call that outlived its time is not waited for.
                        if call.until() > Instant::from_millis(world.now) {
                            assert!(!pulled.contains(&id), "two pulls of {id} at once");
                            pulled.push(id);
                        }
                    }
                    None if call.until() > Instant::from_millis(world.now) => tokens += 1,
                    None => {}
                },
                Asked::Store(task) => {
                    let text = format!("{task:?}");
                    if let Some(save) = text.strip_prefix("Save(") {
                        let id = save.split([' ', ',']).nth(1).unwrap().to_owned();
                        assert!(!saves.contains(&id), "two saves of {id} at once");
                        saves.push(id);
                    }
                }
                Asked::HandOver(_) => {}
            }
        }
        assert!(tokens <= 1, "two token requests at once");
    }

    /// Looks at what was asked for just now.
    fn fresh(&mut self, world: &World) {
        for asked in world.asked.iter().skip(self.seen) {
            if let Asked::HandOver(hand_over) = asked {
                let (_, id, number) = hand_over.key();
                let (_, session) = world.store.session(id).unwrap();
                let (saved, ..) = session.last_revision().unwrap();
                assert!(saved >= number, "{id} #{number} is handed over and not saved");
                let confirmed = self.confirmed.get(id).copied().unwrap_or(0);
                assert!(
                    number > confirmed,
                    "{id} #{number} is handed over although #{confirmed} is confirmed"
                );
            }
        }
        self.seen = world.asked.len();
        for id in IDS {
            self.confirmed.insert(id.to_owned(), world.store.confirmed(id));
        }
        for given in &world.given {
            let meaning =
                self.meanings.entry((given.id.clone(), given.number)).or_insert_with(|| given.clone());
            assert_eq!(
                (meaning.verdict, &meaning.body),
                (given.verdict, &given.body),
                "one key, two meanings"
            );
        }
        for given in &world.given[self.given..] {
            whole(world, given);
        }
        self.given = world.given.len();
        self.asked(world);
    }
}

fn play(fake: Fake, tombstones: u32, ops: &[Op], later: u64) -> World {
    let policy = Policy { fleet: FleetPolicy { tombstones, ..FleetPolicy::default() }, ..Policy::default() };
    let mut world = World::with(fake, policy);
    world.now += later;
    let mut watch = Watch::default();
    let mut wanted: BTreeMap<&str, bool> = BTreeMap::new();
    let mut late: VecDeque<Asked> = VecDeque::new();
    for op in ops {
        let before = world.asked.len();
        match *op {
            Op::Open(id) => {
                let _ = world.open(IDS[id]);
                wanted.insert(IDS[id], true);
            }
            Op::Truth(id, verdict) => {
                // Nothing follows a deletion.
                let now = world.truth.get(IDS[id]);
                if now.is_none_or(|now| !now.contains("deleted")) {
                    world.truth.insert(IDS[id].to_owned(), says(IDS[id], VERDICTS[verdict]));
                }
            }
            Op::Callback { id, verdict, signature } => {
                world.callback(signature, &says(IDS[id], VERDICTS[verdict]));
            }
            Op::Do(place) if before > 0 => {
                watch.seen = watch.seen.saturating_sub(1);
                world.do_one(place % before);
            }
            Op::Fail(place) | Op::Refuse(place) if before > 0 => {
                watch.seen = watch.seen.saturating_sub(1);
                match world.asked.remove(place % before) {
                    Asked::Call(call) => world.fail(call),
                    Asked::HandOver(hand_over) => world.give(hand_over, false),
                    Asked::Store(task) => world.complete(task.failed("no thread".to_owned())),
                }
            }
            Op::Do(_) | Op::Fail(_) | Op::Refuse(_) => {}
            Op::Mood(mood) => world.store.set(mood),
            Op::Pass(millis) => world.pass(Span::millis(millis)),
            Op::Cancel(id) => {
                if let Some(key) = world.engine.find("fake", IDS[id]) {
                    world.tell(|engine, moment, out| engine.cancel(moment, key, out));
                    wanted.insert(IDS[id], false);
                }
            }
            Op::Forget(id) => {
                if let Some(key) = world.engine.find("fake", IDS[id]) {
                    let _ = world.engine.forget(key);
                }
            }
            Op::Crash => {
                watch.seen = 0;
                world.crash();
            }
            Op::CrashWhileSaving => {
                watch.seen = 0;
                // Not the first of a verification, nor of one that had ended: the next process does not know those, and is told so where
                // the application opens them.
                let store = world.store.clone();
                let saves = |asked: &mut Asked| match asked {
                    Asked::Store(task) => {
                        let text = format!("{task:?}");
                        let id = text.strip_prefix("Save(fake ").and_then(|rest| rest.split(',').next());
                        id.and_then(|id| store.session(id)).is_some_and(|(_, session)| !session.is_over())
                    }
                    _ => false,
                };
                late.extend(world.asked.extract_if(.., saves));
                world.crash();
            }
            Op::LateSave => {
                if let Some(Asked::Store(task)) = late.pop_front() {
                    let _ = task.perform(&mut world.store.clone());
                }
            }
        }
        watch.fresh(&world);
        world.run();
        watch.fresh(&world);
    }
    end_well(&mut world, &wanted, &mut watch);
    carried(&world, fake.tokens);
    world
}

/// From now on everything works. What the provider says in the end reaches the application.
fn end_well(world: &mut World, wanted: &BTreeMap<&str, bool>, watch: &mut Watch) {
    world.store.set(Mood::Willing);
    // An opening that was not saved before a crash is the application's to repeat; so is one that it cancelled.
    for (id, wanted) in wanted {
        if *wanted {
            let _ = world.open(id);
        }
        if !world.truth.contains_key(*id) {
            world.truth.insert((*id).to_owned(), says(id, "accepted"));
        }
    }
    // It announces its last change; the announcement comes whenever it may.
    for id in wanted.keys() {
        world.callback(Some("good"), &format!("id={id}"));
    }
    world.settle_for(Span::mins(40));
    assert!(world.engine.is_finished());
    watch.seen = world.asked.len();
    watch.fresh(world);
    for position in world.store.unapplied() {
        let record = world.store.memory.borrow().record(position).unwrap().clone();
        let named = world.engine.find("fake", record.id.as_deref().unwrap());
        assert_eq!(named, None, "{position} was recorded for it and is not applied");
    }
    for (id, wanted) in wanted {
        let Some((saved, session)) = world.store.session(id) else {
            assert!(!wanted, "{id} was opened, and is not stored");
            continue;
        };
        assert!(session.awaiting_hand_over().is_none_or(|revision| saved.confirmed >= Some(revision.number)));
        assert_eq!(saved.issued, None, "G10: {id} has no use for a body any more");
        if *wanted && session.end().is_none_or(|end| end == idv_core::session::End::Deleted) {
            let (_, verdict, _) = session.last_revision().unwrap();
            let truth = &world.truth[*id];
            assert!(
                truth.ends_with(verdict.as_str().split('_').next().unwrap()),
                "{id}: {verdict} is not {truth}"
            );
        }
    }
    let numbers = |id: &str| {
        let mut numbers: Vec<u32> = world.numbers(id).into_iter().map(|(number, _)| number).collect();
        numbers.dedup();
        numbers
    };
    for id in IDS {
        let numbers = numbers(id);
        assert!(numbers.is_sorted(), "{id}: {numbers:?}");
    }
    assert!(watch.meanings.len() <= world.given.len());
    // There is one process at a time: nothing is ever another's.
    assert_eq!(world.told(|event| matches!(event, Event::TakenOver { .. })), 0);
    assert!(world.opened.iter().all(|opened| opened.opening != Opening::Elsewhere));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn g1_g2_g9_any_interleaving_of_completions_failing_saves_and_crashes(
        fake in prop_oneof![Just(Fake::PLAIN), Just(Fake::REUSING), Just(Fake::SPENDING)],
        tombstones in 0..3_u32,
        ops in prop::collection::vec(op(), 1..150),
    ) {
        play(fake, tombstones, &ops, 0);
    }
}

proptest! {
    #[test]
    fn g8_the_same_happenings_bring_the_same_calls_and_events_whatever_the_clock_shows(
        fake in prop_oneof![Just(Fake::PLAIN), Just(Fake::REUSING), Just(Fake::SPENDING)],
        tombstones in 0..3_u32,
        ops in prop::collection::vec(op(), 1..100),
        later in prop_oneof![Just(0), 1..1_u64 << 40],
    ) {
        let (world, again) = (play(fake, tombstones, &ops, 0), play(fake, tombstones, &ops, later));
        prop_assert_eq!(&world.requests, &again.requests);
        prop_assert_eq!(&world.given, &again.given);
        prop_assert_eq!(format!("{:?}", world.events), format!("{:?}", again.events));
    }
}

/// A save that a dead process had under way came late, and the session was read from the store again; what was being handed over at the
/// time was confirmed before the save that followed.
#[test]
fn g2_what_is_confirmed_while_its_session_is_read_anew_is_not_handed_over_again() {
    use Op::{Callback, CrashWhileSaving, Do, LateSave, Open, Pass, Truth};
    let callback = Callback { id: 2, verdict: 3, signature: Some("good") };
    let settled = [Open(2), Do(0), Truth(2, 0), Do(0), Do(0), Do(0)];
    let crash = [callback, CrashWhileSaving, LateSave];
    // The save, which conflicts; what the store has; the hand-over; its confirmation; and then the next save.
    let then = [Do(1), Do(1), Do(0), Do(1), Do(0)];
    play(Fake::PLAIN, 0, &[&settled[..], &crash[..], &then[..], &[Pass(1)]].concat(), 0);
}
