//! The world in virtual time, with a receiver that answers 200 at once.

use super::*;
use crate::config::Faults;
use crate::faults::CallbackFault;

const STEPS: [&str; 3] = ["review.pending", "verification.accepted", "verification.declined"];

/// What was posted: which of the four callbacks (the first is `request.pending`), and when.
type Posts = Vec<(usize, u64)>;

/// Plays one verification of three steps, a second apart, and returns what was posted.
fn play(faults: Faults, id: &str) -> Posts {
    let secs = Duration::from_secs;
    let timeline = (1..).zip(STEPS).map(|(at, event)| Step::new(secs(at), event)).collect();
    let scenario = Arc::new(Scenario::new(Provider::Shufti, "three", timeline));
    let config = Arc::new(Config { faults, ..Config::default() });
    let mut world = World::new(config, "http://127.0.0.1:9".to_owned(), vec![], 7);
    world.advance(Instant::from_millis(1_000));
    let opening = Opening { callback: Some("http://127.0.0.1:9/".to_owned()), ..Opening::default() };
    world.open(Product::Shufti, id, scenario, opening);
    let mut posts = Posts::new();
    // An hour and a half covers the latest replay.
    while world.now() < Instant::from_millis(5_400_000) {
        for job in std::mem::take(&mut world.jobs) {
            let body: Value = serde_json::from_slice(&job.request.body).unwrap();
            let names = ["request.pending", STEPS[0], STEPS[1], "verification.status.changed"];
            let number = names.iter().position(|name| body["event"] == *name).unwrap();
            posts.push((number, world.now().as_millis()));
            world.posted(job.delivery, job.attempt, Ok(200));
        }
        if world.jobs.is_empty() {
            let Some(next) = world.next() else { break };
            world.advance(next);
        }
    }
    posts
}

#[test]
fn g8_every_fault_of_a_callback_does_what_its_name_says() {
    let mut seen = [0_u32; 8];
    for seed in 0..400 {
        let faults = Faults { seed, callback_percent: 40, ..Faults::default() };
        let posts = play(faults, "order-1");
        assert_eq!(posts, play(faults, "order-1"), "the same seed gives the same run");
        let struck: Vec<_> = (1..=4).map(|n| faults.callback("order-1", n)).collect();
        for (number, fault) in struck.iter().enumerate() {
            let made = 1_000 + 1_000 * number as u64;
            let times: Vec<u64> =
                posts.iter().filter(|(which, _)| *which == number).map(|(_, at)| *at - made).collect();
            let kind = match fault {
                None => {
                    assert_eq!(times, [0]);
                    0
                }
                Some(CallbackFault::Lost) => {
                    assert!(times.is_empty());
                    1
                }
                Some(CallbackFault::Late(secs)) => {
                    assert_eq!(times, [secs * 1_000]);
                    2
                }
                Some(CallbackFault::Overtaken) => {
                    let next_is_on_time = matches!(struck.get(number + 1), Some(None));
                    assert!(matches!(times[..], [1..=60_000]), "{times:?}");
                    if next_is_on_time {
                        assert_eq!(times, [1_000]);
                        let order: Vec<_> = posts.iter().map(|(which, _)| *which).collect();
                        let place = |which| order.iter().position(|number| *number == which).unwrap();
                        assert!(place(number + 1) < place(number), "{order:?}");
                        3
                    } else {
                        0
                    }
                }
                Some(CallbackFault::Twice) => {
                    assert_eq!(times, [0, 0]);
                    4
                }
                Some(CallbackFault::Replayed(secs)) => {
                    assert_eq!(times, [0, secs * 1_000]);
                    5
                }
                Some(CallbackFault::WrongKey) => {
                    assert_eq!(times, [0]);
                    6
                }
                Some(CallbackFault::AnswerLost) => {
                    assert_eq!(times, [0, 15_000], "tried again on Shufti's schedule");
                    7
                }
            };
            seen[kind] += 1;
        }
    }
    assert!(seen.iter().all(|count| *count >= 20), "{seen:?}");
}
