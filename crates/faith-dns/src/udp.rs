//! Queries over UDP.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use faith_sys::asked::{self, Answer, Asked, Batch};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::sleep;

use crate::clients::Allowance;
use crate::forwarder::Forwarder;
use crate::request::{Rejected, Request};
use crate::wire;

/// The longest query that is read. A query is a name and an OPT record.
const LONGEST: usize = 4096;

/// The pause after an error of recvmsg(2), such as that memory is short.
const PAUSE: Duration = Duration::from_millis(10);

/// Answers the datagrams of a socket until the task is dropped.
pub(crate) async fn serve(socket: Rc<UdpSocket>, forwarder: Rc<Forwarder>) {
    let mut batch = Batch::new(LONGEST);
    let mut answers = Vec::new();
    loop {
        let received = socket.async_io(Interest::READABLE, || batch.receive(&*socket)).await;
        if received.is_err() {
            sleep(PAUSE).await;
            continue;
        }
        for (octets, received) in batch.datagrams() {
            forwarder.counters.udp_queries.add();
            let answer = begin(&socket, &forwarder, octets, received.peer, received.asked);
            answers.extend(answer.map(|datagram| Answer {
                datagram,
                peer: received.peer,
                asked: received.asked,
            }));
        }
        send(&socket, &answers);
        answers.clear();
    }
}

/// The answer to a query if nothing has to be waited for. Otherwise it leaves in a task of its own.
fn begin(
    socket: &Rc<UdpSocket>,
    forwarder: &Rc<Forwarder>,
    octets: &[u8],
    peer: SocketAddr,
    asked: Option<Asked>,
) -> Option<Vec<u8>> {
    let request = Request::read(octets);
    if request.as_ref().is_err_and(|rejected| *rejected == Rejected::Drop) {
        forwarder.counters.dropped.add();
        return None;
    }
    let allowance = forwarder.admit(peer.ip());
    let request = match request {
        Ok(request) => request,
        Err(rejected) => {
            forwarder.counters.rejected.add();
            return match rejected {
                Rejected::Answer(response) if allowance == Allowance::Answer => Some(response),
                _ => None,
            };
        }
    };
    match allowance {
        Allowance::Answer => {}
        over => {
            forwarder.counters.rate_limited.add();
            return (over == Allowance::Slip).then(|| request.empty(wire::TRUNCATED));
        }
    }
    if let Some(response) = forwarder.at_once(&request, peer.ip()) {
        return Some(fitting(response, &request, forwarder));
    }
    let (socket, forwarder) = (Rc::clone(socket), Rc::clone(forwarder));
    let mut answer: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async move {
        let response = forwarder.answer(&request, peer.ip()).await;
        let datagram = fitting(response, &request, &forwarder);
        send(&socket, &[Answer { datagram, peer, asked }]);
    });
    if answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Pending {
        tokio::task::spawn_local(answer);
    }
    None
}

/// The response, or one that says "truncated" if it does not fit into the client's datagram.
fn fitting(response: Vec<u8>, request: &Request, forwarder: &Forwarder) -> Vec<u8> {
    if response.len() <= request.datagram_limit() {
        return response;
    }
    forwarder.counters.truncated.add();
    request.empty(wire::TRUNCATED)
}

/// Sends responses. One is lost if the socket's buffer is full, as any datagram may be, or if it cannot leave.
fn send(socket: &UdpSocket, mut answers: &[Answer]) {
    while !answers.is_empty() {
        let sent = asked::send(socket, answers).unwrap_or(1).max(1);
        answers = answers.get(sent..).unwrap_or_default();
    }
}
