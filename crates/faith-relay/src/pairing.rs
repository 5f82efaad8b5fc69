//! The 4-tuples that are taken: by an attempt that waits for its client's connection, or by a session.
//!
//! A connect-first attempt has connected its server before the client's handshake completes, and waits for the moment
//! between SYN and accept. What the server says or does in that time, to its FIN or RST, waits in the server's socket.
//! The accepted connection finds the attempt here, by the 4-tuple of its client. A 4-tuple stays taken as long as its
//! session lasts, and SYNs of it are the kernel's to answer.
//!
//! SYN and accept happen on the same worker as a rule, but nothing promises it, so the table is the relay's, cut
//! into shards to keep workers out of each other's way. Clients choose the keys, hence maps with a keyed hash.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::sync::{Mutex, MutexGuard, PoisonError};

use faith_sys::tcp::Connection;
use tokio::sync::oneshot;

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

/// The attempt or session that has a 4-tuple.
struct Holder {
    id: u64,
    /// Gives the client's connection to the attempt that waits for it; a session has none.
    waits: Option<oneshot::Sender<Connection>>,
}

type Shard = Mutex<HashMap<Tuple, Holder>>;

/// The attempts that wait and the sessions that live, by 4-tuple.
pub(crate) struct Pairing {
    shards: Box<[Shard]>,
}

impl Pairing {
    pub(crate) fn new(workers: usize) -> Self {
        let shards = workers.max(1).saturating_mul(SHARDS_PER_WORKER);
        Self { shards: (0..shards).map(|_| Shard::default()).collect() }
    }

    /// Tells whether an attempt or a session has this 4-tuple.
    pub(crate) fn knows(&self, tuple: &Tuple) -> bool {
        self.shard(tuple).contains_key(tuple)
    }

    /// Lets attempt `id` wait for its client's connection; `None` when the 4-tuple is taken.
    pub(crate) fn wait(&self, tuple: Tuple, id: u64) -> Option<oneshot::Receiver<Connection>> {
        match self.shard(&tuple).entry(tuple) {
            Entry::Occupied(_) => None,
            Entry::Vacant(vacant) => {
                let (waits, accepted) = oneshot::channel();
                vacant.insert(Holder { id, waits: Some(waits) });
                Some(accepted)
            }
        }
    }

    /// Gives what takes the client's connection to the attempt that waits for it, if one does. The attempt keeps the
    /// 4-tuple.
    pub(crate) fn take(&self, tuple: &Tuple) -> Option<oneshot::Sender<Connection>> {
        self.shard(tuple).get_mut(tuple)?.waits.take()
    }

    /// Lets attempt `id` wait no more; `false` if it waits no more already, because its client has been accepted.
    pub(crate) fn withdraw(&self, tuple: &Tuple, id: u64) -> bool {
        let mut shard = self.shard(tuple);
        let holder = shard.get_mut(tuple).filter(|holder| holder.id == id);
        holder.is_some_and(|holder| holder.waits.take().is_some())
    }

    /// Notes that session `id` has this 4-tuple.
    pub(crate) fn live(&self, tuple: Tuple, id: u64) {
        // A session the kernel has let go of, and whose 4-tuple the client uses again, makes room for the new
        // one.
        let before = self.shard(&tuple).insert(tuple, Holder { id, waits: None });
        drop(before);
    }

    /// Forgets that `id` has this 4-tuple.
    pub(crate) fn ended(&self, tuple: &Tuple, id: u64) {
        let mut shard = self.shard(tuple);
        if shard.get(tuple).is_some_and(|holder| holder.id == id) {
            shard.remove(tuple);
        }
    }

    /// How many 4-tuples are taken.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    fn shard(&self, tuple: &Tuple) -> MutexGuard<'_, HashMap<Tuple, Holder>> {
        // A client that chooses ports to meet in one shard waits for a lock now and then.
        lock(&self.shards[usize::from(tuple.client.1) % self.shards.len()])
    }
}

fn lock(shard: &Shard) -> MutexGuard<'_, HashMap<Tuple, Holder>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn tuple() -> Tuple {
        let end = |port| SocketAddrV6::new(Ipv6Addr::LOCALHOST, port, 0, 0);
        Tuple::new(&end(1024), &end(80))
    }

    fn connection() -> Connection {
        Connection::new(File::open("/dev/null").unwrap().into())
    }

    #[test]
    fn an_attempt_whose_client_is_on_its_way_gets_it_and_cannot_withdraw() {
        let pairing = Pairing::new(2);
        let mut accepted = pairing.wait(tuple(), 1).unwrap();
        let waits = pairing.take(&tuple()).unwrap();
        assert!(!pairing.withdraw(&tuple(), 1));
        waits.send(connection()).unwrap();
        assert!(accepted.try_recv().is_ok());
        assert!(pairing.knows(&tuple()), "its session has the 4-tuple");
    }

    #[test]
    fn an_attempt_that_has_withdrawn_is_given_no_client() {
        let pairing = Pairing::new(2);
        let _accepted = pairing.wait(tuple(), 1).unwrap();
        assert!(pairing.withdraw(&tuple(), 1));
        assert!(pairing.take(&tuple()).is_none());
    }

    #[test]
    fn a_4_tuple_is_one_attempts_at_a_time_and_free_after_its_end_alone() {
        let pairing = Pairing::new(2);
        let _accepted = pairing.wait(tuple(), 1).unwrap();
        assert!(pairing.wait(tuple(), 2).is_none());
        pairing.ended(&tuple(), 2);
        assert!(pairing.knows(&tuple()));
        pairing.ended(&tuple(), 1);
        assert!(pairing.wait(tuple(), 2).is_some());
    }

    #[test]
    fn a_client_that_uses_its_4_tuple_again_takes_it_from_the_session_that_had_it() {
        let pairing = Pairing::new(2);
        pairing.live(tuple(), 1);
        pairing.live(tuple(), 2);
        pairing.ended(&tuple(), 1);
        assert!(pairing.knows(&tuple()));
        pairing.ended(&tuple(), 2);
        assert_eq!(pairing.len(), 0);
    }
}
