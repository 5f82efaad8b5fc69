//! Where a connect-first upstream and the client's accepted connection meet.
//!
//! The server has been connected to before the client's handshake completes, so its socket waits here, by the
//! client's 4-tuple, for the moment between SYN and accept. What the server says or does in that time, to its
//! FIN or RST, waits in the socket. The table also knows which 4-tuples have a session, whose SYNs are the
//! kernel's to answer. Whoever routes waits here likewise for a connection that is to be handed over.
//!
//! Both halves come to the same worker as a rule, but nothing promises it, so the table is the relay's, cut
//! into shards to keep workers out of each other's way. Clients choose the keys, hence maps with a keyed hash.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::sync::{Mutex, MutexGuard, PoisonError};

use faith_sys::tcp::Connection;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use crate::attempt::Attempt;
use crate::leg::Leg;

/// Shards per worker: enough that two workers rarely want the same one.
const SHARDS_PER_WORKER: usize = 4;

/// A connection's 4-tuple. Scope and flow label are left out: a SYN and a socket may differ in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Tuple {
    client: (Ipv6Addr, u16),
    destination: (Ipv6Addr, u16),
}

impl Tuple {
    pub(crate) fn new(client: &SocketAddrV6, destination: &SocketAddrV6) -> Self {
        Self { client: (*client.ip(), client.port()), destination: (*destination.ip(), destination.port()) }
    }
}

/// What answers for a client.
#[derive(Debug)]
pub(crate) enum Far {
    /// A server, connected from the thread of a worker.
    Server(AsyncFd<Connection>),
    /// Whoever routes, who is given the connection.
    Route,
}

/// What a client that has not been accepted yet will be joined with.
pub(crate) struct Waiting {
    pub(crate) far: Far,
    /// The worker whose runtime a server's socket is registered with.
    pub(crate) worker: usize,
    pub(crate) attempt: Attempt,
    /// Gives both to the task that waits with it, or tells it by being dropped that they are not for it.
    pub(crate) joined: oneshot::Sender<Met>,
}

/// A client that has been accepted and its server.
pub(crate) struct Met {
    pub(crate) client: Leg,
    pub(crate) server: Leg,
    pub(crate) attempt: Attempt,
}

enum Entry {
    Waiting(Box<Waiting>),
    /// A session, by its id.
    Live(u64),
}

type Shard = Mutex<HashMap<Tuple, Entry>>;

/// The upstreams that wait and the sessions that live, by 4-tuple.
pub(crate) struct Pairing {
    shards: Box<[Shard]>,
}

impl Pairing {
    pub(crate) fn new(workers: usize) -> Self {
        let shards = workers.max(1).saturating_mul(SHARDS_PER_WORKER);
        Self { shards: (0..shards).map(|_| Shard::default()).collect() }
    }

    /// Whether an upstream waits for this 4-tuple or a session has it.
    pub(crate) fn knows(&self, tuple: &Tuple) -> bool {
        self.shard(tuple).contains_key(tuple)
    }

    /// Lets an upstream wait; gives it back when the 4-tuple is taken.
    pub(crate) fn wait(&self, tuple: Tuple, waiting: Box<Waiting>) -> Result<(), Box<Waiting>> {
        match self.shard(&tuple).entry(tuple) {
            MapEntry::Occupied(_) => Err(waiting),
            MapEntry::Vacant(vacant) => {
                vacant.insert(Entry::Waiting(waiting));
                Ok(())
            }
        }
    }

    /// Takes the upstream that waits for this 4-tuple. If that is a server, its session has the 4-tuple from now on.
    pub(crate) fn take(&self, tuple: &Tuple) -> Option<Box<Waiting>> {
        let mut shard = self.shard(tuple);
        let entry = shard.get_mut(tuple)?;
        let Entry::Waiting(waiting) = entry else { return None };
        let taken = match waiting.far {
            Far::Server(_) => {
                let id = waiting.attempt.id();
                std::mem::replace(entry, Entry::Live(id))
            }
            Far::Route => shard.remove(tuple)?,
        };
        match taken {
            Entry::Waiting(waiting) => Some(waiting),
            Entry::Live(_) => None,
        }
    }

    /// Takes the upstream that waits for this 4-tuple, if it is that of session `id`.
    pub(crate) fn withdraw(&self, tuple: &Tuple, id: u64) -> Option<Box<Waiting>> {
        let mut shard = self.shard(tuple);
        match shard.get(tuple)? {
            Entry::Waiting(waiting) if waiting.attempt.id() == id => {}
            _ => return None,
        }
        match shard.remove(tuple)? {
            Entry::Waiting(waiting) => Some(waiting),
            Entry::Live(_) => None,
        }
    }

    /// Notes that session `id` has this 4-tuple.
    pub(crate) fn live(&self, tuple: Tuple, id: u64) {
        // A session the kernel has let go of, and whose 4-tuple the client uses again, makes room for the new
        // one.
        let before = self.shard(&tuple).insert(tuple, Entry::Live(id));
        drop(before);
    }

    /// Forgets that session `id` has this 4-tuple.
    pub(crate) fn ended(&self, tuple: &Tuple, id: u64) {
        let mut shard = self.shard(tuple);
        if matches!(shard.get(tuple), Some(Entry::Live(live)) if *live == id) {
            shard.remove(tuple);
        }
    }

    /// How many upstreams wait and sessions live.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    fn shard(&self, tuple: &Tuple) -> MutexGuard<'_, HashMap<Tuple, Entry>> {
        // Who chooses ports to meet in one shard waits for a lock now and then.
        lock(&self.shards[usize::from(tuple.client.1) % self.shards.len()])
    }
}

fn lock(shard: &Shard) -> MutexGuard<'_, HashMap<Tuple, Entry>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
