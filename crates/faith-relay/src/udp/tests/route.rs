//! A route decides where datagrams go.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use faith_packet::access::AccessList;
use faith_packet::classify::DropReason;
use faith_packet::icmpv6::Unreachable;
use faith_packet::ports::PortSet;
use faith_packet::protocol::Protocol;
use faith_packet::proxy::Version;

use super::{Server, World, client, frame};
use crate::cause::Cause;
use crate::options::RelayOptions;
use crate::record::{RefusalReason, SessionEnd};
use crate::tests::{PATIENCE, options};
use crate::udp::UdpOptions;
use crate::{Question, Reject, Route, Routing, Terms, Verdict};

/// A route that keeps every question for the test, and reports withdrawn ones.
struct Keeps(Sender<Question>, Sender<u64>);

impl Route for Keeps {
    fn ask(&self, question: Question) {
        self.0.send(question).unwrap();
    }

    fn withdraw(&self, id: u64) {
        let _ = self.1.send(id);
    }
}

/// A relay whose route answers as the test does.
struct Routed {
    world: Rc<World>,
    questions: Receiver<Question>,
    withdrawn: Receiver<u64>,
}

impl Routed {
    fn run<F: Future<Output = ()>>(routing: impl FnOnce(Routing) -> Routing, test: impl FnOnce(Self) -> F) {
        let ((keep, questions), (tell, withdrawn)) = (channel(), channel());
        let route = Arc::new(Keeps(keep, tell));
        let routing = routing(Routing { route, ports: None, timeout: PATIENCE, max_undecided: 100 });
        let (udp, routing) = (Some(UdpOptions::default()), Some(routing));
        World::run_with(RelayOptions { udp, routing, ..options() }, |world| {
            test(Self { world, questions, withdrawn })
        });
    }

    async fn question(&self) -> Question {
        self.world.eventually("a question", || self.questions.try_recv().ok()).await
    }
}

fn proceed() -> Verdict {
    Verdict::Proceed(Terms::default())
}

#[test]
fn the_route_is_asked_once_for_a_session_and_its_first_datagrams_keep_their_order() {
    Routed::run(
        |it| it,
        async |routed| {
            let (world, server) = (&routed.world, Server::new());
            for data in [b"one", b"two", b"six"] {
                world.send(5000, server.dialled(), data);
            }
            let question = routed.question().await;
            assert_eq!((question.protocol, question.client), (Protocol::Udp, client(5000)));
            assert_eq!((question.destination, question.server), (server.dialled(), Some(server.address())));
            assert!(routed.questions.try_recv().is_err());
            assert_eq!(world.engine.ledger.sessions(0, 10).len(), 0, "no session before the verdict");
            question.answer(proceed());
            let relayed = || (world.engine.ledger.sessions(0, 10).len() == 1).then_some(());
            world.eventually("the session", relayed).await;
            world.send(5000, server.dialled(), b"ten");
            let heard: Vec<_> = (0..4).map(|_| server.hears().0).collect();
            assert_eq!(heard, [b"one", b"two", b"six", b"ten"]);
            assert!(routed.questions.try_recv().is_err());
            server.says(b"answer", source_of(&server, world));
            assert_eq!(world.got().await.from, server.dialled());
        },
    );
}

/// The address and port from which the session's datagrams leave.
fn source_of(server: &Server, world: &World) -> SocketAddr {
    world.send(5000, server.dialled(), b"where?");
    server.hears().1
}

#[test]
fn each_destination_of_a_client_is_a_question_of_its_own() {
    Routed::run(
        |it| it,
        async |routed| {
            let servers = [Server::new(), Server::new()];
            for server in &servers {
                routed.world.send(5000, server.dialled(), b"hello");
            }
            let questions = [routed.question().await, routed.question().await];
            assert_eq!(
                questions.each_ref().map(|it| it.destination),
                servers.each_ref().map(Server::dialled)
            );
            let [first, second] = questions;
            second.answer(proceed());
            assert_eq!(yielding(&routed, &servers[1]).await, b"hello");
            first.answer(proceed());
            assert_eq!(yielding(&routed, &servers[0]).await, b"hello");
            assert_eq!(routed.world.mappings(), 1, "both have the client's one port");
        },
    );
}

/// Lets the relay run until the server hears a datagram.
async fn yielding(routed: &Routed, server: &Server) -> Vec<u8> {
    server.0.set_nonblocking(true).unwrap();
    let mut data = [0; 100];
    let hear = || server.0.recv(&mut data).ok();
    let length = routed.world.eventually("a datagram at the server", hear).await;
    server.0.set_nonblocking(false).unwrap();
    data[..length].to_vec()
}

#[test]
fn a_route_sends_datagrams_to_another_server_whose_answers_come_from_the_dialled_address() {
    Routed::run(
        |it| it,
        async |routed| {
            let (world, dialled, other) =
                (&routed.world, Server::new(), Server::at(Ipv4Addr::new(127, 0, 0, 7)));
            world.send(5000, dialled.dialled(), b"question");
            let terms = Terms { tag: Some("moved".into()), ..Terms::default() };
            let server = other.address().into();
            routed.question().await.answer(Verdict::Connect { server, allow_any: true, terms });
            assert_eq!(yielding(&routed, &other).await, b"question");
            let session = &world.engine.ledger.sessions(0, 10)[0];
            assert_eq!((session.server, session.tag.as_deref()), (Some(server), Some("moved")));
            world.send(5000, dialled.dialled(), b"again");
            let from = other.hears().1;
            other.says(b"answer", from);
            let got = world.got().await;
            assert_eq!((got.from, &got.data[..]), (dialled.dialled(), &b"answer"[..]));
            // No access list ends it, as with connections.
            world.engine.set_access(AccessList::parse("", "list").unwrap(), true);
            world.send(5000, dialled.dialled(), b"still");
            assert_eq!(other.hears().0, b"still");
        },
    );
}

#[test]
fn a_server_that_the_route_names_is_denied_like_that_of_a_connection() {
    Routed::run(
        |it| it,
        async |routed| {
            let (world, server) = (&routed.world, Server::new());
            world.engine.set_access(AccessList::parse("", "list").unwrap(), false);
            world.send(5000, server.dialled(), b"question");
            let named = server.address().into();
            let verdict = Verdict::Connect { server: named, allow_any: false, terms: Terms::default() };
            routed.question().await.answer(verdict);
            let refusal = world.eventually("a refusal", || world.refusals.try_recv().ok()).await;
            assert_eq!((refusal.reason, refusal.server), (RefusalReason::Denied, Some(named)));
            assert_eq!(*world.wire.answers.borrow(), [Unreachable::Prohibited]);
        },
    );
}

#[test]
fn every_waiting_datagram_of_a_rejected_client_gets_the_answer_of_the_route() {
    for (reject, answer) in [
        (Reject::Refused, Some(Unreachable::PortUnreachable)),
        (Reject::Unreachable, Some(Unreachable::AddressUnreachable)),
        (Reject::Prohibited, Some(Unreachable::Prohibited)),
        (Reject::Drop, None),
    ] {
        Routed::run(
            |it| it,
            async |routed| {
                let (world, server) = (&routed.world, Server::new());
                world.send(5000, server.dialled(), b"one");
                world.send(5000, server.dialled(), b"two");
                routed.question().await.answer(Verdict::Reject { reject, tag: Some("no".into()) });
                let refusal = world.eventually("a refusal", || world.refusals.try_recv().ok()).await;
                assert_eq!(
                    (refusal.cause, refusal.tag.as_deref()),
                    (Some(Cause::RejectedByRoute), Some("no"))
                );
                assert_eq!(*world.wire.answers.borrow(), answer.map_or(vec![], |answer| vec![answer; 2]));
                // The next datagram is a new question.
                world.send(5000, server.dialled(), b"three");
                routed.question().await.answer(proceed());
                assert_eq!(yielding(&routed, &server).await, b"three");
            },
        );
    }
}

#[test]
fn verdicts_that_datagrams_cannot_have_refuse_the_client() {
    let ipv6 = SocketAddr::new(IpAddr::V6("2001:db8::1".parse().unwrap()), 53);
    let unsuitable = [
        Verdict::HandOver,
        Verdict::Connect { server: ipv6, allow_any: true, terms: Terms::default() },
        Verdict::Proceed(Terms { between: true, ..Terms::default() }),
        Verdict::Proceed(Terms { proxy: Some(Version::V2), ..Terms::default() }),
        Verdict::Proceed(Terms { privileged: Some(true), ..Terms::default() }),
        Verdict::Proceed(Terms { source: Some(ipv6.ip()), ..Terms::default() }),
    ];
    for verdict in unsuitable {
        Routed::run(
            |it| it,
            async |routed| {
                let (world, server) = (&routed.world, Server::new());
                world.send(5000, server.dialled(), b"question");
                routed.question().await.answer(verdict);
                let refusal = world.eventually("a refusal", || world.refusals.try_recv().ok()).await;
                assert_eq!((refusal.reason, refusal.cause), (RefusalReason::Error, Some(Cause::NoVerdict)));
                assert_eq!(*world.wire.answers.borrow(), [Unreachable::AddressUnreachable]);
            },
        );
    }
}

#[test]
fn a_route_without_a_verdict_refuses_the_client_when_its_time_is_up() {
    let timeout = Duration::from_millis(50);
    Routed::run(
        |it| Routing { timeout, ..it },
        async |routed| {
            let (world, server) = (&routed.world, Server::new());
            world.send(5000, server.dialled(), b"question");
            let refusal = world.eventually("a refusal", || world.refusals.try_recv().ok()).await;
            assert_eq!(refusal.cause, Some(Cause::NoVerdict));
            assert!(routed.question().await.is_late());
        },
    );
}

#[test]
fn at_most_four_datagrams_of_a_session_wait_and_more_are_counted_as_dropped() {
    Routed::run(
        |it| it,
        async |routed| {
            let (world, server) = (&routed.world, Server::new());
            for number in 0..9 {
                world.send(5000, server.dialled(), &[number]);
            }
            assert_eq!(*world.wire.dropped.borrow(), [DropReason::Hold; 5]);
            routed.question().await.answer(proceed());
            for number in 0..4 {
                assert_eq!(yielding(&routed, &server).await, [number]);
            }
        },
    );
}

#[test]
fn the_datagrams_that_wait_have_a_bound_in_all() {
    Routed::run(
        |it| Routing { max_undecided: 1000, ..it },
        async |routed| {
            let (server, data) = (Server::new(), vec![0; 60_000]);
            for port in 5000..5100 {
                routed.world.receive(&frame(client(port), server.dialled(), &data, None));
            }
            let most = (4 << 20) / 60_000;
            assert_eq!(routed.world.wire.dropped.borrow().len(), 100 - most);
        },
    );
}

#[test]
fn a_client_network_has_a_quarter_of_the_questions() {
    Routed::run(
        |it| Routing { max_undecided: 8, ..it },
        async |routed| {
            let (world, server) = (&routed.world, Server::new());
            for port in [5000, 5001, 5002] {
                world.send(port, server.dialled(), b"question");
            }
            let refusal = world.refusals.try_recv().unwrap();
            assert_eq!((refusal.client, refusal.cause), (client(5002), Some(Cause::MaxUndecided)));
            assert_eq!(*world.wire.answers.borrow(), [Unreachable::AddressUnreachable]);
            let mut other = client(5003);
            other.set_ip("2001:db8:2::2".parse().unwrap());
            world.receive(&frame(other, server.dialled(), b"question", None));
            assert!(world.refusals.try_recv().is_err());
            // An answer frees the place.
            routed.question().await.answer(proceed());
            yielding(&routed, &server).await;
            world.send(5004, server.dialled(), b"question");
            assert!(world.refusals.try_recv().is_err());
        },
    );
}

#[test]
fn ports_without_a_route_are_not_asked_about() {
    let server = Server::new();
    let other = PortSet::from_ranges([server.address().port() ^ 1].map(|port| (port, port)));
    Routed::run(
        |it| Routing { ports: Some(other.unwrap()), ..it },
        async |routed| {
            routed.world.send(5000, server.dialled(), b"question");
            assert_eq!(server.hears().0, b"question");
            assert!(routed.questions.try_recv().is_err());
        },
    );
}

#[test]
fn a_relay_that_closes_withdraws_its_questions_and_forgets_the_datagrams() {
    Routed::run(
        |it| it,
        async |routed| {
            let (world, server) = (&routed.world, Server::new());
            world.send(5000, server.dialled(), b"question");
            let question = routed.question().await;
            world.engine.ledger.close(Duration::ZERO, || {}).await;
            assert_eq!(routed.withdrawn.try_recv(), Ok(question.id));
            let refusal = world.refusals.try_recv().unwrap();
            assert_eq!((refusal.reason, refusal.cause), (RefusalReason::Aborted, Some(Cause::RelayClosed)));
            assert_eq!(*world.wire.dropped.borrow(), [DropReason::Hold]);
        },
    );
}

#[test]
fn the_route_limits_the_bytes_and_the_time_of_a_session() {
    Routed::run(
        |it| it,
        async |routed| {
            let (world, server) = (&routed.world, Server::new());
            world.send(5000, server.dialled(), b"12345");
            routed
                .question()
                .await
                .answer(Verdict::Proceed(Terms { max_bytes: Some(9), ..Terms::default() }));
            assert_eq!(yielding(&routed, &server).await, b"12345");
            world.send(5000, server.dialled(), b"6789");
            assert_eq!(server.hears().0, b"6789");
            world.send(5000, server.dialled(), b"0");
            let record = world.ended().await;
            assert_eq!((record.reason, record.bytes_up), (SessionEnd::MaxBytes, 10));

            world.send(5001, server.dialled(), b"brief");
            let idle_timeout = Some(Duration::from_millis(50));
            routed.question().await.answer(Verdict::Proceed(Terms { idle_timeout, ..Terms::default() }));
            assert_eq!(world.ended().await.reason, SessionEnd::IdleTimeout);
        },
    );
}

#[test]
fn the_route_names_the_address_that_datagrams_come_from() {
    Routed::run(
        |it| it,
        async |routed| {
            let (world, server) = (&routed.world, Server::new());
            world.send(5000, server.dialled(), b"question");
            let source: IpAddr = "127.0.0.44".parse().unwrap();
            routed
                .question()
                .await
                .answer(Verdict::Proceed(Terms { source: Some(source), ..Terms::default() }));
            yielding(&routed, &server).await;
            assert_eq!(source_of(&server, world).ip(), source);
            routed.questions.try_recv().unwrap_err();
        },
    );
}
