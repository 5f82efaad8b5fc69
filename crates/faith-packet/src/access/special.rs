//! The blocks that are not public addresses, and the IPv6 addresses that stand for an IPv4 one.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The entries of IANA's IPv4 Special-Purpose Address Registry that are not globally reachable, and
/// the addresses that are not unicast, with their prefix lengths. A block inside another comes before
/// it. Loopback is absent: the access list has a setting for it.
///
/// 192.0.0.0/24 is listed whole, although two anycast addresses in it are globally reachable: PCP's
/// (RFC 7723) does not use TCP, and TURN's (RFC 8155) finds a relay for the sender's own network. The
/// registry gives no reachability for 192.88.99.0/24 since RFC 7526 withdrew its 6to4 relays; no TCP
/// service can legitimately be there. The AS112 and AMT blocks (192.31.196.0/24, 192.52.193.0/24,
/// 192.175.48.0/24) are globally reachable, so they are absent.
const BLOCKS: [([u8; 4], u8); 15] = [
    ([255, 255, 255, 255], 32), // limited broadcast, RFC 919
    ([0, 0, 0, 0], 8),          // this network, RFC 791
    ([10, 0, 0, 0], 8),         // private use, RFC 1918
    ([100, 64, 0, 0], 10),      // shared address space, RFC 6598
    ([169, 254, 0, 0], 16),     // link-local, RFC 3927
    ([172, 16, 0, 0], 12),      // private use, RFC 1918
    ([192, 0, 0, 0], 24),       // IETF protocol assignments, RFC 6890
    ([192, 0, 2, 0], 24),       // documentation, RFC 5737
    ([192, 88, 99, 0], 24),     // deprecated 6to4 relay anycast, RFC 7526
    ([192, 168, 0, 0], 16),     // private use, RFC 1918
    ([198, 18, 0, 0], 15),      // benchmarking, RFC 2544
    ([198, 51, 100, 0], 24),    // documentation, RFC 5737
    ([203, 0, 113, 0], 24),     // documentation, RFC 5737
    ([224, 0, 0, 0], 4),        // multicast, RFC 5771
    ([240, 0, 0, 0], 4),        // reserved, RFC 1112
];

/// The prefix length of the smallest block that holds `address`.
#[inline]
pub(super) fn block_length(address: Ipv4Addr) -> Option<u8> {
    let bits = address.to_bits();
    let inside = |block: [u8; 4], length: u8| (u32::from_be_bytes(block) ^ bits) >> (32 - length) == 0;
    BLOCKS.into_iter().find(|&(block, length)| inside(block, length)).map(|(_, length)| length)
}

/// The entries of IANA's IPv6 Special-Purpose Address Registry that are not globally reachable, and what is not unicast.
/// Loopback is not here, as for IPv4.
///
/// The registry calls 2001::/23 not globally reachable "unless allowed by a more specific allocation". [`REACHABLE`] has
/// these allocations. Teredo (2001::/32), benchmarking (2001:2::/48) and the first ORCHID prefix (2001:10::/28) are none of
/// them. 6to4 (2002::/16) and 64:ff9b::/96 are judged by the IPv4 address inside; see [`inner_ipv4`].
const BLOCKS_IPV6: [(Ipv6Addr, u8); 11] = [
    (Ipv6Addr::UNSPECIFIED, 80), // IPv4-compatible and IPv4-mapped, RFC 4291
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48), // local-use translation, RFC 8215
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64), // discard only, RFC 6666
    (Ipv6Addr::new(0x100, 0, 0, 1, 0, 0, 0, 0), 64), // dummy prefix, RFC 9780
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // IETF protocol assignments, RFC 2928
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation, RFC 3849
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation, RFC 9637
    (Ipv6Addr::new(0x5f00, 0, 0, 0, 0, 0, 0, 0), 16), // segment routing identifiers, RFC 9602
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7), // unique local, RFC 4193
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 9), // link-local, RFC 4291, and site-local, RFC 3879
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8), // multicast, RFC 4291
];

/// The allocations inside 2001::/23 that the registry calls globally reachable.
const REACHABLE: [(Ipv6Addr, u8); 7] = [
    (Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 1), 128), // Port Control Protocol anycast, RFC 7723
    (Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 2), 128), // TURN anycast, RFC 8155
    (Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 3), 128), // DNS-SD registration anycast, RFC 9665
    (Ipv6Addr::new(0x2001, 3, 0, 0, 0, 0, 0, 0), 32),  // AMT, RFC 7450
    (Ipv6Addr::new(0x2001, 4, 0x112, 0, 0, 0, 0, 0), 48), // AS112, RFC 7535
    (Ipv6Addr::new(0x2001, 0x20, 0, 0, 0, 0, 0, 0), 28), // ORCHIDv2, RFC 7343
    (Ipv6Addr::new(0x2001, 0x30, 0, 0, 0, 0, 0, 0), 28), // drone remote identification, RFC 9374
];

/// Returns true if `address` is inside a special-purpose block.
pub(super) fn is_special(address: Ipv6Addr) -> bool {
    let inside =
        |(block, length): (Ipv6Addr, u8)| (block.to_bits() ^ address.to_bits()) >> (128 - length) == 0;
    BLOCKS_IPV6.into_iter().any(inside) && !REACHABLE.into_iter().any(inside)
}

/// The IPv4 address to which a translator (64:ff9b::/96, RFC 6052) or a 6to4 relay (2002::/16, RFC 3056) sends packets for
/// `address`.
pub(super) fn inner_ipv4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => Some(octets(high, low)),
        _ => None,
    }
}
