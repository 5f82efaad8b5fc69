//! The relay connects to the server before it completes the client's handshake, and joins the two.

use std::io::Write;
use std::net::Shutdown;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::{
    Caller, DeafServer, Fate, Lab, PATIENCE, eventually, options, read_exactly, read_to_end, read_to_reset,
    reset,
};
use crate::cause::Cause;
use crate::options::RelayOptions;
use crate::record::{RefusalReason, SessionEnd};

fn connect_first() -> RelayOptions {
    RelayOptions { connect_first: true, ..options() }
}

#[test]
fn a_client_is_joined_with_the_server_that_was_connected_for_it() {
    let lab = Lab::new(connect_first());
    let caller = Caller::new();
    let (syn, fate) = lab.syn(caller.address);
    lab.offer(syn);
    let mut server = lab.answer();
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Released));
    assert_eq!(lab.engine.stats().accepted, 0);

    let mut client = caller.dial(&lab);
    client.write_all(b"hello").unwrap();
    assert_eq!(read_exactly(&mut server, 5), b"hello");
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::PlaceFree));
    drop((client, server));
    assert_eq!(lab.ended().reason, SessionEnd::Closed);
    eventually("the 4-tuple is forgotten", || lab.engine.pairing.len() == 0);
}

#[test]
fn a_server_does_not_see_a_client_whose_handshake_is_incomplete() {
    // The kernel completes the server's handshake by itself after 200 ms, so a slower try proves nothing.
    let held_back = (0..20).any(|_| {
        let lab = Lab::new(connect_first());
        let caller = Caller::new();
        let (syn, fate) = lab.syn(caller.address);
        lab.offer(syn);
        assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Released));
        lab.server_has_no_connection()
    });
    assert!(held_back);
}

#[test]
fn a_server_that_may_speak_first_sees_a_silent_client_at_once() {
    let lab = Lab::new(options());
    // Without an ACK of its own, the handshake completes after 200 ms, never earlier.
    let soon = (0..20).any(|_| {
        let dialled = Instant::now();
        let _client = lab.dial();
        drop(lab.answer());
        dialled.elapsed() < Duration::from_millis(150)
    });
    assert!(soon);
}

#[test]
fn a_server_whose_clients_speak_first_sees_a_silent_one_later_until_it_speaks_first_itself() {
    // As above: a try that took 200 ms proves nothing.
    let as_expected = (0..20).any(|_| {
        let lab = Lab::new(options());
        for _ in 0..20 {
            let mut client = lab.dial();
            client.write_all(b"question").unwrap();
            assert_eq!(read_exactly(&mut lab.answer(), 8), b"question");
            drop(client);
            lab.ended();
        }
        let mut silent = lab.dial();
        eventually("the client is accepted", || lab.engine.ledger.relaying() > 0);
        let later = lab.server_has_no_connection();
        lab.server.set_nonblocking(false).unwrap();
        lab.answer().write_all(b"220 ready").unwrap();
        assert_eq!(read_exactly(&mut silent, 9), b"220 ready");
        let dialled = Instant::now();
        let _client = lab.dial();
        drop(lab.answer());
        later && dialled.elapsed() < Duration::from_millis(150)
    });
    assert!(as_expected);
}

#[test]
fn a_server_that_answers_in_pieces_waits_for_no_acknowledgement() {
    for early in [false, true] {
        // Nagle's algorithm holds the second piece back until the first is acknowledged. Without the relay's help the
        // kernel would delay this ACK by 40 ms, for bytes that could carry it.
        let soon = (0..20).any(|_| {
            let lab = Lab::new(options());
            let mut client = lab.dial();
            let mut server = if early {
                client.write_all(b"question").unwrap();
                lab.answer()
            } else {
                let server = lab.answer();
                client.write_all(b"question").unwrap();
                server
            };
            assert_eq!(read_exactly(&mut server, 8), b"question");
            let asked = Instant::now();
            server.write_all(b"one").unwrap();
            server.write_all(b"other").unwrap();
            assert_eq!(read_exactly(&mut client, 8), b"oneother");
            asked.elapsed() < Duration::from_millis(30)
        });
        assert!(soon, "{early}");
    }
}

#[test]
fn bytes_that_a_server_sends_before_the_client_is_accepted_reach_the_client() {
    let lab = Lab::new(connect_first());
    let caller = Caller::new();
    let (syn, fate) = lab.syn(caller.address);
    lab.offer(syn);
    let mut server = lab.answer();
    server.write_all(b"220 ready\r\n").unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Released));
    let mut client = caller.dial(&lab);
    assert_eq!(read_to_end(&mut client), b"220 ready\r\n");
    client.write_all(b"bye").unwrap();
    drop(client);
    assert_eq!(read_to_end(&mut server), b"bye");
}

#[test]
fn a_server_that_resets_before_the_client_is_accepted_resets_the_client() {
    let lab = Lab::new(connect_first());
    let caller = Caller::new();
    let (syn, fate) = lab.syn(caller.address);
    lab.offer(syn);
    let server = lab.answer();
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Released));
    reset(server);
    read_to_reset(&mut caller.dial(&lab));
    assert_eq!(lab.ended().reason, SessionEnd::ServerReset);
}

#[test]
fn a_syn_of_a_waiting_attempt_or_of_a_session_goes_to_the_kernel() {
    let lab = Lab::new(connect_first());
    let caller = Caller::new();
    let address = caller.address;
    let (syn, fate) = lab.syn(address);
    lab.offer(syn);
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Released));
    let again = || {
        let (syn, fate) = lab.syn(address);
        lab.offer(syn);
        assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Released));
        assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::PlaceFree));
    };
    again();
    let (_client, _server) = (caller.dial(&lab), lab.answer());
    again();
    let stats = lab.engine.stats();
    assert_eq!(stats.sessions.begun + stats.attempts, 1);
}

#[test]
fn an_accepted_connection_without_an_attempt_is_connected_now() {
    let lab = Lab::new(connect_first());
    let (mut client, mut server) = lab.session();
    client.write_all(b"hello").unwrap();
    assert_eq!(read_exactly(&mut server, 5), b"hello");
}

#[test]
fn a_client_that_gives_up_after_its_syn_was_released_frees_the_server() {
    let lab = Lab::new(connect_first());
    let (syn, fate) = lab.syn(Caller::new().address);
    let give_up = lab.offer(syn);
    let mut server = lab.answer();
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Released));
    give_up.tell();
    read_to_reset(&mut server);
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::PlaceFree));
    assert_eq!(lab.refused().reason, RefusalReason::ClientReset);
    assert_eq!(lab.engine.pairing.len(), 0);
}

#[test]
fn a_client_that_gives_up_while_its_syn_is_held_gets_no_answer() {
    let lab = Lab::new(connect_first());
    let (mut syn, fate) = lab.syn(Caller::new().address);
    let deaf = DeafServer::new();
    syn.destination = deaf.destination();
    let give_up = lab.offer(syn);
    give_up.tell();
    assert_eq!(lab.refused().reason, RefusalReason::ClientReset);
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Ignored));
    assert_eq!(fate.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn for_an_accepted_client_that_has_reset_no_server_is_connected() {
    let lab = Lab::new(connect_first());
    lab.on_worker({
        let capture = lab.capture;
        move |_| {
            // The worker accepts the connection only after this job.
            let socket = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
            socket.connect(&capture.into()).unwrap();
            reset(socket.into());
        }
    });
    assert_eq!(lab.refused().reason, RefusalReason::ClientReset);
    assert!(lab.server_has_no_connection());
}

#[test]
fn a_server_whose_client_never_comes_is_reset_when_the_relay_closes() {
    let lab = Lab::new(connect_first());
    let (syn, fate) = lab.syn(Caller::new().address);
    lab.offer(syn);
    let mut server = lab.answer();
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Released));
    super::close::close(&lab.engine, Duration::ZERO);
    read_to_reset(&mut server);
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::PlaceFree));
    let record = lab.refused();
    assert_eq!((record.reason, record.cause), (RefusalReason::Aborted, Some(Cause::RelayClosed)));
    assert_eq!(lab.engine.pairing.len(), 0);
}
