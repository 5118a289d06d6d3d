//! The bare loop, asynchronous: many verifications pulled to their verdicts in one task, here on smol.
//!
//! ```text
//! export IDV_SHUFTI_CLIENT_ID=… IDV_SHUFTI_SECRET_KEY=…
//! cargo run -p idv-examples --bin async_loop -- https://api.shuftipro.com order-1 order-2
//! ```

use futures_util::future::{Either, pending, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use idv_core::engine::{Account, Engine, Moment, Policy, Task};
use idv_core::fleet::Wake;
use idv_core::store::MemoryStore;
use idv_core::{secret::Secret, shufti};
use idv_host::{Clock, Entropy, SystemClock};
use idv_smol::Client;
use std::collections::VecDeque;
use std::env::{args, var};
use std::error::Error;
use std::pin::pin;
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
    let (mut store, mut todo, mut left) = (MemoryStore::new(10, 1 << 20), VecDeque::new(), ids.len());

    let mut engine = Engine::new(Policy::default());
    let account = engine.add_account(account);
    for id in &ids {
        engine.open(moment(), account, id, None, &mut |task| todo.push_back(task))?;
    }
    let mut calls = FuturesUnordered::new();
    while left > 0 || !engine.is_finished() {
        let wake = engine.run(moment(), 64, &mut |task| todo.push_back(task));
        let completion = match todo.pop_front() {
            Some(Task::Call(call)) => {
                calls.push(async {
                    let result = match call.within(clock.now()) {
                        Ok(span) => client.send(&call.request(), span).await,
                        Err(failure) => Err(failure),
                    };
                    call.answered(result, clock.unix_ms())
                });
                continue;
            }
            Some(Task::Store(task)) => task.perform(&mut store),
            Some(Task::HandOver(hand_over)) => {
                println!("{} is {}", hand_over.key().1, hand_over.verdict());
                left -= usize::from(hand_over.verdict().settles());
                hand_over.taken()
            }
            Some(Task::Opened(_) | Task::Tell(_)) => continue,
            None => {
                let due = match wake {
                    Wake::At(at) => smol::Timer::after(Duration::from_millis(at.since(clock.now()))),
                    Wake::More => continue,
                    Wake::Input if calls.is_empty() => return Err("they ended without a verdict".into()),
                    Wake::Input => smol::Timer::never(),
                };
                let answered = async {
                    match calls.next().await {
                        Some(completion) => completion,
                        None => pending().await,
                    }
                };
                match select(pin!(answered), due).await {
                    Either::Left((completion, _)) => completion,
                    Either::Right(_) => continue,
                }
            }
        };
        engine.complete(moment(), completion, &mut |task| todo.push_back(task));
    }
    Ok(())
}
