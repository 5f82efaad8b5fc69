//! Asks a route where a connection goes while its SYN is held, and where a session of datagrams goes while its first ones wait.
//!
//! An answer may come from any thread, late, or never. So each question has a time limit, and the number of open questions
//! is bounded. A question that is dropped unanswered refuses its own client only.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::sync::Arc;
use std::time::Duration;

use faith_packet::classify::Flow;
use faith_packet::icmpv6::Unreachable;
use faith_packet::ports::PortSet;
use faith_packet::prefix::network_of;
use faith_packet::protocol::Protocol;
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

/// A connection that waits for a [`Verdict`], or a session of datagrams that does. Such a session takes no [`Verdict::HandOver`],
/// no server with an IPv6 address, and none of the [`Terms`] `privileged`, `proxy` and `between`: each of them refuses its client.
#[derive(Debug)]
pub struct Question {
    /// The id that the record of the session, or of the attempt, will have.
    pub id: u64,
    /// The protocol of the connection, or of the datagrams.
    pub protocol: Protocol,
    /// The client. Its port is the identifier of echo requests.
    pub client: SocketAddrV6,
    /// The address and port that the client dialled. Echo requests have port 0.
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
    /// Most open questions about SYNs, as many about accepted clients, and as many about datagrams. Beyond that, a SYN goes on to the kernel, and
    /// the relay asks when its client has been accepted. An accepted client beyond the limit is reset. The first
    /// datagram of a session beyond it is answered as unreachable; one client network has a quarter of these places.
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

/// Open questions by kind.
#[derive(Debug, Default)]
struct Counts {
    /// Questions about SYNs, which any host can forge.
    syns: Places,
    /// Questions about clients that have completed their handshake.
    proven: Places,
    /// Questions about datagrams, which any host can forge.
    datagrams: Places,
}

/// Places of open questions of one kind.
#[derive(Debug, Default)]
struct Places {
    taken: u32,
    /// Those of clients that may be forged, by network. A keyed hash, because clients choose the keys.
    networks: HashMap<u128, u32>,
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
        let undecided = self.open.lock().syns.networks.get(&network).copied().unwrap_or(0);
        u64::from(undecided) * 2 >= u64::from(held)
    }

    /// Takes a place among the open questions; `None` when the limit is reached. SYNs and accepted clients have places of
    /// their own, so a flood of forged SYNs takes none of the clients' places.
    pub(crate) fn enter(&self, began: Began, client: &Ipv6Addr) -> Option<Open> {
        let asker = match began {
            Began::WithSyn => Asker::Syn(network_of(*client, self.client_prefix_length)),
            Began::Accepted => Asker::Accepted,
        };
        self.enter_as(asker)
    }

    /// Takes a place among the open questions about datagrams; `None` when the limit is reached, or the client's share of it.
    pub(crate) fn enter_datagrams(&self, client: &Ipv6Addr) -> Option<Open> {
        self.enter_as(Asker::Datagrams(network_of(*client, self.client_prefix_length)))
    }

    fn enter_as(&self, asker: Asker) -> Option<Open> {
        let entered = self.open.lock().enter(asker, self.routing.max_undecided);
        entered.then(|| Open { counts: Arc::clone(&self.open), asker })
    }

    /// Asks the route, and waits for its verdict.
    ///
    /// # Errors
    /// The refusal that answers the client, if there is no verdict in time.
    pub(crate) async fn ask(
        &self,
        _open: Open,
        id: u64,
        protocol: Protocol,
        Flow { client, destination }: Flow,
        server: Option<SocketAddrV4>,
    ) -> Result<Verdict, Refusal> {
        let mut asked = Asked { route: &*self.routing.route, id, waits: true };
        let (answer, verdict) = oneshot::channel();
        asked.route.ask(Question { id, protocol, client, destination, server, answer });
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

/// The kind of a question, and the network of a client that may be forged.
#[derive(Debug, Clone, Copy)]
enum Asker {
    Syn(u128),
    Accepted,
    Datagrams(u128),
}

impl Asker {
    fn network(self) -> Option<u128> {
        match self {
            Self::Syn(network) | Self::Datagrams(network) => Some(network),
            Self::Accepted => None,
        }
    }
}

impl Counts {
    fn of(&mut self, asker: Asker) -> &mut Places {
        match asker {
            Asker::Syn(_) => &mut self.syns,
            Asker::Accepted => &mut self.proven,
            Asker::Datagrams(_) => &mut self.datagrams,
        }
    }

    /// Counts a question; `false` if there are `most` of its kind, or too many of its network.
    fn enter(&mut self, asker: Asker, most: u32) -> bool {
        let places = self.of(asker);
        if places.taken >= most {
            return false;
        }
        if let Some(network) = asker.network() {
            let count = places.networks.entry(network).or_default();
            // Datagrams prove no client, so one network may not take the places of all.
            if matches!(asker, Asker::Datagrams(_)) && *count >= most.div_ceil(4) {
                return false;
            }
            *count += 1;
        }
        places.taken += 1;
        true
    }

    fn leave(&mut self, asker: Asker) {
        let places = self.of(asker);
        places.taken -= 1;
        if let Some(network) = asker.network()
            && let Entry::Occupied(mut count) = places.networks.entry(network)
        {
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
    asker: Asker,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.counts.lock().leave(self.asker);
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
