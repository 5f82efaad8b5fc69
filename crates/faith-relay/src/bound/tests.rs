//! Tests of one worker's part. Clients are frames; the outlet keeps what they would get.

use std::cell::RefCell;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV6};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use faith_packet::classify::{DropReason, Flow};
use faith_packet::icmpv6::Unreachable;
use faith_packet::udp::{Datagram, HEADROOM, Head};
use faith_stack::{BuildError, Datagrams as _, Outlet};
use parking_lot::Mutex;

use super::counters::Counters;
use super::message::{Hearer, Message};
use super::outbox::Outbox;
use super::part::Part;

#[derive(Default)]
struct Wire {
    frames: RefCell<Vec<Vec<u8>>>,
    dropped: RefCell<Vec<DropReason>>,
}

impl Outlet for Wire {
    fn worker(&self) -> usize {
        0
    }

    fn takes_superframes(&self) -> bool {
        true
    }

    fn mtu(&self) -> u16 {
        1500
    }

    fn send(&self, frame: &[u8]) -> bool {
        self.frames.borrow_mut().push(frame.to_vec());
        true
    }

    fn dropped(&self, reason: DropReason) {
        self.dropped.borrow_mut().push(reason);
    }

    fn unreachable(&self, _: Unreachable, _: &[u8]) {}

    fn report(&self, _: Ipv6Addr, _: &mut BuildError<'_>) {}

    fn warn_without_superframes(&self, _: &io::Error) {}

    fn tells_servers(&self) -> bool {
        false
    }

    fn tell_server(&self, _: Ipv4Addr, _: Ipv4Addr, _: &[u8]) -> bool {
        false
    }
}

/// A program with room for one message.
#[derive(Default)]
struct Program(Mutex<Option<Message>>);

impl Hearer for Program {
    fn hear(&self, message: Message) -> bool {
        let mut heard = self.0.lock();
        let room = heard.is_none();
        if room {
            *heard = Some(message);
        }
        room
    }
}

struct World {
    wire: Rc<Wire>,
    program: Arc<Program>,
    outbox: Arc<Outbox>,
    counters: Arc<Counters>,
    part: Rc<Part>,
}

fn run(test: impl AsyncFnOnce(World)) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build_local(tokio::runtime::LocalOptions::default()).unwrap();
    runtime.block_on(async {
        let (wire, program) = (Rc::<Wire>::default(), Arc::<Program>::default());
        let (outbox, counters) = (Arc::<Outbox>::default(), Arc::<Counters>::default());
        let part = Part::new(
            Rc::<Wire>::clone(&wire),
            Arc::<Program>::clone(&program),
            Arc::clone(&outbox),
            Arc::clone(&counters),
        );
        test(World { wire, program, outbox, counters, part }).await;
    });
}

fn end(text: &str) -> SocketAddrV6 {
    text.parse().unwrap()
}

fn message(data: &[u8], segment: Option<u16>) -> Message {
    let (client, destination) = (end("[2001:db8:1::2]:4000"), end("[64:ff9b::c000:201]:53"));
    Message { client, destination, hop_limit: 60, traffic_class: 0xb9, data: data.to_vec(), segment }
}

/// The frame with which a client sends a message.
fn frame(message: &Message) -> Vec<u8> {
    let Message { client, destination, hop_limit, traffic_class, ref data, segment } = *message;
    let flow = Flow { client: destination, destination: client };
    let mut frame = [&[0; HEADROOM], &data[..]].concat();
    let head = Head { flow, sequence: None, hop_limit, traffic_class };
    head.write(frame.first_chunk_mut().unwrap(), data.len(), segment).unwrap();
    frame
}

#[test]
fn the_program_hears_datagrams_and_those_without_room_are_dropped_and_counted() {
    run(async |world| {
        let sent = message(&[7; 25], Some(10));
        world.part.receive(&frame(&sent));
        world.part.receive(&frame(&sent));
        assert_eq!(world.program.0.lock().take(), Some(sent));
        assert_eq!(*world.wire.dropped.borrow(), [DropReason::Backpressure]);
        let counters = &world.counters;
        assert_eq!((counters.received.load(Relaxed), counters.dropped.load(Relaxed)), (3, 3));
        world.part.receive(&[0; 60]);
        world.part.receive(&[]);
        assert_eq!(world.wire.dropped.borrow()[1..], [DropReason::Malformed, DropReason::Malformed]);
        assert_eq!(*world.program.0.lock(), None);
    });
}

#[test]
fn the_part_sends_messages_as_the_program_wrote_them() {
    run(async |world| {
        let answer = message(b"hello", None);
        assert!(world.outbox.put(answer.clone()));
        while world.wire.frames.borrow().is_empty() {
            tokio::task::yield_now().await;
        }
        let frames = world.wire.frames.borrow();
        let Datagram { flow, hop_limit, traffic_class, data, segment, .. } =
            Datagram::parse(&frames[0]).unwrap();
        // The program's side is the client of the datagram.
        assert_eq!((flow.client, flow.destination), (answer.destination, answer.client));
        assert_eq!((hop_limit, traffic_class, data, segment), (60, 0xb9, &b"hello"[..], None));
    });
}

#[test]
fn a_message_that_is_too_long_for_the_link_goes_in_fragments() {
    run(async |world| {
        assert!(world.outbox.put(message(&[1; 4000], None)));
        while world.wire.frames.borrow().is_empty() {
            tokio::task::yield_now().await;
        }
        let frames = world.wire.frames.borrow();
        assert_eq!(frames.len(), 3);
        // Each has its virtio header, and the next header is that of a fragment.
        assert!(frames.iter().all(|frame| frame.len() <= 1500 + 12 && frame[12 + 6 - 2] == 44), "{frames:?}");
        assert_eq!(world.counters.sent.load(Relaxed), 1);
    });
}

#[test]
fn messages_that_wait_are_sent_when_the_part_ends() {
    run(async |world| {
        assert!(world.outbox.put(message(b"last", None)));
        let World { wire, part, .. } = world;
        drop(part);
        assert_eq!(wire.frames.borrow().len(), 1);
    });
}

#[test]
fn messages_beyond_the_room_are_not_taken() {
    let outbox = Outbox::default();
    let mut taken = 0;
    while outbox.put(message(&vec![0; 60_000], None)) {
        taken += 1;
    }
    assert_eq!(taken, (4 << 20) / 60_256);
    assert_eq!(outbox.take().len(), taken);
    assert!(outbox.put(message(b"again", None)));
}
