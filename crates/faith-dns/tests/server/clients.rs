//! The sockets of clients: UDP and TCP, limits, and messages that are no queries.

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;

use faith_dns::{ClientNetworks, Fault, Limits, Server};
use hickory_proto::op::{Message, ResponseCode};

use crate::lab::*;

/// An upstream with a large A record set, and its responses over TCP.
fn large() -> Upstream {
    Upstream::raw(|query, by_tcp| {
        let owner = query.queries[0].name().to_ascii();
        let answers: Vec<_> = (0..100).map(|low| record(&owner, 60, &format!("192.0.2.{low}"))).collect();
        let mut response = respond(query, &answers);
        if !by_tcp {
            response = response.truncate();
        }
        vec![response.to_vec().unwrap()]
    })
}

#[test]
fn a_response_that_fits_no_datagram_is_truncated_and_whole_over_tcp() {
    let upstream = large();
    let lab = Lab::new(&[upstream.address]);
    for text in ["large.example. A", "large.example. A edns"] {
        let response = lab.ask(text);
        assert!(response.truncation && response.answers.is_empty(), "{text}");
        assert_eq!(response.edns.is_some(), text.ends_with("edns"));
        let mut stream = connect(lab.address());
        write_framed(&mut stream, &query(text).to_vec().unwrap());
        assert_eq!(read_message(&mut stream).answers.len(), 100, "{text}");
    }
    let stats = lab.server.stats();
    assert_eq!((stats.truncated, stats.tcp_queries), (2, 2));
}

#[test]
fn queries_on_one_connection_do_not_wait_for_each_other() {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let upstream = Upstream::new(move |query| {
        if question(query).starts_with("slow") {
            released.lock().unwrap().recv().unwrap();
        }
        zone(query)
    });
    let lab = Lab::new(&[upstream.address]);
    let mut stream = connect(lab.address());
    let (slow, fast) = (query("slow.example. A"), query("v6.example. AAAA"));
    write_framed(&mut stream, &slow.to_vec().unwrap());
    write_framed(&mut stream, &fast.to_vec().unwrap());
    assert_eq!(read_message(&mut stream).id, fast.id);
    release.send(()).unwrap();
    assert_eq!(read_message(&mut stream).id, slow.id);
    drop(release);
}

#[test]
fn a_client_that_ends_its_side_gets_the_responses_that_are_under_way() {
    let upstream = Upstream::new(zone);
    let lab = Lab::new(&[upstream.address]);
    let mut stream = connect(lab.address());
    write_framed(&mut stream, &query("v4.example. AAAA").to_vec().unwrap());
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(addresses(&read_message(&mut stream)), ["2001:db8:64::c000:201"]);
    assert_eq!(read_framed(&mut stream), None);
}

#[test]
fn a_response_leaves_from_the_address_that_was_asked() {
    for (listen, asked) in [("0.0.0.0:0", "127.0.0.9"), ("[::]:0", "::1")] {
        let lab = Lab::with(&[], |options| options.listen = vec![listen.parse().unwrap()]);
        let asked = SocketAddr::new(asked.parse().unwrap(), lab.address().port());
        let socket = UdpSocket::bind(if asked.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" }).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.send_to(&query("ipv4only.arpa. A").to_vec().unwrap(), asked).unwrap();
        assert_eq!(receive(&socket).1, asked);
    }
}

#[test]
fn messages_that_are_no_queries_are_answered_or_dropped_and_the_server_goes_on() {
    let upstream = Upstream::new(zone);
    let lab = Lab::new(&[upstream.address]);
    let socket = client();
    let whole = query("v6.example. AAAA").to_vec().unwrap();
    let mut response = whole.clone();
    response[2] |= 0x80;
    for dropped in [&whole[..5], &[], &response] {
        socket.send_to(dropped, lab.address()).unwrap();
    }
    lab.stats_when(|stats| stats.dropped == 3);
    socket.send_to(&whole[..whole.len() - 2], lab.address()).unwrap();
    assert_eq!(receive(&socket).0.response_code, ResponseCode::FormErr);
    assert_eq!(lab.server.stats().rejected, 1);

    let mut stream = connect(lab.address());
    write_framed(&mut stream, &whole[..whole.len() - 2]);
    assert_eq!(read_message(&mut stream).response_code, ResponseCode::FormErr);
    write_framed(&mut stream, &whole);
    assert_eq!(addresses(&read_message(&mut stream)), ["2001:db8::1"]);
    assert_eq!(upstream.asked().len(), 1);
}

#[test]
fn beyond_its_rate_a_client_gets_short_answers_and_is_served_over_tcp() {
    let lab = Lab::with(&[], |options| options.limits = Limits { rate: 1, ..Limits::default() });
    let socket = client();
    let question = query("ipv4only.arpa. A").to_vec().unwrap();
    let slipped: Message = wait_for(|| {
        // The server answers one of two datagrams over the rate.
        for _ in 0..2 {
            socket.send_to(&question, lab.address()).unwrap();
        }
        let response = receive(&socket).0;
        response.truncation.then_some(response)
    });
    assert!(slipped.answers.is_empty());
    assert!(lab.server.stats().rate_limited > 0);
    let mut stream = connect(lab.address());
    write_framed(&mut stream, &question);
    assert_eq!(read_message(&mut stream).answers.len(), 2);
}

#[test]
fn a_client_with_too_many_queries_that_wait_is_refused() {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let upstream = Upstream::new(move |query| {
        // Fails when the test is over.
        let _ = released.lock().unwrap().recv();
        zone(query)
    });
    let lab = Lab::with(&[upstream.address], |options| {
        options.limits = Limits { outstanding_per_client: 1, ..Limits::default() };
    });
    let first = client();
    first.send_to(&query("v6.example. AAAA").to_vec().unwrap(), lab.address()).unwrap();
    lab.stats_when(|stats| stats.udp_queries == 1);
    assert_eq!(lab.ask("v4.example. A").response_code, ResponseCode::Refused);
    assert_eq!(lab.server.stats().overloaded, 1);
    release.send(()).unwrap();
    assert_eq!(addresses(&receive(&first).0), ["2001:db8::1"]);
    drop(release);
}

#[test]
fn a_client_with_too_many_connections_has_the_next_one_closed() {
    let lab = Lab::with(&[], |options| {
        options.limits = Limits { connections_per_client: 1, ..Limits::default() };
    });
    let question = query("ipv4only.arpa. A").to_vec().unwrap();
    let mut first = connect(lab.address());
    write_framed(&mut first, &question);
    read_message(&mut first);
    let mut second = connect(lab.address());
    assert_eq!(read_framed(&mut second), None);
    drop(first);
    wait_for(|| {
        let mut third = connect(lab.address());
        write_framed(&mut third, &question);
        read_framed(&mut third)
    });
}

#[test]
fn a_server_that_is_dropped_gives_its_address_back() {
    // No other test uses this address.
    let lab = Lab::with(&[], |options| options.listen = vec!["127.0.0.77:0".parse().unwrap()]);
    let address = lab.address();
    let mut stream = connect(address);
    write_framed(&mut stream, &query("ipv4only.arpa. A").to_vec().unwrap());
    read_message(&mut stream);
    drop(lab);
    assert_eq!(read_framed(&mut stream), None);
    assert!(TcpStream::connect(address).is_err());
    Lab::with(&[], |options| options.listen = vec![address]);
}

#[test]
fn an_address_in_use_is_named_in_the_error() {
    let lab = Lab::new(&[]);
    let options = faith_dns::ServerOptions { listen: vec![lab.address()], ..Default::default() };
    let error = Server::start(options, lab.gate.clone()).err().unwrap().to_string();
    let expected = format!("cannot answer DNS queries at {} over UDP: ", lab.address());
    assert!(error.starts_with(&expected), "{error}");
}

fn networks(admitted: &str) -> ClientNetworks {
    ClientNetworks { admitted: vec![admitted.parse().unwrap()], ..ClientNetworks::default() }
}

#[test]
fn a_client_outside_the_networks_is_refused_and_costs_no_query() {
    let upstream = Upstream::new(zone);
    let lab = Lab::with(&[upstream.address], |options| options.clients = networks("2001:db8::/32"));
    assert_eq!(lab.ask("v6.example. AAAA").response_code, ResponseCode::Refused);
    let mut stream = connect(lab.address());
    write_framed(&mut stream, &query("v6.example. AAAA").to_vec().unwrap());
    assert_eq!(read_message(&mut stream).response_code, ResponseCode::Refused);
    let stats = lab.server.stats();
    assert_eq!((stats.refused, stats.upstream_queries), (2, 0));
    assert_eq!(lab.gate.heard(), [Fault::Refused("127.0.0.1".parse().unwrap())]);

    lab.server.update(synthesis(), Limits::default(), networks("::ffff:127.0.0.0/104"));
    assert_eq!(lab.ask("v6.example. AAAA").response_code, ResponseCode::NoError);
}

#[test]
fn without_networks_clients_of_this_hosts_networks_alone_get_answers() {
    let lab = Lab::new(&[]);
    let ask = || lab.ask("ipv4only.arpa. A").response_code;
    assert_eq!(ask(), ResponseCode::NoError);
    lab.gate.is_remote.store(true, Ordering::Relaxed);
    assert_eq!(ask(), ResponseCode::Refused);
    assert_eq!(ask(), ResponseCode::Refused);
    let refused = Fault::Refused("127.0.0.1".parse().unwrap());
    assert_eq!(lab.gate.heard(), std::slice::from_ref(&refused));
    // Other settings change nothing about it; other networks do.
    lab.server.update(synthesis(), Limits { rate: 10, ..Limits::default() }, ClientNetworks::default());
    assert_eq!(ask(), ResponseCode::Refused);
    assert_eq!(lab.gate.heard(), std::slice::from_ref(&refused));
    lab.server.update(synthesis(), Limits::default(), networks("2001:db8::/32"));
    assert_eq!(ask(), ResponseCode::Refused);
    assert_eq!(lab.gate.heard(), [refused.clone(), refused]);
    lab.server.update(synthesis(), Limits::default(), networks("::/0"));
    assert_eq!(ask(), ResponseCode::NoError);
}

#[test]
fn a_flood_of_refused_clients_is_answered_at_a_low_rate_and_others_do_not_suffer() {
    let lab = Lab::new(&[]);
    lab.gate.is_remote.store(true, Ordering::Relaxed);
    let (socket, question) = (client(), query("ipv4only.arpa. A").to_vec().unwrap());
    wait_for(|| {
        socket.send_to(&question, lab.address()).unwrap();
        (lab.server.stats().rate_limited > 0).then_some(())
    });
    assert_eq!(receive(&socket).0.response_code, ResponseCode::Refused);
    let mut held: Vec<TcpStream> = (0..2).map(|_| connect(lab.address())).collect();
    for stream in &mut held {
        write_framed(stream, &question);
        assert_eq!(read_message(stream).response_code, ResponseCode::Refused);
    }
    assert_eq!(read_framed(&mut connect(lab.address())), None);
    lab.gate.is_remote.store(false, Ordering::Relaxed);
    assert_eq!(lab.ask("ipv4only.arpa. A").answers.len(), 2);
    let mut stream = connect(lab.address());
    write_framed(&mut stream, &question);
    assert_eq!(read_message(&mut stream).answers.len(), 2);
}
