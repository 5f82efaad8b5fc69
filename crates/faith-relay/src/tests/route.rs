//! A route decides where a connection goes.

use std::io::Write;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use faith_packet::access::AccessList;
use faith_packet::icmpv6::Unreachable;
use faith_packet::ports::PortSet;
use faith_stack::{Captured, Service as _};

use super::{
    Caller, Fate, Lab, PATIENCE, eventually, options, read_exactly, read_to_end, read_to_reset, reset,
};
use crate::cause::Cause;
use crate::options::RelayOptions;
use crate::record::{RefusalReason, RefusalRecord, SessionEnd, SessionRecord};
use crate::{Observer, Question, Reject, RelayStats, Route, Routing, Taker, Terms, Verdict};

struct Says<F>(F);

struct Takes(Sender<Captured>);

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

impl<F: Fn(Question) + Send + Sync> Route for Says<F> {
    fn ask(&self, question: Question) {
        self.0(question);
    }
}

impl Taker for Takes {
    fn take(&self, _worker: usize, connection: Captured) {
        self.0.send(connection).unwrap();
    }
}

fn asking(timeout: Duration, max_undecided: u32, says: impl Fn(Question) + Send + Sync + 'static) -> Lab {
    let routing = Routing { route: Arc::new(Says(says)), ports: None, timeout, max_undecided };
    Lab::new(RelayOptions { routing: Some(routing), ..options() })
}

/// Makes a relay whose route takes every connection, and the channel of those connections.
fn handing(options: RelayOptions) -> (Lab, Receiver<Captured>) {
    let (given, taken) = channel();
    let wants = |question: Question| question.answer(Verdict::HandOver);
    let routing = Routing { route: Arc::new(Says(wants)), ports: None, timeout: PATIENCE, max_undecided: 1 };
    let sink = Arc::new(Takes(given));
    (Lab::new(RelayOptions { routing: Some(routing), taker: Some(sink), ..options }), taken)
}

fn expect_handed_over(lab: &Lab, client: &mut TcpStream, taken: &Receiver<Captured>) {
    let connection = taken.recv_timeout(PATIENCE).unwrap();
    assert_eq!(SocketAddr::V6(connection.client), client.local_addr().unwrap());
    assert_eq!(connection.destination, lab.destination);
    let mut far = TcpStream::from(connection.socket);
    far.set_nonblocking(false).unwrap();
    client.write_all(b"up").unwrap();
    assert_eq!(read_exactly(&mut far, 2), b"up");
    far.write_all(b"down").unwrap();
    drop(far);
    assert_eq!(read_to_end(client), b"down", "it ends as an ordinary socket does");
    let RelayStats { accepted, handed_over, sessions, refused, .. } = lab.engine.stats();
    assert_eq!((accepted, handed_over, sessions.begun, refused.sum()), (1, 1, 0, 0));
    assert!(lab.is_idle());
    assert!(lab.nothing_ended() && lab.server_has_no_connection());
}

fn named(server: SocketAddr, allow_any: bool) -> Verdict {
    Verdict::Connect { server, allow_any, terms: Terms::default() }
}

fn fate_of(lab: &Lab) -> Fate {
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
    let (mut far, _) = elsewhere.accept().unwrap();
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
        let (mut far, _) = elsewhere.accept().unwrap();
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
        server.accept().unwrap();
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
fn the_record_of_a_rejected_client_has_the_tag_of_the_verdict() {
    let verdict = Verdict::Reject { reject: Reject::Refused, tag: Some("bad".into()) };
    let lab = asking(PATIENCE, 1, move |question| question.answer(verdict.clone()));
    assert_eq!(fate_of(&lab), Fate::Reset);
    assert_eq!(lab.refused().tag.as_deref(), Some("bad"));
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

#[test]
fn a_route_may_take_a_connection_whose_syn_is_held() {
    let (lab, taken) = handing(RelayOptions { connect_first: true, max_sessions: Some(0), ..options() });
    let caller = Caller::new();
    let (syn, fate) = lab.syn(caller.address);
    lab.offer(syn);
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Released));
    expect_handed_over(&lab, &mut caller.dial(&lab), &taken);
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::PlaceFree));
    assert_eq!(lab.engine.pairing.len(), 0);
}

#[test]
fn a_route_may_take_a_connection_that_was_accepted_first() {
    let (lab, taken) = handing(options());
    expect_handed_over(&lab, &mut lab.dial(), &taken);
}

#[test]
fn a_client_that_is_gone_is_not_handed_over() {
    let (keep, kept) = channel();
    let lab = asking(PATIENCE, 1, move |question| keep.send(question).unwrap());
    let client = lab.dial();
    let question = kept.recv_timeout(PATIENCE).unwrap();
    reset(client);
    question.answer(Verdict::HandOver);
    assert_eq!(lab.refused().reason, RefusalReason::ClientReset);
    assert_eq!(lab.engine.stats().handed_over, 0);
}

#[test]
fn a_client_that_is_gone_after_sending_bytes_is_handed_over_with_them() {
    let (keep, kept) = channel();
    let (given, taken) = channel();
    let says = move |question| keep.send(question).unwrap();
    let routing = Routing { route: Arc::new(Says(says)), ports: None, timeout: PATIENCE, max_undecided: 1 };
    let sink = Arc::new(Takes(given));
    let lab = Lab::new(RelayOptions { routing: Some(routing), taker: Some(sink), ..options() });
    let mut client = lab.dial();
    let question: Question = kept.recv_timeout(PATIENCE).unwrap();
    client.write_all(b"last words").unwrap();
    reset(client);
    question.answer(Verdict::HandOver);
    let mut far = TcpStream::from(taken.recv_timeout(PATIENCE).unwrap().socket);
    assert_eq!(read_to_reset(&mut far), b"last words");
}

/// A taker that stands between the client and the server of each connection, and gives the test both ends.
struct Stands(Sender<(Captured, OwnedFd)>);

impl Taker for Stands {
    fn take(&self, _worker: usize, _connection: Captured) {
        unreachable!("no verdict hands a connection over");
    }

    fn stand_between(&self, _worker: usize, client: Captured, server: OwnedFd) {
        self.0.send((client, server)).unwrap();
    }
}

/// Makes options of a relay with such a taker and a route about these ports, and the channel of the ends.
fn standing_options(ports: Option<PortSet>) -> (RelayOptions, Receiver<(Captured, OwnedFd)>) {
    let (given, ends) = channel();
    let between = |question: Question| {
        question.answer(Verdict::Proceed(Terms { between: true, ..Terms::default() }));
    };
    let routing = Routing { route: Arc::new(Says(between)), ports, timeout: PATIENCE, max_undecided: 9 };
    let sink = Arc::new(Stands(given));
    (RelayOptions { routing: Some(routing), taker: Some(sink), ..options() }, ends)
}

/// Makes such a relay.
fn standing(ports: Option<PortSet>) -> (Lab, Receiver<(Captured, OwnedFd)>) {
    let (options, ends) = standing_options(ports);
    (Lab::new(options), ends)
}

#[test]
fn a_route_that_stands_between_gets_every_byte_and_the_session_is_counted() {
    let (lab, ends) = standing(None);
    let mut client = lab.dial();
    let (near, far) = ends.recv_timeout(PATIENCE).unwrap();
    assert_eq!(SocketAddr::V6(near.client), client.local_addr().unwrap());
    assert_eq!(near.destination, lab.destination);
    let [mut near, mut far] = [near.socket, far].map(|end| {
        let end = TcpStream::from(end);
        end.set_nonblocking(false).unwrap();
        end
    });
    let mut server = lab.answer();
    client.write_all(b"up").unwrap();
    assert_eq!(read_exactly(&mut near, 2), b"up");
    far.write_all(b"other").unwrap();
    assert_eq!(read_exactly(&mut server, 5), b"other");
    server.write_all(b"down").unwrap();
    assert_eq!(read_exactly(&mut far, 4), b"down");
    near.write_all(b"and back").unwrap();
    assert_eq!(read_exactly(&mut client, 8), b"and back");
    drop(near);
    assert_eq!(read_to_end(&mut client), b"");
    drop(client);
    let record = lab.ended();
    assert_eq!((record.bytes_up, record.bytes_down), (2, 8));
    assert_eq!(record.server, Some(server.local_addr().unwrap()));
    drop(far);
    assert_eq!(read_to_end(&mut server), b"");
}

#[test]
fn the_source_of_a_session_is_what_the_server_sees_also_with_a_route_between() {
    struct Sources(Sender<Option<SocketAddr>>);

    impl Observer for Sources {
        fn ended(&self, session: SessionRecord) -> bool {
            self.0.send(session.source).unwrap();
            true
        }

        fn refused(&self, _: RefusalRecord) -> bool {
            true
        }

        fn follows_sources(&self) -> bool {
            true
        }
    }

    let (told, sources) = channel();
    let (options, ends) = standing_options(None);
    let lab = Lab::watched(options, Arc::new(Sources(told)));
    let client = lab.dial();
    let (near, far) = ends.recv_timeout(PATIENCE).unwrap();
    let seen = lab.answer().peer_addr().unwrap();
    drop((client, near, far));
    assert_eq!(sources.recv_timeout(PATIENCE), Ok(Some(seen)));
}

#[test]
fn urgent_bytes_reach_a_route_that_stands_between_in_their_place() {
    let (lab, ends) = standing(None);
    let client = lab.dial();
    let (near, _far) = ends.recv_timeout(PATIENCE).unwrap();
    let mut near = TcpStream::from(near.socket);
    near.set_nonblocking(false).unwrap();
    faith_sys::tcp::transmit_urgent(&client, b'!').unwrap();
    assert_eq!(read_exactly(&mut near, 1), b"!");
}

#[test]
fn a_route_is_not_asked_about_other_ports() {
    let (lab, ends) = standing(Some(PortSet::single(1).unwrap()));
    let (mut client, mut server) = lab.session();
    client.write_all(b"plain").unwrap();
    assert_eq!(read_exactly(&mut server, 5), b"plain");
    assert!(ends.try_recv().is_err());
}
