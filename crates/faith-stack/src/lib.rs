//! The faith interface: a TUN device on the host, a TUN device in a private network namespace, where the kernel's TCP
//! terminates the captured connections, and the pump between them. `ARCHITECTURE.md` has the picture.
#![forbid(unsafe_code)]

mod accept;
mod allowance;
mod answered;
mod capturing;
mod counters;
mod cut;
mod deliver;
mod devices;
mod ebpf;
mod errno;
mod error;
mod flow_table;
mod flush;
mod guide;
mod handle;
mod held;
mod hold;
mod interface;
mod ipv6;
mod keepfaith;
mod lane;
mod listener;
mod namespace;
mod netlink;
mod on_demand;
mod options;
mod own_addresses;
#[cfg(test)]
mod packets;
mod pulse;
mod pump;
mod routes;
mod service;
mod shared;
mod shortcut;
mod sockets;
mod spread;
mod stand_in;
mod steer;
mod support;
mod tcp_settings;
mod thread;
mod warning;
mod watch;
mod watchdog;
mod work;
mod worker;

pub use allowance::{Allowance, Rate};
pub use answered::SynAnswer;
pub use counters::InterfaceStats;
pub use errno::name_of as errno_name;
pub use error::StackError;
pub use flow_table::{FlowTable, Slot};
pub use guide::Guide;
pub use handle::ListenerHandle;
pub use held::{Answerer, GiveUp, HeldSyn, Released};
pub use hold::HoldLimits;
pub use interface::FaithInterface;
pub use keepfaith::{keepfaith, set_keepfaith};
pub use options::{InterfaceOptions, ShortcutUse, Steering};
pub use service::{Captured, ListenOptions, Prepare, Service};
pub use shared::LostCallback;
pub use support::{Obstacle, Support};
pub use warning::{Warning, WarningCallback};
