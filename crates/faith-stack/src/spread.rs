//! Which worker's queue a flow goes to: the program of `bpf/queue.bpf.c`, for both TUN devices of an interface.

use std::hash::{BuildHasher, RandomState};
use std::os::fd::AsFd as _;

use aya::Ebpf;
use aya::programs::SocketFilter;
use faith_sys::tun::Tun;

use crate::ebpf::{Refusal, loader, program, refused_load};

static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../bpf/queue.bpf.o");

/// Has the program choose among the queues of each of `devices`, alike in both directions of a flow. The devices keep
/// it from then on.
///
/// # Errors
/// The kernel will have no program; then it spreads flows by itself, as well and at more cost.
pub(crate) fn spread(devices: [&[Tun]; 2]) -> Result<(), Refusal> {
    let mut ebpf = load()?;
    let queue = loaded(&mut ebpf)?.fd().map_err(|error| Refusal::new("load", &error))?;
    for device in devices.into_iter().filter_map(<[Tun]>::first) {
        device.steer(queue.as_fd()).map_err(|error| Refusal::new("attach", &error))?;
    }
    Ok(())
}

fn load() -> Result<Ebpf, Refusal> {
    let random = RandomState::new();
    let (addend, factor) = (random.hash_one(0), random.hash_one(1) | 1);
    let mut ebpf = loader()
        .override_global("addend", &addend, true)
        .override_global("factor", &factor, true)
        .load(OBJECT)
        .map_err(|error| Refusal::new("load", &error))?;
    loaded(&mut ebpf)?.load().map_err(refused_load)?;
    Ok(ebpf)
}

fn loaded(ebpf: &mut Ebpf) -> Result<&mut SocketFilter, Refusal> {
    program(ebpf, "queue")
}

#[cfg(test)]
mod tests {
    use aya::programs::{TestRun as _, TestRunOptions};

    use super::*;

    const QUEUES: u32 = 4;
    const FLOWS: u16 = 4096;

    /// Runs `test` with a program of its own; where the kernel refuses that to this user it says so and passes, except
    /// in CI.
    fn with_program(test: impl FnOnce(&SocketFilter)) {
        match load() {
            Ok(mut ebpf) => test(loaded(&mut ebpf).unwrap()),
            Err(error) => {
                let error = error.of("queue");
                assert!(std::env::var_os("CI").is_none(), "in CI this must run: {error}");
                eprintln!("not run: {error}");
            }
        }
    }

    /// The queue of a packet, without the Ethernet header that the kernel's test wants and takes off.
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
    fn both_directions_of_a_flow_come_to_one_queue() {
        with_program(|program| {
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
    fn the_connections_of_one_client_come_to_all_queues_alike() {
        with_program(|program| {
            let mut flows = [0; QUEUES as usize];
            for port in 0..FLOWS {
                flows[queue_of(program, &packet(6, (1, 1024 + port), (2, 443))) as usize] += 1;
            }
            let fair = FLOWS / 4;
            assert!(flows.iter().all(|&flows| (fair * 3 / 4..fair * 5 / 4).contains(&flows)), "{flows:?}");
        });
    }

    #[test]
    fn what_is_not_tcp_goes_by_its_addresses_alone() {
        with_program(|program| {
            let queue = queue_of(program, &packet(58, (1, 0), (2, 0)));
            assert!((0..64).all(|port| queue_of(program, &packet(58, (1, port), (2, 0))) == queue));
            let queues = (0..64).map(|address| queue_of(program, &packet(58, (address, 0), (2, 0))));
            assert!(queues.collect::<std::collections::HashSet<_>>().len() == QUEUES as usize);
        });
    }

    #[test]
    fn nobody_can_foretell_the_queue() {
        let choice = |program: &SocketFilter| {
            (0..64).map(|port| queue_of(program, &packet(6, (1, port), (2, 443)))).collect::<Vec<_>>()
        };
        with_program(|one| with_program(|other| assert_ne!(choice(one), choice(other))));
    }

    #[test]
    fn a_packet_too_short_for_tcp_goes_to_the_first_queue() {
        with_program(|program| assert_eq!(queue_of(program, &packet(6, (1, 1), (2, 2))[..30]), 0));
    }
}
