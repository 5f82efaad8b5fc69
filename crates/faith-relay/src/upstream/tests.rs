use etherparse::{Ipv4Slice, PacketBuilder, TcpSlice};
use faith_packet::icmpv6::Unreachable;
use faith_packet::translate::Icmpv6Error;
use faith_stack::SynAnswer;
use faith_sys::netns;
use faith_sys::tun::{MAX_FRAME, Tun, VIRTIO_HEADER};

use super::*;
use crate::cause::Cause;
use crate::record::RefusalReason;
use crate::source::Address;
use crate::tests::ip;

const EADDRNOTAVAIL: i32 = 99;
/// Addresses that no host has (RFC 5737, RFC 3849).
const FOREIGN: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(203, 0, 113, 77)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 77))];

#[test]
fn a_missing_source_address_is_no_lack_of_ports() {
    for (foreign, privileged) in FOREIGN.iter().flat_map(|foreign| [(*foreign, false), (*foreign, true)]) {
        let error = check_source(Some(foreign), privileged).unwrap_err();
        assert!(matches!(error, ConnectError::Source { address, .. } if address == foreign), "{error:?}");
        let refusal = Refusal::from(&error);
        assert_eq!((refusal.reason, refusal.cause), (RefusalReason::Error, Some(Cause::NoSource)));
        assert_eq!(refusal.source, Some(foreign));
    }
    // connect(2) gives the same error if every port is taken.
    let ports = Refusal::from(&ConnectError::Other(io::Error::from_raw_os_error(EADDRNOTAVAIL)));
    assert_eq!((ports.reason, ports.source), (RefusalReason::Exhausted, None));
}

#[test]
fn addresses_of_the_host_can_be_sources() {
    check_source(None, false).unwrap();
    check_source(Some(Ipv4Addr::LOCALHOST.into()), false).unwrap();
    check_source(Some(Ipv6Addr::LOCALHOST.into()), false).unwrap();
}

const HERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const ROUTER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

/// The time to live of a host's packets.
const ORDINARY: u8 = 64;

/// The servers' side of a host in a network namespace of its own: the test reads what the host sends, and answers.
struct Wire(AsyncFd<Tun>);

/// A TCP segment that the host has sent.
struct Sent {
    packet: Vec<u8>,
    ttl: u8,
    from: u16,
    sequence: u32,
    begins: bool,
    data: Vec<u8>,
}

impl Wire {
    fn lay() -> Self {
        let tun = Tun::create("wire", 1).unwrap().remove(0);
        for arguments in [
            format!("addr add {HERE}/24 dev wire"),
            "link set wire up".into(),
            "route add default dev wire".into(),
        ] {
            ip(&arguments);
        }
        Self(reactor::register(tun).unwrap())
    }

    /// The next TCP segment that the host sends.
    async fn next(&self) -> Sent {
        let mut frame = vec![0; MAX_FRAME];
        loop {
            let mut ready = self.0.readable().await.unwrap();
            let Ok(read) = ready.try_io(|tun| tun.get_ref().read(&mut frame)) else { continue };
            let packet = frame[VIRTIO_HEADER..read.unwrap()].to_vec();
            // The host looks for IPv6 routers, too.
            let Ok(ipv4) = Ipv4Slice::from_slice(&packet) else { continue };
            let segment = TcpSlice::from_slice(ipv4.payload().payload).unwrap();
            return Sent {
                ttl: ipv4.header().ttl(),
                from: segment.source_port(),
                sequence: segment.sequence_number(),
                begins: segment.syn(),
                data: segment.payload().to_vec(),
                packet: packet.clone(),
            };
        }
    }

    /// Sends an ICMP message of [`ROUTER`] that quotes `sent`.
    fn report(&self, kind: u8, code: u8, sent: &Sent) {
        let builder = PacketBuilder::ipv4(ROUTER.octets(), HERE.octets(), ORDINARY);
        let quoted = &sent.packet[..28];
        self.send(|frame| builder.icmpv4_raw(kind, code, [0; 4]).write(frame, quoted).unwrap());
    }

    /// Accepts the connection that `syn` asks for.
    fn accept(&self, syn: &Sent) {
        let builder = PacketBuilder::ipv4(SERVER.octets(), HERE.octets(), ORDINARY)
            .tcp(80, syn.from, 1000, 65_000)
            .syn()
            .ack(syn.sequence.wrapping_add(1));
        self.send(|frame| builder.write(frame, &[]).unwrap());
    }

    /// The host has processed the packet when this returns.
    fn send(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut frame = vec![0; VIRTIO_HEADER];
        write(&mut frame);
        self.0.get_ref().write(&frame).unwrap();
    }
}

/// Runs `test` on a host whose servers are at the other end of a wire.
fn beside_a_wire<F: Future<Output = ()>>(test: impl FnOnce(Wire) -> F + Send + 'static) {
    let ran = std::thread::spawn(|| {
        netns::unshare_network().expect("root's network namespace");
        assert!(error_queue::has_tcp(), "Linux 5.8 or later");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { test(Wire::lay()).await });
    });
    if let Err(panic) = ran.join() {
        std::panic::resume_unwind(panic);
    }
}

fn target(probed_hops: Option<u8>) -> Target {
    Target {
        server: SocketAddr::from((SERVER, 80)),
        source: Source { address: Address::Fixed(HERE.into()), ports: Ports::Any },
        traffic_class: None,
        probed_hops,
        header: None,
    }
}

/// Begins to connect, and answers the SYN. Returns its time to live, and the outcome.
async fn answered(
    wire: &Wire,
    probed_hops: Option<u8>,
    answer: impl FnOnce(&Sent),
) -> (u8, Result<Opened, Refusal>) {
    let target = target(probed_hops);
    let far = async {
        // The connection before may end with a RST.
        let syn = loop {
            let sent = wire.next().await;
            if sent.begins {
                break sent;
            }
        };
        answer(&syn);
        syn.ttl
    };
    tokio::join!(far, connect(&target, Duration::from_secs(20)))
}

#[test]
fn the_syn_of_a_client_that_looks_for_routers_goes_as_far_and_the_router_is_known() {
    beside_a_wire(async |wire| {
        for hops in [1, 3, 31] {
            let (ttl, outcome) = answered(&wire, Some(hops), |syn| wire.report(11, 0, syn)).await;
            let refusal = outcome.err().unwrap();
            assert_eq!((ttl, refusal.reason), (hops, RefusalReason::HopLimit));
            assert_eq!(refusal.report, Some((Icmpv6Error { kind: 3, code: 0, word: 0 }, ROUTER)));
        }
    });
}

#[test]
fn an_error_about_an_ordinary_connection_has_its_router() {
    beside_a_wire(async |wire| {
        for (icmp, code) in
            [(0, Unreachable::NoRoute), (1, Unreachable::AddressUnreachable), (13, Unreachable::Prohibited)]
        {
            let (ttl, outcome) = answered(&wire, None, |syn| wire.report(3, icmp, syn)).await;
            let refusal = outcome.err().unwrap();
            assert_eq!((ttl, refusal.reason), (ORDINARY, RefusalReason::Unreachable));
            assert_eq!(refusal.answer, SynAnswer::Unreachable(code));
            assert_eq!(refusal.report, Some((code.into(), ROUTER)));
        }
        let (_, outcome) = answered(&wire, None, |syn| wire.report(3, 3, syn)).await;
        let refusal = outcome.err().unwrap();
        assert_eq!(
            (refusal.reason, refusal.answer, refusal.report),
            (RefusalReason::Refused, SynAnswer::Reset, None)
        );
    });
}

#[test]
fn a_connection_that_was_made_has_the_hosts_time_to_live_and_survives_errors() {
    beside_a_wire(async |wire| {
        for (hops, expected) in [(Some(5), 5), (None, ORDINARY)] {
            let (ttl, outcome) = answered(&wire, hops, |syn| wire.accept(syn)).await;
            let connection = outcome.ok().unwrap().connection;
            assert_eq!(ttl, expected);
            tcp::transmit(&connection, b"hello").unwrap();
            let sent = wire.next().await;
            assert_eq!((sent.ttl, &sent.data[..]), (ORDINARY, &b"hello"[..]));
            wire.report(3, 1, &sent);
            wire.report(11, 0, &sent);
            assert!(!tcp::has_error(&connection));
        }
    });
}
