//! Random traces of up to 64 inputs, of a fleet to whom anything may happen.

use crate::variants::Said;
use crate::world::{Dice, Log, PROVIDERS, World};
use idv_core::evidence::{Callback, ContentDigest, Fault, FaultKind, NotReady, Outcome, Report, Verdict};
use idv_core::fleet::trace::{Entry, Head, Input, Known, Recording, Redaction, Replay};
use idv_core::fleet::{FleetPolicy, Key, UnknownPolicy};
use idv_core::poller::Class;
use idv_core::rules::Rules;
use idv_core::session::{End, EvidencePolicy};
use idv_core::shareid::contract::RULES as SHAREID;
use idv_core::shufti::contract::RULES as SHUFTI;
use idv_core::time::{Instant, Span};
use idv_core::token::Mode;
use std::borrow::Cow;
use std::sync::{Arc, Mutex};

const IDS: [&str; 4] = ["v-1", "v-2", "v-3", ""];
const ALIASES: [&str; 2] = ["person", "v-2"];
const MOST_INPUTS: usize = 64;
const POLICY: FleetPolicy = FleetPolicy {
    sessions: 4,
    tombstones: 8,
    unknown: UnknownPolicy { count: 4, bytes: 4_000, age: Span::mins(5) },
};

/// How many traces: a few thousand, or what `IDV_TRACES` says.
fn traces() -> u64 {
    std::env::var("IDV_TRACES").map_or(2_000, |traces| traces.parse().expect("IDV_TRACES is a number"))
}

fn report(dice: &mut Dice) -> Report {
    let verdict = dice.one(&[
        None,
        Some(Verdict::Accepted),
        Some(Verdict::Accepted),
        Some(Verdict::Declined),
        Some(Verdict::Declined),
        Some(Verdict::Cancelled),
        Some(Verdict::TimedOut),
        Some(Verdict::ReviewPending),
        Some(Verdict::Deleted),
    ]);
    Report { verdict, content: ContentDigest(dice.below(3) as u64) }
}

fn fault(dice: &mut Dice) -> Fault {
    let kinds = [
        FaultKind::Unreachable,
        FaultKind::Tls,
        FaultKind::TimedOut,
        FaultKind::RateLimited,
        FaultKind::RateLimited,
        FaultKind::ServerError,
        FaultKind::Redirect,
        FaultKind::UnexpectedStatus,
        FaultKind::Truncated,
        FaultKind::Malformed,
        FaultKind::BadSignature,
    ];
    let retry_after = [None, None, Some(Span::secs(3)), Some(Span::mins(2))];
    Fault { kind: dice.one(&kinds), retry_after: dice.one(&retry_after) }
}

fn accounts(dice: &mut Dice) -> Vec<(&'static str, Rules)> {
    let evidence = dice.one(&[EvidencePolicy::ConfirmByPull, EvidencePolicy::TrustSigned]);
    let base = Rules {
        deadline: dice.one(&[Span::mins(75), Span::mins(75), Span::secs(40)]),
        watch: dice.one(&[None, None, Some(Span::hours(26)), Some(Span::mins(1))]),
        audit: dice.one(&[None, Some(Span::hours(24)), Some(Span::mins(20))]),
        calls: dice.one(&[6, 60, 600]),
        burst: 3,
        evidence,
        ..SHUFTI
    };
    let single = Rules { token_mode: Mode::SingleUse, ..base };
    let shareid = Rules {
        token_mode: Mode::Reusable,
        token_ttl: dice.one(&[Span::mins(10), Span::mins(3)]),
        ..SHAREID
    };
    match dice.below(4) {
        0 => vec![("shufti", base)],
        1 => vec![("shareid", shareid)],
        2 => vec![("shufti", single)],
        _ => vec![("shareid", shareid), ("shufti", base)],
    }
}

/// The next input, mostly one that makes sense.
fn input(world: &mut World) -> Input<'static> {
    let choice = world.dice.below(116);
    let place = world.dice.below(world.accounts.len());
    let (account, provider) = (world.account(place), world.accounts[place].0);
    let id = Cow::Borrowed(world.dice.one(&IDS));
    let keys: Vec<Key> = world.stored.keys().copied().collect();
    let key = if keys.is_empty() { None } else { Some(world.dice.one(&keys)) };
    let at = world.at();
    let run = Input::Run { at, work: world.dice.one(&[1, 2, 256, 256]) };
    match choice {
        0..28 => run,
        28..52 if !world.pulls.is_empty() => {
            let place = world.dice.below(world.pulls.len());
            let pull = world.pulls.swap_remove(place);
            let id = world.replay.fleet().id(pull.key).unwrap_or_default().to_owned();
            let now = world.truth.get(&id).copied();
            let truth = if world.dice.below(2) == 0 { now } else { pull.truth };
            let outcome = match world.dice.below(10) {
                0 => Outcome::Failed(fault(&mut world.dice)),
                1 => Outcome::Refused,
                2 => Outcome::NotReady(world.dice.one(&[
                    NotReady::Documented,
                    NotReady::NotFound,
                    NotReady::Invalid,
                ])),
                _ => truth.map_or(Outcome::NotReady(NotReady::Documented), Outcome::Report),
            };
            Input::Pulled { at, key: pull.key, op: pull.op, generation: pull.generation, outcome }
        }
        28..60 if !world.tokens.is_empty() => {
            let place = world.dice.below(world.tokens.len());
            let (account, op) = world.tokens.swap_remove(place);
            match world.dice.below(8) {
                refused if refused < world.refuses => Input::TokenRefused { at, account, op },
                6 => Input::TokenFailed { at, account, op, fault: fault(&mut world.dice) },
                7 => Input::TokenReceived { at, account, op, ttl: Some(Span::mins(2)) },
                _ => Input::TokenReceived { at, account, op, ttl: None },
            }
        }
        60..68 if !world.hand_overs.is_empty() => {
            let place = world.dice.below(world.hand_overs.len());
            let (key, revision) = world.hand_overs.swap_remove(place);
            match world.dice.below(6) {
                0 => Input::DeadLettered { at, key, revision },
                1 => Input::HandedOver { at, key, revision: revision + 1 },
                _ => Input::HandedOver { at, key, revision },
            }
        }
        68..76 => {
            let created = (world.dice.below(5) == 0).then(|| report(&mut world.dice));
            let account = if world.dice.below(20) == 0 { world.account(9) } else { account };
            Input::Open { at, account, id, created }
        }
        76..86 => {
            let id = if world.dice.below(4) == 0 { Cow::Borrowed(ALIASES[0]) } else { id };
            // What is signed is the provider's own word, however old.
            let truth = world.truth.get(&*id).copied();
            let callback = match (world.dice.below(4), truth) {
                (0, Some(report)) => Callback::Signed(report),
                (1, _) => world.dice.one(&[Callback::SignedSignal, Callback::SignedHint]),
                (2, _) => Callback::WrongSignature,
                _ => Callback::Unsigned,
            };
            Input::Callback {
                at,
                provider: provider.into(),
                id,
                callback,
                bytes: world.dice.below(2_000) as u32,
            }
        }
        86 => Input::ListeningHadAGap,
        87 => Input::CredentialsReplaced { at, account },
        88 if world.dice.below(2) == 0 => {
            let outcome = if world.dice.below(2) == 0 {
                Outcome::Refused
            } else {
                Outcome::Failed(fault(&mut world.dice))
            };
            Input::Heed { at, account, generation: world.dice.below(3) as u32, outcome }
        }
        // Somebody calls beside the fleet, now and then through a door that is not there.
        107 => {
            let door = world.dice.below(world.accounts.len() + 1) % 3;
            Input::Take { at, door: serde_json::from_str(&door.to_string()).unwrap() }
        }
        88 => Input::TokenReceived { at, account, op: world.dice.below(4) as u32, ttl: None },
        _ => {
            let Some(key) = key else { return run };
            match choice {
                89 => Input::Hint {
                    at,
                    key,
                    class: world.dice.one(&[Class::Confirming, Class::Routine, Class::Audit]),
                },
                90 => Input::Cancel { at, key },
                91..93 => Input::Forget { key },
                93..96 => Input::LearnAlias { at, key, alias: world.dice.one(&ALIASES).into() },
                96 => Input::HandedOver { at, key, revision: world.dice.below(4) as u32 },
                97 => Input::Pulled {
                    at,
                    key,
                    op: world.dice.below(6) as u32,
                    generation: world.dice.below(3) as u32,
                    outcome: Outcome::Refused,
                },
                98 => {
                    let kept = &world.stored[&key];
                    let (session, version) = (kept.session, kept.version);
                    Input::Restore { at, account, stored: Known { id, alias: None, session, version } }
                }
                99 | 108.. => {
                    let kept = world.stored[&key].clone();
                    let id = kept.id.into();
                    let stored = Known { id, alias: None, session: kept.session, version: kept.version };
                    Input::Replace { at, key, stored }
                }
                // Its save is owed, and done.
                100..=103 => Input::Hold { key },
                104..=106 => Input::Release { key },
                // What it would have been about is not there.
                _ => run,
            }
        }
    }
}

/// Time, and what the provider thinks, move on; or back.
fn pass(world: &mut World) {
    let millis = match world.dice.below(12) {
        0..3 => 0,
        3..6 => world.dice.below(50),
        6..9 => world.dice.below(6_000),
        9..11 => world.dice.below(30_000),
        _ => world.dice.below(700_000),
    };
    world.now = world.now.shifted(millis as i64);
    if world.dice.below(40) == 0 {
        world.now = world.now.before_millis(5_000);
    }
    if world.dice.below(5) == 0 {
        let id = world.dice.one(&IDS).to_owned();
        let report = report(&mut world.dice);
        // Nothing follows a deletion.
        let before = world.truth.entry(id).or_insert(report);
        if before.verdict != Some(Verdict::Deleted) {
            *before = report;
        }
    }
}

/// The trace through its text form, ids redacted or not, against a fleet of its own.
fn g8_replays(seed: u64, entries: &[Entry<'static>], policy: FleetPolicy) {
    let text = Arc::new(Mutex::new(String::new()));
    let redaction =
        if seed.is_multiple_of(2) { Redaction::plain_ids() } else { Redaction::keyed_digests([7; 32]) };
    let mut recording = Recording::new(redaction, seed, {
        let text = Arc::clone(&text);
        move |line| text.lock().unwrap().push_str(line)
    });
    recording.head(policy);
    for entry in entries {
        recording.entry(entry.clone());
    }
    let text = text.lock().unwrap();
    let mut lines = text.lines();
    let head = Head::read(lines.next().unwrap()).unwrap();
    let mut replay = Replay::new(&head, &PROVIDERS);
    for line in lines {
        let entry = Entry::read(line).unwrap();
        let difference = replay.step(&entry).unwrap();
        assert_eq!(difference, None, "g8: seed {seed}: {line}");
    }
}

/// What is handed over from here on, by verification, once everybody behaves and the provider's truth stays.
fn rest(world: &mut World) {
    world.entries = None;
    for key in world.stored.keys().copied().collect::<Vec<_>>() {
        world.feed(Input::Release { key });
    }
    world.feed(Input::ListeningHadAGap);
    // Who never heard the application's word offers the revision again.
    let fleet = world.replay.fleet();
    let awaited =
        |key: &Key| fleet.session(*key)?.awaiting_hand_over().map(|revision| (*key, revision.number));
    world.hand_overs = world.stored.keys().filter_map(awaited).collect();
    let end = world.now.after(Span::hours(1));
    world.go(end);
}

/// How often a resumed fleet handed over what the other did, and how often one of them had ended before.
#[derive(Default)]
struct Resumed {
    points: u64,
    alike: u64,
    revisions: u64,
    said: Said,
}

/// The process dies here. The next one makes of what was saved last what this one would have made.
fn g9_resumes(seed: u64, at: usize, world: &World, resumed: &mut Resumed) {
    let mut here = world.clone();
    for id in IDS {
        // Somebody decides, and stays with it.
        let truth =
            here.truth.entry(id.to_owned()).or_insert(Report { verdict: None, content: ContentDigest(9) });
        if truth.verdict.is_none_or(|verdict| !verdict.settles()) {
            *truth = Report { verdict: Some(Verdict::Accepted), content: ContentDigest(9) };
        }
    }
    let downtime = Span::millis(1 + (seed % 60_000) as u32);
    let mut there = here.crashed(downtime);
    let none = Log::new();
    let logs: Vec<(Key, Key, Log)> = here
        .stored
        .iter()
        .map(|(key, kept)| {
            let log = here.logs.get(key).unwrap_or(&none).clone();
            (*key, there.find(kept.account, &kept.id).expect("g9: it was restored"), log)
        })
        .collect();
    for (_, there_key, before) in &logs {
        // What was asked for again at once is in its log already.
        let again = there.logs.remove(there_key).unwrap_or_default();
        let awaited =
            there.replay.fleet().session(*there_key).and_then(|session| session.awaiting_hand_over());
        let mut log = before.clone();
        for (number, said) in again {
            assert_eq!(awaited.map(|revision| revision.number), Some(number), "g2: seed {seed} at {at}");
            let known = *log.entry(number).or_insert(said);
            assert_eq!(known, said, "g2: seed {seed} at {at}: revision {number} was something else");
        }
        there.logs.insert(*there_key, log);
    }
    rest(&mut here);
    rest(&mut there);
    for (here_key, there_key, before) in logs {
        let ended = |world: &World, key: Key| {
            let end = world.replay.fleet().session(key).and_then(idv_core::session::Session::end);
            end.or(world.ends.get(&key).copied())
        };
        let (ours, theirs) =
            (here.logs.get(&here_key).unwrap_or(&none), there.logs.get(&there_key).unwrap_or(&none));
        let context = || {
            format!(
                "g9: seed {seed} at {at}: before {before:?}, without a crash {ours:?}, ended {:?}; after it {theirs:?}, ended {:?}",
                ended(&here, here_key),
                ended(&there, there_key),
            )
        };
        resumed.points += 1;
        resumed.revisions += theirs.len() as u64 - before.len() as u64;
        assert!(before.iter().all(|(number, said)| theirs.get(number) == Some(said)), "{}", context());
        if ours == theirs {
            resumed.alike += 1;
            continue;
        }
        // Whoever ran out of time or credentials saw less, never anything else. An end that a callback took back for a while counts: that
        // while is over sooner or later.
        let over = |end: Option<End>| end.is_some();
        let within = |few: &Log, many: &Log| few.iter().all(|(number, said)| many.get(number) == Some(said));
        let explained = (over(ended(&here, here_key)) && within(ours, theirs))
            || (over(ended(&there, there_key)) && within(theirs, ours));
        assert!(explained, "{}", context());
    }
}

/// A random trace, looked at after every input.
pub(crate) fn each_state(seed: u64, look: &mut dyn FnMut(&World)) -> World {
    let mut dice = Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let accounts = accounts(&mut dice);
    let mut world = World::new(POLICY, &accounts, dice.roll());
    world.now = Instant::from_millis(1 + dice.roll() % 100_000_000);
    world.refuses = dice.one(&[1, 1, 1, 6]);
    for _ in 0..1 + dice.below(MOST_INPUTS) {
        pass(&mut world);
        let input = input(&mut world);
        world.feed(input);
        // Without what was recorded, which nobody needs there.
        let entries = world.entries.take();
        look(&world);
        world.entries = entries;
    }
    world
}

#[test]
fn a_save_that_is_lost_is_noticed() {
    let noticed = (0..200).any(|seed| {
        let lost = std::panic::catch_unwind(|| {
            each_state(seed, &mut |world| {
                let mut world = world.clone();
                // The store has of each session what was saved before the last time.
                let before = std::mem::take(&mut world.stored_before);
                world.stored.retain(|key, _| before.contains_key(key));
                for (key, kept) in before {
                    world.stored.entry(key).and_modify(|stored| *stored = kept);
                }
                g9_resumes(seed, 0, &world, &mut Resumed::default());
            })
        });
        lost.is_err()
    });
    assert!(noticed, "the comparison is about nothing");
}

fn trace(seed: u64, resumed: &mut Resumed) {
    let mut at = 0;
    let world = each_state(seed, &mut |world| {
        g9_resumes(seed, at, world, resumed);
        at += 1;
    });
    let entries = world.entries.unwrap();
    entries.iter().for_each(|entry| resumed.said.note(entry));
    g8_replays(seed, &entries, POLICY);
}

#[test]
fn g8_g9_random_traces_replay_identically_and_resume_to_the_same_hand_overs_from_every_point() {
    let traces = traces();
    let begun = std::time::Instant::now();
    let workers = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let all = std::thread::scope(|scope| {
        let running: Vec<_> = (0..workers)
            .map(|worker| {
                scope.spawn(move || {
                    let mut resumed = Resumed::default();
                    (worker..traces).step_by(workers as usize).for_each(|seed| trace(seed, &mut resumed));
                    resumed
                })
            })
            .collect();
        running.into_iter().map(|worker| worker.join().unwrap()).fold(Resumed::default(), |mut sum, one| {
            sum.points += one.points;
            sum.alike += one.alike;
            sum.revisions += one.revisions;
            sum.said.and(one.said);
            sum
        })
    });
    let Resumed { points, alike, revisions, said } = all;
    println!(
        "{traces} traces replayed; {points} sessions resumed, {revisions} revisions handed over after that, {} ended before the other; \
         {:.1} s",
        points - alike,
        begun.elapsed().as_secs_f64()
    );
    assert_eq!(said.lacks(), [""; 0], "random traces never say these");
    // The comparison is about something.
    assert!(points > traces && revisions > traces && (points - alike) * 5 < points);
}
