//! Translates the errors of IPv4 into those of IPv6 (RFC 7915 section 4.2), and those of IPv6 into those of IPv4 (section
//! 5.2).

/// The MTUs of links that were common (RFC 1191 section 7): a router that names no MTU in its error has one of these.
const PLATEAUS: [u16; 10] = [32_000, 17_914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68];

/// The smallest MTU of an IPv6 link.
const MINIMUM_MTU: u32 = 1280;

/// The octets by which the fixed IPv6 header is longer than the IPv4 header.
const LONGER: u32 = 20;

/// The type, the code and the number of an ICMPv4 error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmpv4Error {
    /// The type.
    pub kind: u8,
    /// The code.
    pub code: u8,
    /// The MTU that "fragmentation needed" names, or the pointer of "parameter problem".
    pub info: u32,
}

/// The first fields of an ICMPv6 error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmpv6Error {
    /// The type.
    pub kind: u8,
    /// The code.
    pub code: u8,
    /// The word behind the checksum: an MTU, a pointer, or 0.
    pub word: u32,
}

impl Icmpv6Error {
    /// Packet Too Big, for a link that carries IPv4 packets of `mtu` octets. If `mtu` is 0, the next smaller plateau below
    /// `length`, the length of the packet that was too long, counts.
    #[must_use]
    pub fn too_big(mtu: u32, length: u16) -> Self {
        let plateau = || PLATEAUS.into_iter().find(|plateau| *plateau < length).map_or(0, u32::from);
        let mtu = if mtu == 0 { plateau() } else { mtu };
        Self { kind: 2, code: 0, word: mtu.saturating_add(LONGER).max(MINIMUM_MTU) }
    }

    /// The error that means the same as `error` about an IPv4 packet of `length` octets. `None` if an IPv6 host has no use
    /// for it.
    #[must_use]
    pub fn from_icmpv4(error: Icmpv4Error, length: u16) -> Option<Self> {
        let Icmpv4Error { kind, code, info } = error;
        let plain = |kind, code| Some(Self { kind, code, word: 0 });
        match (kind, code) {
            (3, 0 | 1 | 5..=8 | 11 | 12) => plain(1, 0),
            // The protocol is unknown there: that is the next header of IPv6, the sixth octet.
            (3, 2) => Some(Self { kind: 4, code: 1, word: 6 }),
            (3, 3) => plain(1, 4),
            (3, 4) => Some(Self::too_big(info, length)),
            (3, 9 | 10 | 13 | 15) => plain(1, 1),
            (11, code) => plain(3, code),
            (12, 0 | 2) => Some(Self { kind: 4, code: 0, word: pointer(info)? }),
            _ => None,
        }
    }
}

impl Icmpv4Error {
    /// "Fragmentation needed", for a path that carries IPv6 packets of `mtu` octets.
    #[must_use]
    pub fn too_big(mtu: u32) -> Self {
        Self { kind: 3, code: 4, info: mtu.max(MINIMUM_MTU) - LONGER }
    }

    /// The error that means the same as `error`. `None` if an IPv4 host has no use for it.
    #[must_use]
    pub fn from_icmpv6(error: Icmpv6Error) -> Option<Self> {
        let Icmpv6Error { kind, code, word } = error;
        let plain = |kind, code| Some(Self { kind, code, info: 0 });
        match (kind, code) {
            (1, 0 | 2 | 3) => plain(3, 1),
            (1, 1) => plain(3, 10),
            (1, 4) => plain(3, 3),
            (2, _) => Some(Self::too_big(word)),
            (3, code) => plain(11, code),
            (4, 0) => Some(Self { kind: 12, code: 0, info: ipv4_pointer(word)? }),
            (4, 1) => plain(3, 2),
            _ => None,
        }
    }

    /// The word behind the checksum.
    #[must_use]
    pub fn word(self) -> u32 {
        // The MTU has the lower half (RFC 1191 section 4), the pointer the first octet (RFC 792).
        if self.kind == 12 { self.info << 24 } else { self.info.min(u16::MAX.into()) }
    }
}

/// The place in the IPv4 header of the field at this place in the IPv6 header (RFC 7915 figure 6).
fn ipv4_pointer(ipv6: u32) -> Option<u32> {
    match ipv6 {
        0 | 1 => Some(ipv6),
        4 | 5 => Some(2),
        6 => Some(9),
        7 => Some(8),
        8..=23 => Some(12),
        24..=39 => Some(16),
        _ => None,
    }
}

/// The place in the IPv6 header of the field at this place in the IPv4 header (RFC 7915 figure 3).
fn pointer(ipv4: u32) -> Option<u32> {
    match ipv4 {
        0 | 1 => Some(ipv4),
        2 | 3 => Some(4),
        8 => Some(7),
        9 => Some(6),
        12..=15 => Some(8),
        16..=19 => Some(24),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(kind: u8, code: u8, info: u32) -> Option<(u8, u8, u32)> {
        let error = Icmpv6Error::from_icmpv4(Icmpv4Error { kind, code, info }, 1500)?;
        Some((error.kind, error.code, error.word))
    }

    #[test]
    fn each_unreachable_has_its_meaning() {
        for code in [0, 1, 5, 6, 7, 8, 11, 12] {
            assert_eq!(translated(3, code, 0), Some((1, 0, 0)), "code {code}");
        }
        for code in [9, 10, 13, 15] {
            assert_eq!(translated(3, code, 0), Some((1, 1, 0)), "code {code}");
        }
        assert_eq!(translated(3, 2, 0), Some((4, 1, 6)));
        assert_eq!(translated(3, 3, 0), Some((1, 4, 0)));
        for code in [14, 16, 255] {
            assert_eq!(translated(3, code, 0), None, "code {code}");
        }
    }

    #[test]
    fn the_mtu_grows_by_the_longer_header_and_is_never_below_the_least_of_ipv6() {
        for (mtu, expected) in [(1400, 1420), (1500, 1520), (576, 1280), (1260, 1280), (1261, 1281)] {
            assert_eq!(translated(3, 4, mtu), Some((2, 0, expected)));
        }
        assert_eq!(translated(3, 4, u32::MAX), Some((2, 0, u32::MAX)));
    }

    #[test]
    fn a_router_that_names_no_mtu_has_the_next_smaller_plateau() {
        let of = |length| Icmpv6Error::too_big(0, length).word;
        assert_eq!((of(1500), of(1492), of(2002), of(65_535)), (1512, 1280, 1512, 32_020));
        assert_eq!(of(68), 1280);
    }

    #[test]
    fn a_pointer_leads_to_the_same_field() {
        let places = [
            (0, Some(0)),
            (1, Some(1)),
            (2, Some(4)),
            (3, Some(4)),
            (4, None),
            (7, None),
            (8, Some(7)),
            (9, Some(6)),
            (10, None),
            (12, Some(8)),
            (16, Some(24)),
            (19, Some(24)),
            (20, None),
        ];
        for (ipv4, ipv6) in places {
            assert_eq!(translated(12, 0, ipv4), ipv6.map(|word| (4, 0, word)), "octet {ipv4}");
        }
        assert_eq!(translated(12, 1, 0), None);
    }

    fn back(kind: u8, code: u8, word: u32) -> Option<(u8, u8, u32)> {
        let error = Icmpv4Error::from_icmpv6(Icmpv6Error { kind, code, word })?;
        Some((error.kind, error.code, error.word()))
    }

    #[test]
    fn each_error_of_ipv6_has_its_meaning_in_ipv4() {
        let unreachable = [(0, 1), (1, 10), (2, 1), (3, 1), (4, 3)];
        for (code, expected) in unreachable {
            assert_eq!(back(1, code, 0), Some((3, expected, 0)), "code {code}");
        }
        assert_eq!((back(3, 0, 0), back(3, 1, 0)), (Some((11, 0, 0)), Some((11, 1, 0))));
        assert_eq!(back(4, 1, 6), Some((3, 2, 0)));
        for (kind, code) in [(1, 5), (1, 6), (1, 255), (4, 2), (0, 0), (5, 0), (128, 0), (255, 0)] {
            assert_eq!(back(kind, code, 0), None, "type {kind}, code {code}");
        }
    }

    #[test]
    fn the_mtu_shrinks_by_the_longer_header_but_not_below_the_least_of_ipv6() {
        let mtus = [(1500, 1480), (1300, 1280), (1280, 1260), (68, 1260), (0, 1260)];
        for (mtu, expected) in mtus {
            assert_eq!(back(2, 0, mtu), Some((3, 4, expected)));
        }
        assert_eq!(back(2, 0, u32::MAX), Some((3, 4, 65_535)));
    }

    #[test]
    fn a_pointer_leads_back_to_the_same_field() {
        let places =
            [(0, Some(0)), (1, Some(1)), (2, None), (3, None), (4, Some(2)), (5, Some(2)), (6, Some(9))];
        let more = [(7, Some(8)), (8, Some(12)), (23, Some(12)), (24, Some(16)), (39, Some(16)), (40, None)];
        for (ipv6, ipv4) in places.into_iter().chain(more) {
            assert_eq!(back(4, 0, ipv6), ipv4.map(|place| (12, 0, place << 24)), "octet {ipv6}");
        }
    }

    #[test]
    fn time_exceeded_keeps_its_code_and_what_is_no_error_is_dropped() {
        assert_eq!((translated(11, 0, 0), translated(11, 1, 0)), (Some((3, 0, 0)), Some((3, 1, 0))));
        for kind in (0..=255).filter(|kind| ![3, 11, 12].contains(kind)) {
            assert_eq!(translated(kind, 0, 0), None, "type {kind}");
        }
    }
}
