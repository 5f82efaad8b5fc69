//! Asking somebody else where a connection goes, while its SYN is held.
//!
//! An answer may come from any thread, late, or never. So a question has a time limit, there is a bound on how many
//! are open, and one that is dropped unanswered refuses its client and nobody else.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4, SocketAddrV6};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use faith_packet::icmpv6::Unreachable;
use faith_packet::proxy::Version;
use faith_stack::Captured;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::attempt::Began;
use crate::record::EndReason;
use crate::upstream::{Answer, Refusal};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// What the mappings and the access list say.
    Default,
    /// It goes to this server, whatever the access list says.
    Connect {
        /// The server.
        server: SocketAddrV4,
        /// Where the connection comes from; `None` is the relay's own choice.
        source: Option<Ipv4Addr>,
        /// Whether the server is told who the client is; `None` is the relay's own choice.
        proxy: Option<Version>,
    },
    /// It goes nowhere.
    Reject(Reject),
    /// It is given to the [`Route`], whatever limits and access list say: no session comes of it.
    HandOver,
}

/// A connection that waits for a [`Verdict`].
#[derive(Debug)]
pub struct Question {
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
    /// About SYNs, which any host can forge.
    open: Arc<AtomicU32>,
    /// About clients that have completed their handshake.
    proven: Arc<AtomicU32>,
}

impl Questions {
    pub(crate) fn new(routing: Routing) -> Self {
        Self { routing, open: Arc::default(), proven: Arc::default() }
    }

    /// Gives a connection to whoever is asked.
    pub(crate) fn hand_over(&self, worker: usize, connection: Captured) {
        self.routing.route.take(worker, connection);
    }

    pub(crate) fn closing(&self) {
        self.routing.route.closing();
    }

    /// Whether a SYN whose client has `held` SYNs held, as many as it may, waits for a place among them.
    ///
    /// It does while so many questions are open that they may make up most of the client's places. These come free within
    /// the time limit, and a client that is accepted meanwhile is told that it is connected before the route has
    /// decided so. Otherwise the places are of SYNs that are connected or not heard of again, forged ones
    /// perhaps, and losing a SYN would shut out a real client of the same network: it is accepted first.
    pub(crate) fn waits(&self, held: u32) -> bool {
        u64::from(self.open.load(Ordering::Relaxed)) * 2 >= u64::from(held)
    }

    /// Takes a place among the open questions, for one that is about to be asked; `None` when there are as many as there
    /// may be. SYNs and clients that have completed their handshake have as many places each, so that a flood of forged
    /// SYNs takes up none of the clients'.
    pub(crate) fn enter(&self, began: Began) -> Option<Open> {
        let places = match began {
            Began::WithSyn => &self.open,
            Began::Accepted => &self.proven,
        };
        let entered = Open(Arc::clone(places));
        (places.fetch_add(1, Ordering::Relaxed) < self.routing.max_undecided).then_some(entered)
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// What to tell the client when there is none, or when it says no.
    pub(crate) async fn ask(
        &self,
        _open: Open,
        client: SocketAddrV6,
        destination: SocketAddrV6,
        server: Option<SocketAddrV4>,
    ) -> Result<Verdict, Refusal> {
        let (answer, verdict) = oneshot::channel();
        self.routing.route.ask(Question { client, destination, server, answer });
        match timeout(self.routing.timeout, verdict).await {
            Ok(Ok(Verdict::Reject(reject))) => Err(reject.into()),
            Ok(Ok(verdict)) => Ok(verdict),
            Ok(Err(_)) | Err(_) => Err(Refusal::UNDECIDED),
        }
    }
}

/// A place among the open questions, free again when dropped.
#[derive(Debug)]
pub(crate) struct Open(Arc<AtomicU32>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl From<Reject> for Refusal {
    fn from(reject: Reject) -> Self {
        let (reason, answer) = match reject {
            Reject::Refused => (EndReason::Refused, Answer::Reset),
            Reject::Unreachable => {
                (EndReason::Unreachable, Answer::Unreachable(Unreachable::AddressUnreachable))
            }
            Reject::Prohibited => (EndReason::Denied, Answer::Unreachable(Unreachable::Prohibited)),
            Reject::Drop => (EndReason::Denied, Answer::Silence),
        };
        Self::rejected(reason, answer)
    }
}
