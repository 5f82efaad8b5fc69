//! The handle of a faith listener's owner.

use std::net::SocketAddrV6;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::hold::HoldLimits;
use crate::listener::{Listener, State};
use crate::namespace::Namespace;
use crate::shared::Shared;
use crate::steer::RuleId;
use crate::warning;

/// A faith listener. Dropping it closes the listener.
pub struct ListenerHandle {
    pub(crate) listener: Arc<Listener>,
    pub(crate) rule: Mutex<Option<RuleId>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) namespace: Arc<Namespace>,
}

impl ListenerHandle {
    /// Stops accepting. Connections wait in the kernel's queue, which has the length of the listener's backlog.
    pub fn pause(&self) {
        self.change(State::Paused);
    }

    /// Accepts again.
    pub fn resume(&self) {
        self.change(State::Accepting);
    }

    /// Bounds held SYNs by other limits from now on, if it holds any.
    pub fn limit_held(&self, limits: HoldLimits) {
        if let Some(hold) = &self.listener.hold {
            hold.limit(limits);
        }
    }

    fn change(&self, to: State) {
        self.listener.state.send_if_modified(|state| {
            let changes = *state != State::Closed && *state != to;
            if changes {
                *state = to;
            }
            changes
        });
    }

    /// Waits until clients have acknowledged all bytes from closed sockets of this listener's address and ports, at most
    /// `within`. It does not wait for open connections. It needs a tokio runtime with time enabled.
    pub async fn delivered(&self, within: Duration) {
        self.namespace.delivered(within, &self.shared.warnings, self.ours()).await;
    }

    /// Records how long clients may take to object to a reset. Call this before resetting accepted connections, so that
    /// [`FaithInterface::close`](crate::FaithInterface::close) waits that long. Blocks briefly.
    pub fn before_resets(&self) {
        self.namespace.before_resets(&self.shared, self.ours());
    }

    fn ours(&self) -> impl Fn(&SocketAddrV6) -> bool + Clone + Send + use<> {
        let listener = Arc::clone(&self.listener);
        move |local| {
            listener.ports.contains(local.port())
                && listener.address.is_none_or(|address| address == *local.ip())
        }
    }

    /// Closes the listener. The kernel resets connections that are not accepted yet; accepted ones go on.
    pub fn close(&self) {
        self.shared.relist(|listeners| listeners.without(&self.listener));
        if let Some(rule) = self.rule.lock().take() {
            let removed = self
                .namespace
                .run(move |inside| inside.steering.as_mut().map_or(Ok(()), |steering| steering.remove(rule)));
            if let Some(Err(error)) = removed {
                self.shared.warnings.send(warning::Kind::SteeringStuck(error.to_string()));
            }
        }
        self.listener.close();
    }
}

impl Drop for ListenerHandle {
    fn drop(&mut self) {
        self.close();
    }
}
