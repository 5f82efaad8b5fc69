//! What the owner of a faith listener holds.

use std::net::SocketAddrV6;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::listener::{Listener, State};
use crate::namespace::Namespace;
use crate::shared::Shared;
use crate::steer::RuleId;
use crate::warning::What;

/// A faith listener, closed when it is dropped.
pub struct ListenerHandle {
    pub(crate) listener: Arc<Listener>,
    pub(crate) rule: Mutex<Option<RuleId>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) namespace: Arc<Namespace>,
}

impl ListenerHandle {
    /// Stops accepting; connections wait in the kernel's queue, as long as the listener's backlog.
    pub fn pause(&self) {
        self.change(State::Paused);
    }

    /// Accepts again.
    pub fn resume(&self) {
        self.change(State::Accepting);
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

    /// Waits until clients have acknowledged all that closed sockets of these addresses and ports have sent them, `within`
    /// at most. A connection that is open is not waited for. It needs a tokio runtime with time enabled.
    pub async fn delivered(&self, within: Duration) {
        self.namespace.delivered(within, &self.shared.warnings, self.ours()).await;
    }

    /// Notes how long clients may take to object to a reset, before accepted connections are reset:
    /// [`FaithInterface::close`](crate::FaithInterface::close) stays for that. Blocks shortly.
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

    /// Takes no more connections; those not accepted yet are reset. Accepted ones go on.
    pub fn close(&self) {
        self.shared.relist(|listeners| listeners.without(&self.listener));
        if let Some(rule) = self.rule.lock().take() {
            let removed = self
                .namespace
                .run(move |inside| inside.steering.as_mut().map_or(Ok(()), |steering| steering.remove(rule)));
            if let Some(Err(error)) = removed {
                self.shared.warnings.send(What::SteeringStuck(error.to_string()));
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
