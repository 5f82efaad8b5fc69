//! Datagrams of clients, to servers.
//!
//! A client's datagrams come one by one, many of them in one drain of the pump's queue. Neighbours of one session wait in
//! [`Gathered`] and leave by one call, as a superframe does: those of one size with the same marks, of which the last may
//! be shorter. They leave when another datagram follows, when one call takes no more, and at the end of the drain
//! ([`flush_up`](Part::flush_up)), so none waits for a timer. If the call fails, each leaves by a call of its own.

use std::cell::Cell;
use std::io::{self, ErrorKind, IoSlice};
use std::ops::Range;
use std::rc::Rc;
use std::time::Instant;

use faith_packet::echo;
use faith_packet::udp::Datagram;
use faith_sys::udp::Marks;

use super::endpoint::Endpoint;
use super::gathered::Gathered;
use super::mapping::{Mapping, Sending, Sent, takes_no_superframe};
use super::part::Part;
use super::run::MAX_SEGMENTS;
use super::session::Session;
use crate::refusal::Refusal;

impl Part {
    /// Takes a client's frame, to send it to its server now, or with the next ones.
    pub(crate) fn up(
        &self,
        endpoint: &Rc<Endpoint>,
        session: &Rc<Session>,
        (datagram, sequence): &(Datagram<'_>, Option<u16>),
        frame: &[u8],
        now: Instant,
    ) {
        let Datagram { data, segment, hop_limit, traffic_class, fragmentable, .. } = *datagram;
        let size = segment.map_or(data.len(), usize::from).max(1);
        let datagrams = data.len().div_ceil(size).max(1) as u64;
        session.asked(datagrams, data.len(), now);
        session.last_length.set(u16::try_from(size.min(data.len())).unwrap_or(u16::MAX));
        let marks = Marks { ttl: hop_limit, tos: traffic_class };
        let sending = Sending { to: session.server, marks, segment, fragmentable };
        // One that came in fragments is perhaps longer than the way takes whole, and no superframe is fragmented.
        let is_single = segment.is_none() && !fragmentable && !data.is_empty();
        let place = place_in(frame, data).filter(|_| is_single && session.mapping.wire.superframes.get());
        let Some(place) = place else {
            self.flush_up();
            self.send(endpoint, session, &sending, (data, *sequence), frame);
            return;
        };
        if !self.gathered.borrow().takes(session, &sending, data.len()) {
            self.flush_up();
        }
        let mut gathered = self.gathered.borrow_mut();
        gathered.way.get_or_insert_with(|| (Rc::clone(endpoint), Rc::clone(session), sending));
        gathered.add(frame, place);
        let is_over = gathered.run.is_over();
        drop(gathered);
        if is_over {
            self.flush_up();
        }
    }

    /// Sends the datagrams that are gathered.
    pub(crate) fn flush_up(&self) {
        let mut gathered = self.gathered.take();
        if let Some((endpoint, session, sending)) = gathered.way.take()
            && let Err(mut doubt) = self.send_joined(&endpoint, &session, &sending, &gathered)
        {
            for frame in &gathered.frames {
                let whole = gathered.octets.get(frame.whole.clone()).unwrap_or_default();
                let sent = self.send(&endpoint, &session, &sending, (gathered.data(frame), None), whole);
                if sent && let Some(error) = doubt.take() {
                    self.without_superframes(&session.mapping, &error);
                }
            }
        }
        gathered.frames.clear();
        gathered.octets.clear();
        // Keeps the room.
        self.gathered.replace(gathered);
    }

    /// Sends the gathered datagrams by one call, if they are several. Otherwise each is to be sent alone; the error is given
    /// if the way perhaps takes no superframes.
    fn send_joined(
        &self,
        endpoint: &Rc<Endpoint>,
        session: &Rc<Session>,
        sending: &Sending,
        gathered: &Gathered,
    ) -> Result<(), Option<io::Error>> {
        let count = gathered.frames.len();
        if count < 2 {
            return Err(None);
        }
        let mut pieces = [IoSlice::new(&[]); MAX_SEGMENTS];
        for (piece, frame) in pieces.iter_mut().zip(&gathered.frames) {
            *piece = IoSlice::new(gathered.data(frame));
        }
        let pieces = pieces.get(..count).unwrap_or(&pieces);
        let earlier = || {
            self.pass_errors_on(&session.mapping.wire, Some((endpoint, &session.mapping)));
        };
        match session.mapping.send_joined(sending, gathered.run.size, pieces, earlier) {
            Ok(()) => self.counters().frames_up.add(count as u64),
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.counters().lost.add(count as u64),
            Err(error) => return Err(Some(error).filter(takes_no_superframe)),
        }
        Ok(())
    }

    /// Sends one frame. Returns true if the kernel took it.
    fn send(
        &self,
        endpoint: &Rc<Endpoint>,
        session: &Rc<Session>,
        sending: &Sending,
        (data, sequence): (&[u8], Option<u16>),
        frame: &[u8],
    ) -> bool {
        let mapping = &session.mapping;
        let local_mtu = Cell::new(0);
        let earlier = || {
            if let Some(mtu) = self.pass_errors_on(&mapping.wire, Some((endpoint, mapping))) {
                local_mtu.set(mtu);
            }
        };
        let without_superframes = |error: &io::Error| self.without_superframes(mapping, error);
        let pass = |octets: &[u8]| mapping.send(sending, octets, earlier, without_superframes);
        let sent = match sequence {
            None => pass(data),
            Some(sequence) => {
                let mut message = self.frame.borrow_mut();
                let identifier = mapping.local.port();
                match echo::write_request(identifier, sequence, data, &mut message) {
                    Some(length) => pass(&message[..length]),
                    None => Sent::Lost,
                }
            }
        };
        match sent {
            Sent::All => {
                self.counters().frames_up.add(1);
                return true;
            }
            Sent::Lost => self.counters().lost.add(1),
            Sent::TooLong(length) => {
                self.counters().lost.add(1);
                let length = length.min(data.len());
                self.report_too_long(endpoint, session, local_mtu.get(), length, (data, sequence));
            }
            Sent::Failed(error) => {
                self.counters().lost.add(1);
                self.answer(&Refusal::from_error(&error), frame);
            }
        }
        false
    }

    /// Notes that the way of a mapping's datagrams takes no superframes.
    fn without_superframes(&self, mapping: &Mapping, error: &io::Error) {
        mapping.wire.superframes.set(false);
        self.counters().without_superframes.add(1);
        self.state.without_superframes.call_once(|| self.outlet.warn_without_superframes(error));
    }
}

/// The place of the data at the end of the frame that it is a part of. `None` if octets follow that are no data.
fn place_in(frame: &[u8], data: &[u8]) -> Option<Range<usize>> {
    let start = frame.len().checked_sub(data.len())?;
    std::ptr::eq(frame.get(start..)?, data).then_some(start..frame.len())
}
