//! Echo requests, answered by the host's own loopback.

use std::net::{Ipv4Addr, SocketAddrV6};
use std::time::Duration;

use faith_packet::checksum;
use faith_packet::classify::DropReason;
use faith_packet::icmpv6::Unreachable;
use faith_packet::protocol::Protocol;
use faith_packet::udp::HEADROOM;

use super::{World, client};
use crate::options::RelayOptions;
use crate::tests::{faith, options};
use crate::udp::UdpOptions;

fn pings() -> UdpOptions {
    UdpOptions { icmp: true, ..UdpOptions::default() }
}

fn world<F: Future<Output = ()>>(udp: UdpOptions, test: impl FnOnce(std::rc::Rc<World>) -> F) {
    World::run_as(Protocol::Icmp, RelayOptions { udp: Some(udp), ..options() }, test);
}

/// A frame with an echo request.
fn request(identifier: u16, sequence: u16, data: &[u8]) -> Vec<u8> {
    let (from, to) = (client(0), faith(Ipv4Addr::LOCALHOST, 0));
    let mut message = vec![128, 0, 0, 0];
    message.extend([identifier.to_be_bytes(), sequence.to_be_bytes()].concat());
    message.extend(data);
    let sum = checksum::ipv6(from.ip().to_bits(), to.ip().to_bits(), 58, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let [l0, l1] = u16::try_from(message.len()).unwrap().to_be_bytes();
    let head = [&[0; 10][..], &[0x60, 0, 0, 0, l0, l1, 58, 57]].concat();
    [&head[..], &from.ip().octets(), &to.ip().octets(), &message].concat()
}

/// Waits for a reply, and returns identifier, sequence number and data.
async fn reply(world: &World) -> (u16, u16, Vec<u8>) {
    let next = || {
        let mut frames = world.wire.frames.borrow_mut();
        (!frames.is_empty()).then(|| frames.remove(0))
    };
    let frame = world.eventually("a reply", next).await;
    let dialled: SocketAddrV6 = faith(Ipv4Addr::LOCALHOST, 0);
    assert_eq!((&frame[18..34], &frame[34..50]), (&dialled.ip().octets()[..], &client(0).ip().octets()[..]));
    let (from, to) = (dialled.ip().to_bits(), client(0).ip().to_bits());
    assert_eq!((frame[50], checksum::ipv6(from, to, 58, &frame[50..])), (129, 0));
    let number = |place: usize| u16::from_be_bytes([frame[place], frame[place + 1]]);
    (number(54), number(56), frame[HEADROOM..].to_vec())
}

#[test]
fn replies_have_the_identifiers_of_their_requests() {
    world(pings(), async |world| {
        for identifier in [0, 1, 0x1234, 65_535] {
            for sequence in [0, 7] {
                world.receive(&request(identifier, sequence, b"some data"));
                assert_eq!(reply(&world).await, (identifier, sequence, b"some data".to_vec()));
            }
        }
        assert_eq!(world.mappings(), 4);
        assert_eq!(world.engine.stats().sessions.active, 4);
    });
}

#[test]
fn long_requests_are_answered() {
    world(pings(), async |world| {
        world.wire.mtu.set(u16::MAX);
        let data: Vec<u8> = (0..=250).cycle().take(1000).collect();
        world.receive(&request(5, 1, &data));
        assert_eq!(reply(&world).await, (5, 1, data));
    });
}

#[test]
fn a_damaged_request_is_dropped() {
    world(pings(), async |world| {
        let mut damaged = request(5, 1, b"data");
        *damaged.last_mut().unwrap() ^= 1;
        world.receive(&damaged);
        assert_eq!(*world.wire.dropped.borrow(), [DropReason::Checksum]);
        assert_eq!(world.mappings(), 0);
    });
}

#[test]
fn identifiers_count_as_ports_of_their_client() {
    let udp = UdpOptions { max_mappings_per_client: Some(1), ..pings() };
    world(udp, async |world| {
        world.receive(&request(5, 1, b""));
        world.receive(&request(6, 1, b""));
        assert_eq!(*world.wire.answers.borrow(), [Unreachable::AddressUnreachable]);
        let refusal = world.refusals.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(refusal.protocol, Protocol::Icmp);
        assert_eq!(reply(&world).await.0, 5);
    });
}
