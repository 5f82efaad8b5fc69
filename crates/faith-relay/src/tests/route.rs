//! Somebody else decides where a connection goes.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use faith_packet::icmpv6::Unreachable;

use super::{Caller, Fate, Lab, PATIENCE, options};
use crate::options::RelayOptions;
use crate::record::EndReason;
use crate::{Question, Reject, Route, Routing, Verdict};

struct Says<F>(F);

impl<F: Fn(Question) + Send + Sync> Route for Says<F> {
    fn ask(&self, question: Question) {
        self.0(question);
    }
}

fn asking(timeout: Duration, max_undecided: u32, says: impl Fn(Question) + Send + Sync + 'static) -> Lab {
    let routing = Routing { route: Arc::new(Says(says)), timeout, max_undecided };
    Lab::new(RelayOptions { routing: Some(routing), ..options() })
}

fn fate_of(lab: &Lab) -> Fate {
    let (syn, fate) = lab.syn(Caller::new().address);
    lab.offer(syn);
    fate.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn the_client_is_told_what_the_route_says() {
    for (reject, expected, reason) in [
        (Reject::Refused, Fate::Reset, EndReason::Refused),
        (Reject::Unreachable, Fate::Unreachable(Unreachable::AddressUnreachable), EndReason::Unreachable),
        (Reject::Prohibited, Fate::Unreachable(Unreachable::Prohibited), EndReason::Denied),
    ] {
        let lab = asking(PATIENCE, 1, move |question| question.answer(Verdict::Reject(reject)));
        assert_eq!(fate_of(&lab), expected);
        assert_eq!(lab.ended().reason, reason);
    }
}

#[test]
fn a_route_may_leave_it_to_the_mapping() {
    let lab = asking(PATIENCE, 1, |question| question.answer(Verdict::Default));
    assert_eq!(fate_of(&lab), Fate::Released);
}

#[test]
fn a_route_may_send_a_client_elsewhere() {
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let std::net::SocketAddr::V4(server) = elsewhere.local_addr().unwrap() else { panic!("bound to IPv4") };
    let verdict = Verdict::Connect { server, source: None, proxy: None };
    let lab = asking(PATIENCE, 1, move |question| question.answer(verdict));
    assert_eq!(fate_of(&lab), Fate::Released);
    elsewhere.accept().unwrap();
}

#[test]
fn a_route_that_is_late_or_says_nothing_refuses_that_client() {
    let (keep, _kept) = channel();
    let late = asking(Duration::from_millis(50), 1, move |question| keep.send(question).unwrap());
    assert_eq!(fate_of(&late), Fate::Reset);
    let silent = asking(PATIENCE, 1, drop);
    assert_eq!(fate_of(&silent), Fate::Reset);
    assert_eq!(silent.ended().reason, EndReason::Error);
}

#[test]
fn open_questions_are_bounded() {
    let (keep, kept) = channel();
    let lab = asking(PATIENCE, 1, move |question| keep.send(question).unwrap());
    let (syn, first) = lab.syn(Caller::new().address);
    lab.offer(syn);
    let question = kept.recv_timeout(PATIENCE).unwrap();
    assert_eq!(fate_of(&lab), Fate::Reset);
    assert_eq!(lab.ended().reason, EndReason::Limit);
    question.answer(Verdict::Default);
    assert_eq!(first.recv_timeout(PATIENCE), Ok(Fate::Released));
}
