//! The ports of a client's sockets on the IPv4 side.
//!
//! A port keeps the range of the client's port, privileged or not, and its parity, where one is free (RFC 6146 section
//! 3.5.1.1). It is drawn at random, so that it is hard to guess (RFC 6056). Ports come from the host's range for such sockets,
//! without those that the host reserves, because a program that starts later may need one of the others.

use std::ops::RangeInclusive;

use faith_sys::local_ports::LocalPorts;

/// The ports of rresvport(3).
const PRIVILEGED: RangeInclusive<u16> = 600..=1023;

/// The number of ports to try in each range and parity.
const TRIES: usize = 16;

/// The number of ports to draw for each try: a host may reserve most of its range.
const DRAWS: usize = 16;

/// Ports of the host to try for a client's port, the best first. `random` draws a number.
pub(crate) fn candidates(
    host: &LocalPorts,
    client: u16,
    mut random: impl FnMut() -> u64,
) -> impl Iterator<Item = u16> {
    let own = if client < 1024 { PRIVILEGED } else { host.range.clone() };
    let odd = client % 2 == 1;
    let tries = [(own, Some(odd)), (host.range.clone(), Some(odd)), (host.range.clone(), None)];
    let all = tries.into_iter().flat_map(|(range, parity)| std::iter::repeat_n((range, parity), TRIES));
    all.filter_map(move |(range, parity)| {
        (0..DRAWS).map(|_| draw(&range, parity, random())).find(|port| !host.is_reserved(*port))
    })
}

/// All ports of a client's block, those of the client's parity first, each half from a place on that `random` draws.
pub(crate) fn candidates_in(
    block: &RangeInclusive<u16>,
    client: u16,
    random: u64,
) -> impl Iterator<Item = u16> + use<> {
    let (first, last) = (*block.start(), *block.end());
    let half = move |odd: bool| {
        let ports = (first..=last).filter(move |port| (port % 2 == 1) == odd);
        let count = ports.clone().count();
        let start = usize::try_from(random % count.max(1) as u64).unwrap_or(0);
        ports.clone().skip(start).chain(ports.take(start))
    };
    let odd = client % 2 == 1;
    half(odd).chain(half(!odd))
}

/// A port of this range, and of this parity if it is given.
fn draw(range: &RangeInclusive<u16>, odd: Option<bool>, random: u64) -> u16 {
    let (first, last) = (u64::from(*range.start()), u64::from(*range.end()));
    let port = first + random % (last.saturating_sub(first) + 1);
    let port = match odd {
        Some(odd) if (port % 2 == 1) != odd => {
            if port < last {
                port + 1
            } else {
                // A range of one port has one parity.
                port.saturating_sub(1).max(first)
            }
        }
        _ => port,
    };
    u16::try_from(port).unwrap_or(*range.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel's default of `net.ipv4.ip_local_port_range`.
    const DEFAULT: RangeInclusive<u16> = 32_768..=60_999;

    fn drawn(range: RangeInclusive<u16>, reserved: Vec<RangeInclusive<u16>>, client: u16) -> Vec<u16> {
        let mut number = 7_u64;
        let random = || {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            number >> 16
        };
        candidates(&LocalPorts { range, reserved }, client, random).collect()
    }

    #[test]
    fn ports_keep_range_and_parity_first() {
        for client in [1, 1000, 1023, 1024, 50_000, 65_535] {
            let ports = drawn(DEFAULT, Vec::new(), client);
            let (best, rest) = ports.split_at(TRIES);
            assert!(best.iter().all(|port| port % 2 == client % 2), "{client}: {best:?}");
            assert!(best.iter().all(|port| (*port < 1024) == (client < 1024)), "{client}: {best:?}");
            assert!(rest.iter().all(|port| DEFAULT.contains(port)), "{client}: {rest:?}");
            assert!(rest[..TRIES].iter().all(|port| port % 2 == client % 2));
        }
    }

    #[test]
    fn a_range_of_two_ports_gives_both() {
        for (first, client) in [(40_000, 2000), (40_001, 2000)] {
            let ports = drawn(first..=first + 1, Vec::new(), client);
            assert!(ports.iter().all(|port| (first..=first + 1).contains(port)));
            assert!(ports.contains(&first) && ports.contains(&(first + 1)));
        }
    }

    #[test]
    fn every_port_of_a_block_is_tried_once_and_those_of_the_parity_first() {
        for (block, client) in [(40_000..=40_009, 7), (40_001..=40_008, 8), (65_535..=65_535, 2), (5..=5, 5)]
        {
            for random in [0, 3, u64::MAX] {
                let mut ports: Vec<_> = candidates_in(&block, client, random).collect();
                let own = block.clone().filter(|port| port % 2 == client % 2).count();
                assert!(ports[..own].iter().all(|port| port % 2 == client % 2), "{ports:?}");
                ports.sort_unstable();
                assert!(ports.into_iter().eq(block.clone()));
            }
        }
    }

    #[test]
    fn a_range_of_one_port_gives_it_to_both_parities() {
        for port in [40_000, 40_001, 1, u16::MAX] {
            assert!(drawn(port..=port, Vec::new(), 2000).iter().all(|drawn| *drawn == port));
        }
    }

    #[test]
    fn ports_that_the_host_reserves_are_not_tried() {
        // Three quarters of the range, and of the privileged ports.
        let reserved = vec![40_000..=40_029, 600..=917];
        for client in [1, 1000, 1024, 50_001] {
            let ports = drawn(40_000..=40_039, reserved.clone(), client);
            assert!(ports.iter().all(|port| !reserved.iter().any(|range| range.contains(port))), "{ports:?}");
            assert!(ports.len() > TRIES, "{ports:?}");
            assert!(ports.iter().take(4).all(|port| port % 2 == client % 2), "{ports:?}");
        }
        assert!(drawn(40_000..=40_009, vec![1..=u16::MAX], 2000).is_empty());
    }
}
