//! Listening sockets made on demand, for hosts where `sk_lookup` is not available.
//!
//! A listener of many ports cannot keep a socket for each. So the first SYN to a port waits in the pump, while the thread
//! inside the namespace makes a group of sockets for the port, one per worker. When they listen, the SYN goes on to the
//! kernel. At most [`PORTS`] ports are open, fewer if descriptors are few. Beyond that the least recently used port is
//! closed.

use std::collections::hash_map::Entry;
use std::net::Ipv6Addr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use faith_packet::classify::DropReason;
use faith_sys::descriptors;
use parking_lot::{Mutex, MutexGuard};
use rustc_hash::FxHashMap;
use socket2::Socket;
use tokio::sync::watch;

use crate::accept::accept;
use crate::listener::{Listener, Opener, Passage};
use crate::namespace::Namespace;
use crate::sockets::{AcceptQueue, listening_group, stop};
use crate::worker::Workers;

/// The most ports open at a time. Each takes a descriptor per worker, and all ports of a listener take at most a quarter
/// of the descriptors left when it was made.
const PORTS: usize = 512;

/// The most SYNs that wait for one port. The pump drops and counts further ones, and their clients retransmit them.
const WAITING: usize = 256;

/// The sockets of one listener.
pub(crate) struct OnDemand {
    namespace: Arc<Namespace>,
    workers: Arc<Workers>,
    address: Option<Ipv6Addr>,
    queue: AcceptQueue,
    most: usize,
    ports: Mutex<FxHashMap<u16, Port>>,
}

/// A SYN's frame that waits, and its worker.
type Waiting = (usize, Box<[u8]>);

enum Port {
    /// Being opened. These SYNs wait.
    Opening(Vec<Waiting>),
    /// Open. Its accept loops end when `_evict` is dropped.
    Open { used: Instant, group: Vec<Arc<Socket>>, _evict: watch::Sender<()> },
}

impl OnDemand {
    pub(crate) fn new(
        namespace: Arc<Namespace>,
        workers: Arc<Workers>,
        address: Option<Ipv6Addr>,
        queue: AcceptQueue,
    ) -> Arc<Self> {
        let left = usize::try_from(descriptors::left()).unwrap_or(usize::MAX);
        let most = PORTS.min(left / 4 / workers.count().max(1)).max(1);
        Arc::new(Self { namespace, workers, address, queue, most, ports: Mutex::default() })
    }

    fn ports(&self) -> MutexGuard<'_, FxHashMap<u16, Port>> {
        self.ports.lock()
    }

    /// Opens a port, on the thread inside the namespace.
    fn open(&self, listener: &Arc<Listener>, port: u16) {
        if listener.is_closed() {
            // A new listener may have the port already. Sockets made now would join its SO_REUSEPORT group.
            return;
        }
        let address = self.address.unwrap_or(Ipv6Addr::UNSPECIFIED);
        let group = listening_group(address, port, self.queue, self.workers.count());
        let mut ports = self.ports();
        // If the listener was closed meanwhile, its ports are gone. Returning closes the group, before this thread can make
        // the sockets of another listener.
        let Some(Port::Opening(waiting)) = ports.remove(&port) else { return };
        let Ok(group) = group else {
            // Most likely descriptors ran out. Retransmissions of the SYNs try again.
            for (worker, _) in waiting {
                self.workers.run(worker, |lane| lane.counters().drop(DropReason::Hold));
            }
            return;
        };
        let (evict, evicted) = watch::channel(());
        for (worker, socket) in group.iter().map(Arc::clone).enumerate() {
            let (listener, evicted) = (Arc::clone(listener), evicted.clone());
            self.workers.run(worker, move |lane| {
                tokio::task::spawn_local(accept(Rc::clone(lane), listener, socket, Some(evicted)));
            });
        }
        self.show(waiting);
        ports.insert(port, Port::Open { used: Instant::now(), group, _evict: evict });
        if ports.len() > self.most {
            let idlest = ports
                .iter()
                .filter_map(|(port, state)| match state {
                    Port::Open { used, .. } => Some((*used, *port)),
                    Port::Opening(_) => None,
                })
                .min();
            if let Some((_, idlest)) = idlest {
                ports.remove(&idlest);
            }
        }
    }

    /// Hands SYNs that have waited to the kernel, each from its worker.
    fn show(&self, waiting: Vec<Waiting>) {
        for (worker, frame) in waiting {
            self.workers.run(worker, move |lane| lane.to_stack(&frame));
        }
    }
}

impl Opener for OnDemand {
    fn pass(self: Arc<Self>, listener: &Arc<Listener>, worker: usize, port: u16, frame: &[u8]) -> Passage {
        match self.ports().entry(port) {
            Entry::Occupied(mut entry) => match entry.get_mut() {
                Port::Open { used, .. } => {
                    *used = Instant::now();
                    return Passage::Open;
                }
                Port::Opening(waiting) if waiting.len() < WAITING => {
                    waiting.push((worker, frame.into()));
                    return Passage::Waits;
                }
                Port::Opening(_) => return Passage::Full,
            },
            Entry::Vacant(_) if listener.is_closed() => return Passage::Open,
            Entry::Vacant(entry) => {
                entry.insert(Port::Opening(vec![(worker, frame.into())]));
            }
        }
        let (namespace, listener) = (Arc::clone(&self.namespace), Arc::clone(listener));
        namespace.post(move |_| self.open(&listener, port));
        Passage::Waits
    }

    fn close(&self) {
        for (_, port) in self.ports().drain() {
            match port {
                Port::Opening(waiting) => self.show(waiting),
                Port::Open { group, .. } => group.iter().for_each(|socket| stop(socket)),
            }
        }
    }
}

#[cfg(test)]
mod tests;
