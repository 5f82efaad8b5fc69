//! The three ways to filter, by servers that answer from other addresses and ports.

use std::net::Ipv4Addr;

use faith_packet::access::AccessList;

use super::{Server, World};
use crate::options::RelayOptions;
use crate::tests::{faith, options};
use crate::udp::{Filtering, UdpOptions};

/// The senders whose datagrams reach a client that has sent to a server only: the server, another port of its address, and
/// another address.
async fn reach(world: &World) -> [bool; 3] {
    let server = Server::new();
    let others = [Server::new(), Server::at(Ipv4Addr::new(127, 0, 0, 9))];
    world.send(5000, server.dialled(), b"hello");
    let mapped = server.hears().1;
    others[1].says(b"2", mapped);
    others[0].says(b"1", mapped);
    // This one always passes, after the others: the socket keeps their order.
    server.says(b"0", mapped);
    let senders = [&server, &others[0], &others[1]];
    let mut reached = [false; 3];
    while !reached[0] {
        let got = world.got().await;
        let place = usize::from(got.data[0] - b'0');
        assert_eq!(got.from, senders[place].dialled(), "the address that means the sender");
        reached[place] = true;
    }
    reached
}

#[test]
fn datagrams_of_addresses_that_the_client_has_sent_to_reach_it_by_default() {
    World::run(UdpOptions::default(), async |world| {
        assert_eq!(reach(&world).await, [true, true, false]);
        assert_eq!(world.engine.stats().udp.unwrap().filtered, 1);
    });
}

#[test]
fn the_port_counts_too_if_it_is_told_to() {
    let filtering = Filtering::AddressAndPortDependent;
    World::run(UdpOptions { filtering, ..UdpOptions::default() }, async |world| {
        assert_eq!(reach(&world).await, [true, false, false]);
        assert_eq!(world.engine.stats().udp.unwrap().filtered, 2);
    });
}

fn independent() -> UdpOptions {
    UdpOptions { filtering: Filtering::EndpointIndependent, ..UdpOptions::default() }
}

#[test]
fn datagrams_of_private_addresses_that_the_client_did_not_ask_do_not_reach_it_through_the_well_known_prefix()
{
    // 127.0.0.9 stands for any private address here.
    World::run(independent(), async |world| {
        assert_eq!(reach(&world).await, [true, true, false]);
    });
}

#[test]
fn a_server_that_the_access_list_denies_does_not_reach_the_client_by_itself() {
    let access = AccessList::parse("::/0 permit 127.0.0.1 udp\n::/0 deny 0.0.0.0/0", "list").unwrap();
    let options = RelayOptions { access: access.with_loopback(true), udp: Some(independent()), ..options() };
    World::run_with(options, async |world| {
        let client = *super::client(1).ip();
        let admits = |address| {
            let server = std::net::SocketAddrV4::new(address, 9);
            world.engine.admission.admits_unasked(client, server)
        };
        assert!(admits(Ipv4Addr::LOCALHOST) && !admits(Ipv4Addr::new(127, 0, 0, 9)));
        let denied = faith(Ipv4Addr::new(127, 0, 0, 9), 9);
        world.send(5000, denied, b"no");
        assert_eq!(world.refusals.try_recv().unwrap().destination, denied);
    });
}
