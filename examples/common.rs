//! What the servers here do alike: an intake, and an address.

use idv_core::engine::Endpoint;
use idv_core::provider::Provider;
use idv_core::receipt::Policy;
use idv_core::secret::Secret;
use idv_core::session::EvidencePolicy;
use idv_core::shufti;
use idv_host::{AnyStore, Delivered, Intake, IntakeBounds, SharedMemory, SystemClock};
use std::env;
use std::error::Error;
use std::net::TcpListener;
use std::sync::Arc;

/// The account whose callbacks come in here, with the rules they are answered by.
pub(crate) fn endpoint() -> Result<Endpoint, Box<dyn Error>> {
    let secret = Secret::new(env::var("IDV_SHUFTI_SECRET_KEY")?);
    let account = shufti::Account::builder("unused-when-receiving", secret).build()?;
    let policy = Policy::builder(account.callback_body_cap()).build()?;
    Ok(Endpoint { provider: Arc::new(account), policy, evidence: EvidencePolicy::ConfirmByPull })
}

/// An intake: it checks callbacks, records them, and only then answers 200. Here belongs the store that your application has anyway.
pub(crate) fn intake() -> Intake {
    Intake::new(
        Arc::new(SystemClock::new()),
        AnyStore::new(SharedMemory::default()),
        IntakeBounds::default(),
        // With an engine: `engine.callback(moment, delivered.arrived, …)`, which asks the provider. A callback alone is no verdict.
        |delivered: Delivered| {
            let (id, claims) = (delivered.arrived.id(), delivered.arrived.claims());
            if let (Some(id), Some(claims), Some(_)) = (id, claims, delivered.arrived.position()) {
                println!("{id} is said to be {claims}");
            }
        },
        |event| eprintln!("{:?}", event.outcome),
    )
}

/// Listens at the address that the program was given.
pub(crate) fn listen() -> Result<TcpListener, Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8787".to_owned());
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(listener)
}
