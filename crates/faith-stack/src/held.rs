//! Holds SYNs in the pump until their service decides.
//!
//! A table records each held flow as undecided or released. The pump drops retransmissions of an undecided SYN. It passes
//! those of a released SYN to the kernel, whose SYN-ACK may have been lost. A traceroute may send one SYN after another of
//! the same flow, each with another hop limit: a new one replaces an undecided one, whose owner learns that its client has
//! given up. The table belongs to the interface, because a
//! SYN goes to the worker with fewer SYNs waiting, and the client's next packet may come to another worker.
//!
//! An entry lives as long as the [`HeldSyn`] or the [`Released`] that owns it, and so does its place among the held SYNs
//! (see [`hold`](crate::hold)). A forged SYN whose server answers keeps its place until the service stops waiting for the
//! connection. So a flood of forged SYNs can make no more outgoing connections than there are places. The answer to a SYN
//! is kept for its retransmissions (see [`answered`](crate::answered)) and takes no place.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use faith_packet::classify::Flow;
use faith_packet::icmpv6::Unreachable;
use faith_packet::tcp;
use faith_packet::translate::Icmpv6Error;
use faith_sys::source::traffic_class;
use faith_sys::tun::VIRTIO_HEADER;
use tokio::sync::Notify;

use crate::answered::{Answered, Syn, SynAnswer};
use crate::flow_table::FlowTable;
use crate::hold::{Beyond, Hold, Place};

/// The state of a flow in the table, which decides about its further SYNs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holding {
    Undecided,
    Released,
}

/// The reason for not holding a SYN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotHeld {
    /// Its flow is in the table already.
    Known(Holding),
    /// It retransmits a SYN that has been answered.
    Answered(SynAnswer),
    /// No place is left for it.
    Beyond(Beyond),
}

/// The held flows of an interface, and the answers to those that were held.
pub(crate) struct HeldTable(FlowTable<Line, Answered>);

struct Line {
    syn: Syn,
    fate: Arc<Fate>,
}

impl Line {
    /// Tells whether another SYN of the flow replaces this one, because it looks for another router on the way.
    fn gives_way_to(&self, syn: &Syn) -> bool {
        self.syn != *syn && self.syn.is_probe() && self.fate.holding() == Holding::Undecided
    }
}

/// The state of a held SYN, shared by its owner and the worker that gets the client's next packet.
#[derive(Debug, Default)]
struct Fate {
    released: AtomicBool,
    given_up: Notify,
}

impl Fate {
    fn holding(&self) -> Holding {
        if self.released.load(Ordering::Relaxed) { Holding::Released } else { Holding::Undecided }
    }
}

impl HeldTable {
    pub(crate) fn new(workers: usize) -> Self {
        Self(FlowTable::beside(workers, Answered::new))
    }

    /// Handles a RST without ACK: the client gave up its held SYN, or answered a SYN-ACK that came too late.
    pub(crate) fn reset(&self, flow: &Flow, packet: &[u8]) {
        // A RST for this SYN carries the next sequence number; others are guesses (RFC 5961 section 3.2).
        if let Some(line) = self.0.at(flow).get()
            && tcp::sequence(packet) == line.syn.sequence.map(|it| it.wrapping_add(1))
        {
            line.fate.given_up.notify_one();
        }
    }

    /// Enters a flow that is not held yet, if `place` gives it a place.
    fn enter(
        &self,
        syn: Syn,
        place: impl FnOnce() -> Result<Place, Beyond>,
    ) -> Result<(Place, Arc<Fate>), NotHeld> {
        let mut slot = self.0.at(&syn.flow);
        let before = slot.get().filter(|line| !line.gives_way_to(&syn));
        if let Some(line) = before {
            return Err(NotHeld::Known(line.fate.holding()));
        }
        if let Some(answer) = slot.beside_mut().to(&syn, Instant::now) {
            return Err(NotHeld::Answered(answer));
        }
        let place = place().map_err(NotHeld::Beyond)?;
        let fate = Arc::<Fate>::default();
        if let Some(replaced) = slot.insert(Line { syn, fate: Arc::clone(&fate) }) {
            replaced.fate.given_up.notify_one();
        }
        Ok((place, fate))
    }

    /// Removes a SYN's flow, unless another SYN has replaced it, and keeps its answer for retransmissions.
    pub(crate) fn leave(&self, syn: &Syn, answer: Option<SynAnswer>) {
        let mut slot = self.0.at(&syn.flow);
        if slot.get().is_some_and(|line| line.syn == *syn) {
            slot.remove();
            if let Some(answer) = answer {
                slot.beside_mut().keep(syn, answer, Instant::now());
            }
        }
    }
}

/// Answers held SYNs, on the thread that holds them. A worker's lane is one; tests of a service may have their own.
pub trait Answerer {
    /// Passes the SYN in `frame`, behind its virtio header, to the kernel.
    fn release(&self, flow: &Flow, frame: &[u8]);

    /// Answers the SYN in `frame`.
    fn answer(&self, answer: SynAnswer, frame: &[u8]);

    /// Removes the flow: its SYN was answered or dropped, or its connection is not awaited any more after the release.
    fn leave(&self, syn: &Syn, answer: Option<SynAnswer>);
}

/// A client's SYN that the kernel has not seen yet.
///
/// Dropping it gives no answer, as if the network had lost it: the stack offers the client's retransmission again. For a
/// while, the pump itself repeats the answer to an answered SYN when the client retransmits it.
pub struct HeldSyn {
    entry: Entry,
    frame: Box<[u8]>,
}

/// Tells the owner of a [`HeldSyn`] that its client has given up.
#[derive(Debug)]
pub struct GiveUp(Arc<Fate>);

impl GiveUp {
    /// Ends [`HeldSyn::given_up`].
    pub fn tell(&self) {
        self.0.given_up.notify_one();
    }
}

impl HeldSyn {
    /// Makes a SYN that is in no table and takes no place, for tests of a service. `frame` is the SYN behind its virtio
    /// header, and may be empty.
    #[must_use]
    pub fn new(answerer: Rc<dyn Answerer>, flow: Flow, frame: Box<[u8]>) -> (Self, GiveUp) {
        let (syn, fate) = (Syn::of(flow, &frame), Arc::<Fate>::default());
        let give_up = GiveUp(Arc::clone(&fate));
        (Self { entry: Entry { answerer, syn, fate, answer: None, _place: None }, frame }, give_up)
    }

    /// Enters `flow` into the table, unless it is there already or that would exceed the listener's limits. In the end,
    /// `answerer` must call [`leave`](HeldTable::leave) for it.
    pub(crate) fn hold(
        table: &HeldTable,
        answerer: Rc<dyn Answerer>,
        hold: &Arc<Hold>,
        flow: Flow,
        frame: &[u8],
    ) -> Result<Self, NotHeld> {
        let syn = Syn::of(flow, frame);
        let (place, fate) = table.enter(syn, || Place::take(hold, flow.client.ip()))?;
        let entry = Entry { answerer, syn, fate, answer: None, _place: Some(place) };
        Ok(Self { entry, frame: frame.into() })
    }

    /// The client's address and port.
    #[must_use]
    pub fn client(&self) -> SocketAddrV6 {
        self.entry.syn.flow.client
    }

    /// The address and port that the client dialled.
    #[must_use]
    pub fn destination(&self) -> SocketAddrV6 {
        self.entry.syn.flow.destination
    }

    /// The traffic class of the SYN.
    #[must_use]
    pub fn traffic_class(&self) -> u8 {
        self.frame.get(VIRTIO_HEADER..).and_then(traffic_class).unwrap_or(0)
    }

    /// The hop limit that the SYN has left, if that is so small that the client looks for the routers on the way.
    #[must_use]
    pub fn probed_hops(&self) -> Option<u8> {
        self.entry.syn.hop_limit.filter(|_| self.entry.syn.is_probe())
    }

    /// Completes when the client gives up by a RST: before the release, or in answer to the SYN-ACK after
    /// [`release`](Self::release).
    pub fn given_up(&self) -> impl Future<Output = ()> + use<> {
        let fate = Arc::clone(&self.entry.fate);
        async move { fate.given_up.notified().await }
    }

    /// Passes the SYN to the kernel, which completes the handshake. The connection then arrives at
    /// [`Service::accepted`](crate::Service::accepted) with the same client and destination.
    ///
    /// The returned guard keeps the place among the held SYNs, and passes the SYN's retransmissions to the kernel. Hold it
    /// until the connection is accepted or no longer awaited.
    pub fn release(self) -> Released {
        let Self { entry, frame } = self;
        entry.fate.released.store(true, Ordering::Relaxed);
        entry.answerer.release(&entry.syn.flow, &frame);
        Released { _entry: entry }
    }

    /// Answers with a RST: the client's connect(2) fails with `ECONNREFUSED`.
    pub fn reset(self) {
        self.answer(SynAnswer::Reset);
    }

    /// Answers with ICMPv6 Destination Unreachable that quotes the SYN.
    pub fn unreachable(self, code: Unreachable) {
        self.answer(SynAnswer::Unreachable(code));
    }

    /// Answers with an ICMPv6 error of the router that `from` means. It quotes the SYN.
    pub fn error(self, error: Icmpv6Error, from: Ipv6Addr) {
        self.answer(SynAnswer::Error { error, from });
    }

    /// Gives no answer, to the retransmissions neither.
    pub fn ignore(self) {
        self.answer(SynAnswer::Silence);
    }

    fn answer(mut self, answer: SynAnswer) {
        self.entry.answer = Some(answer);
        self.entry.answerer.answer(answer, &self.frame);
    }
}

impl fmt::Debug for HeldSyn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldSyn").field("flow", &self.entry.syn.flow).finish_non_exhaustive()
    }
}

/// A SYN that the kernel has, and whose connection the service awaits. It counts towards
/// [`HoldLimits`](crate::HoldLimits) until it is dropped.
#[must_use = "dropping it frees the place among the held SYNs"]
pub struct Released {
    _entry: Entry,
}

impl fmt::Debug for Released {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Released")
    }
}

/// Owns a flow's line in the table.
struct Entry {
    answerer: Rc<dyn Answerer>,
    syn: Syn,
    fate: Arc<Fate>,
    /// The answer that the client got, if it got one.
    answer: Option<SynAnswer>,
    _place: Option<Place>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.answerer.leave(&self.syn, self.answer);
    }
}

#[cfg(test)]
mod tests;
