//! Limits, and the answers to clients beyond them.

use std::net::SocketAddrV6;

use faith_packet::access::AccessList;
use faith_packet::icmpv6::Unreachable;
use faith_packet::protocol::Protocol;

use super::{Server, World, client, frame};
use crate::cause::Cause;
use crate::options::RelayOptions;
use crate::record::RefusalReason;
use crate::tests::options;
use crate::udp::UdpOptions;

/// Sends from two ports, of which the second one is beyond a limit.
fn second_is_refused(udp: UdpOptions, cause: Cause) {
    World::run(udp, async |world| {
        let server = Server::new();
        world.send(5000, server.dialled(), b"one");
        world.send(5001, server.dialled(), b"two");
        let refusal = world.refusals.try_recv().unwrap();
        assert_eq!((refusal.protocol, refusal.client), (Protocol::Udp, client(5001)));
        assert_eq!((refusal.reason, refusal.cause), (RefusalReason::Limit, Some(cause)));
        assert_eq!(*world.wire.answers.borrow(), [Unreachable::AddressUnreachable]);
        // The first one goes on.
        world.send(5000, server.dialled(), b"three");
        assert_eq!((server.hears().0, server.hears().0), (b"one".to_vec(), b"three".to_vec()));
    });
}

#[test]
fn mappings_beyond_the_relays_limit_are_refused() {
    second_is_refused(UdpOptions { max_mappings: 1, ..UdpOptions::default() }, Cause::MaxMappings);
}

#[test]
fn mappings_beyond_the_clients_limit_are_refused() {
    let udp = UdpOptions { max_mappings_per_client: Some(1), ..UdpOptions::default() };
    second_is_refused(udp, Cause::MaxMappingsPerClient);
}

#[test]
fn mappings_beyond_the_clients_rate_are_refused() {
    let udp = UdpOptions { max_rate_per_client: Some(1), ..UdpOptions::default() };
    second_is_refused(udp, Cause::MaxRatePerClient);
}

#[test]
fn sessions_beyond_the_rate_of_all_clients_are_refused() {
    second_is_refused(UdpOptions { max_rate: 1, ..UdpOptions::default() }, Cause::MaxRate);
}

/// Sends from one port to as many destinations as its client may have, and to one more.
fn destinations_are_bounded(udp: UdpOptions) {
    World::run(udp, async |world| {
        let servers: Vec<_> = (0..10).map(|_| Server::new()).collect();
        let (last, others) = servers.split_last().unwrap();
        for server in others {
            world.send(5000, server.dialled(), b"one");
            assert_eq!(server.hears().0, b"one");
        }
        let refused = || {
            world.send(5000, last.dialled(), b"one");
            let refusal = world.refusals.try_recv().unwrap();
            assert_eq!(refusal.destination, last.dialled());
            assert_eq!((refusal.reason, refusal.cause), (RefusalReason::Limit, Some(Cause::MaxDestinations)));
            assert_eq!(world.wire.answers.take(), [Unreachable::AddressUnreachable]);
        };
        refused();
        refused();
        // Those before go on, and one that ends makes room.
        let sessions = world.engine.ledger.sessions(0, 10);
        assert_eq!(sessions.len(), 9);
        world.send(5000, others[8].dialled(), b"two");
        assert_eq!(others[8].hears().0, b"two");
        assert!(world.engine.ledger.end(sessions[4].id));
        world.ended().await;
        world.send(5000, last.dialled(), b"three");
        assert_eq!(last.hears().0, b"three");
    });
}

#[test]
fn the_destinations_of_a_client_have_a_bound() {
    destinations_are_bounded(UdpOptions { max_mappings_per_client: Some(1), ..UdpOptions::default() });
}

#[test]
fn the_destinations_of_all_clients_have_a_bound() {
    let udp = UdpOptions { max_mappings: 1, max_mappings_per_client: None, ..UdpOptions::default() };
    destinations_are_bounded(udp);
}

#[test]
fn the_first_destination_of_each_port_counts_as_its_mapping_alone() {
    let udp = UdpOptions { max_mappings_per_client: Some(2), ..UdpOptions::default() };
    World::run(udp, async |world| {
        // They live until the end, so that no two have one port.
        let servers: Vec<_> = (0..18).map(|_| Server::new()).collect();
        for (index, server) in servers.iter().enumerate() {
            let port = if index < 9 { 5000 } else { 5001 };
            world.send(port, server.dialled(), b"one");
            assert_eq!(server.hears().0, b"one");
        }
        let more = Server::new();
        world.send(5001, more.dialled(), b"one");
        assert_eq!(world.refusals.try_recv().unwrap().cause, Some(Cause::MaxDestinations));
    });
}

#[test]
fn another_client_is_not_refused_for_the_first_ones_limit() {
    let udp = UdpOptions { max_mappings_per_client: Some(1), ..UdpOptions::default() };
    World::run(udp, async |world| {
        let server = Server::new();
        let mut other = client(5001);
        other.set_ip("2001:db8:2::2".parse().unwrap());
        world.send(5000, server.dialled(), b"one");
        world.receive(&frame(other, server.dialled(), b"two", None));
        assert_eq!((server.hears().0, server.hears().0), (b"one".to_vec(), b"two".to_vec()));
    });
}

#[test]
fn a_rule_for_one_protocol_says_nothing_about_the_other() {
    let access =
        AccessList::parse("::/0 deny 127.0.0.0/8 udp port 1-1023\n::/0 permit 127.0.0.0/8 udp", "list");
    let access = access.unwrap().with_loopback(true);
    let options = RelayOptions { access, udp: Some(UdpOptions::default()), ..options() };
    World::run_with(options, async |world| {
        let server = Server::new();
        world.send(5000, server.dialled(), b"permitted");
        assert_eq!(server.hears().0, b"permitted");
        let mut denied = server.dialled();
        denied.set_port(53);
        world.send(5000, denied, b"denied");
        let refusal = world.refusals.try_recv().unwrap();
        assert_eq!((refusal.reason, refusal.cause), (RefusalReason::Denied, Some(Cause::DeniedByRule)));
        assert_eq!(*world.wire.answers.borrow(), [Unreachable::Prohibited]);
        let permits =
            |protocol| world.engine.admission.permits(protocol, *client(1).ip(), server.address().into());
        assert!(permits(Protocol::Udp) && !permits(Protocol::Tcp));
        let permission = |protocol, to: SocketAddrV6| {
            let permission = world.engine.admission.permission(protocol, *client(1).ip(), to.into());
            permission.rule.filter(|_| permission.cause.is_none()).and_then(|rule| rule.line)
        };
        assert_eq!(permission(Protocol::Udp, server.dialled()), Some(2));
        assert_eq!(permission(Protocol::Udp, denied), None);
        assert_eq!(permission(Protocol::Icmp, server.dialled()), None);
    });
}

#[test]
fn a_new_access_list_ends_the_sessions_that_it_denies() {
    World::run(UdpOptions::default(), async |world| {
        let server = Server::new();
        world.send(5000, server.dialled(), b"permitted");
        let access = AccessList::parse("::/0 permit 127.0.0.0/8 tcp", "list").unwrap().with_loopback(true);
        world.engine.set_access(access, true);
        assert_eq!(world.ended().await.cause, Some(Cause::EndDenied));
    });
}
