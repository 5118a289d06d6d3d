//! The bare loop, blocking: one verification pulled to its verdict by the core's engine and an HTTP client, and nothing else.
//!
//! ```text
//! export IDV_SHUFTI_CLIENT_ID=… IDV_SHUFTI_SECRET_KEY=…
//! cargo run -p idv-examples --bin blocking_loop -- https://api.shuftipro.com order-1
//! ```

mod http;

use idv_core::engine::{Account, Engine, Moment, Policy, Queue, Task, Turn};
use idv_core::store::MemoryStore;
use idv_core::{secret::Secret, shufti};
use idv_host::{Clock, Entropy, SystemClock};
use std::env::{args, var};
use std::error::Error;
use std::thread::sleep;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let (url, id) = args().nth(1).zip(args().nth(2)).ok_or("usage: blocking_loop API_URL REFERENCE")?;
    let secret = Secret::new(var("IDV_SHUFTI_SECRET_KEY")?);
    let shufti = shufti::Account::builder(&var("IDV_SHUFTI_CLIENT_ID")?, secret).base_url(&url).build()?;
    let (client, clock, mut entropy) = (http::client(), SystemClock::new(), Entropy::from_system());
    let mut moment = || Moment::new(clock.now(), clock.unix_ms(), entropy.draw());
    let (mut store, mut settled) = (MemoryStore::new(10, 1 << 20), false);

    let mut engine = Engine::new(Policy::default());
    let account = engine.add_account(Account::new(shufti)?);
    let mut queue = Queue::new(engine);
    queue.input(|engine, tasks| engine.open(moment(), account, &id, None, tasks))?;
    // From here on it is the same for any number of verifications at any number of providers.
    while !(settled && queue.engine().is_finished()) {
        let completion = match queue.next(moment()) {
            Turn::Task(Task::Call(call)) => {
                call.perform(moment(), |request, within| http::send(&client, request, within))
            }
            Turn::Task(Task::Store(task)) => task.perform(&mut store),
            Turn::Task(Task::HandOver(hand_over)) => {
                println!("{id} is {}", hand_over.verdict());
                settled |= hand_over.verdict().settles();
                hand_over.taken()
            }
            Turn::Task(Task::Opened(_) | Task::Tell(_)) => continue,
            Turn::Wait(Some(until)) => {
                sleep(Duration::from_millis(until.since(clock.now())));
                continue;
            }
            Turn::Wait(None) => return Err("the verification ended without a verdict".into()),
        };
        queue.complete(moment(), completion);
    }
    Ok(())
}
