//! Datagrams of servers, to clients.
//!
//! The kernel joins the datagrams of a server that a device has joined (`UDP_GRO`). Those that come one by one are joined
//! here: neighbours in one drain of the socket, of one sender and one size with the same marks, of which the last may be
//! shorter, are one superframe to the client. None waits for a datagram that has not come yet.
//!
//! One call receives up to two datagrams, and ends the drain if it receives one alone: most answers come alone, and need no
//! second call then that would find nothing.

use std::io::ErrorKind;
use std::net::{SocketAddrV4, SocketAddrV6};
use std::rc::{Rc, Weak};
use std::time::Instant;

use faith_packet::classify::Flow;
use faith_packet::echo::{self, Reply};
use faith_packet::fragments::Fragments;
use faith_packet::protocol::Protocol;
use faith_packet::udp::{HEADER_LEN, HEADROOM, Head, OVERHEAD};
use faith_sys::udp::{Received, UdpSocket};
use tokio::io::Interest;
use tokio::io::unix::AsyncFdReadyGuard;

use super::endpoint::Endpoint;
use super::mapping::Mapping;
use super::options::{Filtering, Oversize};
use super::part::{Part, RECEIVED};
use super::path::MINIMUM_MTU;
use super::route_back::Origin;
use super::run::Run;
use super::session::Session;
use super::wire::{Raw, Wire, WireKind};
use crate::offender::may_be_embedded;

/// The frames that are moved before other tasks of the worker get their turn.
const BATCH: usize = 64;

/// The virtio header, which stands before a packet.
const VIRTIO: usize = HEADROOM - OVERHEAD;

/// The received datagrams that are to leave together. Their data stands behind the headroom of the frame.
#[derive(Default)]
struct Joined {
    /// The fields of each datagram.
    first: Option<Received>,
    run: Run,
}

impl Joined {
    /// Returns true if a datagram may leave with these.
    fn takes(&self, received: &Received) -> bool {
        self.first.is_some_and(|first| {
            (first.from, first.marks) == (received.from, received.marks)
                && !first.fragmented
                && !received.fragmented
                && received.segment.is_none()
                && self.run.takes(received.length)
        })
    }

    /// Adds a datagram. Returns true if no more may follow.
    fn add(&mut self, received: Received) -> bool {
        if self.first.is_some() {
            self.run.add(received.length);
        } else {
            self.first = Some(received);
            self.run = Run::of(received.length);
        }
        received.segment.is_some() || self.run.is_over()
    }

    /// Ends with what was received: a datagram, or a superframe of several.
    fn take(&mut self) -> Option<(Received, u64)> {
        let first = self.first.take()?;
        let Run { size, length, datagrams } = std::mem::take(&mut self.run);
        let joined = if datagrams > 1 { u16::try_from(size).ok() } else { first.segment };
        Some((Received { length, segment: joined, ..first }, datagrams as u64))
    }
}

impl Part {
    /// Moves what a mapping receives, for as long as the mapping lasts.
    pub(crate) async fn listen(self: Rc<Self>, endpoint: Rc<Endpoint>, mapping: Rc<Mapping>) {
        let owner = Some((&endpoint, &mapping));
        loop {
            let Ok(mut ready) = mapping.wire.socket.ready(Interest::READABLE | Interest::ERROR).await else {
                return;
            };
            let more = self.drain(&mapping.wire, owner, &mut ready);
            drop(ready);
            if more {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Moves what a worker's raw socket receives, for as long as the part lasts.
    pub(crate) async fn listen_raw(this: Weak<Self>, raw: Rc<Raw>) {
        loop {
            let Ok(mut ready) = raw.wire.socket.ready(Interest::READABLE | Interest::ERROR).await else {
                return;
            };
            let Some(part) = this.upgrade() else { return };
            let more = part.drain(&raw.wire, None, &mut ready);
            drop(ready);
            if more {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Moves what a socket has received, `BATCH` frames at most. Returns true if there may be more.
    fn drain(
        &self,
        wire: &Wire,
        owner: Option<(&Rc<Endpoint>, &Rc<Mapping>)>,
        ready: &mut AsyncFdReadyGuard<'_, UdpSocket>,
    ) -> bool {
        if ready.ready().is_error() {
            self.pass_errors_on(wire, owner);
        }
        let (mut joined, mut datagrams, mut drained) = (Joined::default(), 0, false);
        let (mut frame, mut spare) = (self.frame.borrow_mut(), self.spare.borrow_mut());
        let place = wire.kind.start();
        for _ in 0..BATCH / 2 {
            let start = place + joined.run.length;
            let buffers = [&mut frame[start..start + RECEIVED], &mut spare[place..place + RECEIVED]];
            match wire.socket.get_ref().receive_two(buffers) {
                Ok((first, second)) => {
                    datagrams += first.datagrams() + second.as_ref().map_or(0, Received::datagrams);
                    self.take(wire, owner, &mut frame, &mut joined, first);
                    let Some(second) = second else {
                        drained = true;
                        break;
                    };
                    self.take_spare(wire, owner, &mut frame, &mut joined, &mut spare, second);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    drained = true;
                    break;
                }
                Err(_) => {
                    self.flush_down(owner, &mut frame, &mut joined);
                    // An error of an earlier datagram comes once.
                    self.pass_errors_on(wire, owner);
                }
            }
        }
        self.flush_down(owner, &mut frame, &mut joined);
        self.counters().dropped.add(wire.has_had(datagrams));
        if drained {
            ready.clear_ready();
        }
        !drained
    }

    /// Takes what was received to `frame`, behind the joined datagrams.
    fn take(
        &self,
        wire: &Wire,
        owner: Option<(&Rc<Endpoint>, &Rc<Mapping>)>,
        frame: &mut [u8],
        joined: &mut Joined,
        received: Received,
    ) {
        match owner {
            Some(owner) if wire.kind == WireKind::Udp => self.join(owner, frame, joined, received),
            owner => {
                // Other messages, and replies to other programs, are none of the relay's.
                let _ = self.reply(wire, owner, frame, received);
            }
        }
    }

    /// Takes what was received to `spare` by the same call. Only single datagrams are joined with those in `frame`, so the
    /// longer superframes are not copied.
    fn take_spare(
        &self,
        wire: &Wire,
        owner: Option<(&Rc<Endpoint>, &Rc<Mapping>)>,
        frame: &mut [u8],
        joined: &mut Joined,
        spare: &mut [u8],
        received: Received,
    ) {
        match owner {
            Some(owner) if wire.kind == WireKind::Udp && received.segment.is_some() => {
                self.flush_down(Some(owner), frame, joined);
                self.down((owner.0, owner.1), spare, received, 1, None);
            }
            Some(owner) if wire.kind == WireKind::Udp => {
                let (length, start) = (received.length, HEADROOM + joined.run.length);
                frame[start..start + length].copy_from_slice(&spare[HEADROOM..HEADROOM + length]);
                self.join(owner, frame, joined, received);
            }
            owner => self.take(wire, owner, spare, joined, received),
        }
    }

    /// Takes a datagram that was received behind the joined ones.
    fn join(
        &self,
        owner: (&Rc<Endpoint>, &Rc<Mapping>),
        frame: &mut [u8],
        joined: &mut Joined,
        received: Received,
    ) {
        let start = joined.run.length;
        if joined.first.is_some() && !joined.takes(&received) {
            self.flush_down(Some(owner), frame, joined);
            frame.copy_within(HEADROOM + start..HEADROOM + start + received.length, HEADROOM);
        }
        if joined.add(received) || !self.outlet.takes_superframes() {
            self.flush_down(Some(owner), frame, joined);
        }
    }

    /// Sends the joined datagrams to the client.
    fn flush_down(
        &self,
        owner: Option<(&Rc<Endpoint>, &Rc<Mapping>)>,
        frame: &mut [u8],
        joined: &mut Joined,
    ) {
        if let (Some((endpoint, mapping)), Some((received, frames))) = (owner, joined.take()) {
            self.down((endpoint, mapping), frame, received, frames, None);
        }
    }

    /// Sends an echo reply to the client of its identifier.
    fn reply(
        &self,
        wire: &Wire,
        owner: Option<(&Rc<Endpoint>, &Rc<Mapping>)>,
        frame: &mut [u8],
        received: Received,
    ) -> Option<()> {
        let (start, place) = (wire.kind.start(), WireKind::Ping.start());
        let mut length = received.length;
        if wire.kind == WireKind::Raw {
            let header = echo::ipv4_header_len(frame.get(start..start + length)?)?;
            frame.copy_within(start + header..start + length, place);
            length -= header;
        }
        let reply = Reply::parse(frame.get(place..place + length)?)?;
        let found = if owner.is_none() { self.owner(reply.identifier) } else { None };
        let (endpoint, mapping) = owner.or(found.as_ref().map(|(endpoint, mapping)| (endpoint, mapping)))?;
        let from = SocketAddrV4::new(*received.from.ip(), 0);
        let received = Received { from, length: length - HEADER_LEN, ..received };
        self.down((endpoint, mapping), frame, received, 1, Some(reply.sequence));
        Some(())
    }

    /// Sends a received datagram or superframe, behind the headroom of `frame`, to the client. It came as so many `frames`.
    fn down(
        &self,
        (endpoint, mapping): (&Endpoint, &Rc<Mapping>),
        frame: &mut [u8],
        received: Received,
        frames: u64,
        sequence: Option<u16>,
    ) {
        let Some((source, session)) = self.source(endpoint, mapping, &received) else {
            return self.counters().filtered.add(frames);
        };
        let now = Instant::now();
        let Received { length, segment, marks, .. } = received;
        let flow = Flow { client: endpoint.client, destination: source };
        let head = Head { flow, sequence, hop_limit: marks.ttl, traffic_class: marks.tos };
        let size = segment.map_or(length, usize::from).max(1);
        let mtu = if size + OVERHEAD > usize::from(MINIMUM_MTU) {
            let client = *endpoint.client.ip();
            endpoint.path.borrow_mut().mtu(client, self.outlet.mtu(), &self.state.paths, now)
        } else {
            MINIMUM_MTU
        };
        let fits = |length| length + OVERHEAD <= usize::from(mtu);
        // A datagram that came whole probably must not be fragmented.
        let drops = !fits(size)
            && !received.fragmented
            && self.tell_too_long(mapping, &received, mtu, &frame[HEADROOM..], now)
            && self.state.options().oversize == Oversize::Drop;
        // The last of several datagrams may fit where the others do not.
        let datagrams = length.div_ceil(size).max(1);
        let last = length - (datagrams - 1) * size;
        let last_fits = datagrams > 1 && fits(last);
        let (passed, octets) = match (drops, last_fits) {
            (false, _) => (datagrams, length),
            (true, true) => (1, last),
            (true, false) => (0, 0),
        };
        if let Some(session) = session.filter(|_| passed > 0) {
            session.answered(passed as u64, octets, now);
        }
        let long = if frames > 1 && last_fits { frames - 1 } else { frames };
        if fits(size) {
            self.counters().frames_down.add(frames);
        } else if drops {
            self.counters().oversize.add(long);
            self.counters().frames_down.add(frames - long);
        } else {
            self.counters().fragmented.add(long);
            self.counters().frames_down.add(frames);
        }
        if fits(size) && (segment.is_none() || self.outlet.takes_superframes()) {
            return self.write(&head, frame, 0, length, segment);
        }
        // Each datagram's headers take the place of the one before, which was sent.
        let mut start = 0;
        loop {
            let piece = size.min(length - start);
            if fits(piece) {
                self.write(&head, frame, start, piece, None);
            } else if !drops {
                self.write_fragments(&head, frame, start, piece, mtu);
            }
            start += piece;
            if start >= length {
                return;
            }
        }
    }

    /// Writes the data from `start` on to the host, as one frame.
    fn write(&self, head: &Head, frame: &mut [u8], start: usize, length: usize, segment: Option<u16>) {
        let Some(frame) = frame.get_mut(start..start + HEADROOM + length) else { return };
        let written = if head.sequence.is_some() {
            frame[..VIRTIO].fill(0);
            head.complete(&mut frame[VIRTIO..])
        } else {
            frame.first_chunk_mut().and_then(|headers| head.write(headers, length, segment))
        };
        if written.is_some() {
            self.outlet.send(frame);
        }
    }

    /// Writes a datagram in fragments.
    fn write_fragments(&self, head: &Head, frame: &mut [u8], start: usize, length: usize, mtu: u16) {
        let Some(packet) = frame.get_mut(start + VIRTIO..start + HEADROOM + length) else { return };
        if head.complete(packet).is_none() {
            return;
        }
        #[expect(clippy::cast_possible_truncation, reason = "any part of a random number is one")]
        let id = self.random() as u32;
        let mut piece = vec![0; VIRTIO + usize::from(mtu)];
        let mut fragments = Fragments::new(packet, mtu, id);
        while let Some(length) = fragments.as_mut().and_then(|fragments| fragments.next(&mut piece)) {
            if !self.outlet.send(&piece[..length]) {
                return;
            }
        }
    }

    /// The address and port that the client sees as the sender, and the session if the server has one. `None` filters the
    /// datagram.
    fn source(
        &self,
        endpoint: &Endpoint,
        mapping: &Rc<Mapping>,
        received: &Received,
    ) -> Option<(SocketAddrV6, Option<Rc<Session>>)> {
        let from = received.from;
        let filtering = match self.protocol {
            // An echo reply has no port of its own.
            Protocol::Icmp => Filtering::AddressAndPortDependent,
            Protocol::Tcp | Protocol::Udp => self.state.options().filtering,
        };
        match endpoint.at(mapping, |back| back.origin(from, filtering))?? {
            Origin::Session(session) => Some((session.destination, Some(session))),
            Origin::Host(dialled) => Some((SocketAddrV6::new(dialled, from.port(), 0, 0), None)),
            Origin::Unasked => {
                let dialled = *endpoint.any_destination()?.ip();
                let admission = &self.engine.admission;
                let may = may_be_embedded(dialled, *from.ip())
                    && admission.admits_unasked(*endpoint.client.ip(), from);
                let address = admission.means(dialled, *from.ip()).filter(|_| may)?;
                Some((SocketAddrV6::new(address, from.port(), 0, 0), None))
            }
        }
    }
}
