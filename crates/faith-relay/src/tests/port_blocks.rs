//! Blocks of source ports: assignment, exhaustion, release, and forged SYNs.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV6, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use faith_packet::icmpv6::Unreachable;
use faith_stack::Captured;
use faith_sys::local_ports::LocalPorts;
use faith_sys::tcp::Resource;

use super::{Caller, Fate, Lab, PATIENCE, Told, accepted, eventually, options, own_network, read_to_reset};
use crate::cause::Cause;
use crate::networks::count_blocks;
use crate::options::RelayOptions;
use crate::port_block::PortBlockRecord;
use crate::port_blocks::PortBlockOptions;
use crate::port_claims::CLAIMS;
use crate::record::{Observer, RefusalReason, RefusalRecord, SessionRecord};
use crate::source_use::SourceUse;

struct Watch {
    told: Told,
    blocks: Sender<PortBlockRecord>,
}

impl Observer for Watch {
    fn ended(&self, session: SessionRecord) -> bool {
        self.told.ended(session)
    }

    fn refused(&self, refusal: RefusalRecord) -> bool {
        self.told.refused(refusal)
    }

    fn port_block(&self, block: PortBlockRecord) {
        // Fails when the test is over.
        let _ = self.blocks.send(block);
    }

    fn exhausted(&self, what: Resource, _: &io::Error) {
        assert_eq!(what, Resource::Ports);
    }
}

/// Options of a relay that connects from a loopback address.
fn blocks_of(last: u8, size: u16, per_client: u16, rest: Duration) -> RelayOptions {
    RelayOptions {
        sources: vec![address(last)],
        port_blocks: Some(PortBlockOptions { size, per_client, rest }),
        ..options()
    }
}

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 99, last).into()
}

fn watched(options: RelayOptions) -> (Lab, Receiver<PortBlockRecord>) {
    own_network();
    let ((sessions, ended), (refusals, refused), (blocks, told)) = (channel(), channel(), channel());
    let watch = Watch { told: Told { sessions, refusals }, blocks };
    let mut lab = Lab::watched(options, Arc::new(watch));
    (lab.sessions, lab.refusals) = (ended, refused);
    (lab, told)
}

/// Opens sessions, and returns their ends and the ports that the server sees.
fn sessions(lab: &Lab, count: usize) -> (Vec<(TcpStream, TcpStream)>, Vec<u16>) {
    let ends: Vec<_> = (0..count).map(|_| lab.session()).collect();
    let ports = ends.iter().map(|(_, server)| server.peer_addr().unwrap().port()).collect();
    (ends, ports)
}

fn is_inside(port: u16, block: &PortBlockRecord) -> bool {
    (block.first..=block.last).contains(&port)
}

const LONG: Duration = Duration::from_hours(1);
const SHORT: Duration = Duration::from_millis(20);

#[test]
fn connections_leave_from_the_clients_block_alone() {
    for (source, binds) in [(1, false), (2, true)] {
        let (lab, told) = watched(blocks_of(source, 64, 1, LONG));
        let first = sessions(&lab, 1);
        if binds {
            lab.engine.admission.blocks.bind_from_now_on();
        }
        let (_ends, ports) = sessions(&lab, 40);
        let block = told.recv_timeout(PATIENCE).unwrap();
        assert_eq!((block.source, block.last - block.first, block.released), (address(source), 63, None));
        assert_eq!((block.network, block.prefix_length), (Ipv6Addr::UNSPECIFIED, 64));
        assert!(LocalPorts::read().range.contains(&block.first));
        assert!(ports.iter().chain(&first.1).all(|port| is_inside(*port, &block)), "{block:?} {ports:?}");
        assert_eq!(ports.iter().collect::<HashSet<_>>().len(), 40);
        assert!(!ports.is_sorted() && !ports.iter().rev().is_sorted(), "hard to guess: {ports:?}");
        assert!(told.try_recv().is_err(), "one record");
        assert_eq!(lab.engine.admission.blocks.used()[&address(source)], 1);
    }
}

#[test]
fn a_client_without_a_port_towards_a_server_gets_more_blocks_up_to_its_limit_and_is_refused_then() {
    for (source, binds) in [(3, false), (4, true)] {
        let (mut lab, told) = watched(blocks_of(source, 4, 3, LONG));
        let mut ends = Vec::new();
        let mut ports = Vec::new();
        for _ in 0..12 {
            let (end, port) = sessions(&lab, 1);
            ends.extend(end);
            ports.extend(port);
            if binds {
                lab.engine.admission.blocks.bind_from_now_on();
            }
        }
        let blocks: Vec<_> = told.try_iter().collect();
        assert_eq!(blocks.len(), 3);
        let all: HashSet<u16> = blocks.iter().flat_map(|block| block.first..=block.last).collect();
        assert_eq!(all.len(), 12, "disjoint");
        assert_eq!(all, ports.into_iter().collect());

        assert!(read_to_reset(&mut lab.dial()).is_empty());
        let refusal = lab.refused();
        assert_eq!((refusal.reason, refusal.cause), (RefusalReason::Limit, Some(Cause::MaxPortsPerClient)));

        // Each port serves another server at the same time.
        lab.server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let destination = super::faith(Ipv4Addr::LOCALHOST, lab.server.local_addr().unwrap().port());
        let caller = Caller::new();
        let client = caller.address;
        let (socket, dialled) = (TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap(), caller);
        lab.capture = socket.local_addr().unwrap();
        let near = dialled.dial(&lab);
        let far = accepted(&socket);
        lab.on_worker(move |engine| {
            far.set_nonblocking(true).unwrap();
            faith_sys::tcp::prepare_leg(&far).unwrap();
            engine.accept(0, Captured { socket: far.into(), client, destination });
        });
        let port = lab.answer().peer_addr().unwrap().port();
        assert!(all.contains(&port));
        drop(near);
        assert!(told.try_recv().is_err());
    }
}

#[test]
fn a_block_is_released_after_its_rest_and_no_sooner() {
    let (lab, told) = watched(blocks_of(5, 16, 1, SHORT));
    let (ends, _) = sessions(&lab, 2);
    let assigned = told.recv_timeout(PATIENCE).unwrap();
    let mut ends = ends.into_iter();
    drop(ends.next());
    lab.ended();
    assert_eq!(told.recv_timeout(10 * SHORT).ok(), None, "a session is left");
    drop(ends.next());
    lab.ended();
    let released = told.recv_timeout(PATIENCE).unwrap();
    let at = released.released.unwrap();
    assert_eq!(released, PortBlockRecord { released: Some(at), ..assigned });
    assert!(at.duration_since(assigned.assigned).unwrap() >= SHORT);
    assert!(lab.engine.admission.blocks.used().is_empty());
    // The next connection gets a block again.
    let _again = sessions(&lab, 1);
    assert_eq!(told.recv_timeout(PATIENCE).unwrap().released, None);
}

#[test]
fn a_block_serves_its_client_again_during_its_rest_without_a_record() {
    let (lab, told) = watched(blocks_of(6, 16, 1, LONG));
    for _ in 0..3 {
        drop(sessions(&lab, 1));
        lab.ended();
    }
    assert_eq!(told.try_iter().count(), 1);
    lab.engine.admission.blocks.close();
    assert!(told.recv_timeout(PATIENCE).unwrap().released.is_some());
}

#[test]
fn a_client_is_refused_while_every_block_is_anothers() {
    own_network();
    let ports = LocalPorts::read();
    let whole = u16::try_from(ports.range.len()).unwrap();
    let (lab, told) = watched(blocks_of(7, whole, 1, LONG));
    let others = CLAIMS.claim(address(7), &ports, 1, 0).unwrap();
    assert!(read_to_reset(&mut lab.dial()).is_empty());
    let refusal = lab.refused();
    assert_eq!((refusal.reason, refusal.cause), (RefusalReason::Exhausted, Some(Cause::NoPortBlock)));
    assert!(told.try_recv().is_err());
    drop(others);
    drop(sessions(&lab, 1));
}

#[test]
fn a_connection_that_fails_at_once_leaves_no_block_behind() {
    let (lab, told) = watched(RelayOptions {
        // An address for documentation (RFC 5737).
        sources: vec![[203, 0, 113, 78].into()],
        ..blocks_of(8, 16, 1, LONG)
    });
    assert!(read_to_reset(&mut lab.dial()).is_empty());
    assert_eq!(lab.refused().cause, Some(Cause::NoSource));
    assert!(lab.engine.admission.blocks.used().is_empty());
    assert!(told.try_recv().is_err());
}

#[test]
fn forged_syns_take_no_block_and_a_client_with_one_is_connected_first() {
    let options = RelayOptions { connect_first: true, ..blocks_of(9, 16, 1, LONG) };
    let (lab, told) = watched(options);
    for network in 0..100 {
        let forged = SocketAddrV6::new(Ipv6Addr::new(0x2001, 0xdb8, 0, network, 0, 0, 0, 1), 1024, 0, 0);
        let (syn, fate) = lab.syn(forged);
        lab.offer(syn);
        assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Released));
    }
    assert!(lab.server_has_no_connection() && lab.is_idle());
    assert!(lab.engine.admission.blocks.used().is_empty());

    lab.server.set_nonblocking(false).unwrap();
    let caller = Caller::new();
    lab.offer(lab.syn(caller.address).0);
    assert!(lab.is_idle(), "the client's handshake comes first");
    let _first = (caller.dial(&lab), lab.answer());
    let block = told.recv_timeout(PATIENCE).unwrap();

    let caller = Caller::new();
    lab.offer(lab.syn(caller.address).0);
    let server = lab.answer();
    assert!(is_inside(server.peer_addr().unwrap().port(), &block));
    let client = caller.dial(&lab);
    eventually("the session", || lab.engine.ledger.relaying() == 2);
    drop(client);
}

#[test]
fn the_use_of_an_address_is_its_sessions_and_blocks() {
    let (lab, _told) = watched(blocks_of(11, 512, 1, LONG));
    let ports = LocalPorts::read();
    let using = |sessions, blocks| {
        vec![SourceUse {
            address: address(11),
            sessions,
            ports: ports.usable(),
            blocks,
            max_blocks: u32::try_from(ports.range.len()).unwrap() / 512,
        }]
    };
    assert_eq!(lab.engine.sources(), using(0, 0));
    let kept = sessions(&lab, 300);
    assert_eq!(lab.engine.sources(), using(300, 1));
    drop(kept);
    eventually("the sessions to end", || lab.engine.sources() == using(0, 1));
}

#[test]
fn a_denied_syn_is_refused_at_once_without_a_block() {
    let access = faith_packet::access::AccessList::parse("::/0 deny 127.0.0.0/8\n", "test").unwrap();
    let options = RelayOptions {
        connect_first: true,
        access: access.with_loopback(true),
        ..blocks_of(10, 16, 1, LONG)
    };
    let (lab, _told) = watched(options);
    let (syn, fate) = lab.syn(Caller::new().address);
    lab.offer(syn);
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Unreachable(Unreachable::Prohibited)));
}

#[test]
fn the_blocks_of_a_client_count_in_its_network_and_in_those_around_and_inside_it() {
    let (lab, _told) = watched(blocks_of(40, 1, 3, LONG));
    let (_ends, ports) = sessions(&lab, 3);
    assert_eq!(ports.len(), 3);
    for length in [0, 48, 64, 128] {
        let mut networks = lab.engine.ledger.networks(length);
        count_blocks(&mut networks, length, lab.engine.admission.blocks.owners());
        let [network] = networks.try_into().unwrap();
        assert_eq!((network.sessions, network.port_blocks), (3, 3), "/{length}");
    }
    let owners = |length, count| {
        vec![((Ipv6Addr::LOCALHOST.to_bits() >> (128 - length) << (128 - length), length), count)]
    };
    let mut networks = lab.engine.ledger.networks(128);
    let elsewhere = vec![((1 << 64, 64), 7)];
    count_blocks(&mut networks, 128, [owners(64, 1), owners(96, 2), elsewhere].concat());
    assert_eq!(networks[0].port_blocks, 3, "lengths of before and after a change");
}
