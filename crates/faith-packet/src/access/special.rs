//! The IPv4 blocks that are not public addresses.

use std::net::Ipv4Addr;

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
