//! Chooses the source address and port of connections to servers.
//!
//! A client keeps its address (RFC 6888 REQ-2, the paired pooling of RFC 4787 REQ-2), because some connections must come
//! from one address: the control and data connections of passive FTP, or those of a login that is bound to an address.
//! The relay stores nothing per client. A hash ranks the addresses for each client (rendezvous hashing), so every worker,
//! and the relay after a restart, finds the same one. Adding or removing an address moves only the clients that it gains or
//! loses.
//!
//! A client is a network, as it is for the limits. A host changes its temporary addresses (RFC 8981) during a login, and
//! the machines of a household share one address behind IPv4 NAT too.
//!
//! If an address has no port left towards the server, or is no longer the host's, the next in the client's order takes its
//! place. So a client with many connections to one server gets the ports of every address.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use faith_packet::prefix::network_of;

use crate::connect_error::ConnectError;
use crate::port_blocks::Allotment;
use crate::shortage::Shortages;

/// The addresses that a relay connects from.
#[derive(Debug)]
pub(crate) struct Sources {
    addresses: Box<[IpAddr]>,
    client_prefix_length: u8,
    fallbacks: AtomicU64,
    /// Reports an address that is no longer the host's.
    shortages: Arc<Shortages>,
}

/// The source of a connection to a server.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) address: Address,
    pub(crate) ports: Ports,
}

/// The ports of a [`Source`].
#[derive(Debug, Clone)]
pub(crate) enum Ports {
    /// The kernel chooses.
    Any,
    /// Privileged ports, the nth from the top first.
    Privileged(usize),
    /// Those of the client's blocks, chosen anew for each `connection`.
    Blocks { allotment: Allotment, connection: u64 },
}

/// The address of a [`Source`].
#[derive(Debug, Clone)]
pub(crate) enum Address {
    /// The routing table chooses.
    Any,
    /// Only this address.
    Fixed(IpAddr),
    /// One of these of the server's family, in the client's order.
    Own { sources: Arc<Sources>, network: u128, server: IpAddr },
}

impl Sources {
    /// Takes the addresses in any order. `client_prefix_length` is how many bits of an IPv6 address make one client.
    pub(crate) fn new(
        mut addresses: Vec<IpAddr>,
        client_prefix_length: u8,
        shortages: Arc<Shortages>,
    ) -> Arc<Self> {
        addresses.sort_unstable();
        addresses.dedup();
        Arc::new(Self {
            addresses: addresses.into_boxed_slice(),
            client_prefix_length,
            fallbacks: AtomicU64::new(0),
            shortages,
        })
    }

    /// Chooses the address of a client's connections to `server`.
    pub(crate) fn of(self: &Arc<Self>, client: Ipv6Addr, server: IpAddr) -> Address {
        if self.of_family(server).next().is_none() {
            return Address::Any;
        }
        let network = network_of(client, self.client_prefix_length);
        Address::Own { sources: Arc::clone(self), network, server }
    }

    /// All addresses.
    pub(crate) fn all(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// The addresses that a connection to `server` can come from.
    fn of_family(&self, server: IpAddr) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().copied().filter(move |address| address.is_ipv4() == server.is_ipv4())
    }

    /// Number of connections that came from another address than the first of their client.
    pub(crate) fn fallbacks(&self) -> u64 {
        self.fallbacks.load(Ordering::Relaxed)
    }

    /// All addresses for `server`, in the order of the client in `network`.
    fn ranked(&self, network: u128, server: IpAddr) -> impl Iterator<Item = IpAddr> {
        let mut last = None;
        std::iter::from_fn(move || {
            let scored = self.of_family(server).map(|address| (score(network, address), address));
            last = scored.filter(|next| last.is_none_or(|last| *next < last)).max();
            last.map(|(_, address)| address)
        })
    }

    /// Counts a connection that did not come from its client's first address.
    fn fell_back(&self, error: &ConnectError) {
        self.fallbacks.fetch_add(1, Ordering::Relaxed);
        if let ConnectError::Source { address, error } = error {
            self.shortages.cannot_use(*address, error);
        }
    }
}

impl Address {
    /// The address to try first; `None` if the routing table chooses.
    pub(crate) fn first(&self) -> Option<IpAddr> {
        match self {
            Self::Any => None,
            Self::Fixed(address) => Some(*address),
            Self::Own { sources, network, server } => sources.ranked(*network, *server).next(),
        }
    }

    /// Has `connect` try one address after the other until one serves.
    ///
    /// # Errors
    /// The error of `connect` that is not the address's fault, or that of the client's first address if none serves.
    pub(crate) fn each<T>(
        &self,
        mut connect: impl FnMut(Option<IpAddr>) -> Result<T, ConnectError>,
    ) -> Result<T, ConnectError> {
        let (sources, network, server) = match self {
            Self::Any => return connect(None),
            Self::Fixed(address) => return connect(Some(*address)),
            Self::Own { sources, network, server } => (sources, *network, *server),
        };
        let mut first = None;
        for address in sources.ranked(network, server) {
            match connect(Some(address)) {
                Err(error) if does_not_serve(&error) => first = first.or(Some(error)),
                outcome => {
                    if let (Ok(_), Some(error)) = (&outcome, &first) {
                        sources.fell_back(error);
                    }
                    return outcome;
                }
            }
        }
        // There is at least one address.
        Err(first.unwrap_or_else(|| ConnectError::Other(ErrorKind::AddrNotAvailable.into())))
    }
}

/// Tells whether another address may serve after this error: the host does not have the address, or each of its ports
/// towards the server is taken.
pub(crate) fn does_not_serve(error: &ConnectError) -> bool {
    error.error().kind() == ErrorKind::AddrNotAvailable
}

/// The rank of `address` for the client in `network`. It must never change, because clients would move. The hash has no key,
/// because a client gains nothing by finding others with the same address.
#[expect(clippy::cast_possible_truncation, reason = "each half has 64 bits")]
fn score(network: u128, address: IpAddr) -> u64 {
    let halves = |bits: u128| [bits >> 64, bits].map(|half| half as u64);
    let [high, low] = halves(network);
    let address = match address {
        IpAddr::V4(address) => mix(address.to_bits().into()),
        IpAddr::V6(address) => {
            let [high, low] = halves(address.to_bits());
            mix(mix(high) ^ low)
        }
    };
    mix(mix(address ^ high) ^ low)
}

/// The finalizer of SplitMix64: each bit of the input changes half of the output's bits.
fn mix(key: u64) -> u64 {
    let key = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let key = (key ^ key >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let key = (key ^ key >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    key ^ key >> 31
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io;
    use std::net::Ipv4Addr;

    use super::*;

    const CLIENTS: u32 = 4000;

    const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(198, 51, 100, last).into()
    }

    fn sources(last: impl IntoIterator<Item = u8>) -> Arc<Sources> {
        of_length(64, last)
    }

    fn of_length(length: u8, last: impl IntoIterator<Item = u8>) -> Arc<Sources> {
        let shortages = Arc::new(Shortages::new(None));
        Sources::new(last.into_iter().map(address).collect(), length, shortages)
    }

    fn client(number: u32) -> Ipv6Addr {
        Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(number) << 64 | 1)
    }

    fn first(sources: &Arc<Sources>, client: Ipv6Addr) -> IpAddr {
        sources.of(client, SERVER).each(|address| Ok(address.unwrap())).unwrap()
    }

    fn failed(error: impl Into<io::Error>) -> ConnectError {
        ConnectError::Other(error.into())
    }

    fn unavailable<T>() -> Result<T, ConnectError> {
        Err(failed(ErrorKind::AddrNotAvailable))
    }

    #[test]
    fn a_client_keeps_its_address_if_the_addresses_are_named_in_another_order() {
        let (one, other) = (sources([1, 2, 3, 4]), sources([3, 1, 4, 2, 3]));
        assert!((0..CLIENTS).all(|number| first(&one, client(number)) == first(&other, client(number))));
    }

    #[test]
    fn a_client_is_a_network_of_the_given_length() {
        let same_network = |number: u32| Ipv6Addr::from_bits(client(7).to_bits() + u128::from(number));
        let whole = sources(1..=16);
        assert!((0..CLIENTS).all(|number| first(&whole, same_network(number)) == first(&whole, client(7))));
        let single = of_length(128, 1..=16);
        assert!((0..CLIENTS).any(|number| first(&single, same_network(number)) != first(&single, client(7))));
    }

    #[test]
    fn clients_are_spread_evenly() {
        let sources = sources(1..=8);
        let mut shares = HashMap::<_, u32>::new();
        (0..CLIENTS).for_each(|number| *shares.entry(first(&sources, client(number))).or_default() += 1);
        assert_eq!(shares.len(), 8);
        assert!(shares.values().all(|share| (400..600).contains(share)), "{shares:?}");
    }

    #[test]
    fn removing_an_address_moves_only_its_own_clients() {
        let (all, fewer) = (sources(1..=8), sources(2..=8));
        let mut moved = 0;
        for number in 0..CLIENTS {
            let (before, after) = (first(&all, client(number)), first(&fewer, client(number)));
            assert!(before == after || before == address(1), "{before} to {after}");
            moved += u32::from(before != after);
        }
        assert!((400..600).contains(&moved), "{moved}");
    }

    #[test]
    fn the_next_address_replaces_one_that_does_not_serve_and_is_counted() {
        let (all, fewer, lost) = (sources(1..=4), sources(2..=4), address(1));
        for number in 0..CLIENTS {
            let serves = |address: Option<IpAddr>| match address {
                Some(address) if address != lost => Ok(address),
                _ => unavailable(),
            };
            let chosen = all.of(client(number), SERVER).each(serves).unwrap();
            assert_eq!(chosen, first(&fewer, client(number)), "as if the host had never had it");
        }
        let moved = (0..CLIENTS).filter(|number| first(&all, client(*number)) == lost).count();
        assert_eq!(all.fallbacks(), moved as u64);
    }

    #[test]
    fn each_address_is_tried_once_and_the_first_error_is_returned() {
        let all = sources(1..=5);
        let mut tried = Vec::new();
        let outcome: Result<(), _> = all.of(client(1), SERVER).each(|address| {
            tried.push(address.unwrap());
            Err(failed(io::Error::new(ErrorKind::AddrNotAvailable, address.unwrap().to_string())))
        });
        assert_eq!(outcome.unwrap_err().error().to_string(), tried[0].to_string());
        tried.sort_unstable();
        assert_eq!(tried, (1..=5).map(address).collect::<Vec<_>>());
        assert_eq!(all.fallbacks(), 0);
    }

    #[test]
    fn no_other_address_is_tried_after_an_error_of_the_server_or_the_network() {
        let all = sources(1..=5);
        let mut tried = 0;
        let error = all.of(client(1), SERVER).each(|_| {
            tried += 1;
            Err::<(), _>(failed(ErrorKind::NetworkUnreachable))
        });
        assert_eq!((error.unwrap_err().error().kind(), tried), (ErrorKind::NetworkUnreachable, 1));
    }

    #[test]
    fn a_connection_comes_from_an_address_of_the_servers_family() {
        let own: [IpAddr; 3] =
            ["2001:db8::9", "198.51.100.1", "2001:db8::8"].map(|text| text.parse().unwrap());
        let both = Sources::new(own.to_vec(), 64, Arc::new(Shortages::new(None)));
        let server: IpAddr = "2001:db8:2::1".parse().unwrap();
        let from = |number, server| both.of(client(number), server).first().unwrap();
        assert!((0..CLIENTS).all(|number| from(number, SERVER) == own[1]));
        let of_ipv6 = (0..CLIENTS).filter(|number| from(*number, server) == own[0]).count();
        assert!((1800..2200).contains(&of_ipv6), "{of_ipv6}");
        assert!((0..CLIENTS).all(|number| from(number, server).is_ipv6()));
        assert!(matches!(sources([1]).of(client(1), server), Address::Any));
    }

    #[test]
    fn a_fixed_address_has_no_replacement() {
        let mut tried = Vec::new();
        let error = Address::Fixed(address(9)).each(|address| {
            tried.push(address);
            unavailable::<()>()
        });
        let kind = error.unwrap_err().error().kind();
        assert_eq!((kind, tried), (ErrorKind::AddrNotAvailable, vec![Some(address(9))]));
    }
}
