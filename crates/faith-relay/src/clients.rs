//! What one client may take up: sessions at a time, and new ones per second. A client is a network of a given
//! length, as one subscriber has a /64 of addresses to come from (RFC 6177).

use std::collections::HashMap;
use std::net::Ipv6Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use faith_packet::prefix::network_of;

/// Limits for each client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientLimits {
    /// Bits of an address that make one client, 0 to 128; 64.
    pub prefix_length: u8,
    /// Sessions and attempts at a time; `None`, the default, is no limit.
    pub max_sessions: Option<u32>,
    /// New sessions and attempts per second; `None`, the default, is no limit.
    pub per_second: Option<u32>,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self { prefix_length: 64, max_sessions: None, per_second: None }
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Clients are forgotten once there are this many that have neither sessions nor anything begun within a second.
const SWEEP: usize = 1024;

/// The clients of a relay. Locked when a session begins and ends, and not at all without limits.
#[derive(Debug)]
pub(crate) struct Clients {
    limits: ClientLimits,
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    // Clients choose the keys, hence a keyed hash.
    clients: HashMap<u128, Client>,
    sweep_at: usize,
}

#[derive(Debug)]
struct Client {
    active: u32,
    begun: u32,
    since: Instant,
}

impl Client {
    fn is_forgettable(&self, now: Instant) -> bool {
        self.active == 0 && now.saturating_duration_since(self.since) >= SECOND
    }
}

impl Clients {
    pub(crate) fn new(limits: ClientLimits) -> Arc<Self> {
        Arc::new(Self { limits, table: Mutex::new(Table { clients: HashMap::new(), sweep_at: SWEEP }) })
    }

    /// Takes a place for a session of `client`, to be held as long as it lasts.
    ///
    /// # Errors
    /// The client has as much as it may have.
    pub(crate) fn enter(self: &Arc<Self>, client: &Ipv6Addr) -> Result<Option<Place>, Full> {
        let ClientLimits { prefix_length, max_sessions, per_second } = self.limits;
        if max_sessions.is_none() && per_second.is_none() {
            return Ok(None);
        }
        let key = network_of(*client, prefix_length);
        let now = Instant::now();
        let mut table = self.table();
        let client = table.clients.entry(key).or_insert(Client { active: 0, begun: 0, since: now });
        if now.saturating_duration_since(client.since) >= SECOND {
            client.since = now;
            client.begun = 0;
        }
        if max_sessions.is_some_and(|most| client.active >= most)
            || per_second.is_some_and(|most| client.begun >= most)
        {
            return Err(Full);
        }
        client.active += 1;
        client.begun += 1;
        if table.clients.len() > table.sweep_at {
            table.clients.retain(|_, client| !client.is_forgettable(now));
            table.sweep_at = SWEEP.max(2 * table.clients.len());
        }
        Ok(Some(Place { clients: Arc::clone(self), key }))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client has as much as it may have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// A session's place among those of its client.
#[derive(Debug)]
pub(crate) struct Place {
    clients: Arc<Clients>,
    key: u128,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(client) = self.clients.table().clients.get_mut(&self.key) {
            client.active = client.active.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(max_sessions: Option<u32>, per_second: Option<u32>) -> Arc<Clients> {
        Clients::new(ClientLimits { max_sessions, per_second, ..ClientLimits::default() })
    }

    fn address(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_is_a_network_and_others_are_not_its_business() {
        let clients = clients(Some(1), None);
        let place = clients.enter(&address("2001:db8::1")).unwrap();
        assert_eq!(clients.enter(&address("2001:db8::2")).unwrap_err(), Full);
        assert!(clients.enter(&address("2001:db8:0:1::1")).is_ok());
        drop(place);
        assert!(clients.enter(&address("2001:db8::2")).is_ok());
    }

    #[test]
    fn the_rate_counts_what_began_whether_or_not_it_goes_on() {
        let clients = clients(None, Some(2));
        for _ in 0..2 {
            drop(clients.enter(&address("2001:db8::1")).unwrap());
        }
        assert_eq!(clients.enter(&address("2001:db8::1")).unwrap_err(), Full);
    }

    #[test]
    fn a_second_later_there_is_room_again() {
        let clients = clients(None, Some(1));
        drop(clients.enter(&address("2001:db8::1")).unwrap());
        clients.table().clients.values_mut().for_each(|client| client.since -= SECOND);
        assert!(clients.enter(&address("2001:db8::1")).is_ok());
    }

    #[test]
    fn clients_that_are_gone_are_forgotten() {
        let clients = clients(Some(1), None);
        for network in 0..10 * SWEEP as u128 {
            drop(clients.enter(&Ipv6Addr::from_bits(network << 64)).unwrap());
            clients.table().clients.values_mut().for_each(|client| client.since -= SECOND);
            if network > 2 * SWEEP as u128 {
                break;
            }
        }
        assert!(clients.table().clients.len() <= SWEEP + 1);
    }

    #[test]
    fn without_limits_nothing_is_remembered() {
        let clients = clients(None, None);
        assert!(clients.enter(&address("2001:db8::1")).unwrap().is_none());
        assert!(clients.table().clients.is_empty());
    }
}
