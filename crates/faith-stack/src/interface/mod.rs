//! The faith interface: its device on the host, its private namespace, and the threads between them.

mod create;
mod dial;
mod listen;
mod prefixes;

use std::sync::Arc;
use std::time::Duration;

use faith_packet::classify::Unsupported;
use faith_packet::prefix::PrefixSet;
use parking_lot::{Mutex, MutexGuard};

use crate::capturing;
use crate::counters::InterfaceStats;
use crate::cut::Cut;
use crate::error::StackError;
use crate::guide::Guide;
use crate::heartbeat;
use crate::keeper::Host;
use crate::namespace::Namespace;
use crate::netlink::Device;
use crate::own_addresses::OwnAddresses;
use crate::shared::Shared;
use crate::watch::Watch;
use crate::worker::Workers;

/// An interface that is dropped waits this long for its clients.
const SHORTLY: Duration = Duration::from_millis(200);

/// A faith interface. Dropping it, or the end of the process, removes its device, its routes and its namespace.
pub struct FaithInterface {
    shared: Arc<Shared>,
    pub(crate) workers: Arc<Workers>,
    namespace: Arc<Namespace>,
    host: Arc<Host>,
    own: Arc<OwnAddresses>,
    watch: Watch,
    device: Device,
    mtu: u32,
    routes: bool,
    unsupported: Unsupported,
    steered: bool,
    /// Locked while prefixes change.
    open: Arc<Mutex<bool>>,
    /// Locked while the interface is being closed.
    closing: Mutex<()>,
}

impl FaithInterface {
    /// The interface's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The number of workers. They are numbered from 0.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers.count()
    }

    /// The MTU that it was made with.
    #[must_use]
    pub fn mtu(&self) -> u32 {
        self.mtu
    }

    /// Returns true if the `sk_lookup` program steers connections to listeners; false if the sockets of listeners with
    /// several ports are made on demand.
    #[must_use]
    pub fn is_steered(&self) -> bool {
        self.steered
    }

    /// Returns true if established TCP takes the shortcut past the pump.
    #[must_use]
    pub fn has_shortcut(&self) -> bool {
        self.shared.shortcut.as_ref().is_some_and(|shortcut| shortcut.is_taken())
    }

    /// The current prefixes.
    #[must_use]
    pub fn prefixes(&self) -> PrefixSet {
        self.shared.classifier.load().prefixes().clone()
    }

    /// The current counts.
    #[must_use]
    pub fn stats(&self) -> InterfaceStats {
        let passed = self.shared.shortcut.as_ref().map(|shortcut| shortcut.passed()).unwrap_or_default();
        InterfaceStats::sum(self.shared.counters.iter(), passed)
    }

    /// A handle for tasks on the interface's workers.
    #[must_use]
    pub fn guide(&self) -> Guide {
        Guide { own: Arc::clone(&self.own), classifier: Arc::clone(&self.shared.classifier) }
    }

    fn opened(&self) -> Result<MutexGuard<'_, bool>, StackError> {
        let open = self.open.lock();
        match *open {
            true if self.shared.is_lost() => Err(StackError::Deleted(self.shared.name.clone())),
            true => Ok(open),
            false => Err(self.closed()),
        }
    }

    fn closed(&self) -> StackError {
        StackError::Closed(self.shared.name.clone())
    }

    /// Waits until clients have acknowledged all bytes from closed sockets, at most `within`. It does not wait for open
    /// connections, and returns at once if the interface is lost or closed. It needs a tokio runtime with time enabled.
    pub async fn delivered(&self, within: Duration) {
        if !self.shared.is_lost() {
            self.namespace.delivered(within, &self.shared.warnings, |_| true).await;
        }
    }

    /// Does the same as [`delivered`](Self::delivered), and blocks the calling thread.
    pub fn deliver(&self, within: Duration) {
        if !self.shared.is_lost() {
            self.namespace.deliver(within, &self.shared.warnings);
        }
    }

    /// Records how long clients may take to object to a reset. Call this before resetting connections, so that
    /// [`close`](Self::close) waits that long. Blocks briefly.
    pub fn before_resets(&self) {
        self.namespace.before_resets(&self.shared, |_| true);
    }

    /// Ends all listeners, workers and remaining connections, and removes the interface. It resets clients that have not
    /// acknowledged all bytes; call [`delivered`](Self::delivered) first to wait for them. Blocks for some milliseconds, or
    /// up to three seconds if clients are reset. A second call waits for the same end.
    pub fn close(&self) {
        let _closing = self.closing.lock();
        let mut open = self.open.lock();
        if !*open {
            return;
        }
        *open = false;
        heartbeat::leave(&self.workers);
        self.before_resets();
        drop(self.shared.take_lost());
        for listener in self.shared.listeners.swap(Arc::default()).iter() {
            listener.close();
            listener.service.closing();
        }
        // The watch stops before the devices are removed, because it would report their loss.
        self.watch.stop();
        self.workers.stop(
            || self.left(),
            // Sockets that JavaScript still has keep the namespace, which would keep the pair.
            || self.leave_shortcut(),
        );
        self.namespace.stop();
        self.host.stop();
        self.shared.warnings.end();
        capturing::leave(&self.shared.classifier);
        // The watch no longer keeps the addresses up to date.
        self.own.forget();
    }

    /// The connections to cut: all that are unfinished after the tasks have ended, with or without an owner of the socket.
    fn left(&self) -> Cut {
        let sockets = self.namespace.unfinished(&self.shared.warnings);
        if !sockets.is_empty() {
            // The stack's last packets must come to the pump.
            self.leave_shortcut();
        }
        Cut::new(&sockets, self.shared.objections())
    }

    fn leave_shortcut(&self) {
        if let Some(shortcut) = &self.shared.shortcut {
            self.namespace.run(|inside| inside.leave_shortcut());
            shortcut.leave();
        }
    }
}

impl Drop for FaithInterface {
    fn drop(&mut self) {
        self.deliver(SHORTLY);
        self.close();
    }
}
