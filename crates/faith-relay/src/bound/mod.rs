//! A program's own ports of datagrams: the program hears what clients send there, and answers.
//!
//! ```text
//! pump ─► Part ─► Hearer (the program)
//! faith0 ◄─ Sender ◄─ Outbox ◄─ BoundUdp::send
//! ```
//!
//! Each worker has a part, which hears the clients of that worker. The program sends from any thread: its messages wait in the
//! outbox of their client's worker, so those to one client leave in order. Both ways are bounded. A message without room is
//! dropped and counted, as a socket of the kernel would do.

mod counters;
mod message;
mod outbox;
mod part;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::sync::Arc;

use faith_packet::ports::PortSet;
use faith_packet::udp::MAX_DATA;
use faith_stack::{BeginDatagrams, DatagramsHandle, FaithInterface, StackError};

use counters::Counters;
use outbox::Outbox;
use part::Part;

pub use counters::BoundUdpStats;
pub use message::{Hearer, Message};

/// The reason for which a message was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The interface cannot carry it.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The program has not bound the address and port that the message would come from.
    #[error("{0} is not bound")]
    NotBound(SocketAddrV6),
    /// The data is longer than a datagram.
    #[error("{0} bytes are too long for a datagram")]
    TooLong(usize),
    /// Too many messages wait to be sent.
    #[error("too many datagrams wait to be sent")]
    Full,
}

/// A program's own ports. Dropping it closes them.
pub struct BoundUdp {
    handle: DatagramsHandle,
    ports: PortSet,
    address: Option<Ipv6Addr>,
    /// One for each worker.
    outboxes: Arc<[Arc<Outbox>]>,
    counters: Arc<Counters>,
}

impl BoundUdp {
    /// Gives `hearer` what clients send to these ports, and to `address` if it is given. Blocks briefly.
    ///
    /// # Errors
    /// Those of [`FaithInterface::receive_datagrams`].
    pub fn bind(
        interface: &FaithInterface,
        ports: PortSet,
        address: Option<Ipv6Addr>,
        hearer: Arc<dyn Hearer>,
    ) -> Result<Self, StackError> {
        let outboxes: Arc<[_]> = (0..interface.workers()).map(|_| Arc::<Outbox>::default()).collect();
        let counters = Arc::<Counters>::default();
        let (boxes, counted) = (Arc::clone(&outboxes), Arc::clone(&counters));
        let begin: BeginDatagrams = Arc::new(move |outlet| {
            let outbox = Arc::clone(&boxes[outlet.worker() % boxes.len()]);
            Part::new(outlet, Arc::clone(&hearer), outbox, Arc::clone(&counted))
        });
        let handle = interface.receive_datagrams(ports.clone(), address, &begin)?;
        Ok(Self { handle, ports, address, outboxes, counters })
    }

    /// Sends a message to its client, soon. Its segment has no meaning.
    ///
    /// # Errors
    /// The message is too long, comes from elsewhere, cannot reach a client, or does not find room.
    pub fn send(&self, message: Message) -> Result<(), SendError> {
        let from = message.destination;
        let is_bound = self.address.is_none_or(|address| address == *from.ip());
        if !is_bound || !self.ports.contains(from.port()) {
            return Err(SendError::NotBound(from));
        }
        if message.data.len() > MAX_DATA {
            return Err(SendError::TooLong(message.data.len()));
        }
        let worker = self.handle.sender(&from, &message.client)?;
        let sent = self.outboxes.get(worker).is_some_and(|outbox| outbox.put(message));
        if sent { Ok(()) } else { Err(SendError::Full) }
    }

    /// Hears no more. Messages that wait are sent.
    pub fn close(&self) {
        self.handle.close();
    }

    /// The counters at this moment.
    #[must_use]
    pub fn stats(&self) -> BoundUdpStats {
        self.counters.stats()
    }
}

impl fmt::Debug for BoundUdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundUdp").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
