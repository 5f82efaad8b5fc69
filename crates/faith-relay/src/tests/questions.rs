//! Questions to a route: they are withdrawn, come late, and have bounds.

use std::io::Write;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use faith_stack::Service as _;

use super::route::{asking, fate_of};
use super::{Caller, Fate, Lab, PATIENCE, eventually, options, read_to_end, read_to_reset, reset};
use crate::cause::Cause;
use crate::options::RelayOptions;
use crate::record::RefusalReason;
use crate::{Question, Reject, Route, Routing, Terms, Verdict};

/// A route that keeps every question for the test, and reports withdrawn ones.
struct Keeps(Sender<Question>, Sender<u64>);

impl Route for Keeps {
    fn ask(&self, question: Question) {
        self.0.send(question).unwrap();
    }

    fn withdraw(&self, id: u64) {
        // Sending fails when the test is over, whose relay withdraws open questions.
        let _ = self.1.send(id);
    }
}

fn keeping(timeout: Duration) -> (Lab, Receiver<Question>, Receiver<u64>) {
    let ((keep, kept), (tell, withdrawn)) = (channel(), channel());
    let routing = Routing { route: Arc::new(Keeps(keep, tell)), ports: None, timeout, max_undecided: 9 };
    (Lab::new(RelayOptions { routing: Some(routing), ..options() }), kept, withdrawn)
}

#[test]
fn the_record_has_the_id_of_the_question() {
    let (lab, kept, withdrawn) = keeping(PATIENCE);
    let (syn, fate) = lab.syn(Caller::new().address);
    lab.offer(syn);
    let question = kept.recv_timeout(PATIENCE).unwrap();
    let id = question.id;
    question.answer(Verdict::Reject { reject: Reject::Refused, tag: None });
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Reset));
    assert_eq!(lab.refused().id, id);
    assert!(withdrawn.try_recv().is_err(), "an answered question is not withdrawn");
}

#[test]
fn a_question_is_withdrawn_when_its_client_gives_up_its_syn() {
    let (lab, kept, withdrawn) = keeping(PATIENCE);
    let (syn, _fate) = lab.syn(Caller::new().address);
    let give_up = lab.offer(syn);
    let question = kept.recv_timeout(PATIENCE).unwrap();
    give_up.tell();
    assert_eq!(withdrawn.recv_timeout(PATIENCE), Ok(question.id));
    assert!(question.is_late());
    assert_eq!(lab.refused().cause, Some(Cause::ClientGaveUp));
}

#[test]
fn a_question_is_withdrawn_when_its_client_resets_without_bytes() {
    let (lab, kept, withdrawn) = keeping(PATIENCE);
    let client = lab.dial();
    let question = kept.recv_timeout(PATIENCE).unwrap();
    reset(client);
    assert_eq!(withdrawn.recv_timeout(PATIENCE), Ok(question.id));
    assert_eq!(lab.refused().cause, Some(Cause::ClientGaveUp));
}

#[test]
fn a_question_is_not_withdrawn_when_its_client_half_closes_or_sends_bytes() {
    let (lab, kept, withdrawn) = keeping(PATIENCE);
    let (mut talker, mut ender) = (lab.dial(), lab.dial());
    let questions = [kept.recv_timeout(PATIENCE).unwrap(), kept.recv_timeout(PATIENCE).unwrap()];
    talker.write_all(b"before the answer").unwrap();
    ender.shutdown(std::net::Shutdown::Write).unwrap();
    // Comes after both on the worker, which withdraws it.
    let last = lab.dial();
    let gone = kept.recv_timeout(PATIENCE).unwrap();
    reset(last);
    assert_eq!(withdrawn.recv_timeout(PATIENCE), Ok(gone.id));
    for question in questions {
        question.answer(Verdict::Proceed(Terms::default()));
    }
    let (mut one, mut other) = (lab.answer(), lab.answer());
    talker.shutdown(std::net::Shutdown::Write).unwrap();
    let mut heard = [read_to_end(&mut one), read_to_end(&mut other)];
    heard.sort();
    assert_eq!(heard, [b"".to_vec(), b"before the answer".to_vec()]);
    drop((one, other));
    assert!(read_to_end(&mut ender).is_empty());
}

#[test]
fn a_question_is_withdrawn_when_the_relay_closes_and_not_when_its_time_is_up() {
    let (lab, kept, withdrawn) = keeping(Duration::from_millis(50));
    let (syn, fate) = lab.syn(Caller::new().address);
    lab.offer(syn);
    let late = kept.recv_timeout(PATIENCE).unwrap();
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Reset));
    assert!(late.is_late() && withdrawn.try_recv().is_err());

    let (lab, kept, withdrawn) = keeping(PATIENCE);
    let (syn, _fate) = lab.syn(Caller::new().address);
    lab.offer(syn);
    let question = kept.recv_timeout(PATIENCE).unwrap();
    lab.engine.ledger.all_tasks().for_each(crate::tasks::Tasks::abort_attempts);
    assert_eq!(withdrawn.recv_timeout(PATIENCE), Ok(question.id));
}

#[test]
fn a_route_that_is_late_or_gives_no_verdict_refuses_that_client() {
    let (keep, _kept) = channel();
    let late = asking(Duration::from_millis(50), 1, move |question| keep.send(question).unwrap());
    assert_eq!(fate_of(&late), Fate::Reset);
    let silent = asking(PATIENCE, 1, drop);
    assert_eq!(fate_of(&silent), Fate::Reset);
    let record = silent.refused();
    assert_eq!((record.reason, record.cause), (RefusalReason::Error, Some(Cause::NoVerdict)));
}

#[test]
fn beyond_the_bound_of_questions_accepted_clients_have_a_bound_of_their_own() {
    let (keep, kept) = channel();
    let lab = asking(PATIENCE, 1, move |question| keep.send(question).unwrap());
    let (syn, first) = lab.syn(Caller::new().address);
    lab.offer(syn);
    let forged = kept.recv_timeout(PATIENCE).unwrap();

    let caller = Caller::new();
    let (syn, second) = lab.syn(caller.address);
    lab.offer(syn);
    assert_eq!(second.recv_timeout(PATIENCE), Ok(Fate::Released), "the kernel answers it");
    let _served = caller.dial(&lab);
    let proven = kept.recv_timeout(PATIENCE).unwrap();

    let mut refused = Caller::new().dial(&lab);
    assert!(read_to_reset(&mut refused).is_empty());
    let record = lab.refused();
    assert_eq!((record.reason, record.cause), (RefusalReason::Limit, Some(Cause::MaxUndecided)));

    proven.answer(Verdict::Proceed(Terms::default()));
    eventually("the proven client has its session", || lab.engine.ledger.relaying() == 1);
    forged.answer(Verdict::Proceed(Terms::default()));
    assert_eq!(first.recv_timeout(PATIENCE), Ok(Fate::Released));
}

#[test]
fn a_syn_beyond_the_bound_waits_while_half_of_the_places_are_undecided() {
    let (keep, kept) = channel();
    let lab = asking(PATIENCE, 4, move |question| keep.send(question).unwrap());
    let [client, other] = [Ipv6Addr::LOCALHOST, "2001:db8::1".parse().unwrap()];
    assert!(!lab.engine.waits(&client, 4), "nothing is undecided");
    let mut asked = Vec::new();
    for _ in 0..2 {
        let (syn, fate) = lab.syn(Caller::new().address);
        lab.offer(syn);
        asked.push((kept.recv_timeout(PATIENCE).unwrap(), fate));
    }
    assert!(lab.engine.waits(&client, 4) && !lab.engine.waits(&client, 5));
    assert!(!lab.engine.waits(&other, 1), "questions about other networks do not count");
    for (question, fate) in asked {
        question.answer(Verdict::Reject { reject: Reject::Refused, tag: None });
        assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Reset));
    }
    assert!(!lab.engine.waits(&client, 4), "decided questions do not count");
}

#[test]
fn forged_syns_of_many_networks_make_no_other_client_wait() {
    let (keep, kept) = channel();
    let lab = asking(PATIENCE, 8, move |question| keep.send(question).unwrap());
    let mut forged = Vec::new();
    for network in 0..8_u128 {
        let from = Ipv6Addr::from_bits(0x2001_0db8 << 96 | network << 64 | 1);
        let (syn, fate) = lab.syn(SocketAddrV6::new(from, 1024, 0, 0));
        lab.offer(syn);
        forged.push((kept.recv_timeout(PATIENCE).unwrap(), fate));
        assert!(lab.engine.waits(&from, 2) && !lab.engine.waits(&from, 3));
    }
    assert!(!lab.engine.waits(&Ipv6Addr::LOCALHOST, 1));
    let (syn, fate) = lab.syn(Caller::new().address);
    lab.offer(syn);
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Released), "the bound of all questions still holds");
}

#[test]
fn without_a_route_no_syn_waits() {
    assert!(!Lab::new(options()).engine.waits(&Ipv6Addr::LOCALHOST, 1));
}
