//! The hash by which `bpf/queue.bpf.c` chooses the worker of a client's datagrams, computed here too: a datagram that the
//! program did not see, or could not read, must come to the same worker.

use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddrV6;

/// The random constants of an interface's hash.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mixing {
    pub(crate) addend: u64,
    /// An odd number.
    pub(crate) factor: u64,
}

impl Mixing {
    /// Draws the constants at random, because clients choose addresses and ports.
    pub(crate) fn random() -> Self {
        let random = RandomState::new();
        Self { addend: random.hash_one(0), factor: random.hash_one(1) | 1 }
    }

    /// The worker, among `workers`, that has the datagrams of a client's port.
    pub(crate) fn owner(self, client: &SocketAddrV6, workers: usize) -> usize {
        let address = client.ip().octets();
        let ([first, second], []) = address.as_chunks() else { return 0 };
        let [first, second] = [first, second].map(|half| u64::from_ne_bytes(*half));
        let port = u16::from_ne_bytes(client.port().to_be_bytes());
        let key = self.mix(first.wrapping_add(self.addend));
        let key = self.mix(key ^ second);
        let key = self.mix(key ^ u64::from(port)) & 0x7fff_ffff;
        // The device takes the program's value modulo the number of queues.
        usize::try_from(key).map_or(0, |key| key % workers.max(1))
    }

    fn mix(self, key: u64) -> u64 {
        let key = (key ^ key >> 32).wrapping_mul(self.factor);
        let key = (key ^ key >> 29).wrapping_mul(self.factor);
        key ^ key >> 32
    }
}
