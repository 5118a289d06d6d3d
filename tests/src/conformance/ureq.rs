//! The blocking adapter.

use super::{Adapter, Running, Setup};
use idv_ureq::transport::Options;
use idv_ureq::{AccountRef, Client, Driver, Verification};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The blocking adapter, `idv-ureq`.
pub struct Ureq;

struct Blocking {
    driver: Driver,
    account: AccountRef,
    opened: Mutex<BTreeMap<String, Verification>>,
}

impl Adapter for Ureq {
    fn name(&self) -> &'static str {
        "idv-ureq"
    }

    fn start(&self, setup: Setup) -> Result<Box<dyn Running>, String> {
        let options = Options { roots_pem: Some(setup.roots_pem), ..Options::default() };
        let client = Client::with_options(&options).map_err(|error| error.to_string())?;
        let mut builder = Driver::builder();
        let account = builder.account(setup.account);
        let (offering, telling) = (setup.application.clone(), setup.application);
        builder
            .transport(client)
            .store(setup.store)
            .hand_over(setup.hand_over)
            .drain(Duration::from_secs(1))
            .on_revision(move |revision| match offering.offer(revision).recv_blocking() {
                Ok(word) => word.map_err(Into::into),
                Err(died) => Err(died.into()),
            })
            .on_event(move |event| telling.tell(event));
        let driver = builder.start().map_err(|error| error.to_string())?;
        Ok(Box::new(Blocking { driver, account, opened: Mutex::default() }))
    }
}

impl Running for Blocking {
    fn open(&self, id: &str) -> Result<(), String> {
        let opened = self.driver.open(self.account, id).map_err(|error| error.to_string())?;
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), opened);
        Ok(())
    }

    fn cancel(&self, id: &str) -> Result<(), String> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner).get(id).copied();
        let opened = opened.ok_or_else(|| format!("{id} was not opened here"))?;
        self.driver.cancel(opened).map_err(|error| error.to_string())
    }

    fn listen(&self, path: &str, config: idv_listener::Config) -> Result<SocketAddr, String> {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let paths = [(path, self.account)];
        self.driver.listen_with(address, &paths, config).map_err(|error| error.to_string())
    }

    fn stop(self: Box<Self>) {
        self.driver.stop();
    }
}
