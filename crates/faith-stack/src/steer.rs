//! Steers TCP connections to faith listeners, by the `sk_lookup` program of `bpf/steer.bpf.c`.
//!
//! A faith listener takes any set of ports, and perhaps one address only. bind(2) cannot express that, so the listener's
//! socket waits on an ephemeral port of `::1`, and the program steers its connections there. Three kernel maps hold the
//! rules. This module loads the program, attaches it to the private namespace and is the only writer of the maps.
//!
//! The maps hold only parts of rules. This module keeps the rules themselves, and the maps follow from them: a rule has
//! one slot of `listeners`, an entry of `ports` for each block of its ports, and, if it names an address, a table that it
//! shares with the other rules of that address.
//!
//! The order of writes matters, because connections arrive meanwhile. `write` enters a rule from its far end: the socket
//! first, then the ports that lead to it, then the address that leads to those. `erase` begins at the near end. So a
//! lookup finds a whole path or none.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv6Addr;
use std::ops::RangeInclusive;
use std::os::fd::BorrowedFd;

use aya::Ebpf;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{HashMap, MapData, MapError, SockMap};
use aya::programs::SkLookup;
use faith_packet::ports::PortSet;

use crate::ebpf::{self, BPF_ANY, ProgramRefused, program, refused_entry, refused_load, take_map};
use crate::error::StackError;

#[cfg(test)]
mod tests;

static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../bpf/steer.bpf.o");

/// The most rules. Each has its own slot, and may have its own address.
const MAX_RULES: u32 = 1024;
/// The most aligned power-of-two blocks of ports, over all rules.
const MAX_PORT_BLOCKS: u32 = 16384;

/// The table of rules without an address. The program has the same constant.
const WILDCARD_TABLE: u32 = 0;

/// Errors of steering connections.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SteerError {
    /// The kernel is too old, built without it, or keeps it from this user.
    #[error(
        "{}; it needs Linux 5.9, and CAP_BPF and CAP_NET_ADMIN outside any user namespace",
        .0.of("sk_lookup")
    )]
    Unavailable(ProgramRefused),
    /// A map has no room for the rule.
    #[error("at most {limit} {of} fit on an interface")]
    Full {
        /// The kind of entries.
        of: &'static str,
        /// The most entries.
        limit: u32,
    },
    /// The kernel refused an entry.
    #[error("cannot write the sk_lookup map `{map}`: {source}")]
    Map {
        /// The map's name in `bpf/steer.bpf.c`.
        map: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
}

impl SteerError {
    /// Makes the interface's error for a listener of `ports`.
    pub(crate) fn of_ports(self, ports: &PortSet) -> StackError {
        let what = format!("steer ports {ports}");
        match self {
            Self::Map { map, source } => {
                StackError::system(format!("{what} by the sk_lookup map `{map}`"), "bpf", source)
            }
            Self::Full { .. } => StackError::Full(format!("{what}: {self}")),
            Self::Unavailable(refused) => {
                StackError::system(what, "bpf", io::Error::other(refused.of("sk_lookup")))
            }
        }
    }
}

/// Identifies a rule until it is removed. No id is used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RuleId(u64);

#[derive(Debug)]
struct Rule {
    address: Option<Ipv6Addr>,
    table: u32,
    slot: u32,
    blocks: Vec<PortBlock>,
}

/// The program, attached to one network namespace until this is dropped, and its maps.
pub(crate) struct Steering {
    addresses: HashMap<MapData, [u8; 16], u32>,
    ports: LpmTrie<MapData, [u8; 6], u32>,
    listeners: SockMap<MapData>,
    rules: BTreeMap<RuleId, Rule>,
    next_rule: u64,
    /// Owns the program and its link, which the kernel detaches when the last descriptor is closed.
    _program: Ebpf,
}

impl Steering {
    /// Loads the program and attaches it to `netns`, the private namespace. Minimum kernel version: 5.9.
    ///
    /// # Errors
    /// [`SteerError::Unavailable`]: use on-demand listeners instead.
    pub(crate) fn attach(netns: BorrowedFd<'_>) -> Result<Self, SteerError> {
        Self::load(netns).map_err(SteerError::Unavailable)
    }

    fn load(netns: BorrowedFd<'_>) -> Result<Self, ProgramRefused> {
        let entries = [("addresses", MAX_RULES), ("ports", MAX_PORT_BLOCKS), ("listeners", MAX_RULES)];
        let mut ebpf = ebpf::load(OBJECT, &entries)?;
        let addresses = take_map(&mut ebpf, "addresses")?;
        let ports = take_map(&mut ebpf, "ports")?;
        let listeners = take_map(&mut ebpf, "listeners")?;

        let steer: &mut SkLookup = program(&mut ebpf, "steer")?;
        steer.load().map_err(refused_load)?;
        steer.attach(netns).map_err(|error| ProgramRefused::new("attach", &error))?;

        Ok(Self { addresses, ports, listeners, rules: BTreeMap::new(), next_rule: 0, _program: ebpf })
    }

    /// Steers connections to `ports` of `address` to the `SO_REUSEPORT` group of `socket`, a listening socket of the
    /// attached namespace. Without an address, the rule applies to every address that has no rule for the port.
    ///
    /// Rules of one address, or of the wildcard, must not share a port. `socket` represents its group: once it is closed,
    /// the rule steers no connection, even if other sockets of the group are open.
    ///
    /// # Errors
    /// [`SteerError::Full`], or [`SteerError::Map`] with the kernel's error (`EOPNOTSUPP`: `socket` does not listen). An
    /// error leaves no part of the rule behind.
    pub(crate) fn add(
        &mut self,
        address: Option<Ipv6Addr>,
        ports: &PortSet,
        socket: BorrowedFd<'_>,
    ) -> Result<RuleId, SteerError> {
        let rule = Rule {
            address,
            table: self.table_for(address),
            slot: self.free_slot()?,
            blocks: self.blocks_for(ports)?,
        };
        if let Err(error) = self.write(&rule, socket) {
            // The caller gets the first error.
            let _ = self.erase(&rule);
            return Err(error);
        }
        let id = RuleId(self.next_rule);
        self.next_rule += 1;
        self.rules.insert(id, rule);
        Ok(id)
    }

    /// Removes a rule. Its connections go on. Ignores an id that was removed already.
    ///
    /// # Errors
    /// [`SteerError::Map`]: an entry remains, and would steer to the listener that gets its slot next.
    pub(crate) fn remove(&mut self, id: RuleId) -> Result<(), SteerError> {
        self.rules.remove(&id).map_or(Ok(()), |rule| self.erase(&rule))
    }

    fn table_for(&self, address: Option<Ipv6Addr>) -> u32 {
        if address.is_none() {
            return WILDCARD_TABLE;
        }
        let shared = self.rules.values().find(|rule| rule.address == address);
        shared.map_or_else(
            || lowest_free(WILDCARD_TABLE + 1, self.rules.values().map(|rule| rule.table)),
            |rule| rule.table,
        )
    }

    fn free_slot(&self) -> Result<u32, SteerError> {
        if self.rules.len() >= MAX_RULES as usize {
            return Err(SteerError::Full { of: "listeners", limit: MAX_RULES });
        }
        Ok(lowest_free(0, self.rules.values().map(|rule| rule.slot)))
    }

    fn blocks_for(&self, ports: &PortSet) -> Result<Vec<PortBlock>, SteerError> {
        let blocks: Vec<PortBlock> = ports.ranges().iter().cloned().flat_map(PortBlock::cover).collect();
        let used: usize = self.rules.values().map(|rule| rule.blocks.len()).sum();
        if used + blocks.len() > MAX_PORT_BLOCKS as usize {
            return Err(SteerError::Full { of: "blocks of ports", limit: MAX_PORT_BLOCKS });
        }
        Ok(blocks)
    }

    fn write(&mut self, rule: &Rule, socket: BorrowedFd<'_>) -> Result<(), SteerError> {
        self.listeners.set(rule.slot, &socket, BPF_ANY).map_err(|error| refused("listeners", error))?;
        for block in &rule.blocks {
            self.ports
                .insert(&block.key(rule.table), rule.slot, BPF_ANY)
                .map_err(|error| refused("ports", error))?;
        }
        if let Some(address) = rule.address {
            self.addresses
                .insert(address.octets(), rule.table, BPF_ANY)
                .map_err(|error| refused("addresses", error))?;
        }
        Ok(())
    }

    /// Removes the entries of `rule` from the maps; `rule` must not be in `rules`. Entries that a failed
    /// [`write`](Self::write) did not reach are absent, which is no error. Removes as many entries as it can, and returns
    /// the first error.
    fn erase(&mut self, rule: &Rule) -> Result<(), SteerError> {
        let mut erased = Ok(());
        if let Some(address) = rule.address
            && !self.rules.values().any(|other| other.address == rule.address)
        {
            erased = erased.and(unless_absent("addresses", self.addresses.remove(&address.octets())));
        }
        for block in &rule.blocks {
            erased = erased.and(unless_absent("ports", self.ports.remove(&block.key(rule.table))));
        }
        erased.and(unless_absent("listeners", self.listeners.clear_index(&rule.slot)))
    }
}

/// A block of `1 << free_bits` ports from `first` on, which is a multiple of that number: one prefix of the trie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PortBlock {
    first: u32,
    free_bits: u32,
}

impl PortBlock {
    /// The fewest blocks that make up `range`, in order; at most 30.
    fn cover(range: RangeInclusive<u16>) -> impl Iterator<Item = Self> {
        let end = u32::from(*range.end()) + 1;
        let mut first = u32::from(*range.start());
        std::iter::from_fn(move || {
            let left = end.checked_sub(first).filter(|left| *left > 0)?;
            // Port 0 has 32 trailing zeros, which ilog2() limits to 16.
            let free_bits = first.trailing_zeros().min(left.ilog2());
            let block = Self { first, free_bits };
            first += 1 << free_bits;
            Some(block)
        })
    }

    /// `struct port_key` of the program.
    fn key(self, table: u32) -> Key<[u8; 6]> {
        let [t0, t1, t2, t3] = table.to_be_bytes();
        let [_, _, p0, p1] = self.first.to_be_bytes();
        Key::new(u32::BITS + u16::BITS - self.free_bits, [t0, t1, t2, t3, p0, p1])
    }
}

fn lowest_free(first: u32, taken: impl Iterator<Item = u32>) -> u32 {
    let ascending: BTreeSet<u32> = taken.collect();
    ascending.into_iter().fold(first, |free, number| if number == free { free + 1 } else { free })
}

fn refused(map: &'static str, error: MapError) -> SteerError {
    SteerError::Map { map, source: refused_entry(error) }
}

fn unless_absent(map: &'static str, removed: Result<(), MapError>) -> Result<(), SteerError> {
    let Err(error) = removed else { return Ok(()) };
    let source = refused_entry(error);
    // The kernel has removed a closed socket from `listeners`, and returns EINVAL for an empty slot.
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::InvalidInput => Ok(()),
        _ => Err(SteerError::Map { map, source }),
    }
}
