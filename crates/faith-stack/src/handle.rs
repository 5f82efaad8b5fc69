//! What the owner of a faith listener holds.

use std::sync::{Arc, Mutex, PoisonError};

use crate::interface::Shared;
use crate::listener::{Listener, State};
use crate::namespace::Namespace;
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

    /// Takes no more connections; those not accepted yet are reset. Accepted ones go on.
    pub fn close(&self) {
        self.shared.relist(|listeners| listeners.without(&self.listener));
        if let Some(rule) = self.rule.lock().unwrap_or_else(PoisonError::into_inner).take() {
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
