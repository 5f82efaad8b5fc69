//! Tests of the sockets over loopback.

use std::time::{Duration, Instant};

use super::*;

const MARKS: Marks = Marks { ttl: 9, tos: 0xb9 };

fn bound() -> (UdpSocket, SocketAddrV4) {
    let socket = UdpSocket::new().unwrap();
    socket.take_superframes();
    socket.bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    let local = socket.local().unwrap();
    (socket, local)
}

/// Over loopback a datagram has arrived when send returns, but its receiver's softirq may run a moment later.
fn eventually<T>(mut attempt: impl FnMut() -> io::Result<T>) -> T {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_datagram_arrives_with_its_marks_and_its_sender() {
    let ((one, from), (other, to)) = (bound(), bound());
    let mut buffer = [0; 100];
    assert_eq!(other.receive(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    one.send(to, b"hello", MARKS, None).unwrap();
    let received = eventually(|| other.receive(&mut buffer));
    let expected = Received { from, length: 5, segment: None, marks: MARKS, fragmented: false };
    assert_eq!((received, &buffer[..5]), (expected, &b"hello"[..]));
    one.send(to, b"", MARKS, None).unwrap();
    assert_eq!(eventually(|| other.receive(&mut buffer)).length, 0);
}

#[test]
fn a_superframe_arrives_whole_with_the_size_of_its_datagrams() {
    let ((one, from), (other, to)) = (bound(), bound());
    let data: Vec<u8> = (0..=250).cycle().take(5000).collect();
    one.send(to, &data, MARKS, Some(1200)).unwrap();
    let (mut got, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    while got.len() < data.len() {
        let received = eventually(|| other.receive(&mut buffer));
        assert_eq!((received.from, received.marks), (from, MARKS));
        assert!(received.segment.is_none_or(|segment| segment == 1200));
        got.extend_from_slice(&buffer[..received.length]);
    }
    assert_eq!(got, data);
}

#[test]
fn datagrams_in_different_places_arrive_as_those_of_one_superframe() {
    let ((one, from), (other, to)) = (bound(), bound());
    let pieces = [&[1; 900][..], &[2; 900], &[3; 100]];
    one.send_joined(to, &pieces.map(IoSlice::new), MARKS, 900).unwrap();
    let mut buffer = vec![0; 1 << 16];
    let received = eventually(|| other.receive(&mut buffer));
    let expected = Received { from, length: 1900, segment: Some(900), marks: MARKS, fragmented: false };
    assert_eq!((received, received.datagrams(), &buffer[..1900]), (expected, 3, &pieces.concat()[..]));
}

#[test]
fn a_busy_socket_gets_more_room() {
    let ((one, _), (usual, to), (roomy, to_roomy)) = (bound(), bound(), bound());
    roomy.make_room();
    let held = |socket: &UdpSocket, to| {
        (0..1000).for_each(|_| one.send(to, &[0; 1400], MARKS, None).unwrap());
        let mut buffer = vec![0; 1 << 16];
        std::iter::from_fn(|| socket.receive(&mut buffer).ok()).map(|received| received.datagrams()).sum()
    };
    let (few, many): (usize, usize) = (held(&usual, to), held(&roomy, to_roomy));
    assert!(many > few, "{many} and {few}");
    for (socket, held) in [(usual, few), (roomy, many)] {
        let all = || {
            if held + socket.drops() as usize == 1000 {
                Ok(())
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            }
        };
        eventually(all);
    }
}

#[test]
fn an_error_is_in_the_queue_with_its_destination_and_its_offender_and_a_later_send_works() {
    let ((one, _), (closed, to)) = (bound(), bound());
    // It takes datagrams of that port alone. Closed instead, it might live on in a program that another test
    // starts.
    rustix::net::connect(&closed, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9)).unwrap();
    one.send(to, b"to a closed port", MARKS, None).unwrap();
    let mut buffer = [0; 100];
    let error = eventually(|| one.error(&mut buffer));
    let expected = QueuedError {
        destination: to,
        errno: libc::ECONNREFUSED,
        icmp: Some((3, 3)),
        info: 0,
        offender: Some(Ipv4Addr::LOCALHOST),
        length: 16,
    };
    assert_eq!((error, &buffer[..16]), (expected, &b"to a closed port"[..]));
    let (other, open) = bound();
    // The error comes once more, with any destination.
    if one.send(open, b"again", MARKS, None).is_err() {
        one.send(open, b"again", MARKS, None).unwrap();
    }
    assert_eq!(eventually(|| other.receive(&mut buffer)).length, 5);
    assert_eq!(one.error(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

/// Receives a reply to a raw socket of share 0, without its IPv4 header.
fn heard(socket: &UdpSocket) -> io::Result<Vec<u8>> {
    let mut buffer = [0; 200];
    let received = socket.receive(&mut buffer)?;
    Ok(buffer[20..received.length].to_vec())
}

fn request(identifier: u16) -> Vec<u8> {
    let mut message = [&[8, 0, 0, 0][..], &identifier.to_be_bytes(), &[0, 1], b"data"].concat();
    let sum: u32 = message.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let sum = !(sum % 0xffff);
    message[2..4].copy_from_slice(&sum.to_be_bytes()[2..]);
    message
}

#[test]
fn a_raw_socket_hears_the_replies_to_its_share_of_identifiers() {
    let socket = UdpSocket::raw_echo(1, 4).unwrap();
    let send = |identifier| {
        socket.send_raw(Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED, &request(identifier), MARKS).unwrap();
    };
    // It is deaf at first.
    send(401);
    socket.hear().unwrap();
    (400..=406).for_each(send);
    let identifiers = [0; 2].map(|_| {
        let message = eventually(|| heard(&socket));
        assert_eq!((message[0], &message[8..]), (0, &b"data"[..]));
        u16::from_be_bytes([message[4], message[5]])
    });
    assert_eq!(identifiers, [401, 405]);
    assert_eq!(heard(&socket).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_ping_socket_has_its_own_identifier_where_the_host_allows_one() {
    let socket = match UdpSocket::ping() {
        Ok(socket) => socket,
        Err(error) => return assert_eq!(error.raw_os_error(), Some(libc::EACCES)),
    };
    socket.bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let identifier = socket.local().unwrap().port();
    socket.send(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0), &request(7), MARKS, None).unwrap();
    let mut buffer = [0; 100];
    let received = eventually(|| socket.receive(&mut buffer));
    assert_eq!((received.length, *received.from.ip()), (12, Ipv4Addr::LOCALHOST));
    assert_eq!((buffer[0], &buffer[4..6], &buffer[8..12]), (0, &identifier.to_be_bytes()[..], &b"data"[..]));
}

#[test]
fn a_port_is_taken_once() {
    let (_one, local) = bound();
    let other = UdpSocket::new().unwrap();
    assert_eq!(other.bind(local).unwrap_err().kind(), io::ErrorKind::AddrInUse);
}

#[test]
fn two_datagrams_arrive_by_one_call_and_one_that_comes_alone_tells_that_no_more_wait() {
    let ((one, from), (other, to)) = (bound(), bound());
    let mut buffers = [[0; 100], [0; 100]];
    let mut receive = || {
        let [first, second] = &mut buffers;
        let (one, two) = other.receive_two([first, second])?;
        let data = |received: Received, buffer: &[u8; 100]| {
            assert_eq!((received.from, received.marks), (from, MARKS));
            buffer[..received.length].to_vec()
        };
        let [first, second] = &buffers;
        io::Result::Ok((data(one, first), two.map(|received| data(received, second))))
    };
    assert_eq!(receive().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    one.send(to, b"alone", MARKS, None).unwrap();
    assert_eq!(eventually(&mut receive), (b"alone".to_vec(), None));
    // Datagrams of one socket arrive in their order, but the first perhaps before the second has come.
    let mut together = false;
    let end = Instant::now() + Duration::from_secs(10);
    while !together {
        assert!(Instant::now() < end, "two datagrams never came by one call");
        one.send(to, b"first", MARKS, None).unwrap();
        one.send(to, b"second, longer", MARKS, None).unwrap();
        let (first, second) = eventually(&mut receive);
        together = second.is_some();
        let second = second.unwrap_or_else(|| eventually(&mut receive).0);
        assert_eq!((first, second), (b"first".to_vec(), b"second, longer".to_vec()));
    }
    assert_eq!(receive().unwrap_err().kind(), io::ErrorKind::WouldBlock);
}
