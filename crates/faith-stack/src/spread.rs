//! Chooses a worker's queue for each packet, by the program of `bpf/queue.bpf.c` on both TUN devices of an interface.

use std::os::fd::AsFd as _;

use aya::Ebpf;
use aya::programs::SocketFilter;
use faith_sys::backlog::Backlogs;
use faith_sys::tun::Tun;

use crate::ebpf::{self, BACKLOGS, ProgramRefused, program, refused_load, set_workers, take_backlogs};
use crate::mixing::Mixing;

static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../bpf/queue.bpf.o");

/// The choice of the worker for a SYN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syns {
    /// The worker that gets its other packets.
    ByFlow,
    /// The one of two workers with the smaller backlog, for connections whose other packets take the shortcut.
    ByBacklog,
}

/// Makes the program choose among the queues of each of `devices`, the same in both directions of a flow. The devices
/// keep the program from then on. Workers must record in the returned backlogs when their queue is empty.
///
/// # Errors
/// The kernel refuses the program. It then spreads flows by its own table, at more cost.
pub(crate) fn spread(devices: [&[Tun]; 2], syns: Syns, mixing: Mixing) -> Result<Backlogs, ProgramRefused> {
    let queues = u32::try_from(devices[0].len()).map_err(|error| ProgramRefused::new("load", &error))?;
    let (mut ebpf, backlogs) = load(queues, syns, mixing)?;
    let queue = loaded(&mut ebpf)?.fd().map_err(|error| ProgramRefused::new("load", &error))?;
    for device in devices.into_iter().filter_map(<[Tun]>::first) {
        device.steer(queue.as_fd()).map_err(|error| ProgramRefused::new("attach", &error))?;
    }
    Ok(backlogs)
}

fn load(queues: u32, syns: Syns, mixing: Mixing) -> Result<(Ebpf, Backlogs), ProgramRefused> {
    let choice = if syns == Syns::ByBacklog { queues } else { 0 };
    let mut ebpf = ebpf::load(OBJECT, &[(BACKLOGS, queues)])?;
    ebpf::set(&mut ebpf, ".data.mixing", [mixing.addend, mixing.factor])?;
    set_workers(&mut ebpf, choice)?;
    loaded(&mut ebpf)?.load().map_err(refused_load)?;
    let backlogs = take_backlogs(&mut ebpf, queues)?;
    Ok((ebpf, backlogs))
}

fn loaded(ebpf: &mut Ebpf) -> Result<&mut SocketFilter, ProgramRefused> {
    program(ebpf, "queue")
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddrV6;

    use aya::programs::{TestRun as _, TestRunOptions};
    use faith_packet::classify::ToStack;
    use proptest::prelude::*;

    use super::*;
    use crate::packets::builder::classifier;
    use crate::packets::{each, short_packet, turned};

    const QUEUES: u32 = 4;
    const FLOWS: u16 = 4096;

    /// Runs `test` with a program of its own. If the kernel refuses the program to this user, this prints so and passes,
    /// except in CI.
    fn with_program(syns: Syns, test: impl FnOnce(&SocketFilter, &Backlogs)) {
        with_mixing(syns, Mixing::random(), test);
    }

    fn with_mixing(syns: Syns, mixing: Mixing, test: impl FnOnce(&SocketFilter, &Backlogs)) {
        match load(QUEUES, syns, mixing) {
            Ok((mut ebpf, backlogs)) => test(loaded(&mut ebpf).unwrap(), &backlogs),
            Err(error) => {
                let error = error.of("queue");
                assert!(std::env::var_os("CI").is_none(), "in CI this must run: {error}");
                eprintln!("not run: {error}");
            }
        }
    }

    /// The queue of a packet. The kernel's test run requires an Ethernet header and removes it.
    fn queue_of(program: &SocketFilter, packet: &[u8]) -> u32 {
        let frame = [&[0; 14], packet].concat();
        let options = TestRunOptions { data_in: Some(&frame), ..TestRunOptions::default() };
        program.test_run(options).unwrap().return_value % QUEUES
    }

    /// A packet of next header `next` from one (address, port) to another.
    fn packet(next: u8, from: (u8, u16), to: (u8, u16)) -> [u8; 60] {
        let mut packet = [0; 60];
        (packet[0], packet[5], packet[6], packet[7]) = (6 << 4, 20, next, 64);
        for (place, (address, port), port_place) in [(8, from, 40), (24, to, 42)] {
            packet[place..place + 2].copy_from_slice(&[0x20, 0x01]);
            packet[place + 15] = address;
            packet[port_place..port_place + 2].copy_from_slice(&port.to_be_bytes());
        }
        packet
    }

    #[test]
    fn both_directions_of_a_flow_get_the_same_queue() {
        with_program(Syns::ByFlow, |program, _| {
            for next in [6, 58] {
                for port in 0..64 {
                    let (client, server) = ((1, port), (2, 443));
                    let queue = queue_of(program, &packet(next, client, server));
                    assert_eq!(queue, queue_of(program, &packet(next, server, client)), "port {port}");
                }
            }
        });
    }

    #[test]
    fn the_connections_of_one_client_spread_evenly_over_all_queues() {
        with_program(Syns::ByFlow, |program, _| {
            let mut flows = [0; QUEUES as usize];
            for port in 0..FLOWS {
                flows[queue_of(program, &packet(6, (1, 1024 + port), (2, 443))) as usize] += 1;
            }
            let fair = FLOWS / 4;
            assert!(flows.iter().all(|&flows| (fair * 3 / 4..fair * 5 / 4).contains(&flows)), "{flows:?}");
        });
    }

    #[test]
    fn packets_that_have_no_port_go_by_their_addresses_alone() {
        with_program(Syns::ByFlow, |program, _| {
            let queue = queue_of(program, &packet(58, (1, 0), (2, 0)));
            assert!((0..64).all(|port| queue_of(program, &packet(58, (1, port), (2, 0))) == queue));
            let queues = (0..64).map(|address| queue_of(program, &packet(58, (address, 0), (2, 0))));
            assert!(queues.collect::<std::collections::HashSet<_>>().len() == QUEUES as usize);
        });
    }

    #[test]
    fn a_datagram_goes_to_the_owner_of_its_clients_port_wherever_it_goes() {
        let mixing = Mixing::random();
        with_mixing(Syns::ByBacklog, mixing, |program, _| {
            let mut owners = std::collections::HashSet::new();
            for port in 0..256 {
                let sent = |server| packet(17, (1, port), (server, 53));
                let address: [u8; 16] = sent(2)[8..24].try_into().unwrap();
                let owner = mixing.owner(&SocketAddrV6::new(address.into(), port, 0, 0), QUEUES as usize);
                assert!((2..10).all(|server| queue_of(program, &sent(server)) as usize == owner));
                owners.insert(owner);
            }
            assert_eq!(owners.len(), QUEUES as usize);
        });
    }

    #[test]
    fn an_echo_request_goes_to_the_owner_of_its_identifier_wherever_it_goes() {
        let mixing = Mixing::random();
        with_mixing(Syns::ByBacklog, mixing, |program, _| {
            let mut owners = std::collections::HashSet::new();
            for identifier in 0..256_u16 {
                // Type and code stand where a port would, and so does the checksum.
                let sent = |server, sum| {
                    let mut packet = packet(58, (1, 128 << 8), (server, sum));
                    packet[44..46].copy_from_slice(&identifier.to_be_bytes());
                    packet
                };
                let address: [u8; 16] = sent(2, 0)[8..24].try_into().unwrap();
                let client = SocketAddrV6::new(address.into(), identifier, 0, 0);
                let owner = mixing.owner(&client, QUEUES as usize);
                let mut sums = [0, 1, 0xffff].into_iter().cycle();
                let queue = |server| queue_of(program, &sent(server, sums.next().unwrap()));
                assert!((2..10).map(queue).all(|queue| queue as usize == owner));
                owners.insert(owner);
            }
            assert_eq!(owners.len(), QUEUES as usize);
        });
    }

    /// A segment with these flags.
    fn segment(flags: u8, port: u16) -> [u8; 60] {
        let mut packet = packet(6, (1, port), (2, 443));
        packet[53] = flags;
        packet
    }

    const SYN: u8 = 0x02;
    const SYN_ACK: u8 = 0x12;
    const ACK: u8 = 0x10;

    /// The number of SYNs that come to each queue, with one SYN per port.
    fn shares(program: &SocketFilter, ports: impl Iterator<Item = u16>) -> [u32; QUEUES as usize] {
        let mut shares = [0; QUEUES as usize];
        for port in ports {
            shares[queue_of(program, &segment(SYN, port)) as usize] += 1;
        }
        shares
    }

    #[test]
    fn workers_that_see_none_of_their_syns_get_equally_many() {
        with_program(Syns::ByBacklog, |program, _| {
            let shares = shares(program, 0..1000);
            // Shares by flow alone would rarely be this even.
            assert!(shares.iter().all(|share| (246..=254).contains(share)), "{shares:?}");
        });
    }

    #[test]
    fn a_worker_that_sees_its_syns_gets_more_than_those_that_do_not() {
        with_program(Syns::ByBacklog, |program, backlogs| {
            let mut to_first = 0;
            for port in 0..1000 {
                if queue_of(program, &segment(SYN, port)) == 0 {
                    to_first += 1;
                    backlogs.seen(0);
                }
            }
            // It is one of the two compared workers half of the time, and wins then.
            assert!((400..600).contains(&to_first), "{to_first}");
            // If all workers have seen all SYNs, the flow alone decides.
            (0..QUEUES as usize).for_each(|worker| backlogs.seen(worker));
            let before = shares(program, std::iter::once(1));
            (0..QUEUES as usize).for_each(|worker| backlogs.seen(worker));
            assert_eq!(before, shares(program, std::iter::once(1)));
        });
    }

    #[test]
    fn only_syns_go_by_backlog() {
        with_program(Syns::ByBacklog, |program, _| {
            let queues = |flags, port| queue_of(program, &segment(flags, port));
            for port in 0..64 {
                let queue = queues(ACK, port);
                shares(program, 0..8);
                assert_eq!((queues(ACK, port), queues(SYN_ACK, port)), (queue, queue));
            }
        });
        with_program(Syns::ByFlow, |program, _| {
            for port in 0..64 {
                let syn = queue_of(program, &segment(SYN, port));
                assert_eq!(syn, queue_of(program, &segment(ACK, port)));
            }
        });
    }

    /// The packet of the other direction of the same flow.
    fn answer_to(packet: &[u8]) -> Vec<u8> {
        let mut answer = turned(packet.to_vec());
        if let (6, Some(ports)) = (packet[6], answer.get_mut(40..44)) {
            ports.rotate_left(2);
        }
        answer
    }

    #[test]
    fn any_packet_and_its_answer_get_the_same_queue() {
        let by_source = |packet: &[u8]| packet[6] == 17 || (packet[6] == 58 && packet.get(40) == Some(&128));
        let packets =
            short_packet().prop_filter("a header", move |packet| packet.len() >= 40 && !by_source(packet));
        for syns in [Syns::ByFlow, Syns::ByBacklog] {
            with_program(syns, |program, _| {
                each(&packets, |packet| {
                    let queue = queue_of(program, &packet);
                    let begins = packet[6] == 6 && packet.get(53).is_some_and(|it| it & SYN_ACK == SYN);
                    if syns == Syns::ByFlow || !begins {
                        prop_assert_eq!(queue, queue_of(program, &answer_to(&packet)));
                        prop_assert_eq!(queue, queue_of(program, &packet), "and so does the next");
                    }
                    // Every plain SYN that the classifier captures begins a connection here too. Others that
                    // do are malformed, and no client waits for those.
                    let plain =
                        packet[6] == 6 && matches!(classifier().to_stack(&packet, true), ToStack::Syn(_));
                    prop_assert!(begins || !plain);
                    Ok(())
                });
            });
        }
    }

    #[test]
    fn each_program_spreads_flows_in_its_own_random_way() {
        let choice = |program: &SocketFilter| {
            (0..64).map(|port| queue_of(program, &packet(6, (1, port), (2, 443)))).collect::<Vec<_>>()
        };
        with_program(Syns::ByFlow, |one, _| {
            with_program(Syns::ByFlow, |other, _| assert_ne!(choice(one), choice(other)));
        });
    }

    #[test]
    fn a_packet_too_short_for_tcp_goes_to_the_first_queue() {
        with_program(Syns::ByFlow, |program, _| {
            assert_eq!(queue_of(program, &packet(6, (1, 1), (2, 2))[..30]), 0);
        });
    }
}
