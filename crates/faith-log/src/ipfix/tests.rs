//! Messages are read back by a decoder that shares no code with the encoder.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use faith_relay::{PortBlockRecord, Protocol, SessionBegin, SessionEnd, SessionRecord};
use proptest::prelude::*;

use super::decoder::{Decoder, Record};
use super::event::Event;
use super::message::{Encoder, MOST};

fn time() -> impl Strategy<Value = SystemTime> {
    (0_u64..4_000_000_000_000).prop_map(|at| UNIX_EPOCH + Duration::from_millis(at))
}

fn ipv6() -> impl Strategy<Value = SocketAddrV6> {
    (any::<u128>(), any::<u16>()).prop_map(|(ip, port)| SocketAddrV6::new(ip.into(), port, 0, 0))
}

fn ipv4() -> impl Strategy<Value = Option<SocketAddr>> {
    proptest::option::of(
        (any::<u32>(), any::<u16>()).prop_map(|(ip, port)| (Ipv4Addr::from(ip), port).into()),
    )
}

prop_compose! {
    fn session()(
        protocol in proptest::sample::select(Protocol::ALL.to_vec()),
        (client, destination) in (ipv6(), ipv6()),
        (server, source) in (ipv4(), ipv4()),
        (bytes_up, bytes_down) in any::<(u64, u64)>(),
        started in time(),
        duration in 0_u64..1_000_000_000,
        reason in proptest::sample::select(SessionEnd::ALL.to_vec()),
    ) -> SessionRecord {
        let duration = Duration::from_millis(duration);
        SessionRecord {
            id: 1, protocol, client, destination, server, source, bytes_up, bytes_down, started, duration, reason,
            cause: None, tag: None, name: None,
        }
    }
}

#[derive(Debug, Clone)]
enum Given {
    Begin(SystemTime, SessionRecord),
    End(SessionRecord),
    SessionsFull(SystemTime, u32),
    ClientFull(SystemTime, u32, Ipv6Addr),
    MappingsFull(SystemTime, u32),
    PortBlock(PortBlockRecord),
}

fn port_block() -> impl Strategy<Value = PortBlockRecord> {
    (any::<u128>(), 0..=128_u8, any::<u32>(), 1..=u16::MAX, 0..5000_u16, time(), proptest::option::of(time()))
        .prop_map(|(network, prefix_length, source, first, more, assigned, released)| PortBlockRecord {
            network: network.into(),
            prefix_length,
            source: Ipv4Addr::from(source).into(),
            first,
            last: first.saturating_add(more),
            assigned,
            released,
        })
}

fn given() -> impl Strategy<Value = Given> {
    prop_oneof![
        4 => (time(), session()).prop_map(|(at, session)| Given::Begin(at, session)),
        8 => session().prop_map(Given::End),
        1 => (time(), any::<u32>()).prop_map(|(at, limit)| Given::SessionsFull(at, limit)),
        1 => (time(), any::<u32>()).prop_map(|(at, limit)| Given::MappingsFull(at, limit)),
        1 => (time(), any::<u32>(), any::<u128>())
            .prop_map(|(at, limit, client)| Given::ClientFull(at, limit, client.into())),
        2 => port_block().prop_map(Given::PortBlock),
    ]
}

fn begin_of(session: &SessionRecord) -> SessionBegin {
    let &SessionRecord { id, protocol, client, destination, server, source, .. } = session;
    SessionBegin { id, protocol, client, destination, server, source, tag: None, name: None }
}

fn event_of(given: &Given) -> Event {
    match given {
        Given::Begin(at, session) => Event::begin(*at, &begin_of(session)),
        Given::End(session) => Event::end(session),
        Given::SessionsFull(at, limit) => Event::SessionsFull { at: *at, limit: *limit },
        Given::ClientFull(at, limit, client) => Event::ClientFull { at: *at, limit: *limit, client: *client },
        Given::MappingsFull(at, limit) => Event::MappingsFull { at: *at, limit: *limit },
        Given::PortBlock(block) => Event::PortBlock(*block),
    }
}

fn milliseconds(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH).unwrap().as_millis()
}

/// The values that a collector must see, by the identifiers of IANA's registry.
fn expected(given: &Given, destinations: bool) -> Vec<(u16, u128)> {
    let post = |end: Option<SocketAddr>| match end {
        Some(SocketAddr::V4(end)) => (u128::from(end.ip().to_bits()), u128::from(end.port())),
        _ => (0, 0),
    };
    let ends = |session: &SessionRecord| {
        let (source, source_port) = post(session.source);
        let (server, server_port) = post(session.server);
        let client = [
            (
                4,
                match session.protocol {
                    Protocol::Tcp => 6,
                    Protocol::Udp => 17,
                    Protocol::Icmp => 1,
                },
            ),
            (27, session.client.ip().to_bits()),
            (7, session.client.port().into()),
            (225, source),
            (227, source_port),
        ];
        let destination = [
            (28, session.destination.ip().to_bits()),
            (11, session.destination.port().into()),
            (226, server),
            (228, server_port),
        ];
        client.into_iter().chain(destination.into_iter().filter(move |_| destinations)).collect::<Vec<_>>()
    };
    let mut values = match given {
        Given::Begin(at, session) => [vec![(323, milliseconds(*at)), (230, 6)], ends(session)].concat(),
        Given::End(session) => {
            let ended = milliseconds(session.started + session.duration);
            let reason = match session.reason.name() {
                "idle-timeout" | "client-gone" | "server-gone" => 1,
                "closed" | "client-reset" | "server-reset" => 3,
                _ => 4,
            };
            let own = vec![
                (323, ended),
                (230, 7),
                (152, milliseconds(session.started)),
                (153, ended),
                (231, session.bytes_up.into()),
                (232, session.bytes_down.into()),
                (136, reason),
            ];
            [own, ends(session)].concat()
        }
        Given::SessionsFull(at, limit) => {
            vec![(323, milliseconds(*at)), (230, 13), (466, 1), (471, u128::from(*limit))]
        }
        Given::MappingsFull(at, limit) => {
            vec![(323, milliseconds(*at)), (230, 13), (466, 2), (472, u128::from(*limit))]
        }
        Given::ClientFull(at, limit, client) => vec![
            (323, milliseconds(*at)),
            (230, 13),
            (466, 3),
            (473, u128::from(*limit)),
            (27, client.to_bits()),
        ],
        Given::PortBlock(block) => {
            let (first, last) = (u128::from(block.first), u128::from(block.last));
            vec![
                (323, milliseconds(block.released.unwrap_or(block.assigned))),
                (230, if block.released.is_some() { 17 } else { 16 }),
                (27, block.network.to_bits()),
                (29, block.prefix_length.into()),
                (225, post(Some((block.source, 0).into())).0),
                (361, first),
                (362, last),
                (363, 1),
                (364, last - first + 1),
            ]
        }
    };
    values.sort_unstable();
    values
}

fn values(record: &Record) -> Vec<(u16, u128)> {
    record.elements().into_iter().map(|element| (element, record.number(element).unwrap())).collect()
}

/// Encodes events, with the templates in each message that begins at one of these places.
fn encode(given: &[Given], destinations: bool, domain: u32, announced: &[bool]) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(domain);
    let mut messages = Vec::new();
    let has_templates = |count: usize| count == 0 || announced.get(count).copied().unwrap_or(false);
    let now = UNIX_EPOCH + Duration::from_secs(1_796_043_787);
    let begin = |encoder: &mut Encoder, count: usize| {
        encoder.begin();
        if has_templates(count) {
            encoder.add_templates();
        }
    };
    begin(&mut encoder, 0);
    for given in given {
        if !encoder.add(&event_of(given), destinations) {
            messages.push(encoder.finish(now).to_vec());
            begin(&mut encoder, messages.len());
            assert!(encoder.add(&event_of(given), destinations), "an empty message has room");
        }
    }
    messages.push(encoder.finish(now).to_vec());
    messages
}

proptest! {
    #[test]
    fn a_collector_reads_what_was_written(
        given in proptest::collection::vec(given(), 0..200),
        destinations in any::<bool>(),
        domain in any::<u32>(),
        announced in proptest::collection::vec(any::<bool>(), 0..20),
    ) {
        let mut decoder = Decoder::default();
        let mut read = Vec::new();
        for message in encode(&given, destinations, domain, &announced) {
            prop_assert!(message.len() <= MOST, "{}", message.len());
            let decoded = decoder.decode(&message);
            prop_assert_eq!((decoded.domain, decoded.export_time), (domain, 1_796_043_787));
            prop_assert_eq!(decoded.sequence as usize, read.len(), "the records before this message");
            read.extend(decoded.records.iter().map(values));
        }
        let wanted: Vec<_> = given.iter().map(|given| expected(given, destinations)).collect();
        prop_assert_eq!(read, wanted);
    }
}

#[test]
fn the_sequence_begins_again_after_its_last_number() {
    let session = crate::samples::session();
    let mut encoder = Encoder::new(1);
    encoder.set_sequence(u32::MAX);
    encoder.add_templates();
    assert!(encoder.add(&Event::end(&session), true) && encoder.add(&Event::end(&session), true));
    encoder.begin();
    assert!(encoder.add(&Event::end(&session), true));
    let mut decoder = Decoder::default();
    decoder.decode(&{
        let mut first = Encoder::new(1);
        first.add_templates();
        first.finish(UNIX_EPOCH).to_vec()
    });
    assert_eq!(decoder.decode(encoder.finish(UNIX_EPOCH)).sequence, 1);
}

#[test]
fn records_of_one_kind_share_a_set() {
    let mut encoder = Encoder::new(1);
    let event = Event::end(&crate::samples::session());
    let mut count = 0;
    while encoder.add(&event, true) {
        count += 1;
    }
    // 16 octets of the message's header, 4 of the set's, and 91 of each record.
    assert_eq!((count, encoder.finish(UNIX_EPOCH).len()), (13, 16 + 4 + 13 * 91));
}
