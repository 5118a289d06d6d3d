//! What one would write without an adapter: poll until there is a verdict. No budget, no `Retry-After`, no signature of the answer, no
//! callback, nothing saved.

use crate::Error;
use crate::contestant::{CALLS_AT_ONCE, Job, say_got, say_open};
use crate::process::id;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// A task for each verification, with reqwest and sleep on tokio.
pub(crate) async fn tasks(job: &Job) -> Result<(), Error> {
    let client = reqwest::Client::new();
    let permits = Arc::new(Semaphore::new(CALLS_AT_ONCE));
    let (url, cadence) = (Arc::<str>::from(job.status_url()), job.cadence);
    for number in 0..job.open {
        let (client, permits, url) = (client.clone(), Arc::clone(&permits), Arc::clone(&url));
        tokio::spawn(async move {
            let id = id(number);
            loop {
                let permit = permits.acquire().await;
                if is_accepted(&pull(&client, &url, &id).await.unwrap_or_default()) {
                    return say_got(&id);
                }
                drop(permit);
                tokio::time::sleep(cadence).await;
            }
        });
    }
    say_open();
    std::future::pending().await
}

async fn pull(client: &reqwest::Client, url: &str, id: &str) -> Result<Vec<u8>, reqwest::Error> {
    let (user, password) = Job::credentials();
    let request =
        client.post(url).basic_auth(user, Some(password)).header("content-type", "application/json");
    Ok(request.body(json!({"reference": id}).to_string()).send().await?.bytes().await?.into())
}

/// A thread for each verification, with ureq.
pub(crate) fn threads(job: &Job) -> Result<(), Error> {
    let agent = ureq::Agent::new_with_defaults();
    let (url, cadence) = (Arc::<str>::from(job.status_url()), job.cadence);
    for number in 0..job.open {
        let (agent, url) = (agent.clone(), Arc::clone(&url));
        std::thread::Builder::new().spawn(move || {
            let id = id(number);
            loop {
                if is_accepted(&pull_blocking(&agent, &url, &id).unwrap_or_default()) {
                    return say_got(&id);
                }
                std::thread::sleep(cadence);
            }
        })?;
    }
    say_open();
    loop {
        std::thread::park();
    }
}

fn pull_blocking(agent: &ureq::Agent, url: &str, id: &str) -> Result<Vec<u8>, ureq::Error> {
    let (user, password) = Job::credentials();
    let basic = idv_core::http::basic_authorization(user, &password.into());
    let request = agent.post(url).header("authorization", &basic).header("content-type", "application/json");
    request.send(json!({"reference": id}).to_string())?.body_mut().read_to_vec()
}

fn is_accepted(answer: &[u8]) -> bool {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    answer.get("event").and_then(Value::as_str) == Some("verification.accepted")
}
