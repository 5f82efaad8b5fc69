//! Sessions are summed up by the networks of their clients.

use std::io::Write;

use super::*;

/// A client with an address of the host's loopback network, `::1`, as the lab's clients have.
const LOOPBACK: Ipv6Addr = Ipv6Addr::LOCALHOST;

#[test]
fn sessions_of_one_network_are_one_line_with_their_sums() {
    let lab = Lab::new(options());
    assert_eq!(lab.engine.ledger.networks(64), []);
    let mut sessions: Vec<_> = (0..3).map(|_| lab.session()).collect();
    for (client, server) in &mut sessions {
        client.write_all(b"hello").unwrap();
        read_exactly(server, 5);
        server.write_all(b"hi").unwrap();
        read_exactly(client, 2);
    }
    eventually("the bytes are counted", || lab.engine.stats().sessions.bytes_down == 6);

    let [network] = lab.engine.ledger.networks(128).try_into().unwrap();
    assert_eq!((network.network, network.sessions), (LOOPBACK, 3));
    assert_eq!((network.bytes_up, network.bytes_down), (15, 6));
    let listed = lab.engine.ledger.sessions(0, 100);
    let oldest = listed.iter().map(|session| session.age).max().unwrap();
    let idle = listed.iter().map(|session| session.idle).min().unwrap();
    assert!(network.oldest <= oldest && network.idle <= idle && network.idle < network.oldest);

    for length in [0, 64, 127] {
        let [network] = lab.engine.ledger.networks(length).try_into().unwrap();
        assert_eq!((network.network, network.sessions), (Ipv6Addr::UNSPECIFIED, 3), "/{length}");
    }
}

#[test]
fn more_sessions_than_fit_in_a_page_are_all_counted_once_and_attempts_are_not() {
    let lab = Lab::new(options());
    let deaf = DeafServer::new();
    let (mut syn, _fate) = lab.syn(Caller::new().address);
    syn.destination = deaf.destination();
    let _attempt = lab.offer(syn);
    let sessions: Vec<_> = (0..520).map(|_| lab.session()).collect();
    let [network] = lab.engine.ledger.networks(64).try_into().unwrap();
    assert_eq!(network.sessions, sessions.len() as u64);
}
