//! The queries to upstreams: failover, forgeries, TCP, and the file that names them.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use faith_dns::{Condition, Fault, Server, ServerOptions, UpstreamState, Upstreams};
use hickory_proto::op::{Message, ResponseCode};

use crate::lab::*;

fn gate() -> Arc<TestGate> {
    TestGate::denying(None)
}

fn failing(query: &Message) -> Message {
    let mut response = respond(query, &[]);
    response.metadata.response_code = ResponseCode::ServFail;
    response
}

#[test]
fn an_upstream_that_is_gone_or_fails_makes_way_for_the_next() {
    let (failing, good) = (Upstream::new(failing), Upstream::new(zone));
    let lab = Lab::new(&[gone(), failing.address, good.address]);
    assert_eq!(addresses(&lab.ask("v6.example. AAAA")), ["2001:db8::1"]);
    assert_eq!(failing.asked(), ["v6.example. AAAA"]);
    // The one that answered is asked first from now on.
    lab.ask("v6.example. A");
    assert_eq!((failing.asked().len(), good.asked().len()), (1, 2));
}

#[test]
fn an_upstream_that_is_silent_makes_way_for_the_next() {
    let silent = Upstream::raw(|_, _| Vec::new());
    let good = Upstream::new(zone);
    let lab = Lab::with(&[silent.address, good.address], |options| {
        options.upstream_timeout = Duration::from_millis(100);
    });
    assert_eq!(addresses(&lab.ask("v6.example. AAAA")), ["2001:db8::1"]);
}

#[test]
fn each_upstream_has_its_figures() {
    let (failing, good) = (Upstream::new(failing), Upstream::new(zone));
    let gone = gone();
    let lab = Lab::new(&[gone, failing.address, good.address]);
    let figures = |upstream: &UpstreamState| (upstream.queries, upstream.answered, upstream.unanswered);
    assert_eq!(addresses(&lab.ask("v6.example. AAAA")), ["2001:db8::1"]);
    lab.ask("v6.example. A");
    let upstreams = lab.server.upstreams();
    let named: Vec<&str> = upstreams.iter().map(|upstream| upstream.upstream.as_str()).collect();
    assert_eq!(named, [gone, failing.address, good.address].map(|address| address.to_string()));
    // An error is an answer, too.
    assert_eq!(upstreams.iter().map(figures).collect::<Vec<_>>()[1..], [(1, 1, 0), (2, 2, 0)]);
    wait_for(|| {
        let upstreams = lab.server.upstreams();
        let is_failing =
            matches!(&upstreams[0].condition, Condition::Failing(reason) if reason.contains("refused"));
        let others = upstreams[1..].iter().all(|upstream| upstream.condition == Condition::Good);
        (is_failing && others).then_some(())
    });
    // One query of the client, and two tries.
    let (queries, answered, unanswered) = figures(&lab.server.upstreams()[0]);
    assert!(queries >= 3 && answered == 0 && unanswered >= 3, "{queries} {answered} {unanswered}");
    assert!(
        matches!(&lab.gate.heard()[..], [Fault::Upstream { upstream, trouble: Some(_) }] if *upstream == gone.to_string())
    );
}

#[test]
fn without_an_answer_the_client_gets_servfail() {
    let lab = Lab::new(&[gone()]);
    for text in ["v4.example. AAAA", "v4.example. MX edns"] {
        assert_eq!(lab.ask(text).response_code, ResponseCode::ServFail);
    }
    assert!(lab.server.stats().upstream_failures >= 2);
}

#[test]
fn an_error_of_every_upstream_passes() {
    let upstream = Upstream::new(failing);
    let lab = Lab::new(&[upstream.address, upstream.address]);
    assert_eq!(lab.ask("v4.example. MX").response_code, ResponseCode::ServFail);
    assert_eq!(upstream.asked().len(), 2);
}

#[test]
fn a_question_that_an_upstream_has_failed_is_not_put_to_it_again_at_once() {
    let upstream = Upstream::new(|query| match question(query).as_str() {
        "v4.example. MX" => failing(query),
        _ => zone(query),
    });
    let lab = Lab::new(&[upstream.address]);
    let ask = || lab.ask("v4.example. MX").response_code;
    let times = |text: &str| upstream.asked().iter().filter(|asked| *asked == text).count();
    for _ in 0..50 {
        assert_eq!(ask(), ResponseCode::ServFail);
    }
    let asked = times("v4.example. MX");
    assert!(asked < 10, "{asked} of 50 queries went to the upstream");
    assert_eq!(addresses(&lab.ask("v4.example. A")), ["192.0.2.1"], "other questions are asked");
    wait_for(|| (ask() == ResponseCode::ServFail && times("v4.example. MX") > asked).then_some(()));
}

#[test]
fn an_upstream_that_is_silent_about_a_question_is_passed_over_for_it() {
    let silent = Upstream::raw(|_, _| Vec::new());
    let failing = Upstream::new(failing);
    let lab = Lab::with(&[silent.address, failing.address], |options| {
        options.upstream_timeout = Duration::from_millis(100);
    });
    assert_eq!(lab.ask("v4.example. MX").response_code, ResponseCode::ServFail);
    for _ in 0..50 {
        assert_eq!(lab.ask("v4.example. MX").response_code, ResponseCode::ServFail);
    }
    let asked = (silent.asked().len(), failing.asked().len());
    assert!(asked.0 < 10 && asked.1 < 10, "{asked:?} of 51 queries went to the upstreams");
}

#[test]
fn what_an_upstream_refuses_without_recursion_is_asked_with_it() {
    let upstream = Upstream::new(|query| if query.recursion_desired { zone(query) } else { failing(query) });
    let lab = Lab::new(&[upstream.address]);
    assert_eq!(lab.ask("v6.example. AAAA norec").response_code, ResponseCode::ServFail);
    assert_eq!(addresses(&lab.ask("v6.example. AAAA")), ["2001:db8::1"]);
}

#[test]
fn garbage_of_an_upstream_makes_way_for_the_next() {
    let garbage = Upstream::raw(|query, _| {
        let mut cut = zone(query).to_vec().unwrap();
        cut.truncate(cut.len() - 3);
        let mut counts = zone(query).to_vec().unwrap();
        counts[7] = 200;
        vec![vec![], vec![0xff; 7], vec![0xff; 600], cut, counts]
    });
    let good = Upstream::new(zone);
    let lab = Lab::with(&[garbage.address, good.address], |options| {
        options.upstream_timeout = Duration::from_millis(100);
    });
    assert_eq!(addresses(&lab.ask("v6.example. AAAA")), ["2001:db8::1"]);
}

#[test]
fn a_server_that_fails_aaaa_queries_alone_is_helped() {
    let upstream = Upstream::new(|query| match question(query).as_str() {
        "v4.example. AAAA" => failing(query),
        _ => zone(query),
    });
    let lab = Lab::new(&[upstream.address]);
    assert_eq!(addresses(&lab.ask("v4.example. AAAA")), ["2001:db8:64::c000:201"]);
}

#[test]
fn a_server_that_is_silent_about_aaaa_queries_alone_is_helped() {
    let upstream = Upstream::raw(|query, _| match question(query).as_str() {
        "v4.example. AAAA" => Vec::new(),
        _ => vec![zone(query).to_vec().unwrap()],
    });
    let lab = Lab::with(&[upstream.address], |options| options.upstream_timeout = Duration::from_millis(100));
    assert_eq!(addresses(&lab.ask("v4.example. AAAA")), ["2001:db8:64::c000:201"]);
}

#[test]
fn forged_responses_are_ignored() {
    let upstream = Upstream::raw(|query, _| {
        let forged = || respond(query, &[record("v6.example.", 60, "2001:db8:bad::1")]);
        let mut other_id = forged();
        other_id.metadata.id ^= 1;
        let mut other_name = forged();
        other_name.queries[0].set_name(name("v7.example."));
        let mut other_type = forged();
        other_type.queries[0].set_query_type(hickory_proto::rr::RecordType::A);
        let cut = forged().to_vec().unwrap()[..30].to_vec();
        let back = query.to_vec().unwrap();
        let mut octets: Vec<Vec<u8>> =
            [other_id, other_name, other_type].iter().map(|forged| forged.to_vec().unwrap()).collect();
        octets.extend([cut, back, zone(query).to_vec().unwrap()]);
        octets
    });
    let lab = Lab::new(&[upstream.address]);
    assert_eq!(addresses(&lab.ask("v6.example. AAAA")), ["2001:db8::1"]);
    assert_eq!(lab.server.stats().upstream_queries, 1);
}

#[test]
fn clients_that_ask_the_same_at_the_same_time_cost_one_query() {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let upstream = Upstream::raw(move |query, _| {
        released.lock().unwrap().recv().unwrap();
        vec![zone(query).to_vec().unwrap()]
    });
    let lab = Lab::new(&[upstream.address]);
    let clients: Vec<UdpSocket> = (0..5).map(|_| client()).collect();
    for socket in &clients {
        socket.send_to(&query("v6.example. AAAA").to_vec().unwrap(), lab.address()).unwrap();
    }
    lab.stats_when(|stats| stats.udp_queries == 5);
    release.send(()).unwrap();
    for socket in &clients {
        assert_eq!(addresses(&receive(socket).0), ["2001:db8::1"]);
    }
    assert_eq!(upstream.asked().len(), 1);
    drop(release);
}

#[test]
fn the_servers_own_address_is_not_asked() {
    for listen in ["127.0.0.1", "0.0.0.0"] {
        // Something else may take the free port.
        let (own, server, gate) = wait_for(|| {
            let own = client().local_addr().unwrap();
            let options = ServerOptions {
                listen: vec![SocketAddr::new(listen.parse().unwrap(), own.port())],
                upstreams: Upstreams::Given(vec![faith_dns::Upstream::Plain(own)]),
                ..ServerOptions::default()
            };
            let gate = gate();
            let server = Server::start(options, Arc::<TestGate>::clone(&gate)).ok()?;
            Some((own, server, gate))
        });
        for text in ["v4.example. A", "v6.example. A"] {
            assert_eq!(ask(own, &query(text)).response_code, ResponseCode::ServFail, "{listen}");
        }
        assert_eq!(gate.heard(), [Fault::OwnUpstream(own)], "{listen}");
        assert_eq!(server.stats().upstream_queries, 0, "{listen}");
        assert_eq!(server.upstreams()[0].condition, Condition::Own, "{listen}");
    }
}

#[test]
fn a_server_at_every_ipv6_address_asks_one_at_the_same_port_of_ipv4() {
    // Something else may have the port of IPv6.
    let (_upstream, server) = wait_for(|| {
        let upstream = Upstream::new(zone);
        let options = ServerOptions {
            listen: vec![SocketAddr::new("::".parse().unwrap(), upstream.address.port())],
            upstreams: Upstreams::Given(vec![faith_dns::Upstream::Plain(upstream.address)]),
            ..ServerOptions::default()
        };
        Some((upstream, Server::start(options, gate()).ok()?))
    });
    let socket = UdpSocket::bind("[::1]:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let own = SocketAddr::new("::1".parse().unwrap(), server.addresses()[0].port());
    socket.send_to(&query("v6.example. AAAA").to_vec().unwrap(), own).unwrap();
    assert_eq!(addresses(&receive(&socket).0), ["2001:db8::1"]);
}

#[test]
fn upstreams_come_from_a_file() {
    // The file has no ports, so this names an address whose port 53 nothing has, and looks at the counters.
    let path = std::env::temp_dir().join(format!("faith-dns-server-{}.conf", std::process::id()));
    fs::write(&path, "options edns0\n").unwrap();
    let options = ServerOptions {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        upstreams: Upstreams::ResolvConf(path.clone()),
        ..ServerOptions::default()
    };
    let server = Server::start(options, gate()).unwrap();
    let text = "v4.example. A";
    assert_eq!(ask(server.addresses()[0], &query(text)).response_code, ResponseCode::ServFail);
    assert_eq!(server.stats().upstream_queries, 0, "the file names no server");

    fs::write(&path, "nameserver 127.99.99.99\n").unwrap();
    wait_for(|| {
        ask(server.addresses()[0], &query(text));
        (server.stats().upstream_queries > 0).then_some(())
    });
    let named: Vec<String> = server.upstreams().into_iter().map(|upstream| upstream.upstream).collect();
    assert_eq!(named, ["127.99.99.99:53"]);
    fs::remove_file(path).unwrap();
}
