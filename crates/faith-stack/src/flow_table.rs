//! A table by flow that the workers of an interface share.
//!
//! The packets and the socket of a flow come to one worker as a rule, but nothing promises it. So the table belongs to
//! all workers, and is cut into shards, each with a lock, so that two workers rarely want the same one. Clients choose
//! their addresses and ports, so shard and place follow from a hash that no client knows; it is computed once per
//! [`FlowTable::at`].

use std::hash::{BuildHasher as _, Hash, Hasher, RandomState};

use faith_packet::classify::Flow;
use parking_lot::{Mutex, MutexGuard};
use rustc_hash::FxHashMap;

/// Shards per worker: enough that two workers rarely want the same one.
const SHARDS_PER_WORKER: usize = 4;

/// One value of type `V` per flow at most. Each shard has a `B` beside its values, under the same lock.
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

/// A flow and its keyed hash. Scope and flow label are left out: a SYN and a socket may differ in them.
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
    /// An empty table for so many workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self::beside(workers, |_| ())
    }
}

impl<V, B> FlowTable<V, B> {
    /// An empty table for so many workers. `beside` is told the number of shards, and makes what each has beside its
    /// values.
    pub(crate) fn beside(workers: usize, beside: impl Fn(usize) -> B) -> Self {
        let count = workers.max(1).saturating_mul(SHARDS_PER_WORKER);
        let shard = || Mutex::new(Shard { values: FxHashMap::default(), beside: beside(count) });
        Self { keyed: RandomState::new(), shards: (0..count).map(|_| shard()).collect() }
    }

    /// Locks the place of `flow` until the [`Slot`] is dropped. A thread must not hold two.
    pub fn at(&self, flow: &Flow) -> Slot<'_, V, B> {
        let key = Key::new(&self.keyed, flow);
        // The map chooses its places by other bits.
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

    /// The flow's value, to be changed.
    pub fn get_mut(&mut self) -> Option<&mut V> {
        self.shard.values.get_mut(&self.key)
    }

    /// Gives the flow a value; returns the one it had.
    pub fn insert(&mut self, value: V) -> Option<V> {
        self.shard.values.insert(self.key, value)
    }

    /// Takes the flow's value, if it has one.
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
    fn both_ends_and_both_ports_tell_flows_apart() {
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
    fn the_flow_of_a_packet_and_that_of_its_socket_are_the_same() {
        let table = FlowTable::new(2);
        let Flow { mut client, mut destination } = flow(1024);
        let _ = table.at(&Flow { client, destination }).insert(());
        client.set_scope_id(7);
        destination.set_flowinfo(7);
        assert!(table.at(&Flow { client, destination }).get().is_some());
    }

    #[test]
    fn the_flows_of_one_client_come_to_all_shards_alike() {
        let table = FlowTable::new(2);
        for port in 0..8000 {
            let _ = table.at(&flow(port)).insert(());
        }
        let shards: Vec<_> = table.shards.iter().map(|shard| shard.lock().values.len()).collect();
        assert_eq!(shards.len(), 2 * SHARDS_PER_WORKER);
        assert!(shards.iter().all(|flows| (800..1200).contains(flows)), "{shards:?}");
    }

    #[test]
    fn no_client_can_foretell_the_shard() {
        let shard = |table: &FlowTable<()>, port| {
            (Key::new(&table.keyed, &flow(port)).hash >> 32) as usize % table.shards.len()
        };
        let shards = |table: &FlowTable<()>| (0..64).map(|port| shard(table, port)).collect::<Vec<_>>();
        assert_ne!(shards(&FlowTable::new(2)), shards(&FlowTable::new(2)));
    }
}
