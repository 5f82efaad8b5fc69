//! Connections that end with their interface before their clients have everything, and how the clients hear of it.
//!
//! A client that only waits for more sends nothing, so nothing would tell it. Its reset needs a sequence number that the
//! client takes for the next one (RFC 5961 section 3.2), and the kernel tells that of no socket without a descriptor. But
//! each answers a segment from outside of its window with an ACK that has it. So, once the tasks have ended,
//!
//! 1. the pump asks each socket by such a segment, in the client's name;
//! 2. of the ACK that the stack answers with, it makes two resets: one for the client, and one for the socket, which
//!    would otherwise keep the namespace for as long as TCP repeats what is not acknowledged;
//! 3. a client that has lost something on the way answers its reset with a challenge, and the stack, which knows nothing
//!    of the connection any more, resets it with the number that it names. The pump stays for as long as that may take.

use std::time::Duration;

use faith_packet::classify::Flow;
use faith_packet::icmpv6::MAX_LEN;
use faith_packet::tcp;
use faith_sys::tun::VIRTIO_HEADER;
use rustc_hash::FxHashSet;

use crate::netlink::diag::TcpSocket;

/// How long a client may take to object to its reset: twice the time in which the kernel expects an answer from it, as a
/// full queue may lose the reset, and then answers to what is in the queue take its place; but no longer than this.
const MOST_PATIENCE: Duration = Duration::from_secs(3);

/// The same for clients to which nothing is on its way. The kernel lets an acknowledgement wait for no longer.
const LEAST_PATIENCE: Duration = Duration::from_millis(200);

/// How long clients may take to object to the reset of one of `sockets`, where each that is sent it has bytes on their
/// way; zero where none has.
pub(crate) fn patience(sockets: &[TcpSocket]) -> Duration {
    let timeout = sockets.iter().map(|socket| socket.timeout).max().unwrap_or_default();
    timeout.saturating_mul(2).min(MOST_PATIENCE)
}

/// Connections to cut, usually none, and how long clients may object to resets.
#[derive(Debug, Default)]
pub(crate) struct Cut {
    flows: FxHashSet<Flow>,
    patience: Duration,
}

impl Cut {
    /// Cuts `sockets`. `patience` is what those take that have been reset already.
    pub(crate) fn new(sockets: &[TcpSocket], resets: Duration) -> Self {
        let least = if sockets.is_empty() { Duration::ZERO } else { LEAST_PATIENCE };
        Self {
            flows: sockets.iter().map(|socket| socket.flow).collect(),
            patience: patience(sockets).max(resets).max(least),
        }
    }

    /// How long to wait for objections; zero where none are expected.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// A share of `count` of the questions to the sockets, as frames. Of the two numbers that each is asked with one at
    /// least is outside of its window.
    pub(crate) fn questions(&self, index: usize, count: usize) -> impl Iterator<Item = Frame> {
        let share = self.flows.iter().skip(index).step_by(count.max(1));
        share.flat_map(|flow| {
            [0, 1 << 31]
                .into_iter()
                .filter_map(move |sequence| Frame::build(|out| tcp::build_question(flow, sequence, out)))
        })
    }

    /// Makes of a packet of the stack's a reset for the client, and one for the socket.
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

/// A packet of our own behind an all-zero virtio header, which says that it is complete.
pub(crate) struct Frame {
    octets: [u8; VIRTIO_HEADER + MAX_LEN],
    length: usize,
}

impl Frame {
    /// The packet that `build` writes, if it writes one.
    pub(crate) fn build(build: impl FnOnce(&mut [u8; MAX_LEN]) -> Option<usize>) -> Option<Self> {
        let mut octets = [0; VIRTIO_HEADER + MAX_LEN];
        let length = VIRTIO_HEADER + build(octets.last_chunk_mut()?)?;
        Some(Self { octets, length })
    }

    pub(crate) fn octets(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or_default()
    }
}
