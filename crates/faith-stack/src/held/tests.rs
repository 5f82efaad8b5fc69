use std::cell::RefCell;
use std::net::Ipv6Addr;
use std::pin::pin;
use std::task::{Context, Waker};

use super::*;
use crate::hold::HoldLimits;

const SYN: u8 = 0x02;
const RST: u8 = 0x04;

const ERROR: Icmpv6Error = Icmpv6Error { kind: 3, code: 0, word: 0 };
const ROUTER: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0xcb00, 0x7101);

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
    packet[7] = 63;
    packet[44..48].copy_from_slice(&sequence.to_be_bytes());
    packet[52] = 5 << 4;
    packet[53] = flags;
    packet
}

fn syn(sequence: u32) -> Syn {
    let packet = segment(SYN, sequence);
    Syn::of(flow(), &[&[0; VIRTIO_HEADER], &packet[..]].concat())
}

fn probe(sequence: u32, hop_limit: u8) -> Syn {
    Syn { hop_limit: Some(hop_limit), ..syn(sequence) }
}

#[test]
fn a_rst_with_the_next_sequence_number_gives_up_a_held_or_released_syn() {
    for released in [false, true] {
        let table = HeldTable::new(2);
        let (_place, fate) = table.enter(syn(u32::MAX), place).unwrap();
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
    let (_place, fate) = table.enter(syn(7), place).unwrap();
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
    let entered = table.enter(syn(7), take).unwrap();
    let again = table.enter(syn(7), take).map(drop);
    assert_eq!(again, Err(NotHeld::Known(Holding::Undecided)));
    entered.1.released.store(true, Ordering::Relaxed);
    let again = table.enter(syn(7), take).map(drop);
    assert_eq!(again, Err(NotHeld::Known(Holding::Released)));
    assert_eq!(hold.taken(), 1);
    table.leave(&syn(7), None);
    drop(entered);
    assert_eq!(hold.taken(), 0);
    assert!(table.enter(syn(7), take).is_ok());
}

#[test]
fn the_retransmission_of_an_answered_syn_takes_no_place_and_a_new_syn_does() {
    let table = HeldTable::new(2);
    for answer in [SynAnswer::Reset, SynAnswer::Unreachable(Unreachable::NoRoute), SynAnswer::Silence] {
        drop(table.enter(syn(7), place).unwrap());
        table.leave(&syn(7), Some(answer));
        let never = || unreachable!("a retransmission needs no place");
        assert_eq!(table.enter(syn(7), never).map(drop), Err(NotHeld::Answered(answer)));
        assert!(table.enter(syn(8), place).is_ok());
        table.leave(&syn(8), None);
        // Empty the table for the next answer.
        *table.0.at(&flow()).beside_mut() = Answered::new(8);
    }
}

#[test]
fn a_probe_for_another_router_replaces_the_one_before_which_gives_up() {
    let table = HeldTable::new(2);
    let (_first, fate) = table.enter(probe(7, 3), place).unwrap();
    // A retransmission.
    let again = table.enter(probe(7, 3), place).map(drop);
    assert_eq!((again, is_told(&fate.given_up)), (Err(NotHeld::Known(Holding::Undecided)), false));
    for next in [probe(7, 4), probe(8, 5), probe(9, 5)] {
        let before = table.0.at(&flow()).get().map(|line| Arc::clone(&line.fate)).unwrap();
        assert!(table.enter(next, place).is_ok());
        assert!(is_told(&before.given_up));
    }
    // Those that were replaced have no answer, and leave the last one in the table.
    table.leave(&probe(7, 4), Some(SynAnswer::Silence));
    let again = table.enter(probe(9, 5), place).map(drop);
    assert_eq!(again, Err(NotHeld::Known(Holding::Undecided)));
    table.leave(&probe(9, 5), None);
    assert!(table.enter(probe(7, 4), place).is_ok());
}

#[test]
fn an_ordinary_syn_and_a_released_probe_are_not_replaced() {
    let table = HeldTable::new(2);
    let (_ordinary, fate) = table.enter(syn(7), place).unwrap();
    for other in [syn(8), probe(7, 4), probe(7, 62)] {
        let known = table.enter(other, place).map(drop);
        assert_eq!(known, Err(NotHeld::Known(Holding::Undecided)));
    }
    assert!(!is_told(&fate.given_up));
    table.leave(&syn(7), None);
    let (_probe, fate) = table.enter(probe(7, 4), place).unwrap();
    fate.released.store(true, Ordering::Relaxed);
    let known = table.enter(probe(7, 5), place).map(drop);
    assert_eq!((known, is_told(&fate.given_up)), (Err(NotHeld::Known(Holding::Released)), false));
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

    fn leave(&self, _: &Syn, answer: Option<SynAnswer>) {
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
        (|syn| syn.error(ERROR, ROUTER), SynAnswer::Error { error: ERROR, from: ROUTER }),
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
fn a_small_hop_limit_is_told_and_an_ordinary_one_is_not() {
    let told = |hop_limit| {
        let mut packet = segment(SYN, 7);
        packet[7] = hop_limit;
        let frame = [&[0; VIRTIO_HEADER], &packet[..]].concat().into();
        HeldSyn::new(Rc::<Deeds>::default(), flow(), frame).0.probed_hops()
    };
    assert_eq!([1, 29, 31].map(told), [Some(1), Some(29), Some(31)]);
    assert_eq!([32, 63, 64, 255].map(told), [None; 4]);
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
