//! What a faith interface is made of.

use faith_packet::classify::Unsupported;
use faith_packet::prefix::{FaithPrefix, PrefixSet};
use faith_sys::tun::MAX_NAME;

use crate::error::StackError;

/// How listeners of several ports come to their connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steering {
    /// By `sk_lookup` where kernel (5.9) and privileges (`CAP_BPF`, or `CAP_SYS_ADMIN`) allow it, else on demand.
    Auto,
    /// By listening sockets made when the first SYN to a port comes.
    OnDemand,
}

/// Whether established TCP goes past the pump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShortcutUse {
    /// Where kernel (6.6) and privileges (`CAP_BPF`, or `CAP_SYS_ADMIN`, outside of any user namespace) allow it.
    Auto,
    /// Every packet goes through the pump, and so through the faith interface's queue.
    Off,
}

/// What a faith interface is made of.
#[derive(Debug, Clone)]
pub struct InterfaceOptions {
    /// A legal interface name of 1 to 15 bytes that no interface has.
    pub name: String,
    /// What it captures; at least one.
    pub prefixes: Vec<FaithPrefix>,
    /// In bytes, 1280 to 65535. The largest keeps the interface from ever being the narrow link; clients are told of
    /// segments that the host's other devices can carry.
    pub mtu: u32,
    /// Whether to route each prefix to the interface in the host's main table.
    pub routes: bool,
    /// What becomes of packets that are neither TCP nor ICMPv6.
    pub unsupported: Unsupported,
    /// Worker threads, each with a queue of the devices; `None` is one per core.
    pub workers: Option<usize>,
    /// How listeners of several ports are reached.
    pub steering: Steering,
    /// Whether established TCP goes past the pump.
    pub shortcut: ShortcutUse,
}

impl InterfaceOptions {
    /// `name` with `prefixes`, the largest MTU, routes, and `unreachable` for what is unsupported.
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

    /// The prefixes as a set, when everything asked for is possible.
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

    /// How many workers, and queues of each device.
    pub(crate) fn queues(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.workers.unwrap_or_else(cores).clamp(1, MAX_WORKERS)
    }
}

/// What every link of IPv6 carries (RFC 8200 section 5).
pub(crate) const MINIMUM_MTU: u32 = 1280;

/// A TUN may have 256 queues (MAX_TAP_QUEUES); each costs a thread, and more threads than cores gain nothing.
const MAX_WORKERS: usize = 64;

/// What the kernel takes for a name (`dev_valid_name`), less what it would expand (`%d`) and the two names
/// that /proc/sys/net/ipv6/conf keeps for itself.
fn legal(name: &str) -> bool {
    !matches!(name, "" | "." | ".." | "all" | "default")
        && name.len() <= MAX_NAME
        && !name.bytes().any(|byte| byte.is_ascii_whitespace() || byte < b' ' || b"/:%\x7f".contains(&byte))
}
