//! Finds a port of a range that is free towards a server.
//!
//! Only connect(2) tells that a port is taken towards the server, and a bound socket keeps its port. So each try costs a
//! socket, and thousands of system calls if all ports are taken. A client could make each SYN cost that. Therefore each
//! thread remembers taken ports for a moment, and passes over them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use faith_sys::source;

use crate::connect_error::ConnectError;

/// A taken port is passed over for this long. A port that becomes free is missed for this long at most.
const MOMENT: Duration = Duration::from_millis(100);

/// Most ways whose ports are remembered, in a byte for each port. Further ways are not remembered until some are forgotten.
/// This is enough, because it takes hundreds of connections to take the ports of one way.
const WAYS: usize = 256;

thread_local! {
    static TAKEN: RefCell<TakenPorts> = RefCell::default();
}

/// The source address (`None` if the routing table chooses it), the server and the lowest port of the range.
type Way = (Option<IpAddr>, SocketAddr, u16);

/// Has `connect` try the ports of a range, the `turn`th from the top first, until one serves. `connect` takes the ports
/// that it tries from the iterator; the last one is the port to which it binds.
///
/// # Errors
/// The error of `connect` for a port that is not taken, or `EADDRNOTAVAIL` if all are taken.
pub(crate) fn pass_over<T>(
    address: Option<IpAddr>,
    server: SocketAddr,
    ports: RangeInclusive<u16>,
    turn: usize,
    connect: impl FnMut(&mut dyn Iterator<Item = u16>) -> Result<T, ConnectError>,
) -> Result<T, ConnectError> {
    let now = Instant::now();
    TAKEN.with_borrow_mut(|taken| taken.pass_over((address, server), ports, turn, now, connect))
}

// A keyed hash, because clients choose the servers.
#[derive(Default)]
struct TakenPorts(HashMap<Way, Taken>);

/// The ports of a range that are taken towards one server.
struct Taken {
    until: Instant,
    /// True for each taken port, the lowest port first.
    ports: Box<[bool]>,
}

impl TakenPorts {
    fn pass_over<T>(
        &mut self,
        (address, server): (Option<IpAddr>, SocketAddr),
        range: RangeInclusive<u16>,
        turn: usize,
        now: Instant,
        mut connect: impl FnMut(&mut dyn Iterator<Item = u16>) -> Result<T, ConnectError>,
    ) -> Result<T, ConnectError> {
        let lowest = *range.start();
        let way = (address, server, lowest);
        let known = self.0.remove(&way).filter(|taken| now < taken.until && taken.ports.len() == range.len());
        let mut taken = known.unwrap_or_else(|| Taken {
            until: now + MOMENT,
            ports: vec![false; range.len()].into_boxed_slice(),
        });
        let mut last = 0;
        let is_free = |port: &u16| {
            last = usize::from(port - lowest);
            taken.ports.get_mut(last).is_some_and(|taken| !std::mem::replace(taken, true))
        };
        let mut ports = source::in_turn(range, turn).filter(is_free).peekable();
        let outcome = loop {
            if ports.peek().is_none() {
                break None;
            }
            match connect(&mut ports) {
                Err(ConnectError::Other(error)) if error.kind() == ErrorKind::AddrNotAvailable => {}
                outcome => break Some(outcome),
            }
        };
        drop(ports);
        if outcome.is_some()
            && let Some(tried) = taken.ports.get_mut(last)
        {
            *tried = false;
        }
        if taken.ports.contains(&true) {
            self.remember(way, taken, now);
        }
        outcome.unwrap_or_else(|| Err(source::out_of_ports().into()))
    }

    fn remember(&mut self, way: Way, taken: Taken, now: Instant) {
        if self.0.len() >= WAYS {
            self.0.retain(|_, taken| now < taken.until);
        }
        if self.0.len() < WAYS {
            self.0.insert(way, taken);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::Ipv4Addr;

    use super::*;

    const PORTS: usize = 424;

    fn pair(server: u8) -> (Option<IpAddr>, SocketAddr) {
        (None, SocketAddr::from(([192, 0, 2, server], 514)))
    }

    fn taken<T>() -> Result<T, ConnectError> {
        Err(source::out_of_ports().into())
    }

    fn kind<T>(outcome: Result<T, ConnectError>) -> Option<ErrorKind> {
        Some(outcome.err()?.error().kind())
    }

    /// Connects while these ports are taken; returns the port and the number of tries.
    fn attempt(
        ports: &mut TakenPorts,
        pair: (Option<IpAddr>, SocketAddr),
        turn: usize,
        now: Instant,
        is_taken: impl Fn(u16) -> bool,
    ) -> (Option<u16>, usize) {
        let mut tried = 0;
        let port = ports.pass_over(pair, source::PRIVILEGED, turn, now, |ports| {
            tried += 1;
            let port = ports.next().unwrap();
            if is_taken(port) { taken() } else { Ok(port) }
        });
        (port.ok(), tried)
    }

    #[test]
    fn if_all_ports_are_taken_each_is_tried_once_in_a_moment() {
        let mut ports = TakenPorts::default();
        let now = Instant::now();
        let mut flood =
            |now| (0..1000).map(|turn| attempt(&mut ports, pair(1), turn, now, |_| true).1).sum::<usize>();
        assert_eq!(flood(now), PORTS);
        assert_eq!(flood(now + MOMENT / 2), 0);
        assert_eq!(flood(now + MOMENT), PORTS);
    }

    #[test]
    fn the_only_free_port_is_found_each_time_and_the_taken_ones_are_tried_once() {
        let mut ports = TakenPorts::default();
        let now = Instant::now();
        let mut tried = 0;
        for turn in 0..1000 {
            let (port, count) = attempt(&mut ports, pair(1), turn, now, |port| port != 700);
            assert_eq!(port, Some(700));
            tried += count;
        }
        assert_eq!(tried, PORTS - 1 + 1000);
    }

    #[test]
    fn a_port_that_is_free_again_is_found_a_moment_later() {
        let mut ports = TakenPorts::default();
        let now = Instant::now();
        assert_eq!(attempt(&mut ports, pair(1), 0, now, |_| true).0, None);
        assert_eq!(attempt(&mut ports, pair(1), 0, now + MOMENT, |port| port != 600).0, Some(600));
    }

    #[test]
    fn another_server_or_address_has_its_own_ports() {
        let mut ports = TakenPorts::default();
        let now = Instant::now();
        attempt(&mut ports, pair(1), 0, now, |_| true);
        let other_address = (Some(Ipv4Addr::LOCALHOST.into()), pair(1).1);
        for pair in [pair(2), other_address] {
            assert_eq!(attempt(&mut ports, pair, 0, now, |_| false), (Some(1023), 1));
        }
    }

    #[test]
    fn each_range_has_its_own_ports_up_to_the_highest() {
        let mut ports = TakenPorts::default();
        let now = Instant::now();
        let highest = 65_000..=65_535;
        let mut tried = 0;
        let outcome: Result<(), _> = ports.pass_over(pair(1), highest, 7, now, |ports| {
            tried += 1;
            ports.next();
            taken()
        });
        assert_eq!((kind(outcome), tried), (Some(ErrorKind::AddrNotAvailable), 536));
        assert_eq!(attempt(&mut ports, pair(1), 0, now, |_| false), (Some(1023), 1));
    }

    #[test]
    fn ports_on_which_bind_fails_count_as_taken_and_the_bound_one_does_not() {
        let mut ports = TakenPorts::default();
        let now = Instant::now();
        let third = ports.pass_over(pair(1), source::PRIVILEGED, 0, now, |ports| Ok(ports.nth(2).unwrap()));
        assert_eq!(third.unwrap(), 1021);
        assert_eq!(attempt(&mut ports, pair(1), 0, now, |_| false), (Some(1021), 1));
    }

    #[test]
    fn an_error_of_another_kind_takes_no_port() {
        let mut ports = TakenPorts::default();
        let now = Instant::now();
        let missing = || io::Error::from(ErrorKind::AddrNotAvailable);
        let outcome = ports.pass_over(pair(1), source::PRIVILEGED, 0, now, |ports| {
            ports.next();
            Err::<(), _>(ConnectError::Source { address: Ipv4Addr::LOCALHOST.into(), error: missing() })
        });
        assert_eq!(kind(outcome), Some(ErrorKind::AddrNotAvailable));
        let outcome = ports.pass_over(pair(1), source::PRIVILEGED, 0, now, |ports| {
            ports.next();
            Err::<(), _>(ConnectError::Other(ErrorKind::NetworkUnreachable.into()))
        });
        assert_eq!(kind(outcome), Some(ErrorKind::NetworkUnreachable));
        assert!(ports.0.is_empty());
    }

    #[test]
    fn the_number_of_remembered_ways_is_bounded_and_old_ones_make_room() {
        let mut ports = TakenPorts::default();
        let now = Instant::now();
        let mut fill = |port, now| {
            for server in 0..=u8::MAX {
                let (address, server) = pair(server);
                let pair = (address, SocketAddr::new(server.ip(), port));
                attempt(&mut ports, pair, 0, now, |_| true);
            }
            let new = ports.0.values().filter(|taken| taken.until == now + MOMENT).count();
            (ports.0.len(), new)
        };
        assert_eq!(fill(1, now), (WAYS, WAYS));
        assert_eq!(fill(2, now + MOMENT / 2), (WAYS, 0));
        assert_eq!(fill(3, now + MOMENT), (WAYS, WAYS));
    }
}
