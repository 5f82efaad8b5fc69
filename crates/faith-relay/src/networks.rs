//! The active sessions of a relay, summed up by the networks of their clients.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use faith_packet::prefix::network_of;

use crate::ledger::Ledger;
use crate::live::LiveSession;

/// Sessions to look at in one go. A worker that begins or ends a session waits meanwhile.
const PAGE: usize = 256;

/// The active sessions of one client network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientNetwork {
    /// The address of the network.
    pub network: Ipv6Addr,
    /// Number of sessions.
    pub sessions: u64,
    /// Bytes of these sessions to servers.
    pub bytes_up: u64,
    /// Bytes of these sessions from servers.
    pub bytes_down: u64,
    /// Age of the oldest session.
    pub oldest: Duration,
    /// Time since a byte moved in any of them.
    pub idle: Duration,
    /// Blocks of source ports that clients of the network have. Those of a larger client count in each network inside it.
    pub port_blocks: u32,
}

impl ClientNetwork {
    fn add(&mut self, session: &LiveSession) {
        self.sessions += 1;
        self.bytes_up += session.bytes_up;
        self.bytes_down += session.bytes_down;
        self.oldest = self.oldest.max(session.age);
        self.idle = self.idle.min(session.idle);
    }
}

/// The client networks that have blocks of source ports, each with its length in bits and the number of its blocks.
pub(crate) type Owners = Vec<((u128, u8), u32)>;

/// Counts the blocks of networks of `prefix_length` bits.
pub(crate) fn count_blocks(networks: &mut [ClientNetwork], prefix_length: u8, owners: Owners) {
    // An owner and a network have the bits of the shorter one in common. The length of owners may change at run time.
    let mut blocks: HashMap<(u128, u8), u32> = HashMap::new();
    let mut lengths = BTreeSet::new();
    for ((owner, length), count) in owners {
        let common = length.min(prefix_length);
        lengths.insert(common);
        *blocks.entry((network_of(Ipv6Addr::from_bits(owner), common), common)).or_default() += count;
    }
    for network in networks {
        let keys = lengths.iter().map(|&length| (network_of(network.network, length), length));
        network.port_blocks = keys.filter_map(|key| blocks.get(&key)).sum();
    }
}

impl Ledger {
    /// Sums up the active sessions by networks of `prefix_length` bits, those with most sessions first.
    pub(crate) fn networks(&self, prefix_length: u8) -> Vec<ClientNetwork> {
        let now = Instant::now();
        // A keyed hash, because clients choose the keys.
        let mut networks: HashMap<u128, ClientNetwork> = HashMap::new();
        let mut page = Vec::with_capacity(PAGE);
        for tasks in self.all_tasks() {
            let mut after = 0;
            loop {
                tasks.list(after, PAGE, now, &mut page);
                let Some(last) = page.last() else { break };
                after = last.id;
                for session in page.drain(..) {
                    let key = network_of(*session.client.ip(), prefix_length);
                    networks
                        .entry(key)
                        .or_insert_with(|| ClientNetwork {
                            network: Ipv6Addr::from_bits(key),
                            sessions: 0,
                            bytes_up: 0,
                            bytes_down: 0,
                            oldest: Duration::ZERO,
                            idle: Duration::MAX,
                            port_blocks: 0,
                        })
                        .add(&session);
                }
            }
        }
        let mut networks: Vec<_> = networks.into_values().collect();
        networks.sort_unstable_by_key(|network| (Reverse(network.sessions), network.network));
        networks
    }
}
