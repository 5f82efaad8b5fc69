//! The tasks of one worker, so that another thread can end them.

use std::net::{Ipv6Addr, SocketAddrV4};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;
use tokio::task::AbortHandle;

/// Which session a task is of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peers {
    pub(crate) id: u64,
    pub(crate) client: Ipv6Addr,
    pub(crate) server: Option<SocketAddrV4>,
    /// Whether the server is none of the access list's business.
    pub(crate) routed: bool,
}

struct Task {
    handle: AbortHandle,
    relaying: bool,
    peers: Peers,
}

/// Handles by session id. Locked when a session begins and ends, never while it runs.
#[derive(Default)]
pub(crate) struct Tasks {
    by_id: Mutex<FxHashMap<u64, Task>>,
}

impl Tasks {
    /// Enters a session's task, in place of the one that session had before.
    pub(crate) fn insert(&self, peers: &Peers, handle: AbortHandle, relaying: bool) {
        self.lock().insert(peers.id, Task { handle, relaying, peers: *peers });
    }

    pub(crate) fn remove(&self, id: u64) {
        self.lock().remove(&id);
    }

    /// Ends every task that does not relay yet.
    pub(crate) fn abort_attempts(&self) {
        self.lock().values().filter(|task| !task.relaying).for_each(|task| task.handle.abort());
    }

    /// Ends every task whose client and server are not permitted, or whose server is not known yet: that client
    /// asks again.
    pub(crate) fn abort_unless(&self, permitted: impl Fn(Ipv6Addr, SocketAddrV4) -> bool) {
        for task in self.lock().values() {
            let Peers { client, server, routed, .. } = task.peers;
            if !routed && server.is_none_or(|server| !permitted(client, server)) {
                task.handle.abort();
            }
        }
    }

    /// Ends every task. Its thread drops it, which resets both sides.
    pub(crate) fn abort_all(&self) {
        self.lock().values().for_each(|task| task.handle.abort());
    }

    #[cfg(test)]
    pub(crate) fn relaying(&self) -> usize {
        self.lock().values().filter(|task| task.relaying).count()
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<u64, Task>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
