//! The first datagrams of sessions that the route is yet to decide about.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddrV6;

use faith_packet::classify::Flow;

/// The frames that wait for one decision: a client sends a few before it wants an answer.
const FRAMES: usize = 4;

/// The octets that wait for all decisions of a worker. A frame is up to 64 KiB long.
const OCTETS: usize = 4 << 20;

/// The frames of sessions that the route is yet to decide about.
#[derive(Default)]
pub(crate) struct Waiting(RefCell<List>);

#[derive(Default)]
struct List {
    // A keyed hash, because clients choose the flows.
    flows: HashMap<(SocketAddrV6, SocketAddrV6), Vec<Box<[u8]>>>,
    octets: usize,
}

impl Waiting {
    /// Keeps a frame of a flow about which the route is asked already. `None` if it is not; otherwise tells whether there was
    /// room.
    pub(crate) fn keep(&self, flow: &Flow, frame: &[u8]) -> Option<bool> {
        let mut list = self.0.borrow_mut();
        let octets = list.octets + frame.len();
        let frames = list.flows.get_mut(&(flow.client, flow.destination))?;
        let has_room = frames.len() < FRAMES && octets <= OCTETS;
        if has_room {
            frames.push(frame.into());
            list.octets = octets;
        }
        Some(has_room)
    }

    /// Begins to keep the frames of a flow.
    pub(crate) fn begin(&self, flow: &Flow) {
        self.0.borrow_mut().flows.insert((flow.client, flow.destination), Vec::new());
    }

    /// Gives the frames of a flow back, in their order.
    pub(crate) fn end(&self, flow: &Flow) -> Vec<Box<[u8]>> {
        let mut list = self.0.borrow_mut();
        let frames = list.flows.remove(&(flow.client, flow.destination)).unwrap_or_default();
        list.octets -= frames.iter().map(|frame| frame.len()).sum::<usize>();
        frames
    }
}
