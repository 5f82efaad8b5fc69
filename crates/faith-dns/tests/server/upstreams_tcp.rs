//! The queries to upstreams over TCP, which share connections (RFC 7766 section 6.2.1).

use std::net::UdpSocket;

use hickory_proto::op::Message;

use crate::lab::*;

/// Answers over UDP that the response does not fit.
fn truncating(query: &Message, by_tcp: bool) -> Vec<Vec<u8>> {
    let mut response = zone(query);
    if !by_tcp {
        response.metadata.truncation = true;
        response.answers.clear();
    }
    vec![response.to_vec().unwrap()]
}

fn addresses_of(lab: &Lab, name: &str) -> Vec<String> {
    addresses(&lab.ask(&format!("{name}. A")))
}

#[test]
fn a_truncated_response_is_fetched_over_tcp() {
    let upstream = Upstream::raw(truncating);
    let lab = Lab::new(&[upstream.address]);
    let response = lab.ask("v6.example. AAAA");
    assert_eq!(addresses(&response), ["2001:db8::1"]);
    assert!(!response.truncation);
    assert_eq!(upstream.asked(), ["v6.example. AAAA", "v6.example. AAAA tcp"]);
}

#[test]
fn queries_share_a_connection() {
    let upstream = Upstream::raw(truncating);
    let lab = Lab::new(&[upstream.address]);
    for name in ["a.example", "b.example", "c.example"] {
        assert_eq!(addresses_of(&lab, name), ["192.0.2.1"]);
    }
    let names: Vec<String> = (0..20).map(|number| format!("n{number}.example. A")).collect();
    let clients: Vec<UdpSocket> = names.iter().map(|_| client()).collect();
    for (socket, name) in clients.iter().zip(&names) {
        socket.send_to(&query(name).to_vec().unwrap(), lab.address()).unwrap();
    }
    for (socket, name) in clients.iter().zip(&names) {
        let (response, _) = receive(socket);
        assert_eq!(addresses(&response), ["192.0.2.1"]);
        assert_eq!(question(&response), *name);
    }
    assert_eq!(upstream.connections(), 1);
    assert_eq!(upstream.asked().len(), 2 * 23);
}

#[test]
fn a_connection_that_the_upstream_ends_costs_no_query() {
    for ending in [End::Closed, End::Reset] {
        let upstream = Upstream::ending(ending, truncating);
        let lab = Lab::new(&[upstream.address]);
        for name in ["a.example", "b.example", "c.example"] {
            assert_eq!(addresses_of(&lab, name), ["192.0.2.1"]);
        }
        assert_eq!(upstream.connections(), 3);
        let udp = upstream.asked().iter().filter(|asked| !asked.ends_with("tcp")).count();
        assert_eq!(udp, 3, "no query was asked again from the start");
    }
}

#[test]
fn an_upstream_without_tcp_makes_way_for_the_next() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let answering = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        let (length, peer) = socket.recv_from(&mut buffer).unwrap();
        let query = Message::from_vec(&buffer[..length]).unwrap();
        socket.send_to(&truncating(&query, false)[0], peer).unwrap();
    });
    let good = Upstream::new(zone);
    let lab = Lab::new(&[address, good.address]);
    assert_eq!(addresses_of(&lab, "a.example"), ["192.0.2.1"]);
    answering.join().unwrap();
}
