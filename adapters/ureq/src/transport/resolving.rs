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
    resolver: &impl Resolver,
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::time::Duration as Time;
    use ureq::Agent;

    /// A resolver that takes its time, and notes how much of it it was given.
    #[derive(Clone, Debug)]
    struct Slow {
        takes: Time,
        given: Arc<Mutex<Vec<NextTimeout>>>,
    }

    impl Resolver for Slow {
        fn resolve(&self, _: &Uri, _: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
            self.given.lock().unwrap().push(timeout);
            std::thread::sleep(self.takes);
            Ok(self.empty())
        }
    }

    /// Connects to nothing; notes how much time was left for it.
    #[derive(Debug)]
    struct Looking {
        resolver: Slow,
        left: Arc<Mutex<Vec<NextTimeout>>>,
    }

    impl Connector for Looking {
        type Out = Box<dyn Transport>;

        fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Self::Out>, Error> {
            let (_, timeout) = resolve(&self.resolver, details)?;
            self.left.lock().unwrap().push(timeout);
            Err(Error::ConnectionFailed)
        }
    }

    /// What the resolver and then the connection are given of an exchange that may take `total`, and `connect` to connect.
    fn given(url: &str, total: Time, connect: Time, takes: Time) -> (NextTimeout, NextTimeout) {
        let resolver = Slow { takes, given: Arc::default() };
        let left = Arc::default();
        let connector = Looking { resolver: resolver.clone(), left: Arc::clone(&left) };
        let config = Agent::config_builder()
            .proxy(None)
            .timeout_global(Some(total))
            .timeout_resolve(Some(connect))
            .timeout_connect(Some(connect))
            .build();
        let failed = Agent::with_parts(config, connector, Later).get(url).call().unwrap_err();
        assert!(matches!(failed, Error::ConnectionFailed), "{failed}");
        let (given, left) = (resolver.given.lock().unwrap()[0], left.lock().unwrap()[0]);
        (given, left)
    }

    const NAME: &str = "http://provider.example/";
    const SHORT: Time = Time::from_millis(200);
    const LONG: Time = Time::from_secs(3_600);

    #[test]
    fn g6_a_name_is_looked_up_within_the_time_to_connect_and_within_the_whole() {
        for (total, connect) in [(LONG, SHORT), (SHORT, LONG)] {
            let (given, _) = given(NAME, total, connect, Time::ZERO);
            assert!(*given.after <= SHORT && !given.after.is_not_happening(), "{given:?}");
            // What is reported: the host's name was not resolved in time.
            assert_eq!(given.reason, Timeout::Resolve);
        }
    }

    #[test]
    fn g6_what_looking_a_name_up_took_is_gone_for_the_connection() {
        let takes = Time::from_millis(50);
        let (_, left) = given(NAME, SHORT, LONG, takes);
        assert!(*left.after <= SHORT - takes, "{left:?}");
        assert_eq!(left.reason, Timeout::Global);
        // The time to connect is for connecting alone.
        let (_, left) = given(NAME, LONG, SHORT, SHORT + takes);
        assert!(*left.after <= SHORT && *left.after > SHORT / 2, "{left:?}");
        assert_eq!(left.reason, Timeout::Connect);
    }

    #[test]
    fn an_address_is_not_looked_up_by_a_thread() {
        for url in ["http://192.0.2.1/", "http://[2001:db8::1]:8080/"] {
            let (given, _) = given(url, LONG, SHORT, Time::ZERO);
            assert!(given.after.is_not_happening(), "{url}: {given:?}");
        }
    }
}
