//! The seam between the stack and a relay that serves captured connections.
//!
//! The stack calls a [`Service`] on the thread of the worker that owns the packet or the socket, inside that worker's
//! tokio `LocalRuntime`. The service may call `tokio::task::spawn_local` and must never block.

use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use faith_packet::ports::PortSet;

use crate::held::HeldSyn;
use crate::hold::HoldLimits;

/// A connection between the private namespace and a client: accepted for a faith listener, or begun by
/// [`FaithInterface::dial`](crate::FaithInterface::dial).
#[derive(Debug)]
pub struct Captured {
    /// Non-blocking, close-on-exec TCP socket inside the private namespace.
    pub socket: OwnedFd,
    /// The client's address and port: `getpeername()`.
    pub client: SocketAddrV6,
    /// The address and port that the client dialled, or those of this side: `getsockname()`.
    pub destination: SocketAddrV6,
}

/// Serves the connections of one faith listener.
pub trait Service: Send + Sync + 'static {
    /// Offers a SYN for this listener, before the kernel sees it. The stack calls this only for listeners with
    /// [`ListenOptions::hold`]. Beyond its limits, SYNs go to the kernel without an offer (accept-first), but see
    /// [`waits`](Self::waits).
    fn offered(self: Arc<Self>, worker: usize, syn: HeldSyn) {
        let _ = worker;
        drop(syn.release());
    }

    /// Decides about a SYN of `client` whose network already has `held` SYNs held, its limit. `true` drops the SYN, as a
    /// full backlog would: the client retransmits it, and there may be a place then. `false`, the default, lets the kernel
    /// answer it. The kernel always answers SYNs beyond [`HoldLimits::per_second`].
    fn waits(&self, client: &Ipv6Addr, held: u32) -> bool {
        let _ = (client, held);
        false
    }

    /// Takes an accepted connection.
    fn accepted(self: Arc<Self>, worker: usize, connection: Captured);

    /// Called when the interface closes. The service must close connections that still wait to be passed on: soon their
    /// packets cannot reach the clients.
    fn closing(&self) {}

    /// Called each time descriptors or memory run out on accept. `true` means that the service freed some, and the accept
    /// loop tries again at once; with `false`, the default, it pauses briefly. No connection is lost: they wait in the
    /// kernel's queue. A service that reports this must limit its own reports.
    fn exhausted(&self, error: &io::Error) -> bool {
        let _ = error;
        false
    }
}

/// Sets options of a listening socket.
pub type Prepare = fn(BorrowedFd<'_>) -> io::Result<()>;

/// The options of a faith listener.
#[derive(Debug, Clone)]
pub struct ListenOptions {
    /// The TCP ports to listen on.
    pub ports: PortSet,
    /// One address inside a prefix of the interface; `None` means every address of every prefix.
    pub address: Option<Ipv6Addr>,
    /// The length of the kernel's accept queue, per worker.
    pub backlog: u32,
    /// Sets the options of each listening socket before it listens. Accepted connections inherit them, which saves a
    /// system call for each.
    pub prepare: Prepare,
    /// Offers SYNs to the service first, within these limits; `None` lets the kernel accept first.
    pub hold: Option<HoldLimits>,
}
