//! Any text is an access list or an error. A list is read back as it is shown, and decides as a scan
//! of its rules does, for connections to the addresses in its rules and their neighbours.

#![no_main]

#[path = "../../tests/access/oracle.rs"]
mod oracle;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};

use faith_packet::access::{AccessList, Basis, Rule};
use faith_packet::ports::PortSet;
use faith_packet::protocol::Protocol;
use libfuzzer_sys::fuzz_target;

/// The number of rules that make connections, which keeps a run short.
const ASKED: usize = 16;

fuzz_target!(|text: &str| {
    let list = match AccessList::parse(text, "list") {
        Ok(list) => list,
        Err(errors) => {
            assert!((1..=20).contains(&errors.errors().len()));
            assert!(errors.to_string().len() < 20 * 900);
            return;
        }
    };
    let shown: Vec<String> = list.rules().iter().map(ToString::to_string).collect();
    assert_eq!(AccessList::parse(&shown.join("\n"), "list").as_ref(), Ok(&list));

    for loopback in [false, true] {
        let list = list.clone().with_loopback(loopback);
        for clients in list.rules().iter().take(ASKED) {
            for servers in list.rules().iter().take(ASKED) {
                ask(&list, loopback, clients, servers);
            }
        }
    }
});

fn ask(list: &AccessList, loopback: bool, clients: &Rule, servers: &Rule) {
    let clients = clients.source.address().to_bits();
    let server = servers.destination.address().to_bits();
    let ranges = servers.ports.as_ref().map(PortSet::ranges).unwrap_or_default();
    let port = ranges.last().map_or(80, |range| *range.start());
    for (client, server, port) in [
        (clients, server, port),
        (clients.wrapping_sub(1), server, port),
        (clients, server.wrapping_sub(1), port),
        (clients, server | 1, port.wrapping_sub(1)),
    ] {
        let client = Ipv6Addr::from_bits(client);
        let destination = SocketAddrV4::new(Ipv4Addr::from_bits(server), port);
        for (protocol, is_own) in Protocol::ALL.into_iter().flat_map(|it| [(it, false), (it, true)]) {
            let judgement = list.judge(protocol, Basis::Dialled, client, destination.into(), |_| is_own);
            let expected = oracle::decide(list.rules(), loopback, protocol, client, destination, || is_own);
            assert_eq!(judgement.decision, expected, "{client} to {destination} by {protocol:?}");
        }
    }
}
