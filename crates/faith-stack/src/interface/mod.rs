//! The faith interface: its device on the host, its private namespace, and everything that runs between them.

mod create;
mod listen;
mod prefixes;
mod shared;

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use faith_packet::classify::Unsupported;
use faith_packet::prefix::PrefixSet;

use crate::counters::InterfaceStats;
use crate::error::StackError;
use crate::namespace::Namespace;
use crate::netlink::Device;
use crate::own_addresses::OwnAddresses;
use crate::watch::Watch;
use crate::worker::Workers;

pub(crate) use shared::Shared;

/// Called once, from a worker, when the interface was taken away from under us.
pub type LostCallback = Box<dyn FnOnce(StackError) + Send>;

/// A faith interface. It, its routes and its namespace are gone when it is dropped, or the process ends.
pub struct FaithInterface {
    shared: Arc<Shared>,
    pub(crate) workers: Arc<Workers>,
    namespace: Arc<Namespace>,
    own: Arc<OwnAddresses>,
    watch: Watch,
    device: Device,
    routes: bool,
    unsupported: Unsupported,
    steered: bool,
    /// Locked while prefixes change.
    open: Arc<Mutex<bool>>,
}

impl FaithInterface {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// How many workers serve it: they are numbered from 0.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers.count()
    }

    /// How listeners of several ports are reached: never [`Steering::Auto`]'s promise, but what came of it.
    #[must_use]
    pub fn is_steered(&self) -> bool {
        self.steered
    }

    /// Whether established TCP goes past the pump.
    #[must_use]
    pub fn has_shortcut(&self) -> bool {
        self.shared.shortcut.as_ref().is_some_and(|shortcut| shortcut.is_taken())
    }

    /// The prefixes it has now.
    #[must_use]
    pub fn prefixes(&self) -> PrefixSet {
        self.shared.classifier.load().prefixes().clone()
    }

    /// Whether `address` is the host's own: of any of its interfaces, or routed to itself.
    #[must_use]
    pub fn is_own_ipv4(&self, address: Ipv4Addr) -> bool {
        self.own.contains(address)
    }

    /// What it has counted.
    #[must_use]
    pub fn stats(&self) -> InterfaceStats {
        let passed = self.shared.shortcut.as_ref().map(|shortcut| shortcut.passed()).unwrap_or_default();
        InterfaceStats::sum(self.shared.counters.iter(), passed)
    }

    fn opened(&self) -> Result<MutexGuard<'_, bool>, StackError> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match *open {
            true if self.shared.is_lost() => Err(StackError::Deleted(self.shared.name.clone())),
            true => Ok(open),
            false => Err(self.closed()),
        }
    }

    fn closed(&self) -> StackError {
        StackError::Closed(self.shared.name.clone())
    }

    /// Ends every listener and worker, with whatever connections are left, and takes the interface away. Blocks
    /// until that is done; closing it again does nothing.
    pub fn close(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if !*open {
            return;
        }
        *open = false;
        drop(self.shared.take_lost());
        for listener in self.shared.listeners.swap(Arc::default()).iter() {
            listener.close();
            listener.service.closing();
        }
        // Before the devices go, which it would take for somebody else's doing.
        self.watch.stop();
        self.workers.stop(|| {
            if let Some(shortcut) = &self.shared.shortcut {
                // Sockets that JavaScript has still hold the namespace, and it the pair.
                self.namespace.run(|inside| inside.leave_shortcut());
                shortcut.leave();
            }
        });
        self.namespace.stop();
    }
}

impl Drop for FaithInterface {
    fn drop(&mut self) {
        self.close();
    }
}
