//! Cuts connections that end with their interface before their clients have all bytes, and tells those clients.
//!
//! A client that only waits for bytes sends nothing, so it would never learn that its connection is gone: it needs a
//! reset. The reset must have the sequence number that the client expects next (RFC 5961 section 3.2). The kernel does
//! not tell that number for a socket without a descriptor. But a socket answers a segment from outside its window with an
//! ACK that has the number. So, once the tasks have ended:
//!
//! 1. The pump sends each socket such a segment, as if from the client: the question.
//! 2. From the ACK that the stack answers, the pump makes two resets: one for the client, and one for the socket, which
//!    would otherwise keep the namespace while TCP retransmits.
//! 3. A client that lost a segment on the way answers its reset with a challenge ACK. The stack no longer has the
//!    connection, and resets it with the number in that ACK. The pump runs for as long as that may take.

use std::time::Duration;

use faith_packet::classify::Flow;
use faith_packet::icmpv6::MAX_LEN;
use faith_packet::tcp;
use faith_sys::tun::VIRTIO_HEADER;
use rustc_hash::FxHashSet;

use crate::netlink::diag::TcpSocket;

/// The longest time for clients to object to their resets. A client gets twice the retransmission timeout of its
/// connection, up to this: a full queue may lose the reset, and the stack then resets the connection when the client
/// acknowledges the segments in that queue.
const MOST_PATIENCE: Duration = Duration::from_secs(3);

/// The time for clients to which no bytes are on their way: the kernel delays an acknowledgement no longer than this.
const LEAST_PATIENCE: Duration = Duration::from_millis(200);

/// The time for clients of `sockets` to object to their resets, by the longest retransmission timeout. Zero if no socket
/// has bytes on their way.
pub(crate) fn patience(sockets: &[TcpSocket]) -> Duration {
    let timeout = sockets.iter().map(|socket| socket.timeout).max().unwrap_or_default();
    timeout.saturating_mul(2).min(MOST_PATIENCE)
}

/// Connections to cut, usually none, and the time for clients to object to resets.
#[derive(Debug, Default)]
pub(crate) struct Cut {
    flows: FxHashSet<Flow>,
    patience: Duration,
}

impl Cut {
    /// Plans to cut `sockets`. `resets` is the time for clients whose connections have been reset already.
    pub(crate) fn new(sockets: &[TcpSocket], resets: Duration) -> Self {
        let least = if sockets.is_empty() { Duration::ZERO } else { LEAST_PATIENCE };
        Self {
            flows: sockets.iter().map(|socket| socket.flow).collect(),
            patience: patience(sockets).max(resets).max(least),
        }
    }

    /// The time to wait for objections; zero if none are expected.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// Share `index` of `count` of the questions to the sockets, as frames. Each socket gets two questions with different
    /// numbers, at least one of them outside its window.
    pub(crate) fn questions(&self, index: usize, count: usize) -> impl Iterator<Item = Frame> {
        let share = self.flows.iter().skip(index).step_by(count.max(1));
        share.flat_map(|flow| {
            [0, 1 << 31]
                .into_iter()
                .filter_map(move |sequence| Frame::build(|out| tcp::build_question(flow, sequence, out)))
        })
    }

    /// Makes two resets from the stack's answer to a question: for the client, and for the socket.
    pub(crate) fn answer(&self, packet: &[u8]) -> Option<(Frame, Frame)> {
        let (flow, at) = tcp::standing(packet)?;
        if !self.flows.contains(&flow) {
            return None;
        }
        let client = Frame::build(|out| tcp::build_client_reset(&flow, at, out))?;
        let stack = Frame::build(|out| tcp::build_stack_reset(&flow, at, out))?;
        Some((client, stack))
    }
}

/// A packet made by the pump, behind an all-zero virtio header, which means a complete packet.
pub(crate) struct Frame {
    octets: [u8; VIRTIO_HEADER + MAX_LEN],
    length: usize,
}

impl Frame {
    /// Frames the packet that `build` writes, if it writes one.
    pub(crate) fn build(build: impl FnOnce(&mut [u8; MAX_LEN]) -> Option<usize>) -> Option<Self> {
        let mut octets = [0; VIRTIO_HEADER + MAX_LEN];
        let length = VIRTIO_HEADER + build(octets.last_chunk_mut()?)?;
        Some(Self { octets, length })
    }

    pub(crate) fn octets(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or_default()
    }
}
