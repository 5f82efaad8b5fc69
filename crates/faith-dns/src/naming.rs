//! Makes the upstreams as they are asked, of which some have a name alone: the others look it up.
//!
//! Those others are asked as for clients' questions: by their times, the next one as well when one is slow, in rounds.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::{FutureExt, join, ready};
use hickory_proto::rr::{Name, RData, RecordType};
use hickory_proto::serialize::binary::BinEncodable;

use crate::ask::Ask;
use crate::loops::Company;
use crate::peer::{Peer, Way};
use crate::peers::{Around, Peers};
use crate::resolver::{Pace, Resolver};
use crate::secure::{Host, SecureUpstream};
use crate::session::{Find, Session};
use crate::tls::CurrentTrust;
use crate::upstream::{Upstream, Upstreams};
use crate::wire::{self, Question};

/// Asks these upstreams. Those over TLS are trusted by `trust`, and there are none without it.
pub(crate) fn resolver(
    upstreams: Upstreams,
    trust: Option<&CurrentTrust>,
    around: &Rc<Around>,
    pace: Pace,
) -> Resolver {
    let peers = match upstreams {
        Upstreams::Given(upstreams) => Peers::given(make(&upstreams, trust, around, pace), around),
        Upstreams::ResolvConf(path) => Peers::named_by(path, around),
    };
    peers.publish();
    Resolver::new(peers, pace, Arc::clone(&around.counters))
}

/// The upstreams in their order.
fn make(
    upstreams: &[Upstream],
    trust: Option<&CurrentTrust>,
    around: &Rc<Around>,
    pace: Pace,
) -> Vec<Rc<Peer>> {
    let addressed: Vec<Option<Rc<Peer>>> = upstreams
        .iter()
        .map(|upstream| match upstream {
            Upstream::Plain(address) => Some(Peer::plain(*address, &around.gate, &around.counters)),
            Upstream::Secure(secure) => {
                let address = secure.address()?;
                let find = move || ready(vec![address]).boxed_local();
                Some(over_tls(secure, trust?, Box::new(find), around))
            }
        })
        .collect();
    let helpers = Peers::given(addressed.iter().flatten().cloned().collect(), around);
    let helpers = Rc::new(Resolver::new(helpers, pace, Arc::clone(&around.counters)));
    let named = |upstream: &Upstream| match upstream {
        Upstream::Secure(secure @ SecureUpstream { host: Host::Name(name), port, .. }) => {
            Some(over_tls(secure, trust?, find(name.clone(), *port, &helpers), around))
        }
        Upstream::Secure(_) | Upstream::Plain(_) => None,
    };
    upstreams.iter().zip(addressed).filter_map(|(upstream, peer)| peer.or_else(|| named(upstream))).collect()
}

fn over_tls(upstream: &SecureUpstream, trust: &CurrentTrust, find: Find, around: &Around) -> Rc<Peer> {
    let (given, trust) = (upstream.clone(), Arc::clone(trust));
    Peer::new(Upstream::Secure(upstream.clone()), &around.gate, &around.counters, |health| {
        Way::Secure(Session::secure(given, trust, find, Rc::clone(health)))
    })
}

/// Finds the addresses of an upstream with this name.
fn find(name: String, port: u16, helpers: &Rc<Resolver>) -> Find {
    let (name, helpers) = (Rc::<str>::from(name), Rc::clone(helpers));
    Box::new(move || {
        let (name, helpers) = (Rc::clone(&name), Rc::clone(&helpers));
        async move {
            let found = look_up(&helpers, &name).await;
            found.into_iter().map(|address| SocketAddr::new(address, port)).collect()
        }
        .boxed_local()
    })
}

/// The addresses of a name, IPv6 ones first.
async fn look_up(resolver: &Resolver, host: &str) -> Vec<IpAddr> {
    let Ok(name) = Name::from_ascii(host).and_then(|name| name.to_bytes()) else { return Vec::new() };
    let addresses = async |kind: RecordType| -> Vec<IpAddr> {
        let question = Question { name: name.clone(), kind: kind.into(), class: wire::IN };
        let ask = Ask { question, flags: wire::RECURSION_DESIRED, dnssec_ok: false };
        let entry = resolver.ask(&ask, &Company::default()).await;
        let message = entry.filter(|entry| entry.code() == wire::NO_ERROR).and_then(|entry| entry.message());
        let address = |data: &RData| data.ip_addr();
        message.map_or_else(Vec::new, |message| {
            message.answers.iter().filter_map(|record| address(&record.data)).collect()
        })
    };
    let (mut ipv6, ipv4) = join(addresses(RecordType::AAAA), addresses(RecordType::A)).await;
    ipv6.extend(ipv4);
    ipv6
}

#[cfg(test)]
mod tests;
