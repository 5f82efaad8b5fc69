//! Decides where datagrams may go: a session begins with its first one, without a handshake.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4};

use faith_packet::access::{Basis, Decision};
use faith_packet::protocol::Protocol;

use super::{Admission, outcome};
use crate::attempt::Attempt;
use crate::port_blocks::Allotment;
use crate::refusal::Refusal;
use crate::route::{Open, Verdict};
use crate::source::Address;
use crate::terms::Terms;

impl Admission {
    /// Finds the server of a client's first datagram, and the address that its socket is bound to, if the access list lets
    /// the datagram through. `is_mapped` tells whether a port of the router itself is the port of a client: that one is open
    /// although the address is the router's (RFC 4787 section 6).
    ///
    /// # Errors
    /// The refusal that answers the client.
    pub(crate) fn admit_datagram(
        &self,
        protocol: Protocol,
        attempt: &mut Attempt,
        is_mapped: impl Fn(SocketAddrV4) -> bool,
    ) -> Result<(SocketAddrV4, Address), Refusal> {
        let server = self.server_of(*attempt.destination()).ok_or(Refusal::NO_MAPPING)?;
        attempt.server = Some(server.into());
        let outgoing = self.judge_datagram(protocol, Basis::Dialled, attempt, server, is_mapped)?;
        Ok((server, self.datagram_source(attempt, outgoing, server)))
    }

    /// Does the same as [`admit_datagram`](Self::admit_datagram), but asks the route first.
    ///
    /// # Errors
    /// The refusal that answers the client.
    pub(crate) async fn decide_datagram(
        &self,
        protocol: Protocol,
        attempt: &mut Attempt,
        open: Open,
        is_mapped: impl Fn(SocketAddrV4) -> bool,
    ) -> Result<(SocketAddrV4, Address), Refusal> {
        let destination = *attempt.destination();
        let questions = self.questions(destination.port()).ok_or(Refusal::UNDECIDED)?;
        let server = self.server_of(destination);
        match questions.ask(open, attempt.id(), protocol, attempt.flow(), server).await? {
            Verdict::Connect { server: SocketAddr::V4(server), allow_any, terms }
                if terms.suit_datagrams() =>
            {
                // Echo requests have no port.
                let port = if protocol == Protocol::Icmp { 0 } else { server.port() };
                let server = SocketAddrV4::new(*server.ip(), port);
                attempt.server = Some(server.into());
                attempt.routed = true;
                attempt.treat(terms);
                if !allow_any {
                    self.judge_datagram(protocol, Basis::Named, attempt, server, is_mapped)?;
                }
                Ok((server, self.datagram_source(attempt, None, server)))
            }
            Verdict::Proceed(terms) if terms.suit_datagrams() => {
                attempt.treat(terms);
                self.admit_datagram(protocol, attempt, is_mapped)
            }
            Verdict::Reject { reject, tag } => {
                attempt.treat(Terms { tag, ..Terms::default() });
                Err(reject.into())
            }
            Verdict::Connect { .. } | Verdict::Proceed(_) | Verdict::HandOver => Err(Refusal::UNDECIDED),
        }
    }

    fn judge_datagram(
        &self,
        protocol: Protocol,
        basis: Basis,
        attempt: &Attempt,
        server: SocketAddrV4,
        is_mapped: impl Fn(SocketAddrV4) -> bool,
    ) -> Result<Option<IpAddr>, Refusal> {
        let access = self.access.load();
        let is_own = |address| self.router.is_own(address) && !is_mapped(server);
        let judgement = access.judge(protocol, basis, *attempt.client().ip(), server.into(), is_own);
        outcome(&access, judgement)
    }

    /// The address that datagrams come from: one that the route or a rule names, or else the client's own.
    fn datagram_source(&self, attempt: &Attempt, outgoing: Option<IpAddr>, server: SocketAddrV4) -> Address {
        match attempt.terms().and_then(|terms| terms.source).or(outgoing) {
            Some(address) => Address::Fixed(address),
            None => self.passage.load().sources.of(*attempt.client().ip(), IpAddr::V4(*server.ip())),
        }
    }

    /// The blocks that the ports of a client's datagrams come from, if clients have blocks. Nothing proves the client of a
    /// datagram, so its first one takes a block.
    pub(crate) fn datagram_blocks(&self, client: &Ipv6Addr) -> Option<Allotment> {
        let passage = self.passage.load();
        Some(self.blocks.allot(passage.port_blocks?, client, passage.client_prefix_length))
    }

    /// Tells whether a datagram may come from `server` to `client` although the client has sent none there.
    pub(crate) fn admits_unasked(&self, client: Ipv6Addr, server: SocketAddrV4) -> bool {
        // The router itself sends none but those of its clients, who are behind ports of their own.
        let judgement =
            self.access.load().judge(Protocol::Udp, Basis::Dialled, client, server.into(), |_| false);
        matches!(judgement.decision, Decision::Permit { .. })
    }
}
