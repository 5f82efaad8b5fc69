//! Queries over UDP.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use faith_sys::asked::{self, Asked};
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
    let mut buffer = [0; LONGEST];
    loop {
        let received = socket.async_io(Interest::READABLE, || asked::receive(&*socket, &mut buffer)).await;
        let Ok(received) = received else {
            sleep(PAUSE).await;
            continue;
        };
        forwarder.counters.udp_queries.add();
        let octets = &buffer[..received.length.min(LONGEST)];
        begin(&socket, &forwarder, octets, received.peer, received.asked);
    }
}

/// Answers a query at once if nothing has to be waited for, and in a task of its own otherwise.
fn begin(
    socket: &Rc<UdpSocket>,
    forwarder: &Rc<Forwarder>,
    octets: &[u8],
    peer: SocketAddr,
    asked: Option<Asked>,
) {
    let request = Request::read(octets);
    if request.as_ref().is_err_and(|rejected| *rejected == Rejected::Drop) {
        return forwarder.counters.dropped.add();
    }
    let allowance = forwarder.admit(peer.ip());
    let request = match request {
        Ok(request) => request,
        Err(rejected) => {
            forwarder.counters.rejected.add();
            if let (Rejected::Answer(response), Allowance::Answer) = (rejected, allowance) {
                send(socket, &response, peer, asked);
            }
            return;
        }
    };
    match allowance {
        Allowance::Answer => {}
        over => {
            forwarder.counters.rate_limited.add();
            if over == Allowance::Slip {
                send(socket, &request.empty(wire::TRUNCATED), peer, asked);
            }
            return;
        }
    }
    if let Some(response) = forwarder.at_once(&request, peer.ip()) {
        let response = fitting(response, &request, forwarder);
        return send(socket, &response, peer, asked);
    }
    let (socket, forwarder) = (Rc::clone(socket), Rc::clone(forwarder));
    let mut answer: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async move {
        let response = forwarder.answer(&request, peer.ip()).await;
        send(&socket, &fitting(response, &request, &forwarder), peer, asked);
    });
    if answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Pending {
        tokio::task::spawn_local(answer);
    }
}

/// The response, or one that says "truncated" if it does not fit into the client's datagram.
fn fitting(response: Vec<u8>, request: &Request, forwarder: &Forwarder) -> Vec<u8> {
    if response.len() <= request.datagram_limit() {
        return response;
    }
    forwarder.counters.truncated.add();
    request.empty(wire::TRUNCATED)
}

/// Sends a response. It is lost if the socket's buffer is full, as any datagram may be.
fn send(socket: &UdpSocket, response: &[u8], peer: SocketAddr, asked: Option<Asked>) {
    let _: io::Result<()> = asked::send(socket, response, peer, asked);
}
