//! Asking somebody else where a connection goes, while its SYN is held.
//!
//! An answer may come from any thread, late, or never. So a question has a time limit, there is a bound on how many
//! are open, and one that is dropped unanswered refuses its client and nobody else.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::sync::Arc;
use std::time::Duration;

use faith_packet::icmpv6::Unreachable;
use faith_packet::prefix::network_of;
use faith_stack::{Captured, SynAnswer};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::began::Began;
use crate::record::RefusalReason;
use crate::refusal::Refusal;
use crate::terms::Terms;

/// A client that is not let through, and what it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reject {
    /// RST: `ECONNREFUSED`.
    Refused,
    /// ICMPv6 address unreachable: `EHOSTUNREACH`.
    Unreachable,
    /// ICMPv6 administratively prohibited: `EACCES`.
    Prohibited,
    /// Nothing.
    Drop,
}

/// What becomes of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes where the mappings and the access list say.
    Proceed(Terms),
    /// It goes to this server, whichever rules of the access list deny it.
    Connect {
        /// The server.
        server: SocketAddr,
        /// Whether the server may be a special-purpose address, one of the router's own or a loopback one, although no
        /// rule of the access list opens it.
        allow_any: bool,
        /// How it is treated on its way.
        terms: Terms,
    },
    /// It goes nowhere.
    Reject {
        /// What the client is told.
        reject: Reject,
        /// As in [`Terms`].
        tag: Option<Arc<str>>,
    },
    /// It is given to the [`Route`], whatever limits and access list say: no session comes of it.
    HandOver,
}

/// A connection that waits for a [`Verdict`].
#[derive(Debug)]
pub struct Question {
    /// The id that the record of the session, or of the attempt, will have.
    pub id: u64,
    /// Who connects.
    pub client: SocketAddrV6,
    /// What the client dialled.
    pub destination: SocketAddrV6,
    /// The server that the mappings say.
    pub server: Option<SocketAddrV4>,
    answer: oneshot::Sender<Verdict>,
}

impl Question {
    /// Whether nobody waits for the answer any more.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.answer.is_closed()
    }

    /// Answers it. Dropping it instead refuses the client. An answer that comes too late is for nobody.
    pub fn answer(self, verdict: Verdict) {
        let _ = self.answer.send(verdict);
    }
}

/// Who decides where connections go.
pub trait Route: Send + Sync {
    /// Decides, at once or later. Called on a worker's thread, between packets: it must return in microseconds and
    /// never block.
    fn ask(&self, question: Question);

    /// Hears that the answer to question `id` is not needed any more: the client has gone, or the relay closes. It is told so
    /// neither of questions that have been answered nor of those whose time is up.
    fn withdraw(&self, id: u64) {
        let _ = id;
    }

    /// Takes a connection that it wanted to have by [`Verdict::HandOver`]. Called on the thread of the worker that its
    /// packets come by, likewise. Its socket is an ordinary one, and known to no runtime.
    fn take(&self, worker: usize, connection: Captured);

    /// The interface closes: see [`Service::closing`](faith_stack::Service::closing).
    fn closing(&self) {}
}

/// Who is asked, and within which bounds.
#[derive(Clone)]
pub struct Routing {
    /// Who is asked.
    pub route: Arc<dyn Route>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How many questions about SYNs may be open, and how many about clients that were accepted. Beyond, a SYN goes on to
    /// the kernel, and its client is asked about when it has been accepted; a client is reset.
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

/// How many questions are open.
#[derive(Debug, Default)]
struct Counts {
    /// About SYNs, which any host can forge.
    syns: u32,
    /// About SYNs of each client network that has any. Clients choose the keys, hence a keyed hash.
    networks: HashMap<u128, u32>,
    /// About clients that have completed their handshake.
    proven: u32,
}

impl Questions {
    /// `client_prefix_length` is how many bits of an address make one client.
    pub(crate) fn new(routing: Routing, client_prefix_length: u8) -> Self {
        Self { routing, client_prefix_length, open: Arc::default() }
    }

    /// Gives a connection to whoever is asked.
    pub(crate) fn hand_over(&self, worker: usize, connection: Captured) {
        self.routing.route.take(worker, connection);
    }

    pub(crate) fn closing(&self) {
        self.routing.route.closing();
    }

    /// Tells whether a SYN of `client` waits for a place where its network has `held` SYNs held, as many as it may.
    ///
    /// It waits while open questions make up half of these places or more: the places come free within the time limit,
    /// and accepting the client would tell it that it is connected before the route has decided. Otherwise the places
    /// belong to SYNs whose servers are connected, or to forged SYNs. Dropping the SYN would then shut a real client of
    /// the network out, so the kernel accepts it first. Questions about other networks change nothing.
    pub(crate) fn waits(&self, client: &Ipv6Addr, held: u32) -> bool {
        let network = network_of(*client, self.client_prefix_length);
        let undecided = self.open.lock().networks.get(&network).copied().unwrap_or(0);
        u64::from(undecided) * 2 >= u64::from(held)
    }

    /// Takes a place among the open questions, for one that is about to be asked; `None` when there are as many as there
    /// may be. SYNs and clients that have completed their handshake have as many places each, so that a flood of forged
    /// SYNs takes up none of the clients'.
    pub(crate) fn enter(&self, began: Began, client: &Ipv6Addr) -> Option<Open> {
        let network = match began {
            Began::WithSyn => Some(network_of(*client, self.client_prefix_length)),
            Began::Accepted => None,
        };
        let entered = self.open.lock().enter(network, self.routing.max_undecided);
        entered.then(|| Open { counts: Arc::clone(&self.open), network })
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// What to tell the client when there is none, or when it says no.
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

/// A question that was put, withdrawn when it is dropped while its client waits for the answer.
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
    /// Counts one more question, about a SYN of this network or about a proven client, unless there are `most`.
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

/// A place among the open questions, free again when dropped.
#[derive(Debug)]
pub(crate) struct Open {
    counts: Arc<Mutex<Counts>>,
    /// The network of the client, where the question is about a SYN.
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
