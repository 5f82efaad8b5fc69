use std::future::{Future, poll_fn};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::task::Poll;

use faith_sys::reactor;
use faith_sys::tcp::Connection;
use socket2::SockRef;

use super::*;

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    near.set_nonblocking(true).unwrap();
    tcp::prepare_leg(&near).unwrap();
    (near, listener.accept().unwrap().0)
}

/// A leg whose peer's end, or reset, has arrived.
async fn leg_at_its_end(stream: TcpStream) -> Leg {
    let fd = reactor::register(Connection::new(stream.into())).unwrap();
    loop {
        let mut ready = fd.readable().await.unwrap();
        if ready.ready().is_read_closed() {
            break;
        }
        ready.clear_ready();
    }
    let mut leg = to_be_read(Leg::new(fd));
    leg.read_closed = true;
    leg
}

fn leg(stream: TcpStream) -> Leg {
    to_be_read(Leg::register(Connection::new(stream.into())).unwrap())
}

/// Marks a leg as if epoll had reported bytes, and perhaps an urgent one.
fn to_be_read(mut leg: Leg) -> Leg {
    (leg.readable, leg.mark_ahead) = (true, true);
    leg
}

fn in_runtime(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

fn to_its_end(source: &mut Leg, sink: &mut Leg) -> Flow {
    let mut direction = Direction::new(true);
    loop {
        let flow = direction.advance(source, sink, &mut [0; MESSAGE], false).unwrap();
        if flow != Flow::Again {
            return flow;
        }
    }
}

/// Reads `ordinary` bytes, then the urgent one.
fn hears_urgent_behind(receiver: &mut TcpStream, ordinary: usize) {
    SockRef::from(&*receiver).set_out_of_band_inline(true).unwrap();
    let mut bytes = vec![0; ordinary];
    receiver.read_exact(&mut bytes).unwrap();
    assert!(bytes.iter().all(|&byte| byte == b'.'));
    // Waits for the byte behind them before asking for the mark.
    assert_eq!(receiver.peek(&mut [0]).unwrap(), 1);
    assert!(tcp::at_mark(&*receiver), "the byte is no longer urgent");
    let mut urgent = [0];
    receiver.read_exact(&mut urgent).unwrap();
    assert_eq!(&urgent, b"!");
    assert!(!tcp::at_mark(&*receiver));
}

#[test]
fn an_urgent_byte_that_is_the_last_of_bulk_is_not_lost() {
    in_runtime(async {
        let ((source, sender), (sink, mut receiver)) = (pair(), pair());
        SockRef::from(&receiver).set_out_of_band_inline(true).unwrap();
        SockRef::from(&sender).send_out_of_band(b"!").unwrap();
        drop(sender);
        let (mut source, mut sink) = (leg_at_its_end(source).await, leg(sink));
        let mut direction = Direction { bulk: true, ..Direction::new(true) };
        let flow = direction.advance(&mut source, &mut sink, &mut [0; MESSAGE], false).unwrap();
        assert_eq!(flow, Flow::Ended);
        let mut bytes = Vec::new();
        receiver.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"!");
    });
}

#[test]
fn an_urgent_byte_that_comes_before_any_other_stays_urgent() {
    in_runtime(async {
        let ((source, sender), (sink, mut receiver)) = (pair(), pair());
        SockRef::from(&sender).send_out_of_band(b"!").unwrap();
        (&sender).write_all(b"after").unwrap();
        drop(sender);
        let (mut source, mut sink) = (leg_at_its_end(source).await, leg(sink));
        assert_eq!(to_its_end(&mut source, &mut sink), Flow::Ended);
        hears_urgent_behind(&mut receiver, 0);
    });
}

#[test]
fn an_urgent_byte_after_the_last_short_read_of_bulk_stays_urgent() {
    in_runtime(async {
        let ((source, sender), (sink, mut receiver)) = (pair(), pair());
        (&sender).write_all(&vec![b'.'; MESSAGE + 100]).unwrap();
        SockRef::from(&sender).send_out_of_band(b"!").unwrap();
        (&sender).write_all(b"after").unwrap();
        drop(sender);
        let (mut source, mut sink) = (leg_at_its_end(source).await, leg(sink));
        source.mark_ahead = true;
        assert_eq!(to_its_end(&mut source, &mut sink), Flow::Ended);
        hears_urgent_behind(&mut receiver, MESSAGE + 100);
    });
}

#[test]
fn a_reset_that_was_reported_before_is_not_passed_on_as_a_fin() {
    in_runtime(async {
        let ((source, sender), (sink, receiver)) = (pair(), pair());
        tcp::prepare_leg(&sender).unwrap();
        drop(sender);
        let (mut source, mut sink) = (leg_at_its_end(source).await, leg(sink));
        assert!(tcp::take_error(&source).unwrap().is_some());
        source.failed = true;
        let flow = Direction::new(true).advance(&mut source, &mut sink, &mut [0; MESSAGE], false).unwrap();
        assert_eq!(flow, Flow::Waiting);
        receiver.set_nonblocking(true).unwrap();
        let heard = (&receiver).read(&mut [0]).expect_err("a FIN was sent");
        assert_eq!(heard.kind(), io::ErrorKind::WouldBlock);
    });
}

#[test]
fn a_sink_of_bulk_holds_few_unsent_bytes_and_a_sink_of_messages_has_no_bound() {
    in_runtime(async {
        for (length, bound) in [(MESSAGE - 1, 0), (MESSAGE, UNSENT)] {
            let ((source, mut sender), (sink, _receiver)) = (pair(), pair());
            sender.write_all(&vec![b'.'; length]).unwrap();
            let (mut source, mut sink) = (leg(source), leg(sink));
            let mut direction = Direction::new(true);
            direction.advance(&mut source, &mut sink, &mut [0; MESSAGE], false).unwrap();
            assert_eq!(direction.bytes, length as u64);
            assert_eq!(SockRef::from(&sink).tcp_notsent_lowat().unwrap(), bound);
        }
    });
}

#[test]
fn a_sink_sends_small_writes_at_once_from_the_second_on() {
    in_runtime(async {
        let ((near_source, mut sender), (near_sink, mut receiver)) = (pair(), pair());
        let (mut source, mut sink) = (leg(near_source), leg(near_sink));
        source.readable = false;
        let mut direction = Direction::new(false);
        for (message, at_once) in [(b"one", false), (b"two", true)] {
            sender.write_all(message).unwrap();
            poll_fn(|cx| {
                source.take_edges(cx).unwrap();
                if source.readable { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            direction.advance(&mut source, &mut sink, &mut [0; MESSAGE], false).unwrap();
            receiver.read_exact(&mut [0; 3]).unwrap();
            assert_eq!(SockRef::from(&sink).tcp_nodelay().unwrap(), at_once);
        }
    });
}
