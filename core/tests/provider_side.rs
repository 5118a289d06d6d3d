//! The client's machines against the provider's own rules: what we believe allowed is never refused there.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use idv_core::backoff::Backoff;
use idv_core::budget::{self, Budget, Window};
use idv_core::machine::{Cx, Machine, Next};
use idv_core::time::{Instant, Span};
use idv_core::token::{Action, Input, Issued, Mode, Policy, Standing, Token};
use proptest::prelude::*;
use std::collections::BTreeMap;

const TTL: Span = Span::millis(1_000);
const MARGIN: Span = Span::millis(200);
const PATIENCE: u64 = 100;
const BACKOFF: Backoff = Backoff { first: Span::millis(10), most: Span::millis(50), jitter_percent: 50 };

fn policy(mode: Mode) -> Policy {
    let builder = match mode {
        Mode::Reusable => Policy::reusable(TTL),
        Mode::SingleUse => Policy::single_use(TTL),
        Mode::NotNeeded => return Policy::not_needed(),
    };
    let patient = builder.call_timeout(Span::millis(80)).lateness(Span::millis(20));
    patient.margin(MARGIN).backoff(BACKOFF).renewal_gap(Span::millis(50)).build().unwrap()
}

/// What the user of the token does next.
#[derive(Clone, Copy, Debug)]
enum Move {
    /// Pulls, or asks for a token where there is none. The call is this long on its way, in per cent of what is allowed.
    Pull(u64),
    /// The provider ends all tokens.
    Revoke,
}

/// What is on its way.
#[derive(Clone, Copy, Debug)]
enum Arrival {
    Request(u32),
    Answer(u32),
    Pull(u32),
    Refusal(u32),
}

#[derive(Clone, Copy, Debug)]
struct Network {
    /// How much faster than ours the provider's clock goes, per mille.
    drift: u64,
    /// How far it is ahead of ours.
    ahead: u64,
}

impl Network {
    fn at_provider(self, now: u64) -> Instant {
        Instant::from_millis(self.ahead + now * (1_000 + self.drift) / 1_000)
    }

    /// The longest way that the margin covers beside the clocks' drift.
    fn longest_way(self) -> u64 {
        u64::from(MARGIN.as_millis()) - (u64::from(TTL.as_millis()) * self.drift).div_ceil(1_000)
    }
}

/// A client and a provider that talk over a slow network.
struct World {
    policy: Policy,
    network: Network,
    now: u64,
    entropy: u32,
    client: Token,
    wake: Option<Instant>,
    issued: BTreeMap<u32, Issued>,
    revoked: Vec<u32>,
    on_the_way: BTreeMap<(u64, usize), Arrival>,
    sent: usize,
    /// How long token requests and their answers take.
    ways: (u64, u64),
    presented: u32,
}

impl World {
    fn new(mode: Mode, network: Network, ways: (u64, u64)) -> Self {
        Self {
            policy: policy(mode),
            network,
            now: 1_000,
            entropy: 0,
            client: Token::new(),
            wake: None,
            issued: BTreeMap::new(),
            revoked: Vec::new(),
            on_the_way: BTreeMap::new(),
            sent: 0,
            ways,
            presented: 0,
        }
    }

    fn send(&mut self, way: u64, arrival: Arrival) {
        self.sent += 1;
        self.on_the_way.insert((self.now + way, self.sent), arrival);
    }

    fn step(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            self.entropy = self.entropy.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let now = Instant::from_millis(self.now);
            let step = self.client.step(Cx::new(now, &self.policy, self.entropy), input);
            self.wake = match step.next {
                Next::At(at) => Some(at),
                Next::Input | Next::Over => None,
            };
            for action in step.actions {
                match action {
                    Action::Ask => inputs.push(Input::Granted),
                    Action::Request { op, .. } => self.send(self.ways.0, Arrival::Request(op)),
                    Action::Ready { .. } | Action::Refused => {}
                }
            }
        }
    }

    /// Lets `ahead` milliseconds pass, with everything that is due meanwhile.
    fn pass(&mut self, ahead: u64) -> Result<(), TestCaseError> {
        let end = self.now + ahead;
        loop {
            let arrival = self.on_the_way.first_key_value().map(|(key, _)| *key);
            let wake = self.wake.map(Instant::as_millis);
            let next = [arrival.map(|(at, _)| at), wake].into_iter().flatten().min();
            let Some(at) = next.filter(|at| *at <= end) else { break };
            self.now = at;
            if wake == Some(at) {
                self.step(Input::Tick);
            } else if let Some(arrival) = self.on_the_way.remove(&arrival.unwrap()) {
                self.arrives(arrival)?;
            }
        }
        self.now = end;
        Ok(())
    }

    fn arrives(&mut self, arrival: Arrival) -> Result<(), TestCaseError> {
        let there = self.network.at_provider(self.now);
        match arrival {
            Arrival::Request(op) => {
                let token = match self.policy.mode() {
                    Mode::SingleUse => Issued::single_use(there, TTL),
                    Mode::Reusable | Mode::NotNeeded => Issued::reusable(there, TTL),
                };
                self.issued.insert(op, token);
                self.send(self.ways.1, Arrival::Answer(op));
            }
            Arrival::Answer(op) => self.step(Input::Received { op, ttl: None }),
            Arrival::Pull(generation) => {
                let token = self.issued.get_mut(&generation).unwrap();
                self.presented += 1;
                let (first, second) = (token.present(there), token.present(there));
                if self.revoked.contains(&generation) {
                    prop_assert_eq!(first, Standing::Revoked);
                    self.send(1, Arrival::Refusal(generation));
                } else {
                    prop_assert_eq!(first, Standing::Valid, "at {:?}", there);
                    let again = match self.policy.mode() {
                        Mode::SingleUse => Standing::Used,
                        Mode::Reusable | Mode::NotNeeded => Standing::Valid,
                    };
                    prop_assert_eq!(second, again);
                }
            }
            Arrival::Refusal(generation) => self.step(Input::Rejected { generation }),
        }
        Ok(())
    }

    fn make(&mut self, step: Move) {
        match step {
            Move::Pull(percent) => match self.client.usable(&self.policy, Instant::from_millis(self.now)) {
                Some(generation) => {
                    self.send(self.network.longest_way() * percent / 100, Arrival::Pull(generation));
                    self.step(Input::Taken { generation });
                }
                None => self.step(Input::Wanted),
            },
            Move::Revoke => {
                let there = self.network.at_provider(self.now);
                for (generation, token) in &mut self.issued {
                    if token.standing(there) != Standing::Expired {
                        token.revoke(there);
                        self.revoked.push(*generation);
                    }
                }
            }
        }
    }
}

fn network() -> impl Strategy<Value = Network> {
    (0..150_u64, 0..1_000_000_u64).prop_map(|(drift, ahead)| Network { drift, ahead })
}

fn moves() -> impl Strategy<Value = Vec<(u64, Move)>> {
    let ahead = prop_oneof![2 => 0..5_u64, 4 => 0..120_u64, 2 => 0..1_200_u64];
    let percent = prop_oneof![1 => Just(100_u64), 1 => 0..=100_u64];
    let step = prop_oneof![20 => percent.prop_map(Move::Pull), 1 => Just(Move::Revoke)];
    prop::collection::vec((ahead, step), 1..200)
}

proptest! {
    /// However slow the network and however far apart the clocks, within what the margin covers: a token that the client believes good is
    /// refused only if it was revoked, and a single-use token is never presented twice, and refused if somebody does.
    #[test]
    fn g7_r14_a_token_believed_good_is_refused_only_if_revoked(
        single_use in any::<bool>(),
        network in network(),
        ways in (0..PATIENCE, 0..PATIENCE),
        moves in moves(),
    ) {
        let mode = if single_use { Mode::SingleUse } else { Mode::Reusable };
        let mut world = World::new(mode, network, ways);
        for (ahead, step) in moves {
            world.pass(ahead)?;
            world.make(step);
        }
        world.pass(2_000)?;
    }

    /// What the client's budget grants, the provider's count of the same calls per window admits; the provider's refusal names the
    /// moment from which it admits again.
    #[test]
    fn g7_r13_a_call_that_the_budget_grants_is_within_the_provider_s_window(
        (calls, length, burst) in (1..40_u32, 1..3_000_u32, 0..39_u32),
        asks in prop::collection::vec((prop_oneof![4 => Just(0_u64), 4 => 0..20_u64, 2 => 0..600_u64], any::<bool>()), 0..400),
    ) {
        let length = Span::millis(length);
        let burst = 1 + burst % calls.saturating_sub(1).max(1);
        let policy = budget::Policy::per_window(calls, length, burst).unwrap();
        let (mut budget, mut window, mut greedy) = (Budget::new(), Window::new(), Window::new());
        let mut now = 1_000;
        for (ahead, close) in asks {
            now += ahead;
            let at = Instant::from_millis(now);
            if !budget.step(Cx::new(at, &policy, 0), budget::Input::Take).actions.is_empty() {
                prop_assert_eq!(window.admit(calls, length, at), Ok(()));
            }
            if close {
                let _ = budget.step(Cx::new(at, &policy, 0), budget::Input::Close { span: Span::millis(5) });
            }
            if let Err(wait) = greedy.admit(calls, length, at) {
                prop_assert!(greedy.clone().admit(calls, length, at.after(wait).before(Span::MIN)).is_err());
                prop_assert_eq!(greedy.clone().admit(calls, length, at.after(wait)), Ok(()));
            }
        }
    }
}

#[test]
fn r14_the_world_of_the_property_presents_tokens_and_sees_them_expire() {
    let network = Network { drift: 0, ahead: 7 };
    for mode in [Mode::Reusable, Mode::SingleUse] {
        let mut world = World::new(mode, network, (20, 20));
        for _ in 0..100 {
            world.pass(30).unwrap();
            world.make(Move::Pull(100));
        }
        assert!(world.presented >= 30, "{mode:?}: {}", world.presented);
        // 3 s of pulls: a token every 800 ms, or for every pull.
        let tokens = world.issued.len();
        assert!(if mode == Mode::Reusable { (3..=5).contains(&tokens) } else { tokens >= 30 }, "{tokens}");
    }
}

#[test]
fn r14_a_way_longer_than_the_margin_is_refused() {
    let network = Network { drift: 0, ahead: 0 };
    let mut world = World::new(Mode::Reusable, network, (0, 0));
    world.step(Input::Wanted);
    world.pass(u64::from(TTL.as_millis() - MARGIN.as_millis()) - 1).unwrap();
    let generation = world.client.usable(&world.policy, Instant::from_millis(world.now)).unwrap();
    world.send(network.longest_way() + 1, Arrival::Pull(generation));
    assert!(world.pass(500).is_err());
}

#[test]
fn r14_a_token_ends_with_its_life_by_its_use_or_by_the_provider_s_will() {
    let at = Instant::from_millis;
    let mut token = Issued::reusable(at(10), Span::millis(90));
    assert_eq!([10, 99, 100].map(|now| token.present(at(now))), {
        [Standing::Valid, Standing::Valid, Standing::Expired]
    });
    token.revoke(at(50));
    token.revoke(at(60));
    assert_eq!([49, 50, 100].map(|now| token.standing(at(now))), {
        [Standing::Valid, Standing::Revoked, Standing::Expired]
    });
    let mut token = Issued::single_use(at(10), Span::millis(90));
    assert_eq!(token.standing(at(20)), Standing::Valid, "to look does not use it up");
    assert_eq!([20, 20, 100].map(|now| token.present(at(now))), {
        [Standing::Valid, Standing::Used, Standing::Expired]
    });
}

#[test]
fn r13_a_window_begins_with_its_first_call_and_counts_no_refused_one() {
    let mut window = Window::new();
    let mut admit = |now| window.admit(2, Span::millis(100), Instant::from_millis(now));
    assert_eq!([500, 550, 560, 599, 600, 601, 602].map(&mut admit), {
        let wait = |millis| Err(Span::millis(millis));
        [Ok(()), Ok(()), wait(40), wait(1), Ok(()), Ok(()), wait(98)]
    });
    assert_eq!(Window::new().admit(0, Span::millis(100), Instant::EARLIEST), Err(Span::millis(100)));
}
