//! Access lists of typical shapes, of any length.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};

use faith_packet::access::{Action, Rule};
use faith_packet::cidr::{Address, Ipv4Prefix, Prefix};
use faith_packet::ports::PortSet;

#[derive(Clone, Copy)]
pub(crate) struct Connection {
    pub(crate) client: Ipv6Addr,
    pub(crate) destination: SocketAddrV4,
}

pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) rules: fn(usize) -> Vec<Rule>,
    /// Connections that rules match.
    pub(crate) connections: fn(&[Rule], usize) -> Vec<Connection>,
}

pub(crate) const SHAPES: [Shape; 2] = [
    Shape { name: "block-list", rules: block_list, connections: to_anywhere },
    Shape { name: "customers", rules: customers, connections: of_customers },
];

/// Denies addresses and networks to every client, like published lists of malicious hosts, and
/// permits all others.
fn block_list(size: usize) -> Vec<Rule> {
    let mut numbers = Numbers(1);
    let mut rules: Vec<Rule> = (1..size)
        .map(|_| {
            let length = match numbers.below(20) {
                0 => 16,
                1..6 => 24,
                _ => 32,
            };
            Rule::deny(covering(public(&mut numbers), length))
        })
        .collect();
    rules.push(Rule::permit(Ipv4Prefix::all()));
    rules
}

/// Sends every second connection to a denied address.
fn to_anywhere(rules: &[Rule], count: usize) -> Vec<Connection> {
    let mut numbers = Numbers(2);
    (0..count)
        .map(|turn| {
            let denied = numbers.pick(rules).destination.address();
            let server = if turn % 2 == 0 { public(&mut numbers) } else { denied };
            let client = Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(numbers.next()) << 64 | 1);
            Connection { client, destination: SocketAddrV4::new(server, 443) }
        })
        .collect()
}

/// Makes ten rules for the /48 of each customer: mail to the smarthost only, some servers from a fixed
/// outgoing address, some networks denied, the web permitted.
fn customers(size: usize) -> Vec<Rule> {
    let mut numbers = Numbers(3);
    (0_u32..)
        .take(size)
        .map(|place| {
            let customer = place / 10;
            let source = Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(customer) << 80);
            let outgoing = Some(Ipv4Addr::from_bits(0xc000_0200 | (customer % 256)));
            let permit = Action::Permit { outgoing };
            let ports = |ranges: &[(u16, u16)]| PortSet::from_ranges(ranges.iter().copied()).ok();
            let (action, destination, ports) = match place % 10 {
                0 => (permit, covering(Ipv4Addr::new(8, 25, 25, 25), 32), ports(&[(25, 25), (587, 587)])),
                1 => (Action::Deny, Ipv4Prefix::all(), ports(&[(25, 25), (465, 465)])),
                2..5 => (permit, covering(public(&mut numbers), 32), None),
                5..9 => (Action::Deny, covering(public(&mut numbers), 24), None),
                _ => (permit, Ipv4Prefix::all(), ports(&[(80, 80), (443, 443), (8000, 8999)])),
            };
            Rule { source: covering(source, 48), action, destination, protocol: None, ports }
        })
        .collect()
}

/// Sends half of the connections to addresses in the customer's rules, half to any address.
fn of_customers(rules: &[Rule], count: usize) -> Vec<Connection> {
    let mut numbers = Numbers(4);
    (0..count)
        .map(|turn| {
            let Rule { source, destination, .. } = numbers.pick(rules);
            let client = Ipv6Addr::from_bits(source.address().to_bits() | u128::from(numbers.next()));
            let named = turn % 2 == 1 && destination.length() > 0;
            let server = if named { destination.address() } else { public(&mut numbers) };
            let port = *numbers.pick(&[25, 80, 443, 8080]);
            Connection { client, destination: SocketAddrV4::new(server, port) }
        })
        .collect()
}

/// An address from 11.0.0.0/8 to 99.0.0.0/8, where no block is special-purpose.
fn public(numbers: &mut Numbers) -> Ipv4Addr {
    let first = 11 + numbers.below(89);
    Ipv4Addr::from_bits(first << 24 | numbers.below(1 << 24))
}

fn covering<A: Address>(address: A, length: u8) -> Prefix<A> {
    Prefix::new(A::from_bits(address.bits() & A::mask(length)), length).expect("no host bits")
}

/// SplitMix64, which makes the same lists in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from(mixed >> 32).unwrap_or_default()
    }

    fn below(&mut self, end: u32) -> u32 {
        self.next() % end
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.next() as usize % from.len()]
    }
}
