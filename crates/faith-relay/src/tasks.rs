//! The tasks of one worker, for other threads that list them and end them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use faith_packet::protocol::Protocol;
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use crate::cause::Cause;
use crate::detail::{Inspected, Sockets};
use crate::live::{Live, LiveSession};

/// The session of a task.
#[derive(Debug, Clone)]
pub(crate) struct Peers {
    pub(crate) live: Arc<Live>,
    pub(crate) server: Option<SocketAddr>,
    /// True if a route chose the server. A new access list then does not end the session.
    pub(crate) routed: bool,
    /// The mark that the route gave it.
    pub(crate) tag: Option<Arc<str>>,
    /// Its sockets, if it is the session of an attempt.
    pub(crate) sockets: Option<Sockets>,
}

impl Peers {
    fn look(&self, now: Instant) -> LiveSession {
        LiveSession { tag: self.tag.clone(), ..self.live.look(self.server, now) }
    }
}

struct Task {
    handle: AbortHandle,
    relaying: bool,
    peers: Peers,
    /// The cause for which other threads have ended it.
    ended_by: Option<Cause>,
}

impl Task {
    /// Ends the task. The worker's thread drops it, which resets both sides. The first cause counts.
    fn end(&mut self, cause: Cause) {
        self.ended_by.get_or_insert(cause);
        self.handle.abort();
    }
}

/// Handles by session id, which is the order of the list. Locked when a session begins and ends, and while sessions are
/// listed or ended; never for moving bytes.
#[derive(Default)]
pub(crate) struct Tasks {
    by_id: Mutex<BTreeMap<u64, Task>>,
}

impl Tasks {
    /// Enters a session's task.
    pub(crate) fn insert(&self, peers: Peers, handle: AbortHandle, relaying: bool) {
        self.by_id.lock().insert(peers.live.id, Task { handle, relaying, peers, ended_by: None });
    }

    /// Notes that the task of session `id` relays from now on, its server and its sockets.
    pub(crate) fn relays(
        &self,
        id: u64,
        server: Option<SocketAddr>,
        routed: bool,
        tag: Option<Arc<str>>,
        sockets: Option<Sockets>,
    ) {
        if let Some(task) = self.by_id.lock().get_mut(&id) {
            task.relaying = true;
            let peers = &mut task.peers;
            (peers.server, peers.routed, peers.tag, peers.sockets) = (server, routed, tag, sockets);
        }
    }

    /// Removes a task. Returns the cause for which other threads have ended it, if they have.
    pub(crate) fn remove(&self, id: u64) -> Option<Cause> {
        self.by_id.lock().remove(&id)?.ended_by
    }

    /// Ends every task that does not relay yet, because the relay is closed.
    pub(crate) fn abort_attempts(&self) {
        let mut tasks = self.by_id.lock();
        tasks.values_mut().filter(|task| !task.relaying).for_each(|task| task.end(Cause::RelayClosed));
    }

    /// Ends the task of session or attempt `id`, because the relay is closed.
    pub(crate) fn abort_late(&self, id: u64) {
        if let Some(task) = self.by_id.lock().get_mut(&id) {
            task.end(Cause::RelayClosed);
        }
    }

    /// Ends every task whose client and server are not permitted, or whose server is not known yet, because that client may
    /// dial again. Spares servers that a route chose.
    pub(crate) fn abort_unless(&self, permitted: impl Fn(Protocol, Ipv6Addr, SocketAddr) -> bool) {
        for task in self.by_id.lock().values_mut() {
            let Peers { live, server, routed, .. } = &task.peers;
            if !routed && server.is_none_or(|server| !permitted(live.protocol, *live.client.ip(), server)) {
                task.end(Cause::EndDenied);
            }
        }
    }

    /// Ends the task of session `id`, if it relays.
    pub(crate) fn abort(&self, id: u64) -> bool {
        let mut tasks = self.by_id.lock();
        let task = tasks.get_mut(&id).filter(|task| task.relaying);
        task.map(|task| task.end(Cause::EndedOnRequest)).is_some()
    }

    /// Adds the relaying sessions with ids above `id`, in order, `most` of them at most.
    pub(crate) fn list(&self, id: u64, most: usize, now: Instant, sessions: &mut Vec<LiveSession>) {
        let tasks = self.by_id.lock();
        let relaying = tasks.range((Bound::Excluded(id), Bound::Unbounded)).filter(|(_, task)| task.relaying);
        sessions.extend(relaying.take(most).map(|(_, task)| task.peers.look(now)));
    }

    /// Adds the ids and source addresses of relaying sessions, in the same way. A session without sockets of ours has no address.
    pub(crate) fn list_sources(&self, id: u64, most: usize, sources: &mut Vec<(u64, Option<IpAddr>)>) {
        let tasks = self.by_id.lock();
        let relaying = tasks.range((Bound::Excluded(id), Bound::Unbounded)).filter(|(_, task)| task.relaying);
        let source = |task: &Task| task.peers.sockets?.server.local_address();
        sources.extend(relaying.take(most).map(|(id, task)| (*id, source(task))));
    }

    /// Looks at the session `id`, if it relays, and at the sockets of a connection. A session leaves the list before its sockets are closed, so
    /// the lock keeps them open.
    pub(crate) fn inspect(&self, id: u64, now: Instant) -> Option<Inspected> {
        let tasks = self.by_id.lock();
        let peers = &tasks.get(&id).filter(|task| task.relaying)?.peers;
        let legs = match peers.sockets {
            Some(Sockets { client, server }) => Some((client.look()?, server.look()?)),
            None if peers.live.protocol == Protocol::Tcp => return None,
            None => None,
        };
        let (session, waiting) = (peers.look(now), peers.live.waiting());
        Some(Inspected { session, routed: peers.routed, legs, waiting })
    }

    /// Ends every task, because the relay is closed.
    pub(crate) fn abort_all(&self) {
        self.by_id.lock().values_mut().for_each(|task| task.end(Cause::RelayClosed));
    }

    #[cfg(test)]
    pub(crate) fn relaying(&self) -> usize {
        self.by_id.lock().values().filter(|task| task.relaying).count()
    }
}
