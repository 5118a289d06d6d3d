//! Drives many verifications at both providers from one program, by polling and by callback, over shared tokens and budgets.
//!
//! ```text
//! export IDV_SHAREID_BUSINESS_HASH=… IDV_SHAREID_API_KEY=… IDV_SHUFTI_CLIENT_ID=… IDV_SHUFTI_SECRET_KEY=…
//! cargo run -p idv-ureq --example many -- https://shareid.example shareid:FLOW_ID shufti:REFERENCE …
//! ```

use idv_core::secret::Secret;
use idv_core::{shareid, shufti};
use idv_ureq::{Account, Driver, Event};
use std::env;
use std::error::Error;
use std::io::stdin;

fn main() -> Result<(), Box<dyn Error>> {
    let secret = |name: &str| env::var(name).map(Secret::new).map_err(|_| format!("set {name}"));
    let mut arguments = env::args().skip(1);
    let shareid_url = arguments.next().ok_or("usage: many SHAREID_URL PROVIDER:ID …")?;

    let mut builder = Driver::builder();
    let shareid = builder.account(Account::new(shareid::Account::new(
        &shareid_url,
        shareid::Flow::Authenticate,
        secret("IDV_SHAREID_BUSINESS_HASH")?,
        secret("IDV_SHAREID_API_KEY")?,
    )?)?);
    let client_id = env::var("IDV_SHUFTI_CLIENT_ID")?;
    let shufti = builder.account(Account::new(
        shufti::Account::builder(&client_id, secret("IDV_SHUFTI_SECRET_KEY")?).build()?,
    )?);
    builder
        // Commit `revision.key()` together with your own change, and each revision takes effect exactly once.
        .on_revision(|revision| {
            println!("{} {} #{}: {}", revision.provider, revision.id, revision.number, revision.verdict);
            Ok(())
        })
        .on_event(|event| {
            if let Event::Ended { provider, id, end, .. } = event {
                println!("{provider} {id} ended: {end:?}");
            }
        });
    let driver = builder.start()?;

    let paths = [("/callbacks/shareid", shareid), ("/callbacks/shufti", shufti)];
    println!("callbacks at http://{}/callbacks/…", driver.listen("127.0.0.1:8787".parse()?, &paths)?);
    for argument in arguments {
        match argument.split_once(':') {
            Some(("shareid", id)) => driver.open(shareid, id)?,
            Some(("shufti", id)) => driver.open(shufti, id)?,
            _ => return Err(format!("{argument}: expected shareid:ID or shufti:REFERENCE").into()),
        };
    }
    println!("press Enter to stop");
    stdin().read_line(&mut String::new())?;
    driver.stop();
    Ok(())
}
