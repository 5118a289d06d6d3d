//! A fleet that is left to sleep until it wants to be woken does the same, at the same moments, as one that is looked at every
//! millisecond; and whatever happens, it stays polite (G7) and ends what it opened (G6).

use crate::world::{Event, TokenAnswer, World};
use idv_core::backoff::Backoff;
use idv_core::budget;
use idv_core::evidence::{Callback, ContentDigest, Fault, FaultKind, NotReady, Outcome, Report, Verdict};
use idv_core::fleet::{AccountPolicy, Action, At, DoorPolicy, FleetPolicy, Wake};
use idv_core::poller::{self, Class};
use idv_core::session::{EvidencePolicy, Policy};
use idv_core::time::{Instant, Span};
use idv_core::token;
use proptest::prelude::*;

const IDS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const PROVIDERS: [&str; 2] = ["shareid", "shufti"];

/// splitmix64: what the provider does is a function of what it is asked.
fn mix(seed: u64, what: impl IntoIterator<Item = u64>) -> u64 {
    what.into_iter().fold(seed, |state, word| {
        let mut bits = (state ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    })
}

fn report(bits: u64) -> Report {
    use Verdict::{Accepted, Cancelled, Declined, Deleted, ReviewPending};
    let verdict = match bits % 12 {
        0..=3 => Some(Accepted),
        4..=6 => Some(Declined),
        7 => Some(Cancelled),
        8 => Some(Deleted),
        9 | 10 => Some(ReviewPending),
        _ => None,
    };
    Report { verdict, content: ContentDigest(bits >> 8 & 1) }
}

fn fault(bits: u64) -> Fault {
    let kind = if bits & 1 == 0 { FaultKind::RateLimited } else { FaultKind::ServerError };
    let retry_after = (bits & 6 == 0).then(|| Span::millis((bits >> 8 & 127) as u32));
    Fault { kind, retry_after }
}

/// How much goes wrong, in per cent each.
#[derive(Clone, Copy, Debug)]
struct Mood {
    seed: u64,
    verdict: u64,
    refused: u64,
    failed: u64,
    token_refused: u64,
    lost: u64,
}

impl Mood {
    /// When the answer comes, if it does: mostly soon, sometimes about when it is given up or later.
    fn latency(self, bits: u64, patience: Span) -> Option<Span> {
        let patience = u64::from(patience.as_millis());
        match bits % 100 {
            lost if lost < self.lost => None,
            late if late < self.lost + 15 => {
                Some(Span::millis((patience + (bits >> 8) % 12).saturating_sub(4) as u32))
            }
            _ => Some(Span::millis(1 + (bits >> 8 & 7) as u32)),
        }
    }

    fn outcome(self, bits: u64) -> Outcome {
        let (verdict, refused, failed) =
            (self.verdict, self.verdict + self.refused, self.verdict + self.refused + self.failed);
        match bits % 100 {
            part if part < verdict => Outcome::Report(report(bits >> 8)),
            part if part < refused => Outcome::Refused,
            part if part < failed => Outcome::Failed(fault(bits >> 8)),
            _ => Outcome::NotReady(NotReady::Documented),
        }
    }

    fn token(self, bits: u64) -> TokenAnswer {
        match bits % 100 {
            part if part < self.token_refused => TokenAnswer::Refused,
            part if part < self.token_refused + self.failed => TokenAnswer::Failed(fault(bits >> 8)),
            _ => {
                TokenAnswer::Received((bits & 256 == 0).then(|| Span::millis(60 + (bits >> 9 & 255) as u32)))
            }
        }
    }

    fn answer(self, world: &World, action: Action) -> Option<(Instant, Event)> {
        match action {
            Action::Pull { key, op, account, generation, .. } => {
                let id = world.fleet.id(key).unwrap().as_bytes()[0];
                let bits = mix(self.seed, [1, id.into(), op.into()]);
                let patience = world.account_of(account).1.session.poller.patience();
                let outcome = self.outcome(mix(bits, [2]));
                let latency = self.latency(bits, patience)?;
                Some((world.now.after(latency), Event::Pulled { key, op, generation, outcome }))
            }
            Action::RequestToken { account, op, .. } => {
                let bits = mix(self.seed, [3, op.into()]);
                let answer = self.token(mix(bits, [4]));
                let latency = self.latency(bits, world.account_of(account).1.token.patience())?;
                Some((world.now.after(latency), Event::Token { account, op, answer }))
            }
            Action::HandOver { key, revision } => {
                let bits = mix(self.seed, [5, revision.number.into()]);
                let at = world.now.after(Span::millis(1 + (bits & 31) as u32));
                let revision = revision.number;
                Some(match bits >> 8 & 7 {
                    0 => (at, Event::DeadLettered { key, revision }),
                    _ => (at, Event::HandedOver { key, revision }),
                })
            }
            _ => None,
        }
    }
}

fn span(least: u32, most: u32) -> impl Strategy<Value = Span> {
    (least..=most).prop_map(Span::millis)
}

fn poller_policies() -> impl Strategy<Value = poller::Policy> {
    let some = |most| prop::option::of(span(1, most));
    let backoff = (span(1, 20), span(0, 100), 0..60_u8);
    (span(1, 30), span(0, 30), span(40, 400), (span(1, 20), span(1, 5), span(1, 30)), backoff, span(1, 80))
        .prop_flat_map(move |first| {
            (Just(first), (some(600), some(300)), [some(20), some(60), some(90), some(9)])
        })
        .prop_filter_map("a policy that the builder accepts", |(first, (watch, audit), rechecks)| {
            let (cadence, more, deadline, (timeout, lateness, wait), (from, to, jitter_percent), cap) = first;
            poller::Policy::builder(cadence, deadline)
                .interval(cadence.plus(more))
                .call_timeout(timeout)
                .lateness(lateness)
                .budget_wait(wait)
                .backoff(Backoff { first: from, most: from.plus(to), jitter_percent })
                .retry_after_cap(cap)
                .watch(watch)
                .audit(audit)
                .rechecks(rechecks)
                .build()
                .ok()
        })
}

fn token_policies() -> impl Strategy<Value = token::Policy> {
    let calls = (span(1, 20), span(1, 5), span(1, 20));
    (0..3_u8, span(60, 300), calls, span(1, 20), span(1, 80), 1..4_u8).prop_map(
        |(mode, ttl, (timeout, lateness, margin), first, renewal_gap, refusals)| {
            let builder = match mode {
                0 => return token::Policy::not_needed(),
                1 => token::Policy::reusable(ttl),
                _ => token::Policy::single_use(ttl),
            };
            builder
                .call_timeout(timeout)
                .lateness(lateness)
                .margin(margin)
                .backoff(Backoff { first, most: first.times(4), jitter_percent: 20 })
                .renewal_gap(renewal_gap)
                .refusals(refusals)
                .build()
                .unwrap()
        },
    )
}

/// Calls, window, and the rest of a door's policy.
type Limit = (u32, Span, DoorPolicy);

fn limits() -> impl Strategy<Value = Limit> {
    (1..10_u32, span(5, 200), 1..6_u32, span(1, 60)).prop_filter_map(
        "a policy that the builder accepts",
        |(calls, window, burst, after_refusal)| {
            let budget = budget::Policy::per_window(calls, window, burst).ok()?;
            Some((calls, window, DoorPolicy { budget, after_refusal }))
        },
    )
}

/// An account: its door, its provider, its rules.
type Terms = (usize, usize, token::Policy, poller::Policy, bool);

/// Something from outside: when, what, about whom.
type Happening = (u32, u8, usize, u64);

fn callback(bits: u64) -> Callback {
    match bits & 3 {
        0 => Callback::Signed(report(bits >> 8)),
        1 => Callback::SignedSignal,
        2 => Callback::Unsigned,
        _ => Callback::WrongSignature,
    }
}

fn play(
    limits: &[Limit],
    terms: &[Terms],
    happenings: &[Happening],
    mood: Mood,
    work: u32,
    tick: Option<Span>,
) -> World {
    play_from(Instant::from_millis(1_000), limits, terms, happenings, mood, work, tick)
}

fn play_from(
    began: Instant,
    limits: &[Limit],
    terms: &[Terms],
    happenings: &[Happening],
    mood: Mood,
    work: u32,
    tick: Option<Span>,
) -> World {
    let policy = FleetPolicy { tombstones: 2, ..FleetPolicy::default() };
    let mut world = World::at_time(policy, began);
    world.work = work;
    let doors: Vec<_> = limits.iter().map(|(.., policy)| world.door(*policy)).collect();
    let accounts: Vec<_> = terms
        .iter()
        .map(|(door, provider, token, poller, trusts)| {
            let evidence = if *trusts { EvidencePolicy::TrustSigned } else { EvidencePolicy::ConfirmByPull };
            let session = Policy { poller: *poller, evidence };
            let provider = PROVIDERS[*provider];
            world.account(doors[door % doors.len()], AccountPolicy { provider, token: *token, session })
        })
        .collect();
    for (at, what, whom, bits) in happenings {
        let account = accounts[whom % accounts.len()];
        let id = IDS[whom / accounts.len() % IDS.len()];
        let provider = world.account_of(account).1.provider;
        let event = match what {
            0..=5 => Event::Open { account, id, created: (bits & 15 == 0).then(|| report(bits >> 8)) },
            6..=9 => Event::Callback { provider, id, callback: callback(*bits) },
            10 => Event::Hint { account, id, class: Class::Confirming },
            11 => Event::Cancel { account, id },
            12 => Event::Gap,
            13 => Event::CredentialsReplaced { account },
            _ => Event::Take { door: doors[whom % doors.len()] },
        };
        world.post(began.after(Span::millis(*at)), event);
    }
    world.go(began.after(Span::millis(1_500)), tick, |world, action| mood.answer(world, action));
    world
}

fn moods() -> impl Strategy<Value = Mood> {
    (any::<u64>(), 0..60_u64, 0..15_u64, 0..25_u64, 0..30_u64, 0..15_u64).prop_map(
        |(seed, verdict, refused, failed, token_refused, lost)| Mood {
            seed,
            verdict,
            refused,
            failed,
            token_refused,
            lost,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn g8_the_same_happenings_bring_the_same_actions_whatever_the_clock_shows(
        limits in prop::collection::vec(limits(), 1..3),
        terms in prop::collection::vec((0..2_usize, 0..2_usize, token_policies(), poller_policies(), any::<bool>()), 1..4),
        happenings in prop::collection::vec((0..900_u32, 0..15_u8, 0..40_usize, any::<u64>()), 1..30),
        mood in moods(),
        work in prop_oneof![Just(1_u32), 2..6_u32, Just(1_000)],
        later in prop_oneof![Just(0), 1..u64::from(u32::MAX), Just(1 << 60)],
    ) {
        let actions = |began: u64| {
            let began = Instant::from_millis(began);
            let world = play_from(began, &limits, &terms, &happenings, mood, work, None);
            let after = |(at, action): &(Instant, Action)| (at.since(began), *action);
            world.log.iter().map(after).collect::<Vec<_>>()
        };
        prop_assert_eq!(actions(1_000), actions(1_000 + later));
    }

    #[test]
    fn g6_g7_sleeping_until_wake_loses_nothing_and_stays_polite(
        limits in prop::collection::vec(limits(), 1..3),
        terms in prop::collection::vec((0..2_usize, 0..2_usize, token_policies(), poller_policies(), any::<bool>()), 1..4),
        happenings in prop::collection::vec((0..900_u32, 0..15_u8, 0..40_usize, any::<u64>()), 1..30),
        mood in moods(),
        work in prop_oneof![Just(1_u32), 2..6_u32, Just(1_000)],
    ) {
        let mut asleep = play(&limits, &terms, &happenings, mood, work, None);
        let awake = play(&limits, &terms, &happenings, mood, 1_000, Some(Span::MIN));
        for (nth, (slept, looked)) in asleep.log.iter().zip(&awake.log).enumerate() {
            prop_assert_eq!(slept, looked, "action {} differs", nth);
        }
        prop_assert_eq!(asleep.log.len(), awake.log.len());
        for (door, (calls, window, _)) in asleep.doors.keys().zip(&limits) {
            prop_assert!(asleep.most_calls_within(*door, *window) <= *calls as usize, "R13: over budget");
        }
        // From now on all goes well: whoever is owed a pull gets it.
        let good = Mood { verdict: 100, refused: 0, failed: 0, token_refused: 0, lost: 0, ..mood };
        asleep.go(asleep.now.after(Span::secs(30)), None, |world, action| good.answer(world, action));
        asleep.nobody_was_forgotten();
    }

    #[test]
    fn g8_a_copy_of_a_fleet_on_another_clock_does_the_same(
        limits in prop::collection::vec(limits(), 1..3),
        terms in prop::collection::vec((0..2_usize, 0..2_usize, token_policies(), poller_policies(), any::<bool>()), 1..4),
        happenings in prop::collection::vec((0..900_u32, 0..15_u8, 0..40_usize, any::<u64>()), 1..30),
        mood in moods(),
        shift in 0..1_000_000_i64,
    ) {
        let world = play(&limits, &terms, &happenings, mood, 1_000, None);
        let (mut here, mut there, mut now) = (world.fleet.clone(), world.fleet, world.now);
        there.map_times(|at| at.shifted(shift));
        for _ in 0..50 {
            let (mut done, mut done_there) = (Vec::new(), Vec::new());
            let wake = here.run(At::new(now, 7), 1_000, &mut |action| done.push(action));
            let moved = At::new(now.shifted(shift), 7);
            let wake_there = there.run(moved, 1_000, &mut |action| done_there.push(action));
            prop_assert_eq!(done, done_there);
            let Wake::At(at) = wake else {
                prop_assert_eq!(wake, wake_there);
                break;
            };
            prop_assert_eq!(wake_there, Wake::At(at.shifted(shift)));
            now = at;
        }
        here.map_times(|at| at);
        there.map_times(|at| at.shifted(-shift));
        prop_assert_eq!(here, there);
    }
}
