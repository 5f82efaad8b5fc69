//! The programs of `bpf/shortcut.bpf.c`, and their maps, which only this file writes.

use std::io;

use aya::Ebpf;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, MapData, PerCpuArray};
use aya::programs::tc::TcAttachOptions;
use aya::programs::{LinkOrder, SchedClassifier, TcAttachType};
use faith_packet::prefix::FaithPrefix;
use faith_sys::backlog::Backlogs;
use faith_sys::tcx;

use crate::counters::{Count, Passed};
use crate::ebpf::{
    self, BACKLOGS, BPF_ANY, ProgramRefused, program, refused_entry, refused_load, set_workers,
    take_backlogs, take_map,
};
use crate::netlink::Device;

#[cfg(test)]
mod tests;

static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../../bpf/shortcut.bpf.o");

/// `enum way`. [`CLOSED`] closes one, and [`OPEN`] opens [`SYNS`]; the others take the index of an interface.
const TO_STACK: u32 = 0;
const TO_HOST: u32 = 1;
const SYNS: u32 = 2;
const CLOSED: u32 = 0;
const OPEN: u32 = 1;

/// `enum fate`.
const CAPTURED: u32 = 0;
const RETURNED: u32 = 1;
const OUTBOUND: u32 = 2;
const NO_LISTENER: u32 = 3;

/// The programs, loaded into the kernel and not attached.
pub(super) struct Loaded {
    ebpf: Ebpf,
    workers: u32,
}

/// The attached programs. Dropping this detaches them, except `reset_orphans`, which stays as long as the pair.
pub(super) struct Programs {
    prefixes: LpmTrie<MapData, [u8; 16], u32>,
    ways: Array<MapData, u32>,
    counts: PerCpuArray<MapData, Count>,
    pair: Device,
    /// Owns the programs and their links, which the kernel detaches when the last descriptor is closed.
    _ebpf: Ebpf,
}

impl Loaded {
    /// Loads the programs for an interface with `workers` workers.
    pub(super) fn load(workers: usize) -> Result<Self, ProgramRefused> {
        let workers = u32::try_from(workers).map_err(|error| ProgramRefused::new("load", &error))?;
        let mut ebpf = ebpf::load(OBJECT, &[(BACKLOGS, workers)])?;
        set_workers(&mut ebpf, workers)?;
        for name in ["to_stack", "to_worker", "to_host", "reset_orphans"] {
            program::<SchedClassifier>(&mut ebpf, name)?.load().map_err(refused_load)?;
        }
        Ok(Self { ebpf, workers })
    }

    /// Attaches `to_worker` to the pair's inner end, in the calling thread's network namespace, if there are several
    /// workers.
    pub(super) fn attach_inside(mut self, end: &str) -> Result<Self, ProgramRefused> {
        if self.workers > 1 {
            attach(&mut self.ebpf, "to_worker", end, TcAttachType::Ingress)?;
        }
        Ok(self)
    }

    /// Attaches the other programs to the faith interface and to the pair's host end, in the calling thread's network
    /// namespace. No prefix may pass yet, and the way to the stack is closed.
    pub(super) fn attach(
        self,
        (interface, faith): (&str, Device),
        (end, pair): (&str, Device),
    ) -> Result<(Programs, Backlogs), ProgramRefused> {
        let Self { mut ebpf, workers } = self;
        let mut ways: Array<MapData, u32> = take_map(&mut ebpf, "ways")?;
        let prefixes = take_map(&mut ebpf, "prefixes")?;
        let counts = take_map(&mut ebpf, "counts")?;
        ways.set(TO_HOST, faith.index(), BPF_ANY).map_err(|error| ProgramRefused::new("attach", &error))?;
        let backlogs = take_backlogs(&mut ebpf, workers)?;
        attach(&mut ebpf, "to_stack", interface, TcAttachType::Egress)?;
        attach(&mut ebpf, "to_host", end, TcAttachType::Ingress)?;
        attach_for_good(&mut ebpf, "reset_orphans", pair)?;
        Ok((Programs { prefixes, ways, counts, pair, _ebpf: ebpf }, backlogs))
    }
}

fn attach(ebpf: &mut Ebpf, name: &str, device: &str, hook: TcAttachType) -> Result<(), ProgramRefused> {
    program::<SchedClassifier>(ebpf, name)?
        .attach_with_options(device, hook, TcAttachOptions::TcxOrder(LinkOrder::default()))
        .map(drop)
        .map_err(|error| ProgramRefused::new("attach", &error))
}

/// Attaches a program that stays until the device is removed.
fn attach_for_good(ebpf: &mut Ebpf, name: &str, device: Device) -> Result<(), ProgramRefused> {
    let program = program::<SchedClassifier>(ebpf, name)?;
    let descriptor = program.fd().map_err(|error| ProgramRefused::new("attach", &error))?;
    tcx::attach_to_ingress(descriptor, device.index()).map_err(|error| ProgramRefused::new("attach", &error))
}

impl Programs {
    /// Opens or closes the way to the stack. While it is closed, the pump gets all packets.
    pub(super) fn open(&mut self, open: bool) -> io::Result<()> {
        self.set(TO_STACK, if open { self.pair.index() } else { CLOSED })
    }

    /// Lets SYNs take the way to the stack, or leaves them to the pump.
    pub(super) fn pass_syns(&mut self, pass: bool) -> io::Result<()> {
        self.set(SYNS, if pass { OPEN } else { CLOSED })
    }

    fn set(&mut self, way: u32, value: u32) -> io::Result<()> {
        self.ways.set(way, value, BPF_ANY).map_err(refused_entry)
    }

    /// Lets packets to and from `prefix` pass.
    pub(super) fn add_prefix(&mut self, prefix: &FaithPrefix) -> io::Result<()> {
        self.prefixes.insert(&key(prefix), 0, BPF_ANY).map_err(refused_entry)
    }

    /// Stops packets to and from `prefix`.
    pub(super) fn remove_prefix(&mut self, prefix: &FaithPrefix) -> io::Result<()> {
        self.prefixes.remove(&key(prefix)).map_err(refused_entry)
    }

    /// The counts of packets that passed, summed up over all processors.
    pub(super) fn passed(&self) -> Passed {
        let sum = |fate| {
            let Ok(each) = self.counts.get(&fate, 0) else { return Count::default() };
            each.iter().fold(Count::default(), |[packets, bytes], [more, larger]| {
                [packets.wrapping_add(*more), bytes.wrapping_add(*larger)]
            })
        };
        Passed {
            captured: sum(CAPTURED),
            returned: sum(RETURNED),
            outbound: sum(OUTBOUND),
            no_listener: sum(NO_LISTENER),
        }
    }
}

fn key(prefix: &FaithPrefix) -> Key<[u8; 16]> {
    Key::new(prefix.length().into(), prefix.address().octets())
}
