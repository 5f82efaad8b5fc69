//! Listening sockets made when they are needed, where `sk_lookup` may not be used.
//!
//! A listener of many ports cannot hold a socket for each. So the first SYN to a port waits in the pump while
//! the thread inside the namespace makes a group of sockets for it, one per worker, and goes on to the kernel
//! when they listen. At most [`PORTS`] ports are open, fewer where there are few descriptors; past that the least
//! recently used one is closed.

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

/// Ports open at a time, where there are descriptors enough. Each takes a descriptor per worker, and all together take a
/// quarter of them at most.
const PORTS: usize = 512;

/// SYNs that wait for one port; more are left to their retransmission.
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
    /// Being opened; these frames wait, each with its worker.
    Opening(Vec<(usize, Box<[u8]>)>),
    /// Open; its accept loops end when `_evict` is dropped.
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

    /// Runs inside the namespace.
    fn open(&self, listener: &Arc<Listener>, port: u16) {
        let address = self.address.unwrap_or(Ipv6Addr::UNSPECIFIED);
        let group = listening_group(address, port, self.queue, self.workers.count());
        let mut ports = self.ports();
        let Ok(group) = group else {
            // Out of descriptors, most likely: the clients' retransmissions try again.
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
