//! Asks a server over TCP, TLS or HTTPS, by one connection that is used again while it lasts.
//!
//! A task of its own makes the connection, however long the first caller waits, and drives it. A server closes idle
//! connections when it likes, also while a query is on the way (RFC 7766 section 6.2.4), so a query that a used
//! connection loses gets one more, on a new connection. One that is silent for long is left alone, and the next query
//! gets a new one.
//!
//! A server over TLS that cannot be asked gets no queries of clients, which would cost a handshake each. A query of the
//! session's own tries it after a second, then after pauses that grow, until it answers.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{FutureExt, LocalBoxFuture, ready};
use tokio::time::{sleep, timeout};

use crate::ask::Ask;
use crate::connect::Protocol;
use crate::entry::Entry;
use crate::link::Link;
use crate::secure::SecureUpstream;
use crate::tls::Trust;
use crate::wire::Question;

/// Finds the addresses of a server.
pub(crate) type Find = Box<dyn Fn() -> LocalBoxFuture<'static, Vec<SocketAddr>>>;

/// Hears why a server cannot be asked, and `None` once it answers.
pub(crate) type Report = Box<dyn Fn(Option<&str>)>;

/// The pause before a server with a trouble is tried for the first time, and the longest one: after an outage clients
/// wait no longer than this.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// The time that a try has.
const TRY: Duration = Duration::from_secs(10);

/// A server that is asked over connections.
pub(crate) struct Session {
    protocol: Protocol,
    find: Find,
    link: RefCell<Option<Link>>,
    /// The trouble that was reported last.
    trouble: RefCell<Option<Trouble>>,
    /// A task tries the server from time to time.
    mending: Cell<bool>,
    /// Hears of troubles. Without it, troubles are those of single queries.
    report: Option<Report>,
}

/// The reason why a server cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Trouble {
    reason: String,
    /// The server accepts no connection that could carry a query.
    is_cut: bool,
}

impl Session {
    /// A session over TCP, without a connection. Its troubles are those of single queries.
    pub(crate) fn plain(address: SocketAddr) -> Rc<Self> {
        let find = move || ready(vec![address]).boxed_local();
        Self::new(Protocol::Tcp, Box::new(find), None)
    }

    /// A session over TLS or HTTPS, without a connection. `find` gives the server's addresses, if a connection is needed.
    pub(crate) fn secure(upstream: SecureUpstream, trust: Trust, find: Find, report: Report) -> Rc<Self> {
        Self::new(Protocol::Tls(upstream, trust), find, Some(report))
    }

    fn new(protocol: Protocol, find: Find, report: Option<Report>) -> Rc<Self> {
        let (link, trouble, mending) = (RefCell::default(), RefCell::default(), Cell::new(false));
        Rc::new(Self { protocol, find, link, trouble, mending, report })
    }

    /// Returns true while the server is not to be asked.
    pub(crate) fn rests(&self) -> bool {
        self.trouble.borrow().as_ref().is_some_and(|trouble| trouble.is_cut)
    }

    /// The response to a query with this question.
    pub(crate) async fn exchange(self: &Rc<Self>, query: Vec<u8>, question: &Question) -> io::Result<Entry> {
        let response = self.respond(query).await.ok_or(io::ErrorKind::ConnectionAborted)?;
        Entry::read(response, question).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    async fn respond(self: &Rc<Self>, query: Vec<u8>) -> Option<Vec<u8>> {
        if let Some(link) = self.current() {
            let was_made = link.was_made();
            let response = self.ask(&link, query.clone()).await;
            // The server may have closed a connection that works, and nothing is wrong.
            let is_spent = !link.is_open() && (was_made || link.was_heard());
            if response.is_some() || !is_spent {
                return response;
            }
        }
        let addresses = (self.find)().await;
        let link = self.current().unwrap_or_else(|| self.open(addresses));
        self.ask(&link, query).await
    }

    async fn ask(self: &Rc<Self>, link: &Link, query: Vec<u8>) -> Option<Vec<u8>> {
        let leaving = Leaving { session: self, link };
        let response = link.ask(query).await;
        drop(leaving);
        if response.is_some() {
            self.tell(None);
        }
        response
    }

    fn current(&self) -> Option<Link> {
        self.link.borrow().clone().filter(Link::is_open)
    }

    fn open(self: &Rc<Self>, addresses: Vec<SocketAddr>) -> Link {
        let (link, mut jobs) = Link::new();
        *self.link.borrow_mut() = Some(link.clone());
        let session = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let complain = |reason| session.tell(Some(Trouble { reason, is_cut: false }));
            let ended = session.protocol.run(&addresses, &mut jobs, complain).await;
            // A connection that was left for another one says nothing about the server.
            let is_current = session.link.borrow().as_ref().is_some_and(|link| jobs.are_of(link));
            if let Err(reason) = ended
                && is_current
            {
                session.tell(Some(Trouble { reason, is_cut: true }));
            }
        });
        link
    }

    /// Reports a change, and has a server with a trouble tried.
    fn tell(self: &Rc<Self>, trouble: Option<Trouble>) {
        let Some(report) = &self.report else { return };
        if trouble.is_some() && !self.mending.replace(true) {
            tokio::task::spawn_local(Rc::clone(self).mend());
        }
        let before = self.trouble.replace(trouble);
        let reason = |trouble: &Option<Trouble>| trouble.as_ref().map(|trouble| trouble.reason.clone());
        let now = reason(&self.trouble.borrow());
        if reason(&before) != now {
            report(now.as_deref());
        }
    }

    /// Tries the server until it answers.
    async fn mend(self: Rc<Self>) {
        let [mut pause, longest] = PAUSES;
        while self.trouble.borrow().is_some() {
            sleep(pause).await;
            pause = (pause * 2).min(longest);
            let _ = timeout(TRY, self.respond(Ask::root().padded_query())).await;
        }
        self.mending.set(false);
    }

    /// Has the next query open a new connection, if this one is silent.
    fn leave(&self, silent: &Link) {
        let mut current = self.link.borrow_mut();
        if silent.is_silent() && current.as_ref().is_some_and(|link| link.is_same(silent)) {
            *current = None;
        }
    }
}

/// Looks at the connection when a caller has its response, or has given up.
struct Leaving<'a> {
    session: &'a Session,
    link: &'a Link,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.session.leave(self.link);
    }
}

#[cfg(test)]
mod tests;
