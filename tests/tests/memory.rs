//! What an open verification takes of the memory, counted byte by byte.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use idv_core::engine::{Engine, Moment, Policy, Queue, Task, Turn};
use idv_core::evidence::Verdict;
use idv_core::http::Received;
use idv_core::provider::Provider;
use idv_core::rules::Rules;
use idv_core::store::{Commit, Journal, Record, Recorded, Save, Saved, SavedSession, Sessions, TooLarge};
use idv_core::time::Instant;
use idv_tests::driving::{account, rarely, shufti_at};

/// Says that it has saved, and keeps nothing: what is counted is the engine's.
struct Elsewhere;

impl Journal for Elsewhere {
    type Error = TooLarge;

    fn commit(&mut self, _: &Record<'_>) -> Result<Commit, TooLarge> {
        Ok(Commit { position: 1, duplicate: false })
    }

    fn mark_applied(&mut self, _: &[u64]) -> Result<(), TooLarge> {
        Ok(())
    }

    fn unapplied(&mut self, _: u64, _: u32) -> Result<Vec<Recorded>, TooLarge> {
        Ok(Vec::new())
    }
}

impl Sessions for Elsewhere {
    type Error = TooLarge;

    fn save(&mut self, save: &Save<'_>) -> Result<Saved, TooLarge> {
        Ok(Saved::Stored { version: save.expected + 1 })
    }

    fn confirm(&mut self, _: &str, _: &str, _: u32) -> Result<bool, TooLarge> {
        Ok(true)
    }

    fn load(&mut self, _: Option<(&str, &str)>, _: u32) -> Result<Vec<SavedSession>, TooLarge> {
        Ok(Vec::new())
    }
}

const MANY: u64 = 10_000;

/// An engine with so many open verifications, each pulled once, and answered so.
fn waiting(body: impl Fn(&str) -> String, handed_over: &mut u64) -> Queue {
    let shufti = shufti_at("https://provider.example");
    let rules = rarely(Rules { calls: 1_000_000, burst: 100_000, ..shufti.rules() });
    let mut engine = Engine::new(Policy::default());
    let account = engine.add_account(account(shufti, &rules));
    let mut queue = Queue::new(engine);
    let moment = Moment::new(Instant::from_millis(1_000), 1_780_000_000_000, 7);
    for number in 0..MANY {
        let id = format!("order-{number:05}");
        queue.input(|engine, tasks| engine.open(moment, account, &id, None, tasks)).unwrap();
        loop {
            let completion = match queue.next(moment) {
                Turn::Wait(_) => break,
                Turn::Task(Task::Opened(_) | Task::Tell(_)) => continue,
                Turn::Task(Task::Store(task)) => task.perform(&mut Elsewhere),
                Turn::Task(Task::HandOver(hand_over)) => {
                    assert_eq!(hand_over.verdict(), Verdict::Accepted);
                    *handed_over += 1;
                    hand_over.taken()
                }
                Turn::Task(Task::Call(call)) => {
                    let received =
                        Received { status: 200, headers: Vec::new(), body: body(&id).into_bytes() };
                    call.answered(Ok(received), moment.unix_ms)
                }
            };
            queue.complete(moment, completion);
        }
    }
    queue
}

/// How many bytes one verification takes, the tables that it stands in and the allocator's rounding aside.
fn bytes_each(body: impl Fn(&str) -> String) -> (u64, u64) {
    let (mut queue, mut handed_over) = (None, 0);
    let counted = allocation_counter::measure(|| queue = Some(waiting(body, &mut handed_over)));
    assert_eq!(queue.unwrap().engine().len() as u64, MANY);
    let bytes = u64::try_from(counted.bytes_current).unwrap() / MANY;
    println!("{bytes} bytes each");
    (bytes, handed_over)
}

#[test]
fn an_open_verification_takes_little_more_than_its_state() {
    let (bytes, handed_over) =
        bytes_each(|id| format!(r#"{{"reference":"{id}","event":"request.pending"}}"#));
    assert_eq!(handed_over, 0);
    assert!(bytes <= 700, "{bytes} bytes");
}

#[test]
fn a_settled_verification_keeps_no_body_that_was_confirmed() {
    let reason = "x".repeat(4_000);
    let (bytes, handed_over) = bytes_each(|id| {
        format!(r#"{{"reference":"{id}","event":"verification.accepted","info":"{reason}"}}"#)
    });
    assert_eq!(handed_over, MANY);
    assert!(bytes <= 700, "{bytes} bytes");
}
