//! Places for held SYNs, limited per listener and per client.

use std::collections::hash_map::Entry;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use faith_packet::prefix::network_of;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::allowance::{ClientAllowances, Rate};

/// The limits of SYNs held while their service decides. SYNs may be forged. Beyond the limits the SYN goes on to the
/// kernel, which refuses no client: the client's handshake proves that it is real.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldLimits {
    /// The most SYNs held at a time, over all clients and workers of the listener; default 4096.
    pub total: u32,
    /// The most SYNs of one client held at a time; default 256.
    pub per_client: u32,
    /// SYNs of one client that may be held per second: this many at once, then one more each equal part of a second.
    /// `None`, the default, means no limit.
    pub per_second: Option<u32>,
    /// The number of address bits that identify one client, 0 to 128; default 64, a common network of one subscriber.
    pub client_prefix_length: u8,
}

impl Default for HoldLimits {
    fn default() -> Self {
        Self { total: 4096, per_client: 256, per_second: None, client_prefix_length: 64 }
    }
}

/// A listener's held SYNs, counted over all workers.
#[derive(Debug)]
pub(crate) struct Hold {
    total: AtomicU32,
    clients: Mutex<HoldingClients>,
}

/// The SYNs that each client has held, now and recently.
#[derive(Debug)]
struct HoldingClients {
    limits: HoldLimits,
    held: FxHashMap<u128, u32>,
    lately: Option<ClientAllowances>,
}

impl Hold {
    pub(crate) fn new(limits: HoldLimits) -> Arc<Self> {
        let clients = HoldingClients { limits, held: FxHashMap::default(), lately: lately(limits) };
        Arc::new(Self { total: AtomicU32::new(0), clients: Mutex::new(clients) })
    }

    /// Bounds SYNs by other limits from now on. Those that are held keep their places.
    pub(crate) fn limit(&self, limits: HoldLimits) {
        let mut clients = self.clients.lock();
        let (before, now) = (clients.limits, limits);
        if (before.per_second, before.client_prefix_length) != (now.per_second, now.client_prefix_length) {
            clients.lately = lately(limits);
        }
        clients.limits = limits;
    }

    /// The SYNs that one client may have held.
    pub(crate) fn per_client(&self) -> u32 {
        self.clients.lock().limits.per_client
    }

    #[cfg(test)]
    pub(crate) fn taken(&self) -> u32 {
        self.total.load(Ordering::Relaxed)
    }
}

fn lately(limits: HoldLimits) -> Option<ClientAllowances> {
    limits.per_second.map(Rate::per_second).map(ClientAllowances::new)
}

/// The limit that a SYN would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beyond {
    /// [`HoldLimits::total`].
    Total,
    /// [`HoldLimits::per_client`].
    Client,
    /// [`HoldLimits::per_second`].
    Rate,
}

/// One place among the held SYNs. Dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Place {
    hold: Arc<Hold>,
    network: u128,
}

impl Place {
    /// Takes a place for a SYN of `client`, unless that would exceed a limit.
    pub(crate) fn take(hold: &Arc<Hold>, client: &Ipv6Addr) -> Result<Self, Beyond> {
        let mut clients = hold.clients.lock();
        let HoldingClients { limits, held, lately } = &mut *clients;
        let network = network_of(*client, limits.client_prefix_length);
        if hold.total.load(Ordering::Relaxed) >= limits.total {
            return Err(Beyond::Total);
        }
        if held.get(&network).copied().unwrap_or(0) >= limits.per_client {
            return Err(Beyond::Client);
        }
        if lately.as_mut().is_some_and(|lately| !lately.take(network, Instant::now())) {
            return Err(Beyond::Rate);
        }
        *held.entry(network).or_default() += 1;
        hold.total.fetch_add(1, Ordering::Relaxed);
        Ok(Self { hold: Arc::clone(hold), network })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut clients = self.hold.clients.lock();
        if let Entry::Occupied(mut count) = clients.held.entry(self.network) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        self.hold.total.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_held_syns_of_a_client_are_limited_at_a_time_and_per_second() {
        let [one, other] = ["2001:db8::1", "2001:db8:0:1::1"].map(|it| it.parse::<Ipv6Addr>().unwrap());
        let limits = HoldLimits { total: 100, per_client: 2, per_second: None, client_prefix_length: 64 };
        let hold = Hold::new(limits);
        let places: Vec<_> = (0..2).map(|_| Place::take(&hold, &one).unwrap()).collect();
        assert_eq!(Place::take(&hold, &one).map(drop), Err(Beyond::Client));
        assert!(Place::take(&hold, &other).is_ok());
        drop(places);
        assert!(Place::take(&hold, &one).is_ok());

        let hold = Hold::new(limits);
        let place = Place::take(&hold, &one).unwrap();
        hold.limit(HoldLimits { per_client: 1, ..limits });
        assert_eq!(
            Place::take(&hold, &one).map(drop),
            Err(Beyond::Client),
            "other limits, and it has its place"
        );
        drop(place);
        assert!(Place::take(&hold, &one).is_ok());

        let hold = Hold::new(HoldLimits { per_second: Some(3), ..limits });
        let taken: Vec<_> = (0..100).map(|_| Place::take(&hold, &one).map(drop)).collect();
        let again = taken.iter().filter(|taken| taken.is_ok()).count();
        // Three are held, and one more for each third of a second that the loop took.
        assert!((3..100).contains(&again), "{again}");
        assert!(taken.iter().all(|taken| matches!(taken, Ok(()) | Err(Beyond::Rate))), "{taken:?}");
        assert!(Place::take(&hold, &other).is_ok());
    }
}
