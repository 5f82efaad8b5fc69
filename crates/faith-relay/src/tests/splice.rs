//! Sessions of connections that JavaScript has accepted, read from and given back.

use std::io::Write;
use std::net::{Shutdown, TcpListener};
use std::os::fd::AsRawFd;
use std::sync::mpsc::channel;

use super::*;
use crate::splice::{Splice, SpliceHandle, take_back};

/// A connection as JavaScript owns it, and its peer.
fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let peer = patient(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
    let owned = listener.accept().unwrap().0;
    owned.set_nonblocking(true).unwrap();
    (owned, peer)
}

/// Splices two such connections, and returns both peers once the session has begun.
fn spliced(lab: &Lab, up: &[u8], down: &[u8]) -> (TcpStream, TcpStream) {
    held(lab, up, down, SpliceHandle::default())
}

fn held(lab: &Lab, up: &[u8], down: &[u8], handle: SpliceHandle) -> (TcpStream, TcpStream) {
    let ((client, client_peer), (server, server_peer)) = (connected(), connected());
    let legs = take_back(&[client.as_raw_fd(), server.as_raw_fd()]).unwrap();
    // The owners close their own descriptors.
    drop((client, server));
    let [client, server] = legs.try_into().unwrap();
    let splice = Splice {
        source: faith(Ipv4Addr::LOCALHOST, 1),
        destination: faith(Ipv4Addr::LOCALHOST, 2),
        client,
        server,
        up: up.to_vec(),
        down: down.to_vec(),
        idle_timeout: None,
        keep_alive: PATIENCE,
    };
    let (told, begun) = channel();
    lab.on_worker(move |engine| splice.begin(&engine.ledger, 0, handle, |id| told.send(id).unwrap()));
    assert!(begun.recv_timeout(PATIENCE).unwrap() > 0);
    (client_peer, server_peer)
}

#[test]
fn bytes_that_were_read_before_go_first_both_ways() {
    let lab = Lab::new(options());
    let (mut client, mut server) = spliced(&lab, b"read from the client, ", b"read from the server, ");
    client.write_all(b"and more").unwrap();
    server.write_all(b"and more").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&mut server), b"read from the client, and more");
    assert_eq!(read_to_end(&mut client), b"read from the server, and more");
    let record = lab.ended();
    assert_eq!((record.reason, record.bytes_up, record.bytes_down), (SessionEnd::Closed, 30, 30));
}

#[test]
fn bytes_that_were_read_before_may_be_more_than_a_sink_takes_at_once() {
    let lab = Lab::new(options());
    let head = vec![b'.'; 32 << 20];
    let (mut client, mut server) = spliced(&lab, &head, b"");
    client.write_all(b"!").unwrap();
    let mut arrived = read_exactly(&mut server, head.len() + 1);
    assert_eq!(arrived.pop(), Some(b'!'));
    assert!(arrived == head);
}

#[test]
fn a_socket_whose_owner_closes_it_goes_on_without_a_fin() {
    let lab = Lab::new(options());
    let (mut client, mut server) = spliced(&lab, b"", b"");
    client.write_all(b"?").unwrap();
    assert_eq!(read_exactly(&mut server, 1), b"?");
    server.write_all(b"!").unwrap();
    assert_eq!(read_exactly(&mut client, 1), b"!");
    assert!(lab.nothing_ended());
}

#[test]
fn a_relay_that_is_aborted_resets_both_sides() {
    let lab = Lab::new(options());
    let (mut client, mut server) = spliced(&lab, b"", b"");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(lab.engine.ledger.close(Duration::ZERO, || ()));
    read_to_reset(&mut client);
    read_to_reset(&mut server);
    assert_eq!(lab.ended().reason, SessionEnd::Aborted);
}

#[test]
fn a_descriptor_that_is_no_socket_is_not_taken() {
    let file = std::fs::File::open("/dev/null").unwrap();
    let (socket, mut peer) = connected();
    assert!(take_back(&[socket.as_raw_fd(), file.as_raw_fd()]).is_err());
    (&socket).write_all(b"still here").unwrap();
    assert_eq!(read_exactly(&mut peer, 10), b"still here");
}

#[test]
fn a_stopped_splice_resets_both_sides_and_the_others_go_on() {
    let lab = Lab::new(options());
    let handle = SpliceHandle::default();
    let (mut client, mut server) = held(&lab, b"", b"", handle.clone());
    let (mut other, mut far) = spliced(&lab, b"", b"");
    handle.stop();
    read_to_reset(&mut client);
    read_to_reset(&mut server);
    assert_eq!(lab.ended().reason, SessionEnd::Aborted);
    other.write_all(b"still here").unwrap();
    assert_eq!(read_exactly(&mut far, 10), b"still here");
}

#[test]
fn a_splice_that_is_stopped_before_it_begins_ends_when_it_begins() {
    let lab = Lab::new(options());
    let handle = SpliceHandle::default();
    handle.stop();
    let (mut client, mut server) = held(&lab, b"", b"", handle);
    read_to_reset(&mut client);
    read_to_reset(&mut server);
    assert_eq!(lab.ended().reason, SessionEnd::Aborted);
}

#[test]
fn a_handle_tells_the_bytes_before_during_and_after_the_splice() {
    let lab = Lab::new(options());
    let handle = SpliceHandle::default();
    let bytes = || (handle.bytes_up(), handle.bytes_down());
    assert_eq!(bytes(), (0, 0));
    let (mut client, mut server) = held(&lab, b"first", b"", handle.clone());
    assert_eq!(read_exactly(&mut server, 5), b"first");
    server.write_all(b"answer").unwrap();
    assert_eq!(read_exactly(&mut client, 6), b"answer");
    eventually("the handle tells the bytes", || bytes() == (5, 6));
    client.write_all(b"!").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&mut server), b"!");
    drop(server);
    let record = lab.ended();
    assert_eq!(bytes(), (record.bytes_up, record.bytes_down));
    assert_eq!(bytes(), (6, 6));
}
