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

use faith_sys::descriptors;
use parking_lot::{Mutex, MutexGuard};
use rustc_hash::FxHashMap;
use socket2::Socket;
use tokio::sync::watch;

use crate::accept::accept;
use crate::listener::{Listener, Opener};
use crate::namespace::Namespace;
use crate::sockets::{AcceptQueue, listening_group, stop};
use crate::worker::Workers;

/// The most ports open at a time. Each takes a descriptor per worker, and all ports of a listener take at most a quarter
/// of the descriptors left when it was made.
const PORTS: usize = 512;

/// The most SYNs that wait for one port. The pump drops further ones, and their clients retransmit them.
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

enum Port {
    /// Being opened. These frames wait, each with its worker.
    Opening(Vec<(usize, Box<[u8]>)>),
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
        let address = self.address.unwrap_or(Ipv6Addr::UNSPECIFIED);
        let group = listening_group(address, port, self.queue, self.workers.count());
        let mut ports = self.ports();
        let Ok(group) = group else {
            // Most likely descriptors ran out. Retransmissions of the SYNs try again.
            ports.remove(&port);
            return;
        };
        let (evict, evicted) = watch::channel(());
        for (worker, socket) in group.iter().map(Arc::clone).enumerate() {
            let (listener, evicted) = (Arc::clone(listener), evicted.clone());
            self.workers.run(worker, move |lane| {
                tokio::task::spawn_local(accept(Rc::clone(lane), listener, socket, Some(evicted)));
            });
        }
        let opened = Port::Open { used: Instant::now(), group, _evict: evict };
        if let Some(Port::Opening(waiting)) = ports.insert(port, opened) {
            for (worker, frame) in waiting {
                self.workers.run(worker, move |lane| lane.to_stack(&frame));
            }
        }
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
}

impl Opener for OnDemand {
    fn is_open(&self, port: u16) -> bool {
        match self.ports().get_mut(&port) {
            Some(Port::Open { used, .. }) => {
                *used = Instant::now();
                true
            }
            _ => false,
        }
    }

    fn open_for(self: Arc<Self>, listener: &Arc<Listener>, worker: usize, port: u16, frame: &[u8]) {
        match self.ports().entry(port) {
            Entry::Occupied(mut entry) => {
                if let Port::Opening(waiting) = entry.get_mut()
                    && waiting.len() < WAITING
                {
                    waiting.push((worker, frame.into()));
                }
                return;
            }
            Entry::Vacant(entry) => {
                entry.insert(Port::Opening(vec![(worker, frame.into())]));
            }
        }
        let (namespace, listener) = (Arc::clone(&self.namespace), Arc::clone(listener));
        namespace.post(move |_| self.open(&listener, port));
    }

    fn close(&self) {
        for (_, port) in self.ports().drain() {
            if let Port::Open { group, .. } = port {
                for socket in &group {
                    stop(socket);
                }
            }
        }
    }
}
