//! Names that the program answers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use faith_dns::{Hook, OwnQuery, Resolve};
use faith_dns64::Own;
use hickory_proto::op::ResponseCode;

use crate::lab::*;

/// A program whose answers a test gives by a function of the name; it keeps a query if that returns it.
struct Program<F> {
    answer: F,
    asked: Mutex<Vec<String>>,
    kept: Mutex<Vec<OwnQuery>>,
}

impl<F: Fn(OwnQuery) -> Option<OwnQuery> + Send + Sync + 'static> Resolve for Program<F> {
    fn ask(&self, query: OwnQuery) {
        assert!(query.client.is_loopback());
        self.asked.lock().unwrap().push(format!("{} {}", query.name, query.kind));
        self.kept.lock().unwrap().extend((self.answer)(query));
    }
}

fn program<F: Fn(OwnQuery) -> Option<OwnQuery>>(answer: F) -> Arc<Program<F>> {
    Arc::new(Program { answer, asked: Mutex::default(), kept: Mutex::default() })
}

/// Answers with the address 192.0.2.7, or as told by the name.
fn answer(query: OwnQuery) -> Option<OwnQuery> {
    let own = match query.name.as_str() {
        "pass.own.example" => None,
        "absent.own.example" => Some(Own::Absent { ttl: 60 }),
        "silent.own.example" => return Some(query),
        "failing.own.example" => return None,
        _ => Some(Own::Addresses { addresses: vec!["192.0.2.7".parse().unwrap()], ttl: 60 }),
    };
    assert!(query.answer(own));
    None
}

fn hook(program: Arc<dyn Resolve>, names: &[&str]) -> Hook {
    let names = names.iter().map(|name| name.parse().unwrap()).collect();
    Hook { resolve: program, names, timeout: Duration::from_millis(200) }
}

#[test]
fn the_program_answers_its_names_and_the_upstreams_the_others() {
    let (upstream, program) = (Upstream::new(zone), program(answer));
    let lab = Lab::with(&[upstream.address], |options| {
        options.hook = Some(hook(Arc::clone(&program) as _, &["own.example", "Else.Example."]));
    });
    assert_eq!(addresses(&lab.ask("DB.Own.Example. AAAA")), ["2001:db8:64::c000:207"]);
    assert_eq!(addresses(&lab.ask("own.example. A")), ["192.0.2.7"]);
    assert_eq!(addresses(&lab.ask("a.b.else.example. A")), ["192.0.2.7"]);
    assert_eq!(lab.ask("absent.own.example. A").response_code, ResponseCode::NXDomain);
    assert!(upstream.asked().is_empty());
    for text in ["notown.example. A", "example. A", "pass.own.example. A", "v4.example. AAAA"] {
        assert_eq!(addresses(&lab.ask(text)).len(), 1, "{text}");
    }
    assert_eq!(
        *program.asked.lock().unwrap(),
        [
            "db.own.example AAAA",
            "own.example A",
            "a.b.else.example A",
            "absent.own.example A",
            "pass.own.example A"
        ]
    );
    assert_eq!(upstream.asked().len(), 5, "an AAAA query costs two");
    let stats = lab.server.stats();
    assert_eq!((stats.own, stats.own_failures, stats.synthesised), (4, 0, 1));
}

#[test]
fn without_names_the_program_is_asked_about_all_but_ipv4only() {
    let (upstream, program) = (Upstream::new(zone), program(answer));
    let lab =
        Lab::with(&[upstream.address], |options| options.hook = Some(hook(Arc::clone(&program) as _, &[])));
    assert_eq!(addresses(&lab.ask("v6.example. AAAA")), ["2001:db8:64::c000:207"]);
    assert_eq!(addresses(&lab.ask("ipv4only.arpa. A")).len(), 2);
    assert_eq!(*program.asked.lock().unwrap(), ["v6.example AAAA"]);
}

#[test]
fn a_program_that_fails_or_is_late_gives_servfail() {
    let (upstream, program) = (Upstream::new(zone), program(answer));
    let lab =
        Lab::with(&[upstream.address], |options| options.hook = Some(hook(Arc::clone(&program) as _, &[])));
    for text in ["failing.own.example. A", "silent.own.example. A"] {
        assert_eq!(lab.ask(text).response_code, ResponseCode::ServFail, "{text}");
    }
    assert_eq!(lab.server.stats().own_failures, 2);
    let late = program.kept.lock().unwrap().pop().unwrap();
    assert!(late.is_late() && !late.answer(None));
    assert_eq!(addresses(&lab.ask("db.own.example. A")), ["192.0.2.7"]);
    assert!(upstream.asked().is_empty());
}

#[test]
fn the_queries_that_wait_for_the_program_are_bounded() {
    let (upstream, program) = (Upstream::new(zone), program(answer));
    let lab = Lab::with(&[upstream.address], |options| {
        options.limits.outstanding_per_client = 3;
        let hook = hook(Arc::clone(&program) as _, &["own.example"]);
        options.hook = Some(Hook { timeout: PATIENCE, ..hook });
    });
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let socket = client();
            socket.send_to(&query("silent.own.example. A").to_vec().unwrap(), lab.address()).unwrap();
            socket
        })
        .collect();
    wait_for(|| (program.kept.lock().unwrap().len() == 3).then_some(()));
    assert_eq!(lab.ask("db.own.example. A").response_code, ResponseCode::Refused);
    for query in program.kept.lock().unwrap().drain(..) {
        assert!(query.answer(Some(Own::Refused)));
    }
    for socket in &waiting {
        assert_eq!(receive(socket).0.response_code, ResponseCode::Refused);
    }
    assert_eq!(addresses(&lab.ask("db.own.example. A")), ["192.0.2.7"]);
    assert_eq!(lab.server.stats().overloaded, 1);
}

#[test]
fn the_gate_learns_the_addresses_in_the_prefix_and_their_names() {
    let (upstream, program) = (Upstream::new(zone), program(answer));
    let lab = Lab::with(&[upstream.address], |options| {
        options.hook = Some(hook(Arc::clone(&program) as _, &["own.example"]));
    });
    for text in
        ["V4.Example. AAAA", "v4.example. A", "v6.example. AAAA", "DB.own.example. AAAA", "x.own.example. A"]
    {
        assert_eq!(addresses(&lab.ask(text)).len(), 1, "{text}");
    }
    assert_eq!(
        *lab.gate.given.lock().unwrap(),
        ["v4.example 300 2001:db8:64::c000:201", "db.own.example 60 2001:db8:64::c000:207"]
    );
}
