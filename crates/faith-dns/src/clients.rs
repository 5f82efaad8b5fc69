//! Limits of each client: queries a second over UDP, and queries that wait for an upstream.
//!
//! The address of a datagram may be forged, so a server that answers all of them helps to flood a third
//! party. Beyond its rate, a network gets an answer to every second query, and that answer is no longer than the
//! query and says "truncated": a real client asks again over TCP, where an address cannot be forged.
//!
//! The table has a fixed size. Networks that fall on the same place share a limit; the places are
//! keyed by a secret, so that no client can choose to share one with another.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

use tokio::time::Instant;

/// Places of the table.
const PLACES: usize = 4096;

/// Datagrams a second of all clients that get no answers, which are told so. They share this limit, so they cannot take
/// the places of clients that do.
const REFUSALS: u32 = 100;

/// TCP connections of such clients at a time: of each, and of all.
const REFUSED_CONNECTIONS: [u32; 2] = [2, 20];

/// The limits of each client, which is a /64 of IPv6 addresses or one IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Queries a second over UDP, on average over two seconds. 0 is no limit. Default: 1000.
    pub rate: u32,
    /// Queries of a client that wait for an upstream at a time. Default: 200.
    pub outstanding_per_client: u32,
    /// Queries of all clients that wait for an upstream at a time. Default: 2000.
    pub outstanding: u32,
    /// TCP connections of a client at a time. Default: 20.
    pub connections_per_client: u32,
    /// TCP connections of all clients at a time. Default: 200.
    pub connections: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rate: 1000,
            outstanding_per_client: 200,
            outstanding: 2000,
            connections_per_client: 20,
            connections: 200,
        }
    }
}

/// The answer to a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowance {
    Answer,
    /// Over the rate: a short answer that says "truncated".
    Slip,
    /// Over the rate: no answer.
    Drop,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    /// Queries that may come at once.
    tokens: f32,
    since: Instant,
    slip: bool,
}

/// Counts of one kind of thing, of each client and of all.
#[derive(Debug)]
struct Counts {
    each: Vec<Cell<u32>>,
    all: Cell<u32>,
}

/// The clients.
#[derive(Debug)]
pub(crate) struct Clients {
    secret: RandomState,
    places: RefCell<Vec<Place>>,
    /// The place that all clients share that get no answers.
    refused: Cell<Place>,
    outstanding: Rc<Counts>,
    connections: Rc<Counts>,
    refused_connections: Rc<Counts>,
}

/// One more, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    counts: Rc<Counts>,
    place: usize,
}

impl Clients {
    pub(crate) fn new() -> Self {
        let place = Place { tokens: f32::INFINITY, since: Instant::now(), slip: false };
        Self {
            secret: RandomState::new(),
            places: RefCell::new(vec![place; PLACES]),
            refused: Cell::new(place),
            outstanding: Counts::new(),
            connections: Counts::new(),
            refused_connections: Counts::new(),
        }
    }

    /// Counts a datagram.
    pub(crate) fn admit(&self, client: IpAddr, limits: &Limits) -> Allowance {
        if limits.rate == 0 {
            return Allowance::Answer;
        }
        let mut places = self.places.borrow_mut();
        let Some(place) = places.get_mut(self.place_of(client)) else { return Allowance::Answer };
        if place.take(limits.rate) {
            return Allowance::Answer;
        }
        place.slip = !place.slip;
        if place.slip { Allowance::Slip } else { Allowance::Drop }
    }

    /// Counts a datagram of a client that gets no answers. It may be told so, but is not sent to TCP.
    pub(crate) fn refuse(&self) -> Allowance {
        let mut place = self.refused.get();
        let is_told = place.take(REFUSALS);
        self.refused.set(place);
        if is_told { Allowance::Answer } else { Allowance::Drop }
    }

    /// Counts a query that waits for an upstream; `None` if there are too many.
    pub(crate) fn wait(&self, client: IpAddr, limits: &Limits) -> Option<Turn> {
        let place = self.place_of(client);
        Counts::take(&self.outstanding, place, limits.outstanding_per_client, limits.outstanding)
    }

    /// Counts a connection; `None` if there are too many.
    pub(crate) fn connect(&self, client: IpAddr, limits: &Limits) -> Option<Turn> {
        let place = self.place_of(client);
        Counts::take(&self.connections, place, limits.connections_per_client, limits.connections)
    }

    /// Counts a connection of a client that gets no answers.
    pub(crate) fn connect_refused(&self, client: IpAddr) -> Option<Turn> {
        let [each, all] = REFUSED_CONNECTIONS;
        Counts::take(&self.refused_connections, self.place_of(client), each, all)
    }

    fn place_of(&self, client: IpAddr) -> usize {
        let client = client.to_canonical();
        let network = match client {
            IpAddr::V4(address) => u64::from(Ipv4Addr::to_bits(address)),
            IpAddr::V6(address) => u64::try_from(address.to_bits() >> 64).unwrap_or(0),
        };
        usize::try_from(self.secret.hash_one((client.is_ipv4(), network)) % PLACES as u64).unwrap_or(0)
    }
}

impl Place {
    /// Takes a token, if there is one.
    fn take(&mut self, rate: u32) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
        let rate = rate as f32;
        let now = Instant::now();
        self.tokens = (self.tokens + rate * (now - self.since).as_secs_f32()).min(2.0 * rate);
        self.since = now;
        let has_token = self.tokens >= 1.0;
        if has_token {
            self.tokens -= 1.0;
        }
        has_token
    }
}

impl Counts {
    fn new() -> Rc<Self> {
        Rc::new(Self { each: vec![Cell::new(0); PLACES], all: Cell::new(0) })
    }

    fn take(counts: &Rc<Self>, place: usize, most_of_each: u32, most: u32) -> Option<Turn> {
        let each = counts.each.get(place)?;
        if each.get() >= most_of_each || counts.all.get() >= most {
            return None;
        }
        each.set(each.get() + 1);
        counts.all.set(counts.all.get() + 1);
        Some(Turn { counts: Rc::clone(counts), place })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let all = &self.counts.all;
        all.set(all.get().saturating_sub(1));
        if let Some(each) = self.counts.each.get(self.place) {
            each.set(each.get().saturating_sub(1));
        }
    }
}

#[cfg(test)]
mod tests;
