//! Gives client networks blocks of source ports (RFC 6888, RFC 7422): all connections of a client to servers leave from its
//! own blocks, so a record for each block tells as much as one for each session.
//!
//! * A client gets its first block with its first connection, and a further one when every port of its blocks is taken
//!   towards a server. A SYN takes no first block, because any host can forge it: see
//!   `Admission::awaits_handshake`.
//! * A block is the client's until no connection of it is left and its rest is over. The rest spares a record for each
//!   short connection. Meanwhile the kernel finishes connections that have ended, and their ports pass from no client to
//!   another (RFC 6888 REQ-8).
//! * A client never loses a block to another (REQ-5). When none is free, or the client has as many as it may have (REQ-4),
//!   its connection is refused.
//!
//! The sockets of a client's datagrams have ports of these blocks, too. Ports of TCP and UDP are apart, so a block serves both.
//! Nothing proves the client of a datagram: the first one takes a block at once.
//!
//! Each connection takes the table's lock as it begins, and its block's lock as it ends. A relay without blocks takes none.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use faith_packet::prefix::network_of;
use faith_sys::local_ports::LocalPorts;
use faith_sys::source;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep_until};

use crate::cause::Cause;
use crate::connect_error::ConnectError;
use crate::networks::Owners;
use crate::port_block::PortBlockRecord;
use crate::port_claims::{CLAIMS, Claim};
use crate::record::Observer;

/// Blocks of source ports for clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortBlockOptions {
    /// Ports of a block, at least 1.
    pub size: u16,
    /// Most blocks of one client, at least 1.
    pub per_client: u16,
    /// Time for which a block without connections stays its client's.
    pub rest: Duration,
}

impl Default for PortBlockOptions {
    fn default() -> Self {
        Self { size: 512, per_client: 4, rest: Duration::from_mins(2) }
    }
}

/// A client network: its address and length.
type Client = (u128, u8);

/// The blocks of a relay's clients.
pub(crate) struct PortBlocks {
    observer: Option<Arc<dyn Observer>>,
    /// A keyed hash, because clients choose the keys. A client has an entry while it has a block.
    table: Mutex<HashMap<Client, Vec<Arc<Block>>>>,
    /// Spreads clients over the ports.
    hasher: RandomState,
    closing: AtomicBool,
    closed: Notify,
}

/// A block of one client.
#[derive(Debug)]
pub(crate) struct Block {
    client: Client,
    claim: Claim<'static>,
    /// Reserved ports inside it.
    reserved: Box<[RangeInclusive<u16>]>,
    rest: Duration,
    /// True if the kernel does not choose inside the block, so that the relay binds to a port itself.
    binds: AtomicBool,
    /// Changed under the table's lock, or for a connection that the block has.
    usage: Mutex<Usage>,
}

#[derive(Debug)]
struct Usage {
    /// Connections and attempts at them.
    connections: u32,
    /// Time at which the last one ended.
    idle_since: Instant,
    /// Time of the assignment, which is that of the first connection. Before it, there is no record to complete.
    assigned: Option<SystemTime>,
    released: bool,
}

/// A client's right to connect from its blocks.
#[derive(Clone)]
pub(crate) struct Allotment {
    blocks: Arc<PortBlocks>,
    options: PortBlockOptions,
    client: Client,
}

/// One connection's part of a block. Hold it as long as the connection lasts.
pub(crate) struct Lease {
    blocks: Arc<PortBlocks>,
    block: Arc<Block>,
}

impl PortBlocks {
    pub(crate) fn new(observer: Option<Arc<dyn Observer>>) -> Arc<Self> {
        Arc::new(Self {
            observer,
            table: Mutex::default(),
            hasher: RandomState::new(),
            closing: AtomicBool::new(false),
            closed: Notify::new(),
        })
    }

    /// The right of a client to connect from its blocks.
    pub(crate) fn allot(
        self: &Arc<Self>,
        options: PortBlockOptions,
        client: &Ipv6Addr,
        prefix_length: u8,
    ) -> Allotment {
        let client = (network_of(*client, prefix_length), prefix_length);
        Allotment { blocks: Arc::clone(self), options, client }
    }

    /// Tells whether the client has a block already.
    pub(crate) fn knows(&self, client: &Ipv6Addr, prefix_length: u8) -> bool {
        self.table.lock().contains_key(&(network_of(*client, prefix_length), prefix_length))
    }

    /// Has every block released as soon as it has no connection; those without one now.
    pub(crate) fn close(&self) {
        self.closing.store(true, Relaxed);
        let blocks: Vec<_> = self.table.lock().values().flatten().cloned().collect();
        for block in blocks {
            self.release_when_due(&block);
        }
        self.closed.notify_waiters();
    }

    /// The blocks of each source address that are clients'.
    pub(crate) fn used(&self) -> HashMap<IpAddr, u32> {
        let mut used = HashMap::new();
        for block in self.table.lock().values().flatten() {
            *used.entry(block.claim.source).or_default() += 1;
        }
        used
    }

    /// The clients that have blocks, with their numbers.
    pub(crate) fn owners(&self) -> Owners {
        let count = |blocks: &Vec<_>| u32::try_from(blocks.len()).unwrap_or(u32::MAX);
        self.table.lock().iter().map(|(client, blocks)| (*client, count(blocks))).collect()
    }

    /// Has the relay choose the ports of every block.
    #[cfg(test)]
    pub(crate) fn bind_from_now_on(&self) {
        self.table.lock().values().flatten().for_each(|block| block.bind_from_now_on());
    }

    /// Leases the `nth` of the client's blocks of `source`, or else a new one.
    fn lease(
        self: &Arc<Self>,
        allotment: &Allotment,
        source: IpAddr,
        nth: usize,
    ) -> Result<Lease, ConnectError> {
        let Allotment { options, client, .. } = allotment;
        let mut table = self.table.lock();
        let own = table.get(client).map_or(&[][..], Vec::as_slice);
        let block = if let Some(block) = own.iter().filter(|block| block.claim.source == source).nth(nth) {
            Arc::clone(block)
        } else {
            if own.len() >= usize::from(options.per_client) {
                return Err(no_port(Cause::MaxPortsPerClient));
            }
            let ports = LocalPorts::read();
            #[expect(clippy::cast_possible_truncation, reason = "any part of a hash serves")]
            let turn = self.hasher.hash_one((client, source, own.len())) as usize;
            let claim = CLAIMS
                .claim(source, &ports, options.size, turn)
                .ok_or_else(|| no_port(Cause::NoPortBlock))?;
            let block = Arc::new(Block::new(*client, claim, &ports, options.rest));
            table.entry(*client).or_default().push(Arc::clone(&block));
            block
        };
        block.usage.lock().connections += 1;
        Ok(Lease { blocks: Arc::clone(self), block })
    }

    /// Notes that a connection comes from a block. With the first one, the assignment is reported. Must be called on a worker's
    /// thread, which then watches the block.
    fn begin(self: &Arc<Self>, block: &Arc<Block>) {
        let now = SystemTime::now();
        let mut usage = block.usage.lock();
        if usage.assigned.is_some() {
            return;
        }
        usage.assigned = Some(now);
        drop(usage);
        self.report(block, now, None);
        let keeper = Keeper { blocks: Arc::clone(self), block: Arc::clone(block) };
        spawn_local(keeper.keep());
    }

    /// Releases a block that has no connections and no rest left. Otherwise returns the time at which to look again: the
    /// block has its rest ahead then.
    fn release_when_due(&self, block: &Arc<Block>) -> Option<Instant> {
        let mut table = self.table.lock();
        let usage = block.usage.lock();
        let now = Instant::now();
        let rest = if self.closing.load(Relaxed) { Duration::ZERO } else { block.rest };
        let due = if usage.connections > 0 { now + block.rest } else { usage.idle_since + rest };
        if usage.released {
            return None;
        }
        if usage.connections > 0 || due > now {
            return Some(due);
        }
        drop(usage);
        self.release(&mut table, block);
        None
    }

    /// Releases a block that has no connections and never had one.
    fn release_unused(&self, block: &Arc<Block>) {
        let mut table = self.table.lock();
        let usage = block.usage.lock();
        if usage.connections == 0 && usage.assigned.is_none() {
            drop(usage);
            self.release(&mut table, block);
        }
    }

    fn release(&self, table: &mut HashMap<Client, Vec<Arc<Block>>>, block: &Arc<Block>) {
        let assigned = {
            let mut usage = block.usage.lock();
            if std::mem::replace(&mut usage.released, true) {
                return;
            }
            usage.assigned
        };
        if let Some(own) = table.get_mut(&block.client) {
            own.retain(|other| !Arc::ptr_eq(other, block));
            if own.is_empty() {
                table.remove(&block.client);
            }
        }
        if let Some(assigned) = assigned {
            self.report(block, assigned, Some(SystemTime::now()));
        }
    }

    fn report(&self, block: &Block, assigned: SystemTime, released: Option<SystemTime>) {
        let Some(observer) = &self.observer else { return };
        let (network, prefix_length) = block.client;
        let Claim { source, first, last, .. } = block.claim;
        let network = Ipv6Addr::from_bits(network);
        observer.port_block(PortBlockRecord {
            network,
            prefix_length,
            source,
            first,
            last,
            assigned,
            released,
        });
    }
}

/// The error of a connection for which there is no port.
fn no_port(cause: Cause) -> ConnectError {
    ConnectError::Ports { cause, error: source::out_of_ports() }
}

impl Block {
    fn new(client: Client, claim: Claim<'static>, ports: &LocalPorts, rest: Duration) -> Self {
        let touches =
            |range: &&RangeInclusive<u16>| *range.start() <= claim.last && claim.first <= *range.end();
        Self {
            client,
            reserved: ports.reserved.iter().filter(touches).cloned().collect(),
            claim,
            rest,
            binds: AtomicBool::new(false),
            usage: Mutex::new(Usage {
                connections: 0,
                idle_since: Instant::now(),
                assigned: None,
                released: false,
            }),
        }
    }

    /// The ports of the block.
    pub(crate) fn ports(&self) -> RangeInclusive<u16> {
        self.claim.first..=self.claim.last
    }

    /// Tells whether this host's servers have a port to themselves.
    pub(crate) fn is_reserved(&self, port: u16) -> bool {
        self.reserved.iter().any(|range| range.contains(&port))
    }

    /// Tells whether the relay chooses the port, because the kernel does not choose inside the block.
    pub(crate) fn binds(&self) -> bool {
        self.binds.load(Relaxed)
    }

    /// Has the relay choose the ports of this block from now on.
    pub(crate) fn bind_from_now_on(&self) {
        self.binds.store(true, Relaxed);
    }
}

impl Allotment {
    /// Has `connect` try one block of the client after the other until one has a port towards the server, and a new block
    /// after these. `source` is the address to connect from; `None` has no blocks.
    ///
    /// # Errors
    /// The error of `connect` that is no lack of ports; `EADDRNOTAVAIL` if the client has as many blocks as it may have, or no
    /// block of `source` is free.
    pub(crate) fn connect_from<T>(
        &self,
        source: Option<IpAddr>,
        mut connect: impl FnMut(IpAddr, &Block) -> Result<T, ConnectError>,
    ) -> Result<(T, Lease), ConnectError> {
        let source = source.ok_or_else(|| no_port(Cause::NoPortBlock))?;
        let mut nth = 0;
        loop {
            let lease = self.blocks.lease(self, source, nth)?;
            match connect(source, &lease.block) {
                Err(ConnectError::Other(error)) if error.kind() == source::out_of_ports().kind() => nth += 1,
                outcome => {
                    let connected = outcome?;
                    self.blocks.begin(&lease.block);
                    return Ok((connected, lease));
                }
            }
        }
    }

    /// A number that no client can guess, for the choice of a port.
    pub(crate) fn turn(&self, connection: u64) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "any part of a hash serves")]
        let turn = self.blocks.hasher.hash_one(connection) as usize;
        turn
    }
}

impl std::fmt::Debug for Allotment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Allotment").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let (is_idle, is_assigned) = {
            let mut usage = self.block.usage.lock();
            usage.connections -= 1;
            usage.idle_since = Instant::now();
            (usage.connections == 0, usage.assigned.is_some())
        };
        if is_idle && !is_assigned {
            self.blocks.release_unused(&self.block);
        } else if is_idle && self.blocks.closing.load(Relaxed) {
            // The sockets of datagrams may outlast their sessions for a moment, after `close` has looked.
            self.blocks.release_when_due(&self.block);
        }
    }
}

/// Watches one block on a worker's thread, and releases it.
struct Keeper {
    blocks: Arc<PortBlocks>,
    block: Arc<Block>,
}

impl Keeper {
    async fn keep(self) {
        loop {
            let mut closed = pin!(self.blocks.closed.notified());
            closed.as_mut().enable();
            let Some(look_at) = self.blocks.release_when_due(&self.block) else { return };
            tokio::select! {
                () = sleep_until(look_at) => {}
                () = closed => {}
            }
        }
    }
}

impl Drop for Keeper {
    /// The worker may end before the block's rest. Its connections end with it.
    fn drop(&mut self) {
        let mut table = self.blocks.table.lock();
        self.blocks.release(&mut table, &self.block);
    }
}
