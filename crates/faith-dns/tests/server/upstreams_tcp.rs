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
fn an_upstream_that_truncates_over_tcp_too_makes_way_for_the_next() {
    let upstream = Upstream::raw(|query, _| truncating(query, false));
    let good = Upstream::new(zone);
    let lab = Lab::new(&[upstream.address, good.address]);
    assert_eq!(addresses_of(&lab, "a.example"), ["192.0.2.1"]);
    // Alone, it is told as it is.
    let lab = Lab::new(&[upstream.address]);
    let response = lab.ask("b.example. A");
    assert!(response.truncation && response.answers.is_empty());
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

/// A response of so many octets to a query, with A records in it.
fn response_of(query: &Message, length: usize) -> Vec<u8> {
    let mut response = Message::response(query.id, query.op_code);
    response.queries.clone_from(&query.queries);
    let mut octets = response.to_vec().unwrap();
    let mut count = 0_u16;
    while octets.len() + 32 <= length {
        let [high, low] = count.to_be_bytes();
        octets.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 18, high, low]);
        count += 1;
    }
    // The last record is TXT, which is as long as it has to be.
    let rest = u8::try_from(length - octets.len() - 13).unwrap();
    octets.extend_from_slice(&[0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60, 0, rest + 1, rest]);
    octets.resize(length, b'x');
    octets[6..8].copy_from_slice(&(count + 1).to_be_bytes());
    octets
}

#[test]
fn a_response_with_no_room_for_an_opt_record_reaches_a_client_over_tcp() {
    for (length, has_room) in [(65_524, true), (65_525, false), (65_535, false)] {
        let upstream =
            Upstream::raw(
                move |query, by_tcp| {
                    if by_tcp { vec![response_of(query, length)] } else { truncating(query, false) }
                },
            );
        let lab = Lab::new(&[upstream.address]);
        let mut stream = connect(lab.address());
        write_framed(&mut stream, &query("large.example. A edns").to_vec().unwrap());
        let response = read_message(&mut stream);
        assert_eq!((response.answers.len() > 4000, response.edns.is_some()), (true, has_room));
    }
}
