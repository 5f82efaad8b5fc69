//! Generates rules and connections from so few addresses that rules often match.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};

use faith_packet::access::{Action, Rule};
use faith_packet::cidr::{Address, Prefix};
use faith_packet::ports::PortSet;
use faith_packet::protocol::Protocol;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Addresses of every kind that a list distinguishes, and their near and far neighbours.
pub(crate) fn server() -> impl Strategy<Value = Ipv4Addr> {
    let kinds = [
        [8, 8, 8, 8],
        [10, 1, 2, 3],
        [169, 254, 169, 254],
        [240, 0, 0, 1],
        [255, 255, 255, 255],
        [127, 0, 0, 1],
        [0, 0, 0, 0],
    ];
    let kind = prop_oneof![4 => Just([8, 8, 8, 8]), 3 => select(kinds.to_vec())];
    (kind, neighbour(32))
        .prop_map(|(kind, flip)| Ipv4Addr::from_bits(Ipv4Addr::from(kind).to_bits() ^ low32(flip)))
}

pub(crate) fn client() -> impl Strategy<Value = Ipv6Addr> {
    let base: Ipv6Addr = "2001:db8:1:2::3".parse().unwrap();
    neighbour(128).prop_map(move |flip| Ipv6Addr::from_bits(base.to_bits() ^ flip))
}

/// A mask that flips no bit, or one.
fn neighbour(bits: u32) -> impl Strategy<Value = u128> {
    prop_oneof![3 => Just(0), 2 => (0..bits).prop_map(|bit| 1_u128 << bit)]
}

fn low32(bits: u128) -> u32 {
    u32::try_from(bits).unwrap()
}

fn prefix<A: Address>(address: impl Strategy<Value = A>, usual: &[u8]) -> impl Strategy<Value = Prefix<A>> {
    let length = prop_oneof![3 => select(usual.to_vec()), 2 => 0..=A::LENGTH];
    (address, length).prop_map(|(address, length)| {
        Prefix::new(A::from_bits(address.bits() & A::mask(length)), length).unwrap()
    })
}

/// A few low ports, and the first and last of all ports.
pub(crate) fn port() -> impl Strategy<Value = u16> {
    prop_oneof![4 => 0..12_u16, 1 => select(vec![0, 1, 65_534, 65_535])]
}

fn ports() -> impl Strategy<Value = Option<PortSet>> {
    let range = (port(), port()).prop_map(|(one, other)| (one.min(other).max(1), one.max(other).max(1)));
    let ports = vec(range, 1..4).prop_map(|ranges| Some(PortSet::from_ranges(ranges).unwrap()));
    prop_oneof![1 => Just(None), 1 => ports]
}

fn protocol() -> impl Strategy<Value = Protocol> {
    select(Protocol::ALL.to_vec())
}

fn action() -> impl Strategy<Value = Action> {
    let outgoing = select(vec![None, None, Some(Ipv4Addr::new(192, 0, 2, 1)), Some(Ipv4Addr::LOCALHOST)]);
    prop_oneof![1 => Just(Action::Deny), 2 => outgoing.prop_map(|outgoing| Action::Permit { outgoing })]
}

prop_compose! {
    pub(crate) fn rule()(
        source in prefix(client(), &[0, 32, 48, 64, 128]),
        action in action(),
        destination in prefix(server(), &[0, 8, 16, 24, 31, 32]),
        protocol in prop::option::weighted(0.3, protocol()),
        ports in ports(),
    ) -> Rule {
        // Echo has no ports.
        let ports = ports.filter(|_| protocol != Some(Protocol::Icmp));
        Rule { source, action, destination, protocol, ports }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection {
    pub(crate) protocol: Protocol,
    pub(crate) client: Ipv6Addr,
    pub(crate) destination: SocketAddrV4,
    pub(crate) is_own: bool,
}

prop_compose! {
    pub(crate) fn connection()(
        protocol in protocol(),
        client in client(),
        server in server(),
        port in port(),
        is_own in prop::bool::weighted(0.2),
    ) -> Connection {
        Connection { protocol, client, destination: SocketAddrV4::new(server, port), is_own }
    }
}
