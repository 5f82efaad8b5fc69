//! An upstream as it is asked.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use crate::ask::Ask;
use crate::entry::Entry;
use crate::plain;
use crate::secure::SecureUpstream;
use crate::session::Session;
use crate::upstream::Upstream;

/// An upstream as it is asked. It lasts as long as the upstream is named.
pub(crate) struct Peer {
    upstream: Upstream,
    way: Way,
}

enum Way {
    Plain(SocketAddr),
    Secure(Rc<Session>),
}

impl Peer {
    pub(crate) fn plain(address: SocketAddr) -> Rc<Self> {
        Rc::new(Self { upstream: Upstream::Plain(address), way: Way::Plain(address) })
    }

    pub(crate) fn secure(upstream: SecureUpstream, session: Rc<Session>) -> Rc<Self> {
        Rc::new(Self { upstream: Upstream::Secure(upstream), way: Way::Secure(session) })
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

    /// The upstream's response.
    pub(crate) async fn exchange(&self, ask: &Ask) -> io::Result<Entry> {
        match &self.way {
            Way::Plain(address) => plain::exchange(*address, ask).await,
            Way::Secure(session) => {
                let response = session.exchange(ask.padded_query()).await?;
                Entry::read(response, &ask.question).ok_or_else(|| io::ErrorKind::InvalidData.into())
            }
        }
    }
}
