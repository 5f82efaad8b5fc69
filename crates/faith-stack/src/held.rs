//! SYNs held in the pump until their service decides.
//!
//! A table says of each held flow whether its SYN is still undecided (then retransmissions are swallowed) or was
//! released (then they go on to the kernel, whose SYN-ACK may have been lost). A SYN goes to the worker that has
//! fewer waiting, and the client's next packet may come to another one, so the table belongs to the interface. An entry
//! lives as long as the [`HeldSyn`] or the [`Released`] that owns it, and so does its place among the held SYNs (see
//! [`hold`](crate::hold)): a forged SYN whose server answers takes up a place until the service stops waiting for the
//! connection, so a flood of them can make no more outgoing connections than there are places. The answer to a SYN stays
//! behind for its retransmissions (see [`answered`](crate::answered)), and takes up no place.

use std::fmt;
use std::net::SocketAddrV6;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use faith_packet::classify::Flow;
use faith_packet::icmpv6::Unreachable;
use faith_packet::tcp;
use faith_sys::source::traffic_class;
use faith_sys::tun::VIRTIO_HEADER;
use tokio::sync::Notify;

use crate::answered::{Answered, SynAnswer};
use crate::flow_table::FlowTable;
use crate::hold::{Beyond, Hold, Place};

/// What is done with another SYN of a flow in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holding {
    Undecided,
    Released,
}

/// Why a SYN is not held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotHeld {
    /// Its flow is in the table already.
    Known(Holding),
    /// It is the retransmission of one that has been answered.
    Answered(SynAnswer),
    /// No place is left for it.
    Beyond(Beyond),
}

/// The held flows of an interface, and the answers to those that were held.
pub(crate) struct HeldTable(FlowTable<Line, Answered>);

struct Line {
    sequence: Option<u32>,
    fate: Arc<Fate>,
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

    /// Takes note of a RST that acknowledges nothing: of a held SYN, or in answer to the SYN-ACK that came too
    /// late.
    pub(crate) fn reset(&self, flow: &Flow, packet: &[u8]) {
        // A RST that is about this SYN and no guess carries the next number (RFC 5961 section 3.2).
        if let Some(line) = self.0.at(flow).get()
            && tcp::sequence(packet) == line.sequence.map(|it| it.wrapping_add(1))
        {
            line.fate.given_up.notify_one();
        }
    }

    /// Enters a flow that is not held yet and for which there is a place.
    fn enter(
        &self,
        flow: Flow,
        frame: &[u8],
        place: impl FnOnce() -> Result<Place, Beyond>,
    ) -> Result<(Place, Arc<Fate>), NotHeld> {
        let mut slot = self.0.at(&flow);
        if let Some(line) = slot.get() {
            return Err(NotHeld::Known(line.fate.holding()));
        }
        let sequence = frame.get(VIRTIO_HEADER..).and_then(tcp::sequence);
        if let Some(answer) = slot.beside_mut().to(&(flow, sequence), Instant::now) {
            return Err(NotHeld::Answered(answer));
        }
        let place = place().map_err(NotHeld::Beyond)?;
        let fate = Arc::<Fate>::default();
        slot.insert(Line { sequence, fate: Arc::clone(&fate) });
        Ok((place, fate))
    }

    /// Lets a flow go, and keeps the answer that its SYN was given for its retransmissions.
    pub(crate) fn leave(&self, flow: &Flow, answer: Option<SynAnswer>) {
        let mut slot = self.0.at(flow);
        if let Some(Line { sequence, .. }) = slot.remove()
            && let Some(answer) = answer
        {
            slot.beside_mut().keep(&(*flow, sequence), answer, Instant::now());
        }
    }
}

/// Gives a held SYN its answer, on the thread that holds it. A worker's lane does so; a test of a service may have an
/// answerer of its own.
pub trait Answerer {
    /// Lets the SYN in `frame`, behind its virtio header, go on to the kernel.
    fn release(&self, flow: &Flow, frame: &[u8]);

    /// Gives the SYN in `frame` an answer.
    fn answer(&self, answer: SynAnswer, frame: &[u8]);

    /// Lets the flow go: the SYN was answered or dropped, or was released and is awaited no more.
    fn leave(&self, flow: &Flow, answer: Option<SynAnswer>);
}

/// A client's SYN, taken off the wire and not yet shown to the kernel.
///
/// Dropping it answers nothing, as a network that loses packets: the client's retransmission is offered anew. To the
/// retransmissions of a SYN that was answered the pump gives the same answer by itself for a while.
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
    /// A SYN that is in no table and takes up no place, for tests of a service. `frame` is the SYN behind its virtio
    /// header, and may be empty.
    #[must_use]
    pub fn new(answerer: Rc<dyn Answerer>, flow: Flow, frame: Box<[u8]>) -> (Self, GiveUp) {
        let fate = Arc::<Fate>::default();
        let give_up = GiveUp(Arc::clone(&fate));
        (Self { entry: Entry { answerer, flow, fate, answer: None, _place: None }, frame }, give_up)
    }

    /// Takes `flow` into the table, unless it is there or that would go past the listener's limits. `answerer` is to
    /// have [`leave`](HeldTable::leave) called for it in the end.
    pub(crate) fn hold(
        table: &HeldTable,
        answerer: Rc<dyn Answerer>,
        hold: &Arc<Hold>,
        flow: Flow,
        frame: &[u8],
    ) -> Result<Self, NotHeld> {
        let (place, fate) = table.enter(flow, frame, || Place::take(hold, flow.client.ip()))?;
        let entry = Entry { answerer, flow, fate, answer: None, _place: Some(place) };
        Ok(Self { entry, frame: frame.into() })
    }

    /// Who connects.
    #[must_use]
    pub fn client(&self) -> SocketAddrV6 {
        self.entry.flow.client
    }

    /// What the client dialled.
    #[must_use]
    pub fn destination(&self) -> SocketAddrV6 {
        self.entry.flow.destination
    }

    /// The traffic class it came with.
    #[must_use]
    pub fn traffic_class(&self) -> u8 {
        self.frame.get(VIRTIO_HEADER..).and_then(traffic_class).unwrap_or(0)
    }

    /// Ends when the client has said by a RST that it wants the connection no more: of the SYN, or of the SYN-ACK
    /// after [`release`](Self::release).
    pub fn given_up(&self) -> impl Future<Output = ()> + use<> {
        let fate = Arc::clone(&self.entry.fate);
        async move { fate.given_up.notified().await }
    }

    /// Lets the SYN go on to the kernel, which completes the handshake; the connection then arrives at
    /// [`Service::accepted`](crate::Service::accepted) with the same client and destination.
    ///
    /// The returned guard keeps the place among the held SYNs, and lets the SYN's retransmissions go on to the
    /// kernel, until it is dropped: hold it as long as something waits for this connection to be accepted.
    pub fn release(self) -> Released {
        let Self { entry, frame } = self;
        entry.fate.released.store(true, Ordering::Relaxed);
        entry.answerer.release(&entry.flow, &frame);
        Released { _entry: entry }
    }

    /// Answers with RST: the client sees `ECONNREFUSED`.
    pub fn reset(self) {
        self.answer(SynAnswer::Reset);
    }

    /// Answers with ICMPv6 Destination Unreachable that quotes the SYN.
    pub fn unreachable(self, code: Unreachable) {
        self.answer(SynAnswer::Unreachable(code));
    }

    /// Answers nothing, and nothing to the retransmissions either.
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
        f.debug_struct("HeldSyn").field("flow", &self.entry.flow).finish_non_exhaustive()
    }
}

/// A SYN that went on to the kernel and whose connection is still awaited: it counts within
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

/// A flow's line in the table.
struct Entry {
    answerer: Rc<dyn Answerer>,
    flow: Flow,
    fate: Arc<Fate>,
    /// The answer that the client got, if it got one.
    answer: Option<SynAnswer>,
    _place: Option<Place>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.answerer.leave(&self.flow, self.answer);
    }
}

#[cfg(test)]
mod tests;
