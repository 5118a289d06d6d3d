//! Which account does what: its budget, its calls, its callbacks, its credentials' clock (R9, R13, G9).

use crate::fake::Fake;
use crate::world::{Asked, World};
use idv_core::engine::{Account, Created, Permit, Reception};
use idv_core::evidence::Verdict;
use idv_core::fleet::{AccountId, Wake};
use idv_core::http::{Headers, Received};
use idv_core::receipt;
use idv_core::time::{Instant, Span};

const ELSEWHERE: Fake = Fake { host: "elsewhere.example", ..Fake::PLAIN };

/// How many calls this account may make at once.
fn calls_left(world: &mut World, account: AccountId) -> usize {
    let take = |world: &mut World| world.tell(|engine, moment, _| engine.take(moment, account));
    std::iter::from_fn(|| (take(world) == Permit::Granted).then_some(())).count()
}

#[test]
fn r13_accounts_at_one_host_share_its_budget_and_those_at_another_have_their_own() {
    let mut world = World::new();
    let first = world.account;
    let (same, other) = (world.add(Fake::REUSING), world.add(ELSEWHERE));
    assert_eq!(calls_left(&mut world, first), 100, "as many as the burst");
    assert_eq!(calls_left(&mut world, same), 0);
    assert_eq!(calls_left(&mut world, other), 100);
}

#[test]
fn g9_after_a_crash_each_verification_is_pulled_where_it_was_opened() {
    let mut world = World::new();
    let other = world.add(ELSEWHERE);
    world.open("ab-1").unwrap();
    world.account = other;
    world.open("ab-2").unwrap();
    world.settle();
    world.crash();
    world.pass(Span::mins(1));
    while world.run() == Wake::More {
        world.store_all();
    }
    let mut pulled: Vec<(String, String)> = Vec::new();
    for asked in &world.asked {
        if let Asked::Call(call) = asked {
            pulled.push((call.id().unwrap().to_owned(), call.request().url.clone()));
        }
    }
    pulled.sort_unstable();
    let at = |id: &str, host: &str| (id.to_owned(), format!("https://{host}/pull"));
    assert_eq!(pulled, [at("ab-1", "fake.example"), at("ab-2", "elsewhere.example")]);
}

#[test]
fn callbacks_are_answered_by_the_rules_that_an_account_was_given() {
    let policy = receipt::Policy::builder(21).build().unwrap();
    let account = Account::new(Fake::PLAIN).unwrap().with_receipt(policy);
    assert_eq!(account.provider_name(), "fake");
    let now = Instant::from_millis(1_000);
    for (body, refused) in [("id=ab-1 verdict=review", Some(413)), ("id=ab-1 verdict=revie", None)] {
        let mut reception = Reception::begin(account.endpoint(), 1, now);
        let _ = reception.head(now, "POST", Headers(&[]));
        let _ = reception.chunk(now, body.as_bytes());
        assert_eq!(reception.answer().map(|answer| answer.status()), refused, "{} bytes", body.len());
    }
}

/// The wall clock reaches the provider in seconds: what it says of the calendar is heeded to the second, on both roads of an answer.
#[test]
fn r17_an_answer_counts_until_the_second_that_it_names() {
    let body = "id=ab-1 verdict=accepted until=1700000060";
    for (unix_ms, numbers) in [(1_700_000_059_999, &[(1, Verdict::Accepted)][..]), (1_700_000_060_000, &[])] {
        let mut world = World::new();
        world.unix_ms = unix_ms;
        let account = world.account;
        let reply = Received { status: 200, headers: Vec::new(), body: body.as_bytes().to_vec() };
        let created = Some(Created::read(&Fake::PLAIN, "ab-1", reply, unix_ms));
        world.tell(|engine, moment, out| engine.open(moment, account, "ab-1", created, out)).unwrap();
        world.settle();
        assert_eq!(world.numbers("ab-1"), numbers, "the reply to its creation, at {unix_ms}");

        world.truth.insert("ab-2".to_owned(), body.replace("ab-1", "ab-2"));
        world.open("ab-2").unwrap();
        world.settle();
        assert_eq!(world.numbers("ab-2"), numbers, "the answer to a pull, at {unix_ms}");
    }
}
