//! A table by flow that the workers of an interface share.
//!
//! The packets and the socket of a flow usually come to one worker, but not always. So all workers share the table. It has
//! shards, each with a lock, so that two workers rarely need the same one. Clients choose their addresses and ports, so a
//! keyed hash, unknown to clients, chooses shard and place. [`FlowTable::at`] computes it once.

use std::hash::{BuildHasher as _, Hash, Hasher, RandomState};

use faith_packet::classify::Flow;
use parking_lot::{Mutex, MutexGuard};
use rustc_hash::FxHashMap;

/// The number of shards per worker, enough that two workers rarely need the same one.
const SHARDS_PER_WORKER: usize = 4;

/// A table with at most one value of type `V` per flow. Each shard has a `B` beside its values, under the same lock.
#[derive(Debug)]
pub struct FlowTable<V, B = ()> {
    keyed: RandomState,
    shards: Box<[Mutex<Shard<V, B>>]>,
}

#[derive(Debug)]
struct Shard<V, B> {
    values: FxHashMap<Key, V>,
    beside: B,
}

/// A flow and its keyed hash, without scope and flow label: a SYN and its socket may differ in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    hash: u64,
    client: u128,
    destination: u128,
    ports: u32,
}

impl Key {
    fn new(keyed: &RandomState, flow: &Flow) -> Self {
        let Flow { client, destination } = flow;
        let ports = u32::from(client.port()) << 16 | u32::from(destination.port());
        let (client, destination) = (client.ip().to_bits(), destination.ip().to_bits());
        Self { hash: keyed.hash_one((client, destination, ports)), client, destination, ports }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl<V> FlowTable<V> {
    /// An empty table for `workers` workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self::beside(workers, |_| ())
    }
}

impl<V, B> FlowTable<V, B> {
    /// An empty table for `workers` workers. `beside` gets the number of shards, and makes each shard's `B`.
    pub(crate) fn beside(workers: usize, beside: impl Fn(usize) -> B) -> Self {
        let count = workers.max(1).saturating_mul(SHARDS_PER_WORKER);
        let shard = || Mutex::new(Shard { values: FxHashMap::default(), beside: beside(count) });
        Self { keyed: RandomState::new(), shards: (0..count).map(|_| shard()).collect() }
    }

    /// Locks the place of `flow` until the [`Slot`] is dropped. A thread must not hold two.
    pub fn at(&self, flow: &Flow) -> Slot<'_, V, B> {
        let key = Key::new(&self.keyed, flow);
        // The hash map inside a shard uses other bits.
        let shard = (key.hash >> 32) as usize % self.shards.len();
        Slot { shard: self.shards[shard].lock(), key }
    }

    /// The number of flows that have a value. It may be outdated at once.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().values.len()).sum()
    }
}

/// The place of one flow in a [`FlowTable`], locked.
#[derive(Debug)]
#[must_use = "dropping it unlocks the place"]
pub struct Slot<'a, V, B = ()> {
    shard: MutexGuard<'a, Shard<V, B>>,
    key: Key,
}

impl<V, B> Slot<'_, V, B> {
    /// The flow's value, if it has one.
    #[must_use]
    pub fn get(&self) -> Option<&V> {
        self.shard.values.get(&self.key)
    }

    /// The flow's value, mutable.
    pub fn get_mut(&mut self) -> Option<&mut V> {
        self.shard.values.get_mut(&self.key)
    }

    /// Gives the flow a value, and returns its previous one.
    pub fn insert(&mut self, value: V) -> Option<V> {
        self.shard.values.insert(self.key, value)
    }

    /// Removes the flow's value, and returns it.
    pub fn remove(&mut self) -> Option<V> {
        self.shard.values.remove(&self.key)
    }

    /// The shard's own state beside its values.
    pub(crate) fn beside_mut(&mut self) -> &mut B {
        &mut self.shard.beside
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddrV6;

    use super::*;

    fn flow(port: u16) -> Flow {
        let end = |address: &str, port| SocketAddrV6::new(address.parse().unwrap(), port, 0, 0);
        Flow { client: end("2001:db8::1", port), destination: end("64:ff9b::c633:6402", 80) }
    }

    #[test]
    fn each_flow_has_a_value_of_its_own() {
        let table = FlowTable::new(2);
        for port in 0..1000 {
            assert_eq!(table.at(&flow(port)).insert(port), None);
        }
        assert_eq!(table.count(), 1000);
        for port in 0..1000 {
            assert_eq!(table.at(&flow(port)).get(), Some(&port));
            assert_eq!(table.at(&flow(port)).insert(port + 1), Some(port));
            assert_eq!(table.at(&flow(port)).get_mut(), Some(&mut (port + 1)));
            assert_eq!(table.at(&flow(port)).remove(), Some(port + 1));
        }
        assert_eq!(table.count(), 0);
        assert_eq!(table.at(&flow(0)).remove(), None);
    }

    #[test]
    fn flows_differ_by_both_ends_and_both_ports() {
        let table = FlowTable::new(2);
        let Flow { client, destination } = flow(1024);
        let _ = table.at(&Flow { client, destination }).insert(());
        assert!(table.at(&Flow { client: destination, destination: client }).get().is_none());
        let (mut other_client, mut other_destination) = (client, destination);
        other_client.set_port(1025);
        other_destination.set_port(81);
        assert!(table.at(&Flow { client: other_client, destination }).get().is_none());
        assert!(table.at(&Flow { client, destination: other_destination }).get().is_none());
    }

    #[test]
    fn scope_and_flow_label_make_no_difference() {
        let table = FlowTable::new(2);
        let Flow { mut client, mut destination } = flow(1024);
        let _ = table.at(&Flow { client, destination }).insert(());
        client.set_scope_id(7);
        destination.set_flowinfo(7);
        assert!(table.at(&Flow { client, destination }).get().is_some());
    }

    #[test]
    fn the_flows_of_one_client_spread_over_all_shards() {
        let table = FlowTable::new(2);
        for port in 0..8000 {
            let _ = table.at(&flow(port)).insert(());
        }
        let shards: Vec<_> = table.shards.iter().map(|shard| shard.lock().values.len()).collect();
        assert_eq!(shards.len(), 2 * SHARDS_PER_WORKER);
        assert!(shards.iter().all(|flows| (800..1200).contains(flows)), "{shards:?}");
    }

    #[test]
    fn each_table_shards_flows_in_its_own_random_way() {
        let shard = |table: &FlowTable<()>, port| {
            (Key::new(&table.keyed, &flow(port)).hash >> 32) as usize % table.shards.len()
        };
        let shards = |table: &FlowTable<()>| (0..64).map(|port| shard(table, port)).collect::<Vec<_>>();
        assert_ne!(shards(&FlowTable::new(2)), shards(&FlowTable::new(2)));
    }
}
