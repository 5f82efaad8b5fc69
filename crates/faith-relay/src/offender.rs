//! The address from which a client gets the error of a router or a server on the IPv4 side.

use std::net::{Ipv4Addr, Ipv6Addr};

use faith_packet::classify::Flow;
use faith_sys::way::Way;

use crate::admission::Admission;

/// The address that the client of `flow` sees as the sender of an error about a packet to `server`: it means `offender` behind
/// the prefix that the client dialled (RFC 7915 section 4.2), or is the router's own where that must not be. `None` if there is
/// no such address.
pub(crate) fn shown(
    admission: &Admission,
    flow: &Flow,
    server: Ipv4Addr,
    offender: Ipv4Addr,
) -> Option<Ipv6Addr> {
    let dialled = *flow.destination.ip();
    if offender == server {
        Some(dialled)
    } else if may_be_embedded(dialled, offender) {
        admission.means(dialled, offender)
    } else {
        Some(Way::to(*flow.client.ip()).ok()?.source)
    }
}

/// Tells whether an IPv4 address may be embedded as the address `like` is. The well-known prefix must not stand for private
/// addresses (RFC 6052 section 3.1).
pub(crate) fn may_be_embedded(like: Ipv6Addr, address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    let shared = a == 100 && b & 0xc0 == 64;
    let private = address.is_private() || address.is_loopback() || address.is_link_local() || shared;
    !private || !matches!(like.segments(), [0x64, 0xff9b, 0, 0, 0, 0, ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_known_prefix_stands_for_no_private_address() {
        let may =
            |like: &str, address: &str| may_be_embedded(like.parse().unwrap(), address.parse().unwrap());
        for address in ["10.0.0.1", "172.16.5.5", "192.168.1.1", "100.64.0.1", "100.127.1.1", "169.254.1.1"] {
            assert!(!may("64:ff9b::1.2.3.4", address), "{address}");
            assert!(may("2001:db8:64::1.2.3.4", address), "{address}");
        }
        for address in ["198.51.100.1", "100.128.0.1", "100.63.0.1", "8.8.8.8"] {
            assert!(may("64:ff9b::1.2.3.4", address), "{address}");
        }
    }
}
