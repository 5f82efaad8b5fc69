//! Interfaces, listeners and held SYNs, over real namespaces.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::io;
use std::sync::Arc;

use faith_packet::icmpv6::Unreachable;
use faith_packet::ports::PortSet;
use faith_stack::{StackError, Steering};
use world::{Echo, Verdict, eventually, faith, greet, in_a_namespace, ip, listen};

#[test]
fn every_port_is_captured_and_the_socket_has_the_dialled_address() {
    for steering in [Steering::Auto, Steering::OnDemand] {
        in_a_namespace(move || {
            let faith = faith(|options| options.steering = steering).unwrap();
            // If sk_lookup is not permitted, `Auto` means on demand.
            assert!(!faith.is_steered() || steering == Steering::Auto);
            let echo = Arc::<Echo>::default();
            let _listener = listen(&faith, PortSet::all(), &echo).unwrap();
            let dialled = [("64:ff9b::c633:6402", 80), ("64:ff9b::1", 1), ("64:ff9b::ffff:ffff", 65_535)];
            for (address, port) in dialled {
                greet(address, port).unwrap();
            }
            let seen: Vec<_> = echo.dialled.lock().unwrap().iter().map(ToString::to_string).collect();
            let expected: Vec<_> = dialled.map(|(address, port)| format!("[{address}]:{port}")).to_vec();
            let expected: Vec<_> = expected
                .iter()
                .map(|text| text.parse::<std::net::SocketAddrV6>().unwrap().to_string())
                .collect();
            assert_eq!(seen, expected);
        });
    }
}

#[test]
fn a_port_without_a_listener_is_refused() {
    in_a_namespace(|| {
        let faith = faith(|_| {}).unwrap();
        let echo = Arc::<Echo>::default();
        let _listener = listen(&faith, PortSet::single(22).unwrap(), &echo).unwrap();
        greet("64:ff9b::1", 22).unwrap();
        assert_eq!(greet("64:ff9b::1", 23).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_closed_listener_refuses_connections_at_once() {
    for ports in [PortSet::single(80).unwrap(), PortSet::all()] {
        for steering in [Steering::Auto, Steering::OnDemand] {
            let ports = ports.clone();
            in_a_namespace(move || {
                let faith = faith(|options| options.steering = steering).unwrap();
                for round in 0..100 {
                    let listener = listen(&faith, ports.clone(), &Arc::<Echo>::default()).unwrap();
                    greet("64:ff9b::1", 80).unwrap();
                    drop(listener);
                    let error = greet("64:ff9b::1", 80).unwrap_err();
                    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "round {round}");
                }
            });
        }
    }
}

#[test]
fn a_held_syn_gets_the_answer_of_its_service() {
    in_a_namespace(|| {
        let faith = faith(|_| {}).unwrap();
        let answers: [(u16, Verdict, Option<i32>); 4] = [
            (1, |syn| drop(syn.release()), None),
            (2, faith_stack::HeldSyn::reset, Some(111)),
            (3, |syn| syn.unreachable(Unreachable::NoRoute), Some(101)),
            (4, |syn| syn.unreachable(Unreachable::Prohibited), Some(13)),
        ];
        let mut listeners = Vec::new();
        for (port, verdict, _) in answers {
            let echo = Arc::new(Echo { verdict: Some(verdict), ..Echo::default() });
            listeners.push(listen(&faith, PortSet::single(port).unwrap(), &echo).unwrap());
        }
        for (port, _, errno) in answers {
            let result = greet("64:ff9b::1", port);
            assert_eq!(
                result.as_ref().err().and_then(io::Error::raw_os_error),
                errno,
                "port {port}: {result:?}"
            );
        }
        assert_eq!(faith.stats().syns_held, 4);
    });
}

#[test]
fn a_closed_interface_leaves_no_device_and_no_route() {
    in_a_namespace(|| {
        let routes = ip("-6 route show table all");
        let faith = faith(|_| {}).unwrap();
        let echo = Arc::<Echo>::default();
        let _listener = listen(&faith, PortSet::all(), &echo).unwrap();
        greet("64:ff9b::1", 7).unwrap();
        assert!(ip("link").contains("faith0"));
        faith.close();
        assert!(!ip("link").contains("faith0"));
        assert_eq!(ip("-6 route show table all"), routes);
    });
}

#[test]
fn prefixes_can_be_added_and_removed() {
    in_a_namespace(|| {
        let faith = faith(|_| {}).unwrap();
        let echo = Arc::<Echo>::default();
        let _listener = listen(&faith, PortSet::all(), &echo).unwrap();
        let prefix = "2001:db8:64::/64".parse().unwrap();
        assert!(greet("2001:db8:64::1", 80).is_err());
        faith.add_prefix(prefix).unwrap();
        greet("2001:db8:64::1", 80).unwrap();
        assert!(matches!(faith.add_prefix(prefix), Err(StackError::Prefix(_))));
        faith.remove_prefix(prefix).unwrap();
        assert!(greet("2001:db8:64::1", 80).is_err());
        greet("64:ff9b::1", 80).unwrap();
    });
}

#[test]
fn the_owner_learns_that_the_interface_was_deleted() {
    in_a_namespace(|| {
        let (lost, told) = std::sync::mpsc::channel();
        let options = faith_stack::InterfaceOptions::new("faith0", vec![world::PREFIX.parse().unwrap()]);
        let faith = faith_stack::FaithInterface::create(
            options,
            Box::new(move |error| lost.send(error.code()).unwrap()),
            Box::new(|_| {}),
        )
        .unwrap();
        ip("link del faith0");
        assert_eq!(told.recv().unwrap(), Some("ERR_FAITH_CLOSED"));
        assert!(matches!(faith.add_prefix("2001:db8:64::/64".parse().unwrap()), Err(StackError::Deleted(_))));
    });
}

#[test]
fn the_owner_learns_that_a_worker_has_died() {
    in_a_namespace(|| {
        let (lost, told) = std::sync::mpsc::channel();
        let options = faith_stack::InterfaceOptions::new("faith0", vec![world::PREFIX.parse().unwrap()]);
        let faith = faith_stack::FaithInterface::create(
            options,
            Box::new(move |error| lost.send(error.code()).unwrap()),
            Box::new(|_| {}),
        )
        .unwrap();
        faith.run_on(0, || panic!("a worker dies in this test"));
        assert_eq!(told.recv().unwrap(), Some("ERR_FAITH_WORKER"));
        faith.close();
        assert!(!ip("link").contains("faith0"));
    });
}

#[test]
fn routes_that_the_host_loses_are_put_back() {
    in_a_namespace(|| {
        let faith = faith(|_| {}).unwrap();
        let routed = || ip("-6 route show 64:ff9b::/96").contains("faith0");
        for _ in 0..3 {
            ip("-6 route del 64:ff9b::/96 dev faith0");
            eventually("the route is back", routed);
        }
        faith.close();
        assert!(!routed());
    });
}

#[test]
fn the_routers_own_addresses_are_followed() {
    in_a_namespace(|| {
        let faith = faith(|_| {}).unwrap();
        let guide = faith.guide();
        let own = |address: &str| guide.is_own(address.parse().unwrap());
        assert!(own("127.0.0.1"));
        for (address, length) in [("192.0.2.1", 24), ("2001:db8:5::1", 64)] {
            assert!(!own(address), "{address}");
            ip(&format!("addr add {address}/{length} dev lo"));
            eventually("the new address is known", || own(address));
            ip(&format!("addr del {address}/{length} dev lo"));
            eventually("the old address is forgotten", || !own(address));
        }
        ip("-6 route add local 2001:db8:6::/64 dev lo");
        eventually("a route to the host itself is known", || own("2001:db8:6::7"));
        drop(faith);
        assert!(
            own("192.0.2.1") && own("2001:db8:5::1"),
            "a closed interface treats every address as its own"
        );
    });
}

#[test]
fn captured_addresses_count_as_the_routers_own_as_long_as_they_are_captured() {
    in_a_namespace(|| {
        let faith = faith(|_| {}).unwrap();
        let guide = faith.guide();
        let own = |address: &str| guide.is_own(address.parse().unwrap());
        assert!(own("64:ff9b::8.8.8.8"));
        assert!(!own("2001:db8:7::1"));
        faith.add_prefix("2001:db8:7::/96".parse().unwrap()).unwrap();
        assert!(own("2001:db8:7::1"));
        faith.remove_prefix("2001:db8:7::/96".parse().unwrap()).unwrap();
        assert!(!own("2001:db8:7::1"));
    });
}

#[test]
fn an_exact_address_wins_over_all_addresses() {
    for steering in [Steering::Auto, Steering::OnDemand] {
        in_a_namespace(move || {
            let faith = faith(|options| options.steering = steering).unwrap();
            let (everywhere, here) = (Arc::<Echo>::default(), Arc::<Echo>::default());
            let ports = |ranges: &[(u16, u16)]| PortSet::from_ranges(ranges.iter().copied()).unwrap();
            let _wildcard = listen(&faith, ports(&[(80, 80), (8000, 8000)]), &everywhere).unwrap();
            let exact = Some("64:ff9b::1".parse().unwrap());
            let options = faith_stack::ListenOptions {
                ports: ports(&[(80, 80), (443, 443)]),
                address: exact,
                backlog: 16,
                prepare: |_| Ok(()),
                hold: None,
            };
            let _exact = faith.listen(options, Arc::<Echo>::clone(&here)).unwrap();
            for (address, port) in [
                ("64:ff9b::1", 80),
                ("64:ff9b::1", 443),
                ("64:ff9b::1", 8000),
                ("64:ff9b::2", 80),
                ("64:ff9b::1", 80),
            ] {
                greet(address, port).unwrap();
            }
            let ports = |echo: &Echo| {
                echo.dialled.lock().unwrap().iter().map(std::net::SocketAddrV6::port).collect::<Vec<_>>()
            };
            assert_eq!((ports(&here), ports(&everywhere)), (vec![80, 443, 80], vec![8000, 80]));
        });
    }
}
