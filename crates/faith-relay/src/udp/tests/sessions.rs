//! The begin and the end of sessions and mappings.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use faith_packet::access::AccessList;
use faith_packet::classify::Flow;
use faith_packet::icmpv6::Unreachable;
use faith_packet::protocol::Protocol;

use super::{Got, Server, World, client};
use crate::cause::Cause;
use crate::counters::ProtocolStats;
use crate::options::RelayOptions;
use crate::record::SessionEnd;
use crate::tests::options;
use crate::udp::{UdpOptions, UdpTimeouts};

fn brief() -> UdpOptions {
    let timeouts = UdpTimeouts { otherwise: Duration::from_millis(200), ports: Vec::new() };
    UdpOptions { timeouts, ..UdpOptions::default() }
}

#[test]
fn a_datagram_and_its_answer_pass() {
    World::run(UdpOptions::default(), async |world| {
        let server = Server::new();
        world.send(5000, server.dialled(), b"question");
        let (data, from) = server.hears();
        assert_eq!(data, b"question");
        assert_eq!(from.port() % 2, 0, "the parity of the client's port");
        server.says(b"answer", from);
        let Got { from, data, segment, .. } = world.got().await;
        assert_eq!((from, &data[..], segment), (server.dialled(), &b"answer"[..], None));
        let stats = world.engine.stats();
        assert_eq!((stats.sessions.bytes_up, stats.sessions.bytes_down), (8, 6));
        let one = ProtocolStats { active: 1, begun: 1, ended: 0 };
        assert_eq!(stats.sessions.by_protocol, [ProtocolStats::default(), one, ProtocolStats::default()]);
        let session = &world.engine.ledger.sessions(0, 10)[0];
        assert_eq!((session.protocol, session.client), (Protocol::Udp, client(5000)));
        assert_eq!(session.server, Some(server.address().into()));
    });
}

#[test]
fn a_port_of_a_client_has_one_port_for_all_servers_and_another_port_has_another() {
    World::run(UdpOptions::default(), async |world| {
        let servers = [Server::new(), Server::at(Ipv4Addr::new(127, 0, 0, 2)), Server::new()];
        let port_at = |server: &Server, port| {
            world.send(port, server.dialled(), b"who am I?");
            server.hears().1.port()
        };
        let first = port_at(&servers[0], 5000);
        assert!(servers.iter().all(|server| port_at(server, 5000) == first));
        assert_ne!(port_at(&servers[0], 5001), first);
        assert_eq!(world.mappings(), 2);
    });
}

#[test]
fn a_session_ends_by_its_timeout_and_leaves_a_record_and_no_socket() {
    World::run(brief(), async |world| {
        let server = Server::new();
        world.send(5000, server.dialled(), b"question");
        server.says(b"the answer", server.hears().1);
        world.got().await;
        let record = world.ended().await;
        assert_eq!((record.protocol, record.reason), (Protocol::Udp, SessionEnd::IdleTimeout));
        assert_eq!((record.bytes_up, record.bytes_down), (8, 10));
        assert!(record.duration >= Duration::from_millis(200));
        let over = ProtocolStats { active: 0, begun: 1, ended: 1 };
        assert_eq!(world.engine.stats().sessions.by_protocol[Protocol::Udp.index()], over);
        world.eventually("the socket to be closed", || (world.mappings() == 0).then_some(())).await;
        // Another datagram begins another session.
        world.send(5000, server.dialled(), b"again");
        assert_eq!(server.hears().0, b"again");
    });
}

#[test]
fn a_mapping_lasts_until_its_last_session_ends() {
    let mut options = UdpOptions::default();
    let [short, long] = [Server::new(), Server::new()];
    options.timeouts.ports = vec![(short.address().port(), Duration::from_millis(100))];
    World::run(options, async |world| {
        world.send(5000, short.dialled(), b"one");
        world.send(5000, long.dialled(), b"two");
        let mapped = long.hears().1;
        assert_eq!(short.hears().1, mapped);
        assert_eq!(world.ended().await.server, Some(short.address().into()));
        assert_eq!(world.mappings(), 1);
        long.says(b"still there", mapped);
        assert_eq!(world.got().await.data, b"still there");
        world.send(5000, short.dialled(), b"three");
        assert_eq!(short.hears().1, mapped, "the same port");
    });
}

#[test]
fn a_mapping_is_no_longer_counted_when_the_end_of_its_last_session_is() {
    World::run(UdpOptions::default(), async |world| {
        let part = &world.part;
        let destination = Server::new().dialled();
        let mut attempt = part.attempt(&Flow { client: client(5000), destination });
        let way = world.engine.admission.admit_datagram(Protocol::Udp, &mut attempt, |_| false).unwrap();
        let opened = part.open(&mut attempt, way, Instant::now()).unwrap();
        let begun = part.establish(attempt, opened, Instant::now()).unwrap();
        begun.session.join();
        assert_eq!((world.mappings(), world.sessions.try_recv().ok()), (1, None));
        // No other task gets a turn in between, not even the one that listens.
        drop(begun);
        assert!(world.sessions.try_recv().is_ok());
        assert_eq!(world.mappings(), 0);
    });
}

#[test]
fn a_session_of_datagrams_has_a_detail_without_connections() {
    let access = AccessList::parse("::/0 permit 127.0.0.0/8 udp", "list").unwrap().with_loopback(true);
    let options = RelayOptions { access, udp: Some(UdpOptions::default()), ..options() };
    World::run_with(options, async |world| {
        let server = Server::new();
        world.send(5000, server.dialled(), b"question");
        let id = world.engine.ledger.sessions(0, 10)[0].id;
        let detail = world.engine.detail(id).unwrap();
        assert_eq!((detail.session.protocol, detail.session.bytes_up), (Protocol::Udp, 8));
        assert_eq!((&detail.legs, detail.slow, detail.waiting_up), (&None, None, 0));
        assert_eq!(detail.rule.unwrap().line, Some(1), "the rule of its protocol");
        assert!(world.engine.ledger.end(id));
        world.ended().await;
        assert_eq!(world.engine.detail(id), None);
    });
}

#[test]
fn a_session_that_an_operator_ends_is_gone_at_once() {
    World::run(UdpOptions::default(), async |world| {
        let server = Server::new();
        world.send(5000, server.dialled(), b"question");
        let id = world.engine.ledger.sessions(0, 10)[0].id;
        assert!(world.engine.ledger.end(id));
        let record = world.ended().await;
        assert_eq!((record.id, record.reason), (id, SessionEnd::Aborted));
        world.eventually("the socket to be closed", || (world.mappings() == 0).then_some(())).await;
    });
}

#[test]
fn a_relay_that_closes_waits_for_no_session_of_datagrams() {
    World::run(UdpOptions::default(), async |world| {
        let server = Server::new();
        world.send(5000, server.dialled(), b"question");
        let hour = Duration::from_hours(1);
        world.engine.ledger.close(hour, || panic!("there is nothing to reset")).await;
        assert_eq!(world.ended().await.reason, SessionEnd::Aborted);
    });
}

#[test]
fn a_stopped_relay_begins_no_session_and_goes_on_with_those_it_has() {
    World::run(UdpOptions::default(), async |world| {
        let [old, new] = [Server::new(), Server::new()];
        world.send(5000, old.dialled(), b"one");
        old.hears();
        world.engine.udp.as_ref().unwrap().stop();
        world.send(5000, new.dialled(), b"two");
        let refusal = world.refusals.try_recv().unwrap();
        assert_eq!((refusal.destination, refusal.cause), (new.dialled(), Some(Cause::RelayClosed)));
        assert_eq!(*world.wire.answers.borrow(), [Unreachable::AddressUnreachable]);
        world.send(5000, old.dialled(), b"three");
        assert_eq!(old.hears().0, b"three");
        assert_eq!(world.engine.stats().sessions.begun, 1);
    });
}
