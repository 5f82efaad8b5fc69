//! A route decides where a connection goes, and on which terms.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use faith_packet::access::AccessList;
use faith_packet::icmpv6::Unreachable;

use super::{
    Caller, Fate, Lab, PATIENCE, accepted, eventually, options, read_exactly, read_to_end, read_to_reset,
};
use crate::cause::Cause;
use crate::options::RelayOptions;
use crate::record::{RefusalReason, SessionEnd};
use crate::{Question, Reject, Route, Routing, Terms, Verdict};

/// A route that answers by a function.
pub(super) struct Says<F>(pub(super) F);

impl<F: Fn(Question) + Send + Sync> Route for Says<F> {
    fn ask(&self, question: Question) {
        self.0(question);
    }
}

/// Makes a relay with such a route.
pub(super) fn asking(
    timeout: Duration,
    max_undecided: u32,
    says: impl Fn(Question) + Send + Sync + 'static,
) -> Lab {
    let routing = Routing { route: Arc::new(Says(says)), ports: None, timeout, max_undecided };
    Lab::new(RelayOptions { routing: Some(routing), ..options() })
}

fn named(server: SocketAddr, allow_any: bool) -> Verdict {
    Verdict::Connect { server, allow_any, terms: Terms::default() }
}

/// Offers a SYN, and gives its fate.
pub(super) fn fate_of(lab: &Lab) -> Fate {
    let (syn, fate) = lab.syn(Caller::new().address);
    lab.offer(syn);
    fate.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn a_rejected_client_gets_the_answer_of_the_route() {
    for (reject, expected, reason) in [
        (Reject::Refused, Fate::Reset, RefusalReason::Refused),
        (Reject::Unreachable, Fate::Unreachable(Unreachable::AddressUnreachable), RefusalReason::Unreachable),
        (Reject::Prohibited, Fate::Unreachable(Unreachable::Prohibited), RefusalReason::Denied),
    ] {
        let lab = asking(PATIENCE, 1, move |question| question.answer(Verdict::Reject { reject, tag: None }));
        assert_eq!(fate_of(&lab), expected);
        let record = lab.refused();
        assert_eq!((record.reason, record.cause), (reason, Some(Cause::RejectedByRoute)));
    }
}

#[test]
fn a_route_may_leave_the_decision_to_the_mappings() {
    let lab = asking(PATIENCE, 1, |question| question.answer(Verdict::Proceed(Terms::default())));
    assert_eq!(fate_of(&lab), Fate::Released);
}

#[test]
fn a_new_access_list_does_not_end_a_session_whose_server_a_route_named() {
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = elsewhere.local_addr().unwrap();
    let verdict = named(server, false);
    let lab = asking(PATIENCE, 1, move |question| question.answer(verdict.clone()));
    let mut client = lab.dial();
    let mut far = accepted(&elsewhere);
    eventually("the session has begun", || lab.engine.ledger.relaying() == 1);
    let deny_all = AccessList::parse("::/0 deny 0.0.0.0/0\n", "test").unwrap();
    lab.engine.set_access(deny_all, true);
    client.write_all(b"still here").unwrap();
    assert_eq!(read_exactly(&mut far, 10), b"still here");
}

#[test]
fn a_route_may_send_a_client_to_another_server_of_either_family() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let elsewhere = std::net::TcpListener::bind(address).unwrap();
        let server = elsewhere.local_addr().unwrap();
        let verdict = named(server, false);
        let lab = asking(PATIENCE, 1, move |question| question.answer(verdict.clone()));
        let mut client = lab.dial();
        let mut far = accepted(&elsewhere);
        client.write_all(b"there").unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(read_to_end(&mut far), b"there");
        far.write_all(b"and back").unwrap();
        drop(far);
        assert_eq!(read_to_end(&mut client), b"and back");
        let record = lab.ended();
        assert_eq!((record.reason, record.server), (SessionEnd::Closed, Some(server)));
    }
}

#[test]
fn a_client_whose_server_of_either_family_refuses_is_reset() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let closed = std::net::TcpListener::bind(address).unwrap().local_addr().unwrap();
        let verdict = named(closed, false);
        let lab = asking(PATIENCE, 1, move |question| question.answer(verdict.clone()));
        assert_eq!(fate_of(&lab), Fate::Reset);
        let record = lab.refused();
        assert_eq!((record.reason, record.server), (RefusalReason::Refused, Some(closed)));
    }
}

#[test]
fn a_server_that_a_route_names_is_judged_unless_the_verdict_allows_any() {
    let elsewhere = ["127.0.0.1:0", "[::1]:0"].map(|address| std::net::TcpListener::bind(address).unwrap());
    let loopback = elsewhere.each_ref().map(|server| server.local_addr().unwrap());
    let lab_for = |server, allow_any| {
        let verdict = named(server, allow_any);
        let says = move |question: Question| question.answer(verdict.clone());
        let routing =
            Routing { route: Arc::new(Says(says)), ports: None, timeout: PATIENCE, max_undecided: 1 };
        let access = AccessList::parse("::/0 permit 0.0.0.0/0\n", "test").unwrap();
        Lab::new(RelayOptions { routing: Some(routing), access, ..options() })
    };
    for (server, cause) in [
        (loopback[0], Cause::Loopback),
        (loopback[1], Cause::Loopback),
        ("8.8.8.8:80".parse().unwrap(), Cause::OwnAddress),
        ("[2606:4700::8]:80".parse().unwrap(), Cause::OwnAddress),
        ("[64:ff9b::8.8.8.8]:80".parse().unwrap(), Cause::OwnAddress),
        ("10.0.0.7:80".parse().unwrap(), Cause::SpecialPurpose),
        ("[fd00::7]:80".parse().unwrap(), Cause::SpecialPurpose),
        ("[2002:a00:7::]:80".parse().unwrap(), Cause::SpecialPurpose),
    ] {
        let lab = lab_for(server, false);
        assert_eq!(fate_of(&lab), Fate::Unreachable(Unreachable::Prohibited));
        let record = lab.refused();
        assert_eq!(
            (record.reason, record.cause, record.server),
            (RefusalReason::Denied, Some(cause), Some(server))
        );
    }
    // A relay that ends resets its connections, and the kernel drops those that the listener has not accepted.
    for (server, address) in elsewhere.iter().zip(loopback) {
        let lab = lab_for(address, true);
        assert_eq!(fate_of(&lab), Fate::Released);
        accepted(server);
    }
}

/// Makes a relay with these options, whose route lets every connection proceed on these terms.
fn proceeding(terms: Terms, options: RelayOptions) -> Lab {
    let says = move |question: Question| question.answer(Verdict::Proceed(terms.clone()));
    let routing = Routing { route: Arc::new(Says(says)), ports: None, timeout: PATIENCE, max_undecided: 1 };
    Lab::new(RelayOptions { routing: Some(routing), ..options })
}

#[test]
fn the_access_list_judges_a_connection_that_proceeds() {
    let access = AccessList::parse("::/0 deny 127.0.0.0/8\n", "test").unwrap().with_loopback(true);
    let tag: Arc<str> = "tenant 7".into();
    let terms = Terms { tag: Some(Arc::clone(&tag)), ..Terms::default() };
    let lab = proceeding(terms, RelayOptions { access, ..options() });
    assert_eq!(fate_of(&lab), Fate::Unreachable(Unreachable::Prohibited));
    let record = lab.refused();
    assert_eq!((record.cause, record.tag), (Some(Cause::DeniedByRule), Some(tag)));
}

#[test]
fn a_new_access_list_ends_a_session_that_a_route_let_proceed() {
    let lab = proceeding(Terms::default(), options());
    let (mut client, _server) = lab.session();
    lab.engine.set_access(AccessList::parse("::/0 deny 0.0.0.0/0\n", "test").unwrap(), true);
    assert!(read_to_reset(&mut client).is_empty());
    let record = lab.ended();
    assert_eq!((record.reason, record.cause), (SessionEnd::Aborted, Some(Cause::EndDenied)));
}

#[test]
fn a_session_that_passes_more_bytes_than_its_route_allows_is_reset() {
    let terms = Terms { max_bytes: Some(8), tag: Some("eight".into()), ..Terms::default() };
    let lab = proceeding(terms, options());
    let (mut client, mut server) = lab.session();
    client.write_all(b"1234").unwrap();
    assert_eq!(read_exactly(&mut server, 4), b"1234");
    server.write_all(b"5678").unwrap();
    assert_eq!(read_exactly(&mut client, 4), b"5678");
    let live = lab.engine.ledger.sessions(0, 2);
    assert_eq!(live.len(), 1, "a session may pass exactly as many bytes");
    assert_eq!(live[0].tag.as_deref(), Some("eight"));
    client.write_all(b"9").unwrap();
    read_to_reset(&mut client);
    read_to_reset(&mut server);
    let record = lab.ended();
    assert_eq!((record.reason, record.bytes_up, record.bytes_down), (SessionEnd::MaxBytes, 5, 4));
    assert_eq!((record.id, record.tag.as_deref()), (live[0].id, Some("eight")));
}

#[test]
fn a_route_may_set_the_idle_timeout_of_a_session() {
    let soon = Terms { idle_timeout: Some(Duration::from_millis(50)), ..Terms::default() };
    let lab = proceeding(soon, options());
    let (mut client, _server) = lab.session();
    read_to_reset(&mut client);
    assert_eq!(lab.ended().reason, SessionEnd::IdleTimeout);

    let terms = Terms { idle_timeout: Some(Duration::ZERO), ..Terms::default() };
    let quick = RelayOptions { idle_timeout: Some(Duration::from_millis(50)), ..options() };
    let (lab, idle) = (proceeding(terms, quick.clone()), Lab::new(quick));
    let (mut client, mut server) = lab.session();
    // A session with the relay's own timeout begins later and ends first.
    let _other = idle.session();
    assert_eq!(idle.ended().reason, SessionEnd::IdleTimeout);
    client.write_all(b"still here").unwrap();
    assert_eq!(read_exactly(&mut server, 10), b"still here");
}

#[test]
fn the_record_of_a_rejected_client_has_the_tag_of_the_verdict() {
    let verdict = Verdict::Reject { reject: Reject::Refused, tag: Some("bad".into()) };
    let lab = asking(PATIENCE, 1, move |question| question.answer(verdict.clone()));
    assert_eq!(fate_of(&lab), Fate::Reset);
    assert_eq!(lab.refused().tag.as_deref(), Some("bad"));
}
