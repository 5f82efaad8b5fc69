//! An upstream as it is asked.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

#[cfg(test)]
use futures_util::future::LocalBoxFuture;

use crate::ask::Ask;
use crate::entry::Entry;
use crate::plain;
use crate::round_trip::RoundTrip;
use crate::secure::SecureUpstream;
use crate::session::Session;
use crate::upstream::Upstream;

/// An upstream as it is asked. It lasts as long as the upstream is named.
pub(crate) struct Peer {
    upstream: Upstream,
    way: Way,
    pub(crate) round_trip: RoundTrip,
    /// The upstream was told to ask this server.
    pub(crate) is_loop_told: Cell<bool>,
}

enum Way {
    /// Over UDP, and by the session over TCP.
    Plain(SocketAddr, Rc<Session>),
    Secure(Rc<Session>),
    #[cfg(test)]
    Script(Script),
}

/// Answers in the place of an upstream.
#[cfg(test)]
pub(crate) type Script = Box<dyn Fn(&Ask) -> LocalBoxFuture<'static, io::Result<Entry>>>;

impl Peer {
    pub(crate) fn plain(address: SocketAddr) -> Rc<Self> {
        Self::new(Upstream::Plain(address), Way::Plain(address, Session::plain(address)))
    }

    pub(crate) fn secure(upstream: SecureUpstream, session: Rc<Session>) -> Rc<Self> {
        Self::new(Upstream::Secure(upstream), Way::Secure(session))
    }

    #[cfg(test)]
    pub(crate) fn script(address: SocketAddr, script: Script) -> Rc<Self> {
        Self::new(Upstream::Plain(address), Way::Script(script))
    }

    fn new(upstream: Upstream, way: Way) -> Rc<Self> {
        Rc::new(Self { upstream, way, round_trip: RoundTrip::default(), is_loop_told: Cell::new(false) })
    }

    pub(crate) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// The address, unless the upstream has a name alone.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match &self.upstream {
            Upstream::Plain(address) => Some(*address),
            Upstream::Secure(upstream) => upstream.address(),
        }
    }

    /// Returns true while the upstream is not to be asked, because it accepts no connections.
    pub(crate) fn rests(&self) -> bool {
        matches!(&self.way, Way::Secure(session) if session.rests())
    }

    /// The upstream's response.
    pub(crate) async fn exchange(&self, ask: &Ask) -> io::Result<Entry> {
        match &self.way {
            Way::Plain(address, tcp) => plain::exchange(*address, ask, tcp).await,
            Way::Secure(session) => session.exchange(ask.padded_query(), &ask.question).await,
            #[cfg(test)]
            Way::Script(script) => script(ask).await,
        }
    }
}
