//! Asks a server over TLS, by one connection that is used again while it lasts.
//!
//! A task of its own makes the connection, however long the first caller waits, and drives it. A server closes idle
//! connections when it likes, also while a query is on the way (RFC 7766 section 6.2.4), so a query that a used
//! connection loses gets one more, on a new connection. One that is silent for long is left alone, and the next query
//! gets a new one.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use http::Uri;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::link::{Jobs, Link};
use crate::secure::SecureUpstream;
use crate::tls::{self, Trust};
use crate::{doh, dot};

/// The time that one address has to accept a connection.
const CONNECT: Duration = Duration::from_secs(4);

/// Finds the addresses of a server.
pub(crate) type Find = Box<dyn Fn() -> LocalBoxFuture<'static, Vec<SocketAddr>>>;

/// Hears why a server cannot be asked, and `None` once it answers.
pub(crate) type Report = Box<dyn Fn(Option<&str>)>;

/// A server that is asked over TLS.
pub(crate) struct Session {
    upstream: SecureUpstream,
    trust: Trust,
    find: Find,
    link: RefCell<Option<Link>>,
    /// The trouble that was reported last.
    trouble: RefCell<Option<String>>,
    report: Report,
}

impl Session {
    /// A session without a connection. `find` gives the server's addresses, if a connection is needed.
    pub(crate) fn new(upstream: SecureUpstream, trust: Trust, find: Find, report: Report) -> Rc<Self> {
        Rc::new(Self { upstream, trust, find, link: RefCell::default(), trouble: RefCell::default(), report })
    }

    /// The response to a query.
    pub(crate) async fn exchange(self: &Rc<Self>, query: Vec<u8>) -> io::Result<Vec<u8>> {
        if let Some(link) = self.current() {
            let was_used = link.was_made();
            match self.ask(&link, query.clone()).await {
                Some(response) => return Ok(response),
                None if !was_used || link.is_open() => return Err(io::ErrorKind::ConnectionAborted.into()),
                None => {}
            }
        }
        let addresses = (self.find)().await;
        let link = self.current().unwrap_or_else(|| self.open(addresses));
        self.ask(&link, query).await.ok_or_else(|| io::ErrorKind::ConnectionAborted.into())
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
            if let Err(trouble) = session.run(&addresses, &mut jobs).await {
                session.tell(Some(trouble));
            }
        });
        link
    }

    async fn run(&self, addresses: &[SocketAddr], jobs: &mut Jobs) -> Result<(), String> {
        let stream = self.connect(addresses).await?;
        jobs.made();
        let ended = match self.uri() {
            None => dot::drive(stream, jobs).await,
            Some(uri) => {
                if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
                    return Err("does not offer HTTP/2".to_owned());
                }
                doh::drive(stream, &uri, jobs, |trouble| self.tell(Some(trouble))).await
            }
        };
        match ended {
            // Any connection may end; one that never helped is a trouble.
            Err(error) if !jobs.were_heard() => Err(tls::reason(&error)),
            Ok(()) if !jobs.were_heard() => Err("gives no response".to_owned()),
            _ => Ok(()),
        }
    }

    async fn connect(&self, addresses: &[SocketAddr]) -> Result<TlsStream<TcpStream>, String> {
        let name = self.upstream.certified().ok_or("has a name that no certificate can have")?;
        let config = if self.upstream.path.is_some() { &self.trust.https } else { &self.trust.tls };
        let connector = TlsConnector::from(std::sync::Arc::clone(config));
        let mut trouble = "no other upstream knows its address".to_owned();
        for address in addresses {
            match timeout(CONNECT, connect(*address, &connector, &name)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => trouble = tls::reason(&error),
                Err(_) => "accepts no connection".clone_into(&mut trouble),
            }
        }
        Err(trouble)
    }

    fn uri(&self) -> Option<Uri> {
        let path = self.upstream.path.as_deref()?;
        Uri::builder().scheme("https").authority(self.upstream.authority()).path_and_query(path).build().ok()
    }

    /// Reports a change.
    fn tell(&self, trouble: Option<String>) {
        if *self.trouble.borrow() != trouble {
            (self.report)(trouble.as_deref());
            self.trouble.replace(trouble);
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

async fn connect(
    address: SocketAddr,
    connector: &TlsConnector,
    name: &ServerName<'static>,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    connector.connect(name.clone(), stream).await
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
