//! The bare loop, blocking: one verification pulled to its verdict by the core's engine and an HTTP client, and nothing else.
//!
//! ```text
//! export IDV_SHUFTI_CLIENT_ID=… IDV_SHUFTI_SECRET_KEY=…
//! cargo run -p idv-examples --bin blocking_loop -- https://api.shuftipro.com order-1
//! ```

mod http;

use idv_core::engine::{Account, Engine, Moment, Policy, Task};
use idv_core::fleet::Wake;
use idv_core::store::MemoryStore;
use idv_core::{secret::Secret, shufti};
use idv_host::{Clock, Entropy, SystemClock};
use std::collections::VecDeque;
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
    let (mut store, mut todo, mut settled) = (MemoryStore::new(10, 1 << 20), VecDeque::new(), false);

    // From here on it is the same for any number of verifications at any number of providers.
    let mut engine = Engine::new(Policy::default());
    let account = engine.add_account(Account::new(shufti)?);
    engine.open(moment(), account, &id, None, &mut |task| todo.push_back(task))?;
    loop {
        let wake = engine.run(moment(), 64, &mut |task| todo.push_back(task));
        let completion = match todo.pop_front() {
            Some(Task::Call(call)) => {
                let result =
                    call.within(clock.now()).and_then(|span| http::send(&client, &call.request(), span));
                call.answered(result, clock.unix_ms())
            }
            Some(Task::Store(task)) => task.perform(&mut store),
            Some(Task::HandOver(hand_over)) => {
                println!("{id} is {}", hand_over.verdict());
                settled |= hand_over.verdict().settles();
                hand_over.taken()
            }
            Some(Task::Opened(_) | Task::Tell(_)) => continue,
            None if settled && engine.is_finished() => return Ok(()),
            None => match wake {
                Wake::At(at) => {
                    sleep(Duration::from_millis(at.since(clock.now())));
                    continue;
                }
                Wake::More => continue,
                Wake::Input => return Err("the verification ended without a verdict".into()),
            },
        };
        engine.complete(moment(), completion, &mut |task| todo.push_back(task));
    }
}
