//! The paths to clients: the longest packet that each takes.

use std::collections::HashMap;
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use faith_sys::way::Way;
use parking_lot::Mutex;

/// The smallest MTU of an IPv6 link (RFC 8200 section 5).
pub(crate) const MINIMUM_MTU: u16 = 1280;

/// A path is looked at anew after this long, because a longer packet may pass by then (RFC 8201 section 4).
const FRESH: Duration = Duration::from_mins(10);

/// Most clients whose paths are narrower than their route. Those beyond it learn their path for each port.
const MOST: usize = 4096;

/// The MTU of the path to one port of a client. Nothing is known before the first packet that is longer than every link
/// takes.
#[derive(Debug, Default)]
pub(crate) struct Path(Option<(u16, Instant)>);

impl Path {
    /// The MTU, at most `most`.
    pub(crate) fn mtu(&mut self, client: Ipv6Addr, most: u16, paths: &Paths, now: Instant) -> u16 {
        let known = self.0.filter(|(_, since)| is_fresh(*since, now));
        let (mtu, _) = *self.0.insert(known.unwrap_or_else(|| (paths.mtu(client, now), now)));
        mtu.min(most).max(MINIMUM_MTU)
    }

    /// Notes what a router said: Packet Too Big.
    pub(crate) fn learn(&mut self, mtu: u16, now: Instant) {
        let before = self.0.map_or(u16::MAX, |(before, _)| before);
        self.0 = Some((mtu.max(MINIMUM_MTU).min(before), now));
    }
}

/// Paths that routers called narrow. Locked when a port of a client gets its first long datagram, and for each
/// Packet Too Big.
#[derive(Debug, Default)]
pub(crate) struct Paths(Mutex<HashMap<Ipv6Addr, (u16, Instant)>>);

impl Paths {
    /// The MTU of the path to a client: what a router said, or the route's.
    fn mtu(&self, client: Ipv6Addr, now: Instant) -> u16 {
        let learnt = self.0.lock().get(&client).copied();
        let route = || Way::to(client).map_or(u32::from(MINIMUM_MTU), |way| way.mtu);
        match learnt.filter(|(_, since)| is_fresh(*since, now)) {
            Some((mtu, _)) => mtu,
            None => u16::try_from(route()).unwrap_or(u16::MAX),
        }
    }

    pub(crate) fn learn(&self, client: Ipv6Addr, mtu: u16, now: Instant) {
        let mut paths = self.0.lock();
        if paths.len() >= MOST {
            paths.retain(|_, (_, since)| is_fresh(*since, now));
        }
        if paths.len() < MOST || paths.contains_key(&client) {
            paths.insert(client, (mtu.max(MINIMUM_MTU), now));
        }
    }
}

fn is_fresh(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) < FRESH
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Ipv6Addr = Ipv6Addr::LOCALHOST;

    #[test]
    fn a_path_is_as_wide_as_its_route_until_a_router_says_less() {
        let (mut path, paths, now) = (Path::default(), Paths::default(), Instant::now());
        let mut mtu = |most| path.mtu(CLIENT, most, &paths, now);
        let route = Way::to(CLIENT).unwrap().mtu;
        assert_eq!((u32::from(mtu(u16::MAX)), mtu(1400)), (route.min(65_535), 1400));
        for (said, expected) in [(1500, 1500), (9000, 1500), (68, MINIMUM_MTU)] {
            path.learn(said, now);
            assert_eq!(path.mtu(CLIENT, 2000, &paths, now), expected, "after {said}");
        }
        assert_eq!(path.mtu(CLIENT, 600, &paths, now), MINIMUM_MTU);
    }

    #[test]
    fn another_port_of_the_client_knows_what_a_router_said_until_it_is_forgotten() {
        let (paths, now) = (Paths::default(), Instant::now());
        paths.learn(CLIENT, 1300, now);
        let of = |client, now| Path::default().mtu(client, 1400, &paths, now);
        assert_eq!((of(CLIENT, now), of(CLIENT, now + FRESH / 2)), (1300, 1300));
        assert_eq!(of(CLIENT, now + FRESH), 1400);
        let mut path = Path::default();
        path.learn(1300, now);
        assert_eq!(path.mtu(CLIENT, 1400, &Paths::default(), now + FRESH), 1400);
    }

    #[test]
    fn the_number_of_narrow_paths_is_bounded_and_old_ones_make_room() {
        let (paths, now) = (Paths::default(), Instant::now());
        let learn = |from: usize, now| {
            (from..from + MOST).for_each(|number| {
                paths.learn(Ipv6Addr::from_bits(number as u128), 1300, now);
            });
        };
        learn(0, now);
        learn(MOST, now);
        assert_eq!(paths.0.lock().len(), MOST);
        assert!(paths.0.lock().contains_key(&Ipv6Addr::from_bits(0)));
        learn(MOST, now + FRESH);
        assert!(!paths.0.lock().contains_key(&Ipv6Addr::from_bits(0)));
    }
}
