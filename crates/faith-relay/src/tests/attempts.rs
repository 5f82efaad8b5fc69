//! Answers to clients of unreachable, refusing and denied servers, accepted first and connected first.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use faith_packet::access::AccessList;
use faith_packet::icmpv6::Unreachable;
use faith_packet::ports::PortSet;
use faith_stack::Service;
use faith_sys::tcp::Resource;

use super::{
    Caller, DeafServer, Fate, Lab, OWN_ADDRESS, PATIENCE, TestRouter, eventually, faith, options,
    read_to_reset, reset,
};
use crate::cause::Cause;
use crate::counters::SessionStats;
use crate::engine::Engine;
use crate::options::RelayOptions;
use crate::record::{Observer, RefusalReason, RefusalRecord, SessionBegin, SessionEnd, SessionRecord};
use crate::tally::RefusalTally;

fn denying() -> RelayOptions {
    RelayOptions { access: AccessList::default(), ..options() }
}

#[test]
fn a_server_that_refuses_resets_a_client_that_was_accepted_first() {
    let lab = Lab::new(options());
    lab.refuse();
    read_to_reset(&mut lab.dial());
    let record = lab.refused();
    assert_eq!(record.reason, RefusalReason::Refused);
    assert_eq!(record.server.map(|server| server.ip()), Some(Ipv4Addr::LOCALHOST.into()));
}

#[test]
fn a_denied_server_resets_the_client_that_was_accepted_first() {
    let lab = Lab::new(denying());
    read_to_reset(&mut lab.dial());
    assert_eq!(lab.refused().reason, RefusalReason::Denied);
}

#[test]
fn a_server_that_refuses_has_the_syn_reset() {
    let lab = Lab::new(options());
    lab.refuse();
    let (syn, fate) = lab.syn(Caller::new().address);
    lab.offer(syn);
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Reset));
    assert_eq!(lab.refused().reason, RefusalReason::Refused);
}

#[test]
fn a_denied_server_is_administratively_prohibited() {
    let lab = Lab::new(denying());
    let (syn, fate) = lab.syn(Caller::new().address);
    lab.offer(syn);
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Unreachable(Unreachable::Prohibited)));
    assert_eq!(lab.refused().reason, RefusalReason::Denied);
}

#[test]
fn an_address_of_the_router_itself_is_prohibited() {
    let lab = Lab::new(RelayOptions { idle_timeout: None, ..RelayOptions::new(PortSet::all()) });
    let (mut syn, fate) = lab.syn(Caller::new().address);
    syn.destination = faith(OWN_ADDRESS, 22);
    lab.offer(syn);
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Unreachable(Unreachable::Prohibited)));
    assert_eq!(lab.refused().server.map(|server| server.ip()), Some(OWN_ADDRESS.into()));
}

#[test]
fn an_address_outside_every_prefix_has_no_route() {
    let lab = Lab::new(options());
    let (mut syn, fate) = lab.syn(Caller::new().address);
    syn.destination = "[2001:db8::1]:80".parse().unwrap();
    lab.offer(syn);
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Unreachable(Unreachable::NoRoute)));
    let record = lab.refused();
    assert_eq!((record.reason, record.server), (RefusalReason::Unreachable, None));
}

#[test]
fn a_syn_whose_server_does_not_answer_is_ignored() {
    let deaf = DeafServer::new();
    let lab = Lab::new(RelayOptions { connect_timeout: Duration::from_millis(100), ..options() });
    let (mut syn, fate) = lab.syn(Caller::new().address);
    syn.destination = deaf.destination();
    lab.offer(syn);
    assert_eq!(lab.refused().reason, RefusalReason::ConnectTimeout);
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Ignored));
}

#[test]
fn a_session_beyond_the_limit_is_reset_and_told() {
    let lab = Lab::new(RelayOptions { max_sessions: Some(1), ..options() });
    let (_client, _server) = lab.session();
    read_to_reset(&mut lab.dial());
    assert_eq!(lab.refused().reason, RefusalReason::Limit);
    let (syn, fate) = lab.syn(Caller::new().address);
    lab.offer(syn);
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Reset));
    assert_eq!(lab.refused().reason, RefusalReason::Limit);
    assert_eq!(lab.count_refused(RefusalReason::Limit), 2);
}

#[test]
fn a_session_that_ends_makes_room_for_another() {
    let lab = Lab::new(RelayOptions { max_sessions: Some(1), ..options() });
    for _ in 0..3 {
        drop(lab.session());
        assert_eq!(lab.ended().reason, SessionEnd::Closed);
        eventually("its place is free", || lab.is_idle());
    }
}

#[test]
fn a_flood_of_denied_syns_is_counted_in_full_and_told_in_part() {
    let lab = Lab::new(denying());
    let caller = Caller::new();
    for _ in 0..2000 {
        lab.offer(lab.syn(caller.address).0);
    }
    let stats = lab.engine.stats();
    assert_eq!(stats.refused.of(RefusalReason::Denied), 2000);
    let told = lab.refusals().count() as u64;
    assert_eq!(told + stats.untold.refused.of(RefusalReason::Denied), 2000);
    assert!(told > 0 && stats.untold.refused.sum() > 0);
}

#[test]
fn a_flood_of_refused_syns_is_counted_in_full_and_told_in_part() {
    let lab = Lab::new(options());
    lab.refuse();
    let callers: Vec<Caller> = (0..300).map(|_| Caller::new()).collect();
    let fates: Vec<_> = callers
        .iter()
        .map(|caller| {
            let (syn, fate) = lab.syn(caller.address);
            lab.offer(syn);
            fate
        })
        .collect();
    for fate in fates {
        assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Reset));
    }
    eventually("all have ended", || lab.is_idle());
    let stats = lab.engine.stats();
    assert_eq!(stats.refused.of(RefusalReason::Refused), 300);
    let told = lab.refusals().count() as u64;
    assert_eq!(told + stats.untold.refused.of(RefusalReason::Refused), 300);
    assert!(told > 0 && stats.untold.refused.sum() > 0, "{told}");
}

#[test]
fn a_refused_attempt_is_neither_counted_nor_told_as_a_session() {
    let lab = Lab::new(options());
    lab.refuse();
    let (syn, fate) = lab.syn(Caller::new().address);
    lab.offer(syn);
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Reset));
    assert_eq!(lab.refused().reason, RefusalReason::Refused);
    assert!(lab.nothing_ended());
    let stats = lab.engine.stats();
    assert_eq!((stats.sessions, stats.refused.sum()), (SessionStats::default(), 1));
}

#[test]
fn an_ended_session_is_neither_counted_nor_told_as_refused() {
    let lab = Lab::new(options());
    drop(lab.session());
    let record = lab.ended();
    assert!(lab.nothing_ended());
    let stats = lab.engine.stats();
    assert_eq!((stats.sessions.begun, stats.sessions.ended.of(record.reason)), (1, 1));
    assert_eq!(stats.refused, RefusalTally::default());
}

#[test]
fn every_session_is_told() {
    let lab = Lab::new(options());
    for _ in 0..200 {
        drop(lab.session());
        lab.ended();
    }
    assert_eq!(lab.engine.stats().untold.sessions, 0);
}

/// The cause for which the access list denies a connection to `destination`.
fn denial(rules: &str, destination: Ipv4Addr) -> Option<Cause> {
    let access = AccessList::parse(rules, "test").unwrap();
    let lab = Lab::new(RelayOptions { access, ..options() });
    let (mut syn, _fate) = lab.syn(Caller::new().address);
    syn.destination = faith(destination, 80);
    lab.offer(syn);
    let record = lab.refused();
    assert_eq!(record.reason, RefusalReason::Denied);
    record.cause
}

#[test]
fn a_denial_has_its_cause() {
    let public = Ipv4Addr::new(1, 1, 1, 1);
    assert_eq!(denial("::/0 deny 1.0.0.0/8\n", public), Some(Cause::DeniedByRule));
    assert_eq!(denial("::/0 permit 2.0.0.0/8\n", public), Some(Cause::DeniedNoMatch));
    assert_eq!(denial("", Ipv4Addr::new(10, 0, 0, 1)), Some(Cause::SpecialPurpose));
    assert_eq!(denial("", OWN_ADDRESS), Some(Cause::OwnAddress));
    assert_eq!(denial("::/0 permit 127.0.0.1/32\n", Ipv4Addr::LOCALHOST), Some(Cause::Loopback));
}

#[test]
fn a_refusal_by_the_server_has_its_errno() {
    const ECONNREFUSED: i32 = 111;
    let lab = Lab::new(options());
    lab.refuse();
    lab.offer(lab.syn(Caller::new().address).0);
    let record = lab.refused();
    assert_eq!((record.cause, record.errno), (None, Some(ECONNREFUSED)));
}

#[test]
fn a_missing_source_address_is_reported() {
    struct Sources(Mutex<Vec<IpAddr>>);

    impl Observer for Sources {
        fn ended(&self, _: SessionRecord) -> bool {
            true
        }

        fn refused(&self, _: RefusalRecord) -> bool {
            true
        }

        fn exhausted(&self, what: Resource, _: &io::Error) {
            panic!("nothing ran out, {what} least of all");
        }

        fn unusable_source(&self, source: IpAddr, _: &io::Error) {
            self.0.lock().unwrap().push(source);
        }
    }

    // An address for documentation (RFC 5737).
    let foreign = IpAddr::from([203, 0, 113, 77]);
    let sources = Arc::new(Sources(Mutex::default()));
    let options = RelayOptions { sources: vec![foreign], ..options() };
    let lab = Lab::watched(options, Arc::clone(&sources) as _);
    for _ in 0..3 {
        let (syn, fate) = lab.syn(Caller::new().address);
        lab.offer(syn);
        assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Reset));
    }
    let told = sources.0.lock().unwrap();
    assert_eq!(told.first(), Some(&foreign));
    // The minute may turn meanwhile.
    assert!(told.len() <= 2, "{told:?}");
}

#[test]
fn an_observer_that_follows_sources_gets_the_address_and_port_that_the_server_sees() {
    struct Sources(Mutex<Vec<Option<SocketAddr>>>);

    impl Observer for Sources {
        fn ended(&self, session: SessionRecord) -> bool {
            self.0.lock().unwrap().push(session.source);
            true
        }

        fn refused(&self, _: RefusalRecord) -> bool {
            true
        }

        fn follows_begins(&self) -> bool {
            true
        }

        fn follows_sources(&self) -> bool {
            true
        }

        fn began(&self, session: SessionBegin) {
            self.0.lock().unwrap().push(session.source);
        }
    }

    let sources = Arc::new(Sources(Mutex::default()));
    let lab = Lab::watched(options(), Arc::clone(&sources) as _);
    let (client, server) = lab.session();
    let seen = server.peer_addr().unwrap();
    reset(server);
    drop(client);
    eventually("the session has ended", || sources.0.lock().unwrap().len() == 2);
    assert_eq!(*sources.0.lock().unwrap(), [Some(seen); 2]);

    let lab = Lab::new(options());
    drop(lab.session());
    assert_eq!(lab.ended().source, None);
}

#[test]
fn a_lack_of_descriptors_is_reported_once_a_minute() {
    struct Count(AtomicU32);

    impl Observer for Count {
        fn ended(&self, _: SessionRecord) -> bool {
            true
        }

        fn refused(&self, _: RefusalRecord) -> bool {
            true
        }

        fn exhausted(&self, _: Resource, _: &io::Error) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    const EMFILE: i32 = 24;
    let count = Arc::new(Count(AtomicU32::new(0)));
    let engine = Engine::new(options(), TestRouter, 1, Some(Arc::clone(&count) as _));
    for _ in 0..100 {
        engine.exhausted(&io::Error::from_raw_os_error(EMFILE));
    }
    // The minute may turn meanwhile.
    assert!((1..=2).contains(&count.0.load(Ordering::Relaxed)));
}

#[test]
fn a_refusal_by_a_rule_names_the_rule_of_the_list_that_was_in_force() {
    let list = AccessList::parse("# one\n::/0 deny 127.0.0.0/8\n", "test").unwrap().with_loopback(true);
    let lab = Lab::new(RelayOptions { access: list, ..options() });
    let (syn, fate) = lab.syn(Caller::new().address);
    lab.offer(syn);
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Unreachable(Unreachable::Prohibited)));
    lab.engine.set_access(AccessList::default(), false);
    let record = lab.refused();
    assert_eq!(record.cause, Some(Cause::DeniedByRule));
    let rule = record.rule.and_then(|rule| rule.written()).unwrap();
    assert_eq!((rule.text.as_str(), rule.line), ("::/0 deny 127.0.0.0/8", Some(2)));

    let (syn, _) = lab.syn(Caller::new().address);
    lab.offer(syn);
    let record = lab.refused();
    assert_eq!((record.cause, record.rule), (Some(Cause::Loopback), None));
}
