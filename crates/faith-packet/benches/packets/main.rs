//! Measures the classifier by kind of packet, and the mapping by the number of explicit mappings.
#![expect(clippy::expect_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::net::{Ipv6Addr, SocketAddrV4, SocketAddrV6};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use etherparse::{Ipv6FragmentHeader, PacketBuilder, PacketBuilderStep, TcpHeader};
use faith_packet::classify::{Classifier, Unsupported};
use faith_packet::mapping::{ExplicitMapping, Mappings};
use faith_packet::prefix::PrefixSet;
use faith_packet::rfc6052::Mapping;

const CLIENT: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
/// 198.51.100.2 in 64:ff9b::/96.
const SERVER: [u8; 16] = [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, 198, 51, 100, 2];

fn ipv6(source: [u8; 16], destination: [u8; 16]) -> PacketBuilderStep<etherparse::IpHeaders> {
    PacketBuilder::ipv6(source, destination, 64)
}

fn tcp(source: [u8; 16], destination: [u8; 16], syn: bool, data: &[u8]) -> Vec<u8> {
    let mut header = TcpHeader::new(49152, 80, 1, 64240);
    (header.syn, header.ack) = (syn, !syn);
    let mut packet = Vec::new();
    ipv6(source, destination).tcp_header(header).write(&mut packet, data).expect("a sound packet");
    packet
}

fn udp() -> Vec<u8> {
    let mut packet = Vec::new();
    ipv6(CLIENT, SERVER).udp(49152, 443).write(&mut packet, &[0; 1200]).expect("a sound packet");
    packet
}

fn icmp(quoted: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    let too_big = ipv6(CLIENT, SERVER).icmpv6_raw(2, 0, [0, 0, 5, 0]);
    too_big.write(&mut packet, quoted).expect("a sound packet");
    packet
}

/// The first fragment of a packet: a fragment header in front of the payload.
fn fragment(packet: &[u8]) -> Vec<u8> {
    let (fixed, payload) = packet.split_at(40);
    let header = Ipv6FragmentHeader::new(etherparse::IpNumber::TCP, 0.try_into().expect("0"), true, 7);
    let mut fragment = [fixed, &header.to_bytes(), payload].concat();
    let length = u16::try_from(fragment.len() - 40).expect("a short packet");
    fragment[4..6].copy_from_slice(&length.to_be_bytes());
    fragment[6] = 44;
    fragment
}

fn classifier(prefixes: u16) -> Classifier {
    let mut set = PrefixSet::new();
    set.insert("64:ff9b::/96".parse().expect("a prefix")).expect("the first");
    for number in 1..prefixes {
        let prefix = format!("2001:db8:{number:x}:6464::/96");
        set.insert(prefix.parse().expect("a prefix")).expect("disjoint prefixes");
    }
    Classifier::new(set, Unsupported::Unreachable)
}

fn classify(criterion: &mut Criterion) {
    let one = classifier(1);
    let answer = tcp(SERVER, CLIENT, false, &[0; 1380]);
    let mut group = criterion.benchmark_group("to_stack");
    for (name, packet) in [
        ("syn", tcp(CLIENT, SERVER, true, &[])),
        ("segment", tcp(CLIENT, SERVER, false, &[0; 1380])),
        ("segment of 64 KiB", tcp(CLIENT, SERVER, false, &vec![0; 65_000])),
        ("fragment", fragment(&tcp(CLIENT, SERVER, false, &[0; 1200]))),
        ("packet too big", icmp(&answer[..1232])),
        ("datagram", udp()),
        ("stray", tcp(CLIENT, CLIENT, false, &[0; 1380])),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(one.to_stack(black_box(&packet), black_box(true))));
        });
    }
    let segment = tcp(CLIENT, SERVER, false, &[0; 1380]);
    for prefixes in [2, 16, 256] {
        let classifier = classifier(prefixes);
        group.bench_function(BenchmarkId::new("segment, prefixes", prefixes), |bencher| {
            bencher.iter(|| black_box(classifier.to_stack(black_box(&segment), black_box(true))));
        });
    }
    group.finish();
    criterion.bench_function("to_host/segment", |bencher| {
        bencher.iter(|| black_box(one.to_host(black_box(&answer))));
    });
}

fn resolve(criterion: &mut Criterion) {
    let prefix = "64:ff9b::/96".parse().expect("a prefix");
    let at = |low: u32| {
        let base = u128::from_be_bytes(SERVER) & !u128::from(u32::MAX);
        SocketAddrV6::new(Ipv6Addr::from_bits(base | u128::from(low)), 80, 0, 0)
    };
    let mut group = criterion.benchmark_group("resolve");
    for size in [0, 10, 1_000, 100_000] {
        let server = |low: u32| SocketAddrV4::new(low.into(), 8080);
        // Take every 20,011th address, from low ones to the highest.
        let explicit = (0..size).map(|number: u32| {
            let low = number * 20_011;
            ExplicitMapping::server(*at(low).ip(), server(low)).expect("a port")
        });
        let mappings = Mappings::new(Mapping::Rfc6052, explicit).expect("no duplicates");
        let mut dialled = (0..16_384_u32).map(|turn| at(turn.wrapping_mul(0x9e37_79b1))).cycle();
        group.bench_function(BenchmarkId::new("explicit mappings", size), |bencher| {
            bencher.iter(|| {
                let Some(dialled) = dialled.next() else { return };
                black_box(mappings.resolve(&prefix, black_box(dialled)));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, classify, resolve);
criterion_main!(benches);
