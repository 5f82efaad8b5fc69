//! Asks a server over TCP, TLS or HTTPS, by one connection that is used again while it lasts.
//!
//! A task of its own makes the connection, however long the first caller waits, and drives it. A server closes idle
//! connections when it likes, also while a query is on the way (RFC 7766 section 6.2.4), so a query that a used
//! connection loses gets one more, on a new connection. One that is silent for long is left alone, and the next query
//! gets a new one.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use futures_util::future::{FutureExt, LocalBoxFuture, ready};

use crate::connect::Protocol;
use crate::entry::Entry;
use crate::health::{Health, Trouble};
use crate::link::Link;
use crate::secure::SecureUpstream;
use crate::tls::CurrentTrust;
use crate::wire::Question;

/// Finds the addresses of a server.
pub(crate) type Find = Box<dyn Fn() -> LocalBoxFuture<'static, Vec<SocketAddr>>>;

/// A server that is asked over connections.
pub(crate) struct Session {
    protocol: Protocol,
    find: Find,
    link: RefCell<Option<Link>>,
    /// Hears of troubles. Without it, troubles are those of single queries.
    health: Option<Rc<Health>>,
}

impl Session {
    /// A session over TCP, without a connection. Its troubles are those of single queries.
    pub(crate) fn plain(address: SocketAddr) -> Rc<Self> {
        let find = move || ready(vec![address]).boxed_local();
        Self::new(Protocol::Tcp, Box::new(find), None)
    }

    /// A session over TLS or HTTPS, without a connection. `find` gives the server's addresses, if a connection is needed.
    pub(crate) fn secure(
        upstream: SecureUpstream,
        trust: CurrentTrust,
        find: Find,
        health: Rc<Health>,
    ) -> Rc<Self> {
        Self::new(Protocol::Tls(upstream, trust), find, Some(health))
    }

    fn new(protocol: Protocol, find: Find, health: Option<Rc<Health>>) -> Rc<Self> {
        Rc::new(Self { protocol, find, link: RefCell::default(), health })
    }

    /// The response to a query with this question.
    pub(crate) async fn exchange(self: &Rc<Self>, query: Vec<u8>, question: &Question) -> io::Result<Entry> {
        let lost = || io::Error::new(io::ErrorKind::ConnectionAborted, "ends connections without a response");
        let response = self.respond(query).await.ok_or_else(lost)?;
        let other = || io::Error::new(io::ErrorKind::InvalidData, "gives no response to the question");
        Entry::read(response, question).ok_or_else(other)
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
            let complain = |reason| session.tell(Trouble { reason, is_cut: false });
            let ended = session.protocol.run(&addresses, &mut jobs, complain).await;
            // A connection that was left for another one says nothing about the server.
            let is_current = session.link.borrow().as_ref().is_some_and(|link| jobs.are_of(link));
            if let Err(reason) = ended
                && is_current
            {
                session.tell(Trouble { reason, is_cut: true });
            }
        });
        link
    }

    fn tell(&self, trouble: Trouble) {
        if let Some(health) = &self.health {
            health.fail(trouble);
        }
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
