//! The use of each source address: its sessions, and its blocks of ports.

use std::collections::BTreeMap;
use std::net::IpAddr;

use faith_sys::local_ports::LocalPorts;

use crate::ledger::Ledger;

/// Sessions to look at in one go. A worker that begins or ends a session waits meanwhile.
const PAGE: usize = 256;

/// The use of one address that connections to servers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceUse {
    /// The address.
    pub address: IpAddr,
    /// Active sessions that come from it. Each has a port, and sessions to different servers may share one.
    pub sessions: u64,
    /// Ports that the host connects from: net.ipv4.ip_local_port_range without net.ipv4.ip_local_reserved_ports.
    pub ports: u32,
    /// Blocks of ports that are clients'.
    pub blocks: u32,
    /// Blocks that the ports make, of the relay's size; 0 if clients have none.
    pub max_blocks: u32,
}

impl SourceUse {
    pub(crate) fn new(
        address: IpAddr,
        sessions: u64,
        blocks: u32,
        max_blocks: u32,
        ports: &LocalPorts,
    ) -> Self {
        Self { address, sessions, ports: ports.usable(), blocks, max_blocks }
    }
}

impl Ledger {
    /// Counts the active sessions of each source address.
    pub(crate) fn sources(&self) -> BTreeMap<IpAddr, u64> {
        let mut sources = BTreeMap::new();
        let mut page = Vec::with_capacity(PAGE);
        for tasks in self.all_tasks() {
            let mut after = 0;
            loop {
                tasks.list_sources(after, PAGE, &mut page);
                let Some((last, _)) = page.last() else { break };
                after = *last;
                for source in page.drain(..).filter_map(|(_, source)| source) {
                    *sources.entry(source).or_default() += 1;
                }
            }
        }
        sources
    }
}
