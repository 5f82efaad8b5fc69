//! Each test runs in its own network namespace, where a prefix is local to `lo`, as in the private namespace. The tests
//! need root, or the same rights as faithd. Without them they print so and pass, except in CI.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::time::Duration;

use faith_packet::ports::PortSet;
use faith_sys::netns;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use socket2::{Domain, Protocol, Socket, Type};

use super::*;
use crate::netlink::Netlink;

const DOCUMENTATION: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0xc633, 0x6402);
const OTHER: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0xcb00, 0x7109);

/// A listener that gets no connection fails its test after this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs `test` on a thread inside a fresh namespace, with the program attached to it.
fn with_steering(test: impl FnOnce(Steering) + Send + 'static) {
    let thread = std::thread::spawn(|| {
        if let Err(error) = netns::unshare_network() {
            return skip(&format!("cannot make a network namespace: {error}"));
        }
        make_local("64:ff9b::/96");
        let netns = netns::current().expect("/proc is mounted");
        match Steering::attach(netns.as_fd()) {
            Ok(steering) => test(steering),
            Err(error) => skip(&error.to_string()),
        }
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "in CI this must run: {why}");
    eprintln!("not run: {why}");
}

/// Adds the route without ip(8): until it calls execve(2), a child process has a copy of all descriptors, so a socket that
/// another test closes at that moment stays open a little longer.
fn make_local(prefix: &str) {
    let netlink = Netlink::connect().expect("a netlink socket");
    let loopback = netlink.loopback_up().expect("lo is there");
    netlink.add_local(&prefix.parse().expect("a prefix"), loopback).expect("there is no such route yet");
}

fn ports<const N: usize>(ranges: [(u16, u16); N]) -> PortSet {
    PortSet::from_ranges(ranges).expect("legal ports")
}

/// A listener on `port` of `::1`, 0 for a free one, that others can join.
fn listener(port: u16) -> TcpListener {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP)).expect("a socket");
    socket.set_reuse_port(true).expect("SO_REUSEPORT");
    socket.bind(&SocketAddr::from((Ipv6Addr::LOCALHOST, port)).into()).expect("a port of ::1");
    socket.listen(128).expect("a listener");
    // accept(2) obeys this timeout too.
    socket.set_read_timeout(Some(PATIENCE)).expect("SO_RCVTIMEO");
    socket.into()
}

fn bound_port(listener: &TcpListener) -> u16 {
    listener.local_addr().expect("a bound socket").port()
}

fn dial(address: Ipv6Addr, port: u16) -> io::Result<TcpStream> {
    TcpStream::connect(SocketAddrV6::new(address, port, 0, 0))
}

/// Dials, and checks that `listener` accepts this connection and no other.
#[track_caller]
fn assert_reaches(address: Ipv6Addr, port: u16, listener: &TcpListener) {
    let client = dial(address, port).unwrap_or_else(|error| panic!("[{address}]:{port}: {error}"));
    let (accepted, from) =
        listener.accept().unwrap_or_else(|error| panic!("[{address}]:{port} went elsewhere: {error}"));
    assert_eq!(from, client.local_addr().expect("a bound socket"));
    assert_eq!(accepted.local_addr().expect("a bound socket"), SocketAddr::from((address, port)));
}

#[track_caller]
fn assert_refused(address: Ipv6Addr, port: u16) {
    let error = dial(address, port).expect_err("nothing listens there");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "[{address}]:{port}: {error}");
}

/// Checks that no entry is left, except in the socket map, which cannot list its empty slots.
#[track_caller]
fn assert_empty(steering: &Steering) {
    assert!(steering.rules.is_empty(), "{:?}", steering.rules);
    assert_eq!(steering.addresses.keys().count(), 0, "addresses");
    assert_eq!(steering.ports.keys().count(), 0, "ports");
}

#[test]
fn blocks_cover_a_range_exactly_and_in_order() {
    let ranges = [1..=65535, 0..=65535, 1..=1, 65535..=65535, 1..=65534, 8000..=8999, 1023..=1025, 0..=0];
    for range in ranges {
        let covered: Vec<u32> = PortBlock::cover(range.clone())
            .flat_map(|block| block.first..block.first + (1 << block.free_bits))
            .collect();
        let asked: Vec<u32> = range.map(u32::from).collect();
        assert_eq!(covered, asked);
    }
}

#[test]
fn blocks_are_few_and_aligned() {
    assert_eq!(PortBlock::cover(0..=65535).count(), 1);
    assert_eq!(PortBlock::cover(1..=65535).count(), 16);
    assert_eq!(PortBlock::cover(1..=65534).count(), 30);
    for block in PortBlock::cover(8001..=9007) {
        assert_eq!(block.first % (1 << block.free_bits), 0, "{block:?}");
    }
}

#[test]
fn a_listener_of_all_ports_takes_every_port_of_every_address() {
    with_steering(|mut steering| {
        let all = listener(0);
        steering.add(None, &PortSet::all(), all.as_fd()).expect("room for a rule");
        for address in [DOCUMENTATION, OTHER, Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0)] {
            for port in [1, 2, 22, 80, 255, 256, 8080, 32767, 32768, 65534, 65535] {
                assert_reaches(address, port, &all);
            }
        }
    });
}

#[test]
fn a_steered_connection_carries_data_both_ways() {
    with_steering(|mut steering| {
        let all = listener(0);
        steering.add(None, &PortSet::all(), all.as_fd()).expect("room for a rule");
        let mut client = dial(DOCUMENTATION, 7).expect("a connection");
        let (mut accepted, _) = all.accept().expect("that connection");
        let mut four = [0; 4];
        client.write_all(b"ping").expect("room to send");
        accepted.read_exact(&mut four).expect("the bytes that were sent");
        assert_eq!(&four, b"ping");
        accepted.write_all(b"pong").expect("room to send");
        client.read_exact(&mut four).expect("the bytes that were sent");
        assert_eq!(&four, b"pong");
    });
}

#[test]
fn listeners_get_their_own_ranges_and_other_ports_are_refused() {
    with_steering(|mut steering| {
        let (web, rest) = (listener(0), listener(0));
        steering.add(None, &ports([(80, 80), (443, 443)]), web.as_fd()).expect("room for a rule");
        steering.add(None, &ports([(22, 22), (8000, 8999)]), rest.as_fd()).expect("room for a rule");
        for port in [80, 443] {
            assert_reaches(DOCUMENTATION, port, &web);
        }
        for port in [22, 8000, 8191, 8192, 8999] {
            assert_reaches(OTHER, port, &rest);
        }
        for port in [1, 21, 23, 79, 81, 442, 444, 7999, 9000, 65535] {
            assert_refused(DOCUMENTATION, port);
        }
    });
}

#[test]
fn an_exact_address_wins_and_ports_it_leaves_out_fall_through_to_the_wildcard() {
    with_steering(|mut steering| {
        let (exact, wildcard) = (listener(0), listener(0));
        steering.add(None, &ports([(1, 1000)]), wildcard.as_fd()).expect("room for a rule");
        steering.add(Some(DOCUMENTATION), &ports([(80, 89)]), exact.as_fd()).expect("room for a rule");
        assert_reaches(DOCUMENTATION, 80, &exact);
        assert_reaches(DOCUMENTATION, 89, &exact);
        assert_reaches(DOCUMENTATION, 79, &wildcard);
        assert_reaches(DOCUMENTATION, 90, &wildcard);
        assert_reaches(OTHER, 80, &wildcard);
        assert_refused(DOCUMENTATION, 1001);
        assert_refused(OTHER, 1001);
    });
}

#[test]
fn rules_of_one_address_share_its_table_until_the_last_is_removed() {
    with_steering(|mut steering| {
        let (web, shell, wildcard) = (listener(0), listener(0), listener(0));
        let web_rule = steering.add(Some(OTHER), &ports([(80, 80)]), web.as_fd()).expect("room for a rule");
        let shell_rule =
            steering.add(Some(OTHER), &ports([(22, 22)]), shell.as_fd()).expect("room for a rule");
        let all = steering.add(None, &PortSet::all(), wildcard.as_fd()).expect("room for a rule");
        assert_reaches(OTHER, 80, &web);
        assert_reaches(OTHER, 22, &shell);

        steering.remove(web_rule).unwrap();
        assert_reaches(OTHER, 80, &wildcard);
        assert_reaches(OTHER, 22, &shell);

        steering.remove(shell_rule).unwrap();
        assert_reaches(OTHER, 22, &wildcard);
        assert_eq!(steering.addresses.keys().count(), 0);

        steering.remove(all).unwrap();
        assert_empty(&steering);
    });
}

#[test]
fn a_removed_rule_steers_no_new_connection_and_its_connections_go_on() {
    with_steering(|mut steering| {
        let only = listener(0);
        let rule = steering.add(None, &PortSet::all(), only.as_fd()).expect("room for a rule");
        let mut client = dial(DOCUMENTATION, 80).expect("a connection");
        let (mut accepted, _) = only.accept().expect("that connection");

        steering.remove(rule).unwrap();
        assert_refused(DOCUMENTATION, 80);
        client.write_all(b"x").expect("room to send");
        accepted.read_exact(&mut [0]).expect("the byte that was sent");

        steering.remove(rule).unwrap();
        steering.add(None, &ports([(80, 80)]), only.as_fd()).expect("room for a rule");
        assert_reaches(DOCUMENTATION, 80, &only);
    });
}

#[test]
fn the_ephemeral_port_of_a_listener_is_not_reachable_through_the_prefix() {
    with_steering(|mut steering| {
        let web = listener(0);
        steering.add(None, &ports([(80, 80)]), web.as_fd()).expect("room for a rule");
        assert_refused(DOCUMENTATION, bound_port(&web));
    });
}

#[test]
fn a_reuseport_group_shares_the_connections_steered_to_one_member() {
    with_steering(|mut steering| {
        let first = listener(0);
        let second = listener(bound_port(&first));
        steering.add(None, &PortSet::all(), first.as_fd()).expect("room for a rule");
        // The kernel picks by a hash of the 4-tuple. It picks one member 64 times with a probability of
        // 2^-63.
        let clients: Vec<_> = (1..=64).map(|port| dial(OTHER, port).expect("a connection")).collect();
        for member in [&first, &second] {
            let (accepted, _) = member.accept().expect("a connection of its share");
            assert!(clients.iter().any(|client| client.local_addr().ok() == accepted.peer_addr().ok()));
        }
    });
}

#[test]
fn a_closed_listener_is_refused_and_its_rule_can_still_be_removed() {
    with_steering(|mut steering| {
        let gone = listener(0);
        let rule = steering.add(Some(OTHER), &PortSet::all(), gone.as_fd()).expect("room for a rule");
        drop(gone);
        assert_refused(OTHER, 80);
        steering.remove(rule).unwrap();
        assert_empty(&steering);
    });
}

#[test]
fn udp_and_ipv4_are_not_steered() {
    with_steering(|mut steering| {
        let all = listener(0);
        steering.add(None, &PortSet::all(), all.as_fd()).expect("room for a rule");

        let ipv4 = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port of 127.0.0.1");
        let client = TcpStream::connect(ipv4.local_addr().expect("bound")).expect("a connection");
        let (_, from) = ipv4.accept().expect("that connection");
        assert_eq!(from, client.local_addr().expect("bound"));

        let receiver = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).expect("a port of ::1");
        receiver.set_read_timeout(Some(PATIENCE)).expect("SO_RCVTIMEO");
        let sender = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).expect("a port of ::1");
        sender.send_to(b"x", receiver.local_addr().expect("bound")).expect("room to send");
        assert_eq!(receiver.recv(&mut [0; 2]).expect("that datagram"), 1);
    });
}

#[test]
fn dropping_the_steering_detaches_the_program() {
    with_steering(|mut steering| {
        let all = listener(0);
        steering.add(None, &PortSet::all(), all.as_fd()).expect("room for a rule");
        assert_reaches(DOCUMENTATION, 80, &all);
        drop(steering);
        assert_refused(DOCUMENTATION, 80);
    });
}

#[test]
fn a_socket_that_does_not_listen_is_an_error_and_leaves_nothing() {
    with_steering(|mut steering| {
        let idle = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP)).expect("a socket");
        let error = steering.add(Some(OTHER), &PortSet::all(), idle.as_fd()).expect_err("not a listener");
        assert!(matches!(error, SteerError::Map { map: "listeners", .. }), "{error}");
        assert_empty(&steering);
    });
}

#[test]
fn a_rule_that_fails_on_its_last_entry_leaves_no_entry() {
    with_steering(|mut steering| {
        // The test fills the map of addresses directly, so that only the kernel notices that it is full.
        for number in 0..MAX_RULES {
            let stranger = Ipv6Addr::from(u128::from(number));
            steering.addresses.insert(stranger.octets(), 7, BPF_ANY).expect("room for 1024 addresses");
        }
        let web = listener(0);
        let error = steering.add(Some(OTHER), &PortSet::all(), web.as_fd()).expect_err("no room");
        assert!(matches!(error, SteerError::Map { map: "addresses", .. }), "{error}");
        assert_eq!(steering.ports.keys().count(), 0);
        let empty = steering.listeners.clear_index(&0).expect_err("slot 0 is empty");
        assert!(matches!(refused("listeners", empty), SteerError::Map { source, .. }
            if source.kind() == io::ErrorKind::InvalidInput));
    });
}

#[test]
fn too_many_listeners_are_refused_with_the_limit_and_removing_one_makes_room() {
    with_steering(|mut steering| {
        let every = listener(0);
        let address = |number: u32| Some(Ipv6Addr::from(u128::from(OTHER) + u128::from(number)));
        let https = ports([(443, 443)]);
        let rules: Vec<_> = (0..MAX_RULES)
            .map(|number| steering.add(address(number), &https, every.as_fd()).expect("room for 1024"))
            .collect();
        assert_reaches(OTHER, 443, &every);

        let error = steering.add(None, &https, every.as_fd()).expect_err("no room");
        assert_eq!(error.to_string(), "at most 1024 listeners fit on an interface");

        steering.remove(rules[500]).unwrap();
        let again = steering.add(address(5000), &https, every.as_fd()).expect("the room of the removed");
        assert_reaches(address(5000).expect("an address"), 443, &every);
        assert_refused(address(500).expect("an address"), 443);

        steering.remove(again).unwrap();
        for rule in rules {
            steering.remove(rule).unwrap();
        }
        assert_empty(&steering);
    });
}

#[test]
fn ports_too_scattered_for_the_map_are_refused_with_the_limit() {
    with_steering(|mut steering| {
        let odd = listener(0);
        let every_other =
            PortSet::from_ranges((1..=u16::MAX).step_by(2).map(|port| (port, port))).expect("legal ports");
        let error = steering.add(None, &every_other, odd.as_fd()).expect_err("32768 blocks");
        let text = error.to_string();
        assert_eq!(text, "at most 16384 blocks of ports fit on an interface");

        let half = PortSet::from_ranges((1..=32767).step_by(2).map(|port| (port, port)));
        steering.add(None, &half.expect("legal ports"), odd.as_fd()).expect("16384 blocks");
        assert_reaches(OTHER, 32767, &odd);
        assert_refused(OTHER, 32766);
    });
}

/// A few ranges of any width, next to each other or far apart; perhaps none.
fn any_ports() -> impl Strategy<Value = Vec<(u16, u16)>> {
    let edge = prop_oneof![
        2 => 1..=u16::MAX,
        1 => prop::sample::select(vec![1, 2, 255, 256, 1023, 1024, 32_767, 32_768, 65_534, 65_535]),
    ];
    let width = prop_oneof![Just(0), 1..20_u16, any::<u16>()];
    let range = (edge, width).prop_map(|(first, width)| (first, first.saturating_add(width)));
    prop::collection::vec(range, 0..4)
}

#[test]
fn every_port_goes_to_the_listener_of_its_set() {
    with_steering(|steering| {
        let steering = std::cell::RefCell::new(steering);
        let listeners = [listener(0), listener(0), listener(0)];
        let tables = [None, Some(DOCUMENTATION), Some(OTHER)];
        let third = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 1);
        let config = ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() };
        let sets = (any_ports(), any_ports(), any_ports(), prop::collection::vec(1..=u16::MAX, 3));
        let outcome = TestRunner::new(config).run(&sets, |(all, one, other, chance)| {
            let sets = [all, one, other].map(|ranges| PortSet::from_ranges(ranges).ok());
            let rules: Vec<RuleId> = (0..3)
                .filter_map(|place| {
                    let ports = sets[place].as_ref()?;
                    let mut steering = steering.borrow_mut();
                    Some(
                        steering
                            .add(tables[place], ports, listeners[place].as_fd())
                            .expect("room for a rule"),
                    )
                })
                .collect();
            let edges = sets.iter().flatten().flat_map(PortSet::ranges).flat_map(|range| {
                let (first, last) = (*range.start(), *range.end());
                [first.saturating_sub(1).max(1), first, last, last.saturating_add(1)]
            });
            let has = |place: usize, port| sets[place].as_ref().is_some_and(|ports| ports.contains(port));
            for port in edges.chain(chance) {
                for (address, table) in [(DOCUMENTATION, 1), (OTHER, 2), (third, 0)] {
                    match [table, 0].into_iter().find(|place| has(*place, port)) {
                        Some(place) => assert_reaches(address, port, &listeners[place]),
                        None => assert_refused(address, port),
                    }
                }
            }
            for rule in rules {
                steering.borrow_mut().remove(rule).unwrap();
            }
            assert_empty(&steering.borrow());
            Ok(())
        });
        if let Err(error) = outcome {
            panic!("{error}");
        }
    });
}
