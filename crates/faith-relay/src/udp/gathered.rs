//! The datagrams of a client that wait for the end of the pump's drain.

use std::ops::Range;
use std::rc::Rc;

use super::endpoint::Endpoint;
use super::mapping::Sending;
use super::run::Run;
use super::session::Session;

/// The datagrams that are to leave together.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(super) run: Run,
    /// Their session, with the fields that all of them have.
    pub(super) way: Option<(Rc<Endpoint>, Rc<Session>, Sending)>,
    /// Their frames, one behind the other.
    pub(super) octets: Vec<u8>,
    pub(super) frames: Vec<Frame>,
}

/// The place of a frame in `octets`.
pub(super) struct Frame {
    pub(super) whole: Range<usize>,
    pub(super) data: Range<usize>,
}

impl Gathered {
    /// Returns true if the datagram may leave with those gathered.
    pub(super) fn takes(&self, session: &Rc<Session>, sending: &Sending, length: usize) -> bool {
        self.way.as_ref().is_some_and(|(_, own, common)| {
            Rc::ptr_eq(own, session)
                && common.marks == sending.marks
                && common.forbids_fragments(self.run.size) == sending.forbids_fragments(length)
                && self.run.takes(length)
        })
    }

    /// Adds a datagram, whose data is a part of `frame`.
    pub(super) fn add(&mut self, frame: &[u8], data: Range<usize>) {
        if self.frames.is_empty() {
            self.run = Run::of(data.len());
        } else {
            self.run.add(data.len());
        }
        let start = self.octets.len();
        self.octets.extend_from_slice(frame);
        let whole = start..self.octets.len();
        self.frames.push(Frame { whole, data: start + data.start..start + data.end });
    }

    pub(super) fn data(&self, frame: &Frame) -> &[u8] {
        self.octets.get(frame.data.clone()).unwrap_or_default()
    }
}
