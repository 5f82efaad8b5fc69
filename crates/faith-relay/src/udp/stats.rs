//! The counters of datagrams.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A relay's counters of datagrams at one moment. Frames count: a superframe of many datagrams is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UdpStats {
    /// Ports of clients that have a socket now.
    pub mappings: u32,
    /// Limit of these: the option's, or fewer if descriptors do not suffice.
    pub max_mappings: u32,
    /// Frames sent to servers.
    pub frames_up: u64,
    /// Frames sent to clients.
    pub frames_down: u64,
    /// Datagrams of servers that the kernel dropped: their socket had no room, or their checksum was wrong. The kernel counts
    /// short ones with a wrong checksum, of at most 76 octets with the header, for the host alone.
    pub dropped: u64,
    /// Frames of servers that no client had asked for.
    pub filtered: u64,
    /// Frames that were too long for a client's path, and went in fragments.
    pub fragmented: u64,
    /// Frames that were too long for a client's path, and were dropped.
    pub oversize: u64,
    /// Frames for which the send queue of a socket had no room, or that the network refused.
    pub lost: u64,
    /// Sockets whose way takes no superframes.
    pub without_superframes: u64,
    /// Errors of servers and routers that were passed on to clients.
    pub errors_down: u64,
    /// Errors of clients and of the routers on their side that were passed on to servers, and those about the length of a
    /// server's datagram.
    pub errors_up: u64,
}

/// A number that one thread increases and any thread reads.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(more), Relaxed);
    }
}

macro_rules! counters {
    ($($name:ident)*) => {
        /// One worker's part. Only that worker's thread writes.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
        }

        impl Counters {
            pub(crate) fn add_to(&self, stats: &mut UdpStats) {
                $(stats.$name += self.$name.0.load(Relaxed);)*
            }
        }
    };
}

counters! { frames_up frames_down dropped filtered fragmented oversize lost without_superframes errors_down errors_up }
