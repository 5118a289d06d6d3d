//! Waits for the verdict on one verification.
//!
//! ```text
//! IDV_SHUFTI_CLIENT_ID=… IDV_SHUFTI_SECRET_KEY=… cargo run -p idv-ureq --example wait -- REFERENCE [API_URL]
//! ```

use idv_core::secret::Secret;
use idv_core::shufti;
use idv_ureq::{Account, Client};
use std::env;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let reference = arguments.next().ok_or("usage: wait REFERENCE [API_URL]")?;
    let api_url = arguments.next().unwrap_or_else(|| shufti::contract::BASE_URL.to_owned());
    let client_id = env::var("IDV_SHUFTI_CLIENT_ID")?;
    let secret_key = Secret::new(env::var("IDV_SHUFTI_SECRET_KEY")?);

    let shufti = shufti::Account::builder(&client_id, secret_key).base_url(&api_url).build()?;
    let account = Account::new(shufti)?;
    let revision = idv_ureq::wait(account, &reference, &Client::new())?;

    println!("{}: {}", revision.id, revision.verdict);
    for reason in revision.statement?.reasons {
        println!("  {} {}", reason.code, reason.text.unwrap_or_default());
    }
    Ok(())
}
