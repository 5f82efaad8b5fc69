use std::cell::RefCell;
use std::net::Ipv6Addr;
use std::pin::pin;
use std::task::{Context, Waker};

use super::*;
use crate::hold::HoldLimits;

const SYN: u8 = 0x02;
const RST: u8 = 0x04;

/// Polls once: returns true if `notify` was notified.
fn is_told(notify: &Notify) -> bool {
    let notified = pin!(notify.notified());
    notified.poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

fn flow() -> Flow {
    let end = |address: &str, port| SocketAddrV6::new(address.parse().unwrap(), port, 0, 0);
    Flow { client: end("2001:db8::1", 1024), destination: end("64:ff9b::c633:6402", 80) }
}

fn limits() -> HoldLimits {
    HoldLimits { total: 2, per_client: 2, per_second: None, client_prefix_length: 64 }
}

fn place() -> Result<Place, Beyond> {
    Place::take(&Hold::new(limits()), &Ipv6Addr::LOCALHOST)
}

fn segment(flags: u8, sequence: u32) -> Vec<u8> {
    let mut packet = vec![0; 60];
    packet[0] = 6 << 4;
    packet[5] = 20;
    packet[6] = 6;
    packet[44..48].copy_from_slice(&sequence.to_be_bytes());
    packet[52] = 5 << 4;
    packet[53] = flags;
    packet
}

fn frame(packet: &[u8]) -> Vec<u8> {
    [&[0; VIRTIO_HEADER], packet].concat()
}

#[test]
fn a_rst_with_the_next_sequence_number_gives_up_a_held_or_released_syn() {
    for released in [false, true] {
        let table = HeldTable::new(2);
        let (_place, fate) = table.enter(flow(), &frame(&segment(SYN, u32::MAX)), place).unwrap();
        if released {
            fate.released.store(true, Ordering::Relaxed);
        }
        table.reset(&flow(), &segment(RST, 0));
        assert!(is_told(&fate.given_up), "released: {released}");
    }
}

#[test]
fn a_rst_with_another_number_or_of_another_flow_is_ignored() {
    let table = HeldTable::new(2);
    let (_place, fate) = table.enter(flow(), &frame(&segment(SYN, 7)), place).unwrap();
    table.reset(&flow(), &segment(RST, 7));
    table.reset(&flow(), &segment(RST, 9));
    let mut other = flow();
    other.client.set_port(1025);
    table.reset(&other, &segment(RST, 8));
    assert!(!is_told(&fate.given_up));
}

#[test]
fn a_flow_is_held_once_and_takes_one_place_until_it_leaves() {
    let hold = Hold::new(limits());
    let take = || Place::take(&hold, &Ipv6Addr::LOCALHOST);
    let table = HeldTable::new(2);
    let syn = frame(&segment(SYN, 7));
    let entered = table.enter(flow(), &syn, take).unwrap();
    let again = table.enter(flow(), &syn, take).map(drop);
    assert_eq!(again, Err(NotHeld::Known(Holding::Undecided)));
    entered.1.released.store(true, Ordering::Relaxed);
    let again = table.enter(flow(), &syn, take).map(drop);
    assert_eq!(again, Err(NotHeld::Known(Holding::Released)));
    assert_eq!(hold.taken(), 1);
    table.leave(&flow(), None);
    drop(entered);
    assert_eq!(hold.taken(), 0);
    assert!(table.enter(flow(), &syn, take).is_ok());
}

#[test]
fn the_retransmission_of_an_answered_syn_takes_no_place_and_a_new_syn_does() {
    let table = HeldTable::new(2);
    let syn = frame(&segment(SYN, 7));
    for answer in [SynAnswer::Reset, SynAnswer::Unreachable(Unreachable::NoRoute), SynAnswer::Silence] {
        drop(table.enter(flow(), &syn, place).unwrap());
        table.leave(&flow(), Some(answer));
        let never = || unreachable!("a retransmission needs no place");
        assert_eq!(table.enter(flow(), &syn, never).map(drop), Err(NotHeld::Answered(answer)));
        assert!(table.enter(flow(), &frame(&segment(SYN, 8)), place).is_ok());
        table.leave(&flow(), None);
        // Empty the table for the next answer.
        *table.0.at(&flow()).beside_mut() = Answered::new(8);
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Deed {
    Release,
    Answer(SynAnswer),
    Leave(Option<SynAnswer>),
}

#[derive(Default)]
struct Deeds(RefCell<Vec<Deed>>);

impl Answerer for Deeds {
    fn release(&self, _: &Flow, _: &[u8]) {
        self.0.borrow_mut().push(Deed::Release);
    }

    fn answer(&self, answer: SynAnswer, _: &[u8]) {
        self.0.borrow_mut().push(Deed::Answer(answer));
    }

    fn leave(&self, _: &Flow, answer: Option<SynAnswer>) {
        self.0.borrow_mut().push(Deed::Leave(answer));
    }
}

fn deeds(decide: impl FnOnce(HeldSyn)) -> Vec<Deed> {
    let deeds = Rc::<Deeds>::default();
    let answerer = Rc::<Deeds>::clone(&deeds);
    decide(HeldSyn::new(answerer, flow(), Box::default()).0);
    deeds.0.take()
}

#[test]
fn a_syn_is_answered_once_and_leaves_with_its_answer() {
    for (decide, answer) in [
        (HeldSyn::reset as fn(HeldSyn), SynAnswer::Reset),
        (|syn| syn.unreachable(Unreachable::NoRoute), SynAnswer::Unreachable(Unreachable::NoRoute)),
        (HeldSyn::ignore, SynAnswer::Silence),
    ] {
        assert_eq!(deeds(decide), [Deed::Answer(answer), Deed::Leave(Some(answer))]);
    }
}

#[test]
fn a_released_syn_leaves_when_its_guard_is_dropped_and_a_dropped_syn_at_once() {
    let mut awaited = None;
    assert_eq!(deeds(|syn| awaited = Some(syn.release())), [Deed::Release]);
    assert_eq!(deeds(|syn| drop(syn.release())), [Deed::Release, Deed::Leave(None)]);
    assert_eq!(deeds(drop), [Deed::Leave(None)]);
}

#[test]
fn the_owner_of_a_syn_learns_that_its_client_gave_up() {
    let (syn, client) = HeldSyn::new(Rc::<Deeds>::default(), flow(), Box::default());
    let mut given_up = pin!(syn.given_up());
    let mut context = Context::from_waker(Waker::noop());
    assert!(given_up.as_mut().poll(&mut context).is_pending());
    client.tell();
    assert!(given_up.poll(&mut context).is_ready());
}
