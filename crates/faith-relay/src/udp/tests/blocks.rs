//! Blocks of ports for the datagrams of clients.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::{Server, UdpOptions, World, client, frame};
use crate::cause::Cause;
use crate::options::RelayOptions;
use crate::port_blocks::PortBlockOptions;
use crate::tests::{options, own_network};

/// Options of a relay whose datagrams leave from a loopback address, in a network of this test's own.
fn blocks_of(last: u8, size: u16, per_client: u16) -> RelayOptions {
    own_network();
    RelayOptions {
        udp: Some(UdpOptions::default()),
        sources: vec![Ipv4Addr::new(127, 0, 98, last).into()],
        port_blocks: Some(PortBlockOptions { size, per_client, rest: Duration::from_hours(1) }),
        ..options()
    }
}

#[test]
fn the_ports_of_a_client_come_from_its_blocks_and_keep_parity_until_these_are_full() {
    World::run_with(blocks_of(1, 8, 2), async |world| {
        let server = Server::new();
        let mut seen = Vec::new();
        for port in 4000..4016 {
            world.send(port, server.dialled(), b"hello");
            seen.push(server.hears().1);
        }
        assert!(seen.iter().all(|from| from.ip() == Ipv4Addr::new(127, 0, 98, 1)), "{seen:?}");
        let ports: Vec<_> = seen.iter().map(SocketAddr::port).collect();
        let first: HashSet<_> = ports[..8].iter().copied().collect();
        let lowest = *first.iter().min().unwrap();
        assert_eq!(first, (lowest..lowest + 8).collect(), "the first block");
        let second: HashSet<_> = ports[8..].iter().copied().collect();
        let lowest = *second.iter().min().unwrap();
        assert_eq!(second, (lowest..lowest + 8).collect(), "the second block");
        for (port, client) in ports.iter().zip(4000_u16..) {
            assert_eq!(port % 2, client % 2);
        }
        // The client may have no third block.
        world.send(4016, server.dialled(), b"hello");
        let refusal = world.eventually("a refusal", || world.refusals.try_recv().ok()).await;
        assert_eq!(refusal.cause, Some(Cause::MaxPortsPerClient));
        // Those that it has go on.
        world.send(4000, server.dialled(), b"again");
        assert_eq!(server.hears(), (b"again".to_vec(), seen[0]));
    });
}

#[test]
fn a_block_is_its_clients_as_long_as_it_has_a_mapping() {
    World::run_with(blocks_of(2, 4, 1), async |world| {
        let server = Server::new();
        world.send(4000, server.dialled(), b"hello");
        server.hears();
        let used = world.engine.admission.blocks.used();
        assert_eq!(used.values().sum::<u32>(), 1, "{used:?}");
        // Without a rest, a block of no mapping is released.
        world.engine.admission.blocks.close();
        let used = || world.engine.admission.blocks.used();
        assert_eq!(used().values().sum::<u32>(), 1, "its mapping is there");
        world.engine.ledger.tasks(0).abort_unless(|_, _, _| false);
        world.eventually("the block to be free", || used().is_empty().then_some(())).await;
    });
}

#[test]
fn a_block_rests_after_its_last_mapping_before_its_ports_are_anothers() {
    World::run_with(blocks_of(3, 4, 1), async |world| {
        let server = Server::new();
        world.send(4000, server.dialled(), b"hello");
        let port = server.hears().1.port();
        assert!(world.engine.ledger.end(world.engine.ledger.sessions(0, 1)[0].id));
        world.eventually("the socket to be closed", || (world.mappings() == 0).then_some(())).await;
        assert_eq!(world.engine.admission.blocks.used().values().sum::<u32>(), 1, "RFC 6888 REQ-8");
        // Another client gets another block meanwhile, and the first one its own.
        let mut other = client(4000);
        other.set_ip("2001:db8:2::2".parse().unwrap());
        world.receive(&frame(other, server.dialled(), b"hello", None));
        assert_ne!(server.hears().1.port(), port);
        assert_eq!(world.engine.admission.blocks.used().values().sum::<u32>(), 2);
        world.send(4000, server.dialled(), b"hello");
        server.hears();
        assert_eq!(world.engine.admission.blocks.used().values().sum::<u32>(), 2);
    });
}
