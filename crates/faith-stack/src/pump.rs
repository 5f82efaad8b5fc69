//! The pump: what moves packets between the host's device and the stack's.
//!
//! Every worker owns one queue of each device and passes frames from one to the other with their virtio header
//! unchanged, so that 64 KiB segments and partial checksums cross in one read and one write. A flow's packets come
//! to one queue, the same of both devices and in both directions, without any table of ours; its SYN may come to
//! another where the shortcut takes the others (see [`spread`](crate::spread)).
//!
//! host → stack: the classifier decides; an initial SYN for a listener that holds SYNs is offered to its
//! service first (see [`held`](crate::held)), and one for a port that has no socket yet waits for it to be
//! made (see [`on_demand`](crate::on_demand)).
//!
//! stack → host: TCP and ICMPv6 errors from inside a prefix; nothing else leaves.

use std::cell::{OnceCell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::Cache;
use faith_packet::classify::{Classifier, DropReason, Flow, ToStack};
use faith_packet::icmpv6::{self, Unreachable};
use faith_packet::tcp;
use faith_sys::reactor::register_for;
use faith_sys::tun::{MAX_FRAME, Tun, VIRTIO_HEADER};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use crate::allowance::{Allowance, ClientAllowances};
use crate::answered::Answer;
use crate::counters::Counters;
use crate::cut::Frame;
use crate::held::{HeldSyn, Holding, NotHeld};
use crate::interface::Shared;
use crate::keepfaith::keepfaith;
use crate::listener::{Listener, Reach};
use crate::stand_in::StandIn;
use crate::warning::What;

/// Frames moved before other tasks of the worker get their turn.
const BATCH: usize = 64;

/// ICMPv6 errors per worker and second: RFC 4443 section 2.4(f) asks for a limit.
const ERRORS: u32 = 10_000;

/// Of these, to one network of length 64: a flooder uses up its own, and other clients are told as before.
const ERRORS_PER_CLIENT: u32 = 200;

/// One worker's two queues, and what it knows of the packets on them.
pub(crate) struct Pump {
    pub(crate) worker: usize,
    pub(crate) shared: Arc<Shared>,
    /// Told when connections begin.
    pub(crate) newcomers: Notify,
    pub(crate) outer: AsyncFd<Tun>,
    pub(crate) inner: AsyncFd<Tun>,
    /// Once the host's device has been deleted; `None` where it cannot be had.
    pub(crate) stand_in: OnceCell<Option<StandIn>>,
    errors: RefCell<ErrorLimit>,
}

impl Pump {
    /// Registers both queues with the current tokio runtime.
    pub(crate) fn new(worker: usize, shared: Arc<Shared>, outer: Tun, inner: Tun) -> io::Result<Rc<Self>> {
        Ok(Rc::new(Self {
            worker,
            shared,
            newcomers: Notify::new(),
            outer: register_for(outer, Interest::READABLE | Interest::ERROR)?,
            inner: register_for(inner, Interest::READABLE | Interest::ERROR)?,
            stand_in: OnceCell::new(),
            errors: RefCell::new(ErrorLimit::new()),
        }))
    }

    fn counters(&self) -> &Counters {
        &self.shared.counters[self.worker]
    }

    /// Moves packets from the host to the stack until the device is gone.
    pub(crate) async fn capture(self: Rc<Self>) {
        let mut classifier = Cache::new(Arc::clone(&self.shared.classifier));
        let mut frame = vec![0; MAX_FRAME];
        let each = |frame: &[u8]| self.capture_frame(classifier.load(), frame);
        let seen = || self.shared.seen(self.worker);
        drain(&self.outer, &mut frame, each, seen).await;
        // Before connections are reset, as clients may answer.
        self.stand_in();
        self.shared.lost();
    }

    /// Moves packets from the stack to the host until the device is gone.
    pub(crate) async fn give_back(self: Rc<Self>) {
        let mut classifier = Cache::new(Arc::clone(&self.shared.classifier));
        let mut frame = vec![0; MAX_FRAME];
        let each = |frame: &[u8]| self.give_back_frame(classifier.load(), frame);
        drain(&self.inner, &mut frame, each, || {}).await;
        self.shared.lost();
    }

    pub(crate) fn capture_frame(self: &Rc<Self>, classifier: &Classifier, frame: &[u8]) {
        let Some(packet) = frame.get(VIRTIO_HEADER..) else { return };
        match classifier.to_stack(packet, keepfaith()) {
            ToStack::Tcp | ToStack::Icmp | ToStack::Fragment => self.to_stack(frame),
            ToStack::Syn(flow) => {
                self.newcomers.notify_one();
                self.syn(flow, frame);
            }
            ToStack::Reset(flow) => {
                self.to_stack(frame);
                self.shared.held.reset(&flow, packet);
            }
            ToStack::Unreachable => {
                self.counters().drop(DropReason::Unsupported);
                self.send_unreachable(Unreachable::Prohibited, frame);
            }
            ToStack::Multicast => self.counters().host_multicast.add(1),
            ToStack::Drop(reason) => self.counters().drop(reason),
        }
    }

    pub(crate) fn give_back_frame(&self, classifier: &Classifier, frame: &[u8]) {
        let Some(packet) = frame.get(VIRTIO_HEADER..) else { return };
        if let Some(reason) = classifier.to_host(packet) {
            self.counters().drop(reason);
        } else if self.to_host(frame) {
            self.counters().returned_packets.add(1);
            self.counters().returned_bytes.add(packet.len() as u64);
        }
    }

    /// A SYN takes the way of the listener it is for; one that no listener wants gets the kernel's own RST.
    fn syn(self: &Rc<Self>, flow: Flow, frame: &[u8]) {
        let listeners = self.shared.listeners.load();
        let Some(listener) = listeners.find(&flow.destination) else { return self.to_stack(frame) };
        let Some(hold) = &listener.hold else { return self.show_syn(listener, flow, frame) };
        let counters = self.counters();
        match HeldSyn::hold(self, listener, hold, flow, frame) {
            Ok(syn) => {
                counters.syns_held.add(1);
                return Arc::clone(&listener.service).offered(self.worker, syn);
            }
            Err(NotHeld::Known(Holding::Undecided)) => return counters.drop(DropReason::Hold),
            Err(NotHeld::Known(Holding::Released)) => {}
            Err(NotHeld::Answered(answer)) => {
                if answer == Answer::Silence {
                    counters.drop(DropReason::Hold);
                }
                return self.answer_syn(answer, frame);
            }
            Err(NotHeld::BeyondTotal) => counters.syns_beyond_hold.add(1),
            Err(NotHeld::BeyondClient) => {
                counters.syns_beyond_client_hold.add(1);
                if listener.service.waits(flow.client.ip(), hold.limits.per_client) {
                    return counters.drop(DropReason::Hold);
                }
            }
            Err(NotHeld::BeyondRate) => counters.syns_beyond_client_hold.add(1),
        }
        self.show_syn(listener, flow, frame);
    }

    /// Hands a SYN to the kernel, once a socket is there to take it.
    pub(crate) fn show_syn(self: &Rc<Self>, listener: &Arc<Listener>, flow: Flow, frame: &[u8]) {
        match &listener.reach {
            Reach::OnDemand(sockets) if !sockets.ready(flow.destination.port()) => {
                sockets.open_for(listener, self.worker, flow.destination.port(), frame);
            }
            _ => self.to_stack(frame),
        }
    }

    /// Writes a captured frame into the stack.
    pub(crate) fn to_stack(&self, frame: &[u8]) {
        match self.inner.get_ref().write(frame) {
            Ok(()) => {
                self.counters().captured_packets.add(1);
                self.counters().captured_bytes.add((frame.len() - VIRTIO_HEADER) as u64);
            }
            Err(_) => self.counters().drop(DropReason::Backpressure),
        }
    }

    pub(crate) fn to_host(&self, frame: &[u8]) -> bool {
        let written = match self.outer.get_ref().write(frame) {
            Ok(()) => true,
            Err(error) if Tun::is_deleted(&error) => self.stand_in().is_some_and(|it| it.send(frame)),
            Err(_) => false,
        };
        if !written {
            self.counters().drop(DropReason::Backpressure);
        }
        written
    }

    fn stand_in(&self) -> Option<&StandIn> {
        let open = || {
            StandIn::open(self.worker == 0)
                .inspect_err(|error| {
                    let warn = || self.shared.warnings.send(What::ClientsUntold(error.to_string()));
                    self.shared.untold.call_once(warn);
                })
                .ok()
        };
        self.stand_in.get_or_init(open).as_ref()
    }

    /// Gives the SYN in `frame` an answer.
    pub(crate) fn answer_syn(&self, answer: Answer, frame: &[u8]) {
        match answer {
            Answer::Reset => {
                self.answer(frame, tcp::build_reset);
            }
            Answer::Unreachable(code) => self.send_unreachable(code, frame),
            Answer::Silence => {}
        }
    }

    /// Answers the packet in `frame` with ICMPv6 Destination Unreachable, if the limit of such errors allows.
    fn send_unreachable(&self, code: Unreachable, frame: &[u8]) {
        let Some(client) = frame.get(VIRTIO_HEADER..).and_then(icmpv6::client_network) else { return };
        if !self.errors.borrow_mut().take(client, Instant::now()) {
            return self.counters().unreachable_limited.add(1);
        }
        if self.answer(frame, |offending, out| icmpv6::build_unreachable(code, offending, out)) {
            self.counters().unreachable_sent.add(1);
        }
    }

    /// Sends what `build` makes of the packet in `frame`.
    fn answer(
        &self,
        frame: &[u8],
        build: impl FnOnce(&[u8], &mut [u8; icmpv6::MAX_LEN]) -> Option<usize>,
    ) -> bool {
        let Some(packet) = frame.get(VIRTIO_HEADER..) else { return false };
        Frame::build(|out| build(packet, out)).is_some_and(|answer| self.to_host(answer.octets()))
    }
}

/// How many ICMPv6 errors may be sent.
struct ErrorLimit {
    all: Allowance,
    clients: ClientAllowances,
}

impl ErrorLimit {
    fn new() -> Self {
        Self { all: Allowance::new(Instant::now()), clients: ClientAllowances::new(ERRORS_PER_CLIENT) }
    }

    /// Takes one to `client`, if there is one.
    fn take(&mut self, client: u128, now: Instant) -> bool {
        self.clients.take(client, now) && self.all.take(ERRORS, now)
    }
}

/// Reads frames as they come, until the device is gone. `empty` is told when none is left.
async fn drain(queue: &AsyncFd<Tun>, frame: &mut [u8], mut each: impl FnMut(&[u8]), empty: impl Fn()) {
    loop {
        // A device that was deleted reports an error and is never readable again (tun_chr_poll()).
        let Ok(mut ready) = queue.ready(Interest::READABLE | Interest::ERROR).await else { return };
        let mut moved = 0;
        loop {
            match queue.get_ref().read(frame) {
                Ok(length) => each(&frame[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready.clear_ready();
                    empty();
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
            moved += 1;
            if moved == BATCH {
                tokio::task::yield_now().await;
                moved = 0;
            }
        }
    }
}
