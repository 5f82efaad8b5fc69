//! Asks a route where a connection goes, while its SYN is held.
//!
//! An answer may come from any thread, late, or never. So each question has a time limit, and the number of open questions
//! is bounded. A question that is dropped unanswered refuses its own client only.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::sync::Arc;
use std::time::Duration;

use faith_packet::icmpv6::Unreachable;
use faith_packet::ports::PortSet;
use faith_packet::prefix::network_of;
use faith_stack::SynAnswer;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::began::Began;
use crate::record::RefusalReason;
use crate::refusal::Refusal;
use crate::terms::Terms;

/// The answer to a client that a route rejects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reject {
    /// RST: `ECONNREFUSED`.
    Refused,
    /// ICMPv6 address unreachable: `EHOSTUNREACH`.
    Unreachable,
    /// ICMPv6 administratively prohibited: `EACCES`.
    Prohibited,
    /// No answer.
    Drop,
}

/// A route's decision about a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The connection goes to the server of the mappings, if the access list permits it.
    Proceed(Terms),
    /// The connection goes to this server, which no rule of the access list denies.
    Connect {
        /// The server.
        server: SocketAddr,
        /// True lets the server be a special-purpose address, one of the router's own or a loopback one, even if no rule of
        /// the access list opens it.
        allow_any: bool,
        /// Settings for this connection.
        terms: Terms,
    },
    /// The connection is refused.
    Reject {
        /// The answer to the client.
        reject: Reject,
        /// The same as in [`Terms`].
        tag: Option<Arc<str>>,
    },
    /// The [`Taker`](crate::Taker) gets the connection. Limits and access list do not apply, and no session begins.
    HandOver,
}

/// A connection that waits for a [`Verdict`].
#[derive(Debug)]
pub struct Question {
    /// The id that the record of the session, or of the attempt, will have.
    pub id: u64,
    /// The client.
    pub client: SocketAddrV6,
    /// The address and port that the client dialled.
    pub destination: SocketAddrV6,
    /// The server by the mappings, if they have one.
    pub server: Option<SocketAddrV4>,
    answer: oneshot::Sender<Verdict>,
}

impl Question {
    /// Tells whether an answer comes too late, because the relay no longer waits for it.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.answer.is_closed()
    }

    /// Answers the question. Dropping it instead refuses the client. A late answer has no effect.
    pub fn answer(self, verdict: Verdict) {
        let _ = self.answer.send(verdict);
    }
}

/// Decides where connections go.
pub trait Route: Send + Sync {
    /// Decides, at once or later. The relay calls this on a worker's thread, between packets: it must return in microseconds
    /// and never block.
    fn ask(&self, question: Question);

    /// Notes that the answer to question `id` is no longer needed, because the client is gone or the relay closes. Not called
    /// for questions that were answered or whose time is up.
    fn withdraw(&self, id: u64) {
        let _ = id;
    }
}

/// A route and the limits of its questions.
#[derive(Clone)]
pub struct Routing {
    /// The route.
    pub route: Arc<dyn Route>,
    /// The ports about whose connections the relay asks it; `None` is all ports.
    pub ports: Option<PortSet>,
    /// Longest time that an answer may take.
    pub timeout: Duration,
    /// Most open questions about SYNs, and as many about accepted clients. Beyond that, a SYN goes on to the kernel, and
    /// the relay asks when its client has been accepted. An accepted client beyond the limit is reset.
    pub max_undecided: u32,
}

impl fmt::Debug for Routing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routing").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// The questions of one relay.
#[derive(Debug)]
pub(crate) struct Questions {
    routing: Routing,
    client_prefix_length: u8,
    open: Arc<Mutex<Counts>>,
}

/// Numbers of open questions.
#[derive(Debug, Default)]
struct Counts {
    /// Questions about SYNs, which any host can forge.
    syns: u32,
    /// Questions about SYNs, by client network. A keyed hash, because clients choose the keys.
    networks: HashMap<u128, u32>,
    /// Questions about clients that have completed their handshake.
    proven: u32,
}

impl Questions {
    /// Makes an empty list. `client_prefix_length` is the number of address bits that identify one client.
    pub(crate) fn new(routing: Routing, client_prefix_length: u8) -> Self {
        Self { routing, client_prefix_length, open: Arc::default() }
    }

    /// Tells whether the relay asks the route about connections to `port`.
    pub(crate) fn concern(&self, port: u16) -> bool {
        self.routing.ports.as_ref().is_none_or(|ports| ports.contains(port))
    }

    /// Tells whether a SYN of `client` waits for a place, when `held` SYNs of its network are held, as many as may be.
    ///
    /// It waits while open questions make up half of these places or more. The places come free within the time limit, and
    /// accepting the client would complete its handshake before the route has decided. Otherwise most places belong to SYNs
    /// whose servers are connected, or to forged SYNs. Dropping the SYN would then shut out a real client of the network, so
    /// the kernel accepts it first. Questions about other networks do not count.
    pub(crate) fn waits(&self, client: &Ipv6Addr, held: u32) -> bool {
        let network = network_of(*client, self.client_prefix_length);
        let undecided = self.open.lock().networks.get(&network).copied().unwrap_or(0);
        u64::from(undecided) * 2 >= u64::from(held)
    }

    /// Takes a place among the open questions; `None` when the limit is reached. SYNs and accepted clients have places of
    /// their own, so a flood of forged SYNs takes none of the clients' places.
    pub(crate) fn enter(&self, began: Began, client: &Ipv6Addr) -> Option<Open> {
        let network = match began {
            Began::WithSyn => Some(network_of(*client, self.client_prefix_length)),
            Began::Accepted => None,
        };
        let entered = self.open.lock().enter(network, self.routing.max_undecided);
        entered.then(|| Open { counts: Arc::clone(&self.open), network })
    }

    /// Asks the route, and waits for its verdict.
    ///
    /// # Errors
    /// The refusal that answers the client, if there is no verdict in time.
    pub(crate) async fn ask(
        &self,
        _open: Open,
        id: u64,
        client: SocketAddrV6,
        destination: SocketAddrV6,
        server: Option<SocketAddrV4>,
    ) -> Result<Verdict, Refusal> {
        let mut asked = Asked { route: &*self.routing.route, id, waits: true };
        let (answer, verdict) = oneshot::channel();
        asked.route.ask(Question { id, client, destination, server, answer });
        let verdict = timeout(self.routing.timeout, verdict).await;
        asked.waits = false;
        match verdict {
            Ok(Ok(verdict)) => Ok(verdict),
            Ok(Err(_)) | Err(_) => Err(Refusal::UNDECIDED),
        }
    }
}

/// An asked question. Dropping it while its client waits for the answer withdraws it.
struct Asked<'a> {
    route: &'a dyn Route,
    id: u64,
    waits: bool,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if self.waits {
            self.route.withdraw(self.id);
        }
    }
}

impl Counts {
    /// Counts a question about a SYN of this network, or about an accepted client (`None`); `false` if there are `most`.
    fn enter(&mut self, network: Option<u128>, most: u32) -> bool {
        let places = if network.is_some() { &mut self.syns } else { &mut self.proven };
        if *places >= most {
            return false;
        }
        *places += 1;
        if let Some(network) = network {
            *self.networks.entry(network).or_default() += 1;
        }
        true
    }

    fn leave(&mut self, network: Option<u128>) {
        let Some(network) = network else {
            self.proven -= 1;
            return;
        };
        self.syns -= 1;
        if let Entry::Occupied(mut count) = self.networks.entry(network) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// A place among the open questions; dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Open {
    counts: Arc<Mutex<Counts>>,
    /// The network of the client, if the question is about a SYN.
    network: Option<u128>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.counts.lock().leave(self.network);
    }
}

impl From<Reject> for Refusal {
    fn from(reject: Reject) -> Self {
        let (reason, answer) = match reject {
            Reject::Refused => (RefusalReason::Refused, SynAnswer::Reset),
            Reject::Unreachable => {
                (RefusalReason::Unreachable, SynAnswer::Unreachable(Unreachable::AddressUnreachable))
            }
            Reject::Prohibited => (RefusalReason::Denied, SynAnswer::Unreachable(Unreachable::Prohibited)),
            Reject::Drop => (RefusalReason::Denied, SynAnswer::Silence),
        };
        Self::rejected(reason, answer)
    }
}
