//! A worker's lane: its queue of each device, and all writes to them.
//!
//! The pump reads from the lane. Held SYNs are released and answered through it. Accept loops and the final flush use it
//! too.

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::net::Ipv6Addr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use faith_packet::classify::{DropReason, Flow};
use faith_packet::icmpv6::{self, Unreachable};
use faith_packet::prefix::network_of;
use faith_packet::reassembly::Reassembly;
use faith_packet::tcp;
use faith_sys::reactor::register_for;
use faith_sys::tun::{Tun, VIRTIO_HEADER};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use crate::allowance::{Allowance, ClientAllowances, Rate};
use crate::answered::{Syn, SynAnswer};
use crate::counters::Counters;
use crate::cut::Frame;
use crate::datagrams::Parts;
use crate::held::Answerer;
use crate::listener::{Listener, Passage, Reach};
use crate::shared::Shared;
use crate::stand_in::StandIn;
use crate::warning;

/// The limit of ICMPv6 errors per worker and second, which RFC 4443 section 2.4(f) requires.
const ERRORS: Rate = Rate::per_second(10_000);

/// The limit for one /64 network, so that a flooder cannot use up the errors of other clients.
const ERRORS_PER_CLIENT: Rate = Rate::per_second(200);

/// One worker's two queues, and the state needed to write to them.
pub(crate) struct Lane {
    pub(crate) worker: usize,
    pub(crate) shared: Arc<Shared>,
    /// Notified when a connection begins.
    pub(crate) newcomers: Notify,
    pub(crate) outer: AsyncFd<Tun>,
    pub(crate) inner: AsyncFd<Tun>,
    /// Set once the host's device was deleted; `None` if it cannot be opened.
    stand_in: OnceCell<Option<StandIn>>,
    errors: RefCell<ErrorLimit>,
    /// The parts of relays of datagrams.
    pub(crate) parts: RefCell<Parts>,
    /// The fragments for them.
    pub(crate) pieces: RefCell<Reassembly>,
    /// True while a task drops those that wait for too long.
    pub(crate) expiring: Cell<bool>,
}

impl Lane {
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
            parts: RefCell::default(),
            pieces: RefCell::default(),
            expiring: Cell::new(false),
        }))
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.shared.counters[self.worker]
    }

    /// Hands a SYN to the kernel, as soon as `listener` has a socket for it.
    pub(crate) fn show_syn(&self, listener: &Arc<Listener>, flow: &Flow, frame: &[u8]) {
        match &listener.reach {
            Reach::Always(_) => self.to_stack(frame),
            Reach::OnDemand(opener) => {
                match Arc::clone(opener).pass(listener, self.worker, flow.destination.port(), frame) {
                    Passage::Open => self.to_stack(frame),
                    Passage::Waits => {}
                    Passage::Full => self.counters().drop(DropReason::Hold),
                }
            }
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

    /// Writes a frame to the host. Returns true if that succeeded.
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

    /// Opens the stand-in for a deleted device, once.
    pub(crate) fn stand_in(&self) -> Option<&StandIn> {
        let open = || {
            StandIn::open(self.worker == 0)
                .inspect_err(|error| {
                    let warn = || self.shared.warnings.send(warning::Kind::ClientsUntold(error.to_string()));
                    self.shared.untold.call_once(warn);
                })
                .ok()
        };
        self.stand_in.get_or_init(open).as_ref()
    }

    /// The stand-in for a deleted device, if one was opened.
    pub(crate) fn opened_stand_in(&self) -> Option<&StandIn> {
        self.stand_in.get().and_then(Option::as_ref)
    }

    /// Answers the packet in `frame` with ICMPv6 Destination Unreachable, within the limits of such errors.
    pub(crate) fn send_unreachable(&self, code: Unreachable, frame: &[u8]) {
        self.send_error(frame, |offending, out| icmpv6::build_unreachable(code, offending, out));
    }

    /// Answers the packet in `frame` with the ICMPv6 error that `build` makes, within the limits of such errors.
    fn send_error(
        &self,
        frame: &[u8],
        build: impl FnOnce(&[u8], &mut [u8; icmpv6::MAX_LEN]) -> Option<usize>,
    ) {
        let Some(client) = frame.get(VIRTIO_HEADER..).and_then(icmpv6::client_network) else { return };
        if self.may_tell(client) && self.reply(frame, build) {
            self.counters().unreachable_sent.add(1);
        }
    }

    /// Takes one ICMPv6 error to a client from the limits of such errors. Returns false if one is used up.
    pub(crate) fn may_report(&self, client: Ipv6Addr) -> bool {
        self.may_tell(network_of(client, 64))
    }

    fn may_tell(&self, network: u128) -> bool {
        let may = self.errors.borrow_mut().take(network, Instant::now());
        if !may {
            self.counters().unreachable_limited.add(1);
        }
        may
    }

    /// Sends the answer that `build` makes from the packet in `frame`. Returns true if that succeeded.
    fn reply(
        &self,
        frame: &[u8],
        build: impl FnOnce(&[u8], &mut [u8; icmpv6::MAX_LEN]) -> Option<usize>,
    ) -> bool {
        let Some(packet) = frame.get(VIRTIO_HEADER..) else { return false };
        Frame::build(|out| build(packet, out)).is_some_and(|answer| self.to_host(answer.octets()))
    }
}

impl Answerer for Lane {
    fn release(&self, flow: &Flow, frame: &[u8]) {
        // Listeners may have been added or closed since the SYN was held.
        match self.shared.listeners.load().find(&flow.destination) {
            Some(listener) => self.show_syn(listener, flow, frame),
            None => self.to_stack(frame),
        }
    }

    fn answer(&self, answer: SynAnswer, frame: &[u8]) {
        match answer {
            // Resets need no limit. RFC 4443 requires one for ICMPv6 errors alone, and the kernel sets none for the resets
            // of closed ports either (tcp_v6_send_reset()). A reset is never longer than the SYN that it answers, so a
            // flood of forged SYNs gains nothing by it.
            SynAnswer::Reset => {
                self.reply(frame, tcp::build_reset);
            }
            SynAnswer::Unreachable(code) => self.send_unreachable(code, frame),
            SynAnswer::Error { error, from } => {
                self.send_error(frame, |offending, out| icmpv6::build_about(error, from, offending, out));
            }
            SynAnswer::Silence => {}
        }
    }

    fn leave(&self, syn: &Syn, answer: Option<SynAnswer>) {
        self.shared.held.leave(syn, answer);
    }
}

/// The limits of ICMPv6 errors.
struct ErrorLimit {
    all: Allowance,
    clients: ClientAllowances,
}

impl ErrorLimit {
    fn new() -> Self {
        Self { all: Allowance::default(), clients: ClientAllowances::new(ERRORS_PER_CLIENT) }
    }

    /// Takes one error to `client` from both limits. Returns false if one is used up.
    fn take(&mut self, client: u128, now: Instant) -> bool {
        self.clients.take(client, now) && self.all.take(ERRORS, now)
    }
}
