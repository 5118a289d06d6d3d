//! Names are resolved where a connection is made, and only there.
//!
//! As it stands, ureq resolves a name before it looks for a connection that it has kept, and starts a thread each time in order to keep
//! the limit on it: a thread and a lookup for every call, even to an address.

use idv_host::Peer;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use ureq::config::Config;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::time::{Duration, Instant};
use ureq::unversioned::transport::{ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport};
use ureq::{Error, Timeout, http::Uri};

/// Stands for the addresses that nobody has asked for yet; no connection can be made to it.
const LATER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Leaves the name to [`Connecting`].
#[derive(Debug)]
pub(super) struct Later;

impl Resolver for Later {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let mut addresses = self.empty();
        addresses.push(LATER);
        Ok(addresses)
    }
}

/// Makes connections as ureq does, to names that were left by [`Later`].
#[derive(Debug, Default)]
pub(super) struct Connecting(DefaultConnector);

impl Connector for Connecting {
    type Out = Box<dyn Transport>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<()>) -> Result<Option<Self::Out>, Error> {
        let resolver = DefaultResolver::default();
        // A proxy that looks the name up itself was given no address.
        let (addrs, timeout) = if details.addrs.contains(&LATER) {
            resolve(&resolver, details)?
        } else {
            (details.addrs.clone(), details.timeout)
        };
        let resolved = ConnectionDetails {
            addrs,
            timeout,
            resolver: &resolver,
            run_connector: Arc::clone(&details.run_connector),
            register_shutdown: Arc::clone(&details.register_shutdown),
            current_time: Arc::clone(&details.current_time),
            ..*details
        };
        let connected = self.0.connect(&resolved, chained)?;
        if connected.is_some()
            && let Ok(peer) = Peer::of(&details.uri.to_string())
        {
            tracing::debug!(%peer, "connected");
        }
        Ok(connected)
    }
}

/// The addresses, and the time that is left for the connection.
fn resolve(
    resolver: &DefaultResolver,
    details: &ConnectionDetails,
) -> Result<(ResolvedSocketAddrs, NextTimeout), Error> {
    let limits = details.config.timeouts();
    let is_address = details
        .uri
        .host()
        .is_some_and(|host| host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok());
    let within = match limits.resolve {
        // Nothing to wait for, and without a limit no thread is started to keep it.
        _ if is_address => Duration::NotHappening,
        Some(limit) => Duration::from(limit).min(details.timeout.after),
        None => details.timeout.after,
    };
    let timeout = NextTimeout { after: within, reason: Timeout::Resolve, ..details.timeout };
    let addresses = resolver.resolve(details.uri, details.config, timeout)?;

    let (Instant::Exact(begun), Instant::Exact(now)) = (details.now, (details.current_time)()) else {
        return Ok((addresses, details.timeout));
    };
    let left = limits.global.map(|limit| limit.saturating_sub(now.saturating_duration_since(begun)));
    let timeout = match left {
        Some(left) if left < *details.timeout.after => {
            NextTimeout { after: left.into(), reason: Timeout::Global, ..details.timeout }
        }
        Some(_) | None => details.timeout,
    };
    Ok((addresses, timeout))
}
