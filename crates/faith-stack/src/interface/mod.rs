//! The faith interface: its device on the host, its private namespace, and everything that runs between them.

mod create;
mod listen;
mod prefixes;

use std::sync::Arc;
use std::time::Duration;

use faith_packet::classify::Unsupported;
use faith_packet::prefix::PrefixSet;
use parking_lot::{Mutex, MutexGuard};

use crate::counters::InterfaceStats;
use crate::cut::Cut;
use crate::error::StackError;
use crate::guide::Guide;
use crate::namespace::Namespace;
use crate::netlink::Device;
use crate::own_addresses::OwnAddresses;
use crate::shared::Shared;
use crate::watch::Watch;
use crate::worker::Workers;

/// How long an interface that is dropped waits for its clients.
const SHORTLY: Duration = Duration::from_millis(200);

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
    /// Locked while it is being closed.
    closing: Mutex<()>,
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

    /// What it has counted.
    #[must_use]
    pub fn stats(&self) -> InterfaceStats {
        let passed = self.shared.shortcut.as_ref().map(|shortcut| shortcut.passed()).unwrap_or_default();
        InterfaceStats::sum(self.shared.counters.iter(), passed)
    }

    /// A handle for tasks on its workers.
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

    /// Waits until clients have acknowledged all that closed sockets have sent them, `within` at most. A connection that is
    /// open is not waited for. An interface that is lost, or closed, delivers nothing any more. It needs a tokio runtime
    /// with time enabled.
    pub async fn delivered(&self, within: Duration) {
        if !self.shared.is_lost() {
            self.namespace.delivered(within, &self.shared.warnings, |_| true).await;
        }
    }

    /// As [`delivered`](Self::delivered), and blocks until that is done.
    pub fn deliver(&self, within: Duration) {
        if !self.shared.is_lost() {
            self.namespace.deliver(within, &self.shared.warnings);
        }
    }

    /// Notes how long clients may take to object to a reset, before connections are reset: [`close`](Self::close) stays
    /// for that. Blocks shortly.
    pub fn before_resets(&self) {
        self.namespace.before_resets(&self.shared, |_| true);
    }

    /// Ends every listener and worker, with whatever connections are left, and takes the interface away. Clients that
    /// have not acknowledged everything are reset: [`delivered`](Self::delivered) waits for them. Blocks until that is done,
    /// some milliseconds, or where clients are reset up to three seconds; closing it again waits for the same end.
    pub fn close(&self) {
        let _closing = self.closing.lock();
        let mut open = self.open.lock();
        if !*open {
            return;
        }
        *open = false;
        self.before_resets();
        drop(self.shared.take_lost());
        for listener in self.shared.listeners.swap(Arc::default()).iter() {
            listener.close();
            listener.service.closing();
        }
        // Before the devices go: the watch would report their loss.
        self.watch.stop();
        self.workers.stop(
            || self.left(),
            // Sockets that JavaScript has still hold the namespace, and it the pair.
            || self.leave_shortcut(),
        );
        self.namespace.stop();
        self.shared.warnings.end();
        // The watch no longer keeps them up to date.
        self.own.forget();
    }

    /// The connections that sockets without an owner, or with an owner outside of this process, leave behind.
    fn left(&self) -> Cut {
        let sockets = self.namespace.unfinished(&self.shared.warnings);
        if !sockets.is_empty() {
            // The pump is to see what the stack says last.
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
