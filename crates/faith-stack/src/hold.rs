//! Places for held SYNs: how many a listener may have in all, and how many of one client.

use std::collections::hash_map::Entry;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use faith_packet::prefix::network_of;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::allowance::{ClientAllowances, Rate};

/// How many SYNs may be held while their service decides. They may be forged: past these bounds no client is refused, but
/// its SYN goes on to the kernel, and the client shows by its handshake that it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldLimits {
    /// In all, over every client and worker of the listener.
    pub total: u32,
    /// Per client.
    pub per_client: u32,
    /// How many SYNs of one client may be held in a second; `None`, the default, is no limit.
    pub per_second: Option<u32>,
    /// Bits of an address that make one client, 0 to 128; 64, what one subscriber has (RFC 6177).
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
    pub(crate) limits: HoldLimits,
    total: AtomicU32,
    clients: Mutex<HoldingClients>,
}

/// The tokens that each client has left.
#[derive(Debug)]
struct HoldingClients {
    held: FxHashMap<u128, u32>,
    lately: Option<ClientAllowances>,
}

impl Hold {
    pub(crate) fn new(limits: HoldLimits) -> Arc<Self> {
        let clients = HoldingClients {
            held: FxHashMap::default(),
            lately: limits.per_second.map(Rate::per_second).map(ClientAllowances::new),
        };
        Arc::new(Self { limits, total: AtomicU32::new(0), clients: Mutex::new(clients) })
    }

    #[cfg(test)]
    pub(crate) fn taken(&self) -> u32 {
        self.total.load(Ordering::Relaxed)
    }
}

/// The bound that a SYN would go past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beyond {
    /// The listener has as many held as it may have in all.
    Total,
    /// The client's network has as many held as it may have at a time.
    Client,
    /// The client's network has had as many held as it may have in a second.
    Rate,
}

/// One place among the held SYNs, free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    hold: Arc<Hold>,
    network: u128,
}

impl Place {
    /// Takes a place for a SYN of `client`, unless it would go past a bound.
    pub(crate) fn take(hold: &Arc<Hold>, client: &Ipv6Addr) -> Result<Self, Beyond> {
        let network = network_of(*client, hold.limits.client_prefix_length);
        let mut clients = hold.clients.lock();
        if hold.total.load(Ordering::Relaxed) >= hold.limits.total {
            return Err(Beyond::Total);
        }
        let HoldingClients { held, lately } = &mut *clients;
        if held.get(&network).copied().unwrap_or(0) >= hold.limits.per_client {
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
    fn a_client_may_have_so_many_held_at_a_time_and_so_many_in_a_second() {
        let [one, other] = ["2001:db8::1", "2001:db8:0:1::1"].map(|it| it.parse::<Ipv6Addr>().unwrap());
        let limits = HoldLimits { total: 100, per_client: 2, per_second: None, client_prefix_length: 64 };
        let hold = Hold::new(limits);
        let places: Vec<_> = (0..2).map(|_| Place::take(&hold, &one).unwrap()).collect();
        assert_eq!(Place::take(&hold, &one).map(drop), Err(Beyond::Client));
        assert!(Place::take(&hold, &other).is_ok());
        drop(places);
        assert!(Place::take(&hold, &one).is_ok());

        let hold = Hold::new(HoldLimits { per_second: Some(3), ..limits });
        let taken: Vec<_> = (0..100).map(|_| Place::take(&hold, &one).map(drop)).collect();
        let again = taken.iter().filter(|taken| taken.is_ok()).count();
        // Three, and one more for each third of a second that it took.
        assert!((3..100).contains(&again), "{again}");
        assert!(taken.iter().all(|taken| matches!(taken, Ok(()) | Err(Beyond::Rate))), "{taken:?}");
        assert!(Place::take(&hold, &other).is_ok());
    }
}
