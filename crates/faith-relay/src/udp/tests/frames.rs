//! Superframes, fragments and the fields of headers.

use std::time::Instant;

use faith_packet::classify::{DropReason, Flow};
use faith_packet::udp::{Datagram, Fault};
use faith_stack::Datagrams as _;
use faith_sys::udp::{Marks, UdpSocket};

use super::{Server, World, client, frame};
use crate::udp::{Oversize, UdpOptions};

fn numbered(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

#[test]
fn a_superframe_reaches_the_server_as_its_datagrams() {
    World::run(UdpOptions::default(), async |world| {
        let server = Server::new();
        for (length, size) in [(5000, 1200), (2400, 1200), (60_000, 1400), (64_000, 500), (7, 3)] {
            let data = numbered(length);
            let segment = u16::try_from(size).unwrap();
            world.receive(&frame(client(5000), server.dialled(), &data, Some(segment)));
            for piece in data.chunks(size) {
                assert_eq!(server.hears().0, piece, "{length} by {size}");
            }
        }
        assert_eq!(world.engine.stats().udp.unwrap().without_superframes, 0);
    });
}

#[test]
fn an_empty_datagram_passes_both_ways() {
    World::run(UdpOptions::default(), async |world| {
        let server = Server::new();
        world.send(5000, server.dialled(), b"");
        let (data, from) = server.hears();
        assert!(data.is_empty());
        server.says(b"", from);
        assert!(world.got().await.data.is_empty());
    });
}

#[test]
fn hop_limit_and_traffic_class_pass_both_ways() {
    World::run(UdpOptions::default(), async |world| {
        let server = UdpSocket::new().unwrap();
        server.take_superframes();
        server.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = server.local().unwrap();
        world.send(5000, crate::tests::faith(*address.ip(), address.port()), b"marked");
        let mut data = [0; 100];
        let received = world.eventually("the datagram", || server.receive(&mut data).ok()).await;
        assert_eq!(received.marks, Marks { ttl: 57, tos: 0xb9 });
        server.send(received.from, b"too", Marks { ttl: 33, tos: 0x03 }, None).unwrap();
        let got = world.got().await;
        assert_eq!((got.hop_limit, got.traffic_class), (33, 0x03));
    });
}

/// Has a server send a superframe to a client, and returns the frames that it gets until it has all data.
async fn down(world: &World, data: &[u8], size: u16) -> Vec<super::Got> {
    let server = UdpSocket::new().unwrap();
    server.take_superframes();
    server.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = server.local().unwrap();
    world.send(5000, crate::tests::faith(*address.ip(), address.port()), b"more");
    let mut buffer = [0; 100];
    let received = world.eventually("the datagram", || server.receive(&mut buffer).ok()).await;
    server.send(received.from, data, Marks { ttl: 64, tos: 0 }, Some(size)).unwrap();
    let mut frames = Vec::new();
    while frames.iter().map(|got: &super::Got| got.data.len()).sum::<usize>() < data.len() {
        frames.push(world.got().await);
    }
    frames
}

#[test]
fn a_superframe_of_a_server_is_one_frame_to_a_device_that_takes_it() {
    World::run(UdpOptions::default(), async |world| {
        let data = numbered(11_000);
        let frames = down(&world, &data, 1100).await;
        assert_eq!(frames.iter().flat_map(|got| got.data.clone()).collect::<Vec<_>>(), data);
        // Loopback joins what was sent in one call.
        assert_eq!((frames.len(), frames[0].segment), (1, Some(1100)));
    });
}

#[test]
fn a_superframe_of_a_server_is_many_frames_to_another_device() {
    World::run(UdpOptions::default(), async |world| {
        world.wire.superframes.set(false);
        let data = numbered(10_500);
        let frames = down(&world, &data, 1000).await;
        assert_eq!(frames.len(), 11);
        for (got, piece) in frames.iter().zip(data.chunks(1000)) {
            assert_eq!((&got.data[..], got.segment), (piece, None));
        }
    });
}

fn flow_to(server: &Server) -> Flow {
    Flow { client: client(5000), destination: server.dialled() }
}

/// Makes the path to the client as wide as this, whatever routes the host has.
fn path_of(world: &World, server: &Server, mtu: u16) {
    let (endpoint, _) = world.part.session(&flow_to(server)).unwrap();
    endpoint.path.borrow_mut().learn(mtu, Instant::now());
}

#[test]
fn a_datagram_longer_than_the_clients_path_comes_in_fragments() {
    World::run(UdpOptions::default(), async |world| {
        let server = Server::new();
        let data = numbered(3000);
        world.send(5000, server.dialled(), b"long one, please");
        path_of(&world, &server, 1400);
        let mapped = server.hears().1;
        server.says(&data, mapped);
        let three = || (world.wire.frames.borrow().len() == 3).then_some(());
        world.eventually("three fragments", three).await;
        let mut whole = Vec::new();
        for piece in world.wire.frames.take() {
            assert!(piece.len() <= 10 + 1400);
            assert_eq!(piece[16], 44, "a fragment header");
            whole.extend_from_slice(&piece[58..]);
        }
        assert_eq!(whole[8..], data);
        // The longest that fits is whole.
        server.says(&numbered(1352), mapped);
        assert_eq!(world.got().await.data.len(), 1352);
        assert_eq!(world.engine.stats().udp.unwrap().fragmented, 1);
    });
}

#[test]
fn a_path_that_a_router_narrows_is_learnt() {
    World::run(UdpOptions::default(), async |world| {
        let server = Server::new();
        world.send(5000, server.dialled(), b"long one, please");
        path_of(&world, &server, 1500);
        let mapped = server.hears().1;
        server.says(&numbered(1400), mapped);
        let whole = world.eventually("the datagram", || world.wire.frames.borrow_mut().pop()).await;
        let too_big = packet_too_big(&whole[10..], 1300);
        let flow = flow_to(&server);
        world.part.error(&flow, &too_big);
        assert_eq!(*world.wire.dropped.borrow(), []);
        server.says(&numbered(1400), mapped);
        let two = || (world.wire.frames.borrow().len() == 2).then_some(());
        world.eventually("two fragments", two).await;
        assert!(world.wire.frames.borrow().iter().all(|piece| piece.len() <= 10 + 1300));
        // A damaged one changes nothing.
        let mut damaged = too_big;
        damaged[47] ^= 1;
        world.part.error(&flow, &damaged);
        assert_eq!(*world.wire.dropped.borrow(), [DropReason::Checksum]);
    });
}

#[test]
fn a_server_learns_that_its_datagram_is_too_long_for_the_client() {
    World::run(UdpOptions::default(), async |world| {
        let server = Server::new();
        world.send(5000, server.dialled(), b"long one, please");
        path_of(&world, &server, 1400);
        let mapped = server.hears().1;
        server.says(&numbered(1400), mapped);
        let two = || (world.wire.frames.borrow().len() == 2).then_some(());
        world.eventually("two fragments", two).await;
        let told = world.wire.told.take().unwrap();
        assert_eq!(told.len(), 1);
        let (to, from, message) = &told[0];
        assert_eq!((*to, std::net::IpAddr::V4(*from)), (*server.address().ip(), mapped.ip()));
        // Fragmentation needed, 1380 octets fit, about what the server sent.
        assert_eq!((message[..2].to_vec(), message[4..8].to_vec()), (vec![3, 4], vec![0, 0, 0x05, 0x64]));
        assert_eq!(message[10..12], 1428_u16.to_be_bytes());
        let ports = [server.address().port().to_be_bytes(), mapped.port().to_be_bytes()].concat();
        assert_eq!((&message[28..32], &message[36..]), (&ports[..], &numbered(1400)[..message.len() - 36]));
        assert_eq!(world.engine.stats().udp.unwrap().errors_up, 1);
    });
}

#[test]
fn datagrams_too_long_for_the_client_are_dropped_if_so_set_and_the_server_can_be_told() {
    let udp = UdpOptions { oversize: Oversize::Drop, ..UdpOptions::default() };
    World::run(udp, async |world| {
        let server = Server::new();
        world.send(5000, server.dialled(), b"long one, please");
        path_of(&world, &server, 1400);
        let mapped = server.hears().1;
        server.says(&numbered(1400), mapped);
        server.says(b"short", mapped);
        assert_eq!(world.got().await.data, b"short");
        assert_eq!(world.wire.told.replace(None).map(|told| told.len()), Some(1));
        server.says(&numbered(1400), mapped);
        let two = || (world.wire.frames.borrow().len() == 2).then_some(());
        world.eventually("two fragments", two).await;
        let stats = world.engine.stats().udp.unwrap();
        assert_eq!((stats.oversize, stats.fragmented, stats.errors_up), (1, 1, 1));
        // The dropped one was sent to no client.
        assert_eq!((stats.frames_down, world.engine.stats().sessions.bytes_down), (2, 1405));
    });
}

#[test]
fn errors_of_a_client_are_told_to_its_server() {
    World::run(UdpOptions::default(), async |world| {
        let server = Server::new();
        world.send(5000, server.dialled(), b"and now I close");
        let mapped = server.hears().1;
        server.says(b"too late", mapped);
        let answer = world.eventually("the datagram", || world.wire.frames.borrow_mut().pop()).await;
        let flow = flow_to(&server);
        let cases = [((1, 4), (3, 3)), ((1, 1), (3, 10)), ((3, 0), (11, 0)), ((4, 1), (3, 2))];
        for (given, expected) in cases {
            world.part.error(&flow, &error_about(&answer[10..], given, 0));
            let (to, _, message) = world.wire.told.borrow_mut().as_mut().unwrap().pop().unwrap();
            assert_eq!((to, (message[0], message[1])), (*server.address().ip(), expected));
            assert_eq!(&message[36..], b"too late");
        }
        // The mapping goes on.
        assert_eq!((world.mappings(), world.wire.dropped.borrow().len()), (1, 0));
        // A flood of errors is cut off.
        for _ in 0..100 {
            world.part.error(&flow, &error_about(&answer[10..], (1, 4), 0));
        }
        assert!(world.wire.told.borrow().as_ref().unwrap().len() < 20);
    });
}

fn packet_too_big(packet: &[u8], mtu: u32) -> Vec<u8> {
    error_about(packet, (2, 0), mtu)
}

/// An ICMPv6 error about `packet`, from a router on the client's side.
fn error_about(packet: &[u8], (kind, code): (u8, u8), word: u32) -> Vec<u8> {
    let source: [u8; 16] = packet[24..40].try_into().unwrap();
    let destination: [u8; 16] = packet[8..24].try_into().unwrap();
    let mut message = vec![kind, code, 0, 0];
    message.extend(word.to_be_bytes());
    message.extend(&packet[..packet.len().min(100)]);
    let sum = faith_packet::checksum::ipv6(
        u128::from_be_bytes(source),
        u128::from_be_bytes(destination),
        58,
        &message,
    );
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    [&[0x60, 0, 0, 0, length[0], length[1], 58, 64], &source[..], &destination, &message].concat()
}

#[test]
fn a_damaged_datagram_is_not_passed_on_as_good() {
    World::run(UdpOptions::default(), async |world| {
        let server = Server::new();
        let mut damaged = frame(client(5000), server.dialled(), b"damaged", None);
        // The device has not vouched for it.
        damaged[0] = 0;
        assert_eq!(Datagram::parse(&damaged), Err(Fault::Checksum));
        world.receive(&damaged);
        world.send(5000, server.dialled(), b"sound");
        assert_eq!(server.hears().0, b"sound");
        assert_eq!(*world.wire.dropped.borrow(), [DropReason::Checksum]);
    });
}
