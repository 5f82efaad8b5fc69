//! One worker's part of a program's ports.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::Ipv6Addr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use faith_packet::classify::{DropReason, Flow};
use faith_packet::fragments::Fragments;
use faith_packet::icmpv6;
use faith_packet::udp::{Datagram, Fault, HEADROOM, Head, OVERHEAD};
use faith_stack::{Datagrams, Outlet};
use tokio::task::{AbortHandle, spawn_local};

use super::counters::Counters;
use super::message::{Hearer, Message};
use super::outbox::Outbox;
use crate::udp::path::{MINIMUM_MTU, Path, Paths};

/// The most clients whose paths a worker knows. All are forgotten then, and learnt again.
const MOST_PATHS: usize = 4096;

const PACKET_TOO_BIG: u8 = 2;

/// The virtio header, which stands before a packet.
const VIRTIO: usize = HEADROOM - OVERHEAD;

/// One worker's part.
pub(crate) struct Part {
    hearer: Arc<dyn Hearer>,
    sender: Rc<Sender>,
    /// The task that sends.
    sending: AbortHandle,
}

/// The part's way to the host.
struct Sender {
    outlet: Rc<dyn Outlet>,
    outbox: Arc<Outbox>,
    counters: Arc<Counters>,
    /// Room for a frame.
    frame: RefCell<Vec<u8>>,
    /// The paths to clients that got a long datagram. A keyed hash, because clients choose their addresses.
    paths: RefCell<HashMap<Ipv6Addr, Path>>,
    /// The paths that a relay would share between its workers; always empty here.
    learnt: Paths,
    random: RandomState,
    drawn: Cell<u64>,
}

impl Part {
    pub(super) fn new(
        outlet: Rc<dyn Outlet>,
        hearer: Arc<dyn Hearer>,
        outbox: Arc<Outbox>,
        counters: Arc<Counters>,
    ) -> Rc<Self> {
        let sender = Rc::new(Sender {
            outlet,
            outbox,
            counters,
            frame: RefCell::default(),
            paths: RefCell::default(),
            learnt: Paths::default(),
            random: RandomState::new(),
            drawn: Cell::new(0),
        });
        let sending = spawn_local(Rc::clone(&sender).send_all()).abort_handle();
        Rc::new(Self { hearer, sender, sending })
    }
}

impl Datagrams for Part {
    fn receive(&self, frame: &[u8]) {
        let Sender { outlet, counters, .. } = &*self.sender;
        let datagram = match Datagram::parse(frame) {
            Ok(datagram) => datagram,
            Err(Fault::Checksum) => return outlet.dropped(DropReason::Checksum),
            Err(Fault::Malformed) => return outlet.dropped(DropReason::Malformed),
        };
        let Datagram { flow: Flow { client, destination }, hop_limit, traffic_class, data, segment, .. } =
            datagram;
        // Nothing can be sent to port 0.
        if client.port() == 0 {
            return outlet.dropped(DropReason::Malformed);
        }
        let size = segment.map_or(data.len(), usize::from).max(1);
        let datagrams = data.len().div_ceil(size).max(1) as u64;
        let message = Message { client, destination, hop_limit, traffic_class, data: data.to_vec(), segment };
        if self.hearer.hear(message) {
            add(&counters.received, datagrams);
        } else {
            add(&counters.dropped, datagrams);
            outlet.dropped(DropReason::Backpressure);
        }
    }

    /// Programs hear each message at once.
    fn flush(&self) {}

    fn error(&self, flow: &Flow, packet: &[u8]) {
        let Sender { outlet, paths, .. } = &*self.sender;
        let Some(error) = icmpv6::error_about_datagram(packet) else {
            return outlet.dropped(DropReason::Checksum);
        };
        match paths.borrow_mut().get_mut(flow.client.ip()) {
            Some(path) if error.error.kind == PACKET_TOO_BIG => {
                path.learn(u16::try_from(error.error.word).unwrap_or(u16::MAX), Instant::now());
            }
            // An unconnected socket of the kernel tells its program of no error either.
            _ => outlet.dropped(DropReason::Icmp),
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.sending.abort();
        self.sender.flush();
    }
}

impl Sender {
    /// Sends messages as they come.
    async fn send_all(self: Rc<Self>) {
        loop {
            self.flush();
            self.outbox.came().await;
        }
    }

    fn flush(&self) {
        for message in self.outbox.take() {
            let counter = if self.send(&message) { &self.counters.sent } else { &self.counters.lost };
            add(counter, 1);
        }
    }

    /// Sends a message. Returns false if the host's device had no room.
    fn send(&self, message: &Message) -> bool {
        let Message { client, destination, hop_limit, traffic_class, ref data, .. } = *message;
        let head = Head { flow: Flow { client, destination }, sequence: None, hop_limit, traffic_class };
        let mut frame = self.frame.borrow_mut();
        frame.clear();
        frame.resize(HEADROOM, 0);
        frame.extend_from_slice(data);
        let mtu = self.mtu(*client.ip(), data.len() + OVERHEAD);
        if data.len() + OVERHEAD > usize::from(mtu) {
            return self.send_fragments(&head, &mut frame, mtu);
        }
        let headers = frame.first_chunk_mut().and_then(|headers| head.write(headers, data.len(), None));
        headers.is_some() && self.outlet.send(&frame)
    }

    fn send_fragments(&self, head: &Head, frame: &mut [u8], mtu: u16) -> bool {
        let Some(packet) = frame.get_mut(VIRTIO..) else { return false };
        if head.complete(packet).is_none() {
            return false;
        }
        self.drawn.set(self.drawn.get().wrapping_add(1));
        #[expect(clippy::cast_possible_truncation, reason = "any part of a random number is one")]
        let id = self.random.hash_one(self.drawn.get()) as u32;
        let mut piece = vec![0; VIRTIO + usize::from(mtu)];
        let mut fragments = Fragments::new(packet, mtu, id);
        while let Some(length) = fragments.as_mut().and_then(|fragments| fragments.next(&mut piece)) {
            if !self.outlet.send(&piece[..length]) {
                return false;
            }
        }
        true
    }

    /// The longest packet that the client's path takes, as far as a packet of this length must know.
    fn mtu(&self, client: Ipv6Addr, length: usize) -> u16 {
        if length <= usize::from(MINIMUM_MTU) {
            return MINIMUM_MTU;
        }
        let mut paths = self.paths.borrow_mut();
        if paths.len() >= MOST_PATHS {
            paths.clear();
        }
        paths.entry(client).or_default().mtu(client, self.outlet.mtu(), &self.learnt, Instant::now())
    }
}

fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Relaxed);
}
