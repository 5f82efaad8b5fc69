//! The table of taken 4-tuples. An attempt that waits for its client's connection has one, and so has a session.
//!
//! A connect-first attempt connects its server before the client's handshake completes, and waits from the SYN to the
//! accept. All that the server sends in that time, including its FIN or RST, waits in the server's socket. The accepted
//! connection finds the attempt here, by the client's 4-tuple. A 4-tuple stays taken while its session lasts; the kernel
//! answers SYNs of it.

use faith_packet::classify::Flow;
use faith_stack::FlowTable;
use faith_sys::tcp::Connection;
use tokio::sync::oneshot;

/// The attempt or session that has a 4-tuple.
struct Holder {
    id: u64,
    /// Passes the client's connection to the attempt that waits for it; `None` for a session.
    waits: Option<oneshot::Sender<Connection>>,
}

/// The waiting attempts and the sessions, by 4-tuple.
pub(crate) struct Pairing(FlowTable<Holder>);

impl Pairing {
    pub(crate) fn new(workers: usize) -> Self {
        Self(FlowTable::new(workers))
    }

    /// Tells whether an attempt or a session has this 4-tuple.
    pub(crate) fn knows(&self, flow: &Flow) -> bool {
        self.0.at(flow).get().is_some()
    }

    /// Lets attempt `id` wait for its client's connection; `None` when the 4-tuple is taken.
    pub(crate) fn wait(&self, flow: &Flow, id: u64) -> Option<oneshot::Receiver<Connection>> {
        let mut slot = self.0.at(flow);
        if slot.get().is_some() {
            return None;
        }
        let (waits, accepted) = oneshot::channel();
        slot.insert(Holder { id, waits: Some(waits) });
        Some(accepted)
    }

    /// Takes the sender to the attempt that waits for this client, if one does. The attempt keeps the 4-tuple.
    pub(crate) fn take(&self, flow: &Flow) -> Option<oneshot::Sender<Connection>> {
        self.0.at(flow).get_mut()?.waits.take()
    }

    /// Stops the waiting of attempt `id`; `false` if its client has been accepted already.
    pub(crate) fn withdraw(&self, flow: &Flow, id: u64) -> bool {
        let mut slot = self.0.at(flow);
        let holder = slot.get_mut().filter(|holder| holder.id == id);
        holder.is_some_and(|holder| holder.waits.take().is_some())
    }

    /// Notes that session `id` has this 4-tuple.
    pub(crate) fn live(&self, flow: &Flow, id: u64) {
        // Replaces an older session, whose socket the kernel has dropped and whose 4-tuple the client uses again.
        self.0.at(flow).insert(Holder { id, waits: None });
    }

    /// Forgets that `id` has this 4-tuple.
    pub(crate) fn ended(&self, flow: &Flow, id: u64) {
        let mut slot = self.0.at(flow);
        if slot.get().is_some_and(|holder| holder.id == id) {
            slot.remove();
        }
    }

    /// Number of taken 4-tuples.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.count()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::net::{Ipv6Addr, SocketAddrV6};

    use super::*;

    fn flow() -> Flow {
        let end = |port| SocketAddrV6::new(Ipv6Addr::LOCALHOST, port, 0, 0);
        Flow { client: end(1024), destination: end(80) }
    }

    fn connection() -> Connection {
        Connection::new(File::open("/dev/null").unwrap().into())
    }

    #[test]
    fn an_attempt_whose_client_has_been_accepted_gets_it_and_cannot_withdraw() {
        let pairing = Pairing::new(2);
        let mut accepted = pairing.wait(&flow(), 1).unwrap();
        let waits = pairing.take(&flow()).unwrap();
        assert!(!pairing.withdraw(&flow(), 1));
        waits.send(connection()).unwrap();
        assert!(accepted.try_recv().is_ok());
        assert!(pairing.knows(&flow()), "its session has the 4-tuple");
    }

    #[test]
    fn an_attempt_that_has_withdrawn_is_given_no_client() {
        let pairing = Pairing::new(2);
        let _accepted = pairing.wait(&flow(), 1).unwrap();
        assert!(pairing.withdraw(&flow(), 1));
        assert!(pairing.take(&flow()).is_none());
    }

    #[test]
    fn a_4_tuple_belongs_to_one_attempt_and_is_free_only_after_its_end() {
        let pairing = Pairing::new(2);
        let _accepted = pairing.wait(&flow(), 1).unwrap();
        assert!(pairing.wait(&flow(), 2).is_none());
        pairing.ended(&flow(), 2);
        assert!(pairing.knows(&flow()));
        pairing.ended(&flow(), 1);
        assert!(pairing.wait(&flow(), 2).is_some());
    }

    #[test]
    fn a_client_that_uses_its_4_tuple_again_takes_it_from_the_session_that_had_it() {
        let pairing = Pairing::new(2);
        pairing.live(&flow(), 1);
        pairing.live(&flow(), 2);
        pairing.ended(&flow(), 1);
        assert!(pairing.knows(&flow()));
        pairing.ended(&flow(), 2);
        assert_eq!(pairing.len(), 0);
    }
}
