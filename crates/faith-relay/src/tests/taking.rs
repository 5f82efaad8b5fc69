//! A route takes a connection itself, or stands between its client and its server.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use faith_packet::ports::PortSet;
use faith_stack::Captured;

use super::route::{Says, asking};
use super::{Caller, Fate, Lab, PATIENCE, options, read_exactly, read_to_end, read_to_reset, reset};
use crate::options::RelayOptions;
use crate::record::{RefusalReason, RefusalRecord, SessionRecord};
use crate::{Observer, Question, RelayStats, Routing, Taker, Terms, Verdict};

struct Takes(Sender<Captured>);

impl Taker for Takes {
    fn take(&self, _worker: usize, connection: Captured) {
        self.0.send(connection).unwrap();
    }
}

/// Makes a relay whose route takes every connection, and the channel of those connections.
fn handing(options: RelayOptions) -> (Lab, Receiver<Captured>) {
    let (given, taken) = channel();
    let wants = |question: Question| question.answer(Verdict::HandOver);
    let routing = Routing { route: Arc::new(Says(wants)), ports: None, timeout: PATIENCE, max_undecided: 1 };
    let sink = Arc::new(Takes(given));
    (Lab::new(RelayOptions { routing: Some(routing), taker: Some(sink), ..options }), taken)
}

fn expect_handed_over(lab: &Lab, client: &mut TcpStream, taken: &Receiver<Captured>) {
    let connection = taken.recv_timeout(PATIENCE).unwrap();
    assert_eq!(SocketAddr::V6(connection.client), client.local_addr().unwrap());
    assert_eq!(connection.destination, lab.destination);
    let mut far = TcpStream::from(connection.socket);
    far.set_nonblocking(false).unwrap();
    client.write_all(b"up").unwrap();
    assert_eq!(read_exactly(&mut far, 2), b"up");
    far.write_all(b"down").unwrap();
    drop(far);
    assert_eq!(read_to_end(client), b"down", "it ends as an ordinary socket does");
    let RelayStats { accepted, handed_over, sessions, refused, .. } = lab.engine.stats();
    assert_eq!((accepted, handed_over, sessions.begun, refused.sum()), (1, 1, 0, 0));
    assert!(lab.is_idle());
    assert!(lab.nothing_ended() && lab.server_has_no_connection());
}

#[test]
fn a_route_may_take_a_connection_whose_syn_is_held() {
    let (lab, taken) = handing(RelayOptions { connect_first: true, max_sessions: Some(0), ..options() });
    let caller = Caller::new();
    let (syn, fate) = lab.syn(caller.address);
    lab.offer(syn);
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Released));
    expect_handed_over(&lab, &mut caller.dial(&lab), &taken);
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::PlaceFree));
    assert_eq!(lab.engine.pairing.len(), 0);
}

#[test]
fn a_route_may_take_a_connection_that_was_accepted_first() {
    let (lab, taken) = handing(options());
    expect_handed_over(&lab, &mut lab.dial(), &taken);
}

#[test]
fn a_client_that_is_gone_is_not_handed_over() {
    let (keep, kept) = channel();
    let lab = asking(PATIENCE, 1, move |question| keep.send(question).unwrap());
    let client = lab.dial();
    let question = kept.recv_timeout(PATIENCE).unwrap();
    reset(client);
    question.answer(Verdict::HandOver);
    assert_eq!(lab.refused().reason, RefusalReason::ClientReset);
    assert_eq!(lab.engine.stats().handed_over, 0);
}

#[test]
fn a_client_that_is_gone_after_sending_bytes_is_handed_over_with_them() {
    let (keep, kept) = channel();
    let (given, taken) = channel();
    let says = move |question| keep.send(question).unwrap();
    let routing = Routing { route: Arc::new(Says(says)), ports: None, timeout: PATIENCE, max_undecided: 1 };
    let sink = Arc::new(Takes(given));
    let lab = Lab::new(RelayOptions { routing: Some(routing), taker: Some(sink), ..options() });
    let mut client = lab.dial();
    let question: Question = kept.recv_timeout(PATIENCE).unwrap();
    client.write_all(b"last words").unwrap();
    reset(client);
    question.answer(Verdict::HandOver);
    let mut far = TcpStream::from(taken.recv_timeout(PATIENCE).unwrap().socket);
    assert_eq!(read_to_reset(&mut far), b"last words");
}

/// A taker that stands between the client and the server of each connection, and gives the test both ends.
struct Stands(Sender<(Captured, OwnedFd)>);

impl Taker for Stands {
    fn take(&self, _worker: usize, _connection: Captured) {
        unreachable!("no verdict hands a connection over");
    }

    fn stand_between(&self, _worker: usize, client: Captured, server: OwnedFd) {
        self.0.send((client, server)).unwrap();
    }
}

/// Makes options of a relay with such a taker and a route about these ports, and the channel of the ends.
fn standing_options(ports: Option<PortSet>) -> (RelayOptions, Receiver<(Captured, OwnedFd)>) {
    let (given, ends) = channel();
    let between = |question: Question| {
        question.answer(Verdict::Proceed(Terms { between: true, ..Terms::default() }));
    };
    let routing = Routing { route: Arc::new(Says(between)), ports, timeout: PATIENCE, max_undecided: 9 };
    let sink = Arc::new(Stands(given));
    (RelayOptions { routing: Some(routing), taker: Some(sink), ..options() }, ends)
}

/// Makes such a relay.
fn standing(ports: Option<PortSet>) -> (Lab, Receiver<(Captured, OwnedFd)>) {
    let (options, ends) = standing_options(ports);
    (Lab::new(options), ends)
}

#[test]
fn a_route_that_stands_between_gets_every_byte_and_the_session_is_counted() {
    let (lab, ends) = standing(None);
    let mut client = lab.dial();
    let (near, far) = ends.recv_timeout(PATIENCE).unwrap();
    assert_eq!(SocketAddr::V6(near.client), client.local_addr().unwrap());
    assert_eq!(near.destination, lab.destination);
    let [mut near, mut far] = [near.socket, far].map(|end| {
        let end = TcpStream::from(end);
        end.set_nonblocking(false).unwrap();
        end
    });
    let mut server = lab.answer();
    client.write_all(b"up").unwrap();
    assert_eq!(read_exactly(&mut near, 2), b"up");
    far.write_all(b"other").unwrap();
    assert_eq!(read_exactly(&mut server, 5), b"other");
    server.write_all(b"down").unwrap();
    assert_eq!(read_exactly(&mut far, 4), b"down");
    near.write_all(b"and back").unwrap();
    assert_eq!(read_exactly(&mut client, 8), b"and back");
    drop(near);
    assert_eq!(read_to_end(&mut client), b"");
    drop(client);
    let record = lab.ended();
    assert_eq!((record.bytes_up, record.bytes_down), (2, 8));
    assert_eq!(record.server, Some(server.local_addr().unwrap()));
    drop(far);
    assert_eq!(read_to_end(&mut server), b"");
}

#[test]
fn the_source_of_a_session_is_what_the_server_sees_also_with_a_route_between() {
    struct Sources(Sender<Option<SocketAddr>>);

    impl Observer for Sources {
        fn ended(&self, session: SessionRecord) -> bool {
            self.0.send(session.source).unwrap();
            true
        }

        fn refused(&self, _: RefusalRecord) -> bool {
            true
        }

        fn follows_sources(&self) -> bool {
            true
        }
    }

    let (told, sources) = channel();
    let (options, ends) = standing_options(None);
    let lab = Lab::watched(options, Arc::new(Sources(told)));
    let client = lab.dial();
    let (near, far) = ends.recv_timeout(PATIENCE).unwrap();
    let seen = lab.answer().peer_addr().unwrap();
    drop((client, near, far));
    assert_eq!(sources.recv_timeout(PATIENCE), Ok(Some(seen)));
}

#[test]
fn urgent_bytes_reach_a_route_that_stands_between_in_their_place() {
    let (lab, ends) = standing(None);
    let client = lab.dial();
    let (near, _far) = ends.recv_timeout(PATIENCE).unwrap();
    let mut near = TcpStream::from(near.socket);
    near.set_nonblocking(false).unwrap();
    faith_sys::tcp::transmit_urgent(&client, b'!').unwrap();
    assert_eq!(read_exactly(&mut near, 1), b"!");
}

#[test]
fn a_route_is_not_asked_about_other_ports() {
    let (lab, ends) = standing(Some(PortSet::single(1).unwrap()));
    let (mut client, mut server) = lab.session();
    client.write_all(b"plain").unwrap();
    assert_eq!(read_exactly(&mut server, 5), b"plain");
    assert!(ends.try_recv().is_err());
}
