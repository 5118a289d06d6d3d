//! The bare loop, asynchronous: many verifications pulled to their verdicts in one task, here on smol.
//!
//! ```text
//! export IDV_SHUFTI_CLIENT_ID=… IDV_SHUFTI_SECRET_KEY=…
//! cargo run -p idv-examples --bin async_loop -- https://api.shuftipro.com order-1 order-2
//! ```

use futures_util::future::{FutureExt, pending};
use futures_util::stream::{FuturesUnordered, StreamExt};
use idv_core::engine::{Account, Call, Completion, Engine, Moment, Policy, Queue, Task, Turn};
use idv_core::store::MemoryStore;
use idv_core::{secret::Secret, shufti};
use idv_host::{Clock, Entropy, SystemClock};
use idv_smol::Client;
use smol::Timer;
use smol::future::or;
use std::env::{args, var};
use std::error::Error;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let url = args().nth(1).ok_or("usage: async_loop API_URL REFERENCE…")?;
    let secret = Secret::new(var("IDV_SHUFTI_SECRET_KEY")?);
    let shufti = shufti::Account::builder(&var("IDV_SHUFTI_CLIENT_ID")?, secret).base_url(&url).build()?;
    smol::block_on(drive(Account::new(shufti)?, args().skip(2).collect()))
}

async fn drive(account: Account, ids: Vec<String>) -> Result<(), Box<dyn Error>> {
    let (client, clock, mut entropy) = (Client::new(), SystemClock::new(), Entropy::from_system());
    let mut moment = || Moment::new(clock.now(), clock.unix_ms(), entropy.draw());
    let (mut store, mut left) = (MemoryStore::new(10, 1 << 20), ids.len());

    let mut engine = Engine::new(Policy::default());
    let account = engine.add_account(account);
    let mut queue = Queue::new(engine);
    for id in &ids {
        queue.input(|engine, tasks| engine.open(moment(), account, id, None, tasks))?;
    }
    // One that never ends keeps `next` waiting where no call is under way.
    let mut calls = FuturesUnordered::from_iter([pending().left_future()]);
    while left > 0 || !queue.engine().is_finished() {
        let completion = match queue.next(moment()) {
            Turn::Task(Task::Call(call)) => {
                calls.push(perform(&client, call, &clock).right_future());
                continue;
            }
            Turn::Task(Task::Store(task)) => task.perform(&mut store),
            Turn::Task(Task::HandOver(hand_over)) => {
                println!("{} is {}", hand_over.key().1, hand_over.verdict());
                left -= usize::from(hand_over.verdict().settles());
                hand_over.taken()
            }
            Turn::Task(Task::Opened(_) | Task::Tell(_)) => continue,
            Turn::Wait(None) if calls.len() == 1 => return Err("they ended without a verdict".into()),
            Turn::Wait(until) => {
                let due = until.map(|at| Duration::from_millis(at.since(clock.now())));
                let due = due.map_or_else(Timer::never, Timer::after);
                match or(calls.next(), async {
                    due.await;
                    None
                })
                .await
                {
                    Some(completion) => completion,
                    None => continue,
                }
            }
        };
        queue.complete(moment(), completion);
    }
    Ok(())
}

async fn perform(client: &Client, call: Call, clock: &SystemClock) -> Completion {
    let result = match call.within(clock.now()) {
        Ok(within) => client.send(&call.request(), within).await,
        Err(failure) => Err(failure),
    };
    call.answered(result, clock.unix_ms())
}
