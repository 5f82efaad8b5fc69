//! A reset of one side becomes a reset of the other in every state: at once, or after the bytes that the other still gets.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use socket2::SockRef;

use super::{Lab, eventually, options, read_exactly, read_to_reset, reset};
use crate::record::SessionEnd;

/// Writes until every buffer on the way to a peer that does not read is full.
pub(crate) fn fill(stream: &mut TcpStream) {
    let chunk = vec![1; 64 * 1024];
    stream.set_nonblocking(true).unwrap();
    let mut stalled = 0;
    eventually("every buffer is full", || {
        stalled = if stream.write(&chunk).is_ok() { 0 } else { stalled + 1 };
        stalled == 100
    });
}

/// Tells, without reading, whether the connection was reset.
pub(crate) fn was_reset(stream: &TcpStream) -> bool {
    SockRef::from(stream).take_error().unwrap().is_some()
}

#[test]
fn a_client_that_resets_resets_the_server() {
    let lab = Lab::new(options());
    let (client, mut server) = lab.session();
    reset(client);
    assert!(read_to_reset(&mut server).is_empty());
    assert_eq!(lab.ended().reason, SessionEnd::ClientReset);
}

#[test]
fn a_server_that_resets_resets_the_client() {
    let lab = Lab::new(options());
    let (mut client, server) = lab.session();
    reset(server);
    assert!(read_to_reset(&mut client).is_empty());
    assert_eq!(lab.ended().reason, SessionEnd::ServerReset);
}

#[test]
fn bytes_sent_right_before_a_reset_are_passed_on() {
    let lab = Lab::new(options());
    let (mut client, mut server) = lab.session();
    client.write_all(b"last words").unwrap();
    assert_eq!(read_exactly(&mut server, 10), b"last words");
    client.write_all(b"and these").unwrap();
    reset(client);
    let rest = read_to_reset(&mut server);
    // The client's own kernel may drop bytes that it had not sent.
    assert!(rest.is_empty() || rest == b"and these");
}

#[test]
fn a_client_whose_bytes_wait_for_the_server_is_noticed_when_it_resets() {
    let lab = Lab::new(options());
    let (mut client, mut server) = lab.narrow_session();
    fill(&mut client);
    assert!(!was_reset(&server));
    reset(client);
    let heard = read_to_reset(&mut server).len() as u64;
    let record = lab.ended();
    assert_eq!((record.reason, record.bytes_up), (SessionEnd::ClientReset, heard));
}

#[test]
fn a_server_whose_bytes_wait_for_the_client_is_noticed_when_it_resets() {
    let lab = Lab::new(options());
    let (mut client, mut server) = lab.session();
    fill(&mut server);
    reset(server);
    let heard = read_to_reset(&mut client).len() as u64;
    let record = lab.ended();
    assert_eq!((record.reason, record.bytes_down), (SessionEnd::ServerReset, heard));
}

#[test]
fn a_server_that_resets_while_bytes_wait_for_it_resets_the_client() {
    let lab = Lab::new(options());
    let (mut client, server) = lab.narrow_session();
    fill(&mut client);
    reset(server);
    eventually("the client is reset", || was_reset(&client));
    assert_eq!(lab.ended().reason, SessionEnd::ServerReset);
}

#[test]
fn a_client_whose_bytes_wait_is_noticed_when_it_resets_after_its_fin() {
    let lab = Lab::new(options());
    let (mut client, mut server) = lab.session();
    let chunk = vec![2; 64 * 1024];
    let mut sent = 0;
    client.set_nonblocking(true).unwrap();
    eventually("the relay holds bytes that the server does not take", || {
        sent += client.write(&chunk).unwrap_or(0) as u64;
        sent > lab.engine.stats().sessions.bytes_up + 1024 * 1024
    });
    client.shutdown(Shutdown::Write).unwrap();
    reset(client);
    // The client's FIN arrives before its reset, if the relay has read it.
    let mut heard = Vec::new();
    let _ = server.read_to_end(&mut heard);
    eventually("the server is reset", || !lab.nothing_ended());
    assert_eq!(lab.count(SessionEnd::ClientReset), 1);
    assert_eq!(lab.engine.stats().sessions.bytes_up, heard.len() as u64);
}

#[test]
fn a_client_that_resets_after_its_fin_was_passed_on_resets_the_server() {
    let lab = Lab::new(options());
    let (client, mut server) = lab.session();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(super::read_to_end(&mut server), b"");
    reset(client);
    // After its peer's FIN a socket reports a reset as a broken pipe.
    eventually("the server is reset", || was_reset(&server));
    assert_eq!(lab.ended().reason, SessionEnd::ClientReset);
}
