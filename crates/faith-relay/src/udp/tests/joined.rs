//! Neighbouring datagrams, which leave by one call.

use faith_packet::udp::{HEADER_LEN, HEADROOM, OVERHEAD};
use faith_stack::Datagrams as _;
use faith_sys::netns::unshare_network;
use faith_sys::udp::{Marks, Received, UdpSocket};

use super::{Server, World, client, frame, marked_frame};
use crate::tests::ip;
use crate::udp::{UdpOptions, UdpStats};

const MARKS: Marks = Marks { ttl: 57, tos: 0xb9 };

/// A server that sees what came together (`UDP_GRO`).
struct Receiver(UdpSocket);

impl Receiver {
    fn new() -> Self {
        let socket = UdpSocket::new().unwrap();
        socket.take_superframes();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self(socket)
    }

    fn dialled(&self) -> std::net::SocketAddrV6 {
        let address = self.0.local().unwrap();
        crate::tests::faith(*address.ip(), address.port())
    }

    /// Waits for the next datagram or superframe.
    async fn hears(&self, world: &World) -> (Received, Vec<u8>) {
        let mut data = vec![0; 1 << 16];
        let received = world.eventually("a datagram", || self.0.receive(&mut data).ok()).await;
        data.truncate(received.length);
        (received, data)
    }
}

fn stats(world: &World) -> UdpStats {
    world.engine.stats().udp.unwrap()
}

/// Datagrams of these lengths, each of another octet.
fn datagrams(lengths: &[usize]) -> Vec<Vec<u8>> {
    lengths.iter().zip(1..).map(|(length, octet)| vec![octet; *length]).collect()
}

/// Has the part take datagrams in one drain.
fn drain(world: &World, to: std::net::SocketAddrV6, datagrams: &[Vec<u8>]) {
    for data in datagrams {
        world.part.receive(&frame(client(5000), to, data, None));
    }
    world.part.flush();
}

#[test]
fn equal_datagrams_of_one_drain_reach_the_server_by_one_call() {
    World::run(UdpOptions::default(), async |world| {
        let server = Receiver::new();
        let sent = datagrams(&[1000, 1000, 1000, 400]);
        drain(&world, server.dialled(), &sent);
        let (received, data) = server.hears(&world).await;
        assert_eq!((received.segment, received.marks, data), (Some(1000), MARKS, sent.concat()));
        let UdpStats { frames_up, lost, without_superframes, .. } = stats(&world);
        assert_eq!((frames_up, lost, without_superframes), (4, 0, 0));
    });
}

#[test]
fn datagrams_leave_no_later_than_at_the_end_of_their_drain() {
    World::run(UdpOptions::default(), async |world| {
        let server = Receiver::new();
        for octet in 0..3 {
            drain(&world, server.dialled(), &[vec![octet; 100]]);
            let (received, data) = server.hears(&world).await;
            assert_eq!((received.segment, data), (None, vec![octet; 100]));
        }
        assert_eq!(stats(&world).frames_up, 3);
    });
}

#[test]
fn datagrams_of_any_lengths_arrive_one_by_one_in_their_order() {
    World::run(UdpOptions::default(), async |world| {
        let server = Server::new();
        let cases = [
            &[500, 500, 700, 300, 300, 0, 0, 10, 10, 1][..],
            &[1, 2, 3, 3, 2, 1],
            // More than one call takes.
            &[700; 70],
            &[25_000, 25_000, 25_000, 1],
        ];
        for lengths in cases {
            let sent = datagrams(lengths);
            drain(&world, server.dialled(), &sent);
            for data in &sent {
                assert_eq!(server.hears().0, *data, "of {lengths:?}");
            }
        }
        let count: usize = cases.iter().map(|lengths| lengths.len()).sum();
        assert_eq!((stats(&world).frames_up, stats(&world).lost), (count as u64, 0));
    });
}

#[test]
fn datagrams_with_other_marks_do_not_leave_together() {
    World::run(UdpOptions::default(), async |world| {
        let server = Receiver::new();
        let marks = [MARKS, MARKS, Marks { ttl: 56, ..MARKS }, Marks { tos: 0, ..MARKS }, MARKS, MARKS];
        for (marks, data) in marks.iter().zip(datagrams(&[600; 6])) {
            world.part.receive(&marked_frame(client(5000), server.dialled(), &data, None, *marks));
        }
        world.part.flush();
        let mut got = Vec::new();
        for _ in 0..4 {
            let (received, data) = server.hears(&world).await;
            got.push((received.marks, data.chunk_by(|one, other| one == other).count()));
        }
        assert_eq!(got, [(marks[0], 2), (marks[2], 1), (marks[3], 1), (marks[4], 2)]);
    });
}

#[test]
fn a_datagram_that_routers_may_fragment_does_not_leave_with_those_that_they_must_not() {
    World::run(UdpOptions::default(), async |world| {
        let server = Receiver::new();
        // IPv4 packets of up to 1260 octets may be fragmented.
        drain(&world, server.dialled(), &datagrams(&[1233, 1233, 1232]));
        let (first, second) = (server.hears(&world).await.0, server.hears(&world).await.0);
        assert_eq!(((first.segment, first.length), second.length), ((Some(1233), 2466), 1232));
    });
}

#[test]
fn neighbours_of_other_sessions_and_superframes_part_datagrams() {
    World::run(UdpOptions::default(), async |world| {
        let (one, other) = (Receiver::new(), Receiver::new());
        let [a, b, c, d] = [b"a", b"b", b"c", b"d"].map(|octet| octet.repeat(300));
        let receive = |to: &Receiver, data: &[u8], segment| {
            world.part.receive(&frame(client(5000), to.dialled(), data, segment));
        };
        receive(&one, &a, None);
        receive(&other, &b, None);
        receive(&one, &c, None);
        receive(&one, &d, Some(100));
        world.part.flush();
        let mut got = Vec::new();
        for _ in 0..3 {
            let (received, data) = one.hears(&world).await;
            got.push((data, received.segment));
        }
        assert_eq!(got, [(a, None), (c, None), (d, Some(100))]);
        assert_eq!(other.hears(&world).await.1, b);
    });
}

/// Moves this thread into a network of its own, whose loopback carries packets of this length.
fn narrow_loopback(mtu: u16) {
    unshare_network().unwrap();
    ip(&format!("link set lo up mtu {mtu}"));
}

#[test]
fn a_way_that_takes_no_superframes_gets_each_datagram_in_its_order_and_is_said_once() {
    narrow_loopback(1000);
    World::run(UdpOptions::default(), async |world| {
        let server = Server::new();
        // They may be fragmented, but a superframe of such is refused.
        for port in [5000, 5001] {
            for _ in 0..2 {
                let sent = datagrams(&[1200, 1200, 1200, 300]);
                for data in &sent {
                    world.part.receive(&frame(client(port), server.dialled(), data, None));
                }
                world.part.flush();
                for data in &sent {
                    assert_eq!(server.hears().0, *data);
                }
            }
        }
        let UdpStats { frames_up, lost, without_superframes, .. } = stats(&world);
        assert_eq!((frames_up, lost, without_superframes, world.wire.warnings.get()), (16, 0, 2, 1));
    });
}

#[test]
fn datagrams_too_long_for_the_way_are_told_to_the_client_and_later_ones_leave_together() {
    narrow_loopback(1300);
    // Errors to the client need an address of the router.
    ip("addr add 2001:db8:1::1/64 dev lo nodad");
    World::run(UdpOptions::default(), async |world| {
        let server = Receiver::new();
        drain(&world, server.dialled(), &datagrams(&[1400, 1400, 1400]));
        let errors = world.wire.errors.take();
        // Packet Too Big.
        assert_eq!(errors.iter().map(|error| error[40]).collect::<Vec<_>>(), [2, 2, 2]);
        drain(&world, server.dialled(), &datagrams(&[1200, 1200]));
        assert_eq!(server.hears(&world).await.0.segment, Some(1200));
        let UdpStats { frames_up, lost, without_superframes, .. } = stats(&world);
        assert_eq!((frames_up, lost, without_superframes, world.wire.warnings.get()), (2, 3, 0, 0));
    });
}

/// A frame as one whose fragments were put together: with a fragment header before its UDP header.
fn once_in_fragments(frame: &[u8]) -> Vec<u8> {
    let (head, payload) = frame.split_at(HEADROOM - HEADER_LEN);
    let mut whole = [head, &[17, 0, 0, 0, 0, 0, 0, 1], payload].concat();
    let ipv6 = &mut whole[HEADROOM - OVERHEAD..];
    let length = u16::try_from(8 + payload.len()).unwrap();
    ipv6[4..6].copy_from_slice(&length.to_be_bytes());
    // The next header is a fragment header.
    ipv6[6] = 44;
    whole
}

#[test]
fn datagrams_longer_than_the_way_takes_whole_say_nothing_about_superframes() {
    narrow_loopback(1300);
    World::run(UdpOptions::default(), async |world| {
        let server = Receiver::new();
        let sent = datagrams(&[2000, 2000, 2000]);
        for data in &sent {
            world.part.receive(&once_in_fragments(&frame(client(5000), server.dialled(), data, None)));
        }
        world.part.flush();
        for data in &sent {
            assert_eq!(server.hears(&world).await.1, *data);
        }
        drain(&world, server.dialled(), &datagrams(&[1200, 1200]));
        assert_eq!(server.hears(&world).await.0.segment, Some(1200));
        let UdpStats { frames_up, lost, without_superframes, .. } = stats(&world);
        assert_eq!((frames_up, lost, without_superframes, world.wire.warnings.get()), (5, 0, 0, 0));
    });
}

#[test]
fn a_refused_call_is_answered_for_each_datagram() {
    unshare_network().unwrap();
    World::run(UdpOptions::default(), async |world| {
        // Its loopback is down: the network is unreachable.
        let to = crate::tests::faith("127.0.0.1".parse().unwrap(), 9);
        drain(&world, to, &datagrams(&[100, 100, 100]));
        assert_eq!((world.wire.answers.borrow().len(), stats(&world).lost), (3, 3));
    });
}

/// Has a server send these datagrams, each by a call of its own, and returns the frames to the client.
async fn down(world: &World, sent: &[(Vec<u8>, Marks)]) -> Vec<super::Got> {
    let server = Receiver::new();
    world.send(5000, server.dialled(), b"more");
    let mapped = server.hears(world).await.0.from;
    for (data, marks) in sent {
        server.0.send(mapped, data, *marks, None).unwrap();
    }
    let mut frames: Vec<super::Got> = Vec::new();
    let octets: usize = sent.iter().map(|(data, _)| data.len()).sum();
    while frames.iter().map(|got| got.data.len()).sum::<usize>() < octets {
        frames.push(world.got().await);
    }
    frames
}

#[test]
fn equal_datagrams_of_a_server_are_one_frame_to_the_client() {
    World::run(UdpOptions::default(), async |world| {
        let sent: Vec<_> = datagrams(&[700, 700, 700, 50]).into_iter().map(|data| (data, MARKS)).collect();
        let frames = down(&world, &sent).await;
        let data = sent.iter().flat_map(|(data, _)| data.clone()).collect::<Vec<_>>();
        let [got] = &frames[..] else { panic!("{} frames", frames.len()) };
        assert_eq!((got.segment, got.hop_limit, got.traffic_class), (Some(700), 57, 0xb9));
        assert_eq!((&got.data, stats(&world).frames_down), (&data, 4));
    });
}

#[test]
fn datagrams_of_a_server_keep_their_order_lengths_and_marks() {
    World::run(UdpOptions::default(), async |world| {
        let other = Marks { tos: 3, ..MARKS };
        let lengths = [500, 500, 700, 300, 300, 10, 10, 10];
        let marks = [MARKS, MARKS, MARKS, MARKS, MARKS, MARKS, other, other];
        let sent: Vec<_> = datagrams(&lengths).into_iter().zip(marks).collect();
        let mut got = Vec::new();
        for frame in down(&world, &sent).await {
            let size = frame.segment.map_or(frame.data.len(), usize::from);
            got.extend(frame.data.chunks(size).map(|data| (data.to_vec(), frame.traffic_class)));
        }
        let expected: Vec<_> = sent.into_iter().map(|(data, marks)| (data, marks.tos)).collect();
        assert_eq!(got, expected);
    });
}

#[test]
fn superframes_of_a_server_keep_their_place_among_its_single_datagrams() {
    World::run(UdpOptions::default(), async |world| {
        let server = Receiver::new();
        world.send(5000, server.dialled(), b"more");
        let mapped = server.hears(&world).await.0.from;
        // Each call receives two: superframes come as the first and as the second of one.
        let lengths = [500, 2000, 2000, 500, 500, 1300, 300, 500, 500, 2000, 700];
        let (mut sent, mut pieces) = (datagrams(&lengths), Vec::new());
        for data in &mut sent {
            // Pieces differ, so that each has one place.
            data.chunks_mut(500).zip(100..).for_each(|(piece, octet)| piece[0] = octet);
            let segment = (data.len() > 500 && data.len() != 700).then_some(500);
            server.0.send(mapped, data, MARKS, segment).unwrap();
            let size = segment.map_or(data.len(), usize::from);
            pieces.extend(data.chunks(size).map(<[u8]>::to_vec));
        }
        let mut got = Vec::new();
        while got.len() < pieces.len() {
            let frame = world.got().await;
            let size = frame.segment.map_or(frame.data.len(), usize::from);
            got.extend(frame.data.chunks(size).map(<[u8]>::to_vec));
        }
        assert_eq!(got, pieces);
    });
}

#[test]
fn a_device_without_superframes_gets_the_datagrams_of_a_server_one_by_one() {
    World::run(UdpOptions::default(), async |world| {
        world.wire.superframes.set(false);
        let sent: Vec<_> = datagrams(&[700, 700, 700]).into_iter().map(|data| (data, MARKS)).collect();
        let frames = down(&world, &sent).await;
        assert_eq!(
            frames.iter().map(|got| (got.data.len(), got.segment)).collect::<Vec<_>>(),
            [(700, None); 3]
        );
    });
}

#[test]
fn datagrams_of_a_server_that_find_no_room_are_counted() {
    World::run(UdpOptions::default(), async |world| {
        let server = Receiver::new();
        world.send(5000, server.dialled(), b"more");
        let mapped = server.hears(&world).await.0.from;
        let count = 2000;
        for _ in 0..count {
            server.0.send(mapped, &[7; 1400], MARKS, None).unwrap();
        }
        let counted = || {
            let UdpStats { frames_down, dropped, .. } = stats(&world);
            (frames_down + dropped == count).then_some((frames_down, dropped))
        };
        let (down, dropped) = world.eventually("the end of the datagrams", counted).await;
        assert!(down > 0 && dropped > 0, "{down}, {dropped}");
    });
}
