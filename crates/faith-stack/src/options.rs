//! The options of a faith interface.

use faith_packet::classify::Unsupported;
use faith_packet::prefix::{FaithPrefix, PrefixSet};
use faith_sys::tun::MAX_NAME;

use crate::error::StackError;

/// The way connections reach listeners of several ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steering {
    /// By `sk_lookup` if kernel (5.9) and privileges (`CAP_BPF`, or `CAP_SYS_ADMIN`) allow it, else on demand.
    Auto,
    /// By listening sockets made on the first SYN to each port.
    OnDemand,
}

/// The use of the shortcut, which takes established TCP past the pump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShortcutUse {
    /// Used if kernel (6.6) and privileges (`CAP_BPF`, or `CAP_SYS_ADMIN`, outside any user namespace) allow it.
    Auto,
    /// Not used: every packet goes through the faith interface's queue and the pump.
    Off,
}

/// The options of a faith interface.
#[derive(Debug, Clone)]
pub struct InterfaceOptions {
    /// A legal interface name of 1 to 15 bytes that is not in use.
    pub name: String,
    /// The prefixes to capture, at least one.
    pub prefixes: Vec<FaithPrefix>,
    /// The MTU in bytes, 1280 to 65535. With 65535 the interface never limits the size of packets. The MSS offered to
    /// clients follows the MTU of the host's other devices.
    pub mtu: u32,
    /// Routes each prefix to the interface, in the host's main table.
    pub routes: bool,
    /// The treatment of pings and of packets that are neither TCP nor ICMPv6.
    pub unsupported: Unsupported,
    /// The number of worker threads, each with a queue of both devices, 1 to 64; `None` means one per core.
    pub workers: Option<usize>,
    /// The way connections reach listeners of several ports.
    pub steering: Steering,
    /// The use of the shortcut.
    pub shortcut: ShortcutUse,
}

impl InterfaceOptions {
    /// The defaults for `name` and `prefixes`: MTU 65535, routes, [`Unsupported::Unreachable`], one worker per core,
    /// automatic steering and shortcut.
    #[must_use]
    pub fn new(name: impl Into<String>, prefixes: Vec<FaithPrefix>) -> Self {
        Self {
            name: name.into(),
            prefixes,
            mtu: 65_535,
            routes: true,
            unsupported: Unsupported::Unreachable,
            workers: None,
            steering: Steering::Auto,
            shortcut: ShortcutUse::Auto,
        }
    }

    /// Checks name, MTU and prefixes, and returns the prefixes as a set.
    pub(crate) fn check(&self) -> Result<PrefixSet, StackError> {
        if !legal(&self.name) {
            return Err(StackError::Name(self.name.clone()));
        }
        if !(MINIMUM_MTU..=65_535).contains(&self.mtu) {
            return Err(StackError::Mtu(self.mtu));
        }
        let mut set = PrefixSet::new();
        for prefix in &self.prefixes {
            set.insert(*prefix)?;
        }
        if set.is_empty() { Err(StackError::NoPrefix(self.name.clone())) } else { Ok(set) }
    }

    /// The number of workers, which is the number of queues of each device.
    pub(crate) fn queues(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.workers.unwrap_or_else(cores).clamp(1, MAX_WORKERS)
    }
}

/// The smallest MTU of an IPv6 link (RFC 8200 section 5).
pub(crate) const MINIMUM_MTU: u32 = 1280;

/// A TUN device may have 256 queues (MAX_TAP_QUEUES). Each costs a thread, and more threads than cores gain nothing.
const MAX_WORKERS: usize = 64;

/// Returns true for the names that the kernel accepts (`dev_valid_name`), except those that it would expand (`%d`) and
/// the two that /proc/sys/net/ipv6/conf reserves.
fn legal(name: &str) -> bool {
    !matches!(name, "" | "." | ".." | "all" | "default")
        && name.len() <= MAX_NAME
        && !name.bytes().any(|byte| byte.is_ascii_whitespace() || byte < b' ' || b"/:%\x7f".contains(&byte))
}
