//! Generates packets, mostly sound and some damaged, so that every verdict comes up.

use std::net::Ipv6Addr;

use etherparse::TcpHeader;
use proptest::collection::vec;
use proptest::prelude::*;

use super::builder::{
    self, CLIENT, Extension, ICMPV6, OTHER_SERVER, SERVER, extend, fix_length, icmpv6, ipv6,
};

fn source() -> impl Strategy<Value = Ipv6Addr> {
    let odd = ["::", "::1", "::ffff:192.0.2.1", "ff02::1", "fe80::1", "::192.0.2.1"];
    let odd = odd.map(|text| text.parse().unwrap());
    prop_oneof![
        12 => Just(CLIENT),
        1 => Just(SERVER),
        1 => prop::sample::select(odd.to_vec()),
        1 => any::<u128>().prop_map(Ipv6Addr::from_bits),
    ]
}

fn destination() -> impl Strategy<Value = Ipv6Addr> {
    prop_oneof![
        12 => Just(SERVER),
        4 => Just(OTHER_SERVER),
        1 => Just(CLIENT),
        1 => any::<u8>().prop_map(|group| Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, group.into())),
        1 => any::<u128>().prop_map(Ipv6Addr::from_bits),
    ]
}

prop_compose! {
    pub(crate) fn tcp_header()(
        ports in any::<(u16, u16)>(),
        sequence in any::<u32>(),
        flags in any::<[bool; 8]>(),
        lone_syn in any::<bool>(),
        words in vec(any::<[u8; 4]>(), 0..=10),
    ) -> TcpHeader {
        let mut header = TcpHeader::new(ports.0, ports.1, sequence, 64240);
        let [fin, syn, rst, psh, ack, urg, ece, cwr] = flags;
        header.syn = syn || lone_syn;
        (header.fin, header.rst, header.ack) =
            (fin && !lone_syn, rst && !lone_syn, ack && !lone_syn);
        (header.psh, header.urg, header.ece, header.cwr) = (psh, urg, ece, cwr);
        header.set_options_raw(&words.concat()).unwrap();
        header
    }
}

fn tcp(source: Ipv6Addr, destination: Ipv6Addr) -> BoxedStrategy<Vec<u8>> {
    (tcp_header(), vec(any::<u8>(), 0..60))
        .prop_map(move |(header, data)| builder::tcp(source, destination, header, &data))
        .boxed()
}

/// Any ICMPv6 error. Its quote may have another protocol or source, or be cut short.
fn error(source: Ipv6Addr, destination: Ipv6Addr) -> BoxedStrategy<Vec<u8>> {
    let quoted_source = prop_oneof![6 => Just(destination), 1 => Just(CLIENT), 1 => Just(SERVER)];
    let quote = quoted_source.prop_flat_map(|source| {
        prop_oneof![
            6 => tcp(source, CLIENT),
            1 => Just(builder::udp(source, CLIENT, b"datagram")),
            1 => Just(icmpv6(source, CLIENT, 129, 0, b"echo reply")),
        ]
    });
    let kind = prop_oneof![6 => 1..=3_u8, 1 => any::<u8>()];
    let cut = prop_oneof![2 => Just(usize::MAX), 1 => 0..100_usize];
    (kind, any::<u8>(), quote, extensions(), cut)
        .prop_map(move |(kind, code, quote, extensions, cut)| {
            let mut quote = extend(&quote, &extensions);
            quote.truncate(cut);
            icmpv6(source, destination, kind, code, &quote)
        })
        .boxed()
}

fn extension() -> BoxedStrategy<Extension> {
    let offset = prop_oneof![Just(0), (0..8192_u16).prop_map(|units| units * 8), Just(65_528)];
    prop_oneof![
        1 => (0..40_u8).prop_map(Extension::HopByHop),
        4 => (0..3_u8).prop_map(Extension::Destination),
        1 => any::<u8>().prop_map(Extension::Destination),
        2 => prop_oneof![3 => Just(0), 1 => any::<u8>()]
            .prop_map(|segments_left| Extension::Routing { segments_left }),
        2 => (0..6_u8).prop_map(Extension::Authentication),
        2 => Just(Extension::Fragment { offset: 0, more: false }),
        3 => (offset, any::<bool>())
            .prop_map(|(offset, more)| Extension::Fragment { offset, more }),
    ]
    .boxed()
}

fn extensions() -> BoxedStrategy<Vec<Extension>> {
    let first = (0..2_u8).prop_map(|units| vec![Extension::HopByHop(units)]);
    let first = prop_oneof![3 => Just(vec![]), 1 => first];
    let length = prop_oneof![6 => Just(0..1), 4 => Just(1..3), 1 => Just(3..11)];
    let others = length.prop_flat_map(|length| vec(extension(), length));
    prop_oneof![
        1 => Just(vec![]),
        1 => (first, others).prop_map(|(first, others)| [first, others].concat()),
    ]
    .boxed()
}

/// A packet that a host might send, with extension headers.
fn sound() -> BoxedStrategy<Vec<u8>> {
    let packet = (source(), destination()).prop_flat_map(|(source, destination)| {
        prop_oneof![
            6 => tcp(source, destination),
            3 => error(source, destination),
            1 => Just(builder::udp(source, destination, b"datagram")),
            1 => Just(icmpv6(source, destination, 128, 0, b"echo")),
            1 => (any::<u8>(), vec(any::<u8>(), 0..64)).prop_map(move |(protocol, payload)| {
                ipv6(source, destination, protocol, &payload)
            }),
            1 => vec(any::<u8>(), 0..64)
                .prop_map(move |payload| ipv6(source, destination, ICMPV6, &payload)),
        ]
    });
    (packet, extensions()).prop_map(|(packet, extensions)| extend(&packet, &extensions)).boxed()
}

/// A sound packet with some octets overwritten, cut or appended, and its length corrected or not.
fn damaged() -> BoxedStrategy<Vec<u8>> {
    let place = prop_oneof![1 => 0..40_usize, 3 => 40..120_usize];
    let small = prop_oneof![Just(0), Just(1), Just(0xff), any::<u8>()];
    let change = prop_oneof![
        3 => Just(None),
        1 => (40..140_usize).prop_map(Some),
    ];
    (sound(), vec((place, small), 0..4), change, prop::bool::weighted(0.9))
        .prop_map(|(mut packet, writes, length, honest)| {
            if let Some(length) = length {
                packet.resize(length, 0);
            }
            for (place, octet) in writes {
                if let Some(target) = packet.get_mut(place) {
                    *target = octet;
                }
            }
            if honest {
                fix_length(&mut packet);
            }
            packet
        })
        .boxed()
}

pub(crate) fn packet() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![sound(), damaged()]
}
