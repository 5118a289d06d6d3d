//! An engine driven through its queue, as a loop that does one thing after another drives it.

use crate::fake::Fake;
use crate::world::says;
use idv_core::engine::{Account, Engine, Moment, Policy, Queue, Task, Turn};
use idv_core::evidence::{FaultKind, Verdict};
use idv_core::http::{Failure, Received};
use idv_core::store::MemoryStore;
use idv_core::time::{Instant, Span};
use proptest::prelude::*;

/// What a provider answers to one pull.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reply {
    NotReady,
    OutOfOrder,
    Nothing,
    Accepted,
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![Just(Reply::NotReady), Just(Reply::OutOfOrder), Just(Reply::Nothing), Just(Reply::Accepted)]
}

fn exchange(reply: Reply) -> Result<Received, Failure> {
    let answer = |status, body: String| Ok(Received { status, headers: Vec::new(), body: body.into_bytes() });
    match reply {
        Reply::NotReady => answer(404, String::new()),
        Reply::OutOfOrder => answer(503, String::new()),
        Reply::Nothing => Err(Failure { kind: FaultKind::Unreachable, diagnosis: "nobody".to_owned() }),
        Reply::Accepted => answer(200, says("ab-1", "accepted")),
    }
}

proptest! {
    /// Whatever the provider answers at first, a loop that does what it is told and sleeps as long as it is told gets the verdict; it asks
    /// no faster than the cadence, and is never told to wait while there is something to do.
    #[test]
    fn g1_g7_a_loop_over_the_queue_gets_the_verdict_and_keeps_the_cadence(
        mut replies in proptest::collection::vec(reply(), 0..20),
        entropy: u32,
    ) {
        replies.push(Reply::Accepted);
        let mut replies = replies.into_iter();
        let (mut now, mut store) = (Instant::from_millis(1), MemoryStore::new(10, 1 << 20));
        let mut engine = Engine::new(Policy::default());
        let account = engine.add_account(Account::new(Fake::PLAIN).unwrap());
        let mut queue = Queue::new(engine);
        let at = |now: Instant| Moment::new(now, 0, entropy);
        queue.input(|engine, tasks| engine.open(at(now), account, "ab-1", None, tasks)).unwrap();

        let (mut verdict, mut before) = (None, None::<Instant>);
        while verdict.is_none() || !queue.engine().is_finished() {
            let completion = match queue.next(at(now)) {
                Turn::Task(Task::Call(call)) => {
                    let since = before.replace(now).map(|before| now.since(before));
                    prop_assert!(since.is_none_or(|since| since >= Span::secs(5).as_millis().into()));
                    call.perform(at(now), |request, within| {
                        assert_eq!(request.body, b"ab-1");
                        assert!(within.as_millis() > 0);
                        exchange(replies.next().expect("it goes on after the verdict"))
                    })
                }
                Turn::Task(Task::Store(task)) => task.perform(&mut store),
                Turn::Task(Task::HandOver(hand_over)) => {
                    verdict = Some(hand_over.verdict());
                    hand_over.taken()
                }
                Turn::Task(Task::Opened(_) | Task::Tell(_)) => continue,
                Turn::Wait(until) => {
                    let until = until.expect("it waits for an input that nobody will give");
                    prop_assert!(until > now, "to wait until {until:?} is not to wait");
                    now = until;
                    continue;
                }
            };
            queue.complete(at(now), completion);
        }
        prop_assert_eq!(verdict, Some(Verdict::Accepted));
    }
}

/// What is late is not sent: the queue may have kept a call for longer than it has.
#[test]
fn g6_a_call_whose_time_is_over_is_completed_without_an_exchange() {
    let mut engine = Engine::new(Policy::default());
    let account = engine.add_account(Account::new(Fake::PLAIN).unwrap());
    let mut store = MemoryStore::new(10, 1 << 20);
    let mut queue = Queue::new(engine);
    let (early, late) = (Instant::from_millis(1), Instant::from_millis(1).after(Span::hours(1)));
    let at = |now| Moment::new(now, 0, 7);
    queue.input(|engine, tasks| engine.open(at(early), account, "ab-1", None, tasks)).unwrap();
    let call = loop {
        match queue.next(at(early)) {
            Turn::Task(Task::Call(call)) => break call,
            Turn::Task(Task::Store(task)) => queue.complete(at(early), task.perform(&mut store)),
            Turn::Task(_) => {}
            Turn::Wait(until) => panic!("no call before {until:?}"),
        }
    };
    let completion = call.perform(at(late), |_, _| panic!("it must not be sent"));
    queue.complete(at(late), completion);
}
