//! Upstreams that ask this server what this server asks them.

use std::net::SocketAddr;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use faith_dns::{Condition, Fault, ServerOptions};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};

use crate::lab::*;

/// The text of the extended error of a response (RFC 8914).
fn reason(response: &Message) -> Option<String> {
    let edns = response.edns.as_ref()?;
    let options = edns.options().get_all(EdnsCode::Unknown(15));
    options.into_iter().find_map(|option| match option {
        EdnsOption::Unknown(_, data) => Some(String::from_utf8(data.get(2..)?.to_vec()).unwrap()),
        _ => None,
    })
}

/// An upstream that knows names below `example.`, and asks the server at `place` about all others. It asks with CD, and puts
/// each question once.
fn asking(place: &Arc<OnceLock<SocketAddr>>) -> Upstream {
    let (place, asked) = (Arc::clone(place), Mutex::<Vec<String>>::default());
    Upstream::raw(move |query, _| {
        let question = question(query);
        if question.contains(".example. ") {
            return vec![zone(query).to_vec().unwrap()];
        }
        let mut asked = asked.lock().unwrap();
        if asked.contains(&question) {
            return Vec::new();
        }
        asked.push(question);
        drop(asked);
        let mut query = query.clone();
        query.metadata.checking_disabled = true;
        vec![ask(*place.get().unwrap(), &query).to_vec().unwrap()]
    })
}

#[test]
fn a_question_that_comes_back_gets_an_error_at_once() {
    let place = Arc::default();
    let upstream = asking(&place);
    // Without the search for loops, the test would wait for this time.
    let lab = Lab::with(&[upstream.address], |options| options.upstream_timeout = Duration::from_mins(10));
    place.set(lab.address()).unwrap();
    for text in ["a.test. MX edns", "b.test. AAAA edns", "c.test. A norec edns"] {
        let response = lab.ask(text);
        assert_eq!(response.response_code, ResponseCode::ServFail, "{text}");
        assert_eq!(reason(&response).as_deref(), Some("forwarding loop"), "{text}");
    }
    let told = Fault::Loop(upstream.address.to_string());
    assert_eq!(lab.gate.heard(), [told], "one warning for all questions");
    // DNS64 has asked for the A records of the second name, too.
    assert!(lab.server.stats().loops >= 4);
    let state = || lab.server.upstreams().remove(0);
    assert_eq!((state().condition, state().loops), (Condition::Loop, lab.server.stats().loops));
    assert_eq!(addresses(&lab.ask("v6.example. AAAA")), ["2001:db8::1"], "other names are answered");
    assert_eq!(state().condition, Condition::Good);
}

#[test]
fn a_question_that_comes_back_makes_way_for_another_upstream() {
    let place = Arc::default();
    let (upstream, good) = (asking(&place), Upstream::new(zone));
    let lab = Lab::new(&[upstream.address, good.address]);
    place.set(lab.address()).unwrap();
    assert_eq!(addresses(&lab.ask("a.test. A edns")), ["192.0.2.1"]);
}

#[test]
fn two_servers_that_ask_each_other_find_out() {
    // Something else may take the free port.
    let (first, second) = wait_for(|| {
        let place = client().local_addr().unwrap();
        let patient = |options: &mut ServerOptions| options.upstream_timeout = Duration::from_mins(10);
        let second = Lab::with(&[place], patient);
        let first = Lab::try_with(&[second.address()], |options| {
            patient(options);
            options.listen = vec![place];
        });
        Some((first?, second))
    });
    for text in ["a.test. MX edns", "a.test. MX norec edns"] {
        let response = first.ask(text);
        assert_eq!(response.response_code, ResponseCode::ServFail, "{text}");
        assert_eq!(reason(&response).as_deref(), Some("forwarding loop"), "{text}");
    }
    assert!(first.server.stats().loops + second.server.stats().loops >= 2);
}

#[test]
fn a_slow_upstream_is_no_loop() {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let upstream = Upstream::new(move |query| {
        if question(query) == "v6.example. AAAA" {
            released.lock().unwrap().recv().unwrap();
        }
        zone(query)
    });
    let lab = Lab::new(&[upstream.address]);
    let clients = [client(), client()];
    for socket in &clients {
        socket.send_to(&query("v6.example. AAAA").to_vec().unwrap(), lab.address()).unwrap();
    }
    let probe = || upstream.asked().iter().any(|asked| asked.ends_with(".v6.example. AAAA"));
    wait_for(|| probe().then_some(()));
    // The answer to the probe has come when one to a later question has.
    lab.ask("v4.example. MX");
    release.send(()).unwrap();
    for socket in &clients {
        assert_eq!(addresses(&receive(socket).0), ["2001:db8::1"]);
    }
    assert_eq!((lab.gate.heard(), lab.server.stats().loops), (Vec::new(), 0));
    drop(release);
}

#[test]
fn a_probe_of_another_server_that_comes_back_gets_no_probe() {
    let place = Arc::default();
    let upstream = asking(&place);
    // Probes leave in the first half of this time.
    let lab = Lab::with(&[upstream.address], |options| options.upstream_timeout = Duration::from_millis(500));
    place.set(lab.address()).unwrap();
    let probe = "loop-0123456789abcdef.test. A";
    assert_eq!(lab.ask(probe).response_code, ResponseCode::ServFail);
    // The upstream falls silent, and is tried with a question about the root.
    let asked: Vec<String> = upstream.asked().into_iter().filter(|question| question != ". NS").collect();
    assert!(asked.len() > 1 && asked.iter().all(|question| question == probe), "{asked:?}");
    assert_eq!((lab.server.stats().loops, lab.gate.heard()), (0, Vec::new()));
}
