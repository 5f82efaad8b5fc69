//! The pump: moves packets between the host's device and the stack's.
//!
//! Each worker owns one queue of each device (its [`Lane`]). It passes frames from one to the other with their virtio
//! header unchanged, so that 64 KiB segments and partial checksums cross in one read and one write. All packets of a flow
//! come to the same queue number on both devices, without a table in the pump. With the shortcut, the SYN may come to another queue
//! than the flow's other packets (see `spread.rs`).
//!
//! host → stack: the classifier decides. The pump offers an initial SYN to the service first if the listener holds SYNs
//! (see `held.rs`). A SYN for a port without a socket waits until the socket is made (see `on_demand.rs`).
//!
//! Datagrams and pings do not enter the stack: the pump gives them to the relay of their port (see `datagrams.rs`), and puts
//! their fragments together before.
//!
//! stack → host: only TCP and ICMPv6 errors from inside a prefix leave.

use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Instant;

use arc_swap::Cache;
use faith_packet::classify::{Classifier, DropReason, Flow, Kind, Piece, ToStack};
use faith_packet::icmpv6::Unreachable;
use faith_packet::reassembly::{Gathered, PATIENCE};
use faith_packet::tcp;
use faith_sys::tun::{MAX_FRAME, Tun, VIRTIO_HEADER};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::spawn_local;

use crate::answered::SynAnswer;
use crate::held::{Answerer, HeldSyn, Holding, NotHeld};
use crate::hold::Beyond;
use crate::keepfaith::keepfaith;
use crate::lane::Lane;

/// The number of frames moved before other tasks of the worker get their turn.
const BATCH: usize = 64;

/// Moves packets from the host to the stack until the device is gone.
pub(crate) async fn capture(lane: Rc<Lane>) {
    let mut classifier = Cache::new(Arc::clone(&lane.shared.classifier));
    let mut frame = vec![0; MAX_FRAME];
    let each = |frame: &[u8]| capture_frame(&lane, classifier.load(), frame);
    let pause = || lane.parts.borrow().flush();
    let empty = || lane.shared.seen(lane.worker);
    drain(&lane.outer, &mut frame, each, pause, empty).await;
    // The stand-in must hear clients before `lost` resets connections: clients may answer.
    lane.stand_in();
    lane.shared.lost();
}

/// Moves packets from the stack to the host until the device is gone.
pub(crate) async fn give_back(lane: Rc<Lane>) {
    let mut classifier = Cache::new(Arc::clone(&lane.shared.classifier));
    let mut frame = vec![0; MAX_FRAME];
    let each = |frame: &[u8]| give_back_frame(&lane, classifier.load(), frame);
    drain(&lane.inner, &mut frame, each, || {}, || {}).await;
    lane.shared.lost();
}

/// Moves a frame that came from the host.
pub(crate) fn capture_frame(lane: &Rc<Lane>, classifier: &Classifier, frame: &[u8]) {
    let Some(packet) = frame.get(VIRTIO_HEADER..) else { return };
    match classifier.to_stack(packet, keepfaith()) {
        ToStack::Tcp | ToStack::Icmp | ToStack::Fragment => lane.to_stack(frame),
        ToStack::Syn(flow) => {
            lane.newcomers.notify_one();
            capture_syn(lane, flow, frame);
        }
        ToStack::Reset(flow) => {
            lane.to_stack(frame);
            lane.shared.held.reset(&flow, packet);
        }
        ToStack::Datagram(flow) => capture_datagram(lane, classifier, Kind::Udp, &flow, frame),
        ToStack::DatagramError(flow) => capture_datagram_error(lane, Kind::Udp, &flow, frame, packet),
        ToStack::Echo(flow) => capture_datagram(lane, classifier, Kind::Echo, &flow, frame),
        ToStack::EchoError(flow) => capture_datagram_error(lane, Kind::Echo, &flow, frame, packet),
        ToStack::Piece(piece) => capture_piece(lane, classifier, piece, frame),
        verdict => refuse(lane, verdict, frame),
    }
}

/// Answers or drops a frame that nothing captures.
fn refuse(lane: &Lane, verdict: ToStack, frame: &[u8]) {
    match verdict {
        ToStack::Unreachable => {
            lane.counters().drop(DropReason::Unsupported);
            lane.send_unreachable(Unreachable::Prohibited, frame);
        }
        ToStack::Multicast => lane.counters().host_multicast.add(1),
        ToStack::Drop(reason) => lane.counters().drop(reason),
        // The others are captured.
        _ => {}
    }
}

/// Keeps a fragment for the relays until its packet is whole.
fn capture_piece(lane: &Rc<Lane>, classifier: &Classifier, piece: Piece, frame: &[u8]) {
    let (Piece::First(kind) | Piece::Later(kind)) = piece;
    if !lane.parts.borrow().take(kind) {
        return match piece {
            // A fragmented packet gets one answer only.
            Piece::First(_) => refuse(lane, classifier.unsupported_verdict(), frame),
            Piece::Later(Kind::Udp) => lane.counters().drop(DropReason::Unsupported),
            Piece::Later(Kind::Echo) => lane.to_stack(frame),
        };
    }
    let gathered = lane.pieces.borrow_mut().add(frame, Instant::now());
    count_lost_pieces(lane);
    match gathered {
        Gathered::Whole(whole) => capture_frame(lane, classifier, &whole),
        Gathered::Waits => {
            if !lane.expiring.replace(true) {
                spawn_local(expire_pieces(Rc::downgrade(lane)));
            }
        }
        Gathered::Refused => lane.counters().drop(DropReason::Fragment),
    }
}

/// Drops the packets that do not become whole, until none is left.
async fn expire_pieces(lane: Weak<Lane>) {
    loop {
        tokio::time::sleep(PATIENCE).await;
        let Some(lane) = lane.upgrade() else { return };
        lane.pieces.borrow_mut().expire(Instant::now());
        count_lost_pieces(&lane);
        if lane.pieces.borrow().is_empty() {
            lane.expiring.set(false);
            return;
        }
    }
}

/// Counts the fragments whose packets did not become whole.
fn count_lost_pieces(lane: &Lane) {
    (0..lane.pieces.borrow_mut().lost()).for_each(|_| lane.counters().drop(DropReason::Fragment));
}

/// Gives a datagram to the relay of its port, on the worker that has the state of its client.
fn capture_datagram(lane: &Lane, classifier: &Classifier, kind: Kind, flow: &Flow, frame: &[u8]) {
    let part = lane.parts.borrow().find(kind, &flow.destination).map(Rc::clone);
    let Some(part) = part else { return refuse(lane, classifier.unsupported_verdict(), frame) };
    if is_mine(lane, flow, frame) {
        lane.counters().captured_packets.add(1);
        lane.counters().captured_bytes.add((frame.len() - VIRTIO_HEADER) as u64);
        part.receive(frame);
    }
}

/// Gives an error about a datagram to the relay that sent the datagram, likewise.
fn capture_datagram_error(lane: &Lane, kind: Kind, flow: &Flow, frame: &[u8], packet: &[u8]) {
    let part = lane.parts.borrow().find(kind, &flow.destination).map(Rc::clone);
    let Some(part) = part else { return lane.counters().drop(DropReason::Icmp) };
    if is_mine(lane, flow, frame) {
        part.error(flow, packet);
    }
}

/// Returns true if this worker has the state of the flow's client. Otherwise passes the frame on to the one that has.
fn is_mine(lane: &Lane, flow: &Flow, frame: &[u8]) -> bool {
    let handovers = &lane.shared.handovers;
    let owner = lane.shared.mixing.owner(&flow.client, handovers.len());
    if owner == lane.worker {
        return true;
    }
    if !handovers.get(owner).is_some_and(|handover| handover.give(frame)) {
        lane.counters().drop(DropReason::Backpressure);
    }
    false
}

/// Moves the frames that came to other workers.
pub(crate) async fn take_over(lane: Rc<Lane>) {
    let mut classifier = Cache::new(Arc::clone(&lane.shared.classifier));
    let handover = &lane.shared.handovers[lane.worker];
    loop {
        handover.came().await;
        let mut moved = 0;
        while let Some(frame) = handover.next() {
            capture_frame(&lane, classifier.load(), &frame);
            moved += 1;
            if moved == BATCH {
                lane.parts.borrow().flush();
                tokio::task::yield_now().await;
                moved = 0;
            }
        }
        lane.parts.borrow().flush();
    }
}

/// Moves a frame that came from the stack.
pub(crate) fn give_back_frame(lane: &Lane, classifier: &Classifier, frame: &[u8]) {
    let Some(packet) = frame.get(VIRTIO_HEADER..) else { return };
    if let Some(reason) = classifier.to_host(packet) {
        lane.counters().drop(reason);
    } else if lane.to_host(frame) {
        lane.counters().returned_packets.add(1);
        lane.counters().returned_bytes.add(packet.len() as u64);
        if tcp::refuses_syn(packet) {
            lane.counters().drop(DropReason::NoListener);
        }
    }
}

/// Passes a SYN on as its listener requires. The kernel answers a SYN without a listener with a RST.
fn capture_syn(lane: &Rc<Lane>, flow: Flow, frame: &[u8]) {
    let listeners = lane.shared.listeners.load();
    let Some(listener) = listeners.find(&flow.destination) else { return lane.to_stack(frame) };
    let Some(hold) = &listener.hold else { return lane.show_syn(listener, &flow, frame) };
    let counters = lane.counters();
    let answerer = Rc::<Lane>::clone(lane);
    match HeldSyn::hold(&lane.shared.held, answerer, hold, flow, frame) {
        Ok(syn) => {
            counters.syns_held.add(1);
            return Arc::clone(&listener.service).offered(lane.worker, syn);
        }
        Err(NotHeld::Known(Holding::Undecided)) => return counters.drop(DropReason::Hold),
        Err(NotHeld::Known(Holding::Released)) => {}
        Err(NotHeld::Answered(answer)) => {
            if answer == SynAnswer::Silence {
                counters.drop(DropReason::Hold);
            }
            return lane.answer(answer, frame);
        }
        Err(NotHeld::Beyond(Beyond::Total)) => counters.syns_beyond_hold.add(1),
        Err(NotHeld::Beyond(Beyond::Client)) => {
            counters.syns_beyond_client_hold.add(1);
            if listener.service.waits(flow.client.ip(), hold.per_client()) {
                return counters.drop(DropReason::Hold);
            }
        }
        Err(NotHeld::Beyond(Beyond::Rate)) => counters.syns_beyond_client_hold.add(1),
    }
    lane.show_syn(listener, &flow, frame);
}

/// Reads frames as they come, until the device is gone. Calls `pause` before other tasks get their turn, and `empty`
/// whenever the queue is empty.
async fn drain(
    queue: &AsyncFd<Tun>,
    frame: &mut [u8],
    mut each: impl FnMut(&[u8]),
    pause: impl Fn(),
    empty: impl Fn(),
) {
    loop {
        // A device that was deleted reports an error and is never readable again (tun_chr_poll()).
        let Ok(mut ready) = queue.ready(Interest::READABLE | Interest::ERROR).await else { return };
        let mut moved = 0;
        loop {
            match queue.get_ref().read(frame) {
                Ok(length) => each(&frame[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready.clear_ready();
                    pause();
                    empty();
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return pause(),
            }
            moved += 1;
            if moved == BATCH {
                pause();
                tokio::task::yield_now().await;
                moved = 0;
            }
        }
    }
}
