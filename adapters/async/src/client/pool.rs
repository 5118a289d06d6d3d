//! Connections kept open between calls.

use super::connection::Connection;
use idv_core::http::KEPT_FOR;
use idv_host::{MOST_KEPT as MOST, MOST_KEPT_TO_ONE as MOST_TO_ONE, Peer};
use std::time::{Duration, Instant};

/// How long a connection waits for its next use.
const IDLE: Duration = KEPT_FOR.as_duration();

/// Idle connections, the one used last at the end.
pub(super) struct Pool {
    idle: Vec<(Peer, Instant, Connection)>,
}

impl Pool {
    pub(super) const fn new() -> Self {
        Self { idle: Vec::new() }
    }

    /// The connection to this peer that was used last: the likeliest to be alive, and the others may age and go.
    pub(super) fn take(&mut self, peer: &Peer, now: Instant) -> Option<Connection> {
        self.close_old(now);
        let last = self.idle.iter().rposition(|(to, ..)| to == peer)?;
        Some(self.idle.remove(last).2)
    }

    /// Keeps a connection, unless there are too many; of those to its peer the oldest makes room.
    pub(super) fn put(&mut self, peer: &Peer, connection: Connection, now: Instant) {
        self.close_old(now);
        let to_peer = self.idle.iter().filter(|(to, ..)| to == peer).count();
        let oldest = match (to_peer >= MOST_TO_ONE, self.idle.len() >= MOST) {
            (true, _) => self.idle.iter().position(|(to, ..)| to == peer),
            (false, true) => Some(0),
            (false, false) => None,
        };
        if let Some(oldest) = oldest {
            self.idle.remove(oldest);
        }
        self.idle.push((peer.clone(), now, connection));
    }

    /// Closes what waited too long, and says when to look again.
    pub(super) fn close_old(&mut self, now: Instant) -> Option<Duration> {
        self.idle.retain(|(_, since, _)| now.saturating_duration_since(*since) < IDLE);
        let (_, oldest, _) = self.idle.first()?;
        Some(IDLE.saturating_sub(now.saturating_duration_since(*oldest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::io::Cursor;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn connection() -> Connection {
        Connection::new(Cursor::new(Vec::new()))
    }

    proptest! {
        #[test]
        fn the_pool_keeps_within_its_caps_and_gives_nothing_old_or_to_another(
            steps in vec((0_u16..6, any::<bool>(), 0_u64..2_000), 0..600),
        ) {
            let peers: Vec<Peer> = (0..6).map(|n| Peer::of(&format!("http://h{n}/")).unwrap()).collect();
            let mut pool = Pool::new();
            let mut now = Instant::now();
            for (peer, put, pause) in steps {
                now += Duration::from_millis(pause);
                let peer = &peers[usize::from(peer)];
                if put {
                    pool.put(peer, connection(), now);
                } else {
                    let newest = pool.idle.iter().filter(|(to, ..)| to == peer).map(|(_, since, _)| *since).max();
                    let fresh = newest.is_some_and(|since| now - since < IDLE);
                    prop_assert_eq!(pool.take(peer, now).is_some(), fresh);
                }
                prop_assert!(pool.idle.len() <= MOST);
                prop_assert!(peers.iter().all(|p| pool.idle.iter().filter(|(to, ..)| to == p).count() <= MOST_TO_ONE));
                let again = pool.close_old(now);
                prop_assert!(pool.idle.iter().all(|(_, since, _)| now - *since < IDLE));
                prop_assert!(again.is_none_or(|after| after > Duration::ZERO && after <= IDLE));
                prop_assert_eq!(again.is_none(), pool.idle.is_empty());
            }
        }
    }
}
