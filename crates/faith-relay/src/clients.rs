//! Session limits: in all, per client at a time, and per client and second. A client is a network of a given prefix length,
//! because one subscriber has a /64 of addresses (RFC 6177).
//!
//! A client takes a place when its handshake is complete, never by a SYN: any host can forge SYNs, and a client would lose
//! its places to the forger. A SYN only looks for a place, so the relay refuses a client beyond its limits before it
//! connects to a server.

use std::collections::HashMap;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use faith_packet::prefix::network_of;
use faith_stack::{Allowance, Rate};
use parking_lot::Mutex;

use crate::cause::Cause;

/// Limits for each client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientLimits {
    /// Address bits that identify one client, 0 to 128; default 64.
    pub prefix_length: u8,
    /// Accepted connections at a time; `None`, the default, is no limit.
    pub max_sessions: Option<u32>,
    /// Rate of accepted connections per second. This many may come at once; after that the allowance refills bit by bit, one
    /// connection each equal part of a second. `None`, the default, is no limit.
    pub per_second: Option<u32>,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self { prefix_length: 64, max_sessions: None, per_second: None }
    }
}

/// Size of the table at which idle clients are forgotten: those that have no session and their whole allowance.
const SWEEP: usize = 1024;

/// The clients of a relay and their places. With limits per client it is locked for each SYN, and when a session begins and
/// ends; without them, never.
#[derive(Debug)]
pub(crate) struct Clients {
    limits: ArcSwap<Limits>,
    /// Places taken in all; counted only if they are limited.
    taken: AtomicU32,
    table: Mutex<Table>,
}

/// The most sessions in all, and the limits of one client.
#[derive(Debug, Clone, Copy)]
struct Limits {
    max_sessions: Option<u32>,
    client: ClientLimits,
}

#[derive(Debug)]
struct Table {
    // A keyed hash, because clients choose the keys.
    clients: HashMap<u128, Client>,
    sweep_at: usize,
}

#[derive(Debug)]
struct Client {
    active: u32,
    /// The sessions that the client may still begin.
    allowance: Allowance,
}

impl Client {
    fn is_forgettable(&self, now: Instant) -> bool {
        self.active == 0 && self.allowance.whole_in(now).is_zero()
    }

    /// Tells whether the client may begin another session.
    fn may_begin(&self, limits: ClientLimits, now: Instant) -> Result<(), Full> {
        if limits.max_sessions.is_some_and(|most| self.active >= most) {
            return Err(Full::Sessions);
        }
        if limits.per_second.is_some_and(|most| !self.allowance.is_left(Rate::per_second(most), now)) {
            return Err(Full::Rate);
        }
        Ok(())
    }
}

impl Clients {
    pub(crate) fn new(max_sessions: Option<u32>, limits: ClientLimits) -> Arc<Self> {
        let table = Mutex::new(Table { clients: HashMap::new(), sweep_at: SWEEP });
        let limits = ArcSwap::from_pointee(Limits { max_sessions, client: limits });
        Arc::new(Self { limits, taken: AtomicU32::new(0), table })
    }

    /// Lets new sessions in by other limits from now on. A session that began while neither the relay nor its client was
    /// limited has no place, and counts towards no limit.
    pub(crate) fn limit(&self, max_sessions: Option<u32>, client: ClientLimits) {
        self.limits.store(Arc::new(Limits { max_sessions, client }));
    }

    /// Tells whether there is a place for a session of `client`, without taking one.
    ///
    /// # Errors
    /// The limit that is reached.
    pub(crate) fn look(&self, client: &Ipv6Addr) -> Result<(), Full> {
        let limits = **self.limits.load();
        if limits.max_sessions.is_some_and(|most| self.taken.load(Ordering::Relaxed) >= most) {
            return Err(Full::Relay);
        }
        let Some(key) = limits.client.key(client) else { return Ok(()) };
        let table = self.table.lock();
        let Some(client) = table.clients.get(&key) else { return Ok(()) };
        client.may_begin(limits.client, Instant::now())
    }

    /// Tells whether more than three quarters of the places in all are taken.
    pub(crate) fn is_pressed(&self) -> bool {
        let taken = self.taken.load(Ordering::Relaxed);
        self.limits.load().max_sessions.is_some_and(|most| taken > most / 4 * 3)
    }

    /// Number of places taken, if they are limited.
    pub(crate) fn taken(&self) -> u32 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Takes a place for a session of `client`, whose handshake is complete. Hold it as long as the session lasts. `None` if
    /// nothing is limited.
    ///
    /// # Errors
    /// The limit that is reached.
    pub(crate) fn enter(self: &Arc<Self>, client: &Ipv6Addr) -> Result<Option<Place>, Full> {
        let limits = **self.limits.load();
        let key = limits.client.key(client);
        if limits.max_sessions.is_none() && key.is_none() {
            return Ok(None);
        }
        if let Some(most) = limits.max_sessions {
            let one_more = |taken| if taken < most { Some(taken + 1) } else { None };
            self.taken
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
                .map_err(|_| Full::Relay)?;
        }
        // From here on its drop gives back the place.
        let counted = limits.max_sessions.is_some();
        let crowded = limits.max_sessions.is_some_and(|most| is_crowded(self.taken(), most));
        let mut place = Place { clients: Arc::clone(self), counted, key: None, crowded };
        if let Some(key) = key {
            let active = self.table.lock().enter(key, limits.client, Instant::now())?;
            place.key = Some(key);
            place.crowded |= limits.client.max_sessions.is_some_and(|most| is_crowded(active, most));
        }
        Ok(Some(place))
    }
}

impl ClientLimits {
    /// The client's key in the table; `None` if clients are not limited.
    fn key(self, client: &Ipv6Addr) -> Option<u128> {
        let Self { prefix_length, max_sessions, per_second } = self;
        (max_sessions.is_some() || per_second.is_some()).then(|| network_of(*client, prefix_length))
    }
}

/// Tells whether more than a quarter of the places are taken.
const fn is_crowded(taken: u32, most: u32) -> bool {
    taken > most / 4
}

impl Table {
    /// Takes a place of a client. Returns the number of those that it has.
    fn enter(&mut self, key: u128, limits: ClientLimits, now: Instant) -> Result<u32, Full> {
        let client = self.clients.entry(key).or_insert(Client { active: 0, allowance: Allowance::default() });
        client.may_begin(limits, now)?;
        client.active += 1;
        if let Some(most) = limits.per_second {
            client.allowance.take(Rate::per_second(most), now);
        }
        let active = client.active;
        if self.clients.len() > self.sweep_at {
            self.clients.retain(|_, client| !client.is_forgettable(now));
            self.sweep_at = SWEEP.max(2 * self.clients.len());
        }
        Ok(active)
    }
}

/// The limit that leaves no place for another session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The relay has as many sessions as it may have.
    Relay,
    /// The client has as many sessions as it may have.
    Sessions,
    /// The client begins sessions faster than it may: its allowance, which refills bit by bit, is used up.
    Rate,
}

impl From<Full> for Cause {
    fn from(full: Full) -> Self {
        match full {
            Full::Relay => Self::MaxSessions,
            Full::Sessions => Self::MaxSessionsPerClient,
            Full::Rate => Self::MaxRatePerClient,
        }
    }
}

/// A session's place among those of the relay and of its client, until it is dropped.
#[derive(Debug)]
pub struct Place {
    clients: Arc<Clients>,
    /// True if the place counts among the relay's.
    counted: bool,
    /// The client's key in the table, if clients are limited.
    key: Option<u128>,
    crowded: bool,
}

impl Place {
    /// Tells whether more than a quarter of the places of the relay or of the client were taken when this one was.
    pub(crate) fn is_crowded(&self) -> bool {
        self.crowded
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.counted {
            self.clients.taken.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(key) = self.key
            && let Some(client) = self.clients.table.lock().clients.get_mut(&key)
        {
            client.active = client.active.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn clients(max_sessions: Option<u32>, per_second: Option<u32>) -> Arc<Clients> {
        Clients::new(None, ClientLimits { max_sessions, per_second, ..ClientLimits::default() })
    }

    fn relay(max_sessions: u32) -> Arc<Clients> {
        Clients::new(Some(max_sessions), ClientLimits::default())
    }

    fn address(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    #[test]
    fn the_addresses_of_one_network_share_their_places() {
        let clients = clients(Some(1), None);
        let place = clients.enter(&address("2001:db8::1")).unwrap();
        assert_eq!(clients.enter(&address("2001:db8::2")).unwrap_err(), Full::Sessions);
        assert!(clients.enter(&address("2001:db8:0:1::1")).is_ok());
        drop(place);
        assert!(clients.enter(&address("2001:db8::2")).is_ok());
    }

    #[test]
    fn changed_limits_hold_for_new_sessions_and_give_no_place_back_twice() {
        let one = address("2001:db8::1");
        let clients = relay(1);
        let place = clients.enter(&one).unwrap();
        clients.limit(None, ClientLimits::default());
        let unlimited = clients.enter(&one).unwrap();
        assert!(unlimited.is_none());
        clients.limit(Some(2), ClientLimits { max_sessions: Some(1), ..ClientLimits::default() });
        let second = clients.enter(&one).unwrap();
        assert_eq!(clients.enter(&one).unwrap_err(), Full::Relay);
        drop(place);
        assert_eq!(clients.enter(&one).unwrap_err(), Full::Sessions);
        clients.limit(Some(2), ClientLimits::default());
        drop(second);
        let places = [clients.enter(&one).unwrap(), clients.enter(&one).unwrap()];
        assert_eq!(clients.enter(&one).unwrap_err(), Full::Relay, "each place was given back once");
        drop(places);
    }

    #[test]
    fn the_rate_counts_ended_sessions_too() {
        let clients = clients(None, Some(2));
        for _ in 0..2 {
            drop(clients.enter(&address("2001:db8::1")).unwrap());
        }
        assert_eq!(clients.enter(&address("2001:db8::1")).unwrap_err(), Full::Rate);
    }

    #[test]
    fn the_rate_allows_a_session_again_after_a_second() {
        let clients = clients(None, Some(1));
        let before = Instant::now();
        drop(clients.enter(&address("2001:db8::1")).unwrap());
        let after = Instant::now();
        let key = clients.limits.load().client.key(&address("2001:db8::1")).unwrap();
        let mut table = clients.table.lock();
        let may_begin = |table: &Table, now| table.clients[&key].may_begin(clients.limits.load().client, now);
        assert_eq!(may_begin(&table, before + SECOND / 2), Err(Full::Rate));
        assert_eq!(may_begin(&table, after + SECOND), Ok(()));
        assert_eq!(table.enter(key, clients.limits.load().client, after + SECOND), Ok(1));
        assert_eq!(may_begin(&table, after + SECOND), Err(Full::Rate));
    }

    #[test]
    fn looking_gives_the_same_answer_as_entering_and_takes_no_place() {
        let client = address("2001:db8::1");
        for (clients, full) in [
            (relay(1), Full::Relay),
            (clients(Some(1), None), Full::Sessions),
            (clients(None, Some(1)), Full::Rate),
        ] {
            for _ in 0..1000 {
                assert_eq!(clients.look(&client), Ok(()));
            }
            assert!(clients.table.lock().clients.is_empty());
            let _place = clients.enter(&client).unwrap();
            assert_eq!(clients.look(&client), Err(full));
            assert_eq!(clients.enter(&client).unwrap_err(), full);
        }
    }

    #[test]
    fn all_clients_share_the_places_of_the_relay() {
        let clients = relay(2);
        let place = clients.enter(&address("2001:db8::1"));
        let other = clients.enter(&address("2001:db8:0:1::1"));
        assert_eq!(clients.enter(&address("2001:db8:0:2::1")).unwrap_err(), Full::Relay);
        drop(place);
        assert!(clients.enter(&address("2001:db8:0:2::1")).is_ok());
        drop(other);
        assert_eq!(clients.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_refused_client_takes_no_place_of_the_relay() {
        let limits = ClientLimits { max_sessions: Some(1), ..ClientLimits::default() };
        let clients = Clients::new(Some(2), limits);
        let _place = clients.enter(&address("2001:db8::1")).unwrap();
        for _ in 0..10 {
            assert_eq!(clients.enter(&address("2001:db8::1")).unwrap_err(), Full::Sessions);
        }
        assert!(clients.enter(&address("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn places_are_crowded_beyond_a_quarter_of_those_of_the_relay_or_of_the_client() {
        let crowded = |clients: &Arc<Clients>| {
            let places: Vec<_> =
                (0..4).map(|_| clients.enter(&address("2001:db8::1")).unwrap().unwrap()).collect();
            places.iter().map(Place::is_crowded).collect::<Vec<_>>()
        };
        assert_eq!(crowded(&relay(8)), [false, false, true, true]);
        let limits = ClientLimits { max_sessions: Some(12), ..ClientLimits::default() };
        assert_eq!(crowded(&Clients::new(Some(100), limits)), [false, false, false, true]);
    }

    #[test]
    fn idle_clients_are_forgotten() {
        let clients = clients(None, Some(1));
        let mut table = clients.table.lock();
        let begun = Instant::now();
        for (network, second) in (0..3 * SWEEP as u128).zip(0..) {
            table.enter(network, clients.limits.load().client, begun + second * SECOND).unwrap();
            table.clients.get_mut(&network).unwrap().active = 0;
        }
        assert!(table.clients.len() <= SWEEP + 1);
    }

    #[test]
    fn without_limits_no_client_is_remembered() {
        let clients = clients(None, None);
        assert!(clients.enter(&address("2001:db8::1")).unwrap().is_none());
        assert!(clients.table.lock().clients.is_empty());
    }
}
