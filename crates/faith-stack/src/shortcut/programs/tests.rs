//! The programs and the classifier agree: the shortcut takes only packets that the pump would pass on. The tests need
//! root, or the same rights as faithd. Without them they print so and pass, except in CI.

use std::net::{SocketAddr, SocketAddrV6};
use std::os::fd::AsFd as _;

use aya::programs::{TestRun as _, TestRunOptions};
use faith_packet::classify::ToStack;
use faith_sys::tun::{MAX_FRAME, Tun, VIRTIO_HEADER};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use socket2::{Domain, Protocol, Socket, Type};

use super::*;
use crate::devices::MAC;
use crate::netlink::Netlink;
use crate::packets::builder::{self, SERVER, TCP, classifier, prefixes};
use crate::packets::{each, packet, short_packet, turned};

const HEADER: usize = 40;
const ICMPV6: u8 = 58;
const FRAGMENT: u8 = 44;
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// `TC_ACT_SHOT` and `TC_ACT_REDIRECT` of linux/pkt_cls.h.
const SHOT: u32 = 2;
const REDIRECT: u32 = 7;

fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "in CI this must run: {why}");
    eprintln!("not run: {why}");
}

fn next_header(packet: &[u8]) -> u8 {
    packet[6]
}

/// A packet from the stack: a packet to the stack with its addresses swapped.
fn answer() -> impl Strategy<Value = Vec<u8>> {
    short_packet().prop_map(turned)
}

/// `to_stack` at the egress of a TUN device. A raw socket sends packets to the device, as the host would forward them.
struct Egress {
    programs: Programs,
    tun: Tun,
    raw: Socket,
}

impl Egress {
    /// Makes the devices in the calling thread's network namespace, which must be new.
    fn make() -> Result<Self, ProgramRefused> {
        let netlink = Netlink::connect().expect("a netlink socket");
        netlink.loopback_up().expect("lo is there");
        let tun = Tun::create("egress", 1).expect("a TUN device").pop().expect("a queue");
        let here = faith_sys::netns::current().expect("/proc is mounted");
        netlink.add_pair("one", "other", here.as_fd(), MAC).expect("a pair");
        let up = |name| netlink.bring_up(name, 65_535, 1000).expect("it is there");
        let (faith, pair, _) = (up("egress"), up("one"), up("other"));
        netlink.add_default_route(faith, 1, 1440).expect("no other route is there");
        let (mut programs, _) = Loaded::load(2)?.attach(("egress", faith), ("one", pair))?;
        for prefix in &prefixes() {
            programs.add_prefix(prefix).expect("room for a prefix");
        }
        programs.open(true).unwrap();
        let raw = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::from(255))).expect("a raw socket");
        raw.set_header_included_v6(true).expect("IPV6_HDRINCL");
        Ok(Self { programs, tun, raw })
    }

    /// Sends a packet to the device. Returns true if the program took it. Otherwise checks that it came to the queue
    /// unchanged.
    fn takes(&self, packet: &[u8]) -> bool {
        let before = self.programs.passed().captured;
        // This address only selects the route; the packet has its own destination.
        let way = SocketAddr::V6(SocketAddrV6::new(SERVER, 0, 0, 0));
        self.raw.send_to(packet, &way.into()).expect("a route, and room in the queue");
        let mut frame = vec![0; MAX_FRAME];
        let queued = self.tun.read(&mut frame).ok().map(|length| &frame[VIRTIO_HEADER..length]);
        let [packets, bytes] = self.programs.passed().captured;
        if [packets, bytes] == before {
            assert_eq!(queued, Some(packet), "the pump gets the packet unchanged");
            return false;
        }
        assert_eq!([packets - before[0], bytes - before[1]], [1, packet.len() as u64]);
        assert_eq!(queued, None, "the pump does not get the packet too");
        true
    }
}

fn with_egress(test: impl FnOnce(Egress) + Send + 'static) {
    let thread = std::thread::spawn(|| {
        if let Err(error) = faith_sys::netns::unshare_network() {
            return skip(&format!("cannot make a network namespace: {error}"));
        }
        match Egress::make() {
            Ok(egress) => test(egress),
            Err(error) => skip(&error.of("shortcut")),
        }
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Returns true if `to_stack` must take a packet: one that the classifier captures as TCP, except packets with extension
/// headers, packets that the pump must see, and packets whose source begins with eight zero octets or is link-local.
fn may_be_taken(packet: &[u8], syns: bool) -> bool {
    let captured =
        matches!(classifier().to_stack(packet, true), ToStack::Tcp | ToStack::Syn(_) | ToStack::Reset(_));
    let plain = captured && next_header(packet) == TCP && packet[8..16] != [0; 8];
    let is_link_local = |packet: &[u8]| packet[8] == 0xfe && packet[9] & 0xc0 == 0x80;
    plain
        && !is_link_local(packet)
        && match packet[HEADER + 13] & (SYN | ACK | RST | FIN) {
            SYN => syns,
            flags => flags & (SYN | ACK) == ACK,
        }
}

#[test]
fn to_stack_takes_exactly_the_plain_tcp_that_the_classifier_captures() {
    with_egress(|mut egress| {
        for syns in [false, true] {
            egress.programs.pass_syns(syns).unwrap();
            // A raw socket needs a whole header, and the kernel does not send interface-local multicast.
            let sendable =
                packet().prop_filter("sendable", |packet| packet.len() >= HEADER && packet[24] != 0xff);
            each(&sendable, |packet| {
                prop_assert_eq!(egress.takes(&packet), may_be_taken(&packet, syns), "SYNs pass: {}", syns);
                Ok(())
            });
        }
    });
}

#[test]
fn to_stack_and_the_classifier_agree_on_every_combination_of_flags() {
    with_egress(|mut egress| {
        for syns in [false, true] {
            egress.programs.pass_syns(syns).unwrap();
            for flags in 0..=u8::MAX {
                let mut segment = builder::syn();
                segment[HEADER + 13] = flags;
                let verdict = classifier().to_stack(&segment, true);
                let expected = match verdict {
                    ToStack::Syn(_) => syns,
                    ToStack::Tcp => flags & (SYN | ACK) == ACK,
                    _ => false,
                };
                assert_eq!(egress.takes(&segment), expected, "flags {flags:#x} are {verdict:?}");
            }
        }
    });
}

#[test]
fn a_shortcut_that_is_closed_or_has_no_prefix_takes_no_packet() {
    with_egress(|mut egress| {
        let mut segment = builder::syn();
        segment[HEADER + 13] = ACK;
        assert!(egress.takes(&segment));
        egress.programs.open(false).unwrap();
        assert!(!egress.takes(&segment));
        egress.programs.open(true).unwrap();
        for prefix in &prefixes() {
            egress.programs.remove_prefix(prefix).expect("it is there");
        }
        assert!(!egress.takes(&segment));
    });
}

/// Loads the programs for test runs, with the way to the host open.
fn with_loaded(test: impl FnOnce(&mut Ebpf)) {
    match Loaded::load(2) {
        Ok(Loaded { mut ebpf, .. }) => {
            let mut ways: Array<MapData, u32> = take_map(&mut ebpf, "ways").expect("a map");
            ways.set(TO_HOST, 1, BPF_ANY).expect("it has that entry");
            let mut known: LpmTrie<MapData, [u8; 16], u32> = take_map(&mut ebpf, "prefixes").expect("a map");
            for prefix in &prefixes() {
                known.insert(&key(prefix), 0, BPF_ANY).expect("room for a prefix");
            }
            test(&mut ebpf);
        }
        Err(error) => skip(&error.of("shortcut")),
    }
}

/// Runs a program on a packet at its end of the pair. Returns its verdict, and the packet afterwards.
fn run(ebpf: &mut Ebpf, name: &str, packet: &[u8]) -> (u32, Vec<u8>) {
    let frame = [&[0; 12], &[0x86, 0xdd][..], packet].concat();
    let mut out = vec![0; frame.len()];
    let options =
        TestRunOptions { data_in: Some(&frame), data_out: Some(&mut out), ..TestRunOptions::default() };
    let ran = program::<SchedClassifier>(ebpf, name).unwrap().test_run(options).unwrap();
    out.truncate(ran.data_size_out as usize);
    (ran.return_value, out.split_off(14))
}

#[test]
fn to_host_lets_out_the_packets_that_the_pump_would_let_out() {
    with_loaded(|ebpf| {
        let ebpf = std::cell::RefCell::new(ebpf);
        each(&answer(), |packet| {
            let (verdict, out) = run(&mut ebpf.borrow_mut(), "to_host", &packet);
            prop_assert_eq!(&out, &packet);
            // The stack sends no extension headers, except fragment headers.
            let plain = packet.len() >= 48
                && match next_header(&packet) {
                    TCP | ICMPV6 => true,
                    FRAGMENT => packet[HEADER] == TCP,
                    _ => false,
                };
            let leaves = plain && classifier().to_host(&packet).is_none();
            prop_assert_eq!(verdict, if leaves { REDIRECT } else { SHOT });
            Ok(())
        });
    });
}

#[test]
fn reset_orphans_answers_segments_with_a_reset_and_no_other_packet() {
    with_loaded(|ebpf| {
        let ebpf = std::cell::RefCell::new(ebpf);
        each(&answer(), |packet| {
            let (verdict, out) = run(&mut ebpf.borrow_mut(), "reset_orphans", &packet);
            let is_segment = packet.len() >= 60 && packet[0] >> 4 == 6 && next_header(&packet) == TCP;
            if !is_segment || packet[HEADER + 13] & (RST | ACK) != ACK {
                prop_assert_eq!(verdict, SHOT);
                return Ok(());
            }
            prop_assert_eq!(verdict, REDIRECT);
            prop_assert_eq!(out.len(), 60);
            let reset = etherparse::PacketHeaders::from_ip_slice(&out).unwrap();
            let Some(etherparse::TransportHeader::Tcp(tcp)) = reset.transport else { panic!("TCP") };
            let Some(etherparse::NetHeaders::Ipv6(ip, _)) = reset.net else { panic!("IPv6") };
            prop_assert_eq!(ip.source.as_slice(), &packet[24..40]);
            prop_assert_eq!(ip.destination.as_slice(), &packet[8..24]);
            let ports = [tcp.destination_port.to_be_bytes(), tcp.source_port.to_be_bytes()].concat();
            prop_assert_eq!(ports.as_slice(), &packet[40..44]);
            let sequence = tcp.sequence_number.to_be_bytes();
            prop_assert_eq!(sequence.as_slice(), &packet[48..52]);
            prop_assert!(tcp.rst && !tcp.ack && !tcp.syn && !tcp.fin && !tcp.psh && !tcp.urg);
            prop_assert_eq!(tcp.checksum, tcp.calc_checksum_ipv6(&ip, &[]).unwrap());
            Ok(())
        });
    });
}

/// Proves that the generator of the tests above meets every case.
#[test]
fn the_generated_packets_include_taken_and_left_ones() {
    let mut runner = TestRunner::deterministic();
    let (mut taken, mut syns, mut left, mut leaving) = (0, 0, 0, 0);
    for _ in 0..6000 {
        let packet = packet().new_tree(&mut runner).unwrap().current();
        taken += u32::from(may_be_taken(&packet, false));
        syns += u32::from(!may_be_taken(&packet, false) && may_be_taken(&packet, true));
        let captured =
            !matches!(classifier().to_stack(&packet, true), ToStack::Drop(_) | ToStack::Unreachable);
        left += u32::from(captured && !may_be_taken(&packet, true));
        let answer = answer().new_tree(&mut runner).unwrap().current();
        leaving += u32::from(classifier().to_host(&answer).is_none());
    }
    assert!(taken > 200 && syns > 50 && left > 300 && leaving > 300, "{taken} {syns} {left} {leaving}");
}
