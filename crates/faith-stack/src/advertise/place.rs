//! The place of a link in the kernel, and the address of faithd's own on it.

use std::net::Ipv6Addr;

/// The IPv6 addresses of the namespace of this thread, a line to each.
const ADDRESSES: &str = "/proc/thread-self/net/if_inet6";

/// Makes the sender's address from the interface's own: both differ in these bits.
const OWN: u128 = 0x0064_ff9b_0000_0000;

/// An interface that has a link-local address, as every one has that is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) index: u32,
    /// The interface's own link-local address.
    pub(super) address: Ipv6Addr,
}

impl Place {
    /// Finds an interface by its name.
    pub(super) fn find(name: &str) -> Option<Self> {
        Self::find_in(&std::fs::read_to_string(ADDRESSES).ok()?, name)
    }

    fn find_in(addresses: &str, name: &str) -> Option<Self> {
        addresses.lines().find_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let address = Ipv6Addr::from(u128::from_str_radix(words.next()?, 16).ok()?);
            let index = u32::from_str_radix(words.next()?, 16).ok()?;
            let has = words.nth(3)? == name && address.is_unicast_link_local();
            has.then_some(Self { index, address })
        })
    }

    /// The address that advertisements come from.
    ///
    /// It is no address of the host, so that hosts take the sender for a router of its own. Otherwise the router lifetime
    /// of 0 would take away the default route by this host that another program, such as radvd, advertises (RFC 4861
    /// section 6.3.4).
    pub(super) fn source(&self) -> Ipv6Addr {
        Ipv6Addr::from(u128::from(self.address) ^ OWN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "\
00000000000000000000000000000001 01 80 10 80       lo
20010db8000100000000000000000001 02 40 00 80     lan0
fe80000000000000909157fffe076010 02 40 20 80     lan0
fe80000000000000000000000000000a 1f 40 20 c0     lan00
broken
";

    #[test]
    fn an_interface_is_found_by_its_name_and_link_local_address() {
        let place = Place::find_in(LINES, "lan0").unwrap();
        assert_eq!((place.index, place.address.to_string().as_str()), (2, "fe80::9091:57ff:fe07:6010"));
        assert_eq!(Place::find_in(LINES, "lan00").unwrap().index, 31);
        assert_eq!(Place::find_in(LINES, "lo"), None);
        assert_eq!(Place::find_in(LINES, "lan"), None);
        assert_eq!(Place::find_in("", "lan0"), None);
    }

    #[test]
    fn the_source_is_link_local_and_another_address() {
        let source = Place::find_in(LINES, "lan0").unwrap().source();
        assert_eq!(source.to_string(), "fe80::90f5:a864:fe07:6010");
        assert!(source.is_unicast_link_local());
    }
}
