//! What clients learn of servers that cannot be had, when they are accepted first and when they are not.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use faith_packet::access::AccessList;
use faith_packet::icmpv6::Unreachable;
use faith_packet::ports::PortSet;
use faith_stack::Service;

use super::{
    Caller, DeafServer, Fate, Lab, OWN_ADDRESS, PATIENCE, TestRouter, eventually, faith, options,
    read_to_reset,
};
use crate::engine::Engine;
use crate::options::RelayOptions;
use crate::record::{EndReason, Observer, SessionRecord};

fn denying() -> RelayOptions {
    RelayOptions { access: AccessList::default(), ..options() }
}

#[test]
fn a_refused_server_resets_the_client_that_was_accepted_first() {
    let mut lab = Lab::new(options());
    lab.refuse();
    read_to_reset(&mut lab.dial());
    let record = lab.ended();
    assert_eq!(record.reason, EndReason::Refused);
    assert_eq!(record.server.map(|server| *server.ip()), Some(Ipv4Addr::LOCALHOST));
}

#[test]
fn a_denied_server_resets_the_client_that_was_accepted_first() {
    let lab = Lab::new(denying());
    read_to_reset(&mut lab.dial());
    assert_eq!(lab.ended().reason, EndReason::Denied);
}

#[test]
fn a_refused_server_refuses_the_syn() {
    let mut lab = Lab::new(options());
    lab.refuse();
    let (syn, fate) = lab.syn(Caller::new().address);
    lab.offer(syn);
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Reset));
    assert_eq!(lab.ended().reason, EndReason::Refused);
}

#[test]
fn a_denied_server_is_administratively_prohibited() {
    let lab = Lab::new(denying());
    let (syn, fate) = lab.syn(Caller::new().address);
    lab.offer(syn);
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Unreachable(Unreachable::Prohibited)));
    assert_eq!(lab.ended().reason, EndReason::Denied);
}

#[test]
fn an_address_of_the_router_itself_is_prohibited() {
    let lab = Lab::new(RelayOptions { idle_timeout: None, ..RelayOptions::new(PortSet::all()) });
    let (mut syn, fate) = lab.syn(Caller::new().address);
    syn.destination = faith(OWN_ADDRESS, 22);
    lab.offer(syn);
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Unreachable(Unreachable::Prohibited)));
    assert_eq!(lab.ended().server.map(|server| *server.ip()), Some(OWN_ADDRESS));
}

#[test]
fn an_address_outside_every_prefix_has_no_route() {
    let lab = Lab::new(options());
    let (mut syn, fate) = lab.syn(Caller::new().address);
    syn.destination = "[2001:db8::1]:80".parse().unwrap();
    lab.offer(syn);
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Unreachable(Unreachable::NoRoute)));
    let record = lab.ended();
    assert_eq!((record.reason, record.server), (EndReason::Unreachable, None));
}

#[test]
fn a_server_that_does_not_answer_has_its_client_s_syns_ignored() {
    let deaf = DeafServer::new();
    let lab = Lab::new(RelayOptions { connect_timeout: Duration::from_millis(100), ..options() });
    let (mut syn, fate) = lab.syn(Caller::new().address);
    syn.destination = deaf.destination();
    lab.offer(syn);
    assert_eq!(lab.ended().reason, EndReason::ConnectTimeout);
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Ignored));
}

#[test]
fn one_session_too_many_is_refused_visibly() {
    let lab = Lab::new(RelayOptions { max_sessions: Some(1), ..options() });
    let (_client, _server) = lab.session();
    read_to_reset(&mut lab.dial());
    assert_eq!(lab.ended().reason, EndReason::Limit);
    let (syn, fate) = lab.syn(Caller::new().address);
    lab.offer(syn);
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Reset));
    assert_eq!(lab.ended().reason, EndReason::Limit);
    assert_eq!(lab.count(EndReason::Limit), 2);
}

#[test]
fn a_session_that_ends_makes_room_for_another() {
    let lab = Lab::new(RelayOptions { max_sessions: Some(1), ..options() });
    for _ in 0..3 {
        drop(lab.session());
        assert_eq!(lab.ended().reason, EndReason::Closed);
        eventually("its place is free", || lab.engine.stats().active == 0);
    }
}

#[test]
fn a_flood_of_denied_syns_is_counted_whole_and_told_in_part() {
    let lab = Lab::new(denying());
    let caller = Caller::new();
    for _ in 0..2000 {
        lab.offer(lab.syn(caller.address).0);
    }
    let stats = lab.engine.stats();
    assert_eq!(stats.ended[EndReason::Denied.index()], 2000);
    let told = lab.records().count() as u64;
    assert_eq!(told + stats.unreported, 2000);
    assert!(stats.unreported > 0);
}

#[test]
fn a_lack_of_descriptors_is_told_once_and_not_each_time() {
    struct Count(AtomicU32);

    impl Observer for Count {
        fn ended(&self, _: SessionRecord) {}

        fn exhausted(&self, _: &str, _: &io::Error) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    let count = Arc::new(Count(AtomicU32::new(0)));
    let engine = Engine::new(options(), TestRouter, 1, Some(Arc::clone(&count) as _));
    for _ in 0..100 {
        engine.exhausted(&io::Error::other("too many open files"));
    }
    // The minute may turn meanwhile.
    assert!((1..=2).contains(&count.0.load(Ordering::Relaxed)));
}
