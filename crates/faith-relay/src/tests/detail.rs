//! Other threads look at single sessions: their state, their sockets, and the side that is slow.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::live::{LiveSession, SessionState};
use crate::side::Side;

fn only(lab: &Lab) -> LiveSession {
    let [session] = lab.engine.ledger.sessions(0, 2).try_into().unwrap();
    session
}

fn stands(lab: &Lab, state: SessionState) {
    eventually(state.name(), || only(lab).state == state);
}

fn slow(lab: &Lab) -> Option<Side> {
    lab.engine.detail(only(lab).id).unwrap().slow
}

/// Writes as many bytes as the kernel takes at once.
fn press(mut stream: &TcpStream) {
    stream.set_nonblocking(true).unwrap();
    let bulk = vec![7; 1 << 16];
    while stream.write(&bulk).is_ok() {}
}

#[test]
fn a_session_tells_which_side_has_closed() {
    for (state, of_client) in [(SessionState::ClientClosed, true), (SessionState::ServerClosed, false)] {
        let lab = Lab::new(options());
        let (client, server) = lab.session();
        stands(&lab, SessionState::Open);
        let (mut first, mut other) = if of_client { (client, server) } else { (server, client) };
        first.shutdown(Shutdown::Write).unwrap();
        stands(&lab, state);
        // Bytes of the other side do not change it.
        other.write_all(b"more").unwrap();
        read_exactly(&mut first, 4);
        stands(&lab, state);
        drop((first, other));
        assert_eq!(lab.ended().reason, SessionEnd::Closed);
    }
}

#[test]
fn a_session_of_which_one_side_is_gone_is_ending_until_the_other_has_its_bytes() {
    let lab = Lab::new(options());
    let (client, mut server) = lab.narrow_session();
    eventually("bytes wait inside the relay", || {
        press(&client);
        lab.engine.detail(1).unwrap().waiting_up > 0
    });
    reset(client);
    stands(&lab, SessionState::Ending);
    read_to_reset(&mut server);
    assert_eq!(lab.ended().reason, SessionEnd::ClientReset);
}

#[test]
fn the_idle_time_grows_until_a_byte_moves() {
    let lab = Lab::new(options());
    let (mut client, mut server) = lab.session();
    let aged = Duration::from_millis(50);
    eventually("the session is idle", || only(&lab).idle >= aged);
    assert!(only(&lab).idle <= only(&lab).age);

    for from_client in [true, false] {
        eventually("the session is idle again", || only(&lab).idle >= aged);
        let before = Instant::now();
        let (from, to) = if from_client { (&mut client, &mut server) } else { (&mut server, &mut client) };
        from.write_all(b".").unwrap();
        read_exactly(to, 1);
        // The byte moved after `before`; the worker notes its time a moment later.
        eventually("the idle time starts anew", || only(&lab).idle <= before.elapsed());
    }
}

#[test]
fn a_detail_has_both_connections() {
    let lab = Lab::new(options());
    let (mut client, mut server) = lab.session();
    client.write_all(b"hello").unwrap();
    read_exactly(&mut server, 5);
    server.shutdown(Shutdown::Write).unwrap();
    stands(&lab, SessionState::ServerClosed);

    let session = only(&lab);
    let detail = lab.engine.detail(session.id).unwrap();
    assert_eq!((detail.session.id, detail.session.bytes_up), (session.id, 5));
    assert_eq!((detail.waiting_up, detail.waiting_down, detail.slow), (0, 0, None));
    let (client, server) = detail.legs.unwrap();
    assert_eq!(server.state, "CLOSE_WAIT");
    assert!(client.state.starts_with("FIN_WAIT"), "{}", client.state);
    assert!(client.round_trip.is_some() && server.round_trip.is_some());
}

#[test]
fn a_detail_names_the_rule_that_permits_the_session_now() {
    let parse = |text| AccessList::parse(text, "test").unwrap().with_loopback(true);
    let lab = Lab::new(RelayOptions { access: parse("::/0 permit 127.0.0.0/8\n"), ..options() });
    let (_client, _server) = lab.session();
    let rule = || lab.engine.detail(1).unwrap().rule.map(|rule| (rule.text, rule.line));
    assert_eq!(rule(), Some(("::/0 permit 127.0.0.0/8".to_owned(), Some(1))));
    lab.engine.set_access(parse("\n::/0 permit 10.0.0.0/8\n::1 permit 127.0.0.1\n"), false);
    assert_eq!(rule(), Some(("::1/128 permit 127.0.0.1/32".to_owned(), Some(3))));
    lab.engine.set_access(parse("::/0 deny 127.0.0.1\n"), false);
    assert_eq!(rule(), None, "no rule permits it any more");
}

#[test]
fn a_side_that_does_not_read_is_slow() {
    for side in [Side::Client, Side::Server] {
        let lab = Lab::new(options());
        let (client, server) = lab.session();
        assert_eq!(slow(&lab), None);
        let writer = if side == Side::Client { &server } else { &client };
        let mut detail = None;
        eventually("the other side is slow, and bytes wait for it", || {
            press(writer);
            detail = lab.engine.detail(1);
            detail.as_ref().is_some_and(|detail| {
                detail.slow == Some(side) && detail.waiting_up.max(detail.waiting_down) > 0
            })
        });
        let detail = detail.unwrap();
        let (client, server) = detail.legs.unwrap();
        let (waiting, leg) = match side {
            Side::Client => (detail.waiting_down, client),
            Side::Server => (detail.waiting_up, server),
        };
        assert!(waiting > 0 && leg.unsent > 0, "{waiting} {leg:?}");
    }
}

#[test]
fn little_data_shows_a_server_as_slow_that_does_not_read() {
    let lab = Lab::new(options());
    let (client, _server) = lab.narrow_session();
    (&client).write_all(&[7; 12 * 1024]).unwrap();
    let mut detail = None;
    eventually("the server is slow", || {
        detail = lab.engine.detail(1);
        detail.as_ref().is_some_and(|detail| detail.slow == Some(Side::Server))
    });
    let detail = detail.unwrap();
    let (client, server) = detail.legs.unwrap();
    assert_eq!((detail.waiting_up, client.unread, detail.session.bytes_up), (0, 0, 12 * 1024));
    assert!(server.limited_by_peer > server.busy / 2, "{server:?}");
}

#[test]
fn a_session_that_ends_has_no_detail() {
    let lab = Lab::new(options());
    assert_eq!(lab.engine.detail(1), None);
    let ends = lab.session();
    assert!(lab.engine.detail(1).is_some());
    drop(ends);
    lab.ended();
    assert_eq!(lab.engine.detail(1), None);
}

#[test]
fn looking_at_sessions_that_begin_and_end_meanwhile_finds_their_connections_or_nothing() {
    let lab = Lab::new(options());
    let over = Arc::new(AtomicBool::new(false));
    let looking = {
        let (engine, over) = (Arc::clone(&lab.engine), Arc::clone(&over));
        spawn(move || {
            let mut found = 0;
            while !over.load(Ordering::Relaxed) {
                let newest = engine.ledger.newest();
                if let Some(detail) = engine.detail(newest) {
                    found += 1;
                    let (client, server) = detail.legs.unwrap();
                    for leg in [client, server] {
                        assert!(!["SYN_SENT", "LISTEN"].contains(&leg.state), "another's socket: {leg:?}");
                    }
                }
            }
            found
        })
    };
    for _ in 0..200 {
        drop(lab.session());
        lab.ended();
    }
    over.store(true, Ordering::Relaxed);
    assert!(looking.join().unwrap() > 0);
}
