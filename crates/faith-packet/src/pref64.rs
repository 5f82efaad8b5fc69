//! Router advertisements that carry the option PREF64 alone (RFC 8781), and the messages that their sender hears.
//!
//! The router lifetime of such an advertisement is 0: its sender is no default router (RFC 4861 section 4.2).

use std::net::Ipv6Addr;

use crate::prefix::FaithPrefix;

const SOLICITATION: u8 = 133;
const ADVERTISEMENT: u8 = 134;
const PREF64: u8 = 38;

/// Lengths of the message before its options (RFC 4861 sections 4.1 and 4.2).
const SOLICITATION_LEN: usize = 8;
const ADVERTISEMENT_LEN: usize = 16;

/// The length of the option, and the field that has it, in units of 8 octets (RFC 8781 section 4).
const OPTION_LEN: usize = 16;
const OPTION_UNITS: u8 = 2;

/// The hop limit that no router has lessened: the message comes from the link (RFC 4861 section 6.1).
pub const HOP_LIMIT: u8 = 255;

/// The longest lifetime in seconds (RFC 8781 section 4.1).
pub const LONGEST_LIFETIME: u16 = 65_528;

/// The most prefixes of one message, which fits the minimum MTU with its IPv6 header.
pub const MAX_PREFIXES: usize = (1280 - 40 - ADVERTISEMENT_LEN) / OPTION_LEN;

/// The flags M and O of an advertisement: hosts get addresses, or other facts, by DHCPv6.
const DHCP_FLAGS: u8 = 0xc0;

/// The flags M and O of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DhcpFlags(u8);

/// A message that a sender of advertisements hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A host asks for advertisements.
    Solicitation,
    /// A router advertises.
    Advertisement {
        /// True if the sender is a default router.
        is_default: bool,
        /// Its flags.
        flags: DhcpFlags,
    },
}

/// Reads an ICMPv6 message with its hop limit. `None` for another one, and for one that hosts must ignore (RFC 4861
/// sections 6.1.1 and 6.1.2).
#[must_use]
pub fn parse(message: &[u8], source: Ipv6Addr, hop_limit: u8) -> Option<Heard> {
    let &[kind, code, _, _, _, flags, lifetime_high, lifetime_low, ..] = message else { return None };
    if code != 0 || hop_limit != HOP_LIMIT {
        return None;
    }
    match kind {
        SOLICITATION if message.len() >= SOLICITATION_LEN => Some(Heard::Solicitation),
        ADVERTISEMENT if message.len() >= ADVERTISEMENT_LEN && source.is_unicast_link_local() => {
            Some(Heard::Advertisement {
                is_default: [lifetime_high, lifetime_low] != [0, 0],
                flags: DhcpFlags(flags & DHCP_FLAGS),
            })
        }
        _ => None,
    }
}

/// Writes an advertisement of these prefixes with their lifetimes in seconds, at most [`MAX_PREFIXES`]. The kernel fills in
/// the checksum.
///
/// The hop limit of the link, the reachable time and the retransmission time stay unspecified, and the flags are those of
/// the link's other routers, because hosts heed the latest ones.
#[must_use]
pub fn advertisement(DhcpFlags(flags): DhcpFlags, prefixes: &[(FaithPrefix, u16)]) -> Vec<u8> {
    let mut message = vec![ADVERTISEMENT, 0, 0, 0, 0, flags, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for (prefix, lifetime) in prefixes.iter().take(MAX_PREFIXES) {
        message.extend([PREF64, OPTION_UNITS]);
        message.extend((scaled(*lifetime) << 3 | length_code(prefix)).to_be_bytes());
        message.extend(prefix.address().octets().iter().take(12));
    }
    message
}

/// Writes a solicitation, by which a program hears the routers of its link.
#[must_use]
pub fn solicitation() -> [u8; SOLICITATION_LEN] {
    [SOLICITATION, 0, 0, 0, 0, 0, 0, 0]
}

/// A lifetime in units of 8 seconds, rounded up.
fn scaled(lifetime: u16) -> u16 {
    lifetime.min(LONGEST_LIFETIME).div_ceil(8)
}

/// The code of a length.
fn length_code(prefix: &FaithPrefix) -> u16 {
    match prefix.length() {
        96 => 0,
        64 => 1,
        56 => 2,
        48 => 3,
        40 => 4,
        _ => 5,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

    fn prefix(text: &str) -> FaithPrefix {
        text.parse().unwrap()
    }

    #[test]
    fn the_option_has_lifetime_code_and_the_first_96_bits() {
        let message = advertisement(DhcpFlags::default(), &[(prefix("2001:db8:a:b::/96"), 3600)]);
        assert_eq!(message[..16], [134, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(message[16..], [38, 2, 0x0e, 0x10, 0x20, 0x01, 0x0d, 0xb8, 0, 0x0a, 0, 0x0b, 0, 0, 0, 0]);
    }

    #[test]
    fn each_length_has_its_code() {
        let lengths = [96, 64, 56, 48, 40, 32];
        let prefixes: Vec<_> =
            lengths.iter().map(|length| (prefix(&format!("2001:db8::/{length}")), 0)).collect();
        let message = advertisement(DhcpFlags::default(), &prefixes);
        let codes: Vec<_> = message[16..].chunks(16).map(|option| option[3]).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_lifetime_is_rounded_up_and_has_a_longest_value() {
        let cases = [(0, 0), (1, 1), (8, 1), (9, 2), (1800, 225), (65_528, 8191), (65_535, 8191)];
        for (lifetime, expected) in cases {
            assert_eq!(scaled(lifetime), expected, "{lifetime}");
        }
    }

    #[test]
    fn a_message_fits_the_minimum_mtu() {
        let many = vec![(prefix("64:ff9b::/96"), 8); 1000];
        let message = advertisement(DhcpFlags::default(), &many);
        assert_eq!(message.len(), 16 + MAX_PREFIXES * 16);
        assert!(message.len() + 40 <= 1280);
    }

    #[test]
    fn solicitations_and_advertisements_of_the_link_are_heard() {
        assert_eq!(parse(&solicitation(), ROUTER, 255), Some(Heard::Solicitation));
        assert_eq!(parse(&solicitation(), Ipv6Addr::UNSPECIFIED, 255), Some(Heard::Solicitation));
        let mut default = advertisement(DhcpFlags::default(), &[]);
        default[5] = 0xff;
        default[7] = 1;
        let heard = Heard::Advertisement { is_default: true, flags: DhcpFlags(0xc0) };
        assert_eq!(parse(&default, ROUTER, 255), Some(heard));
        let ours = advertisement(DhcpFlags(0x40), &[(prefix("64:ff9b::/96"), 8)]);
        let heard = Heard::Advertisement { is_default: false, flags: DhcpFlags(0x40) };
        assert_eq!(parse(&ours, ROUTER, 255), Some(heard));
    }

    #[test]
    fn messages_that_hosts_must_ignore_are_not_heard() {
        let advertisement = advertisement(DhcpFlags::default(), &[]);
        assert_eq!(parse(&advertisement, ROUTER, 64), None);
        assert_eq!(parse(&advertisement, "2001:db8::1".parse().unwrap(), 255), None);
        assert_eq!(parse(&advertisement[..15], ROUTER, 255), None);
        assert_eq!(parse(&solicitation()[..7], ROUTER, 255), None);
        assert_eq!(parse(&[133, 1, 0, 0, 0, 0, 0, 0], ROUTER, 255), None);
        assert_eq!(parse(&[135, 0, 0, 0, 0, 0, 0, 0], ROUTER, 255), None);
    }

    proptest! {
        #[test]
        fn no_message_panics(message in proptest::collection::vec(any::<u8>(), 0..64), hop_limit: u8) {
            let _ = parse(&message, ROUTER, hop_limit);
        }
    }
}
