//! The adapters as an application uses them.

use crate::Error;
use crate::contestant::{CALLS_AT_ONCE, Job, say_got, say_listening, say_open};
use crate::process::id;
use idv_async::Runtime;
use std::net::{Ipv4Addr, SocketAddr};

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// On an asynchronous runtime.
pub(crate) async fn on<R: Runtime>(runtime: R, job: &Job) -> Result<(), Error> {
    let mut builder = idv_async::Builder::on(runtime);
    let account = builder.account(job.account()?);
    builder.calls_at_once(CALLS_AT_ONCE).on_revision(|revision| async move {
        say_got(&revision.id);
        Ok(())
    });
    let driver = builder.start().await?;
    if job.by_callback {
        say_listening(driver.listen(ANY_PORT, &[("/callbacks", account)]).await?);
    }
    for number in 0..job.open {
        driver.open(account, &id(number)).await?;
    }
    say_open();
    std::future::pending().await
}

/// On threads.
pub(crate) fn ureq(job: &Job) -> Result<(), Error> {
    let mut builder = idv_ureq::Driver::builder();
    let account = builder.account(job.account()?);
    builder.calls_at_once(CALLS_AT_ONCE).on_revision(|revision| {
        say_got(&revision.id);
        Ok(())
    });
    let driver = builder.start()?;
    if job.by_callback {
        say_listening(driver.listen(ANY_PORT, &[("/callbacks", account)])?);
    }
    for number in 0..job.open {
        driver.open(account, &id(number))?;
    }
    say_open();
    loop {
        std::thread::park();
    }
}
